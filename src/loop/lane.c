/* SPDX-License-Identifier: MIT
 *
 * Lanes: bounded shares of the worker pool. A lane hands at most `running` jobs to the pool; the
 * rest wait here, in two queues, until one comes back.
 *
 *   submit --> WAITING --> POOLED --> done (CX_OK)
 *                 |           '-----> DROPPED, done (CX_CANCELLED): the pool had not begun it
 *                 '-----------------> DROPPED, done (CX_CANCELLED), by a task put off
 *
 * Owns its jobs, and keeps some of them for the next submit. Loop thread, but for run_work, which
 * reads only what does not change while a job is in the pool.
 */
#include "internal.h"

#include "cortex/metrics.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define SPARE_JOBS_MAX 64

enum job_state { JOB_WAITING, JOB_POOLED, JOB_DROPPED };

struct cx_job { /* owner: its lane */
    uv_work_t request;
    struct loop__task task; /* the completion of a job that was dropped while it waited */
    struct cx_lane *lane;
    struct cx_job *next;
    struct cx_job *previous;
    enum cx_priority priority;
    enum job_state state;
    cx_work_fn work;
    cx_done_fn on_done;
    void *arg;
    uint64_t submitted_ns;
};

struct job_queue {
    struct cx_job *first;
    struct cx_job *last;
};

struct cx_lane { /* owner: who made it */
    struct cx_loop *loop;
    unsigned running_max;
    size_t waiting_max;
    bool background;
    size_t running;
    size_t waiting;
    size_t dropped;             /* taken out of a queue, not yet completed */
    struct job_queue queues[2]; /* by priority */
    struct cx_job *spare;
    size_t spare_count;
    struct cx_series *running_now;
    struct cx_series *waiting_now;
    struct cx_series *completed;
    struct cx_series *refused;
    struct cx_series *wait;
};

static struct cx_job *take_job(struct cx_lane *lane);
static void keep_job(struct cx_lane *lane, struct cx_job *job);
static void append_job(struct cx_lane *lane, struct cx_job *job);
static void unlink_job(struct cx_lane *lane, struct cx_job *job);
static void start_job(struct cx_lane *lane, struct cx_job *job);
static void start_waiting(struct cx_lane *lane);
static void run_work(uv_work_t *request);
static void on_worked(uv_work_t *request, int code);
static void on_dropped(void *ctx);
static void complete_job(struct cx_job *job, enum cx_status status);

void cx_lane_new(struct cx_loop *loop, const struct cx_lane_options *options, struct cx_lane **out)
{
    CX_ASSERT_LOOP();
    CX_CHECK(options->running > 0);
    struct cx_lane *lane = cx_alloc(sizeof(*lane));
    lane->loop = loop;
    lane->running_max = options->running;
    lane->waiting_max = options->waiting;
    /* Whoever gave the process another class meant all of it. */
    lane->background = options->background && sched_getscheduler(0) == SCHED_OTHER;

    char label[64];
    (void)snprintf(label, sizeof(label), "lane=\"%s\"", options->name);
    lane->running_now = cx_metrics_series(CX_M_LANE_RUNNING, label);
    lane->waiting_now = cx_metrics_series(CX_M_LANE_WAITING, label);
    lane->completed = cx_metrics_series(CX_M_LANE_JOBS, label);
    lane->refused = cx_metrics_series(CX_M_LANE_REFUSED, label);
    lane->wait = cx_metrics_series(CX_M_LANE_WAIT, label);
    *out = lane;
}

void cx_lane_free(struct cx_lane **lane)
{
    struct cx_lane *gone = *lane;
    if (gone == NULL) {
        return;
    }
    CX_ASSERT_LOOP();
    *lane = NULL;
    CX_CHECK(gone->running == 0 && gone->waiting == 0 && gone->dropped == 0);
    while (gone->spare != NULL) {
        struct cx_job *job = gone->spare;
        gone->spare = job->next;
        free(job);
    }
    free(gone);
}

size_t cx_lane_running(const struct cx_lane *lane)
{
    return lane->running;
}

size_t cx_lane_waiting(const struct cx_lane *lane)
{
    return lane->waiting;
}

enum cx_status cx_lane_submit(struct cx_lane *lane, enum cx_priority priority, cx_work_fn work,
                              cx_done_fn on_done, void *arg, struct cx_job **out)
{
    CX_ASSERT_LOOP();
    const bool free_worker = lane->running < lane->running_max;
    if (!free_worker && lane->waiting >= lane->waiting_max) {
        cx_counter_add(lane->refused, 1);
        return CX_OVERLOADED;
    }
    struct cx_job *job = take_job(lane);
    job->priority = priority;
    job->work = work;
    job->on_done = on_done;
    job->arg = arg;
    job->submitted_ns = cx_clock_mono_ns();
    if (free_worker) {
        start_job(lane, job);
    } else {
        append_job(lane, job);
    }
    if (out != NULL) {
        *out = job;
    }
    return CX_OK;
}

