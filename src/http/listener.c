/* SPDX-License-Identifier: MIT
 *
 * Where the server listens.
 */
#include "http/http_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 4096

static enum cx_status parse_address(const char *text, struct sockaddr_storage *out,
                                    struct cx_err *err);
static bool is_loopback(const struct sockaddr_storage *address);
static struct listener *add_listener(struct cx_http *http);
static enum cx_status start_listening(struct listener *l, const char *where, struct cx_err *err);
static void give_up(struct listener *l);
static void on_connection(uv_stream_t *stream, int error);
static void on_listener_closed(uv_handle_t *handle);

enum cx_status cx_http_listen(struct cx_http *http, const char *address, int *port,
                              struct cx_err *err)
{
    CX_ASSERT_LOOP();
    struct sockaddr_storage name = { .ss_family = AF_UNSPEC };
    const enum cx_status status = parse_address(address, &name, err);
    if (status != CX_OK) {
        return status;
    }
    struct listener *l = add_listener(http);
    l->guarded = is_loopback(&name) || http->options.check_host;
    const unsigned flags = name.ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
    const int error = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&name, flags);
    if (error != 0) {
        give_up(l);
        return cx_err_set(err, CX_INVALID, "cannot bind %s: %s", address, uv_strerror(error));
    }
    const enum cx_status listening = start_listening(l, address, err);
    if (listening != CX_OK) {
        return listening;
    }
    int len = sizeof name;
    if (uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&name, &len) == 0 && port != NULL) {
        /* The port stands at the same place for both families. */
        *port = ntohs(((const struct sockaddr_in *)&name)->sin_port);
    }
    return CX_OK;
}

enum cx_status cx_http_listen_fd(struct cx_http *http, int fd, struct cx_err *err)
{
    CX_ASSERT_LOOP();
    struct sockaddr_storage name = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0 ||
        (name.ss_family != AF_INET && name.ss_family != AF_INET6)) {
        (void)close(fd);
        return cx_err_set(err, CX_INVALID, "descriptor %d is not a TCP socket", fd);
    }
    struct listener *l = add_listener(http);
    l->guarded = is_loopback(&name) || http->options.check_host;
    const int error = uv_tcp_open(&l->tcp, fd);
    if (error != 0) {
        give_up(l);
        (void)close(fd);
        return cx_err_set(err, CX_INVALID, "descriptor %d: %s", fd, uv_strerror(error));
    }
    char where[32];
    snprintf(where, sizeof where, "descriptor %d", fd);
    return start_listening(l, where, err);
}

/* "127.0.0.1:4949" or "[::1]:4949". */
static enum cx_status parse_address(const char *text, struct sockaddr_storage *out,
                                    struct cx_err *err)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    if (colon == NULL || !cx_parse_u64(cx_str_of(colon + 1), &port) || port > 65535 ||
        (size_t)(colon - text) >= sizeof host) {
        return cx_err_set(err, CX_INVALID, "\"%s\" is not ADDRESS:PORT", text);
    }
    size_t len = (size_t)(colon - text);
    const bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
    memcpy(host, bracketed ? text + 1 : text, bracketed ? len - 2 : len);
    host[bracketed ? len - 2 : len] = '\0';
    memset(out, 0, sizeof *out);
    const int error = bracketed ? uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out)
                                : uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out);
    if (error != 0) {
        return cx_err_set(err, CX_INVALID, "\"%s\" is not an address", text);
    }
    return CX_OK;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    }
    return memcmp(&((const struct sockaddr_in6 *)address)->sin6_addr, &in6addr_loopback,
                  sizeof in6addr_loopback) == 0;
}

static struct listener *add_listener(struct cx_http *http)
{
    struct listener *l = cx_alloc(sizeof *l);
    l->http = http;
    l->next = http->listeners;
    http->listeners = l;
    http->listeners_open++;
    CX_CHECK(uv_tcp_init(cx_loop_uv(http->loop), &l->tcp) == 0);
    l->tcp.data = l;
    return l;
}

static enum cx_status start_listening(struct listener *l, const char *where, struct cx_err *err)
{
    const int error = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
    if (error != 0) {
        /* Somebody else may let go of it, and the address may yet come: not so what is wrong. */
        const bool for_now = error == UV_EADDRINUSE || error == UV_EADDRNOTAVAIL;
        give_up(l);
        return cx_err_set(err, for_now ? CX_CONFLICT : CX_INVALID, "cannot listen on %s: %s", where,
                          uv_strerror(error));
    }
    return CX_OK;
}

/* The newest listener came to nothing. Its handle closes on its own, maybe after the server is
 * gone. */
static void give_up(struct listener *l)
{
    l->http->listeners = l->next;
    l->http->listeners_open--;
    l->http = NULL;
    uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
}

static void on_connection(uv_stream_t *stream, int error)
{
    if (error != 0) {
        return; /* too many open files, say: libuv has turned the client away, we go on */
    }
    struct listener *l = stream->data;
    if (turn__postpone_accept(l)) {
        return; /* libuv asks for no further one until this one is accepted */
    }
    server__enter(l->http);
    connection__accept(l);
    server__leave(l->http);
}

void server__close_listeners(struct cx_http *http)
{
    while (http->listeners != NULL) {
        struct listener *l = http->listeners;
        http->listeners = l->next;
        uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
    }
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    struct cx_http *http = l->http;
    free(l);
    if (http != NULL) {
        http->listeners_open--;
        server__check_drained(http);
    }
}
