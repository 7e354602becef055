/* SPDX-License-Identifier: MIT
 *
 * The bus: lines, the ring's two ceilings, subscribers that come and go while others are told.
 */
#include "cortex/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"
#include "test.h"

static struct cx_events *make(size_t entries, size_t bytes)
{
    const struct cx_events_options options = { .ring_entries = entries, .ring_bytes = bytes };
    struct cx_events *e = NULL;
    cx_events_new(&options, &e);
    return e;
}

static uint64_t emit_text(struct cx_events *e, const char *text)
{
    return cx_events_emit(e, CX_EVENT_STATE_UPDATED, json_pack("{s:s}", "text", text), NULL, NULL);
}

TEST(line_has_the_five_members_in_order)
{
    struct cx_events *e = make(4, 1 << 20);
    EXPECT_INT(cx_events_last(e), 0);
    EXPECT_INT(cx_events_oldest(e), 0);
    const int64_t before_us = cx_clock_wall_us();
    const uint64_t sequence = cx_events_emit(e, CX_EVENT_AUDIT_RECORDED,
                                             json_pack("{s:s, s:i}", "run_id", "a\nb", "n", 3),
                                             json_pack("[s,s]", "r1", "r2"), "corr \"1\"");
    const int64_t after_us = cx_clock_wall_us();
    EXPECT_INT(sequence, 1);
    struct cx_event event;
    REQUIRE(cx_events_get(e, 1, &event));
    EXPECT_INT(event.sequence, 1);
    EXPECT_INT(event.type, CX_EVENT_AUDIT_RECORDED);
    const char *head = "{\"event_type\":\"audit.entry_recorded\",\"payload\":{\"run_id\":\"a\\nb\","
                       "\"n\":3},\"timestamp\":";
    const char *tail = ",\"resource_ids\":[\"r1\",\"r2\"],\"correlation_id\":\"corr \\\"1\\\"\"}";
    REQUIRE(event.json.len > strlen(head) + strlen(tail));
    EXPECT_BYTES(event.json.p, strlen(head), head, strlen(head));
    EXPECT_BYTES(event.json.p + event.json.len - strlen(tail), strlen(tail), tail, strlen(tail));
    EXPECT(memchr(event.json.p, '\n', event.json.len) == NULL);
    /* Seconds with exactly six digits, of now. */
    const char *time = event.json.p + strlen(head);
    char *end = NULL;
    const double seconds = strtod(time, &end);
    EXPECT(end == event.json.p + event.json.len - strlen(tail));
    const char *point = memchr(time, '.', (size_t)(end - time));
    EXPECT(point != NULL && end - point == 7);
    EXPECT(seconds * 1e6 >= (double)before_us - 1 && seconds * 1e6 <= (double)after_us + 1);
    cx_events_free(&e);
    EXPECT(e == NULL);
}

TEST(what_is_left_out_is_empty)
{
    struct cx_events *e = make(4, 1 << 20);
    (void)cx_events_emit(e, CX_EVENT_HEALTH_DEGRADED, NULL, NULL, NULL);
    struct cx_event event;
    REQUIRE(cx_events_get(e, 1, &event));
    EXPECT(strstr(event.json.p, "\"payload\":{},") != NULL);
    EXPECT(strstr(event.json.p, "\"resource_ids\":[],\"correlation_id\":null}") != NULL);
    /* A correlation id that is no UTF-8 would make a line that is no JSON. */
    (void)cx_events_emit(e, CX_EVENT_HEALTH_DEGRADED, NULL, NULL, "\xff");
    REQUIRE(cx_events_get(e, 2, &event));
    EXPECT(strstr(event.json.p, "\"correlation_id\":null}") != NULL);
    cx_events_free(&e);
}

TEST(parts_that_are_json_already_stand_as_they_are)
{
    struct cx_events *e = make(4, 1 << 20);
    (void)cx_events_emit_text(e, CX_EVENT_AUDIT_RECORDED, CX_STR("{\"n\":1}"), CX_STR("[\"r\"]"),
                              "c");
    struct cx_event event;
    REQUIRE(cx_events_get(e, 1, &event));
    EXPECT(strstr(event.json.p, "\"payload\":{\"n\":1},\"timestamp\":") != NULL);
    EXPECT(strstr(event.json.p, "\"resource_ids\":[\"r\"],\"correlation_id\":\"c\"}") != NULL);
    static char large[70001];
    memset(large, '1', 70000);
    (void)cx_events_emit_text(e, CX_EVENT_AUDIT_RECORDED, cx_str_of(large), CX_STR("[\"r\"]"),
                              NULL);
    REQUIRE(cx_events_get(e, 2, &event));
    EXPECT(strstr(event.json.p, "\"payload\":{\"truncated\":true},") != NULL);
    EXPECT(strstr(event.json.p, "\"resource_ids\":[\"r\"],") != NULL);
    cx_events_free(&e);
}

