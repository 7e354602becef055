/* SPDX-License-Identifier: MIT
 *
 * Lanes: bounded shares of the worker pool. A lane has at most `running` runners in the pool. A
 * runner begins with the job that it was started for and goes on with those that wait, in two
 * queues, and a little later with those that come, without asking the loop: it and the loop would
 * spend more on waking each other than most jobs take.
 *
 *   submit --> WAITING --> BEGUN --> done (CX_OK)
 *      |          '------> DROPPED, done (CX_CANCELLED), by a task put off
 *      '-----> POOLED ---> BEGUN
 *                 '------> DROPPED, done (CX_CANCELLED): the pool had not begun its runner
 *
 * Owns its jobs and runners, and keeps some of them for the next submit. Between the loop and the
 * runners stand the queues, the jobs that are done, what the runners are at, and the state of a job that
 * is in a queue: these are touched under the lock, all else on the loop alone.
 */
#include "jobs.h"
#include "schedule.h"
#include "wake.h"

#include "cortex/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

/* A runner without a job waits so long for the next one: back to the pool and out again costs the loop
 * more. */
#define LINGER_NS UINT64_C(5000000)
#define NS_PER_S UINT64_C(1000000000)

struct runner { /* owner: its lane */
    uv_work_t request;
    struct cx_lane *lane;
    struct cx_job *first;
    struct runner *next; /* among the spare */
};

struct cx_lane { /* owner: who made it; once freed, the last that holds it */
    struct cx_loop *loop;
    unsigned running_max;
    size_t waiting_max;
    bool background;
    bool freed;
    bool closed;            /* the handle */
    size_t open;            /* jobs neither completed nor dropped */
    size_t dropped;         /* not yet completed */
    uint64_t run;           /* jobs that have run and are completed, ever */
    size_t holds;           /* runners that are not back, and the loop while it completes jobs */
    struct loop__wake news; /* jobs are done */
    struct loop__task more; /* of them than fit into a turn */
    struct loop__spare_jobs spare;
    struct runner *spare_runners;
    pthread_mutex_t lock;
    pthread_cond_t submitted;
    struct loop__jobs queues[2]; /* by priority */
    struct loop__jobs done;
    unsigned takers;    /* runners that look for another job after this one */
    unsigned lingering; /* of them, those that have none */
    bool leaving;       /* nobody is to linger any more */
    struct cx_series *running_now;
    struct cx_series *waiting_now;
    struct cx_series *completed;
    struct cx_series *refused;
    struct cx_series *wait;
};

static struct cx_job *new_job(struct cx_lane *lane);
static void start_runner(struct cx_lane *lane, struct cx_job *job);
static void run_work(uv_work_t *request);
static struct cx_job *next_job(struct cx_lane *lane, struct cx_job *done);
static struct cx_job *take_waiting(struct cx_lane *lane, enum job_state state);
static struct cx_job *linger(struct cx_lane *lane);
static void on_more(void *ctx);
static void on_runner_back(uv_work_t *request, int code);
static void replace_runner(struct cx_lane *lane);
static void complete_some(struct cx_lane *lane);
static void on_dropped(void *ctx);
static void complete_job(struct cx_job *job, enum cx_status status);
static void show(const struct cx_lane *lane);
static void on_news_closed(void *ctx);
static void let_go(struct cx_lane *lane);
static void end_if_over(struct cx_lane *lane);

void cx_lane_new(struct cx_loop *loop, const struct cx_lane_options *options, struct cx_lane **out)
{
    CX_ASSERT_LOOP();
    CX_CHECK(options->running > 0);
    struct cx_lane *lane = cx_alloc(sizeof(*lane));
    lane->loop = loop;
    lane->running_max = options->running;
    lane->waiting_max = options->waiting;
    lane->background = options->background;
    lane->more.run = on_more;
    lane->more.ctx = lane;
    CX_CHECK(pthread_mutex_init(&lane->lock, NULL) == 0);
    CX_CHECK(pthread_cond_init(&lane->submitted, NULL) == 0);
    loop__wake_open(loop, &lane->news, on_more,
                    lane); /* a runner in the pool keeps the loop going */

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
    CX_CHECK(gone->open == 0 && gone->dropped == 0);
    gone->freed = true;
    loop__defer_cancel(&gone->more);
    CX_CHECK(pthread_mutex_lock(&gone->lock) == 0);
    gone->leaving = true;
    CX_CHECK(pthread_mutex_unlock(&gone->lock) == 0);
    (void)pthread_cond_broadcast(&gone->submitted);
    loop__wake_close(&gone->news, on_news_closed);
}

static void on_news_closed(void *ctx)
{
    struct cx_lane *lane = ctx;
    lane->closed = true;
    end_if_over(lane);
}

static void let_go(struct cx_lane *lane)
{
    lane->holds--;
    end_if_over(lane);
}

