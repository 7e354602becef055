/* SPDX-License-Identifier: MIT
 *
 * encoder_plain: the kernels in C alone, for every processor. They are what the others are compared
 * with, and their element-wise functions come from libm.
 */
#ifndef CORTEX_EMBED_ENCODER_PLAIN_H
#define CORTEX_EMBED_ENCODER_PLAIN_H

#include "encoder_kernel.h"

extern const struct embed__kernel embed__kernel_plain;
extern const struct embed__kernel embed__kernel_plain_bfloat16;
extern const struct embed__kernel embed__kernel_plain_int8;

/* Steps that the plain kernels of reduced precision share. */
void embed__plain_after(enum embed__after after, const float *in, size_t count, float *out);
size_t embed__plain_attend_bytes(size_t length, size_t width);
void embed__plain_attend(const struct embed__attention *t);
void embed__plain_add_norm(const struct embed__residual *r);

#endif
