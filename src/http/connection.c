/* SPDX-License-Identifier: MIT
 *
 * One client connection: bytes in, and which state it is in. It owns its socket, what it has
 * stashed and, while there is one, its exchange. Reading goes on while an exchange works, up to a
 * bound, so that a client that leaves is noticed.
 *
 *   IDLE → HEAD → WORK ⇄ BODY          an exchange has the request
 *                 WORK ⇄ STREAM        it takes its body piece by piece; WORK when all has come
 *   WORK → IDLE                        answered, next
 *   WORK, BODY, STREAM → DISCARD → IDLE    answered before its body was read
 *   … → STOPPED → LINGER → CLOSING     no further request
 */
#include "http/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_BYTES ((size_t)64 * 1024)
#define STASH_PAUSE ((size_t)64 * 1024) /* beyond it a connection is not read from */
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
static bool client_is_gone(const struct connection *c);
static bool stash_bytes(struct connection *c, struct cx_str data);
static void settle(struct connection *c);
static void pace_reading(struct connection *c);
static void begin_linger(struct connection *c);
static void await(struct connection *c, bool begun);
static void on_closed(uv_handle_t *handle);

#define MAY(state) (1U << CONNECTION_##state)
static const unsigned legal_moves[CONNECTION_STATE_COUNT] = {
    [CONNECTION_IDLE] = MAY(HEAD) | MAY(CLOSING),
    [CONNECTION_HEAD] = MAY(WORK) | MAY(IDLE) | MAY(CLOSING),
    [CONNECTION_BODY] = MAY(WORK) | MAY(DISCARD) | MAY(STOPPED) | MAY(CLOSING),
    [CONNECTION_STREAM] = MAY(WORK) | MAY(DISCARD) | MAY(STOPPED) | MAY(CLOSING),
    [CONNECTION_WORK] =
        MAY(IDLE) | MAY(BODY) | MAY(STREAM) | MAY(DISCARD) | MAY(STOPPED) | MAY(CLOSING),
    [CONNECTION_DISCARD] = MAY(IDLE) | MAY(STOPPED) | MAY(CLOSING),
    [CONNECTION_STOPPED] = MAY(LINGER) | MAY(CLOSING),
    [CONNECTION_LINGER] = MAY(CLOSING),
    [CONNECTION_CLOSING] = 0,
};
#undef MAY

void connection__move(struct connection *c, enum connection_state to)
{
    CX_CHECK((legal_moves[c->state] & (1U << to)) != 0);
    c->state = to;
}

