/* SPDX-License-Identifier: MIT
 *
 * The way of batches of NDJSON lines to the disk, in order: while one is stored the next is
 * embedded and the one after it is parsed and compared. Loop thread; its jobs run on lanes.
 *
 *   PREPARING → PREPARED → COMPARING → COMPARED → EMBEDDING → EMBEDDED → STORING → on_stored
 *                  ↑           a document that changed meanwhile            │
 *                  └────────────────────────────────────────────────────────┘
 */
#ifndef CORTEX_API_INGEST_PIPE_H
#define CORTEX_API_INGEST_PIPE_H

#include "api/batch.h"

enum api__load_state {
    LOAD_PREPARING,
    LOAD_PREPARED,
    LOAD_COMPARING,
    LOAD_COMPARED,
    LOAD_EMBEDDING,
    LOAD_EMBEDDED,
    LOAD_STORING,
    LOAD_DONE
};

/* Why an ingest ends before its body does. */
struct api__ingest_fault {
    enum cx_status status; /* CX_OK: it does not */
    size_t line;
    char text[512];
    json_t *errors; /* owned; NULL = none */
};

struct api__pipe;
struct api__load { /* one batch; owner: its pipe */
    struct api__pipe *pipe;
    struct api__load *next;
    enum api__load_state state;
    bool busy;           /* an operation of its state is outstanding */
    struct cx_buf lines; /* whole ones */
    size_t first_line;
    size_t last_line;
    json_t *values; /* array of what was parsed; the batch borrows from it */
    struct api__batch batch;
    struct cx_embed_call *call;
    bool given_up;        /* the call: the daemon ends */
    struct cx_buf answer; /* its line, up to the figures */
    enum cx_status status;
    struct cx_err err;
    struct api__ingest_fault fault; /* of one of its lines: what comes before it is stored */
};

struct api__pipe { /* owner: the ingest; zeroed, then the fields down to ctx are set */
    struct cx_api *api;
    struct cx_vector *v;
    struct cx_str collection;
    struct api__chunk chunk;
    bool wait; /* for the embedding service: else an error */
    const char *traceparent;
    /* Each batch in order; its answer and figures are ready, it is on disk. */
    void (*on_stored)(void *ctx, struct api__load *load);
    /* Something has moved: there may be room, or nothing is left. */
    void (*on_move)(void *ctx);
    void *ctx;

    struct api__load *first; /* the oldest */
    unsigned count;
    bool stopped;                   /* takes nothing more */
    struct api__ingest_fault fault; /* the first one */
    struct cx_timer *timer;         /* a lane or a queue was full: tries again */
    bool draining;
    struct cx_timer *drain_timer;
};

void api__pipe_open(struct api__pipe *p);
void api__pipe_close(struct api__pipe *p); /* needs that it is idle */
bool api__pipe_takes(const struct api__pipe *p);
bool api__pipe_idle(const struct api__pipe *p);
/* Whole lines, whose memory changes hands. */
void api__pipe_put(struct api__pipe *p, struct cx_buf *lines, size_t first_line, size_t last_line);
/* What is not being stored is dropped; it becomes idle, later. */
void api__pipe_cancel(struct api__pipe *p);
/* The daemon ends: what waits for its vectors, as long as it takes, has half a request's time now; then the
 * ingest ends with its first line. */
void api__pipe_drain(struct api__pipe *p);

#endif
