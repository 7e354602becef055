/* SPDX-License-Identifier: MIT
 *
 * Stores the vectors of a window of pending documents, and tells of it (pending.h).
 */
#include "api/pending.h"

#define FILL_DOCUMENTS 32 /* a transaction of a few milliseconds */
#define PROGRESS_MS 10000

static void fill_work(void *arg);
static void on_filled(void *arg, enum cx_status status);
static void tell_filled(struct api__pending *p);
static void tell_progress(struct api__pending *p, const struct cx_vector_figures *figures);

void api__pending_fill(struct api__pending *p)
{
    struct cx_job *job = NULL;
    p->state = PENDING_FILLING;
    if (cx_lane_submit(p->api->options.write_lane, CX_PRIORITY_NORMAL, fill_work, on_filled, p,
                       &job) != CX_OK) {
        tell_filled(p);
        api__pending_fail(p, "the write lane is full", 0);
    }
}

static size_t fill_count(const struct api__pending *p)
{
    const size_t left = p->count - p->stored;
    return left < FILL_DOCUMENTS ? left : FILL_DOCUMENTS;
}

static void fill_work(void *arg)
{
    struct api__pending *p = arg;
    p->just_filled = 0;
    p->status = cx_vector_fill(p->v, cx_store_writer(p->api->options.store),
                               p->slice.items + p->at + p->stored, fill_count(p),
                               p->vectors + p->stored * p->dimension, p->dimension, &p->just_filled,
                               &p->err);
}

static void on_filled(void *arg, enum cx_status status)
{
    struct api__pending *p = arg;
    if (status != CX_OK || p->status != CX_OK) {
        tell_filled(p);
        api__pending_fail(p, status != CX_OK ? cx_status_text(status) : p->err.text, 0);
        return;
    }
    p->filled += p->just_filled;
    p->stored += fill_count(p);
    if (p->stored < p->count) {
        api__pending_fill(p);
        return;
    }
    tell_filled(p);
    api__pending_stored(p);
}

static void tell_filled(struct api__pending *p)
{
    if (p->filled == 0) {
        return;
    }
    struct cx_vector_figures figures;
    cx_vector_figures(p->v, &figures);
    struct cx_str ids[PENDING_SLICE_MAX];
    for (size_t i = 0; i < p->stored; i++) {
        ids[i] = p->slice.items[p->at + i].doc_id;
    }
    json_t *payload = json_object();
    json_object_set_new(payload, "collection", json_string(cx_vector_name(p->v)));
    json_object_set_new(payload, "embedded", json_integer((json_int_t)p->filled));
    json_object_set_new(payload, "pending", json_integer((json_int_t)figures.pending));
    if (figures.status == CX_VECTOR_REEMBEDDING) {
        json_object_set_new(payload, "reembedding", json_true());
        tell_progress(p, &figures);
    }
    cx_events_emit(p->api->options.events, CX_EVENT_VECTOR_INDEXED, payload,
                   api__event_ids(ids, p->stored), NULL);
    p->filled = 0;
}

/* Now and then in the log. */
static void tell_progress(struct api__pending *p, const struct cx_vector_figures *figures)
{
    const uint64_t now_ms = cx_loop_now_ms(p->api->options.loop);
    if (p->progress_ms == 0 || now_ms - p->progress_ms >= PROGRESS_MS) {
        p->progress_ms = now_ms;
        CX_LOG(CX_LOG_INFO, "embedding anew", CX_S("collection", cx_vector_name(p->v)),
               CX_I("embedded", figures->documents - figures->pending),
               CX_I("left", figures->pending));
    }
}
