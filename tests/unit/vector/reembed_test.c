/* SPDX-License-Identifier: MIT
 *
 * A collection under another model than its own, and embedding it anew: what it answers meanwhile,
 * documents that come, go and change, being stopped at every step, models that change again.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"

#define WIDE 12

static const float X[DIMENSION] = { 1 };
static const float Y[DIMENSION] = { 0, 1 };
static const float WIDE_X[WIDE] = { 1 };
static const float WIDE_Y[WIDE] = { 0, 1 };

static bool open_as(struct fixture *f, const char *model, unsigned dimension)
{
    struct cx_err err = { "" };
    return fixture_open_with(f, model, dimension, BYTES_MAX, &err);
}

static void reopen_as(struct fixture *f, const char *model, unsigned dimension)
{
    fixture_close(f);
    REQUIRE(open_as(f, model, dimension));
}

static enum cx_vector_status status_of(const struct fixture *f)
{
    struct cx_vector_figures figures;
    cx_vector_figures(f->v, &figures);
    return figures.status;
}

static enum cx_status put_with(struct fixture *f, const char *id, const char *content,
                               const float *vector, unsigned dimension)
{
    struct cx_document doc = document(id, content, "{}", vector);
    doc.dimension = dimension;
    doc.pending = vector == NULL;
    return put(f, &doc, 1, NULL);
}

static const char *found(struct fixture *f, enum cx_search_mode mode, const char *query,
                         const float *vector, unsigned dimension, char ids[1024])
{
    const struct cx_search search = { .query = cx_str_of(query),
                                      .vector = vector,
                                      .dimension = dimension,
                                      .top_k = 10,
                                      .mode = mode };
    return search_ids(f, &search, ids);
}

/* At most `limit` of those that wait get this vector. */
static size_t fill_some(struct fixture *f, size_t limit, const float *vector, unsigned dimension)
{
    struct cx_err err = { "" };
    struct cx_vector_pending pending = { 0 };
    struct cx_db *reader = cx_store_reader(f->store);
    EXPECT_INT(cx_vector_pending(f->v, reader, 0, limit, BYTES_MAX, &pending, &err), CX_OK);
    cx_store_return(f->store, reader);
    float vectors[16 * WIDE];
    for (size_t i = 0; i < pending.count; i++) {
        memcpy(vectors + i * dimension, vector, dimension * sizeof *vector);
    }
    size_t filled = 0;
    EXPECT_INT(cx_vector_fill(f->v, f->db, pending.items, pending.count, vectors, dimension,
                              &filled, &err),
               CX_OK);
    cx_vector_pending_free(&pending);
    return filled;
}

static int64_t vectors_in_all(struct fixture *f)
{
    return count_of(
        f, "SELECT (SELECT count(*) FROM vectors) + (SELECT count(*) FROM vectors_beside)");
}

/* Three documents of model "old", opened as "new". */
static bool begin(struct fixture *f, unsigned dimension)
{
    if (!open_as(f, "old", DIMENSION)) {
        return false;
    }
    EXPECT(put_one(f, "a", "apple", "{}", X));
    EXPECT(put_one(f, "b", "bread", "{}", Y));
    EXPECT(put_one(f, "c", "cheese", "{}", Y));
    fixture_close(f);
    return open_as(f, "new", dimension);
}

static void start(struct fixture *f)
{
    struct cx_err err = { "" };
    EXPECT_INT(cx_vector_reembed(f->v, f->db, &err), CX_OK);
    EXPECT_INT(status_of(f), CX_VECTOR_PREPARING);
    sweep_all(f);
    EXPECT_INT(status_of(f), CX_VECTOR_REEMBEDDING);
}

static enum cx_status finish(struct fixture *f)
{
    struct cx_err err = { "" };
    return cx_vector_reembedded(f->v, f->db, &err);
}

