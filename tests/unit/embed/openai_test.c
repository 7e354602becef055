/* SPDX-License-Identifier: MIT
 *
 * The OpenAI provider against a scripted server: what is sent, what is believed, how each failure is
 * named, and that neither key nor answer shows in an error.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"
#include "cortex/json.h"
#include "embed/openai.h"
#include "env.h"

#define KEY "sk-secret-0123456789"
#define SECRET_BODY "upstream-says-a-secret"

/* How the scripted server answers. */
enum script {
    GOOD_BASE64,
    GOOD_FLOATS,
    REVERSED,
    WRONG_COUNT,
    WRONG_INDEX,
    DOUBLE_INDEX,
    NOT_FINITE,
    WRONG_DIMENSION,
    MIXED_DIMENSIONS,
    NOT_JSON,
    NO_DATA,
    WORDS_FOR_NUMBERS,
    BROKEN_BASE64,
    EMPTY_EMBEDDING,
    REFUSES_ENCODING,
    REFUSES_DIMENSIONS, /* and the encoding */
    STATUS,
    CUT_BODY,
    FLOOD,
    SILENT,
};
struct server {
    struct upstream upstream;
    enum script script;
    int status;
    const char *headers; /* whole lines; NULL = none */
    unsigned dimension;
};

/* Not of length 1, so that it shows whether the provider makes it so: text i of n. */
static float number_of(size_t text, size_t i)
{
    return (float)(text + 1) * (i == text % 4 ? 2.0F : 0.5F);
}

static void put_embedding(const struct server *s, size_t text, bool floats, struct cx_buf *out)
{
    unsigned dimension = s->dimension;
    if (s->script == WRONG_DIMENSION || (s->script == MIXED_DIMENSIONS && text == 1)) {
        dimension++;
    }
    if (s->script == EMPTY_EMBEDDING) {
        dimension = 0;
    }
    float *numbers = calloc(dimension + 1, sizeof *numbers);
    for (size_t i = 0; i < dimension; i++) {
        numbers[i] = number_of(text, i);
    }
    if (s->script == NOT_FINITE) {
        numbers[1] = NAN;
    }
    if (floats) {
        cx_buf_putc(out, '[');
        for (size_t i = 0; i < dimension; i++) {
            cx_buf_printf(out, "%s%.9g", i > 0 ? "," : "", (double)numbers[i]);
        }
        cx_buf_putc(out, ']');
    } else if (s->script == WORDS_FOR_NUMBERS) {
        cx_buf_puts(out, "[1,\"two\",3,4]");
    } else {
        cx_buf_putc(out, '"');
        if (s->script == BROKEN_BASE64) {
            cx_buf_puts(out, "AAAA%%%%AAAAAAAAAAAA");
        } else {
            cx_base64_encode(numbers, dimension * sizeof *numbers, out);
        }
        cx_buf_putc(out, '"');
    }
    free(numbers);
}

static void put_answer(const struct server *s, size_t inputs, bool floats, struct cx_buf *body)
{
    cx_buf_puts(body, "{\"object\":\"list\",\"data\":[");
    const size_t count = s->script == WRONG_COUNT ? inputs - 1 : inputs;
    for (size_t i = 0; i < count; i++) {
        const size_t text = s->script == REVERSED ? count - 1 - i : i;
        size_t index = text;
        if (s->script == WRONG_INDEX && i == 1) {
            index = 7;
        } else if (s->script == DOUBLE_INDEX) {
            index = 0;
        }
        cx_buf_printf(body,
                      "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i > 0 ? "," : "",
                      index);
        put_embedding(s, text, floats, body);
        cx_buf_putc(body, '}');
    }
    cx_buf_puts(body, "],\"model\":\"m\",\"usage\":{\"prompt_tokens\":1,\"total_tokens\":1}}");
}

