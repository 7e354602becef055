/* SPDX-License-Identifier: MIT
 *
 * Documents without a vector: what a search knows of them, what becomes of them when they are put
 * again, deleted, filled late, or met again in a reopened store.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"

static const float X[DIMENSION] = { 1 };
static const float Y[DIMENSION] = { 0, 1 };
static const float Z[DIMENSION] = { 0, 0, 1 };

/* One that may be stored without its vector. */
static struct cx_document waiting(const char *id, const char *content, const char *metadata)
{
    struct cx_document doc = document(id, content, metadata, NULL);
    doc.pending = true;
    return doc;
}

static bool put_waiting(struct fixture *f, const char *id, const char *content)
{
    const struct cx_document doc = waiting(id, content, "{}");
    struct cx_vector_put figures;
    return put(f, &doc, 1, &figures) == CX_OK && figures.pending == 1;
}

static void expect_figures(const struct fixture *f, size_t documents, size_t pending,
                           unsigned dimension, int line)
{
    struct cx_vector_figures figures;
    cx_vector_figures(f->v, &figures);
    (void)test_expect(figures.documents == documents && figures.pending == pending &&
                          figures.dimension == dimension,
                      __FILE__, line, "%zu documents, %zu pending, dimension %u", figures.documents,
                      figures.pending, figures.dimension);
}
#define EXPECT_FIGURES(f, documents, pending, dimension)                                           \
    expect_figures((f), (documents), (pending), (dimension), __LINE__)

static struct cx_vector_pending queue(struct fixture *f, int64_t after, size_t limit, size_t bytes)
{
    struct cx_vector_pending pending = { 0 };
    struct cx_err err = { "" };
    struct cx_db *reader = cx_store_reader(f->store);
    EXPECT_INT(cx_vector_pending(f->v, reader, after, limit, bytes, &pending, &err), CX_OK);
    cx_store_return(f->store, reader);
    return pending;
}

/* The ids of those that wait, joined by spaces. */
static const char *queued(struct fixture *f, char text[1024])
{
    struct cx_vector_pending pending = queue(f, 0, 100, BYTES_MAX);
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < pending.count; i++) {
        len += (size_t)snprintf(text + len, 1024 - len, "%s%.*s", i > 0 ? " " : "",
                                (int)pending.items[i].doc_id.len, pending.items[i].doc_id.p);
    }
    EXPECT_INT(pending.last, 0);
    cx_vector_pending_free(&pending);
    return text;
}

/* All that waits gets this vector. */
static size_t fill_all(struct fixture *f, const float *vector, unsigned dimension)
{
    struct cx_vector_pending pending = queue(f, 0, 100, BYTES_MAX);
    float vectors[100 * DIMENSION];
    for (size_t i = 0; i < pending.count; i++) {
        memcpy(vectors + i * dimension, vector, dimension * sizeof *vector);
    }
    size_t filled = 0;
    struct cx_err err = { "" };
    EXPECT_INT(cx_vector_fill(f->v, f->db, pending.items, pending.count, vectors, dimension,
                              &filled, &err),
               CX_OK);
    cx_vector_pending_free(&pending);
    return filled;
}

static const char *found(struct fixture *f, enum cx_search_mode mode, const char *query,
                         const float *vector, char ids[1024])
{
    const struct cx_search search = { .query = cx_str_of(query),
                                      .vector = vector,
                                      .dimension = DIMENSION,
                                      .top_k = 10,
                                      .mode = mode };
    return search_ids(f, &search, ids);
}

