/* SPDX-License-Identifier: MIT
 *
 * The loop itself, timers, signals and the lag probe.
 */
#include "cortex/loop.h"
#include "cortex/metrics.h"

#include "loop_env.h"
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct ticker {
    struct cx_loop *loop;
    struct cx_timer *timer;
    int count;
    int wanted;
    bool within_start;
    bool fired_within_start;
};

TEST(loop_runs_dry_and_ends)
{
    struct cx_loop *loop = env_loop();
    cx_loop_run(loop);
    cx_loop_run(loop);
    cx_loop_free(&loop);
    EXPECT(loop == NULL);
    cx_loop_free(&loop);
}

static void *look_from_elsewhere(void *ctx)
{
    bool *seen = ctx;
    seen[0] = cx_on_loop_thread();
    seen[1] = cx_on_worker_thread();
    seen[2] = cx_loop_is_starting();
    return NULL;
}

static void note_starting(void *ctx)
{
    struct ticker *t = ctx;
    t->within_start = cx_loop_is_starting();
    t->count++;
}

TEST(threads_know_what_they_are)
{
    EXPECT(!cx_on_loop_thread());
    EXPECT(!cx_loop_is_starting());
    struct cx_loop *loop = env_loop();
    EXPECT(cx_on_loop_thread());
    EXPECT(!cx_on_worker_thread());
    EXPECT(cx_loop_is_starting());

    bool seen[3] = { true, true, true };
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, look_from_elsewhere, seen) == 0);
    (void)pthread_join(thread, NULL);
    EXPECT(!seen[0] && !seen[1] && !seen[2]);

    struct ticker t = { .loop = loop, .within_start = true };
    cx_timer_new(loop, note_starting, &t, &t.timer);
    cx_timer_start(t.timer, 0, 0);
    cx_loop_run(loop);
    EXPECT_INT(t.count, 1);
    EXPECT(!t.within_start);
    EXPECT(cx_loop_is_starting());
    cx_timer_free(&t.timer);
    cx_loop_free(&loop);
    EXPECT(!cx_on_loop_thread());
}

static void restart_in_callback(void *ctx)
{
    struct ticker *t = ctx;
    t->fired_within_start = t->fired_within_start || t->within_start;
    t->count++;
    if (t->count < t->wanted) {
        t->within_start = true;
        cx_timer_start(t->timer, 0, 0);
        t->within_start = false;
    }
}

TEST(timer_restarts_in_its_own_callback)
{
    struct cx_loop *loop = env_loop();
    struct ticker t = { .loop = loop, .wanted = 100 };
    cx_timer_new(loop, restart_in_callback, &t, &t.timer);
    cx_timer_start(t.timer, 0, 0);
    EXPECT_INT(t.count, 0);
    cx_loop_run(loop);
    EXPECT_INT(t.count, 100);
    EXPECT(!t.fired_within_start);
    cx_timer_free(&t.timer);
    EXPECT(t.timer == NULL);
    cx_timer_free(&t.timer);
    cx_loop_free(&loop);
}

static void restart_for_long(void *ctx)
{
    struct ticker *t = ctx;
    if (++t->count < t->wanted) {
        cx_timer_start(t->timer, 0, 0);
    } else {
        cx_loop_stop(t->loop);
    }
}

static void do_nothing_work(void *arg)
{
    (void)arg;
}

static void stop_ticker(void *arg, enum cx_status status)
{
    struct ticker *t = arg;
    EXPECT_INT(status, CX_OK);
    cx_timer_stop(t->timer);
}

/* Who goes on in small steps does not keep what else happens waiting. */
TEST(timer_of_zero_lets_others_in)
{
    struct cx_loop *loop = env_loop();
    struct ticker t = { .loop = loop, .wanted = 50000000 };
    struct cx_lane *lane = NULL;
    cx_lane_new(loop, &(struct cx_lane_options){ .name = "zero", .running = 1, .waiting = 0 },
                &lane);
    cx_timer_new(loop, restart_for_long, &t, &t.timer);
    cx_timer_start(t.timer, 0, 0);
    REQUIRE(cx_lane_submit(lane, CX_PRIORITY_NORMAL, do_nothing_work, stop_ticker, &t, NULL) ==
            CX_OK);
    cx_loop_run(loop);
    EXPECT(t.count < t.wanted);
    cx_timer_free(&t.timer);
    cx_lane_free(&lane);
    cx_loop_free(&loop);
}

struct turns {
    struct cx_loop *loop;
    struct cx_timer *timer;
    int count;
    bool over_at_once;
};

static void spend_turn(void *ctx)
{
    struct turns *t = ctx;
    t->over_at_once = t->over_at_once || cx_loop_turn_over(t->loop);
    while (!cx_loop_turn_over(t->loop)) {
    }
    if (++t->count < 3) {
        cx_timer_start(t->timer, t->count == 1 ? 0 : 1, 0);
    }
}

TEST(turn_ends_and_each_timer_has_its_own)
{
    struct turns t = { .loop = env_loop() };
    cx_timer_new(t.loop, spend_turn, &t, &t.timer);
    cx_timer_start(t.timer, 0, 0);
    cx_loop_run(t.loop);
    EXPECT_INT(t.count, 3);
    EXPECT(!t.over_at_once);
    cx_timer_free(&t.timer);
    cx_loop_free(&t.loop);
}

static void free_in_callback(void *ctx)
{
    struct ticker *t = ctx;
    t->count++;
    cx_timer_free(&t->timer);
}

