/* SPDX-License-Identifier: MIT
 *
 * The embedder's tests' surroundings (env.h).
 */
#include "env.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void *serve(void *arg);
static void serve_one(struct upstream *u, int fd);
static void on_done(void *ctx, struct cx_embed_result *result);

bool upstream_start(struct upstream *u, const char *unix_path)
{
    u->listener = socket(unix_path != NULL ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (unix_path != NULL) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(address.sun_path, sizeof address.sun_path, "%s", unix_path);
        snprintf(u->path, sizeof u->path, "%s", unix_path);
        (void)test_expect(bind(u->listener, (struct sockaddr *)&address, sizeof address) == 0,
                          __FILE__, __LINE__, "bind: %s", strerror(errno));
    } else {
        struct sockaddr_in address = { .sin_family = AF_INET };
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t len = sizeof address;
        (void)test_expect(bind(u->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                              getsockname(u->listener, (struct sockaddr *)&address, &len) == 0,
                          __FILE__, __LINE__, "bind: %s", strerror(errno));
        u->port = ntohs(address.sin_port);
    }
    if (listen(u->listener, 16) != 0) {
        return false;
    }
    (void)pthread_mutex_init(&u->mutex, NULL);
    return pthread_create(&u->thread, NULL, serve, u) == 0;
}

void upstream_stop(struct upstream *u)
{
    (void)shutdown(u->listener, SHUT_RDWR); /* wakes the accept */
    (void)pthread_join(u->thread, NULL);
    (void)close(u->listener);
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        free(u->heads[i]);
        free(u->bodies[i]);
    }
    (void)pthread_mutex_destroy(&u->mutex);
}

size_t upstream_requests(struct upstream *u)
{
    (void)pthread_mutex_lock(&u->mutex);
    const size_t requests = u->requests;
    (void)pthread_mutex_unlock(&u->mutex);
    return requests;
}

static void *serve(void *arg)
{
    struct upstream *u = arg;
    while (true) {
        const int fd = accept4(u->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        serve_one(u, fd);
        (void)close(fd);
    }
}

static void serve_one(struct upstream *u, int fd)
{
    struct cx_buf in;
    cx_buf_init(&in, (size_t)64 << 20);
    size_t head_len = 0;
    size_t body_len = 0;
    while (head_len == 0 || in.len < head_len + body_len) {
        char *room = cx_buf_reserve(&in, 65536);
        const ssize_t n = read(fd, room, 65536);
        if (n <= 0) {
            cx_buf_free(&in);
            return;
        }
        in.len += (size_t)n;
        in.data[in.len] = '\0';
        const char *end = head_len == 0 ? strstr(in.data, "\r\n\r\n") : NULL;
        if (end != NULL) {
            head_len = (size_t)(end - in.data) + 4;
            const char *field = strcasestr(in.data, "content-length:");
            body_len = field != NULL ? strtoul(field + 15, NULL, 10) : 0;
            if (strcasestr(in.data, "expect: 100-continue") != NULL) {
                static const char GO_ON[] = "HTTP/1.1 100 Continue\r\n\r\n";
                (void)!write(fd, GO_ON, sizeof GO_ON - 1);
            }
        }
    }
    (void)pthread_mutex_lock(&u->mutex);
    const size_t n = u->requests;
    if (n < REQUESTS_MAX) {
        u->heads[n] = cx_strndup(in.data, head_len);
        u->bodies[n] = cx_strndup(in.data + head_len, body_len);
    }
    u->requests++;
    (void)pthread_mutex_unlock(&u->mutex);
    struct cx_buf out;
    cx_buf_init(&out, (size_t)256 << 20);
    u->answer(u->ctx, n, (struct cx_str){ in.data + head_len, body_len }, &out);
    for (size_t sent = 0; sent < out.len;) {
        const ssize_t k = send(fd, out.data + sent, out.len - sent, MSG_NOSIGNAL);
        if (k <= 0) {
            break;
        }
        sent += (size_t)k;
    }
    if (out.len == 0) {
        char byte;
        (void)!read(fd, &byte, 1); /* until the other side has had enough */
    }
    cx_buf_free(&out);
    cx_buf_free(&in);
}

bool env_open(struct env *e, unsigned waiting)
{
    struct cx_err err = { "" };
    *e = (struct env){ 0 };
    if (cx_loop_new(2, &e->loop, &err) != CX_OK) {
        return false;
    }
    const struct cx_lane_options lane = { .name = "cpu", .running = 1, .waiting = waiting };
    cx_lane_new(e->loop, &lane, &e->lane);
    const struct cx_fetch_options fetch = { .user_agent = "test",
                                            .connections_max = 8,
                                            .waiting_max = 8 };
    return cx_fetch_new(e->loop, &fetch, &e->fetch, &err) == CX_OK;
}

void env_close(struct env *e)
{
    EXPECT_INT(e->under_way, 0);
    cx_fetch_free(&e->fetch);
    cx_lane_free(&e->lane);
    cx_loop_free(&e->loop);
}

void env_run(struct env *e)
{
    if (e->under_way > 0) {
        cx_loop_run(e->loop);
    }
    EXPECT_INT(e->under_way, 0);
}

enum cx_status call_start(struct call *c, struct env *env, struct cx_embedder *e,
                          enum cx_embed_kind kind, const struct cx_str *texts, size_t count,
                          uint64_t timeout_ms)
{
    *c = (struct call){ .env = env, .starting = true };
    struct cx_err err = { "" };
    env->under_way++;
    const enum cx_status status = cx_embedder_start(
        e, kind, texts, count, timeout_ms,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", on_done, c, &c->handle, &err);
    c->starting = false;
    if (status != CX_OK) {
        env->under_way--;
        EXPECT(err.text[0] != '\0');
    }
    return status;
}

static void on_done(void *ctx, struct cx_embed_result *result)
{
    struct call *c = ctx;
    EXPECT(!c->starting);
    EXPECT(cx_on_loop_thread());
    c->completions++;
    c->result = *result;
    EXPECT_INT(c->completions, 1);
    c->env->under_way--;
    if (c->env->under_way == 0) {
        cx_loop_stop(c->env->loop);
    }
}

void call_free(struct call *c)
{
    free(c->result.vectors);
    c->result.vectors = NULL;
}
