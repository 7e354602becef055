/* SPDX-License-Identifier: MIT
 *
 * Metadata and filters for a store that knows pairs of a key and one scalar only, and no $not: Chroma.
 * Both stand here because they must agree: what flattening makes of a value is what a filter's
 * comparison is turned into.
 *
 * A path with one value is a pair: {"a": {"b": 1}} gives "a.b": 1. Of several (an array, or objects in
 * one) each is a key of its own, which is true: {"tags": ["x", "y"]} gives tags[]="x" and tags[]="y". So
 * equality is exact on both; an order can be asked of the first kind alone.
 *
 * Chroma's $ne and $nin hold of a missing key, as ours do, so that their negation is theirs. Its $gt and so
 * on do not, and their opposites neither: what is left of $not over these cannot be said.
 *
 * Threads: any.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"
#include "cortex/json.h"
#include "filter.h"

#define TEXT_BYTES 128     /* of an element, in the name of its key; longer ones are hashed */
#define CONDITIONS_MAX 512 /* of a filter as it is sent */

static bool is_reserved(const char *path);

/* ---- Metadata ---- */

static void gather(const json_t *value, struct cx_buf *path, json_t *paths);
static char *element_key(const char *path, const json_t *value);

enum cx_status cx_vector_flatten(const json_t *metadata, json_t **flat, struct cx_err *err)
{
    json_t *paths = json_object();
    struct cx_buf path;
    cx_buf_init(&path, (size_t)VECTOR__PATH_BYTES + 1);
    gather(metadata, &path, paths);
    cx_buf_free(&path);
    json_t *pairs = json_object();
    const char *key;
    json_t *values;
    bool reserved = false;
    json_object_foreach(paths, key, values)
    {
        reserved = reserved || is_reserved(key);
        if (json_array_size(values) == 1) {
            (void)json_object_set(pairs, key, json_array_get(values, 0));
        }
        for (size_t i = 0; json_array_size(values) > 1 && i < json_array_size(values); i++) {
            char *element = element_key(key, json_array_get(values, i));
            (void)json_object_set_new(pairs, element, json_true());
            free(element);
        }
    }
    const size_t count = json_object_size(pairs);
    json_decref(paths);
    if (reserved || count > CX_FLAT_KEYS_MAX) {
        json_decref(pairs);
        return reserved ? cx_err_set(err, CX_INVALID,
                                     "metadata keys must not begin with \"cortex:\" or \"chroma:\"")
                        : cx_err_set(err, CX_INVALID,
                                     "metadata must have at most %d values in all, those of arrays "
                                     "included",
                                     CX_FLAT_KEYS_MAX);
    }
    *flat = pairs;
    return CX_OK;
}

/* paths: from each path to all of its values. What is too long to be asked for is left out, and so is null,
 * which is the same as a missing key. */
static void gather(const json_t *value, struct cx_buf *path, json_t *paths)
{
    const size_t len = path->len;
    const char *key;
    json_t *member;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, member)
        {
            if (len > 0) {
                cx_buf_putc(path, '.');
            }
            cx_buf_puts(path, key);
            if (!path->failed) {
                gather(member, path, paths);
            }
            path->failed = false;
            path->len = len;
            if (path->data != NULL) {
                path->data[len] = '\0';
            }
        }
    } else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            gather(json_array_get(value, i), path, paths);
        }
    } else if (!json_is_null(value)) {
        const char *name = path->data != NULL ? path->data : "";
        json_t *values = json_object_get(paths, name);
        if (values == NULL) {
            values = json_array();
            (void)json_object_set_new(paths, name, values);
        }
        (void)json_array_append(values, (json_t *)value);
    }
}

/* Equal values give equal keys: 5 and 5.0 are one. */
static char *element_key(const char *path, const json_t *value)
{
    struct cx_buf key;
    cx_buf_init(&key, (size_t)16 << 20);
    cx_buf_printf(&key, "%s[]=", path);
    if (json_is_string(value)) {
        const struct cx_str text = { json_string_value(value), json_string_length(value) };
        if (text.len <= TEXT_BYTES) {
            cx_json_write_string(text, &key);
        } else {
            uint8_t digest[CX_SHA256_BYTES];
            char hex[CX_SHA256_HEX_BYTES];
            cx_sha256(text, digest);
            cx_buf_puts(&key, cx_hex(digest, sizeof digest, hex));
        }
    } else if (json_is_real(value) && (floor(json_real_value(value)) != json_real_value(value) ||
                                       fabs(json_real_value(value)) > 9007199254740992.0)) {
        cx_buf_printf(&key, "%.17g", json_real_value(value));
    } else if (json_is_number(value)) {
        const int64_t number = json_is_real(value) ? (int64_t)json_real_value(value)
                                                   : (int64_t)json_integer_value(value);
        cx_buf_put_i64(&key, number);
    } else {
        cx_buf_puts(&key, json_is_true(value) ? "true" : "false");
    }
    CX_CHECK(!key.failed);
    return cx_buf_take(&key, NULL);
}

