/* SPDX-License-Identifier: MIT
 *
 * fetch with upstreams that behave: what is sent, what comes back, reuse, bounds, cancelling.
 */
#include "fetch_env.h"

#include "cortex/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void get(struct world *w, struct probe *p, const char *path)
{
    char url[128];
    const struct cx_fetch_request request = world_request(w, path, url);
    probe_run(w, p, &request);
}

TEST(fetch_brings_a_response)
{
    struct world w;
    struct probe p;
    world_open(&w);
    struct cx_series *ok = cx_metrics_series(CX_M_FETCH_REQUESTS, "outcome=\"ok\"");
    const double before = cx_series_value(ok);
    get(&w, &p, "/ok");
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(p.status, 200);
    EXPECT_STR(p.body, "hello");
    EXPECT_STR(p.word, "one");
    EXPECT_INT(cx_series_value(ok) - before, 1);
    EXPECT_INT(cx_series_value(cx_metrics_series(CX_M_FETCH_ACTIVE, "")), 0);
    EXPECT_INT(names_asked(), 0); /* an address literal needs no look-up */
    get(&w, &p, "/missing");
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(p.status, 404);
    EXPECT_STR(p.body, "nope");
    world_close(&w);
}

TEST(fetch_reads_chunks_and_the_last_head)
{
    struct world w;
    struct probe p;
    world_open(&w);
    get(&w, &p, "/chunked");
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_STR(p.body, "abcdefg");
    EXPECT_STR(p.word, "head");
    EXPECT(strstr(p.headers, "X-Late") == NULL); /* a trailer is not a header */
    get(&w, &p, "/continue");
    EXPECT_INT(p.status, 201);
    EXPECT_STR(p.body, "ok");
    EXPECT_STR(p.word, "last");
    EXPECT(strncmp(p.headers, "HTTP/1.1 201", 12) == 0);
    EXPECT(strstr(p.headers, "X-Early") == NULL);
    world_close(&w);
}

TEST(fetch_sends_what_it_is_given_and_nothing_else)
{
    struct world w;
    struct probe p;
    char url[128];
    world_open(&w);
    static const char *const headers[] = { "Authorization: Bearer k",
                                           "Content-Type: application/json", NULL };
    struct cx_fetch_request request = world_request(&w, "/echo?a=b", url);
    char body[] = "{\"a\":\"b\"}";
    request.method = "POST";
    request.headers = headers;
    request.body = cx_str_of(body);
    EXPECT_INT(probe_start(&w, &p, &request), CX_OK);
    memset(body, '#', sizeof(body) - 1); /* it has been copied */
    memset(url, '#', sizeof(url));
    world_run(&w, 1);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    char want[512];
    (void)snprintf(want, sizeof(want),
                   "POST /echo?a=b HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: test/1\r\n"
                   "Accept: */*\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n"
                   "Content-Length: 9\r\n\r\n{\"a\":\"b\"}",
                   w.upstream.port);
    EXPECT_STR(p.body, want);

    /* A large body waits for no "100 Continue". */
    static char large[1200000]; /* above 1 MiB curl would wait */
    memset(large, 'b', sizeof(large));
    request = world_request(&w, "/echo", url);
    request.method = "PUT";
    request.body = (struct cx_str){ large, sizeof(large) };
    request.response_max_bytes = 2000000;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT(p.body_len > sizeof(large));
    EXPECT(strncmp(p.body, "PUT /echo", 9) == 0);
    EXPECT(strcasestr(p.body, "Expect") == NULL);
    EXPECT(strcasestr(p.body, "Content-Type") == NULL);
    EXPECT(strcasestr(p.body, "Accept-Encoding") == NULL);

    request = world_request(&w, "/echo", url);
    request.method = "DELETE";
    probe_run(&w, &p, &request);
    EXPECT(strncmp(p.body, "DELETE /echo", 12) == 0);
    EXPECT(strcasestr(p.body, "Content-Length") == NULL);

    request = world_request(&w, "/echo", url);
    request.method = "POST";
    probe_run(&w, &p, &request);
    EXPECT(strstr(p.body, "Content-Length: 0\r\n") != NULL);

    request = world_request(&w, "/head", url);
    request.method = "HEAD";
    request.response_max_bytes = 10;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(p.status, 200);
    EXPECT_INT(p.body_len, 0);
    world_close(&w);
}

struct long_answer {
    struct world *world;
    struct cx_call *call;
    struct cx_timer *timer;
    size_t turns; /* of others, meanwhile */
    struct cx_buf body;
};

static void on_turn(void *ctx)
{
    struct long_answer *a = ctx;
    a->turns++;
    cx_timer_start(a->timer, 0, 0);
}

