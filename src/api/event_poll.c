/* SPDX-License-Identifier: MIT
 *
 * GET /events: the events after one that the client has seen, at once or as soon as there are some; for
 * clients that cannot follow a stream.
 */
#include <inttypes.h>

#include "api/event_hub.h"
#include "cortex/metrics.h"

#define WAIT_MAX_SECONDS 60
#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000
#define ANSWER_BYTES ((size_t)2 << 20) /* a page ends early at half of it */

struct poll {
    struct api__follower follower;
    struct cx_api *api;
    const char *since; /* NULL: from now on */
    char from[API_EVENT_ID_BYTES];
    bool gap;
    bool waiting;
    uint64_t wait_ms;
    size_t limit;
    struct cx_timer *timer;
};

static enum cx_step_result poll_wait(struct cx_exchange *x);
static enum cx_step_result poll_reply(struct cx_exchange *x);

static const struct cx_step poll_steps[] = {
    { "wait", poll_wait, false },   /* loop, or waits: for an event, or for as long as is asked */
    { "reply", poll_reply, false }, /* loop                                                     */
};
API_ENDPOINT(api__event_poll, poll_steps, sizeof(struct poll));

static void release_poll(void *arg);
static void read_poll(struct cx_exchange *x, struct poll *p, struct cx_faults *faults);
static uint64_t next_wanted(const struct poll *p, uint64_t after);
static bool on_events(struct api__follower *f, uint64_t to);
static void on_drain(struct api__follower *f);
static void on_time(void *ctx);
static void end_wait(void *op);

static enum cx_step_result poll_wait(struct cx_exchange *x)
{
    struct poll *p = cx_exchange_state(x);
    p->api = api__of(x);
    p->follower.x = x;
    p->follower.on_events = on_events;
    p->follower.on_drain = on_drain;
    struct cx_faults faults;
    cx_faults_init(&faults);
    read_poll(x, p, &faults);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT || p->gap || p->wait_ms == 0 ||
        next_wanted(p, p->follower.cursor) != 0) {
        return checked;
    }
    if (api__event_follow(p->api, &p->follower) != CX_OK) {
        cx_exchange_set_retry_after(x, 5);
        return cx_exchange_fail(x, CX_OVERLOADED, "Too many follow the events");
    }
    cx_exchange_defer(x, release_poll, p);
    cx_timer_new(p->api->options.loop, on_time, p, &p->timer);
    cx_timer_start(p->timer, p->wait_ms, 0);
    p->waiting = true;
    return cx_exchange_wait(x, end_wait, p);
}

static void release_poll(void *arg)
{
    struct poll *p = arg;
    cx_timer_free(&p->timer);
    api__event_unfollow(p->api, &p->follower);
}

static void read_number(struct cx_exchange *x, struct cx_faults *faults, const char *name,
                        uint64_t max, const char *sentence, uint64_t *out)
{
    const char *text = cx_exchange_query(x, name);
    if (text != NULL && (!cx_parse_u64(cx_str_of(text), out) || *out > max)) {
        api__query_fault(faults, name, "range", sentence);
    }
}

static void read_poll(struct cx_exchange *x, struct poll *p, struct cx_faults *faults)
{
    uint64_t seconds = 0;
    uint64_t limit = LIMIT_DEFAULT;
    read_number(x, faults, "wait", WAIT_MAX_SECONDS, "must be a number of seconds up to 60",
                &seconds);
    read_number(x, faults, "limit", LIMIT_MAX, "must be between 1 and 1000", &limit);
    if (limit == 0) {
        api__query_fault(faults, "limit", "range", "must be between 1 and 1000");
    }
    api__event_read_types(x, faults, &p->follower.types);
    p->wait_ms = seconds * 1000;
    p->limit = (size_t)limit;
    p->since = cx_exchange_query(x, "since");
    p->follower.cursor = cx_events_last(p->api->options.events);
    if (p->since != NULL && p->since[0] != '\0') {
        struct api__event_resume resume;
        api__event_resume(p->api, p->since, &resume);
        p->follower.cursor = resume.cursor;
        p->gap = resume.gap;
    }
}

