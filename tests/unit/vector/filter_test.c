/* SPDX-License-Identifier: MIT
 *
 * The meaning of filters by a table, for the exact form and the fast one; then both against each
 * other on drawn metadata.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"
#include "fixture.h"
#include "vector/filter.h"

static const struct vector__facet_key KEY = { { 1, 2, 3 } };

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    struct cx_err err = { "" };
    (void)test_expect(cx_json_parse(cx_str_of(text), &value, &err) == CX_OK, __FILE__, __LINE__,
                      "%s: %s", text, err.text);
    return value;
}

static void expect_match(const char *filter_text, const char *metadata_text, bool want)
{
    json_t *filter_json = parse(filter_text);
    json_t *metadata = parse(metadata_text);
    struct vector__filter filter;
    struct cx_err err = { "" };
    if (test_expect(vector__filter_init(filter_json, &KEY, &filter, &err) == CX_OK, __FILE__,
                    __LINE__, "%s: %s", filter_text, err.text)) {
        uint64_t *facets = NULL;
        size_t count = 0;
        vector__facets_of(metadata, &KEY, &facets, &count);
        (void)test_expect(vector__filter_exact(&filter, metadata) == want, __FILE__, __LINE__,
                          "exact: %s on %s", filter_text, metadata_text);
        (void)test_expect(vector__filter_facets(&filter, facets, count) == want, __FILE__, __LINE__,
                          "facets: %s on %s", filter_text, metadata_text);
        free(facets);
        vector__filter_free(&filter);
    }
    json_decref(filter_json);
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
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        expect_match(ROWS[i].filter, ROWS[i].metadata, ROWS[i].want);
    }
}

TEST(filter_refusals)
{
    static const char *const TEXTS[] = {
        "{\"$or\":[{\"a\":1}]}",
        "{\"a\":{\"$gt\":1}}",
        "{\"a\":{\"$eq\":1}}",
        "{\"a\":[{\"$in\":[1]}]}",
        "[1]",
        "\"a\"",
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(TEXTS); i++) {
        json_t *json = parse(TEXTS[i]);
        struct vector__filter filter;
        struct cx_err err = { "" };
        EXPECT_INT(vector__filter_init(json, &KEY, &filter, &err), CX_INVALID);
        EXPECT(err.text[0] != '\0');
        json_decref(json);
    }
    json_t *json = parse("{\"a\":{\"$gt\":1}}");
    struct vector__filter filter;
    struct cx_err err = { "" };
    EXPECT_INT(vector__filter_init(json, &KEY, &filter, &err), CX_INVALID);
    EXPECT(strstr(err.text, "\"$gt\"") != NULL);
    json_decref(json);

    char *text = malloc(3000);
    snprintf(text, 3000, "{\"%0*d\":1}", VECTOR__PATH_BYTES + 1, 0);
    json = parse(text);
    EXPECT_INT(vector__filter_init(json, &KEY, &filter, &err), CX_INVALID);
    json_decref(json);
    free(text);
}

static json_t *draw_value(uint64_t *state, int depth)
{
    static const char *const WORDS[] = { "a", "b", "a.b", "" };
    json_t *value = NULL;
    switch (draw(state) % (depth > 0 ? 8 : 6)) {
    case 0:
        return json_null();
    case 1:
        return json_integer((json_int_t)(draw(state) % 3));
    case 2:
        return json_real((double)(draw(state) % 4) / 2);
    case 3:
        return json_string(WORDS[draw(state) % 4]);
    case 4:
        return json_boolean(draw(state) % 2 == 0);
    case 5:
        return json_integer(1);
    case 6:
        value = json_array();
        for (uint64_t i = draw(state) % 4; i > 0; i--) {
            (void)json_array_append_new(value, draw_value(state, depth - 1));
        }
        return value;
    default:
        value = json_object();
        for (uint64_t i = draw(state) % 4; i > 0; i--) {
            (void)json_object_set_new(value, WORDS[draw(state) % 4], draw_value(state, depth - 1));
        }
        return value;
    }
}

TEST(facets_say_what_the_exact_filter_says)
{
    uint64_t state = 7;
    static const char *const PATHS[] = { "a", "b", "a.b", "a.b.a", "", ".a", "b.a" };
    size_t matches = 0;
    for (int i = 0; i < 20000; i++) {
        json_t *metadata = NULL;
        do {
            json_decref(metadata);
            metadata = draw_value(&state, 3);
        } while (!json_is_object(metadata));
        json_t *json = json_object();
        for (uint64_t n = 1 + draw(&state) % 2; n > 0; n--) {
            (void)json_object_set_new(json, PATHS[draw(&state) % CX_ARRAY_LEN(PATHS)],
                                      draw_value(&state, 2));
        }
        struct vector__filter filter;
        struct cx_err err = { "" };
        REQUIRE(vector__filter_init(json, &KEY, &filter, &err) == CX_OK);
        uint64_t *facets = NULL;
        size_t count = 0;
        vector__facets_of(metadata, &KEY, &facets, &count);
        const bool exact = vector__filter_exact(&filter, metadata);
        matches += exact ? 1 : 0;
        if (vector__filter_facets(&filter, facets, count) != exact) {
            char *a = json_dumps(json, JSON_ENCODE_ANY);
            char *b = json_dumps(metadata, 0);
            (void)test_expect(false, __FILE__, __LINE__, "%s on %s: exact says %d", a, b, exact);
            free(a);
            free(b);
        }
        free(facets);
        vector__filter_free(&filter);
        json_decref(json);
        json_decref(metadata);
    }
    EXPECT(matches > 1000);
}
