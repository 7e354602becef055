/* SPDX-License-Identifier: MIT
 *
 * The batcher's callers, from start to end (batcher.h). Long texts are hashed and counted on a worker,
 * short ones at once.
 *
 * Threads: the loop, except prepare_work, which writes the caller's digests and `made` while the loop
 * leaves them alone.
 */
#include "batcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

#define INLINE_BYTES 8192 /* of texts that are hashed and counted on the loop */

static enum cx_status weigh(const struct cx_embed_call *base, size_t *bytes, struct cx_err *err);
static enum cx_status reserve(struct embed__batcher *b, size_t texts, size_t bytes,
                              struct cx_err *err);
static bool may_ask(struct embed__batcher *b, struct embed__caller *c);
static enum cx_status start_inline(struct embed__batcher *b, struct embed__caller *c,
                                   struct cx_err *err);
static enum cx_status start_prepare(struct embed__batcher *b, struct embed__caller *c, size_t bytes,
                                    struct cx_err *err);
static void prepare_work(void *arg);
static void on_prepared(void *arg, enum cx_status status);
static void push_done(struct embed__batcher *b, struct embed__caller *c);
static void enlist(struct embed__batcher *b, struct embed__caller *c);
static void unlist(struct embed__batcher *b, struct embed__caller *c);
static void heap_put(struct embed__batcher *b, struct embed__caller *c);
static void heap_take(struct embed__batcher *b, struct embed__caller *c);
static void heap_move(struct embed__batcher *b, size_t at, struct embed__caller *c);

enum cx_status embed__caller_start(struct cx_embed_call *base, struct cx_err *err)
{
    struct embed__caller *c = (struct embed__caller *)base;
    struct embed__batcher *b = (struct embed__batcher *)base->embedder;
    size_t bytes = 0;
    enum cx_status status = weigh(base, &bytes, err);
    if (status != CX_OK) {
        return status;
    }
    c->waiters = calloc(base->count > 0 ? base->count : 1, sizeof *c->waiters);
    if (c->waiters == NULL) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    c->deadline_ms =
        embed__batcher_now_ms(b) + (base->deadline_ns - base->started_ns) / UINT64_C(1000000);
    (void)snprintf(c->traceparent, sizeof c->traceparent, "%s",
                   base->traceparent != NULL ? base->traceparent : "");
    c->remaining = base->count;
    if (bytes > INLINE_BYTES && b->options.cpu_lane != NULL) {
        status = start_prepare(b, c, bytes, err);
    } else {
        status = start_inline(b, c, err);
    }
    if (status == CX_OK) {
        embed__batcher_settle(b);
        embed__batcher_arm(b);
    }
    return status;
}

static enum cx_status weigh(const struct cx_embed_call *base, size_t *bytes, struct cx_err *err)
{
    for (size_t i = 0; i < base->count; i++) {
        if (base->texts[i].len == 0) {
            return base->count == 1
                       ? cx_err_set(err, CX_INVALID, "an empty text cannot be embedded")
                       : cx_err_set(err, CX_INVALID,
                                    "text %zu of %zu is empty and cannot be embedded", i + 1,
                                    base->count);
        }
        *bytes += base->texts[i].len;
    }
    return CX_OK;
}

/* Room in the queue for what is new. */
static enum cx_status reserve(struct embed__batcher *b, size_t texts, size_t bytes,
                              struct cx_err *err)
{
    const struct cx_batcher_options *o = &b->options;
    if (texts > o->queue_texts_max || bytes > o->queue_bytes_max) {
        return cx_err_set(err, CX_TOO_LARGE, "this is more text than can be embedded at once");
    }
    if (texts > o->queue_texts_max - b->texts || bytes > o->queue_bytes_max - b->bytes) {
        cx_counter_add(b->shed_queue, 1);
        return cx_err_set(err, CX_OVERLOADED,
                          "too many texts wait to be embedded; try again shortly");
    }
    b->texts += texts;
    b->bytes += bytes;
    return CX_OK;
}

void embed__caller_unreserve(struct embed__batcher *b, struct embed__caller *c)
{
    b->texts -= c->reserved_texts;
    b->bytes -= c->reserved_bytes;
    c->reserved_texts = 0;
    c->reserved_bytes = 0;
}

