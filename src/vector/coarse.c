/* SPDX-License-Identifier: MIT
 *
 * Making coarse rows and queries (coarse.h). All of it in double precision, whose own rounding is
 * far below the margins.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "coarse.h"

#include "kernel.h"

#define ROW_STEPS 127
#define QUERY_STEPS (127 * 128)
#define ROW_LENGTH_MAX 1.001 /* length 1, as exactly as float32 can */
#define FLOAT_UNIT 0x1p-24   /* relative rounding error of float32 */

static float round_up(double value);
static double bound_of_dot(unsigned dimension);

size_t vector__coarse_stride(unsigned dimension)
{
    return ((size_t)dimension + VECTOR__COARSE_BYTES - 1) / VECTOR__COARSE_BYTES *
           VECTOR__COARSE_BYTES;
}

void vector__coarse_row(const float *row, unsigned dimension, size_t stride, uint8_t *bytes,
                        float *scale, float *error)
{
    float greatest = 0;
    for (size_t i = 0; i < dimension; i++) {
        const float size = fabsf(row[i]);
        greatest = size > greatest ? size : greatest;
    }
    const float step = greatest / (float)ROW_STEPS;
    /* A row of next to nothing is taken for zero, and its length for the error. */
    const float inverse = step > 1e-30F ? 1 / step : 0;
    double sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        const float scaled = row[i] * inverse;
        const int number = (int)(scaled + (scaled < 0 ? -0.5F : 0.5F));
        const double off = (double)row[i] - (double)step * number;
        sum += off * off;
        bytes[i] = (uint8_t)(number + VECTOR__COARSE_ZERO);
    }
    memset(bytes + dimension, VECTOR__COARSE_ZERO, stride - dimension);
    *scale = step;
    *error = round_up(sqrt(sum) * (1 + 1e-9));
}

bool vector__coarse_query_init(struct vector__coarse_query *out, const float *query,
                               unsigned dimension)
{
    const size_t stride = vector__coarse_stride(dimension);
    *out = (struct vector__coarse_query){ 0 };
    out->numbers = aligned_alloc(VECTOR__ALIGN, 4 * stride);
    if (out->numbers == NULL) {
        return false;
    }
    memset(out->numbers, 0, 4 * stride);
    out->high = (int8_t *)(out->numbers + stride);
    out->low = out->high + stride;
    float greatest = 0;
    for (size_t i = 0; i < dimension; i++) {
        const float size = fabsf(query[i]);
        greatest = size > greatest ? size : greatest;
    }
    out->scale = greatest / (float)QUERY_STEPS;
    const double step = out->scale;
    const double inverse = step > 1e-30 ? 1 / step : 0;
    double length2 = 0;
    double error2 = 0;
    double low2 = 0;
    int32_t high_sum = 0;
    int32_t low_sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        const double scaled = (double)query[i] * inverse;
        const int number = (int)(scaled + (scaled < 0 ? -0.5 : 0.5));
        /* The nearest multiple of 128; what is left lies in -64 to 63. */
        const int high = (number + 64 + QUERY_STEPS) / 128 - QUERY_STEPS / 128;
        const int low = number - 128 * high;
        const double off = (double)query[i] - step * number;
        out->numbers[i] = (int16_t)number;
        out->high[i] = (int8_t)high;
        out->low[i] = (int8_t)low;
        high_sum += high;
        low_sum += low;
        length2 += (double)query[i] * (double)query[i];
        error2 += off * off;
        low2 += (step * low) * (step * low);
    }
    out->high_offset = VECTOR__COARSE_ZERO * high_sum;
    out->low_offset = VECTOR__COARSE_ZERO * low_sum;
    out->offset = 128 * (int64_t)out->high_offset + out->low_offset;
    const double length = sqrt(length2) * (1 + 1e-9);
    const double error = sqrt(error2) * (1 + 1e-9);
    /* The bound is the sum of two products in float32, each at most as long as its half of the
     * query, and of the row's error: a handful of roundings each. */
    const double halves = length + error + 2 * sqrt(low2);
    const double computing = 16 * FLOAT_UNIT * halves;
    out->reach = round_up((length + error + computing) * (1 + 16 * FLOAT_UNIT) + 1e-30);
    out->slack =
        round_up(ROW_LENGTH_MAX * (error + computing + length * bound_of_dot(dimension)) + 1e-30);
    return true;
}

void vector__coarse_query_free(struct vector__coarse_query *query)
{
    free(query->numbers);
    *query = (struct vector__coarse_query){ 0 };
}

static float round_up(double value)
{
    return nextafterf((float)value, INFINITY);
}

/* How far off a kernel's float32 dot product of unit vectors can be (Higham, Accuracy and Stability,
 * 3.1): n roundings on the longest way from a product to the sum, of which every kernel has fewer
 * than one for eight numbers, and a few to join its partial sums. */
static double bound_of_dot(unsigned dimension)
{
    const double roundings = (double)dimension / 8 + 24;
    return roundings * FLOAT_UNIT / (1 - roundings * FLOAT_UNIT);
}
