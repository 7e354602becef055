/* SPDX-License-Identifier: MIT
 *
 * Connections: keep-alive, pipelines, cut input, clients that leave, slow ones, limits, the end.
 */
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "live_env.h"
#include "test.h"

#define HOST "Host: localhost\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define POST(path, length, body)                                                                   \
    "POST " path " HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: " length  \
    "\r\n\r\n" body

static void start(struct env *e)
{
    env_open(e);
    env_start(e);
}

TEST(live_answers_and_keeps_the_connection)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    for (int i = 0; i < 3; i++) {
        EXPECT_INT(client_ask(&e, &c, GET("/now")), 200);
        EXPECT_STR(client_body(&c), "now");
        EXPECT(client_has(&c, "\r\nDate: "));
        EXPECT(client_has(&c, "\r\nX-Content-Type-Options: nosniff\r\n"));
        EXPECT(client_has(&c, "\r\nCache-Control: no-store\r\n"));
        EXPECT(!client_has(&c, "Server:"));
        EXPECT(!client_has(&c, "Connection:"));
    }
    EXPECT_INT(cx_http_connections(e.http), 1);
    env_close(&e);
}

TEST(live_http_1_0)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, "GET /now HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), 200);
    EXPECT(client_has(&c, "\r\nConnection: keep-alive\r\n"));
    EXPECT_INT(client_ask(&e, &c, "GET /now HTTP/1.0\r\n\r\n"), 200);
    EXPECT(client_has(&c, "\r\nConnection: close\r\n"));
    ENV_UNTIL(&e, c.eof);
    env_close(&e);
}

TEST(live_head_is_get_without_a_body)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, "HEAD /bytes?n=5000 HTTP/1.1\r\n" HOST "\r\n"), 200);
    EXPECT(client_has(&c, "\r\nContent-Length: 5000\r\n"));
    EXPECT_STR(client_body(&c), "");
    EXPECT_INT(client_ask(&e, &c, "HEAD /nothing HTTP/1.1\r\n" HOST "\r\n"), 404);
    EXPECT_STR(client_body(&c), "");
    EXPECT_INT(client_ask(&e, &c, GET("/now")), 200);
    env_close(&e);
}

/* Sends text in two pieces, each taken in by the server before the next, or byte by byte. */
static void ask_cut(struct env *e, const char *text, size_t cut, const char *want, unsigned answers)
{
    struct client c;
    client_open(e, &c);
    const size_t len = strlen(text);
    if (cut == 0) {
        for (size_t i = 0; i < len; i++) {
            client_send_bytes(e, &c, text + i, 1);
            env_take(e);
        }
    } else {
        client_send_bytes(e, &c, text, cut);
        env_take(e);
        client_send_bytes(e, &c, text + cut, len - cut);
    }
    ENV_UNTIL(e, client_count(&c, "HTTP/1.1 ") >= answers || c.eof || c.reset);
    test_expect(client_count(&c, want) == answers, __FILE__, __LINE__, "cut %zu of \"%.40s\": %s",
                cut, text, c.got.data != NULL ? c.got.data : "nothing");
    client_close(e, &c);
}

TEST(live_input_may_be_cut_anywhere)
{
    static const struct {
        const char *text;
        const char *want;
        unsigned answers;
    } cases[] = {
        { GET("/now"), "HTTP/1.1 200", 1 },
        { "\r\n\r\n" GET("/now"), "HTTP/1.1 200", 1 },
        { POST("/echo", "5", "[1,2]") GET("/now"), "HTTP/1.1 200", 2 },
        { "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n"
          "0\r\n\r\n" GET("/now"),
          "HTTP/1.1 200", 2 },
        { "GET /now HTTP/1.1\r\n" HOST "A : b\r\n\r\n" GET("/now"), "HTTP/1.1 400", 1 },
        { "GET /now HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n", "HTTP/1.1 400", 1 },
        /* Refused, its body read off, the next answered. */
        { POST("/nothing", "5", "[1,2]") POST("/nothing", "0", ""), "HTTP/1.1 404", 2 },
    };
    struct env e;
    start(&e);
    for (size_t i = 0; i < CX_ARRAY_LEN(cases); i++) {
        const size_t len = strlen(cases[i].text);
        for (size_t cut = 0; cut < len; cut++) {
            ask_cut(&e, cases[i].text, cut, cases[i].want, cases[i].answers);
        }
    }
    env_close(&e);
}

