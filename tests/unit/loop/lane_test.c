/* SPDX-License-Identifier: MIT
 *
 * Lanes: order, priority, bounds, cancelling before and after a job has begun, completions.
 */
#include "cortex/loop.h"
#include "cortex/metrics.h"

#include "loop_env.h"
#include "test.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define JOBS_MAX 64
#define RECORDS_MAX (JOBS_MAX + 1)

struct trace {
    struct cx_loop *loop;
    struct cx_lane *lane;
    struct gate gate;
    int begun
        [RECORDS_MAX]; /* numbers in the order in which they ran; written by one worker at a time */
    atomic_size_t begun_count;
    int ended[RECORDS_MAX];
    enum cx_status how[RECORDS_MAX];
    size_t ended_count;
    size_t wanted;
    bool submitting;
    bool sync_completion;
    bool off_loop_completion;
    bool off_worker_work;
    atomic_uint at_once;
    atomic_uint at_once_worst;
};

struct item {
    struct trace *trace;
    int number;
    bool waits; /* at the gate */
    struct cx_job *job;
};

static void record_work(void *arg)
{
    struct item *item = arg;
    struct trace *trace = item->trace;
    const unsigned now = atomic_fetch_add(&trace->at_once, 1) + 1;
    unsigned worst = atomic_load(&trace->at_once_worst);
    while (now > worst && !atomic_compare_exchange_weak(&trace->at_once_worst, &worst, now)) {
    }
    trace->begun[atomic_fetch_add(&trace->begun_count, 1)] = item->number;
    if (!cx_on_worker_thread() || cx_on_loop_thread()) {
        trace->off_worker_work = true;
    }
    if (item->waits) {
        gate_pass(&trace->gate);
    }
    (void)atomic_fetch_sub(&trace->at_once, 1);
}

static void on_recorded(void *arg, enum cx_status status)
{
    struct item *item = arg;
    struct trace *trace = item->trace;
    trace->sync_completion = trace->sync_completion || trace->submitting;
    trace->off_loop_completion = trace->off_loop_completion || !cx_on_loop_thread();
    trace->ended[trace->ended_count] = item->number;
    trace->how[trace->ended_count] = status;
    trace->ended_count++;
    if (trace->ended_count == trace->wanted) {
        cx_loop_stop(trace->loop);
    }
}

static void open_trace(struct trace *trace, const char *name, unsigned running, unsigned waiting)
{
    *trace = (struct trace){ .wanted = 0 };
    trace->loop = env_loop();
    gate_init(&trace->gate);
    cx_lane_new(trace->loop,
                &(struct cx_lane_options){ .name = name, .running = running, .waiting = waiting },
                &trace->lane);
}

static void close_trace(struct trace *trace)
{
    EXPECT(!trace->sync_completion);
    EXPECT(!trace->off_loop_completion);
    EXPECT(!trace->off_worker_work);
    EXPECT_INT(cx_lane_running(trace->lane), 0);
    EXPECT_INT(cx_lane_waiting(trace->lane), 0);
    cx_lane_free(&trace->lane);
    EXPECT(trace->lane == NULL);
    cx_loop_free(&trace->loop);
    gate_destroy(&trace->gate);
}

static enum cx_status submit(struct trace *trace, struct item *item, enum cx_priority priority)
{
    item->trace = trace;
    trace->submitting = true;
    const enum cx_status status =
        cx_lane_submit(trace->lane, priority, record_work, on_recorded, item, &item->job);
    trace->submitting = false;
    return status;
}

static void cancel(struct trace *trace, struct item *item)
{
    trace->submitting = true;
    cx_job_cancel(item->job);
    trace->submitting = false;
}

