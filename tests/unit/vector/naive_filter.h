/* SPDX-License-Identifier: MIT
 *
 * The meaning of filters written down a second time, as plainly as can be: straight from the filter's JSON,
 * with every value at a path gathered first. For tests, which hold the real ones to it.
 */
#ifndef CORTEX_TEST_VECTOR_NAIVE_FILTER_H
#define CORTEX_TEST_VECTOR_NAIVE_FILTER_H

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

static bool naive_filter(const json_t *filter, const json_t *metadata);

static inline void naive_add(json_t *value, json_t *out)
{
    json_array_append(out, value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        naive_add(json_array_get(value, i), out);
    }
}

static inline void naive_gather(json_t *value, const char *path, json_t *out)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        naive_gather(json_array_get(value, i), path, out);
    }
    for (size_t len = 0; json_is_object(value) && len <= strlen(path); len++) {
        if (path[len] != '.' && path[len] != '\0') {
            continue;
        }
        char key[2048];
        memcpy(key, path, len);
        key[len] = '\0';
        json_t *member = json_object_get(value, key);
        if (member != NULL && path[len] == '\0') {
            naive_add(member, out);
        } else if (member != NULL) {
            naive_gather(member, path + len + 1, out);
        }
    }
}

/* A long double holds every 64-bit integer and every double. */
static inline long double naive_number(const json_t *value)
{
    return json_is_integer(value) ? (long double)json_integer_value(value)
                                  : (long double)json_real_value(value);
}

static inline bool naive_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) {
        return naive_number(a) == naive_number(b);
    }
    if (json_is_array(a) && json_is_array(b)) {
        bool equal = json_array_size(a) == json_array_size(b);
        for (size_t i = 0; equal && i < json_array_size(a); i++) {
            equal = naive_equal(json_array_get(a, i), json_array_get(b, i));
        }
        return equal;
    }
    if (json_is_object(a) && json_is_object(b)) {
        bool equal = json_object_size(a) == json_object_size(b);
        const char *key;
        json_t *member;
        json_object_foreach((json_t *)a, key, member)
        {
            const json_t *other = json_object_get(b, key);
            equal = equal && other != NULL && naive_equal(member, other);
        }
        return equal;
    }
    return json_equal(a, b);
}

/* -1, 0, 1; NAN where there is no order. */
static inline double naive_order(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) {
        const long double x = naive_number(a);
        const long double y = naive_number(b);
        return x < y ? -1 : x > y ? 1 : 0;
    }
    if (json_is_string(a) && json_is_string(b)) {
        const int order = strcmp(json_string_value(a), json_string_value(b));
        return order < 0 ? -1 : order > 0 ? 1 : 0;
    }
    if (json_is_boolean(a) && json_is_boolean(b)) {
        return (json_is_true(a) ? 1 : 0) - (json_is_true(b) ? 1 : 0);
    }
    return NAN;
}

static inline bool naive_is_one_of(const json_t *values, const json_t *wanted)
{
    if (json_is_null(wanted) && json_array_size(values) == 0) {
        return true;
    }
    for (size_t i = 0; i < json_array_size(values); i++) {
        if (naive_equal(json_array_get(values, i), wanted)) {
            return true;
        }
    }
    return false;
}

static inline bool naive_any_in_order(const json_t *values, const char *word, const json_t *operand)
{
    for (size_t i = 0; i < json_array_size(values); i++) {
        const double order = naive_order(json_array_get(values, i), operand);
        if (strcmp(word, "$gt") == 0    ? order > 0
            : strcmp(word, "$gte") == 0 ? order >= 0
            : strcmp(word, "$lt") == 0  ? order < 0
                                        : order <= 0) {
            return true;
        }
    }
    return false;
}

static inline bool naive_condition(const json_t *values, const json_t *condition)
{
    const char *word = json_object_iter_key(json_object_iter((json_t *)condition));
    if (word == NULL || word[0] != '$') {
        return naive_is_one_of(values, condition);
    }
    json_t *operand;
    json_object_foreach((json_t *)condition, word, operand)
    {
        bool holds = false;
        if (strcmp(word, "$eq") == 0 || strcmp(word, "$ne") == 0) {
            holds = naive_is_one_of(values, operand) == (word[1] == 'e');
        } else if (strcmp(word, "$in") == 0 || strcmp(word, "$nin") == 0) {
            for (size_t i = 0; i < json_array_size(operand); i++) {
                holds = holds || naive_is_one_of(values, json_array_get(operand, i));
            }
            holds = holds == (word[1] == 'i');
        } else if (strcmp(word, "$not") == 0) {
            holds = !naive_condition(values, operand);
        } else if (strcmp(word, "$exists") == 0) {
            holds = (json_array_size(values) > 0) == json_is_true(operand);
        } else {
            holds = naive_any_in_order(values, word, operand);
        }
        if (!holds) {
            return false;
        }
    }
    return true;
}

static bool naive_filter(const json_t *filter, const json_t *metadata)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)filter, key, value)
    {
        const bool all = strcmp(key, "$and") == 0;
        bool holds = all;
        if (strcmp(key, "$not") == 0) {
            holds = !naive_filter(value, metadata);
        } else if (all || strcmp(key, "$or") == 0) {
            for (size_t i = 0; i < json_array_size(value); i++) {
                const bool one = naive_filter(json_array_get(value, i), metadata);
                holds = all ? holds && one : holds || one;
            }
        } else {
            json_t *values = json_array();
            naive_gather((json_t *)metadata, key, values);
            holds = naive_condition(values, value);
            json_decref(values);
        }
        if (!holds) {
            return false;
        }
    }
    return true;
}

#endif
