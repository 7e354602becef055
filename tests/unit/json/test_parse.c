/* SPDX-License-Identifier: MIT
 *
 * What the parser takes, what it refuses and at which byte; and jansson's own parser as a second
 * opinion.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    struct cx_err err = { "" };
    const enum cx_status status = cx_json_parse(cx_str_of(text), &value, &err);
    (void)test_expect(status == CX_OK, __FILE__, __LINE__, "%s: %s", text, err.text);
    return value;
}

/* The text must be refused with exactly these words. */
static void expect_refused_bytes(const char *text, size_t len, const char *want, int line)
{
    json_t untouched;
    json_t *value = &untouched;
    struct cx_err err = { "" };
    /* A copy of just this size, so that a byte read too far is seen by the sanitizer. */
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, text, len);
    const enum cx_status status = cx_json_parse((struct cx_str){ copy, len }, &value, &err);
    free(copy);
    (void)test_expect(status == CX_BAD_REQUEST, __FILE__, line, "%s: status %s", text,
                      cx_status_name(status));
    (void)test_expect(value == &untouched, __FILE__, line, "%s: out was written", text);
    (void)test_expect_str(err.text, want, __FILE__, line);
}

#define EXPECT_REFUSED(text, want) expect_refused_bytes((text), sizeof(text) - 1, (want), __LINE__)

TEST(parse_takes_any_type_at_the_top)
{
    static const struct {
        const char *text;
        json_type type;
    } texts[] = {
        { "{}", JSON_OBJECT },   { "[]", JSON_ARRAY },          { "\"\"", JSON_STRING },
        { "0", JSON_INTEGER },   { "-0", JSON_INTEGER },        { "0.0", JSON_REAL },
        { "1e2", JSON_REAL },    { " \t\r\ntrue ", JSON_TRUE }, { "false", JSON_FALSE },
        { "null\n", JSON_NULL },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(texts); i++) {
        json_t *value = parse(texts[i].text);
        REQUIRE(value != NULL);
        EXPECT_INT(json_typeof(value), texts[i].type);
        json_decref(value);
    }
}

TEST(parse_nested_values)
{
    json_t *value =
        parse(" { \"a\" : [ 1 , 2.5 , \"x\" , { } , [ ] , null ] , \"\" : { \"b\":true } } ");
    REQUIRE(value != NULL);
    json_t *want = json_pack("{s:[i,f,s,{},[],n],s:{s:b}}", "a", 1, 2.5, "x", "", "b", 1);
    EXPECT(json_equal(value, want));
    EXPECT_STR(json_object_iter_key(json_object_iter(value)), "a");
    json_decref(value);
    json_decref(want);
}

static void expect_string(const char *text, const char *want, size_t want_len, int line)
{
    json_t *value = parse(text);
    if (value != NULL) {
        (void)test_expect_bytes(json_string_value(value), json_string_length(value), want, want_len,
                                __FILE__, line);
        json_decref(value);
    }
}
#define EXPECT_STRING(text, want) expect_string((text), (want), sizeof(want) - 1, __LINE__)

TEST(parse_strings)
{
    EXPECT_STRING("\"plain, more than eight bytes\"", "plain, more than eight bytes");
    EXPECT_STRING("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    EXPECT_STRING("\"before \\n between \\t after\"", "before \n between \t after");
    EXPECT_STRING("\"\\u0041\\u00e9\\u20ac\\u20AC\\ud83d\\uDE00\"", "Aé€€😀");
    EXPECT_STRING("\"é€😀\x7f\"", "é€😀\x7f");
    EXPECT_STRING("\"\\u0001\\u001f\\uffff\\ufffe\\udbff\\udfff\"",
                  "\x01\x1f\xef\xbf\xbf\xef\xbf\xbe\xf4\x8f\xbf\xbf");
    EXPECT_STRING("\"\xef\xbb\xbf\"", "\xef\xbb\xbf"); /* inside a string it is a character */
    EXPECT_STRING("\"12345678\\n\"", "12345678\n");
    EXPECT_STRING("\"1234567é\\n\"", "1234567é\n");
}

