/* SPDX-License-Identifier: MIT
 *
 * Appending: a group's records are sorted out (new, known, in conflict), the new ones chained, all of it
 * written and synced (write.c), and then every record has its outcome. One hash an entry, one signature a group.
 * The ledger lane's.
 */
#include "audit/group.h"

#include <string.h>

#include "cortex/json.h"

static void sort_out(struct audit__group *g, struct cx_audit_record *record);
static void publish(struct audit__group *g);
static void settle_all(struct audit__group *g, enum cx_status status);
static void count(const struct audit__group *g);

struct cx_audit_record *cx_audit_commit(struct cx_audit *a, bool *more)
{
    struct cx_audit_record *records = audit__take_group(a, more);
    if (records == NULL) {
        return NULL;
    }
    const uint64_t began = cx_clock_mono_ns();
    const int64_t now_us = cx_clock_wall_us();
    struct audit__group *g = a->group;
    g->a = a;
    g->records = records;
    g->fresh_count = 0;
    g->size = a->size;
    memcpy(g->head, a->head, sizeof g->head);
    g->now_us = now_us > a->last_us ? now_us : a->last_us;
    struct cx_err why = { "" };
    enum cx_status status = audit__takes_records(a, &why);
    if (status == CX_OK) {
        status = audit__make_room(g);
    }
    if (status == CX_OK) {
        g->db = cx_store_reader(a->options.store);
        cx_buf_clear(&a->lines);
        for (struct cx_audit_record *r = records; r != NULL; r = r->next) {
            sort_out(g, r);
        }
        cx_store_return(a->options.store, g->db);
        status = audit__write_group(g);
    } else {
        for (struct cx_audit_record *r = records; r != NULL; r = r->next) {
            r->status = status;
        }
    }
    if (status == CX_OK && g->fresh_count > 0) {
        publish(g);
    }
    settle_all(g, status);
    count(g);
    const uint64_t took = cx_clock_mono_ns() - began;
    cx_histogram_observe(a->group_seconds, (double)took / 1e9);
    a->commit_ns = a->commit_ns == 0 ? took : (7 * a->commit_ns + took) / 8;
    audit__note_crowd(a);
    return records;
}

/* The outcome of what was to be written; what was known or refused before stays as it is, unless it
 * was known from this very group, or nothing may be acknowledged any more. */
static void settle_all(struct audit__group *g, enum cx_status status)
{
    struct cx_buf text;
    cx_buf_init(&text, AUDIT__SMALL_MAX_BYTES);
    audit__checkpoint_write(&g->a->checkpoint, &text);
    CX_CHECK(!text.failed && text.len < CX_AUDIT_CHECKPOINT_BYTES);
    for (struct cx_audit_record *r = g->records; r != NULL; r = r->next) {
        if (status != CX_OK && r->status == CX_OK && r->sequence > g->a->size) {
            r->status = status;
            r->known = false;
        } else if (r->status == CX_OK && cx_audit_failed(g->a)) {
            r->status = CX_LEDGER_FAILED;
        }
        if (r->status == CX_OK) {
            memcpy(r->checkpoint, text.data, text.len + 1);
        }
    }
    cx_buf_free(&text);
}

static void count(const struct audit__group *g)
{
    uint64_t counts[AUDIT__OUTCOME_COUNT] = { 0 };
    for (const struct cx_audit_record *r = g->records; r != NULL; r = r->next) {
        counts[r->status == CX_OK             ? (r->known ? AUDIT__KNOWN : AUDIT__WRITTEN)
               : r->status == CX_CONFLICT     ? AUDIT__CONFLICT
               : r->status == CX_STORAGE_FULL ? AUDIT__FULL
                                              : AUDIT__LOST]++;
    }
    for (size_t i = 0; i < AUDIT__OUTCOME_COUNT; i++) {
        cx_counter_add(g->a->records[i], counts[i]);
    }
}

/* ---- New, known, or in conflict ---------------------------------------------------------------- */

static void add_line(struct audit__group *g, struct cx_audit_record *r, int64_t run_hash);
static bool has_answer(struct audit__group *g, struct cx_audit_record *r, int64_t run_hash);
static bool answer_fresh(const struct audit__group *g, struct cx_audit_record *r, int64_t run_hash);
static bool find_known(struct audit__group *g, const struct cx_audit_record *r, int64_t run_hash,
                       struct audit__found *found, enum cx_status *status);
static void answer_known(struct audit__group *g, struct cx_audit_record *r,
                         const struct audit__found *found);
static bool same_content(struct cx_str a, struct cx_str b);

static void sort_out(struct audit__group *g, struct cx_audit_record *r)
{
    const int64_t run_hash = audit__run_hash(r->run_id);
    r->status = CX_OK;
    r->known = false;
    if (r->kind != CX_AUDIT_RUN || !has_answer(g, r, run_hash)) {
        add_line(g, r, run_hash);
    }
}

/* Whether the run is known, or that cannot be found out. Nearly every run is new, and then the filter alone
 * has to be asked. */