TEST(lane_of_one_is_first_in_first_out)
{
    struct trace trace;
    struct item items[JOBS_MAX];
    open_trace(&trace, "fifo", 1, JOBS_MAX);
    trace.wanted = JOBS_MAX;
    for (int i = 0; i < JOBS_MAX; i++) {
        items[i] = (struct item){ .number = i };
        EXPECT_INT(submit(&trace, &items[i], CX_PRIORITY_NORMAL), CX_OK);
    }
    EXPECT_INT(cx_lane_running(trace.lane), 1);
    EXPECT_INT(cx_lane_waiting(trace.lane), JOBS_MAX - 1);
    cx_loop_run(trace.loop);
    EXPECT_INT(trace.ended_count, JOBS_MAX);
    EXPECT_INT(cx_lane_completed(trace.lane), JOBS_MAX);
    for (int i = 0; i < JOBS_MAX; i++) {
        EXPECT_INT(trace.begun[i], i);
        EXPECT_INT(trace.ended[i], i);
        EXPECT_INT(trace.how[i], CX_OK);
    }
    EXPECT_INT(atomic_load(&trace.at_once_worst), 1);
    close_trace(&trace);
}

TEST(lane_takes_high_priority_first)
{
    struct trace trace;
    struct item items[7];
    open_trace(&trace, "priority", 1, 16);
    for (int i = 0; i < 7; i++) {
        items[i] = (struct item){ .number = i, .waits = i == 0 };
    }
    REQUIRE(submit(&trace, &items[0], CX_PRIORITY_NORMAL) == CX_OK);
    for (int i = 1; i <= 3; i++) {
        REQUIRE(submit(&trace, &items[i], CX_PRIORITY_NORMAL) == CX_OK);
    }
    for (int i = 4; i <= 6; i++) {
        REQUIRE(submit(&trace, &items[i], CX_PRIORITY_HIGH) == CX_OK);
    }
    gate_open(&trace.gate);
    trace.wanted = 7;
    cx_loop_run(trace.loop);
    static const int order[] = { 0, 4, 5, 6, 1, 2, 3 };
    EXPECT_BYTES(trace.begun, sizeof(order), order, sizeof(order));
    close_trace(&trace);
}

TEST(lane_runs_no_more_than_it_may)
{
    struct trace trace;
    struct item items[JOBS_MAX];
    open_trace(&trace, "bound", 2, JOBS_MAX);
    trace.wanted = JOBS_MAX;
    for (int i = 0; i < JOBS_MAX; i++) {
        items[i] = (struct item){ .number = i, .waits = i < 2 };
        REQUIRE(submit(&trace, &items[i], CX_PRIORITY_NORMAL) == CX_OK);
    }
    gate_await(&trace.gate, 2); /* two do run beside each other */
    EXPECT_INT(atomic_load(&trace.begun_count), 2);
    gate_open(&trace.gate);
    cx_loop_run(trace.loop);
    EXPECT_INT(trace.ended_count, JOBS_MAX);
    EXPECT_INT(atomic_load(&trace.at_once_worst), 2);
    close_trace(&trace);
}

/* The loop is not run: who has done a job takes the next one without asking it. */
TEST(lane_goes_on_by_itself)
{
    struct trace trace;
    struct item items[JOBS_MAX];
    open_trace(&trace, "alone", 1, JOBS_MAX);
    gate_open(&trace.gate);
    for (int i = 0; i < JOBS_MAX; i++) {
        items[i] = (struct item){ .number = i, .waits = true };
        REQUIRE(submit(&trace, &items[i], CX_PRIORITY_NORMAL) == CX_OK);
    }
    gate_await(&trace.gate, JOBS_MAX);
    EXPECT_INT(trace.ended_count, 0);
    EXPECT_INT(cx_lane_running(trace.lane), 1);
    EXPECT_INT(cx_lane_waiting(trace.lane), JOBS_MAX - 1); /* not completed */
    EXPECT_INT(submit(&trace, &items[0], CX_PRIORITY_NORMAL), CX_OK);
    EXPECT_INT(submit(&trace, &items[1], CX_PRIORITY_NORMAL), CX_OVERLOADED);
    trace.wanted = JOBS_MAX + 1;
    cx_loop_run(trace.loop);
    for (int i = 0; i < JOBS_MAX; i++) {
        EXPECT_INT(trace.ended[i], i);
    }
    EXPECT_INT(atomic_load(&trace.at_once_worst), 1);
    close_trace(&trace);
}

