/* SPDX-License-Identifier: MIT
 *
 * Searches through the graph: near enough to the exact ones, over documents that come, change and go
 * while it is built slice by slice.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"
#include "fixture.h"
#include "vector/graph.h"
#include "vector/vector_internal.h"

#define WIDE 24
#define ABOVE 7000
#define COUNT 9000
#define BATCH 500
#define TOP_K 10
#define QUERIES 60
#define RARE 9 /* documents */

/* Around one of a hundred centres, as embeddings are. */
static void draw_vector(uint64_t *state, float *out)
{
    uint64_t centre = 1000 + draw(state) % 100;
    float own[WIDE];
    draw_unit(&centre, out, WIDE);
    draw_unit(state, own, WIDE);
    double sum = 0;
    for (size_t i = 0; i < WIDE; i++) {
        out[i] += 0.7F * own[i];
        sum += (double)out[i] * (double)out[i];
    }
    for (size_t i = 0; i < WIDE; i++) {
        out[i] = (float)((double)out[i] / sqrt(sum));
    }
}

static void put_drawn(struct fixture *f, uint64_t *state, size_t first, size_t count)
{
    static float vectors[BATCH][WIDE];
    static char ids[BATCH][16];
    while (count > 0) {
        struct cx_document docs[BATCH];
        const size_t n = count < BATCH ? count : BATCH;
        for (size_t i = 0; i < n; i++) {
            static const char *const metadata[] = { "{\"part\":0}", "{\"part\":1}", "{\"part\":2}",
                                                    "{\"part\":3,\"rare\":true}" };
            const size_t number = first + i;
            draw_vector(state, vectors[i]);
            snprintf(ids[i], sizeof ids[i], "d%zu", number);
            docs[i] =
                document(ids[i], "text", metadata[number % 1000 == 3 ? 3 : number % 3], vectors[i]);
            docs[i].dimension = WIDE;
        }
        struct cx_vector_put figures;
        REQUIRE(put(f, docs, n, &figures) == CX_OK);
        first += n;
        count -= n;
    }
}

static json_t *hits_of(struct fixture *f, const float *query, bool exact, const char *only,
                       enum cx_search_mode mode)
{
    const struct cx_search search = { .query = CX_STR("text"),
                                      .vector = query,
                                      .dimension = WIDE,
                                      .top_k = TOP_K,
                                      .mode = mode,
                                      .exact = exact,
                                      .filter = only != NULL ? filter(f, only) : NULL };
    return search_hits(f, &search);
}

/* How many of the exact hits were found; all that were found have their exact scores. */
static size_t common_hits(struct fixture *f, const float *query, const char *only,
                          enum cx_search_mode mode)
{
    json_t *truth = hits_of(f, query, true, only, mode);
    json_t *found = hits_of(f, query, false, only, mode);
    EXPECT_INT(json_array_size(found), json_array_size(truth));
    size_t common = 0;
    for (size_t i = 0; i < json_array_size(found); i++) {
        const json_t *hit = json_array_get(found, i);
        for (size_t k = 0; k < json_array_size(truth); k++) {
            const json_t *true_hit = json_array_get(truth, k);
            if (strcmp(json_string_value(json_object_get(hit, "doc_id")),
                       json_string_value(json_object_get(true_hit, "doc_id"))) == 0) {
                common++;
                EXPECT(json_real_value(json_object_get(hit, "score")) ==
                       json_real_value(json_object_get(true_hit, "score")));
            }
        }
    }
    json_decref(truth);
    json_decref(found);
    return common;
}

static void expect_recall(struct fixture *f, uint64_t *state, const char *only,
                          enum cx_search_mode mode, double least)
{
    size_t common = 0;
    for (size_t i = 0; i < QUERIES; i++) {
        float query[WIDE];
        draw_vector(state, query);
        common += common_hits(f, query, only, mode);
    }
    const double recall = (double)common / (double)(QUERIES * TOP_K);
    (void)test_expect(recall >= least, __FILE__, __LINE__, "%s, mode %d: recall %.4f",
                      only != NULL ? only : "no filter", (int)mode, recall);
}

static double graph_searches(void)
{
    return cx_series_value(cx_metrics_series(CX_M_VECTOR_GRAPH_SEARCHES, ""));
}

static struct vector__graph *graph_of(const struct fixture *f)
{
    return f->v->index.graph;
}

