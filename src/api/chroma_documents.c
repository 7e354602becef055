/* SPDX-License-Identifier: MIT
 *
 * Documents that a Chroma server keeps: one, deleting one, many, or those that a filter means. Chroma does
 * not say how many it has deleted: the ids are asked for first, those of passages too, and those that are
 * there are deleted, a slice at a time for a filter.
 */
#include "api/chroma_ask.h"

#include <stdlib.h>

#define TOLD_IDS_MAX 256
#define PASSAGES_MAX ((size_t)50000) /* found at once */

struct lookup {
    struct cx_api *api;
    struct cx_exchange *x;
    struct api__body body;
    struct cx_str collection;
    struct cx_str id;
    const struct cx_str *ids; /* to delete; borrowed from the body */
    size_t id_count;
    struct cx_vector_filter *filter; /* … or what to delete */
    json_t *where;
    bool whole; /* all that a request means has been looked for */
    json_t *of_parents;
    json_t *asked; /* id of each that is to be deleted → true */
    json_t *there; /* of these, those that are, whole or as passages */
    struct api__ask ask;
    json_t *found; /* the ids of this slice … */
    struct cx_str *found_ids;
    size_t gone;    /* … and how many of them are */
    json_t *about;  /* … and some of all that are deleted */
    size_t deleted; /* and not told yet */
    size_t total;
    struct cx_buf answer;
};

static enum cx_step_result get_ask(struct cx_exchange *x);
static enum cx_step_result get_write(struct cx_exchange *x);
static enum cx_step_result get_reply(struct cx_exchange *x);
static enum cx_step_result delete_one(struct cx_exchange *x);
static enum cx_step_result delete_body(struct cx_exchange *x);
static enum cx_step_result delete_parse(struct cx_exchange *x);
static enum cx_step_result delete_find(struct cx_exchange *x);
static enum cx_step_result delete_passages(struct cx_exchange *x);
static enum cx_step_result delete_gather(struct cx_exchange *x);
static enum cx_step_result delete_remove(struct cx_exchange *x);
static enum cx_step_result delete_one_reply(struct cx_exchange *x);
static enum cx_step_result delete_reply(struct cx_exchange *x);

static const struct cx_step get_steps[] = {
    { "ask", get_ask, false },     /* waits: Chroma   */
    { "write", get_write, false }, /* waits: cpu lane */
    { "reply", get_reply, false }, /* loop            */
};
static const struct cx_step delete_one_steps[] = {
    { "one", delete_one, false },           /* loop                                        */
    { "find", delete_find, false },         /* waits: Chroma: is it there?                 */
    { "passages", delete_passages, false }, /* waits: Chroma: or in pieces?                */
    { "gather", delete_gather, false },     /* loop                                        */
    { "remove", delete_remove, false },     /* waits: Chroma, again and again              */
    { "reply", delete_one_reply, false },   /* loop, or once more                          */
};
static const struct cx_step delete_steps[] = {
    { "body", delete_body, false },         /* loop, or waits: cpu lane where it is large  */
    { "parse", delete_parse, false },       /* loop                                        */
    { "find", delete_find, false },         /* waits: Chroma; a slice, for a filter        */
    { "passages", delete_passages, false }, /* waits: Chroma, for ids                      */
    { "gather", delete_gather, false },     /* loop                                        */
    { "remove", delete_remove, false },     /* waits: Chroma, again and again              */
    { "reply", delete_reply, false },       /* loop, or the next slice                     */
};
API_TOOL(api__chroma_get, "vector.get", get_steps, sizeof(struct lookup));
API_TOOL(api__chroma_delete_one, "vector.delete", delete_one_steps, sizeof(struct lookup));
API_TOOL(api__chroma_delete, "vector.delete", delete_steps, sizeof(struct lookup));

static void tell_deleted(struct lookup *l);

static void release_lookup(void *arg)
{
    struct lookup *l = arg;
    tell_deleted(l); /* where the client has left before its answer */
    cx_chroma_op_end(&l->ask.op);
    free(l->found_ids);
    json_decref(l->found);
    json_decref(l->of_parents);
    json_decref(l->asked);
    json_decref(l->there);
    json_decref(l->about);
    json_decref(l->where);
    cx_vector_filter_free(&l->filter);
    api__body_free(&l->body);
    cx_buf_free(&l->answer);
}

static struct lookup *begin(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    l->x = x;
    l->api = api__of(x);
    l->id = cx_str_of(cx_exchange_param(x, "doc_id"));
    l->collection = api__collection_query(x);
    l->about = json_array();
    cx_exchange_defer(x, release_lookup, l);
    return l;
}

/* ---- GET /vector/documents/{doc_id} ---- */

