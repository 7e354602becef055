/* SPDX-License-Identifier: MIT
 *
 * Streams in both directions: input cut anywhere, back-pressure, slow and vanished readers, events,
 * farewells.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cortex/metrics.h"
#include "live_env.h"
#include "test.h"

#define HOST "Host: localhost\r\n"
#define NDJSON HOST "Content-Type: application/x-ndjson\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define MIB ((size_t)1024 * 1024)

static void start(struct env *e)
{
    env_open(e);
    env_start(e);
}

static bool chunks_are(const struct client *c, const char *want)
{
    bool ended = false;
    struct cx_buf got = client_chunks(c, &ended);
    const bool same = got.len == strlen(want) && memcmp(got.data, want, got.len) == 0;
    cx_buf_free(&got);
    return same && ended;
}

static double disconnected(const char *reason)
{
    char labels[32];
    snprintf(labels, sizeof labels, "reason=\"%s\"", reason);
    return cx_series_value(cx_metrics_series(CX_M_HTTP_STREAM_DISCONNECTED, labels));
}

static double unsent(void)
{
    return cx_series_value(cx_metrics_series(CX_M_HTTP_UNSENT, ""));
}

/* What every test must leave behind. */
static void end(struct env *e)
{
    env_close(e);
    EXPECT_INT(cx_series_value(cx_metrics_series(CX_M_HTTP_STREAMS, "")), 0);
    EXPECT_INT(unsent(), 0);
}

TEST(stream_answers_in_chunks_and_keeps_the_connection)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    for (int i = 0; i < 2; i++) {
        cx_buf_clear(&c.got);
        client_send(&e, &c, "POST /lines HTTP/1.1\r\n" NDJSON "Content-Length: 6\r\n\r\n{}\n[]\n");
        ENV_UNTIL(&e, chunks_are(&c, "{}\n[]\n"));
        EXPECT(client_has(&c, "HTTP/1.1 200 OK\r\n"));
        EXPECT(client_has(&c, "\r\nTransfer-Encoding: chunked\r\n"));
        EXPECT(client_has(&c, "\r\nX-Accel-Buffering: no\r\n"));
        EXPECT(!client_has(&c, "Content-Length"));
        EXPECT(!client_has(&c, "Connection:"));
    }
    /* JSON goes to the route beside it; another type to neither. */
    EXPECT_INT(client_ask(&e, &c, "POST /lines HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}"),
               200);
    EXPECT(client_has(&c, "\r\nContent-Length: 2\r\n"));
    EXPECT_INT(client_ask(&e, &c,
                          "POST /lines HTTP/1.1\r\n" HOST
                          "Content-Type: application/json\r\nContent-Length: 17\r\n\r\n"),
               413);
    client_close(&e, &c);
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c,
                          "POST /held HTTP/1.1\r\n" HOST
                          "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
               415);
    EXPECT_INT(client_ask(&e, &c, "POST /held HTTP/1.1\r\n" NDJSON "\r\n"), 411);
    EXPECT_INT(client_ask(&e, &c, get("/now", "")), 200);
    EXPECT_INT(client_ask(&e, &c, get("/lines", "")), 405);
    EXPECT(client_has(&c, "\r\nAllow: POST, OPTIONS\r\n"));
    end(&e);
}

TEST(stream_input_may_be_cut_anywhere)
{
    static const char text[] = "POST /lines HTTP/1.1\r\n" NDJSON CHUNKED
                               "\r\n3\r\n{}\n\r\n2;x=y\r\n[]\r\n1\r\n\n\r\n0\r\nA: b\r\n\r\n"
                               "GET /now HTTP/1.1\r\n" HOST "\r\n";
    struct env e;
    start(&e);
    const size_t len = sizeof text - 1;
    for (size_t cut = 0; cut < len; cut++) {
        struct client c;
        client_open(&e, &c);
        for (size_t at = 0; at < len;) {
            const size_t some = cut == 0 ? 1 : at == 0 ? cut : len - at;
            client_send_bytes(&e, &c, text + at, some);
            env_take(&e);
            at += some;
        }
        ENV_UNTIL(&e, chunks_are(&c, "{}\n[]\n") && client_has(&c, "\r\n\r\nnow"));
        client_close(&e, &c);
    }
    end(&e);
}

