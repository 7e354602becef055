/* SPDX-License-Identifier: MIT
 *
 * Compact and canonical bytes.
 */
#include "test.h"

#include <math.h>
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

static void expect_written(const char *text, const char *want, int line)
{
    json_t *value = parse(text);
    struct cx_buf b;
    cx_buf_init(&b, 1 << 16);
    cx_json_write(value, &b);
    (void)test_expect_str(b.data, want, __FILE__, line);
    json_t *back = parse(b.data);
    (void)test_expect(json_equal(value, back), __FILE__, line, "%s reads back different", text);
    json_decref(back);
    json_decref(value);
    cx_buf_free(&b);
}
#define EXPECT_WRITTEN(text, want) expect_written((text), (want), __LINE__)

static void expect_canonical(const char *text, const char *want, int line)
{
    json_t *value = parse(text);
    struct cx_buf b;
    struct cx_err err = { "" };
    cx_buf_init(&b, 1 << 16);
    const enum cx_status status = cx_json_write_canonical(value, &b, &err);
    (void)test_expect(status == CX_OK, __FILE__, line, "%s: %s", text, err.text);
    (void)test_expect_str(b.data, want, __FILE__, line);
    json_decref(value);
    cx_buf_free(&b);
}
#define EXPECT_CANONICAL(text, want) expect_canonical((text), (want), __LINE__)

TEST(write_is_compact_and_in_order)
{
    EXPECT_WRITTEN(
        " { \"z\" : [ 1 , [ ] , { } , null , true , false ] , \"a\" : { \"y\":1, \"b\":2 } } ",
        "{\"z\":[1,[],{},null,true,false],\"a\":{\"y\":1,\"b\":2}}");
    EXPECT_WRITTEN("\"\"", "\"\"");
    EXPECT_WRITTEN("[]", "[]");
    EXPECT_WRITTEN("[-9223372036854775808,9223372036854775807,0]",
                   "[-9223372036854775808,9223372036854775807,0]");
}

TEST(write_strings)
{
    EXPECT_WRITTEN("\"\\b\\t\\n\\f\\r\\\"\\\\\\/\"", "\"\\b\\t\\n\\f\\r\\\"\\\\/\"");
    EXPECT_WRITTEN("\"\\u0001\\u000b\\u001f\\u0020\\u007f\"", "\"\\u0001\\u000b\\u001f \x7f\"");
    EXPECT_WRITTEN("\"\\u00e9\\u20ac\\ud83d\\ude00\\u2028\"", "\"é€😀\xe2\x80\xa8\"");
    EXPECT_WRITTEN("\"a long run of plain text, \\\"then\\\" a quote \\n\"",
                   "\"a long run of plain text, \\\"then\\\" a quote \\n\"");
    EXPECT_WRITTEN("{\"na\\\"me\":1}", "{\"na\\\"me\":1}");
    struct cx_buf b;
    cx_buf_init(&b, 100);
    cx_json_write_string((struct cx_str){ "a\0b", 3 }, &b);
    cx_json_write_string((struct cx_str){ NULL, 0 }, &b);
    EXPECT_STR(b.data, "\"a\\u0000b\"\"\"");
    cx_buf_free(&b);
}

TEST(write_real_numbers_alone)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = { { 0.0, "0.0" }, { -0.0, "-0.0" },  { 1.0, "1.0" },      { -2.0, "-2.0" },
                  { 0.1, "0.1" }, { 1e21, "1e+21" }, { 5e-324, "5e-324" } };
    for (size_t i = 0; i < CX_ARRAY_LEN(cases); i++) {
        struct cx_buf b;
        cx_buf_init(&b, 100);
        cx_json_write_real(cases[i].value, &b);
        EXPECT_STR(b.data, cases[i].text);
        cx_buf_free(&b);
    }
}

/* Every byte at every place of a word. */
TEST(write_strings_with_one_special_byte)
{
    for (int byte = 1; byte < 0x80; byte++) {
        for (size_t at = 0; at < 17; at++) {
            char text[18] = "abcdefghijklmnopq";
            text[at] = (char)byte;
            struct cx_buf b;
            cx_buf_init(&b, 200);
            cx_json_write_string((struct cx_str){ text, 17 }, &b);
            json_t *back = parse(b.data);
            EXPECT_STR(json_string_value(back), text);
            const bool special = byte < 0x20 || byte == '"' || byte == '\\';
            EXPECT((b.len == 19) == !special);
            json_decref(back);
            cx_buf_free(&b);
        }
    }
}

