/* SPDX-License-Identifier: MIT
 *
 * What a caller's texts become: a vector that is remembered, a text that is under way already, a new one. Some
 * at a time where there are many, so that the loop comes to others (batcher.h).
 *
 * Threads: the loop.
 */
#include "batcher.h"

#include "cortex/metrics.h"

#define ASK_TEXTS 64 /* before it is looked whether the turn is over */

static void ask_some(struct embed__batcher *b, struct embed__caller *c);
static struct embed__text *new_text(struct embed__batcher *b, struct embed__caller *c, size_t i);
static void join(struct embed__text *t, struct embed__waiter *w);
static bool take_remembered(struct embed__batcher *b, struct embed__waiter *w);

void embed__caller_ask(struct embed__batcher *b, struct embed__caller *c)
{
    c->asked_ms = embed__batcher_now_ms(b); /* a long request is of one moment */
    ask_some(b, c);
    if (c->state == CALLER_ASKING && c->asked < c->base.count) {
        struct embed__caller **at = &b->asking_first;
        while (*at != NULL) {
            at = &(*at)->asking_next;
        }
        *at = c;
        c->asking = true;
    }
}

void embed__ask_on(struct embed__batcher *b)
{
    while (b->asking_first != NULL && !embed__batcher_turn_over(b)) {
        struct embed__caller *c = b->asking_first;
        if (b->disk == NULL && b->breaker.state == CX_CIRCUIT_OPEN &&
            !cx_breaker_ready(&b->breaker, embed__batcher_now_ms(b))) {
            embed__caller_end_circuit(b, c); /* it has opened meanwhile */
            continue;
        }
        ask_some(b, c);
        if (c->asked == c->base.count) {
            embed__ask_no_more(b, c);
        }
    }
}

void embed__ask_no_more(struct embed__batcher *b, struct embed__caller *c)
{
    if (!c->asking) {
        return;
    }
    struct embed__caller **at = &b->asking_first;
    while (*at != c) {
        at = &(*at)->asking_next;
    }
    *at = c->asking_next;
    c->asking = false;
}

static void ask_some(struct embed__batcher *b, struct embed__caller *c)
{
    size_t joined = 0;
    size_t missed = 0;
    size_t here = 0;
    while (c->state == CALLER_ASKING && c->asked < c->base.count &&
           (++here % ASK_TEXTS != 0 || !embed__batcher_turn_over(b))) {
        const size_t i = c->asked++;
        struct embed__waiter *w = &c->waiters[i];
        w->caller = c;
        if (take_remembered(b, w)) {
            continue;
        }
        struct embed__text *t = embed__text_find(b, w->digest);
        if (t != NULL) {
            joined++;
        } else if ((t = new_text(b, c, i)) != NULL) {
            missed++;
        } else {
            embed__caller_end(b, c, CX_NO_MEMORY, NULL);
            break;
        }
        join(t, w);
    }
    cx_counter_add(b->joined, joined);
    if (b->disk == NULL) {
        cx_counter_add(b->cache_miss, missed);
    }
    if (c->state == CALLER_ASKING && c->asked == c->base.count) {
        embed__caller_unreserve(b, c);
    }
    if (c->remaining == 0) {
        embed__caller_end(b, c, CX_OK, NULL);
    }
}

/* It takes the place in the queue that was kept for it. */
static struct embed__text *new_text(struct embed__batcher *b, struct embed__caller *c, size_t i)
{
    struct embed__text *t =
        c->made != NULL
            ? c->made[i]
            : embed__text_new(&b->options, c->base.kind, c->base.texts[i], c->waiters[i].digest);
    if (t == NULL) {
        return NULL;
    }
    if (c->made != NULL) {
        c->made[i] = NULL;
    }
    if (c->reserved_texts > 0) {
        c->reserved_texts--;
        b->texts--;
    }
    const size_t len = c->base.texts[i].len;
    const size_t bytes = len < c->reserved_bytes ? len : c->reserved_bytes;
    c->reserved_bytes -= bytes;
    b->bytes -= bytes;
    embed__text_list(b, t, c->asked_ms);
    return t;
}

static void join(struct embed__text *t, struct embed__waiter *w)
{
    if (t->waiters == NULL && t->batch != NULL) {
        t->batch->live++;
    }
    w->text = t;
    w->previous = NULL;
    w->next = t->waiters;
    if (t->waiters != NULL) {
        t->waiters->previous = w;
    }
    t->waiters = w;
}

static bool take_remembered(struct embed__batcher *b, struct embed__waiter *w)
{
    struct embed__remembered r;
    const int64_t now_s = embed__now_s();
    if (b->memory == NULL || !embed__memory_find(b->memory, w->digest, now_s, &r)) {
        return false;
    }
    cx_counter_add(b->cache_memory, 1);
    if (r.stale_use && b->disk != NULL) {
        embed__disk_touch(b->disk, w->digest, now_s);
    }
    embed__waiter_place(b, w, r.vector, r.dimension, r.truncated);
    return true;
}
