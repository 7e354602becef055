/* SPDX-License-Identifier: MIT
 *
 * encoder_vector: attention and sums with normalization in float32 in terms of one vector type, on top
 * of encoder_products.h, whose tiles it uses. A file that includes it then has attend, attend_bytes and
 * add_norm as static functions.
 */
#ifndef CORTEX_EMBED_ENCODER_VECTOR_H
#define CORTEX_EMBED_ENCODER_VECTOR_H

#include <math.h>
#include <string.h>

#include "encoder_products.h"

/* ---- Attention -------------------------------------------------------------------------------
 * Head by head: keys are turned into panels and values copied together, then each tile of queries
 * goes through scores, softmax and values without leaving the cache.
 */
struct attention_space {
    float *keys;   /* panels of PANEL keys, [width][PANEL]; the last is as narrow as can be */
    float *values; /* [length][width] */
    float *scores; /* [ROWS][padded] */
    size_t padded; /* keys, rounded up to vectors */
};

static size_t attend_bytes(size_t length, size_t width)
{
    const size_t padded = embed__round_up(length, LANES);
    return (padded * width + length * width + ROWS * padded) * sizeof(float) + 3 * EMBED__ALIGN;
}

static struct attention_space divide_attention(const struct embed__attention *t)
{
    struct attention_space s = { .keys = t->workspace,
                                 .padded = embed__round_up(t->length, LANES) };
    s.values = s.keys + embed__round_up(s.padded * t->width, EMBED__LANES);
    s.scores = s.values + embed__round_up(t->length * t->width, EMBED__LANES);
    return s;
}

static size_t panel_width(const struct attention_space *s, size_t first)
{
    return s->padded - first < PANEL ? s->padded - first : PANEL;
}

static void gather_head(const struct embed__attention *t, const struct attention_space *s, size_t h)
{
    const float *k = t->qkv + (t->heads + h) * t->width;
    const float *v = t->qkv + (2 * t->heads + h) * t->width;
    for (size_t first = 0; first < s->padded; first += PANEL) {
        const size_t wide = panel_width(s, first);
        float *panel = s->keys + first * t->width;
        for (size_t j = 0; j < wide; j++) {
            const float *key = k + (first + j) * t->stride;
            for (size_t d = 0; d < t->width; d++) {
                panel[d * wide + j] = first + j < t->length ? key[d] : 0;
            }
        }
    }
    for (size_t j = 0; j < t->length; j++) {
        memcpy(s->values + j * t->width, v + j * t->stride, t->width * sizeof *v);
    }
}

/* scores = 2^((scores − most) · factor), their sum is returned; padding becomes 0. */
TARGET static float soften(float *scores, size_t length, size_t padded, float factor)
{
    for (size_t j = length; j < padded; j++) {
        scores[j] = -INFINITY;
    }
    vec most = v_load(scores);
    for (size_t j = LANES; j < padded; j += LANES) {
        most = v_max(most, v_load(scores + j));
    }
    const vec by = v_set(factor);
    const vec shift = v_set(-v_most(most) * factor);
    vec sum = v_zero();
    for (size_t j = 0; j < padded; j += LANES) {
        const vec power = v_exp2(v_fma(v_load(scores + j), by, shift));
        v_store(scores + j, power);
        sum = v_add(sum, power);
    }
    return v_sum(sum);
}

TARGET static void scale_row(float *row, size_t width, float by)
{
    for (size_t d = 0; d < width; d += LANES) {
        v_store(row + d, v_mul(v_load(row + d), v_set(by)));
    }
}

static void attend_tile(const struct embed__attention *t, const struct attention_space *s, size_t h,
                        size_t row, size_t rows)
{
    static const float ZEROS[PANEL] __attribute__((aligned(EMBED__ALIGN)));
    struct tile scores = { .a = t->qkv + row * t->stride + h * t->width,
                           .a_stride = t->stride,
                           .depth = t->width,
                           .c_stride = s->padded,
                           .start = ZEROS };
    for (size_t first = 0; first < s->padded; first += PANEL) {
        scores.b_stride = panel_width(s, first);
        scores.b = s->keys + first * t->width;
        scores.c = s->scores + first;
        run_tile(rows, scores.b_stride / LANES, &scores);
    }
    float sums[ROWS];
    for (size_t i = 0; i < rows; i++) {
        float *line = s->scores + i * s->padded;
        float factor = t->scale * LOG2_E;
        if (t->bias != NULL) {
            const float *bias = t->bias + h * t->bias_stride - row - i;
            for (size_t j = 0; j < t->length; j++) {
                line[j] = line[j] * t->scale + bias[j];
            }
            factor = LOG2_E;
        }
        sums[i] = soften(line, t->length, s->padded, factor);
    }
    struct tile mix = { .a = s->scores,
                        .a_stride = s->padded,
                        .b_stride = t->width,
                        .depth = t->length,
                        .c_stride = t->out_stride,
                        .start = ZEROS };
    float *out = t->out + row * t->out_stride + h * t->width;
    for (size_t first = 0; first < t->width; first += PANEL) {
        const size_t wide = t->width - first < PANEL ? t->width - first : PANEL;
        mix.b = s->values + first;
        mix.c = out + first;
        run_tile(rows, wide / LANES, &mix);
    }
    for (size_t i = 0; i < rows; i++) {
        scale_row(out + i * t->out_stride, t->width, 1.0F / sums[i]);
    }
}

static void attend(const struct embed__attention *t)
{
    const struct attention_space s = divide_attention(t);
    const size_t height = embed__tile_height(t->length, ROWS);
    for (size_t h = 0; h < t->heads; h++) {
        gather_head(t, &s, h);
        for (size_t row = 0; row < t->length; row += height) {
            attend_tile(t, &s, h, row, t->length - row < height ? t->length - row : height);
        }
    }
}

/* ---- Sums with normalization ----------------------------------------------------------------- */

TARGET static void add_norm(const struct embed__residual *r)
{
    /* 1 where the last vectors have numbers, 0 where they are padding */
    float mask[EMBED__LANES] __attribute__((aligned(EMBED__ALIGN)));
    const size_t ragged = r->padded - EMBED__LANES;
    for (size_t j = 0; j < EMBED__LANES; j++) {
        mask[j] = ragged + j < r->width ? 1 : 0;
    }
    const float share = 1.0F / (float)r->width;
    for (size_t i = 0; i < r->rows; i++) {
        float *x = r->x + i * r->x_stride;
        const float *y = r->y + i * r->y_stride;
        vec sum = v_zero();
        for (size_t j = 0; j < r->padded; j += LANES) {
            const vec both = v_add(v_load(x + j), v_load(y + j));
            v_store(x + j, both);
            sum = v_add(sum, both);
        }
        const vec mean = v_set(v_sum(sum) * share);
        vec squares = v_zero();
        for (size_t j = 0; j < ragged; j += LANES) {
            const vec d = v_sub(v_load(x + j), mean);
            squares = v_fma(d, d, squares);
        }
        for (size_t j = 0; j < EMBED__LANES; j += LANES) {
            const vec d = v_mul(v_sub(v_load(x + ragged + j), mean), v_load(mask + j));
            squares = v_fma(d, d, squares);
        }
        const vec scale = v_set(1.0F / sqrtf(v_sum(squares) * share + r->epsilon));
        for (size_t j = 0; j < r->padded; j += LANES) {
            const vec unit = v_mul(v_sub(v_load(x + j), mean), scale);
            v_store(x + j, v_fma(unit, v_load(r->weight + j), v_load(r->bias + j)));
        }
    }
}

#endif
