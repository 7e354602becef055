/* SPDX-License-Identifier: MIT
 *
 * The batcher in bad weather: retries, pauses, refused texts, the circuit.
 */
#include "batcher_env.h"

#include <stdio.h>
#include <string.h>

#define Q CX_EMBED_QUERY
#define D CX_EMBED_DOCUMENT
#define UPSTREAM ((struct failure){ .status = CX_EMBEDDING_UPSTREAM })

static void open_without_window(struct bench *b, struct cx_batcher_options *o)
{
    bench_options(b, o);
    o->window_ms = 0;
}

static void expect_circuit(struct bench *b, enum cx_circuit state)
{
    struct cx_circuit_info info;
    cx_embedder_circuit(b->e, &info);
    EXPECT_STR(cx_circuit_name(info.state), cx_circuit_name(state));
}

TEST(weather_is_tried_again)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    open_without_window(&b, &o);
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a,b", 5000), CX_OK);
    scripted_fail(b.inner, 1, UPSTREAM);
    bench_pass(&b, 0);
    EXPECT(scripted_asks(b.inner, 2, "a,b"));
    scripted_fail(b.inner, 2, (struct failure){ .status = CX_EMBEDDING_TIMEOUT });
    bench_pass(&b, 0);
    scripted_answer(b.inner, 3);
    ask_expect(&one, CX_OK);
    expect_circuit(&b, CX_CIRCUIT_CLOSED);
    bench_close(&b);
}

TEST(weather_is_tried_only_so_often)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    open_without_window(&b, &o);
    o.attempts_max = 2;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    scripted_fail(b.inner, 1, UPSTREAM);
    bench_pass(&b, 0);
    scripted_fail(b.inner, 2,
                  (struct failure){ .status = CX_EMBEDDING_UPSTREAM, .text = "it broke (500)" });
    EXPECT_STR(one.result.err.text, "it broke (500)");
    ask_expect(&one, CX_EMBEDDING_UPSTREAM);
    bench_pass(&b, 10000);
    EXPECT_INT(b.inner->started, 2);
    bench_close(&b);
}

TEST(weather_backs_off_before_it_is_tried_again)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    open_without_window(&b, &o);
    o.retry_base_ms = 1000;
    o.retry_cap_ms = 1000;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 50000), CX_OK);
    scripted_fail(b.inner, 1, UPSTREAM);
    for (int i = 0; i < 1000 && b.inner->started == 1; i++) {
        bench_pass(&b, 1);
    }
    EXPECT_INT(b.inner->started, 2); /* at the latest after a second */
    scripted_answer(b.inner, 2);
    ask_expect(&one, CX_OK);
    bench_close(&b);
}

TEST(weather_ends_who_has_no_time_for_another_try)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask quick, slow;
    open_without_window(&b, &o);
    o.window_ms = 10;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &quick, Q, "a,b", 500), CX_OK);
    EXPECT_INT(ask_start(&b, &slow, Q, "b,c,c", 5000), CX_OK);
    bench_pass(&b, 10);
    scripted_fail(b.inner, 1,
                  (struct failure){ .status = CX_EMBEDDING_UPSTREAM, .retry_after_ms = 1000 });
    EXPECT_INT(quick.result.retry_after_ms, 1000);
    ask_expect(&quick, CX_EMBEDDING_UPSTREAM);
    bench_pass(&b, 999);
    EXPECT_INT(b.inner->started, 1);
    bench_pass(&b, 1);
    EXPECT(scripted_asks(b.inner, 2, "b,c")); /* what only the other wanted is left out */
    scripted_answer(b.inner, 2);
    ask_expect(&slow, CX_OK);
    bench_close(&b);
}

