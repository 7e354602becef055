/* SPDX-License-Identifier: MIT
 *
 * The meaning of filters by a table, asked of one document and of all; what is refused, and where; then
 * both ways against a naive one on drawn metadata.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"
#include "drawn.h"
#include "fixture.h"
#include "naive_filter.h"
#include "vector/filter_sets.h"

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    struct cx_err err = { "" };
    (void)test_expect(cx_json_parse(cx_str_of(text), &value, &err) == CX_OK, __FILE__, __LINE__,
                      "%s: %s", text, err.text);
    return value;
}

/* Among others, so that what passes is not all there is. */
static bool allowed_by_facets(const struct cx_vector_filter *filter, const json_t *metadata)
{
    struct vector__facets facets;
    struct vector__allowed allowed;
    struct cx_err err = { "" };
    json_t *other = json_pack("{s:i,s:{s:s}}", "a", 77, "b", "c", "other");
    vector__facets_init(&facets);
    vector__facets_set(&facets, 3, other);
    vector__facets_set(&facets, 70, metadata);
    vector__facets_set(&facets, 71, other);
    vector__facets_set(&facets, 200, metadata);
    vector__facets_remove(&facets, 200);
    EXPECT(vector__filter_ask(filter, &facets, &allowed, &err) == CX_OK);
    const bool passes = vector__allows(&allowed, 70);
    EXPECT(allowed.all || (!vector__allows(&allowed, 69) && !vector__allows(&allowed, 200)));
    vector__allowed_free(&allowed);
    vector__facets_free(&facets);
    json_decref(other);
    return passes;
}

static void expect_match(const char *filter_text, const char *metadata_text, bool want)
{
    json_t *json = NULL;
    json_t *metadata = parse(metadata_text);
    struct cx_vector_filter *filter = NULL;
    if (filter_parse(filter_text, &json, &filter)) {
        (void)test_expect(vector__filter_holds(filter, metadata) == want, __FILE__, __LINE__,
                          "one: %s on %s", filter_text, metadata_text);
        (void)test_expect(allowed_by_facets(filter, metadata) == want, __FILE__, __LINE__,
                          "all: %s on %s", filter_text, metadata_text);
    }
    cx_vector_filter_free(&filter);
    json_decref(json);
    json_decref(metadata);
}

