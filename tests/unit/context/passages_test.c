/* SPDX-License-Identifier: MIT
 *
 * Cutting texts into passages: exact counts, good ends, overlaps, whole characters, nothing lost.
 */
#include <stdlib.h>
#include <string.h>

#include "cortex/context.h"
#include "test.h"

#define CAPACITY 4096

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool begins_character(struct cx_str text, size_t at)
{
    return at == text.len || ((unsigned char)text.p[at] & 0xC0) != 0x80;
}

/* What holds for every text. Returns how many passages there are. */
static size_t check(struct cx_str text, size_t tokens_max, size_t overlap, struct cx_passage *p)
{
    size_t count = 0;
    EXPECT_INT(cx_passages_cut(CX_ENCODING_CL100K, text, tokens_max, overlap, p, CAPACITY, &count),
               CX_OK);
    size_t covered = 0;
    for (size_t i = 0; i < count; i++) {
        EXPECT(p[i].start < p[i].end && p[i].end <= text.len);
        EXPECT(begins_character(text, p[i].start) && begins_character(text, p[i].end));
        EXPECT(!is_space(text.p[p[i].start]) && !is_space(text.p[p[i].end - 1]));
        size_t tokens = 0;
        const struct cx_str piece = { text.p + p[i].start, p[i].end - p[i].start };
        EXPECT(cx_bpe_count(CX_ENCODING_CL100K, piece, &tokens) == CX_OK);
        EXPECT_INT(p[i].tokens, tokens);
        EXPECT(tokens <= tokens_max);
        EXPECT(p[i].end > covered); /* each brings something new … */
        for (size_t at = covered; at < p[i].start; at++) {
            EXPECT(is_space(text.p[at])); /* … and nothing is left out */
        }
        if (i > 0 && p[i].start < p[i - 1].end) {
            const struct cx_str shared = { text.p + p[i].start, p[i - 1].end - p[i].start };
            EXPECT(cx_bpe_count(CX_ENCODING_CL100K, shared, &tokens) == CX_OK);
            EXPECT(tokens <=
                   overlap + 1); /* of a text of its own: its first word has lost a space */
        }
        covered = p[i].end;
    }
    for (size_t at = covered; at < text.len; at++) {
        EXPECT(is_space(text.p[at]));
    }
    return count;
}

TEST(passages_of_short_texts)
{
    struct cx_passage p[CAPACITY];
    EXPECT_INT(check(CX_STR(""), 16, 0, p), 0);
    EXPECT_INT(check(CX_STR(" \n\t "), 16, 8, p), 0);
    EXPECT_INT(check(CX_STR("one"), 16, 8, p), 1);
    EXPECT_INT(check(CX_STR("  one two three  "), 16, 8, p), 1);
    EXPECT_INT(p[0].start, 2);
    EXPECT_INT(p[0].end, 15);
}

TEST(passages_end_where_sentences_end)
{
    static const char text[] = "The first sentence is here to be read. The second one follows it. "
                               "A third sentence, which is longer than both, ends it all.";
    struct cx_passage p[CAPACITY];
    const size_t count = check((struct cx_str){ text, sizeof text - 1 }, 20, 0, p);
    EXPECT_INT(count, 2);
    EXPECT_STR(text + p[0].end, " A third sentence, which is longer than both, ends it all.");
    /* A paragraph is better still. */
    static const char two[] = "It is one paragraph with eight words\n\nand another. With one, two, "
                              "three, four, five, six, seven words";
    EXPECT(check((struct cx_str){ two, sizeof two - 1 }, 16, 0, p) > 1);
    EXPECT_INT(memcmp(two + p[0].end, "\n\nand", 5), 0);
    EXPECT_INT(memcmp(two + p[1].start, "and", 3), 0);
}

TEST(passages_overlap_by_whole_words)
{
    struct cx_buf text;
    cx_buf_init(&text, 1 << 20);
    for (int i = 0; i < 2000; i++) {
        cx_buf_printf(&text, "word%d ", i);
    }
    const struct cx_str all = { text.data, text.len };
    struct cx_passage p[CAPACITY];
    const size_t count = check(all, 64, 16, p);
    EXPECT(count > 10);
    for (size_t i = 1; i < count; i++) {
        EXPECT(p[i].start < p[i - 1].end);
        EXPECT_INT(memcmp(all.p + p[i].start, "word", 4), 0);
        EXPECT(is_space(all.p[p[i].start - 1]));
    }
    size_t few = 0;
    EXPECT_INT(cx_passages_cut(CX_ENCODING_CL100K, all, 64, 16, p, 3, &few), CX_TOO_LARGE);
    EXPECT_INT(few, 3);
    cx_buf_free(&text);
}

/* A word of a megabyte: were each passage to cost as much as all that follows it, this would take
 * minutes. The test runner's limit is the assertion. */
TEST(passages_of_a_word_without_end)
{
    enum { WORD_BYTES = 1 << 20, PASSAGES = 8192 };
    struct cx_passage *p = cx_alloc(PASSAGES * sizeof *p);
    char *word = cx_alloc(WORD_BYTES);
    uint32_t seed = 5;
    for (size_t i = 0; i < WORD_BYTES; i++) {
        seed = seed * 1664525 + 1013904223;
        word[i] = (char)('a' + (seed >> 16) % 26);
    }
    size_t count = 0;
    EXPECT_INT(cx_passages_cut(CX_ENCODING_CL100K, (struct cx_str){ word, WORD_BYTES }, 256, 32, p,
                               PASSAGES, &count),
               CX_OK);
    size_t covered = 0;
    for (size_t i = 0; i < count; i++) {
        EXPECT(p[i].start <= covered && p[i].end > covered && p[i].tokens <= 256);
        covered = p[i].end;
    }
    EXPECT_INT(covered, WORD_BYTES);
    free(word);
    free(p);
}

/* No good end anywhere, characters of several bytes and tokens, bytes of many kinds. */
TEST(passages_of_unkind_texts)
{
    static const char *const pieces[] = { "a",
                                          "xyzzy",
                                          "\xF0\x9F\x8E\xBC",
                                          "\xE4\xB8\x80",
                                          "\n",
                                          " ",
                                          ".",
                                          "   ",
                                          "'s",
                                          "1234",
                                          "\xCC\x81",
                                          "?!" };
    struct cx_passage *p = cx_alloc(CAPACITY * sizeof *p);
    for (size_t kind = 0; kind < CX_ARRAY_LEN(pieces); kind++) {
        struct cx_buf text;
        cx_buf_init(&text, 1 << 20);
        for (int i = 0; i < 1000; i++) {
            cx_buf_puts(&text, pieces[kind]);
        }
        (void)check((struct cx_str){ text.data, text.len }, 16, 8, p);
        (void)check((struct cx_str){ text.data, text.len }, 100, 50, p);
        cx_buf_free(&text);
    }
    uint32_t seed = 7;
    for (int round = 0; round < 60; round++) {
        struct cx_buf text;
        cx_buf_init(&text, 1 << 20);
        for (int i = 0; i < 700; i++) {
            seed = seed * 1664525 + 1013904223;
            cx_buf_puts(&text, pieces[(seed >> 16) % CX_ARRAY_LEN(pieces)]);
        }
        (void)check((struct cx_str){ text.data, text.len }, 16 + (size_t)round, (size_t)round / 4,
                    p);
        cx_buf_free(&text);
    }
    free(p);
}
