/* SPDX-License-Identifier: MIT
 *
 * The batcher's calls of the provider: when one goes out, what goes into it, and how it comes back
 * (batcher.h).
 *
 * Queries go first, and documents never hold every call: a query waits for its window and for nothing
 * that documents do.
 */
#include "batcher.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

#define GRACE_MS 250 /* a call outlives its last caller's deadline: whose it is is then clear */
#define NEVER UINT64_MAX

static uint64_t earlier(uint64_t a, uint64_t b);
static bool may_send(const struct embed__batcher *b, enum cx_embed_kind kind, uint64_t now);
static struct embed__batch *next_batch(struct embed__batcher *b, enum cx_embed_kind kind,
                                       uint64_t now);
static void lose_patience(struct embed__batcher *b, enum cx_embed_kind kind, uint64_t now);
static uint64_t patience_ms(enum cx_embed_kind kind);
static uint64_t ready_due_ms(const struct embed__batcher *b, enum cx_embed_kind kind);
static struct embed__batch *gather(struct embed__batcher *b, enum cx_embed_kind kind);
static void send_batch(struct embed__batch *batch, uint64_t now);
static uint64_t last_deadline_ms(const struct embed__batch *batch);
static void on_call_done(void *ctx, struct cx_embed_result *result);

/* ---- Going out ---- */

void embed__dispatch(struct embed__batcher *b)
{
    static const enum cx_embed_kind order[] = { CX_EMBED_QUERY, CX_EMBED_DOCUMENT };
    const uint64_t now = embed__batcher_now_ms(b);
    embed__look_up(b);
    for (size_t i = 0; i < CX_ARRAY_LEN(order); i++) {
        lose_patience(b, order[i], now);
        while (may_send(b, order[i], now)) {
            struct embed__batch *batch = next_batch(b, order[i], now);
            if (batch == NULL) {
                break;
            }
            send_batch(batch, now);
        }
    }
}

