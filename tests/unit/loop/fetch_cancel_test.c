/* SPDX-License-Identifier: MIT
 *
 * Calls that are given up, at each stage, by the caller or by their deadline; and callbacks that
 * start, cancel and free.
 */
#include "fetch_env.h"

#include <string.h>

static void expect_cancelled(struct world *w, struct probe *p)
{
    EXPECT_INT(p->completions, 0); /* not within the cancel */
    world_run(w, w->done + 1);
    EXPECT_INT(p->outcome, CX_FETCH_CANCELLED);
    EXPECT_INT(p->completions, 1);
}

TEST(call_is_cancelled_at_once_after_its_start)
{
    struct world w;
    struct probe p;
    world_open(&w);
    probe_get(&w, &p, "/ok");
    probe_cancel(&p);
    probe_cancel(&p);
    expect_cancelled(&w, &p);
    world_close(&w);
}

TEST(call_is_cancelled_while_its_name_is_looked_up)
{
    struct world w;
    struct probe p;
    char url[128];
    world_open(&w);
    struct cx_fetch_request request = world_request(&w, "/ok", url);
    request.url = "http://slow-cancel.test/ok";
    EXPECT_INT(probe_start(&w, &p, &request), CX_OK);
    names_await(1);
    probe_cancel(&p);
    expect_cancelled(&w, &p); /* the look-up still stands at the gate */
    world_close(&w);          /* opens it, and the loop waits for its end */
}

TEST(call_is_cancelled_while_it_waits_for_a_connection)
{
    struct world w;
    struct probe p[3];
    world_open_with(&w, &(struct cx_fetch_options){ .connections_max = 1, .waiting_max = 8 }, NULL);
    probe_get(&w, &p[0], "/silent");
    probe_get(&w, &p[1], "/ok");
    probe_get(&w, &p[2], "/ok");
    probe_cancel(&p[1]);
    expect_cancelled(&w, &p[1]);
    EXPECT_INT(p[0].completions + p[2].completions, 0);
    probe_cancel(&p[0]);
    world_run(&w, 3); /* the place is free for the third */
    EXPECT_INT(p[0].outcome, CX_FETCH_CANCELLED);
    EXPECT_INT(p[2].outcome, CX_FETCH_OK);
    world_close(&w);
}

/* Runs one millisecond of the loop at a time until the upstream has seen a request. */
static void stop_loop(void *ctx)
{
    cx_loop_stop(ctx);
}

static void run_until_seen(struct world *w)
{
    struct cx_timer *turn = NULL;
    cx_timer_new(w->loop, stop_loop, w->loop, &turn);
    bool seen = false;
    while (!seen) {
        cx_timer_start(turn, 1, 0);
        cx_loop_run(w->loop);
        (void)pthread_mutex_lock(&w->upstream.seen.mutex);
        seen = w->upstream.seen.arrived > 0;
        (void)pthread_mutex_unlock(&w->upstream.seen.mutex);
    }
    cx_timer_free(&turn);
}

TEST(call_is_cancelled_while_it_waits_for_the_answer)
{
    struct world w;
    struct probe p;
    world_open(&w);
    probe_get(&w, &p, "/silent");
    run_until_seen(&w);
    REQUIRE(p.completions == 0);
    probe_cancel(&p);
    expect_cancelled(&w, &p);
    world_close(&w);
}

TEST(call_is_cancelled_while_it_reads)
{
    struct world w;
    struct probe p;
    world_open(&w);
    probe_get(&w, &p, "/drip");
    run_until_seen(&w);
    REQUIRE(p.completions == 0);
    probe_cancel(&p);
    expect_cancelled(&w, &p);
    world_close(&w);
}

/* A busy machine may not have come to the phase in question yet: then again, with more time. */
static void expect_timeout(struct world *w, const struct cx_fetch_request *request,
                           const char *phase)
{
    struct probe p = { .reason = "" };
    struct cx_fetch_request hurried = *request;
    for (hurried.timeout_ms = 60; hurried.timeout_ms < 10000 && strstr(p.reason, phase) == NULL;
         hurried.timeout_ms *= 2) {
        probe_run(w, &p, &hurried);
        EXPECT_INT(p.outcome, CX_FETCH_TIMEOUT);
    }
    (void)test_expect(strstr(p.reason, phase) != NULL, __FILE__, __LINE__, "\"%s\" says not \"%s\"",
                      p.reason, phase);
}

TEST(deadline_ends_a_call_at_each_stage)
{
    struct world w;
    struct probe held;
    char url[128];
    world_open_with(&w, &(struct cx_fetch_options){ .connections_max = 1, .waiting_max = 8 }, NULL);
    struct cx_fetch_request request = world_request(&w, "/silent", url);
    expect_timeout(&w, &request, "waiting for the answer");
    request = world_request(&w, "/drip", url);
    expect_timeout(&w, &request, "reading the answer");
    probe_get(&w, &held, "/silent");
    expect_timeout(&w, &request, "waiting for a free connection");
    probe_cancel(&held);
    world_run(&w, w.started);
    request.url = "http://slow-deadline.test/ok";
    expect_timeout(&w, &request, "looking the name up");
    request = world_request(&w, "/ok", url);
    request.timeout_ms = 0;
    struct probe p;
    EXPECT_INT(probe_start(&w, &p, &request), CX_OK);
    world_run(&w, w.started);
    EXPECT_INT(p.outcome, CX_FETCH_TIMEOUT);
    world_close(&w);
}

