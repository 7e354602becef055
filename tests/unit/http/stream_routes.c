/* SPDX-License-Identifier: MIT
 *
 * Toy routes that stream (live_env.h lists them).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live_env.h"

#define PIECE ((size_t)16 * 1024)

static struct env *env_of(struct cx_exchange *x)
{
    return cx_exchange_context(x);
}

static enum cx_step_result open_stream(struct cx_exchange *x)
{
    const char *unsent = cx_exchange_query(x, "unsent");
    return cx_stream_open(
        x, 200,
        &(struct cx_stream_options){ .content_type = "application/x-ndjson",
                                     .unsent_max = unsent != NULL ? strtoul(unsent, NULL, 10) : 0,
                                     .gone_at_eof = cx_exchange_query(x, "gone") != NULL });
}

static enum cx_step_result say(struct cx_exchange *x, const char *text)
{
    (void)cx_stream_write(x, cx_str_of(text));
    return cx_stream_end(x);
}

/* ---- /lines ---- */

static enum cx_step_result lines_copy(struct cx_exchange *x)
{
    const char *why = NULL;
    const enum cx_status status = cx_exchange_outcome(x, &why);
    if (status != CX_OK) {
        char text[128];
        snprintf(text, sizeof text, "[%s: %s]", cx_status_reason(status), why != NULL ? why : "-");
        return say(x, text);
    }
    const struct cx_str piece = cx_exchange_body(x);
    (void)cx_stream_write(x, piece);
    cx_stream_take(x, piece.len);
    if (cx_stream_body_ended(x)) {
        return cx_stream_end(x);
    }
    if (cx_stream_draining(x)) {
        return say(x, "[draining]");
    }
    cx_exchange_go_to(x, lines_copy);
    return cx_stream_wait(x, CX_WAIT_BODY, NULL, NULL);
}
static const struct cx_step lines_steps[] = { { "open", open_stream, false },
                                              { "copy", lines_copy, true } };

/* ---- /held ---- */

static enum cx_step_result held_wait(struct cx_exchange *x)
{
    struct env *e = env_of(x);
    e->held = x;
    if (!e->take) {
        cx_exchange_go_to(x, held_wait);
        return cx_stream_wait(x, 0, NULL, NULL);
    }
    const struct cx_str piece = cx_exchange_body(x);
    const size_t some = piece.len < 1000 ? piece.len : 1000; /* and leaves some */
    e->taken += some;
    cx_stream_take(x, some);
    if (!cx_stream_body_ended(x)) {
        cx_exchange_go_to(x, held_wait);
        return cx_stream_wait(x, CX_WAIT_BODY, NULL, NULL);
    }
    char text[32];
    snprintf(text, sizeof text, "took %zu", e->taken);
    return say(x, text);
}

static void forget_held(void *arg)
{
    struct env *e = arg;
    e->held = NULL;
    e->released++;
}

static enum cx_step_result held_open(struct cx_exchange *x)
{
    cx_exchange_defer(x, forget_held, env_of(x));
    return open_stream(x);
}
static const struct cx_step held_steps[] = { { "open", held_open, false },
                                             { "wait", held_wait, false } };

/* ---- /first ---- */

static enum cx_step_result first_wait(struct cx_exchange *x)
{
    return cx_stream_wait(x, CX_WAIT_BODY, NULL, NULL);
}

static enum cx_step_result first_end(struct cx_exchange *x)
{
    return say(x, "enough");
}

static enum cx_step_result first_refuse(struct cx_exchange *x)
{
    if (cx_exchange_query(x, "refuse") != NULL) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "no such thing");
    }
    return open_stream(x);
}
static const struct cx_step first_steps[] = { { "wait", first_wait, false },
                                              { "open", first_refuse, false },
                                              { "end", first_end, false } };

/* ---- /piped ---- */

static void piped_cancel(void *op)
{
    struct env *e = env_of(op);
    e->piped_left = true;
}

