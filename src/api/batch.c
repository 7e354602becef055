/* SPDX-License-Identifier: MIT
 *
 * What happens to a batch of documents, step by step; who asks for the steps is its owner's affair.
 */
#include "api/batch.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/context.h"

#define URI_MAX_CHARS 4096
#define SUMMARY_MAX_CHARS 10000
#define EVENT_IDS_MAX 256
#define ROWS_MAX ((size_t)20000) /* at once; one write must not hold up all others for too long */

void api__batch_init(struct api__batch *b, struct cx_api *api, size_t ceiling)
{
    *b = (struct api__batch){ .api = api, .target = api__batch_target(api) };
    cx_arena_init(&b->arena, ceiling);
    cx_buf_init(&b->metadata, ceiling);
}

void api__batch_free(struct api__batch *b)
{
    if (b->target != NULL) {
        b->target->release(b);
    }
    free(b->sent);
    free(b->rows);
    free(b->metadata_at);
    free(b->unchanged);
    free(b->texts);
    free(b->text_owner);
    free(b->embedded);
    json_decref(b->owners);
    cx_buf_free(&b->metadata);
    cx_arena_free(&b->arena);
    *b = (struct api__batch){ .api = NULL };
}

/* ---- read ---- */

static bool made_by_our_model(const struct api__batch *b, struct cx_reader *r);
static void read_rows(struct api__batch *b, struct cx_reader *r, const struct cx_document *whole,
                      const json_t *metadata);

void api__batch_read(struct api__batch *b, struct cx_reader *r, size_t line)
{
    if (b->sent_count == b->sent_room) {
        b->sent_room = 2 * b->sent_room + 16;
        b->sent = cx_realloc_array(b->sent, b->sent_room, sizeof *b->sent);
    }
    struct api__sent *sent = &b->sent[b->sent_count++];
    *sent = (struct api__sent){ .line = line, .first = b->row_count };
    struct cx_document doc = { .uri = CX_STR("") };
    cx_read_string(r, "content", CX_REQUIRED, 1, SIZE_MAX, &doc.content);
    if (cx_read_string(r, "doc_id", CX_OPTIONAL, 1, CX_DOC_ID_MAX, &doc.doc_id) &&
        doc.doc_id.len > CX_DOC_ID_MAX) {
        cx_read_fault(r, "doc_id", "length", "must be at most %d bytes", CX_DOC_ID_MAX);
    }
    cx_read_string(r, "uri", CX_OPTIONAL, 0, URI_MAX_CHARS, &doc.uri);
    cx_read_string(r, "summary", CX_OPTIONAL, 0, SUMMARY_MAX_CHARS, &doc.summary);
    const json_t *metadata = NULL;
    (void)cx_read_object(r, "metadata", CX_OPTIONAL, &metadata);
    doc.own_vector =
        api__read_vector(r, &b->arena, &doc.vector, &doc.dimension) && !made_by_our_model(b, r);
    if (!api__batch_admit_metadata(b, r, metadata) || doc.content.p == NULL) {
        return;
    }
    if (doc.doc_id.p == NULL) {
        char *id = cx_arena_alloc(&b->arena, 33);
        if (id == NULL) {
            b->out_of_memory = true;
            return;
        }
        cx_document_make_id(b->collection, doc.uri, doc.content, id);
        doc.doc_id = cx_str_of(id);
    }
    sent->doc_id = doc.doc_id;
    read_rows(b, r, &doc, metadata);
    sent->count = b->row_count - sent->first;
}

/* An exported vector says which model made it: it need not be made again. */
static bool made_by_our_model(const struct api__batch *b, struct cx_reader *r)
{
    struct cx_str fingerprint = { NULL, 0 };
    return cx_read_string(r, "fingerprint", CX_OPTIONAL, 64, 64, &fingerprint) &&
           cx_str_eq(fingerprint, cx_str_of(b->api->model_fingerprint));
}

/* ---- Rows: the document, or its passages ---- */