TEST(weather_of_others_kinds_is_not_tried_again)
{
    static const enum cx_status kinds[] = { CX_EMBEDDING_UNAUTHORIZED, CX_OVERLOADED, CX_NO_MEMORY,
                                            CX_INTERNAL, CX_NOT_CONFIGURED };
    for (size_t i = 0; i < CX_ARRAY_LEN(kinds); i++) {
        struct bench b;
        struct cx_batcher_options o;
        struct ask one;
        open_without_window(&b, &o);
        bench_open(&b, &o);
        EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
        scripted_fail(b.inner, 1, (struct failure){ .status = kinds[i] });
        ask_expect(&one, kinds[i]);
        bench_pass(&b, 1000);
        EXPECT_INT(b.inner->started, 1);
        struct cx_circuit_info info;
        cx_embedder_circuit(b.e, &info);
        EXPECT_INT(info.failures, kinds[i] == CX_EMBEDDING_UNAUTHORIZED ? 1 : 0);
        bench_close(&b);
    }
}

TEST(weather_begins_when_a_call_cannot_start)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, two;
    open_without_window(&b, &o);
    o.attempts_max = 2;
    bench_open(&b, &o);
    b.inner->refuse_start = CX_OVERLOADED;
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    EXPECT(ask_waits(&one)); /* not within start */
    bench_pass(&b, 0);
    ask_expect(&one, CX_OVERLOADED);
    expect_circuit(&b, CX_CIRCUIT_CLOSED);
    b.inner->refuse_start = CX_EMBEDDING_UPSTREAM;
    EXPECT_INT(ask_start(&b, &two, Q, "a", 5000), CX_OK);
    b.inner->refuse_start = CX_OK;
    bench_pass(&b, 0);
    ask_expect(&two, CX_EMBEDDING_UPSTREAM); /* with no jitter it was tried again at once */
    bench_close(&b);
}

TEST(weather_does_not_use_up_more_than_the_budget)
{
    struct bench b;
    struct cx_batcher_options o;
    open_without_window(&b, &o);
    o.breaker_failures = 0;
    o.retry_reserve = 5;
    bench_open(&b, &o);
    for (int i = 0; i < 100; i++) {
        struct ask one;
        char name[16];
        (void)snprintf(name, sizeof name, "t%d", i);
        EXPECT_INT(ask_start(&b, &one, Q, name, 5000), CX_OK);
        while (one.completions == 0) {
            scripted_fail(b.inner, b.inner->started, UPSTREAM);
            bench_pass(&b, 0);
        }
        ask_expect(&one, CX_EMBEDDING_UPSTREAM);
    }
    EXPECT(b.inner->started >= 110 && b.inner->started <= 116);
    bench_close(&b);
}

/* ---- Rate limits ---- */

TEST(rate_limit_pauses_every_call)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, two, hurried, later;
    open_without_window(&b, &o);
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 60000), CX_OK);
    scripted_fail(b.inner, 1,
                  (struct failure){ .status = CX_EMBEDDING_RATE_LIMITED, .retry_after_ms = 20000 });
    EXPECT_INT(ask_start(&b, &two, Q, "b", 60000), CX_OK);
    EXPECT_INT(ask_start(&b, &hurried, Q, "c", 19999), CX_OK);
    bench_pass(&b, 0);
    EXPECT_INT(hurried.result.retry_after_ms, 20000); /* there is nothing to wait for */
    ask_expect(&hurried, CX_EMBEDDING_RATE_LIMITED);
    bench_pass(&b, 19999);
    EXPECT_INT(ask_start(&b, &later, D, "d", 60000), CX_OK);
    EXPECT_INT(b.inner->started, 1);
    bench_pass(&b, 1);
    EXPECT_INT(b.inner->started, 4);
    scripted_answer(b.inner, 2);
    scripted_answer(b.inner, 3);
    scripted_answer(b.inner, 4);
    ask_expect(&one, CX_OK);
    ask_expect(&two, CX_OK);
    ask_expect(&later, CX_OK);
    EXPECT_INT(b.circuit_count, 0); /* a limit is an answer */
    bench_close(&b);
}

