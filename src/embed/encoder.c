/* SPDX-License-Identifier: MIT
 *
 * Making an encoder (encoder.h): judging the shape, choosing the kernel, packing. All weights lie in
 * one slab, laid out in a first pass and filled in a second. Heads, hidden and intermediate widths
 * are padded with zeros to whole vectors, which changes no result: padded numbers stay 0 through
 * every step.
 */
#include "encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "encoder_internal.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define MPNET_FIRST_POSITION 2
#define MPNET_BUCKETS 32
#define MPNET_DISTANCE_MAX 128

struct slab {
    char *base; /* NULL while the layout is only measured */
    size_t used;
};

static enum cx_status judge(const struct embed__bert_shape *shape, struct cx_err *err);
static const struct embed__kernel *find_kernel(enum embed__precision precision, const char *name);
static enum cx_status no_kernel(enum embed__precision precision, const char *name,
                                struct cx_err *err);
static void lay_out(struct embed__encoder *e, struct slab *slab);
static void fill(struct embed__encoder *e, const struct embed__bert_weights *weights);

enum cx_status embed__encoder_new(const struct embed__bert_shape *shape,
                                  const struct embed__bert_weights *weights,
                                  enum embed__precision precision, const char *kernel,
                                  struct embed__encoder **out, struct cx_err *err)
{
    const enum cx_status status = judge(shape, err);
    if (status != CX_OK) {
        return status;
    }
    const struct embed__kernel *chosen = find_kernel(precision, kernel);
    if (chosen == NULL) {
        return no_kernel(precision, kernel, err);
    }
    static const enum embed__after AFTER[] = {
        [EMBED__GELU] = EMBED__THEN_GELU,
        [EMBED__GELU_TANH] = EMBED__THEN_GELU_TANH,
        [EMBED__RELU] = EMBED__THEN_RELU,
    };
    const bool mpnet = shape->family == EMBED__MPNET;
    struct embed__encoder *e = cx_alloc(sizeof *e);
    e->shape = *shape;
    e->kernel = chosen;
    e->after = AFTER[shape->activation];
    e->hidden = embed__round_up(shape->hidden, EMBED__LANES);
    e->head = embed__round_up(shape->hidden / shape->heads, EMBED__LANES);
    e->context = shape->heads * e->head;
    e->intermediate = embed__round_up(shape->intermediate, EMBED__LANES);
    e->tokens_max = shape->positions - (mpnet ? MPNET_FIRST_POSITION : 0);
    e->layers = cx_alloc(shape->layers * sizeof *e->layers);
    struct slab slab = { NULL, 0 };
    lay_out(e, &slab);
    e->slab_bytes = slab.used;
    e->slab = embed__encoder_memory(slab.used);
    slab = (struct slab){ e->slab, 0 };
    lay_out(e, &slab);
    fill(e, weights);
    *out = e;
    return CX_OK;
}

void embed__encoder_free(struct embed__encoder **encoder)
{
    if (*encoder != NULL) {
        free((*encoder)->slab);
        free((*encoder)->layers);
        free(*encoder);
        *encoder = NULL;
    }
}

const char *embed__encoder_kernel(const struct embed__encoder *encoder)
{
    return encoder->kernel->name;
}

enum embed__precision embed__encoder_precision(const struct embed__encoder *encoder)
{
    return encoder->kernel->precision;
}

size_t embed__encoder_dimension(const struct embed__encoder *encoder)
{
    return encoder->shape.hidden;
}

size_t embed__encoder_bytes(const struct embed__encoder *encoder)
{
    return encoder->slab_bytes + encoder->shape.layers * sizeof *encoder->layers + sizeof *encoder;
}

size_t embed__encoder_tokens_max(const struct embed__encoder *encoder)
{
    return encoder->tokens_max;
}

size_t embed__encoder_kernels(enum embed__precision precision,
                              const char *out[EMBED__ENCODER_KERNELS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < embed__kernels_count && n < EMBED__ENCODER_KERNELS_MAX; i++) {
        if (embed__kernels[i]->precision == precision && embed__kernels[i]->runs_here()) {
            out[n++] = embed__kernels[i]->name;
        }
    }
    return n;
}

static bool within(size_t value, size_t max)
{
    return value >= 1 && value <= max;
}

