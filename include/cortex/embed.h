/* SPDX-License-Identifier: MIT
 *
 * embed: texts → vectors. A provider turns them; what it is made of is its own affair.
 *
 * Threads: cx_embedder_start on the loop; a local provider's blocking half (cx_embed_now) on a worker or at start-up.
 */
#ifndef CORTEX_EMBED_H
#define CORTEX_EMBED_H

#include "cortex/base.h"
#include "cortex/loop.h"

struct cx_embedder; /* a provider, ready */

struct cx_embedder_info {
    const char *provider; /* "builtin", "openai" … */
    const char *model;
    unsigned dimension; /* 0 = not known before the first answer */
    char fingerprint
        [65]; /* hex digest over provider, model, dimension, parameters: vectors of two fingerprints never mix */
};

struct cx_embed_openai_options {
    struct cx_fetch *fetch;
    const char *base_url; /* "https://api.openai.com/v1", or "unix:/path" */
    const char *api_key;  /* copied; NULL = no Authorization header */
    const char *model;
    unsigned dimensions;  /* 0 = the model's own */
    struct cx_lane *lane; /* where answers are decoded */
    uint64_t timeout_ms;  /* of one call; never longer than the request's own deadline */
};

/* The embedded default: hashed word stems and character 4-grams, weighted, 768 dimensions. No network, no key, no download. */
void cx_embedder_builtin(struct cx_lane *cpu_lane, struct cx_embedder **out);
enum cx_status cx_embedder_openai(const struct cx_embed_openai_options *options,
                                  struct cx_embedder **out, struct cx_err *err) CX_MUST_CHECK;
/* Needs that nothing is under way. */
void cx_embedder_free(struct cx_embedder **e);
void cx_embedder_info(const struct cx_embedder *e, struct cx_embedder_info *out);

enum cx_embed_kind { CX_EMBED_QUERY, CX_EMBED_DOCUMENT };
struct cx_embed_result {
    enum cx_status status;
    struct cx_err err;
    unsigned dimension;
    size_t count;
    float
        *vectors; /* count × dimension, row after row, each of length 1; the receiver's to free() */
    size_t truncated; /* texts that were longer than the model takes */
    uint64_t elapsed_ns;
};
typedef void (*cx_embed_fn)(void *ctx, struct cx_embed_result *result);
struct cx_embed_call;
/* texts live until on_done, which comes exactly once, on the loop, never within this call. timeout_ms: what is left of the request.
 * A refusal (CX_OVERLOADED …) is returned and on_done does not come. */
enum cx_status cx_embedder_start(struct cx_embedder *e, enum cx_embed_kind kind,
                                 const struct cx_str *texts, size_t count, uint64_t timeout_ms,
                                 const char *traceparent, cx_embed_fn on_done, void *ctx,
                                 struct cx_embed_call **out, struct cx_err *err) CX_MUST_CHECK;
void cx_embed_call_cancel(struct cx_embed_call *call); /* on_done comes all the same */

/* Blocking, of a local provider; vectors: dimension floats, of length 1 (or all zero for a text with no features). Worker. */
void cx_embed_builtin_text(struct cx_str text, float *vector);
#define CX_EMBED_BUILTIN_DIMENSION 768

#endif
