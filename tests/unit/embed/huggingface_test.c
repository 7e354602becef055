/* SPDX-License-Identifier: MIT
 *
 * The huggingface provider: its vectors beside float64 ones that numpy computed (tiny_vectors.json),
 * its slices, and who goes first.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed/encoder.h"
#include "env.h"
#include "golden.h"
#include "tiny.h"

static enum cx_status make(struct env *env, const char *directory,
                           enum cx_embed_precision precision, struct cx_embedder **out,
                           struct cx_err *err)
{
    const struct cx_embed_huggingface_options options = {
        .directory = directory,
        .model = "tiny",
        .precision = precision,
        .loop = env->loop,
        .lane = env->lane,
        .parallel = 2,
    };
    cx_log_set_level(CX_LOG_WARN); /* not a line for each */
    return cx_embedder_huggingface(&options, out, err);
}

static bool open_tiny(struct env *env, unsigned waiting, struct cx_embedder **e)
{
    return env_open(env, waiting) && make(env, TINY, CX_EMBED_FLOAT32, e, NULL) == CX_OK;
}

static double cosine(const float *a, const json_t *b)
{
    double dot = 0.0;
    double aa = 0.0;
    double bb = 0.0;
    for (size_t i = 0; i < TINY_DIMENSION; i++) {
        const double x = (double)a[i];
        const double y = json_real_value(json_array_get(b, i));
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    return dot / sqrt(aa * bb);
}

static double worst_of(const float *vectors, const json_t *want)
{
    double worst = 1.0;
    for (size_t i = 0; i < json_array_size(want); i++) {
        const double c = cosine(vectors + i * TINY_DIMENSION, json_array_get(want, i));
        worst = c < worst ? c : worst;
    }
    return worst;
}

static void expect_golden(struct env *env, const json_t *golden, size_t variant,
                          enum cx_embed_precision precision, double least)
{
    const json_t *texts = json_object_get(golden, "texts");
    const json_t *want =
        json_object_get(json_array_get(json_object_get(golden, "variants"), variant), "vectors");
    char directory[4096];
    (void)snprintf(directory, sizeof directory, "%s/%zu", CORTEX_TINY_MODELS, variant);
    struct cx_str strings[64];
    const size_t count = json_array_size(texts);
    for (size_t i = 0; i < count; i++) {
        strings[i] = cx_str_of(json_string_value(json_array_get(texts, i)));
    }
    struct cx_embedder *e = NULL;
    struct cx_err err = { "" };
    REQUIRE(make(env, directory, precision, &e, &err) == CX_OK);
    struct call call;
    REQUIRE(call_start(&call, env, e, CX_EMBED_QUERY, strings, count, 60000) == CX_OK);
    env_run(env);
    REQUIRE(call.result.status == CX_OK);
    EXPECT_INT(call.result.dimension, TINY_DIMENSION);
    EXPECT_INT(call.result.truncated, 1);
    EXPECT_INT(json_array_size(want), count);
    const double worst = worst_of(call.result.vectors, want);
    if (worst < least) {
        (void)fprintf(stderr, "variant %zu, precision %d: cosine %.9f\n", variant, (int)precision,
                      worst);
        EXPECT(worst >= least);
    }
    call_free(&call);
    cx_embedder_free(&e);
}

TEST(huggingface_vectors_are_numpys)
{
    struct env env;
    REQUIRE(env_open(&env, 8));
    json_t *golden = golden_json("tiny_vectors.json");
    const size_t count = json_array_size(json_object_get(golden, "variants"));
    EXPECT_INT(count, 8);
    for (size_t i = 0; i < count; i++) {
        expect_golden(&env, golden, i, CX_EMBED_FLOAT32, 0.99999999);
    }
    const char *names[EMBED__ENCODER_KERNELS_MAX];
    if (embed__encoder_kernels(EMBED__BFLOAT16, names) > 0) {
        expect_golden(&env, golden, 0, CX_EMBED_BFLOAT16, 0.999);
    }
    json_decref(golden);
    env_close(&env);
}

TEST(huggingface_info_and_fingerprint)
{
    struct env env;
    REQUIRE(env_open(&env, 4));
    struct cx_embedder *e = NULL;
    struct cx_embedder_info one;
    struct cx_embedder_info two;
    REQUIRE(make(&env, TINY, CX_EMBED_FLOAT32, &e, NULL) == CX_OK);
    cx_embedder_info(e, &one);
    EXPECT_STR(one.provider, "huggingface");
    EXPECT_STR(one.model, "tiny");
    EXPECT_INT(one.dimension, TINY_DIMENSION);
    EXPECT(one.memory_bytes > 50000);
    cx_embedder_free(&e);
    (void)tiny_copy(); /* elsewhere the same */
    REQUIRE(make(&env, test_dir(), CX_EMBED_FLOAT32, &e, NULL) == CX_OK);
    cx_embedder_info(e, &two);
    EXPECT_STR(one.fingerprint, two.fingerprint);
    cx_embedder_free(&e);
    static const char *const others[] = { "1", "5", "7" }; /* pooling, weights, prompts */
    for (size_t i = 0; i < CX_ARRAY_LEN(others); i++) {
        char directory[4096];
        (void)snprintf(directory, sizeof directory, "%s/%s", CORTEX_TINY_MODELS, others[i]);
        REQUIRE(make(&env, directory, CX_EMBED_FLOAT32, &e, NULL) == CX_OK);
        cx_embedder_info(e, &two);
        EXPECT(strcmp(one.fingerprint, two.fingerprint) != 0);
        cx_embedder_free(&e);
    }
    tiny_set("sentence_bert_config.json", "max_seq_length", json_integer(39));
    REQUIRE(make(&env, test_dir(), CX_EMBED_FLOAT32, &e, NULL) == CX_OK);
    cx_embedder_info(e, &two);
    EXPECT(strcmp(one.fingerprint, two.fingerprint) != 0);
    cx_embedder_free(&e);
    env_close(&env);
}

static void fingerprint_of(struct env *env, enum cx_embed_precision precision, const char *kernel,
                           char out[65])
{
    const struct cx_embed_huggingface_options options = { .directory = TINY,
                                                          .model = "tiny",
                                                          .precision = precision,
                                                          .kernel = kernel,
                                                          .loop = env->loop,
                                                          .lane = env->lane };
    struct cx_embedder *e = NULL;
    struct cx_embedder_info info;
    REQUIRE(cx_embedder_huggingface(&options, &e, NULL) == CX_OK);
    cx_embedder_info(e, &info);
    (void)snprintf(out, 65, "%s", info.fingerprint);
    cx_embedder_free(&e);
}

/* Whatever kernel is asked for: reduced where that is faster, and then only. */
TEST(huggingface_chooses_its_precision)
{
    struct env env;
    REQUIRE(env_open(&env, 4));
    const char *names[EMBED__ENCODER_KERNELS_MAX];
    const size_t count = embed__encoder_kernels(EMBED__FLOAT32, names);
    EXPECT(count > 0);
    for (size_t i = 0; i <= count; i++) {
        const char *kernel = i < count ? names[i] : NULL;
        const bool amx = strcmp(kernel != NULL ? kernel : names[0], "amx") == 0;
        char chosen[65];
        char want[65];
        fingerprint_of(&env, CX_EMBED_PRECISION_AUTO, kernel, chosen);
        fingerprint_of(&env, amx ? CX_EMBED_BFLOAT16 : CX_EMBED_FLOAT32, kernel, want);
        EXPECT_STR(chosen, want);
    }
    env_close(&env);
}

TEST(huggingface_that_cannot_be_leaves_nothing)
{
    struct env env;
    REQUIRE(env_open(&env, 4));
    struct cx_embedder *e = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(make(&env, "/nowhere/at/all", CX_EMBED_FLOAT32, &e, &err), CX_NOT_FOUND);
    (void)tiny_copy();
    tiny_cut("model.safetensors", 1);
    EXPECT_INT(make(&env, test_dir(), CX_EMBED_FLOAT32, &e, &err), CX_INVALID);
    EXPECT(strstr(err.text, "which is cut") != NULL);
    const struct cx_embed_huggingface_options options = {
        .directory = TINY, .model = "tiny", .kernel = "none", .loop = env.loop, .lane = env.lane
    };
    EXPECT_INT(cx_embedder_huggingface(&options, &e, &err), CX_NOT_CONFIGURED);
    EXPECT(e == NULL);
    env_close(&env);
}

/* ---- Slices ---- */

static struct cx_str *make_texts(size_t count)
{
    static const char *const words[] = { "cat", "dog", "file", "memory", "red", "the", "river" };
    struct cx_str *texts = cx_alloc(count * sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        struct cx_buf b;
        cx_buf_init(&b, 1 << 20);
        for (size_t w = 0; w <= i % 50; w++) {
            cx_buf_printf(&b, "%s ", words[(i * 7 + w * w) % CX_ARRAY_LEN(words)]);
        }
        texts[i].p = cx_buf_take(&b, &texts[i].len);
    }
    return texts;
}

static void free_texts(struct cx_str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)texts[i].p);
    }
    free(texts);
}

