/* SPDX-License-Identifier: MIT
 *
 * breaker: whether a provider that fails may be asked.
 *
 *   CLOSED     --so many failures in a row--> OPEN
 *   OPEN       --its time is over, a call is taken--> HALF_OPEN
 *   HALF_OPEN  --so many successes in a row--> CLOSED, --a failure--> OPEN
 *
 * While it is half-open one call is out at a time. What was sent before a change tells nothing after
 * it: each leave carries the epoch in which it was taken. Plain arithmetic, time comes from outside.
 */
#ifndef CORTEX_EMBED_BREAKER_H
#define CORTEX_EMBED_BREAKER_H

#include "cortex/embed.h"

struct embed__breaker {
    unsigned failures_to_open; /* 0 = never opens */
    unsigned successes_to_close;
    uint64_t open_ms;
    enum cx_circuit state;
    unsigned failures;  /* in a row */
    unsigned successes; /* in a row, while half-open */
    bool probing;       /* the one call of half-open is out */
    uint64_t open_until_ms;
    uint64_t epoch;
    uint64_t opened; /* times */
};

void embed__breaker_init(struct embed__breaker *b, unsigned failures_to_open,
                         unsigned successes_to_close, uint64_t open_ms);
/* Whether embed__breaker_take would give leave. */
bool embed__breaker_ready(const struct embed__breaker *b, uint64_t now_ms);
/* Leave for one call, which must end in one of the three below. */
bool embed__breaker_take(struct embed__breaker *b, uint64_t now_ms, uint64_t *epoch);
void embed__breaker_success(struct embed__breaker *b, uint64_t epoch);
void embed__breaker_failure(struct embed__breaker *b, uint64_t epoch, uint64_t now_ms);
void embed__breaker_neutral(struct embed__breaker *b, uint64_t epoch); /* it says nothing */
uint64_t embed__breaker_wait_ms(const struct embed__breaker *b, uint64_t now_ms);

#endif