TEST(full_lane_refuses)
{
    struct trace trace;
    struct item items[4];
    open_trace(&trace, "full", 1, 2);
    for (int i = 0; i < 4; i++) {
        items[i] = (struct item){ .number = i, .waits = i == 0 };
    }
    struct cx_series *refused = cx_metrics_series(CX_M_LANE_REFUSED, "lane=\"full\"");
    struct cx_series *completed = cx_metrics_series(CX_M_LANE_JOBS, "lane=\"full\"");
    struct cx_series *waiting = cx_metrics_series(CX_M_LANE_WAITING, "lane=\"full\"");
    const double refused_before = cx_series_value(refused);
    const double completed_before = cx_series_value(completed);
    for (int i = 0; i < 3; i++) {
        REQUIRE(submit(&trace, &items[i], CX_PRIORITY_NORMAL) == CX_OK);
    }
    EXPECT_INT(submit(&trace, &items[3], CX_PRIORITY_HIGH), CX_OVERLOADED);
    EXPECT(items[3].job == NULL);
    EXPECT_INT(cx_series_value(refused) - refused_before, 1);
    EXPECT_INT(cx_series_value(waiting), 2);
    cancel(&trace, &items[1]); /* a place is free at once */
    EXPECT_INT(submit(&trace, &items[3], CX_PRIORITY_NORMAL), CX_OK);
    gate_open(&trace.gate);
    trace.wanted = 4;
    cx_loop_run(trace.loop);
    EXPECT_INT(cx_series_value(completed) - completed_before, 3);
    EXPECT_INT(cx_series_value(waiting), 0);
    close_trace(&trace);
}

/* As many more as may wait and run, and no more. */
TEST(full_lane_takes_what_gives_memory_back)
{
    struct trace trace;
    struct item items[6];
    open_trace(&trace, "freeing", 1, 2);
    for (int i = 0; i < 6; i++) {
        items[i] = (struct item){ .trace = &trace, .number = i, .waits = i == 0 };
    }
    for (int i = 0; i < 3; i++) {
        REQUIRE(submit(&trace, &items[i], CX_PRIORITY_NORMAL) == CX_OK);
    }
    for (int i = 3; i < 6; i++) {
        EXPECT_INT(cx_lane_submit_freeing(trace.lane, record_work, on_recorded, &items[i]), CX_OK);
    }
    struct item more = { .trace = &trace };
    EXPECT_INT(cx_lane_submit_freeing(trace.lane, record_work, on_recorded, &more), CX_OVERLOADED);
    EXPECT_INT(submit(&trace, &more, CX_PRIORITY_NORMAL), CX_OVERLOADED);
    gate_open(&trace.gate);
    trace.wanted = 6;
    cx_loop_run(trace.loop);
    for (int i = 0; i < 6; i++) {
        EXPECT_INT(trace.ended[i], i);
    }
    close_trace(&trace);
}

TEST(waiting_job_is_cancelled_and_completes_later)
{
    struct trace trace;
    struct item items[3];
    open_trace(&trace, "cancel", 1, 8);
    for (int i = 0; i < 3; i++) {
        items[i] = (struct item){ .number = i, .waits = i == 0 };
        REQUIRE(submit(&trace, &items[i], CX_PRIORITY_NORMAL) == CX_OK);
    }
    cancel(&trace, &items[1]);
    cancel(&trace, &items[1]); /* twice is once */
    EXPECT_INT(trace.ended_count, 0);
    EXPECT_INT(cx_lane_waiting(trace.lane), 1);
    trace.wanted = 1;
    cx_loop_run(trace.loop); /* the first job still holds the worker */
    EXPECT_INT(trace.ended[0], 1);
    EXPECT_INT(trace.how[0], CX_CANCELLED);
    gate_open(&trace.gate);
    trace.wanted = 3;
    cx_loop_run(trace.loop);
    EXPECT_INT(trace.ended_count, 3);
    EXPECT_INT(atomic_load(&trace.begun_count), 2);
    EXPECT_INT(trace.begun[0], 0);
    EXPECT_INT(trace.begun[1], 2);
    close_trace(&trace);
}

