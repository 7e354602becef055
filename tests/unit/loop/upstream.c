/* SPDX-License-Identifier: MIT
 *
 * The scripted upstream (upstream.h). Every thread ends when its peer or upstream_stop closes the
 * connection.
 */
#include "upstream.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_MAX (2 * 1024 * 1024)

struct request {
    char *bytes; /* NUL-terminated: head, then body */
    size_t len;
    char path[128];
};

/* False closes the connection. */
typedef bool (*script_fn)(struct upstream *u, int fd, const struct request *request);

static void *accept_all(void *ctx);
static void *serve(void *ctx);
static bool read_request(int fd, struct request *request);

static bool send_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        const ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool say(int fd, const char *text)
{
    return send_all(fd, text, strlen(text));
}

static void wait_for_close(int fd)
{
    char waste[512];
    while (recv(fd, waste, sizeof(waste), 0) > 0) {
    }
}

/* ---- Scripts --------------------------------------------------------------------------------- */

static bool script_ok(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Word:  one \r\n\r\nhello");
}

static bool script_ok_close(struct upstream *u, int fd, const struct request *request)
{
    (void)script_ok(u, fd, request);
    return false;
}

static bool script_echo(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    char head[128];
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   request->len);
    return say(fd, head) && send_all(fd, request->bytes, request->len);
}

static bool script_chunked(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    return say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Word: head\r\n\r\n") &&
           say(fd, "3\r\nabc\r\n") && say(fd, "4;x=y\r\ndefg\r\n0\r\nX-Late: trailer\r\n\r\n");
}

static bool script_continue(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    return say(fd, "HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\n"
                   "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Word: last\r\n\r\nok");
}

static bool script_missing(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    return say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope");
}

static bool script_head(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n");
}

static bool script_redirect(struct upstream *u, int fd, const struct request *request)
{
    (void)request;
    char head[160];
    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/secret\r\n"
                   "Content-Length: 0\r\n\r\n",
                   u->port);
    return say(fd, head);
}

static bool script_secret(struct upstream *u, int fd, const struct request *request)
{
    (void)atomic_fetch_add(&u->secrets, 1);
    return script_ok(u, fd, request);
}

static bool script_silent(struct upstream *u, int fd, const struct request *request)
{
    (void)request;
    gate_pass(&u->seen);
    wait_for_close(fd);
    return false;
}

/* A byte every few milliseconds, until the peer has had enough. */
static bool script_drip(struct upstream *u, int fd, const struct request *request)
{
    (void)request;
    if (!say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")) {
        return false;
    }
    gate_pass(&u->seen);
    struct pollfd closed = { .fd = fd, .events = POLLIN };
    while (say(fd, "x") && poll(&closed, 1, 5) == 0) {
    }
    return false;
}

static bool script_cut(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    (void)say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    return false;
}

static bool script_cut_chunk(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    (void)say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc");
    return false;
}

static bool script_hang_up(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)fd;
    (void)request;
    return false;
}

static bool script_reset(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    (void)say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    return false;
}

static bool script_flood(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    char block[4096];
    memset(block, 'f', sizeof(block));
    bool going = say(fd, "HTTP/1.1 200 OK\r\n\r\n");
    while (going) {
        going = send_all(fd, block, sizeof(block));
    }
    return false;
}

/* 8,000,000 bytes, of which each says where it stands. */
static bool script_long(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    char block[8000];
    bool going = say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n");
    for (size_t i = 0; i < 1000 && going; i++) {
        memset(block, (int)('a' + i % 26), sizeof(block));
        going = send_all(fd, block, sizeof(block));
    }
    return going;
}

static bool script_announce(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    (void)say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
    wait_for_close(fd);
    return false;
}

