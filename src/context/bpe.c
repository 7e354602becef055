/* SPDX-License-Identifier: MIT
 *
 * Byte-pair encoding: text → pieces (split.c) → tokens (vocabulary.c for the pieces that are one,
 * merge.c for the others) → what the caller wants of them (sink.h).
 */
#include "cortex/context.h"
#include "merge.h"
#include "sink.h"
#include "split.h"
#include "vocabulary.h"

static enum cx_status encode(enum cx_encoding encoding, struct cx_str text, size_t stop,
                             struct sink *sink) CX_MUST_CHECK;
static inline __attribute__((always_inline)) enum cx_status
encode_by(const struct vocabulary *v, split_fn split, struct cx_str text, size_t stop,
          struct sink *sink);

enum cx_status cx_bpe_count(enum cx_encoding encoding, struct cx_str text, size_t *tokens)
{
    struct sink sink = { .ids = NULL };
    const enum cx_status status = encode(encoding, text, SIZE_MAX, &sink);
    if (status == CX_OK) {
        *tokens = sink.count;
    }
    return status;
}

enum cx_status cx_bpe_encode(enum cx_encoding encoding, struct cx_str text, uint32_t *ids,
                             size_t capacity, size_t *count)
{
    struct sink sink = { .ids = ids, .capacity = capacity };
    const enum cx_status status = encode(encoding, text, capacity, &sink);
    if (status != CX_OK) {
        return status;
    }
    if (sink.count > capacity) {
        return CX_TOO_LARGE;
    }
    *count = sink.count;
    return CX_OK;
}

/* What of a text can matter to a cut: twice the bytes that so many of the longest tokens have, so that
 * where it ends changes no token near the cut. */
static struct cx_str part_that_matters(enum cx_encoding encoding, struct cx_str text,
                                       size_t max_tokens)
{
    const struct vocabulary v = context__vocabulary(encoding);
    if (max_tokens < text.len / (2 * v.longest)) {
        text.len = cx_utf8_cut(text, (max_tokens + 1) * 2 * v.longest);
    }
    return text;
}

enum cx_status cx_bpe_cut(enum cx_encoding encoding, struct cx_str text, size_t max_tokens,
                          size_t *bytes, size_t *tokens)
{
    text = part_that_matters(encoding, text, max_tokens);
    size_t limit = max_tokens;
    size_t cut = 0;
    size_t count = 0;
    while (limit > 0) {
        struct sink sink = { .limit = limit,
                             .text = (const unsigned char *)text.p,
                             .len = text.len };
        enum cx_status status = encode(encoding, text, limit, &sink);
        if (status != CX_OK) {
            return status;
        }
        cut = sink.whole;
        count = sink.count;
        if (count <= limit) {
            break;
        }
        /* Without what follows it the last white space may be split differently. */
        status = cx_bpe_count(encoding, (struct cx_str){ text.p, cut }, &count);
        if (status != CX_OK) {
            return status;
        }
        if (count <= max_tokens) {
            break;
        }
        limit--;
        cut = 0;
        count = 0;
    }
    *bytes = cut;
    if (tokens != NULL) {
        *tokens = count;
    }
    return CX_OK;
}

struct cx_str cx_bpe_token(enum cx_encoding encoding, uint32_t id)
{
    const struct vocabulary v = context__vocabulary(encoding);
    return context__token(&v, id);
}

/* Goes on until there are more than `stop` tokens. */
static enum cx_status encode(enum cx_encoding encoding, struct cx_str text, size_t stop,
                             struct sink *sink)
{
    if (text.len == 0) {
        return CX_OK;
    }
    const struct vocabulary v = context__vocabulary(encoding);
    switch (encoding) {
    case CX_ENCODING_CL100K:
        return encode_by(&v, context__split_cl100k, text, stop, sink);
    case CX_ENCODING_O200K:
        break;
    }
    return encode_by(&v, context__split_o200k, text, stop, sink);
}

/* Inlined, so that the call of split is a direct one. */
static inline __attribute__((always_inline)) enum cx_status
encode_by(const struct vocabulary *v, split_fn split, struct cx_str text, size_t stop,
          struct sink *sink)
{
    const unsigned char *at = (const unsigned char *)text.p;
    const unsigned char *end = at + text.len;
    while (at < end && sink->count <= stop) {
        const size_t len = split(at, (size_t)(end - at));
        const uint32_t id = vocabulary_find(v, at, len, end);
        if (id != VOCABULARY_NONE) {
            sink_emit(sink, id, len);
        } else {
            const enum cx_status status = context__merge(v, at, len, end, sink);
            if (status != CX_OK) {
                return status;
            }
        }
        at += len;
    }
    return CX_OK;
}
