/* SPDX-License-Identifier: MIT
 *
 * From JSON to a filter's tree (filter.h), with every fault of it. Ceilings: what a filter may cost to
 * read and to ask is bounded by them, not by the length of a body.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"
#include "filter.h"

#define DEPTH_MAX 16     /* of $and, $or and $not in each other */
#define NODES_MAX 1024   /* comparisons, and what joins them */
#define VALUES_MAX 10000 /* to compare with, elements and members of values included */
#define FAULTS_MAX 100   /* with more the reading ends: nobody is shown them */

/* Where in the filter something stands. */
struct place {
    const struct place *up; /* NULL: the filter itself */
    const char *key;        /* NULL: index */
    size_t index;
};
struct parser {
    struct cx_arena *arena;
    struct cx_faults *faults;
    const json_t *loc;
    size_t nodes;
    size_t values;
    size_t faulty;
    bool full; /* a ceiling is reached: said once */
};
struct list {
    struct vector__filter_node *first;
    struct vector__filter_node *last;
};

static struct vector__filter_node *parse_group(struct parser *p, const json_t *group,
                                               const struct place *at, int depth);
static struct vector__filter_node *parse_word(struct parser *p, const char *word,
                                              const json_t *value, const struct place *at,
                                              int depth);
static struct vector__filter_node *parse_alternatives(struct parser *p, enum vector__filter_op op,
                                                      const json_t *value, const struct place *at,
                                                      int depth);
static struct vector__filter_node *parse_member(struct parser *p, const char *path,
                                                const json_t *value, const struct place *at);
static struct vector__filter_node *parse_operators(struct parser *p, const char *path,
                                                   const json_t *value, const struct place *at,
                                                   int depth);
static struct vector__filter_node *parse_operator(struct parser *p, const char *path,
                                                  const char *word, const json_t *value,
                                                  const struct place *at, int depth);
static void check_operand(struct parser *p, enum vector__filter_op op, const json_t *value,
                          const struct place *at);
static void check_value(struct parser *p, const json_t *value, const struct place *at);
static bool holds_operators(const json_t *value);
static const struct word *find_operator(const char *word);
static struct vector__filter_node *add_node(struct parser *p, enum vector__filter_op op,
                                            const struct place *at);
static struct vector__filter_node *negate(struct parser *p, struct vector__filter_node *node,
                                          const struct place *at);
static void append(struct list *list, struct vector__filter_node *node);
static struct vector__filter_node *join(struct parser *p, struct list list, const struct place *at);
static bool passes_all(const struct vector__filter_node *node);
static void fault(struct parser *p, const struct place *at, const char *type, const char *format,
                  ...) CX_PRINTF(4, 5);
static void fault_ceiling(struct parser *p, const struct place *at, const char *what, int most);
static void add_place(json_t *loc, const struct place *at);

/* What may stand beneath a key. */
struct word {
    const char *word;
    enum vector__filter_op op;
    bool negated;
};
static const struct word OPERATORS[] = {
    { "$eq", VECTOR__EQ, false },   { "$ne", VECTOR__EQ, true },
    { "$gt", VECTOR__GT, false },   { "$gte", VECTOR__GTE, false },
    { "$lt", VECTOR__LT, false },   { "$lte", VECTOR__LTE, false },
    { "$in", VECTOR__IN, false },   { "$nin", VECTOR__IN, true },
    { "$not", VECTOR__NOT, false }, { "$exists", VECTOR__EXISTS, false },
};

bool cx_vector_filter_parse(const json_t *json, const json_t *loc, struct cx_faults *faults,
                            struct cx_vector_filter **out)
{
    struct cx_vector_filter *filter = cx_alloc(sizeof *filter);
    cx_arena_init(&filter->arena, (NODES_MAX + 1) * 2 * sizeof(struct vector__filter_node));
    struct parser p = { .arena = &filter->arena, .faults = faults, .loc = loc };
    const size_t before = faults->count;
    struct vector__filter_node *root = parse_group(&p, json, NULL, 0);
    if (faults->count > before) {
        cx_vector_filter_free(&filter);
        return false;
    }
    filter->root = passes_all(root) ? NULL : root;
    *out = filter;
    return true;
}

void cx_vector_filter_free(struct cx_vector_filter **filter)
{
    if (*filter != NULL) {
        cx_arena_free(&(*filter)->arena);
        free(*filter);
        *filter = NULL;
    }
}

bool cx_vector_filter_is_empty(const struct cx_vector_filter *filter)
{
    return filter->root == NULL;
}

/* All of its members hold. Where there were faults what comes back is not used. */
static struct vector__filter_node *parse_group(struct parser *p, const json_t *group,
                                               const struct place *at, int depth)
{
    struct list list = { 0 };
    if (!json_is_object(group)) {
        fault(p, at, "type", "must be an object");
        return NULL;
    }
    if (depth > DEPTH_MAX) {
        fault_ceiling(p, at, "levels of $and, $or and $not", DEPTH_MAX);
        return NULL;
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)group, key, value)
    {
        const struct place here = { .up = at, .key = key };
        append(&list, key[0] == '$' ? parse_word(p, key, value, &here, depth)
                                    : parse_member(p, key, value, &here));
        if (p->full) {
            break;
        }
    }
    return join(p, list, at);
}