TEST(timer_is_freed_in_its_own_callback)
{
    struct cx_loop *loop = env_loop();
    struct ticker t = { .loop = loop };
    cx_timer_new(loop, free_in_callback, &t, &t.timer);
    cx_timer_start(t.timer, 1, 1);
    cx_loop_run(loop);
    EXPECT_INT(t.count, 1);
    EXPECT(t.timer == NULL);
    cx_loop_free(&loop);
}

static void count_and_stop(void *ctx)
{
    struct ticker *t = ctx;
    t->count++;
    if (t->count == t->wanted) {
        cx_loop_stop(t->loop);
    }
}

TEST(timer_repeats_until_stopped)
{
    struct cx_loop *loop = env_loop();
    struct ticker t = { .loop = loop, .wanted = 3 };
    cx_timer_new(loop, count_and_stop, &t, &t.timer);
    cx_timer_start(t.timer, 1, 1);
    cx_loop_run(loop);
    EXPECT_INT(t.count, 3);
    cx_timer_stop(t.timer);
    cx_loop_run(loop); /* returns: nothing is active */
    EXPECT_INT(t.count, 3);
    cx_timer_free(&t.timer);
    cx_loop_free(&loop);
}

struct late_start {
    struct cx_timer *timer;
    uint64_t started_ns;
    uint64_t fired_ns;
};

static void block_ms(long ms)
{
    const struct timespec span = { .tv_sec = 0, .tv_nsec = ms * 1000000 };
    (void)nanosleep(&span, NULL);
}

static void note_fired(void *ctx)
{
    struct late_start *late = ctx;
    late->fired_ns = cx_clock_mono_ns();
}

TEST(timer_counts_from_its_start_not_from_the_iteration)
{
    struct cx_loop *loop = env_loop();
    struct late_start late = { 0 };
    cx_timer_new(loop, note_fired, &late, &late.timer);
    block_ms(40); /* what a start-up does */
    late.started_ns = cx_clock_mono_ns();
    cx_timer_start(late.timer, 30, 0);
    cx_loop_run(loop);
    EXPECT(late.fired_ns - late.started_ns >= 29000000);
    cx_timer_free(&late.timer);
    cx_loop_free(&loop);
}

TEST(signals_arrive_on_the_loop)
{
    struct cx_loop *loop = env_loop();
    struct ticker t = { .loop = loop, .wanted = 1 };
    struct cx_signal *usr1 = NULL;
    struct cx_signal *kill_signal = NULL;
    struct cx_err err = { "" };
    REQUIRE(cx_signal_new(loop, SIGUSR1, count_and_stop, &t, &usr1, &err) == CX_OK);
    EXPECT_INT(cx_signal_new(loop, SIGKILL, count_and_stop, &t, &kill_signal, &err), CX_INTERNAL);
    EXPECT(strstr(err.text, "9") != NULL);
    EXPECT(kill_signal == NULL);
    REQUIRE(raise(SIGUSR1) == 0);
    EXPECT_INT(t.count, 0);
    cx_loop_run(loop);
    EXPECT_INT(t.count, 1);
    cx_signal_free(&usr1);
    EXPECT(usr1 == NULL);
    cx_signal_free(&usr1);
    cx_loop_free(&loop);
}

static void free_signal_in_callback(void *ctx)
{
    struct cx_signal **s = ctx;
    cx_signal_free(s);
}

TEST(signal_is_freed_in_its_own_callback)
{
    struct cx_loop *loop = env_loop();
    struct cx_signal *s = NULL;
    struct cx_err err;
    REQUIRE(cx_signal_new(loop, SIGUSR2, free_signal_in_callback, &s, &s, &err) == CX_OK);
    REQUIRE(raise(SIGUSR2) == 0);
    cx_loop_run(loop);
    EXPECT(s == NULL);
    cx_loop_free(&loop);
}

struct lag {
    struct cx_loop *loop;
    struct cx_timer *timer;
    bool seen;
    int blocked;
};

/* Blocks the loop for longer than the probe's period, and looks whether the probe has seen it: once,
 * unless the machine is so slow that the probe has looked again before we do. */
static void block_then_look(void *ctx)
{
    struct lag *lag = ctx;
    const struct cx_series *gauge = cx_metrics_series(CX_M_LOOP_LAG, "");
    lag->seen = lag->blocked > 0 &&
                cx_loop_lag_ms(lag->loop) >= 150 && /* 260 less the probe's 100 */
                cx_series_value(gauge) >= 0.15;
    if (lag->seen || lag->blocked++ == 100) {
        cx_loop_stop(lag->loop);
    } else {
        block_ms(260);
    }
}

TEST(lag_of_a_blocked_loop_is_seen)
{
    struct cx_loop *loop = env_loop();
    struct lag lag = { .loop = loop };
    cx_timer_new(loop, block_then_look, &lag, &lag.timer);
    cx_timer_start(lag.timer, 0, 10);
    cx_loop_run(loop);
    EXPECT(lag.seen);
    cx_timer_free(&lag.timer);
    cx_loop_free(&loop);
}

/* What standard error says when a loop is freed over an open timer. */
TEST(leaked_handle_is_named)
{
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        struct cx_loop *loop = env_loop();
        struct ticker t = { .loop = loop };
        cx_timer_new(loop, count_and_stop, &t, &t.timer);
        cx_loop_free(&loop);
        _exit(0);
    }
    (void)close(ends[1]);
    char said[4096];
    size_t len = 0;
    ssize_t got = 0;
    while (len < sizeof(said) - 1 &&
           (got = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0) {
        len += (size_t)got;
    }
    said[len] = '\0';
    (void)close(ends[0]);
    int how = 0;
    REQUIRE(waitpid(child, &how, 0) == child);
    EXPECT(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
    EXPECT(strstr(said, "timer") != NULL);
}
