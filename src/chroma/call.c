/* SPDX-License-Identifier: MIT
 *
 * One operation on its way:
 *
 *   WRITING --> [RESOLVING] --> ASKING --> READING --> end
 *                  ^              |
 *                  +-- PAUSING <--+    tried again, or the collection has another id by now
 *
 * Everything may be asked twice: what is put is an upsert, and what is deleted stays so. Loop thread,
 * except write_work and read_work; while one of these runs the operation is theirs.
 */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_BYTES_MAX ((size_t)512 << 20)

static void free_call(struct cx_chroma_call *call);
static void write_work(void *arg);
static void on_written(void *arg, enum cx_status status);
static enum cx_status check_vectors(const struct cx_chroma_call *call,
                                    const struct chroma__collection *found, struct cx_err *err);
static void on_resolved(struct cx_chroma_call *call, struct cx_str body);
static void read_work(void *arg);
static void on_read(void *arg, enum cx_status status);

enum cx_status cx_chroma_start(struct cx_chroma *chroma, struct cx_chroma_op *op,
                               void (*on_done)(void *ctx), void *ctx, struct cx_err *err)
{
    CX_ASSERT_LOOP();
    CX_CHECK(op->call == NULL);
    struct cx_chroma_call *call = cx_alloc(sizeof *call);
    *call = (struct cx_chroma_call){ .chroma = chroma,
                                     .op = op,
                                     .on_done = on_done,
                                     .ctx = ctx,
                                     .deadline_ms =
                                         cx_loop_now_ms(chroma->options.loop) + op->time_ms };
    cx_buf_init(&call->body, REQUEST_BYTES_MAX);
    cx_buf_init(&call->answer, CHROMA__ANSWER_BYTES_MAX);
    enum cx_status status = CX_OK;
    if (op->verb != CX_CHROMA_LIST) {
        status = chroma__name_of(chroma, op->collection, call->name, err);
    }
    if (status == CX_OK &&
        !cx_breaker_ready(&chroma->breaker, cx_loop_now_ms(chroma->options.loop))) {
        op->retry_after_ms =
            cx_breaker_wait_ms(&chroma->breaker, cx_loop_now_ms(chroma->options.loop));
        status =
            cx_err_set(err, CX_VECTOR_CIRCUIT_OPEN, "%s", cx_status_text(CX_VECTOR_CIRCUIT_OPEN));
    }
    if (status == CX_OK) {
        status = cx_lane_submit(chroma->options.lane, CX_PRIORITY_NORMAL, write_work, on_written,
                                call, &call->job);
        if (status != CX_OK) {
            (void)cx_err_set(err, status, "%s", cx_status_text(status));
        }
    }
    if (status != CX_OK) {
        free_call(call);
        return status;
    }
    if (op->traceparent != NULL) {
        const size_t size = strlen(op->traceparent) + sizeof "traceparent: ";
        call->traceparent = cx_alloc(size);
        (void)snprintf(call->traceparent, size, "traceparent: %s", op->traceparent);
    }
    cx_retry_budget_earn(&chroma->budget);
    chroma->active++;
    op->call = call;
    return CX_OK;
}

static void free_call(struct cx_chroma_call *call)
{
    cx_timer_free(&call->timer);
    cx_buf_free(&call->body);
    cx_buf_free(&call->answer);
    free(call->traceparent);
    free(call);
}

void cx_chroma_cancel(struct cx_chroma_op *op)
{
    struct cx_chroma_call *call = op->call;
    if (call == NULL) {
        return;
    }
    call->cancelled = true;
    if (call->request != NULL) {
        cx_call_cancel(call->request);
    } else if (call->job != NULL) {
        cx_job_cancel(call->job);
    } else if (call->phase == PHASE_PAUSING) {
        cx_timer_start(call->timer, 0, 0);
    }
}

void cx_chroma_op_end(struct cx_chroma_op *op)
{
    CX_CHECK(op->call == NULL);
    json_decref(op->answer);
    op->answer = NULL;
}

/* ---- Writing ---- */

static void write_work(void *arg)
{
    struct cx_chroma_call *call = arg;
    chroma__write_body(call->op, &call->body);
}

static void on_written(void *arg, enum cx_status status)
{
    struct cx_chroma_call *call = arg;
    call->job = NULL;
    if (status != CX_OK) {
        chroma__end(call, status, NULL);
    } else if (call->body.failed) {
        chroma__end(call, CX_TOO_LARGE, "The documents are too much for one request");
    } else {
        chroma__proceed(call);
    }
}

static enum cx_chroma_vectors holds(const struct cx_chroma *c,
                                    const struct chroma__collection *found)
{
    return found->of_client                                  ? CX_CHROMA_CLIENTS
           : strcmp(found->fingerprint, c->fingerprint) == 0 ? CX_CHROMA_OURS
                                                             : CX_CHROMA_NO_VECTORS;
}

void chroma__proceed(struct cx_chroma_call *call)
{
    struct cx_chroma_op *op = call->op;
    if (call->cancelled) {
        chroma__end(call, CX_CANCELLED, NULL);
        return;
    }
    if (op->verb == CX_CHROMA_LIST || op->verb == CX_CHROMA_DROP) {
        chroma__ask(call, NULL);
        return;
    }
    const struct chroma__collection *found = chroma__known(call->chroma, call->name);
    if (found == NULL) {
        chroma__resolve(call);
        return;
    }
    op->holds = holds(call->chroma, found);
    struct cx_err err = { "" };
    const enum cx_status status = check_vectors(call, found, &err);
    if (status != CX_OK) {
        chroma__end(call, status, err.text);
        return;
    }
    char id[CHROMA__ID_BYTES + 1];
    (void)snprintf(id, sizeof id, "%s", found->id);
    chroma__ask(call, id);
}