TEST(live_pipelines_are_answered_in_order)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c, GET("/item/1") GET("/work") GET("/item/2") GET("/wait") GET("/item/3"));
    ENV_UNTIL(&e, e.waiting != NULL && client_has(&c, "\"2\""));
    EXPECT(!client_has(&c, "\"3\""));
    env_resume(&e, CX_OK, NULL);
    ENV_UNTIL(&e, client_has(&c, "\"3\""));
    const char *one = strstr(c.got.data, "\"1\"");
    const char *done = strstr(c.got.data, "done");
    const char *two = strstr(c.got.data, "\"2\"");
    const char *waited = strstr(c.got.data, "waited");
    const char *three = strstr(c.got.data, "\"3\"");
    EXPECT(one != NULL && one < done && done < two && two < waited && waited < three);
    env_close(&e);
}

TEST(live_pipelines_are_bounded)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c, GET("/wait"));
    ENV_UNTIL(&e, e.waiting != NULL);
    /* The server must stop reading long before a client runs out of requests. */
    static const char block[] =
        GET("/now") GET("/now") GET("/now") GET("/now") GET("/now") GET("/now");
    size_t sent = 0;
    unsigned idle = 0;
    while (idle < 5 && sent < (size_t)64 * 1024 * 1024) {
        const ssize_t n = send(c.fd, block, strlen(block), MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        if (n <= 0) {
            env_take(&e);
        }
    }
    EXPECT(sent < (size_t)64 * 1024 * 1024);
    EXPECT(!client_has(&c, "HTTP/1.1 200"));
    env_resume(&e, CX_OK, NULL);
    ENV_UNTIL(&e, client_has(&c, "waited") && client_count(&c, "\r\n\r\nnow") > 100);
    env_close(&e);
}

TEST(live_who_does_not_read_gets_no_more)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    c.deaf = true;
    /* Far more than socket buffers hold. */
    static const char block[] = GET("/bytes?n=1000000") GET("/bytes?n=1000000&owned=1");
    for (int i = 0; i < 20; i++) {
        client_send(&e, &c, block);
    }
    client_send(&e, &c, GET("/wait"));
    for (int i = 0; i < 20; i++) {
        env_take(&e);
    }
    EXPECT_INT(e.waits, 0);
    c.deaf = false;
    ENV_UNTIL(&e, e.waiting != NULL);
    env_resume(&e, CX_OK, NULL);
    ENV_UNTIL(&e, client_has(&c, "\r\n\r\nwaited"));
    EXPECT_INT(client_count(&c, "HTTP/1.1 200"), 41);
    size_t total = 0;
    for (const char *at = c.got.data; (at = strstr(at, "\r\n\r\n")) != NULL; at += 4) {
        const size_t run = strcspn(at + 4, "H");
        total += run;
        if (run >= 1000000) {
            EXPECT(at[4] == 'a' && at[4 + 999999] == 'a' + 999999 % 26);
        }
    }
    EXPECT_INT(total, 40 * 1000000 + 6);
    env_close(&e);
}

TEST(live_half_close_is_answered)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c, GET("/work") GET("/now"));
    client_half_close(&c);
    ENV_UNTIL(&e, c.eof);
    EXPECT(client_has(&c, "done"));
    EXPECT(client_has(&c, "\r\n\r\nnow"));
    ENV_UNTIL(&e, cx_http_connections(e.http) == 0);
    env_close(&e);
}

