/* SPDX-License-Identifier: MIT
 *
 * Opening the tail of a ledger: it is checked against the signed checkpoint, and what follows that, which
 * nobody was told of, is cut off. Start-up; blocking.
 */
#include "audit/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tail {
    struct cx_audit *a;
    uint64_t acknowledged;
    struct audit__place end; /* of the last acknowledged entry */
    int64_t first_us;        /* of the first one in the segment; 0 = it has none */
    int64_t last_us;
    uint64_t beyond; /* good entries that nobody was told of */
};

static void on_tail_entry(void *ctx, const struct audit__place *place,
                          const struct audit__line *line);
static enum cx_status walk_tail(struct cx_audit *a, const struct audit__folder *folder,
                                struct audit__findings *findings, struct tail *tail,
                                struct cx_err *err);
static void judge_index(struct cx_audit *a, uint64_t size, struct audit__findings *findings);
static void set_damage(struct cx_audit *a, const struct audit__findings *findings);
static enum cx_status take_over(struct cx_audit *a, const struct audit__folder *folder,
                                const struct tail *tail, struct cx_err *err);

enum cx_status audit__open_tail(struct cx_audit *a, struct cx_err *err)
{
    struct audit__findings *findings = cx_alloc(sizeof *findings);
    struct audit__folder folder;
    struct tail tail = { .a = a };
    bool made = false;
    enum cx_status status = CX_OK;
    for (;;) {
        findings->count = 0;
        const int dir = audit__open_folder(a->options.data_dir, false, err);
        status = dir < 0 ? CX_IO_ERROR : audit__folder_read(dir, &folder, findings, err);
        if (status != CX_OK || !folder.empty || made || a->indexed_to > 0) {
            break;
        }
        audit__folder_free(&folder);
        made = true;
        status = audit__make(a->files, a->dir, a->options.signer, err);
        if (status != CX_OK) {
            break;
        }
        CX_LOG(CX_LOG_INFO, "ledger made", CX_S("key_id", cx_signer_key_id(a->options.signer)));
    }
    if (status != CX_OK) {
        free(findings);
        return status;
    }
    if (folder.empty && a->indexed_to > 0) {
        (void)audit__find_add(findings,
                              "the ledger is empty, but the database knows of entry %" PRIu64,
                              a->indexed_to);
    }
    if (audit__newest(&folder) != NULL && folder.segment_count > 0) {
        status = walk_tail(a, &folder, findings, &tail, err);
    }
    if (status == CX_OK) {
        judge_index(a, tail.acknowledged, findings);
        const struct audit__key *last =
            folder.keys.count > 0 ? &folder.keys.rows[folder.keys.count - 1] : NULL;
        if (last != NULL && strcmp(last->key_id, cx_signer_key_id(a->options.signer)) != 0) {
            (void)audit__find_add(findings, "the ledger was signed by the key %s, ours is %s",
                                  last->key_id, cx_signer_key_id(a->options.signer));
        }
        if (findings->count == 0) {
            status = take_over(a, &folder, &tail, err);
        } else {
            set_damage(a, findings);
            a->shown_size = tail.acknowledged;
        }
    }
    audit__folder_free(&folder);
    free(findings);
    return status;
}

static enum cx_status walk_tail(struct cx_audit *a, const struct audit__folder *folder,
                                struct audit__findings *findings, struct tail *tail,
                                struct cx_err *err)
{
    const struct audit__checkpoint *newest = audit__newest(folder);
    const struct audit__checkpoint *older = &folder->slots[1 - folder->newest];
    const uint32_t last = folder->segments[folder->segment_count - 1].number;
    struct audit__findings *beyond = cx_alloc(sizeof *beyond);
    struct audit__walk w;
    tail->acknowledged = newest->size;
    tail->end = (struct audit__place){ .segment = last };
    tail->last_us = newest->time_us;
    audit__walk_init(&w, folder, last, beyond);
    w.on_entry = on_tail_entry;
    w.ctx = tail;
    const size_t at_newest = audit__walk_mark(&w, newest->size);
    const size_t at_older = audit__walk_mark(&w, older->size);
    enum cx_status status = CX_OK;
    while (status == CX_OK && !w.ended) {
        status = audit__walk_step(&w, UINT64_MAX, err);
    }
    audit__walk_end(&w);
    if (status == CX_OK) {
        /* What is wrong behind the last acknowledged entry is what nobody was told of. */
        for (size_t i = 0; i < beyond->count && i < AUDIT__FINDINGS_MAX; i++) {
            const struct audit__finding *row = &beyond->rows[i];
            if (!row->loss || row->bad <= newest->size) {
                struct audit__finding *copy = audit__find_add(findings, "%s", row->text);
                if (copy != NULL) {
                    *copy = *row;
                }
            }
        }
        const struct audit__mark *m = &w.marks[at_newest];
        if (!m->seen) {
            if (findings->count == 0) {
                (void)audit__find_add(findings,
                                      "%" PRIu64 " entries were acknowledged, the last segment "
                                      "does not hold that place",
                                      newest->size);
            }
        } else if (memcmp(m->head, newest->head, sizeof m->head) != 0) {
            (void)audit__find_add(findings, "entry %" PRIu64 " is not the one that was signed",
                                  newest->size);
        }
        m = &w.marks[at_older];
        if (folder->slot_good[1 - folder->newest] && m->seen &&
            memcmp(m->head, older->head, sizeof m->head) != 0) {
            (void)audit__find_add(findings, "entry %" PRIu64 " is not the one that was signed",
                                  older->size);
        }
        a->segment = last;
    }
    free(beyond);
    return status;
}

