/* SPDX-License-Identifier: MIT
 *
 * encoder: the BERT family's arithmetic, token ids → vectors of sentences (Devlin et al., "BERT",
 * 2018; Reimers and Gurevych, "Sentence-BERT", 2019; for the relative attention bias Song et al.,
 * "MPNet", 2020). Knows nothing of files, tokenizers and texts. Weights are packed once for the
 * kernel that will read them; a run touches only them and its scratch, never allocates, and does
 * without padding: texts of one batch lie one after the other. In whatever company a text is computed,
 * its vector is the same: bit for bit, but for AMX in float32, whose few last rows go another way and
 * agree within 1e-6.
 *
 * Threads: an encoder is never written after it was made, any number of threads may run it; a
 * scratch belongs to one thread at a time. Both calls take long: workers only.
 */
#ifndef CORTEX_EMBED_ENCODER_H
#define CORTEX_EMBED_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cortex/base.h"

enum embed__family {
    EMBED__BERT,
    EMBED__MPNET, /* positions begin with 2, no token types, relative_bias is added to the scores */
};
enum embed__activation {
    EMBED__GELU,      /* x/2 · (1 + erf(x/√2)) */
    EMBED__GELU_TANH, /* its approximation by tanh ("gelu_new", "gelu_pytorch_tanh") */
    EMBED__RELU,
};
enum embed__pooling { EMBED__MEAN, EMBED__CLS, EMBED__MAX };
/* Of the weights and of what meets them in products; everything between is float32 always. */
enum embed__precision { EMBED__FLOAT32, EMBED__BFLOAT16, EMBED__INT8 };

struct embed__bert_shape {
    enum embed__family family;
    enum embed__activation activation;
    size_t layers;
    size_t hidden; /* heads divide it */
    size_t heads;
    size_t intermediate;
    size_t positions;   /* rows of the position embeddings */
    size_t vocabulary;  /* rows of the word embeddings */
    size_t token_types; /* rows of the token type embeddings; every token is of type 0 */
    float layer_norm_eps;
};

/* Row-major as in the files of such models: weight[out][in]. */
struct embed__linear {
    const float *weight;
    const float *bias;
};
struct embed__norm {
    const float *weight;
    const float *bias;
};
struct embed__bert_layer {
    struct embed__linear query;        /* [hidden][hidden] */
    struct embed__linear key;          /* [hidden][hidden] */
    struct embed__linear value;        /* [hidden][hidden] */
    struct embed__linear attention;    /* attention.output.dense, [hidden][hidden] */
    struct embed__norm attention_norm; /* attention.output.LayerNorm */
    struct embed__linear intermediate; /* [intermediate][hidden] */
    struct embed__linear output;       /* [hidden][intermediate] */
    struct embed__norm output_norm;    /* output.LayerNorm */
};
struct embed__bert_weights {
    const float *word;          /* [vocabulary][hidden] */
    const float *position;      /* [positions][hidden] */
    const float *token_type;    /* [token_types][hidden]; NULL for MPNet */
    struct embed__norm norm;    /* of the embeddings */
    const float *relative_bias; /* [32][heads], MPNet only: relative_attention_bias */
    const struct embed__bert_layer *layers;
};

/* Ceilings of what is taken; beyond them embed__encoder_new says INVALID. */
#define EMBED__LAYERS_MAX 64
#define EMBED__HIDDEN_MAX 4096
#define EMBED__INTERMEDIATE_MAX 16384
#define EMBED__POSITIONS_MAX 8194
#define EMBED__VOCABULARY_MAX 1000000

struct embed__encoder;
/* Copies and packs: weights may go when it has returned. kernel: a name of embed__encoder_kernels
 * that has this precision, or NULL for the best. INVALID for a shape that cannot be or is beyond the
 * ceilings; NOT_CONFIGURED for a kernel that is unknown, does not run on this processor or lacks the
 * precision. */
enum cx_status embed__encoder_new(const struct embed__bert_shape *shape,
                                  const struct embed__bert_weights *weights,
                                  enum embed__precision precision, const char *kernel,
                                  struct embed__encoder **out, struct cx_err *err);
void embed__encoder_free(struct embed__encoder **encoder); /* NULL is nothing */
const char *embed__encoder_kernel(const struct embed__encoder *encoder);
enum embed__precision embed__encoder_precision(const struct embed__encoder *encoder);
size_t embed__encoder_dimension(const struct embed__encoder *encoder);
size_t embed__encoder_bytes(const struct embed__encoder *encoder); /* of memory that it holds */
/* The longest text, in tokens: what the position embeddings allow. */
size_t embed__encoder_tokens_max(const struct embed__encoder *encoder);

#define EMBED__ENCODER_KERNELS_MAX 8
/* Names of the kernels that have this precision on this processor, best first. None may be there for
 * reduced precision; float32 has always one. */
size_t embed__encoder_kernels(enum embed__precision precision,
                              const char *out[EMBED__ENCODER_KERNELS_MAX]);

struct embed__scratch;
/* tokens: the most that are computed at once; raised to the longest text that the encoder takes. More
 * tokens share the reading of the weights; 512 are enough for nearly all of the gain. */
void embed__scratch_new(const struct embed__encoder *encoder, size_t tokens,
                        struct embed__scratch **out);
void embed__scratch_free(struct embed__scratch **scratch); /* NULL is nothing */
size_t embed__scratch_bytes(const struct embed__scratch *scratch);

/* Text i has the tokens ids[offsets[i]] to ids[offsets[i + 1]] (not included), specials among them;
 * offsets has count + 1 entries, ascending. Required (checked): every id is below the vocabulary, no
 * text is longer than embed__encoder_tokens_max. out: count vectors of the dimension, made of length
 * 1 where normalize is set; a text without tokens gives zeros. scratch: one made for this encoder. */
void embed__encoder_run(const struct embed__encoder *encoder, struct embed__scratch *scratch,
                        const int32_t *ids, const size_t *offsets, size_t count,
                        enum embed__pooling pooling, bool normalize, float *out);

#endif
