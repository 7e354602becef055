/* SPDX-License-Identifier: MIT
 *
 * Keeping the index: entries that are written come into it in slices, on the write lane, and those that
 * retention has removed leave it. The index is never ahead of the ledger.
 */
#include "audit/index.h"

#include <string.h>

#define SLICE_ROWS 2048 /* each of which may fall on a page of its own */

static enum cx_status index_recent(struct cx_audit *a, bool *more, struct cx_err *err);
static enum cx_status forget_removed(struct cx_audit *a, bool *more, struct cx_err *err);

enum cx_status cx_audit_index(struct cx_audit *a, bool *more, struct cx_err *err)
{
    if (atomic_load(&a->state) == AUDIT__DAMAGED) {
        *more = false;
        return CX_OK;
    }
    if (!atomic_load(&a->caught_up)) {
        return audit__catch_up(a, more, err);
    }
    bool forgetting = false;
    enum cx_status status = forget_removed(a, &forgetting, err);
    if (status == CX_OK) {
        status = index_recent(a, more, err);
    }
    *more = *more || forgetting;
    return status;
}

bool cx_audit_indexed(struct cx_audit *a)
{
    return atomic_load(&a->caught_up);
}

/* ---- What was just written --------------------------------------------------------------------- */

static enum cx_status index_recent(struct cx_audit *a, bool *more, struct cx_err *err)
{
    const struct audit__recent *rows[SLICE_ROWS];
    size_t count = 0;
    audit__lock(a);
    const struct audit__recent *r = a->first_recent;
    for (; r != NULL && count < SLICE_ROWS; r = r->next) {
        rows[count++] = r;
    }
    audit__unlock(a);
    *more = r != NULL;
    if (count == 0) {
        return CX_OK;
    }
    struct audit__slice s;
    enum cx_status status = audit__slice_begin(a, &s, err);
    if (status != CX_OK) {
        return status;
    }
    /* Only we take entries away: these stand still. */
    const uint64_t until = cx_clock_mono_ns() + AUDIT__SLICE_NS;
    size_t done = 0;
    while (done < count && s.status == CX_OK && (done % 64 != 63 || cx_clock_mono_ns() < until)) {
        audit__slice_add(&s, rows[done++]);
    }
    const uint64_t last = s.last;
    status = audit__slice_end(&s);
    if (status != CX_OK) {
        return status;
    }
    audit__lock(a);
    a->indexed_to = last;
    for (size_t i = 0; i < done; i++) {
        audit__recent_drop_first(a);
    }
    audit__unlock(a);
    *more = *more || done < count;
    return CX_OK;
}

/* ---- What was removed -------------------------------------------------------------------------- */

static enum cx_status forget_removed(struct cx_audit *a, bool *more, struct cx_err *err)
{
    audit__lock(a);
    const uint64_t removed_to = a->removed_to;
    const uint64_t forgotten_to = a->forgotten_to;
    audit__unlock(a);
    if (removed_to <= forgotten_to) {
        return CX_OK;
    }
    struct cx_db *db = cx_store_writer(a->options.store);
    struct cx_stmt *stmt = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "DELETE FROM audit_entries WHERE sequence IN (SELECT sequence FROM"
                      " audit_entries WHERE sequence <= ?1 ORDER BY sequence LIMIT ?2)",
                      &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_int(stmt, 1, (int64_t)removed_to);
        cx_stmt_bind_int(stmt, 2, SLICE_ROWS);
        status = cx_stmt_run(stmt, err);
    }
    if (status == CX_OK) {
        *more = cx_db_changes(db) == SLICE_ROWS;
        if (!*more) {
            audit__lock(a);
            a->forgotten_to = removed_to;
            audit__unlock(a);
        }
    }
    return status;
}

/* ---- A slice ----------------------------------------------------------------------------------- */

static void count_agent(struct audit__slice *s, struct cx_str agent);

enum cx_status audit__slice_begin(struct cx_audit *a, struct audit__slice *s, struct cx_err *err)
{
    *s = (struct audit__slice){ .a = a, .db = cx_store_writer(a->options.store), .err = err };
    return cx_db_begin(s->db, err);
}

