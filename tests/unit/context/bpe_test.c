/* SPDX-License-Identifier: MIT
 *
 * What golden texts cannot show: edges of the functions, bytes that are no UTF-8, cuts, and text that
 * is made to be slow.
 */
#include <stdlib.h>
#include <string.h>

#include "cortex/context.h"
#include "test.h"

#define RUN_BYTES ((size_t)1 << 18)

static size_t count_of(enum cx_encoding encoding, struct cx_str text)
{
    size_t count = SIZE_MAX;
    EXPECT(cx_bpe_count(encoding, text, &count) == CX_OK);
    return count;
}

/* The tokens of a text spell the text. */
static void expect_spelled(enum cx_encoding encoding, struct cx_str text)
{
    uint32_t *ids = cx_alloc((text.len + 1) * sizeof *ids);
    size_t count = 0;
    EXPECT(cx_bpe_encode(encoding, text, ids, text.len, &count) == CX_OK);
    struct cx_buf spelled;
    cx_buf_init(&spelled, text.len + 1);
    for (size_t i = 0; i < count; i++) {
        cx_buf_put_str(&spelled, cx_bpe_token(encoding, ids[i]));
    }
    EXPECT(!spelled.failed);
    EXPECT_BYTES(spelled.data, spelled.len, text.p, text.len);
    EXPECT_INT(count_of(encoding, text), count);
    cx_buf_free(&spelled);
    free(ids);
}

TEST(no_text_has_no_tokens)
{
    for (int encoding = 0; encoding < CX_ENCODING_COUNT; encoding++) {
        EXPECT_INT(count_of((enum cx_encoding)encoding, (struct cx_str){ NULL, 0 }), 0);
        size_t count = 1;
        EXPECT(cx_bpe_encode((enum cx_encoding)encoding, CX_STR(""), NULL, 0, &count) == CX_OK);
        EXPECT_INT(count, 0);
        size_t bytes = 1;
        EXPECT(cx_bpe_cut((enum cx_encoding)encoding, (struct cx_str){ NULL, 0 }, 5, &bytes,
                          &count) == CX_OK);
        EXPECT_INT(bytes, 0);
        EXPECT_INT(count, 0);
    }
}

TEST(known_tokens_have_their_numbers)
{
    uint32_t ids[8] = { 0 };
    size_t count = 0;
    EXPECT(cx_bpe_encode(CX_ENCODING_CL100K, CX_STR("hello world"), ids, 8, &count) == CX_OK);
    EXPECT_INT(count, 2);
    EXPECT_INT(ids[0], 15339);
    EXPECT_INT(ids[1], 1917);
    EXPECT(cx_bpe_encode(CX_ENCODING_O200K, CX_STR("hello world"), ids, 8, &count) == CX_OK);
    EXPECT_INT(count, 2);
    EXPECT_INT(ids[0], 24912);
    EXPECT_INT(ids[1], 2375);
}

TEST(more_tokens_than_there_is_room_for)
{
    uint32_t ids[4] = { 0, 0, 0, 77 };
    size_t count = 99;
    const struct cx_str text = CX_STR("one two three four five");
    EXPECT(cx_bpe_encode(CX_ENCODING_CL100K, text, ids, 3, &count) == CX_TOO_LARGE);
    EXPECT_INT(count, 99);
    EXPECT_INT(ids[3], 77);
    EXPECT(cx_bpe_encode(CX_ENCODING_CL100K, text, ids, 0, &count) == CX_TOO_LARGE);
    uint32_t five[5];
    EXPECT(cx_bpe_encode(CX_ENCODING_CL100K, text, five, 5, &count) == CX_OK);
    EXPECT_INT(count, 5);
    EXPECT(memcmp(ids, five, 3 * sizeof *ids) == 0);
}

/* Each of them, found by its number, is found by its bytes again. */
TEST(every_token_is_itself)
{
    static const size_t totals[CX_ENCODING_COUNT] = { 100256, 199998 };
    for (int encoding = 0; encoding < CX_ENCODING_COUNT; encoding++) {
        size_t wrong = 0;
        for (uint32_t id = 0; id < totals[encoding]; id++) {
            const struct cx_str token = cx_bpe_token((enum cx_encoding)encoding, id);
            uint32_t ids[128];
            size_t count = 0;
            wrong += token.len == 0 || token.len > 128 ||
                     cx_bpe_encode((enum cx_encoding)encoding, token, ids, 128, &count) != CX_OK ||
                     (count == 1 && ids[0] != id);
        }
        EXPECT_INT(wrong, 0);
        EXPECT(cx_bpe_token((enum cx_encoding)encoding, (uint32_t)totals[encoding]).p == NULL);
        EXPECT(cx_bpe_token((enum cx_encoding)encoding, UINT32_MAX).p == NULL);
    }
}

