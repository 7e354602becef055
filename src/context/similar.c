/* SPDX-License-Identifier: MIT
 *
 * Sketches of texts and their similarity. Time is linear in the text, but for sorting its hashes.
 */
#include "similar.h"

#include <stdlib.h>
#include <string.h>

#define SHINGLE_WORDS 3
#define WORD_BYTES 64 /* a longer word is hashed piece by piece */

struct shingles {
    const uint8_t *key;
    uint64_t words[SHINGLE_WORDS]; /* the last ones, oldest first */
    size_t seen;
    uint64_t *hashes;
    size_t count;
};

static void add_word(struct shingles *s, struct cx_str word);
static void add_shingle(struct shingles *s, size_t words);
static size_t sort_unique(uint64_t *hashes, size_t count);

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

enum cx_status context__sketch(const uint8_t key[16], struct cx_str text,
                               struct context__sketch *out, struct cx_err *err)
{
    struct shingles s = { .key = key };
    s.hashes = malloc((text.len / 2 + 1) * sizeof *s.hashes); /* a word has a byte and a space */
    if (s.hashes == NULL) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    size_t at = 0;
    while (at < text.len) {
        while (at < text.len && is_space(text.p[at])) {
            at++;
        }
        const size_t begin = at;
        while (at < text.len && !is_space(text.p[at])) {
            at++;
        }
        if (at > begin) {
            add_word(&s, (struct cx_str){ text.p + begin, at - begin });
        }
    }
    if (s.seen > 0 && s.seen < SHINGLE_WORDS) {
        add_shingle(&s, s.seen); /* a text of one or two words is one shingle */
    }
    const size_t count = sort_unique(s.hashes, s.count);
    out->whole = cx_siphash(key, text.p, text.len);
    out->len = text.len;
    out->count = count < CONTEXT__SKETCH_MAX ? count : CONTEXT__SKETCH_MAX;
    memcpy(out->hashes, s.hashes, out->count * sizeof *out->hashes);
    free(s.hashes);
    return CX_OK;
}

static void add_word(struct shingles *s, struct cx_str word)
{
    struct {
        uint64_t before;
        char lower[WORD_BYTES];
    } piece = { .before = 0 };
    for (size_t begin = 0; begin < word.len; begin += WORD_BYTES) {
        const size_t len = word.len - begin < WORD_BYTES ? word.len - begin : WORD_BYTES;
        for (size_t i = 0; i < len; i++) {
            const char c = word.p[begin + i];
            piece.lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
        }
        piece.before = cx_siphash(s->key, &piece, sizeof piece.before + len);
    }
    if (s->seen >= SHINGLE_WORDS) {
        memmove(s->words, s->words + 1, (SHINGLE_WORDS - 1) * sizeof *s->words);
        s->words[SHINGLE_WORDS - 1] = piece.before;
    } else {
        s->words[s->seen] = piece.before;
    }
    s->seen++;
    if (s->seen >= SHINGLE_WORDS) {
        add_shingle(s, SHINGLE_WORDS);
    }
}

static void add_shingle(struct shingles *s, size_t words)
{
    s->hashes[s->count++] = cx_siphash(s->key, s->words, words * sizeof *s->words);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x;
    uint64_t y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static size_t sort_unique(uint64_t *hashes, size_t count)
{
    qsort(hashes, count, sizeof *hashes, by_value);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || hashes[kept - 1] != hashes[i]) {
            hashes[kept++] = hashes[i];
        }
    }
    return kept;
}

bool context__same(const struct context__sketch *a, const struct context__sketch *b)
{
    return a->len == b->len && a->whole == b->whole;
}

double context__similarity(const struct context__sketch *a, const struct context__sketch *b)
{
    if (context__same(a, b)) {
        return 1.0;
    }
    size_t i = 0;
    size_t j = 0;
    size_t both = 0;
    size_t either = 0; /* the smallest hashes of both texts together */
    while (either < CONTEXT__SKETCH_MAX && (i < a->count || j < b->count)) {
        const bool has_a = i < a->count;
        const bool has_b = j < b->count;
        const bool equal = has_a && has_b && a->hashes[i] == b->hashes[j];
        const bool first = has_a && (!has_b || a->hashes[i] <= b->hashes[j]);
        both += equal ? 1 : 0;
        i += first ? 1 : 0;
        j += !first || equal ? 1 : 0;
        either++;
    }
    return either == 0 ? 0.0 : (double)both / (double)either;
}