TEST(a_graph_finds_what_is_near)
{
    struct fixture f;
    REQUIRE(fixture_open_graph(&f, WIDE, ABOVE));
    uint64_t state = 1;
    put_drawn(&f, &state, 0, ABOVE);
    tend_all(&f);
    EXPECT(graph_of(&f) == NULL);
    const size_t before = vector__index_bytes_with(&f.v->index, 0);
    put_drawn(&f, &state, ABOVE, COUNT - ABOVE);
    tend_all(&f);
    REQUIRE(graph_of(&f) != NULL);
    EXPECT_INT(graph_of(&f)->linked, COUNT);
    EXPECT_INT(graph_of(&f)->waiting_count, 0);
    EXPECT(graph_of(&f)->level_count >= 2);
    EXPECT(vector__index_bytes_with(&f.v->index, 0) >
           before + COUNT * VECTOR__GRAPH_BASE * sizeof(uint32_t));
    double searches = graph_searches();
    expect_recall(&f, &state, NULL, CX_SEARCH_SEMANTIC, 0.95);
    EXPECT(graph_searches() == searches + QUERIES);
    searches = graph_searches();
    expect_recall(&f, &state, "{\"part\":{\"$lt\":3}}", CX_SEARCH_SEMANTIC, 0.95);
    EXPECT(graph_searches() == searches + QUERIES);
    searches = graph_searches();
    expect_recall(&f, &state, NULL, CX_SEARCH_HYBRID, 0.95);
    EXPECT(graph_searches() == searches + QUERIES);
    /* Through the graph that would take longer: exact. */
    searches = graph_searches();
    expect_recall(&f, &state, "{\"part\":1}", CX_SEARCH_SEMANTIC, 1);
    expect_recall(&f, &state, "{\"rare\":true}", CX_SEARCH_SEMANTIC, RARE / (double)TOP_K);
    EXPECT(graph_searches() == searches);
    fixture_close(&f);
}

TEST(a_graph_follows_changes)
{
    struct fixture f;
    REQUIRE(fixture_open_graph(&f, WIDE, ABOVE));
    uint64_t state = 2;
    put_drawn(&f, &state, 0, COUNT);
    bool more = true;
    tend_all(&f);
    struct cx_err err = { "" };
    for (int round = 0; round < 12; round++) {
        static char ids[300][16];
        struct cx_str gone[300];
        for (size_t i = 0; i < CX_ARRAY_LEN(gone); i++) {
            snprintf(ids[i], sizeof ids[i], "d%zu", (size_t)(draw(&state) % COUNT));
            gone[i] = cx_str_of(ids[i]);
        }
        size_t deleted = 0;
        REQUIRE(cx_vector_delete(f.v, f.db, gone, CX_ARRAY_LEN(gone), &deleted, &err) == CX_OK);
        /* What is there at once is found at once, and what is gone never. */
        float query[WIDE];
        draw_vector(&state, query);
        struct cx_document doc = document("the new one", "text", "{}", query);
        doc.dimension = WIDE;
        struct cx_vector_put figures;
        REQUIRE(put(&f, &doc, 1, &figures) == CX_OK);
        json_t *hits = hits_of(&f, query, false, NULL, CX_SEARCH_SEMANTIC);
        EXPECT_STR(json_string_value(json_object_get(json_array_get(hits, 0), "doc_id")),
                   "the new one");
        for (size_t i = 0; i < json_array_size(hits); i++) {
            const char *id = json_string_value(json_object_get(json_array_get(hits, i), "doc_id"));
            for (size_t k = 0; k < CX_ARRAY_LEN(ids); k++) {
                EXPECT(strcmp(id, ids[k]) != 0);
            }
        }
        json_decref(hits);
        put_drawn(&f, &state, (size_t)(draw(&state) % (COUNT - 600)), 600);
        if (round % 3 != 0) {
            cx_vector_tend(f.vectors, 1, &more);
        }
        expect_recall(&f, &state, NULL, CX_SEARCH_SEMANTIC, 0.93);
    }
    tend_all(&f);
    expect_recall(&f, &state, NULL, CX_SEARCH_SEMANTIC, 0.95);
    EXPECT_INT(graph_of(&f)->linked, f.v->index.live);
    fixture_close(&f);
}

