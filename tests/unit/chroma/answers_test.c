/* SPDX-License-Identifier: MIT
 *
 * What is written to a Chroma server and read from it: the pairs of a document, what is no answer of
 * Chroma's, the order of hits, names.
 */
#include <string.h>

#include "chroma/chroma_internal.h"
#include "cortex/json.h"
#include "test.h"

static char prefix[] = "cortex";
static char fingerprint[] = "f1";

static struct cx_chroma store(void)
{
    return (struct cx_chroma){ .prefix = prefix, .fingerprint = fingerprint };
}

static enum cx_status read_text(struct cx_chroma_op *op, const char *text)
{
    const struct cx_chroma c = store();
    struct cx_err err = { "" };
    return chroma__read_answer(&c, op, cx_str_of(text), &err);
}

TEST(chroma_answers_of_another_shape_are_refused)
{
    static const struct {
        enum cx_chroma_verb verb;
        const char *text;
    } rows[] = {
        { CX_CHROMA_GET, "" },
        { CX_CHROMA_GET, "{" },
        { CX_CHROMA_GET, "[]" },
        { CX_CHROMA_GET,
          "{\"ids\":[\"a\"],\"metadatas\":[],\"uris\":[null],\"documents\":[null]}" },
        { CX_CHROMA_GET, "{\"ids\":[1],\"metadatas\":[{}],\"uris\":[null],\"documents\":[null]}" },
        { CX_CHROMA_GET, "{\"ids\":{},\"metadatas\":[],\"uris\":[],\"documents\":[]}" },
        { CX_CHROMA_IDS, "{\"ids\":[null]}" },
        { CX_CHROMA_IDS, "{}" },
        { CX_CHROMA_WALK, "{\"ids\":[1]}" },
        { CX_CHROMA_WALK, "[]" },
        { CX_CHROMA_LOOK, "{\"ids\":[\"a\"]}" },
        { CX_CHROMA_LOOK, "null" },
        { CX_CHROMA_QUERY, "{\"ids\":[]}" },
        { CX_CHROMA_QUERY,
          "{\"ids\":[[\"a\"]],\"distances\":[[]],\"metadatas\":[[null]],\"uris\":[[null]]}" },
        { CX_CHROMA_QUERY,
          "{\"ids\":[[\"a\"]],\"distances\":[[1]],\"metadatas\":[null],\"uris\":[[null]]}" },
        { CX_CHROMA_LIST, "{}" },
        { CX_CHROMA_LIST, "[{\"name\":\"cortex\"}]" },
        { CX_CHROMA_LIST, "[{\"name\":\"cortex\",\"id\":\"../x\"}]" },
        { CX_CHROMA_COUNT, "{}" },
        { CX_CHROMA_COUNT, "-1" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        struct cx_chroma_op op = { .verb = rows[i].verb, .include = CX_CHROMA_WITH_CONTENT };
        (void)test_expect(read_text(&op, rows[i].text) == CX_VECTOR_UPSTREAM, __FILE__, __LINE__,
                          "%s", rows[i].text);
        cx_chroma_op_end(&op);
    }
}

TEST(chroma_hits_come_by_score_and_then_by_id)
{
    struct cx_chroma_op op = { .verb = CX_CHROMA_QUERY };
    EXPECT_INT(read_text(&op,
                         "{\"ids\":[[\"c\",\"a\",\"b\",\"gone\"]],"
                         "\"distances\":[[0.5,0.5,-0.25,null]],"
                         "\"metadatas\":[[null,{\"cortex:metadata\":\"{\\\"x\\\":[1]}\"},{},{}]],"
                         "\"uris\":[[null,\"u\",null,null]]}"),
               CX_OK);
    EXPECT_INT((int)json_array_size(op.answer), 3);
    static const char *const ids[] = { "b", "a", "c" };
    for (size_t i = 0; i < 3; i++) {
        const json_t *hit = json_array_get(op.answer, i);
        EXPECT_STR(json_string_value(json_object_get(hit, "doc_id")), ids[i]);
        EXPECT(json_real_value(json_object_get(hit, "score")) == (i == 0 ? 1.0 : 0.5));
    }
    const json_t *x =
        json_object_get(json_object_get(json_array_get(op.answer, 1), "metadata"), "x");
    EXPECT_INT((int)json_array_size(x), 1);
    cx_chroma_op_end(&op);
}

static void expect_texts(const json_t *list, const char *const *wanted, size_t count)
{
    EXPECT_INT((int)json_array_size(list), (int)count);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(list, i);
        EXPECT_STR(json_string_value(json_is_object(one) ? json_object_get(one, "doc_id") : one),
                   wanted[i]);
    }
}

