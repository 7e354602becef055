/* SPDX-License-Identifier: MIT
 *
 * The server: what all connections share, its listeners, and the end of both. Owns the routes'
 * table, the tokens, the rate limit, the shared buffers.
 */
#include "http/http_internal.h"

#include <stdlib.h>

#define OUT_CEILING ((size_t)16 * 1024 * 1024)
#define BODY_CEILING ((size_t)256 * 1024 * 1024)
#define SCRATCH_KEEP ((size_t)256 * 1024)
#define LINGER_MS 2000
#define DEADLINE_DEFAULT_MS 30000

static enum cx_status read_proxies(struct cx_http *http, const char *const *proxies,
                                   struct cx_err *err);
static void fill_limits(struct cx_http_limits *limits);
static void init_routes(struct cx_http *http, const struct cx_route *routes, size_t count);
static void init_deadlines(struct cx_http *http);
static char **copy_list(const char *const *list);
static void free_list(const char *const *list);
static void free_server(struct cx_http *http);
static void on_settle_time(void *ctx);
static void on_drained_time(void *ctx);

enum cx_status cx_http_new(struct cx_loop *loop, const struct cx_http_options *options,
                           const struct cx_route *routes, size_t route_count, struct cx_http **out,
                           struct cx_err *err)
{
    struct cx_http *http = cx_alloc(sizeof *http);
    http->loop = loop;
    http->options = *options;
    fill_limits(&http->options.limits);
    http->options.server_names = (const char *const *)copy_list(options->server_names);
    http->options.allowed_origins = (const char *const *)copy_list(options->allowed_origins);
    http->options.trusted_proxies = (const char *const *)copy_list(options->trusted_proxies);
    link__init(&http->connections);
    link__init(&http->exchanges);
    link__init(&http->ready);
    link__init(&http->late);
    link__init(&http->done);
    link__init(&http->unsettled);
    cx_buf_init(&http->out, OUT_CEILING);
    cx_buf_init(&http->scratch, BODY_CEILING);
    cx_buf_init(&http->zipped, SCRATCH_KEEP);
    cx_random_init(&http->random);
    enum cx_status status = read_proxies(http, options->trusted_proxies, err);
    if (status == CX_OK) {
        status = router__new(routes, route_count, &http->router, err);
    }
    if (status != CX_OK) {
        free_server(http);
        return status;
    }
    http->read_buffer = cx_alloc(CONNECTION_READ_BYTES);
    cx_timer_new(loop, deadline__on_timer, http, &http->timer);
    cx_timer_new(loop, turn__on_timer, http, &http->turn_timer);
    cx_timer_new(loop, on_drained_time, http, &http->drained_timer);
    cx_timer_new(loop, on_settle_time, http, &http->settle_timer);
    init_routes(http, routes, route_count);
    init_deadlines(http);
    observe__init(http);
    cx_http_set_rate(http, &options->rate);
    *out = http;
    return CX_OK;
}

static void fill_limits(struct cx_http_limits *limits)
{
    const struct cx_http_limits defaults = { .header_bytes = (size_t)64 * 1024,
                                             .header_count = 100,
                                             .uri_bytes = (size_t)16 * 1024,
                                             .connections = 16384,
                                             .exchanges = 16384,
                                             .header_timeout_ms = 10000,
                                             .body_timeout_ms = 60000,
                                             .idle_timeout_ms = 75000,
                                             .write_timeout_ms = 30000,
                                             .unsent_bytes = (size_t)256 * 1024 * 1024 };
#define DEFAULT(member) limits->member = limits->member > 0 ? limits->member : defaults.member
    DEFAULT(header_bytes);
    DEFAULT(header_count);
    DEFAULT(uri_bytes);
    DEFAULT(connections);
    DEFAULT(exchanges);
    DEFAULT(header_timeout_ms);
    DEFAULT(body_timeout_ms);
    DEFAULT(idle_timeout_ms);
    DEFAULT(write_timeout_ms);
    DEFAULT(unsent_bytes);
#undef DEFAULT
}

