/* SPDX-License-Identifier: MIT
 *
 * One connection and its statements, as the files of this room see them. The store owns its
 * connections; a connection owns its statements.
 */
#ifndef CORTEX_STORE_DB_H
#define CORTEX_STORE_DB_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "cortex/metrics.h"
#include "cortex/store.h"

/* What goes wrong with a database, as it is counted and told. */
enum store__fault {
    STORE__FULL,
    STORE__IO,
    STORE__CORRUPT,
    STORE__BUSY,
    STORE__CONSTRAINT,
    STORE__MEMORY,
    STORE__OTHER,
    STORE__FAULT_COUNT
};

/* What all connections of a store share; written by the store before the first is opened. */
struct store__shared {
    const char *path;
    atomic_bool failed; /* the writer met an I/O error */
    struct cx_series *errors[STORE__FAULT_COUNT];
    struct cx_series *checkpoints;
    struct cx_series *wal_bytes;
};

#define STORE__BUCKETS 64

struct cx_stmt {
    sqlite3_stmt *handle;
    struct cx_db *db;
    const char *key; /* the address by which it was asked for */
    char *sql;
    int bind_rc;          /* the first fault of a bind since the last step */
    uint64_t used;        /* the connection's clock when it was last asked for */
    struct cx_stmt *next; /* of its bucket */
};

struct cx_db {
    sqlite3 *handle;
    struct store__shared *shared;
    bool writes;
    bool in_transaction;        /* begun here and neither committed nor rolled back here */
    enum cx_status lost_status; /* why SQLite itself ended that transaction */
    struct cx_stmt *buckets[STORE__BUCKETS];
    unsigned stmt_count;
    uint64_t clock;
    fts5_tokenizer tokenizer_methods;
    Fts5Tokenizer *tokenizer; /* porter around unicode61 */
    int wal_frames;           /* frames in the WAL after the last commit */
    int checkpointed_at;      /* the same when the WAL was last checkpointed */
};

enum cx_status db__open(struct store__shared *shared, bool writes, struct cx_db **out,
                        struct cx_err *err) CX_MUST_CHECK;
void db__close(struct cx_db **db);
/* Counts, logs and maps an error of SQLite; marks the store failed where the writer met one that
 * puts in doubt what is on disk. */
enum cx_status db__fault(struct cx_db *db, int rc, struct cx_err *err);
/* CX_OK unless the store has failed (writer) or SQLite has ended the transaction on its own. */
enum cx_status db__usable(struct cx_db *db, struct cx_err *err) CX_MUST_CHECK;
/* The writer, after a commit: checkpoints when the WAL has grown enough since it last did. */
void db__after_commit(struct cx_db *db);
enum cx_status db__checkpoint(struct cx_db *db, int mode, struct cx_err *err) CX_MUST_CHECK;
/* Ends every statement that is still being stepped. */
void db__reset_statements(struct cx_db *db);
void stmt__free_all(struct cx_db *db);
enum cx_status fulltext__open(struct cx_db *db, struct cx_err *err) CX_MUST_CHECK;
void fulltext__close(struct cx_db *db);

enum cx_status migrate__run(struct cx_db *writer, const struct cx_store_options *options,
                            struct cx_err *err) CX_MUST_CHECK;

#endif
