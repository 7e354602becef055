/* SPDX-License-Identifier: MIT
 *
 * Running an encoder (encoder.h): texts are taken in groups that fit the scratch; what is done row by
 * row goes over all tokens of a group, in slices whose intermediate numbers stay in the cache;
 * attention goes text by text. Pooling ends it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "encoder_internal.h"

#define SLICE_ROWS 256

struct embed__scratch {
    size_t tokens;
    size_t bytes;
    float *x;            /* [tokens][hidden] */
    float *qkv;          /* [tokens][3 · context] */
    float *context;      /* [tokens][context] */
    float *sum;          /* [SLICE_ROWS][hidden] */
    float *intermediate; /* [SLICE_ROWS][intermediate] */
    void *workspace;     /* of the kernel */
    void *slab;
};
struct group {
    const struct embed__encoder *e;
    struct embed__scratch *s;
    const int32_t *ids;
    const size_t *offsets; /* count + 1 */
    size_t count;
    size_t tokens;
};

static void run_group(const struct group *g, enum embed__pooling pooling, bool normalize,
                      float *out);
static void begin(const struct group *g);
static void attend(const struct group *g, const struct embed__encoder_layer *layer);
static void feed_forward(const struct group *g, const struct embed__encoder_layer *layer);
static void pool(const float *rows, size_t stride, size_t count, size_t width,
                 enum embed__pooling pooling, float *out);
static void make_length_one(float *vector, size_t width);

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

void embed__scratch_new(const struct embed__encoder *encoder, size_t tokens,
                        struct embed__scratch **out)
{
    const struct embed__encoder *e = encoder;
    struct embed__scratch *s = cx_alloc(sizeof *s);
    s->tokens = larger(tokens, e->tokens_max);
    const size_t line = EMBED__ALIGN / sizeof(float);
    const size_t sizes[] = {
        s->tokens * e->hidden,  s->tokens * 3 * e->context,   s->tokens * e->context,
        SLICE_ROWS * e->hidden, SLICE_ROWS * e->intermediate,
    };
    float **places[] = { &s->x, &s->qkv, &s->context, &s->sum, &s->intermediate };
    const size_t in_max = larger(larger(e->hidden, e->context), e->intermediate);
    const size_t workspace = larger(e->kernel->linear_bytes(SLICE_ROWS, in_max),
                                    e->kernel->attend_bytes(e->tokens_max, e->head));
    size_t floats = 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(sizes); i++) {
        floats += embed__round_up(sizes[i], line);
    }
    s->bytes = floats * sizeof(float) + embed__round_up(workspace, EMBED__ALIGN);
    float *at = embed__encoder_memory(s->bytes);
    s->slab = at;
    for (size_t i = 0; i < CX_ARRAY_LEN(sizes); i++) {
        *places[i] = at;
        at += embed__round_up(sizes[i], line);
    }
    s->workspace = at;
    *out = s;
}

void embed__scratch_free(struct embed__scratch **scratch)
{
    if (*scratch != NULL) {
        free((*scratch)->slab);
        free(*scratch);
        *scratch = NULL;
    }
}

size_t embed__scratch_bytes(const struct embed__scratch *scratch)
{
    return scratch->bytes + sizeof *scratch;
}

void embed__encoder_run(const struct embed__encoder *encoder, struct embed__scratch *scratch,
                        const int32_t *ids, const size_t *offsets, size_t count,
                        enum embed__pooling pooling, bool normalize, float *out)
{
    for (size_t first = 0; first < count;) {
        struct group g = { .e = encoder, .s = scratch, .ids = ids, .offsets = offsets + first };
        while (first + g.count < count) {
            const size_t *text = g.offsets + g.count;
            CX_CHECK(text[1] >= text[0] && text[1] - text[0] <= encoder->tokens_max);
            if (g.tokens + text[1] - text[0] > scratch->tokens) {
                break;
            }
            g.tokens += text[1] - text[0];
            g.count++;
        }
        run_group(&g, pooling, normalize, out + first * encoder->shape.hidden);
        first += g.count;
    }
}

static void run_group(const struct group *g, enum embed__pooling pooling, bool normalize,
                      float *out)
{
    const struct embed__encoder *e = g->e;
    begin(g);
    for (size_t i = 0; i < e->shape.layers; i++) {
        attend(g, &e->layers[i]);
        feed_forward(g, &e->layers[i]);
    }
    for (size_t i = 0; i < g->count; i++) {
        float *vector = out + i * e->shape.hidden;
        const float *rows = g->s->x + (g->offsets[i] - g->offsets[0]) * e->hidden;
        pool(rows, e->hidden, g->offsets[i + 1] - g->offsets[i], e->shape.hidden, pooling, vector);
        if (normalize) {
            make_length_one(vector, e->shape.hidden);
        }
    }
}

