/* SPDX-License-Identifier: MIT
 *
 * Every kernel that runs here, step by step, against the same step in double precision: products of
 * all remainders of rows and many widths, attention of many lengths, sums with normalization.
 */
#include "embed/encoder_kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "encoder_env.h"
#include "test.h"

/* Of results whose size is about 1. */
static const double ALLOWED[] = {
    [EMBED__FLOAT32] = 3e-6,
    [EMBED__BFLOAT16] = 3e-2,
    [EMBED__INT8] = 5e-2,
};
#define UNTOUCHED 77.0F

static float *floats(size_t count)
{
    float *memory = aligned_alloc(EMBED__ALIGN, embed__round_up(count * sizeof *memory + 1, 64));
    for (size_t i = 0; i < count; i++) {
        memory[i] = UNTOUCHED;
    }
    return memory;
}

static float *random_floats(uint64_t *state, float scale, size_t count)
{
    float *memory = floats(count);
    random_fill(state, scale, memory, count);
    return memory;
}

static void compare_linear(const struct embed__kernel *kernel, size_t rows, size_t out, size_t in,
                           enum embed__after after)
{
    uint64_t state = rows * 1000003 + out * 1009 + in;
    float *a = random_floats(&state, 1, rows * in);
    float *weight = random_floats(&state, 1.0F / sqrtf((float)in), out * in);
    float *bias = random_floats(&state, 1, out);
    const size_t stride = out + EMBED__LANES;
    float *c = floats((rows + 1) * stride);
    void *packed = aligned_alloc(64, embed__round_up(kernel->packed_bytes(out, in), 64));
    void *workspace = aligned_alloc(64, embed__round_up(kernel->linear_bytes(rows, in) + 64, 64));
    kernel->pack(weight, out, in, packed);
    const struct embed__matrix matrix = { out, in, packed, bias };
    kernel->linear(&(struct embed__product){ &matrix, after, rows, a, in, c, stride, workspace });
    double most = 0;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < out; j++) {
            double sum = (double)bias[j];
            for (size_t k = 0; k < in; k++) {
                sum += (double)a[i * in + k] * (double)weight[j * in + k];
            }
            const double want = reference_after((int)after, sum);
            most = fmax(most, distance(&c[i * stride + j], &want, 1));
        }
    }
    bool beyond = false; /* between and after the rows */
    for (size_t i = 0; i < (rows + 1) * stride; i++) {
        beyond |= (i / stride == rows || i % stride >= out) && c[i] != UNTOUCHED;
    }
    /* float32 rounds at every addition. */
    const double allowed =
        kernel->precision == EMBED__FLOAT32 ? 4e-7 * sqrt((double)in) : ALLOWED[kernel->precision];
    (void)test_expect(most < allowed && !beyond, __FILE__, __LINE__,
                      "%s, precision %d, %zu × %zu × %zu, after %d: off by %g%s", kernel->name,
                      (int)kernel->precision, rows, out, in, (int)after, most,
                      beyond ? ", wrote beyond" : "");
    free(a);
    free(weight);
    free(bias);
    free(c);
    free(packed);
    free(workspace);
}

TEST(products_of_every_kernel_agree)
{
    static const size_t SIZES[] = { 16, 32, 48, 64, 80, 96, 112, 144, 400 };
    for (size_t k = 0; k < embed__kernels_count; k++) {
        if (!embed__kernels[k]->runs_here()) {
            continue;
        }
        for (size_t rows = 1; rows <= 35; rows++) {
            const size_t out = SIZES[rows % CX_ARRAY_LEN(SIZES)];
            const size_t in = SIZES[(rows * 7 + 3) % CX_ARRAY_LEN(SIZES)];
            compare_linear(embed__kernels[k], rows, out, in, (enum embed__after)(rows % 4));
        }
        for (size_t i = 0; i < CX_ARRAY_LEN(SIZES); i++) {
            compare_linear(embed__kernels[k], 5, SIZES[i], 400, EMBED__AS_IT_IS);
            compare_linear(embed__kernels[k], 19, SIZES[i], 48, EMBED__THEN_GELU);
        }
        compare_linear(embed__kernels[k], 128, 96, 1536, EMBED__AS_IT_IS);
    }
}

