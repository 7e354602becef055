/* SPDX-License-Identifier: MIT
 *
 * Whole encoders, in every kernel and precision that runs here, against the double precision
 * reference; batches against single runs; two threads on one encoder; shapes and kernels refused.
 */
#include "embed/encoder.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "embed/encoder_internal.h"
#include "encoder_env.h"
#include "test.h"

/* How far numbers of a vector of length 1 may be off. */
static const double ALLOWED[] = {
    [EMBED__FLOAT32] = 1e-6,
    [EMBED__BFLOAT16] = 1e-2,
    [EMBED__INT8] = 1e-2,
};
static const double COSINE[] = {
    [EMBED__FLOAT32] = 0.9999999,
    [EMBED__BFLOAT16] = 0.9995,
    [EMBED__INT8] = 0.9995,
};

static const struct embed__bert_shape SMALL = {
    .layers = 3,
    .hidden = 64,
    .heads = 4,
    .intermediate = 160,
    .positions = 100,
    .vocabulary = 211,
    .token_types = 2,
    .layer_norm_eps = 1e-12F,
};

typedef void (*check_fn)(const struct model *model, struct embed__encoder *encoder);

/* Once for every kernel of every precision. */
static void each_kernel(const struct model *model, check_fn check)
{
    for (int precision = EMBED__FLOAT32; precision <= EMBED__INT8; precision++) {
        const char *names[EMBED__ENCODER_KERNELS_MAX];
        const size_t count = embed__encoder_kernels((enum embed__precision)precision, names);
        EXPECT(count > 0);
        for (size_t i = 0; i < count; i++) {
            struct embed__encoder *e = NULL;
            REQUIRE(embed__encoder_new(&model->shape, &model->weights,
                                       (enum embed__precision)precision, names[i], &e,
                                       NULL) == CX_OK);
            EXPECT_STR(embed__encoder_kernel(e), names[i]);
            EXPECT(embed__encoder_precision(e) == (enum embed__precision)precision);
            check(model, e);
            embed__encoder_free(&e);
        }
    }
}

static void draw_ids(const struct model *model, uint64_t seed, int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ids[i] = (int32_t)(random_next(&seed) % model->shape.vocabulary);
    }
}

static void compare(const struct model *model, const struct embed__encoder *e, const int32_t *ids,
                    size_t count, enum embed__pooling pooling, const float *got)
{
    const size_t hidden = model->shape.hidden;
    const enum embed__precision precision = embed__encoder_precision(e);
    double *want = malloc(hidden * sizeof *want);
    reference_run(model, ids, count, pooling, true, want);
    const double off = distance(got, want, hidden);
    const double angle = cosine(got, want, hidden);
    (void)test_expect(off < ALLOWED[precision] && angle > COSINE[precision], __FILE__, __LINE__,
                      "%s, precision %d, %zu tokens, pooling %d: off by %g, cosine %.9f",
                      embed__encoder_kernel(e), (int)precision, count, (int)pooling, off, angle);
    free(want);
}

/* Texts of many lengths, each alone. */
static void check_lengths(const struct model *model, struct embed__encoder *e)
{
    static const size_t LENGTHS[] = { 1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 31, 33, 47, 49, 64, 98 };
    int32_t ids[98];
    float *got = malloc(model->shape.hidden * sizeof *got);
    struct embed__scratch *scratch = NULL;
    embed__scratch_new(e, 1, &scratch);
    EXPECT(embed__scratch_bytes(scratch) > 0);
    EXPECT(embed__encoder_bytes(e) > model->shape.vocabulary * model->shape.hidden * 2);
    EXPECT_INT(embed__encoder_dimension(e), model->shape.hidden);
    for (size_t i = 0; i < CX_ARRAY_LEN(LENGTHS); i++) {
        const enum embed__pooling pooling = (enum embed__pooling)(i % 3);
        draw_ids(model, i, ids, LENGTHS[i]);
        embed__encoder_run(e, scratch, ids, (const size_t[]){ 0, LENGTHS[i] }, 1, pooling, true,
                           got);
        compare(model, e, ids, LENGTHS[i], pooling, got);
    }
    embed__scratch_free(&scratch);
    EXPECT(scratch == NULL);
    free(got);
}