TEST(filter_table)
{
    static const struct {
        const char *filter;
        const char *metadata;
        bool want;
    } ROWS[] = {
        { "{}", "{}", true },
        { "{}", "{\"a\":1}", true },
        { "{\"a\":1}", "{\"a\":1}", true },
        { "{\"a\":1}", "{\"a\":2}", false },
        { "{\"a\":1}", "{}", false },
        { "{\"a\":1}", "{\"b\":1}", false },
        { "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2,\"c\":3}", true },
        { "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}", false },
        /* numbers by value, types apart */
        { "{\"a\":1}", "{\"a\":1.0}", true },
        { "{\"a\":1.0}", "{\"a\":1}", true },
        { "{\"a\":1e2}", "{\"a\":100}", true },
        { "{\"a\":0}", "{\"a\":-0.0}", true },
        { "{\"a\":0.5}", "{\"a\":0.5}", true },
        { "{\"a\":9007199254740993}", "{\"a\":9007199254740992.0}", false },
        { "{\"a\":9007199254740992}", "{\"a\":9007199254740992.0}", true },
        { "{\"a\":1e300}", "{\"a\":1e300}", true },
        { "{\"a\":\"1\"}", "{\"a\":1}", false },
        { "{\"a\":1}", "{\"a\":\"1\"}", false },
        { "{\"a\":true}", "{\"a\":1}", false },
        { "{\"a\":1}", "{\"a\":true}", false },
        { "{\"a\":true}", "{\"a\":true}", true },
        { "{\"a\":false}", "{\"a\":true}", false },
        { "{\"a\":false}", "{}", false },
        { "{\"a\":\"\"}", "{\"a\":\"\"}", true },
        { "{\"a\":\"\"}", "{}", false },
        { "{\"a\":\"B\"}", "{\"a\":\"b\"}", false },
        { "{\"a\":\"\xC3\xA9\"}", "{\"a\":\"\\u00e9\"}", true },
        /* null */
        { "{\"a\":null}", "{}", true },
        { "{\"a\":null}", "{\"a\":null}", true },
        { "{\"a\":null}", "{\"a\":0}", false },
        { "{\"a\":null}", "{\"a\":false}", false },
        { "{\"a\":null}", "{\"a\":[]}", false },
        { "{\"a\":null}", "{\"a\":[1,null]}", true },
        { "{\"a\":null}", "{\"a\":{}}", false },
        { "{\"a.b\":null}", "{\"a\":{}}", true },
        { "{\"a.b\":null}", "{\"a\":1}", true },
        { "{\"a.b\":null}", "{\"a\":{\"b\":1}}", false },
        { "{\"a.b\":null}", "{\"a\":[{\"b\":1},{\"c\":2}]}", false },
        { "{\"a\":1}", "{\"a\":null}", false },
        /* arrays: an element, or the whole */
        { "{\"a\":1}", "{\"a\":[3,1]}", true },
        { "{\"a\":1}", "{\"a\":[3,[1]]}", true },
        { "{\"a\":1}", "{\"a\":[]}", false },
        { "{\"a\":[1,2]}", "{\"a\":[1,2]}", true },
        { "{\"a\":[1,2]}", "{\"a\":[2,1]}", false },
        { "{\"a\":[1,2]}", "{\"a\":[1,2,3]}", false },
        { "{\"a\":[1,2]}", "{\"a\":[[1,2.0],5]}", true },
        { "{\"a\":[]}", "{\"a\":[]}", true },
        { "{\"a\":[]}", "{}", false },
        { "{\"a\":[1]}", "{\"a\":1}", false },
        { "{\"a\":[[1],2]}", "{\"a\":[1,[2]]}", false },
        /* paths */
        { "{\"a.b\":1}", "{\"a\":{\"b\":1}}", true },
        { "{\"a.b.c\":1}", "{\"a\":{\"b\":{\"c\":1}}}", true },
        { "{\"a.b\":1}", "{\"a.b\":1}", true },
        { "{\"a.b.c\":1}", "{\"a.b\":{\"c\":1}}", true },
        { "{\"a.b\":1}", "{\"a\":[{\"b\":2},{\"b\":1}]}", true },
        { "{\"a.b\":1}", "{\"a\":1,\"b\":1}", false },
        { "{\"a.b\":1}", "{\"a\":{\"b\":{\"b\":1}}}", false },
        { "{\"a.0\":1}", "{\"a\":[1]}", false },
        { "{\"\":1}", "{\"\":1}", true },
        { "{\"a\":1}", "{\"\":{\"a\":1}}", false },
        { "{\".a\":1}", "{\"\":{\"a\":1}}", true },
        /* objects by content */
        { "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2,\"b\":1}}", true },
        { "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1,\"c\":2}}", false },
        { "{\"a\":{\"b\":1}}", "{\"a\":[{\"b\":1.0}]}", true },
        { "{\"a\":{}}", "{\"a\":{}}", true },
        { "{\"a\":{}}", "{\"a\":[]}", false },
        /* operators */
        { "{\"a\":{\"$eq\":1}}", "{\"a\":1.0}", true },
        { "{\"a\":{\"$eq\":{\"b\":1}}}", "{\"a\":{\"b\":1}}", true },
        { "{\"a\":{\"$ne\":1}}", "{\"a\":1}", false },
        { "{\"a\":{\"$ne\":1}}", "{\"a\":\"1\"}", true },
        { "{\"a\":{\"$ne\":1}}", "{}", true },
        { "{\"a\":{\"$ne\":1}}", "{\"a\":[2,1]}", false },
        { "{\"a\":{\"$ne\":null}}", "{}", false },
        { "{\"a\":{\"$ne\":null}}", "{\"a\":null}", false },
        { "{\"a\":{\"$ne\":null}}", "{\"a\":0}", true },
        { "{\"a\":{\"$gt\":1}}", "{\"a\":2}", true },
        { "{\"a\":{\"$gt\":1}}", "{\"a\":1}", false },
        { "{\"a\":{\"$gt\":1}}", "{\"a\":1.0000001}", true },
        { "{\"a\":{\"$gt\":1}}", "{}", false },
        { "{\"a\":{\"$gt\":1}}", "{\"a\":\"2\"}", false },
        { "{\"a\":{\"$gt\":1}}", "{\"a\":null}", false },
        { "{\"a\":{\"$gt\":1}}", "{\"a\":true}", false },
        { "{\"a\":{\"$gt\":1}}", "{\"a\":[0,[5]]}", true },
        { "{\"a\":{\"$gt\":1}}", "{\"a\":[0,-5]}", false },
        { "{\"a\":{\"$gt\":-0.5}}", "{\"a\":0}", true },
        { "{\"a\":{\"$gt\":-0.5}}", "{\"a\":-1}", false },
        { "{\"a\":{\"$gt\":9007199254740992}}", "{\"a\":9007199254740993}", true },
        { "{\"a\":{\"$gt\":9007199254740992.0}}", "{\"a\":9007199254740993}", true },
        { "{\"a\":{\"$lt\":1e300}}", "{\"a\":9223372036854775807}", true },
        { "{\"a\":{\"$gt\":-1e300}}", "{\"a\":-9223372036854775808}", true },
        { "{\"a\":{\"$gt\":9223372036854775807}}", "{\"a\":9223372036854775808.0}", true },
        { "{\"a\":{\"$gt\":0.25}}", "{\"a\":0.5}", true },
        { "{\"a\":{\"$gte\":2}}", "{\"a\":2.0}", true },
        { "{\"a\":{\"$gte\":2}}", "{\"a\":1}", false },
        { "{\"a\":{\"$lt\":2}}", "{\"a\":1}", true },
        { "{\"a\":{\"$lt\":2}}", "{\"a\":2}", false },
        { "{\"a\":{\"$lte\":2}}", "{\"a\":2}", true },
        { "{\"a\":{\"$lte\":2}}", "{\"a\":3}", false },
        { "{\"a\":{\"$gt\":\"a\"}}", "{\"a\":\"b\"}", true },
        { "{\"a\":{\"$gt\":\"a\"}}", "{\"a\":\"a\"}", false },
        { "{\"a\":{\"$gt\":\"a\"}}", "{\"a\":\"aa\"}", true },
        { "{\"a\":{\"$gte\":\"\"}}", "{\"a\":\"\"}", true },
        { "{\"a\":{\"$lt\":\"2024-02-01\"}}", "{\"a\":\"2024-01-31T23:59:59Z\"}", true },
        { "{\"a\":{\"$gt\":\"z\"}}", "{\"a\":\"\xC3\xA9\"}", true },
        { "{\"a\":{\"$gt\":false}}", "{\"a\":true}", true },
        { "{\"a\":{\"$gt\":false}}", "{\"a\":false}", false },
        { "{\"a\":{\"$gte\":1,\"$lt\":5}}", "{\"a\":3}", true },
        { "{\"a\":{\"$gte\":1,\"$lt\":5}}", "{\"a\":5}", false },
        { "{\"a\":{\"$gte\":1,\"$lt\":5}}", "{\"a\":[0,9]}", true }, /* one element each */
        { "{\"a\":{\"$in\":[1,\"x\",null]}}", "{\"a\":\"x\"}", true },
        { "{\"a\":{\"$in\":[1,\"x\",null]}}", "{}", true },
        { "{\"a\":{\"$in\":[1,\"x\"]}}", "{}", false },
        { "{\"a\":{\"$in\":[1,\"x\"]}}", "{\"a\":[7,[1]]}", true },
        { "{\"a\":{\"$in\":[[7,1]]}}", "{\"a\":[7,1]}", true },
        { "{\"a\":{\"$in\":[]}}", "{\"a\":1}", false },
        { "{\"a\":{\"$nin\":[]}}", "{\"a\":1}", true },
        { "{\"a\":{\"$nin\":[1,2]}}", "{\"a\":2}", false },
        { "{\"a\":{\"$nin\":[1,2]}}", "{\"a\":3}", true },
        { "{\"a\":{\"$nin\":[1,2]}}", "{}", true },
        { "{\"a\":{\"$nin\":[1,null]}}", "{}", false },
        { "{\"a\":{\"$exists\":true}}", "{\"a\":null}", true },
        { "{\"a\":{\"$exists\":true}}", "{}", false },
        { "{\"a\":{\"$exists\":false}}", "{}", true },
        { "{\"a\":{\"$exists\":false}}", "{\"a\":[]}", false },
        { "{\"a.b\":{\"$exists\":true}}", "{\"a\":[1,{\"b\":2}]}", true },
        { "{\"a.b\":{\"$gt\":1}}", "{\"a\":{\"b\":2}}", true },
        { "{\"a.b\":{\"$gt\":1}}", "{\"a.b\":2}", true },
        { "{\"a.b\":{\"$gt\":1}}", "{\"a\":[{\"b\":0},{\"b\":2}]}", true },
        { "{\"a\":{\"$not\":{\"$gt\":1}}}", "{\"a\":1}", true },
        { "{\"a\":{\"$not\":{\"$gt\":1}}}", "{\"a\":2}", false },
        { "{\"a\":{\"$not\":{\"$gt\":1}}}", "{}", true },
        { "{\"a\":{\"$not\":{\"$not\":{\"$gt\":1}}}}", "{\"a\":2}", true },
        { "{\"a\":{\"$not\":{\"$gt\":1,\"$lt\":5}}}", "{\"a\":7}", true },
        { "{\"$not\":{\"a\":1}}", "{\"a\":2}", true },
        { "{\"$not\":{\"a\":1}}", "{\"a\":1}", false },
        { "{\"$not\":{\"a\":1,\"b\":2}}", "{\"a\":1}", true },
        { "{\"$not\":{}}", "{\"a\":1}", false },
        { "{\"$and\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1,\"b\":2}", true },
        { "{\"$and\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1}", false },
        { "{\"$and\":[{}]}", "{\"a\":1}", true },
        { "{\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2}", true },
        { "{\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"b\":3}", false },
        { "{\"$or\":[{\"a\":1}],\"b\":2}", "{\"a\":1}", false },
        { "{\"$or\":[{\"a\":1}],\"b\":2}", "{\"a\":1,\"b\":2}", true },
        { "{\"$or\":[{\"$and\":[{\"a\":{\"$gt\":1}},{\"a\":{\"$lt\":3}}]},{\"b\":{\"$in\":[5]}}]}",
          "{\"a\":2}", true },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        expect_match(ROWS[i].filter, ROWS[i].metadata, ROWS[i].want);
    }
}