TEST(rate_limit_tells_who_already_waits)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, waiting, flying;
    open_without_window(&b, &o);
    o.window_ms = 10;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 60000), CX_OK);
    EXPECT_INT(ask_start(&b, &flying, D, "f", 500), CX_OK);
    bench_pass(&b, 10);
    EXPECT_INT(ask_start(&b, &waiting, Q, "b", 500), CX_OK);
    scripted_fail(b.inner, 1,
                  (struct failure){ .status = CX_EMBEDDING_RATE_LIMITED, .retry_after_ms = 1000 });
    ask_expect(&waiting, CX_EMBEDDING_RATE_LIMITED);
    EXPECT(ask_waits(&flying));
    scripted_answer(b.inner, 2);
    ask_expect(&flying, CX_OK);
    bench_pass(&b, 1000);
    scripted_answer(b.inner, 3);
    ask_expect(&one, CX_OK);
    bench_close(&b);
}

TEST(rate_limit_that_is_used_up_is_heard_with_a_good_answer)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, two;
    open_without_window(&b, &o);
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 60000), CX_OK);
    scripted_find(b.inner, 1)->base.result.retry_after_ms = 700;
    scripted_answer(b.inner, 1);
    ask_expect(&one, CX_OK);
    EXPECT_INT(ask_start(&b, &two, Q, "b", 60000), CX_OK);
    bench_pass(&b, 699);
    EXPECT_INT(b.inner->started, 1);
    bench_pass(&b, 1);
    EXPECT_INT(b.inner->started, 2);
    scripted_answer(b.inner, 2);
    ask_expect(&two, CX_OK);
    bench_close(&b);
}

TEST(rate_limit_is_believed_up_to_a_point)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, two;
    open_without_window(&b, &o);
    o.pause_max_ms = 3000;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 60000), CX_OK);
    scripted_fail(
        b.inner, 1,
        (struct failure){ .status = CX_EMBEDDING_RATE_LIMITED, .retry_after_ms = UINT64_MAX });
    struct cx_circuit_info info;
    cx_embedder_circuit(b.e, &info);
    EXPECT_INT(info.retry_in_ms, 3000);
    EXPECT_INT(ask_start(&b, &two, Q, "b", 2000), CX_OK);
    bench_pass(&b, 0);
    ask_expect(&two, CX_EMBEDDING_RATE_LIMITED);
    bench_pass(&b, 3000);
    scripted_answer(b.inner, 2);
    ask_expect(&one, CX_OK);
    bench_close(&b);
}

/* ---- Refused texts ---- */

/* Answers everything, and refuses each call that holds "bad". */
static void serve_all(struct bench *b)
{
    while (b->inner->calls != NULL) {
        const struct scripted_call *call = b->inner->calls;
        bool bad = false;
        for (size_t i = 0; i < call->base.count; i++) {
            bad = bad ||
                  (call->base.texts[i].len > 2 && memcmp(call->base.texts[i].p, "bad", 3) == 0);
        }
        if (bad) {
            scripted_fail(b->inner, call->number,
                          (struct failure){ .status = CX_EMBEDDING_UPSTREAM,
                                            .input_refused = true,
                                            .text = "status 400" });
        } else {
            scripted_answer(b->inner, call->number);
        }
        bench_pass(b, 0);
    }
}

TEST(refused_text_fails_its_owner_alone)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask good[8], owner, sharer, many;
    open_without_window(&b, &o);
    o.window_ms = 10;
    bench_open(&b, &o);
    for (size_t i = 0; i < CX_ARRAY_LEN(good); i++) {
        char texts[64];
        (void)snprintf(texts, sizeof texts, "x%zu,y%zu,common", i, i);
        EXPECT_INT(ask_start(&b, &good[i], Q, texts, 5000), CX_OK);
        if (i == 4) {
            EXPECT_INT(ask_start(&b, &owner, Q, "bad", 5000), CX_OK);
            EXPECT_INT(ask_start(&b, &sharer, Q, "bad", 5000), CX_OK);
            EXPECT_INT(ask_start(&b, &many, Q, "common,p,bad,q", 5000), CX_OK);
        }
    }
    bench_pass(&b, 10);
    EXPECT_INT(b.inner->started, 1);
    serve_all(&b);
    for (size_t i = 0; i < CX_ARRAY_LEN(good); i++) {
        ask_expect(&good[i], CX_OK);
    }
    EXPECT_STR(owner.result.err.text, "the embedding service refused this text: status 400");
    ask_expect(&owner, CX_INVALID);
    ask_expect(&sharer, CX_INVALID);
    EXPECT_STR(many.result.err.text, "the embedding service refused text 3 of 4: status 400");
    ask_expect(&many, CX_INVALID);
    EXPECT(b.inner->started <= 11); /* 1 + 2 · log2(20) */
    EXPECT_INT(b.circuit_count, 0);
    bench_close(&b);
}

