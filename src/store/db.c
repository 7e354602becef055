/* SPDX-License-Identifier: MIT
 *
 * A connection: how it is opened, its transactions, and when the WAL is moved into the file. Owns
 * the sqlite3 handle; on one thread at a time.
 */
#include "db.h"

#include <stdlib.h>

/* Nobody else holds a lock for long: a lock that lasts is somebody's shell or backup. */
#define BUSY_TIMEOUT_MS 250
/* After that many new frames a commit checkpoints without waiting for readers. */
#define CHECKPOINT_FRAMES 1000
/* From here on it waits for readers (at most the busy timeout) so that overlapping reads cannot
 * keep the WAL growing for ever. */
#define CHECKPOINT_INSIST_FRAMES 16000

static enum cx_status configure(struct cx_db *db, struct cx_err *err);
static enum cx_status run_literal(struct cx_db *db, const char *sql, struct cx_err *err);
static int on_wal_commit(void *ctx, sqlite3 *handle, const char *name, int frames);

const char *cx_db_path(const struct cx_db *db)
{
    return db->shared->path;
}

enum cx_status db__open(struct store__shared *shared, bool writes, struct cx_db **out,
                        struct cx_err *err)
{
    struct cx_db *db = cx_alloc(sizeof *db);
    db->shared = shared;
    db->writes = writes;
    const int mode = writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    const int rc = sqlite3_open_v2(
        shared->path, &db->handle,
        mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE, NULL);
    enum cx_status status = rc == SQLITE_OK ? configure(db, err) : db__fault(db, rc, err);
    if (status == CX_OK) {
        status = fulltext__open(db, err);
    }
    if (status != CX_OK) {
        db__close(&db);
        return status;
    }
    *out = db;
    return CX_OK;
}

void db__close(struct cx_db **at)
{
    struct cx_db *db = *at;
    if (db == NULL) {
        return;
    }
    *at = NULL;
    stmt__free_all(db);
    fulltext__close(db);
    if (db->handle != NULL) {
        if (db->writes && atomic_load(&db->shared->failed)) {
            (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        }
        const int rc = sqlite3_close(db->handle);
        if (rc != SQLITE_OK) {
            CX_LOG(CX_LOG_ERROR, "database connection did not close", CX_I("sqlite_code", rc));
        }
    }
    free(db);
}

enum cx_status cx_db_begin(struct cx_db *db, struct cx_err *err)
{
    CX_CHECK(!db->in_transaction);
    enum cx_status status = db__usable(db, err);
    if (status == CX_OK) {
        status = run_literal(db, db->writes ? "BEGIN IMMEDIATE" : "BEGIN", err);
    }
    if (status == CX_OK) {
        db->in_transaction = true;
        db->lost_status = CX_OK;
    }
    return status;
}

enum cx_status cx_db_commit(struct cx_db *db, struct cx_err *err)
{
    CX_CHECK(db->in_transaction);
    enum cx_status status = db__usable(db, err);
    if (status == CX_OK) {
        status = run_literal(db, "COMMIT", err);
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
        return status;
    }
    db->in_transaction = false;
    db__after_commit(db);
    return CX_OK;
}

void cx_db_rollback(struct cx_db *db)
{
    db->in_transaction = false;
    db->lost_status = CX_OK;
    if (sqlite3_get_autocommit(db->handle) != 0) {
        return;
    }
    db__reset_statements(db);
    /* Not by cx_stmt_run, which refuses after an I/O error: the lock must go all the same. */
    if (run_literal(db, "ROLLBACK", NULL) != CX_OK) {
        CX_LOG(CX_LOG_ERROR, "transaction not rolled back");
    }
}

enum cx_status cx_db_exec(struct cx_db *db, const char *sql, struct cx_err *err)
{
    enum cx_status status = db__usable(db, err);
    if (status != CX_OK) {
        return status;
    }
    const int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        return db__fault(db, rc, err);
    }
    db__after_commit(db);
    return CX_OK;
}