/* Only by time: a call, a look-up or the circuit's one try end with an event. */
uint64_t embed__dispatch_due_ms(const struct embed__batcher *b)
{
    uint64_t due = NEVER;
    const uint64_t now = embed__batcher_now_ms(b);
    const uint64_t from = now > b->pause_until_ms ? now : b->pause_until_ms;
    for (size_t i = 0; i < 2; i++) {
        const enum cx_embed_kind kind = i == 0 ? CX_EMBED_QUERY : CX_EMBED_DOCUMENT;
        const struct embed__text *looking = b->looking[kind].first;
        if (looking != NULL) {
            due = earlier(due, looking->arrived_ms + patience_ms(kind));
        }
        if (!may_send(b, kind, from)) {
            continue;
        }
        uint64_t here = ready_due_ms(b, kind);
        const struct embed__batch *batch = b->waiting > 0 ? b->batches : NULL;
        for (; batch != NULL; batch = batch->next) {
            if (batch->state == BATCH_WAITING && batch->kind == kind) {
                here = earlier(here, batch->due_ms);
            }
        }
        due = earlier(due, here > b->pause_until_ms ? here : b->pause_until_ms);
    }
    return due;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool may_send(const struct embed__batcher *b, enum cx_embed_kind kind, uint64_t now)
{
    return b->calls < b->options.calls_max &&
           (kind == CX_EMBED_QUERY || b->document_calls < b->options.document_calls_max) &&
           now >= b->pause_until_ms && cx_breaker_ready(&b->breaker, now);
}

static struct embed__batch *next_batch(struct embed__batcher *b, enum cx_embed_kind kind,
                                       uint64_t now)
{
    struct embed__batch *next = NULL;
    struct embed__batch *batch = b->waiting > 0 ? b->batches : NULL;
    for (; batch != NULL; batch = batch->next) {
        if (batch->state == BATCH_WAITING && batch->kind == kind && batch->due_ms <= now &&
            (next == NULL || batch->due_ms < next->due_ms)) {
            next = batch;
        }
    }
    return next != NULL ? next : ready_due_ms(b, kind) <= now ? gather(b, kind) : NULL;
}

/* A disk that is slow does not hold up what can be asked for. */
static void lose_patience(struct embed__batcher *b, enum cx_embed_kind kind, uint64_t now)
{
    struct embed__text *t = b->looking[kind].first;
    while (t != NULL && t->arrived_ms + patience_ms(kind) <= now) {
        embed__text_make_ready(b, t);
        t = b->looking[kind].first;
    }
}

static uint64_t patience_ms(enum cx_embed_kind kind)
{
    return kind == CX_EMBED_QUERY ? 250 : 2000;
}

static bool is_asking(const struct embed__batcher *b, enum cx_embed_kind kind, uint64_t by_ms);

/* Full, or the window of the first is over and nothing that came within it is still to come, or looked
 * up; a circuit that is to be tried waits for no company. */
static uint64_t ready_due_ms(const struct embed__batcher *b, enum cx_embed_kind kind)
{
    const struct embed__text_list *ready = &b->ready[kind];
    if (ready->count == 0) {
        return NEVER;
    }
    if (ready->count >= b->options.inputs_max || ready->tokens >= b->options.tokens_max ||
        b->breaker.state != CX_CIRCUIT_CLOSED) {
        return 0;
    }
    const uint64_t over = ready->first->arrived_ms + b->options.window_ms;
    const struct embed__text *looking = b->looking[kind].first;
    const bool more = looking != NULL && looking->arrived_ms <= over;
    return more || is_asking(b, kind, over) ? NEVER : over;
}

/* Somebody who came by then is not through with its texts. */
static bool is_asking(const struct embed__batcher *b, enum cx_embed_kind kind, uint64_t by_ms)
{
    const struct embed__caller *c = b->asking_first;
    while (c != NULL && (c->base.kind != kind || c->asked_ms > by_ms)) {
        c = c->asking_next;
    }
    return c != NULL;
}

static struct embed__batch *gather(struct embed__batcher *b, enum cx_embed_kind kind)
{
    struct embed__text_list *ready = &b->ready[kind];
    const size_t most = b->options.inputs_max;
    struct embed__batch *batch =
        embed__batch_new(b, kind, ready->count < most ? ready->count : most);
    size_t tokens = 0;
    while (ready->first != NULL && batch->count < most) {
        struct embed__text *t = ready->first;
        if (batch->count > 0 && tokens + t->tokens > b->options.tokens_max) {
            break;
        }
        tokens += t->tokens;
        embed__list_remove(ready, t);
        t->state = TEXT_BATCHED;
        t->batch = batch;
        batch->texts[batch->count++] = t;
        batch->live++;
    }
    return batch;
}

struct embed__batch *embed__batch_new(struct embed__batcher *b, enum cx_embed_kind kind,
                                      size_t room)
{
    struct embed__batch *batch = cx_alloc(sizeof *batch);
    batch->batcher = b;
    batch->kind = kind;
    embed__batch_move(batch, BATCH_WAITING);
    batch->texts = cx_realloc_array(NULL, room, sizeof(struct embed__text *));
    batch->next = b->batches;
    if (b->batches != NULL) {
        b->batches->previous = batch;
    }
    b->batches = batch;
    return batch;
}

void embed__batch_move(struct embed__batch *batch, enum embed__batch_state state)
{
    struct embed__batcher *b = batch->batcher;
    b->waiting -= batch->state == BATCH_WAITING ? 1 : 0;
    b->delivering -= batch->state == BATCH_DELIVERING ? 1 : 0;
    b->waiting += state == BATCH_WAITING ? 1 : 0;
    b->delivering += state == BATCH_DELIVERING ? 1 : 0;
    batch->state = state;
}

void embed__batch_free(struct embed__batch *batch)
{
    struct embed__batcher *b = batch->batcher;
    embed__batch_move(batch, BATCH_GONE);
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->texts[i] != NULL) {
            CX_CHECK(batch->texts[i]->waiters == NULL);
            embed__text_free(b, batch->texts[i]);
        }
    }
    if (batch->previous != NULL) {
        batch->previous->next = batch->next;
    } else {
        b->batches = batch->next;
    }
    if (batch->next != NULL) {
        batch->next->previous = batch->previous;
    }
    CX_CHECK(b->batches != batch);
    if (batch->split != NULL && --batch->split->batches == 0) {
        free(batch->split);
    }
    free(batch->texts);
    free(batch->strings);
    free(batch->vectors);
    embed__rows_free(&batch->rows);
    free(batch);
}

