/* SPDX-License-Identifier: MIT
 *
 * GET /svc/list and /svc/health: the configured services, as background probes last found them, the
 * daemon itself first. Changes are told on the bus. Loop thread.
 */
#include "api/api_internal.h"

static enum cx_step_result svc_list(struct cx_exchange *x);
static enum cx_step_result svc_health(struct cx_exchange *x);

static const struct cx_step list_steps[] = { { "reply", svc_list, false } };
static const struct cx_step health_steps[] = { { "reply", svc_health, false } };
API_TOOL(api__svc_list, "svc.list", list_steps, 0);
API_TOOL(api__svc_health, "svc.health", health_steps, 0);

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

static json_t *row_of(const char *name, const char *kind, const char *endpoint, const char *version,
                      const char *git_sha, const char *deployed_at)
{
    json_t *row = json_object();
    json_object_set_new(row, "name", json_string(name));
    json_object_set_new(row, "kind", json_string(kind));
    json_object_set_new(row, "endpoint", text_or_null(endpoint));
    json_object_set_new(row, "version", text_or_null(version));
    json_object_set_new(row, "git_sha", text_or_null(git_sha));
    json_object_set_new(row, "deployed_at", text_or_null(deployed_at));
    return row;
}

static enum cx_step_result svc_list(struct cx_exchange *x)
{
    const struct cx_api *api = api__of(x);
    char started[CX_TIME_TEXT_BYTES];
    json_t *list = json_array();
    json_array_append_new(list, row_of("cortex", "self", NULL, CORTEX_VERSION, NULL,
                                       cx_time_format(api->started_us, started)));
    for (size_t i = 0; i < cx_services_count(api->options.services); i++) {
        const struct cx_service_options *s = NULL;
        struct cx_service_state state;
        cx_services_get(api->options.services, i, &s, &state);
        json_array_append_new(
            list, row_of(s->name, s->kind, s->url, s->version, s->git_sha, s->deployed_at));
    }
    return cx_exchange_reply_json(x, 200, list);
}

static json_t *health_of(const char *name, const char *status, uint64_t latency_ms,
                         int64_t checked_us)
{
    char time[CX_TIME_TEXT_BYTES];
    return json_pack("{s:s, s:s, s:I, s:s}", "name", name, "status", status, "latency_ms",
                     (json_int_t)latency_ms, "last_checked", cx_time_format(checked_us, time));
}

/* Before the first answer of a service nothing is known of it but that it has not answered, since we
 * began to ask. */
static enum cx_step_result svc_health(struct cx_exchange *x)
{
    const struct cx_api *api = api__of(x);
    json_t *list = json_array();
    const bool well = api__health_well(api);
    json_array_append_new(list, health_of("cortex", well ? "healthy" : "degraded",
                                          (uint64_t)cx_loop_lag_ms(api->options.loop),
                                          cx_clock_wall_us()));
    for (size_t i = 0; i < cx_services_count(api->options.services); i++) {
        const struct cx_service_options *s = NULL;
        struct cx_service_state state;
        cx_services_get(api->options.services, i, &s, &state);
        json_array_append_new(
            list, health_of(s->name, cx_service_status_name(state.status), state.latency_ms,
                            state.checked_us != 0 ? state.checked_us : api->started_us));
    }
    return cx_exchange_reply_json(x, 200, list);
}

static void on_change(void *ctx, const struct cx_service_options *service,
                      const struct cx_service_state *state)
{
    struct cx_api *api = ctx;
    const bool well = state->status == CX_SERVICE_HEALTHY;
    const char *status = cx_service_status_name(state->status);
    CX_LOG(well ? CX_LOG_INFO : CX_LOG_WARN, "service", CX_S("name", service->name),
           CX_S("status", status), CX_I("latency_ms", state->latency_ms));
    cx_events_emit(api->options.events, well ? CX_EVENT_HEALTH_RECOVERED : CX_EVENT_HEALTH_DEGRADED,
                   json_pack("{s:s, s:s, s:I}", "service", service->name, "status", status,
                             "latency_ms", (json_int_t)state->latency_ms),
                   json_pack("[s]", service->name), NULL);
}

void api__services_start(struct cx_api *api)
{
    cx_services_on_change(api->options.services, on_change, api);
}
