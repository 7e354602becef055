/* SPDX-License-Identifier: MIT
 *
 * The compiled table of routes: a tree over path segments, literal ones before {parameters}.
 * Immutable once made. Loop thread (or any, while nothing changes it).
 */
#ifndef CORTEX_HTTP_ROUTER_H
#define CORTEX_HTTP_ROUTER_H

#include "cortex/http.h"

#define ROUTER_PARAMS_MAX 8

struct router;
struct router_match {
    const struct cx_route *route;            /* NULL: the path is known, the method is not */
    const struct cx_route *ndjson;           /* for a body of application/x-ndjson, or NULL */
    struct cx_str values[ROUTER_PARAMS_MAX]; /* undecoded, in the order of the path */
    size_t value_count;
    const char *allow; /* of the path: "GET, HEAD, OPTIONS" */
    bool openai;       /* so answers a route with this first segment; set for unknown paths too */
};
/* CX_INVALID names the route that cannot be: no leading '/', twice the same, too deep. */
enum cx_status router__new(const struct cx_route *routes, size_t count, struct router **out,
                           struct cx_err *err) CX_MUST_CHECK;
void router__free(struct router **router);
/* False: no route has this path. Where it finds only the path, *out still carries allow. */
bool router__find(const struct router *router, struct cx_str method, struct cx_str path,
                  struct router_match *out);
/* The name of the nth {parameter} of a route's path; { NULL, 0 } if it has fewer. */
struct cx_str router__param_name(const struct cx_route *route, size_t nth);

#endif
