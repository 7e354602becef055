/* SPDX-License-Identifier: MIT
 *
 * Those who follow events: streams (event_stream.c) and long polls (event_poll.c), and the hub that
 * serves them. The bus tells the hub alone. What was emitted goes out in passes: one block of events is
 * written once for all who have come equally far, a few followers in a turn of the loop, and a pass that
 * took long is followed by as long a pause, so that events never take more than half of the loop.
 *
 * Threads: loop.
 */
#ifndef CORTEX_API_EVENT_HUB_H
#define CORTEX_API_EVENT_HUB_H

#include "api/api_internal.h"

#define API_EVENT_ID_BYTES 48
#define API_EVENT_ALL UINT32_MAX

struct api__follower {
    struct api__follower *prev;
    struct api__follower *next;
    struct cx_exchange *x;
    uint64_t cursor; /* the last sequence that it has had */
    uint32_t types;  /* one bit a type */
    /* A pass has come to it, events up to `to` being there: true = it stays. It must not add or remove
     * others. */
    bool (*on_events)(struct api__follower *f, uint64_t to);
    /* So much time has passed since it last had any: true = it stays. NULL = it does not care. */
    bool (*on_silence)(struct api__follower *f);
    /* The daemon drains; as on_events. NULL = its exchange hears of that by itself. */
    void (*on_drain)(struct api__follower *f);
};
/* CX_OVERLOADED where there are as many as there may be. Must not be called from within on_events. */
enum cx_status api__event_follow(struct cx_api *api, struct api__follower *f) CX_MUST_CHECK;
void api__event_unfollow(struct cx_api *api, struct api__follower *f); /* if it follows */

/* The events after `from`, up to `to` at most, of these types, as frames of text/event-stream, some
 * 64 KiB of them. *reached: how far they go, none of these types being in between. Valid until the next
 * call. */
struct cx_str api__event_block(struct cx_api *api, uint64_t from, uint64_t to, uint32_t types,
                               uint64_t *reached);

/* "EPOCH-SEQUENCE" of this process. */
char *api__event_id(const struct cx_api *api, uint64_t sequence, char text[API_EVENT_ID_BYTES]);
/* What a client that has seen `id` is to have next. */
struct api__event_resume {
    uint64_t cursor; /* events after this one */
    bool gap;        /* what lies between is no longer, or never was, here */
};
void api__event_resume(const struct cx_api *api, const char *id, struct api__event_resume *out);
/* The data of the event that tells of a gap. */
void api__event_put_gap(const struct cx_api *api, const char *id, uint64_t cursor,
                        struct cx_buf *out);
/* `types` of the query, prefixes between commas; all where there is none. A prefix that no type has is
 * a fault. */
void api__event_read_types(struct cx_exchange *x, struct cx_faults *faults, uint32_t *types);

#endif