static void expect_slow(struct world *w, const struct cx_fetch_request *request, const char *why)
{
    struct probe p;
    probe_run(w, &p, request);
    EXPECT_INT(p.outcome, CX_FETCH_TIMEOUT);
    (void)test_expect(strstr(p.reason, why) != NULL, __FILE__, __LINE__, "\"%s\" says not \"%s\"",
                      p.reason, why);
}

/* Long before the deadline of all of it. */
TEST(slow_answers_are_given_up)
{
    struct world w;
    struct probe p;
    char url[128];
    world_open(&w);
    struct cx_fetch_request request = world_request(&w, "/silent", url);
    request.timeout_ms = 600000;
    request.first_byte_timeout_ms = 60;
    request.low_speed_ms = 100;
    request.low_speed_bytes = 10000;
    expect_slow(&w, &request, "no answer had begun for 60 ms");
    request = world_request(&w, "/drip", url); /* at most 200 bytes a second */
    request.timeout_ms = 600000;
    request.first_byte_timeout_ms = 600000;
    request.low_speed_ms = 100;
    request.low_speed_bytes = 10000;
    expect_slow(&w, &request, "the answer came too slowly for 100 ms");
    /* What is fast enough goes on to the deadline, though a busy machine may keep the upstream waiting. */
    request.low_speed_ms = 500;
    request.low_speed_bytes = 5;
    request.timeout_ms = 1000;
    for (int i = 0; i < 20 && (i == 0 || strstr(p.reason, "reading the answer") == NULL); i++) {
        probe_run(&w, &p, &request);
        EXPECT_INT(p.outcome, CX_FETCH_TIMEOUT);
    }
    EXPECT(strstr(p.reason, "reading the answer") != NULL);
    request = world_request(&w, "/long", url);
    request.response_max_bytes = 16000000;
    request.first_byte_timeout_ms = 5000;
    request.low_speed_ms = 5000;
    request.low_speed_bytes = 1000;
    probe_run(&w, &p, &request);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    world_close(&w);
}

/* While it is looked up, waits for a connection or connects, nobody expects an answer. */
TEST(first_byte_is_not_awaited_before_there_is_a_connection)
{
    struct world w;
    struct probe held;
    char url[128];
    world_open_with(&w, &(struct cx_fetch_options){ .connections_max = 1, .waiting_max = 8 }, NULL);
    probe_get(&w, &held, "/silent");
    struct cx_fetch_request request = world_request(&w, "/silent", url);
    request.first_byte_timeout_ms = 20;
    request.timeout_ms = 400;
    expect_slow(&w, &request, "waiting for a free connection");
    probe_cancel(&held);
    world_run(&w, w.started);
    world_close(&w);
}

struct chain {
    struct cx_loop *loop;
    struct cx_fetch *fetch;
    struct cx_fetch_request request;
    struct cx_call *other; /* cancelled from within the first completion */
    int left;
    int cancelled;
};

static void on_other_done(void *ctx, const struct cx_fetch_response *response)
{
    struct chain *chain = ctx;
    EXPECT_INT(response->outcome, CX_FETCH_CANCELLED);
    chain->cancelled++;
}

static void on_chain_done(void *ctx, const struct cx_fetch_response *response)
{
    struct chain *chain = ctx;
    struct cx_err err;
    EXPECT_INT(response->outcome, CX_FETCH_OK);
    if (chain->other != NULL) {
        cx_call_cancel(chain->other);
        chain->other = NULL;
    }
    if (--chain->left > 0) {
        EXPECT_INT(cx_fetch_start(chain->fetch, &chain->request, on_chain_done, chain, NULL, &err),
                   CX_OK);
    } else {
        cx_fetch_free(&chain->fetch); /* from within the last completion */
        cx_loop_stop(chain->loop);
    }
}

TEST(completion_starts_cancels_and_frees)
{
    struct world w;
    struct cx_err err;
    char url[128];
    char silent[128];
    world_open(&w);
    struct chain chain = { .loop = w.loop, .fetch = w.fetch, .left = 50 };
    chain.request = world_request(&w, "/silent", silent);
    REQUIRE(cx_fetch_start(w.fetch, &chain.request, on_other_done, &chain, &chain.other, &err) ==
            CX_OK);
    chain.request = world_request(&w, "/ok", url);
    REQUIRE(cx_fetch_start(w.fetch, &chain.request, on_chain_done, &chain, NULL, &err) == CX_OK);
    cx_loop_run(w.loop);
    EXPECT_INT(chain.left, 0);
    EXPECT_INT(chain.cancelled, 1);
    EXPECT(chain.fetch == NULL);
    cx_loop_free(&w.loop);
    upstream_stop(&w.upstream);
}
