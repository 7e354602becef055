/* SPDX-License-Identifier: MIT
 *
 * POST /vector/documents with JSON where a Chroma server keeps the documents: parse, ask what is there,
 * embed what is not, upsert. One upsert is all or nothing; a daemon that ends between it and its answer
 * does no harm, as the client sends it again. Without its vector nothing is stored: Chroma has no
 * documents that wait for one.
 */
#include "api/chroma_ask.h"

#include <stdlib.h>

#include "api/put.h"

#define ANSWER_REST_BYTES 512

struct chroma_put {
    struct api__put put; /* first: its steps find it here */
    struct cx_chroma_document *docs;
    bool of_client; /* clients bring the vectors */
    unsigned dimension;
    struct api__ask ask;
};

static enum cx_step_result put_check(struct cx_exchange *x);
static enum cx_step_result put_flatten(struct cx_exchange *x);
static enum cx_step_result put_look(struct cx_exchange *x);
static enum cx_step_result put_compare(struct cx_exchange *x);
static enum cx_step_result put_store(struct cx_exchange *x);
static enum cx_step_result put_reply(struct cx_exchange *x);

static const struct cx_step put_steps[] = {
    { "parse", api__put_parse, false }, /* loop, or waits: cpu lane where the body is large */
    { "check", put_check, false },      /* loop:  every fault of the input at once          */
    { "flatten", put_flatten, false },  /* waits: cpu lane: metadata as pairs; the ids      */
    { "look", put_look, false },        /* waits: Chroma: what is there?                    */
    { "compare", put_compare, false },  /* loop                                             */
    { "embed", api__put_embed, false }, /* waits: provider                                  */
    { "store", put_store, false },      /* waits: Chroma                                    */
    { "reply", put_reply, false },      /* loop                                             */
};
API_TOOL(api__chroma_put, "vector.index", put_steps, sizeof(struct chroma_put));

/* ---- check ---- */

static void release(void *arg);
static enum cx_status check_vectors(struct chroma_put *c, struct cx_err *err);

static enum cx_step_result put_check(struct cx_exchange *x)
{
    struct chroma_put *c = cx_exchange_state(x);
    const struct api__batch *b = &c->put.batch;
    cx_exchange_defer(x, release, c);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &c->put.faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    if (b->chunk.tokens > 0) {
        return cx_exchange_fail(x, CX_NOT_CONFIGURED,
                                "The Chroma store does not cut texts: chunk takes vector.backend = "
                                "local");
    }
    if (b->row_count > CX_CHROMA_DOCUMENTS_MAX) {
        return cx_exchange_fail(x, CX_TOO_LARGE,
                                "The Chroma store takes at most %d documents at once",
                                CX_CHROMA_DOCUMENTS_MAX);
    }
    struct cx_err err = { "" };
    const enum cx_status status = check_vectors(c, &err);
    c->put.wait = true; /* for the embedding service */
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

static enum cx_status check_vectors(struct chroma_put *c, struct cx_err *err)
{
    const struct api__batch *b = &c->put.batch;
    for (size_t i = 0; i < b->row_count; i++) {
        const struct cx_document *row = &b->rows[i];
        c->of_client = i == 0 ? row->own_vector : c->of_client;
        if (row->own_vector != c->of_client) {
            return cx_err_set(err, CX_CONFLICT,
                              "with the Chroma store all documents of a request bring a vector, or "
                              "none");
        }
        if (row->vector != NULL && c->dimension != 0 && row->dimension != c->dimension) {
            return cx_err_set(err, CX_CONFLICT,
                              "the vectors have %u and %u dimensions: a collection has one",
                              c->dimension, row->dimension);
        }
        c->dimension = row->vector != NULL ? row->dimension : c->dimension;
    }
    return CX_OK;
}

/* Before the release of the put that it works on. */
static void release(void *arg)
{
    struct chroma_put *c = arg;
    for (size_t i = 0; c->docs != NULL && i < c->put.batch.row_count; i++) {
        json_decref(c->docs[i].flat);
        json_decref(c->docs[i].before);
    }
    free(c->docs);
    c->docs = NULL;
    cx_chroma_op_end(&c->ask.op);
}

/* ---- flatten ---- */

static enum cx_status flatten_work(void *arg, struct cx_err *err);

static enum cx_step_result put_flatten(struct cx_exchange *x)
{
    struct chroma_put *c = cx_exchange_state(x);
    return cx_exchange_work(x, c->put.api->options.cpu_lane, CX_PRIORITY_NORMAL, flatten_work, c);
}

static enum cx_status flatten_work(void *arg, struct cx_err *err)
{
    struct chroma_put *c = arg;
    const struct api__batch *b = &c->put.batch;
    c->docs = cx_realloc_array(NULL, b->row_count, sizeof *c->docs);
    for (size_t i = 0; i < b->row_count; i++) {
        const struct cx_document *row = &b->rows[i];
        c->docs[i] = (struct cx_chroma_document){ .doc_id = row->doc_id,
                                                  .content = row->content,
                                                  .uri = row->uri,
                                                  .summary = row->summary,
                                                  .metadata = row->metadata,
                                                  .vector = row->own_vector ? row->vector : NULL };
    }
    for (size_t i = 0; i < b->row_count; i++) {
        json_t *metadata = NULL;
        enum cx_status status = cx_json_parse(b->rows[i].metadata, &metadata, err);
        if (status == CX_OK) {
            status = cx_vector_flatten(metadata, &c->docs[i].flat, err);
        }
        json_decref(metadata);
        if (status != CX_OK) {
            return status;
        }
    }
    cx_buf_init(&c->put.answer, API_ANSWER_MAX_BYTES);
    cx_buf_puts(&c->put.answer, "{\"ids\":");
    api__batch_write_ids(b, &c->put.answer);
    (void)cx_buf_reserve(&c->put.answer, ANSWER_REST_BYTES);
    return c->put.answer.failed ? cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY))
                                : CX_OK;
}