static void expect_faults(const char *text, const char *want)
{
    json_t *json = parse(text);
    json_t *loc = json_pack("[s]", "filter");
    struct cx_faults faults;
    struct cx_vector_filter *filter = NULL;
    cx_faults_init(&faults);
    EXPECT(!cx_vector_filter_parse(json, loc, &faults, &filter));
    char found[512] = "";
    for (size_t i = 0; i < json_array_size(faults.list); i++) {
        const json_t *one = json_array_get(faults.list, i);
        char *path = json_dumps(json_object_get(one, "loc"), JSON_COMPACT);
        const size_t len = strlen(found);
        snprintf(found + len, sizeof found - len, "%s%s %s", i > 0 ? "; " : "", path,
                 json_string_value(json_object_get(one, "type")));
        free(path);
    }
    (void)test_expect(want == NULL || strcmp(found, want) == 0, __FILE__, __LINE__,
                      "%s: %s instead of %s", text, found, want != NULL ? want : "a fault");
    cx_faults_free(&faults);
    json_decref(loc);
    json_decref(json);
}

TEST(filter_refusals)
{
    static const struct {
        const char *text;
        const char *faults;
    } ROWS[] = {
        { "[1]", "[\"filter\"] type" },
        { "\"a\"", "[\"filter\"] type" },
        { "{\"a\":{\"$frob\":1}}", "[\"filter\",\"a\",\"$frob\"] value" },
        { "{\"$frob\":1}", "[\"filter\",\"$frob\"] value" },
        { "{\"$gt\":1}", "[\"filter\",\"$gt\"] value" },
        { "{\"a\":{\"$or\":[]}}", "[\"filter\",\"a\",\"$or\"] value" },
        { "{\"$or\":{}}", "[\"filter\",\"$or\"] type" },
        { "{\"$or\":[]}", "[\"filter\",\"$or\"] length" },
        { "{\"$and\":[{},2]}", "[\"filter\",\"$and\",1] type" },
        { "{\"$not\":[]}", "[\"filter\",\"$not\"] type" },
        { "{\"a\":{\"$not\":1}}", "[\"filter\",\"a\",\"$not\"] type" },
        { "{\"a\":{\"$not\":{}}}", "[\"filter\",\"a\",\"$not\"] type" },
        { "{\"a\":{\"$in\":1}}", "[\"filter\",\"a\",\"$in\"] type" },
        { "{\"a\":{\"$in\":[{\"$eq\":1}]}}", "[\"filter\",\"a\",\"$in\",0,\"$eq\"] value" },
        { "{\"a\":{\"$exists\":1}}", "[\"filter\",\"a\",\"$exists\"] type" },
        { "{\"a\":{\"$gt\":null}}", "[\"filter\",\"a\",\"$gt\"] type" },
        { "{\"a\":{\"$lte\":[1]}}", "[\"filter\",\"a\",\"$lte\"] type" },
        { "{\"a\":{\"$gt\":1,\"b\":2}}", "[\"filter\",\"a\",\"b\"] value" },
        { "{\"a\":{\"b\":{\"$gt\":1}}}", "[\"filter\",\"a\",\"b\",\"$gt\"] value" },
        { "{\"a\":[{\"$gt\":1}]}", "[\"filter\",\"a\",0,\"$gt\"] value" },
        { "{\"a\":{\"$x\":1},\"$or\":[{\"b\":{\"$in\":3}},4],\"c\":{\"$exists\":null}}",
          "[\"filter\",\"a\",\"$x\"] value; [\"filter\",\"$or\",0,\"b\",\"$in\"] type; "
          "[\"filter\",\"$or\",1] type; [\"filter\",\"c\",\"$exists\"] type" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        expect_faults(ROWS[i].text, ROWS[i].faults);
    }
}

/* What many times over, between what; `closed` times more at the end. */
static void write_filter(struct cx_buf *text, const char *before, const char *one, int count,
                         const char *after, const char *closed)
{
    cx_buf_clear(text);
    cx_buf_puts(text, before);
    for (int i = 0; i < count; i++) {
        cx_buf_puts(text, one);
    }
    cx_buf_puts(text, after);
    for (int i = 0; i < count; i++) {
        cx_buf_puts(text, closed);
    }
    cx_buf_putc(text, '\0');
}

TEST(filter_ceilings)
{
    static const struct {
        const char *before;
        const char *one;
        const char *after;
        const char *closed;
        int most;
        const char *fault; /* NULL: where it is does not matter */
    } ROWS[] = {
        { "", "{\"$not\":", "{\"a\":1}", "}", 16, NULL },
        { "{\"a\":", "{\"$not\":", "{\"$gt\":1}}", "}", 16, NULL },
        { "{\"$or\":[", "{\"a\":1},", "{\"a\":2}]}", "", 1022, "[\"filter\"] length" },
        { "{\"a\":{\"$in\":[", "1,", "2]}}", "", 9999, "[\"filter\"] length" },
        { "{\"", "k", "\":1}", "", VECTOR__PATH_BYTES, "[\"filter\"] length" },
        { "{\"a\":{\"$gt\":\"", "k", "\"}}", "", VECTOR__STRING_BYTES,
          "[\"filter\",\"a\",\"$gt\"] length" },
    };
    struct cx_buf text;
    cx_buf_init(&text, (size_t)1 << 20);
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        json_t *json = NULL;
        struct cx_vector_filter *filter = NULL;
        write_filter(&text, ROWS[i].before, ROWS[i].one, ROWS[i].most, ROWS[i].after,
                     ROWS[i].closed);
        EXPECT(filter_parse(text.data, &json, &filter));
        cx_vector_filter_free(&filter);
        json_decref(json);
        write_filter(&text, ROWS[i].before, ROWS[i].one, ROWS[i].most + 1, ROWS[i].after,
                     ROWS[i].closed);
        expect_faults(text.data, ROWS[i].fault);
    }
    cx_buf_free(&text);
}

