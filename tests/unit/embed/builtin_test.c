/* SPDX-License-Identifier: MIT
 *
 * The builtin provider on its lane: results, slices, queries before documents, cancel, refusal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env.h"

#define DIMENSION CX_EMBED_BUILTIN_DIMENSION

static struct cx_str *make_texts(size_t count, size_t words)
{
    struct cx_str *texts = calloc(count, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        struct cx_buf b;
        cx_buf_init(&b, 1 << 20);
        for (size_t w = 0; w < words; w++) {
            cx_buf_printf(&b, "word%zu ", i * 31 + w);
        }
        texts[i].p = cx_buf_take(&b, &texts[i].len);
    }
    return texts;
}

static void free_texts(struct cx_str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)texts[i].p);
    }
    free(texts);
}

TEST(builtin_info)
{
    struct env env;
    REQUIRE(env_open(&env, 4));
    struct cx_embedder *e = NULL;
    cx_embedder_builtin(env.lane, &e);
    struct cx_embedder_info info;
    cx_embedder_info(e, &info);
    EXPECT_STR(info.provider, "builtin");
    EXPECT_INT(info.dimension, DIMENSION);
    EXPECT_INT(strlen(info.fingerprint), 64);
    cx_embedder_free(&e);
    cx_embedder_free(&e);
    env_close(&env);
}

TEST(builtin_embeds_many)
{
    struct env env;
    REQUIRE(env_open(&env, 4));
    struct cx_embedder *e = NULL;
    cx_embedder_builtin(env.lane, &e);
    const size_t count = 300; /* several slices */
    struct cx_str *texts = make_texts(count, 10);
    struct call call;
    REQUIRE(call_start(&call, &env, e, CX_EMBED_DOCUMENT, texts, count, 60000) == CX_OK);
    env_run(&env);
    REQUIRE(call.completions == 1 && call.result.status == CX_OK);
    EXPECT_INT(call.result.count, count);
    EXPECT_INT(call.result.dimension, DIMENSION);
    EXPECT_INT(call.result.truncated, 0);
    for (size_t i = 0; i < count; i++) {
        float want[DIMENSION];
        cx_embed_builtin_text(texts[i], want);
        EXPECT_BYTES(call.result.vectors + i * DIMENSION, sizeof want, want, sizeof want);
    }
    call_free(&call);
    free_texts(texts, count);
    cx_embedder_free(&e);
    env_close(&env);
}

TEST(builtin_embeds_nothing_later)
{
    struct env env;
    REQUIRE(env_open(&env, 4));
    struct cx_embedder *e = NULL;
    cx_embedder_builtin(env.lane, &e);
    struct call call;
    REQUIRE(call_start(&call, &env, e, CX_EMBED_QUERY, NULL, 0, 1000) == CX_OK);
    EXPECT_INT(call.completions, 0);
    env_run(&env);
    EXPECT_INT(call.completions, 1);
    EXPECT_INT(call.result.status, CX_OK);
    call_free(&call);
    cx_embedder_free(&e);
    env_close(&env);
}

TEST(builtin_says_what_it_cut)
{
    struct env env;
    REQUIRE(env_open(&env, 4));
    struct cx_embedder *e = NULL;
    cx_embedder_builtin(env.lane, &e);
    struct cx_str *texts = make_texts(3, 10);
    struct cx_str *large = make_texts(1, 30000);
    const struct cx_str four[] = { texts[0], large[0], texts[1], large[0] };
    struct call call;
    REQUIRE(call_start(&call, &env, e, CX_EMBED_DOCUMENT, four, 4, 60000) == CX_OK);
    env_run(&env);
    EXPECT_INT(call.result.status, CX_OK);
    EXPECT_INT(call.result.truncated, 2);
    call_free(&call);
    free_texts(texts, 3);
    free_texts(large, 1);
    cx_embedder_free(&e);
    env_close(&env);
}

struct order {
    struct env *env;
    unsigned ended;
    unsigned query_place;
    unsigned documents_place;
};