static bool is_reserved(const char *path)
{
    return strncmp(path, "cortex:", 7) == 0 || strncmp(path, "chroma:", 7) == 0;
}

/* ---- Filters ---- */

enum truth { ALL, NONE, SOME }; /* of the documents a condition holds for; SOME: as its JSON says */
struct condition {
    enum truth truth;
    json_t *where;
};
struct translation {
    const json_t *loc;
    struct cx_faults *faults;
    size_t conditions;
    bool full;
};

static struct condition translate(struct translation *t, const struct vector__filter_node *node,
                                  bool negated);
static struct condition join(struct translation *t, const struct vector__filter_node *node,
                             bool negated);
static struct condition equals(struct translation *t, const struct vector__filter_node *node,
                               bool negated);
static struct condition is_one_of(struct translation *t, const struct vector__filter_node *node,
                                  bool negated);
static struct condition order(struct translation *t, const struct vector__filter_node *node,
                              bool negated);
static json_t *compare(const char *path, const char *op, json_t *value);
static json_t *element(const struct vector__filter_node *node, const json_t *value, bool negated);
static struct condition joined(json_t *list, bool all);
static const char *op_word(enum vector__filter_op op);
static bool count_condition(struct translation *t);
static struct condition refuse(struct translation *t, const struct vector__filter_node *node,
                               const char *what);

bool cx_vector_filter_flat(const struct cx_vector_filter *filter, const json_t *loc,
                           struct cx_faults *faults, json_t **where)
{
    *where = NULL;
    if (filter == NULL || filter->root == NULL) {
        return true;
    }
    struct translation t = { .loc = loc, .faults = faults };
    const size_t before = faults->count;
    struct condition whole = translate(&t, filter->root, false);
    if (faults->count > before) {
        json_decref(whole.where);
        return false;
    }
    if (whole.truth == NONE) { /* what no document has */
        whole.where = compare("cortex:metadata", "$eq", json_string(""));
    }
    *where = whole.where;
    return true;
}

static struct condition translate(struct translation *t, const struct vector__filter_node *node,
                                  bool negated)
{
    if (node->path != NULL && is_reserved(node->path)) {
        return refuse(t, node, "a key that begins with \"cortex:\" or \"chroma:\"");
    }
    switch (node->op) {
    case VECTOR__AND:
    case VECTOR__OR:
        return join(t, node, negated);
    case VECTOR__NOT:
        return translate(t, node->first, !negated);
    case VECTOR__EQ:
        return equals(t, node, negated);
    case VECTOR__IN:
        return is_one_of(t, node, negated);
    case VECTOR__GT:
    case VECTOR__GTE:
    case VECTOR__LT:
    case VECTOR__LTE:
        return order(t, node, negated);
    case VECTOR__EXISTS:
        return refuse(t, node, "$exists");
    }
    return (struct condition){ NONE, NULL };
}

/* De Morgan: not (a and b) is (not a) or (not b). */
static struct condition join(struct translation *t, const struct vector__filter_node *node,
                             bool negated)
{
    const bool all = (node->op == VECTOR__AND) != negated;
    json_t *list = json_array();
    bool decided = false; /* one that decides it alone: none of an and, all of an or */
    for (const struct vector__filter_node *n = node->first; n != NULL && !t->full; n = n->next) {
        struct condition one = translate(t, n, negated);
        if (one.truth == SOME) {
            (void)json_array_append_new(list, one.where);
        }
        decided = decided || one.truth == (all ? NONE : ALL);
    }
    if (decided) {
        json_decref(list);
        return (struct condition){ all ? NONE : ALL, NULL };
    }
    return joined(list, all);
}

static struct condition equals(struct translation *t, const struct vector__filter_node *node,
                               bool negated)
{
    const json_t *value = node->value;
    if (json_is_null(value)) {
        return refuse(t, node, negated ? "$ne of null" : "$eq of null");
    }
    if (json_is_array(value) || json_is_object(value)) {
        return refuse(t, node, "$eq of an array or an object");
    }
    if (!count_condition(t)) {
        return (struct condition){ NONE, NULL };
    }
    json_t *list = json_array();
    (void)json_array_append_new(
        list, compare(node->path, negated ? "$ne" : "$eq", json_incref((json_t *)value)));
    (void)json_array_append_new(list, element(node, value, negated));
    return joined(list, negated);
}