TEST(chroma_ids_are_walked_through_by_part_and_id)
{
    const unsigned first = cx_chroma_part(CX_STR("a"));
    const unsigned second = cx_chroma_part(CX_STR("b"));
    EXPECT(first < CX_CHROMA_PARTS && second < CX_CHROMA_PARTS && first != second);
    const char *const both[] = { first < second ? "a" : "b", first < second ? "b" : "a" };
    struct cx_chroma_op op = { .verb = CX_CHROMA_WALK };
    EXPECT_INT(read_text(&op, "{\"ids\":[\"b\",\"a\"]}"), CX_OK);
    expect_texts(op.answer, both, 2);
    EXPECT_INT((int)op.count, 2);
    cx_chroma_op_end(&op);
    op.after = cx_str_of(both[0]);
    EXPECT_INT(read_text(&op, "{\"ids\":[\"b\",\"a\"]}"), CX_OK);
    expect_texts(op.answer, both + 1, 1);
    EXPECT_INT((int)op.count, 2);
    cx_chroma_op_end(&op);

    struct cx_buf body;
    cx_buf_init(&body, 65536);
    op = (struct cx_chroma_op){ .verb = CX_CHROMA_WALK, .part = 7, .parts = 3, .limit = 9 };
    chroma__write_body(&op, &body);
    EXPECT_STR(body.data,
               "{\"limit\":9,\"include\":[],\"where\":{\"cortex:part\":{\"$in\":[7,8,9]}}}");
    cx_buf_free(&body);
}

TEST(chroma_documents_come_in_the_order_that_was_asked_for)
{
    const struct cx_str ids[] = { CX_STR("b"), CX_STR("gone"), CX_STR("a") };
    static const char *const wanted[] = { "b", "a" };
    struct cx_chroma_op op = {
        .verb = CX_CHROMA_GET, .ids = ids, .id_count = 3, .include = CX_CHROMA_WITH_VECTOR
    };
    EXPECT_INT(read_text(&op, "{\"ids\":[\"a\",\"b\"],\"metadatas\":[null,{}],"
                              "\"uris\":[null,\"u\"],\"embeddings\":[[1],[0.5]]}"),
               CX_OK);
    expect_texts(op.answer, wanted, 2);
    const json_t *first = json_array_get(op.answer, 0);
    EXPECT_STR(json_string_value(json_object_get(first, "uri")), "u");
    EXPECT(json_real_value(json_array_get(json_object_get(first, "vector"), 0)) == 0.5);
    EXPECT(json_object_get(first, "content") == NULL);
    cx_chroma_op_end(&op);
    EXPECT_INT(read_text(&op, "{\"ids\":[\"a\"],\"metadatas\":[null],\"uris\":[null]}"),
               CX_VECTOR_UPSTREAM); /* without the vectors */
    cx_chroma_op_end(&op);
}