TEST(stream_says_continue_when_the_body_is_wanted)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c,
                "POST /first HTTP/1.1\r\n" NDJSON
                "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    ENV_UNTIL(&e, client_has(&c, "HTTP/1.1 100 Continue\r\n\r\n"));
    EXPECT(!client_has(&c, "200"));
    client_send(&e, &c, "{}\n");
    ENV_UNTIL(&e, client_has(&c, "6\r\nenough\r\n0\r\n\r\n"));
    EXPECT_INT(client_count(&c, "100 Continue"), 1);
    end(&e);
}

TEST(stream_stops_reading_while_nothing_is_taken)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    const int small = 64 * 1024;
    (void)setsockopt(c.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    client_send(&e, &c, "POST /held HTTP/1.1\r\n" NDJSON "Content-Length: 33554432\r\n\r\n");
    ENV_UNTIL(&e, e.held != NULL && client_has(&c, "\r\n\r\n"));
    char *bytes = cx_alloc(32 * MIB);
    memset(bytes, 'x', 32 * MIB);
    /* As much as goes: what the sockets hold, and a bounded part of it here. */
    size_t sent = 0;
    for (int calm = 0; calm < 50;) {
        const ssize_t n = send(c.fd, bytes + sent, 32 * MIB - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        calm = n > 0 ? 0 : calm + 1;
        env_take(&e);
    }
    EXPECT(sent < 16 * MIB);
    EXPECT(cx_exchange_body(e.held).len <= 256 * 1024);
    EXPECT_INT(e.taken, 0);
    e.take = true;
    cx_stream_wake(e.held);
    client_send_bytes(&e, &c, bytes + sent, 32 * MIB - sent);
    ENV_UNTIL(&e, chunks_are(&c, "took 33554432"));
    free(bytes);
    EXPECT_INT(e.released, 1);
    end(&e);
}

/* All of the body is sent before a byte of the answer is read. */
TEST(stream_reads_on_while_the_client_does_not)
{
    struct env e;
    struct client c;
    env_open(&e);
    e.options.limits.write_timeout_ms = 2000;
    env_start(&e);
    client_make(&c);
    const int small = 64 * 1024;
    (void)setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_connect(&e, &c);
    c.deaf = true;
    client_send(&e, &c,
                "POST /lines?unsent=20000000 HTTP/1.1\r\n" NDJSON
                "Content-Length: 16777216\r\n\r\n");
    char *bytes = cx_alloc(16 * MIB);
    memset(bytes, 'x', 16 * MIB);
    client_send_bytes(&e, &c, bytes, 8 * MIB);
    ENV_UNTIL(&e, unsent() > 1e6);
    /* It is the client's turn to send, for longer than it may leave an answer unread. */
    const uint64_t until = cx_loop_now_ms(e.loop) + 2500;
    ENV_UNTIL(&e, cx_loop_now_ms(e.loop) > until);
    client_send_bytes(&e, &c, bytes + 8 * MIB, 8 * MIB);
    c.deaf = false;
    bool ended = false;
    ENV_UNTIL(&e, c.got.len > 16 * MIB || c.eof || c.reset);
    ENV_UNTIL(&e, client_has(&c, "\r\n0\r\n\r\n") || c.eof || c.reset);
    struct cx_buf got = client_chunks(&c, &ended);
    EXPECT(ended);
    EXPECT_INT(got.len, 16 * MIB);
    cx_buf_free(&got);
    free(bytes);
    end(&e);
}

TEST(stream_disconnects_who_falls_too_far_behind)
{
    struct env e;
    struct client c;
    start(&e);
    const double before = disconnected("behind");
    client_open(&e, &c);
    c.deaf = true;
    client_send(&e, &c,
                "POST /lines?unsent=65536 HTTP/1.1\r\n" NDJSON "Content-Length: 67108864\r\n\r\n");
    char *bytes = cx_alloc(64 * MIB);
    client_send_bytes(&e, &c, bytes, 64 * MIB);
    ENV_UNTIL(&e, cx_http_exchanges(e.http) == 0);
    EXPECT_INT(disconnected("behind"), before + 1);
    free(bytes);
    end(&e);
}

TEST(stream_memory_of_all_is_bounded)
{
    struct env e;
    struct client c;
    env_open(&e);
    e.options.limits.unsent_bytes = 100000;
    env_start(&e);
    const double before = disconnected("memory");
    client_open(&e, &c);
    c.deaf = true;
    client_send(&e, &c,
                "POST /lines?unsent=60000000 HTTP/1.1\r\n" NDJSON
                "Content-Length: 67108864\r\n\r\n");
    char *bytes = cx_alloc(64 * MIB);
    client_send_bytes(&e, &c, bytes, 64 * MIB);
    ENV_UNTIL(&e, cx_http_exchanges(e.http) == 0);
    EXPECT_INT(disconnected("memory"), before + 1);
    free(bytes);
    end(&e);
}

TEST(stream_producer_waits_for_its_reader)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    c.deaf = true;
    client_send(&e, &c, "GET /flow?n=67108864&unsent=131072 HTTP/1.1\r\n" HOST "\r\n");
    ENV_UNTIL(&e, e.flown > 0);
    size_t flown = 0;
    for (int calm = 0; calm<50; calm = e.flown> flown ? 0 : calm + 1) {
        flown = e.flown;
        env_take(&e);
    }
    EXPECT(e.flown < 32 * MIB);
    cx_buf_free(&c.got);
    cx_buf_init(&c.got, 80 * MIB);
    c.deaf = false;
    ENV_UNTIL(&e, c.got.len > 64 * MIB && client_has(&c, "\r\n0\r\n\r\n"));
    bool ended = false;
    struct cx_buf got = client_chunks(&c, &ended);
    EXPECT_INT(got.len, 64 * MIB);
    EXPECT(ended);
    cx_buf_free(&got);
    /* And the connection goes on. */
    EXPECT_INT(client_ask(&e, &c, get("/now", "")), 200);
    end(&e);
}

