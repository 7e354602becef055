/* SPDX-License-Identifier: MIT
 *
 * The collections that a Chroma server keeps for this daemon, and those that share them with it: the list
 * with how many documents each has, one's figures, deleting one.
 */
#include "api/chroma_ask.h"

struct lookup {
    struct cx_api *api;
    struct cx_exchange *x;
    struct cx_str collection;
    struct api__ask ask;
    json_t *list;
    size_t offset;  /* how many of the server's collections were looked at … */
    size_t counted; /* … and of how many of ours the documents are counted */
    size_t documents;
    bool gone; /* deleted, and not told yet */
};

static enum cx_step_result list_begin(struct cx_exchange *x);
static enum cx_step_result list_ask(struct cx_exchange *x);
static enum cx_step_result list_more(struct cx_exchange *x);
static enum cx_step_result count_ask(struct cx_exchange *x);
static enum cx_step_result list_reply(struct cx_exchange *x);
static enum cx_step_result stats_begin(struct cx_exchange *x);
static enum cx_step_result stats_reply(struct cx_exchange *x);
static enum cx_step_result drop_begin(struct cx_exchange *x);
static enum cx_step_result one_count(struct cx_exchange *x);
static enum cx_step_result drop_ask(struct cx_exchange *x);
static enum cx_step_result drop_reply(struct cx_exchange *x);

static const struct cx_step list_steps[] = {
    { "begin", list_begin, false }, /* loop                                 */
    { "ask", list_ask, false },     /* waits: Chroma: a slice of the list   */
    { "more", list_more, false },   /* loop, or the next slice              */
    { "count", count_ask, false },  /* waits: Chroma: one after the other   */
    { "reply", list_reply, false }, /* loop, or the next count              */
};
static const struct cx_step stats_steps[] = {
    { "begin", stats_begin, false }, /* loop          */
    { "count", one_count, false },   /* waits: Chroma */
    { "reply", stats_reply, false }, /* loop          */
};
static const struct cx_step drop_steps[] = {
    { "begin", drop_begin, false }, /* loop          */
    { "count", one_count, false },  /* waits: Chroma */
    { "drop", drop_ask, false },    /* waits: Chroma */
    { "reply", drop_reply, false }, /* loop          */
};
API_ENDPOINT(api__chroma_collections, list_steps, sizeof(struct lookup));
API_ENDPOINT(api__chroma_stats, stats_steps, sizeof(struct lookup));
API_ENDPOINT(api__chroma_drop, drop_steps, sizeof(struct lookup));

static void tell_dropped(struct lookup *l);

static void release_lookup(void *arg)
{
    struct lookup *l = arg;
    tell_dropped(l); /* where the client has left before its answer */
    cx_chroma_op_end(&l->ask.op);
    json_decref(l->list);
}

static struct lookup *begin(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    l->x = x;
    l->api = api__of(x);
    cx_exchange_defer(x, release_lookup, l);
    return l;
}

/* ---- GET /vector/collections ---- */

static enum cx_step_result list_begin(struct cx_exchange *x)
{
    begin(x)->list = json_array();
    return CX_STEP_NEXT;
}

static enum cx_step_result list_ask(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    l->ask = (struct api__ask){
        .op = { .verb = CX_CHROMA_LIST, .limit = API_CHROMA_SLICE, .offset = l->offset }
    };
    return api__chroma_ask(x, &l->ask);
}

static enum cx_step_result list_more(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    json_array_extend(l->list, l->ask.op.answer);
    cx_chroma_op_end(&l->ask.op);
    l->offset += l->ask.op.count;
    if (l->ask.op.count == API_CHROMA_SLICE) {
        cx_exchange_go_to(x, list_ask);
    }
    return CX_STEP_NEXT;
}

static enum cx_step_result count_ask(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    const json_t *one = json_array_get(l->list, l->counted);
    if (one == NULL) {
        return CX_STEP_NEXT;
    }
    l->ask = (struct api__ask){ .op = { .verb = CX_CHROMA_COUNT,
                                        .collection = cx_str_of(
                                            json_string_value(json_object_get(one, "name"))) },
                                .may_be_gone = true };
    return api__chroma_ask(x, &l->ask);
}

static enum cx_step_result list_reply(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    json_t *one = json_array_get(l->list, l->counted);
    if (one != NULL && l->ask.op.status == CX_NOT_FOUND) { /* deleted since it was listed */
        json_array_remove(l->list, l->counted);
        cx_exchange_go_to(x, count_ask);
        return CX_STEP_NEXT;
    }
    if (one != NULL) {
        json_object_set_new(one, "pending", json_integer(0));
        json_object_set_new(one, "index_bytes", json_integer(0)); /* none of this process */
        json_object_set_new(one, "documents", json_integer((json_int_t)l->ask.op.count));
        l->counted++;
        cx_exchange_go_to(x, count_ask);
        return CX_STEP_NEXT;
    }
    json_t *body = json_object();
    json_object_set_new(body, "collections", json_incref(l->list));
    return cx_exchange_reply_json(x, 200, body);
}

/* ---- GET /vector/stats ---- */

static enum cx_step_result stats_begin(struct cx_exchange *x)
{
    begin(x)->collection = api__collection_query(x);
    return CX_STEP_NEXT;
}

static enum cx_step_result one_count(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    l->ask = (struct api__ask){ .op = { .verb = CX_CHROMA_COUNT, .collection = l->collection } };
    return api__chroma_ask(x, &l->ask);
}

static enum cx_step_result stats_reply(struct cx_exchange *x)
{
    const struct lookup *l = cx_exchange_state(x);
    json_t *body = json_object();
    json_object_set_new(body, "backend", json_string(l->api->options.vector_backend));
    json_object_set_new(body, "collection", json_stringn(l->collection.p, l->collection.len));
    json_object_set_new(body, "documents", json_integer((json_int_t)l->ask.op.count));
    json_object_set_new(body, "circuit",
                        json_string(cx_circuit_name(cx_chroma_circuit(l->api->options.chroma))));
    return cx_exchange_reply_json(x, 200, body);
}

/* ---- DELETE /vector/collections/{name} ---- */

static enum cx_step_result drop_begin(struct cx_exchange *x)
{
    begin(x)->collection = cx_str_of(cx_exchange_param(x, "name"));
    return CX_STEP_NEXT;
}

static void on_dropped(struct api__ask *ask);

static enum cx_step_result drop_ask(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    l->documents = l->ask.op.count;
    l->ask = (struct api__ask){ .op = { .verb = CX_CHROMA_DROP, .collection = l->collection },
                                .on_done = on_dropped,
                                .whatever_comes = true };
    return api__chroma_ask(x, &l->ask);
}

static void on_dropped(struct api__ask *ask)
{
    struct lookup *l = cx_exchange_state(ask->x);
    l->gone = ask->op.status == CX_OK;
}

static enum cx_step_result drop_reply(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    tell_dropped(l);
    json_t *body = json_object();
    json_object_set_new(body, "deleted", json_integer((json_int_t)l->documents));
    return cx_exchange_reply_json(x, 200, body);
}

static void tell_dropped(struct lookup *l)
{
    if (!l->gone) {
        return;
    }
    l->gone = false;
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_stringn(l->collection.p, l->collection.len));
    json_object_set_new(payload, "deleted", json_integer((json_int_t)l->documents));
    json_object_set_new(payload, "whole", json_true());
    cx_events_emit(l->api->options.events, CX_EVENT_VECTOR_DELETED, payload, NULL,
                   cx_exchange_correlation_id(l->x));
}