/* Chroma takes lists of one type only. */
static struct condition is_one_of(struct translation *t, const struct vector__filter_node *node,
                                  bool negated)
{
    enum { STRINGS, INTEGERS, REALS, BOOLEANS, KINDS };
    json_t *kinds[KINDS] = { json_array(), json_array(), json_array(), json_array() };
    json_t *list = json_array();
    const char *what = NULL;
    for (size_t i = 0; i < json_array_size(node->value) && what == NULL; i++) {
        json_t *value = json_array_get(node->value, i);
        if (json_is_null(value) || json_is_array(value) || json_is_object(value)) {
            what = negated ? "$nin with null, an array or an object"
                           : "$in with null, an array or an object";
        } else if (!count_condition(t)) {
            break;
        } else {
            const int kind = json_is_string(value)    ? STRINGS
                             : json_is_integer(value) ? INTEGERS
                             : json_is_real(value)    ? REALS
                                                      : BOOLEANS;
            (void)json_array_append(kinds[kind], value);
            (void)json_array_append_new(list, element(node, value, negated));
        }
    }
    for (int kind = 0; kind < KINDS; kind++) {
        if (json_array_size(kinds[kind]) > 0) {
            (void)json_array_append_new(list,
                                        compare(node->path, negated ? "$nin" : "$in", kinds[kind]));
        } else {
            json_decref(kinds[kind]);
        }
    }
    if (what != NULL) {
        json_decref(list);
        return refuse(t, node, what);
    }
    return joined(list, negated);
}

static struct condition order(struct translation *t, const struct vector__filter_node *node,
                              bool negated)
{
    char what[80];
    if (negated) {
        (void)snprintf(what, sizeof what, "$not over %s", op_word(node->op));
        return refuse(t, node, what);
    }
    if (!json_is_number(node->value)) {
        (void)snprintf(what, sizeof what, "%s of anything but a number", op_word(node->op));
        return refuse(t, node, what);
    }
    if (!count_condition(t)) {
        return (struct condition){ NONE, NULL };
    }
    return (struct condition){ SOME, compare(node->path, op_word(node->op),
                                             json_incref((json_t *)node->value)) };
}

static json_t *compare(const char *path, const char *op, json_t *value)
{
    json_t *comparison = json_object();
    (void)json_object_set_new(comparison, op, value);
    json_t *where = json_object();
    (void)json_object_set_new(where, path, comparison);
    return where;
}

static json_t *element(const struct vector__filter_node *node, const json_t *value, bool negated)
{
    char *key = element_key(node->path, value);
    json_t *where = compare(key, negated ? "$ne" : "$eq", json_true());
    free(key);
    return where;
}

/* Steals list. */
static struct condition joined(json_t *list, bool all)
{
    if (json_array_size(list) == 0) {
        json_decref(list);
        return (struct condition){ all ? ALL : NONE, NULL };
    }
    json_t *where = NULL;
    if (json_array_size(list) == 1) {
        where = json_incref(json_array_get(list, 0));
        json_decref(list);
    } else {
        where = json_object();
        (void)json_object_set_new(where, all ? "$and" : "$or", list);
    }
    return (struct condition){ SOME, where };
}

static const char *op_word(enum vector__filter_op op)
{
    return op == VECTOR__GT    ? "$gt"
           : op == VECTOR__GTE ? "$gte"
           : op == VECTOR__LT  ? "$lt"
                               : "$lte";
}

static bool count_condition(struct translation *t)
{
    if (!t->full && ++t->conditions > CONDITIONS_MAX) {
        t->full = true;
        cx_faults_add(t->faults, t->loc, "length",
                      "must hold at most %d values and conditions with vector.backend = chroma",
                      CONDITIONS_MAX);
    }
    return !t->full;
}

static struct condition refuse(struct translation *t, const struct vector__filter_node *node,
                               const char *what)
{
    json_t *loc = json_copy((json_t *)t->loc);
    (void)json_array_append_new(loc, json_string(node->path));
    cx_faults_add(t->faults, loc, "value", "must not ask for %s: Chroma knows no such thing", what);
    json_decref(loc);
    return (struct condition){ NONE, NULL };
}