/* Whatever is wrong, and however often, reading it ends soon: it is read on the loop. */
TEST(filter_with_many_faults)
{
    static const struct {
        const char *before;
        const char *one;
        const char *after;
        size_t faults;
    } ROWS[] = {
        { "{\"$or\":[", "1,", "1]}", 100 },
        { "{\"a\":{\"b\":[", "{\"$x\":1},", "1]}}", 100 },
        { "{\"a\":{\"$in\":[", "{\"$x\":1},", "1]}}", 100 },
        { "{\"a\":[", "[1],", "1]}", 1 },
    };
    struct cx_buf text;
    cx_buf_init(&text, (size_t)1 << 20);
    json_t *loc = json_pack("[s]", "filter");
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        write_filter(&text, ROWS[i].before, ROWS[i].one, 20000, ROWS[i].after, "");
        json_t *json = parse(text.data);
        struct cx_vector_filter *filter = NULL;
        struct cx_faults faults;
        cx_faults_init(&faults);
        EXPECT(!cx_vector_filter_parse(json, loc, &faults, &filter));
        EXPECT_INT(faults.count, ROWS[i].faults);
        cx_faults_free(&faults);
        json_decref(json);
    }
    json_decref(loc);
    cx_buf_free(&text);
}

/* An object of so many members is a value that is too large, whatever their names. */
TEST(filter_with_many_members)
{
    json_t *members = json_object();
    for (int i = 0; i < 10001; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%s%d", i == 10000 ? "$" : "k", i);
        (void)json_object_set_new(members, name, json_true());
    }
    json_t *json = json_pack("{s:o}", "a", members);
    json_t *loc = json_pack("[s]", "filter");
    struct cx_vector_filter *filter = NULL;
    struct cx_faults faults;
    cx_faults_init(&faults);
    EXPECT(!cx_vector_filter_parse(json, loc, &faults, &filter));
    EXPECT_INT(faults.count, 1);
    cx_faults_free(&faults);
    json_decref(loc);
    json_decref(json);
}

