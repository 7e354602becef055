/* SPDX-License-Identifier: MIT
 *
 * The upkeep of hot state: its life, what expires, and the rows of what is gone, which are erased a few
 * at a time. Rows that do not find a place in the queue stay until the next start, which erases them.
 *
 * Threads: loop; erase_work on the write lane, while the entries it is given are left alone.
 */
#include "api/hot.h"

#include <stdlib.h>

#include "cortex/metrics.h"

#define EVERY_MS 1000
#define GONE_MAX 16384
#define ERASE_ROWS 256 /* in one job of the write lane: a few milliseconds */

struct api__hot_gone {
    char *space;
    char *key;
    struct cx_hot_entry entry; /* borrows from the two */
};

static void on_gone(void *ctx, struct cx_str space, struct cx_str key, uint64_t stamp);
static void on_time(void *ctx);

enum cx_status api__hot_open(struct cx_api *api, struct cx_err *err)
{
    struct api__hot *h = &api->hot;
    const struct cx_hot_options options = { .entries_max = api->options.hot_entries,
                                            .bytes_max = api->options.hot_bytes,
                                            .on_gone = api->options.hot_persist ? on_gone : NULL,
                                            .ctx = h };
    cx_hot_new(&options, &h->hot);
    h->store = api->options.store;
    h->left = cx_metrics_series(CX_M_HOT_LEFT, "");
    h->persist = api->options.hot_persist;
    enum cx_status status = CX_OK;
    if (h->persist) {
        h->gone = cx_alloc(GONE_MAX * sizeof *h->gone);
        h->erasing = cx_alloc(ERASE_ROWS * sizeof *h->erasing);
        status = cx_hot_load(h->hot, cx_store_writer(h->store), cx_loop_now_ms(api->options.loop),
                             cx_clock_wall_us(), err);
    }
    if (status == CX_OK) {
        cx_timer_new(api->options.loop, on_time, api, &h->timer);
        cx_timer_start(h->timer, EVERY_MS, EVERY_MS);
    } else {
        api__hot_free(api);
    }
    return status;
}

void api__hot_stop(struct cx_api *api)
{
    cx_timer_free(&api->hot.timer);
}

bool api__hot_idle(const struct cx_api *api)
{
    return api->hot.job == NULL;
}

static void free_gone(struct api__hot_gone *gone, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(gone[i].space);
        free(gone[i].key);
    }
}

void api__hot_free(struct cx_api *api)
{
    struct api__hot *h = &api->hot;
    cx_timer_free(&h->timer);
    cx_hot_free(&h->hot);
    free_gone(h->gone, h->gone_count);
    free(h->gone);
    free(h->erasing);
    *h = (struct api__hot){ .hot = NULL };
}

static void on_gone(void *ctx, struct cx_str space, struct cx_str key, uint64_t stamp)
{
    struct api__hot *h = ctx;
    if (h->gone_count == GONE_MAX) {
        cx_counter_add(h->left, 1);
        return;
    }
    struct api__hot_gone *gone = &h->gone[h->gone_count++];
    gone->space = cx_strndup(space.p, space.len);
    gone->key = cx_strndup(key.p, key.len);
    gone->entry = (struct cx_hot_entry){ .space = { gone->space, space.len },
                                         .key = { gone->key, key.len },
                                         .stamp = stamp };
}

static void start_erasing(struct cx_api *api);

static void on_time(void *ctx)
{
    struct cx_api *api = ctx;
    struct api__hot *h = &api->hot;
    const bool all = cx_hot_expire(h->hot, cx_loop_now_ms(api->options.loop), API_HOT_STEPS);
    start_erasing(api);
    cx_timer_start(h->timer, all ? EVERY_MS : 0, EVERY_MS);
}

static void erase_work(void *arg);
static void on_erased(void *arg, enum cx_status status);

static void start_erasing(struct cx_api *api)
{
    struct api__hot *h = &api->hot;
    if (h->gone_count == 0 || h->job != NULL || h->timer == NULL) {
        return;
    }
    h->erasing_count = h->gone_count < ERASE_ROWS ? h->gone_count : ERASE_ROWS;
    h->gone_count -= h->erasing_count;
    for (size_t i = 0; i < h->erasing_count; i++) {
        h->erasing[i] = h->gone[h->gone_count + i];
    }
    if (cx_lane_submit(api->options.write_lane, CX_PRIORITY_NORMAL, erase_work, on_erased, api,
                       &h->job) != CX_OK) {
        h->job = NULL;
        h->gone_count += h->erasing_count; /* they still stand there */
    }
}

/* What cannot be erased now is erased at the next start. */
static void erase_work(void *arg)
{
    struct api__hot *h = &((struct cx_api *)arg)->hot;
    struct cx_err err = { "" };
    struct cx_hot_entry entries[ERASE_ROWS];
    for (size_t i = 0; i < h->erasing_count; i++) {
        entries[i] = h->erasing[i].entry;
    }
    if (cx_hot_erase(cx_store_writer(h->store), entries, h->erasing_count, &err) != CX_OK) {
        cx_counter_add(h->left, h->erasing_count);
        CX_LOG(CX_LOG_WARN, "hot state: rows of what is gone were not erased",
               CX_S("error", err.text));
    }
}

static void on_erased(void *arg, enum cx_status status)
{
    struct cx_api *api = arg;
    struct api__hot *h = &api->hot;
    h->job = NULL;
    if (status != CX_OK) {
        cx_counter_add(h->left, h->erasing_count);
    }
    free_gone(h->erasing, h->erasing_count);
    h->erasing_count = 0;
    start_erasing(api);
}
