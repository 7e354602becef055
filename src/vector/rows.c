/* SPDX-License-Identifier: MIT
 *
 * The statements behind rows.h. The keyword index is told of every text that comes and goes.
 */
#include "rows.h"

static enum cx_status add_keywords(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                   struct cx_str content, struct cx_err *err);
static enum cx_status run_with_id(struct cx_db *db, const char *sql, int64_t id,
                                  struct cx_err *err);

enum cx_status vector__row_find(const struct cx_vector *v, struct cx_db *db,
                                const struct cx_document *doc, const uint8_t hash[CX_SHA256_BYTES],
                                struct vector__stored *out, struct cx_err *err)
{
    *out = (struct vector__stored){ 0 };
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      VECTOR__BY_SIDE(v,
                                      "SELECT id, content_hash, uri, summary, metadata,"
                                      " EXISTS (SELECT 1 FROM ",
                                      " WHERE id = documents.id)"
                                      " FROM documents WHERE collection = ?1 AND doc_id = ?2"),
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, doc->doc_id);
    status = cx_stmt_step(s, &out->found, err);
    if (status == CX_OK && out->found) {
        out->id = cx_stmt_int(s, 0);
        out->same_content =
            cx_str_eq(cx_stmt_blob(s, 1), (struct cx_str){ (const char *)hash, CX_SHA256_BYTES });
        out->same_fields =
            cx_str_eq(cx_stmt_text(s, 2), doc->uri) &&
            cx_stmt_is_null(s, 3) == (doc->summary.p == NULL) &&
            (doc->summary.p == NULL || cx_str_eq(cx_stmt_text(s, 3), doc->summary)) &&
            cx_str_eq(cx_stmt_text(s, 4), doc->metadata);
        out->has_vector = cx_stmt_int(s, 5) != 0;
        cx_stmt_reset(s);
    }
    return status;
}

enum cx_status vector__row_same_vector(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                       const float *vector, unsigned dimension, bool *same,
                                       struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db, VECTOR__BY_SIDE(v, "SELECT vector FROM ", " WHERE id = ?1"), &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status == CX_OK && row) {
        const struct cx_str bytes = { (const char *)vector, dimension * sizeof *vector };
        *same = cx_str_eq(cx_stmt_blob(s, 0), bytes);
        cx_stmt_reset(s);
    }
    return status;
}

enum cx_status vector__row_insert(const struct cx_vector *v, struct cx_db *db,
                                  const struct cx_document *doc,
                                  const uint8_t hash[CX_SHA256_BYTES], int64_t now_us, int64_t *id,
                                  struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "INSERT INTO documents (collection, doc_id, uri, summary, metadata,"
                      " content_hash, created_at_us, updated_at_us, content)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, doc->doc_id);
    cx_stmt_bind_text(s, 3, doc->uri.p != NULL ? doc->uri : CX_STR(""));
    cx_stmt_bind_text(s, 4, doc->summary);
    cx_stmt_bind_text(s, 5, doc->metadata);
    cx_stmt_bind_blob(s, 6, hash, CX_SHA256_BYTES);
    cx_stmt_bind_int(s, 7, now_us);
    cx_stmt_bind_text(s, 8, doc->content.p != NULL ? doc->content : CX_STR(""));
    status = cx_stmt_run(s, err);
    if (status != CX_OK) {
        return status;
    }
    *id = cx_db_last_rowid(db);
    return add_keywords(v, db, *id, doc->content, err);
}

enum cx_status vector__row_update_content(const struct cx_vector *v, struct cx_db *db,
                                          const struct cx_document *doc, int64_t id,
                                          const uint8_t hash[CX_SHA256_BYTES], struct cx_err *err)
{
    enum cx_status status = vector__note_gone(v->store, db, id, err);
    if (status == CX_OK) {
        status = run_with_id(db, v->fulltext.remove, id, err);
    }
    struct cx_stmt *s = NULL;
    if (status == CX_OK) {
        status = cx_db_prepare(
            db, "UPDATE documents SET content = ?2, content_hash = ?3 WHERE id = ?1", &s, err);
    }
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    cx_stmt_bind_text(s, 2, doc->content.p != NULL ? doc->content : CX_STR(""));
    cx_stmt_bind_blob(s, 3, hash, CX_SHA256_BYTES);
    status = cx_stmt_run(s, err);
    return status == CX_OK ? add_keywords(v, db, id, doc->content, err) : status;
}

