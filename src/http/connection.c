/* SPDX-License-Identifier: MIT
 *
 * One client connection: which state it is in, from accepting to closing. It owns its socket, what
 * it has stashed and, while there is one, its exchange. connection_read.c has the bytes that come in,
 * connection_wait.c its deadlines.
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

static bool client_is_gone(const struct connection *c);
static void begin_linger(struct connection *c);
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
    cx_buf_init(&c->stash, http->options.limits.header_bytes + CONNECTION_STASH_PAUSE +
                               2 * CONNECTION_READ_BYTES);
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
    connection__pace_reading(c);
    connection__await(c, true);
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

void connection__settle(struct connection *c)
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
    connection__pace_reading(c);
    connection__await(c, false);
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
        connection__settle(c);
    } else if (c->patient) {
        c->patient = false;
        connection__await(c, false);
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
