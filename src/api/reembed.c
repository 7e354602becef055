/* SPDX-License-Identifier: MIT
 *
 * POST /vector/collections/{name}/reembed: embeds a collection of another model anew by the configured
 * one. Here it is only asked for: sweep.c makes room, pending.c embeds and switches. And the same for all
 * collections at once, for who has started the daemon for that alone. Loop thread.
 */
#include "api/api_internal.h"

#include <stdlib.h>

struct wish {
    struct cx_api *api;
    struct cx_vector *v;
};

static enum cx_step_result reembed_ask(struct cx_exchange *x);
static enum cx_step_result reembed_reply(struct cx_exchange *x);

static const struct cx_step reembed_steps[] = {
    { "ask", reembed_ask, false },     /* waits: write lane */
    { "reply", reembed_reply, false }, /* loop              */
};
API_ENDPOINT(api__collection_reembed, reembed_steps, sizeof(struct wish));

static enum cx_status ask_work(void *arg, struct cx_err *err);

static void release_wish(void *arg)
{
    struct wish *w = arg;
    api__sweep_wake(w->api); /* where the client has left before its answer, too */
    api__collection_release(w->api, &w->v);
}

static enum cx_step_result reembed_ask(struct cx_exchange *x)
{
    enum cx_step_result there = api__need_vector(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct wish *w = cx_exchange_state(x);
    w->api = api__of(x);
    cx_exchange_defer(x, release_wish, w);
    there = api__collection_find(x, cx_str_of(cx_exchange_param(x, "name")), &w->v);
    return there != CX_STEP_NEXT
               ? there
               : cx_exchange_work(x, w->api->options.write_lane, CX_PRIORITY_NORMAL, ask_work, w);
}

static enum cx_status ask_work(void *arg, struct cx_err *err)
{
    struct wish *w = arg;
    return cx_vector_reembed(w->v, cx_store_writer(w->api->options.store), err);
}

static enum cx_step_result reembed_reply(struct cx_exchange *x)
{
    struct wish *w = cx_exchange_state(x);
    struct cx_vector_figures figures;
    cx_vector_figures(w->v, &figures);
    json_t *body = json_object();
    json_object_set_new(body, "collection", json_string(cx_vector_name(w->v)));
    json_object_set_new(body, "status", json_string(cx_vector_status_name(figures.status)));
    json_object_set_new(body, "documents", json_integer((json_int_t)figures.documents));
    return cx_exchange_reply_json(x, figures.status == CX_VECTOR_READY ? 200 : 202, body);
}

void api__reembed_told(struct cx_api *api, const struct cx_vector *v)
{
    struct cx_vector_figures figures;
    cx_vector_figures(v, &figures);
    CX_LOG(figures.pending == 0 ? CX_LOG_INFO : CX_LOG_WARN, "collection embedded anew",
           CX_S("collection", cx_vector_name(v)), CX_S("provider", figures.provider),
           CX_S("model", figures.model), CX_I("documents", figures.documents),
           CX_I("without_vector", figures.pending));
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_string(cx_vector_name(v)));
    json_object_set_new(payload, "reembedded",
                        json_integer((json_int_t)(figures.documents - figures.pending)));
    json_object_set_new(payload, "pending", json_integer((json_int_t)figures.pending));
    json_object_set_new(payload, "provider", json_string(figures.provider));
    json_object_set_new(payload, "model", json_string(figures.model));
    cx_events_emit(api->options.events, CX_EVENT_VECTOR_INDEXED, payload, NULL, NULL);
    api->health.rendered_ms = 0;
    api__reembed_look(api);
}

/* ---- All of them ---- */

struct api__reembed_all {
    struct cx_api *api;
    char *name; /* of the one that is meant; NULL = all */
    void (*on_done)(void *ctx, enum cx_status status, const struct cx_err *err);
    void *ctx;
    bool asked; /* the collections know of it */
    enum cx_status status;
    struct cx_err err;
};

static void ask_all_work(void *arg);
static void on_asked(void *arg, enum cx_status status);
static void end_all(struct cx_api *api, enum cx_status status, const struct cx_err *err);

void cx_api_reembed(struct cx_api *api, const char *name,
                    void (*on_done)(void *ctx, enum cx_status status, const struct cx_err *err),
                    void *ctx)
{
    CX_CHECK(api->vector != NULL && api->reembed_all == NULL);
    struct api__reembed_all *all = cx_alloc(sizeof *all);
    *all = (struct api__reembed_all){ .api = api, .on_done = on_done, .ctx = ctx };
    all->name = name != NULL ? cx_strdup(name) : NULL;
    api->reembed_all = all;
    struct cx_job *job = NULL;
    CX_CHECK(cx_lane_submit(api->options.write_lane, CX_PRIORITY_NORMAL, ask_all_work, on_asked,
                            all, &job) == CX_OK);
}

static enum cx_status ask_one(struct api__reembed_all *all, struct cx_vector *v)
{
    struct cx_vector_figures figures;
    cx_vector_figures(v, &figures);
    if (all->name == NULL && figures.status == CX_VECTOR_READY) {
        return CX_OK; /* clients' own among them */
    }
    return cx_vector_reembed(v, cx_store_writer(all->api->options.store), &all->err);
}

static void ask_all_work(void *arg)
{
    struct api__reembed_all *all = arg;
    struct cx_vector *v = NULL;
    if (all->name != NULL) {
        all->status = cx_vector_find(all->api->vector, cx_str_of(all->name), &v, &all->err);
        if (all->status == CX_OK) {
            all->status = ask_one(all, v);
        }
        (void)cx_vector_release(&v); /* nobody deletes here */
        return;
    }
    char *after = cx_strdup("");
    while (all->status == CX_OK && cx_vector_next(all->api->vector, after, &v)) {
        free(after);
        after = cx_strdup(cx_vector_name(v));
        all->status = ask_one(all, v);
        (void)cx_vector_release(&v);
    }
    free(after);
}

static void on_asked(void *arg, enum cx_status status)
{
    struct api__reembed_all *all = arg;
    if (status != CX_OK || all->status != CX_OK) {
        end_all(all->api, status != CX_OK ? status : all->status, &all->err);
        return;
    }
    all->asked = true;
    api__sweep_wake(all->api);
    api__reembed_look(all->api);
}

void api__reembed_look(struct cx_api *api)
{
    struct api__reembed_all *all = api->reembed_all;
    if (all == NULL || !all->asked) {
        return;
    }
    struct cx_vector *v = NULL;
    char *after = cx_strdup("");
    bool done = true;
    while (done && cx_vector_next(api->vector, after, &v)) {
        struct cx_vector_figures figures;
        cx_vector_figures(v, &figures);
        done = figures.status == CX_VECTOR_READY || figures.status == CX_VECTOR_OTHER_MODEL;
        free(after);
        after = cx_strdup(cx_vector_name(v));
        api__collection_release(api, &v);
    }
    free(after);
    if (done) {
        end_all(api, CX_OK, NULL);
    }
}

static void end_all(struct cx_api *api, enum cx_status status, const struct cx_err *err)
{
    struct api__reembed_all *all = api->reembed_all;
    api->reembed_all = NULL;
    all->on_done(all->ctx, status, err);
    free(all->name);
    free(all);
}

void api__reembed_give_up(struct cx_api *api, enum cx_status status, const struct cx_err *err)
{
    if (api->reembed_all != NULL) {
        end_all(api, status, err);
    }
}

void api__reembed_free(struct cx_api *api)
{
    if (api->reembed_all != NULL) {
        free(api->reembed_all->name);
        free(api->reembed_all);
        api->reembed_all = NULL;
    }
}
