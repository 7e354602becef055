/* SPDX-License-Identifier: MIT
 *
 * Flat metadata and filters over them: what each becomes; that both together say what the filter itself
 * says of the metadata as they were, where Chroma's operators are applied as its server does (a missing key
 * is neither equal nor in a list, and so passes $ne and $nin, and nothing else); and what is refused.
 */
#include <stdio.h>
#include <string.h>

#include "cortex/json.h"
#include "test.h"
#include "vector/filter.h"

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    struct cx_err err = { "" };
    (void)test_expect(cx_json_parse(cx_str_of(text), &value, &err) == CX_OK, __FILE__, __LINE__,
                      "%s: %s", text, err.text);
    return value;
}

static bool same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) {
        return json_number_value(a) == json_number_value(b);
    }
    return a != NULL && json_equal(a, b);
}

static bool is_in(const json_t *value, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (same(value, json_array_get(list, i))) {
            return true;
        }
    }
    return false;
}

static bool chroma_compares(const json_t *value, const char *op, const json_t *operand)
{
    if (strcmp(op, "$eq") == 0 || strcmp(op, "$ne") == 0) {
        return same(value, operand) == (op[1] == 'e');
    }
    if (strcmp(op, "$in") == 0 || strcmp(op, "$nin") == 0) {
        for (size_t i = 1; i < json_array_size(operand); i++) { /* of one type */
            EXPECT(json_typeof(json_array_get(operand, i)) ==
                       json_typeof(json_array_get(operand, 0)) ||
                   json_is_boolean(json_array_get(operand, i)));
        }
        EXPECT(json_array_size(operand) > 0);
        return is_in(value, operand) == (op[1] == 'i');
    }
    EXPECT(json_is_number(operand));
    if (!json_is_number(value)) {
        return false;
    }
    const double a = json_number_value(value);
    const double b = json_number_value(operand);
    return strcmp(op, "$gt") == 0    ? a > b
           : strcmp(op, "$gte") == 0 ? a >= b
           : strcmp(op, "$lt") == 0  ? a < b
                                     : strcmp(op, "$lte") == 0 && a <= b;
}

/* What a Chroma server does with a `where`. */
static bool chroma_holds(const json_t *where, const json_t *flat)
{
    const char *key;
    json_t *value;
    EXPECT_INT((int)json_object_size(where), 1);
    json_object_foreach((json_t *)where, key, value)
    {
        const bool all = strcmp(key, "$and") == 0;
        if (all || strcmp(key, "$or") == 0) {
            EXPECT(json_array_size(value) > 1);
            for (size_t i = 0; i < json_array_size(value); i++) {
                if (chroma_holds(json_array_get(value, i), flat) != all) {
                    return !all;
                }
            }
            return all;
        }
        void *op = json_object_iter(value);
        EXPECT_INT((int)json_object_size(value), 1);
        return chroma_compares(json_object_get(flat, key), json_object_iter_key(op),
                               json_object_iter_value(op));
    }
    return false;
}

