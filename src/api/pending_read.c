/* SPDX-License-Identifier: MIT
 *
 * Finds a collection with pending documents, reads a slice of them, and, where none is left of one that is
 * embedded anew, switches to its new vectors (pending.h).
 */
#include "api/pending.h"

#include <stdio.h>

#define SLICE_DOCUMENTS 128
#define SLICE_BYTES ((size_t)512 * 1024)
#define REEMBED_DOCUMENTS PENDING_SLICE_MAX /* larger ones where it is all that is to be done */
#define REEMBED_BYTES ((size_t)1024 * 1024)

static bool take_collection(struct api__pending *p);
static void read_work(void *arg);
static void on_read(void *arg, enum cx_status status);
static void end_collection(struct api__pending *p);
static void switch_work(void *arg);
static void on_switched(void *arg, enum cx_status status);

void api__pending_read(struct api__pending *p)
{
    if (p->v == NULL && !take_collection(p)) {
        api__pending_end_pass(p);
        return;
    }
    struct cx_job *job = NULL;
    p->state = PENDING_READING;
    if (cx_lane_submit(p->api->options.read_lane, CX_PRIORITY_NORMAL, read_work, on_read, p,
                       &job) != CX_OK) {
        api__pending_fail(p, "the read lane is full", 0);
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
        api__pending_fail(p, status != CX_OK ? cx_status_text(status) : p->err.text, 0);
        return;
    }
    if (p->timer == NULL) {
        api__pending_rest(p);
        return;
    }
    if (p->slice.count == 0) {
        if (p->after == 0) {
            end_collection(p);
        } else {
            p->after = 0;
            api__pending_read(p);
        }
        return;
    }
    api__pending_embed_slice(p);
}

/* ---- The end of a collection ---- */

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
            api__pending_fail(p, "the write lane is full", 0);
        }
        return;
    }
    api__collection_release(p->api, &p->v); /* on to the next */
    api__pending_read(p);
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
        api__pending_fail(p, status != CX_OK ? cx_status_text(status) : p->err.text, 0);
        return;
    }
    api__reembed_told(p->api, p->v);
    api__sweep_wake(p->api);
    if (p->timer == NULL) {
        api__pending_rest(p);
        return;
    }
    api__collection_release(p->api, &p->v);
    api__pending_read(p);
}