TEST(stream_reader_that_stands_still_is_left)
{
    struct env e;
    struct client c;
    env_open(&e);
    e.options.limits.write_timeout_ms = 50;
    env_start(&e);
    const double before = disconnected("slow");
    client_open(&e, &c);
    c.deaf = true;
    client_send(&e, &c, get("/flow?n=67108864", ""));
    ENV_UNTIL(&e, e.flown > 0);
    ENV_UNTIL(&e, cx_http_connections(e.http) == 0);
    EXPECT_INT(disconnected("slow"), before + 1);
    EXPECT_INT(e.released, 1);
    end(&e);
}

TEST(stream_reader_that_vanishes_stops_the_producer)
{
    for (int reset = 0; reset < 2; reset++) {
        struct env e;
        struct client c;
        start(&e);
        client_open(&e, &c);
        c.deaf = true;
        client_send(&e, &c, get("/flow?n=1073741824", ""));
        ENV_UNTIL(&e, e.flown > 0);
        if (reset) {
            client_reset(&e, &c);
        } else {
            client_close(&e, &c);
        }
        ENV_UNTIL(&e, cx_http_exchanges(e.http) == 0);
        EXPECT(e.flown < 1024 * MIB);
        EXPECT_INT(e.released, 1);
        end(&e);
    }
}

TEST(stream_http_1_0_and_close)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, "GET /flow?n=40000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
               200);
    ENV_UNTIL(&e, c.eof);
    EXPECT(client_has(&c, "\r\nConnection: close\r\n"));
    EXPECT(!client_has(&c, "chunked"));
    EXPECT_INT(strlen(client_body(&c)), 40000);
    EXPECT_INT(strspn(client_body(&c), "f"), 40000);
    client_close(&e, &c);
    client_open(&e, &c);
    client_send(&e, &c, get("/flow?n=5", "Connection: close\r\n"));
    ENV_UNTIL(&e, c.eof);
    EXPECT(client_has(&c, "\r\nConnection: close\r\n"));
    EXPECT(chunks_are(&c, "fffff"));
    client_close(&e, &c);
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, "HEAD /flow?n=5 HTTP/1.1\r\n" HOST "\r\n"), 200);
    EXPECT(client_has(&c, "\r\nTransfer-Encoding: chunked\r\n"));
    EXPECT_INT(client_ask(&e, &c, get("/flow?n=0", "")), 200);
    ENV_UNTIL(&e, chunks_are(&c, ""));
    EXPECT_INT(client_ask(&e, &c, get("/now", "")), 200);
    end(&e);
}

