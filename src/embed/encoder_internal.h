/* SPDX-License-Identifier: MIT
 *
 * What an encoder is made of: encoder.c makes it, encoder_run.c runs it.
 */
#ifndef CORTEX_EMBED_ENCODER_INTERNAL_H
#define CORTEX_EMBED_ENCODER_INTERNAL_H

#include "encoder_kernel.h"

struct embed__encoder_norm {
    float *weight; /* padded */
    float *bias;
};
struct embed__encoder_layer {
    struct embed__matrix qkv; /* q of all heads, then k, then v; each head padded */
    struct embed__matrix attention;
    struct embed__encoder_norm attention_norm;
    struct embed__matrix intermediate;
    struct embed__matrix output;
    struct embed__encoder_norm output_norm;
};
struct embed__encoder {
    struct embed__bert_shape shape;
    const struct embed__kernel *kernel;
    enum embed__after after;
    size_t hidden;       /* padded */
    size_t head;         /* padded width of a head */
    size_t context;      /* heads · head */
    size_t intermediate; /* padded */
    size_t tokens_max;
    float *word;     /* [vocabulary][hidden] */
    float *position; /* [tokens_max][hidden], the token type's row added */
    struct embed__encoder_norm norm;
    float *relative; /* NULL or [heads][2 · tokens_max − 1] */
    struct embed__encoder_layer *layers;
    void *slab; /* all of the above but `layers` */
    size_t slab_bytes;
};

/* Aligned for the kernels and, where it is large, for huge pages. Aborts without memory. */
void *embed__encoder_memory(size_t bytes);

#endif
