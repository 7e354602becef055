/* SPDX-License-Identifier: MIT
 *
 * The batcher against chance: thousands of callers, texts, cancels, failures and clock steps from a
 * seed, while a model looks on. What it holds: every caller ends exactly once, with the vectors of its
 * own texts or for a reason that is its own; no text is asked for twice at a time; no limit is passed;
 * an open circuit is silent, a half-open one lets one call out.
 */
#include "batcher_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKS 64
#define NAMES 40
#define STEPS 6000

struct world {
    struct bench b;
    struct cx_batcher_options options;
    struct ask asks[ASKS];
    bool used[ASKS];
    uint64_t deadline_ms[ASKS];
    bool cancelled[ASKS];
    uint64_t state; /* of the generator */
    size_t completed[CX_STATUS_COUNT];
    size_t starts;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    /* xorshift64* */
    w->state ^= w->state >> 12;
    w->state ^= w->state << 25;
    w->state ^= w->state >> 27;
    return (w->state * UINT64_C(2685821657736338717) >> 33) % below;
}

static bool is_bad(struct cx_str text)
{
    return text.len >= 3 && memcmp(text.p, "bad", 3) == 0;
}

static size_t tokens_of(void *ctx, struct cx_str text)
{
    (void)ctx;
    return text.len;
}

/* ---- What the provider is asked ---- */

static void on_start(void *ctx, struct scripted_call *call)
{
    struct world *w = ctx;
    const struct cx_batcher_options *o = &w->options;
    size_t tokens = 0;
    size_t calls = 0;
    size_t documents = 0;
    w->starts++;
    EXPECT(call->base.count > 0 && call->base.count <= o->inputs_max);
    for (size_t i = 0; i < call->base.count; i++) {
        EXPECT(call->base.texts[i].len > 0);
        EXPECT(call->base.texts[i].len <= o->input_tokens_max);
        tokens += call->base.texts[i].len;
    }
    EXPECT(tokens <= o->tokens_max);
    for (const struct scripted_call *c = w->b.inner->calls; c != NULL; c = c->next) {
        calls++;
        documents += c->base.kind == CX_EMBED_DOCUMENT ? 1 : 0;
        if (c == call || c->cancelled || c->base.kind != call->base.kind) {
            continue;
        }
        for (size_t i = 0; i < c->base.count; i++) {
            for (size_t k = 0; k < call->base.count; k++) {
                EXPECT(!cx_str_eq(c->base.texts[i], call->base.texts[k]));
            }
        }
    }
    EXPECT(calls <= o->calls_max);
    EXPECT(documents <= o->document_calls_max);
    struct cx_circuit_info info;
    cx_embedder_circuit(w->b.e, &info);
    EXPECT(info.state != CX_CIRCUIT_OPEN);
    const struct embed__batcher *b = (const struct embed__batcher *)w->b.e;
    EXPECT(w->b.now_ms >= b->pause_until_ms);
    if (info.state == CX_CIRCUIT_HALF_OPEN) {
        for (const struct embed__batch *batch = b->batches; batch != NULL; batch = batch->next) {
            EXPECT(batch->state != BATCH_FLYING || batch->epoch != b->breaker.epoch ||
                   batch->strings == call->base.texts);
        }
    }
}

/* ---- The steps of chance ---- */

static void some_text(struct world *w, char *out, size_t size)
{
    const uint64_t n = draw(w, NAMES);
    if (n == 0) {
        (void)snprintf(out, size, "bad%d", (int)draw(w, 2));
    } else {
        (void)snprintf(out, size, "%.*s", (int)(1 + n % 13), &"abcdefghijklmnop"[n % 4]);
    }
}

