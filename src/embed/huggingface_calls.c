/* SPDX-License-Identifier: MIT
 *
 * Calls of the huggingface provider and the slices that serve them (huggingface.h).
 */
#include "huggingface.h"

#include <stdlib.h>

#include "cortex/metrics.h"

/* What a text may come to, before it is tokenized: a token is seldom under three bytes. */
#define BYTES_A_TOKEN 3
#define REFUSED_MS 20 /* until the lane that was full is asked again */

static void pump(struct embed__hf *e);
static bool make_slice(struct embed__hf *e, enum cx_embed_kind kind);
static void fill(struct embed__hf *e, struct embed__slice *slice);
static bool fits(const struct embed__hf *e, const struct embed__slice *slice,
                 const struct embed__hf_call *call, size_t tokens);
static size_t weight_of(const struct embed__hf *e, struct cx_str text);
static void take_text(struct embed__slice *slice, struct embed__hf_call *call);
static void push_waiting(struct embed__hf *e, struct embed__hf_call *call);
static struct embed__hf_call *pop_waiting(struct embed__hf *e, enum cx_embed_kind kind);
static void unlist(struct embed__hf *e, const struct embed__hf_call *call);
static void on_slice_done(void *arg, enum cx_status status);
static void give_back(struct embed__slice *slice, enum cx_status status);
static void fail_call(struct embed__hf *e, struct embed__hf_call *call, enum cx_status status,
                      const char *why);
static void push_ended(struct embed__hf *e, struct embed__hf_call *call);
static void tell_ended(struct embed__hf *e);
static void arm(struct embed__hf *e);

/* ---- Start, cancel ---- */

enum cx_status embed__hf_start(struct cx_embed_call *base, struct cx_err *err)
{
    struct embed__hf_call *call = (struct embed__hf_call *)base;
    struct embed__hf *e = (struct embed__hf *)base->embedder;
    const size_t size = base->count * e->base.dimension * sizeof(float);
    base->result.vectors = malloc(size > 0 ? size : 1);
    base->result.cut = calloc(base->count > 0 ? base->count : 1, sizeof *base->result.cut);
    if (base->result.vectors == NULL || base->result.cut == NULL) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    call->state = HF_WAITING;
    if (base->count == 0) {
        push_ended(e, call);
    } else {
        push_waiting(e, call);
        pump(e);
    }
    return CX_OK;
}

void embed__hf_cancel(struct cx_embed_call *base)
{
    fail_call((struct embed__hf *)base->embedder, (struct embed__hf_call *)base, CX_CANCELLED,
              NULL);
}

/* ---- Slices go out ---- */

static void pump(struct embed__hf *e)
{
    static const enum cx_embed_kind order[] = { CX_EMBED_QUERY, CX_EMBED_DOCUMENT };
    for (size_t i = 0; i < CX_ARRAY_LEN(order); i++) {
        bool taken = true;
        while (taken && e->kinds[order[i]].first != NULL &&
               e->kinds[order[i]].running < e->parallel) {
            taken = make_slice(e, order[i]);
        }
    }
}

/* False: the lane takes no more now. */
static bool make_slice(struct embed__hf *e, enum cx_embed_kind kind)
{
    struct embed__slice *slice = e->spare;
    if (slice != NULL) {
        e->spare = slice->next;
    } else {
        slice = cx_alloc(sizeof *slice);
        slice->provider = e;
    }
    slice->kind = kind;
    slice->count = 0;
    slice->status = CX_OK;
    fill(e, slice);
    enum cx_status status = CX_CANCELLED;
    if (slice->count > 0) {
        const enum cx_priority priority =
            kind == CX_EMBED_QUERY ? CX_PRIORITY_HIGH : CX_PRIORITY_NORMAL;
        status =
            cx_lane_submit(e->lane, priority, embed__slice_work, on_slice_done, slice, &slice->job);
    }
    if (status == CX_OK) {
        e->kinds[kind].running++;
        return true;
    }
    const bool refused = slice->count > 0;
    e->refused = e->refused || refused;
    give_back(slice, status);
    return !refused;
}

/* From the first call on; what a call has left after its turn goes behind the others. */
static void fill(struct embed__hf *e, struct embed__slice *slice)
{
    size_t tokens = 0;
    while (fits(e, slice, e->kinds[slice->kind].first, tokens)) {
        struct embed__hf_call *call = pop_waiting(e, slice->kind);
        if (embed__time_left_ms(&call->base) == 0) {
            call->state = HF_TAKEN; /* is in no list */
            fail_call(e, call, CX_EMBEDDING_TIMEOUT, "embedding took longer than the request may");
            continue;
        }
        while (call->taken < call->base.count && fits(e, slice, call, tokens)) {
            tokens += weight_of(e, call->base.texts[call->taken]);
            take_text(slice, call);
        }
        if (call->taken < call->base.count) {
            push_waiting(e, call);
        } else {
            call->state = HF_TAKEN;
        }
    }
}

/* One text always does. */
static bool fits(const struct embed__hf *e, const struct embed__slice *slice,
                 const struct embed__hf_call *call, size_t tokens)
{
    return call != NULL && slice->count < EMBED__SLICE_TEXTS &&
           (slice->count == 0 ||
            tokens + weight_of(e, call->base.texts[call->taken]) <= EMBED__SLICE_TOKENS);
}

