/* SPDX-License-Identifier: MIT
 *
 * Databases of others, and the fences around them. SQLite's limits of memory are of the whole process,
 * so what a look may take is bounded by the length of a value, the pages of its cache and the deadline.
 * https://www.sqlite.org/security.html
 *
 * Threads: a worker, a connection for each look.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cortex/store.h"

#define STEPS_BETWEEN_LOOKS 1000 /* of the virtual machine, at the clock */
#define BUSY_MS 200
#define VALUE_BYTES (4 * 1024 * 1024)
#define SQL_BYTES (64 * 1024)
#define CACHE_KIB 1024
#define PATH_BYTES 4096

struct cx_foreign {
    sqlite3 *db;
    uint64_t deadline_ns;
};
struct cx_foreign_row {
    sqlite3_stmt *stmt;
};

static enum cx_status try_open(const char *name, int flags, uint64_t deadline_ns,
                               struct cx_foreign **out, int *why, struct cx_err *err);
static bool nothing_beside(const char *path);
static bool immutable_uri(const char *path, char uri[3 * PATH_BYTES]);
static int authorize(void *ctx, int action, const char *a, const char *b, const char *database,
                     const char *trigger);
static int on_progress(void *ctx);
static enum cx_status status_of(int code, struct cx_err *err);

enum cx_status cx_foreign_open(const char *path, uint64_t deadline_ns, struct cx_foreign **out,
                               struct cx_err *err)
{
    struct stat st;
    int why = SQLITE_OK;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) { /* never a FIFO: that would wait */
        return cx_err_set(err, CX_NOT_FOUND, "The database is not there");
    }
    enum cx_status status = try_open(path, 0, deadline_ns, out, &why, err);
    char uri[3 * PATH_BYTES];
    const bool unwritable_wal = (why & 0xff) == SQLITE_CANTOPEN || (why & 0xff) == SQLITE_READONLY;
    if (status != CX_OK && unwritable_wal && nothing_beside(path) && immutable_uri(path, uri)) {
        status = try_open(uri, SQLITE_OPEN_URI, deadline_ns, out, &why, err);
    }
    return status;
}

