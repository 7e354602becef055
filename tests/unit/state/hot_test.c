/* SPDX-License-Identifier: MIT
 *
 * Hot state against a list that is searched from end to end: puts, gets, removals, expiry, eviction,
 * pages and sweeps at random; and its way to the disk and back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"
#include "cortex/state.h"
#include "cortex/store.h"
#include "test.h"

#define SPACES 3
#define KEYS 40
#define ENTRIES_MAX 60
#define MODEL_MAX (SPACES * KEYS)

struct model_entry {
    bool there;
    char value[64];
    uint64_t expires_ms;
    uint64_t used; /* when, counted up */
};
static struct model_entry model[SPACES][KEYS];
static uint64_t uses;
static size_t gone;

static uint64_t random_state = 88172645463325252ULL;
static uint64_t drawn(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static struct cx_str name_of(size_t number, const char *format)
{
    static char text[8][32];
    static size_t next;
    char *p = text[next++ % 8];
    const int len = snprintf(p, sizeof text[0], format, number);
    return (struct cx_str){ p, (size_t)len };
}
static struct cx_str space_of(size_t s)
{
    return name_of(s, "space %zu");
}
static struct cx_str key_of(size_t k)
{
    return name_of(k, "k%02zu");
}

static void on_gone(void *ctx, struct cx_str space, struct cx_str key, uint64_t stamp)
{
    (void)ctx;
    (void)stamp;
    EXPECT(space.len > 0 && key.len > 0);
    gone++;
}

static struct cx_hot *hot_new(size_t entries, size_t bytes)
{
    const struct cx_hot_options options = { .entries_max = entries,
                                            .bytes_max = bytes,
                                            .on_gone = on_gone };
    struct cx_hot *hot = NULL;
    cx_hot_new(&options, &hot);
    return hot;
}

static bool is_live(const struct model_entry *m, uint64_t now_ms)
{
    return m->there && (m->expires_ms == 0 || m->expires_ms > now_ms);
}

static size_t model_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < MODEL_MAX; i++) {
        count += model[i / KEYS][i % KEYS].there ? 1 : 0;
    }
    return count;
}

/* What expires first goes first, if it has; else what was used least recently. */
static void model_make_room(uint64_t now_ms)
{
    while (model_count() >= ENTRIES_MAX) {
        struct model_entry *victim = NULL;
        bool expired = false;
        for (size_t i = 0; i < MODEL_MAX; i++) {
            struct model_entry *m = &model[i / KEYS][i % KEYS];
            if (!m->there) {
                continue;
            }
            const bool past = !is_live(m, now_ms);
            const bool better = victim == NULL || (past && !expired) ||
                                (past && expired && m->expires_ms < victim->expires_ms) ||
                                (!past && !expired && m->used < victim->used);
            if (better) {
                victim = m;
                expired = past;
            }
        }
        victim->there = false;
    }
}

static void put(struct cx_hot *hot, size_t s, size_t k, uint64_t now_ms)
{
    struct model_entry *m = &model[s][k];
    char value[64];
    snprintf(value, sizeof value, "%llu", (unsigned long long)drawn(1000000));
    /* Expiries differ, so that it is clear which goes first. */
    const uint64_t expires_ms = drawn(3) == 0 ? 0 : now_ms + 1 + drawn(1000) * 1000 + uses % 1000;
    const struct cx_hot_entry entry = { .space = space_of(s),
                                        .key = key_of(k),
                                        .value = cx_str_of(value),
                                        .expires_ms = expires_ms,
                                        .stamp = cx_hot_stamp(hot) };
    bool created = false;
    bool room = false;
    for (int i = 0; i < 1000 && !room; i++) {
        room = cx_hot_make_room(hot, &entry, now_ms, 1);
    }
    REQUIRE(room);
    model_make_room(now_ms);
    const bool was_live = is_live(m, now_ms);
    cx_hot_put(hot, &entry, now_ms, &created);
    EXPECT_INT(created, !was_live);
    m->there = true;
    m->expires_ms = expires_ms;
    m->used = ++uses;
    snprintf(m->value, sizeof m->value, "%s", value);
}

static void get(struct cx_hot *hot, size_t s, size_t k, uint64_t now_ms)
{
    struct cx_hot_entry found;
    struct model_entry *m = &model[s][k];
    const bool got = cx_hot_get(hot, space_of(s), key_of(k), now_ms, &found);
    EXPECT_INT(got, is_live(m, now_ms));
    if (got) {
        EXPECT(cx_str_eq(found.value, cx_str_of(m->value)));
        EXPECT(found.expires_ms == m->expires_ms);
        m->used = ++uses;
    }
}

