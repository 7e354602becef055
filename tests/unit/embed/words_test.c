/* SPDX-License-Identifier: MIT
 *
 * Words of a text, by a table; odd bytes; cuts.
 */
#include <stdio.h>
#include <string.h>

#include "embed/words.h"
#include "test.h"

static void expect_words(const char *text, const char *want)
{
    char got[1024] = "";
    struct embed__words w;
    embed__words_init(&w, cx_str_of(text));
    while (embed__words_next(&w)) {
        const size_t len = strlen(got);
        snprintf(got + len, sizeof got - len, "%s%.*s", len > 0 ? "|" : "", (int)w.len, w.word);
    }
    EXPECT_STR(got, want);
}

TEST(words_table)
{
    expect_words("", "");
    expect_words(" .,;-!", "");
    expect_words("Hello, World 42!", "hello|world|42");
    expect_words("cx_vector_put(db->x)", "cx|vector|put|db|x");
    expect_words("Stra\xC3\x9F"
                 "e NA\xC3\x8FVE \xC3\x86ther \xC5\x81\xC3\xB3"
                 "d\xC5\xBA",
                 "strasse|naive|aether|lodz");
    expect_words("e\xCC\x81t\xC3\xA9", "ete"); /* combining and ready-made accents */
    expect_words("\xD0\x9C\xD0\x9E\xD0\xA1\xD0\x9A\xD0\x92\xD0\x90", /* Cyrillic capitals */
                 "\xD0\xBC\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0");
    expect_words("\xCE\x91\xCE\x92", "\xCE\xB1\xCE\xB2");
    expect_words("\xEF\xBC\xA1\xEF\xBD\x82\xEF\xBC\x91", "ab1"); /* full width */
    expect_words("a\xE2\x80\x94"
                 "b\xC2\xA0"
                 "c\xC2\xB7"
                 "d",
                 "a|b|c|d");
    expect_words("\xE6\x97\xA5\xE6\x9C\xAC"
                 "abc\xE8\xAA\x9E\xE3\x80\x82\xE6\x96\x87",
                 "\xE6\x97\xA5\xE6\x9C\xAC|abc|\xE8\xAA\x9E|\xE6\x96\x87");
    expect_words("co\xC2\xAD"
                 "operate",
                 "cooperate"); /* soft hyphen */
}

TEST(words_take_any_bytes)
{
    expect_words("a\xFF"
                 "b",
                 "a|b");
    expect_words("a\xC3", "a");
    expect_words("\xE2\x82", "");
    expect_words("x\xF0\x9F\x98", "x");
    expect_words("\xC0\x80z", "z");
    expect_words("\x80\x80", "");
    expect_words("q\xF5\x80\x80\x80w", "q|w");
}

TEST(long_words_are_cut)
{
    char text[400];
    memset(text, 'x', sizeof text);
    struct embed__words w;
    embed__words_init(&w, (struct cx_str){ text, sizeof text });
    size_t total = 0;
    while (embed__words_next(&w)) {
        EXPECT(w.len <= EMBED__WORD_BYTES);
        total += w.len;
    }
    EXPECT_INT(total, sizeof text);
    /* Letters of two and more bytes that do not fill a word exactly. */
    char wide[303];
    for (size_t i = 0; i < sizeof wide; i += 3) {
        wide[i] = '\xE3';
        wide[i + 1] = '\x81';
        wide[i + 2] = '\x82';
    }
    embed__words_init(&w, (struct cx_str){ wide, sizeof wide });
    total = 0;
    while (embed__words_next(&w)) {
        EXPECT_INT(w.len % 3, 0);
        total += w.len;
    }
    EXPECT_INT(total, sizeof wide);
}
