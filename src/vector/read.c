/* SPDX-License-Identifier: MIT
 *
 * Reading documents: one, or a page of them in the order of their ids.
 *
 * Threads: a worker with a reader of its own.
 */
#include "vector_internal.h"

/* A page ends early where its documents are large: a list must not be as large as the database. */
#define PAGE_BYTES ((size_t)4 * 1024 * 1024)

static size_t row_bytes(const struct cx_stmt *s);
static enum cx_status document_json(const struct cx_stmt *s, json_t **out, struct cx_err *err);
static json_t *time_json(int64_t wall_us);

enum cx_status cx_vector_get(struct cx_vector *v, struct cx_db *db, struct cx_str doc_id,
                             json_t **out, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT doc_id, uri, summary, metadata, created_at_us, updated_at_us, content"
                      " FROM documents WHERE collection = ?1 AND doc_id = ?2",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, doc_id);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status != CX_OK) {
        return status;
    }
    if (!row) {
        return cx_err_set(err, CX_NOT_FOUND, "no such document");
    }
    json_t *document = NULL;
    status = document_json(s, &document, err);
    if (status == CX_OK) {
        (void)json_object_set_new(document, "content", vector__json_text(cx_stmt_text(s, 6)));
        (void)json_object_set_new(document, "created_at", time_json(cx_stmt_int(s, 4)));
        (void)json_object_set_new(document, "updated_at", time_json(cx_stmt_int(s, 5)));
        *out = document;
    }
    cx_stmt_reset(s);
    return status;
}

enum cx_status cx_vector_list(struct cx_vector *v, struct cx_db *db, struct cx_str cursor,
                              size_t limit, json_t **out, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT doc_id, uri, summary, metadata FROM documents"
                      " WHERE collection = ?1 AND doc_id > ?2 ORDER BY doc_id LIMIT ?3",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, cursor.p != NULL ? cursor : CX_STR(""));
    /* One more than is shown tells whether there is a next page. */
    cx_stmt_bind_int(s, 3, limit < INT32_MAX ? (int64_t)limit + 1 : INT32_MAX);
    json_t *documents = json_array();
    json_t *next = json_null();
    bool row = false;
    size_t bytes = 0;
    while ((status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
        const size_t count = json_array_size(documents);
        bytes += row_bytes(s);
        if (count == limit || (count > 0 && bytes > PAGE_BYTES)) {
            const json_t *last = count > 0 ? json_array_get(documents, count - 1) : NULL;
            const json_t *id = json_object_get(last, "doc_id");
            next = id != NULL ? json_copy((json_t *)id) : json_null();
            cx_stmt_reset(s);
            break;
        }
        json_t *document = NULL;
        status = document_json(s, &document, err);
        if (status != CX_OK) {
            cx_stmt_reset(s);
            break;
        }
        (void)json_array_append_new(documents, document);
    }
    if (status != CX_OK) {
        json_decref(documents);
        return status;
    }
    *out = json_object();
    (void)json_object_set_new(*out, "documents", documents);
    (void)json_object_set_new(*out, "cursor", next);
    return CX_OK;
}

static size_t row_bytes(const struct cx_stmt *s)
{
    size_t bytes = 0;
    for (int column = 0; column < 4; column++) {
        bytes += cx_stmt_text(s, column).len;
    }
    return bytes;
}

/* Of the first four columns. */
static enum cx_status document_json(const struct cx_stmt *s, json_t **out, struct cx_err *err)
{
    json_t *metadata = NULL;
    const enum cx_status status = vector__parse_metadata(cx_stmt_text(s, 3), &metadata, err);
    if (status != CX_OK) {
        return status;
    }
    json_t *document = json_object();
    (void)json_object_set_new(document, "doc_id", vector__json_text(cx_stmt_text(s, 0)));
    (void)json_object_set_new(document, "uri", vector__json_text(cx_stmt_text(s, 1)));
    (void)json_object_set_new(document, "summary",
                              cx_stmt_is_null(s, 2) ? json_null()
                                                    : vector__json_text(cx_stmt_text(s, 2)));
    (void)json_object_set_new(document, "metadata", metadata);
    *out = document;
    return CX_OK;
}

static json_t *time_json(int64_t wall_us)
{
    char text[CX_TIME_TEXT_BYTES];
    return json_string(cx_time_format(wall_us, text));
}
