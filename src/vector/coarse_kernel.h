/* SPDX-License-Identifier: MIT
 *
 * coarse_kernel: what vector__kernels makes its table of beside the dot products: products of coarse
 * rows and queries, and picking (kernel.h says what they do).
 *
 * Threads: any.
 */
#ifndef CORTEX_VECTOR_COARSE_KERNEL_H
#define CORTEX_VECTOR_COARSE_KERNEL_H

#include "coarse.h"
#include "kernel.h"

void vector__bound_plain(const struct vector__coarse_query *const *queries, size_t query_count,
                         const struct vector__coarse_rows *rows, size_t count, float *const *out);
void vector__near_plain(const int8_t *numbers, const uint8_t *const *rows, size_t count,
                        size_t stride, int32_t *out);
void vector__fine_plain(const struct vector__coarse_query *query,
                        const struct vector__coarse_rows *rows, const uint32_t *places,
                        size_t count, int32_t *out);
size_t vector__pick_plain(const float *values, size_t count, float cut, uint32_t *out);
#if defined(__x86_64__)
void vector__bound_vnni(const struct vector__coarse_query *const *queries, size_t query_count,
                        const struct vector__coarse_rows *rows, size_t count, float *const *out);
void vector__near_vnni(const int8_t *numbers, const uint8_t *const *rows, size_t count,
                       size_t stride, int32_t *out);
void vector__fine_vnni(const struct vector__coarse_query *query,
                       const struct vector__coarse_rows *rows, const uint32_t *places, size_t count,
                       int32_t *out);
void vector__bound_avx2(const struct vector__coarse_query *const *queries, size_t query_count,
                        const struct vector__coarse_rows *rows, size_t count, float *const *out);
void vector__near_avx2(const int8_t *numbers, const uint8_t *const *rows, size_t count,
                       size_t stride, int32_t *out);
void vector__fine_avx2(const struct vector__coarse_query *query,
                       const struct vector__coarse_rows *rows, const uint32_t *places, size_t count,
                       int32_t *out);
size_t vector__pick_avx512(const float *values, size_t count, float cut, uint32_t *out);
size_t vector__pick_avx2(const float *values, size_t count, float cut, uint32_t *out);
#endif

#endif
