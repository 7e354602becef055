/* SPDX-License-Identifier: MIT
 *
 * put: a POST /vector/documents with JSON under way, and those of its steps that are the same whichever
 * store takes the documents.
 */
#ifndef CORTEX_API_PUT_H
#define CORTEX_API_PUT_H

#include "api/batch.h"

struct api__put {
    struct cx_exchange *x;
    struct cx_api *api;
    struct cx_str text; /* the body, borrowed */
    json_t *body;
    struct cx_faults faults;
    struct cx_vector *v;
    bool wait; /* for the embedding service: else an error */
    struct api__batch batch;
    struct cx_embed_call *call;
    struct cx_buf answer; /* {"ids":[…] until it is known how it went */
};

/* ingest.c. The first step: reads the body; what is wrong with it is in faults, for the next one. All is
 * freed with the exchange. */
enum cx_step_result api__put_parse(struct cx_exchange *x);
/* Asks for the vectors that batch.unchanged leaves; they are in the rows when it has gone well. */
enum cx_step_result api__put_embed(struct cx_exchange *x);

#endif