static void expect_pages(struct cx_hot *hot, size_t s, uint64_t now_ms)
{
    struct cx_str cursor = { NULL, 0 };
    char kept[64];
    size_t k = 0;
    const size_t limit = 1 + drawn(10);
    do {
        struct cx_buf text;
        json_t *page = NULL;
        cx_buf_init(&text, 1 << 20);
        cx_hot_list(hot, space_of(s), cursor, limit, now_ms, &text);
        EXPECT(cx_json_parse((struct cx_str){ text.data, text.len }, &page, NULL) == CX_OK);
        cx_buf_free(&text);
        const json_t *keys = json_object_get(page, "keys");
        EXPECT(json_array_size(keys) <= limit);
        for (size_t i = 0; i < json_array_size(keys); i++) {
            while (k < KEYS && !is_live(&model[s][k], now_ms)) {
                k++;
            }
            REQUIRE(k < KEYS);
            EXPECT_STR(json_string_value(json_object_get(json_array_get(keys, i), "key")),
                       key_of(k).p);
            k++;
        }
        const char *next = json_string_value(json_object_get(page, "cursor"));
        snprintf(kept, sizeof kept, "%s", next != NULL ? next : "");
        cursor = next != NULL ? cx_str_of(kept) : (struct cx_str){ NULL, 0 };
        json_decref(page);
    } while (cursor.p != NULL);
    while (k < KEYS) {
        EXPECT(!is_live(&model[s][k], now_ms));
        k++;
    }
}

static void sweep(struct cx_hot *hot, size_t s)
{
    struct cx_hot_sweep state = { .space = space_of(s), .stamp = cx_hot_stamp(hot) };
    size_t wanted = 0;
    for (size_t k = 0; k < KEYS; k++) {
        wanted += model[s][k].there ? 1 : 0;
        model[s][k].there = false;
    }
    while (!cx_hot_sweep(hot, &state, 3)) {
    }
    EXPECT_INT(state.removed, wanted);
}

TEST(hot_state_is_what_a_list_would_be)
{
    struct cx_hot *hot = hot_new(ENTRIES_MAX, 1 << 20);
    uint64_t now_ms = 1000;
    for (int round = 0; round < 40000; round++) {
        const size_t s = drawn(SPACES);
        const size_t k = drawn(KEYS);
        const uint64_t what = drawn(100);
        if (what < 45) {
            put(hot, s, k, now_ms);
        } else if (what < 85) {
            get(hot, s, k, now_ms);
        } else if (what < 94) {
            EXPECT_INT(cx_hot_remove(hot, space_of(s), key_of(k), cx_hot_stamp(hot), now_ms),
                       is_live(&model[s][k], now_ms));
            model[s][k].there = false;
        } else if (what < 97) {
            now_ms += drawn(200000);
        } else if (what < 98) {
            expect_pages(hot, s, now_ms);
        } else if (what < 99) {
            while (!cx_hot_expire(hot, now_ms, 2)) {
            }
            for (size_t i = 0; i < MODEL_MAX; i++) {
                struct model_entry *m = &model[i / KEYS][i % KEYS];
                m->there = is_live(m, now_ms);
            }
        } else if (drawn(4) == 0) {
            sweep(hot, s);
        }
    }
    EXPECT(gone > 0);
    cx_hot_free(&hot);
    EXPECT(hot == NULL);
}

static bool put_text(struct cx_hot *hot, const char *space, const char *key, const char *value,
                     uint64_t stamp)
{
    const struct cx_hot_entry entry = {
        .space = cx_str_of(space), .key = cx_str_of(key), .value = cx_str_of(value), .stamp = stamp
    };
    bool created = false;
    EXPECT(cx_hot_make_room(hot, &entry, 1, SIZE_MAX));
    cx_hot_put(hot, &entry, 1, &created);
    return created;
}

TEST(a_value_that_comes_late_does_not_replace_a_later_one)
{
    struct cx_hot *hot = hot_new(10, 1 << 20);
    const uint64_t first = cx_hot_stamp(hot);
    const uint64_t second = cx_hot_stamp(hot);
    EXPECT(put_text(hot, "s", "k", "2", second));
    EXPECT(!put_text(hot, "s", "k", "1", first));
    struct cx_hot_entry found;
    REQUIRE(cx_hot_get(hot, CX_STR("s"), CX_STR("k"), 1, &found));
    EXPECT(cx_str_eq(found.value, CX_STR("2")));
    EXPECT(!cx_hot_remove(hot, CX_STR("s"), CX_STR("k"), first, 1));
    struct cx_hot_sweep sweep_state = { .space = CX_STR("s"), .stamp = first };
    EXPECT(cx_hot_sweep(hot, &sweep_state, 10));
    EXPECT_INT(sweep_state.removed, 0);
    EXPECT(cx_hot_remove(hot, CX_STR("s"), CX_STR("k"), second, 1));
    cx_hot_free(&hot);
}

