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
    struct cx_buf answer; /* from here on: the search's results */
    json_t *hit_ids;
};

static enum cx_step_result search_body(struct cx_exchange *x);
static enum cx_step_result search_parse(struct cx_exchange *x);
static enum cx_step_result search_hits(struct cx_exchange *x);
static enum cx_step_result search_reply(struct cx_exchange *x);

static const struct cx_step search_steps[] = {
    /* clang-format off */
    { "body", search_body, false },        /* loop, or waits: cpu lane where it is large             */
    { "parse", search_parse, false },      /* loop:  body → struct search, every fault of it at once */
    { "embed", api__search_embed, false }, /* waits: provider                                        */
    { "ask", api__search_ask, true },      /* loop: or by keyword? Waits: Chroma, where it answers   */
    { "hits", search_hits, false },        /* waits: cpu lane                                        */
    { "reply", search_reply, false },      /* loop                                                   */
    /* clang-format on */
};
API_TOOL(api__search, "vector.search", search_steps, sizeof(struct search));

/* ---- parse ---- */

static void release_search(void *arg);

static enum cx_step_result search_body(struct cx_exchange *x)
{
    const enum cx_step_result there = api__need_store(x);
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
    return checked == CX_STEP_NEXT ? api__search_find(x) : checked;
}

static void release_search(void *arg)
{
    struct search *s = arg;
    api__search_release(&s->run);
    json_decref(s->hit_ids);
    api__body_free(&s->body);
    cx_buf_free(&s->answer);
}

/* ---- hits ---- */

static enum cx_status search_work(void *arg, struct cx_err *err);

static enum cx_step_result search_hits(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    return cx_exchange_work(x, s->run.api->options.cpu_lane, CX_PRIORITY_HIGH, search_work, s);
}

static json_t *ids_of(const json_t *hits);
static enum cx_status write_search(struct search *s, json_t *hits, struct cx_err *err);

static enum cx_status search_work(void *arg, struct cx_err *err)
{
    struct search *s = arg;
    json_t *hits = NULL;
    const enum cx_status status = api__search_hits(&s->run, &hits, err);
    if (status != CX_OK) {
        return status;
    }
    s->hit_ids = ids_of(hits);
    return write_search(s, hits, err);
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
static enum cx_status write_search(struct search *s, json_t *hits, struct cx_err *err)
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
    json_object_set_new(answer, "search_time_ms",
                        json_real(round((double)s->run.took_ns / 1e3) / 1e3));
    if (s->run.degraded != NULL) {
        json_object_set_new(answer, "degraded", json_string(s->run.degraded));
    }
    return api__write_answer(answer, &s->answer, err);
}

/* ---- reply ---- */

static enum cx_step_result search_reply(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    api__search_tell(x, s->hit_ids);
    s->hit_ids = NULL;
    return cx_exchange_reply_buf(x, 200, "application/json", &s->answer);
}
