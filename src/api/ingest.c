/* SPDX-License-Identifier: MIT
 *
 * POST /vector/documents: parse, ask what is unchanged, embed the rest, store. All or nothing, and
 * acknowledged means on disk. Where the embedding service fails, and the client did not ask to wait
 * for it, what needs a vector is stored without one, and gets it later (pending.c).
 */
#include "api/api_internal.h"

#include <stdlib.h>
#include <string.h>

#define URI_MAX_CHARS 4096
#define SUMMARY_MAX_CHARS 10000
#define ANSWER_REST_BYTES 512
#define EVENT_IDS_MAX 256
#define STORE_MS 2000 /* of the request's time, kept for storing what has not been embedded */

struct put {
    struct cx_exchange *x;
    struct cx_api *api;
    struct cx_str text;     /* the body, borrowed */
    struct cx_arena arena;  /* what parsing makes; its own because a worker fills it */
    struct cx_buf metadata; /* the documents' metadata texts, one after the other */
    json_t *body;
    struct cx_faults faults;
    bool out_of_memory;
    struct cx_str collection; /* borrowed from the body */
    struct cx_vector *v;
    bool wait; /* for the embedding service: else an error */
    struct cx_document *docs;
    size_t count;
    bool *unchanged;
    struct cx_str *texts; /* of the documents that need a vector */
    size_t *text_owner;   /* the index of each text's document */
    size_t text_count;
    struct cx_embed_call *call;
    float *embedded; /* the provider's, freed with the exchange */
    size_t truncated;
    uint64_t embed_ns;
    struct cx_vector_put done; /* what is on disk … */
    bool told;                 /* … and whether the bus knows */
    struct cx_buf answer;      /* {"ids":[…] until it is known how it went */
};

static enum cx_step_result put_parse(struct cx_exchange *x);
static enum cx_step_result put_check(struct cx_exchange *x);
static enum cx_step_result put_compare(struct cx_exchange *x);
static enum cx_step_result put_embed(struct cx_exchange *x);
static enum cx_step_result put_store(struct cx_exchange *x);
static enum cx_step_result put_reply(struct cx_exchange *x);

static const struct cx_step put_steps[] = {
    { "parse", put_parse, false },     /* loop, or waits: cpu lane where the body is large */
    { "check", put_check, false },     /* loop:  every fault of the input at once          */
    { "compare", put_compare, false }, /* waits: read lane: what is there? and the ids     */
    { "embed", put_embed, false },     /* waits: provider                                  */
    { "store", put_store, true },      /* waits: write lane: one transaction; or pending    */
    { "reply", put_reply, false },     /* loop                                             */
};
API_TOOL(api__documents_put, "vector.index", put_steps, sizeof(struct put));

/* ---- parse ---- */

static void release_put(void *arg);
static enum cx_status put_parse_work(void *arg, struct cx_err *err);

