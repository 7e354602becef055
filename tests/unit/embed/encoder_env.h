/* SPDX-License-Identifier: MIT
 *
 * Small models with random weights, and the encoder written down once more in double precision, text
 * by text, as straight as the papers have it: what src/embed/encoder*.c is compared with.
 */
#ifndef CORTEX_TESTS_EMBED_ENCODER_ENV_H
#define CORTEX_TESTS_EMBED_ENCODER_ENV_H

#include "embed/encoder.h"

struct model {
    struct embed__bert_shape shape;
    struct embed__bert_weights weights;
    struct embed__bert_layer *layers;
    float *slab;
};
/* Weights as trained models have them in size: products keep the scale of their inputs. */
void model_new(const struct embed__bert_shape *shape, uint64_t seed, struct model *out);
void model_free(struct model *model);
/* out: hidden numbers. */
void reference_run(const struct model *model, const int32_t *ids, size_t count,
                   enum embed__pooling pooling, bool normalize, double *out);

uint64_t random_next(uint64_t *state);
float random_normal(uint64_t *state);
void random_fill(uint64_t *state, float scale, float *out, size_t count);

double reference_after(int after, double x); /* enum embed__after */
/* The largest difference. */
double distance(const float *got, const double *want, size_t count);
double cosine(const float *got, const double *want, size_t count);

#endif
