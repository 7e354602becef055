/* SPDX-License-Identifier: MIT
 *
 * The batcher's failures: what is tried again, what is split, and who is told what (batcher.h).
 */
#include "batcher.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

/* Calls that may be spent on finding what was refused: one text among 2,048 takes 22, a few take a few
 * times that; a service that refuses everything is not asked about each text. */
#define SPLIT_CALLS(count) (64 + (count) / 8)

static bool is_weather(enum cx_status status);
static void retry(struct embed__batch *batch, const struct cx_embed_result *result);
static size_t end_latecomers(struct embed__batch *batch, uint64_t due_ms,
                             const struct cx_embed_result *result);
static void split(struct embed__batch *batch, const struct cx_embed_result *result);
static void split_off(struct embed__batch *batch, size_t first, size_t count);
static void refuse(struct embed__batch *batch, const char *reason);
static void give_up(struct embed__batch *batch, enum cx_status status, uint64_t retry_after_ms,
                    const char *text);

void embed__batch_failed(struct embed__batch *batch, const struct cx_embed_result *result)
{
    struct embed__batcher *b = batch->batcher;
    const uint64_t now = embed__batcher_now_ms(b);
    batch->held = true;
    embed__pause(b, result->retry_after_ms);
    if (result->input_refused) {
        cx_counter_add(b->calls_refused, 1);
        cx_breaker_success(&b->breaker, batch->epoch);
        split(batch, result);
        return;
    }
    cx_counter_add(b->calls_failed, 1);
    if (is_weather(result->status) || result->status == CX_EMBEDDING_UNAUTHORIZED) {
        b->last_err = result->err;
        cx_breaker_failure(&b->breaker, batch->epoch, now);
    } else {
        cx_breaker_neutral(&b->breaker, batch->epoch);
    }
    if (is_weather(result->status) || result->status == CX_EMBEDDING_RATE_LIMITED) {
        retry(batch, result);
    } else {
        give_up(batch, result->status, result->retry_after_ms, result->err.text);
    }
}

static bool is_weather(enum cx_status status)
{
    return status == CX_EMBEDDING_UPSTREAM || status == CX_EMBEDDING_TIMEOUT;
}

void embed__pause(struct embed__batcher *b, uint64_t ms)
{
    if (ms == 0) {
        return;
    }
    const uint64_t now = embed__batcher_now_ms(b);
    const uint64_t until = now + (ms < b->options.pause_max_ms ? ms : b->options.pause_max_ms);
    if (until <= b->pause_until_ms) {
        return;
    }
    b->pause_until_ms = until;
    for (struct embed__caller *c = b->callers; c != NULL;) {
        struct embed__caller *next = c->next;
        if (c->deadline_ms <= until && embed__caller_waits(c)) {
            embed__caller_end_paused(b, c);
        }
        c = next;
    }
}

/* ---- Trying again ---- */

/* Each caller by its own clock: who cannot wait for the next try is told what happened in this one. */
static void retry(struct embed__batch *batch, const struct cx_embed_result *result)
{
    struct embed__batcher *b = batch->batcher;
    const uint64_t now = embed__batcher_now_ms(b);
    batch->attempts++;
    if (batch->attempts >= b->options.attempts_max || b->breaker.state == CX_CIRCUIT_OPEN) {
        give_up(batch, result->status, result->retry_after_ms, result->err.text);
        return;
    }
    const uint64_t backoff_ms = cx_backoff_ms(&b->random, batch->attempts - 1,
                                              b->options.retry_base_ms, b->options.retry_cap_ms);
    if (result->status == CX_EMBEDDING_RATE_LIMITED && result->retry_after_ms == 0) {
        embed__pause(b, backoff_ms); /* what limits this call limits the others too */
    }
    const uint64_t from = b->pause_until_ms > now ? b->pause_until_ms : now;
    const uint64_t due = from > now ? from : now + backoff_ms;
    if (end_latecomers(batch, due, result) == 0) {
        embed__batch_free(batch);
        return;
    }
    if (!cx_retry_budget_take(&b->budget, now)) {
        cx_counter_add(b->retries_denied, 1);
        give_up(batch, result->status, result->retry_after_ms, result->err.text);
        return;
    }
    cx_counter_add(b->retries_made, 1);
    embed__batch_move(batch, BATCH_WAITING);
    batch->due_ms = due;
    batch->held = false;
}

/* Returns how many texts somebody still waits for. */
static size_t end_latecomers(struct embed__batch *batch, uint64_t due_ms,
                             const struct cx_embed_result *result)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct embed__waiter *w = batch->texts[i]->waiters;
        while (w != NULL) {
            struct embed__caller *c = w->caller;
            /* The same caller may stand here more than once, and goes as a whole. */
            do {
                w = w->next;
            } while (w != NULL && w->caller == c);
            if (c->deadline_ms <= due_ms) {
                c->base.result.retry_after_ms = result->retry_after_ms;
                embed__caller_end(batch->batcher, c, result->status, result->err.text);
            }
        }
    }
    return batch->live;
}

/* ---- Finding what was refused ---- */

