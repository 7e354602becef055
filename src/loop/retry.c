/* SPDX-License-Identifier: MIT
 *
 * The retry budget and the backoff.
 */
#include "cortex/loop.h"

#define TRY 1000
#define MINUTE_MS 60000

static uint64_t at_most(uint64_t value, uint64_t limit);

void cx_retry_budget_init(struct cx_retry_budget *b, unsigned percent, unsigned reserve,
                          uint64_t now_ms)
{
    *b = (struct cx_retry_budget){ .held = (uint64_t)reserve * TRY,
                                   .held_max = (uint64_t)reserve * TRY,
                                   .earned = (uint64_t)percent * TRY / 100,
                                   .filled_ms = now_ms };
}

/* What is earned may pile up beyond the reserve, to ten times of it: a burst of calls earns its
 * own tries. */
void cx_retry_budget_earn(struct cx_retry_budget *b)
{
    const uint64_t most = b->held_max * 10 > TRY ? b->held_max * 10 : TRY;
    if (b->held < most) {
        b->held = at_most(b->held + b->earned, most);
    }
}

bool cx_retry_budget_take(struct cx_retry_budget *b, uint64_t now_ms)
{
    const uint64_t passed_ms = at_most(now_ms - b->filled_ms, MINUTE_MS);
    const uint64_t inflow = b->held_max * passed_ms / MINUTE_MS;
    if (b->held >= b->held_max) {
        b->filled_ms = now_ms;
    } else if (inflow > 0) {
        b->held = at_most(b->held + inflow, b->held_max);
        b->filled_ms = now_ms;
    }
    if (b->held < TRY) {
        return false;
    }
    b->held -= TRY;
    return true;
}

uint64_t cx_backoff_ms(struct cx_random *random, unsigned tries, uint64_t base_ms, uint64_t cap_ms)
{
    uint64_t most = base_ms;
    for (unsigned i = 0; i < tries && most < cap_ms; i++) {
        most *= 2;
    }
    most = at_most(most, cap_ms);
    uint64_t bits = 0;
    cx_random_fill(random, &bits, sizeof bits);
    return bits % (most + 1);
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}
