/* SPDX-License-Identifier: MIT
 *
 * coarse: a quarter of a vector's bytes, and a proof of how far off it can be. A coarse row r' holds
 * each number as a byte b, worth scale · (b - 128), and its error E >= |r - r'|. A coarse query q'
 * holds 16 bits a number. As
 *
 *   |r·q - r'·q'| = |(r - r')·q + r'·(q - q')| <= E |q| + (|r| + E) |q - q'|
 *
 * the product of the coarse two tells that of the real two within reach · E + slack, reach and
 * slack belonging to the query. Slack also covers rounding: that of the float32 dot product which is
 * to be bounded, and that of computing the bound. Whatever lies beyond the bound need not be read.
 *
 * Rows have length 0 or 1; a query may have any.
 *
 * Threads: any.
 */
#ifndef CORTEX_VECTOR_COARSE_H
#define CORTEX_VECTOR_COARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VECTOR__COARSE_BYTES 64 /* a coarse row is padded to a multiple of it */
#define VECTOR__COARSE_ZERO 128 /* the byte that stands for 0 */

/* A run of rows; borrowed. */
struct vector__coarse_rows {
    const uint8_t *bytes; /* aligned to VECTOR__ALIGN */
    size_t stride;        /* bytes from row to row */
    const float *scales;
    const float *errors; /* -INFINITY: no row, its bound is -INFINITY too */
};
/* Owner: who has called init, until free. */
struct vector__coarse_query {
    int16_t *numbers; /* stride of them, aligned; each is worth scale · number */
    int8_t *high;     /* the same in two: number = 128 · high + low */
    int8_t *low;
    int64_t offset; /* what the 128 in every byte of a row adds to its product with the numbers, */
    int32_t high_offset; /* with high and low */
    int32_t low_offset;
    float scale;
    float reach;
    float slack;
};

size_t vector__coarse_stride(unsigned dimension);
/* bytes: stride of them. */
void vector__coarse_row(const float *row, unsigned dimension, size_t stride, uint8_t *bytes,
                        float *scale, float *error);
/* query: dimension floats. False where memory is out. */
bool vector__coarse_query_init(struct vector__coarse_query *out, const float *query,
                               unsigned dimension);
void vector__coarse_query_free(struct vector__coarse_query *query);

#endif
