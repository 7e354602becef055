/* SPDX-License-Identifier: MIT
 *
 * What an operator sees of requests: counters and log lines. Labels are route templates, never
 * paths, and no line carries a query string, where a token may stand.
 */
#include "http/http_internal.h"

#include <stdio.h>
#include <string.h>

static void count_answer(struct cx_exchange *x, double seconds);
static struct cx_series *requests_series(struct route_info *info, const struct cx_exchange *x);
static const char *method_label(const struct cx_exchange *x);
static void log_answer(const struct cx_exchange *x, size_t bytes, double seconds);
static void tell_tool(const struct cx_exchange *x, int status, enum cx_status reason, size_t bytes);

void observe__init(struct cx_http *http)
{
    http->connections_gauge = cx_metrics_series(CX_M_HTTP_CONNECTIONS, "");
    http->accepted = cx_metrics_series(CX_M_HTTP_ACCEPTED, "");
    http->refused = cx_metrics_series(CX_M_HTTP_REFUSED, "");
    http->exchanges_gauge = cx_metrics_series(CX_M_HTTP_EXCHANGES, "");
    http->client_gone = cx_metrics_series(CX_M_HTTP_CLIENT_GONE, "");
    http->postponed = cx_metrics_series(CX_M_HTTP_POSTPONED, "");
    http->deadlines_passed = cx_metrics_series(CX_M_HTTP_DEADLINES, "");
    http->rate_limited = cx_metrics_series(CX_M_HTTP_RATE_LIMITED, "");
    http->streams_gauge = cx_metrics_series(CX_M_HTTP_STREAMS, "");
    http->stream_sent = cx_metrics_series(CX_M_HTTP_STREAM_SENT, "");
    http->stream_taken = cx_metrics_series(CX_M_HTTP_STREAM_TAKEN, "");
    http->unsent_gauge = cx_metrics_series(CX_M_HTTP_UNSENT, "");
    http->rate_buckets = cx_metrics_series(CX_M_HTTP_RATE_BUCKETS, "");
    for (size_t i = 0; i < http->route_count; i++) {
        char labels[256];
        snprintf(labels, sizeof labels, "route=\"%s\"", http->routes[i].label);
        http->routes[i].seconds = cx_metrics_series(CX_M_HTTP_SECONDS, labels);
    }
}

void observe__answered(struct cx_exchange *x, size_t bytes)
{
    const double seconds = (double)(cx_clock_mono_ns() - x->started_ns) * 1e-9;
    if (x->stream.state == STREAM_NONE) {
        count_answer(x, seconds);
    }
    log_answer(x, bytes, seconds);
    tell_tool(x, x->reply.status, x->reply.reason, bytes);
}

void observe__opened(struct cx_exchange *x)
{
    count_answer(x, (double)(cx_clock_mono_ns() - x->started_ns) * 1e-9);
}

void observe__disconnected(const char *reason)
{
    char labels[32];
    snprintf(labels, sizeof labels, "reason=\"%s\"", reason);
    cx_counter_add(cx_metrics_series(CX_M_HTTP_STREAM_DISCONNECTED, labels), 1);
}

static void count_answer(struct cx_exchange *x, double seconds)
{
    cx_counter_add(requests_series(x->info, x), 1);
    cx_histogram_observe(x->info->seconds, seconds);
}

void observe__client_gone(struct cx_exchange *x)
{
    tell_tool(x, cx_status_http(CX_CANCELLED), CX_CANCELLED, 0);
}

static void tell_tool(const struct cx_exchange *x, int status, enum cx_status reason, size_t bytes)
{
    const struct cx_http_options *options = &x->http->options;
    const struct cx_route *route = x->info->route;
    if (options->on_tool == NULL || route == NULL || route->tool == NULL || x->token_name == NULL) {
        return;
    }
    const struct cx_http_invocation invocation = {
        .tool = route->tool,
        .scope = route->scope,
        .input_bytes = x->request.body.len + x->request.query.len,
        .output_bytes = bytes,
        .latency_ns = cx_clock_mono_ns() - x->started_ns,
        .status = status,
        .reason = reason,
        .correlation_id = x->correlation_id,
        .resource_ids = x->resource_ids,
    };
    options->on_tool(options->context, &invocation);
}

