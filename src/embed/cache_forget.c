/* SPDX-License-Identifier: MIT
 *
 * Texts that were deleted: what was made of them leaves the cache on disk too. A text is noted in the
 * transaction that deletes it, and its vector removed some time later, when those that were still
 * waiting to be written have been.
 *
 * Threads: the write lane.
 */
#include "batcher.h"

#define SLICE_TEXTS 128

enum cx_status cx_embed_note_gone(struct cx_db *db, struct cx_str content, struct cx_err *err)
{
    uint8_t digest[CX_SHA256_BYTES];
    embed__digest(CX_EMBED_DOCUMENT, content, digest);
    struct cx_stmt *s = NULL;
    const enum cx_status status = cx_db_prepare(
        db, "INSERT OR IGNORE INTO embedding_gone (content_hash) VALUES (?1)", &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_blob(s, 1, digest, sizeof digest);
    return cx_stmt_run(s, err);
}

enum cx_status cx_embed_forget_gone(struct cx_db *db, bool *more, struct cx_err *err)
{
    static const char *const statements[] = {
        "DELETE FROM embedding_cache WHERE content_hash IN"
        " (SELECT content_hash FROM embedding_gone ORDER BY content_hash LIMIT ?1)",
        "DELETE FROM embedding_gone WHERE content_hash IN"
        " (SELECT content_hash FROM embedding_gone ORDER BY content_hash LIMIT ?1)",
    };
    enum cx_status status = cx_db_begin(db, err);
    for (size_t i = 0; i < CX_ARRAY_LEN(statements) && status == CX_OK; i++) {
        struct cx_stmt *s = NULL;
        status = cx_db_prepare(db, statements[i], &s, err);
        if (status == CX_OK) {
            cx_stmt_bind_int(s, 1, SLICE_TEXTS);
            status = cx_stmt_run(s, err);
        }
    }
    *more = status == CX_OK && cx_db_changes(db) == SLICE_TEXTS;
    if (status == CX_OK) {
        status = cx_db_commit(db, err);
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
    }
    return status;
}
