/* SPDX-License-Identifier: MIT
 *
 * Embeds the documents that were stored while the embedding service failed. They wait in the
 * database (a document without a vector is one that waits), so that a restart loses none; here is
 * only who fetches them, a slice at a time, and how far it has come:
 *
 *   IDLE → READING      a slice of them, on the read lane
 *   READING → EMBEDDING a window of the slice: all of it, or a half, a quarter … where one was refused
 *   EMBEDDING → FILLING the window's vectors, on the write lane, a few at a time
 *   READING → SWITCHING nothing is left of a collection that is embedded anew: its new vectors count now
 *   FILLING → EMBEDDING the next window, or → READING the next slice, of the next collection at last
 *   any → IDLE          nothing is left; or the service fails, and the timer will try again; or the end
 *
 * A document that the service refuses is passed over until it has another content, or until the
 * next start: the others do not wait for it.
 *
 * Threads: loop; the …_work functions on lanes. One operation is under way at a time.
 */
#include "api/refused.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_DOCUMENTS 128
#define SLICE_BYTES ((size_t)512 * 1024)
#define REEMBED_DOCUMENTS 512 /* larger ones where it is all that is to be done */
#define REEMBED_BYTES ((size_t)1024 * 1024)
#define FILL_DOCUMENTS 32 /* a transaction of a few milliseconds */
#define EMBED_MS 120000   /* a slice may take; the service's own timeout is shorter */
#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 60000
#define RETRY_AFTER_MAX_MS 900000
#define REFUSED_MAX 4096 /* documents that are remembered; beyond it some are tried again */
#define PROGRESS_MS 10000
#define REFUSED_IN_A_ROW 8 /* looks like a service that fails rather than like bad documents */

enum state { PENDING_IDLE, PENDING_READING, PENDING_EMBEDDING, PENDING_FILLING, PENDING_SWITCHING };

struct api__pending {
    struct cx_api *api;
    struct cx_timer *timer; /* NULL before the start and after the end */
    enum state state;
    bool armed;   /* the timer */
    bool asked;   /* documents have come that this pass may not have seen */
    bool failing; /* until vectors have been stored again */
    uint64_t pause_ms;
    uint64_t progress_ms; /* when the log was last told of it */
    struct cx_random random;

    struct cx_vector *v; /* the collection that is under way; NULL while IDLE */
    char name[CX_COLLECTION_NAME_MAX +
              1];  /* its name, or of the one that was; "" = before the first */
    bool resume;   /* go on with that one */
    int64_t after; /* how far this pass has come in it */
    struct cx_vector_pending slice;
    struct cx_str *texts; /* of the slice */
    size_t at;            /* the window: from here … */
    size_t count;         /* … so many */
    struct cx_embed_call *call;
    float *vectors; /* of the window */
    unsigned dimension;
    size_t stored; /* of the window: done with */
    size_t filled; /* of these: have got their vector */

    enum cx_status status; /* written by the worker */
    struct cx_err err;
    size_t just_filled;

    struct api__refused refused; /* the worker reads them while READING */
    size_t refused_in_a_row;     /* the last of them, since something was embedded */
};

static void arm(struct api__pending *p, uint64_t delay_ms);
static uint64_t drawn_pause(struct api__pending *p);
static void on_time(void *ctx);
static void start_reading(struct api__pending *p);
static bool take_collection(struct api__pending *p);
static void end_collection(struct api__pending *p);
static void switch_work(void *arg);
static void on_switched(void *arg, enum cx_status status);
static void end_pass(struct api__pending *p);
static void read_work(void *arg);
static void on_read(void *arg, enum cx_status status);
static void start_embedding(struct api__pending *p);
static void on_embedded(void *ctx, struct cx_embed_result *result);
static void narrow_down(struct api__pending *p, const struct cx_err *err);
static void start_filling(struct api__pending *p);
static void fill_work(void *arg);
static void on_filled(void *arg, enum cx_status status);
static void tell_filled(struct api__pending *p);
static void tell_progress(struct api__pending *p, const struct cx_vector_figures *figures);
static void end_window(struct api__pending *p);
static bool others_wait(const struct api__pending *p);
static void fail(struct api__pending *p, const char *why, uint64_t retry_after_ms);
static void rest(struct api__pending *p);

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
        start_reading(p);
    }
}

/* ---- Reading a slice ---- */

static void start_reading(struct api__pending *p)
{
    if (p->v == NULL && !take_collection(p)) {
        end_pass(p);
        return;
    }
    struct cx_job *job = NULL;
    p->state = PENDING_READING;
    if (cx_lane_submit(p->api->options.read_lane, CX_PRIORITY_NORMAL, read_work, on_read, p,
                       &job) != CX_OK) {
        fail(p, "the read lane is full", 0);
    }
}