static void add_row(struct api__batch *b, const struct cx_document *row, const json_t *metadata)
{
    if (b->row_count == ROWS_MAX) {
        b->too_many = true;
        return;
    }
    if (b->row_count == b->row_room) {
        b->row_room = 2 * b->row_room + 16;
        b->rows = cx_realloc_array(b->rows, b->row_room, sizeof *b->rows);
        b->metadata_at = cx_realloc_array(b->metadata_at, b->row_room + 1, sizeof *b->metadata_at);
    }
    b->metadata_at[b->row_count] = b->metadata.len;
    if (metadata != NULL) {
        cx_json_write(metadata, &b->metadata);
    } else {
        cx_buf_puts(&b->metadata, "{}");
    }
    b->rows[b->row_count++] = *row;
}

static enum cx_status cut(const struct api__batch *b, struct cx_str content,
                          struct cx_passage **out, size_t *count);
static void add_passages(struct api__batch *b, struct cx_reader *r, const struct cx_document *whole,
                         const json_t *metadata, const struct cx_passage *passages, size_t count);

static void read_rows(struct api__batch *b, struct cx_reader *r, const struct cx_document *whole,
                      const json_t *metadata)
{
    if (b->chunk.tokens == 0) {
        add_row(b, whole, metadata);
        return;
    }
    if (!api__batch_admit_id(b, r, whole->doc_id, whole->doc_id)) {
        return;
    }
    if (whole->vector != NULL) {
        cx_read_fault(r, "vector", "value", "cannot be given where chunk is asked for");
    }
    if (json_object_get(metadata, "parent") != NULL || json_object_get(metadata, "chunk") != NULL) {
        cx_read_fault(r, "metadata", "value",
                      "must leave 'parent' and 'chunk' free where chunk is asked for");
        return;
    }
    struct cx_passage *passages = NULL;
    size_t count = 0;
    const enum cx_status status = cut(b, whole->content, &passages, &count);
    if (status == CX_TOO_LARGE) {
        cx_read_fault(r, "content", "length", "makes more than %d passages", API_DOCUMENTS_MAX);
    } else if (status != CX_OK) {
        b->out_of_memory = true;
    } else if (count <= 1) { /* short enough as it is */
        add_row(b, whole, metadata);
    } else {
        add_passages(b, r, whole, metadata, passages, count);
    }
    free(passages);
}

static enum cx_status cut(const struct api__batch *b, struct cx_str content,
                          struct cx_passage **out, size_t *count)
{
    /* Each brings at least a byte, and no token takes less than one. */
    const size_t most = content.len / (b->chunk.tokens / 4) + 1;
    const size_t room = most < API_DOCUMENTS_MAX ? most : API_DOCUMENTS_MAX;
    *out = cx_realloc_array(NULL, room, sizeof **out);
    enum cx_status status = cx_passages_cut(CX_ENCODING_CL100K, content, b->chunk.tokens,
                                            b->chunk.overlap, *out, room, count);
    if (status == CX_TOO_LARGE && room < API_DOCUMENTS_MAX) {
        *out = cx_realloc_array(*out, API_DOCUMENTS_MAX, sizeof **out);
        status = cx_passages_cut(CX_ENCODING_CL100K, content, b->chunk.tokens, b->chunk.overlap,
                                 *out, API_DOCUMENTS_MAX, count);
    }
    return status;
}

