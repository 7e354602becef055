/* SPDX-License-Identifier: MIT
 *
 * The embedding cache: its half in memory by itself, its half on disk with a real store and lanes, and
 * the batcher over both, across a restart.
 */
#include "batcher_env.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

static void digest_of(const char *name, uint8_t digest[CX_SHA256_BYTES])
{
    embed__digest(CX_EMBED_QUERY, cx_str_of(name), digest);
}

/* ---- Memory ---- */

static size_t put(struct embed__memory *m, const char *name)
{
    uint8_t digest[CX_SHA256_BYTES];
    float vector[BENCH_DIMENSION];
    digest_of(name, digest);
    vector_of(CX_EMBED_QUERY, cx_str_of(name), vector);
    return embed__memory_put(m, digest, vector, BENCH_DIMENSION, name[0] == 't', 1000);
}

static bool has(struct embed__memory *m, const char *name)
{
    uint8_t digest[CX_SHA256_BYTES];
    float want[BENCH_DIMENSION];
    struct embed__remembered r;
    digest_of(name, digest);
    if (!embed__memory_find(m, digest, 1000, &r)) {
        return false;
    }
    vector_of(CX_EMBED_QUERY, cx_str_of(name), want);
    EXPECT_INT(r.dimension, BENCH_DIMENSION);
    EXPECT_BYTES(r.vector, sizeof want, want, sizeof want);
    EXPECT_INT(r.truncated, name[0] == 't');
    return true;
}

TEST(cache_memory_forgets_what_was_not_used_for_longest)
{
    struct embed__memory *m;
    embed__memory_new(1 << 20, &m);
    EXPECT_INT(put(m, "a"), 0);
    const size_t one = embed__memory_bytes(m);
    embed__memory_free(&m);
    embed__memory_new(3 * one, &m);
    EXPECT_INT(put(m, "a"), 0);
    EXPECT_INT(put(m, "b"), 0);
    EXPECT_INT(put(m, "t"), 0);
    EXPECT_INT(put(m, "a"), 0); /* again: takes its own place */
    EXPECT_INT(embed__memory_bytes(m), 3 * one);
    EXPECT(has(m, "b"));
    EXPECT_INT(put(m, "d"), 1);
    EXPECT(!has(m, "t"));
    EXPECT(has(m, "a") && has(m, "b") && has(m, "d"));
    embed__memory_clear(m);
    EXPECT_INT(embed__memory_bytes(m), 0);
    EXPECT(!has(m, "a"));
    embed__memory_free(&m);
    embed__memory_new(one - 1, &m);
    EXPECT_INT(put(m, "a"), 0); /* larger than all of it */
    EXPECT(!has(m, "a"));
    embed__memory_free(&m);
}

TEST(cache_memory_holds_many)
{
    struct embed__memory *m;
    size_t evicted = 0;
    embed__memory_new(300000, &m);
    for (int i = 0; i < 20000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        evicted += put(m, name);
        EXPECT(embed__memory_bytes(m) <= 300000);
    }
    EXPECT(evicted > 10000);
    size_t held = 0;
    for (int i = 0; i < 20000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        const bool is = has(m, name);
        held += is ? 1 : 0;
        EXPECT(is == ((size_t)i >= evicted));
    }
    EXPECT_INT(held + evicted, 20000);
    embed__memory_free(&m);
}

TEST(cache_believes_only_vectors)
{
    float v[2] = { 0.6F, 0.8F };
    EXPECT(embed__vector_valid(v, 2));
    v[0] = 0;
    EXPECT(!embed__vector_valid(v, 2));
    v[1] = 0;
    EXPECT(embed__vector_valid(v, 2)); /* a text without features */
    v[1] = NAN;
    EXPECT(!embed__vector_valid(v, 2));
    v[1] = INFINITY;
    EXPECT(!embed__vector_valid(v, 2));
}

/* ---- Disk ---- */

#define FINGERPRINT "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