static void init_routes(struct cx_http *http, const struct cx_route *routes, size_t count)
{
    http->route_count = count + 1;
    http->routes = cx_alloc(http->route_count * sizeof *http->routes);
    for (size_t i = 0; i < http->route_count; i++) {
        struct route_info *info = &http->routes[i];
        const struct cx_route *route = i < count ? &routes[i] : NULL;
        info->route = route;
        info->label = route != NULL ? route->path : "other";
        link__init(&info->deadlines.head);
        info->deadlines.on_time = exchange__on_deadline;
        info->deadlines.span_ms =
            route != NULL && route->deadline_ms > 0 ? route->deadline_ms : DEADLINE_DEFAULT_MS;
        if (route != NULL && (route->flags & CX_ROUTE_PROMPT) != 0) {
            http->prompt_paths = cx_realloc_array(http->prompt_paths, http->prompt_count + 1,
                                                  sizeof *http->prompt_paths);
            http->prompt_paths[http->prompt_count++] = cx_str_of(route->path);
        }
    }
}

static void init_deadlines(struct cx_http *http)
{
    const struct cx_http_limits *limits = &http->options.limits;
    const struct {
        struct deadlines *list;
        unsigned span_ms;
        void (*on_time)(void *owner);
    } kinds[] = {
        { &http->header_deadlines, limits->header_timeout_ms, connection__on_header_time },
        { &http->body_deadlines, limits->body_timeout_ms, connection__on_body_time },
        { &http->idle_deadlines, limits->idle_timeout_ms, connection__on_close_time },
        { &http->write_deadlines, limits->write_timeout_ms, connection__on_write_time },
        { &http->linger_deadlines, LINGER_MS, connection__on_close_time },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(kinds); i++) {
        link__init(&kinds[i].list->head);
        kinds[i].list->span_ms = kinds[i].span_ms;
        kinds[i].list->on_time = kinds[i].on_time;
    }
}

static enum cx_status read_proxies(struct cx_http *http, const char *const *proxies,
                                   struct cx_err *err)
{
    for (size_t i = 0; proxies != NULL && proxies[i] != NULL; i++) {
        http->proxies = cx_realloc_array(http->proxies, i + 1, sizeof *http->proxies);
        if (!judge__parse_address(cx_str_of(proxies[i]), http->proxies[i])) {
            return cx_err_set(err, CX_INVALID, "trusted proxy \"%s\" is not an address",
                              proxies[i]);
        }
        http->proxy_count = i + 1;
    }
    return CX_OK;
}

static char **copy_list(const char *const *list)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    char **copy = cx_alloc((count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = cx_strdup(list[i]);
    }
    return copy;
}

static void free_list(const char *const *list)
{
    for (size_t i = 0; list[i] != NULL; i++) {
        free((char *)list[i]);
    }
    free((void *)list);
}

void cx_http_set_tokens(struct cx_http *http, struct cx_tokens *tokens)
{
    cx_tokens_free(&http->tokens);
    http->tokens = tokens;
}

void cx_http_set_rate(struct cx_http *http, const struct cx_http_rate *rate)
{
    ratelimit__free(&http->limiter);
    if (rate->per_second > 0) {
        ratelimit__new(rate, &http->limiter);
    }
}

size_t cx_http_connections(const struct cx_http *http)
{
    return http->connection_count;
}

size_t cx_http_exchanges(const struct cx_http *http)
{
    return http->exchange_count;
}

/* ---- Work ------------------------------------------------------------------------------------ */

void server__enter(struct cx_http *http)
{
    CX_CHECK(!http->busy);
    http->busy = true;
}

void server__leave(struct cx_http *http)
{
    do {
        exchange__sweep(http);
        exchange__run_ready(http);
    } while (connection__settle_waiting(http));
    if (http->scratch.cap > SCRATCH_KEEP) {
        cx_buf_free(&http->scratch);
    }
    http->busy = false;
}