static bool has_answer(struct audit__group *g, struct cx_audit_record *r, int64_t run_hash)
{
    struct audit__found found;
    if (!audit__filter_may_know(g->a, run_hash)) {
        cx_counter_add(g->a->lookups_filter, 1);
        return false;
    }
    if (answer_fresh(g, r, run_hash)) {
        return true;
    }
    const bool known = find_known(g, r, run_hash, &found, &r->status);
    if (known) {
        answer_known(g, r, &found);
    }
    return known || r->status != CX_OK;
}

/* Is it in this very group? */
static bool answer_fresh(const struct audit__group *g, struct cx_audit_record *r, int64_t run_hash)
{
    for (size_t i = 0; i < g->fresh_count; i++) {
        const struct cx_audit_record *other = g->fresh[i].record;
        if (g->fresh[i].run_hash == run_hash && other->kind == CX_AUDIT_RUN &&
            cx_str_eq(other->run_id, r->run_id)) {
            r->known = same_content(other->content, r->content);
            r->status = r->known ? CX_OK : CX_CONFLICT;
            r->sequence = other->sequence;
            r->recorded_us = other->recorded_us;
            r->segment = other->segment;
            memcpy(r->hash, other->hash, sizeof r->hash);
            return true;
        }
    }
    return false;
}

static bool find_known(struct audit__group *g, const struct cx_audit_record *r, int64_t run_hash,
                       struct audit__found *found, enum cx_status *status)
{
    bool in_memory = false;
    *status = audit__find_run(g->a, g->db, run_hash, r->run_id, found, &in_memory, NULL);
    cx_counter_add(in_memory ? g->a->lookups_memory : g->a->lookups_index, 1);
    if (*status == CX_NOT_FOUND) {
        *status = CX_OK;
        return false;
    }
    return *status == CX_OK;
}

static void answer_known(struct audit__group *g, struct cx_audit_record *r,
                         const struct audit__found *found)
{
    struct cx_buf text;
    struct audit__line line;
    struct audit__entry entry;
    cx_buf_init(&text, AUDIT__LINE_MAX_BYTES);
    r->status = audit__read_line(g->a, &found->place, NULL, &text, &line, &entry, NULL);
    if (r->status == CX_NOT_FOUND) {
        r->status = CX_INTERNAL; /* the index knows it, the ledger has lost it */
    }
    if (r->status == CX_OK) {
        r->known = same_content(entry.content, r->content);
        r->status = r->known ? CX_OK : CX_CONFLICT;
        r->sequence = line.sequence;
        r->recorded_us = entry.recorded_us;
        r->segment = found->place.segment;
        memcpy(r->hash, line.hash, sizeof r->hash);
    }
    cx_buf_free(&text);
}

/* What the client sent, not how: the order of members does not count. */
static bool same_content(struct cx_str a, struct cx_str b)
{
    if (cx_str_eq(a, b)) {
        return true;
    }
    json_t *x = NULL;
    json_t *y = NULL;
    const bool same = cx_json_parse(a, &x, NULL) == CX_OK && cx_json_parse(b, &y, NULL) == CX_OK &&
                      json_equal(x, y) == 1;
    json_decref(x);
    json_decref(y);
    return same;
}

static void add_line(struct audit__group *g, struct cx_audit_record *r, int64_t run_hash)
{
    struct cx_audit *a = g->a;
    r->sequence = g->size + 1;
    r->recorded_us = g->now_us;
    r->segment = a->segment;
    cx_buf_clear(&a->entry);
    audit__entry_write(r->recorded_us, r->kind, r->content, &a->entry);
    const size_t before = a->lines.len;
    if (!a->entry.failed) {
        audit__line_write(r->sequence, g->head, (struct cx_str){ a->entry.data, a->entry.len },
                          &a->lines, r->hash);
    }
    if (a->entry.failed || a->lines.failed) {
        a->lines.len = before;
        a->lines.failed = false;
        r->status = CX_NO_MEMORY;
        r->sequence = 0;
        return;
    }
    memcpy(g->head, r->hash, sizeof g->head);
    g->size = r->sequence;
    g->fresh[g->fresh_count].run_hash = run_hash;
    g->fresh[g->fresh_count].record = r;
    g->fresh[g->fresh_count++].place = (struct audit__place){ .segment = a->segment,
                                                              .offset = a->segment_bytes + before,
                                                              .bytes = a->lines.len - before };
}

static void publish(struct audit__group *g)
{
    struct cx_audit *a = g->a;
    a->size = g->size;
    memcpy(a->head, g->head, sizeof a->head);
    a->segment_bytes += a->lines.len;
    a->last_us = g->now_us;
    cx_counter_add(a->groups, 1);
    cx_counter_add(a->written_bytes, a->lines.len);
    cx_gauge_set(a->entries_gauge, (double)a->size);
    struct audit__recent *made = audit__recent_make(g);
    audit__lock(a);
    audit__recent_add(a, made);
    for (size_t i = 0; i < g->fresh_count; i++) {
        const struct cx_audit_record *r = g->fresh[i].record;
        if (r->kind == CX_AUDIT_RUN) {
            audit__totals_add(a, r->agent, r->parse_ok, r->latency_ms);
        }
    }
    audit__unlock(a);
    audit__lock_queue(a);
    a->shown_size = a->size;
    memcpy(a->shown_head, a->head, sizeof a->shown_head);
    a->shown_segment = a->segment;
    audit__unlock_queue(a);
}