static void on_long_answer(void *ctx, const struct cx_fetch_response *response)
{
    struct long_answer *a = ctx;
    EXPECT_INT(response->outcome, CX_FETCH_OK);
    EXPECT_INT(response->body.len, 8000000);
    cx_call_take_body(a->call, &a->body);
    EXPECT_INT(response->body.len, 0);
    cx_timer_stop(a->timer);
    cx_loop_stop(a->world->loop);
}

/* However fast it comes, others get their turn; and its body changes hands. */
TEST(fetch_reads_a_long_answer_in_turns)
{
    struct world w;
    world_open(&w);
    struct long_answer a = { .world = &w };
    cx_timer_new(w.loop, on_turn, &a, &a.timer);
    char url[128];
    struct cx_fetch_request request = world_request(&w, "/long", url);
    request.response_max_bytes = 8000000;
    REQUIRE(cx_fetch_start(w.fetch, &request, on_long_answer, &a, &a.call, NULL) == CX_OK);
    cx_timer_start(a.timer, 0, 0);
    cx_loop_run(w.loop);
    REQUIRE(a.body.len == 8000000);
    size_t wrong = 0;
    for (size_t i = 0; i < a.body.len; i++) {
        wrong += a.body.data[i] != (char)('a' + i / 8000 % 26) ? 1 : 0;
    }
    EXPECT_INT(wrong, 0);
    EXPECT(a.turns >= 8000000 / (256 * 1024));
    cx_buf_free(&a.body);
    cx_timer_free(&a.timer);
    world_close(&w);
}

TEST(fetch_keeps_its_connection)
{
    struct world w;
    struct probe p;
    world_open(&w);
    for (int i = 0; i < 20; i++) {
        get(&w, &p, "/ok");
        EXPECT_INT(p.outcome, CX_FETCH_OK);
    }
    EXPECT_INT(atomic_load(&w.upstream.requests), 20);
    EXPECT_INT(upstream_connections(&w.upstream), 1);
    world_close(&w);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    CX_CHECK(dir != NULL);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

TEST(fetch_leaks_no_descriptor_in_a_thousand_calls)
{
    struct world w;
    struct probe p;
    world_open(&w);
    get(&w, &p, "/ok");
    const size_t before = open_descriptors();
    for (int i = 0; i < 1000; i++) {
        get(&w, &p, i % 10 == 0 ? "/missing" : "/ok");
        EXPECT_INT(p.outcome, CX_FETCH_OK);
    }
    EXPECT_INT(open_descriptors(), before);
    world_close(&w);
}

TEST(fetch_runs_a_hundred_calls_at_once)
{
    struct world w;
    static struct probe probes[100];
    world_open(&w);
    w.upstream.together.opens_at = CX_ARRAY_LEN(probes); /* answered when all are there */
    for (size_t i = 0; i < CX_ARRAY_LEN(probes); i++) {
        probe_get(&w, &probes[i], "/together");
    }
    EXPECT_INT(cx_fetch_active(w.fetch), 100);
    EXPECT_INT(cx_series_value(cx_metrics_series(CX_M_FETCH_ACTIVE, "")), 100);
    world_run(&w, 100);
    for (size_t i = 0; i < CX_ARRAY_LEN(probes); i++) {
        EXPECT_INT(probes[i].outcome, CX_FETCH_OK);
        EXPECT_STR(probes[i].body, "hello");
    }
    EXPECT_INT(upstream_connections(&w.upstream), 100);
    world_close(&w);
}

TEST(fetch_queues_what_it_may_not_run_and_refuses_the_rest)
{
    struct world w;
    static struct probe probes[11];
    char url[128];
    world_open_with(&w, &(struct cx_fetch_options){ .connections_max = 2, .waiting_max = 10 },
                    NULL);
    for (int i = 0; i < 10; i++) {
        probe_get(&w, &probes[i], "/ok");
    }
    const struct cx_fetch_request request = world_request(&w, "/ok", url);
    EXPECT_INT(probe_start(&w, &probes[10], &request), CX_OVERLOADED);
    world_run(&w, 10);
    for (int i = 0; i < 10; i++) {
        EXPECT_INT(probes[i].outcome, CX_FETCH_OK);
    }
    EXPECT(upstream_connections(&w.upstream) <= 2);
    EXPECT_INT(probe_start(&w, &probes[10], &request), CX_OK);
    world_run(&w, 11);
    world_close(&w);
}

TEST(fetch_uses_a_unix_socket)
{
    struct world w;
    struct probe p;
    char url[128];
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/up", test_dir());
    world_open_with(&w, &(struct cx_fetch_options){ .connections_max = 4, .waiting_max = 8 }, path);
    struct cx_fetch_request request = world_request(&w, "/ok", url);
    request.url = "http://embedder/echo";
    request.unix_socket = path;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT(strstr(p.body, "Host: embedder\r\n") != NULL);
    EXPECT_INT(names_asked(), 0);

    (void)snprintf(path, sizeof(path), "%s/none", test_dir());
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_CONNECT);
    world_close(&w);
}

