/* SPDX-License-Identifier: MIT
 *
 * bag: text → the builtin vector. Each distinct word adds its Porter stem, weighted by
 * (1 + ln tf) · idf^0.8, and its character 4-grams (pairs in scripts without spaces), which share the
 * word's weight; each feature adds ± its weight to one of the dimensions (Weinberger et al.,
 * "Feature Hashing for Large Scale Multitask Learning", 2009). Then the vector is made of length 1.
 *
 * Threads: a bag belongs to one thread at a time.
 */
#ifndef CORTEX_EMBED_BAG_H
#define CORTEX_EMBED_BAG_H

#include "cortex/base.h"

/* Bytes of a text that count: beyond it a text is cut, so that one text never holds a worker long. */
#define EMBED__TEXT_BYTES ((size_t)128 * 1024)

struct embed__bag; /* the words of one text; its memory serves the next text */
void embed__bag_new(struct embed__bag **out);
void embed__bag_free(struct embed__bag **bag); /* NULL is nothing */
/* vector: CX_EMBED_BUILTIN_DIMENSION floats. True when the text was cut. */
bool embed__bag_vector(struct embed__bag *bag, struct cx_str text, float *vector);

#endif
