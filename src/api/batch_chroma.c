/* SPDX-License-Identifier: MIT
 *
 * Batches that go to a Chroma server:
 *
 *   compare   FLATTEN → LOOK: what is there?
 *   store     [LOOK_AGAIN] → FIND texts that have become passages, and passages that their text has no
 *             more → PUT → REMOVE these
 *
 * It is looked at again where batches before it were on their way: they may have changed it. An upsert is all or nothing, and a request's documents are one; of a stream a batch may take several,
 * where it makes thousands of passages or many megabytes. What is to go is removed after it, so that nothing
 * is lost between the two: a batch that was not answered may be there in part, and is whole when it has
 * been sent again. Without its vector nothing is stored: Chroma has no documents that wait for one.
 *
 * Loop thread, but for the check and flatten_work, and what Chroma's operations do on their lane.
 */
#include <stdlib.h>

#include "api/batch_chroma.h"

static enum cx_status open_chroma(struct cx_api *api, struct cx_str collection,
                                  struct cx_vector **v, struct cx_err *err);
static enum cx_status check_chroma(const struct api__batch *b, size_t row_count,
                                   struct cx_err *err);
static enum cx_status compare_chroma(struct api__batch *b);
static enum cx_status store_chroma(struct api__batch *b);
static void cancel_chroma(struct api__batch *b);
static void release_chroma(struct api__batch *b);

const struct api__batch_target api__batch_chroma = {
    .check_takes_long = true,
    .open = open_chroma,
    .check = check_chroma,
    .compare = compare_chroma,
    .store = store_chroma,
    .cancel = cancel_chroma,
    .release = release_chroma,
};

static enum cx_status open_chroma(struct cx_api *api, struct cx_str collection,
                                  struct cx_vector **v, struct cx_err *err)
{
    (void)v;
    return cx_chroma_check_name(api->options.chroma, collection, err);
}

/* ---- check ---- */

static enum cx_status check_row(const struct api__batch *b, size_t row, unsigned *dimension,
                                struct cx_err *err);

static enum cx_status check_chroma(const struct api__batch *b, size_t row_count, struct cx_err *err)
{
    if (b->whole && row_count > CX_CHROMA_DOCUMENTS_MAX) {
        return cx_err_set(err, CX_TOO_LARGE,
                          "The Chroma store takes at most %d documents, or passages, at once",
                          CX_CHROMA_DOCUMENTS_MAX);
    }
    unsigned dimension = 0;
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < row_count && status == CX_OK; i++) {
        status = check_row(b, i, &dimension, err);
    }
    return status;
}

static enum cx_status flatten(const struct api__batch *b, size_t row, json_t **flat,
                              struct cx_err *err)
{
    json_t *metadata = NULL;
    enum cx_status status = cx_json_parse(api__batch_metadata(b, row), &metadata, err);
    if (status == CX_OK) {
        status = cx_vector_flatten(metadata, flat, err);
    }
    json_decref(metadata);
    return status;
}

static enum cx_status check_row(const struct api__batch *b, size_t row, unsigned *dimension,
                                struct cx_err *err)
{
    const struct cx_document *doc = &b->rows[row];
    if (doc->vector != NULL && *dimension != 0 && doc->dimension != *dimension) {
        return cx_err_set(err, CX_CONFLICT,
                          "the vectors have %u and %u dimensions: a collection has one", *dimension,
                          doc->dimension);
    }
    *dimension = doc->vector != NULL ? doc->dimension : *dimension;
    json_t *flat = NULL;
    const enum cx_status status = flatten(b, row, &flat, err);
    json_decref(flat);
    return status;
}

/* ---- compare ---- */

static void flatten_work(void *arg);
static void on_flattened(void *arg, enum cx_status status);
static void forget_docs(struct api__batch *b);
static void next(struct api__batch *b);
static enum cx_status go(struct api__batch *b, bool *over);