TEST(begun_job_is_not_cancelled)
{
    struct trace trace;
    struct item item = { .number = 7, .waits = true };
    open_trace(&trace, "begun", 1, 0);
    REQUIRE(submit(&trace, &item, CX_PRIORITY_NORMAL) == CX_OK);
    gate_await(&trace.gate, 1);
    cancel(&trace, &item);
    EXPECT_INT(trace.ended_count, 0);
    gate_open(&trace.gate);
    trace.wanted = 1;
    cx_loop_run(trace.loop);
    EXPECT_INT(trace.how[0], CX_OK);
    close_trace(&trace);
}

/* The lane may run more than the pool has threads: the surplus sits in libuv's own queue. */
TEST(job_that_the_pool_has_not_begun_is_cancelled)
{
    enum { POOL = POOL_THREADS + 2 };
    struct trace trace;
    struct item items[POOL + 1];
    open_trace(&trace, "pooled", POOL + 1, 0);
    for (int i = 0; i < POOL; i++) {
        items[i] = (struct item){ .number = i, .waits = true };
        REQUIRE(submit(&trace, &items[i], CX_PRIORITY_NORMAL) == CX_OK);
    }
    gate_await(&trace.gate, POOL);
    items[POOL] = (struct item){ .number = POOL };
    REQUIRE(submit(&trace, &items[POOL], CX_PRIORITY_NORMAL) == CX_OK);
    cancel(&trace, &items[POOL]);
    cancel(&trace, &items[POOL]);
    EXPECT_INT(trace.ended_count, 0);
    trace.wanted = 1;
    cx_loop_run(trace.loop);
    EXPECT_INT(trace.ended[0], POOL);
    EXPECT_INT(trace.how[0], CX_CANCELLED);
    gate_open(&trace.gate);
    trace.wanted = POOL + 1;
    cx_loop_run(trace.loop);
    EXPECT_INT(atomic_load(&trace.begun_count), POOL);
    close_trace(&trace);
}

struct chain {
    struct cx_loop *loop;
    struct cx_lane *lane;
    int left;
    int ran; /* by a worker; the next is queued only after the loop has seen this one */
};

static void count_work(void *arg)
{
    struct chain *chain = arg;
    chain->ran++;
}

static void on_link_done(void *arg, enum cx_status status)
{
    struct chain *chain = arg;
    EXPECT_INT(status, CX_OK);
    if (--chain->left > 0) {
        EXPECT_INT(
            cx_lane_submit(chain->lane, CX_PRIORITY_NORMAL, count_work, on_link_done, chain, NULL),
            CX_OK);
    } else {
        cx_lane_free(&chain->lane); /* its last job has come back */
    }
}

TEST(completion_submits_the_next_and_frees_the_lane)
{
    struct chain chain = { .loop = env_loop(), .left = 1000 };
    cx_lane_new(chain.loop,
                &(struct cx_lane_options){ .name = "chain", .running = 1, .waiting = 1 },
                &chain.lane);
    REQUIRE(cx_lane_submit(chain.lane, CX_PRIORITY_NORMAL, count_work, on_link_done, &chain,
                           NULL) == CX_OK);
    cx_loop_run(chain.loop);
    EXPECT_INT(chain.ran, 1000);
    EXPECT(chain.lane == NULL);
    cx_loop_free(&chain.loop);
}

static void policy_work(void *arg)
{
    int *policy = arg;
    *policy = sched_getscheduler(0);
}

static void on_policy(void *arg, enum cx_status status)
{
    (void)arg;
    EXPECT_INT(status, CX_OK);
}