/* A runner may still be on its way back from the last job. */
static void end_if_over(struct cx_lane *lane)
{
    if (!lane->closed || lane->holds > 0) {
        return;
    }
    loop__wake_free(&lane->news);
    loop__spare_free(&lane->spare);
    while (lane->spare_runners != NULL) {
        struct runner *runner = lane->spare_runners;
        lane->spare_runners = runner->next;
        free(runner);
    }
    CX_CHECK(pthread_cond_destroy(&lane->submitted) == 0);
    CX_CHECK(pthread_mutex_destroy(&lane->lock) == 0);
    free(lane);
}

/* As the loop knows it: what has run counts until it is completed. */
size_t cx_lane_running(const struct cx_lane *lane)
{
    return lane->open < lane->running_max ? lane->open : lane->running_max;
}

size_t cx_lane_waiting(const struct cx_lane *lane)
{
    return lane->open - cx_lane_running(lane);
}

uint64_t cx_lane_completed(const struct cx_lane *lane)
{
    return lane->run;
}

static enum cx_status submit(struct cx_lane *lane, size_t waiting_max, enum cx_priority priority,
                             cx_work_fn work, cx_done_fn on_done, void *arg, struct cx_job **out);

enum cx_status cx_lane_submit(struct cx_lane *lane, enum cx_priority priority, cx_work_fn work,
                              cx_done_fn on_done, void *arg, struct cx_job **out)
{
    return submit(lane, lane->waiting_max, priority, work, on_done, arg, out);
}

enum cx_status cx_lane_submit_freeing(struct cx_lane *lane, cx_work_fn work, cx_done_fn on_done,
                                      void *arg)
{
    return submit(lane, 2 * lane->waiting_max + lane->running_max, CX_PRIORITY_NORMAL, work,
                  on_done, arg, NULL);
}

static enum cx_status submit(struct cx_lane *lane, size_t waiting_max, enum cx_priority priority,
                             cx_work_fn work, cx_done_fn on_done, void *arg, struct cx_job **out)
{
    CX_ASSERT_LOOP();
    if (lane->open >= lane->running_max && cx_lane_waiting(lane) >= waiting_max) {
        cx_counter_add(lane->refused, 1);
        return CX_OVERLOADED;
    }
    struct cx_job *job = new_job(lane);
    job->priority = priority;
    job->state = JOB_WAITING;
    job->work = work;
    job->on_done = on_done;
    job->arg = arg;
    job->submitted_ns = cx_clock_mono_ns();
    lane->open++;
    show(lane);
    CX_CHECK(pthread_mutex_lock(&lane->lock) == 0);
    const size_t queued = lane->queues[0].count + lane->queues[1].count;
    const bool awaited = queued < lane->lingering;
    const bool starts = !awaited && lane->takers < lane->running_max;
    if (starts) {
        lane->takers++;
        job->state = JOB_POOLED;
    } else {
        loop__jobs_append(&lane->queues[priority], job);
    }
    CX_CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    if (starts) {
        start_runner(lane, job);
    } else if (awaited) {
        (void)pthread_cond_signal(&lane->submitted);
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
    CX_CHECK(pthread_mutex_lock(&lane->lock) == 0);
    const enum job_state state = job->state;
    if (state == JOB_WAITING) {
        loop__jobs_unlink(&lane->queues[job->priority], job);
        job->state = JOB_DROPPED;
    }
    CX_CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    if (state == JOB_WAITING) {
        lane->open--;
        lane->dropped++;
        show(lane);
        loop__defer(lane->loop, &job->task);
    } else if (state == JOB_POOLED && uv_cancel((uv_req_t *)&job->runner->request) == 0) {
        job->state = JOB_DROPPED; /* the runner comes back without having begun */
    }
}

/* ---- From submit to completion --------------------------------------------------------------- */

static void start_runner(struct cx_lane *lane, struct cx_job *job)
{
    struct runner *runner = lane->spare_runners;
    if (runner != NULL) {
        lane->spare_runners = runner->next;
    } else {
        runner = cx_alloc(sizeof(*runner));
        runner->lane = lane;
        runner->request.data = runner;
    }
    runner->first = job;
    job->runner = runner;
    lane->holds++;
    CX_CHECK(uv_queue_work(cx_loop_uv(lane->loop), &runner->request, run_work, on_runner_back) ==
             0);
}

static void run_work(uv_work_t *request)
{
    struct runner *runner = request->data;
    struct cx_lane *lane = runner->lane;
    struct cx_job *job = runner->first;
    loop__mark_worker(true);
    loop__schedule(lane->background ? LOOP__BACKGROUND : LOOP__ORDINARY);
    cx_gives_way(true);
    CX_CHECK(pthread_mutex_lock(&lane->lock) == 0);
    job->state = JOB_BEGUN;
    runner->first = NULL;
    CX_CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    while (job != NULL) {
        cx_histogram_observe(lane->wait, (double)(cx_clock_mono_ns() - job->submitted_ns) / 1e9);
        job->work(job->arg);
        job = next_job(lane, job);
    }
    cx_gives_way(false);
    loop__mark_worker(false);
}

/* Hands in what is done and takes what waits. */
static struct cx_job *next_job(struct cx_lane *lane, struct cx_job *done)
{
    CX_CHECK(pthread_mutex_lock(&lane->lock) == 0);
    loop__jobs_append(&lane->done, done);
    struct cx_job *job = take_waiting(lane, JOB_BEGUN);
    CX_CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    /* The lane is there as long as this runner is not back. */
    loop__wake_send(&lane->news);
    cx_give_way();
    return job != NULL ? job : linger(lane);
}

/* Under the lock. */
static struct cx_job *take_waiting(struct cx_lane *lane, enum job_state state)
{
    struct cx_job *job = loop__jobs_take(&lane->queues[CX_PRIORITY_HIGH]);
    if (job == NULL) {
        job = loop__jobs_take(&lane->queues[CX_PRIORITY_NORMAL]);
    }
    if (job != NULL) {
        job->state = state;
    }
    return job;
}

/* NULL: nothing has come, and the runner takes no more: who submits from now on starts another. */
static struct cx_job *linger(struct cx_lane *lane)
{
    const uint64_t until_ns = cx_clock_mono_ns() + LINGER_NS;
    const struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_S),
                                    .tv_nsec = (long)(until_ns % NS_PER_S) };
    CX_CHECK(pthread_mutex_lock(&lane->lock) == 0);
    lane->lingering++;
    struct cx_job *job = take_waiting(lane, JOB_BEGUN);
    for (int waited = 0; job == NULL && waited == 0 && !lane->leaving;) {
        waited = pthread_cond_clockwait(&lane->submitted, &lane->lock, CLOCK_MONOTONIC, &until);
        job = take_waiting(lane, JOB_BEGUN);
    }
    lane->lingering--;
    lane->takers -= job == NULL ? 1 : 0;
    CX_CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    return job;
}

