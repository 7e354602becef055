/* SPDX-License-Identifier: MIT
 *
 * Streams: an answer that is written piece by piece, a body that is taken piece by piece. The
 * exchange goes on through its steps as ever; here is what those steps ask for, and the one
 * operation that they wait for. An open stream owns a buffer only while its client does not keep
 * up.
 *
 * A write goes straight to the socket, whatever the server is working on: the stream's connection
 * gathers nothing in the server's output while it is open. What follows from a write (a client to
 * be disconnected, a deadline to be set) is left to connection__settle_later, so that a writer, who
 * may be in the middle of a list of streams, is never called back.
 */
#include <stdio.h>

#include "http/http_internal.h"

#define WINDOW_BYTES ((size_t)256 * 1024) /* of a body, not yet taken */
#define UNSENT_DEFAULT ((size_t)1024 * 1024)

static void send_out(struct connection *c);
static void put(struct cx_exchange *x, const uv_buf_t *bufs, unsigned count, size_t most);
static void keep(struct cx_exchange *x, const uv_buf_t *bufs, unsigned count, size_t sent);
static void send_pending(struct cx_exchange *x);
static void disconnect(struct cx_exchange *x, const char *reason);
static void send_continue(struct cx_exchange *x);
static bool wait_is_over(const struct cx_exchange *x);
static void complete_wait(struct cx_exchange *x, enum cx_status status);

/* ---- The answer ------------------------------------------------------------------------------ */

enum cx_step_result cx_stream_open(struct cx_exchange *x, int http_status,
                                   const struct cx_stream_options *options)
{
    CX_CHECK(x->state == EXCHANGE_RUNNING && x->stream.state == STREAM_NONE);
    struct http_stream *s = &x->stream;
    struct cx_http *http = x->http;
    struct connection *c = x->connection;
    send_continue(x);
    x->reply.status = http_status;
    x->reply.content_type = options->content_type;
    x->close = !reply__may_keep_alive(x) || x->request.http_1_0;
    cx_exchange_set_header(x, "X-Accel-Buffering", "no");
    s->state = STREAM_OPEN;
    s->chunked = !x->request.http_1_0;
    s->gone_at_eof = options->gone_at_eof;
    s->unsent_max = options->unsent_max > 0 ? options->unsent_max : UNSENT_DEFAULT;
    cx_buf_init(&s->pending, SIZE_MAX); /* cx_stream_write holds it to unsent_max */
    http->stream_count++;
    cx_gauge_set(http->streams_gauge, (double)http->stream_count);
    deadline__stop(&x->deadline);
    observe__opened(x);
    if (c != NULL) {
        reply__write_head(x, 0, false, !x->close);
        send_out(c);
    }
    if (!exchange__is_head(x)) {
        return CX_STEP_NEXT;
    }
    s->state = STREAM_ENDED;
    exchange__finish(x, 0);
    return CX_STEP_REPLIED;
}

/* What is in the output, or nothing more on this connection: what follows would mean something else
 * without it. */
static void send_out(struct connection *c)
{
    if (c->http->out.failed) {
        c->broken = true;
        connection__settle_later(c);
    }
    output__flush(c);
}

bool cx_stream_write(struct cx_exchange *x, struct cx_str bytes)
{
    CX_ASSERT_LOOP();
    struct http_stream *s = &x->stream;
    const struct connection *c = x->connection;
    CX_CHECK(s->state == STREAM_OPEN);
    if (c == NULL || c->broken || c->state == CONNECTION_CLOSING) {
        return false;
    }
    if (bytes.len == 0) { /* an empty chunk would be the end */
        return true;
    }
    s->sent += bytes.len;
    cx_counter_add(x->http->stream_sent, bytes.len);
    char size[24];
    const int size_len = snprintf(size, sizeof size, "%zx\r\n", bytes.len);
    char *const p = (char *)bytes.p; /* uv_buf_t knows no const; it is only read */
    const uv_buf_t framed[] = { uv_buf_init(size, (unsigned)size_len),
                                uv_buf_init(p, (unsigned)bytes.len), uv_buf_init("\r\n", 2) };
    if (s->chunked) {
        put(x, framed, 3, s->unsent_max);
    } else {
        put(x, &framed[1], 1, s->unsent_max);
    }
    return !c->broken;
}