/* Opening touches no page: the schema is read, so that what is wrong shows here. */
static enum cx_status try_open(const char *name, int flags, uint64_t deadline_ns,
                               struct cx_foreign **out, int *why, struct cx_err *err)
{
    struct cx_foreign *f = cx_alloc(sizeof *f);
    f->deadline_ns = deadline_ns;
    int rc = sqlite3_open_v2(name, &f->db,
                             SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                                 SQLITE_OPEN_EXRESCODE | flags,
                             NULL);
    if (rc == SQLITE_OK) {
        static const struct {
            int option;
            int value;
        } fences[] = { { SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 },
                       { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
                       { SQLITE_DBCONFIG_DEFENSIVE, 1 },
                       { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
                       { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 } };
        for (size_t i = 0; i < CX_ARRAY_LEN(fences) && rc == SQLITE_OK; i++) {
            rc = sqlite3_db_config(f->db, fences[i].option, fences[i].value, NULL);
        }
        (void)sqlite3_limit(f->db, SQLITE_LIMIT_ATTACHED, 0);
        (void)sqlite3_limit(f->db, SQLITE_LIMIT_LENGTH, VALUE_BYTES);
        (void)sqlite3_limit(f->db, SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES);
        (void)sqlite3_limit(f->db, SQLITE_LIMIT_WORKER_THREADS, 0);
        (void)sqlite3_busy_timeout(f->db, BUSY_MS);
        sqlite3_progress_handler(f->db, STEPS_BETWEEN_LOOKS, on_progress, f);
    }
    char pragma[64];
    snprintf(pragma, sizeof pragma, "PRAGMA cache_size = -%d", CACHE_KIB);
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(f->db, pragma, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(f->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    }
    *why = rc;
    if (rc != SQLITE_OK) {
        const enum cx_status status = status_of(rc, err);
        cx_foreign_close(&f);
        return status;
    }
    (void)sqlite3_set_authorizer(f->db, authorize, NULL);
    *out = f;
    return CX_OK;
}

void cx_foreign_close(struct cx_foreign **f)
{
    if (*f != NULL) {
        (void)sqlite3_close((*f)->db);
        free(*f);
        *f = NULL;
    }
}

static bool is_empty(const char *path, const char *suffix)
{
    char log[PATH_BYTES];
    struct stat st;
    const int len = snprintf(log, sizeof log, "%s%s", path, suffix);
    return len > 0 && (size_t)len < sizeof log && (stat(log, &st) != 0 || st.st_size == 0);
}

/* A log holds what the file does not have yet, a journal what it has by half: neither is looked at
 * where the file is taken for immutable. */
static bool nothing_beside(const char *path)
{
    return is_empty(path, "-wal") && is_empty(path, "-journal");
}

static bool immutable_uri(const char *path, char uri[3 * PATH_BYTES])
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    struct cx_buf text;
    cx_buf_init(&text, 3 * PATH_BYTES - 1);
    cx_buf_puts(&text, "file:");
    for (const char *c = path; *c != '\0'; c++) {
        if (strchr(plain, *c) != NULL) {
            cx_buf_putc(&text, *c);
        } else {
            cx_buf_printf(&text, "%%%02X", (unsigned)(unsigned char)*c);
        }
    }
    cx_buf_puts(&text, "?immutable=1");
    const bool whole = !text.failed;
    if (whole) {
        memcpy(uri, text.data, text.len + 1);
    }
    cx_buf_free(&text);
    return whole;
}

/* ---- The fences ---- */

static bool is_one_of(const char *name, const char *const *list)
{
    while (*list != NULL && sqlite3_stricmp(name, *list) != 0) {
        list++;
    }
    return *list != NULL;
}

static int authorize(void *ctx, int action, const char *a, const char *b, const char *database,
                     const char *trigger)
{
    static const char *const pragmas[] = { "table_list",   "table_xinfo",      "index_list",
                                           "index_info",   "foreign_key_list", "user_version",
                                           "data_version", /* FTS5 */ NULL };
    static const char *const functions[] = { "load_extension", "fts3_tokenizer", "writefile",
                                             "readfile",       "edit",           NULL };
    (void)ctx;
    (void)database;
    (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_UPDATE: /* asked for where a PRAGMA is read as a table; nobody can write all the same */
        return sqlite3_stricmp(a, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
        return is_one_of(b, functions) ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_PRAGMA: /* user_version may be asked for, not set */
        return is_one_of(a, pragmas) && (b == NULL || sqlite3_stricmp(a, "user_version") != 0)
                   ? SQLITE_OK
                   : SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

static int on_progress(void *ctx)
{
    const struct cx_foreign *f = ctx;
    return cx_clock_mono_ns() > f->deadline_ns ? 1 : 0;
}

/* What SQLite says of a database may hold its path or its contents: none of it is told. */
static enum cx_status status_of(int code, struct cx_err *err)
{
    switch (code & 0xff) {
    case SQLITE_INTERRUPT:
        return cx_err_set(err, CX_REQUEST_TIMEOUT, "The look took too long");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return cx_err_set(err, CX_OVERLOADED, "The database is busy");
    case SQLITE_NOMEM:
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return cx_err_set(err, CX_NOT_FOUND, "The database cannot be opened");
    case SQLITE_TOOBIG:
        return cx_err_set(err, CX_CONFLICT, "A value is too large to be looked at");
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return cx_err_set(err, CX_CONFLICT, "The database is damaged, or is none");
    default:
        return cx_err_set(err, CX_CONFLICT, "The database cannot answer this");
    }
}

/* ---- Asking ---- */

enum cx_status cx_foreign_query(struct cx_foreign *f, const char *sql, const struct cx_str *params,
                                size_t param_count, cx_foreign_row_fn on_row, void *ctx,
                                struct cx_err *err)
{
    struct cx_foreign_row row = { .stmt = NULL };
    const char *rest = NULL;
    int rc = sqlite3_prepare_v2(f->db, sql, -1, &row.stmt, &rest);
    if (rc == SQLITE_OK &&
        (row.stmt == NULL || *rest != '\0' || !sqlite3_stmt_readonly(row.stmt))) {
        rc = SQLITE_AUTH;
    }
    for (size_t i = 0; i < param_count && rc == SQLITE_OK; i++) {
        rc = sqlite3_bind_text64(row.stmt, (int)i + 1, params[i].p, params[i].len, SQLITE_STATIC,
                                 SQLITE_UTF8);
    }
    bool more = true;
    while (rc == SQLITE_OK && more) {
        rc = sqlite3_step(row.stmt);
        if (rc == SQLITE_ROW) {
            rc = SQLITE_OK;
            more = on_row(ctx, &row);
        } else if (rc == SQLITE_DONE) {
            rc = SQLITE_OK;
            more = false;
        }
    }
    const enum cx_status status = rc == SQLITE_OK ? CX_OK : status_of(rc, err);
    (void)sqlite3_finalize(row.stmt);
    return status;
}

size_t cx_foreign_columns(const struct cx_foreign_row *row)
{
    return (size_t)sqlite3_column_count(row->stmt);
}

struct cx_str cx_foreign_name(const struct cx_foreign_row *row, size_t column)
{
    return cx_str_of(sqlite3_column_name(row->stmt, (int)column));
}

enum cx_foreign_type cx_foreign_type(const struct cx_foreign_row *row, size_t column)
{
    switch (sqlite3_column_type(row->stmt, (int)column)) {
    case SQLITE_INTEGER:
        return CX_FOREIGN_INT;
    case SQLITE_FLOAT:
        return CX_FOREIGN_REAL;
    case SQLITE_TEXT:
        return CX_FOREIGN_TEXT;
    case SQLITE_BLOB:
        return CX_FOREIGN_BLOB;
    default:
        return CX_FOREIGN_NULL;
    }
}

int64_t cx_foreign_int(const struct cx_foreign_row *row, size_t column)
{
    return sqlite3_column_int64(row->stmt, (int)column);
}

double cx_foreign_real(const struct cx_foreign_row *row, size_t column)
{
    return sqlite3_column_double(row->stmt, (int)column);
}

struct cx_str cx_foreign_bytes(const struct cx_foreign_row *row, size_t column)
{
    const bool blob = cx_foreign_type(row, column) == CX_FOREIGN_BLOB;
    const char *p = blob ? sqlite3_column_blob(row->stmt, (int)column)
                         : (const char *)sqlite3_column_text(row->stmt, (int)column);
    return (struct cx_str){ p,
                            p != NULL ? (size_t)sqlite3_column_bytes(row->stmt, (int)column) : 0 };
}

void cx_foreign_quote(struct cx_str name, struct cx_buf *out)
{
    cx_buf_putc(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] == '"') {
            cx_buf_putc(out, '"');
        }
        cx_buf_putc(out, name.p[i]);
    }
    cx_buf_putc(out, '"');
}