static void on_request(void *ctx, size_t n, struct cx_str request, struct cx_buf *out)
{
    (void)n;
    const struct server *s = ctx;
    if (s->script == SILENT) {
        return;
    }
    json_t *json = NULL;
    struct cx_err err;
    int status = 200;
    struct cx_buf body;
    cx_buf_init(&body, (size_t)256 << 20);
    if (cx_json_parse(request, &json, &err) != CX_OK) {
        status = 500;
    } else {
        const bool encoding = json_object_get(json, "encoding_format") != NULL;
        const bool dimensions = json_object_get(json, "dimensions") != NULL;
        const size_t inputs = json_array_size(json_object_get(json, "input"));
        if (s->script == STATUS) {
            status = s->status;
            cx_buf_puts(&body, SECRET_BODY);
        } else if ((s->script == REFUSES_ENCODING && encoding) ||
                   (s->script == REFUSES_DIMENSIONS && (encoding || dimensions))) {
            status = 400;
            cx_buf_puts(&body, SECRET_BODY);
        } else if (s->script == NOT_JSON) {
            cx_buf_puts(&body, SECRET_BODY);
        } else if (s->script == NO_DATA) {
            cx_buf_puts(&body, "{\"error\":\"" SECRET_BODY "\"}");
        } else if (s->script == FLOOD) {
            for (int i = 0; i < 2000000; i++) {
                cx_buf_puts(&body, "        ");
            }
        } else {
            const bool floats = s->script == GOOD_FLOATS || s->script == REFUSES_ENCODING ||
                                s->script == REFUSES_DIMENSIONS;
            put_answer(s, inputs, floats, &body);
        }
        json_decref(json);
    }
    cx_buf_printf(out,
                  "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                  "Connection: close\r\n%s\r\n",
                  status, body.len, s->headers != NULL ? s->headers : "");
    cx_buf_append(out, body.data, s->script == CUT_BODY ? body.len / 2 : body.len);
    cx_buf_free(&body);
}

struct world {
    struct env env;
    struct server server;
    struct cx_embedder *e;
};

static bool world_open_asking(struct world *w, enum script script, const char *model,
                              unsigned dimension, unsigned asked);

static bool world_open(struct world *w, enum script script, const char *model, unsigned dimension)
{
    return world_open_asking(w, script, model, dimension, 0);
}

static bool world_open_asking(struct world *w, enum script script, const char *model,
                              unsigned dimension, unsigned asked)
{
    memset(w, 0, sizeof *w);
    w->server.script = script;
    w->server.dimension = dimension;
    w->server.upstream.answer = on_request;
    w->server.upstream.ctx = &w->server;
    if (!upstream_start(&w->server.upstream, NULL) || !env_open(&w->env, 16)) {
        return false;
    }
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/", w->server.upstream.port);
    const struct cx_embed_openai_options options = {
        .fetch = w->env.fetch,
        .base_url = url,
        .api_key = KEY,
        .model = model,
        .dimensions = asked,
        .lane = w->env.lane,
        .timeout_ms = 20000,
    };
    struct cx_err err = { "" };
    return test_expect(cx_embedder_openai(&options, &w->e, &err) == CX_OK, __FILE__, __LINE__, "%s",
                       err.text);
}

static void world_close(struct world *w)
{
    cx_embedder_free(&w->e);
    env_close(&w->env);
    upstream_stop(&w->server.upstream);
}

static const struct cx_str TEXTS[] = {
    { "first", 5 }, { "second \"quoted\"", 15 }, { "", 0 }, { "d\xC3\xA9j\xC3\xA0", 6 }
};

static enum cx_status embed(struct world *w, struct call *call)
{
    if (call_start(call, &w->env, w->e, CX_EMBED_QUERY, TEXTS, CX_ARRAY_LEN(TEXTS), 30000) !=
        CX_OK) {
        return CX_INTERNAL;
    }
    env_run(&w->env);
    EXPECT(strstr(call->result.err.text, KEY) == NULL);
    EXPECT(strstr(call->result.err.text, SECRET_BODY) == NULL);
    EXPECT(strstr(call->result.err.text, "127.0.0.1") == NULL);
    EXPECT((call->result.status == CX_OK) == (call->result.vectors != NULL));
    EXPECT((call->result.status == CX_OK) == (call->result.err.text[0] == '\0'));
    return call->result.status;
}

static void expect_good(struct world *w)
{
    struct call call;
    REQUIRE(embed(w, &call) == CX_OK);
    EXPECT_INT(call.result.count, CX_ARRAY_LEN(TEXTS));
    EXPECT_INT(call.result.dimension, 4);
    for (size_t text = 0; text < CX_ARRAY_LEN(TEXTS); text++) {
        double sum = 0;
        for (size_t i = 0; i < 4; i++) {
            sum += (double)number_of(text, i) * (double)number_of(text, i);
        }
        for (size_t i = 0; i < 4; i++) {
            const double want = (double)number_of(text, i) / sqrt(sum);
            EXPECT(fabs((double)call.result.vectors[text * 4 + i] - want) < 1e-6);
        }
    }
    call_free(&call);
}

