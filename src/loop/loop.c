/* SPDX-License-Identifier: MIT
 *
 * The event loop: its life, its turns, the tasks put off to a later iteration, the lag probe, the marks that
 * say on which thread code runs. Owns the uv loop and three handles in it. Loop thread only. Timers
 * and signals are in timer.c, blocking work in lane.c, outgoing HTTP in fetch.c.
 */
#include "internal.h"
#include "schedule.h"

#include "cortex/metrics.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define PROBE_MS 100
#define TURN_NS 250000
#define PROBES_KEPT 100 /* 10 s of them */
#define POOL_MAX 1024   /* libuv's own limit */
#define POOL_NAMES 2 /* look-ups at once, see resolve.c; libuv gives them at most half the pool */

struct cx_loop { /* owner: the thread that made it */
    uv_loop_t uv;
    uv_timer_t probe;
    uv_prepare_t prepare;
    uint64_t turn_ends_ns;   /* 0 = it begins when it is asked about */
    uv_idle_t idle;          /* active while a task waits */
    struct loop__task later; /* list heads */
    struct loop__task due;
    bool running;
    uint64_t probe_due_ns;
    double lags_ms[PROBES_KEPT];
    size_t probe_count;
    struct cx_series *lag;
    struct cx_series *lag_histogram;
};

/* Marks, not state: they say where code runs and nothing depends on them but the checks. */
static _Thread_local struct cx_loop *loop_of_thread;
static _Thread_local bool worker_thread;

static void size_pool(unsigned threads);
static void on_prepare(uv_prepare_t *handle);
static void on_idle(uv_idle_t *handle);
static void start_probe(struct cx_loop *loop);
static void on_probe(uv_timer_t *handle);
static void finish_closing(struct cx_loop *loop);
static void check_no_leak(uv_loop_t *uv);

enum cx_status cx_loop_new(unsigned pool_threads, struct cx_loop **out, struct cx_err *err)
{
    CX_CHECK(loop_of_thread == NULL);
    size_pool(pool_threads);
    /* A peer that has gone is an error of the write, not the end of the process. */
    const struct sigaction ignore = { .sa_handler = SIG_IGN };
    (void)sigaction(SIGPIPE, &ignore, NULL);
    loop__schedule(LOOP__PROMPT);

    struct cx_loop *loop = cx_alloc(sizeof(*loop));
    const int code = uv_loop_init(&loop->uv);
    if (code != 0) {
        free(loop);
        return cx_err_set(err, CX_INTERNAL, "The event loop could not be made: %s",
                          uv_strerror(code));
    }
    loop->uv.data = loop;
    loop->later.next = loop->later.previous = &loop->later;
    loop->due.next = loop->due.previous = &loop->due;
    loop->lag = cx_metrics_series(CX_M_LOOP_LAG, "");
    loop->lag_histogram = cx_metrics_series(CX_M_LOOP_LAG_HIST, "");
    CX_CHECK(uv_prepare_init(&loop->uv, &loop->prepare) == 0);
    CX_CHECK(uv_prepare_start(&loop->prepare, on_prepare) == 0);
    uv_unref((uv_handle_t *)&loop->prepare);
    CX_CHECK(uv_idle_init(&loop->uv, &loop->idle) == 0);
    CX_CHECK(uv_timer_init(&loop->uv, &loop->probe) == 0);
    uv_unref((uv_handle_t *)&loop->probe);
    start_probe(loop);
    loop_of_thread = loop;
    *out = loop;
    return CX_OK;
}

/* The pool reads its size from the environment when the first request is queued. Ours is the sum of
 * what the lanes may run, so a value given from outside is not obeyed. */
static void size_pool(unsigned threads)
{
    char text[16];
    const unsigned sum = threads > POOL_MAX - POOL_NAMES ? POOL_MAX : threads + POOL_NAMES;
    (void)snprintf(text, sizeof(text), "%u", sum);
    CX_CHECK(setenv("UV_THREADPOOL_SIZE", text, 1) == 0);
}

void cx_loop_run(struct cx_loop *loop)
{
    CX_CHECK(loop == loop_of_thread);
    CX_CHECK(!loop->running);
    loop->running = true;
    /* Start-up may have blocked for seconds: that is not the loop's lag. */
    start_probe(loop);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop->running = false;
}

void cx_loop_stop(struct cx_loop *loop)
{
    CX_CHECK(loop == loop_of_thread);
    uv_stop(&loop->uv);
}

void cx_loop_free(struct cx_loop **loop)
{
    struct cx_loop *gone = *loop;
    if (gone == NULL) {
        return;
    }
    *loop = NULL;
    CX_CHECK(gone == loop_of_thread);
    CX_CHECK(!gone->running);
    finish_closing(gone);
    CX_CHECK(gone->later.next == &gone->later);
    uv_close((uv_handle_t *)&gone->prepare, NULL);
    uv_close((uv_handle_t *)&gone->idle, NULL);
    uv_close((uv_handle_t *)&gone->probe, NULL);
    (void)uv_run(&gone->uv, UV_RUN_DEFAULT);
    CX_CHECK(uv_loop_close(&gone->uv) == 0);
    loop_of_thread = NULL;
    free(gone);
}

struct count_open {
    const struct cx_loop *loop;
    size_t closing;
    size_t open;
};

static bool is_own(const struct cx_loop *loop, const uv_handle_t *handle)
{
    return handle == (const uv_handle_t *)&loop->prepare ||
           handle == (const uv_handle_t *)&loop->idle ||
           handle == (const uv_handle_t *)&loop->probe;
}

