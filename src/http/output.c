/* SPDX-License-Identifier: MIT
 *
 * Bytes out. Answers gather in the server's scratch and go out in one write; only what the socket
 * does not take at once is copied, so a connection that is read from promptly owns no buffer.
 */
#include "http/http_internal.h"

#include <stdlib.h>
#include <string.h>

#define SCRATCH_KEEP ((size_t)256 * 1024)

struct out_write {
    uv_write_t request;
    struct connection *connection;
    char *owned; /* freed when it is written */
    size_t len;
    char bytes[];
};

static void write_rest(struct connection *c, struct cx_str copied, char *owned, size_t owned_len,
                       size_t skip);
static void on_written(uv_write_t *request, int error);
static void clear_scratch(struct cx_buf *out);

void output__flush(struct connection *c)
{
    output__flush_owned(c, NULL, 0);
}

void output__flush_owned(struct connection *c, char *data, size_t len)
{
    struct cx_buf *out = &c->http->out;
    if ((out->len == 0 && len == 0) || c->broken || c->state == CONNECTION_CLOSING) {
        clear_scratch(out);
        free(data);
        return;
    }
    uv_buf_t bufs[2];
    unsigned count = 0;
    if (out->len > 0) {
        bufs[count++] = uv_buf_init(out->data, (unsigned)out->len);
    }
    if (len > 0) {
        bufs[count++] = uv_buf_init(data, (unsigned)len);
    }
    const size_t sent = c->writes == 0 ? output__try(c, bufs, count) : 0;
    if (!c->broken && sent < out->len + len) {
        const size_t copied = sent < out->len ? out->len - sent : 0;
        const struct cx_str rest = { copied > 0 ? out->data + sent : NULL, copied };
        write_rest(c, rest, data, len, sent > out->len ? sent - out->len : 0);
    } else {
        free(data);
    }
    clear_scratch(out);
}

void output__queue(struct connection *c, char *data, size_t len)
{
    if (data == NULL) {
        c->broken = true;
        return;
    }
    write_rest(c, (struct cx_str){ NULL, 0 }, data, len, 0);
}

void output__count_unsent(struct cx_http *http, size_t added, size_t gone)
{
    http->unsent_bytes += added;
    http->unsent_bytes -= gone;
    cx_gauge_set(http->unsent_gauge, (double)http->unsent_bytes);
}

size_t output__try(struct connection *c, const uv_buf_t *bufs, unsigned count)
{
    const int n = uv_try_write((uv_stream_t *)&c->tcp, bufs, count);
    if (n < 0 && n != UV_EAGAIN) {
        c->broken = true;
    }
    return n > 0 ? (size_t)n : 0;
}

/* copied, and what is left of owned after its first bytes. */
static void write_rest(struct connection *c, struct cx_str copied, char *owned, size_t owned_len,
                       size_t skip)
{
    struct out_write *w = malloc(sizeof *w + copied.len);
    if (w == NULL) {
        c->broken = true;
        free(owned);
        return;
    }
    w->connection = c;
    w->owned = owned;
    w->len = copied.len + owned_len - skip;
    uv_buf_t bufs[2];
    unsigned count = 0;
    if (copied.len > 0) {
        memcpy(w->bytes, copied.p, copied.len);
        bufs[count++] = uv_buf_init(w->bytes, (unsigned)copied.len);
    }
    if (owned_len > skip) {
        bufs[count++] = uv_buf_init(owned + skip, (unsigned)(owned_len - skip));
    }
    if (uv_write(&w->request, (uv_stream_t *)&c->tcp, bufs, count, on_written) != 0) {
        c->broken = true;
        free(owned);
        free(w);
        return;
    }
    c->writes++;
    output__count_unsent(c->http, w->len, 0);
}

static void on_written(uv_write_t *request, int error)
{
    /* request is the first member. */
    struct out_write *w = (struct out_write *)(void *)request;
    struct connection *c = w->connection;
    output__count_unsent(c->http, 0, w->len);
    free(w->owned);
    free(w);
    c->writes--;
    if (c->state == CONNECTION_CLOSING) {
        return;
    }
    server__enter(c->http);
    c->broken = c->broken || error != 0;
    if (c->awaits == &c->http->write_deadlines) { /* who reads something has time anew */
        deadline__stop(&c->deadline);
        c->awaits = NULL;
    }
    if (c->exchange != NULL && c->exchange->stream.state == STREAM_OPEN) {
        stream__written(c->exchange);
    }
    connection__proceed(c);
    server__leave(c->http);
}

static void clear_scratch(struct cx_buf *out)
{
    if (out->cap > SCRATCH_KEEP) {
        cx_buf_free(out);
    } else {
        cx_buf_clear(out);
    }
}
