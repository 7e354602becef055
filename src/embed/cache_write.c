/* SPDX-License-Identifier: MIT
 *
 * Writing to the cache on disk. Vectors gather for a moment and go to the write lane in small
 * transactions, one after the other, behind what is urgent there; when they do not keep up, they are
 * dropped and counted: it is a cache.
 *
 * The row count is kept by the write jobs, which run one at a time; when it passes the ceiling the
 * rows that were not used for longest go, some with each write.
 *
 * Threads: write_work on a worker. While it runs the slice is its own, and the rows that this points at
 * stay where they are. All else on the loop.
 */
#include "cache_disk.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

#define SLICE_BYTES ((size_t)512 * 1024)
#define RECOUNT_SLICES 512
#define EVICT_ROWS 256 /* at most, in one write */
#define ROW_BYTES 128  /* of a row beside its vector */

static void plan_write(struct embed__disk *disk);
static void start_write(struct embed__disk *disk);
static void fill_slice(struct embed__disk *disk);
static void write_work(void *arg);
static enum cx_status write_slice(struct embed__disk *disk, struct cx_db *db, int64_t *rows);
static enum cx_status write_row(const struct embed__disk *disk, struct cx_db *db,
                                const struct row *row, int64_t *rows, struct cx_err *err);
static enum cx_status evict(const struct embed__disk *disk, struct cx_db *db, int64_t *rows,
                            struct cx_err *err);
static void on_write_done(void *arg, enum cx_status status);
static void pop_written(struct embed__disk *disk);
static size_t bytes_of(const struct embed__rows *rows);

void embed__rows_free(struct embed__rows *rows)
{
    free(rows->vectors);
    free(rows->digests);
    free(rows->truncated);
    *rows = (struct embed__rows){ 0 };
}

void embed__disk_put(struct embed__disk *disk, struct embed__rows *rows, int64_t now_s)
{
    const size_t bytes = bytes_of(rows);
    if (disk->broken || disk->pending_bytes + bytes > disk->options.pending_bytes_max) {
        cx_counter_add(disk->dropped, rows->count);
        embed__rows_free(rows);
        return;
    }
    struct block *block = cx_alloc(sizeof *block);
    block->rows = *rows;
    block->now_s = now_s;
    *rows = (struct embed__rows){ 0 };
    disk->pending_bytes += bytes;
    if (disk->last != NULL) {
        disk->last->next = block;
    } else {
        disk->first = block;
    }
    disk->last = block;
    disk->blocks_put++;
    plan_write(disk);
}

void embed__disk_touch(struct embed__disk *disk, const uint8_t digest[CX_SHA256_BYTES],
                       int64_t now_s)
{
    if (disk->broken || disk->touch_count == TOUCHES_MAX) {
        return; /* it will be used again, or it does not matter */
    }
    struct touch *touch = &disk->touches[disk->touch_count++];
    memcpy(touch->digest, digest, CX_SHA256_BYTES);
    touch->now_s = now_s;
    plan_write(disk);
}

static void plan_write(struct embed__disk *disk)
{
    if (!disk->writing && !disk->timing && (disk->first != NULL || disk->touch_count > 0)) {
        disk->timing = true;
        cx_timer_start(disk->timer, disk->options.delay_ms, 0);
    }
}

void embed__disk_on_time(void *ctx)
{
    struct embed__disk *disk = ctx;
    disk->timing = false;
    start_write(disk);
}

static void start_write(struct embed__disk *disk)
{
    fill_slice(disk);
    if (disk->slice_count == 0 && disk->slice_touch_count == 0) {
        return;
    }
    disk->writing = cx_lane_submit(disk->options.write_lane, CX_PRIORITY_NORMAL, write_work,
                                   on_write_done, disk, NULL) == CX_OK;
    plan_write(disk); /* a full lane: later again */
}

