/* SPDX-License-Identifier: MIT
 *
 * The hub: who follows, the passes over them, the blocks they are written. See event_hub.h.
 */
#include "api/event_hub.h"

#include <stdlib.h>

#include "cortex/metrics.h"

#define BLOCK_BYTES ((size_t)64 * 1024)
#define FRAME_BYTES ((size_t)65 * 1024) /* more than the largest event takes */
#define TURN_FOLLOWERS 32               /* looked at between two looks at the clock */
#define TURN_NS 500000ULL
#define PAUSE_MAX_MS 50
#define SILENCE_MS 15000
#define BLOCKS 4 /* followers come equally far, or nearly so */

struct block {
    uint64_t from;
    uint64_t to;
    uint64_t reached;
    uint32_t types;
    uint64_t used; /* a count: the one used longest ago gives way */
    struct cx_buf bytes;
};
struct api__event_hub {
    struct cx_subscription *subscription;
    struct cx_timer *pass_timer;
    struct cx_timer *silence_timer;
    struct api__follower *first;
    struct api__follower *last;
    size_t count;
    size_t count_max;
    struct api__follower *at; /* the next one of the pass under way */
    uint64_t pass_to;
    bool passing;
    bool armed;
    uint64_t busy_ns; /* of the pass under way */
    uint64_t pause_until_ms;
    struct api__follower *silent_at; /* the next one of the round of heartbeats under way */
    struct block blocks[BLOCKS];
    uint64_t block_uses;
    struct cx_series *gauge;
    struct cx_series *pass_seconds;
};

static void on_event(void *ctx, const struct cx_event *event);
static void on_pass_time(void *ctx);
static void on_silence_time(void *ctx);
static void arm(struct cx_api *api);

void api__event_hub_open(struct cx_api *api)
{
    struct api__event_hub *hub = cx_alloc(sizeof *hub);
    hub->count_max = api->options.event_followers;
    hub->gauge = cx_metrics_series(CX_M_EVENT_FOLLOWERS, "");
    hub->pass_seconds = cx_metrics_series(CX_M_EVENT_PASS, "");
    for (size_t i = 0; i < BLOCKS; i++) {
        cx_buf_init(&hub->blocks[i].bytes, BLOCK_BYTES + FRAME_BYTES);
    }
    api->event_hub = hub;
    cx_timer_new(api->options.loop, on_pass_time, api, &hub->pass_timer);
    cx_timer_new(api->options.loop, on_silence_time, api, &hub->silence_timer);
    cx_timer_start(hub->silence_timer, SILENCE_MS, SILENCE_MS);
    cx_events_subscribe(api->options.events, on_event, api, &hub->subscription);
}

void api__event_hub_stop(struct cx_api *api)
{
    cx_timer_free(&api->event_hub->silence_timer);
    for (struct api__follower *f = api->event_hub->first; f != NULL; f = f->next) {
        if (f->on_drain != NULL) {
            f->on_drain(f);
        }
    }
}

void api__event_hub_free(struct cx_api *api)
{
    struct api__event_hub *hub = api->event_hub;
    if (hub == NULL) {
        return;
    }
    CX_CHECK(hub->count == 0);
    cx_events_unsubscribe(api->options.events, &hub->subscription);
    cx_timer_free(&hub->pass_timer);
    cx_timer_free(&hub->silence_timer);
    for (size_t i = 0; i < BLOCKS; i++) {
        cx_buf_free(&hub->blocks[i].bytes);
    }
    free(hub);
    api->event_hub = NULL;
}

/* ---- Who follows ---- */

enum cx_status api__event_follow(struct cx_api *api, struct api__follower *f)
{
    struct api__event_hub *hub = api->event_hub;
    CX_CHECK(f->prev == NULL && f->next == NULL && hub->first != f);
    if (hub->count == hub->count_max) {
        return CX_OVERLOADED;
    }
    f->prev = hub->last;
    if (hub->last != NULL) {
        hub->last->next = f;
    } else {
        hub->first = f;
    }
    hub->last = f;
    hub->count++;
    cx_gauge_set(hub->gauge, (double)hub->count);
    if (f->cursor < cx_events_last(api->options.events)) {
        arm(api);
    }
    return CX_OK;
}

void api__event_unfollow(struct cx_api *api, struct api__follower *f)
{
    struct api__event_hub *hub = api->event_hub;
    if (f->prev == NULL && hub->first != f) {
        return;
    }
    if (hub->at == f) {
        hub->at = f->next;
    }
    if (hub->silent_at == f) {
        hub->silent_at = f->next;
    }
    if (f->prev != NULL) {
        f->prev->next = f->next;
    } else {
        hub->first = f->next;
    }
    if (f->next != NULL) {
        f->next->prev = f->prev;
    } else {
        hub->last = f->prev;
    }
    f->prev = NULL;
    f->next = NULL;
    hub->count--;
    cx_gauge_set(hub->gauge, (double)hub->count);
}