/* As far as float32 goes: the encoder's kernels say more of themselves. */
static bool same(const float *a, const float *b)
{
    bool all = true;
    for (size_t i = 0; i < TINY_DIMENSION; i++) {
        all = all && fabsf(a[i] - b[i]) < 2e-6F;
    }
    return all;
}

TEST(huggingface_embeds_many_as_it_embeds_one)
{
    struct env env;
    REQUIRE(env_open(&env, 8));
    cx_lane_free(&env.lane);
    const struct cx_lane_options two = { .name = "cpu", .running = 2, .waiting = 8 };
    cx_lane_new(env.loop, &two, &env.lane); /* workers side by side */
    struct cx_embedder *e = NULL;
    REQUIRE(make(&env, TINY, CX_EMBED_FLOAT32, &e, NULL) == CX_OK);
    const size_t count = 300;
    struct cx_str *texts = make_texts(count);
    struct call many[3];
    for (size_t i = 0; i < 3; i++) { /* calls that share slices */
        REQUIRE(call_start(&many[i], &env, e, CX_EMBED_DOCUMENT, texts + i * 100, 100, 60000) ==
                CX_OK);
    }
    env_run(&env);
    size_t wrong = 0;
    size_t truncated = 0;
    for (size_t i = 0; i < count; i++) {
        struct call one;
        REQUIRE(call_start(&one, &env, e, CX_EMBED_DOCUMENT, &texts[i], 1, 60000) == CX_OK);
        env_run(&env);
        REQUIRE(one.result.status == CX_OK);
        truncated += one.result.truncated;
        wrong += !same(one.result.vectors, many[i / 100].result.vectors + i % 100 * TINY_DIMENSION);
        call_free(&one);
    }
    EXPECT_INT(wrong, 0);
    EXPECT_INT(many[0].result.truncated + many[1].result.truncated + many[2].result.truncated,
               truncated);
    EXPECT_INT(truncated, 6 * 12); /* those of 39 to 50 words, with two specials of 40 tokens */
    for (size_t i = 0; i < 3; i++) {
        call_free(&many[i]);
    }
    free_texts(texts, count);
    cx_embedder_free(&e);
    env_close(&env);
}

