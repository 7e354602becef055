/* SPDX-License-Identifier: MIT
 *
 * A text as an FTS5 query: every word a quoted string, so that nothing in it is syntax. Words are
 * cut where the tokenizer would cut, roughly: what it cuts further becomes a phrase. A word that
 * comes twice counts twice, as BM25 wants of a long query.
 */
#include "keywords.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BYTES 128

/* Sorted. The words that carry no subject in English. */
static const char *const STOP_WORDS[] = {
    "a",       "about",  "above",   "after",   "again",  "against", "all",     "am",    "an",
    "and",     "any",    "are",     "as",      "at",     "be",      "because", "been",  "before",
    "being",   "below",  "between", "both",    "but",    "by",      "can",     "could", "did",
    "do",      "does",   "doing",   "down",    "during", "each",    "few",     "for",   "from",
    "further", "had",    "has",     "have",    "having", "he",      "her",     "here",  "hers",
    "him",     "his",    "how",     "i",       "if",     "in",      "into",    "is",    "it",
    "its",     "itself", "just",    "me",      "more",   "most",    "my",      "no",    "nor",
    "not",     "of",     "off",     "on",      "once",   "only",    "or",      "other", "our",
    "out",     "over",   "own",     "same",    "she",    "should",  "so",      "some",  "such",
    "than",    "that",   "the",     "their",   "theirs", "them",    "then",    "there", "these",
    "they",    "this",   "those",   "through", "to",     "too",     "under",   "until", "up",
    "very",    "was",    "we",      "were",    "what",   "when",    "where",   "which", "while",
    "who",     "whom",   "why",     "will",    "with",   "would",   "you",     "your",  "yours",
};

static bool next_word(struct cx_str *rest, struct cx_str *word);
static size_t word_length(struct cx_str text);
static size_t separator_length(struct cx_str text);
static bool is_stop_word(struct cx_str word);
static int compare_word(const void *key, const void *row);

void cx_vector_match_query(struct cx_str text, struct cx_buf *out)
{
    struct cx_str words[VECTOR__QUERY_WORDS_MAX];
    const size_t count = vector__query_words(text, words);
    for (size_t i = 0; i < count; i++) {
        cx_buf_puts(out, i > 0 ? " OR \"" : "\"");
        cx_buf_put_str(out, words[i]);
        cx_buf_putc(out, '"');
    }
}

size_t vector__query_words(struct cx_str text, struct cx_str words[VECTOR__QUERY_WORDS_MAX])
{
    size_t count = 0;
    struct cx_str rest = text;
    while (count < VECTOR__QUERY_WORDS_MAX && next_word(&rest, &words[count])) {
        if (words[count].len <= WORD_BYTES && !is_stop_word(words[count])) {
            count++;
        }
    }
    return count;
}

static bool next_word(struct cx_str *rest, struct cx_str *word)
{
    while (rest->len > 0) {
        const size_t len = word_length(*rest);
        const size_t skip = len > 0 ? len : separator_length(*rest);
        *word = (struct cx_str){ rest->p, len };
        rest->p += skip;
        rest->len -= skip;
        if (len > 0) {
            return true;
        }
    }
    return false;
}

static size_t word_length(struct cx_str text)
{
    size_t len = 0;
    while (len < text.len) {
        const struct cx_str rest = { text.p + len, text.len - len };
        if (separator_length(rest) > 0) {
            break;
        }
        len++;
    }
    return len;
}

/* Bytes of the separator at the front, 0 where a letter or digit (or the inside of one) stands.
 * Beyond ASCII: the signs of Latin-1, general punctuation to technical symbols, CJK punctuation. */
static size_t separator_length(struct cx_str text)
{
    const unsigned char *p = (const unsigned char *)text.p;
    if (p[0] < 0x80) {
        const bool letter = (p[0] >= 'a' && p[0] <= 'z') || (p[0] >= 'A' && p[0] <= 'Z');
        return letter || (p[0] >= '0' && p[0] <= '9') ? 0 : 1;
    }
    if (p[0] == 0xC2 && text.len >= 2) {
        return p[1] == 0xAA || p[1] == 0xB5 || p[1] == 0xBA || p[1] == 0xAD ? 0 : 2;
    }
    if (p[0] == 0xC3 && text.len >= 2) {
        return p[1] == 0x97 || p[1] == 0xB7 ? 2 : 0;
    }
    if (p[0] == 0xE2 && text.len >= 3) {
        const bool digits = (p[1] == 0x81 && p[2] >= 0xB0) || p[1] == 0x82 || p[1] == 0x85 ||
                            p[1] == 0x86 || p[1] == 0x91 || p[1] == 0x92 || p[1] == 0x93;
        return p[1] <= 0xAF && !digits ? 3 : 0;
    }
    if (p[0] == 0xE3 && text.len >= 3 && p[1] == 0x80) {
        return p[2] <= 0x84 || (p[2] >= 0x88 && p[2] <= 0xA0) ? 3 : 0;
    }
    return 0;
}

static bool is_stop_word(struct cx_str word)
{
    char lower[16];
    if (word.len >= sizeof lower) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        const char c = word.p[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    lower[word.len] = '\0';
    return bsearch(lower, STOP_WORDS, CX_ARRAY_LEN(STOP_WORDS), sizeof *STOP_WORDS, compare_word) !=
           NULL;
}

static int compare_word(const void *key, const void *row)
{
    return strcmp(key, *(const char *const *)row);
}
