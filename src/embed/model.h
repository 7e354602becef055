/* SPDX-License-Identifier: MIT
 *
 * A model directory as the sentence-transformers library lays it out, read and judged:
 *
 *   config.json                         the network's shape
 *   model.safetensors                   its weights (or several files, with their index)
 *   tokenizer.json                      (or vocab.txt and tokenizer_config.json)
 *   modules.json, 1_Pooling/config.json how the vectors of tokens become one (mean without them)
 *   sentence_bert_config.json           how long a text may be, before any other file's word
 *   config_sentence_transformers.json   prompts: what is put in front of a text
 *
 * What it says and cannot be done here is refused by name.
 *
 * Threads: any that may block.
 */
#ifndef CORTEX_EMBED_MODEL_H
#define CORTEX_EMBED_MODEL_H

#include "encoder.h"
#include "tokenizer.h"

struct embed__model { /* owner: who got it from embed__model_read */
    struct embed__bert_shape shape;
    enum embed__pooling pooling;
    struct embed__tokenizer *tokenizer; /* tokens_max is the model's */
    char *query_prompt;                 /* "" = none */
    char *document_prompt;
};
/* Everything but the weights. */
enum cx_status embed__model_read(const char *directory, struct embed__model **out,
                                 struct cx_err *err) CX_MUST_CHECK;
void embed__model_free(struct embed__model **model); /* NULL is nothing */
/* In place of the model's own; NULL leaves one alone. */
void embed__model_set_prompts(struct embed__model *model, const char *query, const char *document);

/* model_weights.c: the encoder from the model's safetensors. digest: over all that was read. */
enum cx_status embed__model_encoder(const char *directory, const struct embed__bert_shape *shape,
                                    enum embed__precision precision, const char *kernel,
                                    struct embed__encoder **out, uint8_t digest[32],
                                    struct cx_err *err) CX_MUST_CHECK;

#endif
