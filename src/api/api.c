/* SPDX-License-Identifier: MIT
 *
 * The api's life: what the endpoints share is made here and ended here. Loop thread.
 */
#include "api/api_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "cortex/context.h"
#include "cortex/metrics.h"

enum cx_status cx_api_new(const struct cx_api_options *options, struct cx_api **out,
                          struct cx_err *err)
{
    struct cx_api *api = cx_alloc(sizeof *api);
    api->options = *options;
    api->phase = CX_API_STARTING;
    api->started_us = cx_clock_wall_us();
    api->started_ns = cx_clock_mono_ns();
    enum cx_status status = api__snapshots_open(api, err);
    if (status == CX_OK) {
        status = api__hot_open(api, err);
        if (status != CX_OK) {
            api__snapshots_free(api);
        }
    }
    if (status != CX_OK) {
        free(api);
        return status;
    }
    api->answers_gauge = cx_metrics_series(CX_M_API_EMBEDDING_ANSWER_BYTES, "");
    cx_token_cache_new(api->options.token_cache_bytes, &api->token_cache);
    api__event_hub_open(api);
    api__services_start(api);
    if (options->embedder != NULL) {
        struct cx_embedder_info info;
        cx_embedder_info(options->embedder, &info);
        (void)snprintf(api->model_fingerprint, sizeof api->model_fingerprint, "%s",
                       info.fingerprint);
    }
    api__routes_make(api);
    api__audit_start(api);
    api__health_start(api);
    *out = api;
    return CX_OK;
}

const struct cx_route *cx_api_routes(const struct cx_api *api, size_t *count)
{
    *count = api->route_count;
    return api->routes;
}

void cx_api_set_vector(struct cx_api *api, struct cx_vector_store *vector)
{
    api->vector = vector;
    if (vector != NULL && api->options.embedder != NULL && api->phase != CX_API_DRAINING) {
        api__pending_start(api);
        api__sweep_start(api);
        api__purge_start(api);
    }
    if (vector != NULL && api->phase != CX_API_DRAINING) {
        api__tend_start(api);
    }
}

void cx_api_set_phase(struct cx_api *api, enum cx_api_phase phase)
{
    CX_CHECK(phase >= api->phase);
    api->phase = phase;
    api->health.rendered_ms = 0;
}

void cx_api_stop(struct cx_api *api)
{
    api__audit_stop(api);
    api__health_stop(api);
    api__pending_stop(api);
    api__hot_stop(api);
    api__event_hub_stop(api);
    api__sweep_stop(api);
    api__tend_stop(api);
    api__purge_drain(api);
}

bool cx_api_idle(const struct cx_api *api)
{
    return api__audit_idle(api) && api->health.job == NULL && api->snapshots.build == NULL &&
           api__pending_idle(api) && api__hot_idle(api) && api__sweep_idle(api) &&
           api__tend_idle(api) && api__purge_idle(api);
}

void cx_api_free(struct cx_api **api)
{
    if (*api == NULL) {
        return;
    }
    CX_CHECK(cx_api_idle(*api));
    api__audit_free(*api);
    api__health_free(*api);
    api__snapshots_free(*api);
    api__pending_free(*api);
    api__hot_free(*api);
    api__tool_log_free(*api);
    api__event_hub_free(*api);
    cx_token_cache_free(&(*api)->token_cache);
    api__sweep_free(*api);
    api__purge_free(*api);
    api__reembed_free(*api);
    api__tend_free(*api);
    free((*api)->routes);
    free(*api);
    *api = NULL;
}