struct disk_bench {
    struct cx_loop *loop;
    struct cx_lane *read;
    struct cx_lane *write;
    struct cx_store *store;
    struct cx_timer *poll;
    struct embed__disk *disk;
    bool (*until)(const struct disk_bench *b);
    size_t found; /* of the last look-up */
    size_t asked;
    bool looking;
};

static void open_store(struct disk_bench *b)
{
    char path[512];
    struct cx_err err = { "" };
    *b = (struct disk_bench){ 0 };
    (void)snprintf(path, sizeof path, "%s/test.db", test_dir());
    CX_CHECK(cx_loop_new(4, &b->loop, &err) == CX_OK);
    const struct cx_lane_options read = { .name = "read", .running = 2, .waiting = 64 };
    const struct cx_lane_options write = { .name = "write", .running = 1, .waiting = 64 };
    cx_lane_new(b->loop, &read, &b->read);
    cx_lane_new(b->loop, &write, &b->write);
    const struct cx_store_options store = { .path = path,
                                            .readers = 2,
                                            .migrations = cx_embed_migrations,
                                            .migration_count = cx_embed_migration_count };
    const enum cx_status status = cx_store_open(&store, &b->store, &err);
    EXPECT_STR(err.text, "");
    CX_CHECK(status == CX_OK);
}

static void open_disk(struct disk_bench *b, size_t rows_max, size_t pending_max)
{
    const struct embed__disk_options o = { .loop = b->loop,
                                           .store = b->store,
                                           .read_lane = b->read,
                                           .write_lane = b->write,
                                           .fingerprint = FINGERPRINT,
                                           .provider = "test",
                                           .rows_max = rows_max,
                                           .bytes_max = 1 << 30,
                                           .pending_bytes_max = pending_max,
                                           .delay_ms = 1 };
    embed__disk_new(&o, &b->disk);
}

static void close_store(struct disk_bench *b)
{
    embed__disk_free(&b->disk);
    cx_lane_free(&b->read);
    cx_lane_free(&b->write);
    cx_store_close(&b->store);
    cx_loop_free(&b->loop);
}

static void on_poll(void *ctx)
{
    struct disk_bench *b = ctx;
    if (b->until(b)) {
        cx_loop_stop(b->loop);
    }
}

static void run_until(struct disk_bench *b, bool (*until)(const struct disk_bench *b))
{
    b->until = until;
    cx_timer_new(b->loop, on_poll, b, &b->poll);
    cx_timer_start(b->poll, 0, 1);
    cx_loop_run(b->loop);
    cx_timer_free(&b->poll);
}

static bool is_written(const struct disk_bench *b)
{
    return embed__disk_idle(b->disk);
}

static bool is_found(const struct disk_bench *b)
{
    return !b->looking;
}

static void disk_put(struct disk_bench *b, const char *prefix, size_t count, int64_t now_s)
{
    struct embed__rows rows = { .count = count, .dimension = BENCH_DIMENSION };
    rows.vectors = cx_realloc_array(NULL, count * BENCH_DIMENSION, sizeof(float));
    rows.digests = cx_realloc_array(NULL, count, sizeof *rows.digests);
    rows.truncated = cx_realloc_array(NULL, count, sizeof *rows.truncated);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s%zu", prefix, i);
        digest_of(name, rows.digests[i]);
        vector_of(CX_EMBED_QUERY, cx_str_of(name), rows.vectors + i * BENCH_DIMENSION);
        rows.truncated[i] = i % 2 == 1;
    }
    embed__disk_put(b->disk, &rows, now_s);
    EXPECT(rows.vectors == NULL);
}

struct expected {
    struct disk_bench *bench;
    const char *prefix;
    size_t first;
};