void connection__accept(struct listener *listener)
{
    struct cx_http *http = listener->http;
    struct connection *c = cx_alloc(sizeof *c);
    c->http = http;
    c->guarded = listener->guarded;
    cx_buf_init(&c->stash, http->options.limits.header_bytes + STASH_PAUSE + 2 * READ_BYTES);
    CX_CHECK(uv_tcp_init(cx_loop_uv(http->loop), &c->tcp) == 0);
    c->tcp.data = c;
    link__append(&http->connections, &c->link);
    http->connection_count++;
    cx_gauge_set(http->connections_gauge, (double)http->connection_count);
    if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)&c->tcp) != 0) {
        connection__close(c);
        return;
    }
    cx_counter_add(http->accepted, 1);
    if (http->connection_count > http->options.limits.connections || http->state != HTTP_SERVING) {
        cx_counter_add(http->refused, 1);
        connection__close(c);
        return;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1);
    start_reading(c);
    await(c, true);
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
    *buf = uv_buf_init(c->http->read_buffer, READ_BYTES);
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
            await(c, true);
        } else if (c->lingered > LINGER_BYTES) {
            connection__close(c);
        }
        return;
    }
    if (turn__is_late(c, data)) {
        if (stash_bytes(c, data)) {
            turn__postpone(c);
            pace_reading(c);
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
        settle(c);
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
    settle(c);
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

void connection__answered(struct connection *c, bool keep_alive)
{
    struct cx_exchange *x = c->exchange;
    if (!keep_alive) {
        c->patient = x->stream.pieces && !x->request.body_complete && x->stream.fault == CX_OK &&
                     !x->request.expects_continue && c->http->state == HTTP_SERVING;
        /* A client that asked for the close itself sends nothing more that could reset the
         * connection. */
        c->linger = x->request.keep_alive || !x->request.body_complete;
        connection__move(c, CONNECTION_STOPPED);
    } else if (!x->request.body_complete) {
        request__discard_body(&x->request, SIZE_MAX); /* may_keep_alive has bounded it */
        connection__move(c, CONNECTION_DISCARD);
        return;
    } else {
        connection__move(c, CONNECTION_IDLE);
    }
    c->awaits = NULL;
    c->exchange = NULL;
}

/* After everything that can change a connection: writes, decides what comes next, and what it
 * waits for. */
static void settle(struct connection *c)
{
    if (c->state == CONNECTION_CLOSING) {
        cx_buf_clear(&c->http->out);
        return;
    }
    output__flush(c);
    if (c->broken) {
        connection__close(c);
        return;
    }
    if (c->state == CONNECTION_STOPPED) {
        cx_buf_free(&c->stash);
        if (c->writes == 0) {
            if (c->eof || !c->linger) {
                connection__close(c);
                return;
            }
            begin_linger(c);
        }
    } else if (client_is_gone(c) || (c->state == CONNECTION_IDLE && c->writes == 0 &&
                                     c->stash.len == 0 && c->http->state != HTTP_SERVING)) {
        connection__close(c);
        return;
    }
    pace_reading(c);
    await(c, false);
}

static void pace_reading(struct connection *c)
{
    if (c->stash.len >= STASH_PAUSE && c->reading) {
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
        c->reading = false;
    } else if (c->stash.len < STASH_PAUSE) {
        start_reading(c);
    }
}

/* It has sent its end, and nothing more can come of that. */
static bool client_is_gone(const struct connection *c)
{
    if (!c->eof) {
        return false;
    }
    switch (c->state) {
    case CONNECTION_STREAM:
        return c->stash.len == 0;
    case CONNECTION_WORK:
        return c->exchange->stream.state == STREAM_OPEN && c->exchange->stream.gone_at_eof;
    case CONNECTION_IDLE:
    case CONNECTION_HEAD:
    case CONNECTION_BODY:
    case CONNECTION_DISCARD:
    case CONNECTION_LINGER:
        return c->writes == 0;
    case CONNECTION_STOPPED:
    case CONNECTION_CLOSING:
    case CONNECTION_STATE_COUNT:
        break;
    }
    return false;
}

void connection__settle_later(struct connection *c)
{
    if (c->unsettled.next != NULL) {
        return;
    }
    link__append(&c->http->unsettled, &c->unsettled);
    if (!c->http->busy) {
        cx_timer_start(c->http->settle_timer, 0, 0);
    }
}

bool connection__settle_waiting(struct cx_http *http)
{
    struct link *link = link__take_first(&http->unsettled);
    if (link == NULL) {
        return false;
    }
    struct connection *c =
        (struct connection *)(void *)((char *)link - offsetof(struct connection, unsettled));
    if (c->state != CONNECTION_CLOSING) {
        connection__proceed(c);
    }
    return true;
}

/* Closing with unread input resets the connection, and the reset can overtake the answer. */
static void begin_linger(struct connection *c)
{
    connection__move(c, CONNECTION_LINGER);
    uv_os_fd_t fd = -1;
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
        (void)shutdown(fd, SHUT_WR);
    }
}

/* A deadline runs from when its wait began: bytes that trickle in do not renew it. */
static void await(struct connection *c, bool begun)
{
    struct cx_http *http = c->http;
    struct deadlines *list = NULL;
    switch (c->state) {
    case CONNECTION_HEAD:
        list = c->writes > 0 ? &http->write_deadlines : &http->header_deadlines;
        break;
    case CONNECTION_BODY:
    case CONNECTION_DISCARD:
        list = &http->body_deadlines;
        break;
    case CONNECTION_STREAM:
        list = stream__awaits_body(c->exchange)                      ? &http->body_deadlines
               : c->writes > 0 && stream__awaits_reader(c->exchange) ? &http->write_deadlines
                                                                     : NULL;
        break;
    case CONNECTION_LINGER:
        list = c->patient ? &http->body_deadlines : &http->linger_deadlines;
        break;
    case CONNECTION_IDLE:
        list = c->writes > 0 ? &http->write_deadlines : &http->idle_deadlines;
        break;
    case CONNECTION_WORK:
    case CONNECTION_STOPPED:
        list = c->writes > 0 ? &http->write_deadlines : NULL;
        break;
    case CONNECTION_CLOSING:
    case CONNECTION_STATE_COUNT:
        break;
    }
    if (list == c->awaits && !begun) {
        return;
    }
    c->awaits = list;
    if (list == NULL) {
        deadline__stop(&c->deadline);
        return;
    }
    c->unsent_seen = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    deadline__start(http, list, &c->deadline, c);
}

void connection__on_header_time(void *arg)
{
    struct connection *c = arg;
    c->awaits = NULL;
    exchange__refuse(c, CX_REQUEST_TIMEOUT, "The request head arrived too slowly");
    settle(c);
}

void connection__on_body_time(void *arg)
{
    struct connection *c = arg;
    c->awaits = NULL;
    if (c->state == CONNECTION_BODY) {
        c->exchange->close = true;
        (void)reply__problem(c->exchange, CX_REQUEST_TIMEOUT, "The body arrived too slowly", NULL);
        settle(c);
    } else if (c->state == CONNECTION_STREAM) {
        stream__body_failed(c->exchange, CX_REQUEST_TIMEOUT, "The body arrived too slowly");
        settle(c);
    } else {
        connection__close(c);
    }
}

void connection__on_write_time(void *arg)
{
    struct connection *c = arg;
    const size_t unsent = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    if (unsent < c->unsent_seen) {
        c->unsent_seen = unsent;
        deadline__start(c->http, c->awaits, &c->deadline, c);
        return;
    }
    if (c->exchange != NULL && c->exchange->stream.state == STREAM_OPEN) {
        observe__disconnected("slow");
    }
    connection__close(c);
}

void connection__on_close_time(void *arg)
{
    connection__close(arg);
}

void connection__drain(struct connection *c)
{
    struct cx_exchange *x = c->exchange;
    if (c->state == CONNECTION_IDLE && c->writes == 0 && c->stash.len == 0) {
        connection__close(c);
    } else if (c->state == CONNECTION_DISCARD && x->stream.pieces) {
        c->exchange = NULL;
        exchange__drop(x);
        c->linger = true;
        connection__move(c, CONNECTION_STOPPED);
        settle(c);
    } else if (c->patient) {
        c->patient = false;
        await(c, false);
    } else if (x != NULL) {
        stream__drain(x);
    }
}

void connection__close(struct connection *c)
{
    if (c->state == CONNECTION_CLOSING) {
        return;
    }
    connection__move(c, CONNECTION_CLOSING);
    deadline__stop(&c->deadline);
    link__remove(&c->late);
    struct cx_exchange *x = c->exchange;
    c->exchange = NULL;
    if (x != NULL) {
        exchange__client_gone(x);
    }
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct cx_http *http = c->http;
    CX_CHECK(c->writes == 0);
    cx_buf_free(&c->stash); /* not before: its bytes may have been in use when it was closed */
    link__remove(&c->link);
    link__remove(&c->unsettled);
    http->connection_count--;
    cx_gauge_set(http->connections_gauge, (double)http->connection_count);
    free(c);
    server__check_drained(http);
}

bool connection__peer(const struct connection *c, uint8_t address[16])
{
    struct sockaddr_storage peer;
    int len = sizeof peer;
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &len) != 0) {
        return false;
    }
    if (peer.ss_family == AF_INET6) {
        memcpy(address, &((const struct sockaddr_in6 *)&peer)->sin6_addr, 16);
        return true;
    }
    if (peer.ss_family != AF_INET) {
        return false;
    }
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    memcpy(address, mapped, sizeof mapped);
    memcpy(address + 12, &((const struct sockaddr_in *)&peer)->sin_addr, 4);
    return true;
}
