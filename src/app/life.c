/* SPDX-License-Identifier: MIT
 *
 * A running daemon's life: ready, reload, drain, end. Loop thread; the reload reads its file on a lane.
 *
 *   STARTING → RUNNING     the vector store is open: READY to systemd, the port file is written
 *   RUNNING  → DRAINING    SIGTERM, SIGINT: readiness fails, listeners close, what is in flight ends
 *   DRAINING → ABORTING    drain_timeout is over: connections are closed, lanes may still finish
 *   any      → STOPPED     nothing is left in flight: the loop stops, app.c ends the rooms
 *
 * A second SIGTERM or SIGINT ends the process at once: with _exit, because exit would join the pool.
 */
#include "app/app_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/cli.h"

#define DRAIN_CHECK_MS 5
#define PULSE_MS 1000

static void on_stop_signal(void *ctx);
static void on_hangup(void *ctx);
static void on_pulse(void *ctx);

enum cx_status app__life_start(struct app *app, struct cx_err *err)
{
    enum cx_status status =
        cx_signal_new(app->loop, SIGTERM, on_stop_signal, app, &app->terminate, err);
    if (status == CX_OK) {
        status = cx_signal_new(app->loop, SIGINT, on_stop_signal, app, &app->interrupt, err);
    }
    if (status == CX_OK) {
        status = cx_signal_new(app->loop, SIGHUP, on_hangup, app, &app->hangup, err);
    }
    sigset_t hangup;
    (void)sigemptyset(&hangup);
    (void)sigaddset(&hangup, SIGHUP);
    (void)sigprocmask(SIG_UNBLOCK, &hangup, NULL); /* app.c has kept it waiting */
    if (status == CX_OK) {
        const uint64_t watchdog_ms = app__notify_watchdog_ms(app->notify);
        const bool often = watchdog_ms > 0 && watchdog_ms / 2 < PULSE_MS;
        cx_timer_new(app->loop, on_pulse, app, &app->pulse);
        cx_timer_start(app->pulse, 0, often ? watchdog_ms / 2 : PULSE_MS);
    }
    return status;
}

static void start_reload(struct app *app);

void app__life_ready(struct app *app)
{
    if (app->phase != APP_STARTING) {
        return;
    }
    app->phase = APP_RUNNING;
    cx_api_set_phase(app->api, CX_API_READY);
    app__notify_send(app->notify, "READY=1\nSTATUS=Serving");
    CX_LOG(CX_LOG_INFO, "ready", CX_S("version", CORTEX_VERSION), CX_I("port", app->port));
    if (app->reload_asked) {
        start_reload(app);
    }
}

/* The watchdog is fed by the loop itself: a loop that stands still is what it is for. After an I/O
 * error of the writing connection nothing more may be acknowledged; who starts us again looks at what
 * is on disk. */
static void on_pulse(void *ctx)
{
    struct app *app = ctx;
    const bool ledger = cx_audit_failed(app->audit);
    if (!cx_store_failed(app->store) && !ledger) {
        app__notify_send(app->notify, "WATCHDOG=1");
    } else if (app->phase < APP_DRAINING) {
        CX_LOG(CX_LOG_ERROR,
               ledger ? "the ledger has failed: ending, to start again from what is on disk"
                      : "the database has failed: ending, to start again from what is on disk");
        app__drain(app, app__exit_code(CX_IO_ERROR));
    }
}

/* ---- Reload ---- */

struct app__reload {
    struct app *app;
    struct cx_job *job;
    struct cx_config *config;
    enum cx_status status;
    struct cx_err err;
};

static void reload_work(void *arg);
static void on_reloaded(void *arg, enum cx_status status);
static void take_over(struct app *app, struct cx_config *fresh);

/* The file may have changed since one that is under way has read it: then another one follows. */
static void on_hangup(void *ctx)
{
    struct app *app = ctx;
    app->reload_asked = true;
    if (app->phase == APP_RUNNING && app->reload == NULL) {
        start_reload(app);
    }
}

static void start_reload(struct app *app)
{
    app->reload_asked = false;
    if (app->phase != APP_RUNNING) {
        return;
    }
    struct app__reload *reload = cx_alloc(sizeof *reload);
    reload->app = app;
    if (cx_lane_submit(app->read_lane, CX_PRIORITY_HIGH, reload_work, on_reloaded, reload,
                       &reload->job) != CX_OK) {
        CX_LOG(CX_LOG_ERROR, "configuration not reread: the read lane is full");
        free(reload);
        return;
    }
    app->reload = reload;
    app__notify_reloading(app->notify);
}

static void reload_work(void *arg)
{
    struct app__reload *reload = arg;
    reload->status = app__config_load(reload->app->cli, environ, reload->app->config,
                                      &reload->config, &reload->err);
}

static void on_reloaded(void *arg, enum cx_status status)
{
    struct app__reload *reload = arg;
    struct app *app = reload->app;
    app->reload = NULL;
    if (status != CX_OK) {
        reload->status = status;
    }
    if (app->phase == APP_RUNNING) {
        if (reload->status == CX_OK) {
            take_over(app, reload->config);
        } else {
            CX_LOG(CX_LOG_ERROR, "configuration not reread: the old one stays in force",
                   CX_S("error", reload->err.text));
        }
        app__notify_send(app->notify, "READY=1\nSTATUS=Serving");
    }
    app__config_free(&reload->config);
    free(reload);
    if (app->reload_asked) {
        start_reload(app);
    }
}