/* What joins filters. */
static struct vector__filter_node *parse_word(struct parser *p, const char *word,
                                              const json_t *value, const struct place *at,
                                              int depth)
{
    if (strcmp(word, "$and") == 0 || strcmp(word, "$or") == 0) {
        return parse_alternatives(p, word[1] == 'a' ? VECTOR__AND : VECTOR__OR, value, at, depth);
    }
    if (strcmp(word, "$not") == 0) {
        return negate(p, parse_group(p, value, at, depth + 1), at);
    }
    if (find_operator(word) != NULL) {
        fault(p, at, "value", "must stand beneath a key: {\"key\": {\"%s\": …}}", word);
    } else {
        fault(p, at, "value", "is no operator that joins filters: these are $and, $or and $not");
    }
    return NULL;
}

static struct vector__filter_node *parse_alternatives(struct parser *p, enum vector__filter_op op,
                                                      const json_t *value, const struct place *at,
                                                      int depth)
{
    if (!json_is_array(value)) {
        fault(p, at, "type", "must be an array of filters");
        return NULL;
    }
    if (json_array_size(value) == 0) {
        fault(p, at, "length", "must hold a filter");
        return NULL;
    }
    struct list list = { 0 };
    for (size_t i = 0; i < json_array_size(value) && !p->full; i++) {
        const struct place here = { .up = at, .index = i };
        append(&list, parse_group(p, json_array_get(value, i), &here, depth + 1));
    }
    if (op == VECTOR__AND) {
        return join(p, list, at);
    }
    struct vector__filter_node *node = add_node(p, op, at);
    if (node != NULL) {
        node->first = list.first;
    }
    return node;
}

static struct vector__filter_node *parse_member(struct parser *p, const char *path,
                                                const json_t *value, const struct place *at)
{
    if (strlen(path) > VECTOR__PATH_BYTES) {
        fault(p, at->up, "length", "a key must be at most %d bytes", VECTOR__PATH_BYTES);
        return NULL;
    }
    if (holds_operators(value)) {
        return parse_operators(p, path, value, at, 0);
    }
    struct vector__filter_node *node = add_node(p, VECTOR__EQ, at);
    check_value(p, value, at);
    if (node != NULL) {
        node->path = path;
        node->value = value;
    }
    return node;
}

static struct vector__filter_node *parse_operators(struct parser *p, const char *path,
                                                   const json_t *value, const struct place *at,
                                                   int depth)
{
    if (depth > DEPTH_MAX) {
        fault_ceiling(p, at, "levels of $not", DEPTH_MAX);
        return NULL;
    }
    struct list list = { 0 };
    const char *word;
    json_t *operand;
    json_object_foreach((json_t *)value, word, operand)
    {
        const struct place here = { .up = at, .key = word };
        append(&list, parse_operator(p, path, word, operand, &here, depth));
        if (p->full) {
            break;
        }
    }
    return join(p, list, at);
}

static struct vector__filter_node *parse_operator(struct parser *p, const char *path,
                                                  const char *word, const json_t *value,
                                                  const struct place *at, int depth)
{
    const struct word *known = find_operator(word);
    if (known == NULL) {
        if (strcmp(word, "$and") == 0 || strcmp(word, "$or") == 0) {
            fault(p, at, "value", "joins filters and stands beside keys, not beneath one");
        } else if (word[0] == '$') {
            fault(
                p, at, "value",
                "is no operator: these are $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists and "
                "$not");
        } else {
            fault(p, at, "value", "must not stand among operators: \"a.b\" reaches into objects");
        }
        return NULL;
    }
    if (known->op == VECTOR__NOT) {
        if (!holds_operators(value)) {
            fault(p, at, "type", "must be an object of operators");
            return NULL;
        }
        return negate(p, parse_operators(p, path, value, at, depth + 1), at);
    }
    check_operand(p, known->op, value, at);
    struct vector__filter_node *node = add_node(p, known->op, at);
    if (node != NULL) {
        node->path = path;
        node->value = value;
    }
    return known->negated ? negate(p, node, at) : node;
}

