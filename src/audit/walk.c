/* SPDX-License-Identifier: MIT
 *
 * The walk along the chain (walk.h).
 *
 * A line is good when it is spelled as it must be, has the hash of its bytes, and follows the one
 * before. At the first that is not, a loss begins. It ends at the next line that is good in itself and
 * has a higher sequence, or at a signed header: between the two hashes stands what is missing.
 */
#include "audit/walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINES_BETWEEN_CLOCKS 64

static enum cx_status enter_segment(struct audit__walk *w, struct cx_err *err);
static void take_header(struct audit__walk *w, uint32_t segment, enum audit__read what,
                        struct cx_str line);
static void take_line(struct audit__walk *w, struct cx_str line, uint64_t offset);
static void leave_segment(struct audit__walk *w, enum audit__read what, struct cx_str rest);
static void finish(struct audit__walk *w);
static void advance(struct audit__walk *w, uint64_t size, const uint8_t head[CX_SHA256_BYTES]);
static void open_loss(struct audit__walk *w, uint32_t segment, uint64_t bad, const char *format,
                      ...) CX_PRINTF(4, 5);
static void close_loss(struct audit__walk *w, uint64_t last, const uint8_t after[CX_SHA256_BYTES]);

void audit__walk_init(struct audit__walk *w, const struct audit__folder *folder, uint32_t from,
                      struct audit__findings *findings)
{
    *w = (struct audit__walk){ .folder = folder,
                               .findings = findings,
                               .reader = { .fd = -1 },
                               .fresh = true,
                               .expected = from };
    if (from == 0 && folder->has_stub) {
        w->fresh = false;
        w->size = folder->stub.end.size;
        memcpy(w->head, folder->stub.end.head, sizeof w->head);
        w->expected = folder->stub.first_segment;
    } else if (from == 0) {
        w->expected = 1;
    }
    while (w->at < folder->segment_count && folder->segments[w->at].number < w->expected) {
        w->at++; /* that retention has not come to remove */
    }
}

size_t audit__walk_mark(struct audit__walk *w, uint64_t size)
{
    CX_CHECK(w->mark_count < AUDIT__MARKS_MAX);
    w->marks[w->mark_count] = (struct audit__mark){ .size = size };
    if (!w->fresh && size == w->size) {
        w->marks[w->mark_count].seen = true;
        memcpy(w->marks[w->mark_count].head, w->head, sizeof w->head);
    }
    return w->mark_count++;
}

void audit__walk_end(struct audit__walk *w)
{
    audit__reader_close(&w->reader);
}

enum cx_status audit__walk_step(struct audit__walk *w, uint64_t until_ns, struct cx_err *err)
{
    enum cx_status status = CX_OK;
    for (unsigned lines = 1; status == CX_OK && !w->ended; lines++) {
        if (lines % LINES_BETWEEN_CLOCKS == 0 && cx_clock_mono_ns() >= until_ns) {
            break;
        }
        if (w->findings->count > AUDIT__FINDINGS_MAX) {
            w->broken = false; /* enough is known */
            w->ended = true;
            break;
        }
        if (!w->in_segment) {
            if (w->at == w->folder->segment_count) {
                finish(w);
                break;
            }
            status = enter_segment(w, err);
            continue;
        }
        enum audit__read what = AUDIT__READ_END;
        struct cx_str line = { NULL, 0 };
        uint64_t offset = 0;
        status = audit__reader_next(&w->reader, &what, &line, &offset, err);
        if (status == CX_OK && what == AUDIT__READ_LINE) {
            take_line(w, line, offset);
        } else if (status == CX_OK) {
            leave_segment(w, what, line);
        }
    }
    return status;
}

/* ---- Segments ---------------------------------------------------------------------------------- */