static void send_batch(struct embed__batch *batch, uint64_t now)
{
    struct embed__batcher *b = batch->batcher;
    embed__batch_trim(batch);
    CX_CHECK(batch->live == batch->count && batch->count > 0);
    batch->strings = cx_realloc_array(batch->strings, batch->count, sizeof *batch->strings);
    for (size_t i = 0; i < batch->count; i++) {
        batch->strings[i] = (struct cx_str){ batch->texts[i]->bytes, batch->texts[i]->len };
    }
    if (batch->attempts == 0 && batch->split == NULL) {
        cx_retry_budget_earn(&b->budget);
    }
    CX_CHECK(cx_breaker_take(&b->breaker, now, &batch->epoch));
    embed__batch_move(batch, BATCH_FLYING);
    batch->sent_ms = now;
    b->calls++;
    b->document_calls += batch->kind == CX_EMBED_DOCUMENT ? 1 : 0;
    cx_counter_add(b->call_texts, batch->count);
    const uint64_t last_ms = last_deadline_ms(batch);
    const uint64_t left_ms = (last_ms > now ? last_ms - now : 0) + GRACE_MS;
    const char *traceparent = batch->texts[0]->waiters->caller->traceparent;
    struct cx_embed_result refusal = { .status = CX_OK };
    refusal.status = cx_embedder_start(b->inner, batch->kind, batch->strings, batch->count, left_ms,
                                       traceparent[0] != '\0' ? traceparent : NULL, on_call_done,
                                       batch, &batch->call, &refusal.err);
    if (refusal.status != CX_OK) {
        b->calls--;
        b->document_calls -= batch->kind == CX_EMBED_DOCUMENT ? 1 : 0;
        embed__batch_failed(batch, &refusal);
    }
}

void embed__batch_trim(struct embed__batch *batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->texts[i]->waiters != NULL) {
            batch->texts[kept++] = batch->texts[i];
        } else {
            embed__text_free(batch->batcher, batch->texts[i]);
        }
    }
    batch->count = kept;
}

static uint64_t last_deadline_ms(const struct embed__batch *batch)
{
    uint64_t last = 0;
    for (size_t i = 0; i < batch->count; i++) {
        for (const struct embed__waiter *w = batch->texts[i]->waiters; w != NULL; w = w->next) {
            last = w->caller->deadline_ms > last ? w->caller->deadline_ms : last;
        }
    }
    return last;
}

/* Nobody is left to wait. */
void embed__batch_abandon(struct embed__batch *batch, bool in_vain)
{
    struct embed__batcher *b = batch->batcher;
    if (batch->state == BATCH_WAITING) {
        embed__batch_free(batch);
        return;
    }
    CX_CHECK(batch->state == BATCH_FLYING);
    embed__batch_move(batch, BATCH_ABANDONED);
    for (size_t i = 0; i < batch->count; i++) {
        embed__text_unlist(b, batch->texts[i]); /* who asks now needs another call */
    }
    const uint64_t now = embed__batcher_now_ms(b);
    if (in_vain && now - batch->sent_ms >= b->options.breaker_slow_ms) {
        (void)cx_err_set(&b->last_err, CX_EMBEDDING_TIMEOUT, "%s",
                         cx_status_text(CX_EMBEDDING_TIMEOUT));
        cx_breaker_failure(&b->breaker, batch->epoch, now);
    } else {
        cx_breaker_neutral(&b->breaker, batch->epoch);
    }
    cx_embed_call_cancel(batch->call);
}

/* ---- Coming back ---- */

static void on_call_done(void *ctx, struct cx_embed_result *result)
{
    struct embed__batch *batch = ctx;
    struct embed__batcher *b = batch->batcher;
    batch->call = NULL;
    b->calls--;
    b->document_calls -= batch->kind == CX_EMBED_DOCUMENT ? 1 : 0;
    if (batch->state == BATCH_ABANDONED) {
        cx_counter_add(b->calls_dropped, 1);
        free(result->vectors);
        embed__batch_free(batch);
    } else if (result->status != CX_OK) {
        embed__batch_failed(batch, result);
    } else if (result->count != batch->count || result->vectors == NULL || result->dimension == 0) {
        free(result->vectors);
        struct cx_embed_result wrong = { .status = CX_EMBEDDING_UPSTREAM };
        (void)cx_err_set(&wrong.err, wrong.status,
                         "the embedding service answered %zu of %zu texts", result->count,
                         batch->count);
        embed__batch_failed(batch, &wrong);
    } else {
        embed__batch_answered(batch, result);
    }
    embed__batcher_settle(b);
    embed__batcher_flush(b);
}