TEST(live_half_close_within_a_request_ends_it)
{
    static const char *const parts[] = { "GET /no", "GET /now HTTP/1.1\r\n" HOST,
                                         POST("/echo", "10", "[1,2"), "\r\n", "" };
    struct env e;
    start(&e);
    for (size_t i = 0; i < CX_ARRAY_LEN(parts); i++) {
        struct client c;
        client_open(&e, &c);
        client_send(&e, &c, parts[i]);
        client_half_close(&c);
        ENV_UNTIL(&e, c.eof);
        EXPECT_INT(c.got.len, 0);
        client_close(&e, &c);
    }
    ENV_UNTIL(&e, cx_http_connections(e.http) == 0);
    EXPECT_INT(cx_http_exchanges(e.http), 0);
    env_close(&e);
}

TEST(live_clients_may_leave_at_any_byte)
{
    static const char text[] = POST("/echo", "5", "[1,2]") GET("/work") GET("/brief");
    struct env e;
    start(&e);
    for (size_t len = 0; len < sizeof text; len++) {
        for (int reset = 0; reset < 2; reset++) {
            struct client c;
            client_open(&e, &c);
            client_send_bytes(&e, &c, text, len);
            for (size_t turns = len % 3; turns > 0; turns--) {
                env_take(&e);
            }
            if (reset == 1) {
                client_reset(&e, &c);
            } else {
                client_close(&e, &c);
            }
        }
    }
    ENV_UNTIL(&e, cx_http_connections(e.http) == 0 && cx_http_exchanges(e.http) == 0);
    env_close(&e);
}

TEST(live_a_client_that_leaves_cancels_its_operation)
{
    struct env e;
    struct client c;
    start(&e);
    e.resume_on_cancel = false;
    client_open(&e, &c);
    client_send(&e, &c, GET("/wait"));
    ENV_UNTIL(&e, e.waiting != NULL);
    client_reset(&e, &c);
    ENV_UNTIL(&e, e.cancels == 1);
    /* It lives on until its operation has completed. */
    EXPECT_INT(cx_http_exchanges(e.http), 1);
    EXPECT_INT(e.released, 0);
    env_resume(&e, CX_CANCELLED, NULL);
    EXPECT_INT(cx_http_exchanges(e.http), 0);
    EXPECT_INT(e.released, 1);
    env_close(&e);
}

TEST(live_a_client_that_leaves_while_its_work_is_queued)
{
    struct env e;
    struct client c[3];
    env_open(&e);
    e.hold_work = true; /* one runs, two wait behind it */
    env_start(&e);
    for (int i = 0; i < 3; i++) {
        client_open(&e, &c[i]);
        client_send(&e, &c[i], GET("/work"));
    }
    ENV_UNTIL(&e, cx_lane_waiting(e.lane) == 2 && atomic_load(&e.works_begun) == 1);
    for (int i = 0; i < 3; i++) {
        client_reset(&e, &c[i]);
    }
    ENV_UNTIL(&e, cx_http_exchanges(e.http) == 1); /* what runs cannot be called back */
    env_close(&e);
}

TEST(live_a_full_lane_is_503)
{
    struct env e;
    struct client c[4];
    env_open(&e);
    e.hold_work = true;
    env_start(&e);
    for (int i = 0; i < 4; i++) {
        client_open(&e, &c[i]);
        client_send(&e, &c[i], GET("/work"));
        ENV_UNTIL(&e, e.works == (unsigned)i + 1);
    }
    ENV_UNTIL(&e, client_has(&c[3], "HTTP/1.1 503"));
    EXPECT(client_has(&c[3], "\r\nRetry-After: 1\r\n"));
    ENV_UNTIL(&e, client_has(&c[3], "\"reason\":\"overloaded\""));
    EXPECT_INT(client_ask(&e, &c[3], GET("/now")), 200);
    env_close(&e);
}