/* ---- Passes ---- */

static void on_event(void *ctx, const struct cx_event *event)
{
    (void)event;
    arm(ctx);
}

static void arm(struct cx_api *api)
{
    struct api__event_hub *hub = api->event_hub;
    if (hub->armed || hub->passing || hub->first == NULL) {
        return;
    }
    const uint64_t now_ms = cx_loop_now_ms(api->options.loop);
    hub->armed = true;
    cx_timer_start(hub->pass_timer, hub->pause_until_ms > now_ms ? hub->pause_until_ms - now_ms : 0,
                   0);
}

static void end_pass(struct cx_api *api);

/* One turn: as many followers as half a millisecond serves. */
static void on_pass_time(void *ctx)
{
    struct cx_api *api = ctx;
    struct api__event_hub *hub = api->event_hub;
    const uint64_t begun_ns = cx_clock_mono_ns();
    hub->armed = false;
    if (!hub->passing) {
        hub->passing = true;
        hub->busy_ns = 0;
        hub->at = hub->first;
        hub->pass_to = cx_events_last(api->options.events);
    }
    uint64_t now_ns = begun_ns;
    while (hub->at != NULL && now_ns - begun_ns < TURN_NS) {
        for (int i = 0; i < TURN_FOLLOWERS && hub->at != NULL; i++) {
            struct api__follower *f = hub->at;
            hub->at = f->next;
            if (f->cursor < hub->pass_to && !f->on_events(f, hub->pass_to)) {
                api__event_unfollow(api, f);
            }
        }
        now_ns = cx_clock_mono_ns();
    }
    hub->busy_ns += now_ns - begun_ns;
    if (hub->at != NULL) {
        cx_timer_start(hub->pass_timer, 0, 0);
        return;
    }
    end_pass(api);
}

static void end_pass(struct cx_api *api)
{
    struct api__event_hub *hub = api->event_hub;
    hub->passing = false;
    cx_histogram_observe(hub->pass_seconds, (double)hub->busy_ns * 1e-9);
    const uint64_t busy_ms = hub->busy_ns / 1000000;
    hub->pause_until_ms =
        cx_loop_now_ms(api->options.loop) + (busy_ms < PAUSE_MAX_MS ? busy_ms : PAUSE_MAX_MS);
    if (cx_events_last(api->options.events) > hub->pass_to) {
        arm(api);
    }
}

/* A round over all who have heard nothing for long, likewise in turns. */
static void on_silence_time(void *ctx)
{
    struct cx_api *api = ctx;
    struct api__event_hub *hub = api->event_hub;
    if (hub->silent_at == NULL) {
        hub->silent_at = hub->first;
    }
    for (int i = 0; i < TURN_FOLLOWERS && hub->silent_at != NULL; i++) {
        struct api__follower *f = hub->silent_at;
        hub->silent_at = f->next;
        if (f->on_silence != NULL && !f->on_silence(f)) {
            api__event_unfollow(api, f);
        }
    }
    cx_timer_start(hub->silence_timer, hub->silent_at != NULL ? 0 : SILENCE_MS, SILENCE_MS);
}

/* ---- Blocks ---- */

static void fill_block(const struct cx_api *api, struct block *b);

struct cx_str api__event_block(struct cx_api *api, uint64_t from, uint64_t to, uint32_t types,
                               uint64_t *reached)
{
    struct api__event_hub *hub = api->event_hub;
    struct block *b = &hub->blocks[0];
    bool found = false;
    for (size_t i = 0; i < BLOCKS && !found; i++) {
        struct block *other = &hub->blocks[i];
        found = other->from == from && other->to == to && other->types == types && other->used > 0;
        b = found || other->used < b->used ? other : b;
    }
    if (!found) {
        b->from = from;
        b->to = to;
        b->types = types;
        fill_block(api, b);
    }
    b->used = ++hub->block_uses;
    *reached = b->reached;
    return (struct cx_str){ b->bytes.data, b->bytes.len };
}

static void fill_block(const struct cx_api *api, struct block *b)
{
    const struct cx_events *events = api->options.events;
    char id[API_EVENT_ID_BYTES];
    struct cx_event event;
    cx_buf_clear(&b->bytes);
    uint64_t at = b->from;
    while (at < b->to && b->bytes.len < BLOCK_BYTES) {
        at++;
        if (cx_events_get(events, at, &event) && (b->types >> event.type & 1) != 0) {
            cx_buf_printf(&b->bytes, "id: %s\ndata: ", api__event_id(api, at, id));
            cx_buf_put_str(&b->bytes, event.json);
            cx_buf_puts(&b->bytes, "\n\n");
        }
    }
    CX_CHECK(!b->bytes.failed);
    b->reached = at;
}