static enum cx_step_result put_parse(struct cx_exchange *x)
{
    const enum cx_step_result there = api__need_vector(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct put *p = cx_exchange_state(x);
    p->x = x;
    p->api = api__of(x);
    p->text = cx_exchange_body(x);
    /* Vectors as numbers shrink when they become floats; 16 MiB more for the arrays beside them. */
    const size_t ceiling = 2 * p->text.len + ((size_t)16 << 20);
    cx_arena_init(&p->arena, ceiling);
    cx_buf_init(&p->metadata, ceiling);
    cx_faults_init(&p->faults);
    cx_exchange_defer(x, release_put, p);
    if (p->text.len > API_INLINE_BODY_BYTES) {
        return cx_exchange_work(x, p->api->options.cpu_lane, CX_PRIORITY_NORMAL, put_parse_work, p);
    }
    struct cx_err err = { "" };
    const enum cx_status status = put_parse_work(p, &err);
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

static void tell_indexed(struct put *p);

static void release_put(void *arg)
{
    struct put *p = arg;
    tell_indexed(p); /* where the client has left before its answer */
    api__collection_release(p->api, &p->v);
    free(p->embedded);
    if (p->body != NULL) {
        api__discard(p->api, p->body, p->text.len);
    }
    cx_faults_free(&p->faults);
    cx_buf_free(&p->metadata);
    cx_buf_free(&p->answer);
    cx_arena_free(&p->arena);
}

static enum cx_status read_documents(struct put *p, struct cx_reader *r, const json_t *list,
                                     struct cx_err *err);

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
    p->collection = CX_STR("default");
    api__read_collection(&r, &p->collection);
    if (!cx_collection_name_valid(p->collection)) {
        cx_read_fault(&r, "collection", "value",
                      "must have 1 to %d letters, digits, '.', '_' or '-'", CX_COLLECTION_NAME_MAX);
    }
    cx_read_bool(&r, "wait", CX_OPTIONAL, &p->wait);
    enum cx_status status = CX_OK;
    if (cx_read_array(&r, "documents", CX_REQUIRED, 1, API_DOCUMENTS_MAX, &list)) {
        status = read_documents(p, &r, list, err);
    }
    cx_reader_free(&r);
    return status;
}

static void read_document(struct put *p, struct cx_reader *r, struct cx_document *doc,
                          size_t *metadata_at);
static void check_ids_differ(struct put *p, struct cx_reader *list_reader);

static enum cx_status read_documents(struct put *p, struct cx_reader *r, const json_t *list,
                                     struct cx_err *err)
{
    const size_t count = json_array_size(list);
    p->docs = cx_arena_alloc(&p->arena, count * sizeof *p->docs);
    p->unchanged = cx_arena_alloc(&p->arena, count * sizeof *p->unchanged);
    p->texts = cx_arena_alloc(&p->arena, count * sizeof *p->texts);
    p->text_owner = cx_arena_alloc(&p->arena, count * sizeof *p->text_owner);
    size_t *metadata_at = cx_arena_alloc(&p->arena, (count + 1) * sizeof *metadata_at);
    if (p->docs == NULL || p->unchanged == NULL || p->texts == NULL || p->text_owner == NULL ||
        metadata_at == NULL) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    p->count = count;
    for (size_t i = 0; i < count; i++) {
        struct cx_reader element;
        cx_reader_init_element(&element, r, "documents", i, json_array_get(list, i));
        read_document(p, &element, &p->docs[i], &metadata_at[i]);
        cx_reader_free(&element);
    }
    if (p->metadata.failed) {
        return cx_err_set(err, CX_TOO_LARGE, "The documents' metadata are too large");
    }
    if (p->out_of_memory) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    metadata_at[count] = p->metadata.len;
    for (size_t i = 0; i < count; i++) {
        /* Only now: the buffer may have moved while it grew. */
        p->docs[i].metadata = (struct cx_str){ p->metadata.data + metadata_at[i],
                                               metadata_at[i + 1] - metadata_at[i] };
    }
    if (p->faults.count == 0) {
        check_ids_differ(p, r);
    }
    return CX_OK;
}

static void read_document(struct put *p, struct cx_reader *r, struct cx_document *doc,
                          size_t *metadata_at)
{
    *metadata_at = p->metadata.len;
    cx_read_string(r, "content", CX_REQUIRED, 1, SIZE_MAX, &doc->content);
    if (cx_read_string(r, "doc_id", CX_OPTIONAL, 1, API_DOC_ID_MAX_BYTES, &doc->doc_id) &&
        doc->doc_id.len > API_DOC_ID_MAX_BYTES) {
        cx_read_fault(r, "doc_id", "length", "must be at most %d bytes", API_DOC_ID_MAX_BYTES);
    }
    doc->uri = CX_STR("");
    cx_read_string(r, "uri", CX_OPTIONAL, 0, URI_MAX_CHARS, &doc->uri);
    cx_read_string(r, "summary", CX_OPTIONAL, 0, SUMMARY_MAX_CHARS, &doc->summary);
    const json_t *metadata = NULL;
    if (cx_read_object(r, "metadata", CX_OPTIONAL, &metadata)) {
        cx_json_write(metadata, &p->metadata);
    } else {
        cx_buf_puts(&p->metadata, "{}");
    }
    doc->own_vector = api__read_vector(r, &p->arena, &doc->vector, &doc->dimension);
    if (doc->doc_id.p == NULL && doc->content.p != NULL) {
        char *id = cx_arena_alloc(&p->arena, 33);
        if (id == NULL) {
            p->out_of_memory = true;
            return;
        }
        cx_document_make_id(p->collection, doc->uri, doc->content, id);
        doc->doc_id = cx_str_of(id);
    }
}

static void check_ids_differ(struct put *p, struct cx_reader *list_reader)
{
    json_t *seen = json_object();
    for (size_t i = 0; i < p->count; i++) {
        const struct cx_document *doc = &p->docs[i];
        if (json_object_getn(seen, doc->doc_id.p, doc->doc_id.len) != NULL) {
            struct cx_reader element;
            cx_reader_init_element(&element, list_reader, "documents", i,
                                   json_array_get(json_object_get(p->body, "documents"), i));
            cx_read_fault(&element, "doc_id", "value", "must not stand twice in one request");
            cx_reader_free(&element);
        } else {
            json_object_setn_new(seen, doc->doc_id.p, doc->doc_id.len, json_true());
        }
    }
    json_decref(seen);
}

/* ---- check, compare ---- */

static enum cx_step_result put_check(struct cx_exchange *x)
{
    struct put *p = cx_exchange_state(x);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &p->faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    /* What cannot be stored need not be embedded; whether it can is decided when it is stored. */
    struct cx_err err = { "" };
    enum cx_status status = cx_vector_find_or_new(p->api->vector, p->collection, &p->v, &err);
    if (status == CX_OK) {
        status = cx_vector_check(p->v, p->docs, p->count, &err);
    }
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

static enum cx_status put_compare_work(void *arg, struct cx_err *err);
static enum cx_status write_ids(struct put *p, struct cx_err *err);

static enum cx_step_result put_compare(struct cx_exchange *x)
{
    struct put *p = cx_exchange_state(x);
    return cx_exchange_work(x, p->api->options.read_lane, CX_PRIORITY_NORMAL, put_compare_work, p);
}

static enum cx_status put_compare_work(void *arg, struct cx_err *err)
{
    struct put *p = arg;
    struct cx_db *db = cx_store_reader(p->api->options.store);
    const enum cx_status status =
        cx_vector_unchanged(p->v, db, p->docs, p->count, p->unchanged, err);
    cx_store_return(p->api->options.store, db);
    return status == CX_OK ? write_ids(p, err) : status;
}

/* Thousands of ids are not the loop's to write; how it went is appended there. */
static enum cx_status write_ids(struct put *p, struct cx_err *err)
{
    cx_buf_init(&p->answer, API_ANSWER_MAX_BYTES);
    cx_buf_puts(&p->answer, "{\"ids\":[");
    for (size_t i = 0; i < p->count; i++) {
        if (i > 0) {
            cx_buf_putc(&p->answer, ',');
        }
        cx_json_write_string(p->docs[i].doc_id, &p->answer);
    }
    cx_buf_putc(&p->answer, ']');
    (void)cx_buf_reserve(&p->answer, ANSWER_REST_BYTES);
    return p->answer.failed ? cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY))
                            : CX_OK;
}

