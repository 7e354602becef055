/* SPDX-License-Identifier: MIT
 *
 * Everything in front of a provider, over the OpenAI provider and a scripted server: real sockets, the
 * real clock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"
#include "env.h"

struct weather {
    struct upstream upstream;
    const char
        *first[REQUESTS_MAX]; /* status lines (with headers) of the first requests; NULL = good */
    bool refuses_bad;
};

static void put_good(size_t inputs, struct cx_buf *out)
{
    struct cx_buf body;
    cx_buf_init(&body, 1 << 20);
    cx_buf_puts(&body, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < inputs; i++) {
        cx_buf_printf(&body, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":[%zu,1,0]}",
                      i > 0 ? "," : "", i, i);
    }
    cx_buf_puts(&body, "],\"model\":\"m\",\"usage\":{\"prompt_tokens\":1,\"total_tokens\":1}}");
    cx_buf_printf(out,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                  "Connection: close\r\n\r\n",
                  body.len);
    cx_buf_append(out, body.data, body.len);
    cx_buf_free(&body);
}

static void on_request(void *ctx, size_t n, struct cx_str request, struct cx_buf *out)
{
    const struct weather *w = ctx;
    json_t *json = NULL;
    if (cx_json_parse(request, &json, NULL) != CX_OK) {
        return;
    }
    const json_t *input = json_object_get(json, "input");
    bool bad = false;
    size_t i;
    const json_t *text;
    json_array_foreach(input, i, text)
    {
        bad = bad || strcmp(json_string_value(text), "bad") == 0;
    }
    const char *head = n < REQUESTS_MAX ? w->first[n] : NULL;
    if (bad && w->refuses_bad) {
        head = "400 Bad Request";
    }
    if (head != NULL) {
        cx_buf_printf(out, "HTTP/1.1 %s\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", head);
    } else {
        put_good(json_array_size(input), out);
    }
    json_decref(json);
}

static void front_open(struct weather *w, struct env *env, struct cx_embedder **e)
{
    struct cx_err err = { "" };
    char url[64];
    CX_CHECK(env_open(env, 64));
    w->upstream.answer = on_request;
    w->upstream.ctx = w;
    CX_CHECK(upstream_start(&w->upstream, NULL));
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/v1", w->upstream.port);
    const struct cx_embed_openai_options openai = { .fetch = env->fetch,
                                                    .base_url = url,
                                                    .model = "m",
                                                    .dimensions = 3,
                                                    .lane = env->lane,
                                                    .timeout_ms = 5000 };
    struct cx_batcher_options o;
    cx_batcher_defaults(true, &o);
    CX_CHECK(cx_embedder_openai(&openai, &o.inner, &err) == CX_OK);
    o.loop = env->loop;
    o.cpu_lane = env->lane;
    o.retry_base_ms = 2;
    CX_CHECK(cx_embedder_batched(&o, e, &err) == CX_OK);
}

static void front_close(struct weather *w, struct env *env, struct cx_embedder **e)
{
    EXPECT(cx_embedder_idle(*e));
    cx_embedder_free(e);
    env_close(env);
    upstream_stop(&w->upstream);
}

static const char SERVER_ERROR[] = "500 Internal Server Error";

TEST(front_joins_what_is_asked_together)
{
    struct weather w = { .refuses_bad = false };
    struct env env;
    struct cx_embedder *e = NULL;
    struct call calls[3];
    const struct cx_str a = CX_STR("a");
    const struct cx_str b = CX_STR("b");
    front_open(&w, &env, &e);
    EXPECT_INT(call_start(&calls[0], &env, e, CX_EMBED_QUERY, &a, 1, 10000), CX_OK);
    EXPECT_INT(call_start(&calls[1], &env, e, CX_EMBED_QUERY, &b, 1, 10000), CX_OK);
    EXPECT_INT(call_start(&calls[2], &env, e, CX_EMBED_QUERY, &a, 1, 10000), CX_OK);
    env_run(&env);
    for (size_t i = 0; i < 3; i++) {
        REQUIRE(calls[i].result.status == CX_OK);
        EXPECT_INT(calls[i].result.dimension, 3);
    }
    EXPECT(calls[0].result.vectors[1] == 1.0F);
    EXPECT_BYTES(calls[0].result.vectors, 12, calls[2].result.vectors, 12);
    EXPECT(calls[1].result.vectors[0] > 0.7F);
    EXPECT_INT(w.upstream.requests, 1);
    for (size_t i = 0; i < 3; i++) {
        call_free(&calls[i]);
    }
    front_close(&w, &env, &e);
}

