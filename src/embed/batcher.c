/* SPDX-License-Identifier: MIT
 *
 * The batcher itself: set-up, clock, state for others to see, end (batcher.h).
 */
#include "batcher.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

#define TABLE_TEXTS 4 /* a bucket, when the queue is full */
#define NEVER UINT64_MAX

static enum cx_status check_options(const struct cx_batcher_options *o, struct cx_err *err);
static void make_caches(struct embed__batcher *b);
static void tell(struct embed__batcher *b, struct embed__caller *c);
static void on_time(void *ctx);
static void fire(struct embed__batcher *b);
static void expire(struct embed__batcher *b);
static void show_circuit(struct embed__batcher *b);
static void free_batcher(struct cx_embedder *e);

static const struct embed__ops OPS = {
    .call_size = sizeof(struct embed__caller),
    .start = embed__caller_start,
    .cancel = embed__caller_cancel,
    .release_call = embed__caller_release,
    .free = free_batcher,
};

void cx_batcher_defaults(bool remote, struct cx_batcher_options *out)
{
    *out = (struct cx_batcher_options){
        .window_ms = remote ? 15 : 0,
        .calls_max = remote ? 64 : 16384,
        .document_calls_max = remote ? 4 : 16383,
        .inputs_max = remote ? 2048 : EMBED__TEXTS_MAX,
        .tokens_max = remote ? 300000 : SIZE_MAX,
        .input_tokens_max = remote ? 8192 : SIZE_MAX / 8,
        .queue_texts_max = 131072,
        .queue_bytes_max = (size_t)256 << 20,
        .cache_memory_bytes = (size_t)(remote ? 64 : 16) << 20,
        .cache_disk_rows = remote ? 100000 : 0,
        .cache_disk_bytes = remote ? (size_t)512 << 20 : 0,
        .attempts_max = remote ? 4 : 1,
        .retry_base_ms = 250,
        .retry_cap_ms = 8000,
        .retry_percent = 10,
        .retry_reserve = 10,
        .pause_max_ms = 300000,
        .breaker_failures = remote ? 3 : 0,
        .breaker_successes = 2,
        .breaker_open_ms = 60000,
        .breaker_slow_ms = 1000,
    };
}

enum cx_status cx_embedder_batched(const struct cx_batcher_options *options,
                                   struct cx_embedder **out, struct cx_err *err)
{
    CX_ASSERT_LOOP();
    const enum cx_status status = check_options(options, err);
    if (status != CX_OK) {
        return status;
    }
    struct embed__batcher *b = cx_alloc(sizeof *b);
    b->options = *options;
    b->inner = options->inner;
    /* Not embed__init: it is the provider's own figures that count texts, and the same model. */
    b->base.ops = &OPS;
    b->base.provider = cx_strdup(b->inner->provider);
    b->base.model = cx_strdup(b->inner->model);
    b->base.dimension = b->inner->dimension;
    memcpy(b->base.fingerprint, b->inner->fingerprint, sizeof b->base.fingerprint);
    b->base.memory_bytes = b->inner->memory_bytes;
    cx_random_init(&b->random);
    cx_random_bytes(b->key, sizeof b->key);
    size_t buckets = 64;
    while (buckets * TABLE_TEXTS < options->queue_texts_max && buckets < ((size_t)1 << 20)) {
        buckets *= 2;
    }
    b->table = cx_alloc(buckets * sizeof(struct embed__text *));
    b->table_mask = buckets - 1;
    b->armed_ms = NEVER;
    cx_timer_new(options->loop, on_time, b, &b->timer);
    cx_breaker_init(&b->breaker, options->breaker_failures, options->breaker_successes,
                    options->breaker_open_ms);
    cx_retry_budget_init(&b->budget, options->retry_percent, options->retry_reserve,
                         embed__batcher_now_ms(b));
    embed__batcher_metrics(b);
    make_caches(b);
    *out = &b->base;
    return CX_OK;
}

