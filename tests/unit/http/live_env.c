/* SPDX-License-Identifier: MIT
 *
 * The server of toy routes and its clients.
 */
#include "live_env.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "cortex/crypto.h"
#include "test.h"

static const struct cx_str nothing = { NULL, 0 };
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static struct env *env_of(struct cx_exchange *x)
{
    return cx_exchange_context(x);
}

static enum cx_step_result reply_text(struct cx_exchange *x, const char *text)
{
    return cx_exchange_reply_bytes(x, 200, "text/plain", cx_str_of(text), nothing);
}

static void note_order(struct env *e, char letter)
{
    const size_t len = strlen(e->order);
    if (len + 1 < sizeof e->order) {
        e->order[len] = letter;
    }
}

static enum cx_step_result now_reply(struct cx_exchange *x)
{
    note_order(env_of(x), 'n');
    return reply_text(x, "now");
}

static enum cx_step_result health_reply(struct cx_exchange *x)
{
    note_order(env_of(x), 'h');
    return reply_text(x, "healthy");
}

static enum cx_step_result busy_reply(struct cx_exchange *x)
{
    struct env *e = env_of(x);
    note_order(e, 'b');
    while (!cx_loop_turn_over(e->loop)) {
    }
    return reply_text(x, "busy");
}

static enum cx_step_result echo_reply(struct cx_exchange *x)
{
    return cx_exchange_reply_bytes(x, 200, "application/json", cx_exchange_body(x), nothing);
}

struct work_state {
    struct env *env;
    unsigned number;
};

static enum cx_status work_work(void *arg, struct cx_err *err)
{
    struct work_state *state = arg;
    (void)err;
    atomic_fetch_add(&state->env->works_begun, 1);
    (void)pthread_mutex_lock(&held);
    (void)pthread_mutex_unlock(&held);
    state->number = 7;
    return CX_OK;
}

static enum cx_step_result work_start(struct cx_exchange *x)
{
    struct env *e = env_of(x);
    struct work_state *state = cx_exchange_state(x);
    state->env = e;
    e->works++;
    return cx_exchange_work(x, e->lane, CX_PRIORITY_NORMAL, work_work, state);
}

static enum cx_step_result work_reply(struct cx_exchange *x)
{
    const struct work_state *state = cx_exchange_state(x);
    return reply_text(x, state->number == 7 ? "done" : "not done");
}

static void on_late(void *ctx)
{
    struct env *e = ctx;
    while (e->late_count > 0) {
        cx_exchange_resume(e->late[--e->late_count], CX_CANCELLED, NULL);
    }
}

static void cancel_wait(void *op)
{
    struct cx_exchange *x = op;
    struct env *e = env_of(x);
    e->cancels++;
    if (e->resume_on_cancel) {
        e->waiting = e->waiting == x ? NULL : e->waiting;
        CX_CHECK(e->late_count < CX_ARRAY_LEN(e->late));
        e->late[e->late_count++] = x;
        cx_timer_start(e->timer, 0, 0);
    }
}

static void count_release(void *arg)
{
    struct env *e = arg;
    e->released++;
}

static enum cx_step_result wait_start(struct cx_exchange *x)
{
    struct env *e = env_of(x);
    cx_exchange_defer(x, count_release, e);
    e->waiting = x;
    e->waits++;
    return cx_exchange_wait(x, cancel_wait, x);
}

static enum cx_step_result unsure_start(struct cx_exchange *x)
{
    cx_exchange_set_overdue(x, CX_OUTCOME_UNKNOWN);
    return wait_start(x);
}

static enum cx_step_result wait_reply(struct cx_exchange *x)
{
    return reply_text(x, "waited");
}

static enum cx_step_result outcome_reply(struct cx_exchange *x)
{
    const char *detail = NULL;
    const enum cx_status status = cx_exchange_outcome(x, &detail);
    char text[128];
    snprintf(text, sizeof text, "%s: %s", cx_status_name(status), detail != NULL ? detail : "-");
    return reply_text(x, text);
}

