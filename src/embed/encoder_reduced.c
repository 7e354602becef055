/* SPDX-License-Identifier: MIT
 *
 * Rounding (encoder_reduced.h), and the plain kernels of reduced precision: slow, for processors that
 * have no better and for comparison.
 */
#include "encoder_reduced.h"

#include <math.h>
#include <string.h>

#include "encoder_plain.h"

#define WIDTH 8 /* of a panel; divides EMBED__LANES */

static bool runs_here(void);
static size_t bfloat16_packed_bytes(size_t out, size_t in);
static void bfloat16_pack(const float *weight, size_t out, size_t in, void *packed);
static size_t bfloat16_linear_bytes(size_t rows, size_t in);
static void bfloat16_linear(const struct embed__product *p);
static size_t int8_packed_bytes(size_t out, size_t in);
static void int8_pack(const float *weight, size_t out, size_t in, void *packed);
static size_t int8_linear_bytes(size_t rows, size_t in);
static void int8_linear(const struct embed__product *p);

const struct embed__kernel embed__kernel_plain_bfloat16 = {
    .name = "plain",
    .precision = EMBED__BFLOAT16,
    .runs_here = runs_here,
    .packed_bytes = bfloat16_packed_bytes,
    .pack = bfloat16_pack,
    .linear_bytes = bfloat16_linear_bytes,
    .linear = bfloat16_linear,
    .attend_bytes = embed__plain_attend_bytes,
    .attend = embed__plain_attend,
    .add_norm = embed__plain_add_norm,
};
const struct embed__kernel embed__kernel_plain_int8 = {
    .name = "plain",
    .precision = EMBED__INT8,
    .runs_here = runs_here,
    .packed_bytes = int8_packed_bytes,
    .pack = int8_pack,
    .linear_bytes = int8_linear_bytes,
    .linear = int8_linear,
    .attend_bytes = embed__plain_attend_bytes,
    .attend = embed__plain_attend,
    .add_norm = embed__plain_add_norm,
};

uint16_t embed__bfloat16_of(float x)
{
    uint32_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {
        return (uint16_t)((bits >> 16) | 0x40U);
    }
    bits += 0x7FFFU + ((bits >> 16) & 1U);
    return (uint16_t)(bits >> 16);
}

float embed__float_of(uint16_t bfloat16)
{
    const uint32_t bits = (uint32_t)bfloat16 << 16;
    float x = 0;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* most / (the largest of x), or 0 where there is nothing that can be scaled. */
static float factor_of(const float *x, size_t count, float most)
{
    float largest = 0;
    for (size_t i = 0; i < count; i++) {
        const float size = fabsf(x[i]);
        largest = size > largest && isfinite(size) ? size : largest;
    }
    const float factor = largest > 0 ? most / largest : 0;
    return isfinite(factor) ? factor : 0;
}

float embed__int8_row(const float *x, size_t count, int8_t *numbers)
{
    const float factor = factor_of(x, count, (float)EMBED__INT8_MOST);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = isfinite(x[i]) ? (int8_t)lrintf(x[i] * factor) : 0;
    }
    return factor > 0 ? 1.0F / factor : 0;
}

float embed__int16_row(const float *x, size_t count, int16_t *numbers)
{
    const float factor = factor_of(x, count, (float)EMBED__INT16_MOST);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = isfinite(x[i]) ? (int16_t)lrintf(x[i] * factor) : 0;
    }
    return factor > 0 ? 1.0F / factor : 0;
}

static bool runs_here(void)
{
    return true;
}

/* ---- bfloat16 -------------------------------------------------------------------------------- */

static size_t bfloat16_packed_bytes(size_t out, size_t in)
{
    return embed__panels_bytes(out, in, WIDTH) / sizeof(float) * sizeof(uint16_t);
}

static void bfloat16_pack(const float *weight, size_t out, size_t in, void *packed)
{
    uint16_t *panels = packed;
    for (size_t first = 0; first < out; first += WIDTH) {
        for (size_t k = 0; k < in; k++) {
            for (size_t j = 0; j < WIDTH; j++) {
                *panels++ = embed__bfloat16_of(weight[(first + j) * in + k]);
            }
        }
    }
}

static size_t bfloat16_linear_bytes(size_t rows, size_t in)
{
    return rows * in * sizeof(float);
}

static void bfloat16_linear(const struct embed__product *p)
{
    const struct embed__matrix *m = p->matrix;
    float *rounded = p->workspace;
    for (size_t i = 0; i < p->rows; i++) {
        for (size_t k = 0; k < m->in; k++) {
            rounded[i * m->in + k] = embed__float_of(embed__bfloat16_of(p->a[i * p->a_stride + k]));
        }
    }
    for (size_t first = 0; first < m->out; first += WIDTH) {
        const uint16_t *panel = (const uint16_t *)m->packed + first * m->in;
        for (size_t i = 0; i < p->rows; i++) {
            float sums[WIDTH];
            memcpy(sums, m->bias + first, sizeof sums);
            for (size_t k = 0; k < m->in; k++) {
                for (size_t j = 0; j < WIDTH; j++) {
                    sums[j] += rounded[i * m->in + k] * embed__float_of(panel[k * WIDTH + j]);
                }
            }
            embed__plain_after(p->after, sums, WIDTH, p->c + i * p->c_stride + first);
        }
    }
}

/* ---- int8 ------------------------------------------------------------------------------------
 * Packed: `out` scales, then the rows.
 */
static size_t int8_packed_bytes(size_t out, size_t in)
{
    return out * sizeof(float) + out * in;
}

static void int8_pack(const float *weight, size_t out, size_t in, void *packed)
{
    float *scales = packed;
    int8_t *rows = (int8_t *)(scales + out);
    for (size_t j = 0; j < out; j++) {
        scales[j] = embed__int8_row(weight + j * in, in, rows + j * in);
    }
}

static size_t int8_linear_bytes(size_t rows, size_t in)
{
    (void)rows;
    return in * sizeof(int16_t);
}

static void int8_linear(const struct embed__product *p)
{
    const struct embed__matrix *m = p->matrix;
    const float *scales = m->packed;
    const int8_t *weights = (const int8_t *)(scales + m->out);
    int16_t *a = p->workspace;
    for (size_t i = 0; i < p->rows; i++) {
        const float scale = embed__int16_row(p->a + i * p->a_stride, m->in, a);
        float *c = p->c + i * p->c_stride;
        for (size_t j = 0; j < m->out; j++) {
            int64_t sum = 0;
            for (size_t k = 0; k < m->in; k++) {
                sum += a[k] * weights[j * m->in + k];
            }
            c[j] = (float)sum * (scale * scales[j]) + m->bias[j];
        }
        embed__plain_after(p->after, c, m->out, c);
    }
}