TEST(background_lane_runs_under_batch_and_puts_it_back)
{
    struct cx_loop *loop = env_loop();
    struct cx_lane *background = NULL;
    struct cx_lane *plain = NULL;
    cx_lane_new(loop,
                &(struct cx_lane_options){
                    .name = "background", .running = 1, .waiting = 8, .background = true },
                &background);
    cx_lane_new(loop, &(struct cx_lane_options){ .name = "plain", .running = 8, .waiting = 64 },
                &plain);
    int batch = -1;
    REQUIRE(cx_lane_submit(background, CX_PRIORITY_NORMAL, policy_work, on_policy, &batch, NULL) ==
            CX_OK);
    cx_loop_run(loop);
    const int own = sched_getscheduler(0); /* which may be another than usual already */
    EXPECT_INT(batch, own == SCHED_OTHER ? SCHED_BATCH : own);
    int other[32];
    for (size_t i = 0; i < CX_ARRAY_LEN(other); i++) {
        other[i] = -1;
        REQUIRE(cx_lane_submit(plain, CX_PRIORITY_NORMAL, policy_work, on_policy, &other[i],
                               NULL) == CX_OK);
    }
    cx_loop_run(loop);
    for (size_t i = 0; i < CX_ARRAY_LEN(other); i++) {
        EXPECT_INT(other[i], own);
    }
    cx_lane_free(&background);
    cx_lane_free(&plain);
    cx_loop_free(&loop);
}

/* sched_getattr(2), of which the C library knows nothing yet. */
static uint64_t own_slice_ns(void)
{
    struct {
        uint32_t size;
        uint32_t policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns;
        uint64_t deadline_ns;
        uint64_t period_ns;
    } attributes;
    const bool known = syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0;
    return known ? attributes.runtime_ns : 0;
}

static void slice_work(void *arg)
{
    uint64_t *slice_ns = arg;
    *slice_ns = own_slice_ns();
}

TEST(slice_of_the_loop_is_shorter_than_a_worker_s)
{
    struct cx_loop *loop = env_loop();
    const uint64_t loop_ns = own_slice_ns();
    for (int background = 0; background < 2; background++) {
        struct cx_lane *lane = NULL;
        uint64_t worker_ns = 0;
        cx_lane_new(
            loop,
            &(struct cx_lane_options){
                .name = "slices", .running = 1, .waiting = 1, .background = background != 0 },
            &lane);
        REQUIRE(cx_lane_submit(lane, CX_PRIORITY_NORMAL, slice_work, on_policy, &worker_ns, NULL) ==
                CX_OK);
        cx_loop_run(loop);
        EXPECT(loop_ns == 0 || loop_ns < worker_ns); /* 0: a kernel before 6.12 */
        cx_lane_free(&lane);
    }
    cx_loop_free(&loop);
}

static void stop_loop(void *ctx)
{
    cx_loop_stop(ctx);
}

/* What comes while a runner that was cancelled is on its way back still finds one. */
TEST(job_behind_a_cancelled_one_runs)
{
    enum { POOL = POOL_THREADS + 2 };
    struct trace blocked;
    struct item blockers[POOL];
    open_trace(&blocked, "blocked", POOL, 0);
    for (int i = 0; i < POOL; i++) {
        blockers[i] = (struct item){ .number = i, .waits = true };
        REQUIRE(submit(&blocked, &blockers[i], CX_PRIORITY_NORMAL) == CX_OK);
    }
    gate_await(&blocked.gate, POOL);
    struct trace trace = { .loop = blocked.loop, .wanted = 2 };
    gate_init(&trace.gate);
    cx_lane_new(trace.loop, &(struct cx_lane_options){ .name = "one", .running = 1, .waiting = 1 },
                &trace.lane);
    struct item items[2] = { { .number = 0 }, { .number = 1 } };
    REQUIRE(submit(&trace, &items[0], CX_PRIORITY_NORMAL) == CX_OK);
    REQUIRE(submit(&trace, &items[1], CX_PRIORITY_NORMAL) == CX_OK);
    cancel(&trace, &items[0]);
    gate_open(&blocked.gate);
    blocked.wanted = POOL + 1; /* the other one stops the loop */
    cx_loop_run(trace.loop);
    EXPECT_INT(trace.ended_count, 2);
    EXPECT_INT(trace.how[0], CX_CANCELLED);
    EXPECT_INT(trace.ended[1], 1);
    EXPECT_INT(trace.how[1], CX_OK);
    EXPECT_INT(atomic_load(&trace.begun_count), 1);
    cx_lane_free(&trace.lane);
    gate_destroy(&trace.gate);
    cx_loop_run(blocked.loop);
    close_trace(&blocked);
}

