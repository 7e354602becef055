/* SPDX-License-Identifier: MIT
 *
 * Services and their probes: a timer each, which starts a request; its end starts the timer again, so
 * that a service has one request at a time. Owns timers and calls.
 *
 * Threads: loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/inspect.h"
#include "cortex/metrics.h"

#define RESPONSE_MAX_BYTES ((size_t)64 * 1024)
#define SPREAD_MS 1000 /* the first probes of all services */

struct service {
    struct cx_services *all;
    struct cx_service_options options; /* its texts are owned */
    struct cx_service_state state;
    struct cx_timer *timer;
    struct cx_call *call; /* under way */
    uint64_t begun_ns;
    struct cx_series *up;
};
struct cx_services {
    struct cx_loop *loop;
    struct cx_fetch *fetch;
    struct service *items;
    size_t count;
    bool stopped;
    void (*on_change)(void *ctx, const struct cx_service_options *service,
                      const struct cx_service_state *state);
    void *ctx;
};

static void on_time(void *ctx);
static void on_answer(void *ctx, const struct cx_fetch_response *response);
static void found(struct service *s, enum cx_service_status status);

const char *cx_service_status_name(enum cx_service_status status)
{
    static const char *const names[] = { [CX_SERVICE_HEALTHY] = "healthy",
                                         [CX_SERVICE_DEGRADED] = "degraded",
                                         [CX_SERVICE_UNHEALTHY] = "unhealthy" };
    CX_CHECK((size_t)status < CX_ARRAY_LEN(names));
    return names[status];
}

static char *copied(const char *text)
{
    return text != NULL ? cx_strdup(text) : NULL;
}

enum cx_status cx_services_new(struct cx_loop *loop, struct cx_fetch *fetch,
                               const struct cx_service_options *services, size_t count,
                               struct cx_services **out, struct cx_err *err)
{
    struct cx_services *all = cx_alloc(sizeof *all);
    all->loop = loop;
    all->fetch = fetch;
    all->items = cx_alloc((count + 1) * sizeof *all->items);
    bool https = false;
    for (size_t i = 0; i < count; i++) {
        struct service *s = &all->items[all->count++];
        char label[128];
        s->all = all;
        s->options = services[i];
        s->options.name = copied(services[i].name);
        s->options.kind = copied(services[i].kind);
        s->options.url = copied(services[i].url);
        s->options.version = copied(services[i].version);
        s->options.git_sha = copied(services[i].git_sha);
        s->options.deployed_at = copied(services[i].deployed_at);
        s->state.status = CX_SERVICE_UNHEALTHY;
        snprintf(label, sizeof label, "service=\"%s\"", s->options.name);
        s->up = cx_metrics_series(CX_M_SERVICE_UP, label);
        https = https || strncmp(s->options.url, "https:", 6) == 0;
        cx_timer_new(loop, on_time, s, &s->timer);
        cx_timer_start(s->timer, SPREAD_MS * i / count, 0);
    }
    const enum cx_status status = https ? cx_fetch_warm_tls(fetch, err) : CX_OK;
    if (status != CX_OK) {
        cx_services_free(&all);
        return status;
    }
    *out = all;
    return CX_OK;
}

void cx_services_on_change(struct cx_services *services,
                           void (*on_change)(void *ctx, const struct cx_service_options *service,
                                             const struct cx_service_state *state),
                           void *ctx)
{
    services->on_change = on_change;
    services->ctx = ctx;
}

void cx_services_stop(struct cx_services *services)
{
    services->stopped = true;
    for (size_t i = 0; i < services->count; i++) {
        cx_timer_free(&services->items[i].timer);
        if (services->items[i].call != NULL) {
            cx_call_cancel(services->items[i].call);
        }
    }
}

void cx_services_free(struct cx_services **services)
{
    if (*services == NULL) {
        return;
    }
    for (size_t i = 0; i < (*services)->count; i++) {
        struct service *s = &(*services)->items[i];
        CX_CHECK(s->call == NULL);
        cx_timer_free(&s->timer);
        free((char *)s->options.name);
        free((char *)s->options.kind);
        free((char *)s->options.url);
        free((char *)s->options.version);
        free((char *)s->options.git_sha);
        free((char *)s->options.deployed_at);
    }
    free((*services)->items);
    free(*services);
    *services = NULL;
}

size_t cx_services_count(const struct cx_services *services)
{
    return services->count;
}

void cx_services_get(const struct cx_services *services, size_t index,
                     const struct cx_service_options **service, struct cx_service_state *state)
{
    CX_CHECK(index < services->count);
    *service = &services->items[index].options;
    *state = services->items[index].state;
}

/* ---- Probes ---- */

static void on_time(void *ctx)
{
    struct service *s = ctx;
    const struct cx_fetch_request request = { .method = "GET",
                                              .url = s->options.url,
                                              .timeout_ms = s->options.timeout_ms,
                                              .response_max_bytes = RESPONSE_MAX_BYTES };
    s->begun_ns = cx_clock_mono_ns();
    if (cx_fetch_start(s->all->fetch, &request, on_answer, s, &s->call, NULL) != CX_OK) {
        s->call = NULL; /* too much is under way here: that says nothing of the service */
        cx_timer_start(s->timer, s->options.interval_ms, 0);
    }
}

/* A body that is longer than we read is an answer all the same. */
static enum cx_service_status judge(const struct service *s,
                                    const struct cx_fetch_response *response)
{
    if (response->outcome != CX_FETCH_OK || response->status >= 500) {
        return response->outcome == CX_FETCH_TOO_LARGE ? CX_SERVICE_DEGRADED : CX_SERVICE_UNHEALTHY;
    }
    return response->status == s->options.expect ? CX_SERVICE_HEALTHY : CX_SERVICE_DEGRADED;
}

static void on_answer(void *ctx, const struct cx_fetch_response *response)
{
    struct service *s = ctx;
    s->call = NULL;
    if (s->all->stopped) {
        return;
    }
    s->state.latency_ms = (cx_clock_mono_ns() - s->begun_ns + 500000) / 1000000;
    found(s, judge(s, response));
    cx_timer_start(s->timer, s->options.interval_ms, 0);
}

static void found(struct service *s, enum cx_service_status status)
{
    const bool first = s->state.checked_us == 0;
    const bool changed = first ? status != CX_SERVICE_HEALTHY : status != s->state.status;
    s->state.status = status;
    s->state.checked_us = cx_clock_wall_us();
    cx_gauge_set(s->up, status == CX_SERVICE_HEALTHY ? 1.0 : 0.0);
    if (changed && s->all->on_change != NULL) {
        s->all->on_change(s->all->ctx, &s->options, &s->state);
    }
}
