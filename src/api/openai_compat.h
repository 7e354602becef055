/* SPDX-License-Identifier: MIT
 *
 * Inside the api room: what the endpoints under /v1/ share, which speak OpenAI's language.
 */
#ifndef CORTEX_API_OPENAI_COMPAT_H
#define CORTEX_API_OPENAI_COMPAT_H

#include "api/api_internal.h"

/* A refusal of the input. http shapes all other errors of these routes by itself, but does not know
 * of `param`, which is a member of the request or NULL. */
enum cx_step_result api__openai_refuse(struct cx_exchange *x, int http_status, const char *code,
                                       const char *param, const char *format, ...) CX_PRINTF(5, 6);
/* 400 with the first fault and how many more there are (and takes their list); CX_STEP_NEXT if
 * there is none. */
enum cx_step_result api__openai_refuse_faults(struct cx_exchange *x, struct cx_faults *faults);
enum cx_step_result api__openai_no_such_model(struct cx_exchange *x, struct cx_str model);

/* What the answer of POST /v1/embeddings is made of. */
struct api__openai_vectors {
    const float *rows; /* count × dimension */
    size_t count;
    unsigned dimension;
    bool base64;
    const char *model;
    size_t tokens;
    size_t truncated; /* texts that were cut; 0 is not told */
};
/* Into an empty out, whose ceiling it sets; its memory may be some 40 MB. Any thread. */
void api__openai_write_vectors(const struct api__openai_vectors *v, struct cx_buf *out);
/* About how much memory the rows and their text take. */
size_t api__openai_vectors_bytes(size_t count, unsigned dimension, bool base64);

#endif
