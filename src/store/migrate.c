/* SPDX-License-Identifier: MIT
 *
 * The schema: whether the file is ours, whether it is whole, which migrations it has had, and those
 * that it still needs. Runs on the writer, before anyone reads.
 */
#include "db.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* "CRTX" at byte 68 of the file: what file(1) and we know it by. */
#define APPLICATION_ID 0x43525458
#define APPLICATION_ID_TEXT "0x43525458"
/* A larger file would keep the start waiting for seconds. */
#define CHECK_MAX_BYTES (256LL << 20)

static enum cx_status recognise(struct cx_db *db, bool *fresh, struct cx_err *err);
static enum cx_status start_wal(struct cx_db *db, bool fresh, struct cx_err *err);
static enum cx_status make_ours(struct cx_db *db, struct cx_err *err);
static enum cx_status check_pages(struct cx_db *db, struct cx_err *err);
static enum cx_status refuse_newer(struct cx_db *db, const struct cx_store_options *options,
                                   struct cx_err *err);
static enum cx_status apply(struct cx_db *db, const struct cx_migration *migration,
                            struct cx_err *err);
static enum cx_status read_int(struct cx_db *db, const char *sql, int64_t *out, struct cx_err *err);
static bool known(const struct cx_store_options *options, struct cx_str room, int64_t version);

enum cx_status migrate__run(struct cx_db *db, const struct cx_store_options *options,
                            struct cx_err *err)
{
    bool fresh = false;
    enum cx_status status = recognise(db, &fresh, err);
    if (status == CX_OK) {
        status = start_wal(db, fresh, err);
    }
    if (status == CX_OK) {
        status = fresh ? make_ours(db, err) : check_pages(db, err);
    }
    if (status == CX_OK) {
        status = refuse_newer(db, options, err);
    }
    for (size_t i = 0; status == CX_OK && i < options->migration_count; i++) {
        status = apply(db, &options->migrations[i], err);
    }
    return status;
}

/* Only looks: a database of somebody else's is left as it is. */
static enum cx_status recognise(struct cx_db *db, bool *fresh, struct cx_err *err)
{
    int64_t id = 0;
    int64_t objects = 0;
    enum cx_status status = read_int(db, "PRAGMA application_id", &id, err);
    if (status == CX_OK) {
        status = read_int(db, "SELECT count(*) FROM sqlite_schema", &objects, err);
    }
    if (status == CX_OK && id != APPLICATION_ID && (id != 0 || objects != 0)) {
        status = cx_err_set(err, CX_CONFLICT, "The database belongs to another program");
    }
    if (status == CX_OK) {
        *fresh = id == 0;
    }
    return status;
}

static enum cx_status start_wal(struct cx_db *db, bool fresh, struct cx_err *err)
{
    /* Both only take hold before the first page is written. Some builds of SQLite vacuum at
     * every commit. */
    if (fresh) {
        enum cx_status status =
            cx_db_exec(db, "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL", err);
        if (status != CX_OK) {
            return status;
        }
    }
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(db, "PRAGMA journal_mode=WAL", &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status != CX_OK) {
        return status;
    }
    const bool on = row && cx_str_eq(cx_stmt_text(stmt, 0), CX_STR("wal"));
    cx_stmt_reset(stmt);
    if (!on) {
        return cx_err_set(err, CX_IO_ERROR,
                          "The database's file system has no write-ahead log (shared memory)");
    }
    return cx_db_exec(db, "PRAGMA journal_size_limit=67108864", err);
}

static enum cx_status make_ours(struct cx_db *db, struct cx_err *err)
{
    enum cx_status status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    status = cx_db_exec(db,
                        "PRAGMA application_id=" APPLICATION_ID_TEXT ";"
                        "CREATE TABLE cortex_migrations("
                        " room TEXT NOT NULL, version INTEGER NOT NULL, applied_at TEXT NOT NULL,"
                        " PRIMARY KEY(room, version)) STRICT, WITHOUT ROWID",
                        err);
    if (status != CX_OK) {
        cx_db_rollback(db);
        return status;
    }
    return cx_db_commit(db, err);
}

