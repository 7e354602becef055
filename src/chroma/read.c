/* SPDX-License-Identifier: MIT
 *
 * What Chroma's answers say. Every shape is checked: what is not as it should be is an error of the
 * store, and nothing of it reaches a client. Worker, but for collections, which are small.
 */
#include "chroma_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

static enum cx_status strange(struct cx_err *err);
static enum cx_status read_look(struct cx_chroma_op *op, const json_t *json, struct cx_err *err);
static enum cx_status read_documents(struct cx_chroma_op *op, const json_t *json,
                                     struct cx_err *err);
static enum cx_status read_ids(struct cx_chroma_op *op, const json_t *json, struct cx_err *err);
static enum cx_status read_walk(struct cx_chroma_op *op, json_t *json, struct cx_err *err);
static enum cx_status read_hits(struct cx_chroma_op *op, const json_t *json, struct cx_err *err);
static enum cx_status read_list(const struct cx_chroma *c, struct cx_chroma_op *op,
                                const json_t *json, struct cx_err *err);
static void include(const struct cx_chroma_op *op, json_t *document, const json_t *pairs,
                    const json_t *content, const json_t *vector);
static json_t *document_json(const char *id, size_t id_len, const json_t *pairs, const json_t *uri);
static json_t *metadata_of(const json_t *pairs);
static json_t *time_of(const json_t *pairs, const char *key);
static const json_t *column(const json_t *json, const char *name, size_t count);
static const json_t *first_row(const json_t *json, const char *name);
static int by_score(const void *a, const void *b);

enum cx_status chroma__read_answer(const struct cx_chroma *c, struct cx_chroma_op *op,
                                   struct cx_str body, struct cx_err *err)
{
    if (op->verb == CX_CHROMA_PUT || op->verb == CX_CHROMA_DELETE || op->verb == CX_CHROMA_DROP) {
        return CX_OK;
    }
    if (op->verb == CX_CHROMA_COUNT) {
        uint64_t count = 0;
        if (!cx_parse_u64(cx_str_trim(body), &count)) {
            return strange(err);
        }
        op->count = (size_t)count;
        return CX_OK;
    }
    json_t *json = NULL;
    enum cx_status status = chroma__parse(body, &json, err);
    if (status != CX_OK) {
        return status;
    }
    op->answer_bytes = body.len;
    switch (op->verb) {
    case CX_CHROMA_LOOK:
        status = read_look(op, json, err);
        break;
    case CX_CHROMA_GET:
        status = read_documents(op, json, err);
        break;
    case CX_CHROMA_IDS:
        status = read_ids(op, json, err);
        break;
    case CX_CHROMA_WALK:
        status = read_walk(op, json, err);
        break;
    case CX_CHROMA_QUERY:
        status = read_hits(op, json, err);
        break;
    case CX_CHROMA_LIST:
        status = read_list(c, op, json, err);
        break;
    case CX_CHROMA_PUT:
    case CX_CHROMA_DELETE:
    case CX_CHROMA_COUNT:
    case CX_CHROMA_DROP:
        break;
    }
    json_decref(json);
    return status;
}

enum cx_status chroma__parse(struct cx_str body, json_t **out, struct cx_err *err)
{
    struct cx_err unsaid; /* it may quote the answer */
    return cx_json_parse(body, out, &unsaid) == CX_OK ? CX_OK : strange(err);
}

static enum cx_status strange(struct cx_err *err)
{
    return cx_err_set(err, CX_VECTOR_UPSTREAM, "the vector store's answer is not one of Chroma's");
}

/* ---- Documents ---- */

static enum cx_status read_look(struct cx_chroma_op *op, const json_t *json, struct cx_err *err)
{
    const json_t *ids = json_object_get(json, "ids");
    const json_t *pairs = column(json, "metadatas", json_array_size(ids));
    if (!json_is_array(ids) || pairs == NULL) {
        return strange(err);
    }
    json_t *stored = json_object();
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (json_is_string(id)) {
            (void)json_object_setn(stored, json_string_value(id), json_string_length(id),
                                   json_array_get(pairs, i));
        }
    }
    for (size_t i = 0; i < op->doc_count; i++) {
        struct cx_chroma_document *doc = &op->docs[i];
        json_t *before = json_object_getn(stored, doc->doc_id.p, doc->doc_id.len);
        const char *hash = json_string_value(json_object_get(before, "cortex:hash"));
        doc->there = before != NULL;
        doc->before = json_is_object(before) ? json_incref(before) : NULL;
        doc->unchanged = hash != NULL && strcmp(hash, doc->hash) == 0;
    }
    json_decref(stored);
    return CX_OK;
}

