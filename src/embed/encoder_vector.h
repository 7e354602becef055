/* SPDX-License-Identifier: MIT
 *
 * encoder_vector: the float32 kernel in terms of one vector type. A file that includes it has first
 * defined, for its instruction set:
 *
 *   TARGET                        the attribute of every function
 *   vec, LANES                    the type and how many floats it has; LANES divides EMBED__LANES
 *   ROWS, VECS                    sums of a tile: ROWS × VECS of them stay in registers. ROWS ≤ 8,
 *                                 VECS ≤ 3
 *   v_load v_store v_set v_zero v_add v_sub v_mul v_div v_max v_min
 *   v_fma(a, b, c)                a · b + c
 *   v_power(n + WHOLE)            2^n for whole n from −126 to 127, 0 for −127
 *   v_sum v_most                  of all lanes
 *
 * and then has add_norm, attend, attend_bytes, linear and the packing as static functions.
 *
 * Errors, over all arguments: 2^x relative 2e-7; GELU 2e-7 · max(1, |x|).
 */
#ifndef CORTEX_EMBED_ENCODER_VECTOR_H
#define CORTEX_EMBED_ENCODER_VECTOR_H

#include <math.h>
#include <string.h>

#include "encoder_kernel.h"

#define INLINE __attribute__((always_inline)) inline
/* GCC leaves small arrays in memory unless every loop over them is unrolled. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define PANEL (VECS * LANES)
#define DEPTH 384 /* rows of a panel between which a tile's sums are written: a piece stays in L2 */
#define LOG2_E 1.44269504F
#define WHOLE 12582912.0F /* 1.5 · 2^23: what is added to it is rounded to a whole number */

/* One tile: c[rows][vecs · LANES] = start + a · b, where a piece of b has `depth` rows. */
struct tile {
    const float *a;
    size_t a_stride;
    const float *b;
    size_t b_stride;
    size_t depth;
    float *c;
    size_t c_stride;
    const float *start; /* the same for all rows, or NULL: what is in c */
};

TARGET static INLINE void multiply_tile(const struct tile *t, const size_t rows, const size_t vecs)
{
    vec sums[ROWS][VECS];
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            sums[i][j] = v_load(t->start != NULL ? t->start + j * LANES
                                                 : t->c + i * t->c_stride + j * LANES);
        }
    }
    const float *a = t->a;
    const float *b = t->b;
    const size_t a_stride = t->a_stride;
    const size_t b_stride = t->b_stride;
    for (size_t k = 0; k < t->depth; k++) {
        vec column[VECS];
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            column[j] = v_load(b + j * LANES);
        }
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const vec x = v_set(a[i * a_stride]);
            UNROLL
            for (size_t j = 0; j < vecs; j++) {
                sums[i][j] = v_fma(x, column[j], sums[i][j]);
            }
        }
        a++;
        b += b_stride;
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            v_store(t->c + i * t->c_stride + j * LANES, sums[i][j]);
        }
    }
}

/* A function for each size, so that the sums are registers. */
#define TILE(rows, vecs)                                                                           \
    TARGET static void tile_##rows##_##vecs(const struct tile *t)                                  \
    {                                                                                              \
        multiply_tile(t, (rows) <= ROWS ? (rows) : ROWS, (vecs) <= VECS ? (vecs) : VECS);          \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3)
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
TILES(7)
TILES(8)
#define TILE_NAMES(rows)                                                                           \
    {                                                                                              \
        tile_##rows##_1, tile_##rows##_2, tile_##rows##_3                                          \
    }
static void (*const TILE_OF[8][3])(const struct tile *) = {
    TILE_NAMES(1), TILE_NAMES(2), TILE_NAMES(3), TILE_NAMES(4),
    TILE_NAMES(5), TILE_NAMES(6), TILE_NAMES(7), TILE_NAMES(8),
};

/* `rows` rows in as few tiles as can be, all of about the same height: a tile of one row would wait
 * for each of its additions. How a row is summed does not depend on its tile. */
static size_t tile_height(size_t rows)
{
    const size_t tiles = (rows + ROWS - 1) / ROWS;
    return (rows + tiles - 1) / tiles;
}

/* All rows through a piece of a panel. t: as for the first tile. */
static void multiply_rows(struct tile t, size_t rows, size_t vecs)
{
    const size_t height = tile_height(rows);
    for (size_t row = 0; row < rows; row += height) {
        const size_t here = rows - row < height ? rows - row : height;
        TILE_OF[here - 1][vecs - 1](&t);
        t.a += here * t.a_stride;
        t.c += here * t.c_stride;
    }
}

/* ---- Functions of single numbers ------------------------------------------------------------- */

