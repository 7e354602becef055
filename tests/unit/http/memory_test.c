/* SPDX-License-Identifier: MIT
 *
 * Each allocation that a request costs fails once: its client gets the right answer, a whole refusal,
 * or a connection that has visibly come to its end; never half an answer that looks whole, never
 * silence. The next request is served, and nothing is left behind.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cortex/metrics.h"
#include "live_env.h"
#include "memory_faults.h"
#include "test.h"

#define HOST "Host: localhost\r\n"
#define NDJSON HOST "Content-Type: application/x-ndjson\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define ALLOCATIONS_MAX 400 /* more are a test that never ends */
#define GOT_ROOM ((size_t)8 * 1024 * 1024)

struct request {
    const char *head;
    size_t body_bytes; /* of 'x', behind the head, in chunks where it says so */
    bool chunks;
    bool slow; /* the client reads nothing before the server has to keep what it says */
    int status;
    size_t answer_bytes; /* of its body; 0 = not looked at */
};

static double series(enum cx_metric id)
{
    return cx_series_value(cx_metrics_series(id, ""));
}

static const char *end_of_head(const struct client *c)
{
    return c->got.len > 0 ? memmem(c->got.data, c->got.len, "\r\n\r\n", 4) : NULL;
}

static bool is_chunked(const struct client *c)
{
    return client_has(c, "\r\nTransfer-Encoding: chunked\r\n");
}

/* How much of the first answer's body has not come: what its head says of it, less what has. */
static size_t missing(const struct client *c)
{
    const char *end = end_of_head(c);
    const char *length = strcasestr(c->got.data, "\r\nContent-Length: ");
    const size_t want = length != NULL && length < end ? strtoul(length + 18, NULL, 10) : 0;
    const size_t came = c->got.len - (size_t)(end + 4 - c->got.data);
    return came < want ? want - came : 0;
}

/* Allocates nothing. */
static bool is_over(const struct client *c)
{
    if (c->eof || c->reset || end_of_head(c) == NULL) {
        return c->eof || c->reset;
    }
    return is_chunked(c) ? client_has(c, "\r\n0\r\n\r\n") : missing(c) == 0;
}

/* Something has come that it has not read yet, if only the end. */
static bool is_answered(const struct client *c)
{
    char byte = 0;
    const ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || errno == ECONNRESET;
}

static void send_request(struct env *e, struct client *c, const struct request *r)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    static char bytes[1024];
    client_send(e, c, r->head);
    if (strstr(r->head, "100-continue") != NULL) {
        ENV_UNTIL(e, client_has(c, "\r\n\r\n") || is_over(c));
        if (!client_has(c, go_on)) {
            return; /* refused */
        }
        cx_buf_consume(&c->got, sizeof go_on - 1);
    }
    memset(bytes, 'x', sizeof bytes);
    for (size_t left = r->body_bytes; left > 0;) {
        const size_t some = left < sizeof bytes ? left : sizeof bytes;
        if (r->chunks) {
            char size[24];
            snprintf(size, sizeof size, "%zx\r\n", some);
            client_send(e, c, size);
        }
        client_send_bytes(e, c, bytes, some);
        if (r->chunks) {
            client_send(e, c, "\r\n");
        }
        left -= some;
    }
    if (r->chunks) {
        client_send(e, c, "0\r\n\r\n");
    }
}

/* Whether what came is one of what may come; whole: the answer that was asked for. */
static bool is_right(const struct client *c, const struct request *r, bool *whole)
{
    *whole = false;
    if (c->got.len == 0) {
        return c->eof || c->reset;
    }
    const char *end = end_of_head(c);
    if (strncmp(c->got.data, "HTTP/1.1 ", 9) != 0 || end == NULL) {
        return false;
    }
    const int status = (int)strtol(c->got.data + 9, NULL, 10);
    bool ended = missing(c) == 0;
    bool refused = false;
    size_t len = c->got.len - (size_t)(end + 4 - c->got.data);
    if (is_chunked(c)) {
        struct cx_buf content = client_chunks(c, &ended);
        len = content.len;
        refused = len > 0 && content.data[len - 1] == ']'; /* as /lines says it */
        cx_buf_free(&content);
    } else if (client_has(c, "\r\nContent-Type: application/problem+json\r\n")) {
        json_t *problem = json_loadb(end + 4, len, 0, NULL);
        const bool said = json_integer_value(json_object_get(problem, "status")) == status;
        json_decref(problem);
        *whole = said && status == r->status;
        return said && (*whole || status >= 500);
    }
    if (!ended) {
        return c->eof || c->reset;
    }
    *whole = status == r->status && !refused;
    return refused || (*whole && (r->answer_bytes == 0 || len == r->answer_bytes));
}