TEST(live_the_deadline_answers_and_the_connection_goes_on)
{
    struct env e;
    struct client c;
    start(&e);
    e.resume_on_cancel = false;
    client_open(&e, &c);
    client_send(&e, &c, GET("/brief") GET("/now"));
    ENV_UNTIL(&e, client_has(&c, "\r\n\r\nnow"));
    EXPECT(client_has(&c, "HTTP/1.1 503"));
    EXPECT(client_has(&c, "deadline"));
    EXPECT_INT(e.cancels, 1);
    EXPECT_INT(cx_http_exchanges(e.http), 1);
    EXPECT_INT(client_ask(&e, &c, GET("/now")), 200);
    env_resume(&e, CX_OK, NULL); /* the late completion is for nobody */
    EXPECT_INT(cx_http_exchanges(e.http), 0);
    EXPECT_INT(client_ask(&e, &c, GET("/now")), 200);
    EXPECT(!client_has(&c, "waited"));
    env_close(&e);
}

TEST(live_deadline_of_what_may_have_an_effect)
{
    struct env e;
    struct client c;
    start(&e);
    e.resume_on_cancel = false;
    client_open(&e, &c);
    client_send(&e, &c, GET("/unsure") GET("/now"));
    ENV_UNTIL(&e, client_has(&c, "\r\n\r\nnow"));
    EXPECT(client_has(&c, "HTTP/1.1 503"));
    EXPECT(client_has(&c, "\"reason\":\"outcome_unknown\""));
    EXPECT(client_has(&c, "\r\nRetry-After: "));
    env_resume(&e, CX_OK, NULL);
    EXPECT_INT(cx_http_exchanges(e.http), 0);
    env_close(&e);
}

TEST(live_several_waits_and_their_outcomes)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c, GET("/two"));
    ENV_UNTIL(&e, e.waits == 1);
    env_resume(&e, CX_OK, NULL);
    EXPECT_INT(e.waits, 2); /* at once: nothing else was under way */
    env_resume(&e, CX_OK, NULL);
    ENV_UNTIL(&e, client_has(&c, "waited"));
    EXPECT_INT(e.released, 2);
    /* A failed operation fails the exchange with what it said … */
    cx_buf_clear(&c.got);
    client_send(&e, &c, GET("/wait"));
    ENV_UNTIL(&e, e.waits == 3);
    env_resume(&e, CX_CONFLICT, "that id is taken");
    ENV_UNTIL(&e, client_has(&c, "that id is taken"));
    EXPECT(client_has(&c, "HTTP/1.1 409"));
    /* … but what is our fault stays ours. */
    cx_buf_clear(&c.got);
    client_send(&e, &c, GET("/wait"));
    ENV_UNTIL(&e, e.waits == 4);
    env_resume(&e, CX_INTERNAL, "SELECT secret");
    ENV_UNTIL(&e, client_has(&c, "HTTP/1.1 500"));
    EXPECT(!client_has(&c, "SELECT"));
    /* A step that asks for it sees the failure itself. */
    cx_buf_clear(&c.got);
    client_send(&e, &c, GET("/outcome"));
    ENV_UNTIL(&e, e.waits == 5);
    env_resume(&e, CX_NOT_FOUND, "nowhere");
    ENV_UNTIL(&e, client_has(&c, "NOT_FOUND: nowhere"));
    env_close(&e);
}

/* ---- Time limits ----------------------------------------------------------------------------- */

static void expect_timeout(const char *sent, const char *want, unsigned header_ms, unsigned body_ms,
                           unsigned idle_ms)
{
    struct env e;
    struct client c;
    env_open(&e);
    e.options.limits.header_timeout_ms = header_ms;
    e.options.limits.body_timeout_ms = body_ms;
    e.options.limits.idle_timeout_ms = idle_ms;
    env_start(&e);
    client_open(&e, &c);
    client_send(&e, &c, sent);
    ENV_UNTIL(&e, c.eof);
    const char *got = c.got.data != NULL ? c.got.data : "";
    test_expect(strncmp(got, want, strlen(want)) == 0 && (want[0] != '\0' || got[0] == '\0'),
                __FILE__, __LINE__, "\"%.30s\": %s", sent, got);
    EXPECT(!c.reset);
    client_close(&e, &c);
    ENV_UNTIL(&e, cx_http_connections(e.http) == 0);
    env_close(&e);
}

