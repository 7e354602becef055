/* SPDX-License-Identifier: MIT
 *
 * POST /vector/search where a Chroma server keeps the vectors. It ranks by vectors alone: a search for
 * keywords is refused, and a hybrid one answers by vectors and says so where it was asked for by name.
 */
#include "api/chroma_ask.h"

#include <math.h>
#include <stdlib.h>

#include "api/search_request.h"

struct search {
    struct cx_api *api;
    struct api__body body;
    struct api__search_request q;
    json_t *where;
    struct cx_embed_call *call;
    float *embedded;
    uint64_t embed_ns;
    uint64_t asked_ns;
    struct api__ask ask;
    struct cx_buf answer;
    json_t *hit_ids;
};

static enum cx_step_result search_body(struct cx_exchange *x);
static enum cx_step_result search_parse(struct cx_exchange *x);
static enum cx_step_result search_embed(struct cx_exchange *x);
static enum cx_step_result search_ask(struct cx_exchange *x);
static enum cx_step_result search_write(struct cx_exchange *x);
static enum cx_step_result search_reply(struct cx_exchange *x);

static const struct cx_step search_steps[] = {
    { "body", search_body, false },   /* loop, or waits: cpu lane where it is large             */
    { "parse", search_parse, false }, /* loop:  body → struct search, every fault of it at once */
    { "embed", search_embed, false }, /* waits: provider                                        */
    { "ask", search_ask, false },     /* waits: Chroma                                          */
    { "write", search_write, false }, /* waits: cpu lane                                        */
    { "reply", search_reply, false }, /* loop                                                   */
};
API_TOOL(api__chroma_search, "vector.search", search_steps, sizeof(struct search));

/* ---- parse ---- */

static void release_search(void *arg);
static void read_where(struct search *s, struct cx_faults *faults);

static enum cx_step_result search_body(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    s->api = api__of(x);
    cx_exchange_defer(x, release_search, s);
    return api__body_parse(x, &s->body);
}

static void release_search(void *arg)
{
    struct search *s = arg;
    if (s->ask.op.answer != NULL) {
        api__discard(s->api, s->ask.op.answer, s->ask.op.answer_bytes);
        s->ask.op.answer = NULL;
    }
    cx_chroma_op_end(&s->ask.op);
    free(s->embedded);
    json_decref(s->where);
    json_decref(s->hit_ids);
    cx_vector_filter_free(&s->q.filter);
    api__body_free(&s->body);
    cx_buf_free(&s->answer);
}

static enum cx_step_result search_parse(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__search_read(x, s->body.json, NULL, &faults, &s->q);
    struct cx_reader r;
    cx_reader_init(&r, s->body.json, &faults, "body");
    if (s->q.what.mode == CX_SEARCH_KEYWORD) {
        cx_read_fault(&r, "mode", "value",
                      "must be semantic or hybrid: Chroma ranks by vectors only");
    }
    if (s->q.what.exact) {
        cx_read_fault(&r, "exact", "value", "must be false: Chroma's index is approximate");
    }
    if (s->q.fusion_given) {
        cx_read_fault(
            &r, "fusion", "value",
            "must be left out: Chroma ranks by vectors only, and there is nothing to fuse");
    }
    cx_reader_free(&r);
    read_where(s, &faults);
    return cx_exchange_fail_faults(x, &faults);
}

static void read_where(struct search *s, struct cx_faults *faults)
{
    if (s->q.filter != NULL) {
        json_t *loc = json_pack("[ss]", "body", s->q.filter_name);
        (void)!cx_vector_filter_flat(s->q.filter, loc, faults, &s->where);
        json_decref(loc);
    }
}

/* ---- embed ---- */

static void on_embedded(void *ctx, struct cx_embed_result *result);
static void cancel_embed(void *op);

static enum cx_step_result search_embed(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    if (s->q.what.vector != NULL) {
        return CX_STEP_NEXT;
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

/* ---- ask, write ---- */

static enum cx_step_result search_ask(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    const struct cx_search *what = &s->q.what;
    s->asked_ns = cx_clock_mono_ns();
    s->ask.op = (struct cx_chroma_op){
        .verb = CX_CHROMA_QUERY,
        .collection = s->q.collection,
        .vectors = what->own_vector ? CX_CHROMA_CLIENTS : CX_CHROMA_OURS,
        .dimension = what->dimension,
        .query = what->vector,
        .where = s->where,
        .limit = what->top_k,
        .include = ((what->include & CX_INCLUDE_CONTENT) != 0 ? CX_CHROMA_WITH_CONTENT : 0U) |
                   ((what->include & CX_INCLUDE_VECTOR) != 0 ? CX_CHROMA_WITH_VECTOR : 0U),
    };
    return api__chroma_ask(x, &s->ask);
}

static enum cx_status write_work(void *arg, struct cx_err *err);

static enum cx_step_result search_write(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    return cx_exchange_work(x, s->api->options.cpu_lane, CX_PRIORITY_HIGH, write_work, s);
}

static enum cx_status write_work(void *arg, struct cx_err *err)
{
    struct search *s = arg;
    const struct cx_search *what = &s->q.what;
    const double search_ms = (double)(cx_clock_mono_ns() - s->asked_ns) / 1e6;
    json_t *hits = json_array();
    s->hit_ids = json_array();
    for (size_t i = 0; i < json_array_size(s->ask.op.answer); i++) {
        json_t *hit = json_array_get(s->ask.op.answer, i);
        json_t *score = json_object_get(hit, "score");
        if (what->has_min_score && json_real_value(score) < what->min_score) {
            break;
        }
        if ((what->include & CX_INCLUDE_SCORES) != 0) {
            json_object_set_new(hit, "scores", json_pack("{sOsn}", "semantic", score, "keyword"));
        }
        json_array_append(hits, hit);
        json_array_append(s->hit_ids, json_object_get(hit, "doc_id"));
    }
    char timestamp[CX_TIME_TEXT_BYTES];
    json_t *answer = json_object();
    json_object_set_new(answer, "hits", hits);
    json_object_set_new(answer, "query",
                        json_stringn(what->query.p != NULL ? what->query.p : "", what->query.len));
    json_object_set_new(answer, "timestamp",
                        json_string(cx_time_format(cx_clock_wall_us(), timestamp)));
    json_object_set_new(answer, "query_embedding_time_ms",
                        json_real(round((double)s->embed_ns / 1e3) / 1e3));
    json_object_set_new(answer, "search_time_ms", json_real(round(search_ms * 1e3) / 1e3));
    if (s->q.mode_given && what->mode == CX_SEARCH_HYBRID) {
        json_object_set_new(answer, "degraded", json_string("no_keyword_ranking"));
    }
    return api__write_answer(answer, &s->answer, err);
}

/* ---- reply ---- */

static enum cx_step_result search_reply(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    json_t *payload = json_object();
    json_object_set_new(payload, "collection",
                        json_stringn(s->q.collection.p, s->q.collection.len));
    json_object_set_new(payload, "hits", json_integer((json_int_t)json_array_size(s->hit_ids)));
    cx_exchange_set_resources(x, json_incref(s->hit_ids));
    cx_events_emit(s->api->options.events, CX_EVENT_VECTOR_SEARCHED, payload, s->hit_ids,
                   cx_exchange_correlation_id(x));
    s->hit_ids = NULL;
    return cx_exchange_reply_buf(x, 200, "application/json", &s->answer);
}
