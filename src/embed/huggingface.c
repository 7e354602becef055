/* SPDX-License-Identifier: MIT
 *
 * The huggingface provider: a sentence-transformers model, run on this machine's processors
 * (huggingface.h). Here it is loaded, tried out and freed.
 */
#include "huggingface.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"
#include "cortex/metrics.h"

static enum cx_status load(struct embed__hf *e, const struct cx_embed_huggingface_options *options,
                           struct cx_err *err);
static enum embed__precision choose_precision(enum cx_embed_precision wanted, const char *kernel);
static const char *precision_name(const struct embed__hf *e);
static void describe(struct embed__hf *e, const char *name, const uint8_t weights[32]);
static enum cx_status warm_up(struct embed__hf *e, struct cx_err *err);
static size_t count_tokens(const struct cx_embedder *base, enum cx_embed_kind kind,
                           const struct cx_str *texts, size_t count);
static void free_huggingface(struct cx_embedder *base);

static const struct embed__ops OPS = {
    .call_size = sizeof(struct embed__hf_call),
    .start = embed__hf_start,
    .cancel = embed__hf_cancel,
    .count_tokens = count_tokens,
    .free = free_huggingface,
};

enum cx_status cx_embedder_huggingface(const struct cx_embed_huggingface_options *options,
                                       struct cx_embedder **out, struct cx_err *err)
{
    CX_ASSERT_BLOCKING();
    struct embed__hf *e = cx_alloc(sizeof *e);
    e->base.ops = &OPS;
    e->lane = options->lane;
    e->parallel = options->parallel > 0 ? options->parallel : 1;
    (void)pthread_mutex_init(&e->lock, NULL);
    cx_timer_new(options->loop, embed__hf_on_time, e, &e->timer);
    const uint64_t begun_ns = cx_clock_mono_ns();
    enum cx_status status = load(e, options, err);
    if (status == CX_OK) {
        status = warm_up(e, err);
    }
    if (status != CX_OK) {
        struct cx_embedder *base = &e->base;
        cx_embedder_free(&base);
        return status;
    }
    const size_t bytes = embed__hf_memory(e);
    e->base.memory_bytes = bytes;
    cx_gauge_set(e->memory_gauge, (double)bytes);
    CX_LOG(CX_LOG_INFO, "model loaded", CX_S("model", e->base.model),
           CX_S("directory", options->directory), CX_S("precision", precision_name(e)),
           CX_S("kernel", embed__encoder_kernel(e->encoder)), CX_I("dimension", e->base.dimension),
           CX_I("tokens_max", e->model->tokenizer->tokens_max), CX_I("memory_bytes", bytes),
           CX_R("seconds", (double)(cx_clock_mono_ns() - begun_ns) / 1e9));
    *out = &e->base;
    return CX_OK;
}

static enum cx_status load(struct embed__hf *e, const struct cx_embed_huggingface_options *options,
                           struct cx_err *err)
{
    uint8_t weights[CX_SHA256_BYTES];
    enum cx_status status = embed__model_read(options->directory, &e->model, err);
    if (status == CX_OK) {
        embed__model_set_prompts(e->model, options->query_prompt, options->document_prompt);
        status = embed__model_encoder(options->directory, &e->model->shape,
                                      choose_precision(options->precision, options->kernel),
                                      options->kernel, &e->encoder, weights, err);
    }
    if (status == CX_OK) {
        describe(e, options->model, weights);
    }
    return status;
}

/* bfloat16 costs a model next to nothing, but only AMX is faster by it: vdpbf16ps takes as long as the two
 * fused multiply-adds that it stands for, and rounding comes on top. By the processor and not by a stop watch,
 * as the next start must come to the same: another precision is another model. */
static enum embed__precision choose_precision(enum cx_embed_precision wanted, const char *kernel)
{
    const char *names[EMBED__ENCODER_KERNELS_MAX] = { "" };
    switch (wanted) {
    case CX_EMBED_FLOAT32:
        return EMBED__FLOAT32;
    case CX_EMBED_BFLOAT16:
        return EMBED__BFLOAT16;
    case CX_EMBED_INT8:
        return EMBED__INT8;
    case CX_EMBED_PRECISION_AUTO:
        break;
    }
    (void)embed__encoder_kernels(EMBED__BFLOAT16, names);
    const bool amx = strcmp(names[0], "amx") == 0 && (kernel == NULL || strcmp(kernel, "amx") == 0);
    return amx ? EMBED__BFLOAT16 : EMBED__FLOAT32;
}

