/* SPDX-License-Identifier: MIT
 *
 * What the index has missed while no daemon ran, or all of it where it is gone, is read from the segments before
 * the ledger takes records: until then it is not known which runs there are.
 */
#include "audit/index.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

struct audit__catch_up {
    struct audit__folder folder;
    struct audit__findings findings;
    struct audit__walk walk;
    struct audit__slice slice;
};

static enum cx_status begin_catch_up(struct cx_audit *a, struct cx_err *err);
static enum cx_status end_catch_up(struct cx_audit *a, struct cx_err *err);
static void on_entry(void *ctx, const struct audit__place *place, const struct audit__line *line);

enum cx_status audit__catch_up(struct cx_audit *a, bool *more, struct cx_err *err)
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
    status = audit__slice_begin(a, &c->slice, err);
    if (status != CX_OK) {
        return status;
    }
    status = audit__walk_step(&c->walk, cx_clock_mono_ns() + AUDIT__SLICE_NS, err);
    const uint64_t last = c->slice.last;
    if (status != CX_OK) {
        cx_db_rollback(c->slice.db);
    } else {
        status = audit__slice_end(&c->slice);
    }
    if (status != CX_OK) {
        audit__catch_up_free(a); /* the walk is ahead of the index: once more from there */
        return status;
    }
    if (last > 0) {
        audit__lock(a);
        a->indexed_to = last;
        audit__unlock(a);
    }
    if (c->walk.ended) {
        CX_LOG(CX_LOG_INFO, "ledger: index made again", CX_I("entries", a->indexed_to));
        audit__catch_up_free(a);
        status = end_catch_up(a, err);
    }
    *more = status == CX_OK && !atomic_load(&a->caught_up);
    return status;
}

/* From the segment of the last entry that is in the index, and from its figures: those of an attempt that
 * failed have gone with it. */
static enum cx_status begin_catch_up(struct cx_audit *a, struct cx_err *err)
{
    struct cx_db *db = cx_store_writer(a->options.store);
    struct cx_stmt *stmt = NULL;
    bool row = false;
    uint32_t from = 0;
    audit__lock(a);
    enum cx_status status = audit__index_load(a, err);
    audit__unlock(a);
    if (status == CX_OK) {
        status = cx_db_prepare(
            db, "SELECT segment FROM audit_entries ORDER BY sequence DESC LIMIT 1", &stmt, err);
    }
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
    struct audit__slice *s = &a->catch_up->slice;
    struct audit__entry entry;
    json_t *content = NULL;
    a->catch_up->findings.count =
        0; /* losses that were accepted, however many, do not end the walk */
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
    audit__slice_add(s, &row);
    audit__slice_flush_agents(s); /* the names go with the content */
    if (row.kind == CX_AUDIT_RUN && s->status == CX_OK) {
        audit__lock(a);
        audit__totals_add(a, row.agent, row.parse_ok, row.latency_ms);
        audit__unlock(a);
    }
    json_decref(content);
}
