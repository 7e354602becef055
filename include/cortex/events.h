/* SPDX-License-Identifier: MIT
 *
 * events: the bus. One sequence over all events, a ring of the last ones, subscribers that are told
 * as it happens. Loop thread only.
 */
#ifndef CORTEX_EVENTS_H
#define CORTEX_EVENTS_H

#include <jansson.h>

#include "cortex/base.h"

/* What may be emitted; the names on the wire are in events.c ("state.snapshot_generated" …). */
enum cx_event_type {
    CX_EVENT_SNAPSHOT_GENERATED, /* state.snapshot_generated */
    CX_EVENT_STATE_UPDATED,      /* state.updated */
    CX_EVENT_STATE_INVALIDATED,  /* state.invalidated */
    CX_EVENT_TOOL_INVOKED,       /* state.tool_invoked */
    CX_EVENT_VECTOR_INDEXED,     /* vector.indexed */
    CX_EVENT_VECTOR_DELETED,     /* vector.deleted */
    CX_EVENT_VECTOR_SEARCHED,    /* vector.searched */
    CX_EVENT_AUDIT_RECORDED,     /* audit.entry_recorded */
    CX_EVENT_CONTEXT_PACKED,     /* context.packed */
    CX_EVENT_CONTEXT_OVERFLOW,   /* context.overflow */
    CX_EVENT_HEALTH_DEGRADED,    /* health.degraded */
    CX_EVENT_HEALTH_RECOVERED,   /* health.recovered */
    CX_EVENT_TYPE_COUNT
};

struct cx_events;
struct cx_events_options {
    size_t ring_entries; /* 10,000 */
    size_t ring_bytes;   /* the oldest go earlier where entries are large; the newest stays */
};
void cx_events_new(const struct cx_events_options *options, struct cx_events **out);
void cx_events_free(struct cx_events **e);

/* An event as it is kept: sequence from 1, and the JSON object of the stream's data line. */
struct cx_event {
    uint64_t sequence;
    enum cx_event_type type;
    struct cx_str
        json; /* {"event_type","payload","timestamp","resource_ids","correlation_id"}, one line */
};
/* payload is stolen (NULL = {}); resource_ids: array, stolen (NULL = []); correlation_id may be
 * NULL. An event over 64 KiB is kept with the payload {"truncated": true}. Returns the sequence. */
uint64_t cx_events_emit(struct cx_events *e, enum cx_event_type type, json_t *payload,
                        json_t *resource_ids, const char *correlation_id);
/* The same of a payload and ids that are JSON already, on one line; p NULL = empty. Borrowed. */
uint64_t cx_events_emit_text(struct cx_events *e, enum cx_event_type type, struct cx_str payload,
                             struct cx_str resource_ids, const char *correlation_id);
const char *cx_event_type_name(enum cx_event_type type);
uint64_t cx_events_last(const struct cx_events *e);   /* 0 = none yet */
uint64_t cx_events_oldest(const struct cx_events *e); /* of the ring; 0 = empty */
/* The event with that sequence while the ring holds it; *out is valid until the next emit. */
bool cx_events_get(const struct cx_events *e, uint64_t sequence, struct cx_event *out);

/* Told on the loop, within emit, after the ring has it, in the order of subscription. From
 * within: must not emit; may subscribe (told from the next event on) and unsubscribe, itself or
 * others (told nothing more). All must have unsubscribed before cx_events_free. */
struct cx_subscription;
void cx_events_subscribe(struct cx_events *e,
                         void (*on_event)(void *ctx, const struct cx_event *event), void *ctx,
                         struct cx_subscription **out);
void cx_events_unsubscribe(struct cx_events *e, struct cx_subscription **s);

#endif