TEST(huggingface_embeds_nothing_later)
{
    struct env env;
    struct cx_embedder *e = NULL;
    REQUIRE(open_tiny(&env, 4, &e));
    struct call call;
    REQUIRE(call_start(&call, &env, e, CX_EMBED_DOCUMENT, NULL, 0, 1000) == CX_OK);
    EXPECT_INT(call.completions, 0);
    env_run(&env);
    EXPECT_INT(call.completions, 1);
    EXPECT_INT(call.result.status, CX_OK);
    call_free(&call);
    cx_embedder_free(&e);
    env_close(&env);
}

/* Documents that came first do not keep a query waiting for more than the slices that are out. */
TEST(huggingface_queries_pass_documents)
{
    struct env env;
    struct cx_embedder *e = NULL;
    REQUIRE(open_tiny(&env, 8, &e));
    const size_t count = 2000;
    struct cx_str *texts = make_texts(count);
    const struct cx_str query = CX_STR("a cat");
    struct call bulk;
    struct call one;
    REQUIRE(call_start(&bulk, &env, e, CX_EMBED_DOCUMENT, texts, count, 60000) == CX_OK);
    REQUIRE(call_start(&one, &env, e, CX_EMBED_QUERY, &query, 1, 60000) == CX_OK);
    env_run(&env);
    EXPECT_INT(one.result.status, CX_OK);
    EXPECT_INT(bulk.result.status, CX_OK);
    EXPECT(one.result.elapsed_ns < bulk.result.elapsed_ns);
    call_free(&bulk);
    call_free(&one);
    free_texts(texts, count);
    cx_embedder_free(&e);
    env_close(&env);
}