static void on_more(void *ctx)
{
    struct cx_lane *lane = ctx;
    lane->holds++; /* an on_done may free the lane */
    complete_some(lane);
    let_go(lane);
}

/* The loop might have nothing else to stay for than this runner: what it has done is looked at
 * before it is let go. */
static void on_runner_back(uv_work_t *request, int code)
{
    struct runner *runner = request->data;
    struct cx_lane *lane = runner->lane;
    struct cx_job *job = runner->first;
    runner->first = NULL;
    runner->next = lane->spare_runners;
    lane->spare_runners = runner;
    if (code != 0) {
        replace_runner(lane);
        lane->open--;
        complete_job(job, CX_CANCELLED);
    } else {
        complete_some(lane);
    }
    let_go(lane);
}

/* It was dropped with its first job: others may have come to wait for it. */
static void replace_runner(struct cx_lane *lane)
{
    CX_CHECK(pthread_mutex_lock(&lane->lock) == 0);
    struct cx_job *job = take_waiting(lane, JOB_POOLED);
    lane->takers -= job == NULL ? 1 : 0;
    CX_CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    if (job != NULL) {
        start_runner(lane, job);
    }
}

/* As many as the turn has room for: each may lead to an answer that is written. The caller holds the
 * lane. */
static void complete_some(struct cx_lane *lane)
{
    while (!lane->freed) {
        if (cx_loop_turn_over(lane->loop)) {
            loop__defer(lane->loop, &lane->more);
            return;
        }
        CX_CHECK(pthread_mutex_lock(&lane->lock) == 0);
        struct cx_job *job = loop__jobs_take(&lane->done);
        CX_CHECK(pthread_mutex_unlock(&lane->lock) == 0);
        if (job == NULL) {
            return;
        }
        lane->run++;
        cx_counter_add(lane->completed, 1);
        lane->open--;
        complete_job(job, CX_OK);
    }
}

static void on_dropped(void *ctx)
{
    struct cx_job *job = ctx;
    job->lane->dropped--;
    complete_job(job, CX_CANCELLED);
}

/* on_done comes last: it may free the lane. */
static void complete_job(struct cx_job *job, enum cx_status status)
{
    struct cx_lane *lane = job->lane;
    const cx_done_fn on_done = job->on_done;
    void *arg = job->arg;
    loop__spare_keep(&lane->spare, job);
    show(lane);
    on_done(arg, status);
}

static void show(const struct cx_lane *lane)
{
    cx_gauge_set(lane->running_now, (double)cx_lane_running(lane));
    cx_gauge_set(lane->waiting_now, (double)cx_lane_waiting(lane));
}

static struct cx_job *new_job(struct cx_lane *lane)
{
    struct cx_job *job = loop__spare_take(&lane->spare);
    if (job == NULL) {
        job = cx_alloc(sizeof(*job));
        job->lane = lane;
        job->task.run = on_dropped;
        job->task.ctx = job;
    }
    return job;
}
