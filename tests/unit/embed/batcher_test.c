/* SPDX-License-Identifier: MIT
 *
 * The batcher under a clock of the test's own: windows, limits, single flight, deadlines, cancels.
 */
#include "batcher_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define Q CX_EMBED_QUERY
#define D CX_EMBED_DOCUMENT

static void open_plain(struct bench *b)
{
    struct cx_batcher_options o;
    bench_options(b, &o);
    bench_open(b, &o);
}

TEST(batcher_joins_what_comes_within_the_window)
{
    struct bench b;
    struct ask one, two, three;
    open_plain(&b);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    bench_pass(&b, 10);
    EXPECT_INT(ask_start(&b, &two, Q, "b,c", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 0);
    bench_pass(&b, 5);
    EXPECT_INT(b.inner->started, 1);
    EXPECT(scripted_asks(b.inner, 1, "a,b,c"));
    /* The next does not wait for the first to come back, but for its own window. */
    EXPECT_INT(ask_start(&b, &three, Q, "d", 5000), CX_OK);
    bench_pass(&b, 14);
    EXPECT_INT(b.inner->started, 1);
    bench_pass(&b, 1);
    EXPECT(scripted_asks(b.inner, 2, "d"));
    scripted_answer(b.inner, 2);
    ask_expect(&three, CX_OK);
    EXPECT(ask_waits(&one));
    scripted_answer(b.inner, 1);
    ask_expect(&one, CX_OK);
    ask_expect(&two, CX_OK);
    bench_close(&b);
}

TEST(batcher_without_a_window_asks_at_once)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, two;
    bench_options(&b, &o);
    o.window_ms = 0;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 1);
    EXPECT_INT(ask_start(&b, &two, D, "b", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 2);
    scripted_answer(b.inner, 1);
    scripted_answer(b.inner, 2);
    ask_expect(&one, CX_OK);
    ask_expect(&two, CX_OK);
    bench_close(&b);
}

TEST(batcher_sends_a_full_batch_at_once)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, two, three;
    bench_options(&b, &o);
    o.inputs_max = 4;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a,b,c", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 0);
    EXPECT_INT(ask_start(&b, &two, Q, "d,e", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 1);
    EXPECT(scripted_asks(b.inner, 1, "a,b,c,d"));
    EXPECT_INT(ask_start(&b, &three, Q, "f,g,h,i,j,k,l,m", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 3);
    EXPECT(scripted_asks(b.inner, 2, "e,f,g,h"));
    EXPECT(scripted_asks(b.inner, 3, "i,j,k,l"));
    bench_pass(&b, 15);
    EXPECT(scripted_asks(b.inner, 4, "m"));
    for (size_t i = 4; i > 0; i--) {
        scripted_answer(b.inner, i);
    }
    ask_expect(&one, CX_OK);
    ask_expect(&two, CX_OK);
    ask_expect(&three, CX_OK);
    bench_close(&b);
}

static size_t count_bytes(void *ctx, struct cx_str text)
{
    (void)ctx;
    return text.len;
}

static size_t cut_bytes(void *ctx, struct cx_str text, size_t max_tokens)
{
    (void)ctx;
    return cx_utf8_cut(text, max_tokens);
}

TEST(batcher_counts_tokens_and_cuts_what_is_too_long)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    bench_options(&b, &o);
    o.tokens_max = 10;
    o.input_tokens_max = 6;
    o.count_tokens = count_bytes;
    o.cut_tokens = cut_bytes;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "aaaa,bbbbbbbbb,cccc,dddddd,\xc3\xa4\xc3\xa4\xc3\xa4z", 5000),
               CX_OK);
    bench_pass(&b, 15);
    EXPECT(scripted_asks(b.inner, 1, "aaaa,bbbbbb"));
    EXPECT(scripted_asks(b.inner, 2, "cccc,dddddd"));
    EXPECT(scripted_asks(b.inner, 3, "\xc3\xa4\xc3\xa4\xc3\xa4"));
    scripted_answer(b.inner, 1);
    scripted_answer(b.inner, 2);
    scripted_answer(b.inner, 3);
    EXPECT_INT(one.completions, 1);
    EXPECT_INT(one.result.status, CX_OK);
    EXPECT_INT(one.result.truncated, 2);
    ask_free(&one);
    bench_close(&b);
}

