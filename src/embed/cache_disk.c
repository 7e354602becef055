/* SPDX-License-Identifier: MIT
 *
 * The cache's half on disk: its table, its life, and looking up, which is a job of the read lane.
 *
 * Threads: find_work on a worker, which owns its look-up while it runs. All else on the loop.
 */
#include "cache_disk.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

const struct cx_migration cx_embed_migrations[] = {
    { "embed", 1,
      "CREATE TABLE embedding_cache ("
      " id INTEGER PRIMARY KEY,"
      " fingerprint BLOB NOT NULL,"
      " content_hash BLOB NOT NULL,"
      " used_at INTEGER NOT NULL," /* Unix seconds, exact to about an hour */
      " truncated INTEGER NOT NULL,"
      " vector BLOB NOT NULL," /* float32, little-endian */
      " UNIQUE (fingerprint, content_hash));"
      "CREATE INDEX embedding_cache_use ON embedding_cache (used_at);" },
    { "embed", 2,
      "CREATE INDEX embedding_cache_content ON embedding_cache (content_hash);"
      "CREATE TABLE embedding_gone (content_hash BLOB PRIMARY KEY) WITHOUT ROWID;" },
};
const size_t cx_embed_migration_count = CX_ARRAY_LEN(cx_embed_migrations);

struct finding { /* a look-up under way; owner: its job */
    struct embed__disk *disk;
    struct embed__found *found;
    size_t count;
    size_t damaged;
    int64_t now_s;
    uint8_t (*touched)[CX_SHA256_BYTES]; /* whose use is to be noted */
    size_t touched_count;
    embed__found_fn on_found;
    void *ctx;
};

static void find_work(void *arg);
static enum cx_status find_one(struct finding *f, struct cx_stmt *select,
                               struct embed__found *found);
static bool take_blob(struct cx_str blob, struct embed__found *found);
static void on_find_done(void *arg, enum cx_status status);

void embed__disk_new(const struct embed__disk_options *options, struct embed__disk **out)
{
    struct embed__disk *disk = cx_alloc(sizeof *disk);
    disk->options = *options;
    disk->options.fingerprint = NULL;
    disk->rows = -1;
    CX_CHECK(cx_unhex(cx_str_of(options->fingerprint), disk->fingerprint, CX_SHA256_BYTES));
    cx_timer_new(options->loop, embed__disk_on_time, disk, &disk->timer);
    struct cx_buf labels;
    cx_buf_init(&labels, 1024);
    cx_metrics_label(&labels, "provider", options->provider);
    disk->dropped = cx_metrics_series(CX_M_EMBED_CACHE_DROPPED, labels.data);
    cx_metrics_label(&labels, "tier", "disk");
    disk->evicted = cx_metrics_series(CX_M_EMBED_CACHE_EVICTED, labels.data);
    cx_buf_clear(&labels);
    cx_metrics_label(&labels, "provider", options->provider);
    cx_metrics_label(&labels, "result", "damaged");
    disk->damaged = cx_metrics_series(CX_M_EMBED_CACHE, labels.data);
    cx_buf_free(&labels);
    disk->options.provider = NULL;
    *out = disk;
}

void embed__disk_free(struct embed__disk **disk)
{
    if (*disk != NULL) {
        CX_CHECK(embed__disk_at_rest(*disk));
        while ((*disk)->first != NULL) {
            embed__disk_drop_first(*disk);
        }
        cx_timer_free(&(*disk)->timer);
        free(*disk);
        *disk = NULL;
    }
}

bool embed__disk_idle(const struct embed__disk *disk)
{
    return embed__disk_at_rest(disk) && disk->first == NULL && disk->touch_count == 0;
}

uint64_t embed__disk_put_count(const struct embed__disk *disk)
{
    return disk->blocks_put;
}

uint64_t embed__disk_gone_count(const struct embed__disk *disk)
{
    return disk->blocks_gone;
}

bool embed__disk_at_rest(const struct embed__disk *disk)
{
    return disk->finding == 0 && !disk->writing;
}

