/* SPDX-License-Identifier: MIT
 *
 * encoder_avx512: float32 in 512-bit vectors, and the steps of it that the kernels of reduced
 * precision for such processors share.
 */
#ifndef CORTEX_EMBED_ENCODER_AVX512_H
#define CORTEX_EMBED_ENCODER_AVX512_H

#include "encoder_kernel.h"

#if defined(__x86_64__)
extern const struct embed__kernel embed__kernel_avx512;
extern const struct embed__kernel embed__kernel_avx512_bfloat16;
extern const struct embed__kernel embed__kernel_avx512_int8;
bool embed__avx512_runs_here(void);
size_t embed__avx512_attend_bytes(size_t length, size_t width);
void embed__avx512_attend(const struct embed__attention *t);
void embed__avx512_add_norm(const struct embed__residual *r);
#endif

#endif
