/* SPDX-License-Identifier: MIT
 *
 * The compiled table of routes. Owns its nodes, borrows the routes. A path has some 20 segments at
 * most, and a node few children, so matching compares lengths and bytes and nothing is hashed.
 */
#include "http/router.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16

struct node {
    struct cx_str segment; /* borrowed from the route */
    struct node *children; /* literal, linked by next */
    struct node *any;      /* {parameter} */
    struct node *next;
    const struct cx_route **routes; /* one a method */
    size_t route_count;
    char *allow;
    bool openai; /* such a route is behind it */
};

struct router {
    struct node root;
};

static enum cx_status add_route(struct router *router, const struct cx_route *route,
                                struct cx_err *err);
static bool is_ndjson(const struct cx_route *route);
static bool next_segment(struct cx_str *rest, struct cx_str *segment);
static bool segment_is_param(struct cx_str segment);
static struct node *child_for(struct node *node, struct cx_str segment);
static struct node *literal_child(const struct node *node, struct cx_str segment);
static void describe_methods(struct node *node);
static const struct node *match(const struct node *node, struct cx_str rest,
                                struct router_match *out);
static void free_node(struct node *node);

enum cx_status router__new(const struct cx_route *routes, size_t count, struct router **out,
                           struct cx_err *err)
{
    struct router *router = cx_alloc(sizeof *router);
    for (size_t i = 0; i < count; i++) {
        const enum cx_status status = add_route(router, &routes[i], err);
        if (status != CX_OK) {
            router__free(&router);
            return status;
        }
    }
    *out = router;
    return CX_OK;
}

static enum cx_status add_route(struct router *router, const struct cx_route *route,
                                struct cx_err *err)
{
    struct cx_str rest = cx_str_of(route->path);
    struct cx_str segment = { NULL, 0 };
    struct node *node = &router->root;
    size_t params = 0;
    size_t depth = 0;
    if (rest.len == 0 || rest.p[0] != '/' || route->step_count == 0) {
        return cx_err_set(err, CX_INVALID, "route %s %s: no leading '/' or no steps", route->method,
                          route->path);
    }
    while (next_segment(&rest, &segment)) {
        params += segment_is_param(segment) ? 1 : 0;
        depth++;
        node = child_for(node, segment);
        node->openai = node->openai || (route->flags & CX_ROUTE_OPENAI_ERRORS) != 0;
    }
    if (params > ROUTER_PARAMS_MAX || depth > DEPTH_MAX) {
        return cx_err_set(err, CX_INVALID, "route %s %s: too deep", route->method, route->path);
    }
    for (size_t i = 0; i < node->route_count; i++) {
        if (strcmp(node->routes[i]->method, route->method) == 0 &&
            is_ndjson(node->routes[i]) == is_ndjson(route)) {
            return cx_err_set(err, CX_INVALID, "route %s %s: twice", route->method, route->path);
        }
    }
    node->routes =
        cx_realloc_array(node->routes, node->route_count + 1, sizeof(const struct cx_route *));
    node->routes[node->route_count++] = route;
    describe_methods(node);
    return CX_OK;
}

static bool is_ndjson(const struct cx_route *route)
{
    return (route->flags & CX_ROUTE_NDJSON) != 0;
}

/* "/a/b" has two segments, "/a/" has two (the second empty), "/" has one (empty). */
static bool next_segment(struct cx_str *rest, struct cx_str *segment)
{
    if (rest->len == 0) {
        return false;
    }
    const char *begin = rest->p + 1;
    const char *slash = memchr(begin, '/', rest->len - 1);
    const size_t len = slash != NULL ? (size_t)(slash - begin) : rest->len - 1;
    *segment = (struct cx_str){ begin, len };
    rest->p = begin + len;
    rest->len -= len + 1;
    return true;
}

static bool segment_is_param(struct cx_str segment)
{
    return segment.len > 2 && segment.p[0] == '{' && segment.p[segment.len - 1] == '}';
}