/* Names and values with escapes share one scratch buffer. */
TEST(parse_escaped_names_around_escaped_values)
{
    json_t *value =
        parse("{\"a\\tb\":{\"c\\nd\":\"e\\\"f\",\"\\u0067\":[\"\\\\\",{\"\\/\":\"\\r\"}]},"
              "\"h\\\\\":\"plain\"}");
    REQUIRE(value != NULL);
    json_t *want = json_pack("{s:{s:s,s:[s,{s:s}]},s:s}", "a\tb", "c\nd", "e\"f", "g", "\\", "/",
                             "\r", "h\\", "plain");
    EXPECT(json_equal(value, want));
    json_decref(value);
    json_decref(want);
}

TEST(parse_integers)
{
    static const struct {
        const char *text;
        int64_t want;
    } integers[] = {
        { "0", 0 },
        { "-0", 0 },
        { "7", 7 },
        { "-123", -123 },
        { "9007199254740993", INT64_C(9007199254740993) },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
        { "-9223372036854775807", -INT64_MAX },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(integers); i++) {
        json_t *value = parse(integers[i].text);
        REQUIRE(json_is_integer(value));
        EXPECT_INT(json_integer_value(value), integers[i].want);
        json_decref(value);
    }
    EXPECT_REFUSED("[1, 9223372036854775808]", "byte 4: an integer does not fit into 64 bits");
    EXPECT_REFUSED("-9223372036854775809", "byte 0: an integer does not fit into 64 bits");
    EXPECT_REFUSED("18446744073709551616", "byte 0: an integer does not fit into 64 bits");
    EXPECT_REFUSED("10000000000000000000", "byte 0: an integer does not fit into 64 bits");
    EXPECT_REFUSED("100000000000000000000000000000000000",
                   "byte 0: an integer does not fit into 64 bits");
}

TEST(parse_reals_as_strtod_does)
{
    static const char *const fixed[] = {
        "0.1",
        "-0.0",
        "0e5",
        "0.0e-99999999999999999999",
        "1e22",
        "1e23",
        "123456789012345678e-5",
        "9007199254740993.0",
        "9007199254740992.9999999",
        "2.2250738585072011e-308",
        "5e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1e-400",
        "18014398509481985.0",
        "18014398509481987.0",
        "0.000000000000000000000000000000000000000000000000000001e54",
        "1.0E+2",
        "1e-0",
        "1e+00007",
        "9999999999999999999.0",
        "99999999999999999999.0",
        "8.5e-27",
        "123456789012345678.9e-27",
        "0.30000000000000004",
        "-0.006929283495992422",
        "4503599627370496.5",
        "4503599627370497.5",
        "9007199254740995.0",
        "1e27",
        "9223372036854775809e27",
        "1e28",
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(fixed); i++) {
        json_t *value = parse(fixed[i]);
        REQUIRE(json_is_real(value));
        const double got = json_real_value(value);
        const double want = strtod(fixed[i], NULL);
        (void)test_expect(memcmp(&got, &want, sizeof got) == 0, __FILE__, __LINE__,
                          "%s: got %.17g, want %.17g", fixed[i], got, want);
        json_decref(value);
    }
    struct cx_random random;
    cx_random_init(&random);
    for (int i = 0; i < 50000; i++) {
        uint64_t bits[2];
        char text[64];
        cx_random_fill(&random, bits, sizeof bits);
        (void)snprintf(text, sizeof text, "%llu.%llue%d", (unsigned long long)(bits[0] >> (i % 64)),
                       (unsigned long long)(bits[1] >> (i / 64 % 64)), (int)(bits[0] % 80) - 40);
        json_t *value = parse(text);
        REQUIRE(json_is_real(value));
        const double got = json_real_value(value);
        json_decref(value);
        REQUIRE(
            test_expect(got == strtod(text, NULL), __FILE__, __LINE__, "%s: got %.17g", text, got));
    }
}