static const char *const DOCUMENTS[] = {
    "{}",
    "{\"a\":1}",
    "{\"a\":1.0,\"b\":\"x\"}",
    "{\"a\":\"1\",\"b\":true}",
    "{\"a\":null,\"b\":false}",
    "{\"a\":[1,2],\"b\":[\"x\",\"y\"]}",
    "{\"a\":[1],\"b\":[\"y\"]}",
    "{\"a\":[],\"b\":{}}",
    "{\"a\":{\"b\":2},\"b\":{\"c\":\"x\"}}",
    "{\"a.b\":2,\"a\":{\"b\":3}}",
    "{\"a\":[{\"b\":2},{\"b\":4.5}],\"b\":[true,1]}",
    "{\"a\":9007199254740993,\"b\":[2.5,-7,null]}",
    "{\"a\":[\"a text that is longer than a hundred and twenty-eight bytes, so that its key "
    "carries the "
    "digest of it rather than itself: and more of it\",\"x\"]}",
};
static const char *const FILTERS[] = {
    "{\"a\":1}",
    "{\"a\":{\"$ne\":1}}",
    "{\"a\":1.0}",
    "{\"a\":\"1\"}",
    "{\"a.b\":2}",
    "{\"a.b\":{\"$ne\":2}}",
    "{\"a\":{\"$in\":[1,\"x\",true,4.5]}}",
    "{\"a\":{\"$nin\":[2,\"1\"]}}",
    "{\"a\":{\"$in\":[]}}",
    "{\"a\":{\"$nin\":[]}}",
    "{\"b\":\"x\",\"a\":1}",
    "{\"b\":true}",
    "{\"b\":{\"$ne\":false}}",
    "{\"b\":2.5}",
    "{\"b\":-7.0}",
    "{\"$or\":[{\"a\":1},{\"b\":\"y\"}]}",
    "{\"$not\":{\"$or\":[{\"a\":1},{\"b\":\"y\"}]}}",
    "{\"$not\":{\"$and\":[{\"a\":1},{\"b\":{\"$ne\":\"x\"}}]}}",
    "{\"a\":{\"$not\":{\"$eq\":2}}}",
    "{\"$not\":{\"$not\":{\"b.c\":\"x\"}}}",
    "{\"$or\":[{\"a\":{\"$in\":[]}},{\"b\":\"x\"}]}",
    "{\"$and\":[{\"a\":{\"$nin\":[]}},{\"b\":\"x\"}]}",
    "{\"$not\":{\"a\":{\"$in\":[]},\"b\":\"x\"}}",
    "{\"a\":\"a text that is longer than a hundred and twenty-eight bytes, so that its key carries "
    "the digest "
    "of it rather than itself: and more of it\"}",
};

static struct cx_vector_filter *read_filter(const json_t *json, json_t *loc,
                                            struct cx_faults *faults)
{
    struct cx_vector_filter *filter = NULL;
    EXPECT(cx_vector_filter_parse(json, loc, faults, &filter));
    return filter;
}

TEST(flat_metadata_and_filter_say_what_the_filter_says)
{
    size_t passed = 0;
    for (size_t f = 0; f < CX_ARRAY_LEN(FILTERS); f++) {
        json_t *json = parse(FILTERS[f]);
        json_t *loc = json_pack("[ss]", "body", "filter");
        struct cx_faults faults;
        cx_faults_init(&faults);
        struct cx_vector_filter *filter = read_filter(json, loc, &faults);
        json_t *where = NULL;
        EXPECT(cx_vector_filter_flat(filter, loc, &faults, &where));
        for (size_t d = 0; d < CX_ARRAY_LEN(DOCUMENTS); d++) {
            json_t *metadata = parse(DOCUMENTS[d]);
            json_t *flat = NULL;
            struct cx_err err = { "" };
            EXPECT_INT(cx_vector_flatten(metadata, &flat, &err), CX_OK);
            const bool ours = vector__filter_holds(filter, metadata);
            const bool theirs = where == NULL || chroma_holds(where, flat);
            (void)test_expect(ours == theirs, __FILE__, __LINE__, "%s of %s: %d, not %d",
                              FILTERS[f], DOCUMENTS[d], theirs, ours);
            passed += ours ? 1 : 0;
            json_decref(flat);
            json_decref(metadata);
        }
        json_decref(where);
        cx_vector_filter_free(&filter);
        cx_faults_free(&faults);
        json_decref(loc);
        json_decref(json);
    }
    EXPECT(passed > 100 && passed < CX_ARRAY_LEN(FILTERS) * CX_ARRAY_LEN(DOCUMENTS) - 100);
}

