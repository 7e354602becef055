/* SPDX-License-Identifier: MIT
 *
 * The circuit breaker's states. One function changes the state.
 */
#include "cortex/loop.h"

static void move_to(struct cx_breaker *b, enum cx_circuit state);

const char *cx_circuit_name(enum cx_circuit state)
{
    static const char *const names[] = { "closed", "open", "half_open" };
    CX_CHECK((size_t)state < CX_ARRAY_LEN(names));
    return names[state];
}

void cx_breaker_init(struct cx_breaker *b, unsigned failures_to_open, unsigned successes_to_close,
                     uint64_t open_ms)
{
    *b = (struct cx_breaker){ .failures_to_open = failures_to_open,
                              .successes_to_close = successes_to_close,
                              .open_ms = open_ms };
}

bool cx_breaker_ready(const struct cx_breaker *b, uint64_t now_ms)
{
    switch (b->state) {
    case CX_CIRCUIT_CLOSED:
        return true;
    case CX_CIRCUIT_OPEN:
        return now_ms >= b->open_until_ms;
    case CX_CIRCUIT_HALF_OPEN:
        return !b->probing;
    }
    return false;
}

bool cx_breaker_take(struct cx_breaker *b, uint64_t now_ms, uint64_t *epoch)
{
    if (!cx_breaker_ready(b, now_ms)) {
        return false;
    }
    if (b->state == CX_CIRCUIT_OPEN) {
        move_to(b, CX_CIRCUIT_HALF_OPEN);
    }
    b->probing = b->state == CX_CIRCUIT_HALF_OPEN;
    *epoch = b->epoch;
    return true;
}

void cx_breaker_success(struct cx_breaker *b, uint64_t epoch)
{
    if (epoch != b->epoch) {
        return;
    }
    b->failures = 0;
    b->probing = false;
    if (b->state == CX_CIRCUIT_HALF_OPEN && ++b->successes >= b->successes_to_close) {
        move_to(b, CX_CIRCUIT_CLOSED);
    }
}

void cx_breaker_failure(struct cx_breaker *b, uint64_t epoch, uint64_t now_ms)
{
    if (epoch != b->epoch || b->failures_to_open == 0) {
        return;
    }
    b->failures++;
    b->probing = false;
    if (b->state == CX_CIRCUIT_HALF_OPEN || b->failures >= b->failures_to_open) {
        b->open_until_ms = now_ms + b->open_ms;
        b->opened++;
        move_to(b, CX_CIRCUIT_OPEN);
    }
}

void cx_breaker_neutral(struct cx_breaker *b, uint64_t epoch)
{
    if (epoch == b->epoch) {
        b->probing = false;
    }
}

uint64_t cx_breaker_wait_ms(const struct cx_breaker *b, uint64_t now_ms)
{
    return b->state == CX_CIRCUIT_OPEN && b->open_until_ms > now_ms ? b->open_until_ms - now_ms : 0;
}

static void move_to(struct cx_breaker *b, enum cx_circuit state)
{
    b->state = state;
    b->epoch++;
    b->successes = 0;
    b->probing = false;
    if (state != CX_CIRCUIT_OPEN) {
        b->failures = 0;
    }
}