static enum cx_status check_pages(struct cx_db *db, struct cx_err *err)
{
    struct stat info;
    if (stat(db->shared->path, &info) == 0 && info.st_size > CHECK_MAX_BYTES) {
        CX_LOG(CX_LOG_INFO, "database too large to be checked page by page at start",
               CX_I("bytes", info.st_size));
        return CX_OK;
    }
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(db, "PRAGMA quick_check(1)", &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status != CX_OK) {
        return status;
    }
    if (!row || !cx_str_eq(cx_stmt_text(stmt, 0), CX_STR("ok"))) {
        char *found = row ? cx_strndup(cx_stmt_text(stmt, 0).p, cx_stmt_text(stmt, 0).len) : NULL;
        cx_stmt_reset(stmt);
        CX_LOG(CX_LOG_ERROR, "database is damaged", CX_S("path", db->shared->path),
               CX_S("found", found));
        free(found);
        return db__fault(db, SQLITE_CORRUPT, err);
    }
    cx_stmt_reset(stmt);
    return CX_OK;
}

static enum cx_status refuse_newer(struct cx_db *db, const struct cx_store_options *options,
                                   struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status =
        cx_db_prepare(db, "SELECT room, version FROM cortex_migrations", &stmt, err);
    for (bool row = true; status == CX_OK && row;) {
        status = cx_stmt_step(stmt, &row, err);
        if (status == CX_OK && row) {
            const struct cx_str room = cx_stmt_text(stmt, 0);
            const int64_t version = cx_stmt_int(stmt, 1);
            if (!known(options, room, version)) {
                status = cx_err_set(
                    err, CX_CONFLICT, "The database was made by a newer version (%.*s %lld)",
                    (int)(room.len < 64 ? room.len : 64), room.p, (long long)version);
                cx_stmt_reset(stmt);
            }
        }
    }
    return status;
}

static bool known(const struct cx_store_options *options, struct cx_str room, int64_t version)
{
    for (size_t i = 0; i < options->migration_count; i++) {
        const struct cx_migration *m = &options->migrations[i];
        if (m->version == version && cx_str_eq(cx_str_of(m->room), room)) {
            return true;
        }
    }
    return false;
}

/* The step and its record are one transaction: half a migration cannot be. */
static enum cx_status apply(struct cx_db *db, const struct cx_migration *migration,
                            struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    bool applied = false;
    enum cx_status status = cx_db_prepare(
        db, "SELECT 1 FROM cortex_migrations WHERE room=?1 AND version=?2", &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_text(stmt, 1, cx_str_of(migration->room));
        cx_stmt_bind_int(stmt, 2, migration->version);
        status = cx_stmt_step(stmt, &applied, err);
        cx_stmt_reset(stmt);
    }
    if (status != CX_OK || applied) {
        return status;
    }
    status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    status = cx_db_exec(db, migration->sql, err);
    if (status == CX_OK) {
        status = cx_db_prepare(
            db, "INSERT INTO cortex_migrations(room, version, applied_at) VALUES(?1, ?2, ?3)",
            &stmt, err);
    }
    if (status == CX_OK) {
        char now[CX_TIME_TEXT_BYTES];
        cx_stmt_bind_text(stmt, 1, cx_str_of(migration->room));
        cx_stmt_bind_int(stmt, 2, migration->version);
        cx_stmt_bind_text(stmt, 3, cx_str_of(cx_time_format(cx_clock_wall_us(), now)));
        status = cx_stmt_run(stmt, err);
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
        CX_LOG(CX_LOG_ERROR, "migration failed", CX_S("room", migration->room),
               CX_I("version", migration->version));
        return status;
    }
    return cx_db_commit(db, err);
}

static enum cx_status read_int(struct cx_db *db, const char *sql, int64_t *out, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(db, sql, &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status == CX_OK && row) {
        *out = cx_stmt_int(stmt, 0);
        cx_stmt_reset(stmt);
    }
    return status;
}