static void report(const char *which, const json_t *filter, const json_t *metadata, bool want)
{
    char *a = json_dumps(filter, JSON_ENCODE_ANY);
    char *b = json_dumps(metadata, 0);
    (void)test_expect(false, __FILE__, __LINE__, "%s: %s on %s is not %d", which, a, b, want);
    free(a);
    free(b);
}

/* Many documents that come, change and go, and filters asked of all of them. */
TEST(filters_say_what_a_naive_one_says)
{
    enum { SLOTS = 300, ROUNDS = 60, FILTERS = 40 };
    uint64_t state = 11;
    struct vector__facets facets;
    static json_t *documents[SLOTS];
    struct cx_err err = { "" };
    size_t matches = 0;
    vector__facets_init(&facets);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SLOTS / 4; i++) {
            const size_t slot = draw(&state) % SLOTS;
            json_decref(documents[slot]);
            documents[slot] = draw(&state) % 4 > 0 ? draw_metadata(&state) : NULL;
            if (documents[slot] != NULL) {
                vector__facets_set(&facets, (uint32_t)slot, documents[slot]);
            } else {
                vector__facets_remove(&facets, (uint32_t)slot);
            }
        }
        for (int i = 0; i < FILTERS; i++) {
            json_t *json = draw_filter(&state, 3);
            json_t *loc = json_array();
            struct cx_faults faults;
            struct cx_vector_filter *filter = NULL;
            struct vector__allowed allowed;
            cx_faults_init(&faults);
            REQUIRE(cx_vector_filter_parse(json, loc, &faults, &filter));
            REQUIRE(vector__filter_ask(filter, &facets, &allowed, &err) == CX_OK);
            size_t count = 0;
            for (size_t slot = 0; slot < SLOTS; slot++) {
                if (documents[slot] == NULL) {
                    EXPECT(allowed.all || !vector__allows(&allowed, slot));
                    continue;
                }
                const bool want = naive_filter(json, documents[slot]);
                count += want ? 1 : 0;
                if (vector__filter_holds(filter, documents[slot]) != want) {
                    report("one", json, documents[slot], want);
                }
                if (vector__allows(&allowed, slot) != want) {
                    report("all", json, documents[slot], want);
                }
            }
            EXPECT(allowed.all || allowed.count == count);
            for (size_t k = 0; allowed.slots != NULL && k < allowed.count; k++) {
                EXPECT(vector__allows(&allowed, allowed.slots[k]));
                EXPECT(k == 0 || allowed.slots[k] > allowed.slots[k - 1]);
            }
            matches += count;
            vector__allowed_free(&allowed);
            cx_vector_filter_free(&filter);
            json_decref(loc);
            json_decref(json);
        }
    }
    EXPECT(matches > 100000 && matches < 500000);
    for (size_t slot = 0; slot < SLOTS; slot++) {
        vector__facets_remove(&facets, (uint32_t)slot);
        json_decref(documents[slot]);
    }
    EXPECT_INT(facets.facet_table.count, 0);
    EXPECT_INT(facets.field_table.count, 0);
    EXPECT(facets.bytes < 300000);
    vector__facets_free(&facets);
}