TEST(refused_texts_are_found_among_many)
{
    struct bench b;
    struct cx_batcher_options o;
    enum { ASKS = 300 };
    static struct ask asks[ASKS];
    open_without_window(&b, &o);
    o.window_ms = 10;
    bench_open(&b, &o);
    for (size_t i = 0; i < ASKS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%s%zu", i == 7 || i == 250 ? "bad" : "t", i);
        EXPECT_INT(ask_start(&b, &asks[i], Q, name, 5000), CX_OK);
    }
    bench_pass(&b, 10);
    serve_all(&b);
    for (size_t i = 0; i < ASKS; i++) {
        ask_expect(&asks[i], i == 7 || i == 250 ? CX_INVALID : CX_OK);
    }
    EXPECT(b.inner->started < 40);
    bench_close(&b);
}

TEST(refusal_of_everything_is_not_asked_about_each_text)
{
    struct bench b;
    struct cx_batcher_options o;
    enum { ASKS = 1000 };
    static struct ask asks[ASKS];
    open_without_window(&b, &o);
    o.window_ms = 10;
    bench_open(&b, &o);
    for (size_t i = 0; i < ASKS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "bad%zu", i);
        EXPECT_INT(ask_start(&b, &asks[i], Q, name, 5000), CX_OK);
    }
    bench_pass(&b, 10);
    serve_all(&b);
    for (size_t i = 0; i < ASKS; i++) {
        ask_expect(&asks[i], CX_INVALID);
    }
    EXPECT(b.inner->started <= 64 + ASKS / 8 + 1);
    bench_close(&b);
}

/* ---- The circuit ---- */

static void trip(struct bench *b)
{
    for (size_t i = 0; i < 3; i++) {
        struct ask one;
        EXPECT_INT(ask_start(b, &one, Q, "trip", 5000), CX_OK);
        scripted_fail(b->inner, b->inner->started,
                      (struct failure){ .status = CX_EMBEDDING_UPSTREAM, .text = "status 500" });
        ask_expect(&one, CX_EMBEDDING_UPSTREAM);
    }
    expect_circuit(b, CX_CIRCUIT_OPEN);
}

TEST(circuit_opens_and_refuses_at_once)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask waiting, flying, refused;
    open_without_window(&b, &o);
    o.attempts_max = 1;
    o.cache_memory_bytes = 1 << 20;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &flying, Q, "known", 900000), CX_OK);
    scripted_answer(b.inner, 1);
    ask_expect(&flying, CX_OK);
    EXPECT_INT(ask_start(&b, &flying, D, "f", 900000), CX_OK);
    trip(&b);
    const size_t started = b.inner->started;
    EXPECT_INT(ask_start(&b, &refused, Q, "a", 900000), CX_OK);
    EXPECT(ask_waits(&refused));
    bench_pass(&b, 0);
    EXPECT(strstr(refused.result.err.text, "status 500") != NULL);
    EXPECT_INT(refused.result.retry_after_ms, 60000);
    ask_expect(&refused, CX_EMBEDDING_CIRCUIT_OPEN);
    EXPECT_INT(ask_start(&b, &waiting, Q, "known", 1000), CX_OK); /* what is known is given */
    bench_pass(&b, 0);
    ask_expect(&waiting, CX_OK);
    EXPECT_INT(ask_start(&b, &waiting, D, "f", 900000), CX_OK); /* and what is under way anyhow */
    bench_pass(&b, 59000);
    EXPECT_INT(b.inner->started, started);
    scripted_answer(b.inner, 2);
    ask_expect(&flying, CX_OK);
    ask_expect(&waiting, CX_OK);
    expect_circuit(&b, CX_CIRCUIT_OPEN); /* an old call's luck does not close it */
    struct cx_circuit_info info;
    cx_embedder_circuit(b.e, &info);
    EXPECT_INT(info.retry_in_ms, 1000);
    EXPECT_INT(info.opened, 1);
    EXPECT_INT(info.refused, 1);
    bench_close(&b);
}

