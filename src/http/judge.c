/* SPDX-License-Identifier: MIT
 *
 * The order in which a request is judged, from top to bottom, all of it before a byte of its body
 * is read: target → who may ask (421, 403) → route (404, 405) → token (401, 403) → rate (429) →
 * body (411, 413, 415).
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "http/guard.h"
#include "http/http_internal.h"
#include "http/negotiate.h"
#include "http/url.h"

#define BODY_BYTES_DEFAULT ((size_t)8 * 1024 * 1024)
#define UNWANTED_BODY_BYTES ((size_t)64 * 1024) /* read off where a route takes no body */

static bool judge_target(struct cx_exchange *x);
static bool judge_asker(struct cx_exchange *x);
static bool host_allowed(struct cx_http *http, struct cx_str host);
static bool judge_route(struct cx_exchange *x, const struct router_match *match);
static bool judge_server(struct cx_exchange *x);
static bool judge_token(struct cx_exchange *x);
static bool judge_rate(struct cx_exchange *x);
static bool judge_body(struct cx_exchange *x);
static bool refuse(struct cx_exchange *x, enum cx_status status, const char *text);
static bool answer_options(struct cx_exchange *x, const char *allow);
static struct cx_str presented_token(struct cx_exchange *x);
static bool client_address(struct cx_exchange *x, uint8_t address[16]);
static bool is_proxy(const struct cx_http *http, const uint8_t address[16]);
static const struct http_field *known(const struct cx_exchange *x, enum http_known name);
static struct cx_str value_of(const struct http_field *field);

bool judge__head(struct cx_exchange *x)
{
    struct router_match match = { .route = NULL };
    /* Looked up before its turn, because the route decides in which shape refusals are told. */
    (void)router__find(x->http->router, x->request.method, x->request.path, &match);
    x->openai = match.openai;
    return judge_target(x) && judge_asker(x) && judge_route(x, &match) && judge_server(x) &&
           judge_token(x) && judge_rate(x) && judge_body(x);
}

static bool refuse(struct cx_exchange *x, enum cx_status status, const char *text)
{
    (void)reply__problem(x, status, text, NULL);
    return false;
}

static const struct http_field *known(const struct cx_exchange *x, enum http_known name)
{
    return x->request.known[name];
}

static struct cx_str value_of(const struct http_field *field)
{
    return (struct cx_str){ field->value, field->value_len };
}

static bool judge_target(struct cx_exchange *x)
{
    if (url__valid(x->request.path) && url__valid(x->request.query)) {
        return true;
    }
    x->close = true;
    observe__protocol_error(x->http, CX_BAD_REQUEST);
    return refuse(x, CX_BAD_REQUEST, "The request target is not well encoded");
}

static bool judge_asker(struct cx_exchange *x)
{
    const struct cx_http_options *options = &x->http->options;
    const struct cx_str host = x->request.host;
    const bool guarded = x->connection->guarded;
    if (guarded && host.p != NULL && !host_allowed(x->http, host)) {
        return refuse(x, CX_MISDIRECTED, cx_status_text(CX_MISDIRECTED));
    }
    const struct http_field *origin = known(x, KNOWN_ORIGIN);
    if (origin == NULL) {
        return true;
    }
    if (guard__origin_allowed(value_of(origin), host, options->allowed_origins)) {
        x->cors_origin = origin->value;
        return true;
    }
    return !guarded || refuse(x, CX_FORBIDDEN_ORIGIN, cx_status_text(CX_FORBIDDEN_ORIGIN));
}

/* Most requests name the host that the one before them named. */
static bool host_allowed(struct cx_http *http, struct cx_str host)
{
    if (host.len == http->host_len && memcmp(host.p, http->host, host.len) == 0) {
        return true;
    }
    if (!guard__host_allowed(host, http->options.server_names)) {
        return false;
    }
    if (host.len > 0 && host.len <= sizeof http->host) {
        memcpy(http->host, host.p, host.len);
        http->host_len = host.len;
    }
    return true;
}