/* Touches are few and may be lost: they leave the queue here. Rows stay in their blocks. */
static void fill_slice(struct embed__disk *disk)
{
    size_t bytes = 0;
    disk->slice_count = 0;
    for (const struct block *b = disk->first; b != NULL && disk->slice_count < SLICE_ROWS;
         b = b->next) {
        const size_t row_bytes = b->rows.dimension * sizeof(float);
        for (size_t i = b->written; i < b->rows.count && disk->slice_count < SLICE_ROWS; i++) {
            if (bytes > 0 && bytes + row_bytes > SLICE_BYTES) {
                return;
            }
            bytes += row_bytes;
            disk->slice[disk->slice_count++] =
                (struct row){ .digest = b->rows.digests[i],
                              .vector = b->rows.vectors + i * b->rows.dimension,
                              .dimension = b->rows.dimension,
                              .truncated = b->rows.truncated[i],
                              .now_s = b->now_s };
        }
    }
    const size_t room = SLICE_ROWS - disk->slice_count;
    disk->slice_touch_count = disk->touch_count < room ? disk->touch_count : room;
    if (disk->slice_touch_count > 0) {
        disk->touch_count -= disk->slice_touch_count;
        memcpy(disk->slice_touches, disk->touches + disk->touch_count,
               disk->slice_touch_count * sizeof(struct touch));
    }
}

static void write_work(void *arg)
{
    struct embed__disk *disk = arg;
    struct cx_db *db = cx_store_writer(disk->options.store);
    int64_t rows = disk->rows;
    disk->err.text[0] = '\0';
    disk->status = cx_db_begin(db, &disk->err);
    if (disk->status != CX_OK) {
        return;
    }
    disk->status = write_slice(disk, db, &rows);
    if (disk->status == CX_OK) {
        disk->status = cx_db_commit(db, &disk->err);
    } else {
        cx_db_rollback(db);
    }
    if (disk->status == CX_OK) {
        disk->rows = rows;
    }
}

static enum cx_status write_slice(struct embed__disk *disk, struct cx_db *db, int64_t *rows)
{
    struct cx_stmt *s = NULL;
    bool row = false;
    enum cx_status status = CX_OK;
    if (*rows < 0 || ++disk->slices % RECOUNT_SLICES == 0) { /* others remove rows as well */
        status = cx_db_prepare(db, "SELECT count(*) FROM embedding_cache", &s, &disk->err);
        if (status == CX_OK) {
            status = cx_stmt_step(s, &row, &disk->err);
        }
        if (status == CX_OK) {
            *rows = cx_stmt_int(s, 0);
            cx_stmt_reset(s);
        }
    }
    for (size_t i = 0; i < disk->slice_count && status == CX_OK; i++) {
        status = write_row(disk, db, &disk->slice[i], rows, &disk->err);
    }
    for (size_t i = 0; i < disk->slice_touch_count && status == CX_OK; i++) {
        status = cx_db_prepare(db,
                               "UPDATE embedding_cache SET used_at = ?3"
                               " WHERE fingerprint = ?1 AND content_hash = ?2",
                               &s, &disk->err);
        if (status == CX_OK) {
            cx_stmt_bind_blob(s, 1, disk->fingerprint, CX_SHA256_BYTES);
            cx_stmt_bind_blob(s, 2, disk->slice_touches[i].digest, CX_SHA256_BYTES);
            cx_stmt_bind_int(s, 3, disk->slice_touches[i].now_s);
            status = cx_stmt_run(s, &disk->err);
        }
    }
    return status == CX_OK ? evict(disk, db, rows, &disk->err) : status;
}

static enum cx_status write_row(const struct embed__disk *disk, struct cx_db *db,
                                const struct row *row, int64_t *rows, struct cx_err *err)
{
    static const char *const statements[] = {
        "INSERT INTO embedding_cache (fingerprint, content_hash, used_at, truncated, vector)"
        " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (fingerprint, content_hash) DO NOTHING",
        "UPDATE embedding_cache SET used_at = ?3, truncated = ?4, vector = ?5"
        " WHERE fingerprint = ?1 AND content_hash = ?2",
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(statements); i++) {
        struct cx_stmt *s = NULL;
        enum cx_status status = cx_db_prepare(db, statements[i], &s, err);
        if (status != CX_OK) {
            return status;
        }
        cx_stmt_bind_blob(s, 1, disk->fingerprint, CX_SHA256_BYTES);
        cx_stmt_bind_blob(s, 2, row->digest, CX_SHA256_BYTES);
        cx_stmt_bind_int(s, 3, row->now_s);
        cx_stmt_bind_int(s, 4, row->truncated);
        cx_stmt_bind_blob(s, 5, row->vector, row->dimension * sizeof(float));
        status = cx_stmt_run(s, err);
        if (status != CX_OK) {
            return status;
        }
        if (i == 0 && cx_db_changes(db) > 0) {
            (*rows)++;
            return CX_OK;
        }
    }
    return CX_OK;
}

