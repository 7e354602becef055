/* SPDX-License-Identifier: MIT
 *
 * walk: along the chain, line by line, from a segment on, noting what is wrong and going on behind it
 * where something signed or chained allows it. Resumable; any thread, one at a time.
 */
#ifndef CORTEX_AUDIT_WALK_H
#define CORTEX_AUDIT_WALK_H

#include "audit/folder.h"
#include "audit/reader.h"

#define AUDIT__MARKS_MAX 5

/* Somewhere that somebody has signed: what is the head when the ledger has that size? */
struct audit__mark {
    uint64_t size;
    bool seen;
    uint8_t head[CX_SHA256_BYTES];
    uint32_t segment;    /* the last one in which the ledger has that size … */
    uint64_t end_offset; /* … and where */
};
struct audit__place {
    uint32_t segment;
    uint64_t offset; /* of the line, as if the segment were plain */
    size_t bytes;    /* of the line, with its newline */
};
typedef void (*audit__entry_fn)(void *ctx, const struct audit__place *place,
                                const struct audit__line *line);

struct audit__walk {
    const struct audit__folder *folder; /* borrowed */
    struct audit__findings *findings;   /* borrowed */
    audit__entry_fn on_entry;           /* each good entry; may be NULL */
    void *ctx;
    struct audit__mark marks[AUDIT__MARKS_MAX];
    size_t mark_count;
    size_t slot_marks[2];

    size_t at;         /* of folder->segments */
    uint32_t expected; /* number of the next segment */
    bool in_segment;   /* reader is open, its header was read */
    bool fresh;        /* the first header says where the chain begins */
    bool broken;       /* a loss has begun and not ended */
    bool ended;
    struct audit__reader reader;

    uint64_t size; /* good entries up to here */
    uint8_t head[CX_SHA256_BYTES];
    uint64_t end_offset;  /* where the last good line ended … */
    uint32_t end_segment; /* … and in which segment */
    bool has_header;
    struct audit__checkpoint header; /* of all good ones, the one with the largest size */
    uint64_t torn_bytes;             /* an unfinished line at the very end */
    struct audit__finding loss;      /* while it is broken */
};
/* from: number of the first segment to read; 0 = the first there is. */
void audit__walk_init(struct audit__walk *w, const struct audit__folder *folder, uint32_t from,
                      struct audit__findings *findings);
/* A size whose head is wanted; the same struct mark is found again in marks[index]. */
size_t audit__walk_mark(struct audit__walk *w, uint64_t size);
/* Until the clock (cx_clock_mono_ns) says so, or w->ended. CX_CONFLICT: the folder has changed
 * meanwhile in a way that a new walk would understand. */
enum cx_status audit__walk_step(struct audit__walk *w, uint64_t until_ns,
                                struct cx_err *err) CX_MUST_CHECK;
/* When it has ended: are the heads that were signed those of the chain? A bad head that lies in a loss
 * is the loss's affair. The marks of both slots must have been set by audit__walk_mark_slots. */
void audit__walk_mark_slots(struct audit__walk *w);
void audit__walk_judge_slots(struct audit__walk *w);
void audit__walk_end(struct audit__walk *w); /* closes what is open */

#endif