static void step_start(struct world *w)
{
    size_t at = 0;
    while (at < ASKS && w->used[at]) {
        at++;
    }
    if (at == ASKS) {
        return;
    }
    char texts[256] = "";
    const uint64_t count = 1 + draw(w, 8);
    for (uint64_t i = 0; i < count; i++) {
        char text[16];
        some_text(w, text, sizeof text);
        const size_t len = strlen(texts);
        (void)snprintf(texts + len, sizeof texts - len, "%s%s", i > 0 ? "," : "", text);
    }
    const uint64_t timeout_ms = draw(w, 10) == 0 ? draw(w, 10) : draw(w, 1500);
    const enum cx_embed_kind kind = draw(w, 3) == 0 ? CX_EMBED_DOCUMENT : CX_EMBED_QUERY;
    const enum cx_status status = ask_start(&w->b, &w->asks[at], kind, texts, timeout_ms);
    EXPECT(status == CX_OK || status == CX_OVERLOADED);
    w->used[at] = status == CX_OK;
    w->cancelled[at] = false;
    w->deadline_ms[at] = w->b.now_ms + timeout_ms;
    w->completed[CX_OVERLOADED] += status == CX_OVERLOADED ? 1 : 0;
}

static void step_cancel(struct world *w)
{
    const size_t at = draw(w, ASKS);
    if (w->used[at] && ask_waits(&w->asks[at]) && !w->cancelled[at]) {
        w->cancelled[at] = true;
        ask_cancel(&w->asks[at]);
    }
}

static void step_provider(struct world *w, bool kind_weather)
{
    struct scripted *s = w->b.inner;
    if (s->calls == NULL) {
        return;
    }
    const struct scripted_call *call = s->calls;
    for (uint64_t skip = draw(w, s->in_flight); skip > 0; skip--) {
        call = call->next;
    }
    bool bad = false;
    for (size_t i = 0; i < call->base.count; i++) {
        bad = bad || is_bad(call->base.texts[i]);
    }
    if (call->cancelled && draw(w, 2) == 0) {
        scripted_fail(s, call->number, (struct failure){ .status = CX_CANCELLED });
        return;
    }
    const uint64_t fate = kind_weather ? 9 : draw(w, 24);
    static const struct failure failures[] = {
        { .status = CX_EMBEDDING_UPSTREAM },
        { .status = CX_EMBEDDING_UPSTREAM, .retry_after_ms = 30 },
        { .status = CX_EMBEDDING_TIMEOUT },
        { .status = CX_EMBEDDING_RATE_LIMITED },
        { .status = CX_EMBEDDING_RATE_LIMITED, .retry_after_ms = 100 },
        { .status = CX_EMBEDDING_UNAUTHORIZED },
    };
    if (fate < CX_ARRAY_LEN(failures)) {
        scripted_fail(s, call->number, failures[fate]);
    } else if (bad) {
        scripted_fail(s, call->number,
                      (struct failure){ .status = CX_EMBEDDING_UPSTREAM,
                                        .input_refused = true,
                                        .text = "status 400" });
    } else {
        scripted_answer(s, call->number);
    }
}

/* ---- What callers may be told ---- */

static void judge(struct world *w, size_t at)
{
    struct ask *a = &w->asks[at];
    const enum cx_status status = a->result.status;
    bool bad = false;
    for (size_t i = 0; i < a->count; i++) {
        bad = bad || is_bad(a->strings[i]);
    }
    w->completed[status]++;
    switch (status) {
    case CX_OK:
        EXPECT(!bad);
        break;
    case CX_INVALID:
        EXPECT(bad);
        break;
    case CX_CANCELLED:
        EXPECT(w->cancelled[at]);
        break;
    case CX_EMBEDDING_TIMEOUT:
    case CX_EMBEDDING_UPSTREAM:
    case CX_EMBEDDING_RATE_LIMITED:
    case CX_EMBEDDING_UNAUTHORIZED:
    case CX_EMBEDDING_CIRCUIT_OPEN:
        break;
    case CX_OVERLOADED:
        EXPECT(w->b.inner->refuse_start != CX_OK || w->starts > 0);
        break;
    default:
        EXPECT(false);
    }
    ask_expect(a, status); /* the vectors */
    w->used[at] = false;
}