/* 0.000…0001e100001 is 1: an exponent is not cut before the places have been counted. */
TEST(parse_exponents_that_the_places_make_up_for)
{
    const size_t zeros = 1000000;
    char *text = malloc(zeros + 32);
    text[0] = '0';
    text[1] = '.';
    memset(text + 2, '0', zeros);
    (void)strcpy(text + 2 + zeros, "1e1000001");
    json_t *value = parse(text);
    EXPECT(json_real_value(value) == 1.0);
    json_decref(value);
    (void)strcpy(text + 2 + zeros, "1e10000010");
    EXPECT(cx_json_parse(cx_str_of(text), &value, NULL) == CX_BAD_REQUEST);
    free(text);
}

TEST(parse_refuses_what_is_no_json)
{
    EXPECT_REFUSED("", "byte 0: a value is expected, but the text ends");
    EXPECT_REFUSED(" \n", "byte 2: a value is expected, but the text ends");
    EXPECT_REFUSED("[1,}", "byte 3: a value is expected");
    EXPECT_REFUSED("[1,]", "byte 3: a value is expected");
    EXPECT_REFUSED("[,1]", "byte 1: a value is expected");
    EXPECT_REFUSED("[1", "byte 2: ',' or ']' is expected, but the text ends");
    EXPECT_REFUSED("[", "byte 1: a value is expected, but the text ends");
    EXPECT_REFUSED("[1 2]", "byte 3: ',' or ']' is expected");
    EXPECT_REFUSED("{\"a\":1,}", "byte 7: a member's name in quotes is expected");
    EXPECT_REFUSED("{a:1}", "byte 1: a member's name in quotes is expected");
    EXPECT_REFUSED("{", "byte 1: a member's name in quotes is expected, but the text ends");
    EXPECT_REFUSED("{\"a\" 1}", "byte 5: ':' is expected");
    EXPECT_REFUSED("{\"a\":}", "byte 5: a value is expected");
    EXPECT_REFUSED("{\"a\":1 \"b\":2}", "byte 7: ',' or '}' is expected");
    EXPECT_REFUSED("1 2", "byte 2: nothing may follow the JSON text");
    EXPECT_REFUSED("{}x", "byte 2: nothing may follow the JSON text");
    EXPECT_REFUSED("]", "byte 0: a value is expected");
    EXPECT_REFUSED("tru", "byte 0: a value is expected");
    EXPECT_REFUSED("[truex]", "byte 5: ',' or ']' is expected");
    EXPECT_REFUSED("NaN", "byte 0: a value is expected");
    EXPECT_REFUSED("[Infinity]", "byte 1: a value is expected");
    EXPECT_REFUSED("-Infinity", "byte 1: a digit is expected");
    EXPECT_REFUSED("'a'", "byte 0: a value is expected");
    EXPECT_REFUSED("[1]//", "byte 3: nothing may follow the JSON text");
    EXPECT_REFUSED("\xef\xbb\xbf{}", "byte 0: a byte order mark is not allowed");
    EXPECT_REFUSED("[\xff]", "byte 1: a value is expected");
    EXPECT_REFUSED("\f1", "byte 0: a value is expected");
}

TEST(parse_refuses_numbers_of_other_languages)
{
    EXPECT_REFUSED("01", "byte 0: a number must not start with a superfluous zero");
    EXPECT_REFUSED("-01", "byte 0: a number must not start with a superfluous zero");
    EXPECT_REFUSED("-", "byte 1: a digit is expected, but the text ends");
    EXPECT_REFUSED("+1", "byte 0: a value is expected");
    EXPECT_REFUSED(".5", "byte 0: a value is expected");
    EXPECT_REFUSED("5.", "byte 2: a digit is expected, but the text ends");
    EXPECT_REFUSED("5.e1", "byte 2: a digit is expected");
    EXPECT_REFUSED("5e", "byte 2: a digit is expected, but the text ends");
    EXPECT_REFUSED("5e+]", "byte 3: a digit is expected");
    EXPECT_REFUSED("0x10", "byte 1: nothing may follow the JSON text");
    EXPECT_REFUSED("1_000", "byte 1: nothing may follow the JSON text");
    EXPECT_REFUSED("1,5", "byte 1: nothing may follow the JSON text");
    EXPECT_REFUSED("[1e400]", "byte 1: a number is too large");
    EXPECT_REFUSED("-1.8e308", "byte 0: a number is too large");
    EXPECT_REFUSED("1e99999999999999999999999", "byte 0: a number is too large");
}

