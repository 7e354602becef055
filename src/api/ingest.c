/* SPDX-License-Identifier: MIT
 *
 * POST /vector/documents with JSON: parse, ask what is unchanged, embed the rest, store. All or
 * nothing, and acknowledged means on disk. Where the embedding service fails, and the client did not
 * ask to wait for it, what needs a vector is stored without one, and gets it later (pending.c).
 */
#include "api/put.h"

#define ANSWER_REST_BYTES 512
#define STORE_MS 2000 /* of the request's time, kept for storing what has not been embedded */

static enum cx_step_result put_check(struct cx_exchange *x);
static enum cx_step_result put_compare(struct cx_exchange *x);
static enum cx_step_result put_store(struct cx_exchange *x);
static enum cx_step_result put_reply(struct cx_exchange *x);

static const struct cx_step put_steps[] = {
    { "parse", api__put_parse, false }, /* loop, or waits: cpu lane where the body is large */
    { "check", put_check, false },      /* loop:  every fault of the input at once          */
    { "compare", put_compare, false },  /* waits: read lane: what is there? and the ids     */
    { "embed", api__put_embed, false }, /* waits: provider                                  */
    { "store", put_store, true },       /* waits: write lane: one transaction; or pending    */
    { "reply", put_reply, false },      /* loop                                             */
};
API_TOOL(api__documents_put, "vector.index", put_steps, sizeof(struct api__put));

/* ---- parse ---- */

static void release_put(void *arg);
static enum cx_status put_parse_work(void *arg, struct cx_err *err);

enum cx_step_result api__put_parse(struct cx_exchange *x)
{
    const enum cx_step_result there = api__need_store(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct api__put *p = cx_exchange_state(x);
    p->x = x;
    p->api = api__of(x);
    p->text = cx_exchange_body(x);
    /* Vectors as numbers shrink when they become floats; 16 MiB more for the arrays beside them. */
    api__batch_init(&p->batch, p->api, 2 * p->text.len + ((size_t)16 << 20));
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
    struct api__put *p = arg;
    api__batch_tell(&p->batch, p->x); /* where the client has left before its answer */
    api__batch_free(&p->batch);
    api__collection_release(p->api, &p->v);
    if (p->body != NULL) {
        api__discard(p->api, p->body, p->text.len);
    }
    cx_faults_free(&p->faults);
    cx_buf_free(&p->answer);
}

static enum cx_status read_documents(struct api__put *p, struct cx_reader *r, const json_t *list,
                                     struct cx_err *err);

static enum cx_status put_parse_work(void *arg, struct cx_err *err)
{
    struct api__put *p = arg;
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
    return status;
}

static void check_ids_differ(struct api__put *p, struct cx_reader *list_reader, const json_t *list);

static enum cx_status read_documents(struct api__put *p, struct cx_reader *r, const json_t *list,
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

static void check_ids_differ(struct api__put *p, struct cx_reader *list_reader, const json_t *list)
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

/* ---- check, compare ---- */

static enum cx_step_result put_check(struct cx_exchange *x)
{
    struct api__put *p = cx_exchange_state(x);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &p->faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    /* What cannot be stored need not be embedded; whether it can is decided when it is stored. */
    struct cx_err err = { "" };
    enum cx_status status = cx_vector_find_or_new(p->api->vector, p->batch.collection, &p->v, &err);
    if (status == CX_OK) {
        p->batch.v = p->v;
        status = cx_vector_check(p->v, p->batch.rows, p->batch.row_count, &err);
    }
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

static enum cx_status put_compare_work(void *arg, struct cx_err *err);

static enum cx_step_result put_compare(struct cx_exchange *x)
{
    struct api__put *p = cx_exchange_state(x);
    return cx_exchange_work(x, p->api->options.read_lane, CX_PRIORITY_NORMAL, put_compare_work, p);
}

/* Thousands of ids are not the loop's to write; how it went is appended there. */
static enum cx_status put_compare_work(void *arg, struct cx_err *err)
{
    struct api__put *p = arg;
    const enum cx_status status = api__batch_compare(&p->batch, err);
    cx_buf_init(&p->answer, API_ANSWER_MAX_BYTES);
    cx_buf_puts(&p->answer, "{\"ids\":");
    api__batch_write_ids(&p->batch, &p->answer);
    (void)cx_buf_reserve(&p->answer, ANSWER_REST_BYTES);
    return status == CX_OK && p->answer.failed
               ? cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY))
               : status;
}

/* ---- embed ---- */

static uint64_t embed_ms(struct cx_exchange *x, const struct api__put *p);
static void on_embedded(void *ctx, struct cx_embed_result *result);
static void cancel_embed(void *op);

enum cx_step_result api__put_embed(struct cx_exchange *x)
{
    struct api__put *p = cx_exchange_state(x);
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
static uint64_t embed_ms(struct cx_exchange *x, const struct api__put *p)
{
    const uint64_t left_ms = cx_exchange_left_ms(x);
    const uint64_t kept_ms = left_ms / 4 < STORE_MS ? left_ms / 4 : STORE_MS;
    return p->wait ? api__embed_ms(x) : left_ms - kept_ms;
}

static void cancel_embed(void *op)
{
    struct api__put *p = op;
    if (p->call != NULL) {
        cx_embed_call_cancel(p->call);
    }
}

static void on_embedded(void *ctx, struct cx_embed_result *result)
{
    struct cx_exchange *x = ctx;
    struct api__put *p = cx_exchange_state(x);
    p->call = NULL;
    api__batch_embedded(&p->batch, result);
    cx_exchange_resume(x, result->status, &result->err);
}

/* ---- store, reply ---- */

static enum cx_status put_store_work(void *arg, struct cx_err *err);

static enum cx_step_result put_store(struct cx_exchange *x)
{
    struct api__put *p = cx_exchange_state(x);
    const char *detail = NULL;
    const enum cx_status outcome = cx_exchange_outcome(x, &detail);
    if (outcome != CX_OK) {
        if (p->wait || !api__embedding_failed(outcome)) {
            return cx_exchange_fail(x, outcome, "%s",
                                    detail != NULL ? detail : cx_status_text(outcome));
        }
        api__batch_do_without(&p->batch);
    }
    return cx_exchange_work(x, p->api->options.write_lane, CX_PRIORITY_NORMAL, put_store_work, p);
}

static enum cx_status put_store_work(void *arg, struct cx_err *err)
{
    struct api__put *p = arg;
    return api__batch_store(&p->batch, err);
}

static enum cx_step_result put_reply(struct cx_exchange *x)
{
    struct api__put *p = cx_exchange_state(x);
    api__batch_tell(&p->batch, x);
    api__batch_write_figures(&p->batch, &p->answer);
    return cx_exchange_reply_buf(x, 200, "application/json", &p->answer);
}
