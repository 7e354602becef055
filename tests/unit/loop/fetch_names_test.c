/* SPDX-License-Identifier: MIT
 *
 * Names: found on the pool, two at once, one look-up for all who ask, kept; and never by libcurl
 * itself.
 */
#include "fetch_env.h"

#include <stdio.h>
#include <string.h>

static void name_request(struct world *w, const char *host, struct cx_fetch_request *request,
                         char url[128])
{
    *request = world_request(w, "", url);
    (void)snprintf(url, 128, "http://%s:%u/ok", host, w->upstream.port);
}

static void get_by_name(struct world *w, struct probe *p, const char *host)
{
    char url[128];
    struct cx_fetch_request request;
    name_request(w, host, &request, url);
    probe_run(w, p, &request);
}

TEST(name_is_looked_up_once_and_kept)
{
    struct world w;
    struct probe p;
    world_open(&w);
    for (int i = 0; i < 5; i++) {
        get_by_name(&w, &p, "quick.test");
        EXPECT_INT(p.outcome, CX_FETCH_OK);
    }
    get_by_name(&w, &p, "QUICK.test"); /* names have no case */
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(names_asked(), 1);
    EXPECT_INT(upstream_connections(&w.upstream), 1);
    world_close(&w);
}

TEST(localhost_is_found)
{
    struct world w;
    struct probe p;
    world_open(&w);
    get_by_name(&w, &p, "localhost");
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(names_asked(), 1);
    world_close(&w);
}

TEST(trailing_dot_does_not_reach_curls_resolver)
{
    struct world w;
    struct probe p;
    world_open(&w);
    get_by_name(&w, &p, "quick-dot.test.");
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(names_asked(), 1);
    world_close(&w);
}

TEST(second_address_is_tried)
{
    struct world w;
    struct probe p;
    world_open(&w);
    get_by_name(&w, &p, "twice.test");
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(names_asked(), 1);
    world_close(&w);
}

TEST(name_that_does_not_exist)
{
    struct world w;
    struct probe p;
    world_open(&w);
    get_by_name(&w, &p, "gone.test");
    EXPECT_INT(p.outcome, CX_FETCH_RESOLVE);
    EXPECT(strstr(p.reason, "gone") == NULL);
    get_by_name(&w, &p, "gone.test"); /* a failure is not kept */
    EXPECT_INT(p.outcome, CX_FETCH_RESOLVE);
    EXPECT_INT(names_asked(), 2);
    world_close(&w);
}

/* With the system's resolver: not found, or (behind a name server that does not answer) too
 * late. */
TEST(invalid_name_is_not_found_by_the_system)
{
    struct world w;
    struct probe p;
    char url[128];
    struct cx_fetch_request request;
    world_open(&w);
    name_request(&w, "nonexistent.invalid", &request, url);
    request.timeout_ms = 2000;
    probe_run(&w, &p, &request);
    EXPECT(p.outcome == CX_FETCH_RESOLVE || p.outcome == CX_FETCH_TIMEOUT);
    world_close(&w);
}

TEST(one_look_up_serves_all_who_ask)
{
    struct world w;
    static struct probe probes[20];
    char url[128];
    struct cx_fetch_request request;
    world_open(&w);
    name_request(&w, "slow-shared.test", &request, url);
    for (size_t i = 0; i < CX_ARRAY_LEN(probes); i++) {
        EXPECT_INT(probe_start(&w, &probes[i], &request), CX_OK);
    }
    names_await(1);
    probe_cancel(&probes[3]); /* who leaves does not take it from the others */
    names_release();
    world_run(&w, 20);
    for (size_t i = 0; i < CX_ARRAY_LEN(probes); i++) {
        EXPECT_INT(probes[i].outcome, i == 3 ? CX_FETCH_CANCELLED : CX_FETCH_OK);
    }
    EXPECT_INT(names_asked(), 1);
    world_close(&w);
}

/* Two look-ups stand at the gate. The third waits its turn and may leave it; calls without a name
 * pass by. */
