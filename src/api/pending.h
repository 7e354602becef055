/* SPDX-License-Identifier: MIT
 *
 * pending: embeds the documents that were stored while the embedding service failed. They wait in the
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
 *   pending.c        its life, when it works, when it tries again
 *   pending_read.c   which collection, the next slice of it, the switch to its new vectors
 *   pending_embed.c  windows of a slice, and the documents that are refused
 *   pending_fill.c   storing a window's vectors, and telling of it
 *
 * Threads: loop; the …_work functions on lanes. One operation is under way at a time.
 */
#ifndef CORTEX_API_PENDING_H
#define CORTEX_API_PENDING_H

#include "api/refused.h"

#define PENDING_SLICE_MAX 512 /* documents */

enum api__pending_state {
    PENDING_IDLE,
    PENDING_READING,
    PENDING_EMBEDDING,
    PENDING_FILLING,
    PENDING_SWITCHING
};

struct api__pending {
    struct cx_api *api;
    struct cx_timer *timer; /* NULL before the start and after the end */
    enum api__pending_state state;
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

/* ---- pending.c ---- */

/* Nothing is left of this pass: another one if documents have come meanwhile. */
void api__pending_end_pass(struct api__pending *p);
/* What is under way is tried again later, with all that comes after it. */
void api__pending_fail(struct api__pending *p, const char *why, uint64_t retry_after_ms);
void api__pending_rest(struct api__pending *p);
void api__pending_succeeded(struct api__pending *p);

/* ---- pending_read.c ---- */

void api__pending_read(struct api__pending *p);

/* ---- pending_embed.c ---- */

/* A slice has been read. */
void api__pending_embed_slice(struct api__pending *p);
/* The window's vectors have been stored: on to the next. */
void api__pending_stored(struct api__pending *p);
void api__pending_drop_slice(struct api__pending *p);

/* ---- pending_fill.c ---- */

/* A window has its vectors. */
void api__pending_fill(struct api__pending *p);

#endif
