/* SPDX-License-Identifier: MIT
 *
 * search_request: what a body of POST /vector/search asks for.
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
/* Every fault is noted. Loop. */
void api__search_read(struct cx_exchange *x, const json_t *body, struct cx_faults *faults,
                      struct api__search_request *q);

#endif
