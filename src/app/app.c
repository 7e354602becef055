/* SPDX-License-Identifier: MIT
 *
 * The composition root: makes the rooms in order, lets them run, ends them in reverse. Main
 * thread, which becomes the loop thread; before the loop runs and after it has stopped, blocking
 * is allowed.
 *
 * Order of making: log, data directory and its lock, keys and tokens, loop and lanes, store,
 * ledger, events, fetch, embedder, api, http and its listeners, then (on a lane, while /healthz already
 * answers) the vector store.
 */
#include "app/app_internal.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "cortex/app.h"
#include "cortex/metrics.h"
#include "cortex/state.h"
#include "app/cli.h"
#include "app/ledger.h"
#include "app/lock.h"
#include "app/port_file.h"
#include "app/tokens.h"

#define USER_AGENT "cortex/" CORTEX_VERSION
#define LARGE_ALLOCATION_BYTES (256 * 1024)

static int run(const struct app__cli *cli, struct cx_config *config);

int cx_app_main(int argc, char **argv)
{
    struct app__cli cli;
    struct cx_config *config = NULL;
    struct cx_err err = { "" };
    enum cx_status status = app__cli_parse(argc, argv, &cli, &err);
    if (status == CX_OK && !app__cli_runs(&cli)) {
        return app__cli_answer(&cli, environ);
    }
    if (status == CX_OK) {
        status = app__config_load(&cli, environ, NULL, &config, &err);
    }
    if (status != CX_OK) {
        fprintf(stderr, "cortexd: %s\n", err.text);
        return app__exit_code(status);
    }
    const int exit_code = run(&cli, config);
    app__config_free(&config);
    return exit_code;
}

static void prepare_process(void);
static enum cx_status make_rooms(struct app *app, struct cx_err *err);
static void end_rooms(struct app *app);

static int run(const struct app__cli *cli, struct cx_config *config)
{
    struct app app = { .cli = cli, .config = config };
    prepare_process();
    cx_log_start((enum cx_log_level)config->log_level, (enum cx_log_format)config->log_format);
    CX_LOG(CX_LOG_INFO, "starting", CX_S("version", CORTEX_VERSION), CX_I("pid", getpid()),
           CX_S("data_dir", config->data_dir));
    struct app__lock *lock = NULL;
    struct cx_err err = { "" };
    for (size_t i = 0; i < config->warning_count; i++) {
        CX_LOG(CX_LOG_WARN, config->warnings[i]);
    }
    enum cx_status status = app__prepare_data_dir(config->data_dir, &err);
    if (status == CX_OK) {
        status = app__lock_take(config->data_dir, &lock, &err);
        if (status == CX_CONFLICT && cli->action == APP__ACTION_REEMBED) {
            status = cx_err_set(&err, status,
                                "%s: ask that daemon, by POST /vector/collections/NAME/reembed",
                                err.text);
        }
    }
    if (status == CX_OK && cli->port_file != NULL) {
        (void)unlink(cli->port_file); /* what an earlier daemon has left says nothing of this one */
    }
    if (status == CX_OK) {
        status = app__first_start(config, &err);
    }
    if (status == CX_OK) {
        status = make_rooms(&app, &err);
    }
    if (status != CX_OK) {
        CX_LOG(CX_LOG_ERROR, "cannot start", CX_S("error", err.text));
        app__drain(&app, app__exit_code(status));
    }
    if (app.loop != NULL) {
        cx_loop_run(app.loop);
    }
    if (cli->action == APP__ACTION_REEMBED && !app.reembedded && app.exit_code == 0) {
        app.exit_code =
            app__exit_code(CX_OVERLOADED); /* interrupted: the next run goes on with it */
    }
    end_rooms(&app);
    app__lock_release(&lock);
    CX_LOG(CX_LOG_INFO, "stopped", CX_I("exit_code", app.exit_code));
    cx_log_stop();
    return app.exit_code;
}

static void prepare_process(void)
{
    umask(077);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    /* A fixed threshold: large bodies are mapped by themselves and given back when they are freed,
     * where glibc would otherwise learn to keep them. */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_ALLOCATION_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, 2 * LARGE_ALLOCATION_BYTES);
    /* Small pieces freed one by one are joined at once: else a larger one, some time later, joins tens of
     * thousands of them while the loop waits 10 ms. */
    (void)mallopt(M_MXFAST, 0);
    json_object_seed(0); /* before there are threads: the seed is jansson's one global */
    /* A reload that is asked for before there is someone to hear of it waits, rather than ending
     * us. */
    sigset_t hangup;
    (void)sigemptyset(&hangup);
    (void)sigaddset(&hangup, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &hangup, NULL);
}

