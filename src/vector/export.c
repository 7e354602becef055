/* SPDX-License-Identifier: MIT
 *
 * Documents as lines of NDJSON that can be put again, in the order of their ids, page by page.
 *
 * Threads: a worker with a reader of its own.
 */
#include <string.h>

#include "cortex/crypto.h"
#include "rows.h"

static enum cx_status last_id(struct cx_db *db, int64_t *out, struct cx_err *err);
static void write_line(const struct cx_stmt *s, const char *fingerprint, bool vector,
                       struct cx_buf *out);
static void write_member(const char *name, struct cx_str text, struct cx_buf *out);

/* Columns. */
enum { ID, DOC_ID, URI, SUMMARY, METADATA, VECTOR, CONTENT };

enum cx_status cx_vector_export(struct cx_vector *v, struct cx_db *db, struct cx_vector_export *at,
                                size_t bytes, struct cx_buf *out, struct cx_err *err)
{
    enum cx_status status = at->last == 0 ? last_id(db, &at->last, err) : CX_OK;
    struct cx_vector_figures figures;
    cx_vector_figures(v, &figures);
    /* Read before the side is: a collection that is ready changes it no more. */
    const bool vector = at->vectors && figures.status == CX_VECTOR_READY;
    const char *fingerprint = figures.owner == CX_OWNER_EMBEDDER ? v->fingerprint : NULL;
    struct cx_stmt *s = NULL;
    if (status == CX_OK) {
        status = cx_db_prepare(
            db,
            VECTOR__BY_SIDE(
                v,
                "SELECT d.id, d.doc_id, d.uri, d.summary, d.metadata, x.vector, d.content"
                " FROM documents d LEFT JOIN ",
                " x ON x.id = d.id WHERE d.collection = ?1 AND d.doc_id > ?2"
                " AND d.id <= ?3 ORDER BY d.doc_id"),
            &s, err);
    }
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, cx_str_of(at->after));
    cx_stmt_bind_int(s, 3, at->last);
    bool row = true;
    char after[CX_DOC_ID_MAX + 1] = "";
    while (out->len < bytes && (status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
        write_line(s, fingerprint, vector, out);
        const struct cx_str id = cx_stmt_text(s, DOC_ID);
        memcpy(after, id.p, id.len);
        after[id.len] = '\0';
    }
    cx_stmt_reset(s);
    if (status == CX_OK && out->starved) {
        status = cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    } else if (status == CX_OK && out->failed) {
        status = cx_err_set(err, CX_TOO_LARGE, "A document is too large to be exported");
    }
    if (status == CX_OK) {
        at->ended = !row;
        memcpy(at->after, after, sizeof after);
    }
    return status;
}

/* What comes later is not exported: an export ends, however much comes in meanwhile. */
static enum cx_status last_id(struct cx_db *db, int64_t *out, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db, "SELECT seq FROM sqlite_sequence WHERE name = 'documents'", &s, err);
    if (status != CX_OK) {
        return status;
    }
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status == CX_OK && row) {
        *out = cx_stmt_int(s, 0);
        cx_stmt_reset(s);
    }
    return status;
}

static void write_line(const struct cx_stmt *s, const char *fingerprint, bool vector,
                       struct cx_buf *out)
{
    cx_buf_puts(out, "{\"doc_id\":");
    cx_json_write_string(cx_stmt_text(s, DOC_ID), out);
    write_member("content", cx_stmt_text(s, CONTENT), out);
    write_member("uri", cx_stmt_text(s, URI), out);
    if (!cx_stmt_is_null(s, SUMMARY)) {
        write_member("summary", cx_stmt_text(s, SUMMARY), out);
    }
    cx_buf_puts(out, ",\"metadata\":");
    cx_buf_put_str(out, cx_stmt_text(s, METADATA));
    if (vector && !cx_stmt_is_null(s, VECTOR)) {
        const struct cx_str floats = cx_stmt_blob(s, VECTOR);
        cx_buf_puts(out, ",\"vector\":\"");
        cx_base64_encode(floats.p, floats.len, out);
        cx_buf_putc(out, '"');
        if (fingerprint != NULL) {
            write_member("fingerprint", cx_str_of(fingerprint), out);
        }
    }
    cx_buf_puts(out, "}\n");
}

static void write_member(const char *name, struct cx_str text, struct cx_buf *out)
{
    cx_buf_printf(out, ",\"%s\":", name);
    cx_json_write_string(text.p != NULL ? text : CX_STR(""), out);
}