TEST(write_reals_that_stay_real)
{
    EXPECT_WRITTEN("[1.0,-0.0,0.0,0.1,1e21,1e20,-2.50,1e-7,5e-324,123456.0]",
                   "[1.0,-0.0,0.0,0.1,1e+21,100000000000000000000.0,-2.5,1e-7,5e-324,123456.0]");
    struct cx_buf b;
    cx_buf_init(&b, 100);
    json_t *zero = parse("-0.0");
    cx_json_write(zero, &b);
    json_t *back = parse(b.data);
    EXPECT(signbit(json_real_value(back)));
    json_decref(back);
    json_decref(zero);
    cx_buf_free(&b);
}

TEST(write_stops_at_the_ceiling)
{
    json_t *value = parse("{\"name\":[1,2.5,\"text\"]}");
    for (size_t ceiling = 0; ceiling <= 30; ceiling++) {
        struct cx_buf b;
        cx_buf_init(&b, ceiling);
        cx_json_write(value, &b);
        EXPECT(b.len <= ceiling);
        /* An integer asks for the room of the longest one. */
        EXPECT(ceiling < 23 ? b.failed : ceiling < 30 || !b.failed);
        cx_buf_free(&b);
    }
    json_decref(value);
}

/* RFC 8785, 3.2.2 and 3.2.3. */
TEST(canonical_samples_of_the_rfc)
{
    EXPECT_CANONICAL(
        "{\"numbers\":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"
        "\"string\":\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\","
        "\"literals\":[null,true,false]}",
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,"
        "1e-27],\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
    EXPECT_CANONICAL("{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\","
                     "\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\","
                     "\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
                     "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
                     "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
                     "\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\","
                     "\"😀\":\"Emoji: Grinning Face\",\"\xef\xac\xb3\":\"Hebrew Letter Dalet With "
                     "Dagesh\"}");
}

TEST(canonical_order_is_that_of_utf16)
{
    /* U+D7FF < U+10000 (D800 DC00) < U+10FFFF (DBFF DFFF) < U+E000 < U+FFFF; a prefix comes first.
     * */
    EXPECT_CANONICAL(
        "{\"\xef\xbf\xbf\":6,\"\xee\x80\x80\":5,\"\xf4\x8f\xbf\xbf\":4,\"\xf0\x90\x80\x80\":3,"
        "\"\xed\x9f\xbf\":2,\"ab\":1,\"a\":0,\"\":-1,\"a\xf0\x90\x80\x80\":7,\"a\xee\x80\x80\":8}",
        "{\"\":-1,\"a\":0,\"ab\":1,\"a\xf0\x90\x80\x80\":7,\"a\xee\x80\x80\":8,"
        "\"\xed\x9f\xbf\":2,\"\xf0\x90\x80\x80\":3,\"\xf4\x8f\xbf\xbf\":4,"
        "\"\xee\x80\x80\":5,\"\xef\xbf\xbf\":6}");
    EXPECT_CANONICAL("[{\"b\":{\"d\":1,\"c\":2},\"a\":[{\"z\":1,\"y\":2}]}]",
                     "[{\"a\":[{\"y\":2,\"z\":1}],\"b\":{\"c\":2,\"d\":1}}]");
}

TEST(canonical_numbers)
{
    EXPECT_CANONICAL("[-0.0,-0,0.0,1.0,-1.50,1e2,9007199254740991,-9007199254740991,1e21]",
                     "[0,0,0,1,-1.5,100,9007199254740991,-9007199254740991,1e+21]");
}

static void expect_invalid(json_t *value, const char *want)
{
    struct cx_buf b;
    struct cx_err err = { "" };
    cx_buf_init(&b, 1000);
    cx_buf_puts(&b, "before");
    EXPECT(cx_json_write_canonical(value, &b, &err) == CX_INVALID);
    EXPECT(strstr(err.text, want) != NULL);
    EXPECT_STR(b.data, "before");
    EXPECT_INT(b.len, 6);
    json_decref(value);
    cx_buf_free(&b);
}

TEST(canonical_refuses_integers_that_readers_disagree_on)
{
    expect_invalid(parse("{\"a\":[1,9007199254740992]}"), "9007199254740991");
    expect_invalid(parse("[-9007199254740992]"), "9007199254740991");
    expect_invalid(parse("9223372036854775807"), "9007199254740991");
    EXPECT(json_real(NAN) == NULL && json_real(INFINITY) == NULL); /* so none can be written */
}

TEST(canonical_does_not_pass_the_ceiling)
{
    json_t *value = parse("{\"b\":\"some text\",\"a\":[]}");
    for (size_t ceiling = 0; ceiling <= 24; ceiling++) {
        struct cx_buf b;
        struct cx_err err = { "" };
        cx_buf_init(&b, ceiling);
        EXPECT(cx_json_write_canonical(value, &b, &err) == (ceiling < 24 ? CX_TOO_LARGE : CX_OK));
        EXPECT_INT(b.len, ceiling < 24 ? 0 : 24);
        cx_buf_free(&b);
    }
    json_decref(value);
}