TEST(batcher_estimates_tokens_where_nobody_counts)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one;
    bench_options(&b, &o);
    o.tokens_max = 3;
    o.input_tokens_max = 2;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "aaa,bbbb,cccccccccc", 5000), CX_OK);
    bench_pass(&b, 15);
    EXPECT(scripted_asks(b.inner, 1, "aaa,bbbb"));
    EXPECT(scripted_asks(b.inner, 2, "cccccc"));
    scripted_answer(b.inner, 1);
    scripted_answer(b.inner, 2);
    EXPECT_INT(one.result.truncated, 1);
    ask_free(&one);
    bench_close(&b);
}

TEST(batcher_asks_for_equal_texts_once)
{
    struct bench b;
    struct ask one, two, three, four;
    open_plain(&b);
    EXPECT_INT(ask_start(&b, &one, Q, "a,b,a", 5000), CX_OK);
    EXPECT_INT(ask_start(&b, &two, Q, "b", 5000), CX_OK);
    bench_pass(&b, 15);
    EXPECT(scripted_asks(b.inner, 1, "a,b"));
    EXPECT_INT(ask_start(&b, &three, Q, "b,c", 5000), CX_OK); /* joins one in flight */
    EXPECT_INT(ask_start(&b, &four, D, "a", 5000), CX_OK);    /* another kind of text */
    bench_pass(&b, 15);
    EXPECT(scripted_asks(b.inner, 2, "c"));
    EXPECT(scripted_asks(b.inner, 3, "a"));
    scripted_answer(b.inner, 1);
    ask_expect(&one, CX_OK);
    ask_expect(&two, CX_OK);
    EXPECT(ask_waits(&three));
    scripted_answer(b.inner, 2);
    ask_expect(&three, CX_OK);
    scripted_answer(b.inner, 3);
    ask_expect(&four, CX_OK);
    bench_close(&b);
}

TEST(batcher_lets_queries_past_a_bulk_of_documents)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask bulk[4], query, more;
    bench_options(&b, &o);
    o.inputs_max = 2;
    o.calls_max = 3;
    o.document_calls_max = 2;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &bulk[0], D, "a,b,c,d", 5000), CX_OK);
    EXPECT_INT(ask_start(&b, &bulk[1], D, "e,f,g,h", 5000), CX_OK);
    EXPECT_INT(b.inner->started, 2); /* the third call is not for documents */
    EXPECT_INT(ask_start(&b, &query, Q, "q", 5000), CX_OK);
    bench_pass(&b, 15);
    EXPECT_INT(b.inner->started, 3);
    EXPECT(scripted_asks(b.inner, 3, "q"));
    EXPECT_INT(ask_start(&b, &more, Q, "r", 5000), CX_OK);
    bench_pass(&b, 15);
    EXPECT_INT(b.inner->started, 3); /* all calls are out */
    scripted_answer(b.inner, 1);
    EXPECT(scripted_asks(b.inner, 4, "r")); /* the query goes first */
    scripted_answer(b.inner, 2);
    EXPECT(scripted_asks(b.inner, 5, "e,f"));
    EXPECT_INT(b.inner->started, 5);
    scripted_answer(b.inner, 3);
    EXPECT(scripted_asks(b.inner, 6, "g,h"));
    scripted_answer(b.inner, 4);
    scripted_answer(b.inner, 5);
    scripted_answer(b.inner, 6);
    ask_expect(&bulk[0], CX_OK);
    ask_expect(&bulk[1], CX_OK);
    ask_expect(&query, CX_OK);
    ask_expect(&more, CX_OK);
    bench_close(&b);
}

TEST(batcher_gives_each_caller_its_own_deadline)
{
    struct bench b;
    struct ask slow, quick, late;
    open_plain(&b);
    EXPECT_INT(ask_start(&b, &slow, Q, "a", 5000), CX_OK);
    EXPECT_INT(ask_start(&b, &quick, Q, "a,b", 100), CX_OK);
    bench_pass(&b, 15);
    EXPECT(scripted_find(b.inner, 1)->timeout_ms >= 4985); /* the longest counts */
    bench_pass(&b, 84);
    EXPECT(ask_waits(&quick));
    bench_pass(&b, 1);
    ask_expect(&quick, CX_EMBEDDING_TIMEOUT);
    EXPECT_INT(b.inner->cancelled, 0);
    EXPECT_INT(ask_start(&b, &late, Q, "b", 5000), CX_OK); /* still under way: joined */
    scripted_answer(b.inner, 1);
    ask_expect(&slow, CX_OK);
    ask_expect(&late, CX_OK);
    EXPECT_INT(b.inner->started, 1);
    bench_close(&b);
}