static enum cx_step_result get_ask(struct cx_exchange *x)
{
    struct lookup *l = begin(x);
    l->ask.op = (struct cx_chroma_op){
        .verb = CX_CHROMA_GET,
        .collection = l->collection,
        .ids = &l->id,
        .id_count = 1,
        .include = CX_CHROMA_WITH_CONTENT,
    };
    return api__chroma_ask(x, &l->ask);
}

static enum cx_status write_work(void *arg, struct cx_err *err);

static enum cx_step_result get_write(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    if (json_array_size(l->ask.op.answer) == 0) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "no such document");
    }
    return cx_exchange_work(x, l->api->options.cpu_lane, CX_PRIORITY_NORMAL, write_work, l);
}

static enum cx_status write_work(void *arg, struct cx_err *err)
{
    struct lookup *l = arg;
    return api__write_answer(json_incref(json_array_get(l->ask.op.answer, 0)), &l->answer, err);
}

static enum cx_step_result get_reply(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    return cx_exchange_reply_buf(x, 200, "application/json", &l->answer);
}

/* ---- Deleting ---- */

static enum cx_step_result delete_one(struct cx_exchange *x)
{
    struct lookup *l = begin(x);
    l->ids = &l->id;
    l->id_count = 1;
    return CX_STEP_NEXT;
}

static enum cx_step_result delete_body(struct cx_exchange *x)
{
    struct lookup *l = begin(x);
    l->collection = CX_STR("default");
    return api__body_parse(x, &l->body);
}

static void read_matching(struct lookup *l, struct cx_reader *r, const json_t *json);

static enum cx_step_result delete_parse(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    struct cx_faults faults;
    struct cx_reader r;
    cx_faults_init(&faults);
    cx_reader_init(&r, l->body.json, &faults, "body");
    api__read_collection(&r, &l->collection);
    const json_t *filter = NULL;
    (void)api__read_selection(&r, cx_exchange_arena(x), CX_CHROMA_DOCUMENTS_MAX, &l->ids,
                              &l->id_count, &filter); /* without memory there are no ids */
    if (filter != NULL) {
        read_matching(l, &r, filter);
    }
    cx_reader_free(&r);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked == CX_STEP_NEXT && l->ids == NULL && l->where == NULL) {
        return cx_exchange_fail(x, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    return checked;
}

static void read_matching(struct lookup *l, struct cx_reader *r, const json_t *json)
{
    if (!api__read_filter(r, "filter", json, &l->filter)) {
        return;
    }
    json_t *loc = json_pack("[ss]", "body", "filter");
    const bool said = cx_vector_filter_flat(l->filter, loc, r->faults, &l->where);
    json_decref(loc);
    if (said && l->where == NULL) {
        cx_read_fault(r, "filter", "length",
                      "must say something: a collection is deleted as a whole by DELETE "
                      "/vector/collections/{name}");
    }
}

static bool note_whole(void *ctx, struct cx_str id);
static bool note_passage(void *ctx, struct cx_str id);

static enum cx_step_result delete_find(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    cx_chroma_op_end(&l->ask.op);
    l->ask = (struct api__ask){ .op = { .verb = CX_CHROMA_IDS,
                                        .collection = l->collection,
                                        .ids = l->ids,
                                        .id_count = l->id_count,
                                        .where = l->where,
                                        .limit = l->where != NULL ? API_CHROMA_SLICE : l->id_count,
                                        .wanted = l->where != NULL ? NULL : note_whole,
                                        .wanted_ctx = l } };
    return api__chroma_ask(x, &l->ask);
}

/* Chroma's lane, as note_passage. */
static bool note_whole(void *ctx, struct cx_str id)
{
    struct lookup *l = ctx;
    l->there = l->there != NULL ? l->there : json_object();
    (void)json_object_setn_new(l->there, id.p, id.len, json_true());
    return true;
}

static void take_found(struct lookup *l);

static enum cx_step_result delete_passages(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    take_found(l);
    l->whole = l->where == NULL || l->ask.op.count < API_CHROMA_SLICE;
    if (l->where != NULL || l->ask.op.absent) {
        return CX_STEP_NEXT;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < l->id_count; i++) {
        (void)json_array_append_new(list, json_stringn(l->ids[i].p, l->ids[i].len));
    }
    json_decref(l->of_parents);
    l->of_parents = json_pack("{s:{s:o}}", "parent", "$in", list);
    l->ask = (struct api__ask){ .op = { .verb = CX_CHROMA_IDS,
                                        .collection = l->collection,
                                        .where = l->of_parents,
                                        .limit = PASSAGES_MAX,
                                        .wanted = note_passage,
                                        .wanted_ctx = l } };
    return api__chroma_ask(x, &l->ask);
}

static bool note_passage(void *ctx, struct cx_str id)
{
    struct lookup *l = ctx;
    struct cx_str parent = { NULL, 0 };
    if (cx_document_passage_number(id, &parent) == 0) {
        return false;
    }
    if (l->asked == NULL) {
        l->asked = json_object();
        for (size_t i = 0; i < l->id_count; i++) {
            (void)json_object_setn_new(l->asked, l->ids[i].p, l->ids[i].len, json_true());
        }
    }
    return json_object_getn(l->asked, parent.p, parent.len) != NULL && note_whole(ctx, parent);
}

static enum cx_step_result delete_gather(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    if (l->where == NULL && !l->ask.op.absent) {
        const size_t before = json_array_size(l->found);
        take_found(l);
        l->whole = l->ask.op.count < PASSAGES_MAX || json_array_size(l->found) == before;
    }
    const size_t count = json_array_size(l->found);
    l->found_ids = cx_realloc_array(l->found_ids, count + 1, sizeof *l->found_ids);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(l->found, i);
        l->found_ids[i] = (struct cx_str){ json_string_value(id), json_string_length(id) };
    }
    l->gone = 0;
    return CX_STEP_NEXT;
}