TEST(chroma_collections_of_others_are_not_listed)
{
    struct cx_chroma_op op = { .verb = CX_CHROMA_LIST };
    EXPECT_INT(
        read_text(
            &op,
            "[{\"id\":\"1\",\"name\":\"cortex\",\"metadata\":{\"cortex:owner\":\"embedder\","
            "\"cortex:fingerprint\":\"f1\",\"cortex:dimension\":3}},"
            "{\"id\":\"2\",\"name\":\"cortex.notes\",\"metadata\":{\"cortex:owner\":\"embedder\","
            "\"cortex:fingerprint\":\"f2\"}},"
            "{\"id\":\"3\",\"name\":\"cortexes\",\"metadata\":{\"cortex:owner\":\"client\"}},"
            "{\"id\":\"4\",\"name\":\"cortex.other\",\"metadata\":null}]"),
        CX_OK);
    EXPECT_INT((int)op.count, 4);
    EXPECT_INT((int)json_array_size(op.answer), 2);
    const json_t *first = json_array_get(op.answer, 0);
    const json_t *second = json_array_get(op.answer, 1);
    EXPECT_STR(json_string_value(json_object_get(first, "name")), "default");
    EXPECT_STR(json_string_value(json_object_get(first, "status")), "ready");
    EXPECT_STR(json_string_value(json_object_get(second, "name")), "notes");
    EXPECT_STR(json_string_value(json_object_get(second, "status")), "other_model");
    cx_chroma_op_end(&op);
}

TEST(chroma_what_a_document_no_longer_has_is_written_as_null)
{
    const float vector[] = { 1.0F, -0.5F };
    struct cx_chroma_document docs[2] = {
        { .doc_id = CX_STR("a"),
          .content = CX_STR("t"),
          .uri = CX_STR(""),
          .metadata = CX_STR("{}"),
          .flat = json_pack("{s:i}", "kept", 2),
          .vector = vector },
        { .doc_id = CX_STR("same"), .unchanged = true },
    };
    struct cx_chroma_op op = {
        .verb = CX_CHROMA_LOOK, .docs = docs, .doc_count = 1, .dimension = 2
    };
    struct cx_buf body;
    cx_buf_init(&body, 65536);
    chroma__write_body(&op, &body);
    EXPECT_STR(body.data, "{\"ids\":[\"a\"],\"include\":[\"metadatas\"]}");
    EXPECT_INT(
        read_text(&op,
                  "{\"ids\":[\"a\"],\"metadatas\":[{\"kept\":1,\"gone\":true,"
                  "\"cortex:summary\":\"s\",\"cortex:created_at\":77,\"cortex:hash\":\"old\"}]}"),
        CX_OK);
    EXPECT(docs[0].there && !docs[0].unchanged);
    op.verb = CX_CHROMA_PUT;
    op.doc_count = 2;
    cx_buf_clear(&body);
    chroma__write_body(&op, &body);
    json_t *put = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(cx_json_parse((struct cx_str){ body.data, body.len }, &put, &err), CX_OK);
    EXPECT_INT((int)json_array_size(json_object_get(put, "ids")), 1);
    const json_t *pairs = json_array_get(json_object_get(put, "metadatas"), 0);
    EXPECT_INT((int)json_integer_value(json_object_get(pairs, "kept")), 2);
    EXPECT(json_is_null(json_object_get(pairs, "gone")));
    EXPECT(json_is_null(json_object_get(pairs, "cortex:summary")));
    EXPECT_INT((int)json_integer_value(json_object_get(pairs, "cortex:created_at")), 77);
    EXPECT_STR(json_string_value(json_object_get(pairs, "cortex:hash")), docs[0].hash);
    json_decref(put);
    json_decref(docs[0].flat);
    json_decref(docs[0].before);
    cx_buf_free(&body);
}

TEST(chroma_names_that_a_server_takes)
{
    static const struct {
        const char *name;
        const char *there; /* NULL: none */
    } rows[] = { { "default", "cortex" },
                 { "a", "cortex.a" },
                 { "a.b_c-1", "cortex.a.b_c-1" },
                 { "a-", NULL },
                 { ".a", NULL },
                 { "a..b", NULL },
                 { "", NULL },
                 { "a/../b", NULL } };
    const struct cx_chroma c = store();
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        char name[CHROMA__NAME_BYTES + 1];
        struct cx_err err = { "" };
        const enum cx_status status = chroma__name_of(&c, cx_str_of(rows[i].name), name, &err);
        EXPECT_INT(status, rows[i].there != NULL ? CX_OK : CX_INVALID);
        if (status == CX_OK && rows[i].there != NULL) {
            EXPECT_STR(name, rows[i].there);
        }
    }
}
