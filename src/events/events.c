/* SPDX-License-Identifier: MIT
 *
 * The bus: writes an event as its line of JSON, keeps it in the ring, tells the subscribers. Owns
 * the lines and the subscriptions. Loop thread.
 */
#include "cortex/events.h"

#include <stdio.h>
#include <stdlib.h>

#include "cortex/json.h"
#include "cortex/metrics.h"

#define EVENT_MAX_BYTES ((size_t)64 * 1024)

struct entry {
    enum cx_event_type type;
    struct cx_str json; /* owned */
};

struct cx_subscription {
    void (*on_event)(void *ctx, const struct cx_event *event); /* NULL: left while being told */
    void *ctx;
    struct cx_subscription *prev;
    struct cx_subscription *next;
};

struct cx_events {
    struct entry *ring;
    size_t capacity;
    size_t first; /* place of the oldest */
    size_t count;
    size_t bytes;
    size_t bytes_max;
    uint64_t last_sequence;
    struct cx_buf line; /* where the next one is written … */
    struct cx_buf payload;
    struct cx_buf ids; /* … of these, where they came as values */
    struct cx_subscription *head;
    struct cx_subscription *tail;
    bool telling;
    bool left_while_telling;
    struct cx_series *emitted[CX_EVENT_TYPE_COUNT];
    struct cx_series *ring_entries;
    struct cx_series *ring_bytes;
};

static struct cx_str text_of(struct cx_buf *out, json_t *steals);
static void write_line(struct cx_events *e, enum cx_event_type type, struct cx_str payload,
                       struct cx_str resource_ids, const char *correlation_id);
static void write_members(struct cx_buf *out, enum cx_event_type type, int64_t wall_us,
                          struct cx_str payload, struct cx_str resource_ids,
                          const char *correlation_id);
static void put_seconds(struct cx_buf *out, int64_t wall_us);
static void keep(struct cx_events *e, enum cx_event_type type);
static void drop_oldest(struct cx_events *e);
static void tell(struct cx_events *e);
static void take_out(struct cx_events *e, struct cx_subscription *s);

static const char *const type_names[CX_EVENT_TYPE_COUNT] = {
    [CX_EVENT_SNAPSHOT_GENERATED] = "state.snapshot_generated",
    [CX_EVENT_STATE_UPDATED] = "state.updated",
    [CX_EVENT_STATE_INVALIDATED] = "state.invalidated",
    [CX_EVENT_TOOL_INVOKED] = "state.tool_invoked",
    [CX_EVENT_VECTOR_INDEXED] = "vector.indexed",
    [CX_EVENT_VECTOR_DELETED] = "vector.deleted",
    [CX_EVENT_VECTOR_SEARCHED] = "vector.searched",
    [CX_EVENT_AUDIT_RECORDED] = "audit.entry_recorded",
    [CX_EVENT_CONTEXT_PACKED] = "context.packed",
    [CX_EVENT_CONTEXT_OVERFLOW] = "context.overflow",
    [CX_EVENT_HEALTH_DEGRADED] = "health.degraded",
    [CX_EVENT_HEALTH_RECOVERED] = "health.recovered",
};

void cx_events_new(const struct cx_events_options *options, struct cx_events **out)
{
    CX_CHECK(options->ring_entries > 0);
    struct cx_events *e = cx_alloc(sizeof *e);
    e->capacity = options->ring_entries;
    e->bytes_max = options->ring_bytes;
    e->ring = cx_realloc_array(NULL, e->capacity, sizeof *e->ring);
    cx_buf_init(&e->line, EVENT_MAX_BYTES);
    cx_buf_init(&e->payload, EVENT_MAX_BYTES);
    cx_buf_init(&e->ids, EVENT_MAX_BYTES);
    for (size_t i = 0; i < CX_EVENT_TYPE_COUNT; i++) {
        char label[64];
        (void)snprintf(label, sizeof label, "type=\"%s\"", type_names[i]);
        e->emitted[i] = cx_metrics_series(CX_M_EVENTS, label);
    }
    e->ring_entries = cx_metrics_series(CX_M_EVENTS_RING, "");
    e->ring_bytes = cx_metrics_series(CX_M_EVENTS_RING_BYTES, "");
    *out = e;
}

