/* SPDX-License-Identifier: MIT
 *
 * The configuration file's parser: what it reads, and the exact sentence for what it does not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/ini.h"
#include "test.h"

struct transcript {
    struct cx_buf text;
    unsigned stop_at; /* line whose entry is refused */
};

static enum cx_status on_entry(void *ctx, const struct app__ini_entry *e, struct cx_err *err)
{
    struct transcript *t = ctx;
    if (e->line == t->stop_at) {
        return app__ini_fail(e, e->value_column, err, "not this %s", e->key);
    }
    if (e->key == NULL) {
        cx_buf_printf(&t->text, "%u:%u [%s%s%s]\n", e->line, e->column, e->section,
                      e->name != NULL ? " " : "", e->name != NULL ? e->name : "");
    } else {
        cx_buf_printf(&t->text, "%u:%u,%u %s%s%s.%s=<%s>\n", e->line, e->column, e->value_column,
                      e->section, e->name != NULL ? "/" : "", e->name != NULL ? e->name : "",
                      e->key, e->value);
    }
    return CX_OK;
}

/* The transcript, or the sentence of the error. */
static const char *parse(struct cx_str text, unsigned stop_at)
{
    static char out[4096];
    struct transcript t = { .stop_at = stop_at };
    struct cx_err err = { .text = "" };
    cx_buf_init(&t.text, sizeof out - 1);
    const enum cx_status status = app__ini_parse("f", text, on_entry, &t, &err);
    EXPECT(status == CX_OK || status == CX_INVALID);
    EXPECT((status == CX_OK) == (err.text[0] == '\0'));
    snprintf(out, sizeof out, "%s", status != CX_OK ? err.text : t.text.len > 0 ? t.text.data : "");
    cx_buf_free(&t.text);
    return out;
}