static void on_found(void *ctx, struct embed__found *found, size_t count)
{
    struct expected *e = ctx;
    e->bench->looking = false;
    e->bench->asked = count;
    e->bench->found = 0;
    for (size_t i = 0; i < count; i++) {
        if (found[i].vector == NULL) {
            continue;
        }
        char name[32];
        float want[BENCH_DIMENSION];
        (void)snprintf(name, sizeof name, "%s%zu", e->prefix, e->first + i);
        vector_of(CX_EMBED_QUERY, cx_str_of(name), want);
        EXPECT_INT(found[i].dimension, BENCH_DIMENSION);
        EXPECT_BYTES(found[i].vector, sizeof want, want, sizeof want);
        EXPECT_INT(found[i].truncated, (e->first + i) % 2 == 1);
        free(found[i].vector);
        e->bench->found++;
    }
}

/* How many of prefix[first … first + count - 1] are there. */
static size_t disk_count(struct disk_bench *b, const char *prefix, size_t first, size_t count,
                         int64_t now_s)
{
    struct expected e = { .bench = b, .prefix = prefix, .first = first };
    struct embed__found *found = cx_alloc(count * sizeof *found);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s%zu", prefix, first + i);
        digest_of(name, found[i].digest);
    }
    b->looking = true;
    EXPECT_INT(embed__disk_find(b->disk, CX_PRIORITY_HIGH, found, count, now_s, on_found, &e),
               CX_OK);
    EXPECT(b->looking); /* never within the call */
    run_until(b, is_found);
    EXPECT_INT(b->asked, count);
    return b->found;
}

TEST(cache_disk_survives_a_restart)
{
    struct disk_bench b;
    open_store(&b);
    open_disk(&b, 1000, 1 << 20);
    disk_put(&b, "a", 300, 5000);
    EXPECT(!embed__disk_idle(b.disk));
    run_until(&b, is_written);
    EXPECT_INT(disk_count(&b, "a", 0, 300, 5000), 300);
    EXPECT_INT(disk_count(&b, "b", 0, 10, 5000), 0);
    disk_put(&b, "a", 10, 5001); /* again */
    run_until(&b, is_written);
    close_store(&b);
    open_store(&b);
    open_disk(&b, 1000, 1 << 20);
    EXPECT_INT(disk_count(&b, "a", 0, 310, 6000), 300);
    close_store(&b);
}

TEST(cache_disk_evicts_what_was_not_used_for_longest)
{
    struct disk_bench b;
    open_store(&b);
    open_disk(&b, 100, 1 << 20);
    disk_put(&b, "old", 60, 1000);
    run_until(&b, is_written);
    disk_put(&b, "mid", 40, 2000);
    run_until(&b, is_written);
    /* A use that is noted moves the first 20 of the old ones up. */
    EXPECT_INT(disk_count(&b, "old", 0, 20, 100000), 20);
    run_until(&b, is_written);
    disk_put(&b, "new", 50, 3000);
    run_until(&b, is_written);
    EXPECT_INT(disk_count(&b, "old", 0, 20, 1000), 20);
    EXPECT_INT(disk_count(&b, "old", 20, 40, 1000), 0);
    EXPECT_INT(disk_count(&b, "mid", 0, 40, 1000), 30);
    EXPECT_INT(disk_count(&b, "new", 0, 50, 1000), 50);
    run_until(&b, is_written); /* the uses that were noted */
    close_store(&b);
}

TEST(cache_disk_drops_rather_than_queues_without_bound)
{
    struct disk_bench b;
    struct cx_series *dropped = cx_metrics_series(CX_M_EMBED_CACHE_DROPPED, "provider=\"test\"");
    open_store(&b);
    open_disk(&b, 1000, 4000);
    const double before = cx_series_value(dropped);
    disk_put(&b, "a", 40, 1000);
    disk_put(&b, "b", 40, 1000);
    EXPECT_INT(cx_series_value(dropped) - before, 40);
    run_until(&b, is_written);
    EXPECT_INT(disk_count(&b, "a", 0, 40, 1000), 40);
    EXPECT_INT(disk_count(&b, "b", 0, 40, 1000), 0);
    disk_put(&b, "b", 40, 1000); /* there is room again */
    run_until(&b, is_written);
    EXPECT_INT(disk_count(&b, "b", 0, 40, 1000), 40);
    disk_put(&b, "c", 40, 1000);
    close_store(&b); /* what waits is let go */
    EXPECT_INT(cx_series_value(dropped) - before, 80);
}