enum cx_status vector__row_update_fields(struct cx_db *db, const struct cx_document *doc,
                                         int64_t id, int64_t now_us, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status =
        cx_db_prepare(db,
                      "UPDATE documents SET uri = ?2, summary = ?3, metadata = ?4,"
                      " updated_at_us = ?5 WHERE id = ?1",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    cx_stmt_bind_text(s, 2, doc->uri.p != NULL ? doc->uri : CX_STR(""));
    cx_stmt_bind_text(s, 3, doc->summary);
    cx_stmt_bind_text(s, 4, doc->metadata);
    cx_stmt_bind_int(s, 5, now_us);
    return cx_stmt_run(s, err);
}

enum cx_status vector__row_write_vector(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                        const float *vector, unsigned dimension, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status = cx_db_prepare(
        db, VECTOR__BY_SIDE(v, "INSERT OR REPLACE INTO ", " (id, vector) VALUES (?1, ?2)"), &s,
        err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    cx_stmt_bind_blob(s, 2, vector, dimension * sizeof *vector);
    return cx_stmt_run(s, err);
}

enum cx_status vector__row_drop_vectors(struct cx_db *db, int64_t id, struct cx_err *err)
{
    const enum cx_status status = run_with_id(db, "DELETE FROM vectors WHERE id = ?1", id, err);
    return status == CX_OK ? run_with_id(db, "DELETE FROM vectors_beside WHERE id = ?1", id, err)
                           : status;
}

enum cx_status vector__row_drop_stale(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                      struct cx_err *err)
{
    return run_with_id(db,
                       atomic_load_explicit(&v->side, memory_order_relaxed) == 0
                           ? "DELETE FROM vectors_beside WHERE id = ?1"
                           : "DELETE FROM vectors WHERE id = ?1",
                       id, err);
}

enum cx_status vector__row_waits(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                 const uint8_t hash[CX_SHA256_BYTES], bool *waits,
                                 struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      VECTOR__BY_SIDE(v,
                                      "SELECT 1 FROM documents WHERE id = ?1 AND content_hash = ?2"
                                      " AND NOT EXISTS (SELECT 1 FROM ",
                                      " WHERE id = ?1)"),
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    cx_stmt_bind_blob(s, 2, hash, CX_SHA256_BYTES);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status == CX_OK) {
        *waits = row;
        cx_stmt_reset(s);
    }
    return status;
}

enum cx_status vector__row_delete(const struct cx_vector *v, struct cx_db *db, struct cx_str doc_id,
                                  int64_t *id, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(
        db, "SELECT id FROM documents WHERE collection = ?1 AND doc_id = ?2", &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, doc_id);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status != CX_OK || !row) {
        return status;
    }
    const int64_t found = cx_stmt_int(s, 0);
    cx_stmt_reset(s);
    status = vector__row_remove(v->store, db, &v->fulltext, found, err);
    if (status == CX_OK) {
        *id = found;
    }
    return status;
}

/* The keyword index must be told exactly what it was told when the document came. */
enum cx_status vector__row_remove(const struct cx_vector_store *store, struct cx_db *db,
                                  const struct vector__fulltext *fulltext, int64_t id,
                                  struct cx_err *err)
{
    enum cx_status status = vector__note_gone(store, db, id, err);
    if (status == CX_OK) {
        status = run_with_id(db, fulltext->remove, id, err);
    }
    if (status == CX_OK) {
        status = vector__row_drop_vectors(db, id, err);
    }
    if (status == CX_OK) {
        status = run_with_id(db, "DELETE FROM documents WHERE id = ?1", id, err);
    }
    return status;
}

static enum cx_status add_keywords(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                   struct cx_str content, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status = cx_db_prepare(db, v->fulltext.add, &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    cx_stmt_bind_text(s, 2, content.p != NULL ? content : CX_STR(""));
    return cx_stmt_run(s, err);
}

static enum cx_status run_with_id(struct cx_db *db, const char *sql, int64_t id, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status = cx_db_prepare(db, sql, &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    return cx_stmt_run(s, err);
}