static enum cx_step_result bytes_reply(struct cx_exchange *x)
{
    const char *count = cx_exchange_query(x, "n");
    const size_t len = count != NULL ? strtoul(count, NULL, 10) : 0;
    note_order(env_of(x), 'y');
    struct cx_buf body;
    cx_buf_init(&body, (size_t)64 * 1024 * 1024);
    char *p = cx_buf_reserve(&body, len + 1);
    for (size_t i = 0; p != NULL && i < len; i++) {
        p[i] = (char)('a' + i % 26);
    }
    body.len = p != NULL ? len : 0;
    if (p == NULL || cx_exchange_query(x, "owned") != NULL) {
        return cx_exchange_reply_buf(x, 200, "text/plain", &body);
    }
    const enum cx_step_result result = cx_exchange_reply_bytes(
        x, 200, "text/plain", (struct cx_str){ body.data, body.len }, nothing);
    cx_buf_free(&body);
    return result;
}

static enum cx_step_result fail_reply(struct cx_exchange *x)
{
    const char *name = cx_exchange_query(x, "status");
    for (int status = 1; status < CX_STATUS_COUNT; status++) {
        if (strcmp(cx_status_name((enum cx_status)status), name) == 0) {
            return cx_exchange_fail(x, (enum cx_status)status, "said so %d", 5);
        }
    }
    return reply_text(x, "no such status");
}

static enum cx_step_result tagged_reply(struct cx_exchange *x)
{
    cx_exchange_set_etag(x, "W/\"v1\"");
    cx_exchange_set_cache_control(x, "private, max-age=5");
    cx_exchange_set_header(x, "X-Extra", "1");
    cx_exchange_set_header(x, "X-Bad", "a\r\nSet-Cookie: b");
    return reply_text(x, "tagged");
}

static enum cx_step_result item_reply(struct cx_exchange *x)
{
    return cx_exchange_reply_json(
        x, 200,
        json_pack("{s:s?,s:s?,s:s?,s:s?}", "id", cx_exchange_param(x, "id"), "q",
                  cx_exchange_query(x, "q"), "token", cx_exchange_token_name(x), "h",
                  cx_exchange_header(x, "x-h")));
}

static enum cx_step_result empty_reply(struct cx_exchange *x)
{
    return cx_exchange_reply_empty(x, 204);
}

static enum cx_step_result faults_reply(struct cx_exchange *x)
{
    struct cx_faults faults;
    cx_faults_init(&faults);
    json_t *loc = json_pack("[s,s]", "body", "top_k");
    cx_faults_add(&faults, loc, "range", "must be between 1 and 100");
    json_decref(loc);
    return cx_exchange_fail_faults(x, &faults);
}

static const struct cx_step now_steps[] = { { "reply", now_reply, false } };
static const struct cx_step health_steps[] = { { "reply", health_reply, false } };
static const struct cx_step busy_steps[] = { { "reply", busy_reply, false } };
static const struct cx_step echo_steps[] = { { "reply", echo_reply, false } };
static const struct cx_step work_steps[] = { { "work", work_start, false },
                                             { "reply", work_reply, false } };
static const struct cx_step wait_steps[] = { { "wait", wait_start, false },
                                             { "reply", wait_reply, false } };
static const struct cx_step unsure_steps[] = { { "wait", unsure_start, false },
                                               { "reply", wait_reply, false } };
static const struct cx_step two_steps[] = { { "wait", wait_start, false },
                                            { "again", wait_start, false },
                                            { "reply", wait_reply, false } };
static const struct cx_step outcome_steps[] = { { "wait", wait_start, false },
                                                { "reply", outcome_reply, true } };
static const struct cx_step bytes_steps[] = { { "reply", bytes_reply, false } };
static const struct cx_step fail_steps[] = { { "reply", fail_reply, false } };
static const struct cx_step tagged_steps[] = { { "reply", tagged_reply, false } };
static const struct cx_step item_steps[] = { { "reply", item_reply, false } };
static const struct cx_step empty_steps[] = { { "reply", empty_reply, false } };
static const struct cx_step faults_steps[] = { { "reply", faults_reply, false } };

