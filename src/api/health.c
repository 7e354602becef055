/* SPDX-License-Identifier: MIT
 *
 * GET /healthz, /ready, /metrics: what probes ask. They are answered from memory alone: a
 * background check asks the database every five seconds on the read lane, and its finding is what
 * is reported.
 */
#include "api/api_internal.h"

#include "cortex/metrics.h"

#define CHECK_EVERY_MS 5000
#define STUCK_LOOKS 3       /* one such look after another: the lane is stuck */
#define RENDER_EVERY_MS 100 /* a probe storm costs one rendering of the body in this time */
#define METRICS_MAX_BYTES ((size_t)4 << 20)

static enum cx_step_result healthz_reply(struct cx_exchange *x);
static enum cx_step_result ready_reply(struct cx_exchange *x);
static enum cx_step_result metrics_reply(struct cx_exchange *x);

static const struct cx_step healthz_steps[] = { { "reply", healthz_reply, false } };
static const struct cx_step ready_steps[] = { { "reply", ready_reply, false } };
static const struct cx_step metrics_steps[] = { { "reply", metrics_reply, false } };

API_ENDPOINT(api__healthz, healthz_steps, 0);
API_ENDPOINT(api__ready, ready_steps, 0);
API_ENDPOINT(api__metrics, metrics_steps, 0);

/* ---- The background check ---- */

static bool embedding_well(const struct cx_api *api);
static void on_check_time(void *ctx);
static void on_watch_time(void *ctx);
static void check_work(void *arg);
static void on_checked(void *arg, enum cx_status status);

void api__health_start(struct cx_api *api)
{
    cx_buf_init(&api->health.body, 8192);
    cx_timer_new(api->options.loop, on_check_time, api, &api->health.timer);
    cx_timer_start(api->health.timer, 0, CHECK_EVERY_MS);
    cx_timer_new(api->options.loop, on_watch_time, api, &api->health.watch);
    cx_timer_start(api->health.watch, CHECK_EVERY_MS, CHECK_EVERY_MS);
}

void cx_api_check_health(struct cx_api *api)
{
    if (api->health.timer != NULL) {
        cx_timer_start(api->health.timer, 0, CHECK_EVERY_MS);
    }
    if (embedding_well(api)) {
        api__pending_service_answers(api);
    }
}

void api__health_stop(struct cx_api *api)
{
    cx_timer_free(&api->health.timer);
    cx_timer_free(&api->health.watch);
}

void api__health_free(struct cx_api *api)
{
    cx_timer_free(&api->health.timer);
    cx_timer_free(&api->health.watch);
    cx_buf_free(&api->health.body);
}

static void on_check_time(void *ctx)
{
    struct cx_api *api = ctx;
    if (api->health.job == NULL &&
        cx_lane_submit(api->options.read_lane, CX_PRIORITY_HIGH, check_work, on_checked, api,
                       &api->health.job) != CX_OK) {
        api->health.job = NULL; /* a full lane is no finding: the next round asks again */
    }
}

static void check_work(void *arg)
{
    struct cx_api *api = arg;
    struct cx_db *db = cx_store_reader(api->options.store);
    uint64_t version = 0;
    api->health.found = cx_state_version(db, &version, NULL);
    cx_store_return(api->options.store, db);
    if (!cx_store_in_place(api->options.store)) {
        api->health.found = CX_IO_ERROR;
    }
}

static void tell_change(struct cx_api *api);

static void on_checked(void *arg, enum cx_status status)
{
    struct cx_api *api = arg;
    api->health.job = NULL;
    if (status == CX_OK) {
        api->health.database = api->health.found;
    }
    api->health.rendered_ms = 0;
    tell_change(api);
}

static void watch(struct api__lane_watch *watch, const struct cx_lane *lane, const char *name);
static bool stuck(const struct api__lane_watch *watch);

static void on_watch_time(void *ctx)
{
    struct cx_api *api = ctx;
    if (api->phase == CX_API_STARTING) {
        return; /* all that is stored is read in one job */
    }
    watch(&api->health.write, api->options.write_lane, "write");
    watch(&api->health.read, api->options.read_lane, "read");
    watch(&api->health.ledger, api->options.ledger_lane, "ledger");
    api->health.rendered_ms = 0;
    tell_change(api);
}

static void watch(struct api__lane_watch *watch, const struct cx_lane *lane, const char *name)
{
    const uint64_t completed = cx_lane_completed(lane);
    const bool idle = cx_lane_running(lane) + cx_lane_waiting(lane) == 0;
    const bool goes_on = idle || completed != watch->completed;
    watch->completed = completed;
    watch->looks = goes_on ? 0 : watch->looks + 1;
    if (watch->looks == STUCK_LOOKS) {
        CX_LOG(CX_LOG_ERROR, "a lane completes none of its work", CX_S("lane", name),
               CX_I("waiting", cx_lane_waiting(lane)));
    }
}

