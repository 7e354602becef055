/* SPDX-License-Identifier: MIT
 *
 * retry: when a second try may go out, and whether one may at all. Time comes from outside.
 */
#ifndef CORTEX_EMBED_RETRY_H
#define CORTEX_EMBED_RETRY_H

#include "cortex/base.h"

/* A token bucket: each call earns a share of a second try, and a reserve flows in over a minute, so
 * that a busy service's outage is not multiplied and a quiet one is still tried again. */
struct embed__budget {
    uint64_t held;     /* thousandths of a try, as all here */
    uint64_t held_max; /* the reserve */
    uint64_t earned;   /* by a call */
    uint64_t filled_ms;
};
void embed__budget_init(struct embed__budget *b, unsigned percent, unsigned reserve,
                        uint64_t now_ms);
void embed__budget_earn(struct embed__budget *b);
bool embed__budget_take(struct embed__budget *b, uint64_t now_ms);

/* Full jitter: anything from 0 to base · 2^tries, at most cap (AWS Architecture Blog, "Exponential
 * Backoff And Jitter", 2015). tries: how many have failed, less one. */
uint64_t embed__backoff_ms(struct cx_random *random, unsigned tries, uint64_t base_ms,
                           uint64_t cap_ms);

#endif
