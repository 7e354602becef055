/* SPDX-License-Identifier: MIT
 *
 * filter: which documents are meant, by their metadata. JSON becomes a small tree once; the tree is
 * then asked in two ways that give the same answer: of one document's metadata (here), and of
 * all documents at once (filter_sets.h).
 *
 * Meaning. A path reaches into objects ("a.b" is b of a, and also a member that is called "a.b") and into
 * every element of an array on its way. What it reaches, and every element of an array there, are
 * the values; a comparison holds where it holds for one of them. Numbers compare by value, strings by
 * their bytes, false comes before true; arrays and objects are equal by content; values of two types
 * never compare. null equals null and a missing key. $ne, $nin and $not say the opposite of
 * $eq, $in and what they hold.
 *
 * Threads: any; a filter is read only once it is made.
 */
#ifndef CORTEX_VECTOR_FILTER_H
#define CORTEX_VECTOR_FILTER_H

#include <jansson.h>

#include "cortex/base.h"
#include "cortex/vector.h"

#define VECTOR__PATH_BYTES 1024  /* longer paths cannot be asked for */
#define VECTOR__STRING_BYTES 256 /* longer strings have equals, but no order can be asked for */

enum vector__filter_op {
    VECTOR__AND, /* of no nodes: holds */
    VECTOR__OR,
    VECTOR__NOT, /* of one node */
    VECTOR__EQ,
    VECTOR__IN, /* equal to an element of value */
    VECTOR__GT, /* value: a number, a string of at most VECTOR__STRING_BYTES, or a boolean */
    VECTOR__GTE,
    VECTOR__LT,
    VECTOR__LTE,
    VECTOR__EXISTS, /* something, null too, is at path, or nothing: as value says */
};
struct vector__filter_node {
    enum vector__filter_op op;
    const char *path;    /* of a comparison; borrowed from the filter's JSON, and so is */
    const json_t *value; /* what it compares with */
    struct vector__filter_node *first; /* of and, or, not */
    struct vector__filter_node *next;  /* beside this one */
};
struct cx_vector_filter {
    struct cx_arena arena;
    const struct vector__filter_node *root; /* NULL: every document passes */
};

/* filter: NULL passes everything. */
bool vector__filter_holds(const struct cx_vector_filter *filter, const json_t *metadata);

#endif