/* ---- embed ---- */

static uint64_t embed_ms(struct cx_exchange *x, const struct put *p);
static void do_without(struct put *p);
static void on_embedded(void *ctx, struct cx_embed_result *result);
static void cancel_embed(void *op);

static enum cx_step_result put_embed(struct cx_exchange *x)
{
    struct put *p = cx_exchange_state(x);
    for (size_t i = 0; i < p->count; i++) {
        if (p->docs[i].vector == NULL && !p->unchanged[i]) {
            p->texts[p->text_count] = p->docs[i].content;
            p->text_owner[p->text_count] = i;
            p->text_count++;
        }
    }
    if (p->text_count == 0) {
        return CX_STEP_NEXT;
    }
    struct cx_err err = { "" };
    const enum cx_status status = cx_embedder_start(
        p->api->options.embedder, CX_EMBED_DOCUMENT, p->texts, p->text_count, embed_ms(x, p),
        cx_exchange_traceparent(x), on_embedded, x, &p->call, &err);
    if (status != CX_OK && !p->wait && api__embedding_failed(status)) {
        do_without(p);
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

static void do_without(struct put *p)
{
    for (size_t i = 0; i < p->text_count; i++) {
        p->docs[p->text_owner[i]].pending = true;
    }
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
    p->embed_ns = result->elapsed_ns;
    if (result->status == CX_OK) {
        p->embedded = result->vectors;
        p->truncated = result->truncated;
        for (size_t i = 0; i < p->text_count; i++) {
            struct cx_document *doc = &p->docs[p->text_owner[i]];
            doc->vector = result->vectors + i * result->dimension;
            doc->dimension = result->dimension;
        }
        api__pending_service_answers(p->api);
    }
    cx_exchange_resume(x, result->status, &result->err);
}

/* ---- store, reply ---- */

static enum cx_status put_store_work(void *arg, struct cx_err *err);

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
        do_without(p);
    }
    return cx_exchange_work(x, p->api->options.write_lane, CX_PRIORITY_NORMAL, put_store_work, p);
}