TEST(parse_refuses_strings_that_are_none)
{
    EXPECT_REFUSED("\"abc", "byte 4: the text ends inside a string");
    EXPECT_REFUSED("\"abc\\", "byte 4: an escape that JSON does not have");
    EXPECT_REFUSED("\"\\q\"", "byte 1: an escape that JSON does not have");
    EXPECT_REFUSED("\"\\'\"", "byte 1: an escape that JSON does not have");
    EXPECT_REFUSED("\"\\x41\"", "byte 1: an escape that JSON does not have");
    EXPECT_REFUSED("\"\\U0041\"", "byte 1: an escape that JSON does not have");
    EXPECT_REFUSED("\"a\nb\"", "byte 2: a control character in a string must be escaped");
    EXPECT_REFUSED("\"12345678\x1f\"", "byte 9: a control character in a string must be escaped");
    EXPECT_REFUSED("\"\\u12g4\"", "byte 1: \\u is not followed by four hexadecimal digits");
    EXPECT_REFUSED("\"\\u123", "byte 1: \\u is not followed by four hexadecimal digits");
    EXPECT_REFUSED("\"ab\\u0000\"", "byte 3: \\u0000 is not allowed");
    EXPECT_REFUSED("{\"\\u0000\":1}", "byte 2: \\u0000 is not allowed");
    EXPECT_REFUSED("\"\\ud800\"", "byte 1: half of a surrogate pair");
    EXPECT_REFUSED("\"\\udc00\"", "byte 1: half of a surrogate pair");
    EXPECT_REFUSED("\"\\ud800\\u0041\"", "byte 1: half of a surrogate pair");
    EXPECT_REFUSED("\"\\ud800\\ud800\"", "byte 1: half of a surrogate pair");
    EXPECT_REFUSED("\"\\ud800\\n\"", "byte 1: half of a surrogate pair");
    EXPECT_REFUSED("\"\\ud83d\\ude0", "byte 1: half of a surrogate pair");
}