static void split(struct embed__batch *batch, const struct cx_embed_result *result)
{
    struct embed__batcher *b = batch->batcher;
    const char *reason =
        result->err.text[0] != '\0' ? result->err.text : cx_status_text(result->status);
    if (batch->count == 1) {
        refuse(batch, reason);
        return;
    }
    embed__batch_trim(batch); /* it may have been one of those that are not wanted any more */
    if (batch->split == NULL) {
        batch->split = cx_alloc(sizeof *batch->split);
        batch->split->batches = 1;
        batch->split->calls_left = SPLIT_CALLS(batch->count);
    }
    if (batch->split->calls_left < 2) {
        struct cx_err err;
        (void)cx_err_set(&err, CX_INVALID,
                         "the embedding service refused so many texts that not each of them was "
                         "tried by itself: %s",
                         reason);
        give_up(batch, CX_INVALID, 0, err.text);
        return;
    }
    batch->split->calls_left -= 2;
    cx_counter_add(b->splits, 1);
    const size_t half = batch->count / 2;
    split_off(batch, 0, half);
    split_off(batch, half, batch->count - half);
    batch->count = 0; /* its texts have moved */
    embed__batch_free(batch);
}

static void split_off(struct embed__batch *batch, size_t first, size_t count)
{
    if (count == 0) {
        return;
    }
    struct embed__batch *piece = embed__batch_new(batch->batcher, batch->kind, count);
    memcpy(piece->texts, batch->texts + first, count * sizeof(struct embed__text *));
    for (size_t i = 0; i < count; i++) {
        piece->texts[i]->batch = piece;
    }
    piece->count = count;
    piece->live = count;
    piece->split = batch->split;
    piece->split->batches++;
}

/* The one text that was refused; each caller knows it by its own number. */
static void refuse(struct embed__batch *batch, const char *reason)
{
    struct cx_err err;
    for (struct embed__text *t = batch->count > 0 ? batch->texts[0] : NULL;
         t != NULL && t->waiters != NULL;) {
        struct embed__caller *c = t->waiters->caller;
        if (c->base.count == 1) {
            (void)cx_err_set(&err, CX_INVALID, "the embedding service refused this text: %s",
                             reason);
        } else {
            (void)cx_err_set(&err, CX_INVALID, "the embedding service refused text %zu of %zu: %s",
                             (size_t)(t->waiters - c->waiters) + 1, c->base.count, reason);
        }
        embed__caller_end(batch->batcher, c, CX_INVALID, err.text);
    }
    embed__batch_free(batch);
}

/* ---- Giving up ---- */

static void give_up(struct embed__batch *batch, enum cx_status status, uint64_t retry_after_ms,
                    const char *text)
{
    struct embed__batcher *b = batch->batcher;
    batch->held = true;
    for (size_t i = 0; i < batch->count; i++) {
        while (batch->texts[i]->waiters != NULL) {
            struct embed__caller *c = batch->texts[i]->waiters->caller;
            c->base.result.retry_after_ms = retry_after_ms;
            embed__caller_end(b, c, status, text[0] != '\0' ? text : NULL);
        }
    }
    embed__batch_free(batch);
}

bool embed__caller_waits(const struct embed__caller *c)
{
    for (size_t i = 0; c->state == CALLER_ASKING && i < c->base.count; i++) {
        const struct embed__text *t = c->waiters[i].text;
        if (t != NULL && (t->state == TEXT_READY ||
                          (t->state == TEXT_BATCHED && t->batch->state == BATCH_WAITING))) {
            return true;
        }
    }
    return false;
}

void embed__text_judge(struct embed__batcher *b, struct embed__text *t)
{
    const uint64_t now = embed__batcher_now_ms(b);
    const bool closed = b->breaker.state == CX_CIRCUIT_CLOSED;
    const bool first = b->ready[0].count + b->ready[1].count <= 1; /* the text itself */
    const bool may_probe = closed || (first && cx_breaker_ready(&b->breaker, now));
    struct embed__waiter *w = t->waiters;
    while (w != NULL) {
        struct embed__caller *c = w->caller;
        /* The same caller may stand here more than once, and goes as a whole; the text with the last. */
        do {
            w = w->next;
        } while (w != NULL && w->caller == c);
        if (!may_probe && !c->admitted) {
            embed__caller_end_circuit(b, c);
        } else if (b->pause_until_ms > now && c->deadline_ms <= b->pause_until_ms) {
            embed__caller_end_paused(b, c);
        } else if (!closed) {
            c->admitted = true;
        }
    }
}

void embed__fail_waiting(struct embed__batcher *b)
{
    for (struct embed__caller *c = b->callers; c != NULL;) {
        struct embed__caller *next = c->next;
        if (embed__caller_waits(c)) {
            embed__caller_end_circuit(b, c);
        }
        c = next;
    }
}

void embed__caller_end_circuit(struct embed__batcher *b, struct embed__caller *c)
{
    const uint64_t wait_ms = cx_breaker_wait_ms(&b->breaker, embed__batcher_now_ms(b));
    struct cx_err err;
    (void)cx_err_set(&err, CX_EMBEDDING_CIRCUIT_OPEN, "%s%s%s",
                     cx_status_text(CX_EMBEDDING_CIRCUIT_OPEN),
                     b->last_err.text[0] != '\0' ? "; its last answer: " : "", b->last_err.text);
    b->refused++;
    cx_counter_add(b->shed_circuit, 1);
    c->base.result.retry_after_ms = wait_ms > 0 ? wait_ms : 1000;
    embed__caller_end(b, c, CX_EMBEDDING_CIRCUIT_OPEN, err.text);
}

void embed__caller_end_paused(struct embed__batcher *b, struct embed__caller *c)
{
    const uint64_t now = embed__batcher_now_ms(b);
    cx_counter_add(b->shed_rate_limit, 1);
    c->base.result.retry_after_ms = b->pause_until_ms > now ? b->pause_until_ms - now : 0;
    embed__caller_end(b, c, CX_EMBEDDING_RATE_LIMITED, NULL);
}