TEST(a_pending_document_is_found_by_its_words)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    REQUIRE(put_one(&f, "has", "green apple", "{\"k\":1}", X));
    REQUIRE(put_one(&f, "against", "brown bread", "{}", (const float[DIMENSION]){ -1 }));
    struct cx_document doc = waiting("waits", "red apple red apple", "{\"k\":1}");
    struct cx_vector_put figures;
    REQUIRE(put(&f, &doc, 1, &figures) == CX_OK);
    EXPECT_INT(figures.indexed, 1);
    EXPECT_INT(figures.pending, 1);
    EXPECT_FIGURES(&f, 3, 1, DIMENSION);

    char ids[1024];
    EXPECT_STR(found(&f, CX_SEARCH_KEYWORD, "red", NULL, ids), "waits");
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, ids), "has against");
    EXPECT_STR(found(&f, CX_SEARCH_HYBRID, "red", X, ids), "waits has against");

    struct cx_search search = { .query = CX_STR("red"),
                                .vector = X,
                                .dimension = DIMENSION,
                                .top_k = 1,
                                .mode = CX_SEARCH_HYBRID,
                                .include = CX_INCLUDE_SCORES | CX_INCLUDE_VECTOR };
    json_t *hits = search_hits(&f, &search);
    const json_t *hit = json_array_get(hits, 0);
    const json_t *scores = json_object_get(hit, "scores");
    EXPECT(fabs(json_real_value(json_object_get(hit, "score")) - 0.6) < 1e-9);
    EXPECT(json_is_null(json_object_get(scores, "semantic")));
    EXPECT(json_real_value(json_object_get(scores, "keyword")) == 1);
    EXPECT(json_is_null(json_object_get(hit, "vector")));
    json_decref(hits);

    search.filter = filter(&f, "{\"k\":1}");
    search.top_k = 10;
    search.include = 0;
    EXPECT_STR(search_ids(&f, &search, ids), "waits has");
    search.mode = CX_SEARCH_SEMANTIC;
    EXPECT_STR(search_ids(&f, &search, ids), "has");
    search.filter = NULL;
    search.has_min_score = true;
    search.min_score = -1;
    EXPECT_STR(search_ids(&f, &search, ids), "has against");
    fixture_close(&f);
}

TEST(a_filled_document_is_like_any_other)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    REQUIRE(put_waiting(&f, "a", "apple"));
    REQUIRE(put_one(&f, "b", "bread", "{}", Y));
    REQUIRE(put_waiting(&f, "c", "cheese"));
    char text[1024];
    EXPECT_STR(queued(&f, text), "a c");
    EXPECT_INT(fill_all(&f, X, DIMENSION), 2);
    EXPECT_FIGURES(&f, 3, 0, DIMENSION);
    EXPECT_STR(queued(&f, text), "");
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, text), "a c b");
    fixture_close(&f);
    REQUIRE(fixture_open(&f));
    EXPECT_FIGURES(&f, 3, 0, DIMENSION);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, text), "a c b");
    fixture_close(&f);
}

TEST(a_reopened_store_knows_who_waits)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    REQUIRE(put_waiting(&f, "a", "apple"));
    REQUIRE(put_one(&f, "b", "bread", "{}", Y));
    fixture_close(&f);
    REQUIRE(fixture_open(&f));
    EXPECT_FIGURES(&f, 2, 1, DIMENSION);
    char text[1024];
    EXPECT_STR(queued(&f, text), "a");
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, text), "b");
    EXPECT_STR(found(&f, CX_SEARCH_KEYWORD, "apple", NULL, text), "a");
    EXPECT_INT(fill_all(&f, X, DIMENSION), 1);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, text), "a b");
    fixture_close(&f);
}

TEST(the_dimension_may_come_with_the_first_vector)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", 0, BYTES_MAX, &err));
    REQUIRE(put_waiting(&f, "a", "apple"));
    REQUIRE(put_waiting(&f, "b", "bread"));
    EXPECT_FIGURES(&f, 2, 2, 0);
    char text[1024];
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, text), "");
    EXPECT_STR(found(&f, CX_SEARCH_HYBRID, "bread", X, text), "b a");
    fixture_close(&f);

    /* It belongs to its model all the same. */
    EXPECT(is_of_another_model(&f, "print-2", 0));
    REQUIRE(fixture_open_with(&f, "print-1", 0, BYTES_MAX, &err));
    EXPECT_FIGURES(&f, 2, 2, 0);
    /* How long its vectors are is not for a client to say. */
    struct cx_document own = document("c", "cheese", "{}", X);
    own.own_vector = true;
    own.dimension = 3;
    EXPECT_INT(put(&f, &own, 1, NULL), CX_CONFLICT);
    EXPECT_FIGURES(&f, 2, 2, 0);
    EXPECT_INT(fill_all(&f, Y, DIMENSION), 2);
    EXPECT_FIGURES(&f, 2, 0, DIMENSION);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", Y, text), "a b");
    own.dimension = DIMENSION;
    EXPECT_INT(put(&f, &own, 1, NULL), CX_OK);
    fixture_close(&f);
    REQUIRE(fixture_open_with(&f, "print-1", 0, BYTES_MAX, &err));
    EXPECT_FIGURES(&f, 3, 0, DIMENSION);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, text), "c a b");
    fixture_close(&f);
}

