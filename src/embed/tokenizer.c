/* SPDX-License-Identifier: MIT
 *
 * Encoding (tokenizer.h): text → stretches between added tokens → normalized characters → words →
 * pieces. One pass; each stage hands on to the next what it has.
 */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES_MAX ((size_t)1 << 30)

struct encoding {
    const struct embed__tokenizer *tokenizer;
    struct embed__tokens *tokens;
    size_t start; /* of this text's own ids */
    size_t limit; /* of them */
    size_t word_len;
    size_t word_chars;
    bool failed;
};

static void encode_text(struct encoding *e, struct cx_str text);
static bool is_full(const struct encoding *e);
static void encode_stretch(struct encoding *e, struct cx_str text);
static void encode_normalized(struct encoding *e, struct cx_str text);
static struct cx_str lower_all(struct encoding *e, struct cx_str text);
static void on_character(void *ctx, uint32_t code);
static void on_kept_character(void *ctx, uint32_t code);
static void put_character(struct encoding *e, uint32_t code);
static void end_word(struct encoding *e);
static bool split_word(struct encoding *e);
static void put_id(struct encoding *e, int32_t id);

void embed__tokenizer_free(struct embed__tokenizer **tokenizer)
{
    if (*tokenizer != NULL) {
        embed__trie_free(&(*tokenizer)->words);
        embed__added_free(&(*tokenizer)->added);
        embed__added_free(&(*tokenizer)->added_normalized);
        free(*tokenizer);
        *tokenizer = NULL;
    }
}

size_t embed__tokenizer_bytes(const struct embed__tokenizer *tokenizer)
{
    return sizeof *tokenizer + embed__trie_bytes(&tokenizer->words) +
           embed__trie_bytes(&tokenizer->added.trie) +
           embed__trie_bytes(&tokenizer->added_normalized.trie);
}

void embed__tokens_free(struct embed__tokens *tokens)
{
    free(tokens->ids);
    free(tokens->word);
    embed__normalizer_free(&tokens->normalizer);
    cx_buf_free(&tokens->normalized);
    cx_buf_free(&tokens->lowered);
    *tokens = (struct embed__tokens){ 0 };
}

enum cx_status embed__tokenizer_encode(const struct embed__tokenizer *t, struct cx_str text,
                                       struct embed__tokens *tokens, bool *truncated)
{
    struct encoding e = { .tokenizer = t, .tokens = tokens };
    const size_t before = tokens->count;
    const size_t specials = t->before_count + t->after_count;
    tokens->normalizer.options = t->normalizer;
    tokens->normalizer.ctx = &e;
    tokens->normalizer.failed = false;
    tokens->normalizer.count = 0;
    tokens->normalized.ceiling = BUFFER_BYTES_MAX;
    tokens->lowered.ceiling = BUFFER_BYTES_MAX;
    for (size_t i = 0; i < t->before_count; i++) {
        put_id(&e, t->before[i]);
    }
    e.start = tokens->count;
    e.limit = t->tokens_max > specials ? t->tokens_max - specials : 0;
    encode_text(&e, t->lower_first ? lower_all(&e, text) : text);
    const bool more = is_full(&e);
    if (more) {
        tokens->count = e.start + e.limit;
    }
    for (size_t i = 0; i < t->after_count; i++) {
        put_id(&e, t->after[i]);
    }
    if (e.failed || tokens->normalizer.failed) {
        tokens->count = before;
        return CX_NO_MEMORY;
    }
    *truncated = more;
    return CX_OK;
}

static void encode_text(struct encoding *e, struct cx_str text)
{
    struct embed__added_walk walk;
    struct embed__added_piece piece;
    embed__added_begin(&walk, &e->tokenizer->added, text);
    while (!is_full(e) && embed__added_next(&walk, &piece)) {
        if (piece.token != NULL) {
            put_id(e, piece.token->id);
        } else {
            encode_stretch(e, piece.text);
        }
    }
}

/* More than is used is there: one more says that the text was cut. */
static bool is_full(const struct encoding *e)
{
    return e->failed || e->tokens->count - e->start > e->limit;
}

static void encode_stretch(struct encoding *e, struct cx_str text)
{
    struct embed__normalizer *n = &e->tokens->normalizer;
    const bool kept = e->tokenizer->added_normalized.count > 0;
    n->emit = kept ? on_kept_character : on_character;
    cx_buf_clear(&e->tokens->normalized);
    size_t at = 0;
    while (at < text.len && !is_full(e)) {
        uint32_t code = 0;
        const size_t unit = cx_utf8_decode((struct cx_str){ text.p + at, text.len - at }, &code);
        at += unit > 0 ? unit : 1;
        if (unit > 0) {
            embed__normalize(n, code);
        }
    }
    embed__normalize_end(n);
    if (kept) {
        e->failed = e->failed || e->tokens->normalized.failed;
        encode_normalized(e,
                          (struct cx_str){ e->tokens->normalized.data, e->tokens->normalized.len });
    } else {
        end_word(e);
    }
}