TEST(fetch_refuses_bad_requests)
{
    struct world w;
    struct probe p;
    char url[128];
    world_open(&w);
    static const char *const urls[] = {
        "",
        "127.0.0.1/ok",
        "ftp://127.0.0.1/ok",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://",
        "http://*/",
        "http://-host/",
        "http://a b/",
        "http://host\r\nX: y/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:99999999999/",
        "http://h\xc3\xb6st/",
        "http://[::1/",
        "javascript:alert(1)",
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(urls); i++) {
        struct cx_fetch_request request = world_request(&w, "/ok", url);
        request.url = urls[i];
        const enum cx_status status = probe_start(&w, &p, &request);
        (void)test_expect(status == CX_INVALID, __FILE__, __LINE__, "url \"%s\" gave %d", urls[i],
                          (int)status);
        EXPECT(p.reason[0] != '\0');
    }
    static const char *const lines[] = {
        "X-A: b\r\nX-C: d",
        "X-A: b\n",
        "X-A: \x01",
        "X-A\r: b",
        "no colon",
        ": b",
        "",
        "X A: b",
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        "expect: 100-continue",
        "X-A;",
        "X-\x7f: b",
        "X-A: \x7f",
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(lines); i++) {
        const char *const headers[] = { lines[i], NULL };
        struct cx_fetch_request request = world_request(&w, "/ok", url);
        request.headers = headers;
        const enum cx_status status = probe_start(&w, &p, &request);
        (void)test_expect(status == CX_INVALID, __FILE__, __LINE__, "header \"%s\" gave %d",
                          lines[i], (int)status);
    }
    struct cx_fetch_request request = world_request(&w, "/ok", url);
    request.method = "GET /other HTTP/1.1\r\nX:";
    EXPECT_INT(probe_start(&w, &p, &request), CX_INVALID);
    request.method = "";
    EXPECT_INT(probe_start(&w, &p, &request), CX_INVALID);
    request.method = "GET";
    request.unix_socket = "";
    EXPECT_INT(probe_start(&w, &p, &request), CX_INVALID);
    EXPECT_INT(atomic_load(&w.upstream.requests), 0);
    EXPECT_INT(names_asked(), 0);
    world_close(&w);
}

TEST(fetch_ignores_the_proxy_of_the_environment)
{
    static const char *const names[] = { "http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY",
                                         "all_proxy" };
    struct world w;
    struct probe p;
    for (size_t i = 0; i < CX_ARRAY_LEN(names); i++) {
        (void)setenv(names[i], "http://127.0.0.1:1/", 1);
    }
    world_open(&w);
    get(&w, &p, "/ok");
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    world_close(&w);
    for (size_t i = 0; i < CX_ARRAY_LEN(names); i++) {
        (void)unsetenv(names[i]);
    }
}

TEST(fetch_uses_the_proxy_it_is_given)
{
    struct world w;
    struct upstream proxy;
    struct probe p;
    char url[128];
    char proxy_url[64];
    (void)setenv("no_proxy", "*", 1);
    upstream_start(&proxy, NULL);
    (void)snprintf(proxy_url, sizeof(proxy_url), "http://quick-proxy.test:%u", proxy.port);
    world_open_with(
        &w,
        &(struct cx_fetch_options){ .proxy = proxy_url, .connections_max = 4, .waiting_max = 8 },
        NULL);
    struct cx_fetch_request request = world_request(&w, "/ok", url);
    request.url = "http://far-away.test/echo";
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(names_asked(), 1); /* of the proxy only */
    EXPECT_INT(upstream_connections(&proxy), 1);
    request.url = "https://far-away.test/ok"; /* which refuses to make a tunnel */
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_CONNECT);
    EXPECT_INT(names_asked(), 1);
    EXPECT_INT(atomic_load(&proxy.requests), 2);
    /* What listens here is asked directly. */
    get(&w, &p, "/ok");
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(upstream_connections(&w.upstream), 1);
    EXPECT_INT(atomic_load(&proxy.requests), 2);
    world_close(&w);
    upstream_stop(&proxy);
    (void)unsetenv("no_proxy");

    struct cx_loop *loop = env_loop();
    struct cx_fetch *fetch = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(cx_fetch_new(loop,
                            &(struct cx_fetch_options){ .proxy = "socks5://127.0.0.1",
                                                        .connections_max = 4,
                                                        .waiting_max = 8 },
                            &fetch, &err),
               CX_INVALID);
    EXPECT(fetch == NULL);
    cx_loop_free(&loop);
}