TEST(openai_believes_good_answers)
{
    static const enum script SCRIPTS[] = { GOOD_BASE64, GOOD_FLOATS, REVERSED, REFUSES_ENCODING };
    for (size_t i = 0; i < CX_ARRAY_LEN(SCRIPTS); i++) {
        struct world w;
        REQUIRE(world_open(&w, SCRIPTS[i], "some-model", 4));
        expect_good(&w);
        struct cx_embedder_info info;
        cx_embedder_info(w.e, &info);
        EXPECT_INT(info.dimension, 4); /* learned */
        expect_good(&w);
        /* The second call to a server that refuses the encoding does not try it again. */
        EXPECT_INT(w.server.upstream.requests, SCRIPTS[i] == REFUSES_ENCODING ? 3 : 2);
        world_close(&w);
    }
}

TEST(openai_sends_what_the_api_takes)
{
    struct world w;
    REQUIRE(world_open(&w, GOOD_BASE64, "some \"model\"", 4));
    expect_good(&w);
    const char *head = w.server.upstream.heads[0];
    EXPECT(strncmp(head, "POST /v1/embeddings HTTP/1.1\r\n", 30) == 0);
    EXPECT(strstr(head, "\r\nAuthorization: Bearer " KEY "\r\n") != NULL);
    EXPECT(strstr(head, "\r\nContent-Type: application/json\r\n") != NULL);
    EXPECT(strstr(head, "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                        "\r\n") != NULL);
    EXPECT_STR(w.server.upstream.bodies[0],
               "{\"model\":\"some \\\"model\\\"\",\"encoding_format\":\"base64\",\"input\":["
               "\"first\",\"second \\\"quoted\\\"\",\" \",\"d\xC3\xA9j\xC3\xA0\"]}");
    world_close(&w);
}

/* A model of one dimension whose server refuses to be asked for it: once it has answered, it is asked
 * the way that it takes; and held to the dimension all the same. */
TEST(openai_leaves_out_what_is_refused)
{
    struct world w;
    REQUIRE(world_open_asking(&w, REFUSES_DIMENSIONS, "some-model", 4, 4));
    expect_good(&w);
    expect_good(&w);
    EXPECT_INT(w.server.upstream.requests, 4);
    EXPECT(strstr(w.server.upstream.bodies[0], "\"encoding_format\":\"base64\",\"dimensions\":4"));
    EXPECT(strstr(w.server.upstream.bodies[1], "\"some-model\",\"dimensions\":4"));
    EXPECT(strstr(w.server.upstream.bodies[2], "\"some-model\",\"input\""));
    EXPECT(strstr(w.server.upstream.bodies[3], "\"some-model\",\"input\""));
    world_close(&w);
    REQUIRE(world_open_asking(&w, REFUSES_DIMENSIONS, "some-model", 6, 4));
    struct call call;
    EXPECT_INT(embed(&w, &call), CX_EMBEDDING_UPSTREAM);
    EXPECT_STR(call.result.err.text, "the embedding service answered embeddings of 6 dimensions "
                                     "instead of 4");
    world_close(&w);
    /* What it refuses for another reason is refused in the end. */
    REQUIRE(world_open_asking(&w, STATUS, "some-model", 4, 4));
    w.server.status = 400;
    EXPECT(embed(&w, &call) != CX_OK);
    EXPECT_INT(w.server.upstream.requests, 3);
    world_close(&w);
}

TEST(openai_doubts_bad_answers)
{
    static const enum script SCRIPTS[] = {
        WRONG_COUNT, WRONG_INDEX, DOUBLE_INDEX,      NOT_FINITE,    MIXED_DIMENSIONS, NOT_JSON,
        NO_DATA,     CUT_BODY,    WORDS_FOR_NUMBERS, BROKEN_BASE64, EMPTY_EMBEDDING,  FLOOD,
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(SCRIPTS); i++) {
        struct world w;
        REQUIRE(world_open(&w, SCRIPTS[i], "some-model", 4));
        struct call call;
        const enum cx_status status = embed(&w, &call);
        (void)test_expect(status == CX_EMBEDDING_UPSTREAM, __FILE__, __LINE__, "script %d: %s (%s)",
                          (int)SCRIPTS[i], cx_status_name(status), call.result.err.text);
        struct cx_embedder_info info;
        cx_embedder_info(w.e, &info);
        EXPECT_INT(info.dimension, 0); /* nothing is learned from what is not believed */
        world_close(&w);
    }
}

TEST(openai_holds_the_dimension)
{
    struct world w;
    REQUIRE(world_open(&w, GOOD_BASE64, "some-model", 4));
    expect_good(&w);
    w.server.script = WRONG_DIMENSION;
    struct call call;
    EXPECT_INT(embed(&w, &call), CX_EMBEDDING_UPSTREAM);
    w.server.script = GOOD_FLOATS;
    expect_good(&w);
    world_close(&w);
    /* Of a model that is known, before the first answer too. */
    REQUIRE(world_open(&w, GOOD_BASE64, "text-embedding-3-small", 4));
    struct cx_embedder_info info;
    cx_embedder_info(w.e, &info);
    EXPECT_INT(info.dimension, 1536);
    EXPECT_INT(embed(&w, &call), CX_EMBEDDING_UPSTREAM);
    w.server.dimension = 1536;
    EXPECT_INT(embed(&w, &call), CX_OK);
    call_free(&call);
    world_close(&w);
}

TEST(openai_names_failures)
{
    static const struct {
        int status;
        enum cx_status want;
    } ROWS[] = {
        { 401, CX_EMBEDDING_UNAUTHORIZED }, { 403, CX_EMBEDDING_UNAUTHORIZED },
        { 429, CX_EMBEDDING_RATE_LIMITED }, { 500, CX_EMBEDDING_UPSTREAM },
        { 503, CX_EMBEDDING_UPSTREAM },     { 504, CX_EMBEDDING_TIMEOUT },
        { 404, CX_EMBEDDING_UPSTREAM },     { 302, CX_EMBEDDING_UPSTREAM },
        { 400, CX_EMBEDDING_UPSTREAM },
    };
    struct world w;
    REQUIRE(world_open(&w, STATUS, "some-model", 4));
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        w.server.status = ROWS[i].status;
        struct call call;
        const enum cx_status status = embed(&w, &call);
        (void)test_expect(status == ROWS[i].want, __FILE__, __LINE__, "%d: %s", ROWS[i].status,
                          cx_status_name(status));
    }
    world_close(&w);
}

TEST(openai_hands_on_when_to_come_back)
{
    static const struct {
        int status;
        const char *headers;
        uint64_t want_ms;
    } ROWS[] = {
        { 429, NULL, 0 },
        { 429, "Retry-After: 2\r\n", 2000 },
        { 503, "Retry-After: 0.25\r\n", 250 },
        { 429, "retry-after-ms: 70\r\nRetry-After: 1\r\n", 70 },
        { 429, "Retry-After: Sun, 08 Feb 2026 10:00:00 GMT\r\n", 0 },
        { 429, "Retry-After: -5\r\n", 0 },
        { 429, "Retry-After: 99999999999999999999\r\n", 86400000 },
        { 429, "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6m0.5s\r\n",
          360500 },
        { 429,
          "Retry-After: 1\r\nx-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: "
          "1500ms\r\n",
          1500 },
        { 429, "x-ratelimit-remaining-requests: 7\r\nx-ratelimit-reset-requests: 6m0s\r\n", 0 },
        { 429, "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: soon\r\n", 0 },
    };
    struct world w;
    REQUIRE(world_open(&w, STATUS, "some-model", 4));
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        w.server.status = ROWS[i].status;
        w.server.headers = ROWS[i].headers;
        struct call call;
        EXPECT(embed(&w, &call) != CX_OK);
        EXPECT_INT(call.result.retry_after_ms, ROWS[i].want_ms);
        EXPECT(!call.result.input_refused);
    }
    w.server.status = 413;
    struct call call;
    EXPECT_INT(embed(&w, &call), CX_EMBEDDING_UPSTREAM);
    EXPECT(call.result.input_refused);
    w.server.script = GOOD_BASE64;
    w.server.headers = "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 1s\r\n";
    EXPECT_INT(embed(&w, &call), CX_OK);
    EXPECT_INT(call.result.retry_after_ms, 1000);
    EXPECT(!call.result.input_refused);
    call_free(&call);
    world_close(&w);
}