TEST(the_dimension_may_come_with_another_document)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", 0, BYTES_MAX, &err));
    /* More than a block of them, not in the order of their slots. */
    enum { MANY = 2100 };
    for (int i = 0; i < MANY; i++) {
        char id[16];
        snprintf(id, sizeof id, "d%04d", i);
        REQUIRE(put_waiting(&f, id, i == 1500 ? "needle" : "hay"));
    }
    const struct cx_str gone[] = { CX_STR("d0003"), CX_STR("d0004") };
    size_t deleted = 0;
    REQUIRE(cx_vector_delete(f.v, f.db, gone, 2, &deleted, &err) == CX_OK);
    REQUIRE(put_waiting(&f, "e0", "hay"));
    EXPECT_FIGURES(&f, MANY - 1, MANY - 1, 0);

    /* A transaction that fails takes the dimension back with it. */
    struct cx_document docs[] = { document("x", "cross", "{}", X),
                                  document("y", "cross", "{broken", Y) };
    EXPECT(put(&f, docs, 2, NULL) != CX_OK);
    EXPECT_FIGURES(&f, MANY - 1, MANY - 1, 0);
    docs[1].metadata = CX_STR("{}");
    REQUIRE(put(&f, docs, 2, NULL) == CX_OK);
    EXPECT_FIGURES(&f, MANY + 1, MANY - 1, DIMENSION);
    char text[1024];
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", Y, text), "y x");
    EXPECT_STR(found(&f, CX_SEARCH_KEYWORD, "needle", NULL, text), "d1500");

    struct cx_vector_pending pending = queue(&f, 0, 4, BYTES_MAX);
    REQUIRE(pending.count == 4);
    EXPECT(cx_str_eq(pending.items[3].doc_id, CX_STR("d0005")));
    EXPECT_INT(pending.last, pending.items[3].id);
    cx_vector_pending_free(&pending);
    fixture_close(&f);
    REQUIRE(fixture_open_with(&f, "print-1", 0, BYTES_MAX, &err));
    EXPECT_FIGURES(&f, MANY + 1, MANY - 1, DIMENSION);
    fixture_close(&f);
}

TEST(late_vectors_touch_only_what_they_were_made_of)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const char *const ids[] = { "same", "changed", "deleted", "filled", "back" };
    for (size_t i = 0; i < CX_ARRAY_LEN(ids); i++) {
        REQUIRE(put_waiting(&f, ids[i], ids[i]));
    }
    struct cx_vector_pending pending = queue(&f, 0, 10, BYTES_MAX);
    REQUIRE(pending.count == 5);
    struct cx_err err = { "" };
    size_t count = 0;
    REQUIRE(put_waiting(&f, "changed", "other words"));
    const struct cx_str gone[] = { CX_STR("deleted") };
    REQUIRE(cx_vector_delete(f.v, f.db, gone, 1, &count, &err) == CX_OK);
    REQUIRE(put_one(&f, "filled", "filled", "{}", Z));
    REQUIRE(put_waiting(&f, "back", "something else"));
    REQUIRE(put_waiting(&f, "back", "back"));

    float vectors[5 * DIMENSION] = { 0 };
    for (size_t i = 0; i < 5; i++) {
        vectors[i * DIMENSION] = 1;
    }
    size_t filled = 9;
    EXPECT_INT(cx_vector_fill(f.v, f.db, pending.items, 5, vectors, DIMENSION - 1, &filled, &err),
               CX_CONFLICT);
    vectors[4 * DIMENSION] = NAN;
    EXPECT_INT(cx_vector_fill(f.v, f.db, pending.items, 5, vectors, DIMENSION, &filled, &err),
               CX_INVALID);
    EXPECT_INT(filled, 9);
    EXPECT_FIGURES(&f, 4, 3, DIMENSION);
    vectors[4 * DIMENSION] = 1;
    REQUIRE(cx_vector_fill(f.v, f.db, pending.items, 5, vectors, DIMENSION, &filled, &err) ==
            CX_OK);
    EXPECT_INT(filled, 2);
    EXPECT_FIGURES(&f, 4, 1, DIMENSION);
    char text[1024];
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, text), "back same filled");
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", Z, text), "filled back same");
    EXPECT_STR(queued(&f, text), "changed");
    /* Once more: nobody waits for it. */
    REQUIRE(cx_vector_fill(f.v, f.db, pending.items, 5, vectors, DIMENSION, &filled, &err) ==
            CX_OK);
    EXPECT_INT(filled, 0);
    cx_vector_pending_free(&pending);
    fixture_close(&f);
}

