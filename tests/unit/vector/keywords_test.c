/* SPDX-License-Identifier: MIT
 *
 * The keyword leg against FTS5's own bm25(): the same documents with the same scores, whatever has
 * been put, changed and deleted before and after a word was first asked for.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "vector/keywords.h"

#define IDS 150
#define SAME 1e-12 /* relative */

/* Some share their stem, some their letters but for marks and case; some are rare, one is everywhere. */
static const char *const VOCABULARY[] = {
    "cortex",   "run",   "running", "runs",     "runner",  "Run",     "memory",    "memories",
    "café",     "cafe",  "CAFÉ",    "naïve",    "42",      "x86",     "state",     "states",
    "snapshot", "記憶",  "Память",  "größe",    "groesse", "ledger",  "audit",     "agent",
    "agents",   "token", "tokens",  "tokenise", "vector",  "vectors", "search",    "lane",
    "loop",     "event", "e",       "the",      "of",      "zzz",     "operation", "operate",
};

static void draw_text(uint64_t *state, struct cx_buf *out, uint64_t words_max)
{
    cx_buf_clear(out);
    for (uint64_t words = draw(state) % (words_max + 1); words > 0; words--) {
        /* The first ones far more often. */
        const uint64_t a = draw(state) % CX_ARRAY_LEN(VOCABULARY);
        const uint64_t b = draw(state) % CX_ARRAY_LEN(VOCABULARY);
        cx_buf_puts(out, VOCABULARY[a < b ? a : b]);
        cx_buf_puts(out, draw(state) % 8 == 0 ? ", " : " ");
    }
}

static int compare_found(const void *a, const void *b)
{
    const struct vector__found *x = a;
    const struct vector__found *y = b;
    return x->rowid < y->rowid ? -1 : x->rowid > y->rowid ? 1 : 0;
}

/* by_lists: whether the lists must have been enough. */
static void expect_bm25(struct fixture *f, const char *query, bool by_lists)
{
    struct cx_db *reader = cx_store_reader(f->store);
    struct cx_err err = { "" };
    struct vector__keywords k;
    struct vector__matches matches = { 0 };
    bool ok = vector__keywords_init(&k, f->v, reader, cx_str_of(query), &err) == CX_OK &&
              cx_db_begin(reader, &err) == CX_OK &&
              vector__keywords_load(&k, f->v, reader, &err) == CX_OK;
    EXPECT(ok);
    CX_CHECK(pthread_rwlock_rdlock(&f->v->index.lock) == 0);
    ok = ok && vector__keywords_score(&k, &f->v->index, &matches, &err) == CX_OK;
    EXPECT_INT(k.by_fts5, !by_lists);
    ok = ok && vector__keywords_ask_fts5(&k, f->v, reader, &err) == CX_OK;
    EXPECT(ok);
    if (k.found_count > 0) {
        qsort(k.found, k.found_count, sizeof *k.found, compare_found);
    }
    if (by_lists) {
        EXPECT_INT(matches.count, k.found_count);
    }
    for (size_t i = 0; by_lists && i < matches.count; i++) {
        const uint32_t slot = matches.slots[i];
        const struct vector__found key = { .rowid = vector__index_slot(&f->v->index, slot)->rowid };
        const struct vector__found *found =
            k.found_count > 0
                ? bsearch(&key, k.found, k.found_count, sizeof *k.found, compare_found)
                : NULL;
        const double score = matches.scores[slot];
        if (!test_expect(found != NULL && fabs(found->bm25 - score) <= SAME * score, __FILE__,
                         __LINE__, "\"%s\", row %lld: %.17g instead of %.17g", query,
                         (long long)key.rowid, score, found != NULL ? found->bm25 : 0)) {
            break;
        }
    }
    CX_CHECK(pthread_rwlock_unlock(&f->v->index.lock) == 0);
    cx_db_rollback(reader);
    vector__matches_free(&matches);
    vector__keywords_free(&k);
    cx_store_return(f->store, reader);
}

static void change_something(struct fixture *f, uint64_t *state)
{
    struct cx_err err = { "" };
    char id[16];
    snprintf(id, sizeof id, "d%llu", (unsigned long long)(draw(state) % IDS));
    const struct cx_str gone = cx_str_of(id);
    size_t deleted = 0;
    if (draw(state) % 4 == 0) {
        EXPECT_INT(cx_vector_delete(f->v, f->db, &gone, 1, &deleted, &err), CX_OK);
        return;
    }
    struct cx_buf text;
    cx_buf_init(&text, 1U << 20);
    draw_text(state, &text, draw(state) % 20 == 0 ? 2000 : 30);
    float vector[DIMENSION];
    draw_unit(state, vector, DIMENSION);
    const char *metadata = draw(state) % 2 == 0 ? "{\"a\":1}" : "{}";
    EXPECT(put_one(f, id, text.data != NULL ? text.data : "", metadata, vector));
    cx_buf_free(&text);
}