static void damage_work(void *arg)
{
    struct disk_bench *b = arg;
    struct cx_err err = { "" };
    struct cx_db *db = cx_store_writer(b->store);
    (void)test_expect(
        cx_db_exec(db,
                   "UPDATE embedding_cache SET vector = x'00' WHERE id % 4 = 1;"
                   "UPDATE embedding_cache SET vector = zeroblob(0) WHERE id % 4 = 2;"
                   "UPDATE embedding_cache SET vector = x'0000c07f0000c07f' WHERE id % 4 = 3",
                   &err) == CX_OK,
        __FILE__, __LINE__, "%s", err.text);
}

static void on_damaged(void *arg, enum cx_status status)
{
    struct disk_bench *b = arg;
    EXPECT_INT(status, CX_OK);
    b->looking = false;
}

TEST(cache_disk_checks_what_it_reads)
{
    struct disk_bench b;
    open_store(&b);
    open_disk(&b, 1000, 1 << 20);
    disk_put(&b, "a", 40, 1000);
    run_until(&b, is_written);
    b.looking = true;
    EXPECT_INT(cx_lane_submit(b.write, CX_PRIORITY_HIGH, damage_work, on_damaged, &b, NULL), CX_OK);
    run_until(&b, is_found);
    EXPECT_INT(disk_count(&b, "a", 0, 40, 1000), 10);
    disk_put(&b, "a", 40, 1000); /* written over */
    run_until(&b, is_written);
    EXPECT_INT(disk_count(&b, "a", 0, 40, 1000), 40);
    close_store(&b);
}

TEST(cache_disk_takes_a_full_lane_for_a_miss)
{
    struct disk_bench b;
    open_store(&b);
    cx_lane_free(&b.read);
    const struct cx_lane_options read = { .name = "read", .running = 1, .waiting = 0 };
    cx_lane_new(b.loop, &read, &b.read);
    open_disk(&b, 1000, 1 << 20);
    struct expected e = { .bench = &b, .prefix = "a" };
    struct embed__found *one = cx_alloc(sizeof *one);
    struct embed__found *two = cx_alloc(sizeof *two);
    b.looking = true;
    EXPECT_INT(embed__disk_find(b.disk, CX_PRIORITY_HIGH, one, 1, 0, on_found, &e), CX_OK);
    EXPECT_INT(embed__disk_find(b.disk, CX_PRIORITY_HIGH, two, 1, 0, on_found, &e), CX_OVERLOADED);
    run_until(&b, is_found);
    close_store(&b);
}

/* ---- The batcher over both ---- */

struct front {
    struct disk_bench d;
    struct scripted *inner;
    struct cx_embedder *e;
    unsigned done;
    struct cx_embed_result result;
};

static void open_front(struct front *f, size_t memory_bytes)
{
    struct cx_batcher_options o;
    struct cx_err err = { "" };
    *f = (struct front){ .done = 0 };
    open_store(&f->d);
    scripted_new(&f->inner);
    cx_batcher_defaults(true, &o);
    o.loop = f->d.loop;
    o.inner = &f->inner->base;
    o.cpu_lane = f->d.read; /* for long texts */
    o.store = f->d.store;
    o.read_lane = f->d.read;
    o.write_lane = f->d.write;
    o.window_ms = 2;
    o.cache_memory_bytes = memory_bytes;
    CX_CHECK(cx_embedder_batched(&o, &f->e, &err) == CX_OK);
}

static void close_front(struct front *f)
{
    EXPECT(cx_embedder_idle(f->e));
    cx_embedder_free(&f->e);
    close_store(&f->d);
}

