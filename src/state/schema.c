/* SPDX-License-Identifier: MIT
 *
 * The tables of the state, its version, and what all changes to it have in common.
 */
#include "state.h"

const struct cx_migration cx_state_migrations[] = {
    { "state", 1,
      "CREATE TABLE state_meta("
      " one INTEGER PRIMARY KEY CHECK(one = 1), version INTEGER NOT NULL, summary TEXT) STRICT;"
      "INSERT INTO state_meta(one, version, summary) VALUES(1, 1, NULL);"
      "CREATE TABLE state_resources("
      " id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, uri TEXT NOT NULL,"
      " metadata TEXT NOT NULL) STRICT, WITHOUT ROWID;"
      "CREATE TABLE state_facts("
      " sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
      " text TEXT NOT NULL UNIQUE, priority INTEGER NOT NULL, expires_us INTEGER NOT NULL,"
      " created_us INTEGER NOT NULL) STRICT;"
      "CREATE INDEX state_facts_order ON state_facts(priority DESC, sequence);"
      "CREATE TABLE state_snapshots("
      " id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, version INTEGER NOT NULL,"
      " generated_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, key_id TEXT NOT NULL,"
      " body TEXT NOT NULL) STRICT;"
      "CREATE INDEX state_snapshots_session ON state_snapshots(session, id)" },
};
const size_t cx_state_migration_count = CX_ARRAY_LEN(cx_state_migrations);

enum cx_status cx_state_version(struct cx_db *db, uint64_t *out, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(db, "SELECT version FROM state_meta", &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status != CX_OK) {
        return status;
    }
    if (!row) {
        return cx_err_set(err, CX_INTERNAL, "%s", cx_status_text(CX_INTERNAL));
    }
    *out = (uint64_t)cx_stmt_int(stmt, 0);
    cx_stmt_reset(stmt);
    return CX_OK;
}

enum cx_status state__end(struct cx_db *db, enum cx_status status, bool changed, struct cx_err *err)
{
    if (status == CX_OK && changed) {
        struct cx_stmt *stmt = NULL;
        status = cx_db_prepare(db, "UPDATE state_meta SET version = version + 1", &stmt, err);
        if (status == CX_OK) {
            status = cx_stmt_run(stmt, err);
        }
    }
    if (status != CX_OK || !changed) {
        cx_db_rollback(db);
        return status;
    }
    return cx_db_commit(db, err);
}

json_t *state__string(struct cx_str text)
{
    json_t *string = json_stringn(text.p != NULL ? text.p : "", text.len);
    CX_CHECK(string != NULL);
    return string;
}

json_t *state__time(int64_t wall_us)
{
    if (wall_us == 0) {
        return json_null();
    }
    char text[CX_TIME_TEXT_BYTES];
    return state__string(cx_str_of(cx_time_format(wall_us, text)));
}