static enum cx_status check_options(const struct cx_batcher_options *o, struct cx_err *err)
{
    CX_CHECK(o->loop != NULL && o->inner != NULL);
    CX_CHECK(o->store == NULL || (o->read_lane != NULL && o->write_lane != NULL));
    if (o->calls_max < 2 || o->document_calls_max < 1 || o->document_calls_max >= o->calls_max) {
        return cx_err_set(err, CX_INVALID,
                          "of at least two embedding calls at once, one must be left to queries");
    }
    if (o->inputs_max == 0 || o->input_tokens_max == 0 || o->tokens_max < o->input_tokens_max) {
        return cx_err_set(err, CX_INVALID,
                          "an embedding call must take at least one text of the longest kind");
    }
    if (o->queue_texts_max == 0 || o->queue_bytes_max == 0 || o->attempts_max == 0) {
        return cx_err_set(err, CX_INVALID, "the embedding queue and the attempts need at least 1");
    }
    if (o->breaker_failures > 0 && o->breaker_successes == 0) {
        return cx_err_set(err, CX_INVALID, "an open circuit needs a success to close");
    }
    return CX_OK;
}

static void make_caches(struct embed__batcher *b)
{
    const struct cx_batcher_options *o = &b->options;
    if (o->cache_memory_bytes > 0) {
        embed__memory_new(o->cache_memory_bytes, &b->memory);
    }
    if (o->store != NULL && o->cache_disk_rows > 0 && o->cache_disk_bytes > 0) {
        const struct embed__disk_options disk = { .loop = o->loop,
                                                  .store = o->store,
                                                  .read_lane = o->read_lane,
                                                  .write_lane = o->write_lane,
                                                  .fingerprint = b->base.fingerprint,
                                                  .provider = b->base.provider,
                                                  .rows_max = o->cache_disk_rows,
                                                  .bytes_max = o->cache_disk_bytes,
                                                  .pending_bytes_max = (size_t)64 << 20,
                                                  .delay_ms = 100 };
        embed__disk_new(&disk, &b->disk);
    }
}

const struct cx_embedder *embed__provider_of(const struct cx_embedder *e)
{
    return e->ops == &OPS ? ((const struct embed__batcher *)e)->inner : e;
}

void cx_embedder_circuit(const struct cx_embedder *e, struct cx_circuit_info *out)
{
    *out = (struct cx_circuit_info){ .state = CX_CIRCUIT_CLOSED };
    if (e->ops != &OPS) {
        return;
    }
    const struct embed__batcher *b = (const struct embed__batcher *)e;
    const uint64_t now = embed__batcher_now_ms(b);
    const uint64_t pause_ms = b->pause_until_ms > now ? b->pause_until_ms - now : 0;
    const uint64_t open_ms = cx_breaker_wait_ms(&b->breaker, now);
    out->state = b->breaker.state;
    out->failures = b->breaker.failures;
    out->retry_in_ms = open_ms > pause_ms ? open_ms : pause_ms;
    out->opened = b->breaker.opened;
    out->refused = b->refused;
    out->last_err = b->last_err;
}

bool cx_embedder_idle(const struct cx_embedder *e)
{
    if (e->ops != &OPS) {
        return e->active == 0;
    }
    const struct embed__batcher *b = (const struct embed__batcher *)e;
    return e->active == 0 && b->batches == NULL && cx_embedder_idle(b->inner) &&
           (b->disk == NULL || embed__disk_idle(b->disk));
}

uint64_t cx_embedder_cache_mark(const struct cx_embedder *e)
{
    const struct embed__batcher *b = (const struct embed__batcher *)e;
    return e->ops == &OPS && b->disk != NULL ? embed__disk_put_count(b->disk) : 0;
}

bool cx_embedder_cache_written(const struct cx_embedder *e, uint64_t mark)
{
    const struct embed__batcher *b = (const struct embed__batcher *)e;
    return e->ops != &OPS || b->disk == NULL || embed__disk_gone_count(b->disk) >= mark;
}

/* ---- Telling ---- */

void embed__batcher_flush(struct embed__batcher *b)
{
    if (b->flushing) {
        return; /* the one further up goes on */
    }
    b->flushing = true;
    /* Each may go on to do some 20 us of work. */
    while (b->done_first != NULL && !embed__batcher_turn_over(b)) {
        struct embed__caller *c = b->done_first;
        b->done_first = c->next;
        b->done_last = b->done_first != NULL ? b->done_last : NULL;
        tell(b, c);
    }
    b->flushing = false;
    embed__batcher_arm(b);
}