/* Offsets are told in characters (code points), which is how most languages index a text. */
static void add_passages(struct api__batch *b, struct cx_reader *r, const struct cx_document *whole,
                         const json_t *metadata, const struct cx_passage *passages, size_t count)
{
    const char *text = whole->content.p;
    size_t at = 0; /* bytes, and … */
    size_t characters = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cx_passage *p = &passages[i];
        struct cx_document row = *whole;
        char *id = cx_arena_alloc(&b->arena, CX_DOC_ID_MAX + 1);
        if (id == NULL) {
            b->out_of_memory = true;
            return;
        }
        if (!cx_document_passage_id(whole->doc_id, i + 1, id)) {
            cx_read_fault(r, "doc_id", "length", "is too long for the ids of its passages");
            return;
        }
        row.doc_id = cx_str_of(id);
        if (!api__batch_admit_id(b, r, row.doc_id, whole->doc_id)) {
            return;
        }
        row.parent = whole->doc_id;
        row.content = (struct cx_str){ text + p->start, p->end - p->start };
        if (p->start >= at) {
            characters += cx_utf8_length((struct cx_str){ text + at, p->start - at });
        } else { /* it begins within the one before */
            characters -= cx_utf8_length((struct cx_str){ text + p->start, at - p->start });
        }
        at = p->start;
        const size_t length = cx_utf8_length(row.content);
        json_t *own = metadata != NULL ? json_copy((json_t *)metadata) : json_object();
        json_t *parent = json_stringn(whole->doc_id.p, whole->doc_id.len);
        json_t *chunk =
            json_pack("{s:I,s:I,s:I,s:I,s:I}", "index", (json_int_t)i + 1, "count",
                      (json_int_t)count, "start", (json_int_t)characters, "end",
                      (json_int_t)characters + (json_int_t)length, "tokens", (json_int_t)p->tokens);
        const bool has_parent = json_object_set_new(own, "parent", parent) == 0;
        const bool has_chunk = json_object_set_new(own, "chunk", chunk) == 0;
        b->out_of_memory = b->out_of_memory || !has_parent || !has_chunk;
        add_row(b, &row, own);
        json_decref(own);
    }
}

void api__read_chunk(struct cx_reader *r, struct api__chunk *out)
{
    const json_t *chunk = NULL;
    if (!cx_read_object(r, "chunk", CX_OPTIONAL, &chunk)) {
        return;
    }
    int64_t tokens = API_CHUNK_TOKENS_DEFAULT;
    struct cx_reader inner = { .object = chunk, .faults = r->faults, .loc = NULL };
    inner.loc = json_deep_copy(r->loc);
    json_array_append_new(inner.loc, json_string("chunk"));
    (void)cx_read_int(&inner, "tokens", CX_OPTIONAL, CX_PASSAGE_TOKENS_MIN, API_CHUNK_TOKENS_MAX,
                      &tokens);
    int64_t overlap =
        API_CHUNK_OVERLAP_DEFAULT < tokens / 2 ? API_CHUNK_OVERLAP_DEFAULT : tokens / 2;
    (void)cx_read_int(&inner, "overlap", CX_OPTIONAL, 0, tokens / 2, &overlap);
    cx_reader_free(&inner);
    *out = (struct api__chunk){ (size_t)tokens, (size_t)overlap };
}

/* ---- read_done ---- */

void api__batch_cut(struct api__batch *b, size_t sent_count)
{
    if (sent_count >= b->sent_count) {
        return;
    }
    b->sent_count = sent_count;
    const size_t rows = b->sent[sent_count].first;
    if (rows < b->row_count) {
        b->row_count = rows;
        b->metadata.len = b->metadata_at[rows];
    }
}

static bool drop_replaced(struct api__batch *b);

enum cx_status api__batch_read_done(struct api__batch *b, struct cx_err *err)
{
    if (b->too_many) {
        return cx_err_set(err, CX_TOO_LARGE, "The documents make more than %zu passages", ROWS_MAX);
    }
    if (b->too_many_values) {
        return cx_err_set(err, CX_TOO_LARGE, "The documents' metadata hold more than %zu values",
                          API_METADATA_BATCH_VALUES_MAX);
    }
    b->out_of_memory = b->out_of_memory || b->metadata.starved;
    if (b->metadata.failed && !b->out_of_memory) {
        return cx_err_set(err, CX_TOO_LARGE, "The documents' metadata are too large");
    }
    if (b->out_of_memory) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    for (size_t i = 0; i < b->row_count; i++) {
        /* Only now: the buffer may have moved while it grew. */
        b->rows[i].metadata = api__batch_metadata(b, i);
    }
    if (!drop_replaced(b)) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    b->unchanged = cx_alloc((b->row_count + 1) * sizeof *b->unchanged);
    b->texts = cx_alloc((b->row_count + 1) * sizeof *b->texts);
    b->text_owner = cx_alloc((b->row_count + 1) * sizeof *b->text_owner);
    return CX_OK;
}