TEST(batcher_times_out_what_never_went_out)
{
    struct bench b;
    struct ask one, none;
    open_plain(&b);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5), CX_OK);
    EXPECT_INT(ask_start(&b, &none, Q, "b", 0), CX_OK);
    EXPECT(ask_waits(&none)); /* not within start */
    bench_pass(&b, 0);
    ask_expect(&none, CX_EMBEDDING_TIMEOUT);
    bench_pass(&b, 5);
    ask_expect(&one, CX_EMBEDDING_TIMEOUT);
    bench_pass(&b, 100);
    EXPECT_INT(b.inner->started, 0);
    bench_close(&b);
}

TEST(batcher_cancels_one_without_the_others)
{
    struct bench b;
    struct ask one, two, three;
    open_plain(&b);
    EXPECT_INT(ask_start(&b, &one, Q, "a,b", 5000), CX_OK);
    EXPECT_INT(ask_start(&b, &two, Q, "a,c", 5000), CX_OK);
    EXPECT_INT(ask_start(&b, &three, Q, "d", 5000), CX_OK);
    ask_cancel(&three); /* before it went out */
    bench_pass(&b, 15);
    ask_expect(&three, CX_CANCELLED);
    EXPECT(scripted_asks(b.inner, 1, "a,b,c"));
    ask_cancel(&one);
    EXPECT(ask_waits(&one)); /* not within cancel */
    bench_pass(&b, 0);
    ask_expect(&one, CX_CANCELLED);
    EXPECT_INT(b.inner->cancelled, 0);
    scripted_answer(b.inner, 1);
    ask_expect(&two, CX_OK);
    bench_close(&b);
}

TEST(batcher_cancels_the_call_when_nobody_is_left)
{
    struct bench b;
    struct ask one, two, again;
    open_plain(&b);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    EXPECT_INT(ask_start(&b, &two, Q, "a", 5000), CX_OK);
    bench_pass(&b, 15);
    ask_cancel(&one);
    EXPECT_INT(b.inner->cancelled, 0);
    ask_cancel(&two);
    EXPECT_INT(b.inner->cancelled, 1);
    bench_pass(&b, 0);
    ask_expect(&one, CX_CANCELLED);
    ask_expect(&two, CX_CANCELLED);
    EXPECT_INT(ask_start(&b, &again, Q, "a", 5000), CX_OK); /* not from the cancelled one */
    bench_pass(&b, 15);
    EXPECT_INT(b.inner->started, 2);
    EXPECT(!cx_embedder_idle(b.e));
    scripted_fail(b.inner, 1, (struct failure){ .status = CX_CANCELLED });
    EXPECT(ask_waits(&again));
    scripted_answer(b.inner, 2);
    ask_expect(&again, CX_OK);
    bench_close(&b);
}

TEST(batcher_never_sends_an_empty_text)
{
    struct bench b;
    struct ask one;
    open_plain(&b);
    EXPECT_INT(ask_start(&b, &one, Q, "", 5000), CX_INVALID);
    EXPECT_INT(ask_start(&b, &one, D, "a,,b", 5000), CX_INVALID);
    bench_pass(&b, 100);
    EXPECT_INT(b.inner->started, 0);
    bench_close(&b);
}

static void on_nothing(void *ctx, struct cx_embed_result *result)
{
    EXPECT_INT(result->status, CX_OK);
    EXPECT_INT(result->count, 0);
    *(bool *)ctx = true;
}

TEST(batcher_has_an_answer_for_no_texts)
{
    struct bench b;
    bool done = false;
    struct cx_embed_call *call;
    open_plain(&b);
    EXPECT_INT(cx_embedder_start(b.e, Q, NULL, 0, 5000, NULL, on_nothing, &done, &call, NULL),
               CX_OK);
    EXPECT(!done);
    bench_pass(&b, 0);
    EXPECT(done);
    bench_close(&b);
}

