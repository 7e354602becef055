/* SPDX-License-Identifier: MIT
 *
 * The builtin provider on a lane: a call goes as a chain of jobs, each of at most SLICE_TEXTS texts
 * and SLICE_BYTES bytes (some 20 ms), one after the other, so that a query never waits behind more
 * than one slice of a worker. Queries go before documents.
 *
 * Threads: slice_work on a worker of the lane; all else on the loop. While a slice runs, the worker
 * owns `vectors` and `truncated`; the loop reads them after it.
 */
#include "embed_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "bag.h"

#define SLICE_TEXTS 64
#define SLICE_BYTES EMBED__TEXT_BYTES

struct builtin {
    struct cx_embedder base;
    struct cx_lane *lane;
};
struct builtin_call {
    struct cx_embed_call base;
    struct cx_job *job;
    size_t first; /* the slice: texts first to end - 1 */
    size_t end;
    atomic_bool stop;
};

static enum cx_status start(struct cx_embed_call *base, struct cx_err *err);
static enum cx_status submit_slice(struct builtin_call *call);
static void slice_work(void *arg);
static void on_slice_done(void *arg, enum cx_status status);
static void cancel(struct cx_embed_call *base);
static void free_builtin(struct cx_embedder *e);

static const struct embed__ops OPS = {
    .call_size = sizeof(struct builtin_call),
    .start = start,
    .cancel = cancel,
    .free = free_builtin,
};

void cx_embedder_builtin(struct cx_lane *cpu_lane, struct cx_embedder **out)
{
    struct builtin *e = cx_alloc(sizeof *e);
    e->lane = cpu_lane;
    embed__init(&e->base, &OPS, "builtin", "hashed-768", CX_EMBED_BUILTIN_DIMENSION,
                "stems+grams;idf=1^0.8;grams=2.5/n^0.25");
    *out = &e->base;
}

static enum cx_status start(struct cx_embed_call *base, struct cx_err *err)
{
    struct builtin_call *call = (struct builtin_call *)base;
    const size_t size = base->count * CX_EMBED_BUILTIN_DIMENSION * sizeof(float);
    base->result.vectors = malloc(size > 0 ? size : 1);
    if (base->result.vectors == NULL) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    const enum cx_status status = submit_slice(call);
    return status == CX_OK ? CX_OK : cx_err_set(err, status, "%s", cx_status_text(status));
}

static enum cx_status submit_slice(struct builtin_call *call)
{
    const struct cx_embed_call *base = &call->base;
    size_t bytes = 0;
    call->first = call->end;
    while (call->end < base->count && call->end - call->first < SLICE_TEXTS) {
        const size_t len = base->texts[call->end].len;
        bytes += len < EMBED__TEXT_BYTES ? len : EMBED__TEXT_BYTES;
        if (bytes > SLICE_BYTES && call->end > call->first) {
            break;
        }
        call->end++;
    }
    const enum cx_priority priority =
        base->kind == CX_EMBED_QUERY ? CX_PRIORITY_HIGH : CX_PRIORITY_NORMAL;
    struct cx_lane *lane = ((struct builtin *)base->embedder)->lane;
    return cx_lane_submit(lane, priority, slice_work, on_slice_done, call, &call->job);
}

static void slice_work(void *arg)
{
    struct builtin_call *call = arg;
    struct embed__bag *bag = NULL;
    embed__bag_new(&bag);
    for (size_t i = call->first; i < call->end; i++) {
        if (atomic_load_explicit(&call->stop, memory_order_relaxed)) {
            break;
        }
        float *vector = call->base.result.vectors + i * CX_EMBED_BUILTIN_DIMENSION;
        const bool cut = embed__bag_vector(bag, call->base.texts[i], vector);
        call->base.result.truncated += cut ? 1 : 0;
    }
    embed__bag_free(&bag);
}

static void on_slice_done(void *arg, enum cx_status status)
{
    struct builtin_call *call = arg;
    struct cx_embed_call *base = &call->base;
    call->job = NULL;
    if (base->cancelled) {
        embed__fail(base, CX_CANCELLED, NULL);
        return;
    }
    if (status != CX_OK) {
        embed__fail(base, status, NULL);
        return;
    }
    if (call->end == base->count) {
        embed__finish(base);
        return;
    }
    if (embed__time_left_ms(base) == 0) {
        embed__fail(base, CX_EMBEDDING_TIMEOUT, "embedding took longer than the request may");
        return;
    }
    const enum cx_status next = submit_slice(call);
    if (next != CX_OK) {
        embed__fail(base, next, NULL);
    }
}

static void cancel(struct cx_embed_call *base)
{
    struct builtin_call *call = (struct builtin_call *)base;
    atomic_store_explicit(&call->stop, true, memory_order_relaxed);
    if (call->job != NULL) {
        cx_job_cancel(call->job);
    }
}

static void free_builtin(struct cx_embedder *e)
{
    free(e);
}
