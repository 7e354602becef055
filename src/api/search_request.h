/* SPDX-License-Identifier: MIT
 *
 * search_request: what a body of POST /vector/search asks for, and the way of a search, for the endpoints
 * that search; whichever store answers.
 */
#ifndef CORTEX_API_SEARCH_REQUEST_H
#define CORTEX_API_SEARCH_REQUEST_H

#include "api/chroma_ask.h"

struct api__search_request {
    struct cx_search what; /* borrows from the body, the exchange's arena and filter */
    bool mode_given;
    bool fusion_given;
    struct cx_str collection;        /* borrowed from the body */
    struct cx_vector_filter *filter; /* the caller's to free */
    const char *filter_name;         /* the member it came from */
    json_t *where;                   /* the filter as Chroma is asked; the caller's to free */
};
/* The body, or what its member of that name holds (NULL: the body itself). Every fault is noted, and what
 * a Chroma server cannot be asked is one where it answers. Loop. */
void api__search_read(struct cx_exchange *x, const json_t *body, const char *member,
                      struct cx_faults *faults, struct api__search_request *q);

/* ---- The way of a search: read → find → embed → ask → hits ---------------------------------------
 * The first member of the state of an exchange that searches; then api is set.
 */
struct api__search_run {
    struct cx_api *api;
    struct api__search_request q;
    struct cx_vector *v; /* the collection, held; NULL where Chroma keeps it */
    struct cx_embed_call *call;
    float *embedded;      /* the provider's */
    const char *degraded; /* the reason word, or NULL */
    uint64_t embed_ns;
    uint64_t asked_ns; /* when Chroma was, and … */
    uint64_t took_ns;  /* … how long the search has taken */
    struct api__ask ask;
};
/* The end of a step: which collection is meant. */
enum cx_step_result api__search_find(struct cx_exchange *x);
/* A step: the query becomes a vector where the mode wants one. */
enum cx_step_result api__search_embed(struct cx_exchange *x);
/* The step after it, which is one that runs after a failure: goes on by keyword where the embedding
 * service failed, the client did not insist, and there are words to go by; asks Chroma where it keeps the
 * documents. */
enum cx_step_result api__search_ask(struct cx_exchange *x);
/* Worker. */
enum cx_status api__search_hits(struct api__search_run *run, json_t **hits,
                                struct cx_err *err) CX_MUST_CHECK;
/* The same as bytes, appended to out, and their doc_ids to the array ids. */
enum cx_status api__search_write(struct api__search_run *run, struct cx_buf *out, json_t *ids,
                                 struct cx_err *err) CX_MUST_CHECK;
/* Loop: the event, and the entry in the log of tools. hit_ids is stolen. */
void api__search_tell(struct cx_exchange *x, json_t *hit_ids);
void api__search_release(struct api__search_run *run);

/* search_chroma.c, where a Chroma server keeps the documents: it ranks by vectors alone. */
void api__search_read_where(struct cx_reader *r, struct api__search_request *q);
enum cx_step_result api__search_ask_chroma(struct cx_exchange *x);
json_t *api__search_chroma_hits(struct api__search_run *run);

#endif