TEST(every_type_has_its_name)
{
    static const char *const names[] = {
        "state.snapshot_generated", "state.updated",    "state.invalidated", "state.tool_invoked",
        "vector.indexed",           "vector.deleted",   "vector.searched",   "audit.entry_recorded",
        "context.packed",           "context.overflow", "health.degraded",   "health.recovered",
    };
    REQUIRE(CX_ARRAY_LEN(names) == CX_EVENT_TYPE_COUNT);
    for (size_t i = 0; i < CX_EVENT_TYPE_COUNT; i++) {
        EXPECT_STR(cx_event_type_name((enum cx_event_type)i), names[i]);
    }
}

TEST(ring_holds_the_last_entries)
{
    struct cx_events *e = make(10, 1 << 20);
    for (int i = 1; i <= 25; i++) {
        char text[16];
        snprintf(text, sizeof text, "n%d.", i);
        EXPECT_INT(emit_text(e, text), i);
    }
    EXPECT_INT(cx_events_last(e), 25);
    EXPECT_INT(cx_events_oldest(e), 16);
    struct cx_event event;
    EXPECT(!cx_events_get(e, 0, &event));
    EXPECT(!cx_events_get(e, 15, &event));
    EXPECT(!cx_events_get(e, 26, &event));
    EXPECT(!cx_events_get(e, UINT64_MAX, &event));
    for (uint64_t i = 16; i <= 25; i++) {
        char text[16];
        snprintf(text, sizeof text, "\"n%d.\"", (int)i);
        REQUIRE(cx_events_get(e, i, &event));
        EXPECT_INT(event.sequence, i);
        EXPECT(strstr(event.json.p, text) != NULL);
    }
    cx_events_free(&e);
}

TEST(ring_holds_no_more_bytes_than_it_may)
{
    enum { CEILING = 10000 };
    struct cx_events *e = make(1000, CEILING);
    struct cx_series *bytes = cx_metrics_series(CX_M_EVENTS_RING_BYTES, "");
    struct cx_series *entries = cx_metrics_series(CX_M_EVENTS_RING, "");
    char text[1001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 100; i++) {
        (void)emit_text(e, text);
        size_t sum = 0;
        struct cx_event event;
        for (uint64_t s = cx_events_oldest(e); s <= cx_events_last(e); s++) {
            REQUIRE(cx_events_get(e, s, &event));
            sum += event.json.len;
        }
        EXPECT(sum <= CEILING);
        EXPECT_INT(cx_series_value(bytes), sum);
        EXPECT_INT(cx_series_value(entries), cx_events_last(e) - cx_events_oldest(e) + 1);
    }
    EXPECT_INT(cx_events_last(e), 100);
    EXPECT(cx_events_oldest(e) >= 91 && cx_events_oldest(e) <= 93);
    /* The newest stays, were it alone over the ceiling. */
    static char large[20001];
    memset(large, 'y', 20000);
    EXPECT_INT(emit_text(e, large), 101);
    EXPECT_INT(cx_events_oldest(e), 101);
    (void)emit_text(e, "small");
    EXPECT_INT(cx_events_oldest(e), 102);
    cx_events_free(&e);
}

TEST(event_that_is_too_large_says_so)
{
    struct cx_events *e = make(10, 1 << 20);
    static char large[70001];
    memset(large, 'z', 70000);
    (void)cx_events_emit(e, CX_EVENT_STATE_UPDATED, json_pack("{s:s}", "text", large),
                         json_pack("[s]", "kept"), "c");
    struct cx_event event;
    REQUIRE(cx_events_get(e, 1, &event));
    EXPECT(strstr(event.json.p, "\"payload\":{\"truncated\":true},") != NULL);
    EXPECT(strstr(event.json.p, "\"resource_ids\":[\"kept\"],\"correlation_id\":\"c\"}") != NULL);
    (void)cx_events_emit(e, CX_EVENT_STATE_UPDATED, NULL, json_pack("[s]", large), "c");
    REQUIRE(cx_events_get(e, 2, &event));
    EXPECT(strstr(event.json.p, "\"payload\":{\"truncated\":true},") != NULL);
    EXPECT(strstr(event.json.p, "\"resource_ids\":[],") != NULL);
    cx_events_free(&e);
}