TEST(encoders_agree_with_double_precision)
{
    struct model model;
    model_new(&SMALL, 1, &model);
    each_kernel(&model, check_lengths);
    model_free(&model);
}

TEST(encoders_of_odd_shapes_agree)
{
    struct embed__bert_shape shape = SMALL;
    shape.hidden = 60;
    shape.heads = 3;
    shape.intermediate = 37;
    shape.activation = EMBED__GELU_TANH;
    struct model model;
    model_new(&shape, 2, &model);
    each_kernel(&model, check_lengths);
    model_free(&model);
    shape.hidden = 136;
    shape.heads = 2;
    shape.intermediate = 200;
    shape.activation = EMBED__RELU;
    shape.layer_norm_eps = 1e-5F;
    model_new(&shape, 3, &model);
    each_kernel(&model, check_lengths);
    model_free(&model);
}

TEST(encoders_with_relative_bias_agree)
{
    struct embed__bert_shape shape = SMALL;
    shape.family = EMBED__MPNET;
    shape.layers = 2;
    shape.token_types = 0;
    struct model model;
    model_new(&shape, 4, &model);
    each_kernel(&model, check_lengths);
    model_free(&model);
}

/* Long enough for every bucket of distance. */
static void check_long(const struct model *model, struct embed__encoder *e)
{
    EXPECT_INT(embed__encoder_tokens_max(e), 300);
    int32_t ids[300];
    float got[32];
    struct embed__scratch *scratch = NULL;
    embed__scratch_new(e, 1, &scratch);
    draw_ids(model, 9, ids, 300);
    embed__encoder_run(e, scratch, ids, (const size_t[]){ 0, 300 }, 1, EMBED__CLS, true, got);
    compare(model, e, ids, 300, EMBED__CLS, got);
    embed__scratch_free(&scratch);
}

TEST(encoders_agree_on_long_texts)
{
    struct embed__bert_shape shape = SMALL;
    shape.family = EMBED__MPNET;
    shape.layers = 1;
    shape.hidden = 32;
    shape.heads = 2;
    shape.intermediate = 48;
    shape.positions = 302;
    struct model model;
    model_new(&shape, 5, &model);
    each_kernel(&model, check_long);
    model_free(&model);
}

static double furthest(const float *a, const float *b, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    }
    return most;
}

/* A text has the same bits alone and in any company. */
static void check_batches(const struct model *model, struct embed__encoder *e)
{
    enum { TEXTS = 17 };
    const size_t hidden = model->shape.hidden;
    size_t offsets[TEXTS + 1] = { 0 };
    for (size_t i = 0; i < TEXTS; i++) {
        offsets[i + 1] = offsets[i] + (i * 29) % 83; /* the first is empty */
    }
    int32_t *ids = malloc(offsets[TEXTS] * sizeof *ids);
    float *batch = malloc(TEXTS * hidden * sizeof *batch);
    float *alone = malloc(hidden * sizeof *alone);
    draw_ids(model, 6, ids, offsets[TEXTS]);
    struct embed__scratch *scratch = NULL;
    embed__scratch_new(e, 512, &scratch);
    embed__encoder_run(e, scratch, ids, offsets, TEXTS, EMBED__MEAN, true, batch);
    for (size_t i = 0; i < TEXTS; i++) {
        embed__encoder_run(e, scratch, ids, offsets + i, 1, EMBED__MEAN, true, alone);
        if (e->kernel->few_rows_differ) {
            EXPECT(furthest(batch + i * hidden, alone, hidden) < 1e-6);
        } else {
            EXPECT_BYTES(batch + i * hidden, hidden * sizeof *batch, alone, hidden * sizeof *alone);
        }
        if (i % 5 == 3) {
            compare(model, e, ids + offsets[i], offsets[i + 1] - offsets[i], EMBED__MEAN, alone);
        }
    }
    for (size_t i = 0; i < hidden; i++) {
        EXPECT(batch[i] == 0);
    }
    embed__scratch_free(&scratch);
    free(ids);
    free(batch);
    free(alone);
}

