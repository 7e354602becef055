/* SPDX-License-Identifier: MIT
 *
 * POST /vector/search. The query becomes a vector where the mode wants one; if the embedding
 * service fails and the client did not insist on `semantic`, the answer comes by keyword and says
 * so.
 */
#include "api/search_request.h"

#include <math.h>
#include <stdlib.h>

struct search {
    struct cx_api *api;
    struct api__body body;
    struct api__search_request q;
    struct cx_vector *v; /* the collection */
    struct cx_embed_call *call;
    float *embedded;      /* the provider's, freed with the exchange */
    const char *degraded; /* the reason word, or NULL */
    uint64_t embed_ns;
    /* From here on: the scan's results. */
    struct cx_buf answer;
    json_t *hit_ids;
};

static enum cx_step_result search_body(struct cx_exchange *x);
static enum cx_step_result search_parse(struct cx_exchange *x);
static enum cx_step_result search_embed(struct cx_exchange *x);
static enum cx_step_result search_scan(struct cx_exchange *x);
static enum cx_step_result search_reply(struct cx_exchange *x);

static const struct cx_step search_steps[] = {
    { "body", search_body, false },   /* loop, or waits: cpu lane where it is large             */
    { "parse", search_parse, false }, /* loop:  body → struct search, every fault of it at once */
    { "embed", search_embed, false }, /* waits: provider                                        */
    { "scan", search_scan, true },    /* waits: cpu lane; by keyword if the provider failed      */
    { "reply", search_reply, false }, /* loop                                                   */
};
API_TOOL(api__search, "vector.search", search_steps, sizeof(struct search));

/* ---- parse ---- */

static void release_search(void *arg);

