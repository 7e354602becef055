/* SPDX-License-Identifier: MIT
 *
 * kernel: what a search does to every row, in the widest instructions that the processor has: dot
 * products in float32, upper bounds of them from the coarse rows (coarse.h), and picking the rows
 * that may be among the best.
 *
 * Threads: any.
 */
#ifndef CORTEX_VECTOR_KERNEL_H
#define CORTEX_VECTOR_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VECTOR__ROW_FLOATS 16 /* a row is padded with zeros to a multiple of it */
#define VECTOR__ALIGN 64      /* of the query and of every row */

struct vector__coarse_query;
struct vector__coarse_rows;

/* out[i] = query · row i, of `count` rows that lie `stride` floats apart. The same row gives the same
 * bits wherever it stands among others. */
typedef void (*vector__dot_fn)(const float *query, const float *rows, size_t stride, size_t count,
                               float *out);
/* out[q][i] + queries[q]->slack is not less than what any dot gives for row i and query q: the coarse
 * bound (coarse.h). The queries share one pass over the rows. Every kernel gives the same but for
 * rounding, which is in the slack. */
typedef void (*vector__bound_fn)(const struct vector__coarse_query *const *queries,
                                 size_t query_count, const struct vector__coarse_rows *rows,
                                 size_t count, float *const *out);
/* out[i] = the product of the query's numbers and those of row places[i], from both planes. Every kernel
 * gives the same. */
typedef void (*vector__fine_fn)(const struct vector__coarse_query *query,
                                const struct vector__coarse_rows *rows, const uint32_t *places,
                                size_t count, int32_t *out);
/* out[i] = the product of the numbers (of a coarse query, or of a row) and the half bytes, 0 to 15, of
 * rows[i], a row of a plane. Every kernel gives the same. */
typedef void (*vector__near_fn)(const int8_t *numbers, const uint8_t *const *rows, size_t count,
                                size_t stride, int32_t *out);
/* Writes the places where values[i] >= cut, ascending; returns how many. out: room for count. */
typedef size_t (*vector__pick_fn)(const float *values, size_t count, float cut, uint32_t *out);

struct vector__kernel {
    const char *name;
    vector__dot_fn dot;
    vector__bound_fn bound;
    vector__fine_fn fine;
    vector__near_fn near;
    vector__pick_fn pick;
};
#define VECTOR__KERNELS_MAX 3
/* The kernels that run on this processor, best first. */
size_t vector__kernels(struct vector__kernel out[VECTOR__KERNELS_MAX]);
struct vector__kernel vector__kernel_best(void);

#endif
