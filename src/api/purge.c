/* SPDX-License-Identifier: MIT
 *
 * What was deleted leaves the files of the database within a time (vector.purge_interval), and at once
 * when the server ends: words are merged out of the keyword indexes, cached vectors removed, free pages
 * given back, the WAL emptied. In small pieces on the write lane, so that whoever else writes comes in
 * between. Where it fails it is tried again; what is not done by the end is done after the next start.
 *
 * Threads: loop; purge_work on the write lane.
 */
#include "api/api_internal.h"

#include <stdlib.h>

#include "cortex/metrics.h"

#define AGAIN_MS 500
#define CACHE_MS 20   /* until it is looked again whether the cache is written */
#define DRAIN_MS 5000 /* for what is left at the end */
#define VACUUM_PAGES 64

enum purge_phase { PURGE_SWEEP, PURGE_WORDS, PURGE_CACHE, PURGE_PAGES, PURGE_WAL, PURGE_DONE };

struct api__purge {
    struct cx_api *api;
    struct cx_timer *timer;
    bool running;
    bool waiting; /* the timer's time is not over */
    bool changed; /* something has gone since the last purge began */
    bool draining;
    uint64_t drain_until_ms;
    uint64_t began_ns;
    uint64_t cache_mark; /* what was given to the cache before this purge began */
    /* The worker's, while it runs. */
    enum purge_phase phase;
    struct cx_vector_purge words;
    bool clean;
    enum cx_status status;
    struct cx_err err;
};

static void on_time(void *ctx);
static void purge_work(void *arg);
static void on_worked(void *arg, enum cx_status status);
static void again(struct api__purge *p, uint64_t delay_ms);

void api__purge_start(struct cx_api *api)
{
    struct api__purge *p = cx_alloc(sizeof *p);
    p->api = api;
    p->phase = PURGE_DONE;
    cx_timer_new(api->options.loop, on_time, p, &p->timer);
    api->purge = p;
    api__purge_changed(api); /* what the last process has left, if anything */
}

void api__purge_changed(struct cx_api *api)
{
    struct api__purge *p = api->purge;
    if (p == NULL) {
        return;
    }
    p->changed = true;
    if (!p->running && !p->waiting) {
        again(p, p->draining ? 0 : api->options.purge_interval_ms);
    }
}

void api__purge_drain(struct cx_api *api)
{
    struct api__purge *p = api->purge;
    if (p != NULL && !p->draining) {
        p->draining = true;
        p->drain_until_ms = cx_loop_now_ms(api->options.loop) + DRAIN_MS;
        if (p->waiting) {
            again(p, 0);
        }
    }
}

bool api__purge_idle(const struct cx_api *api)
{
    const struct api__purge *p = api->purge;
    return p == NULL || (!p->running && !p->waiting);
}

void api__purge_free(struct cx_api *api)
{
    if (api->purge != NULL) {
        cx_timer_free(&api->purge->timer);
        free(api->purge);
        api->purge = NULL;
    }
}

static void again(struct api__purge *p, uint64_t delay_ms)
{
    p->waiting = true;
    cx_timer_start(p->timer, delay_ms, 0);
}

static bool time_is_over(const struct api__purge *p)
{
    return p->draining && cx_loop_now_ms(p->api->options.loop) >= p->drain_until_ms;
}

static void on_time(void *ctx)
{
    struct api__purge *p = ctx;
    p->waiting = false;
    if (time_is_over(p)) {
        CX_LOG(CX_LOG_WARN, "what was deleted is removed from the files after the next start");
        return;
    }
    if (p->phase == PURGE_DONE) {
        p->phase = PURGE_SWEEP;
        p->words = (struct cx_vector_purge){ .generation = 0 };
        p->changed = false;
        p->began_ns = cx_clock_mono_ns();
        p->cache_mark = cx_embedder_cache_mark(p->api->options.embedder);
    }
    if (p->phase == PURGE_CACHE &&
        !cx_embedder_cache_written(p->api->options.embedder, p->cache_mark)) {
        again(p, CACHE_MS); /* else a vector of what was deleted would follow */
        return;
    }
    struct cx_job *job = NULL;
    p->running = cx_lane_submit(p->api->options.write_lane, CX_PRIORITY_NORMAL, purge_work,
                                on_worked, p, &job) == CX_OK;
    if (!p->running) {
        again(p, AGAIN_MS);
    }
}

static void purge_work(void *arg)
{
    struct api__purge *p = arg;
    struct cx_store *store = p->api->options.store;
    struct cx_db *db = cx_store_writer(store);
    bool more = false;
    p->err.text[0] = '\0';
    switch (p->phase) {
    case PURGE_SWEEP: /* whole collections first */
        p->status = cx_vector_sweep(p->api->vector, db, &more, &p->err);
        break;
    case PURGE_WORDS:
        p->status = cx_vector_purge(p->api->vector, db, &p->words, &p->err);
        more = !p->words.done;
        break;
    case PURGE_CACHE:
        p->status = cx_embed_forget_gone(db, &more, &p->err);
        break;
    case PURGE_PAGES:
        p->status = cx_store_vacuum(store, VACUUM_PAGES, &more, &p->err);
        break;
    case PURGE_WAL:
        p->status = cx_store_checkpoint(store, true, &p->err);
        if (p->status == CX_OK) {
            p->status = cx_vector_purged(db, &p->words, &p->clean, &p->err);
        }
        break;
    case PURGE_DONE:
        p->status = CX_OK;
        break;
    }
    if (p->status == CX_OK && !more) {
        /* Nothing has gone: there is nothing to do. */
        p->phase = p->phase == PURGE_WORDS && p->words.generation == 0 ? PURGE_DONE : p->phase + 1;
    }
}

static void on_worked(void *arg, enum cx_status status)
{
    struct api__purge *p = arg;
    p->running = false;
    if (status != CX_OK || p->status != CX_OK) {
        if (status == CX_OK && p->status != CX_OVERLOADED) { /* a reader was in the way */
            CX_LOG(CX_LOG_WARN, "what was deleted cannot be removed from the files now",
                   CX_S("error", p->err.text));
        }
        if (!p->draining ||
            p->status == CX_OVERLOADED) { /* at the end only readers are waited for */
            again(p, AGAIN_MS);
        }
    } else if (p->phase != PURGE_DONE) {
        again(p, 0);
    } else {
        if (p->words.generation != 0) {
            cx_counter_add(cx_metrics_series(CX_M_VECTOR_PURGES, ""), 1);
            cx_histogram_observe(cx_metrics_series(CX_M_VECTOR_PURGE_SECONDS, ""),
                                 (double)(cx_clock_mono_ns() - p->began_ns) * 1e-9);
        }
        if (p->changed) {
            again(p, p->draining ? 0 : p->api->options.purge_interval_ms);
        }
    }
}