TEST(ini_reads)
{
    static const struct {
        const char *text;
        const char *want;
    } rows[] = {
        { "", "" },
        { "\n\n  \n\t\n", "" },
        { "# only\n; comments\n   # here", "" },
        { "[a]", "1:2 [a]\n" },
        { "  [a]  ", "1:4 [a]\n" },
        { "[a]\nb=c", "1:2 [a]\n2:1,3 a.b=<c>\n" },
        { "[a]\n  b  =  c  \n", "1:2 [a]\n2:3,9 a.b=<c>\n" },
        { "[a]\n\tb\t=\tc\td\t\n", "1:2 [a]\n2:2,6 a.b=<c\td>\n" },
        { "[a]\nb =\n", "1:2 [a]\n2:1,4 a.b=<>\n" },
        { "[a]\nb = x # y ; z", "1:2 [a]\n2:1,5 a.b=<x # y ; z>\n" },
        { "[a]\nb = x = y", "1:2 [a]\n2:1,5 a.b=<x = y>\n" },
        { "[a]\nb = x\\", "1:2 [a]\n2:1,5 a.b=<x\\>\n" },
        { "[a]\nb = it's \"quoted\" inside", "1:2 [a]\n2:1,5 a.b=<it's \"quoted\" inside>\n" },
        { "[a]\nb = \" x \"", "1:2 [a]\n2:1,5 a.b=< x >\n" },
        { "[a]\nb = \"\"  ", "1:2 [a]\n2:1,5 a.b=<>\n" },
        { "[a]\nb = \"x\\\\y\\\"z\"", "1:2 [a]\n2:1,5 a.b=<x\\y\"z>\n" },
        { "[a]\nb = \xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98",
          "1:2 [a]\n2:1,5 a.b=<\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98>\n" },
        { "[a2_b]\nc3_d = e", "1:2 [a2_b]\n2:1,8 a2_b.c3_d=<e>\n" },
        { "[t \"x y\"]\nb = 1\n[t \"z\"]\nb = 2",
          "1:2 [t x y]\n2:1,5 t/x y.b=<1>\n3:2 [t z]\n4:1,5 t/z.b=<2>\n" },
        { "[a]\nb = 1\n[c]\nb = 2\n[a]\nd = 3",
          "1:2 [a]\n2:1,5 a.b=<1>\n3:2 [c]\n4:1,5 c.b=<2>\n5:2 [a]\n6:1,5 a.d=<3>\n" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        EXPECT_STR(parse(cx_str_of(rows[i].text), 0), rows[i].want);
    }
}

TEST(ini_refuses)
{
    static const struct {
        const char *text;
        const char *want;
    } rows[] = {
        { "b = c", "f:1:1: a key before the first [section]" },
        { "[a]\nb", "f:2:2: expected = after the key" },
        { "[a]\n b c", "f:2:4: expected = after the key" },
        { "[a]\n= c", "f:2:1: expected [section], or key = value with a key of lower-case letters, "
                      "digits and _" },
        { "[a]\nB = c",
          "f:2:1: expected [section], or key = value with a key of lower-case letters, "
          "digits and _" },
        { "[a]\nb-c = d", "f:2:2: expected = after the key" },
        { "[a]\n2b = c", "f:2:1: expected [section], or key = value with a key of lower-case "
                         "letters, digits and _" },
        { "[a]\nb = 1\n\nb = 2", "f:4:1: b stands in line 2 already" },
        { "[a]\nb = 1\n[c]\n[a]\nb = 2", "f:5:1: b stands in line 2 already" },
        { "[t \"x\"]\n[t \"x\"]", "f:2:2: [t \"x\"] stands in line 1 already" },
        { "[", "f:1:2: expected a section's name: lower-case letters, digits and _" },
        { "[]", "f:1:2: expected a section's name: lower-case letters, digits and _" },
        { "[A]", "f:1:2: expected a section's name: lower-case letters, digits and _" },
        { "[ a]", "f:1:2: expected a section's name: lower-case letters, digits and _" },
        { "[a ]", "f:1:3: expected ] or a name in quotes" },
        { "[a", "f:1:3: expected ]" },
        { "[a] # c", "f:1:4: text after ]; a comment stands on a line of its own" },
        { "[a \"\"]", "f:1:5: a section's name in quotes has 1 to 64 bytes" },
        { "[a \"b]", "f:1:4: the quotes are not closed" },
        { "[a \"b\\\"c\"]", "f:1:6: a backslash in a section's name" },
        { "[a \"b\" ]", "f:1:7: expected ]" },
        { "[a]\nb = \"c", "f:2:5: the quotes are not closed" },
        { "[a]\nb = \"c\\", "f:2:7: only \\\\ and \\\" are known in quotes" },
        { "[a]\nb = \"c\\n\"", "f:2:7: only \\\\ and \\\" are known in quotes" },
        { "[a]\nb = \"c\" d", "f:2:8: text after the closing quotes" },
        { "[a]\r\nb = c", "f:1:4: a carriage return; lines end with a newline alone" },
        { "[a]\n b = \x01", "f:2:6: a control character (0x01)" },
        { "# \x7f", "f:1:3: a control character (0x7f)" },
        { "# \xc2\x85", "f:1:3: a control character (U+0085)" },
        { "\xef\xbb\xbf[a]", "f:1:1: a byte order mark" },
        { "[a]\nb = \xff", "f:2:5: this is not UTF-8 (byte 0xff)" },
        { "[a]\nb = \xc3", "f:2:5: this is not UTF-8 (byte 0xc3)" },
        { "[a]\nb = \xc0\xaf", "f:2:5: this is not UTF-8 (byte 0xc0)" },
        { "[a]\nb = \xed\xa0\x80", "f:2:5: this is not UTF-8 (byte 0xed)" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        EXPECT_STR(parse(cx_str_of(rows[i].text), 0), rows[i].want);
    }
    EXPECT_STR(parse(CX_STR("[a]\nb = x\0y"), 0), "f:2:6: a control character (0x00)");
    EXPECT_STR(parse(CX_STR("[a]\nb = 1\nc = 2"), 3), "f:3:5: not this c");
}

TEST(ini_limits)
{
    static char text[APP__INI_FILE_MAX_BYTES + 2];
    const size_t line = APP__INI_LINE_MAX_BYTES;
    memset(text, 'x', sizeof text);
    static const char head[] = { '[', 'a', ']', '\n', 'b', ' ', '=' };
    memcpy(text, head, sizeof head);
    EXPECT_STR(parse((struct cx_str){ text, 4 + line }, 2), "f:2:4: not this b"); /* it was read */
    EXPECT_STR(parse((struct cx_str){ text, 4 + line + 1 }, 0),
               "f:2:8193: the line is longer than 8 KiB");
    EXPECT_STR(parse((struct cx_str){ text, sizeof text - 1 }, 0),
               "f: the file is longer than 1 MiB");
    /* As many keys as there may be, then one more. */
    struct cx_buf many;
    cx_buf_init(&many, APP__INI_FILE_MAX_BYTES);
    cx_buf_puts(&many, "[a]\n");
    for (int i = 1; i < APP__INI_ENTRIES_MAX; i++) {
        cx_buf_printf(&many, "k%d=\n", i);
    }
    EXPECT_STR(parse((struct cx_str){ many.data, many.len }, 2), "f:2:4: not this k1");
    struct cx_err err = { .text = "" };
    struct transcript t = { .stop_at = 0 };
    cx_buf_init(&t.text, 1 << 20);
    EXPECT(app__ini_parse("f", (struct cx_str){ many.data, many.len }, on_entry, &t, &err) ==
           CX_OK);
    cx_buf_puts(&many, "more=\n");
    EXPECT(app__ini_parse("f", (struct cx_str){ many.data, many.len }, on_entry, &t, &err) ==
           CX_INVALID);
    EXPECT_STR(err.text, "f:4097:1: more than 4096 keys and sections");
    cx_buf_free(&t.text);
    cx_buf_free(&many);
}

/* Every prefix of a good file, and the file with each byte changed, ends in order. */
TEST(ini_survives_damage)
{
    const char good[] = "# c\n[a]\nb = \"x\\\\y\"\n[t \"n\"]\nc = \xc3\xa4\n";
    char copy[sizeof good];
    for (size_t i = 0; i < sizeof good; i++) {
        (void)parse((struct cx_str){ good, i }, 0);
        for (unsigned byte = 0; byte < 256 && i < sizeof good - 1; byte++) {
            memcpy(copy, good, sizeof good);
            copy[i] = (char)byte;
            (void)parse((struct cx_str){ copy, sizeof good - 1 }, 0);
        }
    }
}