TEST(circuit_that_opens_tells_who_waits)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask waiting, mixed, flying;
    open_without_window(&b, &o);
    o.window_ms = 10;
    o.breaker_failures = 1;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &flying, D, "f", 5000), CX_OK);
    bench_pass(&b, 5);
    EXPECT_INT(ask_start(&b, &mixed, Q, "m", 5000), CX_OK);
    bench_pass(&b, 5);
    EXPECT_INT(ask_start(&b, &waiting, Q, "w", 5000), CX_OK);
    scripted_fail(b.inner, 1, UPSTREAM);
    ask_expect(&flying, CX_EMBEDDING_UPSTREAM); /* not tried again: the circuit is open */
    ask_expect(&mixed, CX_EMBEDDING_CIRCUIT_OPEN);
    ask_expect(&waiting, CX_EMBEDDING_CIRCUIT_OPEN);
    EXPECT_INT(b.inner->started, 1);
    bench_close(&b);
}

TEST(circuit_half_open_lets_exactly_one_call_through)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask probe, refused, joined, second, after;
    open_without_window(&b, &o);
    o.window_ms = 10;
    o.attempts_max = 1;
    o.breaker_failures = 1;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &probe, Q, "p", 5000), CX_OK);
    bench_pass(&b, 10);
    scripted_fail(b.inner, 1, UPSTREAM);
    ask_expect(&probe, CX_EMBEDDING_UPSTREAM);
    bench_pass(&b, 60000);
    EXPECT_INT(ask_start(&b, &probe, Q, "a,b", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 2); /* waits for no company */
    EXPECT_INT(ask_start(&b, &refused, Q, "c", 5000), CX_OK);
    EXPECT_INT(ask_start(&b, &joined, Q, "b", 5000), CX_OK);
    bench_pass(&b, 0);
    ask_expect(&refused, CX_EMBEDDING_CIRCUIT_OPEN);
    bench_pass(&b, 100);
    EXPECT_INT(b.inner->started, 2);
    expect_circuit(&b, CX_CIRCUIT_HALF_OPEN);
    scripted_answer(b.inner, 2);
    ask_expect(&probe, CX_OK);
    ask_expect(&joined, CX_OK);
    expect_circuit(&b, CX_CIRCUIT_HALF_OPEN);
    EXPECT_INT(ask_start(&b, &second, Q, "d", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 3);
    scripted_answer(b.inner, 3);
    ask_expect(&second, CX_OK);
    expect_circuit(&b, CX_CIRCUIT_CLOSED);
    EXPECT_INT(ask_start(&b, &after, Q, "e", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 3); /* windows again */
    bench_pass(&b, 10);
    scripted_answer(b.inner, 4);
    ask_expect(&after, CX_OK);
    EXPECT_INT(b.circuit_count, 3);
    EXPECT_INT(b.circuits[0], CX_CIRCUIT_OPEN);
    EXPECT_INT(b.circuits[1], CX_CIRCUIT_HALF_OPEN);
    EXPECT_INT(b.circuits[2], CX_CIRCUIT_CLOSED);
    bench_close(&b);
}

TEST(circuit_half_open_sends_a_long_request_one_call_after_the_other)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    open_without_window(&b, &o);
    o.attempts_max = 1;
    o.inputs_max = 1;
    bench_open(&b, &o);
    trip(&b);
    bench_pass(&b, 60000);
    EXPECT_INT(ask_start(&b, &one, Q, "a,b,c,d", 5000), CX_OK);
    EXPECT_INT(b.inner->in_flight, 1);
    scripted_answer(b.inner, 4);
    EXPECT_INT(b.inner->in_flight, 1);
    scripted_answer(b.inner, 5);
    EXPECT_INT(b.inner->in_flight, 2); /* closed */
    scripted_answer(b.inner, 6);
    scripted_answer(b.inner, 7);
    ask_expect(&one, CX_OK);
    bench_close(&b);
}

TEST(circuit_probe_that_fails_or_leaves)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    open_without_window(&b, &o);
    o.attempts_max = 4;
    o.breaker_failures = 1;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    scripted_fail(b.inner, 1, UPSTREAM);
    ask_expect(&one, CX_EMBEDDING_UPSTREAM);
    bench_pass(&b, 60000);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    scripted_fail(b.inner, 2, UPSTREAM);
    ask_expect(&one, CX_EMBEDDING_UPSTREAM);
    expect_circuit(&b, CX_CIRCUIT_OPEN);
    bench_pass(&b, 59999);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    bench_pass(&b, 0);
    ask_expect(&one, CX_EMBEDDING_CIRCUIT_OPEN);
    bench_pass(&b, 1);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 3);
    ask_cancel(&one); /* the probe's only caller leaves: it said nothing */
    bench_pass(&b, 0);
    ask_expect(&one, CX_CANCELLED);
    expect_circuit(&b, CX_CIRCUIT_HALF_OPEN);
    EXPECT_INT(ask_start(&b, &one, Q, "b", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 4);
    scripted_fail(b.inner, 3, (struct failure){ .status = CX_CANCELLED });
    scripted_answer(b.inner, 4);
    ask_expect(&one, CX_OK);
    bench_close(&b);
}

