/* SPDX-License-Identifier: MIT
 *
 * Hot state in memory. An entry stands in three orders at once: by namespace and key (a tree), by use
 * (a list), by expiry (a heap). Owns the entries and their namespaces.
 *
 * Threads: loop.
 */
#include "hot.h"

#include <stdlib.h>
#include <string.h>

#define ENTRY_BYTES                                                                                \
    (sizeof(struct hot__entry) + 2 * sizeof(void *)) /* with its place in the heap */

static size_t cost_of(const struct hot__entry *e)
{
    return ENTRY_BYTES + e->key_len + e->value_len;
}

static size_t space_cost(size_t name_len)
{
    return sizeof(struct hot__space) + name_len;
}

void cx_hot_new(const struct cx_hot_options *options, struct cx_hot **out)
{
    struct cx_hot *hot = cx_alloc(sizeof *hot);
    hot->options = *options;
    cx_random_init(&hot->random);
    hot->entries_gauge = cx_metrics_series(CX_M_HOT_ENTRIES, "");
    hot->bytes_gauge = cx_metrics_series(CX_M_HOT_BYTES, "");
    hot->hits = cx_metrics_series(CX_M_HOT_READS, "result=\"hit\"");
    hot->misses = cx_metrics_series(CX_M_HOT_READS, "result=\"miss\"");
    hot->expired = cx_metrics_series(CX_M_HOT_GONE, "reason=\"expired\"");
    hot->evicted = cx_metrics_series(CX_M_HOT_GONE, "reason=\"evicted\"");
    *out = hot;
}

static void note_size(const struct cx_hot *hot)
{
    cx_gauge_set(hot->entries_gauge, (double)hot->count);
    cx_gauge_set(hot->bytes_gauge, (double)hot->bytes);
}

void cx_hot_free(struct cx_hot **hot)
{
    if (*hot == NULL) {
        return;
    }
    struct hot__entry *e = (*hot)->newest;
    while (e != NULL) {
        struct hot__entry *older = e->older;
        if (--e->space->count == 0) {
            free(e->space);
        }
        free(e);
        e = older;
    }
    hot__heap_free(&(*hot)->heap);
    free(*hot);
    *hot = NULL;
}

uint64_t cx_hot_stamp(struct cx_hot *hot)
{
    return ++hot->last_stamp;
}

/* ---- The order of use ---- */

static void make_newest(struct cx_hot *hot, struct hot__entry *e)
{
    e->newer = NULL;
    e->older = hot->newest;
    if (hot->newest != NULL) {
        hot->newest->newer = e;
    } else {
        hot->oldest = e;
    }
    hot->newest = e;
}

static void unlink_use(struct cx_hot *hot, struct hot__entry *e)
{
    if (e->newer != NULL) {
        e->newer->older = e->older;
    } else {
        hot->newest = e->older;
    }
    if (e->older != NULL) {
        e->older->newer = e->newer;
    } else {
        hot->oldest = e->newer;
    }
}

/* ---- Entries come and go ---- */

static struct hot__entry *find(const struct cx_hot *hot, struct cx_str space, struct cx_str key)
{
    struct hot__entry *e = hot__tree_seek(hot->tree, space, key, false);
    const bool found =
        e != NULL && cx_str_eq(hot__name(e->space), space) && cx_str_eq(hot__key(e), key);
    return found ? e : NULL;
}

static bool is_past(const struct hot__entry *e, uint64_t now_ms)
{
    return e->expires_ms != 0 && e->expires_ms <= now_ms;
}

static void drop(struct cx_hot *hot, struct hot__entry *e)
{
    hot__tree_remove(&hot->tree, e);
    hot__heap_remove(&hot->heap, e);
    unlink_use(hot, e);
    hot->count--;
    hot->bytes -= cost_of(e);
    e->space->bytes -= cost_of(e);
    if (--e->space->count == 0) {
        hot->bytes -= space_cost(e->space->name_len);
        free(e->space);
    }
    free(e);
}

static void let_go(struct cx_hot *hot, struct hot__entry *e, struct cx_series *why)
{
    cx_counter_add(why, 1);
    if (hot->options.on_gone != NULL) {
        hot->options.on_gone(hot->options.ctx, hot__name(e->space), hot__key(e), e->stamp);
    }
    drop(hot, e);
}

static struct hot__space *space_for(struct cx_hot *hot, struct cx_str name)
{
    struct hot__entry *e = hot__tree_seek(hot->tree, name, (struct cx_str){ NULL, 0 }, false);
    if (e != NULL && cx_str_eq(hot__name(e->space), name)) {
        return e->space;
    }
    struct hot__space *space = cx_alloc(sizeof *space + name.len);
    space->name_len = name.len;
    memcpy(space->name, name.p, name.len);
    hot->bytes += space_cost(name.len);
    return space;
}

