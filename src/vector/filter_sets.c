/* SPDX-License-Identifier: MIT
 *
 * From a filter's tree to the slots that pass (filter_sets.h).
 */
#include "filter_sets.h"

#include <stdlib.h>
#include <string.h>

#include "facet_order.h"

/* A list where fewer than one in so many pass: from there on reading the rows that are listed, one by one,
 * takes less time than reading all (tests/bench/filters.c). */
#define NARROW_ONE_IN 5

struct asker {
    const struct vector__facets *facets;
    size_t words;
    bool failed; /* out of memory */
};
/* The fields that a path can mean: a key may hold a dot. */
struct fields {
    uint32_t *ids;
    size_t count;
    size_t room;
};

/* Facets of a field, one behind the other. */
struct range {
    struct vector__order_place from;
    struct vector__order_place to;
};
typedef void (*slots_fn)(const struct vector__slot_set *set, uint64_t *bits, size_t words);

static void ask(struct asker *a, const struct vector__filter_node *node, uint64_t *bits);
static void ask_joined(struct asker *a, const struct vector__filter_node *node, uint64_t *bits);
static void ask_comparison(struct asker *a, const struct vector__filter_node *node, uint64_t *bits);
static void add_equal(const struct asker *a, const struct fields *fields, const json_t *value,
                      uint64_t *bits);
static void add_missing(struct asker *a, const struct fields *fields, uint64_t *bits);
static void add_ordered(struct asker *a, const struct fields *fields,
                        const struct vector__filter_node *node, uint64_t *bits);
static struct range range_of(const struct vector__facets *f, const struct vector__field *field,
                             enum vector__filter_op op, const struct vector__value *value);
static void each_facet(const struct asker *a, const struct vector__field *field, struct range range,
                       slots_fn slots_into, uint64_t *bits);
static void add_there(const struct asker *a, const struct fields *fields, uint64_t *bits);
static void find_fields(const struct vector__facets *f, uint32_t parent, struct cx_str path,
                        struct fields *out);
static void add_field(struct fields *fields, uint32_t id);
static void invert(const struct asker *a, uint64_t *bits);
static uint64_t *new_bits(struct asker *a);
static size_t count_bits(uint64_t word);
static void list_slots(struct asker *a, struct vector__allowed *out);

