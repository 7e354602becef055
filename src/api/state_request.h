/* SPDX-License-Identifier: MIT
 *
 * What the endpoints of the state's own contents (resources.c, facts.c) share: one request, its way
 * over a lane, and telling of what it has changed. Loop thread, but for what its worker fills in.
 */
#ifndef CORTEX_API_STATE_REQUEST_H
#define CORTEX_API_STATE_REQUEST_H

#include "api/api_internal.h"

struct api__state_request {
    struct cx_exchange *x;
    struct cx_api *api;
    struct api__body body;
    const char *what; /* is changed, for the bus: "resource", "removed" … */
    struct cx_str id; /* of what is read or changed; p NULL = it has none */
    json_t *resource; /* to be stored; borrows from the body */
    struct cx_fact fact;
    struct cx_str summary;
    /* From here on: the worker's results. */
    struct cx_buf answer; /* JSON */
    bool created;
    bool stored; /* on disk, and not told yet */
    uint64_t version;
    char fact_id[32];
};

/* The request of this exchange, set up when first asked for. */
struct api__state_request *api__state_begin(struct cx_exchange *x);
/* Reads the id of the path. False where it can be no id: nothing has it. */
bool api__state_read_id(struct cx_exchange *x);
#define API_STATE_ID_MAX 512 /* bytes */

enum cx_step_result api__state_read(struct cx_exchange *x, cx_exchange_work_fn work);
/* what: a literal. Told as soon as work has stored something, also where the client has left. */
enum cx_step_result api__state_change(struct cx_exchange *x, const char *what,
                                      cx_exchange_work_fn work);
/* Worker, after a change that ended with status: the version that the loop must know before it
 * serves another pack. */
enum cx_status api__state_changed_work(struct api__state_request *r, struct cx_db *db,
                                       enum cx_status status, struct cx_err *err);

/* Steps: tell of the change and answer, with the worker's JSON or without a body. */
enum cx_step_result api__state_reply(struct cx_exchange *x);
enum cx_step_result api__state_removed_reply(struct cx_exchange *x);

#endif
