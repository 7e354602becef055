/* SPDX-License-Identifier: MIT
 *
 * When pending documents are embedded: from the start to the end of the daemon, and how long after a
 * failure (pending.h). On the loop.
 */
#include "api/pending.h"

#include <stdlib.h>

#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 60000
#define RETRY_AFTER_MAX_MS 900000

static void arm(struct api__pending *p, uint64_t delay_ms);
static uint64_t drawn_pause(struct api__pending *p);
static void on_time(void *ctx);

/* ---- Its life ---- */

void api__pending_start(struct cx_api *api)
{
    struct api__pending *p = cx_alloc(sizeof *p);
    p->api = api;
    p->pause_ms = PAUSE_MIN_MS;
    cx_random_init(&p->random);
    cx_timer_new(api->options.loop, on_time, p, &p->timer);
    api->pending = p;
    struct cx_vector_store_figures figures;
    cx_vector_store_figures(api->vector, &figures);
    if (figures.pending > 0) {
        CX_LOG(CX_LOG_INFO, "documents wait for their vectors", CX_I("pending", figures.pending));
    }
    if (figures.pending > 0 || figures.unready > 0) {
        arm(p, 0);
    }
}

void api__pending_stop(struct cx_api *api)
{
    struct api__pending *p = api->pending;
    if (p != NULL) {
        cx_timer_free(&p->timer);
        if (p->call != NULL) {
            cx_embed_call_cancel(p->call);
        }
    }
}

bool api__pending_idle(const struct cx_api *api)
{
    return api->pending == NULL || api->pending->state == PENDING_IDLE;
}

void api__pending_free(struct cx_api *api)
{
    struct api__pending *p = api->pending;
    if (p != NULL) {
        cx_timer_free(&p->timer);
        free(p->refused.items);
        free(p);
        api->pending = NULL;
    }
}

void api__pending_wake(struct cx_api *api)
{
    struct api__pending *p = api->pending;
    if (p != NULL && p->timer != NULL) {
        p->asked = true;
        if (p->state == PENDING_IDLE && !p->armed) {
            arm(p, drawn_pause(p)); /* the service has just failed */
        }
    }
}

void api__pending_hurry(struct cx_api *api)
{
    struct api__pending *p = api->pending;
    if (p != NULL && p->timer != NULL) {
        p->asked = true;
        if (p->state == PENDING_IDLE) {
            arm(p, 0);
        }
    }
}

void api__pending_service_answers(struct cx_api *api)
{
    struct api__pending *p = api->pending;
    if (p != NULL && p->timer != NULL && p->failing && p->state == PENDING_IDLE) {
        arm(p, 0);
    }
}

bool api__embedding_failed(enum cx_status status)
{
    return status == CX_EMBEDDING_UPSTREAM || status == CX_EMBEDDING_UNAUTHORIZED ||
           status == CX_EMBEDDING_CIRCUIT_OPEN || status == CX_EMBEDDING_RATE_LIMITED ||
           status == CX_EMBEDDING_TIMEOUT;
}

static void arm(struct api__pending *p, uint64_t delay_ms)
{
    p->armed = true;
    cx_timer_start(p->timer, delay_ms, 0);
}

static uint64_t drawn_pause(struct api__pending *p)
{
    uint32_t drawn;
    cx_random_fill(&p->random, &drawn, sizeof drawn);
    return p->pause_ms / 2 + drawn % (p->pause_ms / 2);
}

static void on_time(void *ctx)
{
    struct api__pending *p = ctx;
    p->armed = false;
    if (p->state == PENDING_IDLE) {
        api__pending_read(p);
    }
}

/* ---- How it went ---- */

void api__pending_end_pass(struct api__pending *p)
{
    if (p->asked) {
        api__pending_read(p);
        return;
    }
    p->failing = false; /* nothing is left that could be tried */
    p->pause_ms = PAUSE_MIN_MS;
    api__pending_rest(p);
}

void api__pending_succeeded(struct api__pending *p)
{
    if (p->failing) {
        p->failing = false;
        CX_LOG(CX_LOG_INFO, "pending documents are embedded again");
    }
    p->pause_ms = PAUSE_MIN_MS;
}

void api__pending_fail(struct api__pending *p, const char *why, uint64_t retry_after_ms)
{
    const bool ending = p->timer == NULL;
    p->resume = p->v != NULL;
    api__pending_rest(p);
    if (ending) {
        return;
    }
    if (!p->failing) {
        struct cx_vector_store_figures figures;
        cx_vector_store_figures(p->api->vector, &figures);
        CX_LOG(CX_LOG_WARN, "pending documents cannot be embedded now; trying again",
               CX_S("error", why), CX_I("pending", figures.pending));
        p->failing = true;
    }
    const uint64_t asked_ms =
        retry_after_ms < RETRY_AFTER_MAX_MS ? retry_after_ms : RETRY_AFTER_MAX_MS;
    const uint64_t pause_ms = drawn_pause(p);
    arm(p, asked_ms > pause_ms ? asked_ms : pause_ms);
    p->pause_ms = 2 * p->pause_ms < PAUSE_MAX_MS ? 2 * p->pause_ms : PAUSE_MAX_MS;
}

void api__pending_rest(struct api__pending *p)
{
    api__pending_drop_slice(p);
    api__collection_release(p->api, &p->v);
    p->state = PENDING_IDLE;
}