static enum cx_status compare_chroma(struct api__batch *b)
{
    if (b->chroma == NULL) {
        b->chroma = cx_alloc(sizeof *b->chroma);
    }
    struct api__chroma_batch *c = b->chroma;
    c->phase = FLATTEN;
    c->until_ms = cx_loop_now_ms(b->api->options.loop) + b->time_ms;
    return cx_lane_submit(b->api->options.cpu_lane, CX_PRIORITY_NORMAL, flatten_work, on_flattened,
                          b, &b->op.job);
}

static void index_sent(struct api__batch *b);

static void flatten_work(void *arg)
{
    struct api__batch *b = arg;
    struct api__chroma_batch *c = b->chroma;
    forget_docs(b);
    c->docs = cx_alloc((b->row_count + 1) * sizeof *c->docs);
    c->of_clients = true;
    c->dimension = 0;
    for (size_t i = 0; i < b->row_count; i++) {
        const struct cx_document *row = &b->rows[i];
        c->of_clients = c->of_clients && row->own_vector;
        c->dimension = row->vector != NULL ? row->dimension : c->dimension;
        c->docs[i] = (struct cx_chroma_document){ .doc_id = row->doc_id,
                                                  .content = row->content,
                                                  .uri = row->uri,
                                                  .summary = row->summary,
                                                  .metadata = row->metadata,
                                                  .vector = row->own_vector ? row->vector : NULL };
        b->op.status = flatten(b, i, &c->docs[i].flat, &b->op.err);
        if (b->op.status != CX_OK) {
            return;
        }
    }
    if (c->rows == NULL) {
        index_sent(b);
    }
    b->op.status = CX_OK;
}

static void index_sent(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    c->rows = json_object();
    c->parents = json_object();
    c->parent_ids = cx_alloc((b->sent_count + 1) * sizeof *c->parent_ids);
    for (size_t i = 0; i < b->row_count; i++) {
        const struct cx_str id = b->rows[i].doc_id;
        (void)json_object_setn_new(c->rows, id.p, id.len, json_true());
    }
    for (size_t i = 0; i < b->sent_count; i++) {
        const struct api__sent *sent = &b->sent[i];
        if (sent->count == 0) {
            continue; /* a later one takes its place */
        }
        const bool cut = b->rows[sent->first].parent.p != NULL;
        c->has_passages = c->has_passages || cut;
        (void)json_object_setn_new(c->parents, sent->doc_id.p, sent->doc_id.len,
                                   json_integer(cut ? (json_int_t)sent->count : 0));
        c->parent_ids[c->parent_count++] = sent->doc_id;
    }
}

static void forget_docs(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    for (size_t i = 0; c->docs != NULL && i < b->row_count; i++) {
        json_decref(c->docs[i].flat);
        json_decref(c->docs[i].before);
    }
    free(c->docs);
    c->docs = NULL;
}

static void on_flattened(void *arg, enum cx_status status)
{
    struct api__batch *b = arg;
    b->op.job = NULL;
    status = status == CX_OK ? b->op.status : status;
    if (status != CX_OK) {
        api__batch_done(b, status);
        return;
    }
    b->chroma->phase = LOOK;
    b->chroma->at = 0;
    next(b);
}

/* ---- store ---- */

static enum cx_status take_vectors(struct api__batch *b);

static enum cx_status store_chroma(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    b->done = (struct cx_vector_put){ 0 };
    for (size_t i = 0; i < b->row_count; i++) { /* as they are looked at */
        c->docs[i].vector = b->rows[i].own_vector ? b->rows[i].vector : NULL;
    }
    api__chroma_batch_forget_gone(c);
    c->parents_max = API_CHROMA_PARENTS_MAX;
    c->until_ms = cx_loop_now_ms(b->api->options.loop) + b->time_ms;
    c->at = 0;
    c->phase = b->others_before ? LOOK_AGAIN : FIND_WHOLE;
    bool over = false;
    const enum cx_status status = go(b, &over);
    CX_CHECK(!over); /* there is something to find, or to put */
    return status;
}

