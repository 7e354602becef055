/* SPDX-License-Identifier: MIT
 *
 * POST /vector/documents with JSON: parse, ask what is unchanged, embed the rest, store. All or
 * nothing, and acknowledged means on disk. Where the embedding service fails, and the client did not
 * ask to wait for it, what needs a vector is stored without one where the store keeps such, and gets it
 * later (pending.c).
 */
#include "api/batch.h"

#define ANSWER_REST_BYTES 512
#define STORE_MS 2000 /* of the request's time, kept for storing what has not been embedded */

struct put {
    struct cx_exchange *x;
    struct cx_api *api;
    struct cx_str text; /* the body, borrowed */
    json_t *body;
    struct cx_faults faults;
    struct cx_vector *v;
    bool wait; /* for the embedding service: else an error */
    struct api__batch batch;
    struct cx_embed_call *call;
    struct cx_buf answer; /* {"ids":[…] until it is known how it went */
};

static enum cx_step_result put_parse(struct cx_exchange *x);
static enum cx_step_result put_check(struct cx_exchange *x);
static enum cx_step_result put_embed(struct cx_exchange *x);
static enum cx_step_result put_compare(struct cx_exchange *x);
static enum cx_step_result put_store(struct cx_exchange *x);
static enum cx_step_result put_reply(struct cx_exchange *x);

static const struct cx_step put_steps[] = {
    { "parse", put_parse, false },     /* loop, or waits: cpu lane where the body is large    */
    { "check", put_check, false },     /* loop:  every fault of the input at once             */
    { "compare", put_compare, false }, /* waits: read lane, or Chroma: what is there?         */
    { "embed", put_embed, false },     /* waits: provider                                     */
    { "store", put_store, true },      /* waits: write lane, or Chroma: all of it; or pending */
    { "reply", put_reply, true },      /* loop; or compares once more                         */
};
API_TOOL(api__documents_put, "vector.index", put_steps, sizeof(struct put));

/* ---- parse ---- */

static void release_put(void *arg);
static enum cx_status put_parse_work(void *arg, struct cx_err *err);