struct crowd {
    struct cx_loop *loop;
    struct cx_timer *timer;
    struct gate gate;
    size_t rounds; /* in which others had their turn */
    size_t left;
};

static void wait_work(void *arg)
{
    gate_pass(&((struct crowd *)arg)->gate);
}

static void count_round(void *ctx)
{
    struct crowd *c = ctx;
    c->rounds++;
    if (c->left > 0) {
        cx_timer_start(c->timer, 0, 0);
    }
}

static void spend_turn(void *arg, enum cx_status status)
{
    struct crowd *c = arg;
    EXPECT_INT(status, CX_OK);
    c->left--;
    while (!cx_loop_turn_over(c->loop)) {
    }
}

/* Jobs that are done together, and whose completions take long, do not hold up what else happens. */
TEST(completions_leave_room_for_others)
{
    enum { CROWD = 12 };
    struct crowd c = { .loop = env_loop(), .left = CROWD };
    struct cx_lane *lane = NULL;
    gate_init(&c.gate);
    cx_lane_new(c.loop,
                &(struct cx_lane_options){ .name = "crowd", .running = 2, .waiting = CROWD },
                &lane);
    cx_timer_new(c.loop, count_round, &c, &c.timer);
    cx_timer_start(c.timer, 0, 0);
    for (int i = 0; i < CROWD; i++) {
        REQUIRE(cx_lane_submit(lane, CX_PRIORITY_NORMAL, wait_work, spend_turn, &c, NULL) == CX_OK);
    }
    gate_open(&c.gate);
    gate_await(&c.gate, CROWD);
    cx_loop_run(c.loop);
    EXPECT_INT(c.left, 0);
    EXPECT(c.rounds >= CROWD / 2);
    cx_timer_free(&c.timer);
    cx_lane_free(&lane);
    cx_loop_free(&c.loop);
    gate_destroy(&c.gate);
}

TEST(slow_lane_does_not_hold_up_another)
{
    struct trace slow;
    struct item blocked[2];
    open_trace(&slow, "slow", 2, 4);
    for (int i = 0; i < 2; i++) {
        blocked[i] = (struct item){ .number = i, .waits = true };
        REQUIRE(submit(&slow, &blocked[i], CX_PRIORITY_NORMAL) == CX_OK);
    }
    struct chain quick = { .loop = slow.loop, .left = 100 };
    cx_lane_new(slow.loop, &(struct cx_lane_options){ .name = "quick", .running = 1, .waiting = 1 },
                &quick.lane);
    REQUIRE(cx_lane_submit(quick.lane, CX_PRIORITY_NORMAL, count_work, on_link_done, &quick,
                           NULL) == CX_OK);
    struct cx_timer *look = NULL;
    cx_timer_new(slow.loop, stop_loop, slow.loop, &look);
    while (quick.left > 0) {
        cx_timer_start(look, 1, 0);
        cx_loop_run(slow.loop);
    }
    EXPECT_INT(slow.ended_count, 0);
    gate_open(&slow.gate);
    slow.wanted = 2;
    cx_loop_run(slow.loop);
    cx_timer_free(&look);
    close_trace(&slow);
}