TEST(stream_cut_short_has_no_end)
{
    struct env e;
    struct client c;
    start(&e);
    const double before = disconnected("failed");
    client_open(&e, &c);
    client_send(&e, &c, get("/cut", ""));
    ENV_UNTIL(&e, c.eof || c.reset);
    EXPECT(client_has(&c, "4\r\nsome\r\n"));
    EXPECT(!client_has(&c, "0\r\n\r\n"));
    EXPECT(!client_has(&c, "missing"));
    EXPECT_INT(disconnected("failed"), before + 1);
    end(&e);
}

/* ---- Answered before the body's end ---- */

TEST(stream_rest_of_a_body_is_read_off)
{
    static const struct {
        const char *request;
        const char *want;
        bool closes;
    } cases[] = {
        { "POST /first HTTP/1.1\r\n" NDJSON "Content-Length: 8388608\r\n\r\n",
          "6\r\nenough\r\n0\r\n\r\n", false },
        { "POST /first?refuse HTTP/1.1\r\n" NDJSON "Content-Length: 8388608\r\n\r\n",
          "no such thing", false },
        { "POST /first HTTP/1.1\r\n" NDJSON "Connection: close\r\nContent-Length: 8388608\r\n\r\n",
          "6\r\nenough\r\n0\r\n\r\n", true },
        { "POST /first HTTP/1.0\r\n" NDJSON "Content-Length: 8388608\r\n\r\n", "\r\n\r\nenough",
          true },
    };
    struct env e;
    start(&e);
    char *bytes = cx_alloc(8 * MIB);
    memset(bytes, '\n', 8 * MIB);
    for (size_t i = 0; i < CX_ARRAY_LEN(cases); i++) {
        struct client c;
        client_open(&e, &c);
        c.deaf = true; /* sends all of it before it looks */
        client_send(&e, &c, cases[i].request);
        client_send_bytes(&e, &c, bytes, 8 * MIB);
        c.deaf = false;
        ENV_UNTIL(&e, client_has(&c, cases[i].want) || c.reset);
        EXPECT(!c.reset);
        if (cases[i].closes) {
            ENV_UNTIL(&e, c.eof);
        } else {
            EXPECT_INT(client_ask(&e, &c, get("/now", "")), 200);
        }
        client_close(&e, &c);
        ENV_UNTIL(&e, cx_http_connections(e.http) == 0);
    }
    free(bytes);
    end(&e);
}

TEST(stream_rest_of_a_body_does_not_hold_the_drain)
{
    struct env e;
    struct client c;
    struct client d;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c, "POST /first HTTP/1.1\r\n" NDJSON "Content-Length: 8388608\r\n\r\n{}");
    ENV_UNTIL(&e, client_has(&c, "enough\r\n0\r\n\r\n"));
    client_open(&e, &d);
    client_send(&e, &d, "POST /first HTTP/1.0\r\n" NDJSON "Content-Length: 8388608\r\n\r\n{}");
    ENV_UNTIL(&e, d.eof);
    cx_http_drain(e.http, NULL, NULL);
    ENV_UNTIL(&e, c.eof);
    ENV_UNTIL(&e, cx_http_connections(e.http) == 0); /* what lingers does so for two seconds */
    end(&e);
}

/* Sends a body in pieces, 80 ms apart, which together take longer than the time for one. False where this
 * machine let a piece come later than that, so that nothing can be said. */