static bool script_head_flood(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    bool going = say(fd, "HTTP/1.1 200 OK\r\n");
    while (going) {
        going = say(fd, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    }
    return false;
}

static bool script_long_line(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    bool going = say(fd, "HTTP/1.1 200 OK\r\nX-Filler: ");
    while (going) {
        going = say(fd, "0123456789012345678901234567890123456789");
    }
    return false;
}

static bool script_interim_flood(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    bool going = true;
    while (going) {
        going = say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    return false;
}

static bool script_garbage(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    (void)say(fd, "\x01\x02 this is not HTTP\r\n\r\nat all");
    return false;
}

static bool script_lengths(struct upstream *u, int fd, const struct request *request)
{
    (void)u;
    (void)request;
    (void)say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\nabc");
    return false;
}

static bool script_together(struct upstream *u, int fd, const struct request *request)
{
    gate_pass(&u->together);
    return script_ok(u, fd, request);
}

static const struct {
    const char *path;
    script_fn run;
} scripts[] = {
    { "/ok", script_ok },
    { "/ok-close", script_ok_close },
    { "/echo", script_echo },
    { "/chunked", script_chunked },
    { "/continue", script_continue },
    { "/missing", script_missing },
    { "/head", script_head },
    { "/redirect", script_redirect },
    { "/secret", script_secret },
    { "/silent", script_silent },
    { "/drip", script_drip },
    { "/cut", script_cut },
    { "/cut-chunk", script_cut_chunk },
    { "/hang-up", script_hang_up },
    { "/reset", script_reset },
    { "/flood", script_flood },
    { "/long", script_long },
    { "/announce", script_announce },
    { "/head-flood", script_head_flood },
    { "/long-line", script_long_line },
    { "/interim-flood", script_interim_flood },
    { "/garbage", script_garbage },
    { "/lengths", script_lengths },
    { "/together", script_together },
};

static script_fn find_script(const char *path)
{
    const size_t len = 1 + strcspn(path + 1, "/?");
    for (size_t i = 0; i < CX_ARRAY_LEN(scripts); i++) {
        if (strlen(scripts[i].path) == len && memcmp(scripts[i].path, path, len) == 0) {
            return scripts[i].run;
        }
    }
    return script_missing;
}

/* ---- The server ------------------------------------------------------------------------------ */

void upstream_start(struct upstream *u, const char *unix_path)
{
    *u = (struct upstream){ .listener = -1 };
    gate_init(&u->together);
    gate_init(&u->seen);
    gate_open(&u->seen);
    CX_CHECK(pthread_mutex_init(&u->mutex, NULL) == 0);
    if (unix_path != NULL) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", unix_path);
        u->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CX_CHECK(bind(u->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    } else {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(address);
        u->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CX_CHECK(bind(u->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
        CX_CHECK(getsockname(u->listener, (struct sockaddr *)&address, &len) == 0);
        u->port = ntohs(address.sin_port);
    }
    CX_CHECK(listen(u->listener, 512) == 0);
    CX_CHECK(pthread_create(&u->acceptor, NULL, accept_all, u) == 0);
}

void upstream_stop(struct upstream *u)
{
    (void)pthread_mutex_lock(&u->mutex);
    u->stopping = true;
    (void)pthread_mutex_unlock(&u->mutex);
    (void)shutdown(u->listener, SHUT_RDWR);
    (void)pthread_join(u->acceptor, NULL);
    (void)close(u->listener);
    gate_open(&u->together);
    for (size_t i = 0; i < u->connection_count; i++) {
        (void)shutdown(u->connections[i].fd, SHUT_RDWR);
        (void)pthread_join(u->connections[i].thread, NULL);
        (void)close(u->connections[i].fd);
    }
    (void)pthread_mutex_destroy(&u->mutex);
    gate_destroy(&u->together);
    gate_destroy(&u->seen);
}

size_t upstream_connections(struct upstream *u)
{
    (void)pthread_mutex_lock(&u->mutex);
    const size_t count = u->connection_count;
    (void)pthread_mutex_unlock(&u->mutex);
    return count;
}

static void *accept_all(void *ctx)
{
    struct upstream *u = ctx;
    for (;;) {
        const int fd = accept4(u->listener, NULL, NULL, SOCK_CLOEXEC);
        (void)pthread_mutex_lock(&u->mutex);
        if (fd < 0 || u->stopping || u->connection_count == UPSTREAM_CONNECTIONS_MAX) {
            const bool stopping = u->stopping;
            (void)pthread_mutex_unlock(&u->mutex);
            if (fd >= 0) {
                (void)close(fd);
            }
            if (stopping) {
                return NULL;
            }
            continue;
        }
        struct upstream_connection *c = &u->connections[u->connection_count++];
        c->upstream = u;
        c->fd = fd;
        CX_CHECK(pthread_create(&c->thread, NULL, serve, c) == 0);
        (void)pthread_mutex_unlock(&u->mutex);
    }
}

/* The descriptor is closed by upstream_stop alone, so that its number stays this connection's. */
static void *serve(void *ctx)
{
    struct upstream_connection *c = ctx;
    struct request request = { .bytes = malloc(REQUEST_MAX + 1) };
    CX_CHECK(request.bytes != NULL);
    bool going = !c->upstream->speaks_first || say(c->fd, "220 mail.example ready\r\n");
    while (going && read_request(c->fd, &request)) {
        (void)atomic_fetch_add(&c->upstream->requests, 1);
        going = find_script(request.path)(c->upstream, c->fd, &request);
    }
    free(request.bytes);
    struct linger linger = { .l_onoff = 0 };
    socklen_t len = sizeof(linger);
    (void)getsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, &len);
    if (linger.l_onoff != 0) {
        /* Only closing sends the reset; a descriptor of nothing keeps the number. */
        const int nothing = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CX_CHECK(dup2(nothing, c->fd) == c->fd);
        (void)close(nothing);
    } else {
        (void)shutdown(c->fd, SHUT_RDWR);
    }
    return NULL;
}

static bool read_request(int fd, struct request *request)
{
    size_t wanted = 0; /* head and body, once the head is there */
    request->len = 0;
    while (wanted == 0 || request->len < wanted) {
        const ssize_t got = recv(fd, request->bytes + request->len, REQUEST_MAX - request->len, 0);
        if (got <= 0) {
            return false;
        }
        request->len += (size_t)got;
        request->bytes[request->len] = '\0';
        const char *end = strstr(request->bytes, "\r\n\r\n");
        if (wanted == 0 && end != NULL) {
            const char *length = strcasestr(request->bytes, "\r\nContent-Length:");
            const bool has_body = length != NULL && length < end;
            wanted = (size_t)(end + 4 - request->bytes) +
                     (has_body ? strtoul(length + 17, NULL, 10) : 0);
        }
    }
    request->path[0] = '\0';
    return sscanf(request->bytes, "%*s %127s", request->path) == 1;
}