/* Many values in one field, of every kind, most of them of one document. */
static json_t *draw_one_of_many(uint64_t *state)
{
    char text[600];
    json_t *value = NULL;
    switch (draw(state) % 12) {
    case 0:
    case 1:
    case 2:
        return json_integer((json_int_t)(draw(state) % 5000) - 2500);
    case 3:
    case 4:
    case 5:
        return json_real((double)((int64_t)(draw(state) % 500000) - 250000) / 128);
    case 6:
        return json_real(ldexp((double)(draw(state) % 100) - 50, 60));
    case 7:
        return json_integer((json_int_t)draw(state));
    case 8:
        snprintf(text, sizeof text, "%llu", (unsigned long long)(draw(state) % 4000));
        return json_string(text);
    case 9: /* equal in more bytes than are kept of them */
        snprintf(text, sizeof text, "%0*d%llu", (int)(250 + draw(state) % 8), 0,
                 (unsigned long long)(draw(state) % 20));
        return json_string(text);
    case 10:
        return json_boolean(draw(state) % 2);
    default:
        value = json_array();
        for (uint64_t i = draw(state) % 3; i > 0; i--) {
            json_array_append_new(value, json_integer((json_int_t)(draw(state) % 5000) - 2500));
        }
        return value;
    }
}

static void expect_range(const struct vector__facets *facets, json_t *const *documents,
                         size_t slots, const char *word, const json_t *operand)
{
    json_t *json = json_pack("{s:{s:O}}", "v", word, operand);
    json_t *loc = json_array();
    struct cx_faults faults;
    struct cx_vector_filter *filter = NULL;
    struct vector__allowed allowed;
    struct cx_err err = { "" };
    cx_faults_init(&faults);
    REQUIRE(cx_vector_filter_parse(json, loc, &faults, &filter));
    REQUIRE(vector__filter_ask(filter, facets, &allowed, &err) == CX_OK);
    for (size_t slot = 0; slot < slots; slot++) {
        const bool want = documents[slot] != NULL && naive_filter(json, documents[slot]);
        if (vector__allows(&allowed, slot) != want) {
            report("range", json, documents[slot], want);
        }
    }
    vector__allowed_free(&allowed);
    cx_vector_filter_free(&filter);
    json_decref(loc);
    json_decref(json);
}

