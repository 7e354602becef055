/* SPDX-License-Identifier: MIT
 *
 * The composition root: makes the rooms in order, hands each what the configuration says and the rooms
 * it needs, and ends them in reverse. Order of making: loop and lanes, events, fetch, store, ledger,
 * embedder, Chroma, what may be looked into, api, http and its listeners; last, on a lane, the vector
 * store (opening.c). Main thread, before the loop runs and after it has stopped: blocking is allowed.
 */
#include "app/app_internal.h"

#include <unistd.h>

#include "cortex/metrics.h"
#include "app/database.h"
#include "app/ledger.h"
#include "app/tokens.h"

#define USER_AGENT "cortex/" CORTEX_VERSION

static enum cx_status make_loop(struct app *app, struct cx_err *err);
static enum cx_status make_store(struct app *app, struct cx_err *err);
static enum cx_status make_audit(struct app *app, struct cx_err *err);
static enum cx_status make_api(struct app *app, struct cx_err *err);
static enum cx_status make_http(struct app *app, struct cx_err *err);

enum cx_status app__make_rooms(struct app *app, struct cx_err *err)
{
    static enum cx_status (*const makers[])(struct app *, struct cx_err *) = {
        make_loop,         make_store, make_audit, app__make_embedder, app__make_chroma,
        app__make_inspect, make_api,   make_http,  app__life_start,    app__open_vector,
    };
    enum cx_status status = app__notify_new(environ, &app->notify, err);
    for (size_t i = 0; i < CX_ARRAY_LEN(makers) && status == CX_OK; i++) {
        status = makers[i](app, err);
    }
    return status;
}

static enum cx_status make_loop(struct app *app, struct cx_err *err)
{
    const struct cx_config *c = app->config;
    const struct cx_lane_options write = { .name = "write",
                                           .running = 1,
                                           .waiting = c->lanes_write_waiting };
    const struct cx_lane_options read = { .name = "read",
                                          .running = c->lanes_read_threads,
                                          .waiting = c->lanes_read_waiting };
    const struct cx_lane_options cpu = { .name = "cpu",
                                         .running = app__cpu_threads(c),
                                         .waiting = c->lanes_cpu_waiting,
                                         .background = true };
    const struct cx_lane_options inspect = { .name = "inspect",
                                             .running = c->lanes_inspect_threads,
                                             .waiting = c->lanes_inspect_waiting,
                                             .background = true };
    /* Records wait in the ledger's own queue: a job takes all that wait. */
    const struct cx_lane_options ledger = { .name = "ledger", .running = 1, .waiting = 16 };
    const enum cx_status status =
        cx_loop_new(write.running + read.running + cpu.running + inspect.running + ledger.running,
                    &app->loop, err);
    if (status != CX_OK) {
        return status;
    }
    cx_lane_new(app->loop, &write, &app->write_lane);
    cx_lane_new(app->loop, &read, &app->read_lane);
    cx_lane_new(app->loop, &cpu, &app->cpu_lane);
    cx_lane_new(app->loop, &inspect, &app->inspect_lane);
    cx_lane_new(app->loop, &ledger, &app->ledger_lane);
    const struct cx_events_options events = { .ring_entries = c->events_ring_entries,
                                              .ring_bytes = c->events_ring_bytes };
    cx_events_new(&events, &app->events);
    const struct cx_fetch_options fetch = { .user_agent = USER_AGENT,
                                            .proxy = c->fetch_proxy,
                                            .ca_file = c->fetch_ca_file,
                                            .connections_max = c->fetch_connections,
                                            .waiting_max = c->fetch_waiting };
    return cx_fetch_new(app->loop, &fetch, &app->fetch, err);
}

static enum cx_status make_store(struct app *app, struct cx_err *err)
{
    return app__open_store(app->config, &app->store, err);
}

static enum cx_status make_audit(struct app *app, struct cx_err *err)
{
    const enum cx_status status = app__ledger_key(app->config->data_dir, &app->signer, err);
    if (status != CX_OK) {
        return status;
    }
    const struct cx_audit_options options =
        app__audit_options(app->config, app->store, app->signer);
    return cx_audit_open(&options, &app->audit, err);
}