TEST(emitting_is_counted_by_type)
{
    struct cx_events *e = make(10, 1 << 20);
    struct cx_series *count = cx_metrics_series(CX_M_EVENTS, "type=\"vector.deleted\"");
    const double before = cx_series_value(count);
    (void)cx_events_emit(e, CX_EVENT_VECTOR_DELETED, NULL, NULL, NULL);
    (void)cx_events_emit(e, CX_EVENT_VECTOR_INDEXED, NULL, NULL, NULL);
    EXPECT(cx_series_value(count) == before + 1);
    cx_events_free(&e);
}

/* A listener that notes what it was told, and may do something from within. */
struct listener {
    struct cx_events *events;
    struct cx_subscription *subscription;
    struct listener *leaves; /* taken out when this one is told */
    struct listener *joins;  /* subscribed when this one is told */
    int order;
    int told;
    uint64_t last;
};

static int next_order;

static void on_told(void *ctx, const struct cx_event *event)
{
    struct listener *l = ctx;
    struct cx_event held;
    EXPECT(cx_events_get(l->events, event->sequence, &held));
    EXPECT(held.json.p == event->json.p);
    l->told++;
    l->last = event->sequence;
    l->order = ++next_order;
    if (l->leaves != NULL) {
        cx_events_unsubscribe(l->events, &l->leaves->subscription);
    }
    if (l->joins != NULL && l->joins->subscription == NULL) {
        cx_events_subscribe(l->events, on_told, l->joins, &l->joins->subscription);
    }
}

TEST(subscribers_are_told_in_their_order)
{
    struct cx_events *e = make(10, 1 << 20);
    struct listener all[3] = { { .events = e }, { .events = e }, { .events = e } };
    (void)emit_text(e, "before");
    for (size_t i = 0; i < CX_ARRAY_LEN(all); i++) {
        cx_events_subscribe(e, on_told, &all[i], &all[i].subscription);
    }
    (void)emit_text(e, "one");
    EXPECT(all[0].order < all[1].order && all[1].order < all[2].order);
    cx_events_unsubscribe(e, &all[1].subscription);
    EXPECT(all[1].subscription == NULL);
    (void)emit_text(e, "two");
    EXPECT_INT(all[0].told, 2);
    EXPECT_INT(all[1].told, 1);
    EXPECT_INT(all[2].told, 2);
    EXPECT_INT(all[2].last, 3);
    cx_events_unsubscribe(e, &all[2].subscription);
    cx_events_unsubscribe(e, &all[0].subscription);
    cx_events_unsubscribe(e, &all[0].subscription);
    (void)emit_text(e, "three");
    EXPECT_INT(all[0].told, 2);
    cx_events_free(&e);
}

TEST(subscribers_may_come_and_go_while_others_are_told)
{
    struct cx_events *e = make(10, 1 << 20);
    struct listener late = { .events = e };
    struct listener all[4] = { { .events = e }, { .events = e }, { .events = e }, { .events = e } };
    all[0].leaves = &all[2]; /* another, not yet told */
    all[1].leaves = &all[1]; /* itself */
    all[3].joins = &late;
    for (size_t i = 0; i < CX_ARRAY_LEN(all); i++) {
        cx_events_subscribe(e, on_told, &all[i], &all[i].subscription);
    }
    (void)emit_text(e, "one");
    EXPECT_INT(all[0].told, 1);
    EXPECT_INT(all[1].told, 1);
    EXPECT_INT(all[2].told, 0);
    EXPECT_INT(all[3].told, 1);
    EXPECT_INT(late.told, 0);
    (void)emit_text(e, "two");
    EXPECT_INT(all[0].told, 2);
    EXPECT_INT(all[1].told, 1);
    EXPECT_INT(all[2].told, 0);
    EXPECT_INT(late.told, 1);
    cx_events_unsubscribe(e, &all[0].subscription);
    cx_events_unsubscribe(e, &all[3].subscription);
    cx_events_unsubscribe(e, &late.subscription);
    cx_events_free(&e);
}
