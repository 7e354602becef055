/* SPDX-License-Identifier: MIT
 *
 * Lists of postings and the words of a text (postings.h).
 */
#include "postings.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX ((size_t)UINT32_MAX) /* of the words of one document, each once */

static void forget(struct vector__postings *p, struct vector__list **at);
static void count_bytes(struct vector__postings *p, size_t before, size_t after);
static void grow_buckets(struct vector__postings *p);
static void grow_places(struct vector__words *words);
static uint32_t *place_of(const struct vector__words *words, uint64_t hash, struct cx_str term);

void vector__postings_init(struct vector__postings *p)
{
    *p = (struct vector__postings){ 0 };
    cx_random_bytes(p->key, sizeof p->key);
}

void vector__postings_free(struct vector__postings *p)
{
    vector__postings_clear(p);
    free(p->buckets);
    p->buckets = NULL;
    p->bucket_count = 0;
}

uint64_t vector__postings_hash(const struct vector__postings *p, struct cx_str term)
{
    return cx_siphash(p->key, term.p, term.len);
}

struct vector__list *vector__postings_find(const struct vector__postings *p, uint64_t hash,
                                           struct cx_str term)
{
    struct vector__list *list =
        p->bucket_count > 0 ? p->buckets[hash & (p->bucket_count - 1)] : NULL;
    while (list != NULL && !(list->hash == hash && list->term_len == term.len &&
                             memcmp(list->term, term.p, term.len) == 0)) {
        list = list->next;
    }
    return list;
}

void vector__postings_insert(struct vector__postings *p, struct vector__list *list)
{
    if (p->list_count >= p->bucket_count) {
        grow_buckets(p);
    }
    struct vector__list **at = &p->buckets[list->hash & (p->bucket_count - 1)];
    const struct cx_str term = { list->term, list->term_len };
    struct vector__list *old = vector__postings_find(p, list->hash, term);
    if (old != NULL) {
        struct vector__list **of_old = at;
        while (*of_old != old) {
            of_old = &(*of_old)->next;
        }
        forget(p, of_old);
    }
    list->next = *at;
    *at = list;
    p->list_count++;
    count_bytes(p, 0, vector__list_bytes(list));
}

void vector__postings_add(struct vector__postings *p, const struct vector__words *words,
                          uint32_t slot, uint16_t epoch)
{
    for (size_t i = 0; i < words->count && p->list_count > 0; i++) {
        const struct vector__word *word = &words->items[i];
        const struct cx_str term = { words->text.data + word->at, word->len };
        struct vector__list *list = vector__postings_find(p, word->hash, term);
        if (list == NULL) {
            continue;
        }
        if (word->times > VECTOR__TIMES_MAX) {
            /* More than a posting can say. */
            struct vector__list **at = &p->buckets[word->hash & (p->bucket_count - 1)];
            while (*at != list) {
                at = &(*at)->next;
            }
            forget(p, at);
            continue;
        }
        const size_t before = vector__list_bytes(list);
        vector__list_append(list, (struct vector__posting){ slot, epoch, (uint16_t)word->times });
        count_bytes(p, before, vector__list_bytes(list));
    }
}

void vector__postings_fit(struct vector__postings *p, size_t bytes_max, uint64_t time)
{
    while (atomic_load_explicit(&p->bytes, memory_order_relaxed) > bytes_max) {
        uint64_t oldest = UINT64_MAX;
        for (size_t b = 0; b < p->bucket_count; b++) {
            for (const struct vector__list *l = p->buckets[b]; l != NULL; l = l->next) {
                const uint64_t used = atomic_load_explicit(&l->used, memory_order_relaxed);
                oldest = used < oldest ? used : oldest;
            }
        }
        if (oldest >= time) {
            return;
        }
        /* A good part at once: going through all of them for each would take its time. */
        const uint64_t now = atomic_load_explicit(&p->clock, memory_order_relaxed);
        const uint64_t limit = now > oldest ? oldest + (now - oldest) / 4 : oldest;
        for (size_t b = 0; b < p->bucket_count; b++) {
            struct vector__list **at = &p->buckets[b];
            while (*at != NULL) {
                const uint64_t used = atomic_load_explicit(&(*at)->used, memory_order_relaxed);
                if (used <= limit && used < time) {
                    forget(p, at);
                } else {
                    at = &(*at)->next;
                }
            }
        }
    }
}

void vector__postings_clear(struct vector__postings *p)
{
    for (size_t b = 0; b < p->bucket_count; b++) {
        while (p->buckets[b] != NULL) {
            forget(p, &p->buckets[b]);
        }
    }
}