TEST(openai_unreachable)
{
    struct world w;
    REQUIRE(world_open(&w, GOOD_BASE64, "some-model", 4));
    upstream_stop(&w.server.upstream);
    struct call call;
    EXPECT_INT(embed(&w, &call), CX_EMBEDDING_UPSTREAM);
    cx_embedder_free(&w.e);
    env_close(&w.env);
}

TEST(openai_times_out)
{
    struct world w;
    REQUIRE(world_open(&w, SILENT, "some-model", 4));
    struct call call;
    REQUIRE(call_start(&call, &w.env, w.e, CX_EMBED_QUERY, TEXTS, 1, 200) == CX_OK);
    env_run(&w.env);
    EXPECT_INT(call.result.status, CX_EMBEDDING_TIMEOUT);
    EXPECT_INT(call_start(&call, &w.env, w.e, CX_EMBED_QUERY, TEXTS, 1, 0), CX_EMBEDDING_TIMEOUT);
    world_close(&w);
}

struct canceller {
    struct call *call;
    struct upstream *upstream;
    struct cx_timer *timer;
};

static void on_time(void *ctx)
{
    const struct canceller *c = ctx;
    if (upstream_requests(c->upstream) == 0) {
        cx_timer_start(c->timer, 5,
                       0); /* it has not gone out yet, and only this thread can send it */
        return;
    }
    cx_embed_call_cancel(c->call->handle);
}