static enum cx_status make_api(struct app *app, struct cx_err *err)
{
    const struct cx_config *c = app->config;
    const struct cx_api_options options = {
        .loop = app->loop,
        .store = app->store,
        .events = app->events,
        .audit = app->audit,
        .embedder = app->embedder,
        .write_lane = app->write_lane,
        .read_lane = app->read_lane,
        .cpu_lane = app->cpu_lane,
        .inspect_lane = app->inspect_lane,
        .files = app->files,
        .databases = app->databases,
        .inspect_payload_bytes = c->inspect_payload_bytes,
        .services = app->services,
        .ledger_lane = app->ledger_lane,
        .pack = { .signing_key = cx_str_of(c->state_signing_key),
                  .signer = app->signer,
                  .ttl_seconds = (int64_t)(c->state_default_ttl_ms / 1000),
                  .size_cap = c->state_context_size_cap,
                  .keep = c->state_snapshots_kept,
                  .count_tokens = app__count_tokens },
        .purge_interval_ms = app->config->vector_purge_interval_ms,
        .ingests_max = app->config->vector_ingests,
        .chroma = app->chroma,
        .vector_backend = app->chroma != NULL          ? "chroma"
                          : app__has_vector_store(app) ? "local"
                                                       : "none",
        .search_mode = (enum cx_search_mode)c->search_default_mode,
        .body_bytes = c->http_body_bytes,
        .documents_body_bytes = c->http_documents_body_bytes,
        .hot_entries = c->hot_entries,
        .hot_bytes = c->hot_bytes,
        .hot_value_bytes = c->hot_value_bytes,
        .hot_persist = c->hot_persist,
        .event_followers = c->events_followers,
        .token_cache_bytes = c->context_count_cache_bytes,
        .token_budget_max = c->state_max_token_budget,
        .deadline_ms = c->http_deadline_ms,
        .lag_degraded_ms = c->server_lag_degraded_ms,
    };
    const enum cx_status status = cx_api_new(&options, &app->api, err);
    if (status == CX_OK) {
        cx_gauge_set(cx_metrics_series(CX_M_BUILD_INFO, "version=\"" CORTEX_VERSION "\""), 1.0);
        cx_gauge_set(cx_metrics_series(CX_M_START_TIME, ""), (double)cx_clock_wall_us() / 1e6);
    }
    return status;
}

static struct cx_http_options http_options(const struct app *app);

static enum cx_status make_http(struct app *app, struct cx_err *err)
{
    const struct cx_http_options options = http_options(app);
    size_t route_count = 0;
    const struct cx_route *routes = cx_api_routes(app->api, &route_count);
    struct cx_tokens *tokens = NULL;
    enum cx_status status = cx_http_new(app->loop, &options, routes, route_count, &app->http, err);
    if (status == CX_OK) {
        app__config_tokens(app->config, &tokens);
        cx_http_set_tokens(app->http, tokens);
        status = app__listen(app, err);
    }
    return status;
}

static struct cx_http_options http_options(const struct app *app)
{
    const struct cx_config *c = app->config;
    return (struct cx_http_options){
        .limits = { .header_bytes = c->http_header_bytes,
                    .header_count = c->http_header_count,
                    .uri_bytes = c->http_uri_bytes,
                    .connections = c->http_connections,
                    .exchanges = c->http_exchanges,
                    .header_timeout_ms = c->http_header_timeout_ms,
                    .body_timeout_ms = c->http_body_timeout_ms,
                    .idle_timeout_ms = c->http_idle_timeout_ms,
                    .write_timeout_ms = c->http_write_timeout_ms,
                    .unsent_bytes = c->http_unsent_bytes,
                    .requests_per_connection = c->http_requests_per_connection },
        .rate = app__rate(c),
        .server_names = c->http_server_names,
        .check_host = c->http_check_host == APP__CHECK_HOST_YES || c->http_server_names[0] != NULL,
        .allowed_origins = c->http_allowed_origins,
        .trusted_proxies = c->http_trusted_proxies,
        .access_log = c->log_access,
        .slow_request_ms = c->http_slow_request_ms,
        .trace = c->log_trace == APP__TRACE_EXCHANGE,
        .compress_lane = app->cpu_lane,
        .context = app->api,
        .on_tool = cx_api_tool_invoked,
    };
}

/* ---- Ending ---- */

void app__end_rooms(struct app *app)
{
    app__life_end(app);
    if (app->http != NULL) {
        cx_http_free(&app->http);
    }
    cx_api_free(&app->api);
    app__end_inspect(app);
    cx_vector_store_free(&app->vector);
    cx_chroma_free(&app->chroma);
    cx_audit_close(&app->audit);
    cx_embedder_free(&app->embedder);
    if (app->fetch != NULL) {
        cx_fetch_free(&app->fetch);
    }
    if (app->events != NULL) {
        cx_events_free(&app->events);
    }
    if (app->cpu_lane != NULL) {
        cx_lane_free(&app->cpu_lane);
        cx_lane_free(&app->inspect_lane);
        cx_lane_free(&app->read_lane);
        cx_lane_free(&app->write_lane);
        cx_lane_free(&app->ledger_lane);
    }
    if (app->loop != NULL) {
        cx_loop_free(&app->loop);
    }
    if (app->store != NULL) {
        cx_store_close(&app->store);
    }
    cx_signer_free(&app->signer);
    app__notify_free(&app->notify);
}