/* The one that it was with, or the next in which something waits. */
static bool take_collection(struct api__pending *p)
{
    struct cx_err err = { "" };
    const bool resume = p->resume;
    p->resume = false;
    if (resume && cx_vector_find(p->api->vector, cx_str_of(p->name), &p->v, &err) == CX_OK) {
        return true;
    }
    p->after = 0;
    if (p->name[0] == '\0') {
        p->asked = false;
    }
    while (cx_vector_next(p->api->vector, p->name, &p->v)) {
        struct cx_vector_figures figures;
        cx_vector_figures(p->v, &figures);
        (void)snprintf(p->name, sizeof p->name, "%s", cx_vector_name(p->v));
        if (figures.pending > 0 || figures.status == CX_VECTOR_REEMBEDDING) {
            return true;
        }
        api__collection_release(p->api, &p->v);
    }
    p->name[0] = '\0';
    return false;
}

/* Nothing of it is left that could be tried. */
static void end_collection(struct api__pending *p)
{
    struct cx_vector_figures figures;
    cx_vector_figures(p->v, &figures);
    if (figures.status == CX_VECTOR_REEMBEDDING) {
        struct cx_job *job = NULL;
        p->state = PENDING_SWITCHING;
        if (cx_lane_submit(p->api->options.write_lane, CX_PRIORITY_NORMAL, switch_work, on_switched,
                           p, &job) != CX_OK) {
            fail(p, "the write lane is full", 0);
        }
        return;
    }
    api__collection_release(p->api, &p->v); /* on to the next */
    start_reading(p);
}

static void switch_work(void *arg)
{
    struct api__pending *p = arg;
    p->status = cx_vector_reembedded(p->v, cx_store_writer(p->api->options.store), &p->err);
}

static void on_switched(void *arg, enum cx_status status)
{
    struct api__pending *p = arg;
    if (status != CX_OK || p->status != CX_OK) {
        if (p->status == CX_CONFLICT) {
            api__reembed_give_up(p->api, p->status, &p->err);
        }
        fail(p, status != CX_OK ? cx_status_text(status) : p->err.text, 0);
        return;
    }
    api__reembed_told(p->api, p->v);
    api__sweep_wake(p->api);
    if (p->timer == NULL) {
        rest(p);
        return;
    }
    api__collection_release(p->api, &p->v);
    start_reading(p);
}

static void end_pass(struct api__pending *p)
{
    if (p->asked) {
        start_reading(p);
        return;
    }
    p->failing = false; /* nothing is left that could be tried */
    p->pause_ms = PAUSE_MIN_MS;
    rest(p);
}

static void read_work(void *arg)
{
    struct api__pending *p = arg;
    struct cx_db *db = cx_store_reader(p->api->options.store);
    int64_t after = p->after;
    struct cx_vector_figures figures;
    cx_vector_figures(p->v, &figures);
    const bool reembeds = figures.status == CX_VECTOR_REEMBEDDING;
    const size_t documents = reembeds ? REEMBED_DOCUMENTS : SLICE_DOCUMENTS;
    const size_t bytes = reembeds ? REEMBED_BYTES : SLICE_BYTES;
    do {
        p->status = cx_vector_pending(p->v, db, after, documents, bytes, &p->slice, &p->err);
        if (p->status != CX_OK) {
            break;
        }
        api__refused_skip(&p->refused, &p->slice);
        after = p->slice.last;
        if (p->slice.count == 0) {
            cx_vector_pending_free(&p->slice);
        }
    } while (p->slice.count == 0 && after != 0);
    cx_store_return(p->api->options.store, db);
}

static void on_read(void *arg, enum cx_status status)
{
    struct api__pending *p = arg;
    if (status != CX_OK || p->status != CX_OK) {
        fail(p, status != CX_OK ? cx_status_text(status) : p->err.text, 0);
        return;
    }
    if (p->timer == NULL) {
        rest(p);
        return;
    }
    if (p->slice.count == 0) {
        if (p->after == 0) {
            end_collection(p);
        } else {
            p->after = 0;
            start_reading(p);
        }
        return;
    }
    p->texts = cx_realloc_array(NULL, p->slice.count, sizeof *p->texts);
    for (size_t i = 0; i < p->slice.count; i++) {
        p->texts[i] = p->slice.items[i].content;
    }
    p->at = 0;
    p->count = p->slice.count;
    start_embedding(p);
}

/* ---- Embedding a window of it ---- */

static bool is_refusal(enum cx_status status)
{
    return status == CX_INVALID || status == CX_TOO_LARGE;
}

static void start_embedding(struct api__pending *p)
{
    struct cx_err err = { "" };
    p->state = PENDING_EMBEDDING;
    const enum cx_status status =
        cx_embedder_start(p->api->options.embedder, CX_EMBED_DOCUMENT, p->texts + p->at, p->count,
                          EMBED_MS, NULL, on_embedded, p, &p->call, &err);
    if (is_refusal(status)) {
        narrow_down(p, &err);
    } else if (status != CX_OK) {
        fail(p, err.text[0] != '\0' ? err.text : cx_status_text(status), 0);
    }
}

