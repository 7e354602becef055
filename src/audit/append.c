/* SPDX-License-Identifier: MIT
 *
 * Appending: records wait in a queue that the loop fills and the ledger lane empties; what waits when a
 * commit begins is one group. Its lines are written and synced, then a signed checkpoint, then all are
 * acknowledged. While one group is synced the next one gathers.
 *
 * Writers that were just acknowledged come back a moment later. To begin without them would make two
 * groups, each half as large, where one would do: a commit first waits for as many as wrote lately, at
 * most a quarter of what a group takes.
 */
#include "audit/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cortex/json.h"

#define GATHER_MAX_NS UINT64_C(2000000)
#define GATHER_MIN_NS UINT64_C(20000) /* shorter waits are not worth a switch */

/* ---- The queue --------------------------------------------------------------------------------- */

static enum cx_status takes_records(struct cx_audit *a, struct cx_err *err);

enum cx_status cx_audit_offer(struct cx_audit *a, struct cx_audit_record *record, bool *commit,
                              struct cx_err *err)
{
    CX_CHECK(record->content.len <= CX_AUDIT_ENTRY_MAX_BYTES);
    enum cx_status status = takes_records(a, err);
    *commit = false;
    if (status == CX_OK) {
        record->next = NULL;
        audit__lock(a);
        if (a->waiting_count >= a->options.waiting_max ||
            (a->waiting_count > 0 &&
             a->waiting_bytes + record->content.len > a->options.waiting_bytes_max) ||
            a->recent_count + a->waiting_count >= a->options.unindexed_max) {
            status = cx_err_set(err, CX_OVERLOADED, "%s", cx_status_text(CX_OVERLOADED));
        } else {
            if (a->last_waiting != NULL) {
                a->last_waiting->next = record;
            } else {
                a->first_waiting = record;
            }
            a->last_waiting = record;
            a->waiting_count++;
            a->waiting_bytes += record->content.len;
            *commit = !a->commit_due;
            a->commit_due = true;
            if (a->expected > 0 && a->waiting_count >= a->expected) {
                CX_CHECK(pthread_cond_signal(&a->gathered) == 0);
            }
        }
        cx_gauge_set(a->waiting_gauge, (double)a->waiting_count);
        audit__unlock(a);
    }
    if (status != CX_OK) {
        cx_counter_add(a->records[AUDIT__REFUSED], 1);
    }
    return status;
}

static enum cx_status takes_records(struct cx_audit *a, struct cx_err *err)
{
    switch ((enum audit__state)atomic_load(&a->state)) {
    case AUDIT__DAMAGED:
        return cx_err_set(err, CX_LEDGER_DAMAGED, "%s", cx_status_text(CX_LEDGER_DAMAGED));
    case AUDIT__FAILED:
        return cx_err_set(err, CX_LEDGER_FAILED, "%s", cx_status_text(CX_LEDGER_FAILED));
    case AUDIT__OPEN:
        break;
    }
    return atomic_load(&a->caught_up)
               ? CX_OK
               : cx_err_set(err, CX_OVERLOADED, "The ledger's index is still being made");
}

/* Under the lock. */
static void gather(struct cx_audit *a)
{
    uint64_t wait_ns = a->commit_ns / 4;
    wait_ns = wait_ns < GATHER_MAX_NS ? wait_ns : GATHER_MAX_NS;
    if (a->waiting_count == 0 || a->waiting_count >= a->crowd || wait_ns < GATHER_MIN_NS) {
        return;
    }
    const uint64_t until = cx_clock_mono_ns() + wait_ns;
    const struct timespec at = { .tv_sec = (time_t)(until / 1000000000),
                                 .tv_nsec = (long)(until % 1000000000) };
    a->expected = a->crowd;
    while (a->waiting_count < a->expected &&
           pthread_cond_timedwait(&a->gathered, &a->lock, &at) != ETIMEDOUT) {
    }
    a->expected = 0;
}

