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
    struct api__search_run run;
    struct api__body body;
    struct cx_buf answer; /* from here on: the scan's results */
    json_t *hit_ids;
};

static enum cx_step_result search_body(struct cx_exchange *x);
static enum cx_step_result search_parse(struct cx_exchange *x);
static enum cx_step_result search_scan(struct cx_exchange *x);
static enum cx_step_result search_reply(struct cx_exchange *x);

static const struct cx_step search_steps[] = {
    { "body", search_body, false },   /* loop, or waits: cpu lane where it is large             */
    { "parse", search_parse, false }, /* loop:  body → struct search, every fault of it at once */
    { "embed", api__search_embed,
      false },                        /* waits: provider                                        */
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
    s->run.api = api__of(x);
    cx_exchange_defer(x, release_search, s);
    return api__body_parse(x, &s->body);
}

static enum cx_step_result search_parse(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__search_read(x, s->body.json, NULL, &faults, &s->run.q);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    return checked == CX_STEP_NEXT ? api__collection_find(x, s->run.q.collection, &s->run.v)
                                   : checked;
}

static void release_search(void *arg)
{
    struct search *s = arg;
    api__search_release(&s->run);
    json_decref(s->hit_ids);
    api__body_free(&s->body);
    cx_buf_free(&s->answer);
}

/* ---- scan ---- */

static enum cx_status search_work(void *arg, struct cx_err *err);

static enum cx_step_result search_scan(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    const enum cx_step_result judged = api__search_judge(x);
    return judged != CX_STEP_NEXT ? judged
                                  : cx_exchange_work(x, s->run.api->options.cpu_lane,
                                                     CX_PRIORITY_HIGH, search_work, s);
}

static json_t *ids_of(const json_t *hits);
static enum cx_status write_search(struct search *s, json_t *hits, uint64_t search_ns,
                                   struct cx_err *err);

static enum cx_status search_work(void *arg, struct cx_err *err)
{
    struct search *s = arg;
    const uint64_t begun = cx_clock_mono_ns();
    json_t *hits = NULL;
    const enum cx_status status = api__search_now(&s->run, &hits, err);
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
    const struct cx_str query = s->run.q.what.query.p != NULL ? s->run.q.what.query : CX_STR("");
    json_t *answer = json_object();
    json_object_set_new(answer, "hits", hits);
    json_object_set_new(answer, "query", json_stringn(query.p, query.len));
    json_object_set_new(answer, "timestamp",
                        json_string(cx_time_format(cx_clock_wall_us(), timestamp)));
    json_object_set_new(answer, "query_embedding_time_ms",
                        json_real(round((double)s->run.embed_ns / 1e3) / 1e3));
    json_object_set_new(answer, "search_time_ms", json_real(round((double)search_ns / 1e3) / 1e3));
    if (s->run.degraded != NULL) {
        json_object_set_new(answer, "degraded", json_string(s->run.degraded));
    }
    return api__write_answer(answer, &s->answer, err);
}

/* ---- reply ---- */

static enum cx_step_result search_reply(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_string(cx_vector_name(s->run.v)));
    json_object_set_new(payload, "hits", json_integer((json_int_t)json_array_size(s->hit_ids)));
    cx_exchange_set_resources(x, json_incref(s->hit_ids));
    cx_events_emit(s->run.api->options.events, CX_EVENT_VECTOR_SEARCHED, payload, s->hit_ids,
                   cx_exchange_correlation_id(x));
    s->hit_ids = NULL;
    return cx_exchange_reply_buf(x, 200, "application/json", &s->answer);
}
