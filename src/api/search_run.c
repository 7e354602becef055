/* SPDX-License-Identifier: MIT
 *
 * The way of a search: which collection, its query becomes a vector, what becomes of it where the
 * embedding service fails, its hits. Loop, but for api__search_hits and _write.
 */
#include "api/search_request.h"

#include <stdlib.h>

static bool asks_chroma(const struct api__search_run *s)
{
    return s->api->options.chroma != NULL;
}

enum cx_step_result api__search_find(struct cx_exchange *x)
{
    struct api__search_run *s = cx_exchange_state(x);
    return asks_chroma(s) ? CX_STEP_NEXT : api__collection_find(x, s->q.collection, &s->v);
}

/* ---- embed ---- */

static bool goes_without(struct api__search_run *s, const struct cx_vector_figures *figures);
static void on_embedded(void *ctx, struct cx_embed_result *result);
static void cancel_embed(void *op);

enum cx_step_result api__search_embed(struct cx_exchange *x)
{
    struct api__search_run *s = cx_exchange_state(x);
    struct cx_vector_figures figures = { .owner = CX_OWNER_NONE, .status = CX_VECTOR_READY };
    if (s->v != NULL) {
        cx_vector_figures(s->v, &figures);
    }
    if (goes_without(s, &figures)) {
        return CX_STEP_NEXT;
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

/* Brings its vector, needs none, or no model can help: then the search says why. */
static bool goes_without(struct api__search_run *s, const struct cx_vector_figures *figures)
{
    const bool ready = figures->status == CX_VECTOR_READY;
    const bool insisted = s->q.mode_given && s->q.what.mode == CX_SEARCH_SEMANTIC;
    if (!ready && s->q.what.mode != CX_SEARCH_KEYWORD && !insisted) {
        s->degraded = cx_vector_status_name(figures->status);
        s->q.what.mode = CX_SEARCH_KEYWORD;
    }
    return s->q.what.vector != NULL || s->q.what.mode == CX_SEARCH_KEYWORD || !ready;
}

static void cancel_embed(void *op)
{
    struct api__search_run *s = op;
    if (s->call != NULL) {
        cx_embed_call_cancel(s->call);
    }
}

static void on_embedded(void *ctx, struct cx_embed_result *result)
{
    struct cx_exchange *x = ctx;
    struct api__search_run *s = cx_exchange_state(x);
    s->call = NULL;
    s->embed_ns = result->elapsed_ns;
    if (result->status == CX_OK) {
        s->embedded = result->vectors;
        s->q.what.vector = result->vectors;
        s->q.what.dimension = result->dimension;
    }
    cx_exchange_resume(x, result->status, &result->err);
}

/* ---- ask ---- */

enum cx_step_result api__search_ask(struct cx_exchange *x)
{
    struct api__search_run *s = cx_exchange_state(x);
    const char *detail = NULL;
    const enum cx_status outcome = cx_exchange_outcome(x, &detail);
    if (outcome != CX_OK) {
        const bool insisted = s->q.mode_given && s->q.what.mode == CX_SEARCH_SEMANTIC;
        if (insisted || asks_chroma(s) || !api__embedding_failed(outcome)) {
            return cx_exchange_fail(x, outcome, "%s",
                                    detail != NULL && detail[0] != '\0' ? detail
                                                                        : cx_status_text(outcome));
        }
        s->degraded = cx_status_reason(outcome);
        s->q.what.mode = CX_SEARCH_KEYWORD;
    }
    if (asks_chroma(s)) {
        return api__search_ask_chroma(x);
    }
    s->q.what.ask = cx_vector_ask(s->v, &s->q.what);
    return CX_STEP_NEXT;
}

/* ---- hits ---- */

enum cx_status api__search_hits(struct api__search_run *s, json_t **hits, struct cx_err *err)
{
    if (asks_chroma(s)) {
        *hits = api__search_chroma_hits(s);
        s->took_ns = cx_clock_mono_ns() - s->asked_ns;
        return CX_OK;
    }
    const uint64_t begun = cx_clock_mono_ns();
    struct cx_db *db = cx_store_reader(s->api->options.store);
    const enum cx_status status = cx_vector_search(s->v, db, &s->q.what, hits, err);
    cx_store_return(s->api->options.store, db);
    s->took_ns = cx_clock_mono_ns() - begun;
    return status;
}

enum cx_status api__search_write(struct api__search_run *s, struct cx_buf *out, json_t *ids,
                                 struct cx_err *err)
{
    if (asks_chroma(s)) {
        json_t *hits = NULL;
        const enum cx_status status = api__search_hits(s, &hits, err);
        for (size_t i = 0; i < json_array_size(hits); i++) {
            json_array_append(ids, json_object_get(json_array_get(hits, i), "doc_id"));
        }
        if (status == CX_OK) {
            cx_json_write(hits, out);
            json_decref(hits);
        }
        return status;
    }
    const uint64_t begun = cx_clock_mono_ns();
    struct cx_db *db = cx_store_reader(s->api->options.store);
    const enum cx_status status = cx_vector_search_write(s->v, db, &s->q.what, out, ids, err);
    cx_store_return(s->api->options.store, db);
    s->took_ns = cx_clock_mono_ns() - begun;
    return status;
}

void api__search_tell(struct cx_exchange *x, json_t *hit_ids)
{
    const struct api__search_run *s = cx_exchange_state(x);
    json_t *payload = json_object();
    json_object_set_new(payload, "collection",
                        json_stringn(s->q.collection.p, s->q.collection.len));
    json_object_set_new(payload, "hits", json_integer((json_int_t)json_array_size(hit_ids)));
    cx_exchange_set_resources(x, json_incref(hit_ids));
    cx_events_emit(s->api->options.events, CX_EVENT_VECTOR_SEARCHED, payload, hit_ids,
                   cx_exchange_correlation_id(x));
}

void api__search_release(struct api__search_run *s)
{
    if (s->ask.op.answer != NULL) {
        api__discard(s->api, s->ask.op.answer, s->ask.op.answer_bytes);
        s->ask.op.answer = NULL;
    }
    cx_chroma_op_end(&s->ask.op);
    free(s->embedded);
    cx_vector_ask_free(&s->q.what.ask);
    if (s->api != NULL) {
        api__collection_release(s->api, &s->v);
    }
    json_decref(s->q.where);
    cx_vector_filter_free(&s->q.filter);
}