/* Behind what of this slice has been found before. */
static void take_found(struct lookup *l)
{
    if (l->gone > 0) { /* it was the slice before this one */
        json_decref(l->found);
        l->found = NULL;
        l->gone = 0;
    }
    if (l->found == NULL) {
        l->found = l->ask.op.answer;
        l->ask.op.answer = NULL;
    } else if (l->ask.op.answer != NULL) {
        (void)json_array_extend(l->found, l->ask.op.answer);
    }
    cx_chroma_op_end(&l->ask.op);
}

static void on_removed(struct api__ask *ask);

static enum cx_step_result delete_remove(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    const size_t left = json_array_size(l->found) - l->gone;
    if (left == 0) {
        return CX_STEP_NEXT;
    }
    l->ask = (struct api__ask){
        .op = { .verb = CX_CHROMA_DELETE,
                .collection = l->collection,
                .ids = l->found_ids + l->gone,
                .id_count = left < CX_CHROMA_DOCUMENTS_MAX ? left : CX_CHROMA_DOCUMENTS_MAX },
        .on_done = on_removed,
        .whatever_comes = true
    }; /* what is gone is told of */
    return api__chroma_ask(x, &l->ask);
}

/* A text that was in pieces is one document to who deletes it by its id. */
static void on_removed(struct api__ask *ask)
{
    struct lookup *l = cx_exchange_state(ask->x);
    if (ask->op.status != CX_OK) {
        return;
    }
    for (size_t i = l->gone;
         i < l->gone + ask->op.id_count && json_array_size(l->about) < TOLD_IDS_MAX; i++) {
        json_array_append(l->about, json_array_get(l->found, i));
    }
    l->gone += ask->op.id_count;
    const size_t before = l->total;
    l->total = l->where != NULL ? l->total + ask->op.id_count : json_object_size(l->there);
    l->deleted += l->total - before;
}

/* There is more of this slice, or there may be another one. */
static bool goes_on(struct cx_exchange *x, struct lookup *l)
{
    if (l->gone < json_array_size(l->found)) {
        cx_exchange_go_to(x, delete_remove);
        return true;
    }
    if (!l->whole) {
        cx_exchange_go_to(x, delete_find);
        return true;
    }
    return false;
}

static enum cx_step_result delete_one_reply(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    if (goes_on(x, l)) {
        return CX_STEP_NEXT;
    }
    if (l->total == 0) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "There is no such document");
    }
    tell_deleted(l);
    return cx_exchange_reply_empty(x, 204);
}

static enum cx_step_result delete_reply(struct cx_exchange *x)
{
    struct lookup *l = cx_exchange_state(x);
    if (goes_on(x, l)) {
        return CX_STEP_NEXT;
    }
    tell_deleted(l);
    json_t *body = json_object();
    json_object_set_new(body, "deleted", json_integer((json_int_t)l->total));
    return cx_exchange_reply_json(x, 200, body);
}

static void tell_deleted(struct lookup *l)
{
    if (l->deleted == 0) {
        return;
    }
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_stringn(l->collection.p, l->collection.len));
    json_object_set_new(payload, "deleted", json_integer((json_int_t)l->deleted));
    cx_exchange_set_resources(l->x, json_incref(l->about));
    cx_events_emit(l->api->options.events, CX_EVENT_VECTOR_DELETED, payload, json_incref(l->about),
                   cx_exchange_correlation_id(l->x));
    l->deleted = 0;
}
