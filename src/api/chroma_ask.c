/* SPDX-License-Identifier: MIT
 *
 * Asking the Chroma store from a step (chroma_ask.h), and what it is not asked for: endpoints that take
 * the local store. Loop thread.
 */
#include "api/chroma_ask.h"

static void on_answered(void *ctx);
static void cancel(void *op);

enum cx_step_result api__chroma_ask(struct cx_exchange *x, struct api__ask *ask)
{
    struct cx_err err = { "" };
    ask->x = x;
    ask->op.time_ms = api__embed_ms(x);
    ask->op.traceparent = cx_exchange_traceparent(x);
    const enum cx_status status =
        cx_chroma_start(api__of(x)->options.chroma, &ask->op, on_answered, ask, &err);
    if (status != CX_OK) {
        api__say_when(x, status, ask->op.retry_after_ms);
        return cx_exchange_fail(x, status, "%s",
                                err.text[0] != '\0' ? err.text : cx_status_text(status));
    }
    return cx_exchange_wait(x, ask->whatever_comes ? NULL : cancel, &ask->op);
}

static void cancel(void *op)
{
    cx_chroma_cancel(op);
}

static void on_answered(void *ctx)
{
    struct api__ask *ask = ctx;
    if (ask->on_done != NULL) {
        ask->on_done(ask);
    }
    const bool gone = ask->may_be_gone && ask->op.status == CX_NOT_FOUND;
    api__say_when(ask->x, ask->op.status, ask->op.retry_after_ms);
    cx_exchange_resume(ask->x, gone ? CX_OK : ask->op.status, gone ? NULL : &ask->op.err);
}

/* ---- What Chroma does not do ---- */

static const struct cx_step refuse_steps[] = { { "refuse", api__need_vector, false } };
API_ENDPOINT(api__chroma_refused, refuse_steps, 0);
