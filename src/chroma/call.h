/* SPDX-License-Identifier: MIT
 *
 * Inside chroma: one operation on its way (call.c has its phases), what it sends (send.c), and what
 * comes back (answer.c). Loop thread.
 */
#ifndef CORTEX_CHROMA_CALL_H
#define CORTEX_CHROMA_CALL_H

#include "chroma_internal.h"

#define CHROMA__ANSWER_BYTES_MAX ((size_t)128 << 20)

enum chroma__phase { PHASE_WRITING, PHASE_RESOLVING, PHASE_ASKING, PHASE_READING, PHASE_PAUSING };
struct cx_chroma_call {
    struct cx_chroma *chroma;
    struct cx_chroma_op *op;
    void (*on_done)(void *ctx);
    void *ctx;
    enum chroma__phase phase;
    bool cancelled;
    bool asked;  /* once before */
    bool looked; /* for the collection's id a second time, as the first was gone */
    unsigned tries;
    uint64_t epoch; /* of the breaker's leave */
    uint64_t deadline_ms;
    uint64_t sent_ns;
    struct cx_job *job;
    struct cx_call *request;
    struct cx_timer *timer;
    struct cx_buf body; /* of the request */
    struct cx_buf answer;
    enum cx_status work_status;
    struct cx_err work_err;
    char *traceparent; /* the whole header, or NULL */
    char name[CHROMA__NAME_BYTES + 1];
};

/* call.c */
/* What comes next: the collection's id, or with it what was asked for. */
void chroma__proceed(struct cx_chroma_call *call);
/* Exactly once; text NULL = the status's own. The call is gone. */
void chroma__end(struct cx_chroma_call *call, enum cx_status status, const char *text);
/* The answer to what was sent, if it is a good one … */
void chroma__on_good(struct cx_chroma_call *call, struct cx_call *request,
                     const struct cx_fetch_response *response);
/* … or 404. */
void chroma__on_not_found(struct cx_chroma_call *call);

/* send.c */
/* Asks for the collection's id; a put makes it where it is not there. */
void chroma__resolve(struct cx_chroma_call *call);
/* What the operation is; id of the collection, or NULL where it goes by its name. */
void chroma__ask(struct cx_chroma_call *call, const char *id);

/* answer.c */
void chroma__on_answer(void *ctx, const struct cx_fetch_response *response);

#endif
