/* SPDX-License-Identifier: MIT
 *
 * coarse: a quarter of a vector's bytes, in two halves, and a proof of how far off each can be. A row
 * is brought to whole numbers n of -119 to 119, each worth `scale`; n = 16 high + low, where high is -7
 * to 7 and low -8 to 7. Both are kept as half a byte, in a plane of their own: a scan reads the high
 * plane alone, an eighth of a vector's bytes, and the low one only of rows that it cannot rule out. A
 * coarse query holds a byte a number.
 *
 * Let r' be what is known of a row, E >= |r - r'| its error, and q' what is known of a query. As
 *
 *   |r·q - r'·q'| = |(r - r')·q + r'·(q - q')| <= E |q| + (|r| + E) |q - q'|
 *
 * the product of r' and q' tells that of the real two within reach · E + slack, reach and slack
 * belonging to the query. Slack also covers rounding: that of the float32 dot product which is to be
 * bounded, and that of computing the bound. The high plane gives the coarse bound, both give the fine
 * one. Whatever lies beyond a bound need not be read.
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

#define VECTOR__PIECE_BYTES 64    /* a plane's row is padded to a multiple of it */
#define VECTOR__PIECE_NUMBERS 128 /* byte i holds number i in its lower half, 64 + i in its upper */
#define VECTOR__COARSE_ZERO 0x88  /* two numbers of 0, in either plane */

/* A run of rows; borrowed. */
struct vector__coarse_rows {
    const uint8_t *high; /* aligned to VECTOR__ALIGN */
    const uint8_t *low;  /* likewise */
    size_t stride;       /* bytes from row to row, in each */
    const float *scales;
    const float
        *errors; /* of the high plane alone; -INFINITY: no row, its bound is -INFINITY too */
    const float *fine_errors;
};
/* Owner: who has called init, until free. */
struct vector__coarse_query {
    int8_t *numbers; /* as many as a padded row has, aligned; each is worth scale · number */
    int32_t
        offset; /* what the 8 in every half byte of a plane's row adds to its product with them */
    float scale;
    float reach;
    float slack;
};
/* What vector__coarse_row makes of one. */
struct vector__coarse_row {
    float scale;
    float error;
    float fine_error;
};

size_t vector__coarse_stride(unsigned dimension); /* of each plane */
/* high, low: stride bytes each. */
struct vector__coarse_row vector__coarse_row(const float *row, unsigned dimension, size_t stride,
                                             uint8_t *high, uint8_t *low);
/* query: dimension floats. False where memory is out. */
bool vector__coarse_query_init(struct vector__coarse_query *out, const float *query,
                               unsigned dimension);
void vector__coarse_query_free(struct vector__coarse_query *query);

#endif