TEST(special_tokens_are_ordinary_text)
{
    EXPECT_INT(count_of(CX_ENCODING_CL100K, CX_STR("<|endoftext|>")), 7);
    EXPECT_INT(count_of(CX_ENCODING_O200K, CX_STR("<|endoftext|>")), 7);
    EXPECT(cx_bpe_token(CX_ENCODING_CL100K, 100257).p == NULL);
    EXPECT(cx_bpe_token(CX_ENCODING_O200K, 199999).p == NULL);
}

TEST(bytes_that_are_no_text_are_spelled_too)
{
    static const char *const bytes[] = {
        "\x80",
        "\xff",
        "z\xffz",
        "\xc3",
        "\xc3(",
        "\xe2\x82",
        "\xe2\x82 x",
        "\xf0\x9f\x98",
        "\xc0\xaf",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xe0\x80\xaf",
        " \xff\n",
        "word\x80\x80 word",
        "'\xc5",
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(bytes); i++) {
        expect_spelled(CX_ENCODING_CL100K, cx_str_of(bytes[i]));
        expect_spelled(CX_ENCODING_O200K, cx_str_of(bytes[i]));
    }
    char all[512];
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = (char)(i * 167 + i / 256);
    }
    for (size_t len = 0; len <= sizeof all; len += 7) {
        expect_spelled(CX_ENCODING_CL100K, (struct cx_str){ all, len });
        expect_spelled(CX_ENCODING_O200K, (struct cx_str){ all, len });
    }
}

/* Texts in memory of their own, so that a sanitizer sees a read beyond them. */
TEST(nothing_is_read_beyond_the_text)
{
    const struct cx_str whole = CX_STR("It's  a TEST\r\n\r\n of \xe4\xb8\xad\xe6\x96\x87, 12345 "
                                       "internationalization\t\xf0\x9f\x98\x80!!/\n we'll");
    for (size_t len = 1; len <= whole.len; len++) {
        char *exact = cx_alloc(len);
        memcpy(exact, whole.p, len);
        expect_spelled(CX_ENCODING_CL100K, (struct cx_str){ exact, len });
        expect_spelled(CX_ENCODING_O200K, (struct cx_str){ exact, len });
        free(exact);
    }
}

static void expect_cut(enum cx_encoding encoding, struct cx_str text, size_t max_tokens)
{
    size_t bytes = SIZE_MAX;
    size_t tokens = SIZE_MAX;
    REQUIRE(cx_bpe_cut(encoding, text, max_tokens, &bytes, &tokens) == CX_OK);
    REQUIRE(bytes <= text.len);
    EXPECT(tokens <= max_tokens);
    EXPECT_INT(count_of(encoding, (struct cx_str){ text.p, bytes }), tokens);
    EXPECT(bytes == 0 || bytes == text.len || ((unsigned char)text.p[bytes] & 0xC0) != 0x80);
    EXPECT((bytes == text.len) == (count_of(encoding, text) <= max_tokens));
}

TEST(a_cut_is_a_prefix_of_that_many_tokens)
{
    size_t bytes = 0;
    size_t tokens = 0;
    const struct cx_str words = CX_STR("one two three four five");
    EXPECT(cx_bpe_cut(CX_ENCODING_CL100K, words, 3, &bytes, &tokens) == CX_OK);
    EXPECT_INT(bytes, 13);
    EXPECT_INT(tokens, 3);
    EXPECT(cx_bpe_cut(CX_ENCODING_CL100K, words, 5, &bytes, NULL) == CX_OK);
    EXPECT_INT(bytes, words.len);
    EXPECT(cx_bpe_cut(CX_ENCODING_CL100K, words, SIZE_MAX, &bytes, NULL) == CX_OK);
    EXPECT_INT(bytes, words.len);
    EXPECT(cx_bpe_cut(CX_ENCODING_CL100K, words, 0, &bytes, &tokens) == CX_OK);
    EXPECT_INT(bytes, 0);
    EXPECT_INT(tokens, 0);

    const struct cx_str texts[] = {
        words,
        CX_STR("It's  a \n\n  TEST of   \xe4\xb8\xad\xe6\x96\x87\xe3\x80\x82 12345678 'quoted'  x"),
        CX_STR("      x      y\n      z \t\t\t  q                          r"),
        CX_STR("\xf0\x9f\x98\x80\xf0\x9f\xa4\xb7\xf0\x9f\x8f\xbd\xe2\x80\x8d\xe2\x99\x80\xef\xb8"
               "\x8f\xf0\x9f\x87\xa9"),
        CX_STR("antidisestablishmentarianism internationalizationalism"),
        CX_STR("we'll they've I'M x's 'tis o'clock FooBarBAZ's"),
        CX_STR("\x80\x80\xff\xfe bad \xe2\x82 bytes \xf0\x9f"),
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(texts); i++) {
        for (size_t max_tokens = 0; max_tokens < 45; max_tokens++) {
            expect_cut(CX_ENCODING_CL100K, texts[i], max_tokens);
            expect_cut(CX_ENCODING_O200K, texts[i], max_tokens);
        }
    }
}