/* Takes what waits, up to a group. */
static struct cx_audit_record *take_group(struct cx_audit *a, bool *more)
{
    audit__lock(a);
    gather(a);
    struct cx_audit_record *first = a->first_waiting;
    struct cx_audit_record *last = NULL;
    size_t bytes = 0;
    size_t count = 0;
    for (struct cx_audit_record *r = first;
         r != NULL && count < AUDIT__GROUP_RECORDS_MAX &&
         (count == 0 || bytes + r->content.len <= AUDIT__GROUP_BYTES_MAX);
         r = r->next) {
        bytes += r->content.len;
        count++;
        last = r;
    }
    if (last != NULL) {
        a->first_waiting = last->next;
        a->last_waiting = last->next != NULL ? a->last_waiting : NULL;
        last->next = NULL;
    }
    a->waiting_count -= count;
    a->waiting_bytes -= bytes;
    a->written_count = count;
    *more = a->first_waiting != NULL;
    a->commit_due = *more; /* whoever asked for this commit asks for the next one too */
    cx_gauge_set(a->waiting_gauge, (double)a->waiting_count);
    audit__unlock(a);
    return first;
}

/* ---- A group ----------------------------------------------------------------------------------- */

struct group {
    struct cx_audit *a;
    struct cx_db *db;
    struct cx_audit_record *records;
    struct {
        int64_t run_hash;
        struct cx_audit_record *record;
        struct audit__place place;
    } fresh[AUDIT__GROUP_RECORDS_MAX]; /* to be written */
    size_t fresh_count;
    uint64_t size; /* after it */
    uint8_t head[CX_SHA256_BYTES];
    int64_t now_us;
};

static void settle_all(struct group *g, enum cx_status status);
static enum cx_status make_room(struct group *g);
static void sort_out(struct group *g, struct cx_audit_record *record);
static enum cx_status write_group(struct group *g);
static void publish(struct group *g);
static void count(struct group *g);

struct cx_audit_record *cx_audit_commit(struct cx_audit *a, bool *more)
{
    struct cx_audit_record *records = take_group(a, more);
    if (records == NULL) {
        return NULL;
    }
    const uint64_t began = cx_clock_mono_ns();
    struct group *g = cx_alloc(sizeof *g);
    *g = (struct group){ .a = a, .records = records, .size = a->size };
    memcpy(g->head, a->head, sizeof g->head);
    const int64_t now_us = cx_clock_wall_us();
    g->now_us = now_us > a->last_us ? now_us : a->last_us;
    struct cx_err why = { "" };
    enum cx_status status = takes_records(a, &why);
    if (status == CX_OK) {
        status = make_room(g);
    }
    if (status == CX_OK) {
        g->db = cx_store_reader(a->options.store);
        cx_buf_clear(&a->lines);
        for (struct cx_audit_record *r = records; r != NULL; r = r->next) {
            sort_out(g, r);
        }
        cx_store_return(a->options.store, g->db);
        status = write_group(g);
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
    free(g);
    const uint64_t took = cx_clock_mono_ns() - began;
    cx_histogram_observe(a->group_seconds, (double)took / 1e9);
    a->commit_ns = a->commit_ns == 0 ? took : (7 * a->commit_ns + took) / 8;
    audit__lock(a);
    /* All of this group, and those that came meanwhile; those who have gone are forgotten slowly. */
    const size_t seen = a->written_count + a->waiting_count;
    a->crowd = seen >= a->crowd ? seen : a->crowd - (a->crowd - seen + 3) / 4;
    audit__unlock(a);
    return records;
}

/* The outcome of what was to be written; what was known or refused before stays as it is, unless it
 * was known from this very group. */
static void settle_all(struct group *g, enum cx_status status)
{
    struct cx_buf text;
    cx_buf_init(&text, AUDIT__SMALL_MAX_BYTES);
    audit__checkpoint_write(&g->a->checkpoint, &text);
    CX_CHECK(!text.failed && text.len < CX_AUDIT_CHECKPOINT_BYTES);
    for (struct cx_audit_record *r = g->records; r != NULL; r = r->next) {
        if (status != CX_OK && r->status == CX_OK && r->sequence > g->a->size) {
            r->status = status;
            r->known = false;
        }
        if (r->status == CX_OK) {
            memcpy(r->checkpoint, text.data, text.len + 1);
        }
    }
    cx_buf_free(&text);
}

static void count(struct group *g)
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

static void add_line(struct group *g, struct cx_audit_record *r, int64_t run_hash);
static bool find_known(struct group *g, const struct cx_audit_record *r, int64_t run_hash,
                       struct audit__found *found, enum cx_status *status);
static void answer_known(struct group *g, struct cx_audit_record *r,
                         const struct audit__found *found);
static bool same_content(struct cx_str a, struct cx_str b);

static void sort_out(struct group *g, struct cx_audit_record *r)
{
    const int64_t run_hash = audit__run_hash(r->run_id);
    r->status = CX_OK;
    r->known = false;
    if (r->kind != CX_AUDIT_RUN) {
        add_line(g, r, run_hash);
        return;
    }
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
            return;
        }
    }
    struct audit__found found;
    enum cx_status status = CX_OK;
    if (find_known(g, r, run_hash, &found, &status)) {
        answer_known(g, r, &found);
    } else if (status != CX_OK) {
        r->status = status;
    } else {
        add_line(g, r, run_hash);
    }
}

