/* SPDX-License-Identifier: MIT
 *
 * Documents that come, change and go: what is counted, what is found afterwards, what a reopened
 * store knows, and what is refused with nothing written.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

static const float X[DIMENSION] = { 1 };
static const float Y[DIMENSION] = { 0, 1 };
static const float Z[DIMENSION] = { 0, 0, 1 };

static struct cx_search keyword(const char *query)
{
    return (struct cx_search){ .query = cx_str_of(query), .top_k = 10, .mode = CX_SEARCH_KEYWORD };
}

static struct cx_search semantic(const float *vector)
{
    return (struct cx_search){
        .vector = vector, .dimension = DIMENSION, .top_k = 10, .mode = CX_SEARCH_SEMANTIC
    };
}

static size_t documents(const struct fixture *f)
{
    struct cx_vector_figures figures;
    cx_vector_figures(f->v, &figures);
    return figures.documents;
}

/* FTS5 compares its index with the text of every document. */
static void expect_sound_keywords(struct fixture *f)
{
    struct cx_err err = { "" };
    const enum cx_status status = cx_db_exec(
        f->db, "INSERT INTO documents_fts (documents_fts, rank) VALUES ('integrity-check', 1)",
        &err);
    (void)test_expect(status == CX_OK, __FILE__, __LINE__, "integrity-check: %s", err.text);
}

TEST(put_counts_what_changes)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    struct cx_document docs[] = { document("a", "red apples", "{}", X),
                                  document("b", "green pears", "{}", Y) };
    struct cx_vector_put figures;
    REQUIRE(put(&f, docs, 2, &figures) == CX_OK);
    EXPECT_INT(figures.indexed, 2);
    REQUIRE(put(&f, docs, 2, &figures) == CX_OK);
    EXPECT_INT(figures.indexed, 0);
    EXPECT_INT(figures.unchanged, 2);

    bool unchanged[2];
    struct cx_err err;
    docs[1].content = CX_STR("blue plums");
    REQUIRE(cx_vector_unchanged(f.v, f.db, docs, 2, unchanged, &err) == CX_OK);
    EXPECT(unchanged[0]);
    EXPECT(!unchanged[1]);

    docs[0].vector = NULL; /* metadata only: the stored vector stays */
    docs[0].metadata = CX_STR("{\"k\":1}");
    docs[1].vector = Z;
    REQUIRE(put(&f, docs, 2, &figures) == CX_OK);
    EXPECT_INT(figures.updated, 2);
    EXPECT_INT(figures.indexed, 0);
    EXPECT_INT(documents(&f), 2);

    char ids[1024];
    struct cx_search search = keyword("pears");
    EXPECT_STR(search_ids(&f, &search, ids), "");
    search = keyword("plum");
    EXPECT_STR(search_ids(&f, &search, ids), "b");
    search = semantic(X);
    EXPECT_STR(search_ids(&f, &search, ids), "a b");
    search = semantic(Z);
    EXPECT_STR(search_ids(&f, &search, ids), "b a");
    search.filter = filter(&f, "{\"k\":1}");
    EXPECT_STR(search_ids(&f, &search, ids), "a");
    expect_sound_keywords(&f);

    docs[0].uri = CX_STR("file:///a");
    REQUIRE(put(&f, docs, 1, &figures) == CX_OK);
    EXPECT_INT(figures.updated, 1);
    docs[0].summary = CX_STR("");
    REQUIRE(put(&f, docs, 1, &figures) == CX_OK);
    EXPECT_INT(figures.updated, 1);
    REQUIRE(put(&f, docs, 1, &figures) == CX_OK);
    EXPECT_INT(figures.unchanged, 1);
    docs[0].vector = Z; /* the same text under a vector of the client's own */
    REQUIRE(put(&f, docs, 1, &figures) == CX_OK);
    EXPECT_INT(figures.updated, 1);
    search = semantic(X);
    json_t *hits = search_hits(&f, &search);
    EXPECT(json_real_value(json_object_get(json_array_get(hits, 0), "score")) == 0.0);
    json_decref(hits);
    fixture_close(&f);
}

TEST(put_takes_one_id_twice_in_a_batch)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const struct cx_document docs[] = { document("a", "first", "{}", X),
                                        document("a", "second", "{}", Y) };
    struct cx_vector_put figures;
    REQUIRE(put(&f, docs, 2, &figures) == CX_OK);
    EXPECT_INT(figures.indexed, 1);
    EXPECT_INT(figures.updated, 1);
    EXPECT_INT(documents(&f), 1);
    char ids[1024];
    struct cx_search search = keyword("first");
    EXPECT_STR(search_ids(&f, &search, ids), "");
    search = keyword("second");
    EXPECT_STR(search_ids(&f, &search, ids), "a");
    expect_sound_keywords(&f);
    fixture_close(&f);
}