/* However long a word is, the cut falls where a token of the whole ends. */
TEST(a_cut_in_a_long_word_is_where_a_token_ends)
{
    enum { WORD_BYTES = 20000 };
    uint32_t *ids = cx_alloc(WORD_BYTES * sizeof *ids);
    char *word = cx_alloc(WORD_BYTES);
    uint32_t seed = 11;
    for (int letters = 1; letters <= 26; letters += 5) {
        for (size_t i = 0; i < WORD_BYTES; i++) {
            seed = seed * 1664525 + 1013904223;
            word[i] = (char)('a' + (seed >> 16) % (unsigned)letters);
        }
        const struct cx_str text = { word, WORD_BYTES };
        size_t count = 0;
        REQUIRE(cx_bpe_encode(CX_ENCODING_CL100K, text, ids, WORD_BYTES, &count) == CX_OK);
        size_t ends = 0;
        for (size_t tokens = 1; tokens <= count; tokens++) {
            ends += cx_bpe_token(CX_ENCODING_CL100K, ids[tokens - 1]).len;
            if (tokens % 97 == 1 || tokens == count) {
                size_t bytes = 0;
                EXPECT(cx_bpe_cut(CX_ENCODING_CL100K, text, tokens, &bytes, NULL) == CX_OK);
                EXPECT_INT(bytes, ends);
            }
        }
    }
    free(ids);
    free(word);
}

/* A cut never splits a character, though tokens do. */
TEST(a_cut_keeps_characters_whole)
{
    size_t bytes = 0;
    size_t tokens = 0;
    const struct cx_str shrug = CX_STR("a\xf0\x9f\xa4\xb7");
    EXPECT(count_of(CX_ENCODING_CL100K, shrug) > 2);
    EXPECT(cx_bpe_cut(CX_ENCODING_CL100K, shrug, 2, &bytes, &tokens) == CX_OK);
    EXPECT_INT(bytes, 1);
    EXPECT_INT(tokens, 1);
}

/* Quadratic work on any of these takes minutes: the test runner's limit is the assertion. */
TEST(long_runs_of_anything_are_no_trouble)
{
    static const struct {
        const char *unit;
        size_t tokens; /* of cl100k_base, where it is known */
    } rows[] = {
        { "a", 32768 },
        { "A", 32768 },
        { " ", 2048 },
        { "\n", 8192 },
        { "\xcc\x81", 131072 },
        { "7", 87382 },
        { "\xf0\x9f\x98\x80", 131072 },
        { "\xff", RUN_BYTES },
        { "\x80", RUN_BYTES },
        { "\n ", 0 },
        { "\xcc\x81"
          "A",
          0 },
        { "\xe4\xb8\xad"
          "A",
          0 },
        { "=-", 0 },
        { "'", 0 },
        { "/\n", 0 },
        { "AAAAAAAAAAAAAAAAAAAAAAAAa", 0 },
    };
    char *text = cx_alloc(RUN_BYTES);
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        const size_t unit = strlen(rows[i].unit);
        size_t len = 0;
        for (; len + unit <= RUN_BYTES; len += unit) {
            memcpy(text + len, rows[i].unit, unit);
        }
        const size_t count = count_of(CX_ENCODING_CL100K, (struct cx_str){ text, len });
        EXPECT(count > 0 && count <= len);
        if (rows[i].tokens > 0) {
            EXPECT_INT(count, rows[i].tokens);
        }
        EXPECT(count_of(CX_ENCODING_O200K, (struct cx_str){ text, len }) > 0);
        size_t bytes = 0;
        size_t tokens = 0;
        EXPECT(cx_bpe_cut(CX_ENCODING_CL100K, (struct cx_str){ text, len }, 1000, &bytes,
                          &tokens) == CX_OK);
        EXPECT(bytes > 0 || (text[0] & 0xC0) == 0x80);
        EXPECT(tokens <= 1000);
    }
    free(text);
}
