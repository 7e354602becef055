/* SPDX-License-Identifier: MIT
 *
 * From a model's tensors to an encoder: the names that the transformers library gives them, which
 * shape each must have, and a digest over all that was read. The float32 copy lives only until the
 * encoder has packed it.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"
#include "safetensors.h"

#define NAME_BYTES 160
#define RELATIVE_BUCKETS 32

struct weights {
    const struct embed__tensors *tensors;
    const struct embed__bert_shape *shape;
    const char *prefix; /* "", "bert." … */
    float *room;        /* all of them, one behind the other */
    size_t used;
    size_t size;
    uint8_t (*digests)[CX_SHA256_BYTES]; /* of each, in the order of reading */
    size_t count;
    struct embed__bert_weights made;
    struct embed__bert_layer *layers;
    struct cx_err *err;
};

static enum cx_status find_prefix(struct weights *w);
static size_t floats_needed(const struct embed__bert_shape *shape);
static enum cx_status read_all(struct weights *w);
static enum cx_status read_embeddings(struct weights *w);
static enum cx_status read_layer(struct weights *w, size_t index);
static enum cx_status take(struct weights *w, const char *name, size_t rows, size_t columns,
                           const float **out);
static enum cx_status take_linear(struct weights *w, const char *name, size_t rows, size_t columns,
                                  struct embed__linear *out);
static enum cx_status take_norm(struct weights *w, const char *name, struct embed__norm *out);

enum cx_status embed__model_encoder(const char *directory, const struct embed__bert_shape *shape,
                                    enum embed__precision precision, const char *kernel,
                                    struct embed__encoder **out, uint8_t digest[32],
                                    struct cx_err *err)
{
    struct weights w = { .shape = shape, .err = err };
    struct embed__tensors *tensors = NULL;
    enum cx_status status = embed__tensors_open(directory, &tensors, err);
    if (status != CX_OK) {
        return status;
    }
    w.tensors = tensors;
    w.size = floats_needed(shape);
    w.layers = cx_alloc(shape->layers * sizeof *w.layers);
    w.made.layers = w.layers;
    w.digests = cx_alloc((shape->layers * 16 + 8) * sizeof *w.digests);
    status = find_prefix(&w);
    if (status == CX_OK) {
        w.room = malloc(w.size * sizeof *w.room);
        status = w.room != NULL
                     ? read_all(&w)
                     : cx_err_set(err, CX_NO_MEMORY,
                                  "there is no memory for the model's %zu numbers", w.size);
    }
    if (status == CX_OK) {
        cx_sha256((struct cx_str){ (const char *)w.digests, w.count * sizeof *w.digests }, digest);
        status = embed__encoder_new(shape, &w.made, precision, kernel, out, err);
    }
    free(w.room);
    free(w.layers);
    free(w.digests);
    embed__tensors_free(&tensors);
    return status;
}

/* A network that was saved with a head upon it has its name in front. */
static enum cx_status find_prefix(struct weights *w)
{
    static const char *const prefixes[] = { "", "bert.", "mpnet.", "model." };
    for (size_t i = 0; i < CX_ARRAY_LEN(prefixes); i++) {
        char name[NAME_BYTES];
        (void)snprintf(name, sizeof name, "%sembeddings.word_embeddings.weight", prefixes[i]);
        if (embed__tensors_has(w->tensors, name)) {
            w->prefix = prefixes[i];
            return CX_OK;
        }
    }
    const char *first = embed__tensors_name(w->tensors, 0);
    return cx_err_set(w->err, CX_INVALID,
                      "model.safetensors: tensor embeddings.word_embeddings.weight is missing (it "
                      "has %.96s): it is no BERT",
                      first != NULL ? first : "no tensors");
}

static size_t floats_needed(const struct embed__bert_shape *s)
{
    const size_t layer = 4 * (s->hidden * s->hidden + s->hidden) + 2 * s->hidden * s->intermediate +
                         s->intermediate + s->hidden + 4 * s->hidden;
    return (s->vocabulary + s->positions + s->token_types + 2) * s->hidden + s->layers * layer +
           RELATIVE_BUCKETS * s->heads;
}

static enum cx_status read_all(struct weights *w)
{
    enum cx_status status = read_embeddings(w);
    for (size_t i = 0; i < w->shape->layers && status == CX_OK; i++) {
        status = read_layer(w, i);
    }
    return status;
}