/* most: what may be left waiting, beyond it the client is disconnected. */
static void put(struct cx_exchange *x, const uv_buf_t *bufs, unsigned count, size_t most)
{
    struct cx_http *http = x->http;
    struct connection *c = x->connection;
    size_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += bufs[i].len;
    }
    const bool idle = c->writes == 0 && x->stream.pending.len == 0;
    const size_t sent = idle ? output__try(c, bufs, count) : 0;
    if (c->broken) {
        connection__settle_later(c);
        return;
    }
    if (sent == total) {
        return;
    }
    const size_t rest = total - sent;
    if (cx_stream_unsent(x) + rest > most) {
        disconnect(x, "behind");
    } else if (http->unsent_bytes + rest > http->options.limits.unsent_bytes) {
        disconnect(x, "memory");
    } else {
        keep(x, bufs, count, sent);
    }
}

static void keep(struct cx_exchange *x, const uv_buf_t *bufs, unsigned count, size_t sent)
{
    struct cx_buf *pending = &x->stream.pending;
    const size_t before = pending->len;
    for (unsigned i = 0; i < count; i++) {
        const size_t skip = sent < bufs[i].len ? sent : bufs[i].len;
        cx_buf_append(pending, bufs[i].base + skip, bufs[i].len - skip);
        sent -= skip;
    }
    output__count_unsent(x->http, pending->len - before, 0);
    if (pending->failed) {
        disconnect(x, "memory");
        return;
    }
    if (x->connection->writes == 0) {
        send_pending(x);
        connection__settle_later(x->connection); /* whose write deadline begins */
    }
}

static void send_pending(struct cx_exchange *x)
{
    struct cx_buf *pending = &x->stream.pending;
    size_t len = 0;
    char *data = cx_buf_take(pending, &len);
    output__count_unsent(x->http, 0, len); /* the write counts them again */
    output__queue(x->connection, data, len);
}

static void disconnect(struct cx_exchange *x, const char *reason)
{
    x->connection->broken = true;
    observe__disconnected(reason);
    connection__settle_later(x->connection);
}