void cx_job_cancel(struct cx_job *job)
{
    CX_ASSERT_LOOP();
    struct cx_lane *lane = job->lane;
    if (job->state == JOB_WAITING) {
        unlink_job(lane, job);
        job->state = JOB_DROPPED;
        lane->dropped++;
        loop__defer(lane->loop, &job->task);
    } else if (job->state == JOB_POOLED && uv_cancel((uv_req_t *)&job->request) == 0) {
        job->state = JOB_DROPPED;
    }
}

/* ---- From submit to completion --------------------------------------------------------------- */

static void start_job(struct cx_lane *lane, struct cx_job *job)
{
    job->state = JOB_POOLED;
    lane->running++;
    cx_gauge_set(lane->running_now, (double)lane->running);
    CX_CHECK(uv_queue_work(cx_loop_uv(lane->loop), &job->request, run_work, on_worked) == 0);
}

static void run_work(uv_work_t *request)
{
    const struct cx_job *job = request->data;
    const struct cx_lane *lane = job->lane;
    cx_histogram_observe(lane->wait, (double)(cx_clock_mono_ns() - job->submitted_ns) / 1e9);
    const struct sched_param none = { 0 };
    loop__mark_worker(true);
    if (lane->background) {
        (void)sched_setscheduler(0, SCHED_BATCH, &none);
    }
    job->work(job->arg);
    if (lane->background) {
        (void)sched_setscheduler(0, SCHED_OTHER, &none);
    }
    loop__mark_worker(false);
}

static void on_worked(uv_work_t *request, int code)
{
    struct cx_job *job = request->data;
    struct cx_lane *lane = job->lane;
    lane->running--;
    if (code == 0) {
        cx_counter_add(lane->completed, 1);
    }
    complete_job(job, code == 0 ? CX_OK : CX_CANCELLED);
}

static void on_dropped(void *ctx)
{
    struct cx_job *job = ctx;
    job->lane->dropped--;
    complete_job(job, CX_CANCELLED);
}

/* on_done comes last: it may free the lane, and the worker is busy again by then. */
static void complete_job(struct cx_job *job, enum cx_status status)
{
    struct cx_lane *lane = job->lane;
    const cx_done_fn on_done = job->on_done;
    void *arg = job->arg;
    keep_job(lane, job);
    start_waiting(lane);
    cx_gauge_set(lane->running_now, (double)lane->running);
    on_done(arg, status);
}

static void start_waiting(struct cx_lane *lane)
{
    while (lane->running < lane->running_max && lane->waiting > 0) {
        struct cx_job *job = lane->queues[CX_PRIORITY_HIGH].first;
        if (job == NULL) {
            job = lane->queues[CX_PRIORITY_NORMAL].first;
        }
        unlink_job(lane, job);
        start_job(lane, job);
    }
}

/* ---- Queues and spare jobs ------------------------------------------------------------------- */

static void append_job(struct cx_lane *lane, struct cx_job *job)
{
    struct job_queue *queue = &lane->queues[job->priority];
    job->state = JOB_WAITING;
    job->next = NULL;
    job->previous = queue->last;
    if (queue->last != NULL) {
        queue->last->next = job;
    } else {
        queue->first = job;
    }
    queue->last = job;
    lane->waiting++;
    cx_gauge_set(lane->waiting_now, (double)lane->waiting);
}

static void unlink_job(struct cx_lane *lane, struct cx_job *job)
{
    struct job_queue *queue = &lane->queues[job->priority];
    if (job->previous != NULL) {
        job->previous->next = job->next;
    } else {
        queue->first = job->next;
    }
    if (job->next != NULL) {
        job->next->previous = job->previous;
    } else {
        queue->last = job->previous;
    }
    job->next = job->previous = NULL;
    lane->waiting--;
    cx_gauge_set(lane->waiting_now, (double)lane->waiting);
}

static struct cx_job *take_job(struct cx_lane *lane)
{
    struct cx_job *job = lane->spare;
    if (job != NULL) {
        lane->spare = job->next;
        lane->spare_count--;
        job->next = NULL;
        return job;
    }
    job = cx_alloc(sizeof(*job));
    job->lane = lane;
    job->request.data = job;
    job->task.run = on_dropped;
    job->task.ctx = job;
    return job;
}

static void keep_job(struct cx_lane *lane, struct cx_job *job)
{
    if (lane->spare_count >= SPARE_JOBS_MAX) {
        free(job);
        return;
    }
    job->next = lane->spare;
    lane->spare = job;
    lane->spare_count++;
}