struct cx_str api__batch_metadata(const struct api__batch *b, size_t row)
{
    if (b->rows[row].metadata.p != NULL) {
        return b->rows[row].metadata;
    }
    const size_t end = row + 1 < b->row_count ? b->metadata_at[row + 1] : b->metadata.len;
    return (struct cx_str){ b->metadata.data + b->metadata_at[row], end - b->metadata_at[row] };
}

/* False: no memory. */
static bool drop_replaced(struct api__batch *b)
{
    bool any = false;
    bool known = true;            /* all of them */
    json_t *seen = json_object(); /* id → index */
    for (size_t i = 0; i < b->sent_count; i++) {
        const struct cx_str id = b->sent[i].doc_id;
        const json_t *earlier = id.p != NULL ? json_object_getn(seen, id.p, id.len) : NULL;
        if (earlier != NULL) {
            b->sent[json_integer_value(earlier)].replaced = true;
            b->sent[i].repeats = true;
            any = true;
        }
        if (id.p != NULL) {
            known =
                json_object_setn_new(seen, id.p, id.len, json_integer((json_int_t)i)) == 0 && known;
        }
    }
    json_decref(seen);
    if (!any || !known) {
        return known;
    }
    size_t kept = 0;
    for (size_t i = 0; i < b->sent_count; i++) {
        struct api__sent *sent = &b->sent[i];
        const size_t count = sent->replaced ? 0 : sent->count;
        memmove(&b->rows[kept], &b->rows[sent->first], count * sizeof *b->rows);
        sent->first = kept;
        sent->count = count;
        kept += count;
    }
    b->row_count = kept;
    return true;
}

/* ---- compare, embed, store ---- */

const struct api__batch_target *api__batch_target(const struct cx_api *api)
{
    return api->options.chroma != NULL ? &api__batch_chroma : &api__batch_local;
}

static void begin(struct api__batch *b, api__batch_done_fn on_done, void *ctx)
{
    CX_CHECK(b->op.on_done == NULL);
    memset(&b->op, 0, sizeof b->op);
    b->op.on_done = on_done;
    b->op.ctx = ctx;
}

static enum cx_status begun(struct api__batch *b, enum cx_status status)
{
    b->op.on_done = status == CX_OK ? b->op.on_done : NULL;
    return status;
}

enum cx_status api__batch_compare(struct api__batch *b, api__batch_done_fn on_done, void *ctx)
{
    begin(b, on_done, ctx);
    return begun(b, b->target->compare(b));
}

enum cx_status api__batch_store(struct api__batch *b, api__batch_done_fn on_done, void *ctx)
{
    begin(b, on_done, ctx);
    return begun(b, b->target->store(b));
}

void api__batch_cancel(struct api__batch *b)
{
    if (b->op.on_done != NULL) {
        b->target->cancel(b);
    }
}

void api__batch_done(struct api__batch *b, enum cx_status status)
{
    const api__batch_done_fn on_done = b->op.on_done;
    b->op.on_done = NULL;
    b->op.full = b->op.full && status == CX_OVERLOADED;
    on_done(b->op.ctx, status, &b->op.err);
}

bool api__batch_texts(struct api__batch *b)
{
    b->text_count = 0;
    for (size_t i = 0; i < b->row_count; i++) {
        if (b->rows[i].vector == NULL && !b->unchanged[i]) {
            b->texts[b->text_count] = b->rows[i].content;
            b->text_owner[b->text_count++] = i;
        }
    }
    return b->text_count > 0;
}

void api__batch_embedded(struct api__batch *b, struct cx_embed_result *result)
{
    b->embed_ns += result->elapsed_ns;
    if (result->status != CX_OK) {
        return;
    }
    b->embedded = result->vectors;
    b->truncated = result->truncated;
    for (size_t i = 0; i < b->text_count; i++) {
        struct cx_document *row = &b->rows[b->text_owner[i]];
        row->vector = result->vectors + i * result->dimension;
        row->dimension = result->dimension;
    }
    api__pending_service_answers(b->api);
}