TEST(parse_refuses_what_is_no_utf8)
{
    EXPECT_REFUSED("\"\xff\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"a\x80\"", "byte 2: a string is not UTF-8");
    EXPECT_REFUSED("\"\xc3\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xc3", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xc0\xaf\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xc1\xbf\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xe0\x9f\xbf\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xed\xa0\x80\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xf0\x8f\xbf\xbf\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xf4\x90\x80\x80\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xf5\x80\x80\x80\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xe2\x82\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("\"\xf0\x9f\x98\"", "byte 1: a string is not UTF-8");
    EXPECT_REFUSED("{\"\xe2\x28\xa1\":1}", "byte 2: a string is not UTF-8");
}

TEST(parse_refuses_raw_nul)
{
    EXPECT_REFUSED("123\0", "byte 3: nothing may follow the JSON text");
    EXPECT_REFUSED("{}\0", "byte 2: nothing may follow the JSON text");
    EXPECT_REFUSED("\0", "byte 0: a value is expected");
    EXPECT_REFUSED("[1,\0", "byte 3: a value is expected");
    EXPECT_REFUSED("\"a\0b\"", "byte 2: a control character in a string must be escaped");
    EXPECT_REFUSED("\"\\\0\"", "byte 1: an escape that JSON does not have");
}

TEST(parse_refuses_repeated_names)
{
    EXPECT_REFUSED("{\"a\":1,\"a\":2}", "byte 7: a member's name is repeated");
    EXPECT_REFUSED("{\"a\":1,\"\\u0061\":2}", "byte 7: a member's name is repeated");
    EXPECT_REFUSED("{\"\\n\":1,\"b\":2,\"\\n\":3}", "byte 14: a member's name is repeated");
    EXPECT_REFUSED("[{\"\":1, \"\":{}}]", "byte 8: a member's name is repeated");
    json_decref(parse("{\"a\":{\"a\":{\"a\":1}},\"A\":2}"));
}

static void nest(char *text, size_t depth, const char *open, const char *close)
{
    text[0] = '\0';
    for (size_t i = 0; i < depth; i++) {
        (void)strcat(text, open);
    }
    (void)strcat(text, "1");
    for (size_t i = 0; i < depth; i++) {
        (void)strcat(text, close);
    }
}

TEST(parse_depth)
{
    char text[1024];
    nest(text, CX_JSON_DEPTH_MAX, "[", "]");
    json_decref(parse(text));
    nest(text, CX_JSON_DEPTH_MAX, "{\"a\":", "}");
    json_decref(parse(text));
    nest(text, CX_JSON_DEPTH_MAX + 1, "[", "]");
    expect_refused_bytes(text, strlen(text), "byte 64: arrays and objects are nested too deep",
                         __LINE__);
    nest(text, CX_JSON_DEPTH_MAX + 1, "{\"a\":", "}");
    expect_refused_bytes(text, strlen(text), "byte 320: arrays and objects are nested too deep",
                         __LINE__);
    /* Brackets in strings and brackets that were closed do not count. */
    json_decref(
        parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]"));
    text[0] = '\0';
    (void)strcat(text, "[");
    for (int i = 0; i < 100; i++) {
        (void)strcat(text, "[],{},");
    }
    (void)strcat(text, "0]");
    json_decref(parse(text));
}

TEST(parse_bounds_the_number_of_containers)
{
    const size_t count = CX_JSON_CONTAINERS_MAX;
    char *text = malloc(count * 3 + 8);
    text[0] = '[';
    for (size_t i = 0; i < count; i++) {
        memcpy(text + 1 + 3 * i, "[],", 3);
    }
    text[3 * count] = ']'; /* count arrays in one: one too many */
    json_t *value = NULL;
    struct cx_err err;
    const struct cx_str all = { text, 3 * count + 1 };
    EXPECT(cx_json_parse(all, &value, &err) == CX_BAD_REQUEST);
    EXPECT_STR(err.text, "byte 2999998: there are too many arrays and objects");
    text[3 * count - 3] = ']';
    const struct cx_str less = { text, 3 * count - 2 };
    EXPECT(cx_json_parse(less, &value, &err) == CX_OK);
    EXPECT_INT(json_array_size(value), count - 1);
    json_decref(value);
    free(text);
}

TEST(parse_wide_objects)
{
    const int count = 200000;
    struct cx_buf b;
    cx_buf_init(&b, 1 << 24);
    for (int i = 0; i < count; i++) {
        cx_buf_printf(&b, "%c\"name %d\":%d", i == 0 ? '{' : ',', i, i);
    }
    cx_buf_putc(&b, '}');
    json_t *value = parse(b.data);
    EXPECT_INT(json_object_size(value), count);
    EXPECT_INT(json_integer_value(json_object_get(value, "name 199999")), 199999);
    json_decref(value);
    cx_buf_free(&b);
}

TEST(parse_without_anyone_to_tell)
{
    json_t *value = NULL;
    EXPECT(cx_json_parse(CX_STR("[1"), &value, NULL) == CX_BAD_REQUEST);
    EXPECT(cx_json_parse((struct cx_str){ NULL, 0 }, &value, NULL) == CX_BAD_REQUEST);
    EXPECT(value == NULL);
}

/* Random damage to texts, judged by both parsers: jansson takes a NUL at the end of a number and is
 * given none here, all else must agree, and the values be equal. */
TEST(parse_agrees_with_jansson)
{
    static const char *const seeds[] = {
        "{\"query\":\"wörter € 😀\",\"top_k\":10,\"a\":[1,-2.5e3,true,false,null,\"\\u00e9\\n\"]}",
        "[0.1,-0,1e-5,123456789012345678901e0,9223372036854775807,{\"x\":{\"y\":[[]]}}]",
        "{\"\\u0061b\":\"\\ud83d\\ude00\",\"\":[{},\"\\\"\\\\\"],\"n\":-9223372036854775808}",
    };
    static const char bits[] = "\"\\{}[],:0123456789eE+-.truefalsn \tud8\xc3\xa9\xe2\xf0\x80\x1f";
    struct cx_random random;
    cx_random_init(&random);
    size_t taken = 0;
    for (int round = 0; round < 60000; round++) {
        char text[256];
        size_t len = strlen(seeds[round % 3]);
        memcpy(text, seeds[round % 3], len);
        uint32_t dice[8];
        cx_random_fill(&random, dice, sizeof dice);
        for (uint32_t i = 0; i < 1 + dice[7] % 3 && len > 1; i++) {
            const size_t at = dice[i] % len;
            const char byte = bits[dice[i + 3] % (sizeof bits - 1)];
            switch (dice[6] >> (4 * i) & 3) {
            case 0:
                text[at] = byte;
                break;
            case 1:
                memmove(text + at + 1, text + at, len - at);
                text[at] = byte;
                len++;
                break;
            case 2:
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
                break;
            default:
                len = dice[i + 3] % 8 == 0 ? at + 1 : len;
                break;
            }
        }
        json_error_t why;
        json_t *theirs = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
        json_t *ours = NULL;
        struct cx_err err = { "" };
        const enum cx_status status = cx_json_parse((struct cx_str){ text, len }, &ours, &err);
        const bool same =
            (theirs != NULL) == (status == CX_OK) && (theirs == NULL || json_equal(theirs, ours));
        taken += theirs != NULL ? 1 : 0;
        json_decref(theirs);
        json_decref(ours);
        REQUIRE(test_expect(same, __FILE__, __LINE__, "%.*s: ours %s, jansson's %s", (int)len, text,
                            err.text, why.text));
    }
    EXPECT(taken > 1000);
}

static size_t allocations_left;

static void *allocate_some(size_t size)
{
    if (allocations_left == 0) {
        return NULL;
    }
    allocations_left--;
    return malloc(size);
}

/* Fails the first allocation of jansson, then the second, until all succeed: nothing may leak. */
TEST(parse_without_memory)
{
    const struct cx_str text =
        CX_STR("{\"a\":[1,2.5,\"x\",[1,2,3,4,5,6,7,8,9]],\"b\\n\":{\"c\":\"d\\t\"},"
               "\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1}");
    json_malloc_t before_malloc;
    json_free_t before_free;
    json_get_alloc_funcs(&before_malloc, &before_free);
    json_set_alloc_funcs(allocate_some, free);
    enum cx_status status = CX_NO_MEMORY;
    size_t failed = 0;
    for (size_t n = 0; status == CX_NO_MEMORY && n < 1000; n++) {
        json_t *value = NULL;
        allocations_left = n;
        status = cx_json_parse(text, &value, NULL);
        EXPECT((value != NULL) == (status == CX_OK));
        json_decref(value);
        failed = n;
    }
    json_set_alloc_funcs(before_malloc, before_free);
    EXPECT(status == CX_OK);
    EXPECT(failed > 30);
}

TEST(integers_without_end_are_real_numbers_in_files_of_others)
{
    json_t *value = NULL;
    REQUIRE(
        cx_json_parse_file(
            CX_STR("[1000000000000000019884624838656, -9223372036854775809, 9223372036854775807]"),
            &value, NULL) == CX_OK);
    EXPECT(json_real_value(json_array_get(value, 0)) == 1e30);
    EXPECT(json_real_value(json_array_get(value, 1)) == -0x1p63);
    EXPECT_INT(json_integer_value(json_array_get(value, 2)), INT64_MAX);
    json_decref(value);
    struct cx_err err = { "" };
    EXPECT(cx_json_parse_file(CX_STR("[1, 1e999]"), &value, &err) == CX_BAD_REQUEST);
    EXPECT_STR(err.text, "byte 4: a number is too large");
}