void cx_events_free(struct cx_events **at)
{
    struct cx_events *e = *at;
    if (e == NULL) {
        return;
    }
    *at = NULL;
    CX_CHECK(e->head == NULL && !e->telling);
    while (e->count > 0) {
        drop_oldest(e);
    }
    cx_buf_free(&e->line);
    cx_buf_free(&e->payload);
    cx_buf_free(&e->ids);
    free(e->ring);
    free(e);
}

uint64_t cx_events_emit(struct cx_events *e, enum cx_event_type type, json_t *payload,
                        json_t *resource_ids, const char *correlation_id)
{
    return cx_events_emit_text(e, type, text_of(&e->payload, payload),
                               text_of(&e->ids, resource_ids), correlation_id);
}

uint64_t cx_events_emit_text(struct cx_events *e, enum cx_event_type type, struct cx_str payload,
                             struct cx_str resource_ids, const char *correlation_id)
{
    CX_CHECK(!e->telling && (size_t)type < CX_EVENT_TYPE_COUNT);
    write_line(e, type, payload, resource_ids, correlation_id);
    keep(e, type);
    cx_counter_add(e->emitted[type], 1);
    cx_gauge_set(e->ring_entries, (double)e->count);
    cx_gauge_set(e->ring_bytes, (double)e->bytes);
    tell(e);
    return e->last_sequence;
}

const char *cx_event_type_name(enum cx_event_type type)
{
    CX_CHECK((size_t)type < CX_EVENT_TYPE_COUNT);
    return type_names[type];
}

uint64_t cx_events_last(const struct cx_events *e)
{
    return e->last_sequence;
}

uint64_t cx_events_oldest(const struct cx_events *e)
{
    return e->count > 0 ? e->last_sequence - e->count + 1 : 0;
}

bool cx_events_get(const struct cx_events *e, uint64_t sequence, struct cx_event *out)
{
    const uint64_t oldest = cx_events_oldest(e);
    if (oldest == 0 || sequence < oldest || sequence > e->last_sequence) {
        return false;
    }
    const struct entry *entry = &e->ring[(e->first + (size_t)(sequence - oldest)) % e->capacity];
    *out = (struct cx_event){ .sequence = sequence, .type = entry->type, .json = entry->json };
    return true;
}

void cx_events_subscribe(struct cx_events *e,
                         void (*on_event)(void *ctx, const struct cx_event *event), void *ctx,
                         struct cx_subscription **out)
{
    struct cx_subscription *s = cx_alloc(sizeof *s);
    *s = (struct cx_subscription){ .on_event = on_event, .ctx = ctx, .prev = e->tail };
    if (e->tail != NULL) {
        e->tail->next = s;
    } else {
        e->head = s;
    }
    e->tail = s;
    *out = s;
}

void cx_events_unsubscribe(struct cx_events *e, struct cx_subscription **at)
{
    struct cx_subscription *s = *at;
    if (s == NULL) {
        return;
    }
    *at = NULL;
    if (e->telling) {
        s->on_event = NULL;
        e->left_while_telling = true;
        return;
    }
    take_out(e, s);
}

/* Of a value that fits into no event only the length is one that fits into none. */
static struct cx_str text_of(struct cx_buf *out, json_t *steals)
{
    if (steals == NULL) {
        return (struct cx_str){ NULL, 0 };
    }
    cx_buf_clear(out);
    cx_json_write(steals, out);
    json_decref(steals);
    return (struct cx_str){ out->data, out->failed ? EVENT_MAX_BYTES + 1 : out->len };
}