#define ROUTE(verb, template, table)                                                               \
    .method = verb, .path = template, .steps = table, .step_count = CX_ARRAY_LEN(table)
#define MIB ((size_t)1024 * 1024)

static const struct cx_route routes[] = {
    { ROUTE("GET", "/now", now_steps), .flags = CX_ROUTE_UNLIMITED },
    { ROUTE("GET", "/health", health_steps),
      .flags = CX_ROUTE_UNLIMITED | CX_ROUTE_WHILE_DRAINING | CX_ROUTE_PROMPT },
    { ROUTE("GET", "/busy", busy_steps) },
    { ROUTE("POST", "/echo", echo_steps), .flags = CX_ROUTE_BODY, .body_bytes = MIB },
    { ROUTE("POST", "/lines", echo_steps), .flags = CX_ROUTE_BODY, .body_bytes = 16 },
    { ROUTE("POST", "/maybe", echo_steps), .flags = CX_ROUTE_BODY_OPTIONAL, .body_bytes = 64 },
    { ROUTE("GET", "/work", work_steps), .state_bytes = sizeof(struct work_state) },
    { ROUTE("GET", "/wait", wait_steps) },
    { ROUTE("GET", "/two", two_steps) },
    { ROUTE("GET", "/outcome", outcome_steps) },
    { ROUTE("GET", "/brief", wait_steps), .deadline_ms = 60 },
    { ROUTE("GET", "/unsure", unsure_steps), .deadline_ms = 60 },
    { ROUTE("GET", "/bytes", bytes_steps) },
    { ROUTE("GET", "/fail", fail_steps) },
    { ROUTE("GET", "/faults", faults_steps) },
    { ROUTE("GET", "/tagged", tagged_steps) },
    { ROUTE("GET", "/item/{id}", item_steps) },
    { ROUTE("DELETE", "/item/{id}", empty_steps) },
    { ROUTE("GET", "/secret", item_steps), .scope = CX_SCOPE_VECTOR },
    { ROUTE("GET", "/limited", now_steps) },
    { ROUTE("GET", "/limited/secret", now_steps), .scope = CX_SCOPE_VECTOR },
    { ROUTE("POST", "/v1/x", echo_steps), .scope = CX_SCOPE_VECTOR,
      .flags = CX_ROUTE_BODY | CX_ROUTE_OPENAI_ERRORS },
};

static void add_token(struct cx_tokens *tokens, const char *name, const char *secret,
                      unsigned scopes, int64_t expires_us)
{
    struct cx_token token = { .name = name, .scopes = scopes, .expires_us = expires_us };
    cx_sha256(cx_str_of(secret), token.sha256);
    cx_tokens_add(tokens, &token);
}

void env_open(struct env *e)
{
    memset(e, 0, sizeof *e);
    atomic_init(&e->works_begun, 0);
    struct cx_err err;
    CX_CHECK(cx_loop_new(4, &e->loop, &err) == CX_OK);
    cx_lane_new(e->loop, &(struct cx_lane_options){ .name = "test", .running = 1, .waiting = 2 },
                &e->lane);
    cx_timer_new(e->loop, on_late, e, &e->timer);
    e->options.context = e;
    e->options.compress_lane = e->lane;
    e->resume_on_cancel = true;
}

void env_start(struct env *e)
{
    struct cx_err err = { .text = "" };
    e->routes = cx_realloc_array(NULL, CX_ARRAY_LEN(routes) + stream_route_count, sizeof *routes);
    memcpy(e->routes, routes, sizeof routes);
    memcpy(e->routes + CX_ARRAY_LEN(routes), stream_routes, stream_route_count * sizeof *routes);
    CX_CHECK(cx_http_new(e->loop, &e->options, e->routes, CX_ARRAY_LEN(routes) + stream_route_count,
                         &e->http, &err) == CX_OK);
    struct cx_tokens *tokens = NULL;
    cx_tokens_new(&tokens);
    add_token(tokens, "all", "all-token", CX_SCOPE_ALL, 0);
    add_token(tokens, "state", "state-token", CX_SCOPE_STATE, 0);
    add_token(tokens, "old", "old-token", CX_SCOPE_ALL, 1);
    cx_http_set_tokens(e->http, tokens);
    CX_CHECK(cx_http_listen(e->http, "127.0.0.1:0", &e->port, &err) == CX_OK);
    if (e->hold_work) {
        (void)pthread_mutex_lock(&held);
    }
}