TEST(circuit_opens_for_a_provider_that_never_answers)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    open_without_window(&b, &o);
    bench_open(&b, &o);
    for (size_t i = 1; i <= 3; i++) {
        EXPECT_INT(ask_start(&b, &one, Q, "a", 2000), CX_OK);
        EXPECT_INT(b.inner->started, i);
        bench_pass(&b, 2000);
        ask_expect(&one, CX_EMBEDDING_TIMEOUT);
        scripted_fail(b.inner, i, (struct failure){ .status = CX_CANCELLED });
    }
    expect_circuit(&b, CX_CIRCUIT_OPEN);
    bench_close(&b);
}

TEST(circuit_is_not_opened_by_impatient_callers)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    open_without_window(&b, &o);
    bench_open(&b, &o);
    for (size_t i = 1; i <= 6; i++) {
        EXPECT_INT(ask_start(&b, &one, Q, "a", 50), CX_OK);
        if (i % 2 == 0) {
            ask_cancel(&one);
        }
        bench_pass(&b, 50);
        ask_expect(&one, i % 2 == 0 ? CX_CANCELLED : CX_EMBEDDING_TIMEOUT);
        scripted_fail(b.inner, i, (struct failure){ .status = CX_CANCELLED });
    }
    expect_circuit(&b, CX_CIRCUIT_CLOSED);
    bench_close(&b);
}

TEST(circuit_opens_when_our_key_is_refused)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    open_without_window(&b, &o);
    bench_open(&b, &o);
    for (size_t i = 1; i <= 3; i++) {
        EXPECT_INT(ask_start(&b, &one, Q, "a", 2000), CX_OK);
        scripted_fail(b.inner, i, (struct failure){ .status = CX_EMBEDDING_UNAUTHORIZED });
        ask_expect(&one, CX_EMBEDDING_UNAUTHORIZED);
    }
    EXPECT_INT(ask_start(&b, &one, Q, "a", 2000), CX_OK);
    bench_pass(&b, 0);
    EXPECT(strstr(one.result.err.text, "refused our key") != NULL);
    ask_expect(&one, CX_EMBEDDING_CIRCUIT_OPEN);
    bench_close(&b);
}
