/* SPDX-License-Identifier: MIT
 *
 * A long text cut into passages that overlap a little. A passage is filled to its number of tokens
 * and then cut back to where a paragraph, a sentence or at least a word ends, if there is such an end
 * in its second half. White space around a passage belongs to none.
 */
#include <stdlib.h>

#include "cortex/context.h"

struct cutter {
    enum cx_encoding encoding;
    struct cx_str text;
    size_t tokens_max;
    size_t overlap;
    uint32_t *ids; /* room for tokens_max */
};

static enum cx_status cut_one(const struct cutter *c, size_t start, size_t beyond,
                              struct cx_passage *out);
static size_t good_end(struct cx_str text, size_t least, size_t most);
static size_t trimmed_end(struct cx_str text, size_t start, size_t end);
static size_t skip_space(struct cx_str text, size_t at);
static enum cx_status next_start(const struct cutter *c, const struct cx_passage *last,
                                 size_t *start);

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

enum cx_status cx_passages_cut(enum cx_encoding encoding, struct cx_str text, size_t tokens_max,
                               size_t overlap, struct cx_passage *out, size_t capacity,
                               size_t *count)
{
    CX_CHECK(tokens_max >= CX_PASSAGE_TOKENS_MIN && overlap <= tokens_max / 2);
    struct cutter c = { encoding, text, tokens_max, overlap,
                        cx_realloc_array(NULL, tokens_max, sizeof(uint32_t)) };
    enum cx_status status = CX_OK;
    size_t used = 0;
    size_t start = skip_space(text, 0);
    size_t beyond = start; /* where the last passage ended: the next goes further */
    while (status == CX_OK && beyond < text.len) {
        if (used == capacity) {
            status = CX_TOO_LARGE;
            break;
        }
        struct cx_passage *passage = &out[used];
        status = cut_one(&c, start, beyond, passage);
        if (status == CX_OK && passage->end <= beyond) { /* all of it would be overlap */
            status = cut_one(&c, beyond, beyond, passage);
        }
        if (status != CX_OK) {
            break;
        }
        used++;
        beyond = skip_space(text, passage->end);
        start = beyond;
        if (overlap > 0 && beyond < text.len) {
            status = next_start(&c, passage, &start);
        }
    }
    free(c.ids);
    *count = used;
    return status;
}

static enum cx_status cut_one(const struct cutter *c, size_t start, size_t beyond,
                              struct cx_passage *out)
{
    start = skip_space(c->text, start);
    const struct cx_str rest = { c->text.p + start, c->text.len - start };
    size_t bytes = 0;
    size_t tokens = 0;
    enum cx_status status = cx_bpe_cut(c->encoding, rest, c->tokens_max, &bytes, &tokens);
    if (status != CX_OK) {
        return status;
    }
    const size_t full = start + bytes;
    size_t end = full;
    if (full < c->text.len) {
        const size_t half = start + bytes / 2;
        end = good_end(c->text, half > beyond ? half : beyond, full);
    }
    end = trimmed_end(c->text, start, end);
    if (end != full) {
        /* Almost always fewer tokens; but how the words at its end are cut has changed. */
        status = cx_bpe_count(c->encoding, (struct cx_str){ rest.p, end - start }, &tokens);
        if (status == CX_OK && tokens > c->tokens_max) {
            end = full;
            status = cx_bpe_count(c->encoding, (struct cx_str){ rest.p, end - start }, &tokens);
        }
    }
    *out = (struct cx_passage){ start, end, tokens };
    return status;
}

/* The last end of a paragraph in (least, most], else of a sentence, else of a word, else most. */
static size_t good_end(struct cx_str text, size_t least, size_t most)
{
    size_t sentence = 0;
    size_t word = 0;
    for (size_t end = most; end > least; end--) {
        const char here = end < text.len ? text.p[end] : '\n';
        if (!is_space(here)) {
            continue;
        }
        const char last = text.p[end - 1];
        if (here == '\n' && (last == '\n' || (end + 1 < text.len && text.p[end + 1] == '\n'))) {
            return end;
        }
        if (sentence == 0 && (last == '.' || last == '!' || last == '?' || here == '\n')) {
            sentence = end;
        }
        if (word == 0 && !is_space(last)) {
            word = end;
        }
    }
    return sentence != 0 ? sentence : word != 0 ? word : most;
}

static size_t trimmed_end(struct cx_str text, size_t start, size_t end)
{
    while (end > start && is_space(text.p[end - 1])) {
        end--;
    }
    return end;
}

static size_t skip_space(struct cx_str text, size_t at)
{
    while (at < text.len && is_space(text.p[at])) {
        at++;
    }
    return at;
}

/* The first word of the last passage whose rest has at most `overlap` tokens; its end where there is
 * none. */
static enum cx_status next_start(const struct cutter *c, const struct cx_passage *last,
                                 size_t *start)
{
    const struct cx_str piece = { c->text.p + last->start, last->end - last->start };
    size_t count = 0;
    const enum cx_status status = cx_bpe_encode(c->encoding, piece, c->ids, c->tokens_max, &count);
    if (status != CX_OK) {
        return status;
    }
    size_t at = last->end;
    for (size_t i = count; i > 0 && count - i < c->overlap; i--) {
        at -= cx_bpe_token(c->encoding, c->ids[i - 1]).len;
    }
    while (at < last->end &&
           !(at > last->start && is_space(c->text.p[at - 1]) && !is_space(c->text.p[at]))) {
        at++;
    }
    if (at > last->start && at < last->end) {
        *start = at;
    }
    return CX_OK;
}
