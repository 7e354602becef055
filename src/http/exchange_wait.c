/* SPDX-License-Identifier: MIT
 *
 * What an exchange waits for: a job on a lane, another operation, the packing of its answer. Each
 * completes exactly once, onto the ready list, from which the exchanges go on one after the other.
 */
#include "http/http_internal.h"

struct exchange_work {
    struct cx_exchange *exchange;
    cx_exchange_work_fn run;
    void *arg;
    enum cx_status status;
    struct cx_err err;
};

static void do_work(void *arg);
static void on_work_done(void *arg, enum cx_status status);
static void pack_work(void *arg);
static void on_pack_done(void *arg, enum cx_status status);

enum cx_step_result cx_exchange_work(struct cx_exchange *x, struct cx_lane *lane,
                                     enum cx_priority priority, cx_exchange_work_fn work, void *arg)
{
    CX_CHECK(x->state == EXCHANGE_RUNNING);
    struct exchange_work *w = cx_arena_alloc(&x->arena, sizeof *w);
    if (w == NULL) {
        return cx_exchange_fail(x, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    w->exchange = x;
    w->run = work;
    w->arg = arg;
    const enum cx_status status = cx_lane_submit(lane, priority, do_work, on_work_done, w, &x->job);
    if (status != CX_OK) {
        return cx_exchange_fail(x, status, "%s", cx_status_text(status));
    }
    x->operation = OPERATION_JOB;
    exchange__move(x, EXCHANGE_WAITING);
    return CX_STEP_WAIT;
}

static void do_work(void *arg)
{
    struct exchange_work *w = arg;
    w->status = w->run(w->arg, &w->err);
}

static void on_work_done(void *arg, enum cx_status status)
{
    const struct exchange_work *w = arg;
    exchange__complete(w->exchange, status == CX_OK ? w->status : status, &w->err);
}

bool exchange__pack(struct cx_exchange *x, struct cx_lane *lane)
{
    if (cx_lane_submit(lane, CX_PRIORITY_NORMAL, pack_work, on_pack_done, x, &x->job) != CX_OK) {
        return false;
    }
    x->operation = OPERATION_JOB;
    exchange__move(x, EXCHANGE_PACKING);
    return true;
}

/* The one piece of work that sees an exchange, but only the two buffers of its reply, which nothing
 * else touches before it has completed. */
static void pack_work(void *arg)
{
    struct http_reply *reply = &((struct cx_exchange *)arg)->reply;
    if (!cx_gzip((struct cx_str){ reply->body.data, reply->body.len }, 1, &reply->packed)) {
        cx_buf_free(&reply->packed);
    }
}

static void on_pack_done(void *arg, enum cx_status status)
{
    exchange__complete(arg, status, NULL);
}

enum cx_step_result cx_exchange_wait(struct cx_exchange *x, void (*cancel)(void *op), void *op)
{
    CX_CHECK(x->state == EXCHANGE_RUNNING);
    x->operation = OPERATION_OTHER;
    x->cancel = cancel;
    x->op = op;
    exchange__move(x, EXCHANGE_WAITING);
    return CX_STEP_WAIT;
}

void cx_exchange_set_overdue(struct cx_exchange *x, enum cx_status status)
{
    CX_CHECK(x->state == EXCHANGE_RUNNING);
    x->overdue = status;
}

void cx_exchange_resume(struct cx_exchange *x, enum cx_status status, const struct cx_err *err)
{
    CX_ASSERT_LOOP();
    CX_CHECK(x->operation == OPERATION_OTHER);
    exchange__complete(x, status, err);
}

void exchange__complete(struct cx_exchange *x, enum cx_status status, const struct cx_err *err)
{
    struct cx_http *http = x->http;
    CX_CHECK(x->state == EXCHANGE_WAITING || x->state == EXCHANGE_PACKING ||
             x->state == EXCHANGE_ABANDONED);
    x->operation = OPERATION_NONE;
    x->job = NULL;
    x->overdue = CX_OK;
    x->outcome = status;
    x->outcome_detail = NULL;
    if (status != CX_OK && err != NULL && err->text[0] != '\0' && x->state == EXCHANGE_WAITING) {
        x->outcome_detail = cx_arena_strdup(&x->arena, err->text);
    }
    link__append(&http->ready, &x->queued);
    if (!http->busy) {
        server__enter(http);
        server__leave(http);
    }
}

enum cx_status cx_exchange_outcome(struct cx_exchange *x, const char **detail)
{
    if (detail != NULL) {
        *detail = x->outcome_detail;
    }
    return x->outcome;
}

void exchange__run_ready(struct cx_http *http)
{
    struct link *link = NULL;
    while ((link = link__take_first(&http->ready)) != NULL) {
        struct cx_exchange *x =
            (struct cx_exchange *)(void *)((char *)link - offsetof(struct cx_exchange, queued));
        struct connection *c = x->connection;
        exchange__advance(x);
        /* A stream may have made room for what is stashed, or written more than its socket takes. */
        if (c != NULL && (c->exchange != x || x->stream.pieces || x->stream.state != STREAM_NONE)) {
            connection__proceed(c);
        }
        exchange__sweep(http);
    }
}