static enum cx_status enter_segment(struct audit__walk *w, struct cx_err *err)
{
    const uint32_t number = w->folder->segments[w->at].number;
    enum cx_status status = audit__reader_open(w->folder->dir, number, &w->reader, err);
    if (status == CX_NOT_FOUND) {
        return cx_err_set(err, CX_CONFLICT, "a segment was removed while it was to be read");
    }
    enum audit__read what = AUDIT__READ_END;
    struct cx_str line = { NULL, 0 };
    uint64_t offset = 0;
    if (status == CX_OK) {
        status = audit__reader_next(&w->reader, &what, &line, &offset, err);
    }
    if (status != CX_OK) {
        return status;
    }
    if (number != w->expected && !w->broken) {
        open_loss(w, w->expected, w->size + 1, "segment %" PRIu32 " is missing", w->expected);
    }
    take_header(w, number, what, line);
    w->expected = number + 1;
    w->in_segment = true;
    return CX_OK;
}

static void take_header(struct audit__walk *w, uint32_t segment, enum audit__read what,
                        struct cx_str line)
{
    uint32_t number = 0;
    struct audit__checkpoint before;
    if (what != AUDIT__READ_LINE || !audit__header_parse(line, &number, &before) ||
        number != segment || !audit__keys_verify(&w->folder->keys, &before)) {
        if (!w->broken) {
            open_loss(w, segment, w->size + 1, "the header of segment %" PRIu32 " is not good",
                      segment);
        }
        return;
    }
    w->end_segment = segment;
    w->end_offset = line.len + 1;
    if (!w->has_header || before.size >= w->header.size) {
        w->has_header = true;
        w->header = before;
    }
    const bool begins = w->fresh;
    w->fresh = false;
    if (begins && (before.size == 0 || segment != 1)) {
        if (w->broken) {
            close_loss(w, before.size, before.head);
        }
        advance(w, before.size, before.head);
        return;
    }
    if (before.size == w->size && memcmp(before.head, w->head, sizeof w->head) == 0) {
        if (w->broken) {
            close_loss(w, before.size, before.head);
        }
        advance(w, before.size, before.head);
        return;
    }
    if (!w->broken) {
        open_loss(
            w, segment, before.size > w->size ? w->size + 1 : w->size,
            "segment %" PRIu32 " begins after %" PRIu64 " entries, the ones before it end with"
            " %" PRIu64 "%s",
            segment, before.size, w->size, before.size == w->size ? " and with another hash" : "");
    }
    if (before.size >= w->size) {
        close_loss(w, before.size, before.head);
        advance(w, before.size, before.head);
    }
}

static void leave_segment(struct audit__walk *w, enum audit__read what, struct cx_str rest)
{
    const uint32_t segment = w->folder->segments[w->at].number;
    const bool last = w->at + 1 == w->folder->segment_count;
    const struct audit__checkpoint *newest = audit__newest(w->folder);
    if (what == AUDIT__READ_TORN && last && !w->broken && newest != NULL &&
        w->size >= newest->size) {
        w->torn_bytes = rest.len; /* nobody was told that this is written */
    } else if (what != AUDIT__READ_END && !w->broken) {
        open_loss(w, segment, w->size + 1,
                  what == AUDIT__READ_TORN ? "segment %" PRIu32 " ends within a line"
                                           : "segment %" PRIu32
                                             " holds a part that cannot be unpacked",
                  segment);
    }
    audit__reader_close(&w->reader);
    w->in_segment = false;
    w->at++;
}

/* ---- Lines ------------------------------------------------------------------------------------- */

static void take_line(struct audit__walk *w, struct cx_str line, uint64_t offset)
{
    const uint32_t segment = w->folder->segments[w->at].number;
    struct audit__line l;
    const bool good = audit__line_parse(line, &l);
    const bool next = good && l.sequence == w->size + 1;
    const bool chained = next && memcmp(l.previous, w->head, sizeof w->head) == 0;
    if (!chained && !w->broken) {
        if (!good) {
            open_loss(w, segment, w->size + 1, "entry %" PRIu64 " is not what was written",
                      w->size + 1);
        } else if (next) {
            open_loss(w, segment, w->size,
                      "entry %" PRIu64 " is not the one that entry %" PRIu64 " was chained to",
                      w->size, l.sequence);
        } else {
            open_loss(w, segment, w->size + 1,
                      "entry %" PRIu64 " stands where entry %" PRIu64 " should be", l.sequence,
                      w->size + 1);
        }
    }
    if (!good || l.sequence <= w->size) {
        return;
    }
    if (w->broken) {
        close_loss(w, l.sequence - 1, l.previous);
    }
    const struct audit__place place = { .segment = segment,
                                        .offset = offset,
                                        .bytes = line.len + 1 };
    w->end_segment = segment;
    w->end_offset = offset + place.bytes;
    advance(w, l.sequence, l.hash);
    if (w->on_entry != NULL) {
        w->on_entry(w->ctx, &place, &l);
    }
}