static bool stuck(const struct api__lane_watch *watch)
{
    return watch->looks >= STUCK_LOOKS;
}

static bool database_well(const struct cx_api *api)
{
    return api->health.database == CX_OK && !cx_store_failed(api->options.store) &&
           !stuck(&api->health.write) && !stuck(&api->health.read);
}

static bool loop_well(const struct cx_api *api)
{
    return cx_loop_lag_ms(api->options.loop) < (double)api->options.lag_degraded_ms;
}

static enum cx_circuit embedding_circuit(const struct cx_api *api)
{
    struct cx_circuit_info info = { .state = CX_CIRCUIT_CLOSED };
    if (api->options.embedder != NULL) {
        cx_embedder_circuit(api->options.embedder, &info);
    }
    return info.state;
}

static bool embedding_well(const struct cx_api *api)
{
    return embedding_circuit(api) == CX_CIRCUIT_CLOSED;
}

static bool vector_well(const struct cx_api *api)
{
    if (api->options.chroma != NULL) {
        return cx_chroma_circuit(api->options.chroma) == CX_CIRCUIT_CLOSED;
    }
    struct cx_vector_store_figures figures = { 0 };
    if (api->vector != NULL) {
        cx_vector_store_figures(api->vector, &figures);
    }
    return figures.unready == 0;
}

static bool ledger_well(const struct cx_api *api)
{
    struct cx_err what;
    return !cx_audit_failed(api->options.audit) && !stuck(&api->health.ledger) &&
           !cx_audit_damage(api->options.audit, &what);
}

static bool is_degraded(const struct cx_api *api)
{
    return !database_well(api) || !ledger_well(api) || !loop_well(api) || !embedding_well(api) ||
           !vector_well(api);
}

bool api__health_well(const struct cx_api *api)
{
    return !is_degraded(api);
}

static void tell_change(struct cx_api *api)
{
    const bool degraded = is_degraded(api);
    if (degraded == api->health.degraded) {
        return;
    }
    api->health.degraded = degraded;
    json_t *payload = json_object();
    json_object_set_new(payload, "database",
                        json_string(database_well(api) ? "healthy" : "unhealthy"));
    json_object_set_new(payload, "event_loop",
                        json_string(loop_well(api) ? "healthy" : "degraded"));
    json_object_set_new(payload, "vector_store",
                        json_string(vector_well(api) ? "healthy" : "degraded"));
    cx_events_emit(api->options.events,
                   degraded ? CX_EVENT_HEALTH_DEGRADED : CX_EVENT_HEALTH_RECOVERED, payload, NULL,
                   NULL);
    CX_LOG(degraded ? CX_LOG_WARN : CX_LOG_INFO, degraded ? "health degraded" : "health recovered",
           CX_S("database", database_well(api) ? "healthy" : "unhealthy"),
           CX_S("embedding_circuit", cx_circuit_name(embedding_circuit(api))),
           CX_R("loop_lag_ms", cx_loop_lag_ms(api->options.loop)));
}

/* ---- /healthz ---- */

static void render(struct cx_api *api);

static enum cx_step_result healthz_reply(struct cx_exchange *x)
{
    struct cx_api *api = api__of(x);
    const uint64_t now_ms = cx_loop_now_ms(api->options.loop);
    if (api->health.rendered_ms == 0 || now_ms - api->health.rendered_ms >= RENDER_EVERY_MS) {
        render(api);
        api->health.rendered_ms = now_ms;
    }
    return cx_exchange_reply_bytes(x, 200, "application/json",
                                   (struct cx_str){ api->health.body.data, api->health.body.len },
                                   (struct cx_str){ NULL, 0 });
}

static void render_vector(struct cx_api *api, struct cx_buf *b);
static void render_ledger(struct cx_api *api, struct cx_buf *b);
static void render_embedding(struct cx_api *api, struct cx_buf *b);

static void render(struct cx_api *api)
{
    struct cx_buf *b = &api->health.body;
    cx_buf_clear(b);
    const double uptime = (double)(cx_clock_mono_ns() - api->started_ns) / 1e9;
    cx_buf_printf(b,
                  "{\"status\":\"%s\",\"service\":\"cortex\",\"version\":\"" CORTEX_VERSION
                  "\",\"uptime_seconds\":%.3f,\"checks\":{\"database\":{\"status\":\"%s\"}",
                  is_degraded(api) ? "degraded" : "ok", uptime,
                  database_well(api) ? "healthy" : "unhealthy");
    render_vector(api, b);
    render_ledger(api, b);
    render_embedding(api, b);
    cx_buf_printf(b, ",\"event_loop\":{\"status\":\"%s\",\"lag_ms\":%.3f}}}",
                  loop_well(api) ? "healthy" : "degraded", cx_loop_lag_ms(api->options.loop));
}