TEST(openai_cancel_completes_once)
{
    struct world w;
    REQUIRE(world_open(&w, SILENT, "some-model", 4));
    struct call call;
    /* At once, before anything was sent. */
    REQUIRE(call_start(&call, &w.env, w.e, CX_EMBED_QUERY, TEXTS, 1, 30000) == CX_OK);
    cx_embed_call_cancel(call.handle);
    EXPECT_INT(call.completions, 0);
    env_run(&w.env);
    EXPECT_INT(call.result.status, CX_CANCELLED);
    world_close(&w);

    /* While the server lets us wait. */
    REQUIRE(world_open(&w, SILENT, "some-model", 4));
    REQUIRE(call_start(&call, &w.env, w.e, CX_EMBED_QUERY, TEXTS, 1, 30000) == CX_OK);
    struct canceller canceller = { &call, &w.server.upstream, NULL };
    cx_timer_new(w.env.loop, on_time, &canceller, &canceller.timer);
    cx_timer_start(canceller.timer, 5, 0);
    env_run(&w.env);
    EXPECT_INT(call.completions, 1);
    EXPECT_INT(call.result.status, CX_CANCELLED);
    cx_timer_free(&canceller.timer);
    world_close(&w);

    /* While the request is being written on the lane. */
    REQUIRE(world_open(&w, GOOD_BASE64, "some-model", 4));
    const size_t count = 3000;
    struct cx_str *texts = calloc(count, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        texts[i] = CX_STR("a text of some length, so that all of them are written on the lane");
    }
    REQUIRE(call_start(&call, &w.env, w.e, CX_EMBED_DOCUMENT, texts, count, 30000) == CX_OK);
    cx_embed_call_cancel(call.handle);
    env_run(&w.env);
    EXPECT_INT(call.result.status, CX_CANCELLED);
    free(texts);
    world_close(&w);
}

TEST(openai_cuts_into_several_calls)
{
    struct world w;
    REQUIRE(world_open(&w, REVERSED, "some-model", 4));
    const size_t count = EMBED__OPENAI_INPUTS * 2 + 5;
    struct cx_str *texts = calloc(count, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        texts[i] = CX_STR("a text");
    }
    struct call call;
    REQUIRE(call_start(&call, &w.env, w.e, CX_EMBED_DOCUMENT, texts, count, 60000) == CX_OK);
    env_run(&w.env);
    REQUIRE(call.result.status == CX_OK);
    EXPECT_INT(call.result.count, count);
    EXPECT_INT(w.server.upstream.requests, 3);
    /* The server numbers the texts of each call from 0. */
    EXPECT(call.result.vectors[0] > call.result.vectors[1]);
    EXPECT_BYTES(call.result.vectors + (size_t)EMBED__OPENAI_INPUTS * 4, 4 * sizeof(float),
                 call.result.vectors, 4 * sizeof(float));
    EXPECT(call.result.vectors[(count - 1) * 4] > call.result.vectors[(count - 1) * 4 + 1]);
    call_free(&call);

    REQUIRE(call_start(&call, &w.env, w.e, CX_EMBED_DOCUMENT, texts, 0, 1000) == CX_OK);
    env_run(&w.env);
    EXPECT_INT(call.result.status, CX_OK);
    EXPECT_INT(w.server.upstream.requests, 3);
    call_free(&call);
    free(texts);
    world_close(&w);
}