TEST(other_model_is_found_by_keyword_only)
{
    struct fixture f;
    struct cx_err err = { "" };
    char ids[1024];
    REQUIRE(begin(&f, WIDE));
    EXPECT_INT(status_of(&f), CX_VECTOR_OTHER_MODEL);
    struct cx_vector_figures figures;
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.documents, 3);
    EXPECT_INT(figures.pending, 0);
    EXPECT_INT(figures.dimension, DIMENSION);
    EXPECT_STR(figures.model, "old");
    EXPECT_STR(found(&f, CX_SEARCH_KEYWORD, "bread", NULL, 0, ids), "b");
    EXPECT_STR(found(&f, CX_SEARCH_HYBRID, "bread", WIDE_X, WIDE, ids), "b");
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", WIDE_X, WIDE, ids), "!CONFLICT");
    EXPECT_INT(put_with(&f, "d", "dough", WIDE_X, WIDE), CX_CONFLICT);
    EXPECT_INT(put_with(&f, "a", "apple", NULL, 0), CX_CONFLICT);
    const struct cx_document doc = document("d", "dough", "{}", NULL);
    EXPECT_INT(cx_vector_check(f.v, &doc, 1, &err), CX_CONFLICT);
    EXPECT(strstr(err.text, "old") != NULL && strstr(err.text, "new") != NULL &&
           strstr(err.text, "--reembed") != NULL);
    EXPECT_INT(fill_some(&f, 10, WIDE_X, WIDE), 0);
    EXPECT_INT(finish(&f), CX_OK);
    EXPECT_INT(status_of(&f), CX_VECTOR_OTHER_MODEL);
    /* Deleting is nobody's model's affair. */
    const struct cx_str id = CX_STR("b");
    size_t deleted = 0;
    EXPECT_INT(cx_vector_delete(f.v, f.db, &id, 1, &deleted, &err), CX_OK);
    EXPECT_INT(deleted, 1);
    /* The old model finds the rest as ever. */
    reopen_as(&f, "old", DIMENSION);
    EXPECT_INT(status_of(&f), CX_VECTOR_READY);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", Y, DIMENSION, ids), "c a");
    fixture_close(&f);
}

TEST(emptied_it_belongs_to_the_configured_model)
{
    struct fixture f;
    struct cx_err err = { "" };
    char ids[1024];
    for (int reembedding = 0; reembedding < 2; reembedding++) {
        REQUIRE(begin(&f, WIDE));
        if (reembedding == 1) {
            start(&f);
            EXPECT_INT(fill_some(&f, 2, WIDE_X, WIDE), 2);
        }
        const struct cx_str all[] = { CX_STR("a"), CX_STR("b"), CX_STR("c") };
        size_t deleted = 0;
        EXPECT_INT(cx_vector_delete(f.v, f.db, all, 3, &deleted, &err), CX_OK);
        EXPECT_INT(status_of(&f), CX_VECTOR_READY);
        EXPECT_INT(vectors_in_all(&f), 0);
        EXPECT_INT(put_with(&f, "n", "new", WIDE_Y, WIDE), CX_OK);
        EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", WIDE_Y, WIDE, ids), "n");
        reopen_as(&f, "new", WIDE);
        EXPECT_INT(status_of(&f), CX_VECTOR_READY);
        EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", WIDE_Y, WIDE, ids), "n");
        EXPECT_INT(cx_vector_delete(f.v, f.db, &(struct cx_str){ "n", 1 }, 1, &deleted, &err),
                   CX_OK);
        fixture_close(&f);
    }
}

