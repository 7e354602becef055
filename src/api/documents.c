/* SPDX-License-Identifier: MIT
 *
 * The documents that are there: one, the list, deleting. Putting them there is ingest.c's.
 */
#include "api/api_internal.h"

struct lookup {
    struct cx_exchange *x;
    struct cx_api *api;
    struct cx_vector *v; /* the collection */
    struct api__body body;
    struct cx_str id; /* of one document, or the cursor of the list */
    size_t limit;
    const struct cx_str *ids; /* to delete; borrowed from the body */
    size_t id_count;
    struct cx_vector_filter *filter; /* … or what to delete */
    struct cx_vector_delete matching;
    size_t deleted; /* and not told yet */
    struct cx_buf answer;
};

static enum cx_step_result get_load(struct cx_exchange *x);
static enum cx_step_result list_load(struct cx_exchange *x);
static enum cx_step_result lookup_reply(struct cx_exchange *x);
static enum cx_step_result delete_one(struct cx_exchange *x);
static enum cx_step_result delete_one_reply(struct cx_exchange *x);
static enum cx_step_result delete_body(struct cx_exchange *x);
static enum cx_step_result delete_parse(struct cx_exchange *x);
static enum cx_step_result delete_remove(struct cx_exchange *x);
static enum cx_step_result delete_reply(struct cx_exchange *x);

static const struct cx_step get_steps[] = {
    { "load", get_load, false },      /* waits: read lane */
    { "reply", lookup_reply, false }, /* loop             */
};
static const struct cx_step list_steps[] = {
    { "load", list_load, false },     /* waits: read lane */
    { "reply", lookup_reply, false }, /* loop             */
};
static const struct cx_step delete_one_steps[] = {
    { "remove", delete_one, false },      /* waits: write lane */
    { "reply", delete_one_reply, false }, /* loop              */
};
static const struct cx_step delete_steps[] = {
    { "body", delete_body, false },     /* loop, or waits: cpu lane where it is large */
    { "parse", delete_parse, false },   /* loop                                       */
    { "remove", delete_remove, false }, /* waits: write lane; a slice, for a filter   */
    { "reply", delete_reply, false },   /* loop, or the next slice                    */
};

API_TOOL(api__document_get, "vector.get", get_steps, sizeof(struct lookup));
API_ENDPOINT(api__documents_list, list_steps, sizeof(struct lookup));
API_TOOL(api__document_delete, "vector.delete", delete_one_steps, sizeof(struct lookup));
API_TOOL(api__documents_delete, "vector.delete", delete_steps, sizeof(struct lookup));

static void tell_deleted(struct lookup *l);

static void release_lookup(void *arg)
{
    struct lookup *l = arg;
    tell_deleted(l); /* where the client has left before its answer */
    api__collection_release(l->api, &l->v);
    cx_vector_filter_free(&l->filter);
    json_decref(l->matching.doc_ids);
    api__body_free(&l->body);
    cx_buf_free(&l->answer);
}

static enum cx_step_result begin(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    l->x = x;
    l->api = api__of(x);
    l->id = cx_str_of(cx_exchange_param(x, "doc_id"));
    cx_exchange_defer(x, release_lookup, l);
    return api__need_vector(x);
}

/* Where the query names the collection. */
static enum cx_step_result begin_with_collection(struct cx_exchange *x)
{
    const enum cx_step_result there = begin(x);
    struct lookup *l = cx_exchange_state(x);
    return there == CX_STEP_NEXT ? api__collection_find(x, api__collection_query(x), &l->v) : there;
}

static enum cx_status get_work(void *arg, struct cx_err *err);

static enum cx_step_result get_load(struct cx_exchange *x)
{
    const enum cx_step_result there = begin_with_collection(x);
    struct lookup *l = cx_exchange_state(x);
    return there != CX_STEP_NEXT
               ? there
               : cx_exchange_work(x, l->api->options.read_lane, CX_PRIORITY_NORMAL, get_work, l);
}

static enum cx_status get_work(void *arg, struct cx_err *err)
{
    struct lookup *l = arg;
    struct cx_db *db = cx_store_reader(l->api->options.store);
    json_t *document = NULL;
    const enum cx_status status = cx_vector_get(l->v, db, l->id, &document, err);
    cx_store_return(l->api->options.store, db);
    return status == CX_OK ? api__write_answer(document, &l->answer, err) : status;
}

static enum cx_status list_work(void *arg, struct cx_err *err);

