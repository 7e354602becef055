/* SPDX-License-Identifier: MIT
 *
 * The circuit breaker, the retry budget and the backoff by themselves.
 */
#include "cortex/loop.h"
#include "test.h"

static uint64_t take(struct cx_breaker *b, uint64_t now)
{
    uint64_t epoch = UINT64_MAX;
    EXPECT(cx_breaker_take(b, now, &epoch));
    return epoch;
}

static void fail(struct cx_breaker *b, unsigned times, uint64_t now)
{
    for (unsigned i = 0; i < times; i++) {
        cx_breaker_failure(b, take(b, now), now);
    }
}

TEST(breaker_opens_at_the_third_failure_in_a_row)
{
    struct cx_breaker b;
    cx_breaker_init(&b, 3, 2, 60000);
    fail(&b, 2, 100);
    cx_breaker_success(&b, take(&b, 100));
    fail(&b, 2, 100);
    EXPECT_INT(b.state, CX_CIRCUIT_CLOSED);
    fail(&b, 1, 100);
    EXPECT_INT(b.state, CX_CIRCUIT_OPEN);
    EXPECT_INT(b.opened, 1);
    EXPECT_INT(cx_breaker_wait_ms(&b, 100), 60000);
    EXPECT(!cx_breaker_ready(&b, 60099));
    EXPECT(cx_breaker_ready(&b, 60100));
}

TEST(breaker_half_open_lets_one_through_and_closes_after_two)
{
    struct cx_breaker b;
    uint64_t epoch;
    cx_breaker_init(&b, 3, 2, 60000);
    fail(&b, 3, 0);
    EXPECT(!cx_breaker_take(&b, 59999, &epoch));
    const uint64_t probe = take(&b, 60000);
    EXPECT_INT(b.state, CX_CIRCUIT_HALF_OPEN);
    EXPECT(!cx_breaker_take(&b, 60000, &epoch));
    EXPECT(!cx_breaker_take(&b, 900000, &epoch));
    cx_breaker_success(&b, probe);
    EXPECT_INT(b.state, CX_CIRCUIT_HALF_OPEN);
    cx_breaker_success(&b, take(&b, 60001));
    EXPECT_INT(b.state, CX_CIRCUIT_CLOSED);
    fail(&b, 2, 60002);
    EXPECT_INT(b.state, CX_CIRCUIT_CLOSED); /* the count began anew */
}

TEST(breaker_half_open_falls_back_at_once)
{
    struct cx_breaker b;
    uint64_t epoch;
    cx_breaker_init(&b, 3, 2, 60000);
    fail(&b, 3, 0);
    cx_breaker_success(&b, take(&b, 60000));
    cx_breaker_failure(&b, take(&b, 60001), 60001);
    EXPECT_INT(b.state, CX_CIRCUIT_OPEN);
    EXPECT_INT(b.opened, 2);
    EXPECT(!cx_breaker_take(&b, 120000, &epoch));
    cx_breaker_success(&b, take(&b, 120001));
    EXPECT_INT(b.state, CX_CIRCUIT_HALF_OPEN); /* the success before the fall does not count */
}

TEST(breaker_hears_nothing_from_calls_of_an_earlier_state)
{
    struct cx_breaker b;
    cx_breaker_init(&b, 3, 1, 60000);
    const uint64_t old = take(&b, 0);
    fail(&b, 3, 0);
    cx_breaker_success(&b, old);
    EXPECT_INT(b.state, CX_CIRCUIT_OPEN);
    const uint64_t probe = take(&b, 60000);
    cx_breaker_success(&b, old);
    cx_breaker_failure(&b, old, 60000);
    cx_breaker_neutral(&b, old);
    EXPECT_INT(b.state, CX_CIRCUIT_HALF_OPEN);
    EXPECT(b.probing);
    cx_breaker_neutral(&b, probe);
    EXPECT_INT(b.state, CX_CIRCUIT_HALF_OPEN);
    EXPECT(cx_breaker_ready(&b, 60000)); /* the probe said nothing: another may go */
    cx_breaker_success(&b, take(&b, 60000));
    EXPECT_INT(b.state, CX_CIRCUIT_CLOSED);
}

TEST(breaker_of_zero_failures_never_opens)
{
    struct cx_breaker b;
    cx_breaker_init(&b, 0, 2, 60000);
    fail(&b, 1000, 0);
    EXPECT_INT(b.state, CX_CIRCUIT_CLOSED);
}

TEST(budget_gives_its_reserve_and_a_share_of_the_calls)
{
    struct cx_retry_budget b;
    cx_retry_budget_init(&b, 10, 2, 0);
    EXPECT(cx_retry_budget_take(&b, 0));
    EXPECT(cx_retry_budget_take(&b, 0));
    EXPECT(!cx_retry_budget_take(&b, 0));
    for (int i = 0; i < 9; i++) {
        cx_retry_budget_earn(&b);
    }
    EXPECT(!cx_retry_budget_take(&b, 0));
    cx_retry_budget_earn(&b);
    EXPECT(cx_retry_budget_take(&b, 0));
    EXPECT(!cx_retry_budget_take(&b, 29000));
    EXPECT(cx_retry_budget_take(&b, 30100)); /* two a minute */
    EXPECT(!cx_retry_budget_take(&b, 30100));
    EXPECT(cx_retry_budget_take(&b, 10000000));
    EXPECT(cx_retry_budget_take(&b, 10000000)); /* a long rest fills the reserve, not more */
    EXPECT(!cx_retry_budget_take(&b, 10000000));
}

TEST(budget_does_not_multiply_an_outage)
{
    struct cx_retry_budget b;
    cx_retry_budget_init(&b, 10, 10, 0);
    unsigned tries = 0;
    for (unsigned i = 0; i < 1000; i++) {
        cx_retry_budget_earn(&b);
        tries += cx_retry_budget_take(&b, 0) ? 1 : 0;
    }
    EXPECT(tries >= 100 && tries <= 111);
}

TEST(budget_of_nothing_gives_nothing)
{
    struct cx_retry_budget b;
    cx_retry_budget_init(&b, 0, 0, 0);
    for (int i = 0; i < 100; i++) {
        cx_retry_budget_earn(&b);
    }
    EXPECT(!cx_retry_budget_take(&b, 1000000));
}

TEST(backoff_is_full_jitter_under_a_cap)
{
    struct cx_random random;
    cx_random_init(&random);
    const uint64_t most[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
    for (unsigned tries = 0; tries < CX_ARRAY_LEN(most); tries++) {
        uint64_t low = UINT64_MAX;
        uint64_t high = 0;
        for (int i = 0; i < 2000; i++) {
            const uint64_t ms = cx_backoff_ms(&random, tries, 100, 1000);
            low = ms < low ? ms : low;
            high = ms > high ? ms : high;
        }
        EXPECT(high <= most[tries]);
        EXPECT(high > most[tries] * 9 / 10);
        EXPECT(low < most[tries] / 10);
    }
    EXPECT_INT(cx_backoff_ms(&random, 5, 0, 1000), 0);
    EXPECT(cx_backoff_ms(&random, 4000000000U, 100, 1000) <= 1000);
}
