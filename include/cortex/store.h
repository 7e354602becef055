/* SPDX-License-Identifier: MIT
 *
 * store: SQLite. One file, one connection that writes and checkpoints, several that read. The only
 * room that includes sqlite3.h; other rooms bring their tables as migrations and speak SQL through
 * statements.
 *
 * Threads: plain blocking code for lanes. A cx_db belongs to one thread at a time.
 *
 * Durability: WAL with synchronous=FULL: when cx_db_commit returns CX_OK the transaction is on
 * disk. SQLite before 3.51.3 can corrupt a WAL when two connections checkpoint or write at once
 * (WAL-reset bug), so only the writer does either: readers are opened read-only with checkpoints
 * off.
 */
#ifndef CORTEX_STORE_H
#define CORTEX_STORE_H

#include "cortex/base.h"

struct cx_store; /* the file: path, writer, readers, migrations */
struct cx_db;    /* one connection */
struct cx_stmt;  /* one prepared statement, cached by its connection */

/* One step of one room's schema, applied in a transaction of its own, recorded by (room,
 * version). */
struct cx_migration {
    const char *room;
    int version; /* 1, 2, 3 … within the room */
    const char *sql;
};
struct cx_store_options {
    const char *path;
    unsigned readers;                      /* connections for reading, opened at start */
    const struct cx_migration *migrations; /* in the order in which they are to be applied */
    size_t migration_count;
};
/* Opens or creates (for its owner alone; the folder must be there), checks, migrates. Damage is
 * CX_IO_ERROR, another program's database CX_CONFLICT. A file over 256 MiB is not read through
 * at start. A database with a migration that this program does not know was made by a newer one
 * and is refused (CX_CONFLICT). */
enum cx_status cx_store_open(const struct cx_store_options *options, struct cx_store **out,
                             struct cx_err *err) CX_MUST_CHECK;
/* Checkpoints (TRUNCATE) and closes. All readers must have been returned. */
void cx_store_close(struct cx_store **store);
/* The one that writes; for the write lane alone. */
struct cx_db *cx_store_writer(struct cx_store *store);
const char *cx_db_path(const struct cx_db *db); /* of the file; lives as long as the store */
/* Borrows a reader; waits while all are lent (size the lanes so that none waits). Any worker.
 * Returning it ends what it left open: statements and its transaction. */
struct cx_db *cx_store_reader(struct cx_store *store);
void cx_store_return(struct cx_store *store, struct cx_db *db);
/* Moves the WAL into the file, as commits do by themselves when it has grown; write lane.
 * truncate also empties the WAL and waits a little for readers that are in the way:
 * CX_OVERLOADED while they stay. */
enum cx_status cx_store_checkpoint(struct cx_store *store, bool truncate, struct cx_err *err);
/* Gives pages that are free, beyond a twentieth of the file, back to the file system: at most so many.
 * *more: call again. Write lane. */
enum cx_status cx_store_vacuum(struct cx_store *store, unsigned pages, bool *more,
                               struct cx_err *err) CX_MUST_CHECK;
/* True after an I/O error of the writer: nothing may be acknowledged any more, the process must
 * end and look again at what is on disk. Any thread. */
bool cx_store_failed(const struct cx_store *store);
/* Whether the open database is still the file of that name. Where someone has removed or replaced it,
 * or its WAL, what is written would not be found again: that too marks the store failed. Any worker. */
bool cx_store_in_place(struct cx_store *store);

/* ---- Statements --------------------------------------------------------------------------------
 * cx_db_prepare gives a statement from the connection's cache, reset and unbound; sql is a string
 * literal (the cache keys on its address and text). Binding keeps no copy: what is bound lives until
 * the statement is stepped to its end or reset. Errors of binding show in the next step.
 */
enum cx_status cx_db_prepare(struct cx_db *db, const char *sql, struct cx_stmt **out,
                             struct cx_err *err) CX_MUST_CHECK;
void cx_stmt_bind_int(struct cx_stmt *s, int index, int64_t value); /* index from 1 */
void cx_stmt_bind_real(struct cx_stmt *s, int index, double value);
void cx_stmt_bind_text(struct cx_stmt *s, int index, struct cx_str value); /* p NULL binds NULL */
void cx_stmt_bind_blob(struct cx_stmt *s, int index, const void *data, size_t len);
void cx_stmt_bind_null(struct cx_stmt *s, int index);
/* *row is true while there is a row. After the last (or an error) the statement is reset. */
enum cx_status cx_stmt_step(struct cx_stmt *s, bool *row, struct cx_err *err) CX_MUST_CHECK;
/* Steps a statement that gives no rows to its end, and resets it. */
enum cx_status cx_stmt_run(struct cx_stmt *s, struct cx_err *err) CX_MUST_CHECK;
void cx_stmt_reset(struct cx_stmt *s);
bool cx_stmt_is_null(const struct cx_stmt *s, int column); /* column from 0 */
int64_t cx_stmt_int(const struct cx_stmt *s, int column);
double cx_stmt_real(const struct cx_stmt *s, int column);
struct cx_str cx_stmt_text(const struct cx_stmt *s, int column); /* until the next step or reset */
struct cx_str cx_stmt_blob(const struct cx_stmt *s, int column);