static void on_query(void *ctx, struct cx_embed_result *result)
{
    struct order *o = ctx;
    EXPECT_INT(result->status, CX_OK);
    free(result->vectors);
    o->query_place = ++o->ended;
    if (o->ended == 2) {
        cx_loop_stop(o->env->loop);
    }
}

static void on_documents(void *ctx, struct cx_embed_result *result)
{
    struct order *o = ctx;
    EXPECT_INT(result->status, CX_OK);
    free(result->vectors);
    o->documents_place = ++o->ended;
    if (o->ended == 2) {
        cx_loop_stop(o->env->loop);
    }
}

TEST(a_query_does_not_wait_for_all_documents)
{
    struct env env;
    REQUIRE(env_open(&env, 4));
    struct cx_embedder *e = NULL;
    cx_embedder_builtin(env.lane, &e);
    const size_t count = 1000;
    struct cx_str *texts = make_texts(count, 20);
    const struct cx_str query = CX_STR("one query");
    struct order order = { .env = &env };
    struct cx_embed_call *call = NULL;
    struct cx_err err;
    REQUIRE(cx_embedder_start(e, CX_EMBED_DOCUMENT, texts, count, 60000, NULL, on_documents, &order,
                              &call, &err) == CX_OK);
    REQUIRE(cx_embedder_start(e, CX_EMBED_QUERY, &query, 1, 60000, NULL, on_query, &order, &call,
                              &err) == CX_OK);
    cx_loop_run(env.loop);
    EXPECT_INT(order.query_place, 1);
    EXPECT_INT(order.documents_place, 2);
    free_texts(texts, count);
    cx_embedder_free(&e);
    env_close(&env);
}

TEST(builtin_cancel_completes_once)
{
    struct env env;
    REQUIRE(env_open(&env, 4));
    struct cx_embedder *e = NULL;
    cx_embedder_builtin(env.lane, &e);
    const size_t count = 1000;
    struct cx_str *texts = make_texts(count, 20);
    struct call running;
    struct call queued;
    REQUIRE(call_start(&running, &env, e, CX_EMBED_DOCUMENT, texts, count, 60000) == CX_OK);
    REQUIRE(call_start(&queued, &env, e, CX_EMBED_DOCUMENT, texts, count, 60000) == CX_OK);
    cx_embed_call_cancel(queued.handle);
    cx_embed_call_cancel(running.handle);
    cx_embed_call_cancel(running.handle);
    EXPECT_INT(running.completions + queued.completions, 0);
    env_run(&env);
    EXPECT_INT(running.result.status, CX_CANCELLED);
    EXPECT_INT(queued.result.status, CX_CANCELLED);
    EXPECT(running.result.vectors == NULL && queued.result.vectors == NULL);
    free_texts(texts, count);
    cx_embedder_free(&e);
    env_close(&env);
}

TEST(builtin_refuses_what_does_not_fit)
{
    struct env env;
    REQUIRE(env_open(&env, 1));
    struct cx_embedder *e = NULL;
    cx_embedder_builtin(env.lane, &e);
    struct cx_str *texts = make_texts(1, 1000);
    struct call calls[8];
    size_t started = 0;
    enum cx_status status = CX_OK;
    while (status == CX_OK && started < CX_ARRAY_LEN(calls)) {
        status = call_start(&calls[started], &env, e, CX_EMBED_QUERY, texts, 1, 60000);
        started += status == CX_OK ? 1 : 0;
    }
    EXPECT_INT(status, CX_OVERLOADED);
    EXPECT_INT(started, 2); /* one runs, one waits */
    env_run(&env);
    for (size_t i = 0; i < started; i++) {
        EXPECT_INT(calls[i].result.status, CX_OK);
        call_free(&calls[i]);
    }
    struct call call;
    EXPECT_INT(call_start(&call, &env, e, CX_EMBED_QUERY, texts, 1000000, 1000), CX_TOO_LARGE);
    EXPECT_INT(call.completions, 0);
    free_texts(texts, 1);
    cx_embedder_free(&e);
    env_close(&env);
}
