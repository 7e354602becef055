/* SPDX-License-Identifier: MIT
 *
 * That what is deleted is gone. SQLite overwrites rows and pages that it frees (secure_delete), but an
 * FTS5 index keeps the words of a deleted text in its parts until they are merged into one, and the WAL
 * keeps pages as they were until it is emptied. Whoever removes a text notes it here, in its own
 * transaction, so that a crash forgets nothing.
 *
 * Threads: the write lane.
 */
#include <stdlib.h>
#include <string.h>

#include "rows.h"

#define MERGE_PAGES 64

static enum cx_status next_collection(struct cx_db *db, struct cx_vector_purge *progress,
                                      struct cx_err *err);
static enum cx_status merge(struct cx_db *db, const struct vector__fulltext *fulltext, bool *whole,
                            struct cx_err *err);
static enum cx_status read_generation(struct cx_db *db, int64_t *out, struct cx_err *err);
static enum cx_status tell_content(const struct cx_vector_store *store, struct cx_db *db,
                                   int64_t id, struct cx_err *err);

enum cx_status vector__note_gone(const struct cx_vector_store *store, struct cx_db *db, int64_t id,
                                 struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "INSERT INTO purge (id, generation) VALUES (1, 1)"
                      " ON CONFLICT (id) DO UPDATE SET generation = generation + 1",
                      &s, err);
    if (status == CX_OK) {
        status = cx_stmt_run(s, err);
    }
    return status == CX_OK && store->on_gone != NULL ? tell_content(store, db, id, err) : status;
}

static enum cx_status tell_content(const struct cx_vector_store *store, struct cx_db *db,
                                   int64_t id, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db, "SELECT content FROM documents WHERE id = ?1", &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status == CX_OK && row) {
        status = store->on_gone(db, cx_stmt_text(s, 0), err);
        cx_stmt_reset(s);
    }
    return status;
}

enum cx_status cx_vector_purge(struct cx_vector_store *store, struct cx_db *db,
                               struct cx_vector_purge *progress, struct cx_err *err)
{
    (void)store;
    enum cx_status status = CX_OK;
    if (progress->generation == 0) {
        status = read_generation(db, &progress->generation, err);
        progress->done = status == CX_OK && progress->generation == 0;
    }
    if (status != CX_OK || progress->done) {
        return status;
    }
    const int64_t before = progress->collection;
    status = next_collection(db, progress, err);
    if (status != CX_OK || progress->done) {
        return status;
    }
    struct vector__fulltext *fulltext = cx_alloc(sizeof *fulltext);
    vector__fulltext_init(fulltext, progress->collection);
    bool whole = false;
    status = cx_db_begin(db, err);
    if (status == CX_OK) {
        status = merge(db, fulltext, &whole, err);
        if (status == CX_OK) {
            status = cx_db_commit(db, err);
        }
        if (status != CX_OK) {
            cx_db_rollback(db);
        }
    }
    if (!whole) {
        progress->collection = before; /* again */
    }
    free(fulltext);
    return status;
}

static enum cx_status next_collection(struct cx_db *db, struct cx_vector_purge *progress,
                                      struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db, "SELECT id FROM collections WHERE id > ?1 ORDER BY id LIMIT 1", &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, progress->collection);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status == CX_OK && row) {
        progress->collection = cx_stmt_int(s, 0);
        cx_stmt_reset(s);
    }
    progress->done = status == CX_OK && !row;
    return status;
}

/* *whole: there was nothing left to merge. */
static enum cx_status merge(struct cx_db *db, const struct vector__fulltext *fulltext, bool *whole,
                            struct cx_err *err)
{
    uint8_t before[CX_SHA256_BYTES];
    uint8_t after[CX_SHA256_BYTES];
    bool small = false;
    struct cx_stmt *s = NULL;
    enum cx_status status = vector__read_parts(db, fulltext, before, &small, err);
    if (status == CX_OK) {
        status = cx_db_prepare(db, fulltext->merge, &s, err);
    }
    if (status == CX_OK) {
        cx_stmt_bind_int(s, 1, -MERGE_PAGES);
        status = cx_stmt_run(s, err);
    }
    if (status == CX_OK) {
        status = vector__read_parts(db, fulltext, after, &small, err);
    }
    *whole = status == CX_OK && memcmp(before, after, sizeof before) == 0;
    return status;
}

static enum cx_status read_generation(struct cx_db *db, int64_t *out, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(db, "SELECT generation FROM purge", &s, err);
    bool row = false;
    if (status == CX_OK) {
        status = cx_stmt_step(s, &row, err);
    }
    if (status == CX_OK) {
        *out = row ? cx_stmt_int(s, 0) : 0;
        cx_stmt_reset(s);
    }
    return status;
}

enum cx_status cx_vector_purged(struct cx_db *db, const struct cx_vector_purge *progress,
                                bool *clean, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(db, "DELETE FROM purge WHERE generation = ?1", &s, err);
    if (status == CX_OK) {
        cx_stmt_bind_int(s, 1, progress->generation);
        status = cx_stmt_run(s, err);
    }
    if (status == CX_OK) {
        *clean = cx_db_changes(db) > 0;
    }
    return status;
}
