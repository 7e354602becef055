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
#endif

#endif
