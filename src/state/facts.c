/* SPDX-License-Identifier: MIT
 *
 * Hot facts and the summary. Blocking; changes belong to the write lane. A fact that has expired is
 * left out at once and removed from the table when the next one comes.
 */
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FACT_COLUMNS "id, text, priority, expires_us, created_us"

static json_t *read_fact(const struct cx_stmt *row);
static enum cx_status check_text(struct cx_str text, size_t max, const char *name,
                                 struct cx_err *err);
static enum cx_status remove_expired(struct cx_db *db, int64_t now_us, struct cx_err *err);
static enum cx_status find_fact(struct cx_db *db, struct cx_str text, json_t **out, bool *same,
                                const struct cx_fact *wanted, struct cx_err *err);
static enum cx_status write_fact(struct cx_db *db, const struct cx_fact *fact, int64_t now_us,
                                 struct cx_err *err);
static enum cx_status count_resources(struct cx_db *db, int64_t *out, struct cx_err *err);

const char state__live_facts_sql[] =
    "SELECT text, expires_us FROM state_facts WHERE expires_us=0 OR expires_us>?1"
    " ORDER BY priority DESC, sequence";

enum cx_status cx_state_facts(struct cx_db *db, int64_t now_us, json_t **out, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT " FACT_COLUMNS " FROM state_facts"
                      " WHERE expires_us=0 OR expires_us>?1 ORDER BY priority DESC, sequence",
                      &stmt, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(stmt, 1, now_us);
    json_t *list = json_array();
    CX_CHECK(list != NULL);
    for (bool row = true; status == CX_OK && row;) {
        status = cx_stmt_step(stmt, &row, err);
        if (status == CX_OK && row) {
            CX_CHECK(json_array_append_new(list, read_fact(stmt)) == 0);
        }
    }
    if (status != CX_OK) {
        json_decref(list);
        return status;
    }
    *out = list;
    return CX_OK;
}

enum cx_status cx_state_add_fact(struct cx_db *db, const struct cx_fact *fact, int64_t now_us,
                                 json_t **out, bool *created, struct cx_err *err)
{
    enum cx_status status = check_text(fact->text, CX_FACT_MAX_BYTES, "text", err);
    if (status != CX_OK) {
        return status;
    }
    if (fact->text.len == 0) {
        return cx_err_set(err, CX_INVALID, "text must not be empty");
    }
    if (fact->expires_us != 0 && fact->expires_us <= now_us) {
        return cx_err_set(err, CX_INVALID, "the fact would have expired already");
    }
    status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    json_t *found = NULL;
    bool same = false;
    status = remove_expired(db, now_us, err);
    if (status == CX_OK) {
        status = find_fact(db, fact->text, &found, &same, fact, err);
    }
    const bool is_new = found == NULL;
    const bool changed = !same;
    json_decref(found);
    json_t *answer = NULL;
    if (status == CX_OK && changed) {
        status = write_fact(db, fact, now_us, err);
    }
    if (status == CX_OK && is_new) {
        status = state__check_room(db, "SELECT fact_count, fact_bytes FROM state_meta", "facts",
                                   CX_STATE_MAX_COUNT, CX_STATE_MAX_BYTES, err);
    }
    if (status == CX_OK) {
        status = find_fact(db, fact->text, &answer, &same, fact, err);
    }
    status = state__end(db, status, changed, err);
    if (status != CX_OK) {
        json_decref(answer);
        return status;
    }
    *created = is_new;
    *out = answer;
    return CX_OK;
}

enum cx_status cx_state_delete_fact(struct cx_db *db, struct cx_str id, struct cx_err *err)
{
    enum cx_status status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    struct cx_stmt *stmt = NULL;
    status = cx_db_prepare(db, "DELETE FROM state_facts WHERE id=?1", &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_text(stmt, 1, id);
        status = cx_stmt_run(stmt, err);
    }
    if (status == CX_OK && cx_db_changes(db) == 0) {
        status = cx_err_set(err, CX_NOT_FOUND, "No such fact");
    }
    return state__end(db, status, true, err);
}

enum cx_status cx_state_summary(struct cx_db *db, json_t **out, bool *fixed, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status =
        cx_db_prepare(db, "SELECT summary FROM state_meta WHERE summary IS NOT NULL", &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status != CX_OK) {
        return status;
    }
    if (row) {
        *out = state__string(cx_stmt_text(stmt, 0));
        *fixed = true;
        cx_stmt_reset(stmt);
        return CX_OK;
    }
    int64_t count = 0;
    status = count_resources(db, &count, err);
    if (status != CX_OK) {
        return status;
    }
    char text[64];
    (void)snprintf(text, sizeof text, "%" PRId64 " resource%s registered.", count,
                   count == 1 ? "" : "s");
    *out = state__string(cx_str_of(text));
    *fixed = false;
    return CX_OK;
}