/* By a server that has no buffer yet. Whether an allocation has failed. */
static bool run_once(const struct request *r, long nth)
{
    struct env e;
    struct client c;
    env_open(&e);
    env_start(&e);
    client_make(&c);
    const int small = 128 * 1024;
    if (r->slow) {
        (void)setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    client_connect(&e, &c);
    CX_CHECK(cx_buf_reserve(&c.got, GOT_ROOM) != NULL); /* so that the client needs nothing */
    c.deaf = r->slow;
    env_take(&e);
    memory_faults_arm(nth);
    send_request(&e, &c, r);
    if (r->slow) {
        env_take(&e);
        ENV_UNTIL(&e, series(CX_M_HTTP_UNSENT) > 0 ||
                          (is_answered(&c) && cx_http_exchanges(e.http) == 0));
        c.deaf = false;
    }
    ENV_UNTIL(&e, is_over(&c));
    const bool struck = memory_faults_disarm();
    bool whole = false;
    const bool right = is_right(&c, r, &whole);
    test_expect(right && (struck || whole), __FILE__, __LINE__, "%.40s: allocation %ld: %.*s",
                r->head, nth, (int)(c.got.len < 800 ? c.got.len : 800),
                c.got.len > 0 ? c.got.data : "");
    client_close(&e, &c);
    struct client next;
    client_open(&e, &next);
    EXPECT_INT(client_ask(&e, &next, get("/now", "")), 200);
    client_close(&e, &next);
    env_take(&e); /* which waits for nothing, as most need not */
    ENV_UNTIL(&e, cx_http_connections(e.http) == 0);
    EXPECT_INT(series(CX_M_HTTP_STREAMS), 0);
    EXPECT_INT(series(CX_M_HTTP_UNSENT), 0);
    env_close(&e);
    return struck;
}

static void run(const struct request *r)
{
    long nth = 1;
    while (nth <= ALLOCATIONS_MAX && run_once(r, nth)) {
        nth++;
    }
    test_expect(nth > 1 && nth <= ALLOCATIONS_MAX, __FILE__, __LINE__, "%.40s: %ld allocations",
                r->head, nth);
}

TEST(memory_answers_of_a_piece)
{
    static const struct request requests[] = {
        { .head = "GET /now?a=b HTTP/1.1\r\n" HOST "\r\n", .status = 200, .answer_bytes = 3 },
        { .head = "GET /item/1?q=2 HTTP/1.1\r\n" HOST "X-H: 3\r\nX-H: 4\r\n\r\n", .status = 200 },
        { .head = "GET /secret HTTP/1.1\r\n" HOST "Authorization: Bearer all-token\r\n\r\n",
          .status = 200 },
        { .head = "GET /secret HTTP/1.1\r\n" HOST "\r\n", .status = 401 },
        { .head = "GET /nothing HTTP/1.1\r\n" HOST "\r\n", .status = 404 },
        { .head = "GET /faults HTTP/1.1\r\n" HOST "\r\n", .status = 422 },
        { .head = "GET /tagged HTTP/1.1\r\n" HOST "\r\n", .status = 200 },
        { .head = "GET /work HTTP/1.1\r\n" HOST "\r\n", .status = 200, .answer_bytes = 4 },
        { .head = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n\r\n",
          .body_bytes = 200000,
          .status = 200,
          .answer_bytes = 200000 },
        { .head =
              "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 200\r\n\r\n",
          .body_bytes = 200,
          .status = 200,
          .answer_bytes = 200 },
        { .head = "POST /echo HTTP/1.1\r\n" HOST CHUNKED "\r\n",
          .body_bytes = 5000,
          .chunks = true,
          .status = 200,
          .answer_bytes = 5000 },
        { .head = "POST /echo HTTP/1.1\r\n" HOST
                  "Accept-Encoding: gzip\r\nContent-Length: 20000\r\n\r\n",
          .body_bytes = 20000,
          .status = 200 },
        { .head = "GET /bytes?n=6000000 HTTP/1.1\r\n" HOST "\r\n",
          .slow = true,
          .status = 200,
          .answer_bytes = 6000000 },
        { .head = "GET /bytes?n=6000000&owned=1 HTTP/1.1\r\n" HOST "\r\n",
          .slow = true,
          .status = 200,
          .answer_bytes = 6000000 },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(requests); i++) {
        run(&requests[i]);
    }
}

/* What jansson asks for fails too. */
TEST(memory_an_answer_made_of_json)
{
    static const struct request request = { .head = "GET /item/1?q=2 HTTP/1.1\r\n" HOST
                                                    "X-H: 3\r\n\r\n",
                                            .status = 200 };
    json_malloc_t allocate = NULL;
    json_free_t release = NULL;
    json_get_alloc_funcs(&allocate, &release);
    json_set_alloc_funcs(malloc, free);
    run(&request);
    json_set_alloc_funcs(allocate, release);
}

TEST(memory_streams)
{
    static const struct request requests[] = {
        { .head = "POST /lines HTTP/1.1\r\n" NDJSON "Content-Length: 3000\r\n\r\n",
          .body_bytes = 3000,
          .status = 200,
          .answer_bytes = 3000 },
        { .head = "POST /lines HTTP/1.1\r\n" NDJSON CHUNKED "\r\n",
          .body_bytes = 100000,
          .chunks = true,
          .status = 200,
          .answer_bytes = 100000 },
        { .head = "POST /lines HTTP/1.1\r\n" NDJSON
                  "Expect: 100-continue\r\nContent-Length: 3000\r\n\r\n",
          .body_bytes = 3000,
          .status = 200,
          .answer_bytes = 3000 },
        { .head = "POST /first HTTP/1.1\r\n" NDJSON "Content-Length: 300000\r\n\r\n",
          .body_bytes = 300000,
          .status = 200,
          .answer_bytes = 6 },
        { .head = "POST /first?refuse=1 HTTP/1.1\r\n" NDJSON "Content-Length: 300000\r\n\r\n",
          .body_bytes = 300000,
          .status = 404 },
        { .head = "GET /flow?n=6000000 HTTP/1.1\r\n" HOST "\r\n",
          .status = 200,
          .slow = true,
          .answer_bytes = 6000000 },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(requests); i++) {
        run(&requests[i]);
    }
}
