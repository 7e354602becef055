/* SPDX-License-Identifier: MIT
 *
 * GET /events/stream: events as they happen, as text/event-stream (WHATWG HTML, "Server-sent events").
 * A stream first catches up with what it has missed, at its client's pace; then it is live: the hub
 * writes to it, and a client that falls too far behind is disconnected, to resume when it can.
 */
#include <inttypes.h>

#include "api/event_hub.h"
#include "cortex/metrics.h"

#define UNSENT_MAX ((size_t)1024 * 1024)
#define CATCH_UP_BYTES (UNSENT_MAX / 2) /* may wait for a client that catches up */
#define RETRY_MS 2000                   /* what a client waits before it comes again … */
#define RETRY_AFTER_DRAIN_MS 5000       /* … and after the end of the daemon */

struct stream {
    struct api__follower follower;
    struct cx_api *api;
    const char *last_id; /* as the client says; NULL = it is new */
    bool live;
    bool wrote; /* since the last heartbeat */
};

static enum cx_step_result stream_open(struct cx_exchange *x);
static enum cx_step_result stream_follow(struct cx_exchange *x);

static const struct cx_step stream_steps[] = {
    { "open", stream_open, false },     /* loop                                                */
    { "follow", stream_follow, false }, /* waits: for the client, while it catches up; then for
                                         * the drain                                           */
};
API_ENDPOINT(api__event_stream, stream_steps, sizeof(struct stream));

static void release_stream(void *arg);
static void begin(struct stream *s);
static bool on_events(struct api__follower *f, uint64_t to);
static bool on_silence(struct api__follower *f);

static enum cx_step_result stream_open(struct cx_exchange *x)
{
    struct stream *s = cx_exchange_state(x);
    s->api = api__of(x);
    s->last_id = cx_exchange_header(x, "last-event-id");
    if (s->last_id == NULL) {
        s->last_id = cx_exchange_query(x, "last_event_id");
    }
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__event_read_types(x, &faults, &s->follower.types);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    s->follower.x = x;
    s->follower.on_events = on_events;
    s->follower.on_silence = on_silence;
    s->follower.cursor = cx_events_last(s->api->options.events);
    if (api__event_follow(s->api, &s->follower) != CX_OK) {
        cx_exchange_set_retry_after(x, 5);
        return cx_exchange_fail(x, CX_OVERLOADED, "Too many follow the events");
    }
    cx_exchange_defer(x, release_stream, s);
    const struct cx_stream_options options = { .content_type = "text/event-stream",
                                               .unsent_max = UNSENT_MAX,
                                               .gone_at_eof = true };
    const enum cx_step_result opened = cx_stream_open(x, 200, &options);
    if (opened == CX_STEP_NEXT) {
        begin(s);
    }
    return opened;
}

static void release_stream(void *arg)
{
    struct stream *s = arg;
    api__event_unfollow(s->api, &s->follower);
}

static bool write_text(struct stream *s, struct cx_buf *text)
{
    CX_CHECK(!text->failed);
    const bool there = cx_stream_write(s->follower.x, (struct cx_str){ text->data, text->len });
    cx_buf_free(text);
    s->wrote = true;
    return there;
}

/* The id of a gap is where the stream goes on from, so that a client that resumes there misses
 * nothing. */
static void begin(struct stream *s)
{
    char id[API_EVENT_ID_BYTES];
    struct cx_buf text;
    cx_buf_init(&text, 4096);
    cx_buf_printf(&text, "retry: %d\n\n", RETRY_MS);
    if (s->last_id != NULL && s->last_id[0] != '\0') {
        struct api__event_resume resume;
        api__event_resume(s->api, s->last_id, &resume);
        s->follower.cursor = resume.cursor;
        if (resume.gap) {
            cx_counter_add(cx_metrics_series(CX_M_EVENT_GAPS, ""), 1);
            cx_buf_printf(&text, "id: %s\ndata: ", api__event_id(s->api, resume.cursor, id));
            api__event_put_gap(s->api, s->last_id, resume.cursor, &text);
            cx_buf_puts(&text, "\n\n");
        }
    }
    (void)write_text(s, &text);
}

/* The next block up to `to`. False: the client is gone. */
static bool write_block(struct stream *s, uint64_t to)
{
    uint64_t reached = 0;
    const struct cx_str block =
        api__event_block(s->api, s->follower.cursor, to, s->follower.types, &reached);
    s->follower.cursor = reached;
    s->wrote = s->wrote || block.len > 0;
    return cx_stream_write(s->follower.x, block);
}

static bool tell_gap_overtaken(struct stream *s);
static enum cx_step_result farewell(struct stream *s);

static enum cx_step_result stream_follow(struct cx_exchange *x)
{
    struct stream *s = cx_exchange_state(x);
    s->live = false;
    if (cx_stream_draining(x)) {
        return farewell(s);
    }
    const uint64_t last = cx_events_last(s->api->options.events);
    bool there = tell_gap_overtaken(s);
    while (there && s->follower.cursor < last && cx_stream_unsent(x) < CATCH_UP_BYTES) {
        there = write_block(s, last);
    }
    s->live = s->follower.cursor >= last;
    cx_exchange_go_to(x, stream_follow);
    return cx_stream_wait(x, there && !s->live ? CX_WAIT_ROOM : 0, NULL, NULL);
}

/* While it was catching up, the ring may have let go of what it was to have next. */
static bool tell_gap_overtaken(struct stream *s)
{
    const uint64_t oldest = cx_events_oldest(s->api->options.events);
    if (s->follower.cursor + 1 >= oldest) {
        return true;
    }
    char from[API_EVENT_ID_BYTES];
    char id[API_EVENT_ID_BYTES];
    struct cx_buf text;
    cx_buf_init(&text, 4096);
    api__event_id(s->api, s->follower.cursor, from);
    s->follower.cursor = oldest - 1;
    cx_counter_add(cx_metrics_series(CX_M_EVENT_GAPS, ""), 1);
    cx_buf_printf(&text, "id: %s\ndata: ", api__event_id(s->api, s->follower.cursor, id));
    api__event_put_gap(s->api, from, s->follower.cursor, &text);
    cx_buf_puts(&text, "\n\n");
    return write_text(s, &text);
}

static enum cx_step_result farewell(struct stream *s)
{
    const int64_t wall_us = cx_clock_wall_us();
    struct cx_buf text;
    cx_buf_init(&text, 4096);
    cx_buf_printf(
        &text,
        "retry: %d\ndata: {\"event_type\":\"stream.shutdown\",\"payload\":{},\"timestamp\":%" PRId64
        ".%06" PRId64 ",\"resource_ids\":[],\"correlation_id\":null}\n\n",
        RETRY_AFTER_DRAIN_MS, wall_us / 1000000, wall_us % 1000000);
    (void)write_text(s, &text);
    return cx_stream_end(s->follower.x);
}

/* ---- What the hub calls ---- */

static bool on_events(struct api__follower *f, uint64_t to)
{
    struct stream *s = (struct stream *)(void *)f;
    if (!s->live) {
        return true; /* its own step sees to it */
    }
    bool there = tell_gap_overtaken(s);
    while (there && f->cursor < to) {
        there = write_block(s, to);
    }
    return there;
}

static bool on_silence(struct api__follower *f)
{
    struct stream *s = (struct stream *)(void *)f;
    const bool there = s->wrote || cx_stream_write(f->x, CX_STR(": still here\n\n"));
    s->wrote = false;
    return there;
}