TEST(batcher_bounds_its_queue)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, two, three;
    bench_options(&b, &o);
    o.queue_texts_max = 4;
    o.queue_bytes_max = 20;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a,b,c", 5000), CX_OK);
    EXPECT_INT(ask_start(&b, &two, Q, "d,e", 5000), CX_OVERLOADED);
    EXPECT_INT(ask_start(&b, &two, Q, "a,b,c,d", 5000), CX_OK); /* only one is new */
    EXPECT_INT(ask_start(&b, &three, Q, "e", 5000), CX_OVERLOADED);
    EXPECT_INT(ask_start(&b, &three, Q, "1,2,3,4,5", 5000), CX_TOO_LARGE);
    EXPECT_INT(ask_start(&b, &three, Q, "xxxxxxxxxxxxxxxxxxxxx", 5000), CX_TOO_LARGE);
    bench_pass(&b, 15);
    EXPECT_INT(ask_start(&b, &three, Q, "e", 5000), CX_OVERLOADED); /* in flight counts too */
    scripted_answer(b.inner, 1);
    ask_expect(&one, CX_OK);
    ask_expect(&two, CX_OK);
    EXPECT_INT(ask_start(&b, &three, Q, "xxxxxxxxxxxxxxxxxxxx", 5000), CX_OK);
    EXPECT_INT(ask_start(&b, &one, Q, "y", 5000), CX_OVERLOADED);
    bench_pass(&b, 15);
    scripted_answer(b.inner, 2);
    ask_expect(&three, CX_OK);
    bench_close(&b);
}

TEST(batcher_remembers_in_memory)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, two, three;
    bench_options(&b, &o);
    o.cache_memory_bytes = 1 << 20;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a,b", 5000), CX_OK);
    bench_pass(&b, 15);
    scripted_answer(b.inner, 1);
    ask_expect(&one, CX_OK);
    EXPECT_INT(ask_start(&b, &two, Q, "b,a", 5000), CX_OK);
    EXPECT(ask_waits(&two)); /* never within start */
    bench_pass(&b, 0);
    ask_expect(&two, CX_OK);
    EXPECT_INT(ask_start(&b, &three, Q, "b,c,a", 5000), CX_OK);
    bench_pass(&b, 15);
    EXPECT(scripted_asks(b.inner, 2, "c"));
    scripted_answer(b.inner, 2);
    ask_expect(&three, CX_OK);
    EXPECT_INT(b.inner->started, 2);
    bench_close(&b);
}

TEST(batcher_never_mixes_two_dimensions)
{
    struct bench b;
    struct cx_batcher_options o;
    struct ask one, mixed, again;
    bench_options(&b, &o);
    o.cache_memory_bytes = 1 << 20;
    bench_open(&b, &o);
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);
    bench_pass(&b, 15);
    scripted_answer(b.inner, 1);
    ask_expect(&one, CX_OK);
    EXPECT_INT(ask_start(&b, &mixed, Q, "a,b,c,b,c", 5000), CX_OK); /* one is known, two are not */
    EXPECT_INT(ask_start(&b, &one, Q, "a", 5000), CX_OK);           /* known, not told yet */
    b.inner->base.dimension = BENCH_DIMENSION / 2;
    b.now_ms += 15;
    embed__dispatch((struct embed__batcher *)b.e);
    scripted_answer(b.inner, 2);
    ask_expect(&mixed, CX_EMBEDDING_UPSTREAM);
    ask_expect(&one, CX_EMBEDDING_UPSTREAM);
    EXPECT_INT(ask_start(&b, &again, Q, "a", 5000), CX_OK); /* what was known is forgotten */
    bench_pass(&b, 15);
    EXPECT(scripted_asks(b.inner, 3, "a"));
    scripted_answer(b.inner, 3);
    EXPECT_INT(again.result.status, CX_OK);
    EXPECT_INT(again.result.dimension, BENCH_DIMENSION / 2);
    ask_free(&again);
    bench_close(&b);
}