static void encode_normalized(struct encoding *e, struct cx_str text)
{
    struct embed__added_walk walk;
    struct embed__added_piece piece;
    embed__added_begin(&walk, &e->tokenizer->added_normalized, text);
    while (!is_full(e) && embed__added_next(&walk, &piece)) {
        if (piece.token != NULL) {
            put_id(e, piece.token->id);
            continue;
        }
        size_t at = 0;
        while (at < piece.text.len && !is_full(e)) {
            uint32_t code = 0;
            at += cx_utf8_decode((struct cx_str){ piece.text.p + at, piece.text.len - at }, &code);
            put_character(e, code);
        }
        end_word(e);
    }
}

static struct cx_str lower_all(struct encoding *e, struct cx_str text)
{
    struct cx_buf *out = &e->tokens->lowered;
    cx_buf_clear(out);
    size_t at = 0;
    while (at < text.len) {
        uint32_t code = 0;
        const size_t unit = cx_utf8_decode((struct cx_str){ text.p + at, text.len - at }, &code);
        at += unit > 0 ? unit : 1;
        uint32_t lower[2];
        const size_t count = unit > 0 ? embed__lower(code, lower) : 0;
        for (size_t i = 0; i < count; i++) {
            char bytes[CX_UTF8_BYTES_MAX];
            cx_buf_append(out, bytes, cx_utf8_encode(lower[i], bytes));
        }
    }
    e->failed = e->failed || out->failed;
    return (struct cx_str){ out->data, out->len };
}

static void on_character(void *ctx, uint32_t code)
{
    put_character(ctx, code);
}

static void on_kept_character(void *ctx, uint32_t code)
{
    const struct encoding *e = ctx;
    char bytes[CX_UTF8_BYTES_MAX];
    cx_buf_append(&e->tokens->normalized, bytes, cx_utf8_encode(code, bytes));
}

static void put_character(struct encoding *e, uint32_t code)
{
    const unsigned flags = embed__class_of(code);
    if ((flags & EMBED__SPACE) != 0) {
        end_word(e);
        return;
    }
    const bool alone = (flags & EMBED__PUNCTUATION) != 0;
    if (alone) {
        end_word(e);
    }
    struct embed__tokens *tokens = e->tokens;
    if (e->word_chars <= e->tokenizer->word_chars_max) { /* of a longer one nothing is looked at */
        if (tokens->word_room - e->word_len < CX_UTF8_BYTES_MAX) {
            const size_t room = tokens->word_room > 0 ? tokens->word_room * 2 : 512;
            char *word = realloc(tokens->word, room);
            if (word == NULL) {
                e->failed = true;
                return;
            }
            tokens->word = word;
            tokens->word_room = room;
        }
        e->word_len += cx_utf8_encode(code, tokens->word + e->word_len);
        e->word_chars++;
    }
    if (alone) {
        end_word(e);
    }
}

static void end_word(struct encoding *e)
{
    if (e->word_chars == 0) {
        return;
    }
    if (!is_full(e)) {
        const size_t before = e->tokens->count;
        if (e->word_chars > e->tokenizer->word_chars_max || !split_word(e)) {
            e->tokens->count = before;
            put_id(e, e->tokenizer->unknown);
        }
    }
    e->word_len = 0;
    e->word_chars = 0;
}

/* Longest piece first, again and again; false where none fits: then all of the word is unknown. */
static bool split_word(struct encoding *e)
{
    const struct embed__trie *words = &e->tokenizer->words;
    uint32_t node = EMBED__TRIE_ROOT;
    size_t at = 0;
    while (at < e->word_len) {
        const struct cx_str rest = { e->tokens->word + at, e->word_len - at };
        size_t len = 0;
        const int32_t id = embed__trie_longest(words, node, rest, &len);
        if (id == EMBED__TRIE_NONE) {
            return false;
        }
        put_id(e, id);
        at += len;
        node = e->tokenizer->inside;
        if (!e->tokenizer->has_inside && at < e->word_len) {
            return false;
        }
    }
    return true;
}

static void put_id(struct encoding *e, int32_t id)
{
    struct embed__tokens *tokens = e->tokens;
    if (tokens->count == tokens->room) {
        const size_t room = tokens->room > 0 ? tokens->room * 2 : 1024;
        int32_t *ids = realloc(tokens->ids, room * sizeof *ids);
        if (ids == NULL) {
            e->failed = true;
            return;
        }
        tokens->ids = ids;
        tokens->room = room;
    }
    tokens->ids[tokens->count++] = id;
}
