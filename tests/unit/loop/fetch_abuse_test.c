/* SPDX-License-Identifier: MIT
 *
 * fetch with upstreams that misbehave: each ends with its own outcome, in bounded memory, and the
 * next call is served.
 */
#include "fetch_env.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void expect_outcome(struct world *w, const char *path, enum cx_fetch_outcome want)
{
    struct probe p;
    char url[128];
    const struct cx_fetch_request request = world_request(w, path, url);
    probe_run(w, &p, &request);
    (void)test_expect(p.outcome == want, __FILE__, __LINE__, "%s ended with %d (\"%s\"), wanted %d",
                      path, (int)p.outcome, p.reason, (int)want);
    EXPECT_INT(p.status, 0);
    EXPECT_INT(p.body_len, 0);
}

TEST(fetch_survives_broken_answers)
{
    static const char *const paths[] = { "/cut", "/cut-chunk", "/hang-up", "/reset", "/garbage" };
    struct world w;
    struct probe p;
    char url[128];
    world_open(&w);
    for (size_t i = 0; i < CX_ARRAY_LEN(paths); i++) {
        expect_outcome(&w, paths[i], CX_FETCH_BROKEN);
        const struct cx_fetch_request request = world_request(&w, "/ok", url);
        probe_run(&w, &p, &request);
        EXPECT_INT(p.outcome, CX_FETCH_OK);
    }
    world_close(&w);
}

TEST(fetch_stops_floods_at_the_ceiling)
{
    struct world w;
    struct probe p;
    char url[128];
    world_open(&w);
    expect_outcome(&w, "/flood", CX_FETCH_TOO_LARGE);
    expect_outcome(&w, "/announce", CX_FETCH_TOO_LARGE);
    expect_outcome(&w, "/lengths", CX_FETCH_TOO_LARGE);
    expect_outcome(&w, "/head-flood", CX_FETCH_TOO_LARGE);
    expect_outcome(&w, "/interim-flood", CX_FETCH_TOO_LARGE);
    expect_outcome(&w, "/long-line", CX_FETCH_BROKEN); /* curl's own limit of a line */

    /* The ceiling itself is allowed. */
    struct cx_fetch_request request = world_request(&w, "/ok", url);
    request.response_max_bytes = 5;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_STR(p.body, "hello");
    request.response_max_bytes = 4;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_TOO_LARGE);
    request.response_max_bytes = 0;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_TOO_LARGE);
    world_close(&w);
}

TEST(fetch_does_not_follow_redirects)
{
    struct world w;
    struct probe p;
    char url[128];
    world_open(&w);
    const struct cx_fetch_request request = world_request(&w, "/redirect", url);
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(p.status, 302);
    EXPECT_INT(atomic_load(&w.upstream.secrets), 0);
    world_close(&w);
}

/* A port that was free a moment ago. */
static int bound_socket(unsigned *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CX_CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    CX_CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

TEST(fetch_reports_a_refused_connection)
{
    struct world w;
    struct probe p;
    char url[128];
    unsigned port = 0;
    world_open(&w);
    const int fd = bound_socket(&port); /* bound but not listening: refused, and nobody else's */
    struct cx_fetch_request request = world_request(&w, "/ok", url);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_CONNECT);
    EXPECT(strstr(p.reason, "refused") != NULL);
    (void)snprintf(url, sizeof(url), "http://[::1]:%u/", port);
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_CONNECT);
    (void)close(fd);
    world_close(&w);
}

/* A listener whose queue is full answers no further SYN. */
TEST(fetch_gives_up_connecting)
{
    struct world w;
    struct probe p;
    char url[128];
    unsigned port = 0;
    int fillers[4];
    world_open(&w);
    const int fd = bound_socket(&port);
    REQUIRE(listen(fd, 0) == 0);
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    for (size_t i = 0; i < CX_ARRAY_LEN(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fillers[i], (const struct sockaddr *)&address, sizeof(address));
    }
    struct cx_fetch_request request = world_request(&w, "/ok", url);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    request.connect_timeout_ms = 50;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_CONNECT);
    request.connect_timeout_ms = 0;
    request.timeout_ms = 50;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_TIMEOUT);
    EXPECT(strstr(p.reason, "connecting") != NULL);
    for (size_t i = 0; i < CX_ARRAY_LEN(fillers); i++) {
        (void)close(fillers[i]);
    }
    (void)close(fd);
    world_close(&w);
}

TEST(fetch_reports_what_is_not_tls)
{
    struct world w;
    struct probe p;
    char url[128];
    world_open(&w);
    struct cx_fetch_request request = world_request(&w, "/ok", url);
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/garbage", w.upstream.port);
    request.timeout_ms = 60; /* the upstream waits for the end of a head that never comes */
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_TIMEOUT);
    EXPECT(strstr(p.reason, "connecting") != NULL);
    w.upstream.speaks_first = true;
    request.timeout_ms = 10000;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_TLS);
    world_close(&w);
}