TEST(batcher_checks_its_options)
{
    struct bench b;
    struct cx_batcher_options o;
    struct cx_embedder *e = NULL;
    bench_options(&b, &o);
    struct cx_batcher_options wrong = o;
    wrong.document_calls_max = wrong.calls_max;
    EXPECT_INT(cx_embedder_batched(&wrong, &e, NULL), CX_INVALID);
    wrong = o;
    wrong.calls_max = 1;
    EXPECT_INT(cx_embedder_batched(&wrong, &e, NULL), CX_INVALID);
    wrong = o;
    wrong.tokens_max = wrong.input_tokens_max - 1;
    EXPECT_INT(cx_embedder_batched(&wrong, &e, NULL), CX_INVALID);
    wrong = o;
    wrong.attempts_max = 0;
    EXPECT_INT(cx_embedder_batched(&wrong, &e, NULL), CX_INVALID);
    wrong = o;
    wrong.queue_texts_max = 0;
    EXPECT_INT(cx_embedder_batched(&wrong, &e, NULL), CX_INVALID);
    wrong = o;
    wrong.breaker_successes = 0;
    EXPECT_INT(cx_embedder_batched(&wrong, &e, NULL), CX_INVALID);
    EXPECT(e == NULL);
    bench_open(&b, &o);
    struct cx_embedder_info inner, outer;
    cx_embedder_info(&b.inner->base, &inner);
    cx_embedder_info(b.e, &outer);
    EXPECT_STR(outer.provider, inner.provider);
    EXPECT_STR(outer.fingerprint, inner.fingerprint);
    EXPECT_INT(outer.dimension, inner.dimension);
    struct cx_circuit_info circuit;
    cx_embedder_circuit(&b.inner->base, &circuit);
    EXPECT_INT(circuit.state, CX_CIRCUIT_CLOSED);
    bench_close(&b);
}

/* ---- A caller with more texts than a turn of the loop has time for ---- */

#define MANY EMBED__TEXTS_MAX

struct many {
    char bytes[MANY][4];
    struct cx_str texts[MANY];
    struct cx_embed_call *call;
    unsigned completions;
    enum cx_status status;
};

static void on_many_done(void *ctx, struct cx_embed_result *result)
{
    struct many *m = ctx;
    m->completions++;
    m->status = result->status;
    m->call = NULL;
    free(result->vectors);
}

static void on_turn(void *ctx)
{
    cx_loop_stop(ctx);
}

static void new_turn(struct bench *b)
{
    struct cx_timer *timer = NULL;
    cx_timer_new(b->loop, on_turn, b->loop, &timer);
    cx_timer_start(timer, 0, 0);
    cx_loop_run(b->loop);
    cx_timer_free(&timer);
}

/* The clock is the real one. While the loop stands still its turn, once over, stays over. */
static struct many *start_many(struct bench *b)
{
    struct cx_batcher_options o;
    bench_options(b, &o);
    o.now_ms = NULL;
    o.window_ms = 0;
    o.inputs_max = MANY;
    o.tokens_max = SIZE_MAX;
    bench_open(b, &o);
    struct many *m = cx_alloc(sizeof *m);
    for (unsigned i = 0; i < MANY; i++) {
        for (unsigned k = 0; k < sizeof m->bytes[i]; k++) {
            m->bytes[i][k] = (char)('a' + (i >> (4 * k) & 15));
        }
        m->texts[i] = (struct cx_str){ m->bytes[i], sizeof m->bytes[i] };
    }
    struct cx_err err = { "" };
    CX_CHECK(cx_embedder_start(b->e, CX_EMBED_DOCUMENT, m->texts, MANY, 3600000, NULL, on_many_done,
                               m, &m->call, &err) == CX_OK);
    return m;
}

TEST(many_texts_are_asked_for_in_turns)
{
    struct bench b;
    struct many *m = start_many(&b);
    const struct embed__batcher *batcher = (const struct embed__batcher *)b.e;
    EXPECT(batcher->asking_first != NULL);
    EXPECT_INT(batcher->texts, MANY); /* the queue is kept for those that are still to come */
    EXPECT_INT(b.inner->started, 0);
    while (batcher->asking_first != NULL) {
        struct embed__caller *c = batcher->asking_first;
        const size_t before = c->asked;
        new_turn(&b);
        embed__batcher_fire(b.e);
        EXPECT(batcher->asking_first == NULL || c->asked > before);
        EXPECT_INT(batcher->texts, MANY);
    }
    EXPECT_INT(b.inner->started, 1); /* and yet it is one call */
    EXPECT_INT(b.inner->texts, MANY);
    scripted_answer(b.inner, 1);
    while (m->completions == 0) {
        new_turn(&b);
        embed__batcher_fire(b.e);
    }
    EXPECT_INT(m->status, CX_OK);
    free(m);
    bench_close(&b);
}