static enum cx_status put_store_work(void *arg, struct cx_err *err)
{
    struct put *p = arg;
    return cx_vector_put(p->v, cx_store_writer(p->api->options.store), p->docs, p->count, &p->done,
                         err);
}

static enum cx_step_result put_reply(struct cx_exchange *x)
{
    struct put *p = cx_exchange_state(x);
    tell_indexed(p);
    cx_buf_printf(&p->answer,
                  ",\"indexed\":%zu,\"updated\":%zu,\"unchanged\":%zu,\"embedding_time_ms\":%.3f",
                  p->done.indexed, p->done.updated, p->done.unchanged, (double)p->embed_ns / 1e6);
    if (p->truncated > 0) {
        cx_buf_printf(&p->answer, ",\"truncated\":%zu", p->truncated);
    }
    if (p->done.pending > 0) {
        cx_buf_printf(&p->answer, ",\"pending\":%zu", p->done.pending);
    }
    cx_buf_putc(&p->answer, '}');
    return cx_exchange_reply_buf(x, 200, "application/json", &p->answer);
}

static void tell_indexed(struct put *p)
{
    if (p->told) {
        return;
    }
    p->told = true;
    if (p->done.pending > 0) {
        api__pending_wake(p->api);
    }
    if (p->done.indexed + p->done.updated == 0) {
        return;
    }
    struct cx_str ids[EVENT_IDS_MAX];
    size_t count = 0;
    for (; count < p->count && count < EVENT_IDS_MAX; count++) {
        ids[count] = p->docs[count].doc_id;
    }
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_string(cx_vector_name(p->v)));
    json_object_set_new(payload, "indexed", json_integer((json_int_t)p->done.indexed));
    json_object_set_new(payload, "updated", json_integer((json_int_t)p->done.updated));
    if (p->done.pending > 0) {
        json_object_set_new(payload, "pending", json_integer((json_int_t)p->done.pending));
    }
    json_t *about = api__event_ids(ids, count);
    cx_exchange_set_resources(p->x, json_incref(about));
    cx_events_emit(p->api->options.events, CX_EVENT_VECTOR_INDEXED, payload, about,
                   cx_exchange_correlation_id(p->x));
}