TEST(front_tries_again_after_a_server_error)
{
    struct weather w = { .first = { SERVER_ERROR, SERVER_ERROR } };
    struct env env;
    struct cx_embedder *e = NULL;
    struct call call;
    const struct cx_str a = CX_STR("a");
    front_open(&w, &env, &e);
    EXPECT_INT(call_start(&call, &env, e, CX_EMBED_QUERY, &a, 1, 10000), CX_OK);
    env_run(&env);
    EXPECT_STR(cx_status_name(call.result.status), "OK");
    EXPECT_INT(w.upstream.requests, 3);
    call_free(&call);
    front_close(&w, &env, &e);
}

TEST(front_opens_the_circuit_of_a_server_that_fails)
{
    struct weather w = { .first = { SERVER_ERROR, SERVER_ERROR, SERVER_ERROR } };
    struct env env;
    struct cx_embedder *e = NULL;
    struct call call;
    const struct cx_str a = CX_STR("a");
    front_open(&w, &env, &e);
    EXPECT_INT(call_start(&call, &env, e, CX_EMBED_QUERY, &a, 1, 10000), CX_OK);
    env_run(&env);
    EXPECT_STR(cx_status_name(call.result.status), "EMBEDDING_UPSTREAM");
    EXPECT_INT(call_start(&call, &env, e, CX_EMBED_QUERY, &a, 1, 10000), CX_OK);
    env_run(&env);
    EXPECT_STR(cx_status_name(call.result.status), "EMBEDDING_CIRCUIT_OPEN");
    EXPECT_INT(w.upstream.requests, 3);
    struct cx_circuit_info info;
    cx_embedder_circuit(e, &info);
    EXPECT_INT(info.state, CX_CIRCUIT_OPEN);
    EXPECT(info.retry_in_ms > 50000);
    front_close(&w, &env, &e);
}

TEST(front_tells_a_caller_its_own_time_is_over)
{
    struct weather w = { .first = { "429 Too Many Requests\r\nRetry-After: 30" } };
    struct env env;
    struct cx_embedder *e = NULL;
    struct call call;
    const struct cx_str a = CX_STR("a");
    front_open(&w, &env, &e);
    EXPECT_INT(call_start(&call, &env, e, CX_EMBED_QUERY, &a, 1, 10000), CX_OK);
    env_run(&env); /* at once: there is no use in waiting */
    EXPECT_STR(cx_status_name(call.result.status), "EMBEDDING_RATE_LIMITED");
    EXPECT(call.result.retry_after_ms > 20000 && call.result.retry_after_ms <= 30000);
    EXPECT_INT(w.upstream.requests, 1);
    front_close(&w, &env, &e);
}

TEST(front_finds_the_text_that_is_refused)
{
    struct weather w = { .refuses_bad = true };
    struct env env;
    struct cx_embedder *e = NULL;
    struct call calls[3];
    const struct cx_str texts[] = { CX_STR("a"), CX_STR("bad"), CX_STR("c") };
    front_open(&w, &env, &e);
    for (size_t i = 0; i < 3; i++) {
        EXPECT_INT(call_start(&calls[i], &env, e, CX_EMBED_QUERY, &texts[i], 1, 10000), CX_OK);
    }
    env_run(&env);
    for (size_t i = 0; i < 3; i++) {
        EXPECT_STR(cx_status_name(calls[i].result.status), i == 1 ? "INVALID" : "OK");
        call_free(&calls[i]);
    }
    front_close(&w, &env, &e);
}