static bool find_known(struct group *g, const struct cx_audit_record *r, int64_t run_hash,
                       struct audit__found *found, enum cx_status *status)
{
    struct cx_audit *a = g->a;
    audit__lock(a);
    const struct audit__recent *recent = audit__recent_find(a, run_hash, r->run_id, CX_AUDIT_RUN);
    if (recent != NULL) {
        *found = (struct audit__found){ .sequence = recent->sequence,
                                        .recorded_us = recent->recorded_us,
                                        .place = recent->place };
    }
    audit__unlock(a);
    if (recent != NULL) {
        cx_counter_add(a->lookups_memory, 1);
        return true;
    }
    if (!audit__filter_may_know(a, run_hash)) {
        cx_counter_add(a->lookups_filter, 1);
        return false;
    }
    cx_counter_add(a->lookups_index, 1);
    *status = audit__index_find(g->db, run_hash, r->run_id, CX_AUDIT_RUN, found, NULL);
    if (*status == CX_NOT_FOUND) {
        *status = CX_OK;
        return false;
    }
    return *status == CX_OK;
}

static void answer_known(struct group *g, struct cx_audit_record *r,
                         const struct audit__found *found)
{
    struct cx_buf text;
    struct audit__line line;
    struct audit__entry entry;
    cx_buf_init(&text, AUDIT__LINE_MAX_BYTES);
    r->status = audit__read_line(g->a, &found->place, &text, &line, &entry, NULL);
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

static void add_line(struct group *g, struct cx_audit_record *r, int64_t run_hash)
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

/* ---- Writing ----------------------------------------------------------------------------------- */

static enum cx_status give_up(struct cx_audit *a, const char *what, enum cx_status status);
static enum cx_status cut_back(struct cx_audit *a);
static enum cx_status write_checkpoint(struct group *g);

/* A segment that is full or old is sealed, another one begun. */
static enum cx_status make_room(struct group *g)
{
    struct cx_audit *a = g->a;
    const bool used = a->segment_bytes > AUDIT__SMALL_MAX_BYTES;
    const bool full = used && a->segment_bytes >= a->options.segment_bytes;
    const bool old = used && a->options.segment_age_us > 0 &&
                     g->now_us - a->segment_began_us >= a->options.segment_age_us;
    if (a->segment_fd >= 0 && !full && !old) {
        return CX_OK;
    }
    struct cx_err err = { "" };
    enum cx_status status =
        audit__make_segment(a->files, a->dir, a->segment + 1, &a->checkpoint, &err);
    char name[AUDIT__SEGMENT_NAME_BYTES];
    struct stat info;
    int fd = -1;
    if (status == CX_OK) {
        fd = openat(a->dir, audit__segment_name(a->segment + 1, false, name),
                    O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &info) != 0) {
            status = CX_IO_ERROR;
        }
    }
    if (status != CX_OK) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return give_up(a, "a new segment", status);
    }
    if (a->segment_fd >= 0) {
        (void)close(a->segment_fd);
    }
    a->segment_fd = fd;
    a->segment++;
    a->segment_bytes = (uint64_t)info.st_size;
    a->segment_began_us = g->now_us;
    cx_gauge_set(a->segment_gauge, (double)a->segment);
    CX_LOG(CX_LOG_INFO, "ledger: a new segment", CX_I("segment", a->segment),
           CX_I("after_entry", a->size));
    return CX_OK;
}

