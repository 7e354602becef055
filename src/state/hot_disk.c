/* SPDX-License-Identifier: MIT
 *
 * Hot state on disk. A stamp names one value of a key, and is kept beside it: what is erased late,
 * because it was let go of in memory, is never a value that came after. Blocking.
 */
#include "hot.h"

enum cx_status cx_hot_save(struct cx_db *db, const struct cx_hot_entry *entry, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status = cx_db_prepare(
        db,
        "INSERT INTO hot (space, key, value, expires_us, stamp) VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (space, key) DO UPDATE SET value = excluded.value,"
        " expires_us = excluded.expires_us, stamp = excluded.stamp WHERE stamp < excluded.stamp",
        &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_blob(s, 1, entry->space.p, entry->space.len);
    cx_stmt_bind_blob(s, 2, entry->key.p, entry->key.len);
    cx_stmt_bind_blob(s, 3, entry->value.p, entry->value.len);
    cx_stmt_bind_int(s, 4, entry->expires_us);
    cx_stmt_bind_int(s, 5, (int64_t)entry->stamp);
    return cx_stmt_run(s, err);
}

enum cx_status cx_hot_erase(struct cx_db *db, const struct cx_hot_entry *entries, size_t count,
                            struct cx_err *err)
{
    enum cx_status status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    for (size_t i = 0; i < count && status == CX_OK; i++) {
        struct cx_stmt *s = NULL;
        status = cx_db_prepare(db, "DELETE FROM hot WHERE space = ?1 AND key = ?2 AND stamp <= ?3",
                               &s, err);
        if (status == CX_OK) {
            cx_stmt_bind_blob(s, 1, entries[i].space.p, entries[i].space.len);
            cx_stmt_bind_blob(s, 2, entries[i].key.p, entries[i].key.len);
            cx_stmt_bind_int(s, 3, (int64_t)entries[i].stamp);
            status = cx_stmt_run(s, err);
        }
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
        return status;
    }
    return cx_db_commit(db, err);
}

enum cx_status cx_hot_erase_all(struct cx_db *db, struct cx_str space, uint64_t stamp, size_t limit,
                                bool *left, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "DELETE FROM hot WHERE rowid IN (SELECT rowid FROM hot WHERE space = ?1"
                      " AND stamp <= ?2 LIMIT ?3)",
                      &s, err);
    if (status == CX_OK) {
        cx_stmt_bind_blob(s, 1, space.p, space.len);
        cx_stmt_bind_int(s, 2, (int64_t)stamp);
        cx_stmt_bind_int(s, 3, (int64_t)limit);
        status = cx_stmt_run(s, err);
    }
    if (status == CX_OK) {
        *left = cx_db_changes(db) == (int64_t)limit;
    }
    return status;
}

/* ---- At start ---- */

/* The newest first, until there is no more room. *oldest: the stamp of the last one that is taken. */
static enum cx_status choose(struct cx_hot *hot, struct cx_db *db, int64_t now_us, int64_t *oldest,
                             struct cx_err *err);
static enum cx_status erase_rest(struct cx_db *db, int64_t now_us, int64_t oldest,
                                 struct cx_err *err);
static enum cx_status take(struct cx_hot *hot, struct cx_db *db, uint64_t now_ms, int64_t now_us,
                           struct cx_err *err);

enum cx_status cx_hot_load(struct cx_hot *hot, struct cx_db *db, uint64_t now_ms, int64_t now_us,
                           struct cx_err *err)
{
    int64_t oldest = INT64_MAX;
    enum cx_status status = choose(hot, db, now_us, &oldest, err);
    if (status == CX_OK) {
        status = erase_rest(db, now_us, oldest, err);
    }
    return status == CX_OK ? take(hot, db, now_ms, now_us, err) : status;
}

static enum cx_status choose(struct cx_hot *hot, struct cx_db *db, int64_t now_us, int64_t *oldest,
                             struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT stamp, length(space) + length(key) + length(value) FROM hot"
                      " WHERE expires_us = 0 OR expires_us > ?1 ORDER BY stamp DESC",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, now_us);
    size_t count = 0;
    size_t bytes = 0;
    bool row = true;
    while ((status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
        bytes += (size_t)cx_stmt_int(s, 1) + sizeof(struct hot__entry) + sizeof(struct hot__space) +
                 2 * sizeof(void *);
        if (++count > hot->options.entries_max || bytes > hot->options.bytes_max) {
            cx_stmt_reset(s);
            break;
        }
        *oldest = cx_stmt_int(s, 0);
    }
    return status;
}

static enum cx_status erase_rest(struct cx_db *db, int64_t now_us, int64_t oldest,
                                 struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status = cx_db_prepare(
        db, "DELETE FROM hot WHERE stamp < ?1 OR (expires_us <> 0 AND expires_us <= ?2)", &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, oldest);
    cx_stmt_bind_int(s, 2, now_us);
    return cx_stmt_run(s, err);
}

static enum cx_status take(struct cx_hot *hot, struct cx_db *db, uint64_t now_ms, int64_t now_us,
                           struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(
        db, "SELECT space, key, value, expires_us, stamp FROM hot ORDER BY stamp", &s, err);
    bool row = true;
    while (status == CX_OK && (status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
        const int64_t expires_us = cx_stmt_int(s, 3);
        const struct cx_hot_entry entry = {
            .space = cx_stmt_blob(s, 0),
            .key = cx_stmt_blob(s, 1),
            .value = cx_stmt_blob(s, 2),
            .expires_us = expires_us,
            .expires_ms = expires_us == 0 ? 0 : now_ms + (uint64_t)(expires_us - now_us) / 1000 + 1,
            .stamp = (uint64_t)cx_stmt_int(s, 4),
        };
        bool created = false;
        if (cx_hot_make_room(hot, &entry, now_ms, SIZE_MAX)) {
            cx_hot_put(hot, &entry, now_ms, &created);
        }
        hot->last_stamp = entry.stamp;
    }
    return status;
}