static void on_change(void *ctx, const char *key, bool reloadable)
{
    (void)ctx;
    if (reloadable) {
        CX_LOG(CX_LOG_INFO, "configuration changed", CX_S("key", key));
    } else {
        CX_LOG(CX_LOG_WARN, "configuration changed, but needs a restart", CX_S("key", key));
    }
}

static void take_over(struct app *app, struct cx_config *fresh)
{
    for (size_t i = 0; i < fresh->warning_count; i++) {
        CX_LOG(CX_LOG_WARN, fresh->warnings[i]);
    }
    app__config_compare(app->config, fresh, on_change, NULL);
    app__config_adopt(app->config, fresh);
    struct cx_tokens *tokens = NULL;
    app__config_tokens(app->config, &tokens);
    cx_http_set_tokens(app->http, tokens);
    const struct cx_http_rate rate = app__rate(app->config);
    cx_http_set_rate(app->http, &rate);
    cx_log_set_level((enum cx_log_level)app->config->log_level);
    CX_LOG(CX_LOG_INFO, "configuration reread");
}

/* ---- Drain ---- */

static void on_drained(void *ctx);
static void on_drain_check(void *ctx);
static void on_drain_limit(void *ctx);

static void on_stop_signal(void *ctx)
{
    struct app *app = ctx;
    if (app->phase >= APP_DRAINING) {
        CX_LOG(CX_LOG_WARN, "second signal: ending at once");
        cx_log_stop();
        _exit(128 + SIGTERM);
    }
    CX_LOG(CX_LOG_INFO, "draining", CX_I("connections", cx_http_connections(app->http)),
           CX_I("exchanges", cx_http_exchanges(app->http)));
    app__drain(app, 0);
}

void app__drain(struct app *app, int exit_code)
{
    if (app->phase >= APP_DRAINING) {
        return;
    }
    app->phase = APP_DRAINING;
    app->exit_code = exit_code;
    if (app->loop == NULL) {
        return; /* the start failed early: there is nothing to wait for */
    }
    app__notify_send(app->notify, "STOPPING=1\nSTATUS=Draining");
    if (app->api != NULL) {
        cx_api_set_phase(app->api, CX_API_DRAINING);
        cx_api_stop(app->api);
        app__stop_inspect(app);
    }
    cx_timer_new(app->loop, on_drain_check, app, &app->drain_check);
    cx_timer_new(app->loop, on_drain_limit, app, &app->drain_limit);
    cx_timer_start(app->drain_limit, app->config->server_drain_timeout_ms, 0);
    if (app->http != NULL) {
        cx_http_drain(app->http, on_drained, app);
    } else {
        on_drained(app);
    }
}

/* No connection is left; lanes and detached exchanges may still have something in hand. */
static void on_drained(void *ctx)
{
    struct app *app = ctx;
    cx_timer_start(app->drain_check, 0, DRAIN_CHECK_MS);
}

static bool nothing_in_flight(const struct app *app)
{
    const struct cx_lane *const lanes[] = { app->write_lane, app->read_lane, app->cpu_lane,
                                            app->inspect_lane, app->ledger_lane };
    for (size_t i = 0; i < CX_ARRAY_LEN(lanes); i++) {
        if (lanes[i] != NULL && cx_lane_running(lanes[i]) + cx_lane_waiting(lanes[i]) > 0) {
            return false;
        }
    }
    if (app->http != NULL && cx_http_connections(app->http) + cx_http_exchanges(app->http) > 0) {
        return false;
    }
    return (app->fetch == NULL || cx_fetch_active(app->fetch) == 0) &&
           (app->chroma == NULL || cx_chroma_active(app->chroma) == 0) &&
           (app->embedder == NULL || cx_embedder_idle(app->embedder)) &&
           (app->api == NULL || cx_api_idle(app->api)) && app->reload == NULL;
}

static void on_drain_check(void *ctx)
{
    struct app *app = ctx;
    if (nothing_in_flight(app)) {
        app->phase = APP_STOPPED;
        cx_timer_stop(app->drain_check);
        cx_timer_stop(app->drain_limit);
        cx_loop_stop(app->loop);
    }
}

static void on_drain_limit(void *ctx)
{
    struct app *app = ctx;
    if (app->phase == APP_DRAINING) {
        CX_LOG(CX_LOG_WARN, "drain_timeout is over: closing what is left",
               CX_I("connections", app->http != NULL ? cx_http_connections(app->http) : 0),
               CX_I("exchanges", app->http != NULL ? cx_http_exchanges(app->http) : 0));
        app->phase = APP_ABORTING;
        cx_timer_start(app->drain_limit, app->config->server_abort_timeout_ms, 0);
        if (app->http != NULL) {
            cx_http_abort(app->http);
        }
        return;
    }
    CX_LOG(CX_LOG_ERROR, "work does not end: leaving it");
    cx_log_stop();
    _exit(70);
}

void app__life_end(struct app *app)
{
    cx_signal_free(&app->terminate);
    cx_signal_free(&app->interrupt);
    cx_signal_free(&app->hangup);
    cx_timer_free(&app->pulse);
    cx_timer_free(&app->drain_check);
    cx_timer_free(&app->drain_limit);
}
