/* SPDX-License-Identifier: MIT
 *
 * The OpenAI protocol without its calls: where they go, what is sent, and what is believed of what
 * comes back. Pure functions; any thread.
 */
#ifndef CORTEX_EMBED_OPENAI_H
#define CORTEX_EMBED_OPENAI_H

#include "cortex/base.h"

/* The published limit of one call. Those of tokens are the batcher's to keep. */
#define EMBED__OPENAI_INPUTS 2048
#define EMBED__OPENAI_DIMENSION_MAX 16384

struct embed__openai_address { /* both owned by who asked for it */
    char *url;
    char *unix_socket; /* NULL = by the URL's host */
};
struct cx_embed_openai_options;
/* From base_url, model, azure and api_version. CX_INVALID names none of them. */
enum cx_status embed__openai_address(const struct cx_embed_openai_options *options,
                                     struct embed__openai_address *out,
                                     struct cx_err *err) CX_MUST_CHECK;

struct embed__openai_shape {
    const char *model;
    unsigned dimensions; /* 0 = not sent */
    bool plain;          /* numbers instead of base64 */
};
/* Appends the body. False where it does not fit. */
bool embed__openai_write(const struct embed__openai_shape *shape, const struct cx_str *texts,
                         size_t count, struct cx_buf *out);

struct embed__openai_answer {
    float *vectors; /* count × dimension, in the order of the texts, each of length 1; owned */
    unsigned dimension;
};
/* Believed only when there are exactly `count` embeddings with the indices 0 to count - 1, all of one
 * dimension and all finite. CX_EMBEDDING_UPSTREAM otherwise; err names what was wrong and nothing of
 * the answer. count: at least 1. */
enum cx_status embed__openai_read(struct cx_str body, size_t count,
                                  struct embed__openai_answer *out,
                                  struct cx_err *err) CX_MUST_CHECK;

struct cx_fetch_response;
/* How long the service wants to be left alone; 0 = nothing said. At most a day. */
uint64_t embed__openai_pause_ms(const struct cx_fetch_response *response);

#endif
