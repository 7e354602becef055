/* SPDX-License-Identifier: MIT
 *
 * Incremental vacuum. A part of the free pages is kept: they will be needed again.
 */
#include <stdio.h>

#include "db.h"

#define KEPT_PART 20 /* one in so many pages may be free */

static enum cx_status read_number(struct cx_db *db, const char *sql, int64_t *out,
                                  struct cx_err *err);

enum cx_status cx_store_vacuum(struct cx_store *store, unsigned pages, bool *more,
                               struct cx_err *err)
{
    struct cx_db *db = cx_store_writer(store);
    int64_t all = 0;
    int64_t unused = 0;
    *more = false;
    enum cx_status status = read_number(db, "PRAGMA page_count", &all, err);
    if (status == CX_OK) {
        status = read_number(db, "PRAGMA freelist_count", &unused, err);
    }
    if (status != CX_OK || unused <= all / KEPT_PART) {
        return status;
    }
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%u)", pages);
    status = cx_db_exec(db, sql, err);
    int64_t left = 0;
    if (status == CX_OK) {
        status = read_number(db, "PRAGMA freelist_count", &left, err);
    }
    *more = status == CX_OK && left < unused && left > all / KEPT_PART;
    return status;
}

static enum cx_status read_number(struct cx_db *db, const char *sql, int64_t *out,
                                  struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(db, sql, &s, err);
    bool row = false;
    if (status == CX_OK) {
        status = cx_stmt_step(s, &row, err);
    }
    if (status == CX_OK && row) {
        *out = cx_stmt_int(s, 0);
        cx_stmt_reset(s);
    }
    return status;
}
