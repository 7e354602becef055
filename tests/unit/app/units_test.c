/* SPDX-License-Identifier: MIT
 *
 * Durations, sizes, numbers, words.
 */
#include <string.h>

#include "app/units.h"
#include "test.h"

static const char *formatted(void (*format)(uint64_t, struct cx_buf *), uint64_t value)
{
    static char text[64];
    struct cx_buf out;
    cx_buf_init(&out, sizeof text - 1);
    format(value, &out);
    memcpy(text, out.data, out.len + 1);
    cx_buf_free(&out);
    return text;
}

TEST(units_durations)
{
    static const struct {
        const char *text;
        uint64_t ms;
        const char *again;
    } rows[] = {
        { "0", 0, "0" },           { "0s", 0, "0" },         { "1ms", 1, "1ms" },
        { "250ms", 250, "250ms" }, { "1000ms", 1000, "1s" }, { "30s", 30000, "30s" },
        { "90s", 90000, "90s" },   { "5m", 300000, "5m" },   { "60m", 3600000, "1h" },
        { "2h", 7200000, "2h" },   { "1d", 86400000, "1d" }, { "36h", 129600000, "36h" },
        { "30 s", 30000, "30s" },  { "007s", 7000, "7s" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        uint64_t ms = 99;
        EXPECT(app__duration_parse(cx_str_of(rows[i].text), false, &ms, NULL) == CX_OK);
        EXPECT_INT(ms, rows[i].ms);
        EXPECT_STR(formatted(app__duration_format, ms), rows[i].again);
    }
    uint64_t ms = 0;
    EXPECT(app__duration_parse(CX_STR("120"), true, &ms, NULL) == CX_OK);
    EXPECT_INT(ms, 120000);
    EXPECT(app__duration_parse(CX_STR("120ms"), true, &ms, NULL) == CX_OK);
    EXPECT_INT(ms, 120);
}

TEST(units_durations_refused)
{
    static const struct {
        const char *text;
        const char *want;
    } rows[] = {
        { "", "\"\" is no duration such as 250ms, 30s, 5m, 2h or 1d" },
        { "s", "\"s\" is no duration such as 250ms, 30s, 5m, 2h or 1d" },
        { "-1s", "\"-1s\" is no duration such as 250ms, 30s, 5m, 2h or 1d" },
        { "1.5s", "\"1.5s\" has an unknown unit; known are ms, s, m, h or d" },
        { "1S", "\"1S\" has an unknown unit; known are ms, s, m, h or d" },
        { "1  s", "\"1  s\" has an unknown unit; known are ms, s, m, h or d" },
        { "1 ", "\"1 \" is no duration such as 250ms, 30s, 5m, 2h or 1d" },
        { "30", "\"30\" needs a unit: ms, s, m, h or d" },
        { "99999999999999999999s",
          "\"99999999999999999999s\" is no duration such as 250ms, 30s, 5m, 2h or 1d" },
        { "18446744073709551615s", "\"18446744073709551615s\" is too large" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        struct cx_err err = { .text = "" };
        uint64_t ms = 77;
        EXPECT(app__duration_parse(cx_str_of(rows[i].text), false, &ms, &err) == CX_INVALID);
        EXPECT_STR(err.text, rows[i].want);
        EXPECT_INT(ms, 77);
    }
}

TEST(units_sizes)
{
    static const struct {
        const char *text;
        uint64_t bytes;
        const char *again;
    } rows[] = {
        { "0", 0, "0" },
        { "1", 1, "1" },
        { "30720", 30720, "30KiB" },
        { "1KiB", 1024, "1KiB" },
        { "64MiB", 67108864, "64MiB" },
        { "2 GiB", 2147483648, "2GiB" },
        { "1TiB", UINT64_C(1) << 40, "1TiB" },
        { "1536KiB", 1572864, "1536KiB" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        uint64_t bytes = 0;
        EXPECT(app__bytes_parse(cx_str_of(rows[i].text), &bytes, NULL) == CX_OK);
        EXPECT_INT(bytes, rows[i].bytes);
        EXPECT_STR(formatted(app__bytes_format, bytes), rows[i].again);
    }
    static const char *const bad[] = { "",    "KiB",  "1kB", "1K",  "1kib",
                                       "1.5", "0x10", "+1",  "1e3", "16777216TiB" };
    for (size_t i = 0; i < CX_ARRAY_LEN(bad); i++) {
        uint64_t bytes = 5;
        struct cx_err err = { .text = "" };
        EXPECT(app__bytes_parse(cx_str_of(bad[i]), &bytes, &err) == CX_INVALID);
        EXPECT(err.text[0] != '\0' && bytes == 5);
    }
}

TEST(units_reals)
{
    static const struct {
        const char *text;
        double value;
        const char *again;
    } rows[] = {
        { "0", 0, "0" },
        { "5", 5, "5" },
        { "0.25", 0.25, "0.25" },
        { "1.50", 1.5, "1.5" },
        { "0.001", 0.001, "0.001" },
        { "0.000001", 0.000001, "0.000001" },
        { "999999999", 999999999, "999999999" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        double value = -1;
        struct cx_buf out;
        cx_buf_init(&out, 64);
        EXPECT(app__real_parse(cx_str_of(rows[i].text), &value, NULL) == CX_OK);
        EXPECT(value == rows[i].value);
        app__real_format(value, &out);
        EXPECT_STR(out.data, rows[i].again);
        cx_buf_free(&out);
    }
    static const char *const bad[] = {
        "",    ".",    "1.",  ".5",  "1,5", "-1",        "+1",
        "1e3", "0x1p", "nan", "inf", "1 ",  "1.0000001", "1234567890"
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(bad); i++) {
        double value = -1;
        EXPECT(app__real_parse(cx_str_of(bad[i]), &value, NULL) == CX_INVALID && value == -1);
    }
}

TEST(units_bools)
{
    static const struct {
        const char *text;
        bool value;
    } rows[] = { { "yes", true }, { "no", false },  { "TRUE", true }, { "False", false },
                 { "on", true },  { "off", false }, { "1", true },    { "0", false } };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        bool value = !rows[i].value;
        EXPECT(app__bool_parse(cx_str_of(rows[i].text), &value, NULL) == CX_OK);
        EXPECT(value == rows[i].value);
    }
    bool value = true;
    EXPECT(app__bool_parse(CX_STR("ja"), &value, NULL) == CX_INVALID);
    EXPECT(app__bool_parse(CX_STR(""), &value, NULL) == CX_INVALID);
}

TEST(units_suggest)
{
    static const char *const words[] = { "listen", "level", "idle_timeout", "dir" };
    static const struct {
        const char *word;
        const char *want;
    } rows[] = { { "listne", "listen" },
                 { "lisen", "listen" },
                 { "listenn", "listen" },
                 { "levle", "level" },
                 { "idle_timout", "idle_timeout" },
                 { "dri", "dir" },
                 { "completely_other", NULL },
                 { "x", NULL },
                 { "", NULL } };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        EXPECT_STR(app__suggest(rows[i].word, words, CX_ARRAY_LEN(words)), rows[i].want);
    }
    char longest[100];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *const long_words[] = { longest };
    EXPECT(app__suggest(longest, words, CX_ARRAY_LEN(words)) == NULL);
    EXPECT(app__suggest("a", long_words, 1) == NULL);
}
