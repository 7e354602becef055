/* SPDX-License-Identifier: MIT
 *
 * What the embedder's tests share: a loop with one lane and a fetch, a scripted upstream in a thread
 * of its own, and calls whose one completion is kept.
 */
#ifndef CORTEX_TEST_EMBED_ENV_H
#define CORTEX_TEST_EMBED_ENV_H

#include <pthread.h>

#include "cortex/embed.h"
#include "test.h"

#define REQUESTS_MAX 8

/* Answers one request after the other, each on a connection of its own, by `answer`. */
struct upstream {
    int listener;
    unsigned port;  /* 0 = a unix socket */
    char path[256]; /* of the unix socket */
    pthread_t thread;
    /* Writes the whole response for request number n (from 0) to out; "" = hold the connection open
     * until the other side closes it. */
    void (*answer)(void *ctx, size_t n, struct cx_str body, struct cx_buf *out);
    void *ctx;
    pthread_mutex_t mutex; /* over what follows */
    size_t requests;
    char *heads[REQUESTS_MAX];
    char *bodies[REQUESTS_MAX];
};
bool upstream_start(struct upstream *u, const char *unix_path);
void upstream_stop(struct upstream *u);
size_t upstream_requests(struct upstream *u); /* that have come */

struct env {
    struct cx_loop *loop;
    struct cx_lane *lane;
    struct cx_fetch *fetch;
    size_t under_way;
};
bool env_open(struct env *e, unsigned waiting);
void env_close(struct env *e);

struct call {
    struct env *env;
    struct cx_embed_call *handle;
    unsigned completions;
    bool starting;
    struct cx_embed_result result;
};
enum cx_status call_start(struct call *c, struct env *env, struct cx_embedder *e,
                          enum cx_embed_kind kind, const struct cx_str *texts, size_t count,
                          uint64_t timeout_ms);
/* Until every call that was started has ended. */
void env_run(struct env *e);
void call_free(struct call *c);

#endif