TEST(live_slow_clients_are_told_or_left)
{
    const unsigned quick = 50;
    const unsigned never = 60000;
    expect_timeout("", "", never, never, quick);
    expect_timeout(GET("/now"), "HTTP/1.1 200", never, never, 10 * quick);
    expect_timeout("G", "HTTP/1.1 408", quick, never, never);
    expect_timeout("GET /now HTTP/1.1\r\n" HOST, "HTTP/1.1 408", quick, never, never);
    expect_timeout(POST("/echo", "10", "[1,2"), "HTTP/1.1 408", never, quick, never);
    expect_timeout("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\n",
                   "HTTP/1.1 408", never, quick, never);
    /* Refused at once; the rest of its body never comes. */
    expect_timeout(POST("/nothing", "10", "[1,2"), "HTTP/1.1 404", never, quick, never);
}

TEST(live_a_trickle_does_not_renew_the_head_time)
{
    struct env e;
    struct client c;
    env_open(&e);
    e.options.limits.header_timeout_ms = 80;
    env_start(&e);
    client_open(&e, &c);
    client_send(&e, &c, "GET /now HTTP/1.1\r\n" HOST "X: ");
    const uint64_t until = cx_clock_mono_ns() + LIVE_WAIT_NS;
    while (!c.eof && !c.reset && !client_has(&c, "408") && cx_clock_mono_ns() < until) {
        client_send(&e, &c, "x");
        env_turn(&e);
    }
    EXPECT(client_has(&c, "HTTP/1.1 408"));
    env_close(&e);
}

