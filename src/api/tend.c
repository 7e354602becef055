/* SPDX-License-Identifier: MIT
 *
 * Has the graphs of large collections built, and follow what changes: one slice after the other on the
 * cpu lane while there is something to do, so that searches come in between; else it looks again after a
 * while.
 *
 * Threads: loop; tend_work on the cpu lane.
 */
#include <stdlib.h>

#include "api/api_internal.h"

#define SLICE_MS 10
#define PAUSE_MS 200

struct api__tend {
    struct cx_api *api;
    struct cx_timer *timer; /* NULL after the end */
    bool running;
    bool more; /* written by the worker, and so is … */
    bool freed;
};

static void on_time(void *ctx);
static void tend_work(void *arg);
static void on_tended(void *arg, enum cx_status status);

void api__tend_start(struct cx_api *api)
{
    struct api__tend *t = cx_alloc(sizeof *t);
    t->api = api;
    cx_timer_new(api->options.loop, on_time, t, &t->timer);
    api->tend = t;
    cx_timer_start(t->timer, 0, 0);
}

void api__tend_stop(struct cx_api *api)
{
    if (api->tend != NULL) {
        cx_timer_free(&api->tend->timer);
    }
}

bool api__tend_idle(const struct cx_api *api)
{
    return api->tend == NULL || !api->tend->running;
}

void api__tend_free(struct cx_api *api)
{
    if (api->tend != NULL) {
        cx_timer_free(&api->tend->timer);
        free(api->tend);
        api->tend = NULL;
    }
}

static void on_time(void *ctx)
{
    struct api__tend *t = ctx;
    if (t->running) {
        return;
    }
    struct cx_job *job = NULL;
    t->running = true;
    if (cx_lane_submit(t->api->options.cpu_lane, CX_PRIORITY_NORMAL, tend_work, on_tended, t,
                       &job) != CX_OK) {
        t->running = false;
        cx_timer_start(t->timer, PAUSE_MS, 0);
    }
}

static void tend_work(void *arg)
{
    struct api__tend *t = arg;
    t->freed = cx_vector_tend(t->api->vector, SLICE_MS, &t->more);
}

static void on_tended(void *arg, enum cx_status status)
{
    struct api__tend *t = arg;
    t->running = false;
    if (status == CX_OK && t->freed) {
        api__sweep_wake(t->api);
    }
    if (t->timer != NULL) {
        cx_timer_start(t->timer, status == CX_OK && t->more ? 0 : PAUSE_MS, 0);
    }
}