static enum cx_status write_group(struct group *g)
{
    struct cx_audit *a = g->a;
    if (g->fresh_count == 0) {
        return CX_OK;
    }
    enum cx_status status = audit__write_at(
        a->files, a->segment_fd, (struct cx_str){ a->lines.data, a->lines.len }, a->segment_bytes);
    if (status == CX_OK && audit__sync(a, a->segment_fd) != 0) {
        status = audit__file_status(errno);
    }
    if (status == CX_OK) {
        status = write_checkpoint(g);
    } else if (status == CX_STORAGE_FULL) {
        status = cut_back(a);
    } else {
        status = give_up(a, "writing to a segment", status);
    }
    return status;
}

/* In the slot that does not hold the newest one, in place: nothing of the file but these bytes
 * changes. From when they are written until they are synced, the outcome is unknown. */
static enum cx_status write_checkpoint(struct group *g)
{
    struct cx_audit *a = g->a;
    struct audit__checkpoint c = { .size = g->size, .time_us = g->now_us };
    memcpy(c.head, g->head, sizeof c.head);
    audit__checkpoint_sign(&c, a->options.signer);
    char slot[AUDIT__SLOT_BYTES];
    audit__slot_write(&c, slot);
    const unsigned at = 1 - a->slot;
    const ssize_t n = a->files->write(a->files->ctx, a->checkpoint_fd, slot, sizeof slot,
                                      (off_t)at * AUDIT__SLOT_BYTES);
    if (n < 0 && audit__file_status(errno) == CX_STORAGE_FULL) {
        return cut_back(a);
    }
    if (n != (ssize_t)sizeof slot || audit__sync(a, a->checkpoint_fd) != 0) {
        audit__fail(a, "writing the checkpoint", audit__file_status(errno));
        return CX_OUTCOME_UNKNOWN;
    }
    a->checkpoint = c;
    a->slot = at;
    return CX_OK;
}

/* Nothing of this group was acknowledged, and without its checkpoint none of it counts. */
static enum cx_status give_up(struct cx_audit *a, const char *what, enum cx_status status)
{
    if (status == CX_STORAGE_FULL) {
        CX_LOG(CX_LOG_WARN, "ledger: the disk is full", CX_S("what", what));
        return status;
    }
    audit__fail(a, what, status);
    return CX_LEDGER_FAILED;
}

static enum cx_status cut_back(struct cx_audit *a)
{
    if (a->files->truncate(a->files->ctx, a->segment_fd, (off_t)a->segment_bytes) != 0 ||
        audit__sync(a, a->segment_fd) != 0) {
        return give_up(a, "cutting back after the disk was full", CX_IO_ERROR);
    }
    return give_up(a, "writing to a segment", CX_STORAGE_FULL);
}

static void publish(struct group *g)
{
    struct cx_audit *a = g->a;
    a->size = g->size;
    memcpy(a->head, g->head, sizeof a->head);
    a->segment_bytes += a->lines.len;
    a->last_us = g->now_us;
    cx_counter_add(a->groups, 1);
    cx_counter_add(a->written_bytes, a->lines.len);
    cx_gauge_set(a->entries_gauge, (double)a->size);
    struct audit__recent *made[AUDIT__GROUP_RECORDS_MAX];
    for (size_t i = 0; i < g->fresh_count; i++) {
        made[i] = audit__recent_new(g->fresh[i].record, &g->fresh[i].place);
        if (made[i]->kind == CX_AUDIT_RUN) {
            audit__filter_add(a, made[i]->run_hash);
        }
    }
    audit__lock(a);
    a->shown_size = a->size;
    memcpy(a->shown_head, a->head, sizeof a->shown_head);
    a->shown_segment = a->segment;
    for (size_t i = 0; i < g->fresh_count; i++) {
        const struct cx_audit_record *r = g->fresh[i].record;
        audit__recent_add(a, made[i]);
        if (r->kind == CX_AUDIT_RUN) {
            audit__totals_add(a, r->agent, r->parse_ok, r->latency_ms);
        }
    }
    audit__unlock(a);
}