TEST(bytes_have_a_ceiling_that_no_entry_passes)
{
    static char large[200000];
    memset(large, '1', sizeof large - 1);
    struct cx_hot *hot = hot_new(100000, 700000);
    for (int i = 0; i < 3000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        put_text(hot, i % 2 == 0 ? "even" : "odd", key, "1", cx_hot_stamp(hot));
    }
    put_text(hot, "large", "a", large, cx_hot_stamp(hot));
    put_text(hot, "large", "b", large, cx_hot_stamp(hot));
    put_text(hot, "large", "a", large, cx_hot_stamp(hot));
    struct cx_buf text;
    json_t *stats = NULL;
    cx_buf_init(&text, 1 << 20);
    cx_hot_stats(hot, (struct cx_str){ NULL, 0 }, 10, &text);
    REQUIRE(cx_json_parse((struct cx_str){ text.data, text.len }, &stats, NULL) == CX_OK);
    EXPECT(json_integer_value(json_object_get(stats, "bytes")) <= 700000);
    EXPECT(json_integer_value(json_object_get(stats, "bytes")) > 400000);
    json_decref(stats);
    cx_buf_free(&text);
    cx_hot_free(&hot);
}

static struct cx_store *open_store(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/hot.db", test_dir());
    const struct cx_store_options options = { .path = path,
                                              .readers = 1,
                                              .migrations = cx_state_migrations,
                                              .migration_count = cx_state_migration_count };
    struct cx_store *store = NULL;
    struct cx_err err = { "" };
    EXPECT(cx_store_open(&options, &store, &err) == CX_OK);
    EXPECT_STR(err.text, "");
    return store;
}

static struct cx_hot_entry row(const char *space, size_t k, int64_t expires_us, uint64_t stamp)
{
    return (struct cx_hot_entry){ .space = cx_str_of(space),
                                  .key = key_of(k),
                                  .value = CX_STR("[1]"),
                                  .expires_us = expires_us,
                                  .stamp = stamp };
}

TEST(what_was_saved_comes_back_the_newest_first)
{
    struct cx_store *store = open_store();
    REQUIRE(store != NULL);
    struct cx_db *db = cx_store_writer(store);
    for (size_t i = 0; i < 30; i++) {
        const struct cx_hot_entry e = row("s", i, i % 3 == 0 ? 5000000 : 0, 100 + i);
        EXPECT(cx_hot_save(db, &e, NULL) == CX_OK);
    }
    const struct cx_hot_entry late = row("s", 29, 0, 1); /* an older value: stays out */
    EXPECT(cx_hot_save(db, &late, NULL) == CX_OK);
    const struct cx_hot_entry erased[] = { row("s", 28, 0, 128), row("s", 26, 0, 125) };
    EXPECT(cx_hot_erase(db, erased, 2, NULL) == CX_OK);

    struct cx_hot *hot = hot_new(10, 1 << 20);
    EXPECT(cx_hot_load(hot, db, 7000, 6000000, NULL) == CX_OK);
    struct cx_hot_entry found;
    EXPECT(cx_hot_get(hot, CX_STR("s"), key_of(29), 7000, &found));
    EXPECT_INT(found.stamp, 129);
    EXPECT(!cx_hot_get(hot, CX_STR("s"), key_of(28), 7000, &found)); /* erased */
    EXPECT(!cx_hot_get(hot, CX_STR("s"), key_of(27), 7000, &found)); /* expired */
    EXPECT(cx_hot_get(hot, CX_STR("s"), key_of(26), 7000, &found)); /* newer than what was erased */
    EXPECT(!cx_hot_get(hot, CX_STR("s"), key_of(4), 7000, &found)); /* no room */
    EXPECT(cx_hot_stamp(hot) > 129);
    cx_hot_free(&hot);

    bool left = true;
    size_t jobs = 0;
    while (left) {
        REQUIRE(cx_hot_erase_all(db, CX_STR("s"), 128, 4, &left, NULL) == CX_OK);
        jobs++;
    }
    EXPECT_INT(jobs, 3); /* nine of the ten that were taken: the others are gone */
    hot = hot_new(10, 1 << 20);
    EXPECT(cx_hot_load(hot, db, 7000, 6000000, NULL) == CX_OK);
    EXPECT(cx_hot_get(hot, CX_STR("s"), key_of(29), 7000, &found));
    EXPECT(!cx_hot_get(hot, CX_STR("s"), key_of(26), 7000, &found));
    cx_hot_free(&hot);
    cx_store_close(&store);
}

TEST(what_is_left_of_a_time_to_live_is_kept_over_a_restart)
{
    struct cx_store *store = open_store();
    REQUIRE(store != NULL);
    struct cx_db *db = cx_store_writer(store);
    const struct cx_hot_entry e = row("s", 1, 10000000, 1);
    EXPECT(cx_hot_save(db, &e, NULL) == CX_OK);
    struct cx_hot *hot = hot_new(10, 1 << 20);
    EXPECT(cx_hot_load(hot, db, 100, 4000000, NULL) == CX_OK);
    struct cx_hot_entry found;
    EXPECT(cx_hot_get(hot, CX_STR("s"), key_of(1), 6099, &found));
    EXPECT(!cx_hot_get(hot, CX_STR("s"), key_of(1), 6102, &found));
    cx_hot_free(&hot);
    cx_store_close(&store);
}