TEST(openai_over_a_unix_socket)
{
    struct server server = { .script = GOOD_BASE64, .dimension = 4 };
    server.upstream.answer = on_request;
    server.upstream.ctx = &server;
    char path[256];
    snprintf(path, sizeof path, "%s/upstream.sock", test_dir());
    REQUIRE(upstream_start(&server.upstream, path));
    struct env env;
    REQUIRE(env_open(&env, 16));
    char url[300];
    snprintf(url, sizeof url, "unix:%s", path);
    const struct cx_embed_openai_options options = {
        .fetch = env.fetch, .base_url = url, .model = "some-model", .lane = env.lane
    };
    struct cx_embedder *e = NULL;
    struct cx_err err = { "" };
    REQUIRE(cx_embedder_openai(&options, &e, &err) == CX_OK);
    struct call call;
    REQUIRE(call_start(&call, &env, e, CX_EMBED_QUERY, TEXTS, 2, 10000) == CX_OK);
    env_run(&env);
    EXPECT_INT(call.result.status, CX_OK);
    EXPECT(strncmp(server.upstream.heads[0], "POST /v1/embeddings HTTP/1.1\r\n", 30) == 0);
    EXPECT(strstr(server.upstream.heads[0], "Authorization") == NULL);
    call_free(&call);
    cx_embedder_free(&e);
    env_close(&env);
    upstream_stop(&server.upstream);
}

TEST(openai_finds_its_address)
{
    static const struct {
        const char *base_url;
        bool azure;
        const char *version;
        const char *want; /* NULL = refused */
        const char *unix_socket;
    } ROWS[] = {
        { "https://api.openai.com/v1", false, NULL, "https://api.openai.com/v1/embeddings", NULL },
        { "http://h:1/v1/", false, NULL, "http://h:1/v1/embeddings", NULL },
        { "http://h:1/v1//", false, "", "http://h:1/v1/embeddings", NULL },
        { "http://h:1", false, NULL, "http://h:1/v1/embeddings", NULL },
        { "http://h:1/", false, NULL, "http://h:1/v1/embeddings", NULL },
        { "http://h/api/openai", false, NULL, "http://h/api/openai/embeddings", NULL },
        { "http://h/v1/embeddings", false, NULL, "http://h/v1/embeddings", NULL },
        { "http://h/v1/embeddings/", false, NULL, "http://h/v1/embeddings", NULL },
        { "http://embeddings", false, NULL, "http://embeddings/v1/embeddings", NULL },
        { "http://h/v1?a=b", false, NULL, "http://h/v1/embeddings?a=b", NULL },
        { "http://h?a=b", false, NULL, "http://h/v1/embeddings?a=b", NULL },
        { "http://[::1]:8080", false, NULL, "http://[::1]:8080/v1/embeddings", NULL },
        { "https://me.openai.azure.com", true, "2024-10-21",
          "https://me.openai.azure.com/openai/deployments/my%20model/embeddings"
          "?api-version=2024-10-21",
          NULL },
        { "https://me.openai.azure.com/", true, NULL,
          "https://me.openai.azure.com/openai/v1/embeddings", NULL },
        { "https://me.openai.azure.com/openai/deployments/d", true, "preview",
          "https://me.openai.azure.com/openai/deployments/d/embeddings?api-version=preview", NULL },
        { "https://me.openai.azure.com/openai/deployments/d/embeddings?api-version=2023-05-15",
          true, NULL,
          "https://me.openai.azure.com/openai/deployments/d/embeddings?api-version=2023-05-15",
          NULL },
        { "https://gate.azure-api.net/x/?region=eu", true, "2024-10-21",
          "https://gate.azure-api.net/x/embeddings?region=eu&api-version=2024-10-21", NULL },
        { "unix:/run/e.sock", false, NULL, "http://localhost/v1/embeddings", "/run/e.sock" },
        { "unix:/run/what?.sock", false, NULL, "http://localhost/v1/embeddings",
          "/run/what?.sock" },
        { "unix:/run/v1/embeddings", false, NULL, "http://localhost/v1/embeddings",
          "/run/v1/embeddings" },
        { "http://h/?api-version=1", true, "2", NULL, NULL },
        { "http://h", true, "1&b=2", NULL, NULL },
        { "http://h", true, "1 2", NULL, NULL },
        { "http://h/v1#part", false, NULL, NULL, NULL },
        { "http://", false, NULL, NULL, NULL },
        { "https://", false, NULL, NULL, NULL },
        { "unix:/", false, NULL, NULL, NULL },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        const struct cx_embed_openai_options options = { .base_url = ROWS[i].base_url,
                                                         .azure = ROWS[i].azure,
                                                         .api_version = ROWS[i].version,
                                                         .model = "my model" };
        struct embed__openai_address got = { NULL, NULL };
        struct cx_err err = { "" };
        const enum cx_status status = embed__openai_address(&options, &got, &err);
        (void)test_expect((status == CX_OK) == (ROWS[i].want != NULL), __FILE__, __LINE__, "%s: %s",
                          ROWS[i].base_url, status == CX_OK ? got.url : err.text);
        if (status == CX_OK && ROWS[i].want != NULL) {
            EXPECT_STR(got.url, ROWS[i].want);
            EXPECT((got.unix_socket == NULL) == (ROWS[i].unix_socket == NULL));
            if (got.unix_socket != NULL && ROWS[i].unix_socket != NULL) {
                EXPECT_STR(got.unix_socket, ROWS[i].unix_socket);
            }
        }
        free(got.url);
        free(got.unix_socket);
    }
}

