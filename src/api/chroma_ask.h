/* SPDX-License-Identifier: MIT
 *
 * chroma_ask: an operation of the Chroma store as the one thing that an exchange waits for. A step zeroes
 * the operation, fills it in and returns api__chroma_ask; the next step runs where it has gone well.
 */
#ifndef CORTEX_API_CHROMA_ASK_H
#define CORTEX_API_CHROMA_ASK_H

#include "api/api_internal.h"

#define API_CHROMA_SLICE ((size_t)1000) /* ids, or collections, in one answer */

/* Owner: the exchange's state; the release calls cx_chroma_op_end. */
struct api__ask {
    struct cx_exchange *x;
    struct cx_chroma_op op;
    void (*on_done)(struct api__ask *ask); /* or NULL: before the next step, client or not */
    bool whatever_comes;                   /* it is not given up when the client leaves */
    bool
        may_be_gone; /* what it is about: CX_NOT_FOUND stands in op.status, and the next step runs */
};
/* op's verb, collection and so on are set; its time and traceparent are not. */
enum cx_step_result api__chroma_ask(struct cx_exchange *x, struct api__ask *ask);

#endif