/* Stopped after every step, and opened again; dimension known from the start, or learned. */
TEST(embedded_anew_beside_the_old_vectors)
{
    char ids[1024];
    for (unsigned known = 0; known < 2; known++) {
        for (unsigned stops = 0; stops < 2; stops++) {
            const unsigned dimension = known == 1 ? WIDE : 0;
            struct fixture f;
            struct cx_err err = { "" };
            REQUIRE(begin(&f, dimension));
            EXPECT_INT(cx_vector_reembed(f.v, f.db, &err), CX_OK);
            if (stops == 1) {
                reopen_as(&f, "new", dimension);
            }
            EXPECT_INT(status_of(&f), CX_VECTOR_PREPARING);
            EXPECT_INT(put_with(&f, "d", "dough", WIDE_X, WIDE), CX_CONFLICT);
            sweep_all(&f);
            if (stops == 1) {
                reopen_as(&f, "new", dimension);
            }
            EXPECT_INT(status_of(&f), CX_VECTOR_REEMBEDDING);
            EXPECT_INT(finish(&f), CX_CONFLICT); /* nothing is there yet */
            EXPECT_INT(fill_some(&f, 2, WIDE_Y, WIDE), 2);
            EXPECT_INT(vectors_in_all(&f), 5);
            if (stops == 1) {
                reopen_as(&f, "new", dimension);
            }
            EXPECT_INT(status_of(&f), CX_VECTOR_REEMBEDDING);
            struct cx_vector_figures figures;
            cx_vector_figures(f.v, &figures);
            EXPECT_INT(figures.pending, 1);
            EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", WIDE_X, WIDE, ids), "!CONFLICT");
            EXPECT_STR(found(&f, CX_SEARCH_HYBRID, "cheese", WIDE_X, WIDE, ids), "c");
            EXPECT_INT(fill_some(&f, 10, WIDE_X, WIDE), 1);
            EXPECT_INT(finish(&f), CX_OK);
            EXPECT_INT(status_of(&f), CX_VECTOR_READY);
            if (stops == 1) {
                reopen_as(&f, "new", dimension);
                EXPECT_INT(status_of(&f), CX_VECTOR_READY);
            }
            EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", WIDE_X, WIDE, ids), "c a b");
            sweep_all(&f);
            EXPECT_INT(vectors_in_all(&f), 3);
            reopen_as(&f, "new", dimension);
            EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", WIDE_X, WIDE, ids), "c a b");
            fixture_close(&f);
            /* And back again. */
            REQUIRE(open_as(&f, "old", DIMENSION));
            EXPECT_INT(status_of(&f), CX_VECTOR_OTHER_MODEL);
            start(&f);
            EXPECT_INT(fill_some(&f, 10, Y, DIMENSION), 3);
            EXPECT_INT(finish(&f), CX_OK);
            sweep_all(&f);
            EXPECT_INT(vectors_in_all(&f), 3);
            size_t deleted = 0;
            const struct cx_str all[] = { CX_STR("a"), CX_STR("b"), CX_STR("c") };
            EXPECT_INT(cx_vector_delete(f.v, f.db, all, 3, &deleted, &err), CX_OK);
            fixture_close(&f);
        }
    }
}

TEST(documents_change_while_it_is_embedded_anew)
{
    struct fixture f;
    struct cx_err err = { "" };
    char ids[1024];
    REQUIRE(begin(&f, WIDE));
    start(&f);
    EXPECT_INT(fill_some(&f, 2, WIDE_X, WIDE), 2);
    /* One that has its new vector, one that has not, one that is new, one that goes. */
    EXPECT_INT(put_with(&f, "a", "another apple", WIDE_Y, WIDE), CX_OK);
    EXPECT_INT(put_with(&f, "c", "other cheese", NULL, 0), CX_OK);
    EXPECT_INT(put_with(&f, "d", "dough", WIDE_Y, WIDE), CX_OK);
    EXPECT_INT(put_with(&f, "d", "dough", X, DIMENSION), CX_CONFLICT);
    const struct cx_str id = CX_STR("b");
    size_t deleted = 0;
    EXPECT_INT(cx_vector_delete(f.v, f.db, &id, 1, &deleted, &err), CX_OK);
    /* Of the old vectors that of b is gone, and those of contents that are gone. */
    EXPECT_INT(vectors_in_all(&f), 2);
    EXPECT_INT(fill_some(&f, 10, WIDE_X, WIDE), 1);
    EXPECT_INT(finish(&f), CX_OK);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", WIDE_X, WIDE, ids), "c a d");
    EXPECT_STR(found(&f, CX_SEARCH_KEYWORD, "apple", NULL, 0, ids), "a");
    fixture_close(&f);
}