/* Vectors of two models never meet. */
static enum cx_status check_vectors(const struct cx_chroma_call *call,
                                    const struct chroma__collection *found, struct cx_err *err)
{
    const struct cx_chroma *c = call->chroma;
    const struct cx_chroma_op *op = call->op;
    const int len = (int)op->collection.len;
    const char *name = op->collection.p;
    if (!found->ours) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%.*s\" of the Chroma server was not made by Cortex", len,
                          name);
    }
    if (op->vectors == CX_CHROMA_NO_VECTORS) {
        return CX_OK;
    }
    if (op->vectors == CX_CHROMA_OURS && found->of_client) {
        return cx_err_set(
            err, CX_CONFLICT,
            "collection \"%.*s\" holds vectors that clients bring: a text needs one of "
            "%u dimensions",
            len, name, found->dimension);
    }
    if (op->vectors == CX_CHROMA_OURS && strcmp(found->fingerprint, c->fingerprint) != 0) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%.*s\" belongs to the model %s/%s, and %s/%s is configured",
                          len, name, found->provider, found->model, c->provider, c->model);
    }
    if (op->dimension != 0 && found->dimension != op->dimension) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%.*s\" has vectors of %u dimensions, not %u", len, name,
                          found->dimension, op->dimension);
    }
    return CX_OK;
}

/* ---- Reading ---- */

void chroma__on_good(struct cx_chroma_call *call, struct cx_call *request,
                     const struct cx_fetch_response *response)
{
    if (call->phase == PHASE_RESOLVING) {
        on_resolved(call, response->body);
        return;
    }
    cx_call_take_body(request, &call->answer);
    call->phase = PHASE_READING;
    const enum cx_status status = cx_lane_submit(call->chroma->options.lane, CX_PRIORITY_HIGH,
                                                 read_work, on_read, call, &call->job);
    if (status != CX_OK) {
        chroma__end(call, status, NULL);
    }
}

static void on_resolved(struct cx_chroma_call *call, struct cx_str body)
{
    struct chroma__collection found;
    struct cx_err err = { "" };
    json_t *json = NULL;
    if (chroma__parse(body, &json, &err) != CX_OK || !chroma__read_collection(json, &found) ||
        strcmp(found.name, call->name) != 0) {
        json_decref(json);
        chroma__end(call, CX_VECTOR_UPSTREAM, "the vector store's answer is not one of Chroma's");
        return;
    }
    json_decref(json);
    chroma__remember(call->chroma, &found);
    chroma__proceed(call);
}

/* The collection is not there, or has another id since somebody has deleted it and made it again. */
void chroma__on_not_found(struct cx_chroma_call *call)
{
    struct cx_chroma_op *op = call->op;
    const bool by_id = call->phase == PHASE_ASKING && op->verb != CX_CHROMA_DROP;
    chroma__forget(call->chroma, call->name);
    if (by_id && op->verb != CX_CHROMA_LIST && !call->looked) {
        call->looked = true;
        chroma__proceed(call);
        return;
    }
    const bool is_default = cx_str_eq(op->collection, CX_STR("default"));
    if (op->verb == CX_CHROMA_PUT || op->verb == CX_CHROMA_LIST) {
        chroma__end(call, CX_VECTOR_UPSTREAM,
                    "the vector store does not know the tenant, the database or the collection");
    } else if (op->verb == CX_CHROMA_LOOK || is_default ||
               (op->verb == CX_CHROMA_DROP && call->asked)) {
        op->absent = true;
        chroma__end(call, CX_OK, NULL);
    } else {
        chroma__end(call, CX_NOT_FOUND, "There is no such collection");
    }
}

static void read_work(void *arg)
{
    struct cx_chroma_call *call = arg;
    const char *text = call->answer.data != NULL ? call->answer.data : "";
    call->work_status = chroma__read_answer(
        call->chroma, call->op, (struct cx_str){ text, call->answer.len }, &call->work_err);
    cx_buf_free(&call->answer);
    cx_buf_free(&call->body);
}

static void on_read(void *arg, enum cx_status status)
{
    struct cx_chroma_call *call = arg;
    call->job = NULL;
    if (call->op->verb == CX_CHROMA_DROP) {
        chroma__forget(call->chroma, call->name);
    }
    if (status == CX_OK) {
        status = call->work_status;
    }
    chroma__end(call, status, call->work_err.text[0] != '\0' ? call->work_err.text : NULL);
}

/* ---- End ---- */

void chroma__end(struct cx_chroma_call *call, enum cx_status status, const char *text)
{
    struct cx_chroma_op *op = call->op;
    void (*on_done)(void *ctx) = call->on_done;
    void *ctx = call->ctx;
    op->status = call->cancelled ? CX_CANCELLED : status;
    op->err = (struct cx_err){ "" };
    if (op->status != CX_OK) {
        (void)cx_err_set(&op->err, op->status, "%s",
                         text != NULL && !call->cancelled ? text : cx_status_text(op->status));
    }
    call->chroma->active--;
    op->call = NULL;
    free_call(call);
    on_done(ctx);
}