static const char *precision_name(const struct embed__hf *e)
{
    static const char *const names[] = {
        [EMBED__FLOAT32] = "float32", [EMBED__BFLOAT16] = "bfloat16", [EMBED__INT8] = "int8"
    };
    return names[embed__encoder_precision(e->encoder)];
}

/* All that decides where in space a text comes to lie. */
static void describe(struct embed__hf *e, const char *name, const uint8_t weights[32])
{
    const struct embed__model *m = e->model;
    const struct embed__tokenizer *t = m->tokenizer;
    char weights_hex[CX_SHA256_HEX_BYTES];
    char tokenizer_hex[CX_SHA256_HEX_BYTES];
    struct cx_buf text;
    cx_buf_init(&text, (size_t)64 << 10);
    cx_buf_printf(
        &text,
        "weights=%s;tokenizer=%s;tokens=%zu;lower=%d;pooling=%d;family=%d;activation=%d;heads=%zu;"
        "eps=%a;precision=%s;prompts=%zu:%s%zu:%s",
        cx_hex(weights, CX_SHA256_BYTES, weights_hex),
        cx_hex(t->fingerprint, sizeof t->fingerprint, tokenizer_hex), t->tokens_max,
        t->lower_first ? 1 : 0, (int)m->pooling, (int)m->shape.family, (int)m->shape.activation,
        m->shape.heads, (double)m->shape.layer_norm_eps, precision_name(e), strlen(m->query_prompt),
        m->query_prompt, strlen(m->document_prompt), m->document_prompt);
    CX_CHECK(!text.failed);
    embed__init(&e->base, &OPS, "huggingface", name, (unsigned)embed__encoder_dimension(e->encoder),
                text.data);
    cx_buf_free(&text);
    e->memory_gauge = cx_metrics_series(CX_M_EMBED_MODEL_BYTES, "");
    e->tokens_counter = cx_metrics_series(CX_M_EMBED_MODEL_TOKENS, "");
    e->truncated_counter = cx_metrics_series(CX_M_EMBED_TRUNCATED, "");
}

/* The first request shall not be the one that finds pages and caches cold, or the model unusable. */
static enum cx_status warm_up(struct embed__hf *e, struct cx_err *err)
{
    static const char *const words[] = { "warm", "the quick brown fox jumps over the lazy dog" };
    struct embed__hf_call call = { .state = HF_TAKEN };
    struct cx_str texts[CX_ARRAY_LEN(words)];
    struct embed__slice slice = { .provider = e, .kind = CX_EMBED_QUERY };
    call.base.embedder = &e->base;
    call.base.texts = texts;
    call.base.count = CX_ARRAY_LEN(words);
    call.base.result.vectors = cx_alloc(CX_ARRAY_LEN(words) * e->base.dimension * sizeof(float));
    call.base.result.cut = cx_alloc(CX_ARRAY_LEN(words) * sizeof(bool));
    for (size_t i = 0; i < CX_ARRAY_LEN(words); i++) {
        texts[i] = cx_str_of(words[i]);
        slice.calls[i] = &call;
        slice.indices[i] = i;
    }
    slice.count = CX_ARRAY_LEN(words);
    embed__slice_work(&slice);
    free(call.base.result.vectors);
    free(call.base.result.cut);
    return slice.status == CX_OK
               ? CX_OK
               : cx_err_set(
                     err, CX_INVALID, "%s: a first text could not be embedded: %s", e->base.model,
                     slice.status == CX_INTERNAL ? "the weights give numbers that are not finite"
                                                 : cx_status_text(slice.status));
}

static size_t count_tokens(const struct cx_embedder *base, enum cx_embed_kind kind,
                           const struct cx_str *texts, size_t count)
{
    const struct embed__hf *e = (const struct embed__hf *)base;
    struct embed__bench bench = { .next = NULL };
    cx_buf_init(&bench.prompted, (size_t)1 << 30);
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        bool truncated = false;
        bench.tokens.count = 0;
        if (embed__hf_tokenize(e, kind, texts[i], &bench, &truncated) == CX_OK) {
            total += bench.tokens.count;
        }
    }
    embed__tokens_free(&bench.tokens);
    cx_buf_free(&bench.prompted);
    return total;
}

static void free_huggingface(struct cx_embedder *base)
{
    struct embed__hf *e = (struct embed__hf *)base;
    embed__hf_free_slices(e);
    while (e->benches != NULL) {
        struct embed__bench *bench = e->benches;
        e->benches = bench->next;
        embed__bench_free(bench);
    }
    cx_timer_free(&e->timer);
    embed__encoder_free(&e->encoder);
    embed__model_free(&e->model);
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
}
