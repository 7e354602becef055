/* SPDX-License-Identifier: MIT
 *
 * encoder_amx: products by AMX, whose tiles multiply bfloat16 and sum in float32 (Intel, "Architecture
 * Instruction Set Extensions Programming Reference", chapter 3). In bfloat16 precision a number is one
 * part, rounded. In float32 it is three, whose sum it is exactly: x = h + m + l, eight bits each; of the
 * nine products of two such numbers the six largest are summed, and what is left out is below 2^−21 of
 * the product.
 */
#ifndef CORTEX_EMBED_ENCODER_AMX_H
#define CORTEX_EMBED_ENCODER_AMX_H

#include "encoder_kernel.h"

#if defined(__x86_64__)
extern const struct embed__kernel embed__kernel_amx; /* bfloat16 */
extern const struct embed__kernel embed__kernel_amx_float32;

/* Asks the system for the tiles, once and for all threads. */
bool embed__amx_runs_here(void);
size_t embed__amx_attend_bytes(size_t length, size_t width);
void embed__amx_attend(const struct embed__attention *t);
size_t embed__amx_float32_attend_bytes(size_t length, size_t width);
void embed__amx_float32_attend(const struct embed__attention *t);
#endif

#endif
