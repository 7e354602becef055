/* SPDX-License-Identifier: MIT
 *
 * The log's lines: their two forms, their escapes, their cut.
 */
#include "test.h"

#include "base/log.h"
#include "log_env.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS(...) ((const struct cx_field[]){ __VA_ARGS__, { .name = NULL } })
#define NO_FIELDS ((const struct cx_field[]){ { .name = NULL } })
#define STAMP "2026-02-08T10:00:00.123456Z"

static const char *formatted(struct log_style style, enum cx_log_level level, const char *message,
                             const struct cx_field *fields)
{
    static char text[LOG_LINE_BYTES + 1];
    struct log_line line;
    base__log_format(&line, style, level, INT64_C(1770544800123456), message, fields);
    memcpy(text, line.text, line.len);
    text[line.len] = '\0';
    return text;
}

static const struct log_style json = { CX_LOG_JSON, false };
static const struct log_style logfmt = { CX_LOG_LOGFMT, false };

TEST(log_line_json)
{
    EXPECT_STR(formatted(json, CX_LOG_INFO, "listening",
                         FIELDS(CX_S("address", "127.0.0.1"), CX_I("port", 4949),
                                CX_R("seconds", 0.25), CX_S("absent", NULL))),
               "{\"time\":\"" STAMP "\",\"level\":\"info\",\"msg\":\"listening\","
               "\"address\":\"127.0.0.1\",\"port\":4949,\"seconds\":0.25}\n");
    EXPECT_STR(formatted(json, CX_LOG_ERROR, "", NO_FIELDS),
               "{\"time\":\"" STAMP "\",\"level\":\"error\",\"msg\":\"\"}\n");
    EXPECT_STR(formatted(json, CX_LOG_WARN, "x",
                         FIELDS(CX_I("low", INT64_MIN), CX_R("nan", __builtin_nan("")),
                                CX_R("inf", __builtin_inf()))),
               "{\"time\":\"" STAMP "\",\"level\":\"warn\",\"msg\":\"x\","
               "\"low\":-9223372036854775808,\"nan\":null,\"inf\":null}\n");
}

TEST(log_line_logfmt)
{
    EXPECT_STR(formatted(logfmt, CX_LOG_DEBUG, "two words",
                         FIELDS(CX_S("plain", "a/b:c"), CX_S("empty", ""), CX_S("equal", "a=b"),
                                CX_I("n", -1))),
               "time=" STAMP " level=debug msg=\"two words\" plain=a/b:c empty=\"\" "
               "equal=\"a=b\" n=-1\n");
}

TEST(log_line_journal_priorities)
{
    const struct log_style journal = { CX_LOG_JSON, true };
    EXPECT(strncmp(formatted(journal, CX_LOG_DEBUG, "x", NO_FIELDS), "<7>{\"time\"", 10) == 0);
    EXPECT(strncmp(formatted(journal, CX_LOG_INFO, "x", NO_FIELDS), "<6>{", 4) == 0);
    EXPECT(strncmp(formatted(journal, CX_LOG_WARN, "x", NO_FIELDS), "<4>{", 4) == 0);
    EXPECT(strncmp(formatted(journal, CX_LOG_ERROR, "x", NO_FIELDS), "<3>{", 4) == 0);
    const struct log_style both = { CX_LOG_LOGFMT, true };
    EXPECT(strncmp(formatted(both, CX_LOG_INFO, "x", NO_FIELDS), "<6>time=", 8) == 0);
}

TEST(log_line_cannot_be_forged)
{
    EXPECT_STR(
        formatted(json, CX_LOG_INFO, "a\nb", FIELDS(CX_S("v", "\"\\\r\t\x1b[0m\x7f\xff\xc3"))),
        "{\"time\":\"" STAMP "\",\"level\":\"info\",\"msg\":\"a\\nb\","
        "\"v\":\"\\\"\\\\\\r\\t\\u001b[0m\\u007f\\\\xff\\\\xc3\"}\n");
    EXPECT_STR(formatted(logfmt, CX_LOG_INFO, "a\nb", FIELDS(CX_S("v", "\" \\\x01\xff"))),
               "time=" STAMP " level=info msg=\"a\\nb\" v=\"\\\" \\\\\\u0001\\xff\"\n");
    /* C1 controls, the line separator and what turns the direction of text; é and € stay. */
    EXPECT_STR(formatted(logfmt, CX_LOG_INFO, "m",
                         FIELDS(CX_S("v", "\xc2\x9b\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6"
                                          "\xc3\xa9\xe2\x82\xac"))),
               "time=" STAMP " level=info msg=m "
               "v=\"\\u009b\\u2028\\u202e\\u2066\xc3\xa9\xe2\x82\xac\"\n");
    EXPECT_STR(formatted(json, CX_LOG_INFO, "m", FIELDS(CX_I("a\"b c", 1))),
               "{\"time\":\"" STAMP "\",\"level\":\"info\",\"msg\":\"m\",\"a_b_c\":1}\n");
}

