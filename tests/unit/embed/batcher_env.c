/* SPDX-License-Identifier: MIT
 *
 * The batcher's tests' surroundings (batcher_env.h).
 */
#include "batcher_env.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum cx_status start(struct cx_embed_call *base, struct cx_err *err);
static void cancel(struct cx_embed_call *base);
static void free_scripted(struct cx_embedder *e);
static struct scripted_call *take(struct scripted *s, size_t number);
static void on_done(void *ctx, struct cx_embed_result *result);

static const struct embed__ops OPS = {
    .call_size = sizeof(struct scripted_call),
    .start = start,
    .cancel = cancel,
    .free = free_scripted,
};

void vector_of(enum cx_embed_kind kind, struct cx_str text, float vector[BENCH_DIMENSION])
{
    uint8_t digest[CX_SHA256_BYTES];
    embed__digest(kind, text, digest);
    double sum = 0;
    for (size_t i = 0; i < BENCH_DIMENSION; i++) {
        vector[i] = (float)digest[i] + 1;
        sum += (double)vector[i] * (double)vector[i];
    }
    for (size_t i = 0; i < BENCH_DIMENSION; i++) {
        vector[i] = (float)((double)vector[i] / sqrt(sum));
    }
}

/* ---- The provider ---- */

void scripted_new(struct scripted **out)
{
    struct scripted *s = cx_alloc(sizeof *s);
    embed__init(&s->base, &OPS, "scripted", "model", BENCH_DIMENSION, "");
    *out = s;
}

static enum cx_status start(struct cx_embed_call *base, struct cx_err *err)
{
    struct scripted *s = (struct scripted *)base->embedder;
    struct scripted_call *call = (struct scripted_call *)base;
    if (s->refuse_start != CX_OK) {
        return cx_err_set(err, s->refuse_start, "%s", cx_status_text(s->refuse_start));
    }
    struct scripted_call **end = &s->calls;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = call;
    call->number = ++s->started;
    call->timeout_ms = (base->deadline_ns - base->started_ns) / 1000000;
    s->texts += base->count;
    s->in_flight++;
    if (s->on_start != NULL) {
        s->on_start(s->ctx, call);
    }
    return CX_OK;
}

static void cancel(struct cx_embed_call *base)
{
    ((struct scripted_call *)base)->cancelled = true;
    ((struct scripted *)base->embedder)->cancelled++;
}

static void free_scripted(struct cx_embedder *e)
{
    EXPECT_INT(((struct scripted *)e)->in_flight, 0);
    free(e);
}

struct scripted_call *scripted_find(struct scripted *s, size_t number)
{
    struct scripted_call *call = s->calls;
    while (call != NULL && call->number != number) {
        call = call->next;
    }
    return call;
}

static struct scripted_call *take(struct scripted *s, size_t number)
{
    struct scripted_call **at = &s->calls;
    while (*at != NULL && (*at)->number != number) {
        at = &(*at)->next;
    }
    struct scripted_call *call = *at;
    EXPECT(call != NULL);
    if (call != NULL) {
        *at = call->next;
        s->in_flight--;
    }
    return call;
}

void scripted_answer(struct scripted *s, size_t number)
{
    struct scripted_call *call = take(s, number);
    if (call == NULL) {
        return;
    }
    const size_t count = call->base.count;
    call->base.result.vectors = cx_realloc_array(NULL, count * BENCH_DIMENSION, sizeof(float));
    for (size_t i = 0; i < count; i++) {
        vector_of(call->base.kind, call->base.texts[i],
                  call->base.result.vectors + i * BENCH_DIMENSION);
    }
    embed__finish(&call->base);
}

void scripted_fail(struct scripted *s, size_t number, struct failure how)
{
    struct scripted_call *call = take(s, number);
    if (call == NULL) {
        return;
    }
    call->base.result.retry_after_ms = how.retry_after_ms;
    call->base.result.input_refused = how.input_refused;
    embed__fail(&call->base, how.status, how.text);
}

bool scripted_asks(struct scripted *s, size_t number, const char *texts)
{
    struct cx_buf b;
    cx_buf_init(&b, 65536);
    cx_buf_puts(&b, "");
    const struct scripted_call *call = scripted_find(s, number);
    for (size_t i = 0; call != NULL && i < call->base.count; i++) {
        if (i > 0) {
            cx_buf_putc(&b, ',');
        }
        cx_buf_put_str(&b, call->base.texts[i]);
    }
    const bool same =
        call != NULL && test_expect_str(b.data != NULL ? b.data : "", texts, __FILE__, __LINE__);
    cx_buf_free(&b);
    return same;
}