static bool send_in_time(struct env *e, struct client *c, unsigned pieces, uint64_t limit_ms)
{
    uint64_t sent_ns = cx_clock_mono_ns();
    client_send(e, c, "POST /lines HTTP/1.1\r\n" NDJSON CHUNKED "\r\n");
    bool in_time = true;
    for (unsigned i = 0; i < pieces; i++) {
        const uint64_t until = cx_loop_now_ms(e->loop) + 80;
        while (cx_loop_now_ms(e->loop) < until) {
            env_take(e);
        }
        const uint64_t before_ns = cx_clock_mono_ns();
        client_send(e, c, "1\r\n.\r\n");
        env_take(e);
        in_time = in_time && cx_clock_mono_ns() - sent_ns < (limit_ms - 10) * 1000000;
        sent_ns = before_ns;
    }
    return in_time;
}

TEST(stream_bad_body_is_told_within_the_answer)
{
    struct env e;
    struct client c;
    env_open(&e);
    e.options.limits.body_timeout_ms = 500;
    env_start(&e);
    client_open(&e, &c);
    client_send(&e, &c, "POST /lines HTTP/1.1\r\n" NDJSON CHUNKED "\r\n2\r\n{}\r\nzz\r\n");
    ENV_UNTIL(&e, c.eof || c.reset);
    EXPECT(chunks_are(&c, "{}[bad_request: The chunks of the body are not well formed]"));
    client_close(&e, &c);
    /* Too slow; but each piece has time anew. */
    bool in_time = false;
    for (int i = 0; i < 20 && !in_time; i++) {
        client_open(&e, &c);
        in_time = send_in_time(&e, &c, 8, 500);
        ENV_UNTIL(&e, c.eof || c.reset);
        EXPECT(!in_time ||
               chunks_are(&c, "........[request_timeout: The body arrived too slowly]"));
        client_close(&e, &c);
    }
    /* Before the answer has begun it is an ordinary refusal. */
    client_open(&e, &c);
    client_send(&e, &c, "POST /first HTTP/1.1\r\n" NDJSON CHUNKED "\r\nzz\r\n");
    ENV_UNTIL(&e, c.eof || c.reset);
    EXPECT(client_has(&c, "HTTP/1.1 400"));
    client_close(&e, &c);
    client_open(&e, &c);
    client_send(&e, &c, "POST /first HTTP/1.1\r\n" NDJSON CHUNKED "\r\n");
    ENV_UNTIL(&e, c.eof || c.reset);
    EXPECT(client_has(&c, "HTTP/1.1 408"));
    /* Patience has no limit. */
    client_close(&e, &c);
    client_open(&e, &c);
    client_send(&e, &c, "POST /piped HTTP/1.1\r\n" NDJSON CHUNKED "\r\n1\r\n.\r\n");
    ENV_UNTIL(&e, e.piped != NULL);
    const uint64_t until = cx_loop_now_ms(e.loop) + 700;
    ENV_UNTIL(&e, cx_loop_now_ms(e.loop) > until);
    client_send(&e, &c, "0\r\n\r\n");
    env_take(&e);
    env_piped(&e);
    ENV_UNTIL(&e, chunks_are(&c, "done all done"));
    end(&e);
}

TEST(stream_whose_client_left_lives_until_its_work_is_done)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c, "POST /piped HTTP/1.1\r\n" NDJSON CHUNKED "\r\n1\r\n.\r\n");
    ENV_UNTIL(&e, e.piped != NULL);
    client_close(&e, &c); /* a body that is cut off is a client that left */
    ENV_UNTIL(&e, e.piped_left && cx_http_connections(e.http) == 0);
    EXPECT_INT(cx_http_exchanges(e.http), 1);
    EXPECT_INT(e.released, 0);
    env_piped(&e);
    EXPECT_INT(cx_http_exchanges(e.http), 0);
    EXPECT_INT(e.released, 1);
    end(&e);
}

TEST(stream_whole_body_and_half_close_is_served)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c, "POST /held HTTP/1.1\r\n" NDJSON "Content-Length: 300000\r\n\r\n");
    char *bytes = cx_alloc(300000);
    client_send_bytes(&e, &c, bytes, 300000);
    free(bytes);
    client_half_close(&c);
    ENV_UNTIL(&e, e.held != NULL && cx_exchange_body(e.held).len == 256 * 1024);
    env_take(&e);
    e.take = true;
    cx_stream_wake(e.held);
    ENV_UNTIL(&e, chunks_are(&c, "took 300000"));
    end(&e);
}

