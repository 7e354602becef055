/* SPDX-License-Identifier: MIT
 *
 * What an endpoint asks an exchange about its request, and the memory that lives as long.
 */
#include <string.h>

#include "http/http_internal.h"
#include "http/negotiate.h"
#include "http/url.h"

#define DAY_MS ((uint64_t)24 * 60 * 60 * 1000)

static void read_query(struct cx_exchange *x);

void *cx_exchange_context(struct cx_exchange *x)
{
    return x->http->options.context;
}

void *cx_exchange_state(struct cx_exchange *x)
{
    return x->user_state;
}

struct cx_arena *cx_exchange_arena(struct cx_exchange *x)
{
    return &x->arena;
}

void cx_exchange_set_resources(struct cx_exchange *x, json_t *ids)
{
    json_decref(x->resource_ids);
    x->resource_ids = ids;
}

void cx_exchange_defer(struct cx_exchange *x, void (*release)(void *arg), void *arg)
{
    struct http_defer *d = cx_arena_alloc(&x->arena, sizeof *d);
    CX_CHECK(d != NULL);
    *d = (struct http_defer){ .next = x->defers, .release = release, .arg = arg };
    x->defers = d;
}

const char *cx_exchange_param(struct cx_exchange *x, const char *name)
{
    const struct cx_str wanted = cx_str_of(name);
    for (size_t i = 0; i < x->param_count; i++) {
        if (cx_str_eq(router__param_name(x->info->route, i), wanted)) {
            return x->params[i];
        }
    }
    return NULL;
}

const char *cx_exchange_query(struct cx_exchange *x, const char *name)
{
    if (!x->query_read) {
        read_query(x);
    }
    for (size_t i = 0; i < x->query_count; i++) {
        if (strcmp(x->query[i].name, name) == 0) {
            return x->query[i].value;
        }
    }
    return NULL;
}

/* The whole query is decoded once, into one piece: it only shrinks by that. */
static void read_query(struct cx_exchange *x)
{
    x->query_read = true;
    struct cx_str rest = x->request.query;
    size_t pairs = 0;
    for (size_t i = 0; i < rest.len; i++) {
        pairs += rest.p[i] == '&' ? 1 : 0;
    }
    if (rest.len == 0) {
        return;
    }
    char *text = cx_arena_alloc(&x->arena, rest.len + 2 * (pairs + 1));
    x->query = cx_arena_alloc(&x->arena, (pairs + 1) * sizeof *x->query);
    if (text == NULL || x->query == NULL) {
        return;
    }
    struct cx_str name = { NULL, 0 };
    struct cx_str value = { NULL, 0 };
    while (url__next_pair(&rest, &name, &value)) {
        struct http_field *pair = &x->query[x->query_count++];
        pair->name = text;
        text += url__decode(name, true, text) + 1;
        pair->value = text;
        text += url__decode(value, true, text) + 1;
    }
}

const char *cx_exchange_header(struct cx_exchange *x, const char *name)
{
    return request__header(&x->request, name, &x->arena);
}

struct cx_str cx_exchange_body(struct cx_exchange *x)
{
    return (struct cx_str){ x->request.body.data, x->request.body.len };
}

const char *cx_exchange_correlation_id(struct cx_exchange *x)
{
    return x->correlation_id;
}

const char *cx_exchange_traceparent(struct cx_exchange *x)
{
    const char *value = cx_exchange_header(x, "traceparent");
    return value != NULL && negotiate__traceparent_valid(cx_str_of(value)) ? value : NULL;
}

bool cx_exchange_may(const struct cx_exchange *x, enum cx_scope scope)
{
    return (x->token_scopes & (unsigned)scope) != 0;
}

const char *cx_exchange_token_name(struct cx_exchange *x)
{
    return x->token_name;
}

uint64_t cx_exchange_left_ms(struct cx_exchange *x)
{
    if (x->stream.state != STREAM_NONE) {
        return DAY_MS;
    }
    const uint64_t now_ms = cx_loop_now_ms(x->http->loop);
    return x->deadline.at_ms > now_ms ? x->deadline.at_ms - now_ms : 0;
}

bool exchange__accepts_gzip(struct cx_exchange *x)
{
    if (x->request.known[KNOWN_ACCEPT_ENCODING] == NULL) {
        return false;
    }
    const char *all = cx_exchange_header(x, "accept-encoding");
    return all != NULL && negotiate__gzip(cx_str_of(all));
}
