/* SPDX-License-Identifier: MIT
 *
 * search_request: what a body of POST /vector/search asks for, and the way of a search of a local
 * collection, for the endpoints that search.
 */
#ifndef CORTEX_API_SEARCH_REQUEST_H
#define CORTEX_API_SEARCH_REQUEST_H

#include "api/api_internal.h"

struct api__search_request {
    struct cx_search what; /* borrows from the body, the exchange's arena and filter */
    bool mode_given;
    bool fusion_given;
    struct cx_str collection;        /* borrowed from the body */
    struct cx_vector_filter *filter; /* the caller's to free */
    const char *filter_name;         /* the member it came from */
};
/* The body, or what its member of that name holds (NULL: the body itself). Every fault is noted. Loop. */
void api__search_read(struct cx_exchange *x, const json_t *body, const char *member,
                      struct cx_faults *faults, struct api__search_request *q);

/* ---- The way of a search: read → embed → judge → now ---------------------------------------------
 * The first member of the state of an exchange that searches.
 */
struct api__search_run {
    struct cx_api *api;
    struct api__search_request q;
    struct cx_vector *v; /* the collection, held */
    struct cx_embed_call *call;
    float *embedded;      /* the provider's */
    const char *degraded; /* the reason word, or NULL */
    uint64_t embed_ns;
};
/* A step: the query becomes a vector where the mode wants one. */
enum cx_step_result api__search_embed(struct cx_exchange *x);
/* In the step after it, which is one that runs after a failure: goes on by keyword where the embedding
 * service failed and the client did not insist. CX_STEP_NEXT: there is something to search by. */
enum cx_step_result api__search_judge(struct cx_exchange *x);
/* Worker. */
enum cx_status api__search_now(struct api__search_run *run, json_t **hits,
                               struct cx_err *err) CX_MUST_CHECK;
void api__search_release(struct api__search_run *run);

#endif