TEST(a_graph_goes_with_its_documents)
{
    struct fixture f;
    REQUIRE(fixture_open_graph(&f, WIDE, 1000));
    uint64_t state = 3;
    put_drawn(&f, &state, 0, 1200);
    tend_all(&f);
    REQUIRE(graph_of(&f) != NULL);
    for (size_t first = 0; first < 1200; first += 300) {
        static char ids[300][16];
        struct cx_str gone[300];
        for (size_t i = 0; i < CX_ARRAY_LEN(gone); i++) {
            snprintf(ids[i], sizeof ids[i], "d%zu", first + i);
            gone[i] = cx_str_of(ids[i]);
        }
        size_t deleted = 0;
        struct cx_err err = { "" };
        REQUIRE(cx_vector_delete(f.v, f.db, gone, CX_ARRAY_LEN(gone), &deleted, &err) == CX_OK);
        EXPECT_INT(deleted, 300);
        tend_all(&f);
        EXPECT((graph_of(&f) != NULL) == (first < 600));
    }
    put_drawn(&f, &state, 0, 1200);
    tend_all(&f);
    REQUIRE(graph_of(&f) != NULL);
    EXPECT_INT(graph_of(&f)->linked, 1200);
    fixture_close(&f);
}

/* Equal vectors, and such of no length, are no reason to fail or to go on for ever. */
TEST(a_graph_of_equal_vectors)
{
    struct fixture f;
    REQUIRE(fixture_open_graph(&f, WIDE, 1000));
    uint64_t state = 4;
    float vectors[3][WIDE] = { { 0 } };
    draw_vector(&state, vectors[1]);
    draw_vector(&state, vectors[2]);
    static char ids[1500][16];
    static struct cx_document docs[1500];
    for (size_t i = 0; i < CX_ARRAY_LEN(docs); i++) {
        snprintf(ids[i], sizeof ids[i], "d%zu", i);
        docs[i] = document(ids[i], "text", "{}", vectors[i % 3]);
        docs[i].dimension = WIDE;
    }
    struct cx_vector_put figures;
    REQUIRE(put(&f, docs, CX_ARRAY_LEN(docs), &figures) == CX_OK);
    tend_all(&f);
    EXPECT_INT(graph_of(&f)->linked, CX_ARRAY_LEN(docs));
    json_t *hits = hits_of(&f, vectors[1], false, NULL, CX_SEARCH_SEMANTIC);
    EXPECT_INT(json_array_size(hits), TOP_K);
    json_decref(hits);
    fixture_close(&f);
}

struct shared {
    struct fixture f;
    atomic_bool done;
    atomic_int failures;
};

static void *search_work(void *arg)
{
    struct shared *s = arg;
    uint64_t state = 77;
    struct cx_db *reader = cx_store_reader(s->f.store);
    while (!atomic_load(&s->done)) {
        float query[WIDE];
        draw_vector(&state, query);
        const struct cx_search search = { .query = CX_STR("text"),
                                          .vector = query,
                                          .dimension = WIDE,
                                          .top_k = TOP_K,
                                          .mode = (enum cx_search_mode)(draw(&state) % 3) };
        struct cx_err err = { "" };
        json_t *hits = NULL;
        if (cx_vector_search(s->f.v, reader, &search, &hits, &err) != CX_OK ||
            json_array_size(hits) != TOP_K) {
            atomic_fetch_add(&s->failures, 1);
        }
        json_decref(hits);
    }
    cx_store_return(s->f.store, reader);
    return NULL;
}

static void *tend_work(void *arg)
{
    struct shared *s = arg;
    while (!atomic_load(&s->done)) {
        bool more;
        cx_vector_tend(s->f.vectors, 2, &more);
    }
    return NULL;
}

TEST(a_graph_among_threads)
{
    static struct shared s;
    REQUIRE(fixture_open_graph(&s.f, WIDE, 1000));
    uint64_t state = 5;
    put_drawn(&s.f, &state, 0, 1500);
    tend_all(&s.f);
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        CX_CHECK(pthread_create(&threads[i], NULL, i < 2 ? search_work : tend_work, &s) == 0);
    }
    for (int round = 0; round < 40; round++) {
        put_drawn(&s.f, &state, (size_t)(draw(&state) % 1400), 60);
        struct cx_str gone[20];
        static char ids[20][16];
        for (size_t i = 0; i < CX_ARRAY_LEN(gone); i++) {
            snprintf(ids[i], sizeof ids[i], "d%zu", (size_t)(draw(&state) % 1500));
            gone[i] = cx_str_of(ids[i]);
        }
        size_t deleted = 0;
        struct cx_err err = { "" };
        EXPECT(cx_vector_delete(s.f.v, s.f.db, gone, CX_ARRAY_LEN(gone), &deleted, &err) == CX_OK);
    }
    atomic_store(&s.done, true);
    for (size_t i = 0; i < 3; i++) {
        CX_CHECK(pthread_join(threads[i], NULL) == 0);
    }
    EXPECT_INT(atomic_load(&s.failures), 0);
    tend_all(&s.f);
    expect_recall(&s.f, &state, NULL, CX_SEARCH_SEMANTIC, 0.9);
    fixture_close(&s.f);
}