static json_t *included(const struct cx_chroma_op *op, const json_t *json, size_t count,
                        enum cx_chroma_include what, const char *name)
{
    return (op->include & (unsigned)what) != 0 ? (json_t *)column(json, name, count) : json_null();
}

static enum cx_status read_documents(struct cx_chroma_op *op, const json_t *json,
                                     struct cx_err *err)
{
    const json_t *ids = json_object_get(json, "ids");
    const size_t count = json_array_size(ids);
    const json_t *pairs = column(json, "metadatas", count);
    const json_t *uris = column(json, "uris", count);
    const json_t *contents = included(op, json, count, CX_CHROMA_WITH_CONTENT, "documents");
    const json_t *vectors = included(op, json, count, CX_CHROMA_WITH_VECTOR, "embeddings");
    if (!json_is_array(ids) || pairs == NULL || uris == NULL || contents == NULL ||
        vectors == NULL) {
        return strange(err);
    }
    json_t *found = json_object(); /* id → document: Chroma has an order of its own */
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < count && status == CX_OK; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_string(id)) {
            status = strange(err);
            break;
        }
        json_t *document = document_json(json_string_value(id), json_string_length(id),
                                         json_array_get(pairs, i), json_array_get(uris, i));
        include(op, document, json_array_get(pairs, i), json_array_get(contents, i),
                json_array_get(vectors, i));
        (void)json_object_setn_new(found, json_string_value(id), json_string_length(id), document);
    }
    op->answer = json_array();
    for (size_t i = 0; i < op->id_count; i++) {
        json_t *document = json_object_getn(found, op->ids[i].p, op->ids[i].len);
        if (document != NULL) {
            (void)json_array_append(op->answer, document);
        }
    }
    json_decref(found);
    return status;
}

static void include(const struct cx_chroma_op *op, json_t *document, const json_t *pairs,
                    const json_t *content, const json_t *vector)
{
    if ((op->include & CX_CHROMA_WITH_CONTENT) != 0) {
        (void)json_object_set_new(document, "content",
                                  json_is_string(content) ? json_incref((json_t *)content)
                                                          : json_string(""));
        (void)json_object_set_new(document, "created_at", time_of(pairs, "cortex:created_at"));
        (void)json_object_set_new(document, "updated_at", time_of(pairs, "cortex:updated_at"));
    }
    if ((op->include & CX_CHROMA_WITH_VECTOR) != 0) {
        (void)json_object_set_new(document, "vector",
                                  json_is_array(vector) ? json_incref((json_t *)vector)
                                                        : json_null());
    }
}

static json_t *document_json(const char *id, size_t id_len, const json_t *pairs, const json_t *uri)
{
    const json_t *summary = json_object_get(pairs, "cortex:summary");
    json_t *document = json_object();
    (void)json_object_set_new(document, "doc_id", json_stringn(id, id_len));
    (void)json_object_set_new(document, "uri",
                              json_is_string(uri) ? json_incref((json_t *)uri) : json_string(""));
    (void)json_object_set_new(document, "summary",
                              json_is_string(summary) ? json_incref((json_t *)summary)
                                                      : json_null());
    (void)json_object_set_new(document, "metadata", metadata_of(pairs));
    return document;
}

/* As they were sent; of a document that something else has stored, the pairs. */
static json_t *metadata_of(const json_t *pairs)
{
    const json_t *text = json_object_get(pairs, "cortex:metadata");
    json_t *metadata = NULL;
    struct cx_err unsaid;
    if (json_is_string(text) &&
        cx_json_parse((struct cx_str){ json_string_value(text), json_string_length(text) },
                      &metadata, &unsaid) == CX_OK &&
        json_is_object(metadata)) {
        return metadata;
    }
    json_decref(metadata);
    return json_is_object(pairs) ? json_copy((json_t *)pairs) : json_object();
}