static void render_vector(struct cx_api *api, struct cx_buf *b)
{
    if (api->options.embedder == NULL) {
        cx_buf_puts(b, ",\"vector_store\":{\"status\":\"not_configured\"}");
        return;
    }
    if (api->options.chroma != NULL) { /* how many documents it has would have to be asked for */
        cx_buf_printf(b,
                      ",\"vector_store\":{\"status\":\"%s\",\"backend\":\"chroma\","
                      "\"circuit\":\"%s\"}",
                      vector_well(api) ? "healthy" : "degraded",
                      cx_circuit_name(cx_chroma_circuit(api->options.chroma)));
        return;
    }
    struct cx_vector_store_figures figures = { 0 };
    if (api->vector != NULL) {
        cx_vector_store_figures(api->vector, &figures);
    }
    cx_buf_printf(b,
                  ",\"vector_store\":{\"status\":\"%s\",\"doc_count\":%zu,\"pending\":%zu,"
                  "\"backend\":\"%s\"}",
                  api->vector != NULL && vector_well(api) ? "healthy" : "degraded",
                  figures.documents, figures.pending, api->options.vector_backend);
}

static void render_ledger(struct cx_api *api, struct cx_buf *b)
{
    struct cx_audit_figures figures;
    char head[CX_SHA256_HEX_BYTES];
    cx_audit_figures(api->options.audit, &figures);
    cx_buf_printf(b, ",\"audit_ledger\":{\"status\":\"%s\",\"entries\":%llu,\"head\":\"%s\"}",
                  ledger_well(api) ? "healthy" : "unhealthy", (unsigned long long)figures.size,
                  cx_hex(figures.head, sizeof figures.head, head));
}

static void render_embedding(struct cx_api *api, struct cx_buf *b)
{
    if (api->options.embedder == NULL) {
        cx_buf_puts(b, ",\"embedding\":{\"status\":\"not_configured\"}");
        return;
    }
    struct cx_embedder_info info;
    cx_embedder_info(api->options.embedder, &info);
    cx_buf_printf(b, ",\"embedding\":{\"status\":\"%s\",\"provider\":",
                  embedding_well(api) ? "healthy" : "degraded");
    cx_json_write_string(cx_str_of(info.provider), b);
    cx_buf_puts(b, ",\"model\":");
    cx_json_write_string(cx_str_of(info.model), b);
    if (info.memory_bytes > 0) {
        cx_buf_printf(b, ",\"memory_bytes\":%zu", info.memory_bytes);
    }
    cx_buf_printf(b, ",\"circuit\":\"%s\"}", cx_circuit_name(embedding_circuit(api)));
}

/* ---- /ready ---- */

static enum cx_step_result ready_reply(struct cx_exchange *x)
{
    const struct cx_api *api = api__of(x);
    const char *reason = NULL;
    if (api->phase == CX_API_STARTING) {
        reason = "starting";
    } else if (api->phase == CX_API_DRAINING) {
        reason = "draining";
    } else if (!database_well(api)) {
        reason = "database";
    } else if (!ledger_well(api)) {
        reason = cx_audit_failed(api->options.audit) ? "ledger_failed"
                 : stuck(&api->health.ledger)        ? "ledger_stuck"
                                                     : "ledger_damaged";
    }
    json_t *body = json_object();
    json_object_set_new(body, "ready", json_boolean(reason == NULL));
    json_object_set_new(body, "service", json_string("cortex"));
    if (reason != NULL) {
        json_object_set_new(body, "reason", json_string(reason));
        cx_exchange_set_retry_after(x, 1);
    }
    return cx_exchange_reply_json(x, reason == NULL ? 200 : 503, body);
}

/* ---- /metrics ---- */

static void release_buf(void *buf);

static enum cx_step_result metrics_reply(struct cx_exchange *x)
{
    struct cx_buf *text = cx_arena_alloc(cx_exchange_arena(x), sizeof *text);
    CX_CHECK(text != NULL);
    cx_buf_init(text, METRICS_MAX_BYTES);
    cx_exchange_defer(x, release_buf, text);
    cx_metrics_write(text);
    if (text->failed) {
        return cx_exchange_fail(x, CX_INTERNAL, "the metrics are larger than their ceiling");
    }
    return cx_exchange_reply_bytes(x, 200, "text/plain; version=0.0.4; charset=utf-8",
                                   (struct cx_str){ text->data, text->len },
                                   (struct cx_str){ NULL, 0 });
}

static void release_buf(void *buf)
{
    cx_buf_free(buf);
}