/* 2^x for x ≤ 127; 0 from −127 down. */
TARGET static INLINE vec v_exp2(vec x)
{
    x = v_max(x, v_set(-127.0F));
    const vec shifted = v_add(x, v_set(WHOLE));
    const vec f = v_sub(x, v_sub(shifted, v_set(WHOLE)));
    vec p = v_set(0.00132764725F);
    p = v_fma(p, f, v_set(0.00967554189F));
    p = v_fma(p, f, v_set(0.0555071309F));
    p = v_fma(p, f, v_set(0.240221202F));
    p = v_fma(p, f, v_set(0.693146944F));
    p = v_fma(p, f, v_set(1.00000012F));
    return v_mul(p, v_power(shifted));
}

/* x · Φ(x): Φ(x) − 1/2 as x · P(x²) / Q(x²), fitted in the largest error up to 5.6, where it is 1. */
TARGET static INLINE vec v_gelu(vec x)
{
    const vec z = v_min(v_max(x, v_set(-5.6F)), v_set(5.6F));
    const vec t = v_mul(z, z);
    vec p = v_set(1.08023368e-10F);
    p = v_fma(p, t, v_set(-2.19977156e-08F));
    p = v_fma(p, t, v_set(3.36189578e-06F));
    p = v_fma(p, t, v_set(0.00018249196F));
    p = v_fma(p, t, v_set(0.00458770245F));
    p = v_fma(p, t, v_set(0.0371147729F));
    p = v_fma(p, t, v_set(0.398942113F));
    vec q = v_set(6.6256398e-05F);
    q = v_fma(q, t, v_set(0.00190161192F));
    q = v_fma(q, t, v_set(0.0297873095F));
    q = v_fma(q, t, v_set(0.25969705F));
    q = v_fma(q, t, v_set(1.0F));
    return v_mul(x, v_add(v_div(v_mul(z, p), q), v_set(0.5F)));
}

/* x/2 · (1 + tanh u) = x / (1 + e^(−2u)), u = √(2/π) · (x + 0.044715 x³) */
TARGET static INLINE vec v_gelu_tanh(vec x)
{
    const vec u = v_mul(x, v_fma(v_mul(x, x), v_set(0.044715F), v_set(1.0F)));
    const vec power = v_exp2(v_min(v_mul(u, v_set(-2.0F * 0.797884561F * LOG2_E)), v_set(126.0F)));
    return v_div(x, v_add(v_set(1.0F), power));
}

TARGET static void apply_after(enum embed__after after, float *c, size_t c_stride, size_t rows,
                               size_t width)
{
    for (size_t i = 0; i < rows && after != EMBED__AS_IT_IS; i++) {
        float *row = c + i * c_stride;
        for (size_t j = 0; j < width; j += LANES) {
            const vec x = v_load(row + j);
            v_store(row + j, after == EMBED__THEN_GELU        ? v_gelu(x)
                             : after == EMBED__THEN_GELU_TANH ? v_gelu_tanh(x)
                                                              : v_max(x, v_zero()));
        }
    }
}

/* ---- Products -------------------------------------------------------------------------------- */

static size_t packed_bytes(size_t out, size_t in)
{
    return embed__panels_bytes(out, in, PANEL);
}

static void pack(const float *weight, size_t out, size_t in, void *packed)
{
    embed__pack_panels(weight, out, in, PANEL, packed);
}

static size_t linear_bytes(size_t rows, size_t in)
{
    (void)rows;
    (void)in;
    return 0;
}

static void linear(const struct embed__product *p)
{
    const struct embed__matrix *m = p->matrix;
    for (size_t first = 0; first < m->out; first += PANEL) {
        const size_t width = m->out - first < PANEL ? m->out - first : PANEL;
        const float *panel = (const float *)m->packed + first * m->in;
        struct tile t = { .a_stride = p->a_stride,
                          .b_stride = PANEL,
                          .c = p->c + first,
                          .c_stride = p->c_stride,
                          .start = m->bias + first };
        for (size_t k = 0; k < m->in; k += DEPTH) {
            t.a = p->a + k;
            t.b = panel + k * PANEL;
            t.depth = m->in - k < DEPTH ? m->in - k : DEPTH;
            multiply_rows(t, p->rows, width / LANES);
            t.start = NULL;
        }
        apply_after(p->after, p->c + first, p->c_stride, p->rows, width);
    }
}

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

static struct attention_space divide_space(const struct embed__attention *t)
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
        TILE_OF[rows - 1][scores.b_stride / LANES - 1](&scores);
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
        TILE_OF[rows - 1][wide / LANES - 1](&mix);
    }
    for (size_t i = 0; i < rows; i++) {
        scale_row(out + i * t->out_stride, t->width, 1.0F / sums[i]);
    }
}

static void attend(const struct embed__attention *t)
{
    const struct attention_space s = divide_space(t);
    const size_t height = tile_height(t->length);
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