static enum cx_step_result list_load(struct cx_exchange *x)
{
    const enum cx_step_result there = begin_with_collection(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct lookup *l = cx_exchange_state(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__read_page(x, &faults, &l->limit, &l->id);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    return cx_exchange_work(x, l->api->options.read_lane, CX_PRIORITY_NORMAL, list_work, l);
}

static enum cx_status list_work(void *arg, struct cx_err *err)
{
    struct lookup *l = arg;
    struct cx_db *db = cx_store_reader(l->api->options.store);
    json_t *page = NULL;
    const enum cx_status status = cx_vector_list(l->v, db, l->id, l->limit, &page, err);
    cx_store_return(l->api->options.store, db);
    return status == CX_OK ? api__write_answer(page, &l->answer, err) : status;
}

static enum cx_step_result lookup_reply(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    return cx_exchange_reply_buf(x, 200, "application/json", &l->answer);
}

static enum cx_status delete_work(void *arg, struct cx_err *err);

static enum cx_step_result delete_one(struct cx_exchange *x)
{
    const enum cx_step_result there = begin_with_collection(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct lookup *l = cx_exchange_state(x);
    l->ids = &l->id;
    l->id_count = 1;
    return cx_exchange_work(x, l->api->options.write_lane, CX_PRIORITY_NORMAL, delete_work, l);
}

static enum cx_status delete_work(void *arg, struct cx_err *err)
{
    struct lookup *l = arg;
    return cx_vector_delete(l->v, cx_store_writer(l->api->options.store), l->ids, l->id_count,
                            &l->deleted, err);
}

static enum cx_step_result delete_one_reply(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    if (l->deleted == 0) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "There is no such document");
    }
    tell_deleted(l);
    return cx_exchange_reply_empty(x, 204);
}

static void tell_deleted(struct lookup *l)
{
    if (l->deleted == 0) {
        return;
    }
    api__purge_changed(l->api);
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_string(cx_vector_name(l->v)));
    json_object_set_new(payload, "deleted", json_integer((json_int_t)l->deleted));
    json_t *about =
        l->filter != NULL ? json_incref(l->matching.doc_ids) : api__event_ids(l->ids, l->id_count);
    cx_exchange_set_resources(l->x, json_incref(about));
    cx_events_emit(l->api->options.events, CX_EVENT_VECTOR_DELETED, payload, about,
                   cx_exchange_correlation_id(l->x));
    l->deleted = 0;
}

static enum cx_step_result delete_body(struct cx_exchange *x)
{
    const enum cx_step_result there = begin(x);
    struct lookup *l = cx_exchange_state(x);
    return there == CX_STEP_NEXT ? api__body_parse(x, &l->body) : there;
}

static void read_matching(struct lookup *l, struct cx_reader *r, const json_t *json);

static enum cx_step_result delete_parse(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    struct cx_faults faults;
    struct cx_reader r;
    cx_faults_init(&faults);
    cx_reader_init(&r, l->body.json, &faults, "body");
    struct cx_str collection = CX_STR("default");
    api__read_collection(&r, &collection);
    const json_t *filter = NULL;
    const bool room = api__read_selection(&r, cx_exchange_arena(x), API_DOCUMENTS_MAX, &l->ids,
                                          &l->id_count, &filter);
    if (filter != NULL) {
        read_matching(l, &r, filter);
    }
    cx_reader_free(&r);
    if (!room) {
        cx_faults_free(&faults);
        return cx_exchange_fail(x, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    return checked == CX_STEP_NEXT ? api__collection_find(x, collection, &l->v) : checked;
}

static bool read_ids(struct cx_reader *r, struct cx_arena *arena, const json_t *list,
                     const struct cx_str **out);

bool api__read_selection(struct cx_reader *r, struct cx_arena *arena, size_t most,
                         const struct cx_str **ids, size_t *count, const json_t **filter)
{
    const json_t *list = NULL;
    const json_t *asked = NULL;
    const bool by_filter = cx_read_object(r, "filter", CX_OPTIONAL, &asked);
    const bool by_ids =
        cx_read_array(r, "ids", by_filter ? CX_OPTIONAL : CX_REQUIRED, 1, most, &list);
    if (by_filter && by_ids) {
        cx_read_fault(r, "filter", "value", "must not stand beside ids");
    } else if (by_filter) {
        *filter = asked;
    } else if (by_ids) {
        *count = json_array_size(list);
        return read_ids(r, arena, list, ids);
    }
    return true;
}

static bool read_ids(struct cx_reader *r, struct cx_arena *arena, const json_t *list,
                     const struct cx_str **out)
{
    const size_t count = json_array_size(list);
    struct cx_str *ids = cx_arena_alloc(arena, count * sizeof *ids);
    if (ids == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_string(id)) {
            cx_read_fault(r, "ids", "type", "must hold strings only");
            break;
        }
        ids[i] = (struct cx_str){ json_string_value(id), json_string_length(id) };
    }
    *out = ids;
    return true;
}

static void read_matching(struct lookup *l, struct cx_reader *r, const json_t *json)
{
    if (api__read_filter(r, "filter", json, &l->filter)) {
        l->matching.doc_ids = json_array();
        if (cx_vector_filter_is_empty(l->filter)) {
            cx_read_fault(r, "filter", "length",
                          "must say something: a collection is deleted as a whole by DELETE "
                          "/vector/collections/{name}");
        }
    }
}

static enum cx_status delete_matching_work(void *arg, struct cx_err *err);

static enum cx_step_result delete_remove(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    return cx_exchange_work(x, l->api->options.write_lane, CX_PRIORITY_NORMAL,
                            l->filter != NULL ? delete_matching_work : delete_work, l);
}

static enum cx_status delete_matching_work(void *arg, struct cx_err *err)
{
    struct lookup *l = arg;
    const enum cx_status status = cx_vector_delete_matching(
        l->v, cx_store_writer(l->api->options.store), l->filter, &l->matching, err);
    l->deleted = l->matching.deleted;
    return status;
}

static enum cx_step_result delete_reply(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    if (l->matching.more) {
        cx_exchange_go_to(x, delete_remove);
        return CX_STEP_NEXT;
    }
    json_t *body = json_object();
    json_object_set_new(body, "deleted", json_integer((json_int_t)l->deleted));
    tell_deleted(l);
    return cx_exchange_reply_json(x, 200, body);
}
