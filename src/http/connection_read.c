/* SPDX-License-Identifier: MIT
 *
 * Bytes in: what a client sends becomes heads, bodies and pieces of bodies. Reading goes on while an
 * exchange works, so that a client that leaves is noticed; what cannot be taken yet is stashed, up to a
 * bound.
 */
#include "http/http_internal.h"

#define FLUSH_BYTES ((size_t)64 * 1024) /* of gathered answers */
#define LINGER_BYTES ((size_t)1024 * 1024)

static void start_reading(struct connection *c);
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf);
static void take_bytes(struct connection *c, struct cx_str data);
static size_t take_requests(struct connection *c, struct cx_str data);
static bool take_head(struct connection *c, struct cx_str data, size_t *used);
static bool take_body(struct connection *c, struct cx_str data, size_t *used);
static bool take_piece(struct connection *c, struct cx_str data, size_t *used);
static bool stash_bytes(struct connection *c, struct cx_str data);

void connection__pace_reading(struct connection *c)
{
    if (c->stash.len >= CONNECTION_STASH_PAUSE && c->reading) {
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
        c->reading = false;
    } else if (c->stash.len < CONNECTION_STASH_PAUSE) {
        start_reading(c);
    }
}

static void start_reading(struct connection *c)
{
    if (!c->reading && !c->eof && uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0) {
        c->reading = true;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    const struct connection *c = handle->data;
    *buf = uv_buf_init(c->http->read_buffer, CONNECTION_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct connection *c = stream->data;
    if (count == 0 || c->state == CONNECTION_CLOSING) {
        return;
    }
    server__enter(c->http);
    if (count > 0) {
        take_bytes(c, (struct cx_str){ buf->base, (size_t)count });
    } else {
        c->eof = true; /* libuv reads no more: not after an error either */
        c->reading = false;
        c->broken = c->broken || count != UV_EOF;
        if (turn__is_late(c, CX_STR(""))) {
            turn__postpone(c);
        } else {
            connection__proceed(c);
        }
    }
    server__leave(c->http);
}

static void take_bytes(struct connection *c, struct cx_str data)
{
    if (c->state == CONNECTION_LINGER) {
        c->lingered += data.len;
        if (c->patient) {
            connection__await(c, true);
        } else if (c->lingered > LINGER_BYTES) {
            connection__close(c);
        }
        return;
    }
    if (turn__is_late(c, data)) {
        if (stash_bytes(c, data)) {
            turn__postpone(c);
            connection__pace_reading(c);
        }
        return;
    }
    if (c->stash.len > 0) {
        if (stash_bytes(c, data)) {
            connection__proceed(c);
        }
        return;
    }
    const size_t used = take_requests(c, data);
    if (used == data.len || c->state == CONNECTION_STOPPED || c->state == CONNECTION_CLOSING ||
        stash_bytes(c, (struct cx_str){ data.p + used, data.len - used })) {
        connection__settle(c);
    }
}

/* False: there was no room, and the connection is closed. */
static bool stash_bytes(struct connection *c, struct cx_str data)
{
    cx_buf_append(&c->stash, data.p, data.len);
    if (c->stash.failed) {
        connection__close(c);
        return false;
    }
    return true;
}

void connection__proceed(struct connection *c)
{
    link__remove(&c->late);
    const size_t used = take_requests(c, (struct cx_str){ c->stash.data, c->stash.len });
    if (used == c->stash.len) {
        cx_buf_free(&c->stash);
    } else if (used > 0) {
        cx_buf_consume(&c->stash, used);
    }
    connection__settle(c);
}

static size_t take_requests(struct connection *c, struct cx_str data)
{
    size_t used = 0;
    bool more = true;
    while (more && !c->broken) {
        exchange__sweep(c->http);
        switch (c->state) {
        case CONNECTION_IDLE:
        case CONNECTION_HEAD:
            more = take_head(c, data, &used);
            break;
        case CONNECTION_BODY:
        case CONNECTION_DISCARD:
            more = take_body(c, data, &used);
            break;
        case CONNECTION_STREAM:
            more = take_piece(c, data, &used);
            break;
        case CONNECTION_WORK:
        case CONNECTION_STOPPED:
        case CONNECTION_LINGER:
        case CONNECTION_CLOSING:
        case CONNECTION_STATE_COUNT:
            more = false;
            break;
        }
    }
    return used;
}

static bool take_head(struct connection *c, struct cx_str data, size_t *used)
{
    if (c->http->out.len >= FLUSH_BYTES) {
        output__flush(c);
    }
    if (c->writes > 0) {
        return false; /* who does not read his answers gets no further ones */
    }
    struct cx_str rest = { data.p + *used, data.len - *used };
    if (c->scanned == 0) {
        /* RFC 9112 2.2: blank lines in front of a request are passed over. */
        while (rest.len >= 2 && rest.p[0] == '\r' && rest.p[1] == '\n') {
            rest = (struct cx_str){ rest.p + 2, rest.len - 2 };
            *used += 2;
        }
    }
    if (rest.len == 0) {
        if (c->state == CONNECTION_HEAD) {
            connection__move(c, CONNECTION_IDLE);
        }
        return false;
    }
    if (c->state == CONNECTION_IDLE) {
        connection__move(c, CONNECTION_HEAD);
    }
    if (rest.len == 1 && rest.p[0] == '\r') {
        return false;
    }
    enum cx_status fault = CX_OK;
    const char *text = NULL;
    switch (request__scan(rest, &c->http->options.limits, &c->scanned, &fault, &text)) {
    case SCAN_MORE:
        return false;
    case SCAN_FAILED:
        exchange__refuse(c, fault, text);
        return true;
    case SCAN_HEAD:
        break;
    }
    const struct cx_str head = { rest.p, c->scanned };
    *used += head.len;
    c->scanned = 0;
    exchange__begin(c, head);
    return true;
}

static bool take_body(struct connection *c, struct cx_str data, size_t *used)
{
    struct cx_exchange *x = c->exchange;
    size_t taken = 0;
    const enum http_feed verdict =
        request__feed(&x->request, (struct cx_str){ data.p + *used, data.len - *used }, &taken);
    *used += taken;
    if (verdict == FEED_MORE) {
        if (c->state == CONNECTION_DISCARD && x->stream.pieces && taken > 0) {
            c->awaits = NULL; /* each piece has time anew */
        }
        return false;
    }
    if (c->state == CONNECTION_DISCARD) {
        c->exchange = NULL;
        exchange__drop(x);
        c->linger = true;
        connection__move(c, verdict == FEED_COMPLETE ? CONNECTION_IDLE : CONNECTION_STOPPED);
        return true;
    }
    if (verdict == FEED_FAILED) {
        x->close = true;
        if (x->request.fault == CX_BAD_REQUEST) {
            observe__protocol_error(c->http, x->request.fault);
        }
        (void)reply__problem(x, x->request.fault, x->request.fault_text, NULL);
        return true;
    }
    connection__move(c, CONNECTION_WORK);
    exchange__start(x);
    return true;
}

/* Only what the exchange has room for: the rest stays stashed, and a full stash stops the reading. */
static bool take_piece(struct connection *c, struct cx_str data, size_t *used)
{
    struct cx_exchange *x = c->exchange;
    struct cx_str rest = { data.p + *used, data.len - *used };
    const size_t room = stream__room(x);
    rest.len = rest.len < room ? rest.len : room;
    if (rest.len == 0) {
        return false;
    }
    size_t taken = 0;
    const enum http_feed verdict = request__feed(&x->request, rest, &taken);
    *used += taken;
    if (verdict == FEED_FAILED) {
        observe__protocol_error(c->http, x->request.fault);
        stream__body_failed(x, x->request.fault, x->request.fault_text);
        return true;
    }
    if (verdict == FEED_COMPLETE) {
        connection__move(c, CONNECTION_WORK);
    }
    stream__body_came(x, taken);
    return verdict == FEED_MORE;
}