static bool judge_route(struct cx_exchange *x, const struct router_match *match)
{
    const struct http_request *r = &x->request;
    const bool options = cx_str_eq(r->method, CX_STR("OPTIONS"));
    if (options && r->path.p[0] == '*') {
        return answer_options(x, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    }
    if (match->allow == NULL) {
        return refuse(x, CX_NOT_FOUND, "There is nothing at this path");
    }
    if (match->route == NULL) {
        if (options) {
            return answer_options(x, match->allow);
        }
        cx_exchange_set_header(x, "Allow", match->allow);
        return refuse(x, CX_METHOD_NOT_ALLOWED, cx_status_text(CX_METHOD_NOT_ALLOWED));
    }
    const struct http_field *type = known(x, KNOWN_CONTENT_TYPE);
    const bool ndjson =
        match->ndjson != NULL && type != NULL && negotiate__is_ndjson(value_of(type));
    x->info = &x->http->routes[(ndjson ? match->ndjson : match->route) - x->http->routes[0].route];
    x->stream.pieces = ndjson;
    for (size_t i = 0; i < match->value_count; i++) {
        char *text = cx_arena_alloc(&x->arena, match->values[i].len + 1);
        if (text == NULL) {
            return refuse(x, CX_NO_MEMORY, cx_status_text(CX_NO_MEMORY));
        }
        (void)url__decode(match->values[i], false, text);
        x->params[i] = text;
    }
    x->param_count = match->value_count;
    return true;
}

/* RFC 9110 9.3.7, and the preflight of the Fetch standard. */
static bool answer_options(struct cx_exchange *x, const char *allow)
{
    const char *method = cx_exchange_header(x, "access-control-request-method");
    if (x->cors_origin != NULL && method != NULL) {
        const char *headers = cx_exchange_header(x, "access-control-request-headers");
        cx_exchange_set_header(x, "Access-Control-Allow-Methods", allow);
        cx_exchange_set_header(x, "Access-Control-Allow-Headers",
                               headers != NULL ? headers : "Authorization, Content-Type");
        cx_exchange_set_header(x, "Access-Control-Max-Age", "600");
        cx_exchange_set_header(x, "Vary",
                               "Access-Control-Request-Method, Access-Control-Request-Headers");
        if (cx_exchange_header(x, "access-control-request-private-network") != NULL) {
            cx_exchange_set_header(x, "Access-Control-Allow-Private-Network", "true");
        }
    } else {
        cx_exchange_set_header(x, "Allow", allow);
    }
    (void)cx_exchange_reply_empty(x, 204);
    return false;
}

static bool judge_server(struct cx_exchange *x)
{
    const struct cx_http *http = x->http;
    if ((x->info->route->flags & CX_ROUTE_WHILE_DRAINING) != 0) {
        return true;
    }
    if (http->state != HTTP_SERVING) {
        x->close = true;
        return refuse(x, CX_SHUTTING_DOWN, cx_status_text(CX_SHUTTING_DOWN));
    }
    return http->exchange_count <= http->options.limits.exchanges ||
           refuse(x, CX_OVERLOADED, cx_status_text(CX_OVERLOADED));
}

static bool judge_token(struct cx_exchange *x)
{
    const unsigned scope = x->info->route->scope;
    if (scope == CX_SCOPE_NONE) {
        return true;
    }
    static const char *const texts[] = { [AUTH_MISSING] = "Missing bearer token",
                                         [AUTH_INVALID] = "Invalid token",
                                         [AUTH_EXPIRED] = "Token expired" };
    const struct cx_token *token = NULL;
    const enum auth_verdict verdict =
        auth__check(x->http->tokens, presented_token(x), server__wall_us(x->http), &token);
    if (verdict != AUTH_OK) {
        cx_exchange_set_header(x, "WWW-Authenticate", "Bearer");
        return refuse(x, CX_UNAUTHORIZED, texts[verdict]);
    }
    /* The set may be replaced while this exchange waits. */
    x->token_name = cx_arena_strdup(&x->arena, token->name);
    x->token_scopes = token->scopes;
    const unsigned lacking = scope & ~token->scopes;
    if (lacking != 0) {
        char text[96];
        snprintf(text, sizeof text, "Insufficient scope: requires '%s'",
                 cx_scope_name((enum cx_scope)(lacking & (0U - lacking))));
        return refuse(x, CX_INSUFFICIENT_SCOPE, text);
    }
    return true;
}

static struct cx_str presented_token(struct cx_exchange *x)
{
    const struct http_field *header = known(x, KNOWN_AUTHORIZATION);
    if (header != NULL) {
        const struct cx_str bearer = auth__bearer(value_of(header));
        return bearer.p != NULL ? bearer
                                : value_of(header); /* another scheme is an invalid token */
    }
    return cx_str_of(cx_exchange_query(x, "token"));
}

static bool judge_rate(struct cx_exchange *x)
{
    struct cx_http *http = x->http;
    if (http->limiter == NULL || (x->info->route->flags & CX_ROUTE_UNLIMITED) != 0) {
        return true;
    }
    char key[160];
    size_t len = 0;
    uint8_t address[16] = { 0 };
    if (x->token_name != NULL) {
        len = (size_t)snprintf(key, sizeof key, "t%s", x->token_name);
        len = len < sizeof key ? len : sizeof key - 1;
    } else {
        /* Of an IPv6 address the network counts: a host has 2^64 addresses to choose from. */
        const bool found = client_address(x, address);
        const bool mapped = found && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address);
        key[0] = 'a';
        len = 1 + (mapped ? sizeof address : 8);
        memcpy(key + 1, address, len - 1);
    }
    ratelimit__take(http->limiter, (struct cx_str){ key, len }, cx_loop_now_ms(http->loop),
                    &x->rate);
    x->limited = true;
    cx_gauge_set(http->rate_buckets, (double)ratelimit__count(http->limiter));
    if (x->rate.allowed) {
        return true;
    }
    cx_counter_add(http->rate_limited, 1);
    cx_exchange_set_retry_after(x, x->rate.retry_after_s);
    return refuse(x, CX_RATE_LIMITED, cx_status_text(CX_RATE_LIMITED));
}