enum cx_status cx_state_set_summary(struct cx_db *db, struct cx_str text, struct cx_err *err)
{
    enum cx_status status = CX_OK;
    if (text.p != NULL) {
        status = check_text(text, CX_SUMMARY_MAX_BYTES, "summary", err);
    }
    if (status == CX_OK) {
        status = cx_db_begin(db, err);
    }
    if (status != CX_OK) {
        return status;
    }
    struct cx_stmt *stmt = NULL;
    bool changed = false;
    status =
        cx_db_prepare(db, "UPDATE state_meta SET summary=?1 WHERE summary IS NOT ?1", &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_text(stmt, 1, text);
        status = cx_stmt_run(stmt, err);
        changed = status == CX_OK && cx_db_changes(db) > 0;
    }
    return state__end(db, status, changed, err);
}

static json_t *read_fact(const struct cx_stmt *row)
{
    json_t *fact = json_object();
    CX_CHECK(fact != NULL);
    CX_CHECK(json_object_set_new(fact, "id", state__string(cx_stmt_text(row, 0))) == 0);
    CX_CHECK(json_object_set_new(fact, "text", state__string(cx_stmt_text(row, 1))) == 0);
    CX_CHECK(json_object_set_new(fact, "priority", json_integer(cx_stmt_int(row, 2))) == 0);
    CX_CHECK(json_object_set_new(fact, "expires_at", state__time(cx_stmt_int(row, 3))) == 0);
    CX_CHECK(json_object_set_new(fact, "created_at", state__time(cx_stmt_int(row, 4))) == 0);
    return fact;
}

static enum cx_status check_text(struct cx_str text, size_t max, const char *name,
                                 struct cx_err *err)
{
    if (text.len > max) {
        return cx_err_set(err, CX_INVALID, "%s must be at most %zu bytes of UTF-8", name, max);
    }
    if (text.len > 0 && (!cx_utf8_valid(text) || memchr(text.p, '\0', text.len) != NULL)) {
        return cx_err_set(err, CX_INVALID, "%s must be UTF-8 without NUL", name);
    }
    return CX_OK;
}

static enum cx_status remove_expired(struct cx_db *db, int64_t now_us, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status = cx_db_prepare(
        db, "DELETE FROM state_facts WHERE expires_us<>0 AND expires_us<=?1", &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_int(stmt, 1, now_us);
        status = cx_stmt_run(stmt, err);
    }
    return status;
}

/* *out stays NULL where there is none. *same: it has the wanted priority and expiry already. */
static enum cx_status find_fact(struct cx_db *db, struct cx_str text, json_t **out, bool *same,
                                const struct cx_fact *wanted, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status =
        cx_db_prepare(db, "SELECT " FACT_COLUMNS " FROM state_facts WHERE text=?1", &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_text(stmt, 1, text);
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status == CX_OK && row) {
        *out = read_fact(stmt);
        *same =
            cx_stmt_int(stmt, 2) == wanted->priority && cx_stmt_int(stmt, 3) == wanted->expires_us;
        cx_stmt_reset(stmt);
    }
    return status;
}

static enum cx_status write_fact(struct cx_db *db, const struct cx_fact *fact, int64_t now_us,
                                 struct cx_err *err)
{
    uint64_t random = 0;
    cx_random_bytes(&random, sizeof random);
    char id[17];
    (void)snprintf(id, sizeof id, "%016" PRIx64, random);
    struct cx_stmt *stmt = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "INSERT INTO state_facts(id, text, priority, expires_us, created_us)"
                      " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(text) DO UPDATE SET"
                      " priority=excluded.priority, expires_us=excluded.expires_us",
                      &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_text(stmt, 1, cx_str_of(id));
        cx_stmt_bind_text(stmt, 2, fact->text);
        cx_stmt_bind_int(stmt, 3, fact->priority);
        cx_stmt_bind_int(stmt, 4, fact->expires_us);
        cx_stmt_bind_int(stmt, 5, now_us);
        status = cx_stmt_run(stmt, err);
    }
    return status;
}

static enum cx_status count_resources(struct cx_db *db, int64_t *out, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(db, "SELECT resource_count FROM state_meta", &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status == CX_OK && row) {
        *out = cx_stmt_int(stmt, 0);
        cx_stmt_reset(stmt);
    }
    return status;
}