static void on_drained(void *ctx)
{
    struct env *e = ctx;
    e->drained = true;
}

void env_close(struct env *e)
{
    env_release_work(e);
    while (e->client_count > 0) {
        client_close(e, e->clients[0]);
    }
    if (!e->drained) {
        cx_http_drain(e->http, on_drained, e);
        cx_http_abort(e->http);
        ENV_UNTIL(e, e->drained);
    }
    EXPECT_INT(cx_http_connections(e->http), 0);
    EXPECT_INT(cx_http_exchanges(e->http), 0);
    cx_http_free(&e->http);
    free(e->routes);
    cx_timer_free(&e->timer);
    cx_lane_free(&e->lane);
    cx_loop_free(&e->loop);
}

void env_release_work(struct env *e)
{
    if (e->hold_work) {
        (void)pthread_mutex_unlock(&held);
        e->hold_work = false;
    }
}

void env_resume(struct env *e, enum cx_status status, const char *text)
{
    struct cx_exchange *x = e->waiting;
    CX_CHECK(x != NULL);
    e->waiting = NULL;
    struct cx_err err = { .text = "" };
    if (text != NULL) {
        snprintf(err.text, sizeof err.text, "%s", text);
    }
    cx_exchange_resume(x, status, &err);
}

static void client_read(struct client *c)
{
    while (!c->eof && !c->reset && !c->deaf) {
        char bytes[16384];
        const ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n > 0) {
            cx_buf_append(&c->got, bytes, (size_t)n);
        } else if (n == 0) {
            c->eof = true;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else {
            c->reset = true;
        }
    }
}

void env_turn(struct env *e)
{
    uv_loop_t *uv = cx_loop_uv(e->loop);
    struct pollfd fds[1 + CX_ARRAY_LEN(e->clients)];
    nfds_t count = 0;
    fds[count++] = (struct pollfd){ .fd = uv_backend_fd(uv), .events = POLLIN };
    for (unsigned i = 0; i < e->client_count; i++) {
        const struct client *c = e->clients[i];
        if (!c->eof && !c->reset && !c->deaf) {
            fds[count++] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
        }
    }
    (void)uv_run(uv, UV_RUN_NOWAIT);
    const int timeout = uv_backend_timeout(uv);
    (void)poll(fds, count, timeout < 0 || timeout > 100 ? 100 : timeout);
    (void)uv_run(uv, UV_RUN_NOWAIT);
    for (unsigned i = 0; i < e->client_count; i++) {
        client_read(e->clients[i]);
    }
}

void env_take(struct env *e)
{
    (void)uv_run(cx_loop_uv(e->loop), UV_RUN_NOWAIT);
    (void)uv_run(cx_loop_uv(e->loop), UV_RUN_NOWAIT);
    for (unsigned i = 0; i < e->client_count; i++) {
        client_read(e->clients[i]);
    }
}

void client_open(struct env *e, struct client *c)
{
    client_make(c);
    client_connect(e, c);
}

void client_make(struct client *c)
{
    memset(c, 0, sizeof *c);
    cx_buf_init(&c->got, (size_t)64 * 1024 * 1024);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CX_CHECK(c->fd >= 0);
}

void client_connect(struct env *e, struct client *c)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)e->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    CX_CHECK(connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0);
    CX_CHECK(e->client_count < CX_ARRAY_LEN(e->clients));
    e->clients[e->client_count++] = c;
}

void client_send(struct env *e, struct client *c, const char *text)
{
    client_send_bytes(e, c, text, strlen(text));
}

