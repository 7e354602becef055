/* SPDX-License-Identifier: MIT
 *
 * Reading the index: the figures that a ledger starts with, and where entries stand.
 */
#include "audit/ledger.h"

#include <string.h>

/* ---- Figures ----------------------------------------------------------------------------------- */

static enum cx_status load_agents(struct cx_audit *a, struct cx_db *db, struct cx_err *err);

enum cx_status audit__index_load(struct cx_audit *a, struct cx_err *err)
{
    struct cx_db *db = cx_store_writer(a->options.store);
    struct cx_stmt *stmt = NULL;
    bool row = false;
    audit__agents_free(a);
    enum cx_status status = cx_db_prepare(
        db, "SELECT indexed_to, runs, judged, parsed, timed, latency_ms FROM audit_meta", &stmt,
        err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status != CX_OK || !row) {
        return status != CX_OK ? status : cx_err_set(err, CX_INTERNAL, "audit_meta is empty");
    }
    a->indexed_to = (uint64_t)cx_stmt_int(stmt, 0);
    a->totals = (struct audit__totals){ .runs = (uint64_t)cx_stmt_int(stmt, 1),
                                        .judged = (uint64_t)cx_stmt_int(stmt, 2),
                                        .parsed = (uint64_t)cx_stmt_int(stmt, 3),
                                        .timed = (uint64_t)cx_stmt_int(stmt, 4),
                                        .latency_ms = cx_stmt_real(stmt, 5) };
    cx_stmt_reset(stmt);
    return load_agents(a, db, err);
}

static enum cx_status load_agents(struct cx_audit *a, struct cx_db *db, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status = cx_db_prepare(
        db, "SELECT name, entries FROM audit_agents ORDER BY entries DESC, name", &stmt, err);
    for (bool row = true; status == CX_OK && row;) {
        status = cx_stmt_step(stmt, &row, err);
        if (status == CX_OK && row) {
            audit__agent_add(a, cx_stmt_text(stmt, 0), (uint64_t)cx_stmt_int(stmt, 1));
        }
    }
    return status;
}

/* ---- Places ------------------------------------------------------------------------------------ */

/* Of a statement whose columns are the ones below. */
#define PLACE_COLUMNS "sequence, segment, offset, bytes, recorded_us"

static struct audit__found found_of(struct cx_stmt *stmt)
{
    return (struct audit__found){ .sequence = (uint64_t)cx_stmt_int(stmt, 0),
                                  .place = { .segment = (uint32_t)cx_stmt_int(stmt, 1),
                                             .offset = (uint64_t)cx_stmt_int(stmt, 2),
                                             .bytes = (size_t)cx_stmt_int(stmt, 3) },
                                  .recorded_us = cx_stmt_int(stmt, 4) };
}

/* found has room for as many as the statement gives. */
static enum cx_status read_places(struct cx_stmt *stmt, struct audit__found *found, size_t *count,
                                  struct cx_err *err)
{
    for (;;) {
        bool row = false;
        const enum cx_status status = cx_stmt_step(stmt, &row, err);
        if (status != CX_OK || !row) {
            return status;
        }
        found[(*count)++] = found_of(stmt);
    }
}

enum cx_status audit__index_find(struct cx_db *db, int64_t run_hash, struct cx_str run_id,
                                 uint64_t after, struct audit__found *out, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT " PLACE_COLUMNS " FROM audit_entries WHERE run_hash = ?1 AND kind = 0"
                      " AND run_id = ?2 AND sequence > ?3 ORDER BY sequence LIMIT 1",
                      &stmt, err);
    size_t count = 0;
    if (status == CX_OK) {
        cx_stmt_bind_int(stmt, 1, run_hash);
        cx_stmt_bind_text(stmt, 2, run_id);
        cx_stmt_bind_int(stmt, 3, (int64_t)after);
        status = read_places(stmt, out, &count, err);
    }
    return status == CX_OK && count == 0 ? cx_err_set(err, CX_NOT_FOUND, "There is no such entry")
                                         : status;
}

enum cx_status audit__index_labels(struct cx_db *db, int64_t run_hash, struct cx_str run_id,
                                   struct audit__found *found, size_t *count, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT " PLACE_COLUMNS " FROM audit_entries WHERE run_hash = ?1 AND kind = 1"
                      " AND run_id = ?2 ORDER BY sequence DESC LIMIT ?3",
                      &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_int(stmt, 1, run_hash);
        cx_stmt_bind_text(stmt, 2, run_id);
        cx_stmt_bind_int(stmt, 3, AUDIT__LABELS_MAX);
        status = read_places(stmt, found, count, err);
    }
    for (size_t i = 0; i < *count / 2; i++) {
        const struct audit__found turned = found[i];
        found[i] = found[*count - 1 - i];
        found[*count - 1 - i] = turned;
    }
    return status;
}

/* ---- Selections -------------------------------------------------------------------------------- */

