/* SPDX-License-Identifier: MIT
 *
 * The last step of a start: the vector store and the ledger's index are read on the write lane while
 * /healthz already answers. Then the daemon is ready, tells its port, and embeds anew where that is all
 * it was started for. The bodies that end in _work run on a worker, all else on the loop.
 */
#include "app/app_internal.h"

#include <stdlib.h>

#include "app/cli.h"
#include "app/port_file.h"

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

enum cx_status app__open_vector(struct app *app, struct cx_err *err)
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
    if (app__has_vector_store(app) && app->chroma == NULL) {
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
