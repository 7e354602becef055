/* SPDX-License-Identifier: MIT
 *
 * A filter asked of one document's metadata (filter.h). Depth is bounded by the parser that made the JSON.
 */
#include <string.h>

#include "facet_value.h"
#include "filter.h"

static bool node_holds(const struct vector__filter_node *node, const json_t *metadata);
static bool all_hold(const struct vector__filter_node *first, const json_t *metadata);
static bool one_holds(const struct vector__filter_node *first, const json_t *metadata);
static bool comparison_holds(const struct vector__filter_node *node, const json_t *metadata);
static bool asks_for_null(const struct vector__filter_node *node);
static bool reaches(const json_t *value, const char *path, const struct vector__filter_node *node);
static bool reaches_member(const json_t *member, const char *key, const char *path,
                           const struct vector__filter_node *node);
static bool value_matches(const json_t *value, const struct vector__filter_node *node);
static bool value_compares(const json_t *value, const struct vector__filter_node *node);
static bool values_equal(const json_t *a, const json_t *b);
static bool arrays_equal(const json_t *a, const json_t *b);
static bool objects_equal(const json_t *a, const json_t *b);

bool vector__filter_holds(const struct cx_vector_filter *filter, const json_t *metadata)
{
    return filter == NULL || filter->root == NULL || node_holds(filter->root, metadata);
}

static bool node_holds(const struct vector__filter_node *node, const json_t *metadata)
{
    switch (node->op) {
    case VECTOR__AND:
        return all_hold(node->first, metadata);
    case VECTOR__OR:
        return one_holds(node->first, metadata);
    case VECTOR__NOT:
        return !node_holds(node->first, metadata);
    case VECTOR__EXISTS:
        return reaches(metadata, node->path, NULL) == json_is_true(node->value);
    case VECTOR__EQ:
    case VECTOR__IN:
    case VECTOR__GT:
    case VECTOR__GTE:
    case VECTOR__LT:
    case VECTOR__LTE:
        return comparison_holds(node, metadata);
    }
    return false;
}

static bool all_hold(const struct vector__filter_node *first, const json_t *metadata)
{
    for (const struct vector__filter_node *node = first; node != NULL; node = node->next) {
        if (!node_holds(node, metadata)) {
            return false;
        }
    }
    return true;
}

static bool one_holds(const struct vector__filter_node *first, const json_t *metadata)
{
    for (const struct vector__filter_node *node = first; node != NULL; node = node->next) {
        if (node_holds(node, metadata)) {
            return true;
        }
    }
    return false;
}

static bool comparison_holds(const struct vector__filter_node *node, const json_t *metadata)
{
    return (asks_for_null(node) && !reaches(metadata, node->path, NULL)) ||
           reaches(metadata, node->path, node);
}

static bool asks_for_null(const struct vector__filter_node *node)
{
    if (node->op == VECTOR__EQ) {
        return json_is_null(node->value);
    }
    for (size_t i = 0; node->op == VECTOR__IN && i < json_array_size(node->value); i++) {
        if (json_is_null(json_array_get(node->value, i))) {
            return true;
        }
    }
    return false;
}

/* Whether the path reaches a value of which the comparison holds; node NULL: any value. */
static bool reaches(const json_t *value, const char *path, const struct vector__filter_node *node)
{
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (reaches(json_array_get(value, i), path, node)) {
                return true;
            }
        }
        return false;
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        if (reaches_member(member, key, path, node)) {
            return true;
        }
    }
    return false;
}

static bool reaches_member(const json_t *member, const char *key, const char *path,
                           const struct vector__filter_node *node)
{
    const size_t len = strlen(key);
    if (strncmp(path, key, len) != 0) {
        return false;
    }
    if (path[len] == '\0') {
        return node == NULL || value_matches(member, node);
    }
    return path[len] == '.' && reaches(member, path + len + 1, node);
}

static bool value_matches(const json_t *value, const struct vector__filter_node *node)
{
    if (value_compares(value, node)) {
        return true;
    }
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        if (value_matches(json_array_get(value, i), node)) {
            return true;
        }
    }
    return false;
}

static bool value_compares(const json_t *value, const struct vector__filter_node *node)
{
    if (node->op == VECTOR__EQ) {
        return values_equal(value, node->value);
    }
    if (node->op != VECTOR__IN) {
        int order = 0;
        return vector__json_order(value, node->value, &order) &&
               vector__order_holds(node->op, order);
    }
    for (size_t i = 0; i < json_array_size(node->value); i++) {
        if (values_equal(value, json_array_get(node->value, i))) {
            return true;
        }
    }
    return false;
}

static bool values_equal(const json_t *a, const json_t *b)
{
    int order = 0;
    if (vector__json_order(a, b, &order)) {
        return order == 0;
    }
    if (json_typeof(a) != json_typeof(b)) {
        return false;
    }
    return json_is_object(a)  ? objects_equal(a, b)
           : json_is_array(a) ? arrays_equal(a, b)
                              : json_is_null(a);
}

static bool arrays_equal(const json_t *a, const json_t *b)
{
    if (json_array_size(a) != json_array_size(b)) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(a); i++) {
        if (!values_equal(json_array_get(a, i), json_array_get(b, i))) {
            return false;
        }
    }
    return true;
}

static bool objects_equal(const json_t *a, const json_t *b)
{
    if (json_object_size(a) != json_object_size(b)) {
        return false;
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)a, key, member)
    {
        const json_t *other = json_object_get(b, key);
        if (other == NULL || !values_equal(member, other)) {
            return false;
        }
    }
    return true;
}