/* The ceiling in bytes counts every row as large as those that are written now. */
static enum cx_status evict(const struct embed__disk *disk, struct cx_db *db, int64_t *rows,
                            struct cx_err *err)
{
    size_t most = disk->options.rows_max;
    if (disk->slice_count > 0) {
        const size_t by_bytes =
            disk->options.bytes_max / (disk->slice[0].dimension * sizeof(float) + ROW_BYTES);
        most = by_bytes < most ? by_bytes : most;
    }
    if (*rows <= (int64_t)most) {
        return CX_OK;
    }
    int64_t surplus = *rows - (int64_t)most;
    surplus = surplus < EVICT_ROWS ? surplus : EVICT_ROWS;
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "DELETE FROM embedding_cache WHERE id IN (SELECT id FROM embedding_cache"
                      " ORDER BY used_at, id LIMIT ?1)",
                      &s, err);
    if (status == CX_OK) {
        cx_stmt_bind_int(s, 1, surplus);
        status = cx_stmt_run(s, err);
    }
    if (status == CX_OK) {
        const int64_t gone = cx_db_changes(db);
        *rows -= gone;
        cx_counter_add(disk->evicted, (uint64_t)gone);
    }
    return status;
}

static void on_write_done(void *arg, enum cx_status status)
{
    struct embed__disk *disk = arg;
    disk->writing = false;
    const enum cx_status ended = status == CX_OK ? disk->status : status;
    if (ended != CX_OK) {
        cx_counter_add(disk->dropped, disk->slice_count);
        CX_LOG(CX_LOG_WARN, "vectors not written to the embedding cache",
               CX_I("vectors", disk->slice_count), CX_S("status", cx_status_name(ended)),
               CX_S("error", disk->err.text));
    }
    pop_written(disk);
    if (cx_store_failed(disk->options.store)) {
        disk->broken = true;
        disk->touch_count = 0;
        while (disk->first != NULL) {
            embed__disk_drop_first(disk);
        }
    }
    if (disk->first != NULL && disk->first->written > 0) {
        start_write(disk); /* in the midst of a block: there is no more company to wait for */
    } else {
        plan_write(disk);
    }
}

/* Written or lost, the slice is done with. */
static void pop_written(struct embed__disk *disk)
{
    for (size_t left = disk->slice_count; left > 0;) {
        struct block *b = disk->first;
        CX_CHECK(b != NULL);
        const size_t here = b->rows.count - b->written;
        const size_t taken = here < left ? here : left;
        b->written += taken;
        left -= taken;
        if (b->written == b->rows.count) {
            disk->pending_bytes -= bytes_of(&b->rows);
            disk->first = b->next;
            disk->last = disk->first != NULL ? disk->last : NULL;
            disk->blocks_gone++;
            embed__rows_free(&b->rows);
            free(b);
        }
    }
    disk->slice_count = 0;
    disk->slice_touch_count = 0;
}

void embed__disk_drop_first(struct embed__disk *disk)
{
    struct block *b = disk->first;
    cx_counter_add(disk->dropped, b->rows.count - b->written);
    disk->pending_bytes -= bytes_of(&b->rows);
    disk->first = b->next;
    disk->last = disk->first != NULL ? disk->last : NULL;
    disk->blocks_gone++;
    embed__rows_free(&b->rows);
    free(b);
}

static size_t bytes_of(const struct embed__rows *rows)
{
    return rows->count * (rows->dimension * sizeof(float) + CX_SHA256_BYTES + 1) +
           sizeof(struct block);
}
