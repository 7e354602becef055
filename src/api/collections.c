/* SPDX-License-Identifier: MIT
 *
 * The collections: which there are, deleting one with all that is in it, figures. They are made by
 * putting documents into them (ingest.c).
 */
#include "api/api_internal.h"

#include <stdio.h>

static enum cx_step_result list_reply(struct cx_exchange *x);
static enum cx_step_result delete_remove(struct cx_exchange *x);
static enum cx_step_result delete_reply(struct cx_exchange *x);
static enum cx_step_result stats_reply(struct cx_exchange *x);

struct deletion {
    struct cx_exchange *x;
    struct cx_api *api;
    struct cx_vector *v;
    bool gone; /* it is deleted, and that is not told yet */
    size_t documents;
};

static const struct cx_step list_steps[] = { { "reply", list_reply, false } };
static const struct cx_step delete_steps[] = {
    { "remove", delete_remove, false }, /* waits: write lane */
    { "reply", delete_reply, false },   /* loop              */
};
static const struct cx_step stats_steps[] = { { "reply", stats_reply, false } };

API_ENDPOINT(api__collections_list, list_steps, 0);
API_ENDPOINT(api__collection_delete, delete_steps, sizeof(struct deletion));
API_ENDPOINT(api__vector_stats, stats_steps, 0);

/* ---- GET /vector/collections ---- */

static void put_figures(json_t *object, const struct cx_vector *v);

static enum cx_step_result list_reply(struct cx_exchange *x)
{
    const enum cx_step_result there = api__need_vector(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct cx_api *api = api__of(x);
    json_t *list = json_array();
    struct cx_vector *v = NULL;
    char after[CX_COLLECTION_NAME_MAX + 1] = "";
    while (cx_vector_next(api->vector, after, &v)) {
        json_t *one = json_object();
        json_object_set_new(one, "name", json_string(cx_vector_name(v)));
        put_figures(one, v);
        json_array_append_new(list, one);
        (void)snprintf(after, sizeof after, "%s", cx_vector_name(v));
        api__collection_release(api, &v);
    }
    json_t *body = json_object();
    json_object_set_new(body, "collections", list);
    return cx_exchange_reply_json(x, 200, body);
}

static void put_figures(json_t *object, const struct cx_vector *v)
{
    struct cx_vector_figures figures;
    cx_vector_figures(v, &figures);
    json_object_set_new(object, "status", json_string(cx_vector_status_name(figures.status)));
    json_object_set_new(object, "documents", json_integer((json_int_t)figures.documents));
    json_object_set_new(object, "pending", json_integer((json_int_t)figures.pending));
    json_object_set_new(object, "dimension", json_integer((json_int_t)figures.dimension));
    json_object_set_new(object, "index_bytes", json_integer((json_int_t)figures.index_bytes));
    json_object_set_new(object, "provider", json_string(figures.provider));
    json_object_set_new(object, "model", json_string(figures.model));
}

/* ---- DELETE /vector/collections/{name} ---- */

static void tell_deleted(struct deletion *d);
static enum cx_status delete_work(void *arg, struct cx_err *err);

static void release_deletion(void *arg)
{
    struct deletion *d = arg;
    tell_deleted(d); /* where the client has left before its answer */
    api__collection_release(d->api, &d->v);
}

static enum cx_step_result delete_remove(struct cx_exchange *x)
{
    enum cx_step_result there = api__need_vector(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct deletion *d = cx_exchange_state(x);
    d->x = x;
    d->api = api__of(x);
    cx_exchange_defer(x, release_deletion, d);
    there = api__collection_find(x, cx_str_of(cx_exchange_param(x, "name")), &d->v);
    return there != CX_STEP_NEXT ? there
                                 : cx_exchange_work(x, d->api->options.write_lane,
                                                    CX_PRIORITY_NORMAL, delete_work, d);
}

static enum cx_status delete_work(void *arg, struct cx_err *err)
{
    struct deletion *d = arg;
    const enum cx_status status =
        cx_vector_drop(d->v, cx_store_writer(d->api->options.store), &d->documents, err);
    d->gone = status == CX_OK;
    return status;
}

static enum cx_step_result delete_reply(struct cx_exchange *x)
{
    struct deletion *d = cx_exchange_state(x);
    json_t *body = json_object();
    json_object_set_new(body, "deleted", json_integer((json_int_t)d->documents));
    tell_deleted(d);
    return cx_exchange_reply_json(x, 200, body);
}

static void tell_deleted(struct deletion *d)
{
    if (!d->gone) {
        return;
    }
    d->gone = false;
    api__purge_changed(d->api);
    CX_LOG(CX_LOG_INFO, "collection deleted", CX_S("collection", cx_vector_name(d->v)),
           CX_I("documents", d->documents));
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_string(cx_vector_name(d->v)));
    json_object_set_new(payload, "deleted", json_integer((json_int_t)d->documents));
    json_object_set_new(payload, "whole", json_true());
    cx_events_emit(d->api->options.events, CX_EVENT_VECTOR_DELETED, payload, NULL,
                   cx_exchange_correlation_id(d->x));
}

/* ---- GET /vector/stats ---- */

static enum cx_step_result stats_reply(struct cx_exchange *x)
{
    enum cx_step_result there = api__need_vector(x);
    struct cx_vector *v = NULL;
    if (there == CX_STEP_NEXT) {
        there = api__collection_find(x, api__collection_query(x), &v);
    }
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct cx_api *api = api__of(x);
    struct cx_vector_store_figures all;
    cx_vector_store_figures(api->vector, &all);
    json_t *body = json_object();
    json_object_set_new(body, "backend", json_string(api->options.vector_backend));
    json_object_set_new(body, "collection", json_string(cx_vector_name(v)));
    put_figures(body, v);
    json_object_set_new(body, "kernel", json_string(cx_vector_kernel_name()));
    json_object_set_new(body, "store",
                        json_pack("{sIsIsIsI}", "collections", (json_int_t)all.collections,
                                  "documents", (json_int_t)all.documents, "pending",
                                  (json_int_t)all.pending, "index_bytes",
                                  (json_int_t)all.index_bytes));
    api__collection_release(api, &v);
    return cx_exchange_reply_json(x, 200, body);
}
