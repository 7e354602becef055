/* SPDX-License-Identifier: MIT
 *
 * The way of a search of a local collection: its query becomes a vector, and what becomes of it where
 * the embedding service fails. Loop, but for api__search_now.
 */
#include "api/search_request.h"

#include <stdlib.h>

static void on_embedded(void *ctx, struct cx_embed_result *result);
static void cancel_embed(void *op);

enum cx_step_result api__search_embed(struct cx_exchange *x)
{
    struct api__search_run *s = cx_exchange_state(x);
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

enum cx_step_result api__search_judge(struct cx_exchange *x)
{
    struct api__search_run *s = cx_exchange_state(x);
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
    return CX_STEP_NEXT;
}

enum cx_status api__search_now(struct api__search_run *s, json_t **hits, struct cx_err *err)
{
    struct cx_db *db = cx_store_reader(s->api->options.store);
    const enum cx_status status = cx_vector_search(s->v, db, &s->q.what, hits, err);
    cx_store_return(s->api->options.store, db);
    return status;
}

void api__search_release(struct api__search_run *s)
{
    free(s->embedded);
    cx_vector_ask_free(&s->q.what.ask);
    if (s->api != NULL) {
        api__collection_release(s->api, &s->v);
    }
    cx_vector_filter_free(&s->q.filter);
}