void audit__slice_add(struct audit__slice *s, const struct audit__recent *r)
{
    struct cx_stmt *stmt = NULL;
    if (s->status == CX_OK) {
        s->status = cx_db_prepare(s->db,
                                  "INSERT INTO audit_entries(sequence, kind, run_hash, run_id,"
                                  " agent, correlation_id, recorded_us, segment, offset, bytes)"
                                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                                  &stmt, s->err);
    }
    if (s->status != CX_OK) {
        return;
    }
    cx_stmt_bind_int(stmt, 1, (int64_t)r->sequence);
    cx_stmt_bind_int(stmt, 2, r->kind);
    cx_stmt_bind_int(stmt, 3, r->run_hash);
    cx_stmt_bind_text(stmt, 4, r->run_id);
    cx_stmt_bind_text(stmt, 5, r->agent);
    cx_stmt_bind_text(stmt, 6, r->correlation);
    cx_stmt_bind_int(stmt, 7, r->recorded_us);
    cx_stmt_bind_int(stmt, 8, r->place.segment);
    cx_stmt_bind_int(stmt, 9, (int64_t)r->place.offset);
    cx_stmt_bind_int(stmt, 10, (int64_t)r->place.bytes);
    s->status = cx_stmt_run(stmt, s->err);
    s->rows++;
    s->last = r->sequence;
    memcpy(s->head, r->hash, sizeof s->head);
    if (r->kind == CX_AUDIT_RUN) {
        s->totals.runs++;
        s->totals.judged += r->parse_ok != CX_AUDIT_UNSAID ? 1 : 0;
        s->totals.parsed += r->parse_ok == CX_AUDIT_YES ? 1 : 0;
        s->totals.timed += r->latency_ms >= 0.0 ? 1 : 0;
        s->totals.latency_ms += r->latency_ms >= 0.0 ? r->latency_ms : 0.0;
        count_agent(s, r->agent);
    }
}

static void count_agent(struct audit__slice *s, struct cx_str agent)
{
    for (size_t i = 0; i < s->agent_count; i++) {
        if (cx_str_eq(s->agents[i].name, agent)) {
            s->agents[i].entries++;
            return;
        }
    }
    if (s->agent_count == AUDIT__SLICE_AGENTS) {
        audit__slice_flush_agents(s);
    }
    s->agents[s->agent_count].name = agent;
    s->agents[s->agent_count++].entries = 1;
}

void audit__slice_flush_agents(struct audit__slice *s)
{
    for (size_t i = 0; i < s->agent_count && s->status == CX_OK; i++) {
        struct cx_stmt *stmt = NULL;
        s->status = cx_db_prepare(s->db,
                                  "INSERT INTO audit_agents(name, entries) VALUES(?1, ?2)"
                                  " ON CONFLICT(name) DO UPDATE SET entries = entries + ?2",
                                  &stmt, s->err);
        if (s->status == CX_OK) {
            cx_stmt_bind_text(stmt, 1, s->agents[i].name);
            cx_stmt_bind_int(stmt, 2, s->agents[i].entries);
            s->status = cx_stmt_run(stmt, s->err);
        }
    }
    s->agent_count = 0;
}

enum cx_status audit__slice_end(struct audit__slice *s)
{
    audit__slice_flush_agents(s);
    struct cx_stmt *stmt = NULL;
    if (s->status == CX_OK && s->rows > 0) {
        s->status = cx_db_prepare(s->db,
                                  "UPDATE audit_meta SET indexed_to = ?1, head = ?2,"
                                  " runs = runs + ?3, judged = judged + ?4, parsed = parsed + ?5,"
                                  " timed = timed + ?6, latency_ms = latency_ms + ?7",
                                  &stmt, s->err);
        if (s->status == CX_OK) {
            cx_stmt_bind_int(stmt, 1, (int64_t)s->last);
            cx_stmt_bind_blob(stmt, 2, s->head, sizeof s->head);
            cx_stmt_bind_int(stmt, 3, (int64_t)s->totals.runs);
            cx_stmt_bind_int(stmt, 4, (int64_t)s->totals.judged);
            cx_stmt_bind_int(stmt, 5, (int64_t)s->totals.parsed);
            cx_stmt_bind_int(stmt, 6, (int64_t)s->totals.timed);
            cx_stmt_bind_real(stmt, 7, s->totals.latency_ms);
            s->status = cx_stmt_run(stmt, s->err);
        }
    }
    if (s->status != CX_OK) {
        cx_db_rollback(s->db);
        return s->status;
    }
    return cx_db_commit(s->db, s->err);
}