static enum cx_status judge(const struct embed__bert_shape *shape, struct cx_err *err)
{
    const bool mpnet = shape->family == EMBED__MPNET;
    if (!within(shape->layers, EMBED__LAYERS_MAX) || !within(shape->hidden, EMBED__HIDDEN_MAX) ||
        !within(shape->intermediate, EMBED__INTERMEDIATE_MAX) ||
        !within(shape->positions, EMBED__POSITIONS_MAX) ||
        !within(shape->vocabulary, EMBED__VOCABULARY_MAX)) {
        return cx_err_set(err, CX_INVALID,
                          "The model's shape is out of range: %zu layers, hidden %zu, "
                          "intermediate %zu, %zu positions, vocabulary %zu",
                          shape->layers, shape->hidden, shape->intermediate, shape->positions,
                          shape->vocabulary);
    }
    if (!within(shape->heads, shape->hidden) || shape->hidden % shape->heads != 0) {
        return cx_err_set(err, CX_INVALID, "%zu heads do not divide a hidden size of %zu",
                          shape->heads, shape->hidden);
    }
    if (mpnet && shape->positions <= MPNET_FIRST_POSITION) {
        return cx_err_set(err, CX_INVALID, "%zu positions leave none for text", shape->positions);
    }
    if (!mpnet && shape->token_types < 1) {
        return cx_err_set(err, CX_INVALID, "The model has no token type embeddings");
    }
    if (!isfinite(shape->layer_norm_eps) || shape->layer_norm_eps < 0) {
        return cx_err_set(err, CX_INVALID, "layer_norm_eps is no number that can be");
    }
    return CX_OK;
}

static const struct embed__kernel *find_kernel(enum embed__precision precision, const char *name)
{
    for (size_t i = 0; i < embed__kernels_count; i++) {
        const struct embed__kernel *k = embed__kernels[i];
        if (k->precision == precision && (name == NULL || strcmp(k->name, name) == 0) &&
            k->runs_here()) {
            return k;
        }
    }
    return NULL;
}

static enum cx_status no_kernel(enum embed__precision precision, const char *name,
                                struct cx_err *err)
{
    static const char *const PRECISIONS[] = {
        [EMBED__FLOAT32] = "float32",
        [EMBED__BFLOAT16] = "bfloat16",
        [EMBED__INT8] = "int8",
    };
    if (name == NULL) {
        return cx_err_set(err, CX_NOT_CONFIGURED, "There is no %s kernel for this processor",
                          PRECISIONS[precision]);
    }
    return cx_err_set(err, CX_NOT_CONFIGURED, "There is no %s kernel \"%s\" for this processor",
                      PRECISIONS[precision], name);
}

/* ---- Layout ---------------------------------------------------------------------------------- */

static void *take(struct slab *slab, size_t bytes)
{
    char *at = slab->base == NULL ? NULL : slab->base + slab->used;
    slab->used += embed__round_up(bytes, EMBED__ALIGN);
    return at;
}

static float *take_floats(struct slab *slab, size_t count)
{
    return take(slab, count * sizeof(float));
}

static struct embed__encoder_norm take_norm(struct slab *slab, size_t width)
{
    struct embed__encoder_norm norm = { take_floats(slab, width), NULL };
    norm.bias = take_floats(slab, width);
    return norm;
}

static struct embed__matrix take_matrix(const struct embed__encoder *e, struct slab *slab,
                                        size_t out, size_t in)
{
    struct embed__matrix m = { .out = out, .in = in };
    m.packed = take(slab, e->kernel->packed_bytes(out, in));
    m.bias = take_floats(slab, out);
    return m;
}

static void lay_out(struct embed__encoder *e, struct slab *slab)
{
    e->word = take_floats(slab, e->shape.vocabulary * e->hidden);
    e->position = take_floats(slab, e->tokens_max * e->hidden);
    e->norm = take_norm(slab, e->hidden);
    e->relative = e->shape.family == EMBED__MPNET
                      ? take_floats(slab, e->shape.heads * (2 * e->tokens_max - 1))
                      : NULL;
    for (size_t i = 0; i < e->shape.layers; i++) {
        struct embed__encoder_layer *layer = &e->layers[i];
        layer->qkv = take_matrix(e, slab, 3 * e->context, e->hidden);
        layer->attention = take_matrix(e, slab, e->hidden, e->context);
        layer->attention_norm = take_norm(slab, e->hidden);
        layer->intermediate = take_matrix(e, slab, e->intermediate, e->hidden);
        layer->output = take_matrix(e, slab, e->hidden, e->intermediate);
        layer->output_norm = take_norm(slab, e->hidden);
    }
}

void *embed__encoder_memory(size_t bytes)
{
    const size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : EMBED__ALIGN;
    const size_t size = embed__round_up(bytes > 0 ? bytes : 1, align);
    void *memory = aligned_alloc(align, size);
    CX_CHECK(memory != NULL);
    if (align == HUGE_PAGE) {
        (void)madvise(memory, size, MADV_HUGEPAGE); /* a wish */
    }
    return memory;
}

/* ---- Filling --------------------------------------------------------------------------------- */

/* Rows of `width` floats into rows of `padded`. */
static void copy_rows(float *to, size_t padded, const float *from, size_t width, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        memcpy(to + i * padded, from + i * width, width * sizeof *to);
        memset(to + i * padded + width, 0, (padded - width) * sizeof *to);
    }
}

static void fill_norm(const struct embed__encoder *e, const struct embed__encoder_norm *to,
                      const struct embed__norm *from)
{
    copy_rows(to->weight, e->hidden, from->weight, e->shape.hidden, 1);
    copy_rows(to->bias, e->hidden, from->bias, e->shape.hidden, 1);
}

