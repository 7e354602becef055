/* SPDX-License-Identifier: MIT
 *
 * Who may ask: the Host that a request names and the Origin of the page that made it, against DNS
 * rebinding and foreign pages. Pure; any thread.
 */
#ifndef CORTEX_HTTP_GUARD_H
#define CORTEX_HTTP_GUARD_H

#include "cortex/base.h"

/* host: "name", "name:port", "[::1]:port". localhost and address literals are always right; names
 * ended by NULL. */
bool guard__host_allowed(struct cx_str host, const char *const *names);
/* Same origin as host, a localhost origin, or one of allowed (ended by NULL; "*" = any). */
bool guard__origin_allowed(struct cx_str origin, struct cx_str host, const char *const *allowed);

#endif