void api__batch_do_without(struct api__batch *b)
{
    for (size_t i = 0; i < b->text_count; i++) {
        b->rows[b->text_owner[i]].pending = true;
    }
}

/* There is a document that goes without a vector because it was found unchanged. */
static bool relies_on_comparing(const struct api__batch *b)
{
    size_t i = 0;
    while (i < b->row_count && (b->rows[i].vector != NULL || b->rows[i].pending)) {
        i++;
    }
    return i < b->row_count;
}

bool api__batch_again(struct api__batch *b)
{
    if (b->attempts == API_COMPARES_MAX || !relies_on_comparing(b)) {
        return false;
    }
    for (size_t i = 0; i < b->text_count; i++) {
        struct cx_document *row = &b->rows[b->text_owner[i]];
        row->pending = false;
        row->vector = NULL;
    }
    free(b->embedded);
    b->embedded = NULL;
    b->text_count = 0;
    b->attempts++;
    return true;
}

/* ---- answer, tell ---- */

void api__batch_write_ids(const struct api__batch *b, struct cx_buf *out)
{
    cx_buf_putc(out, '[');
    for (size_t i = 0; i < b->sent_count; i++) {
        if (i > 0) {
            cx_buf_putc(out, ',');
        }
        cx_json_write_string(b->sent[i].doc_id, out);
    }
    cx_buf_putc(out, ']');
}

void api__batch_write_figures(const struct api__batch *b, struct cx_buf *out)
{
    cx_buf_printf(out,
                  ",\"indexed\":%zu,\"updated\":%zu,\"unchanged\":%zu,\"embedding_time_ms\":%.3f",
                  b->done.indexed, b->done.updated, b->done.unchanged, (double)b->embed_ns / 1e6);
    if (b->chunk.tokens > 0) {
        cx_buf_printf(out, ",\"stored\":%zu", b->row_count);
    }
    if (b->done.removed > 0) {
        cx_buf_printf(out, ",\"removed\":%zu", b->done.removed);
    }
    if (b->truncated > 0) {
        cx_buf_printf(out, ",\"truncated\":%zu", b->truncated);
    }
    if (b->done.pending > 0) {
        cx_buf_printf(out, ",\"pending\":%zu", b->done.pending);
    }
    cx_buf_putc(out, '}');
}

void api__batch_tell(struct api__batch *b, struct cx_exchange *x)
{
    if (b->told) {
        return;
    }
    b->told = true;
    if (b->done.pending > 0) {
        api__pending_wake(b->api);
    }
    if (b->done.updated + b->done.removed > 0) {
        api__purge_changed(b->api);
    }
    if (b->done.indexed + b->done.updated == 0) {
        return;
    }
    struct cx_str ids[EVENT_IDS_MAX];
    size_t count = 0;
    for (; count < b->sent_count && count < EVENT_IDS_MAX; count++) {
        ids[count] = b->sent[count].doc_id;
    }
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_stringn(b->collection.p, b->collection.len));
    json_object_set_new(payload, "indexed", json_integer((json_int_t)b->done.indexed));
    json_object_set_new(payload, "updated", json_integer((json_int_t)b->done.updated));
    if (b->done.pending > 0) {
        json_object_set_new(payload, "pending", json_integer((json_int_t)b->done.pending));
    }
    if (b->sent_count > 0 && b->sent[b->sent_count - 1].line > 0) { /* how far a stream has come */
        json_object_set_new(payload, "line",
                            json_integer((json_int_t)b->sent[b->sent_count - 1].line));
    }
    json_t *about = api__event_ids(ids, count);
    cx_exchange_set_resources(x, json_incref(about));
    cx_events_emit(b->api->options.events, CX_EVENT_VECTOR_INDEXED, payload, about,
                   cx_exchange_correlation_id(x));
}
