/* SPDX-License-Identifier: MIT
 *
 * encoder_reduced: bfloat16 and int8 numbers, as every kernel of reduced precision rounds them.
 *
 * int8: weights have eight bits, and each row of a matrix (its inputs to one output) a scale of its
 * own. What meets them has sixteen, in two parts of eight, and a scale for each row: with eight a model
 * like MiniLM loses too much (cosine 0.991; with sixteen 0.9991). Products are summed exactly.
 */
#ifndef CORTEX_EMBED_ENCODER_REDUCED_H
#define CORTEX_EMBED_ENCODER_REDUCED_H

#include <stddef.h>
#include <stdint.h>

#define EMBED__INT8_MOST 127
#define EMBED__INT16_MOST (EMBED__INT8_MOST * 256)

/* To nearest, ties to even; NaN stays one. */
uint16_t embed__bfloat16_of(float x);
float embed__float_of(uint16_t bfloat16);
/* numbers · the returned scale ≈ x. What is not finite becomes 0. */
float embed__int8_row(const float *x, size_t count, int8_t *numbers);
float embed__int16_row(const float *x, size_t count, int16_t *numbers);

#endif