/* A series is looked up when a route answers so for the first time. */
static struct cx_series *requests_series(struct route_info *info, const struct cx_exchange *x)
{
    const char *method = method_label(x);
    const unsigned key = (unsigned)(unsigned char)method[0] << 8 | (unsigned char)method[1];
    for (unsigned i = 0; i < info->count_used; i++) {
        if (info->counts[i].status == x->reply.status && info->counts[i].method == key) {
            return info->counts[i].series;
        }
    }
    char labels[320];
    snprintf(labels, sizeof labels, "route=\"%s\",method=\"%s\",status=\"%d\"", info->label, method,
             x->reply.status);
    struct cx_series *series = cx_metrics_series(CX_M_HTTP_REQUESTS, labels);
    if (info->count_used < CX_ARRAY_LEN(info->counts)) {
        info->counts[info->count_used].status = x->reply.status;
        info->counts[info->count_used].method = key;
        info->counts[info->count_used++].series = series;
    }
    return series;
}

/* Distinct in their first two letters. */
static const char *method_label(const struct cx_exchange *x)
{
    static const char *const names[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS" };
    for (size_t i = 0; i < CX_ARRAY_LEN(names); i++) {
        if (cx_str_eq(x->request.method, cx_str_of(names[i]))) {
            return names[i];
        }
    }
    return "other";
}

static void log_answer(const struct cx_exchange *x, size_t bytes, double seconds)
{
    const struct cx_http_options *options = &x->http->options;
    const int status = x->reply.status;
    if (status >= 500 && x->reply.reason != CX_OK) { /* a probe's 503 is an answer, not a failure */
        CX_LOG(status == 503 ? CX_LOG_WARN : CX_LOG_ERROR, "request failed",
               CX_S("correlation_id", x->correlation_id), CX_S("route", x->info->label),
               CX_I("status", status), CX_S("reason", cx_status_reason(x->reply.reason)),
               CX_S("why", x->reply.why));
    }
    if (options->slow_request_ms > 0 && x->stream.state == STREAM_NONE &&
        seconds * 1000.0 > options->slow_request_ms) {
        CX_LOG(CX_LOG_WARN, "slow request", CX_S("correlation_id", x->correlation_id),
               CX_S("route", x->info->label), CX_I("status", status), CX_R("seconds", seconds));
    }
    if (options->access_log) {
        char path[256];
        snprintf(path, sizeof path, "%.*s",
                 (int)(x->request.path.len < 255 ? x->request.path.len : 255),
                 x->request.path.p != NULL ? x->request.path.p : "");
        CX_LOG(CX_LOG_INFO, "request", CX_S("correlation_id", x->correlation_id),
               CX_S("method", method_label(x)), CX_S("path", path), CX_I("status", status),
               CX_I("bytes", bytes), CX_R("seconds", seconds), CX_S("token", x->token_name));
    }
}

void observe__protocol_error(struct cx_http *http, enum cx_status status)
{
    (void)http;
    char labels[32];
    snprintf(labels, sizeof labels, "status=\"%d\"", cx_status_http(status));
    cx_counter_add(cx_metrics_series(CX_M_HTTP_PROTOCOL_ERRORS, labels), 1);
}

void observe__step(struct cx_exchange *x, const char *name, const char *how)
{
    const double ms = (double)(cx_clock_mono_ns() - x->step_started_ns) * 1e-6;
    const double since_ms = (double)(cx_clock_mono_ns() - x->started_ns) * 1e-6;
    CX_LOG(CX_LOG_INFO, "step", CX_S("request_id", x->request_id), CX_S("route", x->info->label),
           CX_S("step", name), CX_S("ended", how), CX_R("took_ms", ms), CX_R("since_ms", since_ms));
}
