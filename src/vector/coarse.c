/* SPDX-License-Identifier: MIT
 *
 * Making coarse rows and queries (coarse.h). All of it in double precision, whose own rounding is
 * far below the margins.
 */
#include "coarse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

#define ROW_STEPS 119 /* 16 · 7 + 7 */
#define QUERY_STEPS 127
#define ROW_LENGTH_MAX 1.001 /* length 1, as exactly as float32 can */
#define FLOAT_UNIT 0x1p-24   /* relative rounding error of float32 */

static int whole(float scaled, int most);
static void put_half(uint8_t *plane, size_t at, int number);
static float round_up(double value);
static double bound_of_dot(unsigned dimension);

size_t vector__coarse_stride(unsigned dimension)
{
    return ((size_t)dimension + VECTOR__PIECE_NUMBERS - 1) / VECTOR__PIECE_NUMBERS *
           VECTOR__PIECE_BYTES;
}

struct vector__coarse_row vector__coarse_row(const float *row, unsigned dimension, size_t stride,
                                             uint8_t *high, uint8_t *low)
{
    memset(high, VECTOR__COARSE_ZERO, stride);
    memset(low, VECTOR__COARSE_ZERO, stride);
    float greatest = 0;
    for (size_t i = 0; i < dimension; i++) {
        const float size = fabsf(row[i]);
        greatest = size > greatest ? size : greatest;
    }
    const float step = greatest / (float)ROW_STEPS;
    /* A row of next to nothing is taken for zero, and its length for the error. */
    const float inverse = step > 1e-30F ? 1 / step : 0;
    double sum = 0;
    double fine_sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        const int number = whole(row[i] * inverse, ROW_STEPS);
        const int upper = (number + 8 + 128) / 16 - 8;
        put_half(high, i, upper);
        put_half(low, i, number - 16 * upper);
        const double off = (double)row[i] - (double)step * 16 * upper;
        const double fine_off = (double)row[i] - (double)step * number;
        sum += off * off;
        fine_sum += fine_off * fine_off;
    }
    return (struct vector__coarse_row){
        .scale = step,
        .error = round_up(sqrt(sum) * (1 + 1e-9)),
        .fine_error = round_up(sqrt(fine_sum) * (1 + 1e-9)),
    };
}

bool vector__coarse_query_init(struct vector__coarse_query *out, const float *query,
                               unsigned dimension)
{
    const size_t count = 2 * vector__coarse_stride(dimension);
    *out = (struct vector__coarse_query){ .numbers = aligned_alloc(VECTOR__ALIGN, count) };
    if (out->numbers == NULL) {
        return false;
    }
    memset(out->numbers, 0, count);
    float greatest = 0;
    for (size_t i = 0; i < dimension; i++) {
        const float size = fabsf(query[i]);
        greatest = size > greatest ? size : greatest;
    }
    out->scale = greatest / (float)QUERY_STEPS;
    const float inverse = out->scale > 1e-30F ? 1 / out->scale : 0;
    double length2 = 0;
    double error2 = 0;
    int32_t sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        const int number = whole(query[i] * inverse, QUERY_STEPS);
        const double off = (double)query[i] - (double)out->scale * number;
        out->numbers[i] = (int8_t)number;
        sum += number;
        length2 += (double)query[i] * (double)query[i];
        error2 += off * off;
    }
    out->offset = 8 * sum;
    const double length = sqrt(length2) * (1 + 1e-9);
    const double error = sqrt(error2) * (1 + 1e-9);
    /* A bound is computed in float32, of a product at most as long as both together, and of the row's
     * error: a handful of roundings each. */
    const double computing = 16 * FLOAT_UNIT * (length + error);
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

static int whole(float scaled, int most)
{
    const int number = (int)(scaled + (scaled < 0 ? -0.5F : 0.5F));
    return number > most ? most : number < -most ? -most : number;
}

static void put_half(uint8_t *plane, size_t at, int number)
{
    uint8_t *byte =
        plane + at / VECTOR__PIECE_NUMBERS * VECTOR__PIECE_BYTES + at % VECTOR__PIECE_BYTES;
    const unsigned half = (unsigned)(number + 8);
    *byte = at % VECTOR__PIECE_NUMBERS < VECTOR__PIECE_BYTES
                ? (uint8_t)((*byte & 0xF0U) | half)
                : (uint8_t)((*byte & 0x0FU) | half << 4);
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
