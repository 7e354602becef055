/* SPDX-License-Identifier: MIT
 *
 * Keeping the index: entries that are written come into it in slices, on the write lane, and what is
 * missing at the start is read from the segments. The index is never ahead of the ledger.
 */
#include "audit/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

#define SLICE_ROWS 4096
#define SLICE_NS UINT64_C(15000000)
#define SLICE_AGENTS 32

struct slice { /* one transaction */
    struct cx_audit *a;
    struct cx_db *db;
    enum cx_status status;
    struct cx_err *err;
    size_t rows;
    uint64_t last;
    uint8_t head[CX_SHA256_BYTES];
    struct audit__totals totals;
    struct {
        struct cx_str name;
        int64_t entries;
    } agents[SLICE_AGENTS];
    size_t agent_count;
};

static enum cx_status index_recent(struct cx_audit *a, bool *more, struct cx_err *err);
static enum cx_status catch_up(struct cx_audit *a, bool *more, struct cx_err *err);
static enum cx_status forget_removed(struct cx_audit *a, bool *more, struct cx_err *err);

enum cx_status cx_audit_index(struct cx_audit *a, bool *more, struct cx_err *err)
{
    if (atomic_load(&a->state) == AUDIT__DAMAGED) {
        *more = false;
        return CX_OK;
    }
    if (!atomic_load(&a->caught_up)) {
        return catch_up(a, more, err);
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

/* ---- A slice ----------------------------------------------------------------------------------- */

static void add_row(struct slice *s, const struct audit__recent *r);
static void count_agent(struct slice *s, struct cx_str agent);
static void flush_agents(struct slice *s);
static enum cx_status end_slice(struct slice *s);

static enum cx_status begin_slice(struct cx_audit *a, struct slice *s, struct cx_err *err)
{
    *s = (struct slice){ .a = a, .db = cx_store_writer(a->options.store), .err = err };
    return cx_db_begin(s->db, err);
}

static void add_row(struct slice *s, const struct audit__recent *r)
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

static void count_agent(struct slice *s, struct cx_str agent)
{
    for (size_t i = 0; i < s->agent_count; i++) {
        if (cx_str_eq(s->agents[i].name, agent)) {
            s->agents[i].entries++;
            return;
        }
    }
    if (s->agent_count == SLICE_AGENTS) {
        flush_agents(s);
    }
    s->agents[s->agent_count].name = agent;
    s->agents[s->agent_count++].entries = 1;
}

static void flush_agents(struct slice *s)
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

static enum cx_status end_slice(struct slice *s)
{
    flush_agents(s);
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
    struct slice s;
    enum cx_status status = begin_slice(a, &s, err);
    if (status != CX_OK) {
        return status;
    }
    /* Only we take entries away: these stand still. */
    const uint64_t until = cx_clock_mono_ns() + SLICE_NS;
    size_t done = 0;
    while (done < count && s.status == CX_OK && (done % 64 != 63 || cx_clock_mono_ns() < until)) {
        add_row(&s, rows[done++]);
    }
    const uint64_t last = s.last;
    status = end_slice(&s);
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

/* ---- What was written before we started -------------------------------------------------------- */

struct audit__catch_up {
    struct audit__folder folder;
    struct audit__findings findings;
    struct audit__walk walk;
    struct slice slice;
};

static enum cx_status begin_catch_up(struct cx_audit *a, struct cx_err *err);
static enum cx_status end_catch_up(struct cx_audit *a, struct cx_err *err);
static void on_entry(void *ctx, const struct audit__place *place, const struct audit__line *line);

static enum cx_status catch_up(struct cx_audit *a, bool *more, struct cx_err *err)
{
    enum cx_status status = CX_OK;
    *more = false;
    if (a->catch_up == NULL) {
        if (a->indexed_to >= a->shown_size) {
            return end_catch_up(a, err);
        }
        status = begin_catch_up(a, err);
    }
    if (status != CX_OK) {
        return status;
    }
    struct audit__catch_up *c = a->catch_up;
    status = begin_slice(a, &c->slice, err);
    if (status != CX_OK) {
        return status;
    }
    status = audit__walk_step(&c->walk, cx_clock_mono_ns() + SLICE_NS, err);
    if (status != CX_OK) {
        cx_db_rollback(c->slice.db);
        audit__catch_up_free(a);
        return status;
    }
    const uint64_t last = c->slice.last;
    status = end_slice(&c->slice);
    if (status == CX_OK && last > 0) {
        audit__lock(a);
        a->indexed_to = last;
        audit__unlock(a);
    }
    if (status == CX_OK && c->walk.ended) {
        CX_LOG(CX_LOG_INFO, "ledger: index made again", CX_I("entries", a->indexed_to));
        audit__catch_up_free(a);
        status = end_catch_up(a, err);
    }
    *more = status == CX_OK && !atomic_load(&a->caught_up);
    return status;
}

/* From the segment of the last entry that is in the index. */
static enum cx_status begin_catch_up(struct cx_audit *a, struct cx_err *err)
{
    struct cx_db *db = cx_store_writer(a->options.store);
    struct cx_stmt *stmt = NULL;
    bool row = false;
    uint32_t from = 0;
    enum cx_status status = cx_db_prepare(
        db, "SELECT segment FROM audit_entries ORDER BY sequence DESC LIMIT 1", &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status == CX_OK && row) {
        from = (uint32_t)cx_stmt_int(stmt, 0);
        cx_stmt_reset(stmt);
    }
    struct audit__catch_up *c = cx_alloc(sizeof *c);
    if (status == CX_OK) {
        const int dir = audit__open_folder(a->options.data_dir, false, err);
        status = dir < 0 ? CX_IO_ERROR : audit__folder_read(dir, &c->folder, &c->findings, err);
    }
    if (status != CX_OK) {
        free(c);
        return status;
    }
    audit__walk_init(&c->walk, &c->folder, from, &c->findings);
    c->walk.on_entry = on_entry;
    c->walk.ctx = a;
    a->catch_up = c;
    return CX_OK;
}

/* From now on records are taken. */
static enum cx_status end_catch_up(struct cx_audit *a, struct cx_err *err)
{
    const enum cx_status status = audit__filter_make(a, cx_store_writer(a->options.store), err);
    if (status == CX_OK) {
        atomic_store(&a->caught_up, true);
    }
    return status;
}

void audit__catch_up_free(struct cx_audit *a)
{
    if (a->catch_up != NULL) {
        audit__walk_end(&a->catch_up->walk);
        audit__folder_free(&a->catch_up->folder);
        free(a->catch_up);
        a->catch_up = NULL;
    }
}

static struct cx_str member(const json_t *content, const char *name)
{
    const json_t *value = json_object_get(content, name);
    return json_is_string(value)
               ? (struct cx_str){ json_string_value(value), json_string_length(value) }
               : (struct cx_str){ NULL, 0 };
}

static void on_entry(void *ctx, const struct audit__place *place, const struct audit__line *line)
{
    struct cx_audit *a = ctx;
    struct slice *s = &a->catch_up->slice;
    struct audit__entry entry;
    json_t *content = NULL;
    if (line->sequence <= a->indexed_to || line->sequence > a->shown_size ||
        !audit__entry_parse(line->entry, &entry) ||
        cx_json_parse(entry.content, &content, NULL) != CX_OK) {
        return;
    }
    const json_t *parse_ok = json_object_get(content, "parse_ok");
    const json_t *latency = json_object_get(content, "latency_ms");
    struct audit__recent row = {
        .sequence = line->sequence,
        .recorded_us = entry.recorded_us,
        .kind = entry.kind,
        .parse_ok = !json_is_boolean(parse_ok) ? CX_AUDIT_UNSAID
                    : json_is_true(parse_ok)   ? CX_AUDIT_YES
                                               : CX_AUDIT_NO,
        .latency_ms = json_is_number(latency) ? json_number_value(latency) : -1.0,
        .place = *place,
        .run_id = member(content, "run_id"),
        .agent = member(content, "agent_name"),
        .correlation = member(content, "correlation_id"),
    };
    if (row.run_id.p == NULL) {
        row.run_id = CX_STR("");
    }
    row.run_hash = audit__run_hash(row.run_id);
    memcpy(row.hash, line->hash, sizeof row.hash);
    add_row(s, &row);
    flush_agents(s); /* the names go with the content */
    if (row.kind == CX_AUDIT_RUN && s->status == CX_OK) {
        audit__lock(a);
        audit__totals_add(a, row.agent, row.parse_ok, row.latency_ms);
        audit__unlock(a);
    }
    json_decref(content);
}

/* ---- What is in it ----------------------------------------------------------------------------- */

static enum cx_status load_agents(struct cx_audit *a, struct cx_db *db, struct cx_err *err);

enum cx_status audit__index_load(struct cx_audit *a, struct cx_err *err)
{
    struct cx_db *db = cx_store_writer(a->options.store);
    struct cx_stmt *stmt = NULL;
    bool row = false;
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

enum cx_status audit__index_find(struct cx_db *db, int64_t run_hash, struct cx_str run_id,
                                 enum cx_audit_kind kind, uint64_t after, struct audit__found *out,
                                 struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT sequence, recorded_us, segment, offset, bytes FROM audit_entries"
                      " WHERE run_hash = ?1 AND kind = ?2 AND run_id = ?3 AND sequence > ?4"
                      " ORDER BY sequence LIMIT 1",
                      &stmt, err);
    bool row = false;
    if (status == CX_OK) {
        cx_stmt_bind_int(stmt, 1, run_hash);
        cx_stmt_bind_int(stmt, 2, kind);
        cx_stmt_bind_text(stmt, 3, run_id);
        cx_stmt_bind_int(stmt, 4, (int64_t)after);
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status != CX_OK) {
        return status;
    }
    if (!row) {
        return cx_err_set(err, CX_NOT_FOUND, "There is no such entry");
    }
    *out = (struct audit__found){ .sequence = (uint64_t)cx_stmt_int(stmt, 0),
                                  .recorded_us = cx_stmt_int(stmt, 1),
                                  .place = { .segment = (uint32_t)cx_stmt_int(stmt, 2),
                                             .offset = (uint64_t)cx_stmt_int(stmt, 3),
                                             .bytes = (size_t)cx_stmt_int(stmt, 4) } };
    cx_stmt_reset(stmt);
    return CX_OK;
}

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