static void ask_something(struct fixture *f, uint64_t *state)
{
    struct cx_buf query;
    cx_buf_init(&query, 1U << 20);
    draw_text(state, &query, 8);
    expect_bm25(f, query.data != NULL ? query.data : "", true);
    cx_buf_free(&query);
}

TEST(keywords_are_bm25)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fixture f;
        REQUIRE(fixture_open(&f));
        uint64_t state = seed;
        for (int round = 0; round < 400; round++) {
            const uint64_t what = draw(&state) % 8;
            if (what < 5) {
                change_something(&f, &state);
            } else {
                ask_something(&f, &state);
            }
            if (round == 200) {
                /* A restart: lengths come from FTS5, and no word has been asked for. */
                struct cx_err err = { "" };
                fixture_close(&f);
                REQUIRE(fixture_open_with(&f, "print-1", DIMENSION, (size_t)1 << 30, &err));
            }
        }
        for (size_t i = 0; i < CX_ARRAY_LEN(VOCABULARY); i++) {
            expect_bm25(&f, VOCABULARY[i], true);
        }
        fixture_close(&f);
    }
}

struct crowd {
    struct fixture f;
    atomic_bool done;
    atomic_int failures;
};

static void *ask_work(void *arg)
{
    struct crowd *c = arg;
    uint64_t state = (uint64_t)(uintptr_t)&state;
    struct cx_db *reader = cx_store_reader(c->f.store);
    while (!atomic_load(&c->done)) {
        struct cx_buf query;
        cx_buf_init(&query, 1U << 20);
        draw_text(&state, &query, 6);
        const struct cx_search search = { .query = { query.data, query.len },
                                          .top_k = 3,
                                          .mode = CX_SEARCH_KEYWORD };
        struct cx_err err = { "" };
        json_t *hits = NULL;
        if (cx_vector_search(c->f.v, reader, &search, &hits, &err) != CX_OK) {
            atomic_fetch_add(&c->failures, 1);
        }
        json_decref(hits);
        cx_buf_free(&query);
    }
    cx_store_return(c->f.store, reader);
    return NULL;
}

/* What was read while texts changed must not be left behind. */
TEST(keywords_while_texts_change)
{
    struct crowd c;
    memset(&c, 0, sizeof c);
    REQUIRE(fixture_open(&c.f));
    uint64_t state = 31;
    pthread_t threads[3];
    for (size_t i = 0; i < CX_ARRAY_LEN(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, ask_work, &c) == 0);
    }
    for (int i = 0; i < 400; i++) {
        change_something(&c.f, &state);
        if (i % 50 == 0) {
            /* So that lists are read again, and in the midst of it. */
            CX_CHECK(pthread_rwlock_wrlock(&c.f.v->index.lock) == 0);
            vector__postings_clear(&c.f.v->index.postings);
            CX_CHECK(pthread_rwlock_unlock(&c.f.v->index.lock) == 0);
        }
    }
    atomic_store(&c.done, true);
    for (size_t i = 0; i < CX_ARRAY_LEN(threads); i++) {
        (void)pthread_join(threads[i], NULL);
    }
    EXPECT_INT(atomic_load(&c.failures), 0);
    for (size_t i = 0; i < CX_ARRAY_LEN(VOCABULARY); i++) {
        expect_bm25(&c.f, VOCABULARY[i], true);
    }
    fixture_close(&c.f);
}

TEST(keywords_of_odd_queries)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    float vector[DIMENSION] = { 1 };
    expect_bm25(&f, "words", true); /* there is nothing at all */
    REQUIRE(put_one(&f, "a", "one two two three", "{}", vector));
    expect_bm25(&f, "two", true);
    REQUIRE(put_one(&f, "b", "", "{}", vector));
    REQUIRE(put_one(&f, "c", "two", "{}", vector));
    expect_bm25(&f, "", true);
    expect_bm25(&f, "of the", true);
    expect_bm25(&f, "never", true);
    expect_bm25(&f, "two two two one two", true);
    expect_bm25(&f, "\"two\" OR NOT (one* AND ^three) {x}:", true);
    /* A word of signs that are no letters to the tokenizer stands for nothing; where they part
     * letters, the word is a phrase. */
    expect_bm25(&f, "\xd9\xaa", true);
    expect_bm25(&f, "two\xd9\xaatwo one", false);
    fixture_close(&f);
}

/* The lists are gone when there is no room for them, and all is as before. */
TEST(keywords_without_room)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    uint64_t state = 77;
    for (int i = 0; i < 300; i++) {
        change_something(&f, &state);
    }
    struct vector__index *index = &f.v->index;
    static const size_t ROOMS[] = { 0, 200, 3000, 20000 };
    for (size_t r = 0; r < CX_ARRAY_LEN(ROOMS); r++) {
        index->bytes_max = vector__index_bytes_with(index, 0) + ROOMS[r];
        vector__postings_clear(&index->postings);
        for (int i = 0; i < 60; i++) {
            ask_something(&f, &state);
            const size_t bytes = atomic_load(&index->postings.bytes);
            EXPECT(bytes <= ROOMS[r] && bytes <= index->bytes_max / 8);
        }
    }
    fixture_close(&f);
}

