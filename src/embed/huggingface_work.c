/* SPDX-License-Identifier: MIT
 *
 * A worker and its slice (huggingface.h): texts → ids → vectors, several texts in one run of the
 * encoder. Each worker takes a bench, of which there come to be as many as ever worked at once.
 *
 * Threads: workers. Of a call they read kind, texts and `stop`, and write the rows of its result and
 * of `cut` that are theirs; the loop reads these when the slice is back.
 */
#include "huggingface.h"

#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "cortex/metrics.h"

static enum cx_status run_some(struct embed__slice *slice, struct embed__bench *bench, size_t *at);
static void place(const struct embed__slice *slice, size_t index, const float *vector,
                  bool truncated);

void embed__slice_work(void *arg)
{
    struct embed__slice *slice = arg;
    struct embed__bench *bench = embed__bench_take(slice->provider);
    enum cx_status status = CX_OK;
    size_t at = 0;
    while (at < slice->count && status == CX_OK) {
        status = run_some(slice, bench, &at);
    }
    embed__bench_return(slice->provider, bench);
    slice->status = status;
}

/* Texts from *at on until SLICE_TOKENS are reached: how long they are is known only now. */
static enum cx_status run_some(struct embed__slice *slice, struct embed__bench *bench, size_t *at)
{
    struct embed__hf *e = slice->provider;
    size_t offsets[EMBED__SLICE_TEXTS + 1] = { 0 };
    size_t which[EMBED__SLICE_TEXTS];
    bool cut[EMBED__SLICE_TEXTS];
    size_t count = 0;
    bench->tokens.count = 0;
    while (*at < slice->count && bench->tokens.count < EMBED__SLICE_TOKENS) {
        struct embed__hf_call *call = slice->calls[*at];
        if (!atomic_load_explicit(&call->stop, memory_order_relaxed)) {
            const enum cx_status status = embed__hf_tokenize(
                e, slice->kind, call->base.texts[slice->indices[*at]], bench, &cut[count]);
            if (status != CX_OK) {
                return status;
            }
            which[count] = *at;
            offsets[++count] = bench->tokens.count;
        }
        (*at)++;
    }
    if (count == 0) {
        return CX_OK;
    }
    embed__encoder_run(e->encoder, bench->scratch, bench->tokens.ids, offsets, count,
                       e->model->pooling, true, bench->vectors);
    cx_counter_add(e->tokens_counter, bench->tokens.count);
    for (size_t i = 0; i < count; i++) {
        const float *vector = bench->vectors + i * e->base.dimension;
        if (!embed__vector_valid(vector, e->base.dimension)) {
            return CX_INTERNAL;
        }
        place(slice, which[i], vector, cut[i]);
    }
    return CX_OK;
}

static void place(const struct embed__slice *slice, size_t index, const float *vector,
                  bool truncated)
{
    struct cx_embed_result *result = &slice->calls[index]->base.result;
    const size_t row = slice->indices[index];
    const unsigned dimension = slice->provider->base.dimension;
    memcpy(result->vectors + row * dimension, vector, dimension * sizeof *vector);
    result->cut[row] = truncated;
}

enum cx_status embed__hf_tokenize(const struct embed__hf *e, enum cx_embed_kind kind,
                                  struct cx_str text, struct embed__bench *bench, bool *truncated)
{
    const char *prompt =
        kind == CX_EMBED_QUERY ? e->model->query_prompt : e->model->document_prompt;
    if (prompt[0] != '\0') {
        cx_buf_clear(&bench->prompted);
        cx_buf_puts(&bench->prompted, prompt);
        cx_buf_put_str(&bench->prompted, text);
        if (bench->prompted.failed) {
            return CX_NO_MEMORY;
        }
        text = (struct cx_str){ bench->prompted.data, bench->prompted.len };
    }
    return embed__tokenizer_encode(e->model->tokenizer, text, &bench->tokens, truncated);
}

/* ---- Benches ---- */

static size_t bytes_of(const struct embed__hf *e, const struct embed__bench *bench)
{
    return sizeof *bench + embed__scratch_bytes(bench->scratch) +
           EMBED__SLICE_TEXTS * e->base.dimension * sizeof(float);
}

struct embed__bench *embed__bench_take(struct embed__hf *e)
{
    (void)pthread_mutex_lock(&e->lock);
    struct embed__bench *bench = e->benches;
    if (bench != NULL) {
        e->benches = bench->next;
    }
    (void)pthread_mutex_unlock(&e->lock);
    if (bench == NULL) {
        bench = cx_alloc(sizeof *bench);
        embed__scratch_new(e->encoder, EMBED__SLICE_TOKENS, &bench->scratch);
        cx_buf_init(&bench->prompted, (size_t)1 << 30);
        bench->vectors = cx_alloc(EMBED__SLICE_TEXTS * e->base.dimension * sizeof(float));
        (void)pthread_mutex_lock(&e->lock);
        e->bench_bytes += bytes_of(e, bench);
        (void)pthread_mutex_unlock(&e->lock);
        cx_gauge_set(e->memory_gauge, (double)embed__hf_memory(e));
    }
    return bench;
}

void embed__bench_return(struct embed__hf *e, struct embed__bench *bench)
{
    (void)pthread_mutex_lock(&e->lock);
    bench->next = e->benches;
    e->benches = bench;
    (void)pthread_mutex_unlock(&e->lock);
}

void embed__bench_free(struct embed__bench *bench)
{
    embed__scratch_free(&bench->scratch);
    embed__tokens_free(&bench->tokens);
    cx_buf_free(&bench->prompted);
    free(bench->vectors);
    free(bench);
}

size_t embed__hf_memory(struct embed__hf *e)
{
    (void)pthread_mutex_lock(&e->lock);
    const size_t benches = e->bench_bytes;
    (void)pthread_mutex_unlock(&e->lock);
    return embed__encoder_bytes(e->encoder) + embed__tokenizer_bytes(e->model->tokenizer) + benches;
}
