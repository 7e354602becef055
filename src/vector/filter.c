/* SPDX-License-Identifier: MIT
 *
 * Filters, exactly: compiling, equality of JSON values, paths (filter.h).
 */
#include "filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "facets.h"

#define CONDITIONS_MAX 256

static bool condition_holds(const struct vector__condition *c, const json_t *metadata);
static bool path_matches(const json_t *value, const char *path, const json_t *want);
static bool path_exists(const json_t *value, const char *path);
static bool value_matches(const json_t *value, const json_t *want);
static bool values_equal(const json_t *a, const json_t *b);
static bool numbers_equal(const json_t *a, const json_t *b);
static bool objects_equal(const json_t *a, const json_t *b);
static const char *find_operator(const json_t *value);

enum cx_status vector__filter_init(const json_t *filter, const struct vector__facet_key *key,
                                   struct vector__filter *out, struct cx_err *err)
{
    if (filter == NULL) {
        *out = (struct vector__filter){ 0 };
        return CX_OK;
    }
    if (!json_is_object(filter)) {
        return cx_err_set(err, CX_INVALID, "filter must be an object");
    }
    if (json_object_size(filter) > CONDITIONS_MAX) {
        return cx_err_set(err, CX_INVALID, "filter has more than %d members", CONDITIONS_MAX);
    }
    const char *word = find_operator(filter);
    if (word != NULL) {
        return cx_err_set(err, CX_INVALID,
                          "filter operator \"%.64s\" is not supported: a filter holds equalities "
                          "such as {\"type\": \"a\"}",
                          word);
    }
    struct vector__filter made = { 0 };
    made.conditions = cx_alloc((json_object_size(filter) + 1) * sizeof *made.conditions);
    const char *path;
    json_t *value;
    json_object_foreach((json_t *)filter, path, value)
    {
        if (strlen(path) > VECTOR__PATH_BYTES) {
            free(made.conditions);
            return cx_err_set(err, CX_INVALID, "a key of filter is longer than %d bytes",
                              VECTOR__PATH_BYTES);
        }
        made.conditions[made.count++] = (struct vector__condition){
            .path = path,
            .value = value,
            .facet = vector__facet(key, path, strlen(path), value),
            .exists = vector__facet(key, path, strlen(path), NULL),
        };
    }
    *out = made;
    return CX_OK;
}

void vector__filter_free(struct vector__filter *filter)
{
    free(filter->conditions);
    *filter = (struct vector__filter){ 0 };
}

bool vector__filter_exact(const struct vector__filter *filter, const json_t *metadata)
{
    for (size_t i = 0; i < filter->count; i++) {
        if (!condition_holds(&filter->conditions[i], metadata)) {
            return false;
        }
    }
    return true;
}

static bool condition_holds(const struct vector__condition *c, const json_t *metadata)
{
    if (json_is_null(c->value) && !path_exists(metadata, c->path)) {
        return true;
    }
    return path_matches(metadata, c->path, c->value);
}

/* "a.b" is the member b of the member a, and also a member that is called "a.b". */
static bool path_matches(const json_t *value, const char *path, const json_t *want)
{
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (path_matches(json_array_get(value, i), path, want)) {
                return true;
            }
        }
        return false;
    }
    if (!json_is_object(value)) {
        return false;
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        const size_t len = strlen(key);
        if (strncmp(path, key, len) != 0) {
            continue;
        }
        if (path[len] == '\0' && value_matches(member, want)) {
            return true;
        }
        if (path[len] == '.' && path_matches(member, path + len + 1, want)) {
            return true;
        }
    }
    return false;
}

static bool path_exists(const json_t *value, const char *path)
{
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (path_exists(json_array_get(value, i), path)) {
                return true;
            }
        }
        return false;
    }
    if (!json_is_object(value)) {
        return false;
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        const size_t len = strlen(key);
        if (strncmp(path, key, len) == 0 &&
            (path[len] == '\0' || (path[len] == '.' && path_exists(member, path + len + 1)))) {
            return true;
        }
    }
    return false;
}

static bool value_matches(const json_t *value, const json_t *want)
{
    if (values_equal(value, want)) {
        return true;
    }
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (value_matches(json_array_get(value, i), want)) {
                return true;
            }
        }
    }
    return false;
}

static bool values_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) {
        return numbers_equal(a, b);
    }
    if (json_typeof(a) != json_typeof(b)) {
        return false;
    }
    if (json_is_string(a)) {
        return json_string_length(a) == json_string_length(b) &&
               memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0;
    }
    if (json_is_object(a)) {
        return objects_equal(a, b);
    }
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b)) {
            return false;
        }
        for (size_t i = 0; i < json_array_size(a); i++) {
            if (!values_equal(json_array_get(a, i), json_array_get(b, i))) {
                return false;
            }
        }
    }
    return true;
}

static bool numbers_equal(const json_t *a, const json_t *b)
{
    struct vector__number x = vector__number_of(a);
    struct vector__number y = vector__number_of(b);
    return x.is_integer == y.is_integer &&
           (x.is_integer ? x.integer == y.integer : x.real == y.real);
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

/* A key that begins with $ is an operator wherever it stands, and none is known. */
static const char *find_operator(const json_t *value)
{
    const char *found = NULL;
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value) && found == NULL; i++) {
            found = find_operator(json_array_get(value, i));
        }
    } else if (json_is_object(value)) {
        const char *key;
        json_t *member;
        json_object_foreach((json_t *)value, key, member)
        {
            found = key[0] == '$' ? key : find_operator(member);
            if (found != NULL) {
                break;
            }
        }
    }
    return found;
}