TEST(two_look_ups_at_once)
{
    struct world w;
    struct probe slow[4];
    struct probe p;
    char url[128];
    struct cx_fetch_request request;
    world_open(&w);
    for (size_t i = 0; i < CX_ARRAY_LEN(slow); i++) {
        char host[32];
        (void)snprintf(host, sizeof(host), "slow-%zu.test", i);
        name_request(&w, host, &request, url);
        EXPECT_INT(probe_start(&w, &slow[i], &request), CX_OK);
    }
    names_await(2);
    EXPECT_INT(names_asked(), 2);

    request = world_request(&w, "/ok", url);
    EXPECT_INT(probe_start(&w, &p, &request), CX_OK);
    world_run(&w, 1);
    EXPECT_INT(p.outcome, CX_FETCH_OK);

    probe_cancel(&slow[2]); /* had not begun: nobody looks it up */
    world_run(&w, 2);
    EXPECT_INT(slow[2].outcome, CX_FETCH_CANCELLED);

    name_request(&w, "quick-late.test", &request, url); /* waits behind them, with its deadline */
    request.timeout_ms = 60;
    EXPECT_INT(probe_start(&w, &p, &request), CX_OK);
    world_run(&w, 3);
    EXPECT_INT(p.outcome, CX_FETCH_TIMEOUT);
    EXPECT_INT(names_asked(), 2);

    names_release();
    world_run(&w, 6);
    EXPECT_INT(slow[0].outcome, CX_FETCH_OK);
    EXPECT_INT(slow[1].outcome, CX_FETCH_OK);
    EXPECT_INT(slow[3].outcome, CX_FETCH_OK);
    EXPECT_INT(names_asked(), 3);
    EXPECT_INT(names_at_once_worst(), 2);
    world_close(&w);
}

struct lane_done {
    struct cx_loop *loop;
    bool ran;
};

static void on_lane_done(void *arg, enum cx_status status)
{
    struct lane_done *done = arg;
    EXPECT_INT(status, CX_OK);
    cx_loop_stop(done->loop);
}

static void note_work(void *arg)
{
    struct lane_done *done = arg;
    done->ran = true;
}

/* Dead look-ups hold two threads of the pool; a lane still gets its own. */
TEST(dead_look_ups_do_not_hold_up_a_lane)
{
    struct world w;
    struct probe slow[3];
    char url[128];
    struct cx_fetch_request request;
    world_open(&w);
    for (size_t i = 0; i < CX_ARRAY_LEN(slow); i++) {
        char host[32];
        (void)snprintf(host, sizeof(host), "slow-dead-%zu.test", i);
        name_request(&w, host, &request, url);
        EXPECT_INT(probe_start(&w, &slow[i], &request), CX_OK);
    }
    names_await(2);
    struct cx_lane *lane = NULL;
    struct lane_done done = { .loop = w.loop };
    cx_lane_new(w.loop, &(struct cx_lane_options){ .name = "beside", .running = 1, .waiting = 1 },
                &lane);
    EXPECT_INT(cx_lane_submit(lane, CX_PRIORITY_NORMAL, note_work, on_lane_done, &done, NULL),
               CX_OK);
    cx_loop_run(w.loop);
    EXPECT(done.ran);
    cx_lane_free(&lane);
    for (size_t i = 0; i < CX_ARRAY_LEN(slow); i++) {
        probe_cancel(&slow[i]);
    }
    world_run(&w, 3);
    world_close(&w);
}

/* A fetch ends while a look-up of its still runs, with names known before and after it. */
TEST(look_up_outlives_its_fetch)
{
    struct world w;
    struct probe slow;
    struct probe p;
    char url[128];
    struct cx_fetch_request request;
    world_open(&w);
    get_by_name(&w, &p, "quick-before.test");
    name_request(&w, "slow-orphan.test", &request, url);
    EXPECT_INT(probe_start(&w, &slow, &request), CX_OK);
    get_by_name(&w, &p, "quick-after-1.test");
    get_by_name(&w, &p, "quick-after-2.test");
    names_await(1);
    probe_cancel(&slow);
    world_run(&w, 4);
    EXPECT_INT(cx_fetch_active(w.fetch), 0);
    cx_fetch_free(&w.fetch);
    names_release();
    cx_loop_free(&w.loop); /* waits for it */
    upstream_stop(&w.upstream);
}

TEST(more_names_than_are_kept)
{
    struct world w;
    struct probe p;
    world_open(&w);
    for (int i = 0; i < 70; i++) {
        char host[32];
        (void)snprintf(host, sizeof(host), "quick-%d.test", i);
        get_by_name(&w, &p, host);
        EXPECT_INT(p.outcome, CX_FETCH_OK);
    }
    EXPECT_INT(names_asked(), 70);
    get_by_name(&w, &p, "quick-69.test");
    EXPECT_INT(names_asked(), 70);
    get_by_name(&w, &p, "quick-0.test"); /* the oldest was let go */
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_INT(names_asked(), 71);
    world_close(&w);
}