static void wait_to_send(struct env *e, const struct client *c)
{
    uv_loop_t *uv = cx_loop_uv(e->loop);
    struct pollfd fds[] = { { .fd = uv_backend_fd(uv), .events = POLLIN },
                            { .fd = c->fd, .events = POLLOUT } };
    const int timeout = uv_backend_timeout(uv);
    (void)poll(fds, CX_ARRAY_LEN(fds), timeout < 0 || timeout > 100 ? 100 : timeout);
}

void client_send_bytes(struct env *e, struct client *c, const char *data, size_t len)
{
    const uint64_t until = cx_clock_mono_ns() + LIVE_WAIT_NS;
    while (len > 0 && cx_clock_mono_ns() < until) {
        const ssize_t n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
            return; /* the server has closed: the test sees that */
        } else {
            env_take(e);
            wait_to_send(e, c);
        }
    }
}

void client_half_close(struct client *c)
{
    (void)shutdown(c->fd, SHUT_WR);
}

void client_reset(struct env *e, struct client *c)
{
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    client_close(e, c);
}

void client_close(struct env *e, struct client *c)
{
    for (unsigned i = 0; i < e->client_count; i++) {
        if (e->clients[i] == c) {
            e->clients[i] = e->clients[--e->client_count];
            (void)close(c->fd);
            cx_buf_free(&c->got);
            return;
        }
    }
}

bool client_has(const struct client *c, const char *text)
{
    return c->got.data != NULL && memmem(c->got.data, c->got.len, text, strlen(text)) != NULL;
}

unsigned client_count(const struct client *c, const char *text)
{
    unsigned count = 0;
    const size_t len = strlen(text);
    for (size_t at = 0; at + len <= c->got.len; at++) {
        count += memcmp(c->got.data + at, text, len) == 0 ? 1 : 0;
    }
    return count;
}

static bool answer_is_whole(const struct client *c)
{
    const char *end = c->got.data != NULL ? strstr(c->got.data, "\r\n\r\n") : NULL;
    if (end == NULL) {
        return c->eof || c->reset;
    }
    const char *length = strcasestr(c->got.data, "\r\nContent-Length: ");
    if (length == NULL || length > end) {
        return true;
    }
    const size_t want = strtoul(length + 18, NULL, 10);
    return c->got.len - (size_t)(end + 4 - c->got.data) >= want || c->eof || c->reset;
}

int client_ask(struct env *e, struct client *c, const char *request)
{
    cx_buf_clear(&c->got);
    client_send(e, c, request);
    const bool head = strncmp(request, "HEAD", 4) == 0;
    ENV_UNTIL(e, head ? client_has(c, "\r\n\r\n") || c->eof : answer_is_whole(c));
    if (c->got.len < 12 || memcmp(c->got.data, "HTTP/1.1 ", 9) != 0) {
        return 0;
    }
    return (int)strtol(c->got.data + 9, NULL, 10);
}

const char *client_body(const struct client *c)
{
    const char *end = c->got.data != NULL ? strstr(c->got.data, "\r\n\r\n") : NULL;
    return end != NULL ? end + 4 : "";
}

struct cx_buf client_chunks(const struct client *c, bool *ended)
{
    struct cx_buf out;
    cx_buf_init(&out, (size_t)256 * 1024 * 1024);
    cx_buf_puts(&out, "");
    *ended = false;
    const char *p = c->got.data != NULL ? strstr(c->got.data, "\r\n\r\n") : NULL;
    const char *end = c->got.data + c->got.len;
    p = p != NULL ? p + 4 : end;
    while (p < end) {
        char *line_end = NULL;
        const size_t len = strtoul(p, &line_end, 16);
        if (line_end + 2 + len + 2 > end) {
            break;
        }
        if (len == 0) {
            *ended = true;
            break;
        }
        cx_buf_append(&out, line_end + 2, len);
        p = line_end + 2 + len + 2;
    }
    return out;
}

const char *get(const char *path, const char *lines)
{
    static char text[8192];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, lines);
    return text;
}