/* Rows of a product must not depend on how many there are. */
TEST(rows_do_not_depend_on_their_neighbours)
{
    enum { ROWS = 40, OUT = 112, IN = 400 };
    uint64_t state = 5;
    float *a = random_floats(&state, 1, (size_t)ROWS * IN);
    float *weight = random_floats(&state, 0.05F, (size_t)OUT * IN);
    float *bias = random_floats(&state, 1, OUT);
    float *all = floats((size_t)ROWS * OUT);
    float *some = floats((size_t)ROWS * OUT);
    for (size_t k = 0; k < embed__kernels_count; k++) {
        const struct embed__kernel *kernel = embed__kernels[k];
        if (!kernel->runs_here() || kernel->few_rows_differ) {
            continue;
        }
        void *packed = aligned_alloc(64, embed__round_up(kernel->packed_bytes(OUT, IN), 64));
        void *workspace =
            aligned_alloc(64, embed__round_up(kernel->linear_bytes(ROWS, IN) + 64, 64));
        kernel->pack(weight, OUT, IN, packed);
        const struct embed__matrix matrix = { OUT, IN, packed, bias };
        struct embed__product p = { &matrix, EMBED__AS_IT_IS, ROWS, a, IN, all, OUT, workspace };
        kernel->linear(&p);
        p.c = some;
        for (p.rows = 1; p.rows < ROWS; p.rows++) {
            kernel->linear(&p);
            EXPECT_BYTES(some, p.rows * OUT * sizeof *some, all, p.rows * OUT * sizeof *all);
        }
        free(packed);
        free(workspace);
    }
    free(a);
    free(weight);
    free(bias);
    free(all);
    free(some);
}

static void reference_attend(const struct embed__attention *t, size_t h, size_t i, double *out)
{
    const size_t context = t->heads * t->width;
    double *weights = malloc(t->length * sizeof *weights);
    double most = -INFINITY;
    double sum = 0;
    for (size_t j = 0; j < t->length; j++) {
        double score = 0;
        for (size_t d = h * t->width; d < (h + 1) * t->width; d++) {
            score +=
                (double)t->qkv[i * t->stride + d] * (double)t->qkv[j * t->stride + context + d];
        }
        weights[j] = score * (double)t->scale;
        if (t->bias != NULL) {
            weights[j] += (double)t->bias[(ptrdiff_t)(h * t->bias_stride + j) - (ptrdiff_t)i];
        }
        most = fmax(most, weights[j]);
    }
    for (size_t j = 0; j < t->length; j++) {
        weights[j] = exp(weights[j] - most);
        sum += weights[j];
    }
    for (size_t d = 0; d < t->width; d++) {
        out[d] = 0;
        for (size_t j = 0; j < t->length; j++) {
            out[d] +=
                weights[j] / sum * (double)t->qkv[j * t->stride + 2 * context + h * t->width + d];
        }
    }
    free(weights);
}

static void compare_attend(const struct embed__kernel *kernel, size_t length, size_t width,
                           bool biased, float loudness)
{
    enum { HEADS = 3 };
    uint64_t state = length * 1009 + width;
    const size_t stride = 3 * HEADS * width;
    const size_t out_stride = HEADS * width + EMBED__LANES;
    float *qkv = random_floats(&state, loudness, length * stride);
    float *bias = random_floats(&state, 1, (size_t)HEADS * 2 * length);
    float *out = floats((length + 1) * out_stride);
    void *workspace =
        aligned_alloc(64, embed__round_up(kernel->attend_bytes(length, width) + 64, 64));
    const struct embed__attention t = { .qkv = qkv,
                                        .stride = stride,
                                        .length = length,
                                        .heads = HEADS,
                                        .width = width,
                                        .scale = 1.0F / sqrtf((float)width),
                                        .bias = biased ? bias + length - 1 : NULL,
                                        .bias_stride = 2 * length,
                                        .out = out,
                                        .out_stride = out_stride,
                                        .workspace = workspace };
    kernel->attend(&t);
    double *want = malloc(width * sizeof *want);
    double most = 0;
    for (size_t at = 0; at < HEADS * length; at++) {
        reference_attend(&t, at / length, at % length, want);
        const float *got = out + (at % length) * out_stride + at / length * width;
        most = fmax(most, distance(got, want, width) / (double)loudness);
    }
    bool beyond = false;
    for (size_t i = 0; i < (length + 1) * out_stride; i++) {
        beyond |=
            (i / out_stride == length || i % out_stride >= HEADS * width) && out[i] != UNTOUCHED;
    }
    const double allowed = ALLOWED[kernel->precision] * fmax(1, (double)(loudness * loudness));
    (void)test_expect(most < allowed && !beyond, __FILE__, __LINE__,
                      "%s, precision %d, %zu tokens, heads of %zu%s: off by %g%s", kernel->name,
                      (int)kernel->precision, length, width, biased ? ", biased" : "", most,
                      beyond ? ", wrote beyond" : "");
    free(qkv);
    free(bias);
    free(out);
    free(workspace);
    free(want);
}