/* In the middle of it the operator changes his mind. */
TEST(the_old_model_comes_back_in_the_middle)
{
    struct fixture f;
    char ids[1024];
    REQUIRE(begin(&f, WIDE));
    start(&f);
    EXPECT_INT(fill_some(&f, 2, WIDE_X, WIDE), 2);
    EXPECT_INT(put_with(&f, "b", "other bread", WIDE_Y, WIDE), CX_OK);
    EXPECT_INT(put_with(&f, "d", "dough", WIDE_Y, WIDE), CX_OK);
    reopen_as(&f, "old", DIMENSION);
    EXPECT_INT(status_of(&f), CX_VECTOR_READY);
    struct cx_vector_figures figures;
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.pending, 2); /* what has come or changed under the other */
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", X, DIMENSION, ids), "a c");
    EXPECT_INT(put_with(&f, "a", "a third apple", Y, DIMENSION), CX_OK);
    /* And to the new one: what was made by it and is still true is there. */
    reopen_as(&f, "new", WIDE);
    EXPECT_INT(status_of(&f), CX_VECTOR_REEMBEDDING);
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.pending, 2);
    /* A third one finds nothing of the second's. */
    reopen_as(&f, "third", WIDE);
    EXPECT_INT(status_of(&f), CX_VECTOR_OTHER_MODEL);
    start(&f);
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.pending, 4);
    EXPECT_INT(fill_some(&f, 10, WIDE_Y, WIDE), 4);
    EXPECT_INT(finish(&f), CX_OK);
    sweep_all(&f);
    EXPECT_INT(vectors_in_all(&f), 4);
    fixture_close(&f);
}

TEST(some_documents_cannot_be_embedded_by_the_new_model)
{
    struct fixture f;
    char ids[1024];
    REQUIRE(begin(&f, 0));
    start(&f);
    EXPECT_INT(fill_some(&f, 2, WIDE_X, WIDE), 2);
    EXPECT_INT(finish(&f), CX_OK);
    struct cx_vector_figures figures;
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.pending, 1);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, "", WIDE_X, WIDE, ids), "a b");
    reopen_as(&f, "new", 0);
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.pending, 1);
    EXPECT_INT(figures.dimension, WIDE);
    fixture_close(&f);
}

TEST(vectors_of_clients_are_not_made_anew)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(open_as(&f, "old", DIMENSION));
    struct cx_document doc = document("a", "apple", "{}", X);
    doc.own_vector = true;
    REQUIRE(put(&f, &doc, 1, NULL) == CX_OK);
    reopen_as(&f, "new", WIDE);
    EXPECT_INT(status_of(&f), CX_VECTOR_READY);
    EXPECT_INT(cx_vector_reembed(f.v, f.db, &err), CX_CONFLICT);
    fixture_close(&f);
}

/* Each collection has its own state. */
TEST(one_collection_is_embedded_anew_and_another_is_not)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(begin(&f, WIDE));
    struct cx_vector *other = NULL;
    REQUIRE(cx_vector_find_or_new(f.vectors, CX_STR("other"), &other, &err) == CX_OK);
    struct cx_document doc = document("a", "apple", "{}", WIDE_X);
    doc.dimension = WIDE;
    struct cx_vector_put figures;
    EXPECT_INT(cx_vector_put(other, f.db, &doc, 1, &figures, &err), CX_OK);
    struct cx_vector_store_figures all;
    cx_vector_store_figures(f.vectors, &all);
    EXPECT_INT(all.unready, 1);
    start(&f);
    EXPECT_INT(fill_some(&f, 10, WIDE_Y, WIDE), 3);
    EXPECT_INT(finish(&f), CX_OK);
    sweep_all(&f);
    cx_vector_store_figures(f.vectors, &all);
    EXPECT_INT(all.unready, 0);
    EXPECT_INT(vectors_in_all(&f), 4);
    size_t documents = 0;
    EXPECT_INT(cx_vector_drop(other, f.db, &documents, &err), CX_OK);
    struct cx_vector *gone = cx_vector_release(&other);
    cx_vector_free(&gone);
    sweep_all(&f);
    EXPECT_INT(vectors_in_all(&f), 3);
    fixture_close(&f);
}