static void judge_all(struct world *w, bool fired)
{
    for (size_t i = 0; i < ASKS; i++) {
        if (w->used[i] && w->asks[i].completions > 0) {
            judge(w, i);
        }
        EXPECT(!fired || !w->used[i] || w->deadline_ms[i] > w->b.now_ms);
    }
}

static void run_world(uint64_t seed, bool calm, size_t totals[CX_STATUS_COUNT])
{
    struct world *w = calloc(1, sizeof *w);
    CX_CHECK(w != NULL);
    w->state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    struct cx_batcher_options *o = &w->options;
    bench_options(&w->b, o);
    o->window_ms = draw(w, 3) * 10;
    o->calls_max = (unsigned)(2 + draw(w, 5));
    o->document_calls_max = (unsigned)(1 + draw(w, o->calls_max - 1));
    o->inputs_max = 1 + draw(w, 12);
    o->input_tokens_max = 13;
    o->tokens_max = 13 + draw(w, 60);
    o->count_tokens = tokens_of;
    o->queue_texts_max = 20 + draw(w, 60);
    o->cache_memory_bytes = draw(w, 2) * 1000;
    o->attempts_max = (unsigned)(1 + draw(w, 4));
    o->retry_base_ms = draw(w, 50);
    o->retry_reserve = (unsigned)draw(w, 20);
    o->breaker_failures = calm ? 0 : (unsigned)(1 + draw(w, 3));
    o->breaker_open_ms = 150;
    o->breaker_slow_ms = 200;
    bench_open(&w->b, o);
    w->b.inner->on_start = on_start;
    w->b.inner->ctx = w;
    for (size_t step = 0; step < STEPS; step++) {
        bool fired = false;
        switch (draw(w, 10)) {
        case 0:
        case 1:
        case 2:
            step_start(w);
            break;
        case 3:
            step_cancel(w);
            break;
        case 4:
        case 5:
            bench_pass(&w->b, draw(w, 25));
            fired = true;
            break;
        case 6:
            w->b.inner->refuse_start =
                draw(w, 20) == 0 ? (draw(w, 2) == 0 ? CX_OVERLOADED : CX_EMBEDDING_UPSTREAM)
                                 : CX_OK;
            break;
        default:
            step_provider(w, calm);
        }
        judge_all(w, fired);
    }
    w->b.inner->refuse_start = CX_OK;
    for (int i = 0; i < 10000 && !cx_embedder_idle(w->b.e); i++) {
        step_provider(w, false);
        bench_pass(&w->b, 1);
        judge_all(w, true);
    }
    for (size_t i = 0; i < ASKS; i++) {
        EXPECT(!w->used[i]);
    }
    for (size_t i = 0; i < CX_STATUS_COUNT; i++) {
        totals[i] += w->completed[i];
    }
    bench_close(&w->b);
    free(w);
}

TEST(batcher_keeps_its_promises_under_chance)
{
    const char *given = getenv("BATCHER_SEEDS");
    const uint64_t seeds = given != NULL ? strtoull(given, NULL, 10) : 12;
    size_t totals[CX_STATUS_COUNT] = { 0 };
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        run_world(seed, seed % 3 == 0, totals);
    }
    /* Chance has been everywhere. */
    static const enum cx_status seen[] = {
        CX_INVALID,
        CX_OVERLOADED,
        CX_CANCELLED,
        CX_EMBEDDING_TIMEOUT,
        CX_EMBEDDING_UPSTREAM,
        CX_EMBEDDING_RATE_LIMITED,
        CX_EMBEDDING_UNAUTHORIZED,
        CX_EMBEDDING_CIRCUIT_OPEN,
    };
    EXPECT(totals[CX_OK] > 1000);
    for (size_t i = 0; i < CX_ARRAY_LEN(seen); i++) {
        EXPECT(totals[seen[i]] > 20);
    }
}