static enum cx_step_result put_parse(struct cx_exchange *x)
{
    const enum cx_step_result there = api__need_store(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct put *p = cx_exchange_state(x);
    p->x = x;
    p->api = api__of(x);
    p->text = cx_exchange_body(x);
    /* Vectors as numbers shrink when they become floats; 16 MiB more for the arrays beside them. */
    api__batch_init(&p->batch, p->api, 2 * p->text.len + ((size_t)16 << 20));
    p->batch.whole = true;
    cx_faults_init(&p->faults);
    cx_exchange_defer(x, release_put, p);
    if (p->text.len > API_INLINE_BODY_BYTES) {
        return cx_exchange_work(x, p->api->options.cpu_lane, CX_PRIORITY_NORMAL, put_parse_work, p);
    }
    struct cx_err err = { "" };
    const enum cx_status status = put_parse_work(p, &err);
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

static void release_put(void *arg)
{
    struct put *p = arg;
    api__batch_tell(&p->batch, p->x); /* where the client has left before its answer */
    api__batch_free(&p->batch);
    api__collection_release(p->api, &p->v);
    if (p->body != NULL) {
        api__discard(p->api, p->body, p->text.len);
    }
    cx_faults_free(&p->faults);
    cx_buf_free(&p->answer);
}

static enum cx_status read_documents(struct put *p, struct cx_reader *r, const json_t *list,
                                     struct cx_err *err);
static enum cx_status write_ids(struct put *p, struct cx_err *err);

static enum cx_status put_parse_work(void *arg, struct cx_err *err)
{
    struct put *p = arg;
    const enum cx_status parsed = cx_json_parse(p->text, &p->body, err);
    if (parsed != CX_OK) {
        return parsed;
    }
    struct cx_reader r;
    cx_reader_init(&r, p->body, &p->faults, "body");
    const json_t *list = NULL;
    p->batch.collection = CX_STR("default");
    api__read_collection(&r, &p->batch.collection);
    if (!cx_collection_name_valid(p->batch.collection)) {
        cx_read_fault(&r, "collection", "value", API_COLLECTION_SENTENCE);
    }
    api__read_chunk(&r, &p->batch.chunk);
    cx_read_bool(&r, "wait", CX_OPTIONAL, &p->wait);
    enum cx_status status = CX_OK;
    if (cx_read_array(&r, "documents", CX_REQUIRED, 1, API_DOCUMENTS_MAX, &list)) {
        status = read_documents(p, &r, list, err);
    }
    cx_reader_free(&r);
    return status == CX_OK && p->faults.count == 0 ? write_ids(p, err) : status;
}

static void check_ids_differ(struct put *p, struct cx_reader *list_reader, const json_t *list);

static enum cx_status read_documents(struct put *p, struct cx_reader *r, const json_t *list,
                                     struct cx_err *err)
{
    const size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++) {
        struct cx_reader element;
        cx_reader_init_element(&element, r, "documents", i, json_array_get(list, i));
        api__batch_read(&p->batch, &element, 0);
        cx_reader_free(&element);
    }
    const enum cx_status status = api__batch_read_done(&p->batch, err);
    if (status == CX_OK && p->faults.count == 0) {
        check_ids_differ(p, r, list);
    }
    return status;
}

static void check_ids_differ(struct put *p, struct cx_reader *list_reader, const json_t *list)
{
    for (size_t i = 0; i < p->batch.sent_count; i++) {
        if (p->batch.sent[i].repeats) {
            struct cx_reader element;
            cx_reader_init_element(&element, list_reader, "documents", i, json_array_get(list, i));
            cx_read_fault(&element, "doc_id", "value", "must not stand twice in one request");
            cx_reader_free(&element);
        }
    }
}

/* Thousands of ids are not the loop's to write; how it went is appended there. */
static enum cx_status write_ids(struct put *p, struct cx_err *err)
{
    cx_buf_init(&p->answer, API_ANSWER_MAX_BYTES);
    cx_buf_puts(&p->answer, "{\"ids\":");
    api__batch_write_ids(&p->batch, &p->answer);
    (void)cx_buf_reserve(&p->answer, ANSWER_REST_BYTES);
    return p->answer.failed ? cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY))
                            : CX_OK;
}

/* ---- check, compare ---- */

static enum cx_status put_check_work(void *arg, struct cx_err *err);