/* The first event behind that one which is of a wanted type; 0 = there is none. */
static uint64_t next_wanted(const struct poll *p, uint64_t after)
{
    const struct cx_events *events = p->api->options.events;
    const uint64_t last = cx_events_last(events);
    struct cx_event event;
    for (uint64_t at = after + 1; at <= last; at++) {
        if (cx_events_get(events, at, &event) && (p->follower.types >> event.type & 1) != 0) {
            return at;
        }
    }
    return 0;
}

/* ---- Waiting ---- */

static bool on_events(struct api__follower *f, uint64_t to)
{
    struct poll *p = (struct poll *)(void *)f;
    const bool overtaken = f->cursor + 1 < cx_events_oldest(p->api->options.events);
    const uint64_t found = next_wanted(p, f->cursor);
    if (found == 0 && !overtaken) {
        f->cursor = to;
        return true;
    }
    if (!overtaken) {
        f->cursor = found - 1;
    }
    cx_timer_start(p->timer, 0, 0); /* the answer is given in a turn of its own */
    return false;
}

static void on_drain(struct api__follower *f)
{
    cx_timer_start(((struct poll *)(void *)f)->timer, 0, 0);
}

static void on_time(void *ctx)
{
    end_wait(ctx);
}

static void end_wait(void *op)
{
    struct poll *p = op;
    if (p->waiting) {
        p->waiting = false;
        cx_timer_free(&p->timer);
        api__event_unfollow(p->api, &p->follower);
        cx_exchange_resume(p->follower.x, CX_OK, NULL);
    }
}

/* ---- reply ---- */

static void put_events(struct poll *p, struct cx_buf *out);

static void note_gap_overtaken(struct poll *p);

static enum cx_step_result poll_reply(struct cx_exchange *x)
{
    struct poll *p = cx_exchange_state(x);
    note_gap_overtaken(p);
    struct cx_buf answer;
    cx_buf_init(&answer, ANSWER_BYTES);
    cx_buf_puts(&answer, "{\"gap\":");
    if (p->gap) {
        cx_counter_add(cx_metrics_series(CX_M_EVENT_GAPS, ""), 1);
        api__event_put_gap(p->api, p->since, p->follower.cursor, &answer);
    } else {
        cx_buf_puts(&answer, "null");
    }
    put_events(p, &answer);
    return cx_exchange_reply_buf(x, 200, "application/json", &answer);
}

/* While it waited, the ring may have let go of what it was to have next. */
static void note_gap_overtaken(struct poll *p)
{
    const uint64_t oldest = cx_events_oldest(p->api->options.events);
    if (!p->gap && p->follower.cursor + 1 < oldest) {
        p->gap = true;
        p->since = api__event_id(p->api, p->follower.cursor, p->from);
        p->follower.cursor = oldest - 1;
    }
}

static void put_events(struct poll *p, struct cx_buf *out)
{
    const struct cx_events *events = p->api->options.events;
    char id[API_EVENT_ID_BYTES];
    struct cx_event event;
    uint64_t at = p->follower.cursor;
    size_t put = 0;
    cx_buf_puts(out, ",\"events\":[");
    for (uint64_t next = next_wanted(p, at);
         next != 0 && put < p->limit && out->len < ANSWER_BYTES / 2; next = next_wanted(p, at)) {
        CX_CHECK(cx_events_get(events, next, &event));
        cx_buf_printf(out, "%s{\"id\":\"%s\",", put++ > 0 ? "," : "",
                      api__event_id(p->api, next, id));
        cx_buf_append(out, event.json.p + 1, event.json.len - 1);
        at = next;
    }
    const bool all = put < p->limit && out->len < ANSWER_BYTES / 2;
    const uint64_t last = all ? cx_events_last(events) : at;
    cx_buf_printf(out, "],\"last_id\":\"%s\"}", api__event_id(p->api, last, id));
}