static enum cx_step_result search_body(struct cx_exchange *x)
{
    const enum cx_step_result there = api__need_vector(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct search *s = cx_exchange_state(x);
    s->api = api__of(x);
    cx_exchange_defer(x, release_search, s);
    return api__body_parse(x, &s->body);
}

static enum cx_step_result search_parse(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__search_read(x, s->body.json, &faults, &s->q);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    return checked == CX_STEP_NEXT ? api__collection_find(x, s->q.collection, &s->v) : checked;
}

static void release_search(void *arg)
{
    struct search *s = arg;
    free(s->embedded);
    cx_vector_ask_free(&s->q.what.ask);
    json_decref(s->hit_ids);
    api__collection_release(s->api, &s->v);
    cx_vector_filter_free(&s->q.filter);
    api__body_free(&s->body);
    cx_buf_free(&s->answer);
}

/* ---- embed ---- */

static void on_embedded(void *ctx, struct cx_embed_result *result);
static void cancel_embed(void *op);

static enum cx_step_result search_embed(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    struct cx_vector_figures figures;
    cx_vector_figures(s->v, &figures);
    if (figures.status != CX_VECTOR_READY && s->q.what.mode != CX_SEARCH_KEYWORD &&
        !(s->q.mode_given && s->q.what.mode == CX_SEARCH_SEMANTIC)) {
        s->degraded = cx_vector_status_name(figures.status);
        s->q.what.mode = CX_SEARCH_KEYWORD;
    }
    if (s->q.what.vector != NULL || s->q.what.mode == CX_SEARCH_KEYWORD ||
        figures.status != CX_VECTOR_READY) {
        return CX_STEP_NEXT; /* where no model can help, the search says why */
    }
    if (figures.owner == CX_OWNER_CLIENT) {
        return cx_exchange_fail(
            x, CX_CONFLICT,
            "collection \"%s\" holds vectors that clients bring: the query needs "
            "one of %u dimensions, or mode keyword",
            cx_vector_name(s->v), figures.dimension);
    }
    struct cx_err err = { "" };
    const enum cx_status status = cx_embedder_start(
        s->api->options.embedder, CX_EMBED_QUERY, &s->q.what.query, 1, api__embed_ms(x),
        cx_exchange_traceparent(x), on_embedded, x, &s->call, &err);
    if (status != CX_OK) {
        return cx_exchange_fail(x, status, "%s",
                                err.text[0] != '\0' ? err.text : cx_status_text(status));
    }
    return cx_exchange_wait(x, cancel_embed, s);
}

static void cancel_embed(void *op)
{
    struct search *s = op;
    if (s->call != NULL) {
        cx_embed_call_cancel(s->call);
    }
}

static void on_embedded(void *ctx, struct cx_embed_result *result)
{
    struct cx_exchange *x = ctx;
    struct search *s = cx_exchange_state(x);
    s->call = NULL;
    s->embed_ns = result->elapsed_ns;
    if (result->status == CX_OK) {
        s->embedded = result->vectors;
        s->q.what.vector = result->vectors;
        s->q.what.dimension = result->dimension;
    }
    cx_exchange_resume(x, result->status, &result->err);
}

/* ---- scan ---- */

static enum cx_status search_work(void *arg, struct cx_err *err);

static enum cx_step_result search_scan(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    const char *detail = NULL;
    const enum cx_status outcome = cx_exchange_outcome(x, &detail);
    if (outcome != CX_OK) {
        const bool insisted = s->q.mode_given && s->q.what.mode == CX_SEARCH_SEMANTIC;
        if (insisted || !api__embedding_failed(outcome)) {
            return cx_exchange_fail(x, outcome, "%s",
                                    detail != NULL && detail[0] != '\0' ? detail
                                                                        : cx_status_text(outcome));
        }
        s->degraded = cx_status_reason(outcome);
        s->q.what.mode = CX_SEARCH_KEYWORD;
    }
    s->q.what.ask = cx_vector_ask(s->v, &s->q.what);
    return cx_exchange_work(x, s->api->options.cpu_lane, CX_PRIORITY_HIGH, search_work, s);
}

static json_t *ids_of(const json_t *hits);
static enum cx_status write_search(struct search *s, json_t *hits, uint64_t search_ns,
                                   struct cx_err *err);

static enum cx_status search_work(void *arg, struct cx_err *err)
{
    struct search *s = arg;
    const uint64_t begun = cx_clock_mono_ns();
    struct cx_db *db = cx_store_reader(s->api->options.store);
    json_t *hits = NULL;
    const enum cx_status status = cx_vector_search(s->v, db, &s->q.what, &hits, err);
    cx_store_return(s->api->options.store, db);
    if (status != CX_OK) {
        return status;
    }
    s->hit_ids = ids_of(hits);
    return write_search(s, hits, cx_clock_mono_ns() - begun, err);
}

static json_t *ids_of(const json_t *hits)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < json_array_size(hits); i++) {
        json_array_append_new(ids, json_copy(json_object_get(json_array_get(hits, i), "doc_id")));
    }
    return ids;
}

/* The answer, with as many digits of a millisecond as mean something. */
static enum cx_status write_search(struct search *s, json_t *hits, uint64_t search_ns,
                                   struct cx_err *err)
{
    char timestamp[CX_TIME_TEXT_BYTES];
    const struct cx_str query = s->q.what.query.p != NULL ? s->q.what.query : CX_STR("");
    json_t *answer = json_object();
    json_object_set_new(answer, "hits", hits);
    json_object_set_new(answer, "query", json_stringn(query.p, query.len));
    json_object_set_new(answer, "timestamp",
                        json_string(cx_time_format(cx_clock_wall_us(), timestamp)));
    json_object_set_new(answer, "query_embedding_time_ms",
                        json_real(round((double)s->embed_ns / 1e3) / 1e3));
    json_object_set_new(answer, "search_time_ms", json_real(round((double)search_ns / 1e3) / 1e3));
    if (s->degraded != NULL) {
        json_object_set_new(answer, "degraded", json_string(s->degraded));
    }
    return api__write_answer(answer, &s->answer, err);
}

/* ---- reply ---- */

static enum cx_step_result search_reply(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_string(cx_vector_name(s->v)));
    json_object_set_new(payload, "hits", json_integer((json_int_t)json_array_size(s->hit_ids)));
    cx_exchange_set_resources(x, json_incref(s->hit_ids));
    cx_events_emit(s->api->options.events, CX_EVENT_VECTOR_SEARCHED, payload, s->hit_ids,
                   cx_exchange_correlation_id(x));
    s->hit_ids = NULL;
    return cx_exchange_reply_buf(x, 200, "application/json", &s->answer);
}
