/* SPDX-License-Identifier: MIT
 *
 * Statements: prepared once a connection and kept by the text they were asked for with; binding,
 * stepping, reading columns. On the connection's thread.
 */
#include "db.h"

#include <stdlib.h>
#include <string.h>

/* More than the program has; texts made at run time push the least recently used out. */
#define STATEMENTS_MAX 256

static struct cx_stmt **bucket_of(struct cx_db *db, const char *key);
static void evict_oldest(struct cx_db *db);
static void stmt_free(struct cx_stmt *stmt);
static void note_bind(struct cx_stmt *s, int rc);
static void read_schema(struct cx_db *db);

enum cx_status cx_db_prepare(struct cx_db *db, const char *sql, struct cx_stmt **out,
                             struct cx_err *err)
{
    struct cx_stmt **bucket = bucket_of(db, sql);
    for (struct cx_stmt *s = *bucket; s != NULL; s = s->next) {
        if (s->key == sql && strcmp(s->sql, sql) == 0) {
            (void)sqlite3_reset(s->handle);
            (void)sqlite3_clear_bindings(s->handle);
            s->bind_rc = SQLITE_OK;
            s->used = ++db->clock;
            *out = s;
            return CX_OK;
        }
    }
    sqlite3_stmt *handle = NULL;
    const char *tail = NULL;
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, &tail);
    if (rc == SQLITE_SCHEMA) {
        read_schema(db);
        rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, &tail);
    }
    if (rc != SQLITE_OK) {
        return db__fault(db, rc, err);
    }
    CX_CHECK(handle != NULL && tail[strspn(tail, " \t\r\n;")] == '\0');
    if (db->stmt_count >= STATEMENTS_MAX) {
        evict_oldest(db);
    }
    struct cx_stmt *s = cx_alloc(sizeof *s);
    *s = (struct cx_stmt){ .handle = handle,
                           .db = db,
                           .key = sql,
                           .sql = cx_strdup(sql),
                           .used = ++db->clock,
                           .next = *bucket };
    *bucket = s;
    db->stmt_count++;
    *out = s;
    return CX_OK;
}

void cx_stmt_bind_int(struct cx_stmt *s, int index, int64_t value)
{
    note_bind(s, sqlite3_bind_int64(s->handle, index, value));
}

void cx_stmt_bind_real(struct cx_stmt *s, int index, double value)
{
    note_bind(s, sqlite3_bind_double(s->handle, index, value));
}

void cx_stmt_bind_text(struct cx_stmt *s, int index, struct cx_str value)
{
    note_bind(
        s, sqlite3_bind_text64(s->handle, index, value.p, value.len, SQLITE_STATIC, SQLITE_UTF8));
}

void cx_stmt_bind_blob(struct cx_stmt *s, int index, const void *data, size_t len)
{
    note_bind(s, sqlite3_bind_blob64(s->handle, index, data, len, SQLITE_STATIC));
}

void cx_stmt_bind_null(struct cx_stmt *s, int index)
{
    note_bind(s, sqlite3_bind_null(s->handle, index));
}

enum cx_status cx_stmt_step(struct cx_stmt *s, bool *row, struct cx_err *err)
{
    enum cx_status status = db__usable(s->db, err);
    if (status != CX_OK) {
        cx_stmt_reset(s);
        return status;
    }
    cx_give_way();
    int rc = s->bind_rc != SQLITE_OK ? s->bind_rc : sqlite3_step(s->handle);
    if (rc == SQLITE_SCHEMA) {
        read_schema(s->db);
        rc = sqlite3_step(s->handle);
    }
    if (rc == SQLITE_ROW) {
        *row = true;
        return CX_OK;
    }
    if (rc != SQLITE_DONE) {
        status = db__fault(s->db, rc, err);
    }
    cx_stmt_reset(s);
    if (status == CX_OK) {
        *row = false;
        db__after_commit(s->db);
    }
    return status;
}

enum cx_status cx_stmt_run(struct cx_stmt *s, struct cx_err *err)
{
    bool row = true;
    while (row) {
        enum cx_status status = cx_stmt_step(s, &row, err);
        if (status != CX_OK) {
            return status;
        }
    }
    return CX_OK;
}

void cx_stmt_reset(struct cx_stmt *s)
{
    (void)sqlite3_reset(s->handle);
    s->bind_rc = SQLITE_OK;
}

bool cx_stmt_is_null(const struct cx_stmt *s, int column)
{
    return sqlite3_column_type(s->handle, column) == SQLITE_NULL;
}

int64_t cx_stmt_int(const struct cx_stmt *s, int column)
{
    return sqlite3_column_int64(s->handle, column);
}

double cx_stmt_real(const struct cx_stmt *s, int column)
{
    return sqlite3_column_double(s->handle, column);
}

struct cx_str cx_stmt_text(const struct cx_stmt *s, int column)
{
    const char *p = (const char *)sqlite3_column_text(s->handle, column);
    return (struct cx_str){ p, p != NULL ? (size_t)sqlite3_column_bytes(s->handle, column) : 0 };
}

struct cx_str cx_stmt_blob(const struct cx_stmt *s, int column)
{
    const char *p = sqlite3_column_blob(s->handle, column);
    return (struct cx_str){ p, p != NULL ? (size_t)sqlite3_column_bytes(s->handle, column) : 0 };
}

void stmt__free_all(struct cx_db *db)
{
    for (size_t i = 0; i < STORE__BUCKETS; i++) {
        while (db->buckets[i] != NULL) {
            struct cx_stmt *s = db->buckets[i];
            db->buckets[i] = s->next;
            stmt_free(s);
        }
    }
    db->stmt_count = 0;
}

static struct cx_stmt **bucket_of(struct cx_db *db, const char *key)
{
    const uint64_t mixed = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
    return &db->buckets[mixed >> 58];
}

static void evict_oldest(struct cx_db *db)
{
    struct cx_stmt **oldest = NULL;
    for (size_t i = 0; i < STORE__BUCKETS; i++) {
        for (struct cx_stmt **at = &db->buckets[i]; *at != NULL; at = &(*at)->next) {
            if (sqlite3_stmt_busy((*at)->handle) == 0 &&
                (oldest == NULL || (*at)->used < (*oldest)->used)) {
                oldest = at;
            }
        }
    }
    if (oldest != NULL) {
        struct cx_stmt *s = *oldest;
        *oldest = s->next;
        stmt_free(s);
        db->stmt_count--;
    }
}

static void stmt_free(struct cx_stmt *s)
{
    (void)sqlite3_finalize(s->handle);
    free(s->sql);
    free(s);
}

static void note_bind(struct cx_stmt *s, int rc)
{
    if (s->bind_rc == SQLITE_OK) {
        s->bind_rc = rc;
    }
}

/* When another connection has made or dropped a table, SQLite reads the schema anew by itself, but not
 * while it opens a virtual table: then it gives up. */
static void read_schema(struct cx_db *db)
{
    sqlite3_stmt *handle = NULL;
    if (sqlite3_prepare_v2(db->handle, "SELECT 1 FROM sqlite_master LIMIT 1", -1, &handle, NULL) ==
        SQLITE_OK) {
        (void)sqlite3_step(handle);
    }
    (void)sqlite3_finalize(handle);
}