TEST(openai_refuses_odd_options)
{
    struct env env;
    REQUIRE(env_open(&env, 1));
    static const struct {
        const char *base_url;
        const char *api_key;
        const char *model;
        unsigned dimensions;
    } ROWS[] = {
        { "ftp://example.org", NULL, "m", 0 },
        { "example.org/v1", NULL, "m", 0 },
        { "", NULL, "m", 0 },
        { "unix:relative", NULL, "m", 0 },
        { "http://127.0.0.1/v1", "two\r\nX-Evil: lines", "m", 0 },
        { "http://127.0.0.1/v1", "", "m", 0 },
        { "http://127.0.0.1/v1", NULL, "", 0 },
        { "http://127.0.0.1/v1", NULL, NULL, 0 },
        { "http://127.0.0.1/v1", NULL, "m", 1000000 },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        const struct cx_embed_openai_options options = {
            .fetch = env.fetch,
            .lane = env.lane,
            .base_url = ROWS[i].base_url,
            .api_key = ROWS[i].api_key,
            .model = ROWS[i].model,
            .dimensions = ROWS[i].dimensions,
        };
        struct cx_embedder *e = NULL;
        struct cx_err err = { "" };
        EXPECT_INT(cx_embedder_openai(&options, &e, &err), CX_INVALID);
        EXPECT(err.text[0] != '\0' && strstr(err.text, "Evil") == NULL);
    }
    env_close(&env);
}

TEST(openai_models_have_fingerprints)
{
    struct env env;
    REQUIRE(env_open(&env, 1));
    char seen[4][65];
    static const struct {
        const char *model;
        unsigned dimensions;
    } ROWS[] = { { "a", 0 }, { "b", 0 }, { "a", 256 }, { "text-embedding-3-small", 0 } };
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        const struct cx_embed_openai_options options = { .fetch = env.fetch,
                                                         .lane = env.lane,
                                                         .base_url = "http://127.0.0.1/v1",
                                                         .model = ROWS[i].model,
                                                         .dimensions = ROWS[i].dimensions };
        struct cx_embedder *e = NULL;
        struct cx_err err;
        REQUIRE(cx_embedder_openai(&options, &e, &err) == CX_OK);
        struct cx_embedder_info info;
        cx_embedder_info(e, &info);
        memcpy(seen[i], info.fingerprint, sizeof seen[i]);
        for (size_t j = 0; j < i; j++) {
            EXPECT(strcmp(seen[i], seen[j]) != 0);
        }
        cx_embedder_free(&e);
    }
    env_close(&env);
}