static json_t *time_of(const json_t *pairs, const char *key)
{
    const json_t *time = json_object_get(pairs, key);
    char text[CX_TIME_TEXT_BYTES];
    return json_is_integer(time) ? json_string(cx_time_format(json_integer_value(time), text))
                                 : json_null();
}

static enum cx_status read_ids(struct cx_chroma_op *op, const json_t *json, struct cx_err *err)
{
    json_t *ids = json_object_get(json, "ids");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        if (!json_is_string(json_array_get(ids, i))) {
            return strange(err);
        }
    }
    if (!json_is_array(ids)) {
        return strange(err);
    }
    op->count = json_array_size(ids);
    op->answer = op->wanted == NULL ? json_incref(ids) : json_array();
    for (size_t i = 0; op->wanted != NULL && i < op->count; i++) {
        json_t *id = json_array_get(ids, i);
        if (op->wanted(op->wanted_ctx,
                       (struct cx_str){ json_string_value(id), json_string_length(id) })) {
            (void)json_array_append(op->answer, id);
        }
    }
    return CX_OK;
}

/* ---- Walking through all ids ---- */

struct place {
    unsigned part;
    json_t *id;
};
static int by_place(const void *a, const void *b);

static enum cx_status read_walk(struct cx_chroma_op *op, json_t *json, struct cx_err *err)
{
    const enum cx_status status = read_ids(op, json, err);
    if (status != CX_OK) {
        return status;
    }
    json_t *ids = op->answer;
    struct place *places = cx_realloc_array(NULL, op->count + 1, sizeof *places);
    const struct place after = { op->after.p != NULL ? cx_chroma_part(op->after) : 0,
                                 json_stringn(op->after.p != NULL ? op->after.p : "",
                                              op->after.len) };
    size_t count = 0;
    for (size_t i = 0; i < op->count; i++) {
        json_t *id = json_array_get(ids, i);
        const struct cx_str text = { json_string_value(id), json_string_length(id) };
        const struct place place = { cx_chroma_part(text), id };
        if (op->after.p == NULL || by_place(&place, &after) > 0) {
            places[count++] = place;
        }
    }
    qsort(places, count, sizeof *places, by_place);
    op->answer = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append(op->answer, places[i].id);
    }
    json_decref(after.id);
    json_decref(ids);
    free(places);
    return CX_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;
    return x->part != y->part ? (x->part < y->part ? -1 : 1)
                              : strcmp(json_string_value(x->id), json_string_value(y->id));
}

/* An array of so many, or NULL. */
static const json_t *column(const json_t *json, const char *name, size_t count)
{
    const json_t *values = json_object_get(json, name);
    return json_is_array(values) && json_array_size(values) == count ? values : NULL;
}

/* ---- Hits ---- */

static enum cx_status read_hits(struct cx_chroma_op *op, const json_t *json, struct cx_err *err)
{
    const json_t *ids = first_row(json, "ids");
    const size_t count = json_array_size(ids);
    const json_t *distances = first_row(json, "distances");
    const json_t *pairs = first_row(json, "metadatas");
    const json_t *uris = first_row(json, "uris");
    if (ids == NULL || json_array_size(distances) != count || json_array_size(pairs) != count ||
        json_array_size(uris) != count) {
        return strange(err);
    }
    const json_t *contents = first_row(json, "documents");
    const json_t *vectors = first_row(json, "embeddings");
    json_t **hits = cx_realloc_array(NULL, count + 1, sizeof(json_t *));
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(ids, i);
        const json_t *distance = json_array_get(distances, i);
        if (!json_is_string(id) || !json_is_number(distance)) {
            continue; /* gone while it was looked for */
        }
        json_t *hit = document_json(json_string_value(id), json_string_length(id),
                                    json_array_get(pairs, i), json_array_get(uris, i));
        const double score = 1.0 - json_number_value(distance);
        (void)json_object_set_new(hit, "score",
                                  json_real(score > 1.0    ? 1.0
                                            : score < -1.0 ? -1.0
                                                           : score));
        if ((op->include & CX_CHROMA_WITH_CONTENT) != 0) {
            json_t *content = json_array_get(contents, i);
            (void)json_object_set_new(
                hit, "content", json_is_string(content) ? json_incref(content) : json_string(""));
        }
        if ((op->include & CX_CHROMA_WITH_VECTOR) != 0) {
            json_t *vector = json_array_get(vectors, i);
            (void)json_object_set_new(hit, "vector",
                                      json_is_array(vector) ? json_incref(vector) : json_null());
        }
        hits[made++] = hit;
    }
    qsort(hits, made, sizeof(json_t *), by_score);
    op->answer = json_array();
    for (size_t i = 0; i < made; i++) {
        (void)json_array_append_new(op->answer, hits[i]);
    }
    free(hits);
    return CX_OK;
}