TEST(get_and_list)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    for (int i = 0; i < 5; i++) {
        char id[8];
        snprintf(id, sizeof id, "d%d", i);
        REQUIRE(put_one(&f, id, "text", "{\"n\":1}", X));
    }
    struct cx_err err = { "" };
    json_t *document = NULL;
    REQUIRE(cx_vector_get(f.v, f.db, CX_STR("d3"), &document, &err) == CX_OK);
    EXPECT_INT(json_object_size(document), 7);
    EXPECT_STR(json_string_value(json_object_get(document, "doc_id")), "d3");
    EXPECT_STR(json_string_value(json_object_get(document, "content")), "text");
    EXPECT(json_is_null(json_object_get(document, "summary")));
    int64_t created_us = 0;
    EXPECT(cx_time_parse(cx_str_of(json_string_value(json_object_get(document, "created_at"))),
                         &created_us));
    json_decref(document);
    EXPECT_INT(cx_vector_get(f.v, f.db, CX_STR("d9"), &document, &err), CX_NOT_FOUND);

    json_t *page = NULL;
    REQUIRE(cx_vector_list(f.v, f.db, CX_STR(""), 2, &page, &err) == CX_OK);
    EXPECT_INT(json_array_size(json_object_get(page, "documents")), 2);
    EXPECT_STR(json_string_value(json_object_get(page, "cursor")), "d1");
    json_decref(page);
    REQUIRE(cx_vector_list(f.v, f.db, CX_STR("d1"), 3, &page, &err) == CX_OK);
    EXPECT_INT(json_array_size(json_object_get(page, "documents")), 3);
    EXPECT(json_is_null(json_object_get(page, "cursor")));
    json_decref(page);
    REQUIRE(cx_vector_list(f.v, f.db, CX_STR("z"), 3, &page, &err) == CX_OK);
    EXPECT_INT(json_array_size(json_object_get(page, "documents")), 0);
    json_decref(page);
    fixture_close(&f);
}

TEST(delete_deletes)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    REQUIRE(put_one(&f, "a", "apple", "{}", X));
    REQUIRE(put_one(&f, "b", "apple", "{}", Y));
    const struct cx_str ids[] = { CX_STR("a"), CX_STR("nothing"), CX_STR("a") };
    size_t deleted = 0;
    struct cx_err err = { "" };
    REQUIRE(cx_vector_delete(f.v, f.db, ids, 3, &deleted, &err) == CX_OK);
    EXPECT_INT(deleted, 1);
    EXPECT_INT(documents(&f), 1);
    char text[1024];
    struct cx_search search = keyword("apple");
    EXPECT_STR(search_ids(&f, &search, text), "b");
    search = semantic(X);
    EXPECT_STR(search_ids(&f, &search, text), "b");
    expect_sound_keywords(&f);
    /* The slot is used again, by a document that is not mistaken for the old one. */
    REQUIRE(put_one(&f, "c", "cherry", "{}", X));
    EXPECT_STR(search_ids(&f, &search, text), "c b");
    fixture_close(&f);
}

TEST(reopened_store_knows_everything)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    REQUIRE(put_one(&f, "a", "apple", "{\"k\":[1,2]}", X));
    REQUIRE(put_one(&f, "b", "bread", "{}", Y));
    REQUIRE(put_one(&f, "c", "cheese", "{}", Z));
    size_t deleted = 0;
    struct cx_err err = { "" };
    const struct cx_str gone = CX_STR("b");
    REQUIRE(cx_vector_delete(f.v, f.db, &gone, 1, &deleted, &err) == CX_OK);
    fixture_close(&f);
    REQUIRE(fixture_open(&f));
    EXPECT_INT(documents(&f), 2);
    char ids[1024];
    struct cx_search search = semantic(Z);
    EXPECT_STR(search_ids(&f, &search, ids), "c a");
    search.filter = filter(&f, "{\"k\":2}");
    EXPECT_STR(search_ids(&f, &search, ids), "a");
    fixture_close(&f);
}

TEST(another_model_is_refused)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open(&f));
    fixture_close(&f);
    /* Nothing was in it: the new model takes it. */
    REQUIRE(fixture_open_with(&f, "print-2", 0, (size_t)1 << 30, &err));
    REQUIRE(put_one(&f, "a", "apple", "{}", X));
    fixture_close(&f);
    EXPECT(is_of_another_model(&f, "print-1", DIMENSION));
    EXPECT(is_of_another_model(&f, "print-2", DIMENSION + 1));
    REQUIRE(fixture_open_with(&f, "print-2", 0, (size_t)1 << 30, &err));
    struct cx_vector_figures figures;
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.dimension, DIMENSION);
    const struct cx_str id = CX_STR("a");
    size_t deleted = 0;
    REQUIRE(cx_vector_delete(f.v, f.db, &id, 1, &deleted, &err) == CX_OK);
    fixture_close(&f);
    /* Emptied, it is free again. */
    REQUIRE(fixture_open_with(&f, "print-3", 3, (size_t)1 << 30, &err));
    fixture_close(&f);
}