static void insert(struct cx_hot *hot, const struct cx_hot_entry *entry)
{
    struct hot__entry *e = cx_alloc(sizeof *e + entry->key.len + entry->value.len);
    e->expires_ms = entry->expires_ms;
    e->expires_us = entry->expires_us;
    e->stamp = entry->stamp;
    e->key_len = entry->key.len;
    e->value_len = entry->value.len;
    memcpy(e->bytes, entry->key.p, entry->key.len);
    memcpy(e->bytes + e->key_len, entry->value.p, entry->value.len);
    cx_random_fill(&hot->random, &e->weight, sizeof e->weight);
    e->space = space_for(hot, entry->space);
    e->space->count++;
    e->space->bytes += cost_of(e);
    hot->count++;
    hot->bytes += cost_of(e);
    hot__tree_insert(&hot->tree, e);
    hot__heap_add(&hot->heap, e);
    make_newest(hot, e);
}

/* ---- What is asked for ---- */

bool cx_hot_get(struct cx_hot *hot, struct cx_str space, struct cx_str key, uint64_t now_ms,
                struct cx_hot_entry *out)
{
    struct hot__entry *e = find(hot, space, key);
    if (e == NULL || is_past(e, now_ms)) {
        cx_counter_add(hot->misses, 1);
        return false;
    }
    cx_counter_add(hot->hits, 1);
    unlink_use(hot, e);
    make_newest(hot, e);
    *out = (struct cx_hot_entry){ .space = hot__name(e->space),
                                  .key = hot__key(e),
                                  .value = hot__value(e),
                                  .expires_ms = e->expires_ms,
                                  .expires_us = e->expires_us,
                                  .stamp = e->stamp };
    return true;
}

static bool has_room(const struct cx_hot *hot, const struct cx_hot_entry *entry)
{
    const size_t bytes =
        ENTRY_BYTES + entry->key.len + entry->value.len + space_cost(entry->space.len);
    return hot->count < hot->options.entries_max && hot->bytes + bytes <= hot->options.bytes_max;
}

bool cx_hot_make_room(struct cx_hot *hot, const struct cx_hot_entry *entry, uint64_t now_ms,
                      size_t steps)
{
    while (steps > 0 && !has_room(hot, entry) && hot->oldest != NULL) {
        struct hot__entry *next = hot->heap.count > 0 ? hot->heap.items[0] : NULL;
        const bool expired = next != NULL && is_past(next, now_ms);
        let_go(hot, expired ? next : hot->oldest, expired ? hot->expired : hot->evicted);
        steps--;
    }
    note_size(hot);
    return has_room(hot, entry);
}

void cx_hot_put(struct cx_hot *hot, const struct cx_hot_entry *entry, uint64_t now_ms,
                bool *created)
{
    CX_CHECK(has_room(hot, entry));
    struct hot__entry *old = find(hot, entry->space, entry->key);
    *created = old == NULL || is_past(old, now_ms);
    if (old != NULL && old->stamp > entry->stamp) {
        return;
    }
    if (old != NULL) {
        drop(hot, old);
    }
    insert(hot, entry);
    note_size(hot);
}

bool cx_hot_remove(struct cx_hot *hot, struct cx_str space, struct cx_str key, uint64_t stamp,
                   uint64_t now_ms)
{
    struct hot__entry *e = find(hot, space, key);
    if (e == NULL || e->stamp > stamp) {
        return false;
    }
    const bool was_there = !is_past(e, now_ms);
    drop(hot, e);
    note_size(hot);
    return was_there;
}

bool cx_hot_sweep(struct cx_hot *hot, struct cx_hot_sweep *sweep, size_t steps)
{
    bool done = false;
    while (!done && steps-- > 0) {
        const struct cx_str after = { sweep->after, sweep->after_len };
        struct hot__entry *e = hot__tree_seek(hot->tree, sweep->space, after, true);
        done = e == NULL || !cx_str_eq(hot__name(e->space), sweep->space);
        if (!done) {
            memcpy(sweep->after, e->bytes, e->key_len);
            sweep->after_len = e->key_len;
        }
        if (!done && e->stamp <= sweep->stamp) {
            drop(hot, e);
            sweep->removed++;
        }
    }
    note_size(hot);
    return done;
}

bool cx_hot_expire(struct cx_hot *hot, uint64_t now_ms, size_t steps)
{
    while (hot->heap.count > 0 && is_past(hot->heap.items[0], now_ms)) {
        if (steps-- == 0) {
            return false;
        }
        let_go(hot, hot->heap.items[0], hot->expired);
    }
    note_size(hot);
    return true;
}