TEST(attention_of_every_kernel_agrees)
{
    for (size_t k = 0; k < embed__kernels_count; k++) {
        if (!embed__kernels[k]->runs_here()) {
            continue;
        }
        for (size_t length = 1; length <= 70; length++) {
            compare_attend(embed__kernels[k], length, 32, length % 3 == 0, 1);
        }
        static const size_t WIDTHS[] = { 16, 48, 64, 80 };
        for (size_t i = 0; i < CX_ARRAY_LEN(WIDTHS); i++) {
            compare_attend(embed__kernels[k], 21 + 16 * i, WIDTHS[i], i % 2 == 1, 1);
        }
        compare_attend(embed__kernels[k], 200, 32, true, 1);
        /* Scores of hundreds: exponentials vanish, nothing overflows. */
        compare_attend(embed__kernels[k], 40, 32, false, 12);
    }
}

static void compare_norm(const struct embed__kernel *kernel, size_t rows, size_t width, float shift)
{
    uint64_t state = width;
    const size_t padded = embed__round_up(width, EMBED__LANES);
    float *x = random_floats(&state, 1, rows * padded);
    float *y = random_floats(&state, 1, rows * padded);
    float *weight = random_floats(&state, 1, padded);
    float *bias = random_floats(&state, 1, padded);
    double *want = malloc(rows * padded * sizeof *want);
    for (size_t i = 0; i < rows * padded; i++) {
        x[i] = i % padded < width ? x[i] + shift : 0;
        y[i] = i % padded < width ? y[i] : 0;
    }
    for (size_t i = 0; i < rows; i++) {
        double mean = 0;
        double variance = 0;
        for (size_t j = 0; j < width; j++) {
            mean += ((double)x[i * padded + j] + (double)y[i * padded + j]) / (double)width;
        }
        for (size_t j = 0; j < width; j++) {
            const double d = (double)x[i * padded + j] + (double)y[i * padded + j] - mean;
            variance += d * d / (double)width;
        }
        for (size_t j = 0; j < padded; j++) {
            const double d = (double)x[i * padded + j] + (double)y[i * padded + j] - mean;
            want[i * padded + j] =
                j < width ? d / sqrt(variance + 1e-5) * (double)weight[j] + (double)bias[j] : 0;
        }
    }
    for (size_t j = width; j < padded; j++) {
        weight[j] = 0;
        bias[j] = 0;
    }
    kernel->add_norm(&(struct embed__residual){ .x = x,
                                                .x_stride = padded,
                                                .y = y,
                                                .y_stride = padded,
                                                .rows = rows,
                                                .width = width,
                                                .padded = padded,
                                                .weight = weight,
                                                .bias = bias,
                                                .epsilon = 1e-5F });
    const double off = distance(x, want, rows * padded);
    (void)test_expect(off < 3e-6 * fmax(1, (double)shift), __FILE__, __LINE__,
                      "%s, %zu rows of %zu around %g: off by %g", kernel->name, rows, width,
                      (double)shift, off);
    free(x);
    free(y);
    free(weight);
    free(bias);
    free(want);
}

TEST(normalized_sums_of_every_kernel_agree)
{
    static const size_t WIDTHS[] = { 1, 3, 16, 20, 32, 60, 64, 100, 384, 1000 };
    for (size_t k = 0; k < embed__kernels_count; k++) {
        for (size_t i = 0; embed__kernels[k]->runs_here() && i < CX_ARRAY_LEN(WIDTHS); i++) {
            compare_norm(embed__kernels[k], i + 1, WIDTHS[i], 0);
            compare_norm(embed__kernels[k], 2, WIDTHS[i], 30);
        }
    }
}