static void on_settle_time(void *ctx)
{
    struct cx_http *http = ctx;
    server__enter(http);
    server__leave(http);
}

const char *server__date(struct cx_http *http)
{
    const uint64_t now_ms = cx_loop_now_ms(http->loop);
    if (now_ms >= http->date_until_ms) {
        const int64_t wall_us = server__wall_us(http);
        (void)cx_time_format_http(wall_us, http->date);
        http->date_until_ms = now_ms + 1 + (uint64_t)(1000000 - wall_us % 1000000) / 1000;
    }
    return http->date;
}

int64_t server__wall_us(struct cx_http *http)
{
    const uint64_t now_ms = cx_loop_now_ms(http->loop);
    if (now_ms != http->wall_at_ms) {
        http->wall_us = cx_clock_wall_us();
        http->wall_at_ms = now_ms;
    }
    return http->wall_us;
}

/* ---- The end --------------------------------------------------------------------------------- */

void cx_http_drain(struct cx_http *http, void (*on_drained)(void *ctx), void *ctx)
{
    CX_ASSERT_LOOP();
    http->on_drained = on_drained;
    http->on_drained_ctx = ctx;
    if (http->state == HTTP_SERVING) {
        http->state = HTTP_DRAINING;
        server__close_listeners(http);
        server__enter(http);
        for (struct link *at = http->connections.next, *next = at->next; at != &http->connections;
             at = next, next = at->next) {
            connection__drain(
                (struct connection *)(void *)((char *)at - offsetof(struct connection, link)));
        }
        server__leave(http);
    }
    server__check_drained(http);
}

void cx_http_abort(struct cx_http *http)
{
    CX_ASSERT_LOOP();
    if (http->state == HTTP_SERVING) {
        http->state = HTTP_DRAINING;
        server__close_listeners(http);
    }
    for (struct link *at = http->connections.next, *next = at->next; at != &http->connections;
         at = next, next = at->next) {
        connection__close(
            (struct connection *)(void *)((char *)at - offsetof(struct connection, link)));
    }
    server__check_drained(http);
}

/* The news comes later, by a timer: never from within the call that made it true. */
void server__check_drained(struct cx_http *http)
{
    if (http->state == HTTP_SERVING || http->connection_count > 0 || http->exchange_count > 0 ||
        http->listeners_open > 0) {
        return;
    }
    http->state = HTTP_DRAINED;
    if (http->on_drained != NULL) {
        cx_timer_start(http->drained_timer, 0, 0);
    }
}

static void on_drained_time(void *ctx)
{
    struct cx_http *http = ctx;
    void (*on_drained)(void *ctx) = http->on_drained;
    http->on_drained = NULL;
    if (on_drained != NULL) {
        on_drained(http->on_drained_ctx);
    }
}

void cx_http_free(struct cx_http **http)
{
    if (*http == NULL) {
        return;
    }
    if ((*http)->state == HTTP_SERVING && (*http)->listeners_open == 0) {
        server__check_drained(*http); /* it never served */
        (*http)->state = HTTP_DRAINED;
    }
    CX_CHECK((*http)->state == HTTP_DRAINED);
    CX_CHECK((*http)->connection_count == 0 && (*http)->exchange_count == 0);
    free_server(*http);
    *http = NULL;
}

static void free_server(struct cx_http *http)
{
    exchange__free_spares(http);
    cx_timer_free(&http->timer);
    cx_timer_free(&http->turn_timer);
    cx_timer_free(&http->drained_timer);
    cx_timer_free(&http->settle_timer);
    router__free(&http->router);
    ratelimit__free(&http->limiter);
    cx_tokens_free(&http->tokens);
    free_list(http->options.server_names);
    free_list(http->options.allowed_origins);
    free_list(http->options.trusted_proxies);
    free(http->proxies);
    free(http->routes);
    free(http->prompt_paths);
    free(http->read_buffer);
    cx_buf_free(&http->out);
    cx_buf_free(&http->scratch);
    cx_buf_free(&http->zipped);
    free(http);
}
