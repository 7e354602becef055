/* SPDX-License-Identifier: MIT
 *
 * The fixture of the store's tests.
 */
#include "fixture.h"

#include <stdio.h>

const struct cx_migration fixture_migrations[2] = {
    { "test", 1, "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT" },
    { "test", 2,
      "ALTER TABLE items ADD COLUMN note TEXT;"
      "CREATE UNIQUE INDEX items_name ON items(name)" },
};

const char *fixture_path(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/test.db", test_dir());
    return path;
}

enum cx_status fixture_open(unsigned readers, struct cx_store **out, struct cx_err *err)
{
    const struct cx_store_options options = {
        .path = fixture_path(),
        .readers = readers,
        .migrations = fixture_migrations,
        .migration_count = CX_ARRAY_LEN(fixture_migrations),
    };
    return cx_store_open(&options, out, err);
}

enum cx_status fixture_add(struct cx_db *db, int64_t id, const char *name)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status =
        cx_db_prepare(db, "INSERT INTO items(id, name) VALUES(?1, ?2)", &stmt, NULL);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(stmt, 1, id);
    cx_stmt_bind_text(stmt, 2, cx_str_of(name));
    return cx_stmt_run(stmt, NULL);
}

int64_t fixture_count(struct cx_db *db)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    if (cx_db_prepare(db, "SELECT count(*) FROM items", &stmt, NULL) != CX_OK ||
        cx_stmt_step(stmt, &row, NULL) != CX_OK || !row) {
        return -1;
    }
    const int64_t count = cx_stmt_int(stmt, 0);
    cx_stmt_reset(stmt);
    return count;
}