/* What is too large to be kept says so in place of its payload. */
static void write_line(struct cx_events *e, enum cx_event_type type, struct cx_str payload,
                       struct cx_str resource_ids, const char *correlation_id)
{
    const int64_t wall_us = cx_clock_wall_us();
    if (correlation_id != NULL && !cx_utf8_valid(cx_str_of(correlation_id))) {
        correlation_id = NULL;
    }
    write_members(&e->line, type, wall_us, payload, resource_ids, correlation_id);
    if (!e->line.failed) {
        return;
    }
    const struct cx_str truncated = CX_STR("{\"truncated\":true}");
    write_members(&e->line, type, wall_us, truncated, resource_ids, correlation_id);
    if (e->line.failed) {
        write_members(&e->line, type, wall_us, truncated, CX_STR("[]"), NULL);
    }
    CX_CHECK(!e->line.failed);
}

static void write_members(struct cx_buf *out, enum cx_event_type type, int64_t wall_us,
                          struct cx_str payload, struct cx_str resource_ids,
                          const char *correlation_id)
{
    cx_buf_clear(out);
    cx_buf_puts(out, "{\"event_type\":\"");
    cx_buf_puts(out, type_names[type]);
    cx_buf_puts(out, "\",\"payload\":");
    cx_buf_put_str(out, payload.p != NULL ? payload : CX_STR("{}"));
    cx_buf_puts(out, ",\"timestamp\":");
    put_seconds(out, wall_us);
    cx_buf_puts(out, ",\"resource_ids\":");
    cx_buf_put_str(out, resource_ids.p != NULL ? resource_ids : CX_STR("[]"));
    cx_buf_puts(out, ",\"correlation_id\":");
    if (correlation_id != NULL) {
        cx_json_write_string(cx_str_of(correlation_id), out);
    } else {
        cx_buf_puts(out, "null");
    }
    cx_buf_putc(out, '}');
}

static void put_seconds(struct cx_buf *out, int64_t wall_us)
{
    char fraction[] = ".000000";
    int64_t rest = wall_us % 1000000;
    for (size_t i = sizeof fraction - 2; i > 0; i--, rest /= 10) {
        fraction[i] = (char)('0' + rest % 10);
    }
    cx_buf_put_i64(out, wall_us / 1000000);
    cx_buf_puts(out, fraction);
}

/* The newest is kept whatever its size. */
static void keep(struct cx_events *e, enum cx_event_type type)
{
    const size_t len = e->line.len;
    while (e->count > 0 && (e->count == e->capacity || e->bytes + len > e->bytes_max)) {
        drop_oldest(e);
    }
    e->ring[(e->first + e->count) % e->capacity] =
        (struct entry){ .type = type, .json = { cx_strndup(e->line.data, len), len } };
    e->count++;
    e->bytes += len;
    e->last_sequence++;
}

static void drop_oldest(struct cx_events *e)
{
    struct entry *entry = &e->ring[e->first];
    e->bytes -= entry->json.len;
    free((char *)entry->json.p);
    e->first = (e->first + 1) % e->capacity;
    e->count--;
}

/* Who subscribes while others are told hears from the next event on; who leaves hears nothing
 * more. */
static void tell(struct cx_events *e)
{
    struct cx_event event;
    CX_CHECK(cx_events_get(e, e->last_sequence, &event));
    const struct cx_subscription *end = e->tail;
    e->telling = true;
    for (struct cx_subscription *s = e->head; s != NULL; s = s == end ? NULL : s->next) {
        if (s->on_event != NULL) {
            s->on_event(s->ctx, &event);
        }
    }
    e->telling = false;
    if (e->left_while_telling) {
        e->left_while_telling = false;
        for (struct cx_subscription *s = e->head; s != NULL;) {
            struct cx_subscription *next = s->next;
            if (s->on_event == NULL) {
                take_out(e, s);
            }
            s = next;
        }
    }
}

static void take_out(struct cx_events *e, struct cx_subscription *s)
{
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        e->head = s->next;
    }
    if (s->next != NULL) {
        s->next->prev = s->prev;
    } else {
        e->tail = s->prev;
    }
    free(s);
}
