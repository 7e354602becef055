/* SPDX-License-Identifier: MIT */
#include "encoder_env.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "embed/encoder_kernel.h"

struct draw {
    uint64_t state;
    float *at; /* NULL while only the size is asked for */
    size_t used;
};

uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

float random_normal(uint64_t *state)
{
    double sum = -6;
    for (size_t i = 0; i < 12; i++) {
        sum += (double)(random_next(state) >> 11) / 0x1p53;
    }
    return (float)sum;
}

void random_fill(uint64_t *state, float scale, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = scale * random_normal(state);
    }
}

static const float *take(struct draw *d, size_t count, float scale, float shift)
{
    float *at = d->at == NULL ? NULL : d->at + d->used;
    for (size_t i = 0; at != NULL && i < count; i++) {
        at[i] = shift + scale * random_normal(&d->state);
    }
    d->used += count;
    return at;
}

static struct embed__linear take_linear(struct draw *d, size_t out, size_t in)
{
    struct embed__linear linear = { take(d, out * in, 1.0F / sqrtf((float)in), 0), NULL };
    linear.bias = take(d, out, 0.1F, 0);
    return linear;
}

static struct embed__norm take_norm(struct draw *d, size_t width)
{
    struct embed__norm norm = { take(d, width, 0.1F, 1), NULL };
    norm.bias = take(d, width, 0.1F, 0);
    return norm;
}

static void draw_model(struct model *m, struct draw *d)
{
    const struct embed__bert_shape *s = &m->shape;
    const bool mpnet = s->family == EMBED__MPNET;
    m->weights.word = take(d, s->vocabulary * s->hidden, 0.5F, 0);
    m->weights.position = take(d, s->positions * s->hidden, 0.2F, 0);
    m->weights.token_type = mpnet ? NULL : take(d, s->token_types * s->hidden, 0.1F, 0);
    m->weights.norm = take_norm(d, s->hidden);
    m->weights.relative_bias = mpnet ? take(d, 32 * s->heads, 1, 0) : NULL;
    for (size_t i = 0; i < s->layers; i++) {
        m->layers[i] = (struct embed__bert_layer){
            .query = take_linear(d, s->hidden, s->hidden),
            .key = take_linear(d, s->hidden, s->hidden),
            .value = take_linear(d, s->hidden, s->hidden),
            .attention = take_linear(d, s->hidden, s->hidden),
            .attention_norm = take_norm(d, s->hidden),
            .intermediate = take_linear(d, s->intermediate, s->hidden),
            .output = take_linear(d, s->hidden, s->intermediate),
            .output_norm = take_norm(d, s->hidden),
        };
    }
}

void model_new(const struct embed__bert_shape *shape, uint64_t seed, struct model *out)
{
    *out = (struct model){ .shape = *shape };
    out->layers = cx_alloc(shape->layers * sizeof *out->layers);
    out->weights.layers = out->layers;
    struct draw d = { .state = seed };
    draw_model(out, &d);
    out->slab = malloc(d.used * sizeof *out->slab);
    d = (struct draw){ .state = seed, .at = out->slab };
    draw_model(out, &d);
}

void model_free(struct model *model)
{
    free(model->slab);
    free(model->layers);
    *model = (struct model){ .slab = NULL };
}

/* ---- The reference --------------------------------------------------------------------------- */

double reference_after(int after, double x)
{
    switch (after) {
    case EMBED__THEN_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    case EMBED__THEN_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case EMBED__THEN_RELU:
        return x > 0 ? x : 0;
    default:
        return x;
    }
}

static int after_of(enum embed__activation activation)
{
    switch (activation) {
    case EMBED__GELU:
        return EMBED__THEN_GELU;
    case EMBED__GELU_TANH:
        return EMBED__THEN_GELU_TANH;
    default:
        return EMBED__THEN_RELU;
    }
}

static double *multiply(const double *a, size_t rows, size_t in, const struct embed__linear *w,
                        size_t out)
{
    double *c = malloc(rows * out * sizeof *c);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < out; j++) {
            double sum = (double)w->bias[j];
            for (size_t k = 0; k < in; k++) {
                sum += a[i * in + k] * (double)w->weight[j * in + k];
            }
            c[i * out + j] = sum;
        }
    }
    return c;
}

/* Adds y to x, normalizes, frees y. */
static void normalize_sum(double *x, double *y, size_t rows, size_t width,
                          const struct embed__norm *norm, double epsilon)
{
    for (size_t i = 0; i < rows; i++) {
        double *row = x + i * width;
        double mean = 0;
        double variance = 0;
        for (size_t j = 0; j < width; j++) {
            row[j] += y[i * width + j];
            mean += row[j] / (double)width;
        }
        for (size_t j = 0; j < width; j++) {
            variance += (row[j] - mean) * (row[j] - mean) / (double)width;
        }
        for (size_t j = 0; j < width; j++) {
            row[j] = (row[j] - mean) / sqrt(variance + epsilon) * (double)norm->weight[j] +
                     (double)norm->bias[j];
        }
    }
    free(y);
}