TEST(ranges_over_many_values)
{
    enum { SLOTS = 3000, ROUNDS = 8, RANGES = 25 };
    static const char *const WORDS[] = { "$gt", "$gte", "$lt", "$lte", "$eq" };
    static json_t *documents[SLOTS];
    uint64_t state = 5;
    for (int arrays = 0; arrays < 2; arrays++) {
        struct vector__facets facets;
        vector__facets_init(&facets);
        for (int round = 0; round < ROUNDS; round++) {
            for (size_t slot = 0; slot < SLOTS; slot++) {
                if (round > 0 && draw(&state) % 4 > 0) {
                    continue;
                }
                json_t *value = draw_one_of_many(&state);
                if (json_is_array(value) && arrays == 0) {
                    json_decref(value);
                    value = NULL;
                }
                json_decref(documents[slot]);
                documents[slot] = value != NULL ? json_pack("{s:o}", "v", value) : NULL;
                if (value != NULL) {
                    vector__facets_set(&facets, (uint32_t)slot, documents[slot]);
                } else {
                    vector__facets_remove(&facets, (uint32_t)slot);
                }
            }
            for (int i = 0; i < RANGES; i++) {
                json_t *operand = draw_one_of_many(&state);
                const char *word = WORDS[draw(&state) % CX_ARRAY_LEN(WORDS)];
                if (!json_is_array(operand) &&
                    (json_string_length(operand) <= VECTOR__STRING_BYTES || word[1] == 'e')) {
                    expect_range(&facets, documents, SLOTS, word, operand);
                }
                json_decref(operand);
            }
        }
        for (size_t slot = 0; slot < SLOTS; slot++) {
            vector__facets_remove(&facets, (uint32_t)slot);
            json_decref(documents[slot]);
            documents[slot] = NULL;
        }
        EXPECT_INT(facets.facet_table.count, 0);
        EXPECT_INT(facets.field_table.count, 0);
        EXPECT(facets.bytes < 500000);
        vector__facets_free(&facets);
    }
}