static void on_tail_entry(void *ctx, const struct audit__place *place,
                          const struct audit__line *line)
{
    struct tail *tail = ctx;
    struct audit__entry entry;
    if (line->sequence > tail->acknowledged) {
        tail->beyond++;
        return;
    }
    tail->end = *place;
    if (audit__entry_parse(line->entry, &entry)) {
        tail->first_us = tail->first_us != 0 ? tail->first_us : entry.recorded_us;
        tail->last_us = entry.recorded_us;
    }
}

/* The database is behind the ledger, never ahead of it. */
static void judge_index(struct cx_audit *a, uint64_t size, struct audit__findings *findings)
{
    if (a->indexed_to > size) {
        (void)audit__find_add(findings,
                              "the ledger has %" PRIu64 " entries, but the database knows of entry "
                              "%" PRIu64,
                              size, a->indexed_to);
    }
}

static enum cx_status cut_tail(struct cx_audit *a, uint64_t end, const struct tail *tail,
                               struct cx_err *err);

static enum cx_status take_over(struct cx_audit *a, const struct audit__folder *folder,
                                const struct tail *tail, struct cx_err *err)
{
    const struct audit__segment *last = &folder->segments[folder->segment_count - 1];
    char name[AUDIT__SEGMENT_NAME_BYTES];
    a->checkpoint = *audit__newest(folder);
    a->slot = folder->newest;
    a->size = a->shown_size = a->checkpoint.size;
    memcpy(a->head, a->checkpoint.head, sizeof a->head);
    memcpy(a->shown_head, a->checkpoint.head, sizeof a->shown_head);
    a->segment = a->shown_segment = last->number;
    a->last_us = tail->last_us;
    a->removed_to = folder->has_stub ? folder->stub.end.size : 0;
    a->segment_began_us = tail->first_us != 0 ? tail->first_us : cx_clock_wall_us();
    cx_gauge_set(a->entries_gauge, (double)a->size);
    cx_gauge_set(a->segment_gauge, (double)a->segment);
    a->checkpoint_fd = openat(a->dir, AUDIT__CHECKPOINT_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (a->checkpoint_fd < 0) {
        return cx_err_set(err, CX_IO_ERROR, AUDIT__CHECKPOINT_FILE ": %s", strerror(errno));
    }
    if (!last->plain) {
        return CX_OK; /* it was sealed: the next group begins another */
    }
    struct audit__reader r;
    enum cx_status status = audit__reader_open(a->dir, last->number, &r, err);
    if (status != CX_OK) {
        return status;
    }
    enum audit__read what = AUDIT__READ_END;
    struct cx_str header = { NULL, 0 };
    uint64_t offset = 0;
    status = audit__reader_next(&r, &what, &header, &offset, err);
    const uint64_t header_bytes = header.len + 1;
    audit__reader_close(&r);
    if (status != CX_OK) {
        return status;
    }
    a->segment_fd = openat(a->dir, audit__segment_name(last->number, false, name),
                           O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (a->segment_fd < 0) {
        return cx_err_set(err, CX_IO_ERROR, "%s: %s", name, strerror(errno));
    }
    a->segment_bytes = tail->end.bytes > 0 ? tail->end.offset + tail->end.bytes : header_bytes;
    return cut_tail(a, a->segment_bytes, tail, err);
}

static enum cx_status cut_tail(struct cx_audit *a, uint64_t end, const struct tail *tail,
                               struct cx_err *err)
{
    struct stat info;
    if (fstat(a->segment_fd, &info) != 0) {
        return cx_err_set(err, CX_IO_ERROR, "the ledger's segment: %s", strerror(errno));
    }
    if ((uint64_t)info.st_size <= end) {
        return CX_OK;
    }
    if (a->files->truncate(a->files->ctx, a->segment_fd, (off_t)end) != 0 ||
        a->files->sync(a->files->ctx, a->segment_fd, false) != 0) {
        return cx_err_set(err, CX_IO_ERROR, "the ledger's segment cannot be cut: %s",
                          strerror(errno));
    }
    CX_LOG(CX_LOG_WARN, "ledger: cut off a tail that was never acknowledged",
           CX_I("segment", a->segment), CX_I("after_entry", a->size),
           CX_I("bytes", (uint64_t)info.st_size - end), CX_I("whole_entries", tail->beyond));
    return CX_OK;
}

static void set_damage(struct cx_audit *a, const struct audit__findings *findings)
{
    (void)cx_err_set(&a->damage, CX_LEDGER_DAMAGED, "%s", findings->rows[0].text);
    atomic_store(&a->state, AUDIT__DAMAGED);
    cx_gauge_set(a->damaged_gauge, 1.0);
    for (size_t i = 0; i < findings->count && i < AUDIT__FINDINGS_MAX; i++) {
        CX_LOG(CX_LOG_ERROR,
               "the ledger contradicts what was signed: it is read and not written until "
               "cortexd --accept-ledger-damage was run",
               CX_S("found", findings->rows[i].text));
    }
}