/* From which distance on each of the larger buckets is taken: 8 · 16^(i/8). */
static size_t bucket_of(size_t query, size_t key)
{
    static const size_t FROM[] = { 8, 12, 16, 23, 32, 46, 64, 91 };
    const size_t distance = key > query ? key - query : query - key;
    size_t bucket = distance < 8 ? distance : 8;
    for (size_t i = 1; i < CX_ARRAY_LEN(FROM); i++) {
        bucket += distance >= FROM[i];
    }
    return bucket + (key > query ? 16 : 0);
}

static void attend_row(const struct model *m, const double *const qkv[3], size_t count, size_t h,
                       size_t i, double *out)
{
    const size_t width = m->shape.hidden;
    const size_t head = width / m->shape.heads;
    double *scores = malloc(count * sizeof *scores);
    double most = -INFINITY;
    double sum = 0;
    for (size_t j = 0; j < count; j++) {
        scores[j] = 0;
        for (size_t d = h * head; d < (h + 1) * head; d++) {
            scores[j] += qkv[0][i * width + d] * qkv[1][j * width + d];
        }
        scores[j] /= sqrt((double)head);
        if (m->weights.relative_bias != NULL) {
            scores[j] += (double)m->weights.relative_bias[bucket_of(i, j) * m->shape.heads + h];
        }
        most = fmax(most, scores[j]);
    }
    for (size_t j = 0; j < count; j++) {
        scores[j] = exp(scores[j] - most);
        sum += scores[j];
    }
    for (size_t d = h * head; d < (h + 1) * head; d++) {
        out[d] = 0;
        for (size_t j = 0; j < count; j++) {
            out[d] += scores[j] / sum * qkv[2][j * width + d];
        }
    }
    free(scores);
}

static void run_layer(const struct model *m, const struct embed__bert_layer *layer, double *x,
                      size_t count)
{
    const struct embed__bert_shape *s = &m->shape;
    const double epsilon = (double)s->layer_norm_eps;
    double *q = multiply(x, count, s->hidden, &layer->query, s->hidden);
    double *k = multiply(x, count, s->hidden, &layer->key, s->hidden);
    double *v = multiply(x, count, s->hidden, &layer->value, s->hidden);
    const double *const qkv[3] = { q, k, v };
    double *context = malloc(count * s->hidden * sizeof *context);
    for (size_t h = 0; h < s->heads; h++) {
        for (size_t i = 0; i < count; i++) {
            attend_row(m, qkv, count, h, i, context + i * s->hidden);
        }
    }
    free(q);
    free(k);
    free(v);
    normalize_sum(x, multiply(context, count, s->hidden, &layer->attention, s->hidden), count,
                  s->hidden, &layer->attention_norm, epsilon);
    free(context);
    double *between = multiply(x, count, s->hidden, &layer->intermediate, s->intermediate);
    for (size_t i = 0; i < count * s->intermediate; i++) {
        between[i] = reference_after(after_of(s->activation), between[i]);
    }
    normalize_sum(x, multiply(between, count, s->intermediate, &layer->output, s->hidden), count,
                  s->hidden, &layer->output_norm, epsilon);
    free(between);
}

static void pool(const double *x, size_t count, size_t width, enum embed__pooling pooling,
                 double *out)
{
    for (size_t j = 0; j < width; j++) {
        out[j] = count == 0 ? 0 : x[j];
        for (size_t i = 1; pooling != EMBED__CLS && i < count; i++) {
            const double value = x[i * width + j];
            out[j] = pooling == EMBED__MAX ? fmax(out[j], value) : out[j] + value;
        }
        out[j] /= pooling == EMBED__MEAN && count > 0 ? (double)count : 1;
    }
}

void reference_run(const struct model *model, const int32_t *ids, size_t count,
                   enum embed__pooling pooling, bool normalize, double *out)
{
    const struct embed__bert_shape *s = &model->shape;
    const size_t first = s->family == EMBED__MPNET ? 2 : 0;
    double *x = malloc((count > 0 ? count : 1) * s->hidden * sizeof *x);
    double *y = malloc((count > 0 ? count : 1) * s->hidden * sizeof *y);
    for (size_t i = 0; i < count * s->hidden; i++) {
        const size_t column = i % s->hidden;
        x[i] = (double)model->weights.word[(size_t)ids[i / s->hidden] * s->hidden + column];
        y[i] = (double)model->weights.position[first * s->hidden + i];
        y[i] += first == 0 ? (double)model->weights.token_type[column] : 0;
    }
    normalize_sum(x, y, count, s->hidden, &model->weights.norm, (double)s->layer_norm_eps);
    for (size_t i = 0; count > 0 && i < s->layers; i++) {
        run_layer(model, &model->layers[i], x, count);
    }
    pool(x, count, s->hidden, pooling, out);
    free(x);
    double sum = 0;
    for (size_t j = 0; j < s->hidden; j++) {
        sum += out[j] * out[j];
    }
    for (size_t j = 0; normalize && sum > 0 && j < s->hidden; j++) {
        out[j] /= sqrt(sum);
    }
}

double distance(const float *got, const double *want, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = fabs((double)got[i] - want[i]);
        most = d > most || isnan(d) ? d : most;
    }
    return most;
}

double cosine(const float *got, const double *want, size_t count)
{
    double product = 0;
    double a = 0;
    double b = 0;
    for (size_t i = 0; i < count; i++) {
        product += (double)got[i] * want[i];
        a += (double)got[i] * (double)got[i];
        b += want[i] * want[i];
    }
    return product / sqrt(a * b);
}