TEST(flat_orders_are_asked_of_single_values)
{
    json_t *json = parse("{\"a\":{\"$gte\":2,\"$lt\":5.5}}");
    json_t *loc = json_pack("[ss]", "body", "filter");
    struct cx_faults faults;
    cx_faults_init(&faults);
    struct cx_vector_filter *filter = read_filter(json, loc, &faults);
    json_t *where = NULL;
    EXPECT(cx_vector_filter_flat(filter, loc, &faults, &where));
    json_t *expected = parse("{\"$and\":[{\"a\":{\"$gte\":2}},{\"a\":{\"$lt\":5.5}}]}");
    EXPECT(json_equal(where, expected));
    static const struct {
        const char *metadata;
        bool holds;
    } rows[] = {
        { "{\"a\":2}", true },      { "{\"a\":[3.5]}", true }, { "{\"a\":5.5}", false },
        { "{\"a\":\"3\"}", false }, { "{}", false },           { "{\"a\":[3,4]}", false }
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        json_t *metadata = parse(rows[i].metadata);
        json_t *flat = NULL;
        struct cx_err err = { "" };
        EXPECT_INT(cx_vector_flatten(metadata, &flat, &err), CX_OK);
        EXPECT_INT(chroma_holds(where, flat), rows[i].holds);
        json_decref(flat);
        json_decref(metadata);
    }
    json_decref(expected);
    json_decref(where);
    cx_vector_filter_free(&filter);
    cx_faults_free(&faults);
    json_decref(loc);
    json_decref(json);
}

TEST(flat_what_chroma_cannot_express_is_named)
{
    static const struct {
        const char *filter;
        const char *sentence;
    } rows[] = {
        { "{\"a\":{\"$exists\":true}}", "filter.a must not ask for $exists" },
        { "{\"$not\":{\"a\":{\"$gt\":1}}}", "filter.a must not ask for $not over $gt" },
        { "{\"a\":{\"$lte\":\"x\"}}", "filter.a must not ask for $lte of anything but a number" },
        { "{\"a\":null}", "filter.a must not ask for $eq of null" },
        { "{\"a\":{\"$ne\":null}}", "filter.a must not ask for $ne of null" },
        { "{\"a\":[1]}", "filter.a must not ask for $eq of an array or an object" },
        { "{\"a\":{\"$in\":[1,null]}}", "filter.a must not ask for $in with null" },
        { "{\"cortex:hash\":\"x\"}", "filter.cortex:hash must not ask for a key that begins with" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        json_t *json = parse(rows[i].filter);
        json_t *loc = json_pack("[ss]", "body", "filter");
        struct cx_faults faults;
        cx_faults_init(&faults);
        struct cx_vector_filter *filter = read_filter(json, loc, &faults);
        json_t *where = NULL;
        EXPECT(!cx_vector_filter_flat(filter, loc, &faults, &where));
        EXPECT(where == NULL);
        struct cx_err err = { "" };
        cx_faults_sentence(&faults, &err);
        (void)test_expect(strncmp(err.text, rows[i].sentence, strlen(rows[i].sentence)) == 0,
                          __FILE__, __LINE__, "%s: %s", rows[i].filter, err.text);
        cx_vector_filter_free(&filter);
        cx_faults_free(&faults);
        json_decref(loc);
        json_decref(json);
    }
}

TEST(flat_metadata_that_cannot_be_kept_are_refused)
{
    struct cx_err err = { "" };
    json_t *flat = NULL;
    json_t *reserved = parse("{\"cortex:hash\":\"x\"}");
    EXPECT_INT(cx_vector_flatten(reserved, &flat, &err), CX_INVALID);
    json_t *many = json_array();
    for (int i = 0; i <= CX_FLAT_KEYS_MAX; i++) {
        (void)json_array_append_new(many, json_integer(i));
    }
    json_t *metadata = json_pack("{so}", "a", many);
    EXPECT_INT(cx_vector_flatten(metadata, &flat, &err), CX_INVALID);
    (void)json_array_remove(many, 0);
    EXPECT_INT(cx_vector_flatten(metadata, &flat, &err), CX_OK);
    EXPECT_INT((int)json_object_size(flat), CX_FLAT_KEYS_MAX);
    json_decref(flat);
    json_decref(metadata);
    json_decref(reserved);
}