TEST(keywords_of_old_slots)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    float vector[DIMENSION] = { 1 };
    REQUIRE(put_one(&f, "a", "alpha beta", "{}", vector));
    REQUIRE(put_one(&f, "b", "beta gamma", "{}", vector));
    expect_bm25(&f, "alpha beta gamma", true);
    /* Its epochs are used up: what is there of the first one must not come back. */
    const size_t slot = 0;
    struct vector__block *block = f.v->index.blocks[0];
    const uint16_t first = block->epochs[slot];
    REQUIRE(put_one(&f, "a", "alpha", "{}", vector));
    expect_bm25(&f, "alpha beta gamma", true);
    for (int i = 0; i < 3; i++) {
        block->epochs[slot] = UINT16_MAX;
        REQUIRE(put_one(&f, "a", i % 2 == 0 ? "gamma" : "beta gamma", "{}", vector));
        block->epochs[slot] = (uint16_t)(first - 1);
        REQUIRE(put_one(&f, "a", i % 2 == 0 ? "gamma delta" : "alpha", "{}", vector));
        expect_bm25(&f, "alpha beta gamma delta", true);
    }
    /* Worn out: read again. */
    for (int i = 0; i < 50; i++) {
        REQUIRE(put_one(&f, "a", i % 2 == 0 ? "alpha" : "alpha alpha", "{}", vector));
        expect_bm25(&f, "alpha", true);
    }
    const uint64_t hash = vector__postings_hash(&f.v->index.postings, CX_STR("alpha"));
    const struct vector__list *list =
        vector__postings_find(&f.v->index.postings, hash, CX_STR("alpha"));
    REQUIRE(list != NULL);
    EXPECT(list->count < 10);
    fixture_close(&f);
}

TEST(keywords_said_very_often)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    float vector[DIMENSION] = { 1 };
    REQUIRE(put_one(&f, "a", "often seldom", "{}", vector));
    expect_bm25(&f, "often seldom", true);
    struct cx_buf text;
    cx_buf_init(&text, 1U << 20);
    for (int i = 0; i < 70000; i++) {
        cx_buf_puts(&text, "often ");
    }
    REQUIRE(put_one(&f, "b", text.data, "{}", vector));
    expect_bm25(&f, "seldom", true);
    expect_bm25(&f, "often seldom", false); /* more often than a posting can say */
    const struct cx_search search = { .query = CX_STR("often"),
                                      .top_k = 5,
                                      .mode = CX_SEARCH_KEYWORD };
    char ids[1024];
    EXPECT_STR(search_ids(&f, &search, ids), "b a");
    REQUIRE(put_one(&f, "b", "often", "{}", vector));
    expect_bm25(&f, "often seldom", true);
    cx_buf_free(&text);
    fixture_close(&f);
}

/* A collection that is emptied begins anew, and one that learns its dimension keeps its texts. */
TEST(keywords_outlive_the_rows)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", 0, (size_t)1 << 30, &err));
    struct cx_document docs[] = { document("a", "apple bread", "{}", NULL),
                                  document("b", "bread cheese bread", "{}", NULL) };
    docs[0].pending = docs[1].pending = true;
    REQUIRE(put(&f, docs, 2, NULL) == CX_OK);
    expect_bm25(&f, "bread apple", true);
    const float vector[DIMENSION] = { 1 };
    REQUIRE(put_one(&f, "c", "cheese", "{}", vector)); /* now the dimension is known */
    expect_bm25(&f, "bread apple cheese", true);
    const struct cx_str ids[] = { CX_STR("a"), CX_STR("b"), CX_STR("c") };
    size_t deleted = 0;
    REQUIRE(cx_vector_delete(f.v, f.db, ids, 3, &deleted, &err) == CX_OK);
    expect_bm25(&f, "bread apple cheese", true);
    REQUIRE(put_one(&f, "d", "cheese apple", "{}", vector));
    expect_bm25(&f, "bread apple cheese", true);
    fixture_close(&f);
}

TEST(postings_are_counted)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    float vector[DIMENSION] = { 1 };
    REQUIRE(put_one(&f, "a", "alpha beta", "{}", vector));
    struct cx_vector_figures before;
    cx_vector_figures(f.v, &before);
    expect_bm25(&f, "alpha", true);
    struct cx_vector_figures after;
    cx_vector_figures(f.v, &after);
    EXPECT(after.index_bytes > before.index_bytes);
    EXPECT_INT(after.index_bytes - before.index_bytes, atomic_load(&f.v->index.postings.bytes));
    fixture_close(&f);
}
