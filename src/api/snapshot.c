/* SPDX-License-Identifier: MIT
 *
 * GET /state/snapshot: the signed context pack.
 *
 * The pack that is served is ready-made bytes in memory, so most requests end in their first step.
 * When it is out of date one build runs on the write lane, whoever asks meanwhile waits for that
 * same build. Joining it is safe: the write lane does one thing after the other and its
 * completions come in that order, so a change that was acknowledged before a request came is never
 * newer than a build that is still under way when the request comes.
 */
#include "api/api_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "cortex/metrics.h"

struct api__snapshot_waiter {
    struct cx_exchange *x;
    struct api__snapshot_waiter *next;
};

struct api__snapshot_build {
    struct cx_api *api;
    struct cx_job *job;
    char *session;
    char *correlation_id;
    struct api__snapshot_waiter
        *waiters;         /* live in their exchanges, which cannot end before they resume */
    struct cx_pack *pack; /* from here on: the worker's results */
    enum cx_status status;
    struct cx_err err;
};

struct snapshot {
    struct api__snapshot_waiter waiter;
    bool has_since;
    int64_t since_us;
};

static enum cx_step_result snapshot_parse(struct cx_exchange *x);
static enum cx_step_result snapshot_build(struct cx_exchange *x);
static enum cx_step_result snapshot_reply(struct cx_exchange *x);

static const struct cx_step snapshot_steps[] = {
    { "parse", snapshot_parse, false }, /* loop:  the query; a pack that is good is the answer */
    { "build", snapshot_build, false }, /* waits: write lane, shared by all who ask            */
    { "reply", snapshot_reply, true },  /* loop:  the new pack, or the stale one               */
};
API_ENDPOINT(api__snapshot, snapshot_steps, sizeof(struct snapshot));

static bool pack_is_good(const struct cx_api *api, uint64_t now_ns);
static enum cx_step_result reply_pack(struct cx_exchange *x, enum cx_freshness freshness,
                                      uint64_t now_ns);

