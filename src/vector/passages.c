/* SPDX-License-Identifier: MIT
 *
 * Finding and removing the passages of a document.
 */
#include "passages.h"

#include <stdlib.h>

#include "rows.h"

void vector__ids_add(struct vector__ids *ids, int64_t id)
{
    ids->items = cx_realloc_array(ids->items, ids->count + 1, sizeof *ids->items);
    ids->items[ids->count++] = id;
}

enum cx_status vector__whole_remove(const struct cx_vector *v, struct cx_db *db,
                                    struct cx_str doc_id, struct vector__ids *removed,
                                    struct cx_err *err)
{
    int64_t id = 0;
    const enum cx_status status = vector__row_delete(v, db, doc_id, &id, err);
    if (status == CX_OK && id != 0) {
        vector__ids_add(removed, id);
    }
    return status;
}

/* '$' follows '#': the ids that begin with PARENT# are one range of the index. */
enum cx_status vector__passages_remove(const struct cx_vector *v, struct cx_db *db,
                                       struct cx_str parent, size_t kept,
                                       struct vector__ids *removed, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(db,
                                          "SELECT id, doc_id FROM documents WHERE collection = ?1"
                                          " AND doc_id > ?2 || '#' AND doc_id < ?2 || '$'"
                                          " AND json_extract(metadata, '$.parent') = ?2",
                                          &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, parent);
    const size_t first = removed->count;
    bool row = false;
    while ((status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
        struct cx_str of;
        if (cx_document_passage_number(cx_stmt_text(s, 1), &of) > kept && cx_str_eq(of, parent)) {
            vector__ids_add(removed, cx_stmt_int(s, 0));
        }
    }
    for (size_t i = first; i < removed->count && status == CX_OK; i++) {
        status = vector__row_remove(v->store, db, &v->fulltext, removed->items[i], err);
    }
    return status;
}

enum cx_status vector__passage_check(struct cx_db *db, const struct cx_document *doc,
                                     const json_t *metadata, int64_t id, struct cx_err *err)
{
    struct cx_str parent = { NULL, 0 };
    if (cx_document_passage_number(doc->doc_id, &parent) == 0) {
        return CX_OK;
    }
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(
        db, "SELECT json_extract(metadata, '$.parent') IS ?2 FROM documents WHERE id = ?1", &s,
        err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    cx_stmt_bind_text(s, 2, parent);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status != CX_OK || !row) {
        return status;
    }
    const bool was = cx_stmt_int(s, 0) != 0;
    cx_stmt_reset(s);
    return cx_document_passage_check(doc->doc_id, was, metadata, err);
}

enum cx_status cx_document_passage_check(struct cx_str doc_id, bool was, const json_t *metadata,
                                         struct cx_err *err)
{
    struct cx_str parent = { NULL, 0 };
    if (cx_document_passage_number(doc_id, &parent) == 0 ||
        was == cx_document_is_passage(metadata, parent)) {
        return CX_OK;
    }
    const int len = (int)(doc_id.len < 128 ? doc_id.len : 128);
    return cx_err_set(
        err, CX_CONFLICT,
        was ? "document \"%.*s\" is a passage of a longer one; delete that, or choose "
              "another doc_id"
            : "document \"%.*s\" is no passage, and one of a longer document would "
              "take its place; delete it, or choose another doc_id",
        len, doc_id.p);
}

bool cx_document_is_passage(const json_t *metadata, struct cx_str parent)
{
    const json_t *named = json_object_get(metadata, "parent");
    return json_is_string(named) &&
           cx_str_eq((struct cx_str){ json_string_value(named), json_string_length(named) },
                     parent);
}