size_t cx_stream_unsent(const struct cx_exchange *x)
{
    const struct connection *c = x->connection;
    return c == NULL ? 0
                     : x->stream.pending.len +
                           uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

void stream__written(struct cx_exchange *x)
{
    const struct connection *c = x->connection;
    if (!c->broken && c->writes == 0 && x->stream.pending.len > 0) {
        send_pending(x);
    }
    if (wait_is_over(x)) {
        complete_wait(x, CX_OK);
    }
}

enum cx_step_result cx_stream_end(struct cx_exchange *x)
{
    CX_CHECK(x->state == EXCHANGE_RUNNING && x->stream.state == STREAM_OPEN);
    struct http_stream *s = &x->stream;
    struct connection *c = x->connection;
    x->close = x->close || !reply__may_keep_alive(x);
    if (c != NULL && !c->broken) {
        const uv_buf_t last = uv_buf_init("0\r\n\r\n", 5);
        if (s->chunked) {
            put(x, &last, 1, SIZE_MAX);
        }
        if (!c->broken && s->pending.len > 0) {
            send_pending(x); /* behind what is being written */
        }
    }
    s->state = STREAM_ENDED;
    exchange__finish(x, s->sent);
    return CX_STEP_REPLIED;
}

void stream__cut(struct cx_exchange *x, enum cx_status status, const char *text)
{
    CX_LOG(CX_LOG_WARN, "streamed answer cut short", CX_S("correlation_id", x->correlation_id),
           CX_S("route", x->info->label), CX_S("reason", cx_status_reason(status)),
           CX_S("why", x->reply.why != NULL ? x->reply.why : text));
    x->close = true;
    x->stream.state = STREAM_ENDED;
    if (x->connection != NULL) {
        disconnect(x, "failed");
    }
    exchange__finish(x, x->stream.sent);
}

void stream__drop(struct cx_exchange *x)
{
    struct http_stream *s = &x->stream;
    if (s->state == STREAM_NONE) {
        return;
    }
    output__count_unsent(x->http, 0, s->pending.len);
    cx_buf_free(&s->pending);
    x->http->stream_count--;
    cx_gauge_set(x->http->streams_gauge, (double)x->http->stream_count);
}

/* ---- The body -------------------------------------------------------------------------------- */

/* Whoever is asked to go on is asked when his body is wanted, and before the answer's head. */
static void send_continue(struct cx_exchange *x)
{
    if (x->request.expects_continue && x->stream.pieces && x->connection != NULL) {
        reply__continue(x);
        send_out(x->connection);
        x->request.expects_continue = false;
    }
}

size_t stream__room(const struct cx_exchange *x)
{
    const size_t len = x->request.body.len;
    return len < WINDOW_BYTES ? WINDOW_BYTES - len : 0;
}

void stream__body_came(struct cx_exchange *x, size_t bytes)
{
    struct connection *c = x->connection;
    if (bytes > 0 && c->awaits == &x->http->body_deadlines) {
        deadline__stop(&c->deadline);
        c->awaits = NULL; /* begins anew with each piece */
    }
    if (wait_is_over(x)) {
        complete_wait(x, CX_OK);
    }
}

void stream__body_failed(struct cx_exchange *x, enum cx_status status, const char *text)
{
    struct http_stream *s = &x->stream;
    s->fault = status;
    s->fault_text = text;
    x->close = true;
    if (s->state == STREAM_NONE) {
        (void)reply__problem(x, status, text, NULL);
        return;
    }
    connection__move(x->connection, CONNECTION_WORK);
    if (wait_is_over(x)) {
        complete_wait(x, CX_OK);
    }
}

void cx_stream_take(struct cx_exchange *x, size_t bytes)
{
    struct cx_buf *body = &x->request.body;
    CX_CHECK(bytes <= body->len);
    cx_counter_add(x->http->stream_taken, bytes);
    if (bytes == body->len) {
        cx_buf_free(body);
    } else {
        cx_buf_consume(body, bytes);
    }
}

bool cx_stream_body_ended(const struct cx_exchange *x)
{
    return x->request.body_complete && x->request.body.len == 0;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

enum cx_step_result cx_stream_wait(struct cx_exchange *x, unsigned what, void (*cancel)(void *op),
                                   void *op)
{
    CX_CHECK(x->state == EXCHANGE_RUNNING);
    if ((what & CX_WAIT_BODY) != 0) {
        send_continue(x);
    }
    x->stream.wants = what;
    x->operation = OPERATION_STREAM;
    x->cancel = cancel;
    x->op = op;
    exchange__move(x, EXCHANGE_WAITING);
    if (wait_is_over(x)) {
        complete_wait(x, CX_OK);
    }
    return CX_STEP_WAIT;
}

static bool wait_is_over(const struct cx_exchange *x)
{
    const struct http_stream *s = &x->stream;
    if (x->operation != OPERATION_STREAM || x->state != EXCHANGE_WAITING) {
        return false;
    }
    const bool body = (s->wants & CX_WAIT_BODY) != 0 &&
                      (x->request.body.len > 0 || x->request.body_complete || s->fault != CX_OK);
    const bool room = (s->wants & CX_WAIT_ROOM) != 0 && cx_stream_unsent(x) <= s->unsent_max / 2;
    return s->woken || body || room;
}

/* What has come of the body before its fault is still taken. */
static void complete_wait(struct cx_exchange *x, enum cx_status status)
{
    struct http_stream *s = &x->stream;
    struct cx_err err = { "" };
    if (status == CX_OK && (s->wants & CX_WAIT_BODY) != 0 && x->request.body.len == 0 &&
        s->fault != CX_OK) {
        status = s->fault;
        (void)cx_err_set(&err, status, "%s", s->fault_text);
    }
    s->woken = false;
    s->wants = 0;
    exchange__complete(x, status, &err);
}

void cx_stream_wake(struct cx_exchange *x)
{
    CX_ASSERT_LOOP();
    if (x->operation == OPERATION_STREAM) {
        complete_wait(x, x->state == EXCHANGE_WAITING ? CX_OK : CX_CANCELLED);
    } else {
        x->stream.woken = true;
    }
}

bool cx_stream_draining(const struct cx_exchange *x)
{
    return x->http->state != HTTP_SERVING;
}

void stream__drain(struct cx_exchange *x)
{
    if (x->stream.state == STREAM_OPEN || x->stream.pieces) {
        cx_stream_wake(x);
    }
}

bool stream__awaits_body(const struct cx_exchange *x)
{
    return (x->stream.wants & (CX_WAIT_BODY | CX_WAIT_PATIENT)) == CX_WAIT_BODY;
}

bool stream__awaits_reader(const struct cx_exchange *x)
{
    return (x->stream.wants & (CX_WAIT_BODY | CX_WAIT_ROOM)) == CX_WAIT_ROOM;
}
