/* SPDX-License-Identifier: MIT
 *
 * What the endpoints of the ledger share: a record on its way into it, and its upkeep. Loop thread,
 * but for what a record's worker fills in.
 */
#ifndef CORTEX_API_AUDIT_H
#define CORTEX_API_AUDIT_H

#include "api/api_internal.h"

struct api__audit_append {
    struct cx_exchange *x;
    struct cx_api *api;
    struct api__body body;
    struct cx_audit_record record;
    struct cx_buf content;
    struct cx_str method; /* of a run, for the bus */
    bool told;
};

/* The append of this exchange, set up when first asked for; its memory goes with the exchange. */
struct api__audit_append *api__audit_begin(struct cx_exchange *x);
/* The end of a step: lets the record wait for the next group. The next step finds it written. */
enum cx_step_result api__audit_append(struct cx_exchange *x);
/* The last step: tells the bus, answers with the receipt. */
enum cx_step_result api__audit_receipt(struct cx_exchange *x);

#endif