int64_t cx_db_last_rowid(const struct cx_db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t cx_db_changes(const struct cx_db *db)
{
    return sqlite3_changes64(db->handle);
}

enum cx_status db__usable(struct cx_db *db, struct cx_err *err)
{
    if (db->writes && atomic_load_explicit(&db->shared->failed, memory_order_acquire)) {
        return cx_err_set(err, CX_IO_ERROR, "%s", cx_status_text(CX_IO_ERROR));
    }
    /* A full disk or an I/O error makes SQLite roll back by itself. What is stepped afterwards
     * would commit on its own, half of the caller's transaction. */
    if (db->in_transaction && sqlite3_get_autocommit(db->handle) != 0) {
        const enum cx_status status = db->lost_status != CX_OK ? db->lost_status : CX_INTERNAL;
        return cx_err_set(err, status, "%s", cx_status_text(status));
    }
    return CX_OK;
}

void db__after_commit(struct cx_db *db)
{
    if (!db->writes || sqlite3_get_autocommit(db->handle) == 0) {
        return;
    }
    if (db->wal_frames < db->checkpointed_at) {
        db->checkpointed_at = 0; /* the WAL has begun anew since */
    }
    if (db->wal_frames - db->checkpointed_at < CHECKPOINT_FRAMES) {
        return;
    }
    db->checkpointed_at = db->wal_frames;
    const int mode = db->wal_frames >= CHECKPOINT_INSIST_FRAMES ? SQLITE_CHECKPOINT_TRUNCATE
                                                                : SQLITE_CHECKPOINT_PASSIVE;
    /* The commit stands whatever comes of this; an I/O error has marked the store, and a full
     * disk or a reader in the way leaves the WAL as it is. */
    (void)!db__checkpoint(db, mode, NULL);
}

enum cx_status db__checkpoint(struct cx_db *db, int mode, struct cx_err *err)
{
    int frames = 0;
    int moved = 0;
    const int rc = sqlite3_wal_checkpoint_v2(db->handle, "main", mode, &frames, &moved);
    /* Passive is busy when a reader keeps a part (locked: when this connection itself reads):
     * that part stays for the next time. */
    const bool kept = (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED;
    if (rc != SQLITE_OK && !(mode == SQLITE_CHECKPOINT_PASSIVE && kept)) {
        return db__fault(db, rc, err);
    }
    cx_counter_add(db->shared->checkpoints, 1);
    if (mode == SQLITE_CHECKPOINT_TRUNCATE) {
        db->wal_frames = 0;
        db->checkpointed_at = 0;
    }
    enum { WAL_HEADER_BYTES = 32, WAL_FRAME_BYTES = 4096 + 24 };
    cx_gauge_set(db->shared->wal_bytes,
                 frames > 0 ? WAL_HEADER_BYTES + (double)frames * WAL_FRAME_BYTES : 0.0);
    return CX_OK;
}

void db__reset_statements(struct cx_db *db)
{
    for (sqlite3_stmt *stmt = sqlite3_next_stmt(db->handle, NULL); stmt != NULL;
         stmt = sqlite3_next_stmt(db->handle, stmt)) {
        if (sqlite3_stmt_busy(stmt) != 0) {
            (void)sqlite3_reset(stmt);
        }
    }
}

static enum cx_status configure(struct cx_db *db, struct cx_err *err)
{
    static const struct {
        int option;
        int value;
    } options[] = {
        { SQLITE_DBCONFIG_DEFENSIVE, 1 },   { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
        { SQLITE_DBCONFIG_ENABLE_FKEY, 1 }, { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
        { SQLITE_DBCONFIG_DQS_DDL, 0 },     { SQLITE_DBCONFIG_DQS_DML, 0 },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(options); i++) {
        const int rc = sqlite3_db_config(db->handle, options[i].option, options[i].value, NULL);
        if (rc != SQLITE_OK) {
            return db__fault(db, rc, err);
        }
    }
    (void)sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    if (!db->writes) {
        /* Readers never checkpoint, not even as the last to close: see the head of
         * cortex/store.h. */
        (void)sqlite3_wal_autocheckpoint(db->handle, 0);
        (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return cx_db_exec(db,
                          "PRAGMA query_only=ON; PRAGMA cell_size_check=ON;"
                          "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cache_size=-1024",
                          err);
    }
    /* In place of SQLite's own automatic checkpoint, which keeps its I/O errors to itself. */
    (void)sqlite3_wal_hook(db->handle, on_wal_commit, db);
    return cx_db_exec(db,
                      "PRAGMA cell_size_check=ON; PRAGMA locking_mode=NORMAL;"
                      "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
                      "PRAGMA recursive_triggers=ON; PRAGMA temp_store=MEMORY;"
                      "PRAGMA mmap_size=0; PRAGMA cache_size=-2048",
                      err);
}

static int on_wal_commit(void *ctx, sqlite3 *handle, const char *name, int frames)
{
    (void)handle;
    (void)name;
    struct cx_db *db = ctx;
    db->wal_frames = frames;
    return SQLITE_OK;
}

static enum cx_status run_literal(struct cx_db *db, const char *sql, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status = cx_db_prepare(db, sql, &stmt, err);
    if (status == CX_OK) {
        const int rc = sqlite3_step(stmt->handle);
        if (rc != SQLITE_DONE) {
            status = db__fault(db, rc, err);
        }
        (void)sqlite3_reset(stmt->handle);
    }
    return status;
}
