/* SPDX-License-Identifier: MIT
 *
 * The inside of embed__disk, for the file that looks up (cache_disk.c) and the one that writes
 * (cache_write.c).
 */
#ifndef CORTEX_EMBED_CACHE_DISK_H
#define CORTEX_EMBED_CACHE_DISK_H

#include "cache.h"

#define SLICE_ROWS 64
#define TOUCHES_MAX 1024 /* that wait */

struct block { /* rows that wait to be written */
    struct block *next;
    struct embed__rows rows;
    size_t written;
    int64_t now_s;
};
struct touch {
    uint8_t digest[CX_SHA256_BYTES];
    int64_t now_s;
};
struct row {
    const uint8_t *digest;
    const float *vector;
    unsigned dimension;
    bool truncated;
    int64_t now_s;
};

struct embed__disk { /* owner: its batcher */
    struct embed__disk_options options;
    uint8_t fingerprint[CX_SHA256_BYTES];
    struct cx_timer *timer;
    bool timing;
    struct block *first;
    struct block *last;
    size_t pending_bytes;
    uint64_t blocks_put;
    uint64_t blocks_gone; /* of these: written, or given up */
    struct touch touches[TOUCHES_MAX];
    size_t touch_count;
    size_t finding; /* jobs */
    bool writing;
    bool broken; /* the store takes nothing any more */
    /* The write job. While it runs it is the worker's. */
    struct row slice[SLICE_ROWS];
    size_t slice_count;
    struct touch slice_touches[SLICE_ROWS];
    size_t slice_touch_count;
    int64_t rows; /* in the table; -1 = not counted yet */
    unsigned slices;
    enum cx_status status;
    struct cx_err err;
    struct cx_series *damaged;
    struct cx_series *evicted;
    struct cx_series *dropped;
};

void embed__disk_on_time(void *ctx); /* the timer's: what has gathered is written */
void embed__disk_drop_first(struct embed__disk *disk); /* the first block, unwritten */

#endif