static void on_embedded(void *ctx, struct cx_embed_result *result)
{
    struct api__pending *p = ctx;
    p->call = NULL;
    if (result->status == CX_OK) {
        p->vectors = result->vectors;
        p->dimension = result->dimension;
        p->stored = 0;
        p->filled = 0;
        start_filling(p);
    } else if (p->timer == NULL) {
        rest(p);
    } else if (is_refusal(result->status) || result->input_refused) {
        narrow_down(p, &result->err);
    } else {
        if (result->status == CX_EMBEDDING_UNAUTHORIZED) {
            api__reembed_give_up(p->api, result->status, &result->err);
        }
        fail(p, result->err.text[0] != '\0' ? result->err.text : cx_status_text(result->status),
             result->retry_after_ms);
    }
}

/* At least one text of the window: halves of it are tried until it stands alone. */
static void narrow_down(struct api__pending *p, const struct cx_err *err)
{
    if (p->count > 1) {
        p->count /= 2;
        start_embedding(p);
        return;
    }
    const struct cx_vector_waiting *item = &p->slice.items[p->at];
    char doc_id[129];
    const size_t len = cx_utf8_cut(item->doc_id, sizeof doc_id - 1);
    memcpy(doc_id, item->doc_id.p, len);
    doc_id[len] = '\0';
    CX_LOG(CX_LOG_WARN, "a document cannot be embedded and is passed over", CX_S("doc_id", doc_id),
           CX_S("error", err->text));
    api__refused_add(&p->refused, item);
    p->refused_in_a_row++;
    if (p->refused_in_a_row % REFUSED_IN_A_ROW == 0) {
        p->after = item->id;
        fail(p, "the service refuses one document after the other", 0);
        return;
    }
    end_window(p);
}

/* ---- Storing the window's vectors ---- */

static void start_filling(struct api__pending *p)
{
    struct cx_job *job = NULL;
    p->state = PENDING_FILLING;
    if (cx_lane_submit(p->api->options.write_lane, CX_PRIORITY_NORMAL, fill_work, on_filled, p,
                       &job) != CX_OK) {
        tell_filled(p);
        fail(p, "the write lane is full", 0);
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
        fail(p, status != CX_OK ? cx_status_text(status) : p->err.text, 0);
        return;
    }
    p->filled += p->just_filled;
    p->stored += fill_count(p);
    if (p->stored < p->count) {
        start_filling(p);
        return;
    }
    tell_filled(p);
    if (p->failing) {
        p->failing = false;
        CX_LOG(CX_LOG_INFO, "pending documents are embedded again");
    }
    p->pause_ms = PAUSE_MIN_MS;
    if (p->refused_in_a_row >= REFUSED_IN_A_ROW) {
        /* It was the service after all: those get another chance. */
        api__refused_forget(&p->refused, p->refused_in_a_row);
        p->asked = true;
    }
    p->refused_in_a_row = 0;
    end_window(p);
}

static void tell_filled(struct api__pending *p)
{
    if (p->filled == 0) {
        return;
    }
    struct cx_vector_figures figures;
    cx_vector_figures(p->v, &figures);
    struct cx_str ids[REEMBED_DOCUMENTS];
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

/* ---- On to the next, or not ---- */

static void drop_slice(struct api__pending *p)
{
    cx_vector_pending_free(&p->slice);
    free(p->texts);
    p->texts = NULL;
    free(p->vectors);
    p->vectors = NULL;
}

static void end_window(struct api__pending *p)
{
    free(p->vectors);
    p->vectors = NULL;
    p->at += p->count;
    p->count = p->slice.count - p->at;
    p->after = p->slice.items[p->at - 1].id;
    if (p->timer == NULL) {
        rest(p);
    } else if (p->count > 0) {
        start_embedding(p);
    } else {
        p->after = p->slice.last;
        drop_slice(p);
        if (others_wait(p)) {
            /* A slice each: a large collection holds up no small one. */
            p->asked = true;
            p->after = 0;
            api__collection_release(p->api, &p->v);
        }
        start_reading(p);
    }
}

static bool others_wait(const struct api__pending *p)
{
    struct cx_vector_store_figures all;
    struct cx_vector_figures own;
    cx_vector_store_figures(p->api->vector, &all);
    cx_vector_figures(p->v, &own);
    return all.pending > own.pending;
}

/* What is under way is tried again later, with all that comes after it. */
static void fail(struct api__pending *p, const char *why, uint64_t retry_after_ms)
{
    const bool ending = p->timer == NULL;
    p->resume = p->v != NULL;
    rest(p);
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

static void rest(struct api__pending *p)
{
    drop_slice(p);
    api__collection_release(p->api, &p->v);
    p->state = PENDING_IDLE;
}