static enum cx_step_result put_check(struct cx_exchange *x)
{
    struct put *p = cx_exchange_state(x);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &p->faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    const struct api__batch_target *target = p->batch.target;
    p->wait = p->wait || !target->keeps_pending;
    struct cx_err err = { "" };
    enum cx_status status = target->open(p->api, p->batch.collection, &p->v, &err);
    if (status == CX_OK) {
        p->batch.v = p->v;
        p->batch.traceparent = cx_exchange_traceparent(x);
    }
    if (status == CX_OK && target->check_takes_long) {
        return cx_exchange_work(x, p->api->options.cpu_lane, CX_PRIORITY_NORMAL, put_check_work, p);
    }
    if (status == CX_OK) {
        status = put_check_work(p, &err);
    }
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

/* What cannot be stored need not be embedded; whether it can is decided when it is stored. */
static enum cx_status put_check_work(void *arg, struct cx_err *err)
{
    struct put *p = arg;
    return p->batch.target->check(&p->batch, p->batch.row_count, err);
}

static enum cx_step_result wait_for(struct cx_exchange *x, struct put *p, enum cx_status begun);
static void on_batch_done(void *ctx, enum cx_status status, const struct cx_err *err);
static void cancel_batch(void *op);

static enum cx_step_result put_compare(struct cx_exchange *x)
{
    struct put *p = cx_exchange_state(x);
    p->batch.time_ms = api__embed_ms(x);
    return wait_for(x, p, api__batch_compare(&p->batch, on_batch_done, p));
}

static enum cx_step_result wait_for(struct cx_exchange *x, struct put *p, enum cx_status begun)
{
    if (begun == CX_OK) {
        return cx_exchange_wait(x, cancel_batch, p);
    }
    const char *text = p->batch.op.err.text;
    api__say_when(x, begun, p->batch.op.retry_after_ms);
    return cx_exchange_fail(x, begun, "%s", text[0] != '\0' ? text : cx_status_text(begun));
}

static void on_batch_done(void *ctx, enum cx_status status, const struct cx_err *err)
{
    struct put *p = ctx;
    api__say_when(p->x, status, p->batch.op.retry_after_ms);
    cx_exchange_resume(p->x, status, err);
}

static void cancel_batch(void *op)
{
    struct put *p = op;
    api__batch_cancel(&p->batch);
}

/* ---- embed ---- */

static uint64_t embed_ms(struct cx_exchange *x, const struct put *p);
static void on_embedded(void *ctx, struct cx_embed_result *result);
static void cancel_embed(void *op);

static enum cx_step_result put_embed(struct cx_exchange *x)
{
    struct put *p = cx_exchange_state(x);
    if (!api__batch_texts(&p->batch)) {
        return CX_STEP_NEXT;
    }
    struct cx_err err = { "" };
    const enum cx_status status = cx_embedder_start(
        p->api->options.embedder, CX_EMBED_DOCUMENT, p->batch.texts, p->batch.text_count,
        embed_ms(x, p), cx_exchange_traceparent(x), on_embedded, x, &p->call, &err);
    if (status != CX_OK && !p->wait && api__embedding_failed(status)) {
        api__batch_do_without(&p->batch);
        return CX_STEP_NEXT;
    }
    if (status != CX_OK) {
        return cx_exchange_fail(x, status, "%s",
                                err.text[0] != '\0' ? err.text : cx_status_text(status));
    }
    return cx_exchange_wait(x, cancel_embed, p);
}

/* A service that does not answer must leave the time to store what it does not answer for. */
static uint64_t embed_ms(struct cx_exchange *x, const struct put *p)
{
    const uint64_t left_ms = cx_exchange_left_ms(x);
    const uint64_t kept_ms = left_ms / 4 < STORE_MS ? left_ms / 4 : STORE_MS;
    return p->wait ? api__embed_ms(x) : left_ms - kept_ms;
}

static void cancel_embed(void *op)
{
    struct put *p = op;
    if (p->call != NULL) {
        cx_embed_call_cancel(p->call);
    }
}

static void on_embedded(void *ctx, struct cx_embed_result *result)
{
    struct cx_exchange *x = ctx;
    struct put *p = cx_exchange_state(x);
    p->call = NULL;
    api__batch_embedded(&p->batch, result);
    cx_exchange_resume(x, result->status, &result->err);
}

/* ---- store, reply ---- */

static enum cx_step_result put_store(struct cx_exchange *x)
{
    struct put *p = cx_exchange_state(x);
    const char *detail = NULL;
    const enum cx_status outcome = cx_exchange_outcome(x, &detail);
    if (outcome != CX_OK) {
        if (p->wait || !api__embedding_failed(outcome)) {
            return cx_exchange_fail(x, outcome, "%s",
                                    detail != NULL ? detail : cx_status_text(outcome));
        }
        api__batch_do_without(&p->batch);
    }
    p->batch.time_ms = api__embed_ms(x);
    return wait_for(x, p, api__batch_store(&p->batch, on_batch_done, p));
}

/* What was found unchanged may have been changed by another request since. */
static enum cx_step_result put_reply(struct cx_exchange *x)
{
    struct put *p = cx_exchange_state(x);
    const char *detail = NULL;
    const enum cx_status outcome = cx_exchange_outcome(x, &detail);
    if (outcome == CX_CONFLICT && api__batch_again(&p->batch)) {
        cx_exchange_go_to(x, put_compare);
        return CX_STEP_NEXT;
    }
    if (outcome != CX_OK) {
        return cx_exchange_fail(x, outcome, "%s",
                                detail != NULL ? detail : cx_status_text(outcome));
    }
    api__batch_tell(&p->batch, x);
    api__batch_write_figures(&p->batch, &p->answer);
    return cx_exchange_reply_buf(x, 200, "application/json", &p->answer);
}