static void count_handle(uv_handle_t *handle, void *ctx)
{
    struct count_open *count = ctx;
    if (uv_is_closing(handle)) {
        count->closing++;
    } else if (!is_own(count->loop, handle)) {
        count->open++;
    }
}

/* A close callback may close another handle, so this goes round until nothing is closing; then only
 * requests (a name look-up that its caller has given up) may be left, which end by themselves. */
static void finish_closing(struct cx_loop *loop)
{
    for (;;) {
        struct count_open count = { .loop = loop };
        uv_walk(&loop->uv, count_handle, &count);
        if (count.closing == 0 && count.open > 0) {
            check_no_leak(&loop->uv);
        }
        if (count.closing == 0 && !uv_loop_alive(&loop->uv)) {
            return;
        }
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    }
}

struct leaked {
    const struct cx_loop *loop;
    char text[256];
};

static void note_leaked(uv_handle_t *handle, void *ctx)
{
    struct leaked *leaked = ctx;
    const char *kind = uv_handle_type_name(handle->type);
    const size_t len = strlen(leaked->text);
    if (is_own(leaked->loop, handle)) {
        return;
    }
    (void)snprintf(leaked->text + len, sizeof(leaked->text) - len, " %s",
                   kind != NULL ? kind : "unknown");
}

static void check_no_leak(uv_loop_t *uv)
{
    struct leaked leaked = { .loop = uv->data,
                             .text = "every handle of the loop has been closed, but not:" };
    uv_walk(uv, note_leaked, &leaked);
    cx_check_failed(leaked.text, __FILE__, __LINE__);
}

struct uv_loop_s *cx_loop_uv(struct cx_loop *loop)
{
    return &loop->uv;
}

uint64_t cx_loop_now_ms(const struct cx_loop *loop)
{
    return uv_now(&loop->uv);
}

/* ---- Turns ------------------------------------------------------------------------------------- */

bool cx_loop_turn_over(struct cx_loop *loop)
{
    const uint64_t now_ns = uv_hrtime();
    if (loop->turn_ends_ns == 0) {
        loop->turn_ends_ns = now_ns + TURN_NS;
    }
    return now_ns >= loop->turn_ends_ns;
}

void loop__new_turn(struct cx_loop *loop)
{
    loop->turn_ends_ns = 0;
}

/* Sockets are next. */
static void on_prepare(uv_prepare_t *handle)
{
    loop__new_turn(handle->loop->data);
}

/* ---- Where code runs ------------------------------------------------------------------------- */

bool cx_on_loop_thread(void)
{
    return loop_of_thread != NULL;
}

bool cx_on_worker_thread(void)
{
    return worker_thread;
}

bool cx_loop_is_starting(void)
{
    return loop_of_thread != NULL && !loop_of_thread->running;
}

void loop__mark_worker(bool working)
{
    worker_thread = working;
}

/* ---- Tasks put off --------------------------------------------------------------------------- */

static void append_task(struct loop__task *list, struct loop__task *task)
{
    task->next = list;
    task->previous = list->previous;
    list->previous->next = task;
    list->previous = task;
}

static void unlink_task(struct loop__task *task)
{
    CX_CHECK(task->next != NULL && task->previous != NULL);
    task->next->previous = task->previous;
    task->previous->next = task->next;
    task->next = task->previous = NULL;
}

void loop__defer(struct cx_loop *loop, struct loop__task *task)
{
    CX_CHECK(loop == loop_of_thread);
    if (task->next != NULL) {
        return;
    }
    append_task(&loop->later, task);
    CX_CHECK(uv_idle_start(&loop->idle, on_idle) == 0);
}

void loop__defer_cancel(struct loop__task *task)
{
    if (task->next != NULL) {
        unlink_task(task);
    }
}

static void on_idle(uv_idle_t *handle)
{
    struct cx_loop *loop = handle->loop->data;
    while (loop->later.next != &loop->later) {
        struct loop__task *task = loop->later.next;
        unlink_task(task);
        append_task(&loop->due, task);
    }
    while (loop->due.next != &loop->due) {
        struct loop__task *task = loop->due.next;
        unlink_task(task);
        loop__new_turn(loop);
        task->run(task->ctx);
    }
    if (loop->later.next == &loop->later) {
        (void)uv_idle_stop(handle);
    }
}

/* ---- The lag probe --------------------------------------------------------------------------- */

static void start_probe(struct cx_loop *loop)
{
    uv_update_time(&loop->uv);
    loop->probe_due_ns = uv_hrtime() + (uint64_t)PROBE_MS * 1000000U;
    CX_CHECK(uv_timer_start(&loop->probe, on_probe, PROBE_MS, 0) == 0);
}

static void on_probe(uv_timer_t *handle)
{
    struct cx_loop *loop = handle->loop->data;
    const uint64_t now_ns = uv_hrtime();
    /* uv counts in whole milliseconds and may be up to one early. */
    const uint64_t late_ns = now_ns > loop->probe_due_ns ? now_ns - loop->probe_due_ns : 0;
    loop->lags_ms[loop->probe_count % PROBES_KEPT] = (double)late_ns / 1e6;
    loop->probe_count++;
    cx_gauge_set(loop->lag, (double)late_ns / 1e9);
    cx_histogram_observe(loop->lag_histogram, (double)late_ns / 1e9);
    start_probe(loop);
}

double cx_loop_lag_ms(const struct cx_loop *loop)
{
    double worst = 0;
    for (size_t i = 0; i < PROBES_KEPT; i++) {
        if (loop->lags_ms[i] > worst) {
            worst = loop->lags_ms[i];
        }
    }
    return worst;
}
