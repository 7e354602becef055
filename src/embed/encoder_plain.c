/* SPDX-License-Identifier: MIT
 *
 * float32 in C alone (encoder_plain.h). A product keeps ROWS × LANES sums that the compiler may hold
 * in vector registers.
 */
#include "encoder_plain.h"

#include <math.h>
#include <string.h>

#define ROWS 4
#define WIDTH 8 /* of a panel; divides EMBED__LANES */

static bool runs_here(void);
static size_t packed_bytes(size_t out, size_t in);
static void pack(const float *weight, size_t out, size_t in, void *packed);
static void linear(const struct embed__product *p);

const struct embed__kernel embed__kernel_plain = {
    .name = "plain",
    .precision = EMBED__FLOAT32,
    .runs_here = runs_here,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .linear_bytes = embed__no_bytes,
    .linear = linear,
    .attend_bytes = embed__plain_attend_bytes,
    .attend = embed__plain_attend,
    .add_norm = embed__plain_add_norm,
};

static bool runs_here(void)
{
    return true;
}

static size_t packed_bytes(size_t out, size_t in)
{
    return embed__panels_bytes(out, in, WIDTH);
}

static void pack(const float *weight, size_t out, size_t in, void *packed)
{
    embed__pack_panels(weight, out, in, WIDTH, packed);
}

static void linear(const struct embed__product *p)
{
    const struct embed__matrix *m = p->matrix;
    for (size_t first = 0; first < m->out; first += WIDTH) {
        const float *panel = (const float *)m->packed + first * m->in;
        for (size_t row = 0; row < p->rows; row += ROWS) {
            float sums[ROWS][WIDTH];
            const float *a[ROWS];
            for (size_t i = 0; i < ROWS; i++) {
                /* Beyond the last row the last one is computed again, and not written. */
                const size_t at = row + i < p->rows ? row + i : p->rows - 1;
                a[i] = p->a + at * p->a_stride;
                memcpy(sums[i], m->bias + first, sizeof sums[i]);
            }
            for (size_t k = 0; k < m->in; k++) {
                for (size_t i = 0; i < ROWS; i++) {
                    for (size_t j = 0; j < WIDTH; j++) {
                        sums[i][j] += a[i][k] * panel[k * WIDTH + j];
                    }
                }
            }
            for (size_t i = 0; i < ROWS && row + i < p->rows; i++) {
                embed__plain_after(p->after, sums[i], WIDTH,
                                   p->c + (row + i) * p->c_stride + first);
            }
        }
    }
}

void embed__plain_after(enum embed__after after, const float *in, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++) {
        const float x = in[i];
        switch (after) {
        case EMBED__AS_IT_IS:
            out[i] = x;
            break;
        case EMBED__THEN_GELU:
            out[i] = 0.5F * x * (1.0F + erff(x * 0.70710678F));
            break;
        case EMBED__THEN_GELU_TANH:
            out[i] = 0.5F * x * (1.0F + tanhf(0.79788456F * (x + 0.044715F * x * x * x)));
            break;
        case EMBED__THEN_RELU:
            out[i] = x > 0 ? x : 0;
            break;
        }
    }
}

size_t embed__plain_attend_bytes(size_t length, size_t width)
{
    (void)width;
    return length * sizeof(float);
}

static void soften(float *scores, size_t count)
{
    float most = scores[0];
    for (size_t j = 1; j < count; j++) {
        most = scores[j] > most ? scores[j] : most;
    }
    float sum = 0;
    for (size_t j = 0; j < count; j++) {
        scores[j] = expf(scores[j] - most);
        sum += scores[j];
    }
    for (size_t j = 0; j < count; j++) {
        scores[j] /= sum;
    }
}

void embed__plain_attend(const struct embed__attention *t)
{
    const size_t context = t->heads * t->width;
    float *scores = t->workspace;
    for (size_t at = 0; at < t->heads * t->length; at++) {
        const size_t h = at / t->length;
        const size_t i = at % t->length;
        const float *q = t->qkv + i * t->stride + h * t->width;
        for (size_t j = 0; j < t->length; j++) {
            const float *k = t->qkv + j * t->stride + context + h * t->width;
            float sum = 0;
            for (size_t d = 0; d < t->width; d++) {
                sum += q[d] * k[d];
            }
            scores[j] = t->scale * sum;
            if (t->bias != NULL) {
                scores[j] += t->bias[(ptrdiff_t)(h * t->bias_stride + j) - (ptrdiff_t)i];
            }
        }
        soften(scores, t->length);
        float *out = t->out + i * t->out_stride + h * t->width;
        memset(out, 0, t->width * sizeof *out);
        for (size_t j = 0; j < t->length; j++) {
            const float *v = t->qkv + j * t->stride + 2 * context + h * t->width;
            for (size_t d = 0; d < t->width; d++) {
                out[d] += scores[j] * v[d];
            }
        }
    }
}

void embed__plain_add_norm(const struct embed__residual *r)
{
    for (size_t i = 0; i < r->rows; i++) {
        float *x = r->x + i * r->x_stride;
        const float *y = r->y + i * r->y_stride;
        double mean = 0;
        for (size_t j = 0; j < r->width; j++) {
            x[j] += y[j];
            mean += (double)x[j];
        }
        mean /= (double)r->width;
        double variance = 0;
        for (size_t j = 0; j < r->width; j++) {
            const double d = (double)x[j] - mean;
            variance += d * d;
        }
        const double scale = 1.0 / sqrt(variance / (double)r->width + (double)r->epsilon);
        for (size_t j = 0; j < r->width; j++) {
            const double unit = ((double)x[j] - mean) * scale;
            x[j] = (float)unit * r->weight[j] + r->bias[j];
        }
        memset(x + r->width, 0, (r->padded - r->width) * sizeof *x);
    }
}
