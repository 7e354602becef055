/* SPDX-License-Identifier: MIT
 *
 * What the providers of embed share: the embedder, the call and how a call ends.
 *
 * Threads: the loop, except what a provider's …_work functions touch.
 */
#ifndef CORTEX_EMBED_INTERNAL_H
#define CORTEX_EMBED_INTERNAL_H

#include "cortex/embed.h"

struct cx_series;

#define EMBED__TEXTS_MAX 32768 /* in one call: a vector is some KiB */

/* One provider. `start` gets a call whose common half is set up: on CX_OK it owns the call and ends
 * it by embed__finish, later; otherwise embed.c frees it. */
struct embed__ops {
    size_t call_size;
    enum cx_status (*start)(struct cx_embed_call *call, struct cx_err *err);
    void (*cancel)(struct cx_embed_call *call);
    void (*release_call)(struct cx_embed_call *call); /* what it holds; NULL = nothing */
    /* NULL = it does not count. Any thread. */
    size_t (*count_tokens)(const struct cx_embedder *e, enum cx_embed_kind kind,
                           const struct cx_str *texts, size_t count);
    void (*free)(struct cx_embedder *e);
};

struct cx_embedder {
    const struct embed__ops *ops;
    char *provider;
    char *model;
    unsigned dimension;
    char fingerprint[65];
    size_t memory_bytes;
    size_t active; /* calls under way */
    struct cx_series *texts_ok;
    struct cx_series *texts_failed;
    struct cx_series *seconds;
};

struct cx_embed_call {
    struct cx_embedder *embedder;
    enum cx_embed_kind kind;
    const struct cx_str *texts;
    size_t count;
    uint64_t started_ns;
    uint64_t deadline_ns;    /* monotonic */
    const char *traceparent; /* until start has returned */
    cx_embed_fn on_done;
    void *ctx;
    bool cancelled;
    struct cx_embed_result result;
};

/* parameters: what else, beside provider, model and dimension, tells two vector spaces apart. */
void embed__init(struct cx_embedder *e, const struct embed__ops *ops, const char *provider,
                 const char *model, unsigned dimension, const char *parameters);
/* Ends a call: result.status, err, vectors stand in call->result. Frees the call, then tells. */
void embed__finish(struct cx_embed_call *call);
/* The same with this status; text may be NULL for the status's own. */
void embed__fail(struct cx_embed_call *call, enum cx_status status, const char *text);
/* Behind a batcher, the provider; else itself. */
const struct cx_embedder *embed__provider_of(const struct cx_embedder *e);
/* Milliseconds to the deadline, 0 when it is over. */
uint64_t embed__time_left_ms(const struct cx_embed_call *call);

#endif
