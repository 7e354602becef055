/* SPDX-License-Identifier: MIT
 *
 * Drives the request parser as a connection does, with the input cut into pieces, and writes down
 * what it understood. Shared by the unit tests and the fuzz target: whatever the pieces, the
 * account must be the same.
 */
#ifndef CORTEX_REQUEST_DRIVER_H
#define CORTEX_REQUEST_DRIVER_H

#include <string.h>

#include "cortex/base.h"
#include "http/request.h"

struct driver {
    struct cx_http_limits limits;
    size_t body_limit;
    struct cx_arena arena;
    struct cx_buf stash;
    struct cx_buf account; /* "GET /path?q host=a x=1 body=… keep; ", then a status if refused */
    struct http_request request;
    size_t scanned;
    bool in_body;
    bool refused;
};

static inline void driver_open(struct driver *d)
{
    memset(d, 0, sizeof *d);
    d->limits = (struct cx_http_limits){ .header_bytes = 1024, .header_count = 8, .uri_bytes = 64 };
    d->body_limit = 64;
    cx_arena_init(&d->arena, (size_t)1024 * 1024);
    cx_buf_init(&d->stash, (size_t)1024 * 1024);
    cx_buf_init(&d->account, (size_t)16 * 1024 * 1024);
}

static inline void driver_close(struct driver *d)
{
    request__free(&d->request);
    cx_arena_free(&d->arena);
    cx_buf_free(&d->stash);
    cx_buf_free(&d->account);
}

static inline void driver_refuse(struct driver *d, enum cx_status status)
{
    cx_buf_printf(&d->account, "%d", cx_status_http(status));
    d->refused = true;
}

static inline void driver_head(struct driver *d)
{
    const struct http_request *r = &d->request;
    struct cx_buf *out = &d->account;
    cx_buf_put_str(out, r->method);
    cx_buf_putc(out, ' ');
    cx_buf_put_str(out, r->path);
    if (r->query.len > 0) {
        cx_buf_putc(out, '?');
        cx_buf_put_str(out, r->query);
    }
    cx_buf_puts(out, " host=");
    cx_buf_put_str(out, r->host);
    for (size_t i = 0; i < r->field_count; i++) {
        if (&r->fields[i] == r->known[KNOWN_HOST]) {
            continue;
        }
        cx_buf_printf(out, " %s=%s", r->fields[i].name, r->fields[i].value);
    }
}

static inline void driver_end(struct driver *d)
{
    if (d->request.body_kind != BODY_NONE) {
        cx_buf_puts(&d->account, " body=");
        cx_buf_append(&d->account, d->request.body.data, d->request.body.len);
    }
    cx_buf_puts(&d->account, d->request.keep_alive ? " keep; " : " close; ");
    request__free(&d->request);
    cx_arena_reset(&d->arena);
    d->in_body = false;
}

/* Takes what can be taken; returns how much. */
static inline size_t driver_take(struct driver *d, struct cx_str data)
{
    size_t used = 0;
    while (!d->refused) {
        const struct cx_str rest = { data.p + used, data.len - used };
        if (d->in_body) {
            size_t taken = 0;
            const enum http_feed verdict = request__feed(&d->request, rest, &taken);
            used += taken;
            if (verdict == FEED_MORE) {
                return used;
            }
            if (verdict == FEED_FAILED) {
                driver_refuse(d, d->request.fault);
                break;
            }
            driver_end(d);
            continue;
        }
        if (rest.len == 0) {
            return used;
        }
        enum cx_status fault = CX_OK;
        const char *text = NULL;
        const enum http_scan scan = request__scan(rest, &d->limits, &d->scanned, &fault, &text);
        if (scan == SCAN_MORE) {
            return used;
        }
        if (scan == SCAN_FAILED) {
            driver_refuse(d, fault);
            break;
        }
        const struct cx_str head = { rest.p, d->scanned };
        used += d->scanned;
        d->scanned = 0;
        if (!request__parse(&d->request, head, &d->limits, &d->arena)) {
            driver_refuse(d, d->request.fault);
            break;
        }
        driver_head(d);
        if (!request__expect_body(&d->request, d->body_limit)) {
            driver_refuse(d, CX_TOO_LARGE);
            break;
        }
        d->in_body = true;
    }
    return used;
}

static inline void driver_feed(struct driver *d, const char *data, size_t len)
{
    if (d->refused) {
        return;
    }
    cx_buf_append(&d->stash, data, len);
    cx_buf_consume(&d->stash, driver_take(d, (struct cx_str){ d->stash.data, d->stash.len }));
}

#endif