TEST(refused_documents_leave_nothing)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", 0, (size_t)1 << 30, &err));
    const float nan_vector[DIMENSION] = { 1, NAN };
    struct cx_document docs[] = { document("a", "apple", "{}", X),
                                  document("b", "bread", "{}", X) };
    docs[1].vector = nan_vector;
    EXPECT_INT(put(&f, docs, 2, NULL), CX_INVALID);
    docs[1].vector = X;
    docs[1].metadata = CX_STR("{broken");
    EXPECT(put(&f, docs, 2, NULL) != CX_OK);
    docs[1].metadata = CX_STR("[]");
    EXPECT_INT(put(&f, docs, 2, NULL), CX_INVALID);
    docs[1].metadata = CX_STR("{}");
    docs[1].doc_id = CX_STR("");
    EXPECT_INT(put(&f, docs, 2, NULL), CX_INVALID);
    docs[1].doc_id = CX_STR("b");
    docs[1].dimension = DIMENSION - 1;
    EXPECT_INT(put(&f, docs, 2, NULL), CX_CONFLICT);
    docs[1].dimension = DIMENSION;
    docs[1].vector = NULL; /* nothing is stored of which it could be the same */
    EXPECT_INT(put(&f, docs, 2, NULL), CX_CONFLICT);
    EXPECT_INT(documents(&f), 0);
    struct cx_vector_figures figures;
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.dimension, 0);
    char ids[1024];
    struct cx_search search = keyword("apple");
    EXPECT_STR(search_ids(&f, &search, ids), "");
    /* After refusals the first good batch still decides the dimension. */
    docs[0].dimension = 2;
    REQUIRE(put(&f, docs, 1, NULL) == CX_OK);
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.dimension, 2);
    fixture_close(&f);
}

TEST(index_has_a_ceiling)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", DIMENSION, 4096, &err));
    enum cx_status status = CX_OK;
    int stored = 0;
    while (status == CX_OK && stored < 1000) {
        char id[16];
        snprintf(id, sizeof id, "d%d", stored);
        const struct cx_document doc = document(id, "text", "{}", X);
        status = put(&f, &doc, 1, NULL);
        stored += status == CX_OK ? 1 : 0;
    }
    EXPECT_INT(status, CX_OVERLOADED);
    EXPECT(stored > 5 && stored < 60);
    EXPECT_INT(documents(&f), stored);
    struct cx_vector_figures figures;
    cx_vector_figures(f.v, &figures);
    EXPECT(figures.index_bytes <= 4096);
    /* A document that goes makes room for another. */
    size_t deleted = 0;
    const struct cx_str id = CX_STR("d0");
    REQUIRE(cx_vector_delete(f.v, f.db, &id, 1, &deleted, &err) == CX_OK);
    EXPECT(put_one(&f, "e0", "text", "{}", X));
    fixture_close(&f);
    EXPECT(!fixture_open_with(&f, "print-1", DIMENSION, 1024, &err));
}

TEST(made_ids_tell_documents_apart)
{
    char a[33];
    char b[33];
    cx_document_make_id(CX_STR("default"), CX_STR("u"), CX_STR("text"), a);
    cx_document_make_id(CX_STR("default"), CX_STR("u"), CX_STR("text"), b);
    EXPECT_STR(a, b);
    EXPECT_INT(strlen(a), 32);
    cx_document_make_id(CX_STR("default"), CX_STR("ut"), CX_STR("ext"), b);
    EXPECT(strcmp(a, b) != 0);
    cx_document_make_id(CX_STR("defaultu"), CX_STR(""), CX_STR("text"), b);
    EXPECT(strcmp(a, b) != 0);
}

TEST(a_damaged_vector_hides_only_itself)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    REQUIRE(put_one(&f, "a", "apple", "{}", X));
    REQUIRE(put_one(&f, "b", "bread", "{}", Y));
    struct cx_err err = { "" };
    /* Eight floats, the first of them NaN. */
    REQUIRE(cx_db_exec(f.db, "UPDATE vectors SET vector = x'0000c07f' || zeroblob(28) WHERE id = 1",
                       &err) == CX_OK);
    fixture_close(&f);
    REQUIRE(fixture_open(&f));
    char ids[1024];
    struct cx_search search = semantic(Y);
    EXPECT_STR(search_ids(&f, &search, ids), "b a");
    REQUIRE(cx_db_exec(f.db, "UPDATE vectors SET vector = x'00' WHERE id = 2", &err) == CX_OK);
    fixture_close(&f);
    EXPECT(!fixture_open_with(&f, "print-1", DIMENSION, (size_t)1 << 30, &err));
    EXPECT(strstr(err.text, "\"b\"") != NULL);
}