static void check_operand(struct parser *p, enum vector__filter_op op, const json_t *value,
                          const struct place *at)
{
    switch (op) {
    case VECTOR__IN:
        if (!json_is_array(value)) {
            fault(p, at, "type", "must be an array");
            return;
        }
        for (size_t i = 0; i < json_array_size(value) && !p->full; i++) {
            const struct place here = { .up = at, .index = i };
            check_value(p, json_array_get(value, i), &here);
        }
        return;
    case VECTOR__EXISTS:
        if (!json_is_boolean(value)) {
            fault(p, at, "type", "must be true or false");
        }
        return;
    case VECTOR__GT:
    case VECTOR__GTE:
    case VECTOR__LT:
    case VECTOR__LTE:
        if (!json_is_number(value) && !json_is_string(value) && !json_is_boolean(value)) {
            fault(p, at, "type", "must be a number, a string or a boolean");
        } else if (json_is_string(value) && json_string_length(value) > VECTOR__STRING_BYTES) {
            fault(p, at, "length", "must be at most %d bytes", VECTOR__STRING_BYTES);
        }
        return;
    case VECTOR__AND:
    case VECTOR__OR:
    case VECTOR__NOT:
    case VECTOR__EQ:
        check_value(p, value, at);
        return;
    }
}

/* In a value that is compared with, a key that begins with $ is an operator out of place. */
static void check_value(struct parser *p, const json_t *value, const struct place *at)
{
    if (p->full) {
        return;
    }
    if (++p->values > VALUES_MAX) {
        fault_ceiling(p, NULL, "values", VALUES_MAX);
        return;
    }
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value) && !p->full; i++) {
            const struct place here = { .up = at, .index = i };
            check_value(p, json_array_get(value, i), &here);
        }
    } else if (json_is_object(value)) {
        const char *key;
        json_t *member;
        json_object_foreach((json_t *)value, key, member)
        {
            const struct place here = { .up = at, .key = key };
            if (key[0] == '$') {
                fault(p, &here, "value", "must not stand in a value: \"a.b\" reaches into objects");
            } else {
                check_value(p, member, &here);
            }
            if (p->full) {
                break;
            }
        }
    }
}

/* One key that begins with $ makes an object one of operators: the others are faults of it. One that is too
 * large for either is not looked through. */
static bool holds_operators(const json_t *value)
{
    const char *key;
    json_t *member;
    if (!json_is_object(value) || json_object_size(value) > VALUES_MAX) {
        return false;
    }
    json_object_foreach((json_t *)value, key, member)
    {
        if (key[0] == '$') {
            return true;
        }
    }
    return false;
}

static const struct word *find_operator(const char *word)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(OPERATORS); i++) {
        if (strcmp(word, OPERATORS[i].word) == 0) {
            return &OPERATORS[i];
        }
    }
    return NULL;
}

static struct vector__filter_node *add_node(struct parser *p, enum vector__filter_op op,
                                            const struct place *at)
{
    if (p->full) {
        return NULL;
    }
    if (++p->nodes > NODES_MAX) {
        fault_ceiling(p, NULL, "conditions", NODES_MAX);
        return NULL;
    }
    struct vector__filter_node *node = cx_arena_alloc(p->arena, sizeof *node);
    if (node == NULL) {
        fault(p, at, "length", "%s", cx_status_text(CX_NO_MEMORY));
        p->full = true;
        return NULL;
    }
    *node = (struct vector__filter_node){ .op = op };
    return node;
}

static struct vector__filter_node *negate(struct parser *p, struct vector__filter_node *node,
                                          const struct place *at)
{
    struct vector__filter_node *made = node != NULL ? add_node(p, VECTOR__NOT, at) : NULL;
    if (made != NULL) {
        made->first = node;
    }
    return made;
}

static void append(struct list *list, struct vector__filter_node *node)
{
    if (node != NULL) {
        *(list->last != NULL ? &list->last->next : &list->first) = node;
        list->last = node;
    }
}

/* What passes all is left out, and one alone needs no join. */
static struct vector__filter_node *join(struct parser *p, struct list list, const struct place *at)
{
    if (list.first != NULL && list.first == list.last) {
        return list.first;
    }
    struct vector__filter_node *node = add_node(p, VECTOR__AND, at);
    if (node != NULL) {
        node->first = list.first;
    }
    return node;
}

static bool passes_all(const struct vector__filter_node *node)
{
    if (node->op != VECTOR__AND) {
        return false;
    }
    for (const struct vector__filter_node *n = node->first; n != NULL; n = n->next) {
        if (!passes_all(n)) {
            return false;
        }
    }
    return true;
}

static void fault(struct parser *p, const struct place *at, const char *type, const char *format,
                  ...)
{
    char message[200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    json_t *loc = json_copy((json_t *)p->loc);
    add_place(loc, at);
    cx_faults_add(p->faults, loc, type, "%s", message);
    json_decref(loc);
    p->full = p->full || ++p->faulty >= FAULTS_MAX;
}

static void fault_ceiling(struct parser *p, const struct place *at, const char *what, int most)
{
    if (!p->full) {
        fault(p, at, "length", "must hold at most %d %s", most, what);
        p->full = true;
    }
}

static void add_place(json_t *loc, const struct place *at)
{
    if (at != NULL) {
        add_place(loc, at->up);
        json_t *last = at->key != NULL ? json_string(at->key) : json_integer((json_int_t)at->index);
        CX_CHECK(json_array_append_new(loc, last) == 0);
    }
}