TEST(vectors_for_a_collection_that_is_another_s_by_now)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    REQUIRE(put_waiting(&f, "a", "apple"));
    struct cx_vector_pending pending = queue(&f, 0, 10, BYTES_MAX);
    struct cx_err err = { "" };
    const struct cx_str gone = CX_STR("a");
    size_t count = 0;
    REQUIRE(cx_vector_delete(f.v, f.db, &gone, 1, &count, &err) == CX_OK);
    EXPECT_FIGURES(&f, 0, 0, DIMENSION);
    struct cx_document own = document("a", "apple", "{}", X);
    own.own_vector = true;
    own.dimension = 3;
    REQUIRE(put(&f, &own, 1, NULL) == CX_OK);
    REQUIRE(cx_vector_fill(f.v, f.db, pending.items, 1, X, DIMENSION, &count, &err) == CX_OK);
    EXPECT_INT(count, 0);
    EXPECT_FIGURES(&f, 1, 0, 3);
    cx_vector_pending_free(&pending);
    /* Without a vector nothing comes in there. */
    const struct cx_document doc = waiting("b", "bread", "{}");
    EXPECT_INT(put(&f, &doc, 1, NULL), CX_CONFLICT);
    fixture_close(&f);
}

TEST(put_again_while_it_waits)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    REQUIRE(put_waiting(&f, "a", "apple"));
    struct cx_err err = { "" };
    struct cx_vector_put figures;
    char text[1024];

    /* The same again is no change, but it is not done with either. */
    struct cx_document doc = waiting("a", "apple", "{}");
    bool unchanged = true;
    REQUIRE(cx_vector_unchanged(f.v, f.db, &doc, 1, &unchanged, &err) == CX_OK);
    EXPECT(!unchanged);
    REQUIRE(put(&f, &doc, 1, &figures) == CX_OK);
    EXPECT_INT(figures.unchanged, 1);
    EXPECT_INT(figures.pending, 1);

    doc = document("a", "apple", "{\"k\":1}", NULL); /* metadata alone */
    REQUIRE(put(&f, &doc, 1, &figures) == CX_OK);
    EXPECT_INT(figures.updated, 1);
    EXPECT_INT(figures.pending, 1);
    EXPECT_FIGURES(&f, 1, 1, DIMENSION);

    /* With its vector: still the same document. */
    json_t *before = NULL;
    json_t *after = NULL;
    REQUIRE(cx_vector_get(f.v, f.db, CX_STR("a"), &before, &err) == CX_OK);
    doc.vector = X;
    REQUIRE(put(&f, &doc, 1, &figures) == CX_OK);
    EXPECT_INT(figures.unchanged, 1);
    EXPECT_INT(figures.pending, 0);
    REQUIRE(cx_vector_get(f.v, f.db, CX_STR("a"), &after, &err) == CX_OK);
    EXPECT(json_equal(before, after));
    json_decref(before);
    json_decref(after);
    EXPECT_FIGURES(&f, 1, 0, DIMENSION);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, text), "a");

    /* Another text: the vector of the old one is gone, from the disk too. */
    doc = waiting("a", "lemon", "{\"k\":1}");
    REQUIRE(put(&f, &doc, 1, &figures) == CX_OK);
    EXPECT_INT(figures.updated, 1);
    EXPECT_INT(figures.pending, 1);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, text), "");
    EXPECT_STR(found(&f, CX_SEARCH_KEYWORD, "lemon", NULL, text), "a");
    EXPECT_STR(found(&f, CX_SEARCH_KEYWORD, "apple", NULL, text), "");
    fixture_close(&f);
    REQUIRE(fixture_open(&f));
    EXPECT_FIGURES(&f, 1, 1, DIMENSION);

    /* What may wait does not lose the vector that it has. */
    doc.vector = Y;
    REQUIRE(put(&f, &doc, 1, &figures) == CX_OK);
    doc.vector = NULL;
    doc.metadata = CX_STR("{}");
    REQUIRE(put(&f, &doc, 1, &figures) == CX_OK);
    EXPECT_INT(figures.updated, 1);
    EXPECT_INT(figures.pending, 0);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", Y, text), "a");

    /* Without leave nothing waits. */
    doc = document("a", "something new", "{}", NULL);
    EXPECT_INT(put(&f, &doc, 1, NULL), CX_CONFLICT);
    fixture_close(&f);
}