/* ---- The bench ---- */

static uint64_t bench_now(void *ctx)
{
    return ((struct bench *)ctx)->now_ms;
}

static void on_circuit(void *ctx, enum cx_circuit state)
{
    struct bench *b = ctx;
    if (b->circuit_count < CX_ARRAY_LEN(b->circuits)) {
        b->circuits[b->circuit_count] = state;
    }
    b->circuit_count++;
}

void bench_options(struct bench *b, struct cx_batcher_options *o)
{
    struct cx_err err;
    *b = (struct bench){ .now_ms = 1000000 };
    CX_CHECK(cx_loop_new(4, &b->loop, &err) == CX_OK);
    scripted_new(&b->inner);
    cx_batcher_defaults(true, o);
    o->loop = b->loop;
    o->inner = &b->inner->base;
    o->cache_memory_bytes = 0;
    o->retry_base_ms = 0;
    o->on_circuit = on_circuit;
    o->circuit_ctx = b;
    o->now_ms = bench_now;
    o->now_ctx = b;
}

void bench_open(struct bench *b, const struct cx_batcher_options *o)
{
    struct cx_err err = { "" };
    const enum cx_status status = cx_embedder_batched(o, &b->e, &err);
    EXPECT_STR(err.text, "");
    CX_CHECK(status == CX_OK);
}

void bench_close(struct bench *b)
{
    EXPECT(cx_embedder_idle(b->e));
    const struct embed__batcher *batcher = (const struct embed__batcher *)b->e;
    EXPECT_INT(batcher->texts, 0);
    EXPECT_INT(batcher->bytes, 0);
    EXPECT_INT(batcher->calls, 0);
    cx_embedder_free(&b->e);
    cx_loop_free(&b->loop);
}

void bench_pass(struct bench *b, uint64_t ms)
{
    b->now_ms += ms;
    embed__batcher_fire(b->e);
}

/* ---- Callers ---- */

enum cx_status ask_start(struct bench *b, struct ask *a, enum cx_embed_kind kind, const char *texts,
                         uint64_t timeout_ms)
{
    *a = (struct ask){ .bench = b, .kind = kind, .starting = true };
    (void)snprintf(a->texts, sizeof a->texts, "%s", texts);
    for (char *at = a->texts; a->count < CX_ARRAY_LEN(a->strings);) {
        char *comma = strchr(at, ',');
        const size_t len = comma != NULL ? (size_t)(comma - at) : strlen(at);
        a->strings[a->count++] = (struct cx_str){ at, len };
        if (comma == NULL) {
            break;
        }
        at = comma + 1;
    }
    struct cx_err err = { "" };
    const enum cx_status status = cx_embedder_start(b->e, kind, a->strings, a->count, timeout_ms,
                                                    NULL, on_done, a, &a->call, &err);
    a->starting = false;
    EXPECT((status == CX_OK) == (err.text[0] == '\0'));
    return status;
}

static void on_done(void *ctx, struct cx_embed_result *result)
{
    struct ask *a = ctx;
    EXPECT(!a->starting);
    EXPECT_INT(++a->completions, 1);
    EXPECT((result->status == CX_OK) == (result->err.text[0] == '\0'));
    a->call = NULL;
    a->result = *result;
}

void ask_cancel(struct ask *a)
{
    a->starting = true;
    cx_embed_call_cancel(a->call);
    a->starting = false;
}

void ask_expect(struct ask *a, enum cx_status status)
{
    EXPECT_INT(a->completions, 1);
    EXPECT_STR(cx_status_name(a->result.status), cx_status_name(status));
    if (a->completions == 1 && a->result.status == CX_OK) {
        EXPECT_INT(a->result.count, a->count);
        EXPECT_INT(a->result.dimension, BENCH_DIMENSION);
        for (size_t i = 0; i < a->count; i++) {
            float want[BENCH_DIMENSION];
            vector_of(a->kind, a->strings[i], want);
            EXPECT_BYTES(a->result.vectors + i * BENCH_DIMENSION, sizeof want, want, sizeof want);
        }
    }
    ask_free(a);
}

bool ask_waits(const struct ask *a)
{
    return a->completions == 0;
}

void ask_free(struct ask *a)
{
    free(a->result.vectors);
    a->result.vectors = NULL;
}