TEST(live_a_client_that_never_reads_is_closed)
{
    struct env e;
    struct client c;
    env_open(&e);
    e.options.limits.write_timeout_ms = 50;
    env_start(&e);
    client_open(&e, &c);
    c.deaf = true;
    client_send(&e, &c, GET("/bytes?n=30000000"));
    ENV_UNTIL(&e, e.order[0] == 'y' && cx_http_connections(e.http) == 0);
    env_close(&e);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

TEST(live_connections_are_limited)
{
    struct env e;
    struct client c[4];
    env_open(&e);
    e.options.limits.connections = 3;
    env_start(&e);
    for (int i = 0; i < 4; i++) {
        client_open(&e, &c[i]);
    }
    ENV_UNTIL(&e, c[3].eof || c[3].reset);
    for (int i = 0; i < 3; i++) {
        EXPECT_INT(client_ask(&e, &c[i], GET("/now")), 200);
    }
    client_close(&e, &c[0]);
    client_close(&e, &c[3]);
    ENV_UNTIL(&e, cx_http_connections(e.http) == 2);
    client_open(&e, &c[0]);
    EXPECT_INT(client_ask(&e, &c[0], GET("/now")), 200);
    env_close(&e);
}

TEST(live_exchanges_are_limited_but_health_is_answered)
{
    struct env e;
    struct client c[3];
    env_open(&e);
    e.options.limits.exchanges = 2;
    env_start(&e);
    e.resume_on_cancel = true;
    for (int i = 0; i < 3; i++) {
        client_open(&e, &c[i]);
    }
    struct cx_exchange *first = NULL;
    client_send(&e, &c[0], GET("/wait"));
    ENV_UNTIL(&e, e.waits == 1);
    first = e.waiting;
    client_send(&e, &c[1], GET("/wait"));
    ENV_UNTIL(&e, e.waits == 2);
    EXPECT_INT(client_ask(&e, &c[2], GET("/now")), 503);
    EXPECT(client_has(&c[2], "overloaded"));
    EXPECT_INT(client_ask(&e, &c[2], GET("/health")), 200);
    env_resume(&e, CX_OK, NULL);
    e.waiting = first;
    env_resume(&e, CX_OK, NULL);
    EXPECT_INT(client_ask(&e, &c[2], GET("/now")), 200);
    env_close(&e);
}

TEST(live_too_many_open_files_are_survived)
{
    struct env e;
    struct client first;
    struct client many[8];
    start(&e);
    client_open(&e, &first);
    EXPECT_INT(client_ask(&e, &first, GET("/now")), 200);
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    /* The clients' own sockets exist before the limit falls to what is open; connecting needs no
     * further ones. */
    for (size_t i = 0; i < CX_ARRAY_LEN(many); i++) {
        client_make(&many[i]);
    }
    const int next = dup(many[0].fd);
    REQUIRE(next >= 0);
    (void)close(next);
    const struct rlimit low = { .rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max };
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (size_t i = 0; i < CX_ARRAY_LEN(many); i++) {
        client_connect(&e, &many[i]);
    }
    for (size_t i = 0; i < CX_ARRAY_LEN(many); i++) {
        ENV_UNTIL(&e, many[i].eof || many[i].reset);
    }
    EXPECT_INT(client_ask(&e, &first, GET("/now")), 200);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    struct client last;
    client_open(&e, &last);
    EXPECT_INT(client_ask(&e, &last, GET("/now")), 200);
    env_close(&e);
}

TEST(live_requests_per_connection)
{
    struct env e;
    struct client c;
    env_open(&e);
    e.options.limits.requests_per_connection = 2;
    env_start(&e);
    client_open(&e, &c);
    client_send(&e, &c, GET("/now") GET("/now") GET("/now"));
    ENV_UNTIL(&e, c.eof);
    EXPECT_INT(client_count(&c, "HTTP/1.1 200"), 2);
    EXPECT_INT(client_count(&c, "Connection: close"), 1);
    env_close(&e);
}

TEST(live_a_refusal_can_be_read_by_who_is_still_sending)
{
    /* Without a lingering close the client's unread bytes would reset the connection, and the
     * reset could overtake the answer. */
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    client_send(&e, &c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000000\r\n\r\n");
    static char junk[256 * 1024];
    memset(junk, 'x', sizeof junk);
    client_send_bytes(&e, &c, junk, sizeof junk);
    ENV_UNTIL(&e, c.eof || c.reset);
    EXPECT(client_has(&c, "HTTP/1.1 413"));
    EXPECT(client_has(&c, "\r\nConnection: close\r\n"));
    EXPECT(c.eof && !c.reset);
    client_close(&e, &c);
    ENV_UNTIL(&e, cx_http_connections(e.http) == 0);
    env_close(&e);
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

TEST(live_large_bodies_go_through)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
    const size_t len = (size_t)1024 * 1024;
    struct cx_buf body;
    cx_buf_init(&body, 2 * len);
    char *p = cx_buf_reserve(&body, len);
    for (size_t i = 0; i < len; i++) {
        p[i] = (char)('0' + i % 10);
    }
    body.len = len;
    client_send(&e, &c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n");
    client_send_bytes(&e, &c, body.data, len);
    ENV_UNTIL(&e, client_has(&c, "\r\n\r\n") && strlen(client_body(&c)) == len);
    EXPECT(memcmp(client_body(&c), body.data, len) == 0);
    /* One more is too many, whether announced or in chunks. */
    EXPECT_INT(client_ask(&e, &c, POST("/echo", "1048577", "")), 413);
    client_close(&e, &c);
    client_open(&e, &c);
    client_send(&e, &c,
                "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100001\r\n");
    client_send_bytes(&e, &c, body.data, len);
    client_send(&e, &c, "x");
    ENV_UNTIL(&e, c.eof);
    EXPECT(client_has(&c, "HTTP/1.1 413"));
    cx_buf_free(&body);
    env_close(&e);
}

TEST(live_expect_continue)
{
    struct env e;
    struct client c;
    start(&e);
    client_open(&e, &c);
#define EXPECTING(path, length)                                                                    \
    "POST " path " HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: " length "\r\n\r\n"
    client_send(&e, &c, EXPECTING("/echo", "5"));
    ENV_UNTIL(&e, client_has(&c, "HTTP/1.1 100 Continue\r\n\r\n"));
    client_send(&e, &c, "[1,2]");
    ENV_UNTIL(&e, client_has(&c, "\r\n\r\n[1,2]"));
    EXPECT(client_has(&c, "HTTP/1.1 200"));
    EXPECT_INT(client_ask(&e, &c, EXPECTING("/nothing", "5")), 404);
    EXPECT(client_has(&c, "\r\nConnection: close\r\n"));
    EXPECT(!client_has(&c, "100 Continue"));
    ENV_UNTIL(&e, c.eof);
    client_close(&e, &c);
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, EXPECTING("/echo", "9999999")), 413);
    env_close(&e);
}

/* ---- The end --------------------------------------------------------------------------------- */

static void note_drained(void *ctx)
{
    struct env *e = ctx;
    e->drained = true;
}

/* Once the turn is over, requests wait for the next ones in the order in which they came; a health
 * check does not. */
TEST(live_a_health_check_goes_before_a_crowd)
{
    struct env e;
    struct client c[8];
    start(&e);
    for (size_t i = 0; i < CX_ARRAY_LEN(c); i++) {
        client_open(&e, &c[i]);
    }
    ENV_UNTIL(&e, cx_http_connections(e.http) == CX_ARRAY_LEN(c));
    client_send(&e, &c[0], GET("/busy"));
    client_send(&e, &c[1], GET("/busy"));
    client_send(&e, &c[2], GET("/now"));
    client_send(&e, &c[3], GET("/busy"));
    client_send(&e, &c[4], GET("/health"));
    client_send(&e, &c[5], GET("/health?verbose") GET("/now"));
    client_send(&e, &c[6], GET("/now"));
    client_close(&e, &c[7]);
    ENV_UNTIL(&e, strlen(e.order) == 8 && cx_http_connections(e.http) == 7);
    EXPECT_STR(e.order, "bhhnbnbn");
    for (size_t i = 0; i < 7; i++) {
        ENV_UNTIL(&e, client_count(&c[i], "HTTP/1.1 200") == (i == 5 ? 2 : 1));
    }
    env_close(&e);
}

/* What has been read of a request is not lost, nor overtaken, nor read twice when it waits. */
TEST(live_pieces_that_wait_are_put_together)
{
    struct env e;
    struct client c[3];
    start(&e);
    for (size_t i = 0; i < CX_ARRAY_LEN(c); i++) {
        client_open(&e, &c[i]);
    }
    ENV_UNTIL(&e, cx_http_connections(e.http) == CX_ARRAY_LEN(c));
    for (int round = 0; round < 20; round++) {
        cx_buf_clear(&c[1].got);
        client_send(&e, &c[0], GET("/busy"));
        client_send(&e, &c[1], "POST /echo HTTP/1.1\r\n" HOST "Content-Type: application/json\r\n");
        env_take(&e);
        client_send(&e, &c[0], GET("/busy"));
        client_send(&e, &c[1], "Content-Length: 5\r\n\r\n[1,");
        client_send(&e, &c[2], GET("/busy"));
        env_take(&e);
        client_send(&e, &c[1], "2]");
        ENV_UNTIL(&e, client_has(&c[1], "[1,2]"));
        EXPECT_INT(client_count(&c[1], "HTTP/1.1 "), 1);
    }
    ENV_UNTIL(&e, client_count(&c[0], "HTTP/1.1 200") == 40);
    env_close(&e);
}

/* Who closes while his request waits is let go, and so is one that waits when the server drains. */
TEST(live_clients_may_leave_while_they_wait)
{
    struct env e;
    struct client c[5];
    start(&e);
    for (size_t i = 0; i < CX_ARRAY_LEN(c); i++) {
        client_open(&e, &c[i]);
    }
    ENV_UNTIL(&e, cx_http_connections(e.http) == CX_ARRAY_LEN(c));
    client_send(&e, &c[0], GET("/busy"));
    for (size_t i = 1; i < CX_ARRAY_LEN(c); i++) {
        client_send(&e, &c[i], GET("/now"));
    }
    (void)uv_run(cx_loop_uv(e.loop), UV_RUN_NOWAIT);
    EXPECT_STR(e.order, "b");
    client_half_close(&c[1]);
    client_reset(&e, &c[2]);
    cx_http_drain(e.http, note_drained, &e);
    ENV_UNTIL(&e, c[1].eof && c[3].eof && c[4].eof);
    EXPECT(client_has(&c[1], "HTTP/1.1 503"));
    EXPECT(client_has(&c[3], "HTTP/1.1 503"));
    EXPECT(client_has(&c[4], "HTTP/1.1 503"));
    client_close(&e, &c[0]);
    client_close(&e, &c[1]);
    client_close(&e, &c[3]);
    client_close(&e, &c[4]);
    ENV_UNTIL(&e, e.drained);
    env_close(&e);
}

TEST(live_drain)
{
    struct env e;
    struct client idle;
    struct client busy;
    struct client slow;
    struct client health;
    start(&e);
    client_open(&e, &idle);
    EXPECT_INT(client_ask(&e, &idle, GET("/now")), 200);
    client_open(&e, &slow);
    client_send(&e, &slow, "GET /now HTTP/1.1\r\n");
    client_open(&e, &health);
    client_send(&e, &health, "GET /health HTTP/1.1\r\n");
    client_open(&e, &busy);
    client_send(&e, &busy, GET("/wait") GET("/now"));
    ENV_UNTIL(&e, e.waiting != NULL);
    cx_http_drain(e.http, note_drained, &e);
    ENV_UNTIL(&e, idle.eof);
    EXPECT(!e.drained);
    env_resume(&e, CX_OK, NULL);
    ENV_UNTIL(&e, busy.eof);
    EXPECT(client_has(&busy, "\r\nConnection: close\r\n"));
    EXPECT(client_has(&busy, "waited"));
    EXPECT_INT(client_count(&busy, "HTTP/1.1 "), 1);
    client_send(&e, &slow, HOST "\r\n");
    ENV_UNTIL(&e, slow.eof);
    EXPECT(client_has(&slow, "HTTP/1.1 503"));
    EXPECT(client_has(&slow, "shutting_down"));
    client_send(&e, &health, HOST "\r\n");
    ENV_UNTIL(&e, health.eof);
    EXPECT(client_has(&health, "HTTP/1.1 200"));
    client_close(&e, &slow);
    client_close(&e, &busy);
    client_close(&e, &health);
    ENV_UNTIL(&e, e.drained);
    env_close(&e);
}

TEST(live_drain_of_nothing_is_told_later)
{
    struct env e;
    start(&e);
    cx_http_drain(e.http, note_drained, &e);
    EXPECT(!e.drained);
    ENV_UNTIL(&e, e.drained);
    env_close(&e);
}

TEST(live_abort_waits_for_what_is_outstanding)
{
    struct env e;
    struct client c[3];
    env_open(&e);
    e.hold_work = true;
    env_start(&e);
    e.resume_on_cancel = false;
    for (int i = 0; i < 3; i++) {
        client_open(&e, &c[i]);
    }
    client_send(&e, &c[0], GET("/wait"));
    client_send(&e, &c[1], GET("/work"));
    client_send(&e, &c[2], POST("/echo", "10", "[1"));
    ENV_UNTIL(&e,
              e.waits == 1 && atomic_load(&e.works_begun) == 1 && cx_http_exchanges(e.http) == 3);
    cx_http_drain(e.http, note_drained, &e);
    cx_http_abort(e.http);
    EXPECT_INT(e.cancels, 1);
    ENV_UNTIL(&e, c[0].eof || c[0].reset);
    ENV_UNTIL(&e, cx_http_connections(e.http) == 0);
    EXPECT_INT(cx_http_exchanges(e.http), 2);
    EXPECT(!e.drained);
    env_resume(&e, CX_CANCELLED, NULL);
    env_release_work(&e);
    ENV_UNTIL(&e, e.drained);
    env_close(&e);
}