/* ---- Events ---- */

TEST(stream_of_events_lives_without_a_deadline)
{
    struct env e;
    struct client c[3];
    start(&e);
    for (int i = 0; i < 3; i++) {
        client_open(&e, &c[i]);
        client_send(&e, &c[i], get("/events?gone=1", ""));
    }
    ENV_UNTIL(&e, e.event_count == 3);
    const uint64_t until = cx_loop_now_ms(e.loop) + 400; /* the route's is 200 */
    ENV_UNTIL(&e, cx_loop_now_ms(e.loop) > until);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(cx_stream_write(e.events[i], CX_STR("data: 1\n\n")));
        EXPECT(cx_stream_write(e.events[i], CX_STR("data: 2\n\n")));
        EXPECT_INT(cx_stream_unsent(e.events[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        ENV_UNTIL(&e, client_has(&c[i], "9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n"));
    }
    client_close(&e, &c[0]);
    client_reset(&e, &c[1]);
    ENV_UNTIL(&e, e.event_count == 1 && cx_http_connections(e.http) == 1);
    cx_http_drain(e.http, NULL, NULL);
    ENV_UNTIL(&e, chunks_are(&c[2], "data: 1\n\ndata: 2\n\ndata: farewell\n\n"));
    ENV_UNTIL(&e, c[2].eof);
    end(&e);
}

TEST(stream_of_events_leaves_the_deaf_behind)
{
    struct env e;
    struct client deaf;
    struct client c;
    start(&e);
    const double before = disconnected("behind");
    client_open(&e, &deaf);
    client_send(&e, &deaf, get("/events?unsent=1048576", ""));
    ENV_UNTIL(&e, e.event_count == 1 && client_has(&deaf, "\r\n\r\n"));
    deaf.deaf = true;
    client_open(&e, &c);
    cx_buf_free(&c.got);
    cx_buf_init(&c.got, 256 * MIB);
    client_send(&e, &c, get("/events", ""));
    ENV_UNTIL(&e, e.event_count == 2);
    struct cx_exchange *slow = e.events[0];
    struct cx_exchange *quick = e.events[1];
    char event[1001];
    memset(event, 'e', sizeof event);
    size_t most = 0;
    unsigned written = 0;
    while (written < 100000 && cx_stream_write(slow, (struct cx_str){ event, sizeof event })) {
        const size_t unsent = cx_stream_unsent(slow);
        most = unsent > most ? unsent : most;
        EXPECT(cx_stream_write(quick, (struct cx_str){ event, sizeof event }));
        written++;
        if (written % 50 == 0) {
            env_take(&e);
        }
    }
    EXPECT(most > MIB - 2048 && most <= MIB);
    /* Never called back: it ends in its own time. */
    EXPECT_INT(e.event_count, 2);
    EXPECT(!cx_stream_write(slow, CX_STR("x")));
    ENV_UNTIL(&e, e.event_count == 1);
    EXPECT(e.events[0] == quick);
    EXPECT_INT(disconnected("behind"), before + 1);
    ENV_UNTIL(&e, client_count(&c, "3e9\r\n") == written);
    end(&e);
}

TEST(stream_ends_with_the_server)
{
    struct env e;
    struct client c;
    struct client d;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c, "POST /lines HTTP/1.1\r\n" NDJSON CHUNKED "\r\n2\r\n{}\r\n");
    client_open(&e, &d);
    d.deaf = true;
    client_send(&e, &d, get("/flow?n=67108864", ""));
    ENV_UNTIL(&e, client_has(&c, "{}") && e.flown > 0);
    cx_http_drain(e.http, NULL, NULL);
    ENV_UNTIL(&e, c.eof);
    EXPECT(chunks_are(&c, "{}[draining]"));
    EXPECT_INT(cx_http_exchanges(e.http),
               1);         /* who is in the middle of an answer gets its rest … */
    cx_http_abort(e.http); /* … unless it takes too long */
    ENV_UNTIL(&e, cx_http_exchanges(e.http) == 0);
    EXPECT_INT(e.released, 1);
    end(&e);
}
