/* SPDX-License-Identifier: MIT
 *
 * What an error of SQLite means: which status the caller is given, whether the store can still be
 * believed, what is counted and logged. Clients see neither SQL nor paths; the log has the code.
 */
#include "db.h"

#include <errno.h>

static enum store__fault classify(const struct cx_db *db, int rc, int file_errno);
static int last_errno(sqlite3_file *file);
static int find_errno(struct cx_db *db);
static bool doubtful(int rc, enum store__fault fault);

enum cx_status db__fault(struct cx_db *db, int rc, struct cx_err *err)
{
    static const struct {
        enum cx_status status;
        enum cx_log_level level;
        const char *text;
    } faults[STORE__FAULT_COUNT] = {
        [STORE__FULL] = { CX_STORAGE_FULL, CX_LOG_WARN, "The disk is full; nothing was written" },
        [STORE__IO] = { CX_IO_ERROR, CX_LOG_ERROR, "The database could not be read or written" },
        [STORE__CORRUPT] = { CX_IO_ERROR, CX_LOG_ERROR, "The database is damaged" },
        [STORE__BUSY] = { CX_OVERLOADED, CX_LOG_WARN, "The database is held by another program" },
        [STORE__CONSTRAINT] = { CX_CONFLICT, CX_LOG_DEBUG,
                                "The request conflicts with what is stored" },
        [STORE__MEMORY] = { CX_NO_MEMORY, CX_LOG_WARN, "Not enough memory for the database" },
        [STORE__OTHER] = { CX_INTERNAL, CX_LOG_ERROR, "Internal error" },
    };
    const int file_errno = (rc & 0xff) == SQLITE_IOERR ? find_errno(db) : 0;
    const enum store__fault fault = classify(db, rc, file_errno);
    cx_counter_add(db->shared->errors[fault], 1);
    CX_LOG(
        faults[fault].level, "database error", CX_I("sqlite_code", rc),
        CX_S("sqlite_text", db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc)),
        CX_I("errno", file_errno), CX_S("connection", db->writes ? "writer" : "reader"));
    if (db->writes && doubtful(rc, fault) && !atomic_exchange(&db->shared->failed, true)) {
        CX_LOG(CX_LOG_ERROR, "the database has failed: nothing more is acknowledged");
    }
    const enum cx_status status =
        (rc & 0xff) == SQLITE_TOOBIG ? CX_TOO_LARGE : faults[fault].status;
    if (db->in_transaction && sqlite3_get_autocommit(db->handle) != 0) {
        db->lost_status = status;
    }
    const char *text = status == CX_TOO_LARGE         ? cx_status_text(status)
                       : (rc & 0xff) == SQLITE_NOTADB ? "The file is not a database"
                                                      : faults[fault].text;
    return cx_err_set(err, status, "%s", text);
}

static bool no_room(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* sqlite3_system_errno says nothing of what goes wrong in a commit: ask the files, the WAL and
 * the database. Each remembers its last error, so one that tells of anything but a lack of room
 * comes first. */
static int find_errno(struct cx_db *db)
{
    sqlite3_file *file = NULL;
    sqlite3_file *journal = NULL;
    if (db->handle == NULL ||
        sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal) !=
            SQLITE_OK) {
        return 0;
    }
    const int of_journal = last_errno(journal);
    const int of_file = last_errno(file);
    return of_journal == 0 || (of_file != 0 && !no_room(of_file)) ? of_file : of_journal;
}

static int last_errno(sqlite3_file *file)
{
    int error = 0;
    if (file == NULL || file->pMethods == NULL ||
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error) != SQLITE_OK) {
        return 0;
    }
    return error;
}

static enum store__fault classify(const struct cx_db *db, int rc, int file_errno)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return STORE__FULL;
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_NOMEM) {
            return STORE__MEMORY;
        }
        /* SQLite calls only ENOSPC of a write "full"; a quota and a limit on the size of files
         * are the same to us. The shared index that cannot grow holds nothing that must last.
         * But not a failed fsync, whatever its reason: what it was to make safe may be lost. */
        if (rc == SQLITE_IOERR_SHMSIZE || (rc == SQLITE_IOERR_WRITE && no_room(file_errno))) {
            return STORE__FULL;
        }
        return STORE__IO;
    case SQLITE_CANTOPEN:
        return STORE__IO;
    case SQLITE_READONLY:
        return db->writes ? STORE__IO : STORE__OTHER;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return STORE__CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STORE__BUSY;
    case SQLITE_CONSTRAINT:
        return STORE__CONSTRAINT;
    case SQLITE_NOMEM:
        return STORE__MEMORY;
    default:
        return STORE__OTHER;
    }
}

/* An error after which it is not known what is on disk, or what is there cannot be believed. */
static bool doubtful(int rc, enum store__fault fault)
{
    return fault == STORE__CORRUPT || (fault == STORE__IO && (rc & 0xff) != SQLITE_CANTOPEN);
}
