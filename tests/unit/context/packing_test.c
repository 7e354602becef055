/* SPDX-License-Identifier: MIT
 *
 * Packing: the order of priority, what still fits, the best sum against every choice there is, and
 * duplicates.
 */
#include <stdlib.h>
#include <string.h>

#include "context/similar.h"
#include "cortex/context.h"
#include "test.h"

#define ITEMS 12

static struct cx_packing_item items[ITEMS];
static size_t order[ITEMS];

/* A text of so many tokens: " a" is one. */
static struct cx_str words(size_t tokens, char letter)
{
    static char text[ITEMS][4096];
    static size_t next = 0;
    char *p = text[next++ % ITEMS];
    for (size_t i = 0; i < tokens; i++) {
        p[2 * i] = ' ';
        p[2 * i + 1] = letter;
    }
    return (struct cx_str){ p, 2 * tokens };
}

static struct cx_packing of(size_t count, size_t budget)
{
    return (struct cx_packing){ .budget = budget, .items = items, .count = count, .order = order };
}

static void set(size_t index, struct cx_str content, double priority)
{
    items[index] = (struct cx_packing_item){ .content = content, .priority = priority };
}

TEST(the_highest_priority_goes_first_and_equal_ones_in_the_order_given)
{
    set(0, words(10, 'a'), 0);
    set(1, words(10, 'b'), 5);
    set(2, words(10, 'c'), 0);
    set(3, words(10, 'd'), 5);
    struct cx_packing p = of(4, 40);
    REQUIRE(cx_packing_run(&p, NULL) == CX_OK);
    REQUIRE(p.kept == 4);
    EXPECT_INT(order[0], 1);
    EXPECT_INT(order[1], 3);
    EXPECT_INT(order[2], 0);
    EXPECT_INT(order[3], 2);
    EXPECT_INT(p.total_tokens, 40);
}

TEST(a_later_smaller_one_goes_in_where_an_earlier_one_did_not_fit)
{
    set(0, words(30, 'a'), 9);
    set(1, words(30, 'b'), 8);
    set(2, words(10, 'c'), 7);
    struct cx_packing p = of(3, 40);
    REQUIRE(cx_packing_run(&p, NULL) == CX_OK);
    EXPECT_INT(p.kept, 2);
    EXPECT_INT(items[0].reason, CX_PACKING_KEPT);
    EXPECT_INT(items[1].reason, CX_PACKING_NO_ROOM);
    EXPECT_INT(items[1].tokens, 30);
    EXPECT_INT(items[2].reason, CX_PACKING_KEPT);
    EXPECT_INT(p.total_tokens, 40);
}

TEST(nothing_goes_into_no_budget_not_even_nothing)
{
    set(0, CX_STR(""), 1);
    set(1, words(1, 'a'), 1);
    for (int strategy = 0; strategy < 2; strategy++) {
        struct cx_packing p = of(2, 0);
        p.strategy = (enum cx_packing_strategy)strategy;
        REQUIRE(cx_packing_run(&p, NULL) == CX_OK);
        EXPECT_INT(p.kept, 0);
        EXPECT_INT(items[0].reason, CX_PACKING_NO_ROOM);
    }
    struct cx_packing none = of(0, 10);
    REQUIRE(cx_packing_run(&none, NULL) == CX_OK);
    EXPECT_INT(none.kept, 0);
}

TEST(a_knapsack_prefers_two_that_are_worth_more_together)
{
    set(0, words(40, 'a'), 10);
    set(1, words(20, 'b'), 6);
    set(2, words(20, 'c'), 6);
    set(3, words(1, 'd'), -1);
    set(4, words(1, 'e'), 0);
    struct cx_packing p = of(5, 41);
    p.strategy = CX_PACKING_KNAPSACK;
    REQUIRE(cx_packing_run(&p, NULL) == CX_OK);
    EXPECT_INT(items[0].reason, CX_PACKING_NO_ROOM);
    EXPECT_INT(items[1].reason, CX_PACKING_KEPT);
    EXPECT_INT(items[2].reason, CX_PACKING_KEPT);
    EXPECT_INT(items[3].reason, CX_PACKING_NO_GAIN);
    EXPECT_INT(items[4].reason, CX_PACKING_KEPT);
    EXPECT_INT(p.total_tokens, 41);
}

/* The highest sum of priorities of all choices that fit, and the fewest tokens it is had with. */
static void try_every_choice(size_t count, size_t budget, double *sum, size_t *tokens)
{
    *sum = 0;
    *tokens = 0;
    for (unsigned choice = 0; choice < 1U << count; choice++) {
        double s = 0;
        size_t t = 0;
        for (size_t i = 0; i < count; i++) {
            if ((choice >> i & 1) != 0) {
                s += items[i].priority;
                t += items[i].tokens;
            }
        }
        if (t <= budget && (s > *sum || (s >= *sum && t < *tokens))) {
            *sum = s;
            *tokens = t;
        }
    }
}