/* ---- Making ---- */

static enum cx_status make_loop(struct app *app, struct cx_err *err);
static enum cx_status make_store(struct app *app, struct cx_err *err);
static enum cx_status make_audit(struct app *app, struct cx_err *err);
static enum cx_status make_api(struct app *app, struct cx_err *err);
static enum cx_status make_http(struct app *app, struct cx_err *err);
static enum cx_status open_vector(struct app *app, struct cx_err *err);

static enum cx_status make_rooms(struct app *app, struct cx_err *err)
{
    static enum cx_status (*const makers[])(struct app *, struct cx_err *) = {
        make_loop,         make_store, make_audit, app__make_embedder, app__make_chroma,
        app__make_inspect, make_api,   make_http,  app__life_start,    open_vector,
    };
    enum cx_status status = app__notify_new(environ, &app->notify, err);
    for (size_t i = 0; i < CX_ARRAY_LEN(makers) && status == CX_OK; i++) {
        status = makers[i](app, err);
    }
    return status;
}

unsigned app__cpu_threads(const struct cx_config *config)
{
    if (config->lanes_cpu_threads > 0) {
        return config->lanes_cpu_threads;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : (unsigned)online;
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

enum cx_status app__open_store(const struct cx_config *config, struct cx_store **out,
                               struct cx_err *err)
{
    const struct {
        const struct cx_migration *rows;
        size_t count;
    } rooms[] = { { cx_state_migrations, cx_state_migration_count },
                  { cx_vector_migrations, cx_vector_migration_count },
                  { cx_embed_migrations, cx_embed_migration_count },
                  { cx_audit_migrations, cx_audit_migration_count } };
    struct cx_migration *migrations = NULL;
    size_t count = 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(rooms); i++) {
        migrations = cx_realloc_array(migrations, count + rooms[i].count, sizeof *migrations);
        memcpy(migrations + count, rooms[i].rows, rooms[i].count * sizeof *migrations);
        count += rooms[i].count;
    }
    /* Searches read on the cpu lane, the ledger on its own: with a connection for each thread of the
     * three nobody waits for one. */
    const struct cx_store_options options = {
        .path = config->data_database,
        .readers = config->lanes_read_threads + app__cpu_threads(config) + 1,
        .migrations = migrations,
        .migration_count = count,
    };
    const enum cx_status status = cx_store_open(&options, out, err);
    free(migrations);
    return status;
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

static bool has_vector_store(const struct app *app)
{
    return app->config->vector_backend != APP__BACKEND_NONE;
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
        .vector_backend = app->chroma != NULL     ? "chroma"
                          : has_vector_store(app) ? "local"
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
static enum cx_status listen_all(struct app *app, struct cx_err *err);

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
        status = listen_all(app, err);
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

static enum cx_status listen_handed_over(struct app *app, int fd, struct cx_err *err);

static enum cx_status listen_all(struct app *app, struct cx_err *err)
{
    if (app->cli->action == APP__ACTION_REEMBED) {
        return CX_OK;
    }
    unsigned handed_over = 0;
    enum cx_status status = app__listen_fds(environ, &handed_over, err);
    for (unsigned i = 0; i < handed_over && status == CX_OK; i++) {
        status = listen_handed_over(app, APP__LISTEN_FDS_START + (int)i, err);
    }
    if (handed_over > 0 || status != CX_OK) {
        return status;
    }
    size_t bound = 0;
    for (const char *const *a = app->config->http_listen; *a != NULL; a++) {
        int port = 0;
        struct cx_err why = { "" };
        status = cx_http_listen(app->http, *a, &port, &why);
        if (status != CX_OK) {
            /* A machine without IPv6 must not keep the default pair of loopback addresses from
             * serving. */
            if (app->config->origins[APP__KEY_http_listen].kind != APP__FROM_DEFAULT ||
                bound == 0) {
                return cx_err_set(err, status, "%s: %s", *a, why.text);
            }
            CX_LOG(CX_LOG_WARN, "not listening", CX_S("address", *a), CX_S("error", why.text));
            status = CX_OK;
            continue;
        }
        CX_LOG(CX_LOG_INFO, "listening", CX_S("address", *a), CX_I("port", port));
        app->port = bound++ == 0 ? port : app->port;
    }
    return status;
}

static enum cx_status listen_handed_over(struct app *app, int fd, struct cx_err *err)
{
    char address[APP__SOCKET_TEXT_BYTES];
    if (!app__socket_is_local(fd, address)) {
        const enum cx_status allowed = app__config_allows_remote(app->config, address, err);
        if (allowed != CX_OK) {
            return allowed;
        }
    }
    CX_LOG(CX_LOG_INFO, "listening", CX_S("socket", address));
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;
    if (app->port == 0 && colon != NULL && cx_parse_u64(cx_str_of(colon + 1), &port)) {
        app->port = (int)port;
    }
    return cx_http_listen_fd(app->http, fd, err);
}

/* ---- The vector store, read on a lane ---- */

struct opening {
    struct app *app;
    struct cx_job *job;
    struct cx_embedder_info info;
    enum cx_status status;
    struct cx_err err;
};

static void open_work(void *arg);
static void on_opened(void *arg, enum cx_status status);
static void reembed(struct app *app);
static void on_reembedded(void *ctx, enum cx_status status, const struct cx_err *err);
static void port_file_work(void *arg);
static void on_port_file(void *arg, enum cx_status status);
static void cannot_start(struct app *app, enum cx_status status, const struct cx_err *err);

static enum cx_status open_vector(struct app *app, struct cx_err *err)
{
    struct opening *o = cx_alloc(sizeof *o);
    o->app = app;
    if (app->embedder != NULL) {
        cx_embedder_info(app->embedder, &o->info);
    }
    const enum cx_status status =
        cx_lane_submit(app->write_lane, CX_PRIORITY_HIGH, open_work, on_opened, o, &o->job);
    if (status != CX_OK) {
        free(o);
        return cx_err_set(err, status, "the write lane takes nothing");
    }
    return CX_OK;
}

static void open_work(void *arg)
{
    struct opening *o = arg;
    struct app *app = o->app;
    if (has_vector_store(app) && app->chroma == NULL) {
        const struct cx_vector_options options = {
            .provider = o->info.provider,
            .model = o->info.model,
            .fingerprint = o->info.fingerprint,
            .dimension = o->info.dimension,
            .index_bytes_max = app->config->vector_index_bytes,
            .collections_max = app->config->vector_collections,
            .graph_above = app->config->vector_graph_above,
            .graph_breadth = app->config->vector_graph_breadth,
            .on_gone = cx_embed_note_gone,
        };
        o->status =
            cx_vector_store_open(cx_store_writer(app->store), &options, &app->vector, &o->err);
    }
    for (bool more = true; o->status == CX_OK && more;) {
        o->status = cx_audit_index(app->audit, &more, &o->err);
    }
}

static void on_opened(void *arg, enum cx_status status)
{
    struct opening *o = arg;
    struct app *app = o->app;
    const enum cx_status ended = status == CX_OK ? o->status : status;
    if (ended != CX_OK) {
        cannot_start(app, ended, &o->err);
        free(o);
        return;
    }
    cx_api_set_vector(app->api, app->vector);
    app__life_ready(app);
    if (app->cli->action == APP__ACTION_REEMBED) {
        reembed(app);
    }
    /* Only now: who reads the port from the file may count on being served. */
    if (app->cli->port_file == NULL ||
        cx_lane_submit(app->read_lane, CX_PRIORITY_HIGH, port_file_work, on_port_file, o,
                       &o->job) != CX_OK) {
        free(o);
    }
}

static void reembed(struct app *app)
{
    if (app->vector == NULL) {
        const struct cx_err err = { "there is no local vector store to embed anew" };
        on_reembedded(app, CX_INVALID, &err);
        return;
    }
    cx_api_reembed(app->api, app->cli->collection, on_reembedded, app);
}

static void on_reembedded(void *ctx, enum cx_status status, const struct cx_err *err)
{
    struct app *app = ctx;
    if (status != CX_OK && status != CX_CANCELLED) {
        CX_LOG(CX_LOG_ERROR, "cannot embed anew", CX_S("error", err->text));
    }
    app->reembedded = status == CX_OK;
    app__drain(app, app__exit_code(status));
}

static void port_file_work(void *arg)
{
    struct opening *o = arg;
    o->status = app__port_file_write(o->app->cli->port_file, o->app->port, &o->err);
}

static void on_port_file(void *arg, enum cx_status status)
{
    struct opening *o = arg;
    if (status == CX_OK && o->status != CX_OK) {
        cannot_start(o->app, o->status, &o->err);
    }
    free(o);
}

static void cannot_start(struct app *app, enum cx_status status, const struct cx_err *err)
{
    if (status != CX_CANCELLED) {
        CX_LOG(CX_LOG_ERROR, "cannot start", CX_S("error", err->text));
        app__drain(app, app__exit_code(status));
    }
}

/* ---- Ending ---- */

static void end_rooms(struct app *app)
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
