/* SPDX-License-Identifier: MIT
 *
 * Hot state behind its endpoints: what hot.c and hot_space.c share, and the upkeep in hot_upkeep.c,
 * which lets expired entries go and takes the rows of what is gone from the disk. Loop thread.
 */
#ifndef CORTEX_API_HOT_H
#define CORTEX_API_HOT_H

#include "api/api_internal.h"

/* Entries that are touched in one turn of the loop: some 0.1 ms. */
#define API_HOT_STEPS 128

/* Reads namespace and key (where the route has one) of the path; faults where they can be none. */
void api__hot_read_path(struct cx_exchange *x, struct cx_faults *faults, struct cx_str *space,
                        struct cx_str *key);
/* Something changed: tells the bus. key.p NULL = the namespace as a whole. */
void api__hot_tell(struct cx_api *api, const char *what, struct cx_str space, struct cx_str key,
                   const char *correlation_id);

#endif