static void on_front_done(void *ctx, struct cx_embed_result *result)
{
    struct front *f = ctx;
    f->result = *result;
    f->done++;
}

static bool is_front_idle(const struct disk_bench *d)
{
    const struct front *f = (const struct front *)d;
    if (f->inner->calls != NULL) {
        scripted_answer(f->inner, f->inner->calls->number);
    }
    return cx_embedder_idle(f->e);
}

static void front_ask(struct front *f, enum cx_embed_kind kind, const struct cx_str *texts,
                      size_t count)
{
    struct cx_embed_call *call;
    struct cx_err err = { "" };
    f->done = 0;
    EXPECT_INT(
        cx_embedder_start(f->e, kind, texts, count, 20000, NULL, on_front_done, f, &call, &err),
        CX_OK);
    EXPECT_INT(f->done, 0);
    run_until(&f->d, is_front_idle);
    EXPECT_INT(f->done, 1);
    EXPECT_INT(f->result.status, CX_OK);
    EXPECT_INT(f->result.count, count);
    for (size_t i = 0; i < count && f->result.vectors != NULL; i++) {
        float want[BENCH_DIMENSION];
        vector_of(kind, texts[i], want);
        EXPECT_BYTES(f->result.vectors + i * BENCH_DIMENSION, sizeof want, want, sizeof want);
    }
    free(f->result.vectors);
}

TEST(cache_serves_the_batcher_across_a_restart)
{
    struct front f;
    static char long_text[20000];
    memset(long_text, 'x', sizeof long_text);
    const struct cx_str texts[] = {
        CX_STR("a"), CX_STR("b"), CX_STR("a"), { long_text, sizeof long_text }
    };
    open_front(&f, 1 << 20);
    front_ask(&f, CX_EMBED_QUERY, texts, 3);
    EXPECT_INT(f.inner->texts, 2);
    front_ask(&f, CX_EMBED_QUERY, texts, 4); /* counted on the lane */
    EXPECT_INT(f.inner->texts, 3);
    front_ask(&f, CX_EMBED_QUERY, texts, 4);
    EXPECT_INT(f.inner->texts, 3);
    close_front(&f);

    open_front(&f, 0);
    front_ask(&f, CX_EMBED_QUERY, texts, 4);
    EXPECT_INT(f.inner->started, 0);
    front_ask(&f, CX_EMBED_DOCUMENT, texts, 4); /* another kind */
    EXPECT_INT(f.inner->texts, 3);
    close_front(&f);
}

TEST(cache_serves_a_bulk_in_part)
{
    enum { COUNT = 1500 };
    static char names[COUNT][8];
    static struct cx_str texts[COUNT];
    struct front f;
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "d%zu", i);
        texts[i] = cx_str_of(names[i]);
    }
    open_front(&f, 1 << 20);
    front_ask(&f, CX_EMBED_DOCUMENT, texts, 700);
    EXPECT_INT(f.inner->started, 1); /* the look-ups did not tear it up */
    front_ask(&f, CX_EMBED_DOCUMENT, texts + 100, 1400);
    EXPECT_INT(f.inner->texts, 1500);
    EXPECT_INT(f.inner->started, 2);
    close_front(&f);
}

TEST(cache_that_is_still_looking_lets_callers_leave)
{
    struct front f;
    open_front(&f, 0);
    const struct cx_str text = CX_STR("a");
    struct cx_embed_call *call;
    EXPECT_INT(cx_embedder_start(f.e, CX_EMBED_QUERY, &text, 1, 20000, NULL, on_front_done, &f,
                                 &call, NULL),
               CX_OK);
    cx_embed_call_cancel(call);
    EXPECT(!cx_embedder_idle(f.e));
    run_until(&f.d, is_front_idle);
    EXPECT_INT(f.done, 1);
    EXPECT_INT(f.result.status, CX_CANCELLED);
    EXPECT_INT(f.inner->started, 0);
    close_front(&f);
}
