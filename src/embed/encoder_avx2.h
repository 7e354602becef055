/* SPDX-License-Identifier: MIT
 *
 * encoder_avx2: float32 in 256-bit vectors with fused multiply-add.
 */
#ifndef CORTEX_EMBED_ENCODER_AVX2_H
#define CORTEX_EMBED_ENCODER_AVX2_H

#include "encoder_kernel.h"

#if defined(__x86_64__)
extern const struct embed__kernel embed__kernel_avx2;
#endif

#endif
