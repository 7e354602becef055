/* SPDX-License-Identifier: MIT
 *
 * Removes what deleted collections have left on the disk, and vectors that count no more: one small transaction after the other on the
 * write lane, so that whoever else writes comes in between. Where it fails (a full disk) it is tried
 * again after a while.
 *
 * Threads: loop; sweep_work on the write lane.
 */
#include "api/api_internal.h"

#include <stdlib.h>

#define PAUSE_MS 10000

struct api__sweep {
    struct cx_api *api;
    struct cx_timer *timer; /* NULL after the end */
    bool running;
    bool asked; /* while it ran */
    bool more;  /* written by the worker, as the rest */
    enum cx_status status;
    struct cx_err err;
};

static void on_time(void *ctx);
static void sweep_work(void *arg);
static void on_swept(void *arg, enum cx_status status);

void api__sweep_start(struct cx_api *api)
{
    struct api__sweep *s = cx_alloc(sizeof *s);
    s->api = api;
    cx_timer_new(api->options.loop, on_time, s, &s->timer);
    api->sweep = s;
    api__sweep_wake(api);
}

void api__sweep_stop(struct cx_api *api)
{
    if (api->sweep != NULL) {
        cx_timer_free(&api->sweep->timer);
    }
}

bool api__sweep_idle(const struct cx_api *api)
{
    return api->sweep == NULL || !api->sweep->running;
}

void api__sweep_free(struct cx_api *api)
{
    if (api->sweep != NULL) {
        cx_timer_free(&api->sweep->timer);
        free(api->sweep);
        api->sweep = NULL;
    }
}

void api__sweep_wake(struct cx_api *api)
{
    struct api__sweep *s = api->sweep;
    if (s != NULL && s->timer != NULL) {
        s->asked = true;
        if (!s->running) {
            cx_timer_start(s->timer, 0, 0);
        }
    }
}

static void on_time(void *ctx)
{
    struct api__sweep *s = ctx;
    if (s->running) {
        return;
    }
    struct cx_job *job = NULL;
    s->asked = false;
    s->running = true;
    if (cx_lane_submit(s->api->options.write_lane, CX_PRIORITY_NORMAL, sweep_work, on_swept, s,
                       &job) != CX_OK) {
        s->running = false;
        cx_timer_start(s->timer, PAUSE_MS, 0);
    }
}

static void sweep_work(void *arg)
{
    struct api__sweep *s = arg;
    s->status =
        cx_vector_sweep(s->api->vector, cx_store_writer(s->api->options.store), &s->more, &s->err);
}

static void on_swept(void *arg, enum cx_status status)
{
    struct api__sweep *s = arg;
    s->running = false;
    if (s->timer == NULL || status != CX_OK) {
        return;
    }
    if (s->status != CX_OK) {
        CX_LOG(CX_LOG_WARN, "what counts no more cannot be removed from the disk now",
               CX_S("error", s->err.text));
        cx_timer_start(s->timer, PAUSE_MS, 0);
    } else if (s->more || s->asked) {
        api__purge_changed(s->api);
        cx_timer_start(s->timer, 0, 0);
    }
    if (s->status == CX_OK && !s->more) {
        /* What is to be embedded anew waits for this. */
        struct cx_vector_store_figures figures;
        cx_vector_store_figures(s->api->vector, &figures);
        if (figures.unready > 0) {
            api__pending_hurry(s->api);
        }
    }
}