/* For what the provider would have to be asked. Ends the caller if it may not. With a cache on disk that
 * is judged of what is not there (embed__text_judge). */
static bool may_ask(struct embed__batcher *b, struct embed__caller *c)
{
    if (b->disk != NULL) {
        return true;
    }
    const uint64_t now = embed__batcher_now_ms(b);
    if (b->breaker.state != CX_CIRCUIT_CLOSED) {
        bool waiting = false;
        for (size_t kind = 0; kind < 2; kind++) {
            waiting = waiting || b->ready[kind].count > 0;
        }
        if (waiting || !cx_breaker_ready(&b->breaker, now)) {
            embed__caller_end_circuit(b, c);
            return false;
        }
    }
    if (b->pause_until_ms > now && c->deadline_ms <= b->pause_until_ms) {
        embed__caller_end_paused(b, c);
        return false;
    }
    return true;
}

static enum cx_status start_inline(struct embed__batcher *b, struct embed__caller *c,
                                   struct cx_err *err)
{
    size_t fresh = 0;
    size_t fresh_bytes = 0;
    for (size_t i = 0; i < c->base.count; i++) {
        uint8_t *digest = c->waiters[i].digest;
        embed__digest(c->base.kind, c->base.texts[i], digest);
        if ((b->memory == NULL || !embed__memory_has(b->memory, digest)) &&
            embed__text_find(b, digest) == NULL) {
            fresh++;
            fresh_bytes += c->base.texts[i].len;
        }
    }
    const enum cx_status status = reserve(b, fresh, fresh_bytes, err);
    if (status != CX_OK) {
        return status;
    }
    c->reserved_texts = fresh;
    c->reserved_bytes = fresh_bytes;
    c->state = CALLER_ASKING;
    enlist(b, c);
    if (fresh == 0 || may_ask(b, c)) {
        embed__caller_ask(b, c);
    }
    return CX_OK;
}

static enum cx_status start_prepare(struct embed__batcher *b, struct embed__caller *c, size_t bytes,
                                    struct cx_err *err)
{
    enum cx_status status = reserve(b, c->base.count, bytes, err);
    if (status != CX_OK) {
        return status;
    }
    c->reserved_texts = c->base.count;
    c->reserved_bytes = bytes;
    c->state = CALLER_ASKING;
    enlist(b, c);
    if (!may_ask(b, c)) {
        return CX_OK;
    }
    c->made = calloc(c->base.count, sizeof(struct embed__text *));
    const enum cx_priority priority =
        c->base.kind == CX_EMBED_QUERY ? CX_PRIORITY_HIGH : CX_PRIORITY_NORMAL;
    status = c->made == NULL ? CX_NO_MEMORY
                             : cx_lane_submit(b->options.cpu_lane, priority, prepare_work,
                                              on_prepared, c, &c->job);
    if (status != CX_OK) {
        embed__caller_unreserve(b, c);
        unlist(b, c);
        cx_counter_add(b->shed_queue, 1);
        return cx_err_set(err, status, "%s", cx_status_text(status));
    }
    c->state = CALLER_PREPARING;
    return CX_OK;
}

static void prepare_work(void *arg)
{
    struct embed__caller *c = arg;
    const struct embed__batcher *b = (const struct embed__batcher *)c->base.embedder;
    for (size_t i = 0; i < c->base.count; i++) {
        if (atomic_load_explicit(&c->stop, memory_order_relaxed)) {
            return;
        }
        uint8_t *digest = c->waiters[i].digest;
        embed__digest(c->base.kind, c->base.texts[i], digest);
        c->made[i] = embed__text_new(&b->options, c->base.kind, c->base.texts[i], digest);
        if (c->made[i] == NULL) {
            c->out_of_memory = true;
            return;
        }
    }
}

static void on_prepared(void *arg, enum cx_status status)
{
    struct embed__caller *c = arg;
    struct embed__batcher *b = (struct embed__batcher *)c->base.embedder;
    c->job = NULL;
    if (c->state == CALLER_ENDING) {
        embed__caller_unreserve(b, c);
        push_done(b, c);
    } else {
        c->state = CALLER_ASKING;
        if (status != CX_OK || c->out_of_memory) {
            embed__caller_end(b, c, status != CX_OK ? status : CX_NO_MEMORY, NULL);
        } else if (may_ask(b, c)) {
            embed__caller_ask(b, c);
        }
    }
    embed__batcher_settle(b);
    embed__batcher_flush(b);
}