/* ---- look, compare ---- */

static struct cx_chroma_op operation(const struct chroma_put *c, enum cx_chroma_verb verb)
{
    return (struct cx_chroma_op){
        .verb = verb,
        .collection = c->put.batch.collection,
        .vectors = c->of_client ? CX_CHROMA_CLIENTS : CX_CHROMA_OURS,
        .dimension = c->dimension,
        .docs = c->docs,
        .doc_count = c->put.batch.row_count,
    };
}

static enum cx_step_result put_look(struct cx_exchange *x)
{
    struct chroma_put *c = cx_exchange_state(x);
    c->ask.op = operation(c, CX_CHROMA_LOOK);
    return api__chroma_ask(x, &c->ask);
}

static enum cx_step_result put_compare(struct cx_exchange *x)
{
    struct chroma_put *c = cx_exchange_state(x);
    struct api__batch *b = &c->put.batch;
    for (size_t i = 0; i < b->row_count; i++) {
        b->unchanged[i] = c->docs[i].unchanged;
    }
    return CX_STEP_NEXT;
}

/* ---- store, reply ---- */

static void on_stored(struct api__ask *ask);

static enum cx_step_result put_store(struct cx_exchange *x)
{
    struct chroma_put *c = cx_exchange_state(x);
    struct api__batch *b = &c->put.batch;
    bool any = false;
    for (size_t i = 0; i < b->row_count; i++) {
        if (b->unchanged[i]) {
            b->done.unchanged++;
            continue;
        }
        any = true;
        c->docs[i].vector = b->rows[i].vector;
        c->dimension = b->rows[i].dimension;
    }
    if (!any) {
        return CX_STEP_NEXT;
    }
    c->ask.op = operation(c, CX_CHROMA_PUT);
    c->ask.on_done = on_stored;
    c->ask.whatever_comes = true; /* what is stored is told of, client or not */
    return api__chroma_ask(x, &c->ask);
}

static void on_stored(struct api__ask *ask)
{
    struct chroma_put *c = cx_exchange_state(ask->x);
    struct cx_vector_put *done = &c->put.batch.done;
    for (size_t i = 0; ask->op.status == CX_OK && i < c->put.batch.row_count; i++) {
        if (!c->docs[i].unchanged) {
            *(c->docs[i].there ? &done->updated : &done->indexed) += 1;
        }
    }
}

static enum cx_step_result put_reply(struct cx_exchange *x)
{
    struct chroma_put *c = cx_exchange_state(x);
    api__batch_tell(&c->put.batch, x);
    api__batch_write_figures(&c->put.batch, &c->put.answer);
    return cx_exchange_reply_buf(x, 200, "application/json", &c->put.answer);
}
