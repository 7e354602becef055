/* SPDX-License-Identifier: MIT
 *
 * The tables of the state, its version, and what all changes to it have in common.
 */
#include "state.h"

#include <inttypes.h>

/* Of the row with that prefix ("", "new.", "old."), in bytes. */
#define TEXT_BYTES(text) "length(CAST(" text " AS BLOB))"
#define RESOURCE_BYTES(row)                                                                        \
    TEXT_BYTES(row "id")                                                                           \
    "+" TEXT_BYTES(row "kind") "+" TEXT_BYTES(row "name") "+" TEXT_BYTES(                          \
        row "uri") "+" TEXT_BYTES(row "metadata")
#define FACT_BYTES(row) TEXT_BYTES(row "text")

/* What a table holds is counted as it changes: adding it up for each change would take longer and
 * longer. */
#define COUNTING(table, word, bytes)                                                               \
    "CREATE TRIGGER " table "_inserted AFTER INSERT ON " table                                     \
    " BEGIN UPDATE state_meta SET " word "_count=" word "_count+1, " word "_bytes=" word           \
    "_bytes+(" bytes("new.") "); END;"                                                             \
                             "CREATE TRIGGER " table "_deleted AFTER DELETE ON " table             \
                             " BEGIN UPDATE state_meta SET " word "_count=" word "_count-1, " word \
                             "_bytes=" word "_bytes-(" bytes(                                      \
                                 "old.") "); END;"                                                 \
                                         "CREATE TRIGGER " table "_updated AFTER UPDATE ON " table \
                                         " BEGIN UPDATE state_meta SET " word "_bytes=" word       \
                                         "_bytes+(" bytes("new.") ")-(" bytes("old.") "); END;"

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
    { "state", 2,
      "ALTER TABLE state_meta ADD COLUMN resource_count INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE state_meta ADD COLUMN resource_bytes INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE state_meta ADD COLUMN fact_count INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE state_meta ADD COLUMN fact_bytes INTEGER NOT NULL DEFAULT 0;"
      "UPDATE state_meta SET (resource_count, resource_bytes)="
      " (SELECT count(*), coalesce(sum(" RESOURCE_BYTES(
          "") "), 0) FROM state_resources);"
              "UPDATE state_meta SET (fact_count, fact_bytes)="
              " (SELECT count(*), coalesce(sum(" FACT_BYTES("") "), 0) FROM state_facts);" COUNTING(
                  "state_resources", "resource", RESOURCE_BYTES)
                  COUNTING("state_facts", "fact", FACT_BYTES) },
    { "state", 3,
      "CREATE TABLE hot("
      " id INTEGER PRIMARY KEY, space BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
      " expires_us INTEGER NOT NULL, stamp INTEGER NOT NULL, UNIQUE(space, key)) STRICT;"
      "CREATE INDEX hot_stamp ON hot(stamp)" },
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

enum cx_status state__check_room(struct cx_db *db, const char *sql, const char *what,
                                 int64_t count_max, int64_t bytes_max, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(db, sql, &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status != CX_OK || !row) {
        return status;
    }
    const int64_t count = cx_stmt_int(stmt, 0);
    const int64_t bytes = cx_stmt_int(stmt, 1);
    cx_stmt_reset(stmt);
    if (count > count_max) {
        return cx_err_set(err, CX_CONFLICT,
                          "There are %" PRId64 " %s, as many as there may be: remove one first",
                          count - 1, what);
    }
    if (bytes > bytes_max) {
        return cx_err_set(err, CX_CONFLICT,
                          "All %s together may have %" PRId64 " bytes: remove some first", what,
                          bytes_max);
    }
    return CX_OK;
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