static enum cx_status find_bound(struct cx_db *db, int64_t time_us, uint64_t *last,
                                 struct cx_err *err);

#define SELECT(condition, order)                                                                   \
    "SELECT " PLACE_COLUMNS " FROM audit_entries WHERE kind = 0 AND sequence > ?1"                 \
    " AND sequence <= ?2" condition " ORDER BY sequence" order " LIMIT ?3"
#define SELECTS(order)                                                                             \
    {                                                                                              \
        SELECT("", order), SELECT(" AND agent = ?4", order),                                       \
            SELECT(" AND correlation_id = ?5", order),                                             \
            SELECT(" AND +agent = ?4 AND correlation_id = ?5", order)                              \
    }

enum cx_status audit__index_select(struct cx_db *db, const struct audit__selection *s,
                                   bool newest_first, size_t limit, struct audit__found *found,
                                   size_t *count, struct cx_err *err)
{
    static const char *const texts[2][4] = { SELECTS(""), SELECTS(" DESC") };
    uint64_t after = s->after;
    uint64_t to = s->to < INT64_MAX ? s->to : INT64_MAX;
    enum cx_status status = CX_OK;
    if (s->since_us != 0) {
        uint64_t last = 0;
        status = find_bound(db, s->since_us, &last, err);
        after = last > after ? last : after;
    }
    if (status == CX_OK && s->until_us != 0) {
        uint64_t last = 0;
        status = find_bound(db, s->until_us, &last, err);
        to = last < to ? last : to;
    }
    if (status != CX_OK || after >= to) {
        return status;
    }
    struct cx_stmt *stmt = NULL;
    const size_t filters = (s->agent.p != NULL ? 1U : 0U) + (s->correlation.p != NULL ? 2U : 0U);
    status = cx_db_prepare(db, texts[newest_first ? 1 : 0][filters], &stmt, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(stmt, 1, (int64_t)after);
    cx_stmt_bind_int(stmt, 2, (int64_t)to);
    cx_stmt_bind_int(stmt, 3, (int64_t)limit);
    if (s->agent.p != NULL) {
        cx_stmt_bind_text(stmt, 4, s->agent);
    }
    if (s->correlation.p != NULL) {
        cx_stmt_bind_text(stmt, 5, s->correlation);
    }
    return read_places(stmt, found, count, err);
}

/* The last entry that was recorded no later than that; 0 = none. Time does not go back in a ledger: it is
 * found by halving, where a condition on the time would look at every row. */
static enum cx_status find_bound(struct cx_db *db, int64_t time_us, uint64_t *last,
                                 struct cx_err *err)
{
    uint64_t low = 0; /* recorded no later than that, or nothing */
    uint64_t high = 0;
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(
        db, "SELECT sequence FROM audit_entries ORDER BY sequence DESC LIMIT 1", &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status == CX_OK && row) {
        high = (uint64_t)cx_stmt_int(stmt, 0);
        cx_stmt_reset(stmt);
    }
    while (status == CX_OK && low < high) {
        const uint64_t middle = high - (high - low) / 2; /* low < middle <= high */
        struct audit__found at = { .sequence = 0 };
        size_t count = 0;
        status = cx_db_prepare(db,
                               "SELECT " PLACE_COLUMNS " FROM audit_entries WHERE sequence <= ?1"
                               " ORDER BY sequence DESC LIMIT 1",
                               &stmt, err);
        if (status == CX_OK) {
            cx_stmt_bind_int(stmt, 1, (int64_t)middle);
            status = read_places(stmt, &at, &count, err);
        }
        if (count == 0 || at.recorded_us <= time_us) {
            low = middle; /* what stands between at and middle is not there */
        } else {
            high = at.sequence - 1;
        }
    }
    *last = low;
    return status;
}

bool audit__is_selected(const struct audit__selection *s, const struct audit__recent *r)
{
    return r->kind == CX_AUDIT_RUN && r->sequence > s->after && r->sequence <= s->to &&
           (s->since_us == 0 || r->recorded_us > s->since_us) &&
           (s->until_us == 0 || r->recorded_us <= s->until_us) &&
           (s->agent.p == NULL || cx_str_eq(s->agent, r->agent)) &&
           (s->correlation.p == NULL || cx_str_eq(s->correlation, r->correlation));
}

/* ---- Emptying ---------------------------------------------------------------------------------- */

enum cx_status audit__index_clear(struct cx_db *db, struct cx_err *err)
{
    enum cx_status status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    status = cx_db_exec(db,
                        "DELETE FROM audit_entries; DELETE FROM audit_agents;"
                        "UPDATE audit_meta SET indexed_to = 0, head = x'', runs = 0, judged = 0,"
                        " parsed = 0, timed = 0, latency_ms = 0.0",
                        err);
    if (status == CX_OK) {
        return cx_db_commit(db, err);
    }
    cx_db_rollback(db);
    return status;
}