/* The nearest address that is not a trusted proxy's, read from the right. */
static bool client_address(struct cx_exchange *x, uint8_t address[16])
{
    if (!connection__peer(x->connection, address)) {
        return false;
    }
    if (!is_proxy(x->http, address)) {
        return true;
    }
    const char *forwarded = cx_exchange_header(x, "x-forwarded-for");
    struct cx_str rest = cx_str_of(forwarded);
    while (rest.len > 0) {
        const char *comma = memrchr(rest.p, ',', rest.len);
        const size_t from = comma != NULL ? (size_t)(comma - rest.p) + 1 : 0;
        uint8_t hop[16];
        if (!judge__parse_address(cx_str_trim((struct cx_str){ rest.p + from, rest.len - from }),
                                  hop)) {
            break;
        }
        memcpy(address, hop, sizeof hop);
        if (!is_proxy(x->http, hop) || from == 0) {
            break;
        }
        rest.len = from - 1;
    }
    return true;
}

bool judge__parse_address(struct cx_str text, uint8_t address[16])
{
    char copy[INET6_ADDRSTRLEN + 1];
    if (text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    memcpy(address, mapped, sizeof mapped);
    return inet_pton(AF_INET, copy, address + 12) == 1 || inet_pton(AF_INET6, copy, address) == 1;
}

static bool is_proxy(const struct cx_http *http, const uint8_t address[16])
{
    for (size_t i = 0; i < http->proxy_count; i++) {
        if (memcmp(http->proxies[i], address, 16) == 0) {
            return true;
        }
    }
    return false;
}

static bool judge_body(struct cx_exchange *x)
{
    struct http_request *r = &x->request;
    const struct cx_route *route = x->info->route;
    const bool takes = (route->flags & (CX_ROUTE_BODY | CX_ROUTE_BODY_OPTIONAL)) != 0;
    if ((route->flags & CX_ROUTE_BODY) != 0 && r->body_kind == BODY_NONE &&
        known(x, KNOWN_CONTENT_LENGTH) == NULL) {
        return refuse(x, CX_LENGTH_REQUIRED, cx_status_text(CX_LENGTH_REQUIRED));
    }
    r->pieces = x->stream.pieces;
    const size_t limit = r->pieces               ? SIZE_MAX
                         : !takes                ? UNWANTED_BODY_BYTES
                         : route->body_bytes > 0 ? route->body_bytes
                                                 : BODY_BYTES_DEFAULT;
    if (!request__expect_body(r, limit)) {
        char text[96];
        snprintf(text, sizeof text, "The body may have at most %zu bytes here", limit);
        return refuse(x, CX_TOO_LARGE, text);
    }
    if (!takes) {
        request__discard_body(r, limit);
        return true;
    }
    const struct http_field *type = known(x, KNOWN_CONTENT_TYPE);
    const bool json_too = (route->flags & CX_ROUTE_NDJSON) == 0;
    if (r->body_kind == BODY_NONE || r->pieces ||
        (json_too && (type == NULL || negotiate__is_json(value_of(type))))) {
        return true;
    }
    return refuse(x, CX_UNSUPPORTED_MEDIA_TYPE, cx_status_text(CX_UNSUPPORTED_MEDIA_TYPE));
}