enum cx_status vector__filter_ask(const struct cx_vector_filter *filter,
                                  const struct vector__facets *facets, struct vector__allowed *out,
                                  struct cx_err *err)
{
    *out = (struct vector__allowed){ .all = true };
    if (filter == NULL || filter->root == NULL) {
        return CX_OK;
    }
    struct asker a = { .facets = facets, .words = (facets->slot_end + 63) / 64 };
    uint64_t *bits = new_bits(&a);
    if (bits != NULL) {
        ask(&a, filter->root, bits);
        *out = (struct vector__allowed){ .word_count = a.words, .bits = bits };
        for (size_t i = 0; i < a.words; i++) {
            bits[i] &= facets->present[i];
            out->count += count_bits(bits[i]);
        }
        if (out->count < facets->slot_end / NARROW_ONE_IN) {
            list_slots(&a, out);
        }
    }
    if (a.failed) {
        vector__allowed_free(out);
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    return CX_OK;
}

void vector__allowed_free(struct vector__allowed *allowed)
{
    free((void *)allowed->bits);
    free((void *)allowed->slots);
    *allowed = (struct vector__allowed){ .all = true };
}

/* Slots without a document may be among the bits until the end. */
static void ask(struct asker *a, const struct vector__filter_node *node, uint64_t *bits)
{
    switch (node->op) {
    case VECTOR__AND:
    case VECTOR__OR:
        ask_joined(a, node, bits);
        return;
    case VECTOR__NOT:
        ask(a, node->first, bits);
        invert(a, bits);
        return;
    case VECTOR__EQ:
    case VECTOR__IN:
    case VECTOR__GT:
    case VECTOR__GTE:
    case VECTOR__LT:
    case VECTOR__LTE:
    case VECTOR__EXISTS:
        ask_comparison(a, node, bits);
        return;
    }
}

static void ask_joined(struct asker *a, const struct vector__filter_node *node, uint64_t *bits)
{
    const bool all = node->op == VECTOR__AND;
    if (node->first == NULL) {
        memset(bits, all ? 0xFF : 0, a->words * sizeof *bits);
        return;
    }
    ask(a, node->first, bits);
    if (node->first->next == NULL) {
        return;
    }
    uint64_t *one = new_bits(a);
    if (one == NULL) {
        return;
    }
    for (const struct vector__filter_node *n = node->first->next; n != NULL; n = n->next) {
        ask(a, n, one);
        for (size_t i = 0; i < a->words; i++) {
            bits[i] = all ? bits[i] & one[i] : bits[i] | one[i];
        }
    }
    free(one);
}

static void ask_comparison(struct asker *a, const struct vector__filter_node *node, uint64_t *bits)
{
    struct fields fields = { 0 };
    memset(bits, 0, a->words * sizeof *bits);
    find_fields(a->facets, VECTOR__TOP_FIELD, cx_str_of(node->path), &fields);
    if (node->op == VECTOR__EXISTS) {
        add_there(a, &fields, bits);
        if (!json_is_true(node->value)) {
            invert(a, bits);
        }
    } else if (node->op == VECTOR__EQ) {
        add_equal(a, &fields, node->value, bits);
        if (json_is_null(node->value)) {
            add_missing(a, &fields, bits);
        }
    } else if (node->op == VECTOR__IN) {
        bool null = false;
        for (size_t i = 0; i < json_array_size(node->value); i++) {
            const json_t *value = json_array_get(node->value, i);
            add_equal(a, &fields, value, bits);
            null = null || json_is_null(value);
        }
        if (null) {
            add_missing(a, &fields, bits);
        }
    } else {
        add_ordered(a, &fields, node, bits);
    }
    free(fields.ids);
}

static void add_equal(const struct asker *a, const struct fields *fields, const json_t *value,
                      uint64_t *bits)
{
    struct vector__value wanted;
    vector__value_with_digest(&a->facets->key, value, &wanted);
    for (size_t i = 0; i < fields->count; i++) {
        const uint32_t facet = vector__facets_find(a->facets, fields->ids[i], &wanted);
        if (facet != VECTOR__NO_FACET) {
            vector__slot_set_into(&vector__facets_at(a->facets, facet)->slots, bits, a->words);
        }
    }
}

static void add_missing(struct asker *a, const struct fields *fields, uint64_t *bits)
{
    uint64_t *there = new_bits(a);
    if (there == NULL) {
        return;
    }
    memset(there, 0, a->words * sizeof *there);
    add_there(a, fields, there);
    for (size_t i = 0; i < a->words; i++) {
        bits[i] |= ~there[i];
    }
    free(there);
}

/* The facets of a comparison lie together. Where they are most of a field in which every document has one
 * value, it is the others that are taken away from all. */
static void add_ordered(struct asker *a, const struct fields *fields,
                        const struct vector__filter_node *node, uint64_t *bits)
{
    struct vector__value value;
    vector__value_with_digest(&a->facets->key, node->value, &value);
    for (size_t i = 0; i < fields->count; i++) {
        const struct vector__field *field = &a->facets->fields[fields->ids[i]];
        const struct range range = range_of(a->facets, field, node->op, &value);
        const size_t count = vector__order_between(field, range.from, range.to);
        if (count <= field->count / 2 || field->pairs != field->slots.count) {
            each_facet(a, field, range, vector__slot_set_into, bits);
            continue;
        }
        uint64_t *one = new_bits(a);
        if (one == NULL) {
            return;
        }
        const struct range before = { { 0, 0 }, range.from };
        const struct range behind = { range.to, { field->run_count, 0 } };
        memset(one, 0, a->words * sizeof *one);
        vector__slot_set_into(&field->slots, one, a->words);
        each_facet(a, field, before, vector__slot_set_out_of, one);
        each_facet(a, field, behind, vector__slot_set_out_of, one);
        for (size_t k = 0; k < a->words; k++) {
            bits[k] |= one[k];
        }
        free(one);
    }
}

static struct range range_of(const struct vector__facets *f, const struct vector__field *field,
                             enum vector__filter_op op, const struct vector__value *value)
{
    const int group = vector__value_group(value->kind);
    if (op == VECTOR__GT || op == VECTOR__GTE) {
        return (struct range){ vector__order_find(f, field, value, op == VECTOR__GT),
                               vector__order_group(f, field, group + 1) };
    }
    return (struct range){ vector__order_group(f, field, group),
                           vector__order_find(f, field, value, op == VECTOR__LTE) };
}

static void each_facet(const struct asker *a, const struct vector__field *field, struct range range,
                       slots_fn slots_into, uint64_t *bits)
{
    for (uint32_t run = range.from.run; run <= range.to.run && run < field->run_count; run++) {
        const uint32_t first = run == range.from.run ? range.from.at : 0;
        const uint32_t end = run == range.to.run ? range.to.at : field->runs[run]->count;
        for (uint32_t i = first; i < end; i++) {
            slots_into(&vector__facets_at(a->facets, field->runs[run]->ids[i])->slots, bits,
                       a->words);
        }
    }
}

static void add_there(const struct asker *a, const struct fields *fields, uint64_t *bits)
{
    for (size_t i = 0; i < fields->count; i++) {
        vector__slot_set_into(&a->facets->fields[fields->ids[i]].slots, bits, a->words);
    }
}

/* "a.b.c" is c in b in a, but also c in "a.b", "b.c" in a, and "a.b.c". */
static void find_fields(const struct vector__facets *f, uint32_t parent, struct cx_str path,
                        struct fields *out)
{
    for (size_t len = 0; len <= path.len; len++) {
        if (len < path.len && path.p[len] != '.') {
            continue;
        }
        const uint32_t field = vector__facets_field(f, parent, (struct cx_str){ path.p, len });
        if (field == VECTOR__NO_FIELD) {
            continue;
        }
        if (len == path.len) {
            add_field(out, field);
        } else {
            find_fields(f, field, (struct cx_str){ path.p + len + 1, path.len - len - 1 }, out);
        }
    }
}

static void add_field(struct fields *fields, uint32_t id)
{
    if (fields->count == fields->room) {
        fields->room = fields->room == 0 ? 4 : fields->room * 2;
        fields->ids = cx_realloc_array(fields->ids, fields->room, sizeof *fields->ids);
    }
    fields->ids[fields->count++] = id;
}

static void invert(const struct asker *a, uint64_t *bits)
{
    for (size_t i = 0; i < a->words; i++) {
        bits[i] = ~bits[i];
    }
}

static uint64_t *new_bits(struct asker *a)
{
    uint64_t *bits = malloc((a->words + 1) * sizeof *bits);
    a->failed = a->failed || bits == NULL;
    return bits;
}

/* In a form that the compiler makes vectors of (Knuth 7.1.3). */
static size_t count_bits(uint64_t word)
{
    word -= word >> 1 & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    return word * UINT64_C(0x0101010101010101) >> 56;
}

static void list_slots(struct asker *a, struct vector__allowed *out)
{
    uint32_t *slots = malloc((out->count + 1) * sizeof *slots);
    if (slots == NULL) {
        a->failed = true;
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < a->words; i++) {
        for (uint64_t left = out->bits[i]; left != 0; left &= left - 1) {
            slots[count++] = (uint32_t)(i * 64 + (size_t)__builtin_ctzll(left));
        }
    }
    out->slots = slots;
}
