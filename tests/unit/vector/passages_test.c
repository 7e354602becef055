/* SPDX-License-Identifier: MIT
 *
 * Passages of a longer text: put together, replaced, removed with their parent; and what only looks
 * like one.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"

static const float X[DIMENSION] = { 1 };

static struct cx_document passage(char *id, const char *parent, size_t number, const char *content,
                                  char *metadata)
{
    (void)cx_document_passage_id(cx_str_of(parent), number, id);
    (void)snprintf(metadata, 128, "{\"parent\":\"%s\"}", parent);
    struct cx_document doc = document(id, content, metadata, X);
    doc.parent = cx_str_of(parent);
    return doc;
}

/* Puts passages 1 to count of parent. */
static struct cx_vector_put put_passages(struct fixture *f, const char *parent, size_t count)
{
    struct cx_document docs[16];
    char ids[16][CX_DOC_ID_MAX + 1];
    char metadata[16][128];
    for (size_t i = 0; i < count; i++) {
        docs[i] = passage(ids[i], parent, i + 1, "some words", metadata[i]);
    }
    struct cx_vector_put figures = { 0 };
    EXPECT_INT(put(f, docs, count, &figures), CX_OK);
    return figures;
}

static size_t documents(const struct fixture *f)
{
    struct cx_vector_figures figures;
    cx_vector_figures(f->v, &figures);
    return figures.documents;
}

static bool there(struct fixture *f, const char *id)
{
    json_t *document = NULL;
    struct cx_err err = { "" };
    const bool found = cx_vector_get(f->v, f->db, cx_str_of(id), &document, &err) == CX_OK;
    json_decref(document);
    return found;
}

TEST(passages_replace_what_was_there)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT(put_one(&f, "a", "the whole", "{}", X));
    EXPECT(put_one(&f, "ab", "another", "{}", X));
    struct cx_vector_put figures = put_passages(&f, "a", 5);
    EXPECT_INT(figures.indexed, 5);
    EXPECT_INT(figures.removed, 1);
    EXPECT(!there(&f, "a") && there(&f, "a#0001") && there(&f, "a#0005") && there(&f, "ab"));
    figures = put_passages(&f, "a", 5);
    EXPECT_INT(figures.unchanged, 5);
    EXPECT_INT(figures.removed, 0);
    figures = put_passages(&f, "a", 2);
    EXPECT_INT(figures.unchanged, 2);
    EXPECT_INT(figures.removed, 3);
    EXPECT_INT(documents(&f), 3);
    EXPECT(put_one(&f, "a", "the whole", "{}", X));
    EXPECT_INT(documents(&f), 2);
    EXPECT(there(&f, "a") && !there(&f, "a#0001"));
    char text[1024];
    const struct cx_search search = { .query = CX_STR("words"),
                                      .top_k = 10,
                                      .mode = CX_SEARCH_KEYWORD };
    EXPECT_STR(search_ids(&f, &search, text), "");
    fixture_close(&f);
}

TEST(passages_go_with_their_parent_and_nothing_else_does)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    (void)put_passages(&f, "a", 3);
    (void)put_passages(&f, "a#b", 2);
    EXPECT(put_one(&f, "a#0009", "not his", "{\"parent\":\"b\"}", X));
    EXPECT(put_one(&f, "a#9", "not a number of four", "{\"parent\":\"a\"}", X));
    EXPECT(put_one(&f, "a#0x01", "no number", "{\"parent\":\"a\"}", X));
    const struct cx_str ids[] = { CX_STR("a"), CX_STR("nothing") };
    size_t deleted = 0;
    struct cx_err err = { "" };
    EXPECT_INT(cx_vector_delete(f.v, f.db, ids, 2, &deleted, &err), CX_OK);
    EXPECT_INT(deleted, 1);
    EXPECT_INT(documents(&f), 5);
    EXPECT(!there(&f, "a#0003") && there(&f, "a#b#0002") && there(&f, "a#0009"));
    EXPECT(there(&f, "a#9") && there(&f, "a#0x01"));
    fixture_close(&f);
}

TEST(passages_have_ids_of_bounded_length)
{
    char id[CX_DOC_ID_MAX + 1];
    char parent[CX_DOC_ID_MAX + 1];
    memset(parent, 'p', sizeof parent);
    EXPECT(cx_document_passage_id((struct cx_str){ parent, 507 }, 1, id));
    EXPECT_INT(strlen(id), 512);
    EXPECT_STR(id + 507, "#0001");
    EXPECT(!cx_document_passage_id((struct cx_str){ parent, 507 }, 10000, id));
    EXPECT(!cx_document_passage_id((struct cx_str){ parent, 508 }, 1, id));
}

TEST(passage_ids_name_their_parent_and_number)
{
    static const struct {
        const char *id;
        const char *parent;
        size_t number;
    } rows[] = {
        { "a#0001", "a", 1 },   { "a#b#0012", "a#b", 12 }, { "a##12345", "a#", 12345 },
        { "a#001", NULL, 0 },   { "a#0000", NULL, 0 },     { "a#000x", NULL, 0 },
        { "#0001", NULL, 0 },   { "a", NULL, 0 },          { "", NULL, 0 },
        { "a#0001#", NULL, 0 }, { "a#-0001", NULL, 0 },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        struct cx_str parent = { NULL, 0 };
        const size_t number = cx_document_passage_number(cx_str_of(rows[i].id), &parent);
        (void)test_expect(number == rows[i].number, __FILE__, __LINE__, "%s", rows[i].id);
        if (rows[i].number > 0) {
            EXPECT(cx_str_eq(parent, cx_str_of(rows[i].parent)));
        }
    }
}