TEST(log_line_is_one_line_whatever_it_holds)
{
    struct cx_random random;
    cx_random_init(&random);
    int wrong = 0;
    for (int round = 0; round < 3000; round++) {
        char values[3][9001];
        for (size_t i = 0; i < 3; i++) {
            uint16_t len = 0;
            cx_random_fill(&random, &len, sizeof len);
            len = (uint16_t)(round % 3 == 0 ? len % 9000 : len % 40);
            cx_random_bytes(values[i], len);
            for (size_t k = 0; k < len; k++) {
                values[i][k] = (char)(values[i][k] == '\0' ? '"' : values[i][k]);
            }
            values[i][len] = '\0';
        }
        struct log_line line;
        const struct log_style style = { round % 2 == 0 ? CX_LOG_JSON : CX_LOG_LOGFMT, false };
        base__log_format(&line, style, CX_LOG_INFO, 0, values[0],
                         FIELDS(CX_S("a", values[1]), CX_I("n", round), CX_S("b", values[2])));
        wrong += line.len > LOG_LINE_BYTES || line.text[line.len - 1] != '\n';
        wrong += memchr(line.text, '\n', line.len) != line.text + line.len - 1;
        wrong += !cx_utf8_valid((struct cx_str){ line.text, line.len });
        for (size_t i = 0; i + 1 < line.len; i++) {
            wrong += (unsigned char)line.text[i] < 0x20 || line.text[i] == 0x7F;
        }
        if (style.format == CX_LOG_JSON) {
            const char *end = NULL;
            wrong += !is_json_line(line.text, &end) || end != line.text + line.len;
        }
    }
    EXPECT_INT(wrong, 0);
}

TEST(log_line_is_cut_and_says_so)
{
    char *text = cx_alloc(20001);
    for (size_t len = 7900; len < 8250; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        for (int kind = 0; kind < 4; kind++) {
            if (kind % 2 == 1) {
                memcpy(text + len - 3, "\xe2\x82\xac", 3); /* a character on the edge */
            }
            const struct log_style style = kind < 2 ? json : logfmt;
            struct log_line line;
            base__log_format(
                &line, style, CX_LOG_INFO, 0, "m",
                FIELDS(CX_S("v", text), CX_S("w", "1234567890"), CX_I("n", 1234567890)));
            EXPECT(line.len <= LOG_LINE_BYTES);
            EXPECT(cx_utf8_valid((struct cx_str){ line.text, line.len }));
            EXPECT(memchr(line.text, '\n', line.len) == line.text + line.len - 1);
            const char *mark = style.format == CX_LOG_JSON ? "\"cut\":true" : "cut=true";
            const bool whole = memmem(line.text, line.len, text, len) != NULL &&
                               memmem(line.text, line.len, "1234567890", 10) != NULL &&
                               memmem(line.text, line.len, ":1234567890", 11) != NULL;
            const bool marked = memmem(line.text, line.len, mark, strlen(mark)) != NULL;
            if (style.format == CX_LOG_JSON) {
                const char *end = NULL;
                EXPECT(is_json_line(line.text, &end));
                EXPECT(marked == !whole);
            }
            EXPECT(marked || len < 8150);
        }
    }
    memset(text, '\x01', 20000); /* a message that is cut leaves no room for fields */
    text[20000] = '\0';
    struct log_line line;
    base__log_format(&line, json, CX_LOG_INFO, 0, text, FIELDS(CX_S("v", "x"), CX_I("n", 1)));
    const char *end = NULL;
    EXPECT(is_json_line(line.text, &end));
    EXPECT(line.len > LOG_LINE_BYTES - 64);
    free(text);
}

TEST(log_level_names)
{
    static const struct {
        const char *text;
        enum cx_log_level level;
    } good[] = {
        { "debug", CX_LOG_DEBUG },  { "INFO", CX_LOG_INFO },   { "warn", CX_LOG_WARN },
        { "Warning", CX_LOG_WARN }, { "error", CX_LOG_ERROR }, { "CRITICAL", CX_LOG_ERROR }
    };
    enum cx_log_level level = CX_LOG_DEBUG;
    for (size_t i = 0; i < CX_ARRAY_LEN(good); i++) {
        EXPECT(cx_log_level_parse(good[i].text, &level) && level == good[i].level);
    }
    EXPECT(!cx_log_level_parse("", &level));
    EXPECT(!cx_log_level_parse("infos", &level));
    EXPECT_INT(level, CX_LOG_ERROR);
}