TEST(a_knapsack_finds_the_best_of_every_choice)
{
    uint64_t state = 88172645463325252ULL;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < ITEMS; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            set(i, words(1 + state % 60, (char)('a' + i)), (double)(1 + (state >> 20) % 30));
        }
        struct cx_packing p = of(ITEMS, state % 300);
        p.strategy = CX_PACKING_KNAPSACK;
        REQUIRE(cx_packing_run(&p, NULL) == CX_OK);
        double got = 0;
        for (size_t i = 0; i < p.kept; i++) {
            got += items[order[i]].priority;
        }
        double best = 0;
        size_t tokens = 0;
        try_every_choice(ITEMS, p.budget, &best, &tokens);
        EXPECT(got >= best && got <= best);
        EXPECT_INT(p.total_tokens, tokens);
    }
}

TEST(duplicates_are_dropped_where_that_is_asked_for)
{
    const struct cx_str text = CX_STR("the loop owns every socket and never waits for a disk");
    for (int strategy = 0; strategy < 2; strategy++) {
        set(0, text, 1);
        set(1, text, 2);
        set(2, CX_STR("The loop owns every socket and never waits for a disk"), 1);
        set(3, CX_STR("a lane has a bound on what runs and on what waits"), 1);
        struct cx_packing p = of(4, 100);
        p.strategy = (enum cx_packing_strategy)strategy;
        REQUIRE(cx_packing_run(&p, NULL) == CX_OK);
        EXPECT_INT(p.kept, 4);
        p.similarity = 1;
        REQUIRE(cx_packing_run(&p, NULL) == CX_OK);
        EXPECT_INT(p.kept, 3);
        EXPECT_INT(items[0].reason, CX_PACKING_DUPLICATE);
        EXPECT_INT(items[0].duplicate_of, 1);
        p.similarity = 0.9;
        REQUIRE(cx_packing_run(&p, NULL) == CX_OK);
        EXPECT_INT(p.kept, 2);
        EXPECT_INT(items[2].reason, CX_PACKING_DUPLICATE);
        EXPECT_INT(items[2].duplicate_of, 1);
        EXPECT_INT(items[3].reason, CX_PACKING_KEPT);
    }
}

TEST(one_like_an_item_that_found_no_room_goes_in)
{
    set(0, words(50, 'a'), 2);
    set(1, words(45, 'a'), 1);
    struct cx_packing p = of(2, 45);
    p.similarity = 0.9;
    REQUIRE(cx_packing_run(&p, NULL) == CX_OK);
    EXPECT_INT(items[0].reason, CX_PACKING_NO_ROOM);
    EXPECT_INT(items[1].reason, CX_PACKING_KEPT);
}

static double similarity_of(struct cx_str a, struct cx_str b)
{
    static struct context__sketch x;
    static struct context__sketch y;
    const uint8_t key[16] = { 1 };
    EXPECT(context__sketch(key, a, &x, NULL) == CX_OK);
    EXPECT(context__sketch(key, b, &y, NULL) == CX_OK);
    return context__similarity(&x, &y);
}

static void expect_about(double got, double want, double error)
{
    EXPECT(got >= want - error && got <= want + error);
}

TEST(similarity_is_the_share_of_common_shingles)
{
    /* a b c, b c d, c d e against b c d, c d e, d e f: two of four */
    expect_about(similarity_of(CX_STR("a b c d e"), CX_STR("b  c\nd E f")), 0.5, 1e-9);
    expect_about(similarity_of(CX_STR("one"), CX_STR("one")), 1, 1e-9);
    expect_about(similarity_of(CX_STR("one"), CX_STR("ONE ")), 1, 1e-9);
    expect_about(similarity_of(CX_STR("one two"), CX_STR("one")), 0, 1e-9);
    expect_about(similarity_of(CX_STR(""), CX_STR("one")), 0, 1e-9);
    expect_about(similarity_of(CX_STR(""), CX_STR("")), 1, 1e-9);
    expect_about(similarity_of(CX_STR(""), CX_STR(" ")), 0, 1e-9);
    char mine[300];
    char other[300];
    memset(mine, 'x', sizeof mine); /* one word of several pieces: not those of its end alone */
    memset(other, 'x', sizeof other);
    other[0] = 'y';
    expect_about(
        similarity_of((struct cx_str){ mine, sizeof mine }, (struct cx_str){ other, sizeof other }),
        0, 1e-9);
}

TEST(similarity_of_long_texts_is_estimated)
{
    struct cx_buf a;
    struct cx_buf b;
    cx_buf_init(&a, 1 << 20);
    cx_buf_init(&b, 1 << 20);
    for (int i = 0; i < 9000; i++) {
        cx_buf_printf(i < 8000 ? &a : &b, "w%d ", i);
        if (i >= 1000 && i < 8000) {
            cx_buf_printf(&b, "w%d ", i);
        }
    }
    expect_about(similarity_of((struct cx_str){ a.data, a.len }, (struct cx_str){ b.data, b.len }),
                 7000.0 / 9000.0, 0.1);
    cx_buf_free(&a);
    cx_buf_free(&b);
}