static enum cx_status take_vectors(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    for (size_t i = 0; i < b->row_count; i++) {
        const struct cx_document *row = &b->rows[i];
        if (c->docs[i].unchanged) {
            continue;
        }
        if (row->vector == NULL) {
            return cx_err_set(&b->op.err, CX_CONFLICT,
                              "document \"%.*s\" was changed by another request; send it again",
                              (int)(row->doc_id.len < 128 ? row->doc_id.len : 128), row->doc_id.p);
        }
        if (c->dimension != 0 && row->dimension != c->dimension) {
            return cx_err_set(&b->op.err, CX_CONFLICT,
                              "the vectors have %u and %u dimensions: a collection has one",
                              c->dimension, row->dimension);
        }
        c->dimension = row->dimension;
        c->docs[i].vector = row->vector;
    }
    return CX_OK;
}

/* ---- One operation after the other ---- */

static bool begin_next_phase(struct api__batch *b, enum cx_status *status);
static void on_answered(void *ctx);
static void finish(struct api__batch *b, enum cx_status status);

/* The next operation of this phase, or of the ones after it; *over: none is left. */
static enum cx_status go(struct api__batch *b, bool *over)
{
    struct api__chroma_batch *c = b->chroma;
    enum cx_status status = CX_OK;
    while (!api__chroma_batch_make(b)) {
        c->at = 0;
        *over = !begin_next_phase(b, &status);
        if (*over || status != CX_OK) {
            return status;
        }
    }
    *over = false;
    const uint64_t now_ms = cx_loop_now_ms(b->api->options.loop);
    c->op.collection = b->collection;
    c->op.traceparent = b->traceparent;
    c->op.time_ms = !b->whole ? b->time_ms : c->until_ms > now_ms ? c->until_ms - now_ms : 0;
    status = cx_chroma_start(b->api->options.chroma, &c->op, on_answered, b, &b->op.err);
    b->op.retry_after_ms = c->op.retry_after_ms;
    b->op.full = status == CX_OVERLOADED;
    return status;
}

static bool begin_next_phase(struct api__batch *b, enum cx_status *status)
{
    struct api__chroma_batch *c = b->chroma;
    switch (c->phase) {
    case LOOK_AGAIN:
        c->phase = FIND_WHOLE;
        return true;
    case FIND_WHOLE:
        c->phase = FIND_PASSAGES;
        return true;
    case FIND_PASSAGES:
        c->phase = PUT;
        *status = take_vectors(b);
        return true;
    case PUT:
        c->phase = REMOVE;
        return true;
    case FLATTEN:
    case LOOK:
    case REMOVE:
        break;
    }
    return false;
}

static void next(struct api__batch *b)
{
    bool over = false;
    const enum cx_status status = b->chroma->cancelled ? CX_CANCELLED : go(b, &over);
    if (over || status != CX_OK) {
        finish(b, status);
    }
}

static void finish(struct api__batch *b, enum cx_status status)
{
    for (size_t i = 0; b->chroma->phase == REMOVE && i < b->row_count; i++) {
        b->done.unchanged += b->chroma->docs[i].unchanged ? 1 : 0;
    }
    api__batch_done(b, status);
}

static void on_answered(void *ctx)
{
    struct api__batch *b = ctx;
    struct api__chroma_batch *c = b->chroma;
    b->op.err = c->op.err;
    b->op.retry_after_ms = c->op.retry_after_ms;
    const enum cx_status status = api__chroma_batch_take(b);
    cx_chroma_op_end(&c->op);
    json_decref(c->where);
    c->where = NULL;
    if (status != CX_OK) {
        api__batch_done(b, status);
    } else {
        next(b);
    }
}

/* ---- End ---- */

static void cancel_chroma(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    if (c->phase >= LOOK_AGAIN) {
        return; /* what is stored is told of, client or not */
    }
    c->cancelled = true;
    if (b->op.job != NULL) {
        cx_job_cancel(b->op.job);
    } else {
        cx_chroma_cancel(&c->op);
    }
}

static void release_chroma(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    if (c == NULL) {
        return;
    }
    cx_chroma_op_end(&c->op);
    forget_docs(b);
    api__chroma_batch_forget_gone(c);
    free(c->gone);
    free(c->parent_ids);
    json_decref(c->rows);
    json_decref(c->parents);
    json_decref(c->where);
    free(c);
    b->chroma = NULL;
}