TEST(the_queue_comes_in_slices)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    for (int i = 0; i < 10; i++) {
        char id[8];
        snprintf(id, sizeof id, "d%d", i);
        REQUIRE(put_waiting(&f, id, i == 5 ? "a text that is longer than the others" : "text"));
    }
    struct cx_vector_pending pending = queue(&f, 0, 4, BYTES_MAX);
    REQUIRE(pending.count == 4);
    EXPECT(cx_str_eq(pending.items[0].content, CX_STR("text")));
    const int64_t last = pending.last;
    EXPECT_INT(last, pending.items[3].id);
    cx_vector_pending_free(&pending);
    /* d4 fits, d5 does not; then it comes alone, however long it is. */
    pending = queue(&f, last, 4, 10);
    REQUIRE(pending.count == 1);
    EXPECT(cx_str_eq(pending.items[0].doc_id, CX_STR("d4")));
    const int64_t next = pending.last;
    EXPECT_INT(next, pending.items[0].id);
    cx_vector_pending_free(&pending);
    pending = queue(&f, next, 4, 10);
    REQUIRE(pending.count == 1);
    EXPECT(cx_str_eq(pending.items[0].doc_id, CX_STR("d5")));
    cx_vector_pending_free(&pending);
    pending = queue(&f, next, 100, BYTES_MAX);
    EXPECT_INT(pending.count, 5);
    EXPECT_INT(pending.last, 0);
    cx_vector_pending_free(&pending);
    pending = queue(&f, INT64_MAX, 100, BYTES_MAX);
    EXPECT_INT(pending.count, 0);
    EXPECT_INT(pending.last, 0);
    cx_vector_pending_free(&pending);
    fixture_close(&f);
}

TEST(vectors_that_find_no_room_leave_all_as_it_was)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", 0, 4096, &err));
    int stored = 0;
    char id[16];
    do {
        snprintf(id, sizeof id, "d%d", stored);
    } while (put_waiting(&f, id, "text") && ++stored < 100);
    EXPECT(stored > 5 && stored < 60);
    struct cx_vector_pending pending = queue(&f, 0, 1, BYTES_MAX);
    const float vector[512] = { 1 };
    size_t filled = 0;
    EXPECT_INT(cx_vector_fill(f.v, f.db, pending.items, 1, vector, 512, &filled, &err),
               CX_OVERLOADED);
    cx_vector_pending_free(&pending);
    EXPECT_FIGURES(&f, (size_t)stored, (size_t)stored, 0);
    char text[1024];
    EXPECT_INT(strlen(queued(&f, text)) > 0, 1);
    fixture_close(&f);
}

/* ---- Threads ---- */

struct reading {
    struct fixture *f;
    atomic_bool stop;
    atomic_int failures;
};

static void *read_all_the_time(void *arg)
{
    struct reading *r = arg;
    struct cx_db *reader = cx_store_reader(r->f->store);
    do {
        char ids[1024];
        bool good = found(r->f, CX_SEARCH_SEMANTIC, "", X, ids)[0] != '!';
        good = found(r->f, CX_SEARCH_HYBRID, "text", X, ids)[0] != '!' && good;
        struct cx_vector_pending pending = { 0 };
        good = cx_vector_pending(r->f->v, reader, 0, 3, BYTES_MAX, &pending, NULL) == CX_OK && good;
        for (size_t i = 0; i < pending.count; i++) {
            good = cx_str_eq(pending.items[i].content, CX_STR("text")) && good;
        }
        cx_vector_pending_free(&pending);
        atomic_fetch_add(&r->failures, good ? 0 : 1);
    } while (!atomic_load(&r->stop));
    cx_store_return(r->f->store, reader);
    return NULL;
}

TEST(searches_go_on_while_the_queue_is_filled)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", 0, BYTES_MAX, &err));
    struct reading reading = { .f = &f };
    pthread_t threads[2];
    for (size_t i = 0; i < CX_ARRAY_LEN(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, read_all_the_time, &reading) == 0);
    }
    for (int round = 0; round < 15; round++) {
        for (int i = 0; i < 4; i++) {
            char id[16];
            snprintf(id, sizeof id, "d%d", i);
            EXPECT(put_waiting(&f, id, "text"));
        }
        EXPECT_INT(fill_all(&f, Y, DIMENSION), 4); /* the dimension is learned each time */
        const struct cx_str all[] = { CX_STR("d0"), CX_STR("d1"), CX_STR("d2"), CX_STR("d3") };
        size_t deleted = 0;
        EXPECT_INT(cx_vector_delete(f.v, f.db, all, 4, &deleted, &err), CX_OK);
        EXPECT_FIGURES(&f, 0, 0, 0);
    }
    atomic_store(&reading.stop, true);
    for (size_t i = 0; i < CX_ARRAY_LEN(threads); i++) {
        (void)pthread_join(threads[i], NULL);
    }
    EXPECT_INT(atomic_load(&reading.failures), 0);
    fixture_close(&f);
}