static enum cx_status read_embeddings(struct weights *w)
{
    const struct embed__bert_shape *s = w->shape;
    const bool mpnet = s->family == EMBED__MPNET;
    struct embed__bert_weights *m = &w->made;
    enum cx_status status =
        take(w, "embeddings.word_embeddings.weight", s->vocabulary, s->hidden, &m->word);
    if (status == CX_OK) {
        status =
            take(w, "embeddings.position_embeddings.weight", s->positions, s->hidden, &m->position);
    }
    if (status == CX_OK && !mpnet) {
        status = take(w, "embeddings.token_type_embeddings.weight", s->token_types, s->hidden,
                      &m->token_type);
    }
    if (status == CX_OK) {
        status = take_norm(w, "embeddings.LayerNorm", &m->norm);
    }
    if (status == CX_OK && mpnet) {
        status = take(w, "encoder.relative_attention_bias.weight", RELATIVE_BUCKETS, s->heads,
                      &m->relative_bias);
    }
    return status;
}

static enum cx_status read_layer(struct weights *w, size_t index)
{
    const struct embed__bert_shape *s = w->shape;
    struct embed__bert_layer *layer = &w->layers[index];
    const bool mpnet = s->family == EMBED__MPNET;
    const struct {
        const char *bert;
        const char *mpnet;
        struct embed__linear *out;
        size_t rows;
        size_t columns;
    } linears[] = {
        { "attention.self.query", "attention.attn.q", &layer->query, s->hidden, s->hidden },
        { "attention.self.key", "attention.attn.k", &layer->key, s->hidden, s->hidden },
        { "attention.self.value", "attention.attn.v", &layer->value, s->hidden, s->hidden },
        { "attention.output.dense", "attention.attn.o", &layer->attention, s->hidden, s->hidden },
        { "intermediate.dense", "intermediate.dense", &layer->intermediate, s->intermediate,
          s->hidden },
        { "output.dense", "output.dense", &layer->output, s->hidden, s->intermediate },
    };
    char name[NAME_BYTES];
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < CX_ARRAY_LEN(linears) && status == CX_OK; i++) {
        (void)snprintf(name, sizeof name, "encoder.layer.%zu.%s", index,
                       mpnet ? linears[i].mpnet : linears[i].bert);
        status = take_linear(w, name, linears[i].rows, linears[i].columns, linears[i].out);
    }
    if (status == CX_OK) {
        (void)snprintf(name, sizeof name, "encoder.layer.%zu.attention.%sLayerNorm", index,
                       mpnet ? "" : "output.");
        status = take_norm(w, name, &layer->attention_norm);
    }
    if (status == CX_OK) {
        (void)snprintf(name, sizeof name, "encoder.layer.%zu.output.LayerNorm", index);
        status = take_norm(w, name, &layer->output_norm);
    }
    return status;
}

/* columns 0: a tensor of one dimension. */
static enum cx_status take(struct weights *w, const char *name, size_t rows, size_t columns,
                           const float **out)
{
    char full[NAME_BYTES];
    (void)snprintf(full, sizeof full, "%s%s", w->prefix, name);
    const uint64_t shape[2] = { rows, columns };
    const size_t count = columns > 0 ? rows * columns : rows;
    CX_CHECK(w->size - w->used >= count);
    float *to = w->room + w->used;
    const enum cx_status status =
        embed__tensors_read(w->tensors, full, shape, columns > 0 ? 2 : 1, to, w->err);
    if (status == CX_OK) {
        cx_sha256((struct cx_str){ (const char *)to, count * sizeof *to }, w->digests[w->count++]);
        w->used += count;
        *out = to;
    }
    return status;
}

static enum cx_status take_linear(struct weights *w, const char *name, size_t rows, size_t columns,
                                  struct embed__linear *out)
{
    char full[NAME_BYTES];
    (void)snprintf(full, sizeof full, "%.120s.weight", name);
    enum cx_status status = take(w, full, rows, columns, &out->weight);
    if (status == CX_OK) {
        (void)snprintf(full, sizeof full, "%.120s.bias", name);
        status = take(w, full, rows, 0, &out->bias);
    }
    return status;
}

/* Files that came from the first BERT say gamma and beta. */
static enum cx_status take_norm(struct weights *w, const char *name, struct embed__norm *out)
{
    char full[NAME_BYTES];
    (void)snprintf(full, sizeof full, "%s%.120s.gamma", w->prefix, name);
    const bool old = embed__tensors_has(w->tensors, full);
    (void)snprintf(full, sizeof full, "%.120s.%s", name, old ? "gamma" : "weight");
    enum cx_status status = take(w, full, w->shape->hidden, 0, &out->weight);
    if (status == CX_OK) {
        (void)snprintf(full, sizeof full, "%.120s.%s", name, old ? "beta" : "bias");
        status = take(w, full, w->shape->hidden, 0, &out->bias);
    }
    return status;
}