static size_t weight_of(const struct embed__hf *e, struct cx_str text)
{
    const size_t tokens = text.len / BYTES_A_TOKEN + 2;
    return tokens < e->model->tokenizer->tokens_max ? tokens : e->model->tokenizer->tokens_max;
}

static void take_text(struct embed__slice *slice, struct embed__hf_call *call)
{
    slice->calls[slice->count] = call;
    slice->indices[slice->count] = call->taken++;
    slice->count++;
    call->out++;
}

static void push_waiting(struct embed__hf *e, struct embed__hf_call *call)
{
    call->next = NULL;
    if (e->kinds[call->base.kind].last != NULL) {
        e->kinds[call->base.kind].last->next = call;
    } else {
        e->kinds[call->base.kind].first = call;
    }
    e->kinds[call->base.kind].last = call;
}

static struct embed__hf_call *pop_waiting(struct embed__hf *e, enum cx_embed_kind kind)
{
    struct embed__hf_call *call = e->kinds[kind].first;
    if (call != NULL) {
        e->kinds[kind].first = call->next;
        if (call->next == NULL) {
            e->kinds[kind].last = NULL;
        }
        call->next = NULL;
    }
    return call;
}

static void unlist(struct embed__hf *e, const struct embed__hf_call *call)
{
    const enum cx_embed_kind kind = call->base.kind;
    struct embed__hf_call *before = NULL;
    struct embed__hf_call *at = e->kinds[kind].first;
    for (; at != NULL && at != call; at = at->next) {
        before = at;
    }
    CX_CHECK(at == call);
    if (before != NULL) {
        before->next = call->next;
    } else {
        e->kinds[kind].first = call->next;
    }
    if (e->kinds[kind].last == call) {
        e->kinds[kind].last = before;
    }
}

/* ---- Slices come back ---- */

static void on_slice_done(void *arg, enum cx_status status)
{
    struct embed__slice *slice = arg;
    struct embed__hf *e = slice->provider;
    slice->job = NULL;
    e->kinds[slice->kind].running--;
    give_back(slice, status == CX_OK ? slice->status : status);
    pump(e);
    tell_ended(e);
}

static void give_back(struct embed__slice *slice, enum cx_status status)
{
    struct embed__hf *e = slice->provider;
    for (size_t i = 0; i < slice->count; i++) {
        struct embed__hf_call *call = slice->calls[i];
        call->out--;
        if (status != CX_OK) {
            fail_call(e, call, status,
                      status == CX_INTERNAL ? "the model gave numbers that are not finite" : NULL);
        } else if (call->out == 0 && (call->state == HF_TAKEN || call->state == HF_ENDING)) {
            push_ended(e, call);
        }
    }
    slice->next = e->spare;
    e->spare = slice;
}

/* It leaves the queue at once, and ends when none of its texts is out any more. */
static void fail_call(struct embed__hf *e, struct embed__hf_call *call, enum cx_status status,
                      const char *why)
{
    if (call->state == HF_ENDED) {
        return;
    }
    if (call->state == HF_WAITING) {
        unlist(e, call);
    }
    if (call->state != HF_ENDING) {
        call->status = status;
        call->why = why;
        call->state = HF_ENDING;
        atomic_store_explicit(&call->stop, true, memory_order_relaxed);
    }
    if (call->out == 0) {
        push_ended(e, call);
    }
}

/* Told by tell_ended, or by the timer where nothing that the loop calls comes by here. */
static void push_ended(struct embed__hf *e, struct embed__hf_call *call)
{
    call->state = HF_ENDED;
    call->next = NULL;
    if (e->ended_last != NULL) {
        e->ended_last->next = call;
    } else {
        e->ended_first = call;
        cx_timer_start(e->timer, 0, 0);
    }
    e->ended_last = call;
}

void embed__hf_on_time(void *provider)
{
    struct embed__hf *e = provider;
    e->refused = false;
    pump(e);
    tell_ended(e);
}

/* Whoever is told may start and cancel other calls. */
static void tell_ended(struct embed__hf *e)
{
    while (e->ended_first != NULL) {
        struct embed__hf_call *call = e->ended_first;
        e->ended_first = call->next;
        if (call->next == NULL) {
            e->ended_last = NULL;
        }
        if (call->status != CX_OK) {
            embed__fail(&call->base, call->status, call->why);
            continue;
        }
        size_t truncated = 0;
        for (size_t i = 0; i < call->base.count; i++) {
            truncated += call->base.result.cut[i] ? 1 : 0;
        }
        call->base.result.truncated = truncated;
        cx_counter_add(e->truncated_counter, truncated);
        embed__finish(&call->base);
    }
    arm(e);
}

/* After a refusal there may be no slice under way whose end would make the next one. */
static void arm(struct embed__hf *e)
{
    if (e->refused) {
        cx_timer_start(e->timer, REFUSED_MS, 0);
    } else {
        cx_timer_stop(e->timer);
    }
}

void embed__hf_free_slices(struct embed__hf *e)
{
    CX_CHECK(e->kinds[0].running == 0 && e->kinds[1].running == 0 && e->ended_first == NULL);
    while (e->spare != NULL) {
        struct embed__slice *slice = e->spare;
        e->spare = slice->next;
        free(slice);
    }
}