static enum cx_step_result piped_work(struct cx_exchange *x)
{
    struct env *e = env_of(x);
    const struct cx_str piece = cx_exchange_body(x);
    cx_stream_take(x, piece.len);
    if (piece.len > 0 && e->piped == NULL) {
        e->piped = x;
    }
    if (cx_stream_body_ended(x) && e->piped == NULL) {
        return say(x, "all done");
    }
    cx_exchange_go_to(x, piped_work);
    return cx_stream_wait(x, cx_stream_body_ended(x) ? 0 : CX_WAIT_BODY | CX_WAIT_PATIENT,
                          piped_cancel, x);
}
static const struct cx_step piped_steps[] = { { "open", held_open, false },
                                              { "work", piped_work, false } };

void env_piped(struct env *e)
{
    struct cx_exchange *x = e->piped;
    e->piped = NULL;
    (void)cx_stream_write(x, CX_STR("done "));
    cx_stream_wake(x);
}

/* ---- /flow ---- */

static enum cx_step_result flow_write(struct cx_exchange *x)
{
    struct env *e = env_of(x);
    size_t *left = cx_exchange_state(x);
    if (*left == 0) {
        return cx_stream_end(x);
    }
    static char bytes[PIECE];
    memset(bytes, 'f', sizeof bytes);
    const size_t some = *left < PIECE ? *left : PIECE;
    (void)cx_stream_write(x, (struct cx_str){ bytes, some });
    e->flown += some;
    *left -= some;
    cx_exchange_go_to(x, flow_write);
    return cx_stream_wait(x, CX_WAIT_ROOM, NULL, NULL);
}

static enum cx_step_result flow_open(struct cx_exchange *x)
{
    const char *count = cx_exchange_query(x, "n");
    size_t *left = cx_exchange_state(x);
    *left = count != NULL ? strtoul(count, NULL, 10) : 0;
    cx_exchange_defer(x, forget_held, env_of(x));
    return open_stream(x);
}
static const struct cx_step flow_steps[] = { { "open", flow_open, false },
                                             { "write", flow_write, false } };

/* ---- /events ---- */

static void unsubscribe(void *arg)
{
    struct cx_exchange *x = arg;
    struct env *e = env_of(x);
    for (unsigned i = 0; i < e->event_count; i++) {
        if (e->events[i] == x) {
            e->events[i] = e->events[--e->event_count];
            return;
        }
    }
}

static enum cx_step_result events_stand(struct cx_exchange *x)
{
    if (cx_stream_draining(x)) {
        return say(x, "data: farewell\n\n");
    }
    cx_exchange_go_to(x, events_stand);
    return cx_stream_wait(x, 0, NULL, NULL);
}

static enum cx_step_result events_open(struct cx_exchange *x)
{
    struct env *e = env_of(x);
    CX_CHECK(e->event_count < CX_ARRAY_LEN(e->events));
    const enum cx_step_result opened = open_stream(x);
    if (opened == CX_STEP_NEXT) {
        e->events[e->event_count++] = x;
        cx_exchange_defer(x, unsubscribe, x);
    }
    return opened;
}
static const struct cx_step events_steps[] = { { "open", events_open, false },
                                               { "stand", events_stand, false } };

/* ---- /cut ---- */

static enum cx_step_result cut_fail(struct cx_exchange *x)
{
    (void)cx_stream_write(x, CX_STR("some"));
    return cx_exchange_fail(x, CX_INTERNAL, "the rest is missing");
}
static const struct cx_step cut_steps[] = { { "open", open_stream, false },
                                            { "fail", cut_fail, false } };

#define ROUTE(verb, template, table)                                                               \
    .method = verb, .path = template, .steps = table, .step_count = CX_ARRAY_LEN(table)
#define NDJSON .flags = CX_ROUTE_BODY | CX_ROUTE_NDJSON

const struct cx_route stream_routes[] = {
    { ROUTE("POST", "/lines", lines_steps), NDJSON },
    { ROUTE("POST", "/held", held_steps), NDJSON },
    { ROUTE("POST", "/first", first_steps), NDJSON },
    { ROUTE("POST", "/piped", piped_steps), NDJSON },
    { ROUTE("GET", "/flow", flow_steps), .state_bytes = sizeof(size_t) },
    { ROUTE("GET", "/events", events_steps), .deadline_ms = 200 },
    { ROUTE("GET", "/cut", cut_steps) },
};
const size_t stream_route_count = CX_ARRAY_LEN(stream_routes);