/* ---- Looking up ---- */

enum cx_status embed__disk_find(struct embed__disk *disk, enum cx_priority priority,
                                struct embed__found *found, size_t count, int64_t now_s,
                                embed__found_fn on_found, void *ctx)
{
    CX_CHECK(count <= EMBED__LOOKUP_TEXTS);
    struct finding *f = cx_alloc(sizeof *f);
    f->disk = disk;
    f->found = found;
    f->count = count;
    f->now_s = now_s;
    f->touched = cx_realloc_array(NULL, count, sizeof *f->touched);
    f->on_found = on_found;
    f->ctx = ctx;
    const enum cx_status status =
        cx_lane_submit(disk->options.read_lane, priority, find_work, on_find_done, f, NULL);
    if (status != CX_OK) {
        free(f->touched);
        free(f);
        free(found);
        return status;
    }
    disk->finding++;
    return CX_OK;
}

/* Any error here is a miss: the provider can still be asked. */
static void find_work(void *arg)
{
    struct finding *f = arg;
    struct cx_db *db = cx_store_reader(f->disk->options.store);
    struct cx_stmt *select = NULL;
    struct cx_err err = { "" };
    enum cx_status status = cx_db_begin(db, &err);
    if (status == CX_OK) {
        status = cx_db_prepare(db,
                               "SELECT vector, truncated, used_at FROM embedding_cache"
                               " WHERE fingerprint = ?1 AND content_hash = ?2",
                               &select, &err);
    }
    for (size_t i = 0; i < f->count && status == CX_OK; i++) {
        status = find_one(f, select, &f->found[i]);
    }
    cx_store_return(f->disk->options.store, db);
}

static enum cx_status find_one(struct finding *f, struct cx_stmt *select,
                               struct embed__found *found)
{
    bool row = false;
    cx_stmt_bind_blob(select, 1, f->disk->fingerprint, CX_SHA256_BYTES);
    cx_stmt_bind_blob(select, 2, found->digest, CX_SHA256_BYTES);
    const enum cx_status status = cx_stmt_step(select, &row, NULL);
    if (status != CX_OK || !row) {
        return status;
    }
    if (take_blob(cx_stmt_blob(select, 0), found)) {
        found->truncated = cx_stmt_int(select, 1) != 0;
        const int64_t used_at = cx_stmt_int(select, 2);
        if (used_at > f->now_s || f->now_s - used_at > EMBED__TOUCH_AFTER_S) {
            memcpy(f->touched[f->touched_count++], found->digest, CX_SHA256_BYTES);
        }
    } else {
        f->damaged++;
    }
    cx_stmt_reset(select);
    return CX_OK;
}

static bool take_blob(struct cx_str blob, struct embed__found *found)
{
    const size_t dimension = blob.len / sizeof(float);
    if (dimension == 0 || dimension > EMBED__DIMENSION_MAX ||
        blob.len != dimension * sizeof(float)) {
        return false;
    }
    float *vector = malloc(blob.len);
    if (vector == NULL) {
        return false;
    }
    memcpy(vector, blob.p, blob.len);
    if (!embed__vector_valid(vector, (unsigned)dimension)) {
        free(vector);
        return false;
    }
    found->vector = vector;
    found->dimension = (unsigned)dimension;
    return true;
}

static void on_find_done(void *arg, enum cx_status status)
{
    (void)status; /* a job that never ran has found nothing */
    struct finding *f = arg;
    struct embed__disk *disk = f->disk;
    disk->finding--;
    if (f->damaged > 0) {
        cx_counter_add(disk->damaged, f->damaged);
        CX_LOG(CX_LOG_WARN, "damaged vectors in the embedding cache are asked for again",
               CX_I("vectors", f->damaged));
    }
    for (size_t i = 0; i < f->touched_count; i++) {
        embed__disk_touch(disk, f->touched[i], f->now_s);
    }
    f->on_found(f->ctx, f->found, f->count);
    free(f->touched);
    free(f->found);
    free(f);
}