static struct node *child_for(struct node *node, struct cx_str segment)
{
    if (segment_is_param(segment)) {
        if (node->any == NULL) {
            node->any = cx_alloc(sizeof *node->any);
            node->any->segment = segment;
        }
        return node->any;
    }
    struct node *child = literal_child(node, segment);
    if (child == NULL) {
        child = cx_alloc(sizeof *child);
        child->segment = segment;
        child->next = node->children;
        node->children = child;
    }
    return child;
}

static struct node *literal_child(const struct node *node, struct cx_str segment)
{
    struct node *child = node->children;
    while (child != NULL && !cx_str_eq(child->segment, segment)) {
        child = child->next;
    }
    return child;
}

static bool has_method(const struct node *node, size_t count, const char *method)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(node->routes[i]->method, method) == 0) {
            return true;
        }
    }
    return false;
}

static void describe_methods(struct node *node)
{
    struct cx_buf text;
    cx_buf_init(&text, 1024);
    for (size_t i = 0; i < node->route_count; i++) {
        const char *method = node->routes[i]->method;
        if (has_method(node, i, method)) {
            continue;
        }
        cx_buf_printf(&text, strcmp(method, "GET") == 0 ? "%s, HEAD, " : "%s, ", method);
    }
    cx_buf_puts(&text, "OPTIONS");
    free(node->allow);
    size_t len = 0;
    node->allow = cx_buf_take(&text, &len);
    CX_CHECK(node->allow != NULL);
}

bool router__find(const struct router *router, struct cx_str method, struct cx_str path,
                  struct router_match *out)
{
    out->route = NULL;
    out->ndjson = NULL;
    out->value_count = 0;
    out->allow = NULL;
    out->openai = false;
    if (path.len == 0 || path.p[0] != '/') {
        return false;
    }
    const struct node *node = match(&router->root, path, out);
    if (node == NULL) {
        return false;
    }
    out->allow = node->allow;
    const struct cx_str wanted = cx_str_eq(method, CX_STR("HEAD")) ? CX_STR("GET") : method;
    for (size_t i = 0; i < node->route_count; i++) {
        const struct cx_route *route = node->routes[i];
        if (cx_str_eq(cx_str_of(route->method), wanted)) {
            *(is_ndjson(route) ? &out->ndjson : &out->route) = route;
        }
    }
    out->route = out->route != NULL ? out->route : out->ndjson;
    return true;
}

/* Depth is bounded by the tree's, not by the path's. */
static const struct node *match(const struct node *node, struct cx_str rest,
                                struct router_match *out)
{
    struct cx_str segment = { NULL, 0 };
    if (!next_segment(&rest, &segment)) {
        return node->route_count > 0 ? node : NULL;
    }
    const struct node *child = literal_child(node, segment);
    if (child != NULL) {
        out->openai = out->openai || child->openai;
        const struct node *found = match(child, rest, out);
        if (found != NULL) {
            return found;
        }
    }
    if (node->any == NULL || segment.len == 0 || out->value_count == ROUTER_PARAMS_MAX) {
        return NULL;
    }
    out->values[out->value_count++] = segment;
    const struct node *found = match(node->any, rest, out);
    if (found == NULL) {
        out->value_count--;
    }
    return found;
}

struct cx_str router__param_name(const struct cx_route *route, size_t nth)
{
    struct cx_str rest = cx_str_of(route->path);
    struct cx_str segment = { NULL, 0 };
    while (next_segment(&rest, &segment)) {
        if (segment_is_param(segment) && nth-- == 0) {
            return (struct cx_str){ segment.p + 1, segment.len - 2 };
        }
    }
    return (struct cx_str){ NULL, 0 };
}

void router__free(struct router **router)
{
    if (*router == NULL) {
        return;
    }
    free_node(&(*router)->root);
    free(*router);
    *router = NULL;
}

static void free_node(struct node *node)
{
    while (node->children != NULL) {
        struct node *child = node->children;
        node->children = child->next;
        free_node(child);
        free(child);
    }
    if (node->any != NULL) {
        free_node(node->any);
        free(node->any);
    }
    free((void *)node->routes);
    free(node->allow);
}