TEST(many_texts_are_given_up_amid_the_turns)
{
    struct bench b;
    struct many *m = start_many(&b);
    const struct embed__batcher *batcher = (const struct embed__batcher *)b.e;
    cx_embed_call_cancel(m->call);
    EXPECT(batcher->asking_first == NULL);
    while (m->completions == 0) {
        new_turn(&b);
        embed__batcher_fire(b.e);
    }
    EXPECT_INT(m->status, CX_CANCELLED);
    EXPECT_INT(b.inner->started, 0);
    free(m);
    bench_close(&b);
}

/* ---- A caller that starts and cancels from within its own end ---- */

struct chain {
    struct bench *bench;
    struct cx_embed_call *call;
    struct cx_embed_call *other;
    struct cx_str text;
    unsigned left;
    bool within;
};

static void on_chain_done(void *ctx, struct cx_embed_result *result)
{
    struct chain *c = ctx;
    EXPECT(!c->within);
    free(result->vectors);
    c->call = NULL;
    if (c->left-- > 0) {
        c->within = true;
        EXPECT_INT(cx_embedder_start(c->bench->e, Q, &c->text, 1, 5000, NULL, on_chain_done, c,
                                     &c->call, NULL),
                   CX_OK);
        if (c->left % 2 == 0) {
            cx_embed_call_cancel(c->call);
        }
        c->within = false;
    }
}

TEST(batcher_may_be_used_from_within_a_completion)
{
    struct bench b;
    struct cx_batcher_options o;
    bench_options(&b, &o);
    o.cache_memory_bytes = 1 << 20;
    o.window_ms = 0;
    bench_open(&b, &o);
    struct chain c = { .bench = &b, .text = CX_STR("x"), .left = 50 };
    EXPECT_INT(cx_embedder_start(b.e, Q, &c.text, 1, 5000, NULL, on_chain_done, &c, &c.call, NULL),
               CX_OK);
    scripted_answer(b.inner, 1);
    bench_pass(&b, 0);
    EXPECT_INT(c.left, UINT32_MAX);
    EXPECT_INT(b.inner->started, 1);
    bench_close(&b);
}

/* ---- Long answers are given out in slices ---- */

struct bulk {
    struct cx_embed_result result;
    unsigned completions;
};

static void on_bulk_done(void *ctx, struct cx_embed_result *result)
{
    struct bulk *bulk = ctx;
    bulk->completions++;
    bulk->result = *result;
}

TEST(batcher_gives_a_long_answer_out_in_slices)
{
    struct bench b;
    struct cx_batcher_options o;
    bench_options(&b, &o);
    o.inputs_max = 16384;
    bench_open(&b, &o);
    enum { COUNT = 30000 };
    static char names[COUNT][8];
    static struct cx_str texts[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%zu", i % 29000);
        texts[i] = cx_str_of(names[i]);
    }
    struct bulk bulk = { .completions = 0 };
    struct cx_embed_call *call;
    EXPECT_INT(
        cx_embedder_start(b.e, D, texts, COUNT, 5000, NULL, on_bulk_done, &bulk, &call, NULL),
        CX_OK);
    bench_pass(&b, 15);
    EXPECT_INT(b.inner->started, 2);
    EXPECT_INT(b.inner->texts, 29000);
    scripted_answer(b.inner, 2);
    scripted_answer(b.inner, 1);
    for (int i = 0; i < 100 && bulk.completions == 0; i++) {
        bench_pass(&b, 0);
    }
    REQUIRE(bulk.completions == 1);
    EXPECT_INT(bulk.result.status, CX_OK);
    size_t wrong = 0;
    for (size_t i = 0; i < COUNT; i++) {
        float want[BENCH_DIMENSION];
        vector_of(D, texts[i], want);
        wrong += memcmp(want, bulk.result.vectors + i * BENCH_DIMENSION, sizeof want) != 0 ? 1 : 0;
    }
    EXPECT_INT(wrong, 0);
    free(bulk.result.vectors);
    bench_close(&b);
}
