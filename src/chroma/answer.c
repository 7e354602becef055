/* SPDX-License-Identifier: MIT
 *
 * What the Chroma server's answer means for an operation and for the breaker, and whether it is worth
 * asking again. Loop thread.
 */
#include "call.h"

#define RETRY_BASE_MS 50
#define RETRY_CAP_MS 2000
#define RETRY_AFTER_MAX_MS 86400000

/* What an answer means for the operation. */
struct verdict {
    enum cx_status status;
    bool weather; /* the server's own trouble: counts for the breaker */
    bool again;   /* may be better the next time */
    const char *text;
};
static struct verdict judge(const struct cx_fetch_response *response);
static uint64_t retry_after_ms(const struct cx_fetch_response *response);

static void try_again(struct cx_chroma_call *call, enum cx_status status, const char *text,
                      uint64_t retry_after_ms);
static void on_pause_over(void *ctx);

void chroma__on_answer(void *ctx, const struct cx_fetch_response *response)
{
    struct cx_chroma_call *call = ctx;
    struct cx_chroma *c = call->chroma;
    struct cx_call *request = call->request;
    call->request = NULL;
    if (call->cancelled || response->outcome == CX_FETCH_CANCELLED) {
        cx_breaker_neutral(&c->breaker, call->epoch);
        chroma__end(call, CX_CANCELLED, NULL);
        return;
    }
    const struct verdict v = judge(response);
    const enum cx_circuit before = c->breaker.state;
    if (v.weather) {
        cx_breaker_failure(&c->breaker, call->epoch, cx_loop_now_ms(c->options.loop));
    } else if (v.status == CX_VECTOR_RATE_LIMITED) {
        cx_breaker_neutral(&c->breaker, call->epoch);
    } else {
        cx_breaker_success(&c->breaker, call->epoch);
    }
    chroma__circuit_told(c, before);
    cx_histogram_observe(c->seconds, (double)(cx_clock_mono_ns() - call->sent_ns) / 1e9);
    cx_counter_add(v.status == CX_OK || v.status == CX_NOT_FOUND ? c->ok
                   : v.weather || v.again                        ? c->failed
                                                                 : c->refused,
                   1);
    if (v.again) {
        try_again(call, v.status, v.text, retry_after_ms(response));
    } else if (v.status == CX_NOT_FOUND) {
        chroma__on_not_found(call);
    } else if (v.status != CX_OK) {
        chroma__end(call, v.status, v.text);
    } else {
        chroma__on_good(call, request, response);
    }
}

static struct verdict judge(const struct cx_fetch_response *response)
{
    switch (response->outcome) {
    case CX_FETCH_OK:
        break;
    case CX_FETCH_TIMEOUT:
        return (struct verdict){ CX_VECTOR_TIMEOUT, true, true, NULL };
    case CX_FETCH_TOO_LARGE:
        return (struct verdict){ CX_TOO_LARGE, false, false,
                                 "The answer would be too large: ask for less at once" };
    case CX_FETCH_RESOLVE:
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true,
                                 "the vector store cannot be reached: its name was not found" };
    case CX_FETCH_CONNECT:
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true,
                                 "the vector store cannot be reached" };
    case CX_FETCH_TLS:
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true,
                                 "no secure connection to the vector store" };
    case CX_FETCH_BROKEN:
    case CX_FETCH_CANCELLED:
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true,
                                 "the vector store broke off its answer" };
    }
    const int status = response->status;
    if (status >= 200 && status < 300) {
        return (struct verdict){ CX_OK, false, false, NULL };
    }
    if (status == 404) {
        return (struct verdict){ CX_NOT_FOUND, false, false, NULL };
    }
    if (status == 401 || status == 403) {
        return (struct verdict){ CX_VECTOR_UNAUTHORIZED, true, false, NULL };
    }
    if (status == 429) {
        return (struct verdict){ CX_VECTOR_RATE_LIMITED, false, true, NULL };
    }
    if (status == 413) {
        return (struct verdict){ CX_TOO_LARGE, false, false,
                                 "The vector store does not take so much at once" };
    }
    if (status == 408 || status == 504) {
        return (struct verdict){ CX_VECTOR_TIMEOUT, true, true, NULL };
    }
    if (status >= 500) {
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true, NULL };
    }
    return (struct verdict){ CX_VECTOR_UPSTREAM, false, false,
                             "the vector store refused the request" };
}

static uint64_t retry_after_ms(const struct cx_fetch_response *response)
{
    uint64_t seconds = 0;
    if (response->outcome != CX_FETCH_OK ||
        !cx_parse_u64(cx_fetch_header(response, "retry-after"), &seconds)) {
        return 0;
    }
    return seconds < RETRY_AFTER_MAX_MS / 1000 ? seconds * 1000 : RETRY_AFTER_MAX_MS;
}

/* ---- Again ---- */

static void try_again(struct cx_chroma_call *call, enum cx_status status, const char *text,
                      uint64_t retry_after)
{
    struct cx_chroma *c = call->chroma;
    const uint64_t now = cx_loop_now_ms(c->options.loop);
    call->op->retry_after_ms = retry_after;
    call->asked = true;
    const uint64_t backoff_ms =
        retry_after > 0 ? retry_after
                        : cx_backoff_ms(&c->random, call->tries, RETRY_BASE_MS, RETRY_CAP_MS);
    call->tries++;
    if (call->tries >= c->options.attempts_max || now + backoff_ms >= call->deadline_ms ||
        c->breaker.state == CX_CIRCUIT_OPEN || !cx_retry_budget_take(&c->budget, now)) {
        chroma__end(call, status, text);
        return;
    }
    cx_counter_add(c->retries, 1);
    call->phase = PHASE_PAUSING;
    if (call->timer == NULL) {
        cx_timer_new(c->options.loop, on_pause_over, call, &call->timer);
    }
    cx_timer_start(call->timer, backoff_ms, 0);
}

static void on_pause_over(void *ctx)
{
    chroma__proceed(ctx);
}