static void forget(struct vector__postings *p, struct vector__list **at)
{
    struct vector__list *list = *at;
    *at = list->next;
    p->list_count--;
    count_bytes(p, vector__list_bytes(list), 0);
    vector__list_free(list);
}

static void count_bytes(struct vector__postings *p, size_t before, size_t after)
{
    atomic_fetch_add_explicit(&p->bytes, after - before, memory_order_relaxed);
    if (p->total != NULL) {
        atomic_fetch_add_explicit(p->total, after - before, memory_order_relaxed);
    }
}

static void grow_buckets(struct vector__postings *p)
{
    struct vector__list **old = p->buckets;
    const size_t old_count = p->bucket_count;
    p->bucket_count = old_count == 0 ? 64 : old_count * 2;
    p->buckets = cx_alloc(p->bucket_count * sizeof(struct vector__list *));
    for (size_t b = 0; b < old_count; b++) {
        while (old[b] != NULL) {
            struct vector__list *list = old[b];
            old[b] = list->next;
            list->next = p->buckets[list->hash & (p->bucket_count - 1)];
            p->buckets[list->hash & (p->bucket_count - 1)] = list;
        }
    }
    free(old);
}

struct vector__list *vector__list_new(uint64_t hash, struct cx_str term)
{
    struct vector__list *list = cx_alloc(sizeof *list + term.len);
    list->hash = hash;
    list->term_len = term.len;
    memcpy(list->term, term.p, term.len);
    return list;
}

void vector__list_reserve(struct vector__list *list, size_t count)
{
    list->cap = count;
    list->items = cx_realloc_array(list->items, count + 1, sizeof *list->items);
}

size_t vector__list_bytes(const struct vector__list *list)
{
    return sizeof *list + list->term_len + list->cap * sizeof *list->items +
           sizeof(struct vector__list *);
}

void vector__list_append(struct vector__list *list, struct vector__posting posting)
{
    if (list->count == list->cap) {
        list->cap += list->cap / 2 + 4;
        list->items = cx_realloc_array(list->items, list->cap, sizeof *list->items);
    }
    list->items[list->count++] = posting;
}

void vector__list_free(struct vector__list *list)
{
    if (list != NULL) {
        free(list->items);
        free(list);
    }
}

void vector__words_init(struct vector__words *words)
{
    *words = (struct vector__words){ 0 };
    cx_buf_init(&words->text, TEXT_BYTES_MAX);
}

void vector__words_free(struct vector__words *words)
{
    free(words->items);
    free(words->places);
    cx_buf_free(&words->text);
    *words = (struct vector__words){ 0 };
}

void vector__words_done(struct vector__words *words)
{
    free(words->places);
    words->places = NULL;
    words->place_count = 0;
}

void vector__words_on_term(void *ctx, struct cx_str term)
{
    const struct vector__words_maker *maker = ctx;
    struct vector__words *words = maker->words;
    words->length++;
    if (2 * words->count >= words->place_count) {
        grow_places(words);
    }
    const uint64_t hash = vector__postings_hash(maker->postings, term);
    uint32_t *place = place_of(words, hash, term);
    if (*place != 0) {
        words->items[*place - 1].times++;
        return;
    }
    const uint32_t at = (uint32_t)words->text.len;
    cx_buf_put_str(&words->text, term);
    if (words->text.failed) {
        words->failed = true;
        return;
    }
    if (words->count == words->cap) {
        words->cap = words->cap == 0 ? 8 : words->cap * 2;
        words->items = cx_realloc_array(words->items, words->cap, sizeof *words->items);
    }
    words->items[words->count++] =
        (struct vector__word){ .hash = hash, .at = at, .len = (uint32_t)term.len, .times = 1 };
    *place = (uint32_t)words->count;
}

static void grow_places(struct vector__words *words)
{
    free(words->places);
    words->place_count = words->place_count == 0 ? 32 : words->place_count * 2;
    words->places = cx_alloc(words->place_count * sizeof *words->places);
    for (size_t i = 0; i < words->count; i++) {
        const struct vector__word *word = &words->items[i];
        const struct cx_str term = { words->text.data + word->at, word->len };
        *place_of(words, word->hash, term) = (uint32_t)i + 1;
    }
}

/* Where it is, or the free place where it belongs. */
static uint32_t *place_of(const struct vector__words *words, uint64_t hash, struct cx_str term)
{
    size_t at = hash & (words->place_count - 1);
    while (words->places[at] != 0) {
        const struct vector__word *word = &words->items[words->places[at] - 1];
        if (word->hash == hash && word->len == term.len &&
            memcmp(words->text.data + word->at, term.p, term.len) == 0) {
            break;
        }
        at = (at + 1) & (words->place_count - 1);
    }
    return &words->places[at];
}