static void fill_matrix(const struct embed__encoder *e, const struct embed__matrix *to,
                        const struct embed__linear *from, size_t out, size_t in, float *padded)
{
    memset(padded, 0, to->out * to->in * sizeof *padded);
    copy_rows(padded, to->in, from->weight, in, out);
    e->kernel->pack(padded, to->out, to->in, to->packed);
    copy_rows(to->bias, to->out, from->bias, out, 1);
}

static void fill_qkv(const struct embed__encoder *e, const struct embed__matrix *to,
                     const struct embed__bert_layer *layer, float *padded)
{
    const struct embed__linear *from[] = { &layer->query, &layer->key, &layer->value };
    const size_t head = e->shape.hidden / e->shape.heads;
    memset(padded, 0, to->out * to->in * sizeof *padded);
    for (size_t i = 0; i < 3; i++) {
        for (size_t h = 0; h < e->shape.heads; h++) {
            const size_t row = i * e->context + h * e->head;
            copy_rows(padded + row * e->hidden, e->hidden,
                      from[i]->weight + h * head * e->shape.hidden, e->shape.hidden, head);
            copy_rows(to->bias + row, e->head, from[i]->bias + h * head, head, 1);
        }
    }
    e->kernel->pack(padded, to->out, to->in, to->packed);
}

/* Its columns are the numbers of the heads, each padded. */
static void fill_attention(const struct embed__encoder *e, const struct embed__matrix *to,
                           const struct embed__linear *from, float *padded)
{
    const size_t hidden = e->shape.hidden;
    const size_t head = hidden / e->shape.heads;
    memset(padded, 0, to->out * to->in * sizeof *padded);
    for (size_t i = 0; i < hidden; i++) {
        copy_rows(padded + i * e->context, e->head, from->weight + i * hidden, head,
                  e->shape.heads);
    }
    e->kernel->pack(padded, to->out, to->in, to->packed);
    copy_rows(to->bias, to->out, from->bias, hidden, 1);
}

/* Raffel et al., "Exploring the Limits of Transfer Learning", 2020: half of the buckets for each
 * direction; of these half for exact distances, the rest logarithmic. */
static size_t bucket_of(ptrdiff_t key_minus_query)
{
    const size_t half = MPNET_BUCKETS / 2;
    const size_t exact = half / 2;
    const size_t side = key_minus_query > 0 ? half : 0;
    const size_t distance = (size_t)(key_minus_query > 0 ? key_minus_query : -key_minus_query);
    if (distance < exact) {
        return side + distance;
    }
    const float far = logf((float)distance / (float)exact) /
                      logf((float)MPNET_DISTANCE_MAX / (float)exact) * (float)(half - exact);
    const size_t bucket = exact + (size_t)far;
    return side + (bucket < half ? bucket : half - 1);
}

static void fill_relative(struct embed__encoder *e, const float *bias)
{
    const size_t span = 2 * e->tokens_max - 1;
    for (size_t h = 0; h < e->shape.heads; h++) {
        for (size_t i = 0; i < span; i++) {
            const size_t bucket = bucket_of((ptrdiff_t)i - (ptrdiff_t)(e->tokens_max - 1));
            e->relative[h * span + i] = bias[bucket * e->shape.heads + h];
        }
    }
}

static void fill(struct embed__encoder *e, const struct embed__bert_weights *weights)
{
    const struct embed__bert_shape *shape = &e->shape;
    const bool mpnet = shape->family == EMBED__MPNET;
    const size_t first = mpnet ? MPNET_FIRST_POSITION : 0;
    copy_rows(e->word, e->hidden, weights->word, shape->hidden, shape->vocabulary);
    copy_rows(e->position, e->hidden, weights->position + first * shape->hidden, shape->hidden,
              e->tokens_max);
    for (size_t i = 0; !mpnet && i < e->tokens_max * e->hidden; i++) {
        const size_t column = i % e->hidden;
        e->position[i] += column < shape->hidden ? weights->token_type[column] : 0;
    }
    fill_norm(e, &e->norm, &weights->norm);
    if (e->relative != NULL) {
        fill_relative(e, weights->relative_bias);
    }
    const size_t largest =
        e->hidden * (3 * e->context > e->intermediate ? 3 * e->context : e->intermediate);
    float *padded = embed__encoder_memory(largest * sizeof *padded);
    for (size_t i = 0; i < shape->layers; i++) {
        const struct embed__encoder_layer *to = &e->layers[i];
        const struct embed__bert_layer *from = &weights->layers[i];
        fill_qkv(e, &to->qkv, from, padded);
        fill_attention(e, &to->attention, &from->attention, padded);
        fill_norm(e, &to->attention_norm, &from->attention_norm);
        fill_matrix(e, &to->intermediate, &from->intermediate, shape->intermediate, shape->hidden,
                    padded);
        fill_matrix(e, &to->output, &from->output, shape->hidden, shape->intermediate, padded);
        fill_norm(e, &to->output_norm, &from->output_norm);
    }
    free(padded);
}
