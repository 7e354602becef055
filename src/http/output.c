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
    char bytes[];
};

static size_t try_write(struct connection *c, const uv_buf_t bufs[2], unsigned count);
static void write_rest(struct connection *c, size_t sent, char *owned, size_t owned_len);
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
    const size_t sent = c->writes == 0 ? try_write(c, bufs, count) : 0;
    if (!c->broken && sent < out->len + len) {
        write_rest(c, sent, data, len);
    } else {
        free(data);
    }
    clear_scratch(out);
}

static size_t try_write(struct connection *c, const uv_buf_t bufs[2], unsigned count)
{
    const int n = uv_try_write((uv_stream_t *)&c->tcp, bufs, count);
    if (n < 0 && n != UV_EAGAIN) {
        c->broken = true;
    }
    return n > 0 ? (size_t)n : 0;
}

static void write_rest(struct connection *c, size_t sent, char *owned, size_t owned_len)
{
    const struct cx_buf *out = &c->http->out;
    const size_t copy = sent < out->len ? out->len - sent : 0;
    const size_t skip = sent > out->len ? sent - out->len : 0;
    struct out_write *w = malloc(sizeof *w + copy);
    if (w == NULL) {
        c->broken = true;
        free(owned);
        return;
    }
    w->connection = c;
    w->owned = owned;
    uv_buf_t bufs[2];
    unsigned count = 0;
    if (copy > 0) {
        memcpy(w->bytes, out->data + sent, copy);
        bufs[count++] = uv_buf_init(w->bytes, (unsigned)copy);
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
}

static void on_written(uv_write_t *request, int error)
{
    /* request is the first member. */
    struct out_write *w = (struct out_write *)(void *)request;
    struct connection *c = w->connection;
    free(w->owned);
    free(w);
    c->writes--;
    if (c->state == CONNECTION_CLOSING) {
        return;
    }
    server__enter(c->http);
    c->broken = c->broken || error != 0;
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