/* Of one query there is one row. */
static const json_t *first_row(const json_t *json, const char *name)
{
    const json_t *row = json_array_get(json_object_get(json, name), 0);
    return json_is_array(row) ? row : NULL;
}

static int by_score(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a;
    const json_t *y = *(json_t *const *)b;
    const double first = json_real_value(json_object_get(x, "score"));
    const double second = json_real_value(json_object_get(y, "score"));
    if (first != second) {
        return first > second ? -1 : 1;
    }
    return strcmp(json_string_value(json_object_get(x, "doc_id")),
                  json_string_value(json_object_get(y, "doc_id")));
}

/* ---- Collections ---- */

static void copy_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

bool chroma__read_collection(const json_t *json, struct chroma__collection *out)
{
    const json_t *said = json_object_get(json, "metadata");
    const json_t *id = json_object_get(json, "id");
    const json_t *name = json_object_get(json, "name");
    if (!json_is_string(id) || json_string_length(id) > CHROMA__ID_BYTES || !json_is_string(name) ||
        json_string_length(name) > CHROMA__NAME_BYTES) {
        return false;
    }
    for (const char *c = json_string_value(id); *c != '\0'; c++) { /* it will stand in a path */
        if (strchr("0123456789abcdefABCDEF-", *c) == NULL) {
            return false;
        }
    }
    const char *owner = json_string_value(json_object_get(said, "cortex:owner"));
    *out =
        (struct chroma__collection){ .ours = owner != NULL,
                                     .of_client = owner != NULL && strcmp(owner, "client") == 0 };
    copy_text(json, "id", out->id, sizeof out->id);
    copy_text(json, "name", out->name, sizeof out->name);
    copy_text(said, "cortex:fingerprint", out->fingerprint, sizeof out->fingerprint);
    copy_text(said, "cortex:provider", out->provider, sizeof out->provider);
    copy_text(said, "cortex:model", out->model, sizeof out->model);
    const json_int_t dimension = json_integer_value(json_object_get(said, "cortex:dimension"));
    out->dimension = dimension > 0 && dimension <= 65536 ? (unsigned)dimension : 0;
    return true;
}

static enum cx_status read_list(const struct cx_chroma *c, struct cx_chroma_op *op,
                                const json_t *json, struct cx_err *err)
{
    if (!json_is_array(json)) {
        return strange(err);
    }
    const size_t len = strlen(c->prefix);
    op->answer = json_array();
    op->count = json_array_size(json);
    for (size_t i = 0; i < op->count; i++) {
        struct chroma__collection one;
        if (!chroma__read_collection(json_array_get(json, i), &one)) {
            return strange(err);
        }
        const bool beneath = strncmp(one.name, c->prefix, len) == 0;
        const char *rest = one.name + len;
        if (!one.ours || !beneath || (rest[0] != '\0' && rest[0] != '.')) {
            continue; /* somebody else's */
        }
        const bool ready = one.of_client || strcmp(one.fingerprint, c->fingerprint) == 0;
        (void)json_array_append_new(
            op->answer,
            json_pack("{s:s,s:s,s:s,s:s,s:I}", "name", rest[0] == '\0' ? "default" : rest + 1,
                      "status", ready ? "ready" : "other_model", "provider", one.provider, "model",
                      one.model, "dimension", (json_int_t)one.dimension));
    }
    return CX_OK;
}
