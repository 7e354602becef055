/* SPDX-License-Identifier: MIT
 *
 * Searches that are done in the pass of another: with the same hits as alone, whoever comes first, and
 * whoever leaves meanwhile.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cortex/metrics.h"
#include "fixture.h"
#include "vector/vector_internal.h"

#define COUNT 1500
#define ASKED 12

static void fill(struct fixture *f, uint64_t *state)
{
    static float vectors[COUNT][DIMENSION];
    static char ids[COUNT][16];
    static struct cx_document docs[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        draw_unit(state, vectors[i], DIMENSION);
        snprintf(ids[i], sizeof ids[i], "d%zu", i);
        docs[i] = document(ids[i], "text", "{}", vectors[i]);
    }
    struct cx_vector_put figures;
    REQUIRE(put(f, docs, COUNT, &figures) == CX_OK);
}

static struct cx_search search_of(const float *query, size_t number)
{
    return (struct cx_search){ .vector = query,
                               .dimension = DIMENSION,
                               .top_k = 1 + number % 7,
                               .mode = CX_SEARCH_SEMANTIC,
                               .has_min_score = number % 3 == 0,
                               .min_score = 0.5 };
}

static double shared_searches(void)
{
    return cx_series_value(cx_metrics_series(CX_M_VECTOR_SHARED, ""));
}

TEST(who_waits_is_taken_along)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    uint64_t state = 1;
    fill(&f, &state);
    float queries[ASKED][DIMENSION];
    char alone[ASKED][1024];
    struct cx_search searches[ASKED];
    for (size_t i = 0; i < ASKED; i++) {
        draw_unit(&state, queries[i], DIMENSION);
        searches[i] = search_of(queries[i], i);
        (void)search_ids(&f, &searches[i], alone[i]);
    }
    const double before = shared_searches();
    for (size_t i = 0; i < ASKED; i++) {
        searches[i].ask = cx_vector_ask(f.v, &searches[i]);
        EXPECT(searches[i].ask != NULL);
    }
    /* One leaves before anybody looks, another after its part was done. */
    cx_vector_ask_free(&searches[3].ask);
    for (size_t i = 0; i < ASKED; i++) {
        if (i == 5) {
            cx_vector_ask_free(&searches[5].ask);
        }
        char ids[1024];
        EXPECT_STR(search_ids(&f, &searches[i], ids), alone[i]);
        cx_vector_ask_free(&searches[i].ask);
    }
    EXPECT(shared_searches() - before >= ASKED / 2 - 1);
    fixture_close(&f);
}

/* From the front, the end and the middle of those that wait. */
TEST(who_leaves_is_not_missed)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    uint64_t state = 2;
    fill(&f, &state);
    float queries[ASKED][DIMENSION];
    char alone[ASKED][1024];
    struct cx_search searches[ASKED];
    for (size_t i = 0; i < ASKED; i++) {
        draw_unit(&state, queries[i], DIMENSION);
        searches[i] = search_of(queries[i], i);
        (void)search_ids(&f, &searches[i], alone[i]);
    }
    for (size_t i = 0; i < ASKED - 1; i++) {
        searches[i].ask = cx_vector_ask(f.v, &searches[i]);
    }
    static const size_t leave[] = { 0, ASKED - 2, 5, 6, 1, ASKED - 3 };
    for (size_t i = 0; i < CX_ARRAY_LEN(leave); i++) {
        cx_vector_ask_free(&searches[leave[i]].ask);
    }
    EXPECT_INT(f.v->share.count, ASKED - 1 - CX_ARRAY_LEN(leave));
    searches[ASKED - 1].ask = cx_vector_ask(f.v, &searches[ASKED - 1]);
    for (size_t i = 0; i < ASKED; i++) {
        char ids[1024];
        EXPECT_STR(search_ids(&f, &searches[i], ids), alone[i]);
        cx_vector_ask_free(&searches[i].ask);
    }
    EXPECT_INT(f.v->share.count, 0);
    EXPECT(f.v->share.first == NULL && f.v->share.last == NULL);
    fixture_close(&f);
}

TEST(what_cannot_be_shared_is_not_asked)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    uint64_t state = 2;
    fill(&f, &state);
    float query[DIMENSION];
    draw_unit(&state, query, DIMENSION);
    struct cx_search search = search_of(query, 1);
    search.mode = CX_SEARCH_HYBRID;
    EXPECT(cx_vector_ask(f.v, &search) == NULL);
    search.mode = CX_SEARCH_SEMANTIC;
    search.filter = filter(&f, "{\"a\":1}");
    EXPECT(cx_vector_ask(f.v, &search) == NULL);
    search.filter = NULL;
    search.vector = NULL;
    EXPECT(cx_vector_ask(f.v, &search) == NULL);
    /* One of another dimension waits for its own worker, which refuses it. */
    search.vector = query;
    search.dimension = DIMENSION - 1;
    search.ask = cx_vector_ask(f.v, &search);
    REQUIRE(search.ask != NULL);
    struct cx_search other = search_of(query, 1);
    other.ask = cx_vector_ask(f.v, &other);
    char ids[1024];
    EXPECT(search_ids(&f, &other, ids)[0] != '!');
    cx_vector_ask_free(&other.ask);
    EXPECT(search_ids(&f, &search, ids)[0] == '!');
    cx_vector_ask_free(&search.ask);
    fixture_close(&f);
}

struct shared {
    struct fixture f;
    atomic_int failures;
};
struct searcher {
    struct shared *s;
    uint64_t state;
};

/* Asks first and searches later, as the loop does, and now and then leaves. */
static void *search_work(void *arg)
{
    struct searcher *searcher = arg;
    struct shared *s = searcher->s;
    struct cx_db *reader = cx_store_reader(s->f.store);
    for (int round = 0; round < 60; round++) {
        float queries[4][DIMENSION];
        struct cx_search searches[4];
        for (size_t i = 0; i < 4; i++) {
            draw_unit(&searcher->state, queries[i], DIMENSION);
            searches[i] = search_of(queries[i], 1 + i % 2);
            searches[i].has_min_score = false;
            searches[i].ask = cx_vector_ask(s->f.v, &searches[i]);
        }
        for (size_t i = 0; i < 4; i++) {
            struct cx_err err = { "" };
            json_t *hits = NULL;
            if (draw(&searcher->state) % 4 != 0 &&
                (cx_vector_search(s->f.v, reader, &searches[i], &hits, &err) != CX_OK ||
                 json_array_size(hits) != searches[i].top_k)) {
                atomic_fetch_add(&s->failures, 1);
            }
            json_decref(hits);
            cx_vector_ask_free(&searches[i].ask);
        }
    }
    cx_store_return(s->f.store, reader);
    return NULL;
}

TEST(asks_among_threads)
{
    static struct shared s;
    REQUIRE(fixture_open(&s.f));
    uint64_t state = 3;
    fill(&s.f, &state);
    pthread_t threads[3];
    struct searcher searchers[3];
    for (size_t i = 0; i < 3; i++) {
        searchers[i] = (struct searcher){ &s, 100 + i };
        CX_CHECK(pthread_create(&threads[i], NULL, search_work, &searchers[i]) == 0);
    }
    for (int round = 0; round < 20; round++) {
        float vector[DIMENSION];
        draw_unit(&state, vector, DIMENSION);
        EXPECT(put_one(&s.f, "changing", "text", "{}", vector));
    }
    for (size_t i = 0; i < 3; i++) {
        CX_CHECK(pthread_join(threads[i], NULL) == 0);
    }
    EXPECT_INT(atomic_load(&s.failures), 0);
    fixture_close(&s.f);
}