/* ---- Words of a full text ----------------------------------------------------------------------
 * Of FTS5 tables with tokenize='porter unicode61'.
 */
/* The terms of a text, in its order; borrowed for the call. A document's and a query's are cut alike. */
typedef void (*cx_term_fn)(void *ctx, struct cx_str term);
enum cx_status cx_db_terms(struct cx_db *db, struct cx_str text, cx_term_fn on_term, void *ctx,
                           struct cx_err *err) CX_MUST_CHECK;
/* Every row in which the word stands, ascending, and how many times. The word holds no '"' and makes
 * one term. sql, a literal: SELECT cx_rows(T, ?2) FROM T WHERE T MATCH ?1 LIMIT 1 */
typedef void (*cx_word_row_fn)(void *ctx, int64_t rowid, uint32_t times);
enum cx_status cx_db_word_rows(struct cx_db *db, const char *sql, struct cx_str word,
                               cx_word_row_fn on_row, void *ctx, struct cx_err *err) CX_MUST_CHECK;

int64_t cx_db_last_rowid(const struct cx_db *db);
int64_t cx_db_changes(const struct cx_db *db); /* rows of the last statement */
enum cx_status cx_db_exec(struct cx_db *db, const char *sql, struct cx_err *err) CX_MUST_CHECK;

/* BEGIN IMMEDIATE for the writer, a deferred read transaction for a reader. Not within another.
 * What SQLite itself rolls back (a full disk) stays rolled back: until cx_db_rollback every step
 * and the commit say why. */
enum cx_status cx_db_begin(struct cx_db *db, struct cx_err *err) CX_MUST_CHECK;
/* On an error nothing is left to roll back. A full disk is CX_STORAGE_FULL, the store stays
 * usable; an I/O error is CX_IO_ERROR and marks the store failed. */
enum cx_status cx_db_commit(struct cx_db *db, struct cx_err *err) CX_MUST_CHECK;
void cx_db_rollback(struct cx_db *db); /* nothing to roll back is nothing */

/* ---- Databases of others -------------------------------------------------------------------------
 * A database that is only looked at, on a connection of its own for one look. It is opened for reading
 * alone; an authorizer lets SELECT and a few PRAGMAs of the schema through and nothing else; its schema
 * is not trusted; nothing can be attached; values, statements and the number of steps have bounds, and
 * a look ends at its deadline. A database in WAL mode whose folder cannot be written to is read as it
 * stands where its log is empty. Blocking; a look belongs to one thread.
 */
struct cx_foreign;
/* CX_NOT_FOUND: there is no such file, or it may not be read. CX_CONFLICT: it is no database that can
 * be read. CX_OVERLOADED: somebody holds it. deadline_ns: monotonic. */
enum cx_status cx_foreign_open(const char *path, uint64_t deadline_ns, struct cx_foreign **out,
                               struct cx_err *err) CX_MUST_CHECK;
void cx_foreign_close(struct cx_foreign **f);

enum cx_foreign_type {
    CX_FOREIGN_NULL,
    CX_FOREIGN_INT,
    CX_FOREIGN_REAL,
    CX_FOREIGN_TEXT, /* not necessarily UTF-8 */
    CX_FOREIGN_BLOB
};
struct cx_foreign_row; /* within on_row alone; what comes out of it likewise */
size_t cx_foreign_columns(const struct cx_foreign_row *row);
struct cx_str cx_foreign_name(const struct cx_foreign_row *row, size_t column);
enum cx_foreign_type cx_foreign_type(const struct cx_foreign_row *row, size_t column);
int64_t cx_foreign_int(const struct cx_foreign_row *row, size_t column);
double cx_foreign_real(const struct cx_foreign_row *row, size_t column);
struct cx_str cx_foreign_bytes(const struct cx_foreign_row *row, size_t column); /* TEXT, BLOB */
/* False = enough, which is no error. */
typedef bool (*cx_foreign_row_fn)(void *ctx, const struct cx_foreign_row *row);
/* One statement, with text bound to ?1, ?2 …. CX_REQUEST_TIMEOUT at the deadline, after the rows that
 * came before it; CX_CONFLICT where the database cannot answer it. */
enum cx_status cx_foreign_query(struct cx_foreign *f, const char *sql, const struct cx_str *params,
                                size_t param_count, cx_foreign_row_fn on_row, void *ctx,
                                struct cx_err *err) CX_MUST_CHECK;
/* Appends a name as an identifier in double quotes. */
void cx_foreign_quote(struct cx_str name, struct cx_buf *out);

#endif