static void tell(struct embed__batcher *b, struct embed__caller *c)
{
    if (c->base.result.status == CX_OK && c->base.count > 0 && c->dimension != b->base.dimension) {
        embed__fail(&c->base, CX_EMBEDDING_UPSTREAM,
                    "the embedding service changed the dimension of its vectors");
    } else {
        embed__finish(&c->base);
    }
}

/* ---- Time ---- */

uint64_t embed__batcher_now_ms(const struct embed__batcher *b)
{
    return b->options.now_ms != NULL ? b->options.now_ms(b->options.now_ctx)
                                     : cx_clock_mono_ns() / 1000000;
}

bool embed__batcher_turn_over(const struct embed__batcher *b)
{
    return b->options.now_ms == NULL && cx_loop_turn_over(b->options.loop);
}

void embed__batcher_fire(struct cx_embedder *e)
{
    CX_CHECK(e->ops == &OPS);
    fire((struct embed__batcher *)e);
}

static void on_time(void *ctx)
{
    fire(ctx);
}

static void fire(struct embed__batcher *b)
{
    b->armed_ms = NEVER;
    embed__deliver(b);
    embed__ask_on(b);
    embed__batcher_settle(b);
    embed__batcher_flush(b);
}

void embed__batcher_settle(struct embed__batcher *b)
{
    expire(b);
    show_circuit(b);
    embed__dispatch(b);
    show_circuit(b); /* a call may fail to start */
    cx_gauge_set(b->queue_texts, (double)b->texts);
    cx_gauge_set(b->queue_bytes, (double)b->bytes);
    cx_gauge_set(b->calls_active, (double)b->calls);
    if (b->memory != NULL) {
        cx_gauge_set(b->cache_bytes, (double)embed__memory_bytes(b->memory));
    }
}

static void expire(struct embed__batcher *b)
{
    const uint64_t now = embed__batcher_now_ms(b);
    while (b->heap_count > 0 && b->heap[0]->deadline_ms <= now) {
        embed__caller_end(b, b->heap[0], CX_EMBEDDING_TIMEOUT, NULL);
    }
}

static void show_circuit(struct embed__batcher *b)
{
    if (b->breaker.opened != b->opened_shown) {
        cx_counter_add(b->circuit_opened, b->breaker.opened - b->opened_shown);
        b->opened_shown = b->breaker.opened;
        embed__fail_waiting(b);
    }
    if (b->breaker.state == b->shown) {
        return;
    }
    b->shown = b->breaker.state;
    cx_gauge_set(b->circuit, (double)b->shown);
    CX_LOG(b->shown == CX_CIRCUIT_OPEN ? CX_LOG_WARN : CX_LOG_INFO, "embedding circuit",
           CX_S("provider", b->base.provider), CX_S("state", cx_circuit_name(b->shown)),
           CX_S("error", b->shown == CX_CIRCUIT_OPEN ? b->last_err.text : NULL));
    if (b->options.on_circuit != NULL) {
        b->options.on_circuit(b->options.circuit_ctx, b->shown);
    }
}

/* One timer for all that waits for time. It is only ever moved forward here; one that fires too early
 * finds nothing to do. */
void embed__batcher_arm(struct embed__batcher *b)
{
    if (b->flushing) {
        return;
    }
    const uint64_t now = embed__batcher_now_ms(b);
    uint64_t due = embed__dispatch_due_ms(b);
    if (b->done_first != NULL || b->delivering > 0 || b->asking_first != NULL) {
        due = now;
    }
    if (b->heap_count > 0 && b->heap[0]->deadline_ms < due) {
        due = b->heap[0]->deadline_ms;
    }
    due = due < now ? now : due;
    if (due >= b->armed_ms || (b->options.now_ms != NULL && due > now)) {
        return;
    }
    b->armed_ms = due;
    cx_timer_start(b->timer, due - now, 0);
}

/* ---- Freeing ---- */

static void free_batcher(struct cx_embedder *e)
{
    struct embed__batcher *b = (struct embed__batcher *)e;
    CX_CHECK(!b->flushing && b->batches == NULL && b->callers == NULL);
    embed__disk_free(&b->disk);
    embed__memory_free(&b->memory);
    cx_timer_free(&b->timer);
    cx_embedder_free(&b->inner);
    free(b->table);
    free(b->heap);
    free(b);
}