static void normalize_sum(const struct embed__encoder *e, const struct embed__encoder_norm *norm,
                          float *x, const float *y, size_t rows)
{
    e->kernel->add_norm(&(struct embed__residual){ .x = x,
                                                   .x_stride = e->hidden,
                                                   .y = y,
                                                   .y_stride = e->hidden,
                                                   .rows = rows,
                                                   .width = e->shape.hidden,
                                                   .padded = e->hidden,
                                                   .weight = norm->weight,
                                                   .bias = norm->bias,
                                                   .epsilon = e->shape.layer_norm_eps });
}

/* Word, position and token type. */
static void begin(const struct group *g)
{
    const struct embed__encoder *e = g->e;
    float *x = g->s->x;
    for (size_t i = 0; i < g->count; i++) {
        const size_t length = g->offsets[i + 1] - g->offsets[i];
        for (size_t j = 0; j < length; j++) {
            const int32_t id = g->ids[g->offsets[i] + j];
            CX_CHECK(id >= 0 && (size_t)id < e->shape.vocabulary);
            memcpy(x + j * e->hidden, e->word + (size_t)id * e->hidden, e->hidden * sizeof *x);
        }
        normalize_sum(e, &e->norm, x, e->position, length);
        x += length * e->hidden;
    }
}

static void multiply(const struct group *g, const struct embed__matrix *matrix,
                     enum embed__after after, size_t rows, const float *a, float *c)
{
    cx_give_way();
    g->e->kernel->linear(&(struct embed__product){ .matrix = matrix,
                                                   .after = after,
                                                   .rows = rows,
                                                   .a = a,
                                                   .a_stride = matrix->in,
                                                   .c = c,
                                                   .c_stride = matrix->out,
                                                   .workspace = g->s->workspace });
}

static void attend(const struct group *g, const struct embed__encoder_layer *layer)
{
    const struct embed__encoder *e = g->e;
    struct embed__scratch *s = g->s;
    for (size_t row = 0; row < g->tokens; row += SLICE_ROWS) {
        const size_t rows = g->tokens - row < SLICE_ROWS ? g->tokens - row : SLICE_ROWS;
        multiply(g, &layer->qkv, EMBED__AS_IT_IS, rows, s->x + row * e->hidden,
                 s->qkv + row * 3 * e->context);
    }
    const size_t head = e->shape.hidden / e->shape.heads;
    struct embed__attention attention = {
        .stride = 3 * e->context,
        .heads = e->shape.heads,
        .width = e->head,
        .scale = 1.0F / sqrtf((float)head),
        .bias = e->relative == NULL ? NULL : e->relative + e->tokens_max - 1,
        .bias_stride = 2 * e->tokens_max - 1,
        .out_stride = e->context,
        .workspace = s->workspace,
    };
    for (size_t i = 0; i < g->count; i++) {
        const size_t row = g->offsets[i] - g->offsets[0];
        attention.qkv = s->qkv + row * attention.stride;
        attention.length = g->offsets[i + 1] - g->offsets[i];
        attention.out = s->context + row * e->context;
        if (attention.length > 0) {
            cx_give_way();
            e->kernel->attend(&attention);
        }
    }
}

/* From the heads' results to the end of the layer. */
static void feed_forward(const struct group *g, const struct embed__encoder_layer *layer)
{
    const struct embed__encoder *e = g->e;
    struct embed__scratch *s = g->s;
    for (size_t row = 0; row < g->tokens; row += SLICE_ROWS) {
        const size_t rows = g->tokens - row < SLICE_ROWS ? g->tokens - row : SLICE_ROWS;
        float *x = s->x + row * e->hidden;
        multiply(g, &layer->attention, EMBED__AS_IT_IS, rows, s->context + row * e->context,
                 s->sum);
        normalize_sum(e, &layer->attention_norm, x, s->sum, rows);
        multiply(g, &layer->intermediate, e->after, rows, x, s->intermediate);
        multiply(g, &layer->output, EMBED__AS_IT_IS, rows, s->intermediate, s->sum);
        normalize_sum(e, &layer->output_norm, x, s->sum, rows);
    }
}

static void pool(const float *rows, size_t stride, size_t count, size_t width,
                 enum embed__pooling pooling, float *out)
{
    if (count == 0) {
        memset(out, 0, width * sizeof *out);
        return;
    }
    memcpy(out, rows, width * sizeof *out);
    for (size_t i = 1; pooling != EMBED__CLS && i < count; i++) {
        const float *row = rows + i * stride;
        for (size_t j = 0; j < width; j++) {
            const float best = row[j] > out[j] ? row[j] : out[j];
            out[j] = pooling == EMBED__MAX ? best : out[j] + row[j];
        }
    }
    for (size_t j = 0; pooling == EMBED__MEAN && j < width; j++) {
        out[j] /= (float)count;
    }
}

static void make_length_one(float *vector, size_t width)
{
    double sum = 0;
    for (size_t i = 0; i < width; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    if (sum > 0) {
        const double scale = 1.0 / sqrt(sum);
        for (size_t i = 0; i < width; i++) {
            vector[i] = (float)((double)vector[i] * scale);
        }
    }
}
