/* SPDX-License-Identifier: MIT
 *
 * kernel: dot products of one query with many rows, in the widest instructions that the processor
 * has. Each kernel gives the same answer but for rounding.
 *
 * Threads: any.
 */
#ifndef CORTEX_VECTOR_KERNEL_H
#define CORTEX_VECTOR_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

#define VECTOR__ROW_FLOATS 16 /* a row is padded with zeros to a multiple of it */
#define VECTOR__ALIGN 64      /* of the query and of every row */

/* out[i] = query · row i, of `count` rows that lie `stride` floats apart. */
typedef void (*vector__dot_fn)(const float *query, const float *rows, size_t stride, size_t count,
                               float *out);
struct vector__kernel {
    const char *name;
    vector__dot_fn dot;
};
/* The kernels that run on this processor, best first. */
size_t vector__kernels(struct vector__kernel out[3]);
struct vector__kernel vector__kernel_best(void);

#endif