static void advance(struct audit__walk *w, uint64_t size, const uint8_t head[CX_SHA256_BYTES])
{
    w->size = size;
    memcpy(w->head, head, sizeof w->head);
    for (size_t i = 0; i < w->mark_count; i++) {
        if (w->marks[i].size == size) {
            w->marks[i].seen = true;
            memcpy(w->marks[i].head, head, sizeof w->marks[i].head);
            w->marks[i].segment = w->end_segment;
            w->marks[i].end_offset = w->end_offset;
        }
    }
}

static void finish(struct audit__walk *w)
{
    const struct audit__checkpoint *newest = audit__newest(w->folder);
    w->ended = true;
    if (newest != NULL && w->size < newest->size) {
        if (!w->broken) {
            open_loss(w, w->expected - 1, w->size + 1,
                      "the ledger ends with entry %" PRIu64 ", but %" PRIu64 " were acknowledged",
                      w->size, newest->size);
        }
        close_loss(w, newest->size, newest->head);
    } else if (w->broken) {
        close_loss(w, w->size, w->head); /* what is no entry, behind the last one */
    }
}

void audit__walk_mark_slots(struct audit__walk *w)
{
    for (size_t i = 0; i < 2; i++) {
        w->slot_marks[i] = w->folder->slot_good[i] ? audit__walk_mark(w, w->folder->slots[i].size)
                                                   : AUDIT__MARKS_MAX;
    }
}

static bool in_a_loss(const struct audit__findings *f, uint64_t sequence)
{
    for (size_t i = 0; i < f->count && i < AUDIT__FINDINGS_MAX; i++) {
        const struct audit__finding *row = &f->rows[i];
        if (row->loss && row->first <= sequence && sequence <= row->last) {
            return true;
        }
    }
    return false;
}

void audit__walk_judge_slots(struct audit__walk *w)
{
    const struct audit__checkpoint *newest = audit__newest(w->folder);
    if (newest != NULL && w->has_header && w->header.size > newest->size) {
        (void)audit__find_add(w->findings,
                              "the checkpoint is of %" PRIu64 " entries, but a segment's header is "
                              "of %" PRIu64,
                              newest->size, w->header.size);
    }
    for (size_t i = 0; i < 2; i++) {
        if (w->slot_marks[i] == AUDIT__MARKS_MAX) {
            continue;
        }
        const struct audit__checkpoint *slot = &w->folder->slots[i];
        const struct audit__mark *m = &w->marks[w->slot_marks[i]];
        const bool before = w->folder->has_stub && slot->size < w->folder->stub.end.size;
        if ((m->seen && memcmp(m->head, slot->head, sizeof m->head) == 0) || before ||
            (!m->seen && in_a_loss(w->findings, slot->size))) {
            continue;
        }
        struct audit__finding *row = audit__find_add(
            w->findings, "entry %" PRIu64 " is not the one that was signed", slot->size);
        if (row != NULL) {
            row->bad = slot->size;
        }
    }
}

/* ---- Losses ------------------------------------------------------------------------------------ */

static void open_loss(struct audit__walk *w, uint32_t segment, uint64_t bad, const char *format,
                      ...)
{
    w->broken = true;
    w->loss = (struct audit__finding){
        .loss = true, .bad = bad, .first = w->size + 1, .segment = segment
    };
    memcpy(w->loss.before, w->head, sizeof w->loss.before);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(w->loss.text, sizeof w->loss.text, format, args);
    va_end(args);
}

static void close_loss(struct audit__walk *w, uint64_t last, const uint8_t after[CX_SHA256_BYTES])
{
    w->broken = false;
    w->loss.last = last;
    memcpy(w->loss.after, after, sizeof w->loss.after);
    struct audit__finding *row = audit__find_add(w->findings, "%s", w->loss.text);
    if (row != NULL) {
        *row = w->loss;
    }
}