static enum cx_step_result snapshot_parse(struct cx_exchange *x)
{
    struct cx_api *api = api__of(x);
    struct snapshot *s = cx_exchange_state(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    s->has_since = api__read_time(x, &faults, "since", &s->since_us);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    const uint64_t now_ns = cx_clock_mono_ns();
    if (!pack_is_good(api, now_ns)) {
        return CX_STEP_NEXT;
    }
    const struct cx_pack *pack = api->snapshots.current;
    if (s->has_since && pack->generated_us <= s->since_us) {
        return CX_STEP_NEXT;
    }
    return reply_pack(x, pack->restored ? CX_RESTORED : CX_CACHED, now_ns);
}

static bool pack_is_good(const struct cx_api *api, uint64_t now_ns)
{
    const struct cx_pack *pack = api->snapshots.current;
    return pack != NULL && pack->version == api->snapshots.state_version &&
           now_ns < pack->expires_mono_ns;
}

static enum cx_status start_build(struct cx_api *api, struct cx_exchange *x);
static enum cx_step_result reply_without_build(struct cx_exchange *x, enum cx_status why,
                                               const char *detail);

static enum cx_step_result snapshot_build(struct cx_exchange *x)
{
    struct cx_api *api = api__of(x);
    struct snapshot *s = cx_exchange_state(x);
    if (api->snapshots.build == NULL) {
        const enum cx_status status = start_build(api, x);
        if (status != CX_OK) {
            return reply_without_build(x, status, cx_status_text(status));
        }
    }
    s->waiter = (struct api__snapshot_waiter){ .x = x, .next = api->snapshots.build->waiters };
    api->snapshots.build->waiters = &s->waiter;
    return cx_exchange_wait(x, NULL, NULL);
}

static void snapshot_build_work(void *arg);
static void on_built(void *arg, enum cx_status status);
static void free_build(struct api__snapshot_build *build);

static enum cx_status start_build(struct cx_api *api, struct cx_exchange *x)
{
    struct api__snapshot_build *build = cx_alloc(sizeof *build);
    const char *session = cx_exchange_token_name(x);
    build->api = api;
    build->session = cx_strdup(session != NULL ? session : "");
    build->correlation_id = cx_strdup(cx_exchange_correlation_id(x));
    const enum cx_status status = cx_lane_submit(api->options.write_lane, CX_PRIORITY_HIGH,
                                                 snapshot_build_work, on_built, build, &build->job);
    if (status != CX_OK) {
        free_build(build);
        return status;
    }
    api->snapshots.build = build;
    return CX_OK;
}

static void snapshot_build_work(void *arg)
{
    struct api__snapshot_build *build = arg;
    build->status =
        cx_pack_build(cx_store_writer(build->api->options.store), &build->api->options.pack,
                      cx_str_of(build->session), &build->pack, &build->err);
}

static void publish(struct cx_api *api, struct api__snapshot_build *build);

static void on_built(void *arg, enum cx_status status)
{
    struct api__snapshot_build *build = arg;
    struct cx_api *api = build->api;
    api->snapshots.build = NULL;
    if (status != CX_OK) {
        build->status = status;
    }
    if (build->status == CX_OK) {
        publish(api, build);
    }
    for (struct api__snapshot_waiter *w = build->waiters, *next = NULL; w != NULL; w = next) {
        next = w->next;
        cx_exchange_resume(w->x, build->status, &build->err);
    }
    free_build(build);
}

static void publish(struct cx_api *api, struct api__snapshot_build *build)
{
    cx_pack_free(&api->snapshots.current);
    api->snapshots.current = build->pack;
    build->pack = NULL;
    if (api->snapshots.current->version > api->snapshots.state_version) {
        api->snapshots.state_version = api->snapshots.current->version;
    }
    char text[CX_TIME_TEXT_BYTES];
    json_t *payload = json_object();
    json_object_set_new(payload, "generated_at",
                        json_string(cx_time_format(api->snapshots.current->generated_us, text)));
    cx_events_emit(api->options.events, CX_EVENT_SNAPSHOT_GENERATED, payload, NULL,
                   build->correlation_id);
}

static void free_build(struct api__snapshot_build *build)
{
    cx_pack_free(&build->pack);
    free(build->session);
    free(build->correlation_id);
    free(build);
}

static enum cx_step_result snapshot_reply(struct cx_exchange *x)
{
    const char *detail = NULL;
    const enum cx_status outcome = cx_exchange_outcome(x, &detail);
    if (outcome == CX_OK) {
        return reply_pack(x, CX_FRESH, cx_clock_mono_ns());
    }
    return reply_without_build(x, outcome, detail != NULL ? detail : cx_status_text(outcome));
}

static enum cx_step_result reply_without_build(struct cx_exchange *x, enum cx_status why,
                                               const char *detail)
{
    const struct cx_api *api = api__of(x);
    /* A pack that is too large stays too large: the old one would hide it. */
    if (why == CX_TOO_LARGE || why == CX_CANCELLED || api->snapshots.current == NULL) {
        return cx_exchange_fail(x, why, "%s", detail);
    }
    CX_LOG(CX_LOG_WARN, "serving a stale snapshot: building a new one failed",
           CX_S("reason", cx_status_name(why)),
           CX_S("correlation_id", cx_exchange_correlation_id(x)));
    return reply_pack(x, CX_STALE, cx_clock_mono_ns());
}

static const char *max_age(struct api__snapshots *snapshots, uint64_t seconds);

static enum cx_step_result reply_pack(struct cx_exchange *x, enum cx_freshness freshness,
                                      uint64_t now_ns)
{
    struct cx_api *api = api__of(x);
    const struct cx_pack *pack = api->snapshots.current;
    const bool lasts = freshness != CX_STALE && pack->expires_mono_ns > now_ns;
    const uint64_t left_ns = lasts ? pack->expires_mono_ns - now_ns : 0;
    cx_exchange_set_cache_control(x, max_age(&api->snapshots, left_ns / 1000000000U));
    cx_exchange_set_header(x, "Vary", "Authorization");
    if (freshness != CX_STALE) {
        cx_exchange_set_etag(x, pack->etag);
    }
    cx_counter_add(api->snapshots.served[freshness], 1);
    return cx_exchange_reply_bytes(x, 200, "application/json", pack->body[freshness],
                                   pack->gzip[freshness]);
}

/* Written once a second, not once a request. */
static const char *max_age(struct api__snapshots *snapshots, uint64_t seconds)
{
    if (snapshots->cache_control[0] == '\0' || seconds != snapshots->max_age_s) {
        snapshots->max_age_s = seconds;
        (void)snprintf(snapshots->cache_control, sizeof snapshots->cache_control,
                       "private, max-age=%llu", (unsigned long long)seconds);
    }
    return snapshots->cache_control;
}

/* ---- Life, and what the state's endpoints tell us ---- */

enum cx_status api__snapshots_open(struct cx_api *api, struct cx_err *err)
{
    for (int f = 0; f < CX_FRESHNESS_COUNT; f++) {
        char label[48];
        snprintf(label, sizeof label, "freshness=\"%s\"", cx_freshness_name((enum cx_freshness)f));
        api->snapshots.served[f] = cx_metrics_series(CX_M_SNAPSHOTS, label);
    }
    struct cx_db *db = cx_store_writer(api->options.store);
    enum cx_status status = cx_state_version(db, &api->snapshots.state_version, err);
    if (status == CX_OK) {
        status = cx_pack_restore(db, &api->options.pack, &api->snapshots.current, err);
    }
    return status;
}

void api__snapshots_free(struct cx_api *api)
{
    cx_pack_free(&api->snapshots.current);
}

bool api__state_changed(struct cx_api *api, uint64_t version)
{
    if (version != 0 && version <= api->snapshots.state_version) {
        return false;
    }
    const bool was_good = pack_is_good(api, cx_clock_mono_ns());
    if (version != 0) {
        api->snapshots.state_version = version;
    } else if (api->snapshots.current != NULL) {
        api->snapshots.current->expires_mono_ns = 0;
    }
    if (was_good) {
        cx_events_emit(api->options.events, CX_EVENT_STATE_INVALIDATED, NULL, NULL, NULL);
    }
    return true;
}