/* ---- End ---- */

void embed__caller_end(struct embed__batcher *b, struct embed__caller *c, enum cx_status status,
                       const char *text)
{
    if (c->state == CALLER_ENDING || c->state == CALLER_DONE) {
        return;
    }
    c->base.result.status = status;
    if (status != CX_OK) {
        (void)cx_err_set(&c->base.result.err, status, "%s",
                         text != NULL ? text : cx_status_text(status));
    }
    unlist(b, c);
    if (c->state == CALLER_PREPARING) {
        c->state = CALLER_ENDING; /* the worker still reads its texts */
        atomic_store_explicit(&c->stop, true, memory_order_relaxed);
        cx_job_cancel(c->job);
        return;
    }
    c->state = CALLER_DONE;
    embed__caller_unreserve(b, c);
    embed__ask_no_more(b, c);
    for (size_t i = 0; i < c->base.count; i++) {
        if (c->waiters[i].text != NULL) {
            embed__waiter_leave(b, &c->waiters[i], status == CX_EMBEDDING_TIMEOUT);
        }
    }
    push_done(b, c);
}

void embed__caller_cancel(struct cx_embed_call *base)
{
    struct embed__batcher *b = (struct embed__batcher *)base->embedder;
    embed__caller_end(b, (struct embed__caller *)base, CX_CANCELLED, NULL);
    embed__batcher_settle(b);
    embed__batcher_arm(b);
}

static void push_done(struct embed__batcher *b, struct embed__caller *c)
{
    c->state = CALLER_DONE;
    c->next = NULL;
    if (b->done_last != NULL) {
        b->done_last->next = c;
    } else {
        b->done_first = c;
    }
    b->done_last = c;
}

/* ---- Among all the others ---- */

static void enlist(struct embed__batcher *b, struct embed__caller *c)
{
    c->previous = NULL;
    c->next = b->callers;
    if (b->callers != NULL) {
        b->callers->previous = c;
    }
    b->callers = c;
    heap_put(b, c);
}

static void unlist(struct embed__batcher *b, struct embed__caller *c)
{
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        b->callers = c->next;
    }
    if (c->next != NULL) {
        c->next->previous = c->previous;
    }
    heap_take(b, c);
}

static void heap_put(struct embed__batcher *b, struct embed__caller *c)
{
    if (b->heap_count == b->heap_cap) {
        b->heap_cap = b->heap_cap > 0 ? b->heap_cap * 2 : 64;
        b->heap = cx_realloc_array(b->heap, b->heap_cap, sizeof(struct embed__caller *));
    }
    heap_move(b, b->heap_count++, c);
}

static void heap_take(struct embed__batcher *b, struct embed__caller *c)
{
    const size_t at = c->heap_at;
    struct embed__caller *last = b->heap[--b->heap_count];
    if (last != c) {
        heap_move(b, at, last);
    }
}

/* Puts a caller into the free place `at`, or where it belongs from there. */
static void heap_move(struct embed__batcher *b, size_t at, struct embed__caller *c)
{
    while (at > 0 && b->heap[(at - 1) / 2]->deadline_ms > c->deadline_ms) {
        b->heap[at] = b->heap[(at - 1) / 2];
        b->heap[at]->heap_at = at;
        at = (at - 1) / 2;
    }
    while (true) {
        size_t child = 2 * at + 1;
        if (child >= b->heap_count) {
            break;
        }
        if (child + 1 < b->heap_count &&
            b->heap[child + 1]->deadline_ms < b->heap[child]->deadline_ms) {
            child++;
        }
        if (b->heap[child]->deadline_ms >= c->deadline_ms) {
            break;
        }
        b->heap[at] = b->heap[child];
        b->heap[at]->heap_at = at;
        at = child;
    }
    b->heap[at] = c;
    c->heap_at = at;
}

void embed__caller_release(struct cx_embed_call *base)
{
    struct embed__caller *c = (struct embed__caller *)base;
    for (size_t i = 0; c->made != NULL && i < base->count; i++) {
        free(c->made[i]); /* that were not needed */
    }
    free(c->made);
    free(c->waiters);
}