TEST(huggingface_cancel_and_deadline)
{
    struct env env;
    struct cx_embedder *e = NULL;
    REQUIRE(open_tiny(&env, 8, &e));
    const size_t count = 2000;
    struct cx_str *texts = make_texts(count);
    struct call calls[4];
    for (size_t i = 0; i < 4; i++) {
        REQUIRE(call_start(&calls[i], &env, e, CX_EMBED_DOCUMENT, texts, count,
                           i == 3 ? 0 : 60000) == CX_OK);
    }
    cx_embed_call_cancel(calls[0].handle); /* some of it is out */
    cx_embed_call_cancel(calls[2].handle); /* nothing of it is */
    EXPECT_INT(calls[2].completions, 0);
    env_run(&env);
    EXPECT_INT(calls[0].result.status, CX_CANCELLED);
    EXPECT_INT(calls[1].result.status, CX_OK);
    EXPECT_INT(calls[2].result.status, CX_CANCELLED);
    EXPECT_INT(calls[3].result.status, CX_EMBEDDING_TIMEOUT);
    for (size_t i = 0; i < 4; i++) {
        EXPECT_INT(calls[i].completions, 1);
        call_free(&calls[i]);
    }
    free_texts(texts, count);
    cx_embedder_free(&e);
    env_close(&env);
}

static void on_block(void *arg)
{
    (void)arg;
}

static void on_blocked(void *arg, enum cx_status status)
{
    (void)status;
    ((struct env *)arg)->under_way--;
}

/* A full lane: an error, once, and later calls go through. */
TEST(huggingface_refused_by_its_lane)
{
    struct env env;
    struct cx_embedder *e = NULL;
    REQUIRE(open_tiny(&env, 1, &e));
    struct cx_job *job = NULL;
    while (cx_lane_submit(env.lane, CX_PRIORITY_HIGH, on_block, on_blocked, &env, &job) == CX_OK) {
        env.under_way++;
    }
    const struct cx_str text = CX_STR("a cat");
    struct call call;
    REQUIRE(call_start(&call, &env, e, CX_EMBED_QUERY, &text, 1, 60000) == CX_OK);
    EXPECT_INT(call.completions, 0);
    env_run(&env);
    EXPECT_INT(call.completions, 1);
    EXPECT(call.result.status == CX_OVERLOADED || call.result.status == CX_OK);
    call_free(&call);
    REQUIRE(call_start(&call, &env, e, CX_EMBED_QUERY, &text, 1, 60000) == CX_OK);
    env_run(&env);
    EXPECT_INT(call.result.status, CX_OK);
    call_free(&call);
    cx_embedder_free(&e);
    env_close(&env);
}

TEST(huggingface_counts_its_own_tokens)
{
    struct env env;
    struct cx_embedder *e = NULL;
    REQUIRE(open_tiny(&env, 4, &e));
    const struct cx_str texts[] = {
        CX_STR("the cats"), CX_STR("a"),
        CX_STR("a a a a a a a a a a a a "
               "a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a")
    };
    size_t tokens = 0;
    EXPECT(cx_embedder_count_tokens(e, CX_EMBED_QUERY, texts, 3, &tokens));
    EXPECT_INT(tokens, 4 + 3 + 40);
    struct cx_batcher_options options;
    cx_batcher_defaults(false, &options);
    options.loop = env.loop;
    options.inner = e;
    struct cx_embedder *front = NULL;
    REQUIRE(cx_embedder_batched(&options, &front, NULL) == CX_OK);
    EXPECT(cx_embedder_count_tokens(front, CX_EMBED_QUERY, texts, 2, &tokens));
    EXPECT_INT(tokens, 7);
    /* Of several texts the one that was cut, not the longest. */
    const struct cx_str two[] = {
        texts[2], CX_STR("permissions permissions permissions permissions "
                         "permissions permissions permissions permissions permissions")
    };
    struct call call;
    REQUIRE(call_start(&call, &env, front, CX_EMBED_DOCUMENT, two, 2, 60000) == CX_OK);
    env_run(&env);
    EXPECT_INT(call.result.truncated, 1);
    call_free(&call);
    REQUIRE(call_start(&call, &env, front, CX_EMBED_DOCUMENT, two + 1, 1, 60000) == CX_OK);
    env_run(&env);
    EXPECT_INT(call.result.truncated, 0); /* from the cache */
    call_free(&call);
    cx_embedder_free(&front);
    cx_embedder_builtin(env.lane, &e);
    EXPECT(!cx_embedder_count_tokens(e, CX_EMBED_QUERY, texts, 1, &tokens));
    cx_embedder_free(&e);
    env_close(&env);
}