TEST(batches_give_the_bits_of_single_texts)
{
    struct embed__bert_shape shape = SMALL;
    shape.layers = 2;
    struct model model;
    model_new(&shape, 7, &model);
    each_kernel(&model, check_batches);
    model_free(&model);
}

struct runner {
    const struct embed__encoder *encoder;
    const int32_t *ids;
    const size_t *offsets;
    float out[8 * 64];
};

static void *run_batch(void *context)
{
    struct runner *r = context;
    struct embed__scratch *scratch = NULL;
    embed__scratch_new(r->encoder, 128, &scratch);
    for (size_t i = 0; i < 3; i++) {
        embed__encoder_run(r->encoder, scratch, r->ids, r->offsets, 8, EMBED__MAX, false, r->out);
    }
    embed__scratch_free(&scratch);
    return NULL;
}

static void check_threads(const struct model *model, struct embed__encoder *e)
{
    int32_t ids[8 * 20];
    size_t offsets[9];
    draw_ids(model, 8, ids, CX_ARRAY_LEN(ids));
    for (size_t i = 0; i < CX_ARRAY_LEN(offsets); i++) {
        offsets[i] = i * 20;
    }
    struct runner runners[2] = { { e, ids, offsets, { 0 } }, { e, ids, offsets, { 0 } } };
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        CX_CHECK(pthread_create(&threads[i], NULL, run_batch, &runners[i]) == 0);
    }
    for (size_t i = 0; i < 2; i++) {
        CX_CHECK(pthread_join(threads[i], NULL) == 0);
    }
    EXPECT_BYTES(runners[0].out, sizeof runners[0].out, runners[1].out, sizeof runners[1].out);
    double want[64];
    reference_run(model, ids, 20, EMBED__MAX, false, want);
    EXPECT(cosine(runners[0].out, want, 64) > COSINE[embed__encoder_precision(e)]);
}

TEST(two_threads_share_an_encoder)
{
    struct embed__bert_shape shape = SMALL;
    shape.layers = 1;
    struct model model;
    model_new(&shape, 10, &model);
    each_kernel(&model, check_threads);
    model_free(&model);
}

static void expect_refused(const struct embed__bert_shape *shape, enum embed__precision precision,
                           const char *kernel, enum cx_status want, const char *word)
{
    struct model model;
    model_new(&SMALL, 11, &model);
    struct embed__encoder *e = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(embed__encoder_new(shape, &model.weights, precision, kernel, &e, &err), want);
    EXPECT(e == NULL);
    (void)test_expect(strstr(err.text, word) != NULL, __FILE__, __LINE__, "\"%s\" lacks \"%s\"",
                      err.text, word);
    embed__encoder_free(&e);
    model_free(&model);
}

TEST(impossible_shapes_and_unknown_kernels_are_refused)
{
    struct embed__bert_shape shape = SMALL;
    expect_refused(&shape, EMBED__FLOAT32, "abacus", CX_NOT_CONFIGURED, "abacus");
    expect_refused(&shape, EMBED__INT8, "avx2", CX_NOT_CONFIGURED, "int8");
    shape.heads = 5;
    expect_refused(&shape, EMBED__FLOAT32, NULL, CX_INVALID, "heads");
    shape.heads = 0;
    expect_refused(&shape, EMBED__FLOAT32, NULL, CX_INVALID, "heads");
    shape = SMALL;
    shape.layers = EMBED__LAYERS_MAX + 1;
    expect_refused(&shape, EMBED__FLOAT32, NULL, CX_INVALID, "65 layers");
    shape = SMALL;
    shape.hidden = 0;
    expect_refused(&shape, EMBED__FLOAT32, NULL, CX_INVALID, "hidden 0");
    shape = SMALL;
    shape.token_types = 0;
    expect_refused(&shape, EMBED__FLOAT32, NULL, CX_INVALID, "token type");
    shape = SMALL;
    shape.family = EMBED__MPNET;
    shape.positions = 2;
    expect_refused(&shape, EMBED__FLOAT32, NULL, CX_INVALID, "positions");
    shape = SMALL;
    shape.layer_norm_eps = NAN;
    expect_refused(&shape, EMBED__FLOAT32, NULL, CX_INVALID, "layer_norm_eps");
}
