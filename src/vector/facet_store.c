/* SPDX-License-Identifier: MIT
 *
 * Fields and facets, and the tables by which they are found (facet_store.h).
 */
#include "facet_order.h"
#include "facet_store.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_ROOM_MIN 64
#define FIELD_MAX 0xFFFFFFFU /* as many bits as a facet has for it */
#define KIND_MAX 0xFU

/* The hash of what a table holds by its id. */
typedef uint32_t (*hash_of_fn)(const struct vector__facets *f, uint32_t id);

static uint32_t find_facet(const struct vector__facets *f, uint32_t hash, uint32_t field,
                           const struct vector__value *value);
static uint32_t find_field(const struct vector__facets *f, uint32_t hash, uint32_t parent,
                           struct cx_str name);
static uint32_t hash_facet(const struct vector__facets *f, uint32_t field,
                           const struct vector__value *value);
static uint32_t hash_field(const struct vector__facets *f, uint32_t parent, struct cx_str name);
static bool is_facet(const struct vector__facet *facet, uint32_t field,
                     const struct vector__value *value);
static bool has_digest(enum vector__kind kind);
static struct vector__facet_text *make_text(struct vector__facets *f,
                                            const struct vector__value *value);
static size_t text_bytes(enum vector__kind kind, size_t len);
static uint32_t new_facet(struct vector__facets *f);
static uint32_t new_field(struct vector__facets *f);
static void drop_field(struct vector__facets *f, uint32_t field);
static uint32_t hash_of_facet(const struct vector__facets *f, uint32_t id);
static uint32_t hash_of_field(const struct vector__facets *f, uint32_t id);
static void table_add(struct vector__facets *f, struct vector__facet_table *table,
                      hash_of_fn hash_of, uint32_t id);
static void table_grow(struct vector__facets *f, struct vector__facet_table *table,
                       hash_of_fn hash_of);
static void table_remove(const struct vector__facets *f, struct vector__facet_table *table,
                         hash_of_fn hash_of, uint32_t id);

void vector__facet_store_free(struct vector__facets *f)
{
    for (uint32_t i = 1; i < f->facet_end; i++) {
        struct vector__facet *facet = vector__facet_of(f, i);
        vector__slot_set_clear(&facet->slots, &f->bytes);
        if (facet->kind >= VECTOR__STRING) {
            free(facet->value.text);
        }
    }
    for (size_t i = 0; i < f->chunk_count; i++) {
        free(f->chunks[i]);
    }
    for (uint32_t i = 0; i < f->field_end; i++) {
        vector__slot_set_clear(&f->fields[i].slots, &f->bytes);
        free(f->fields[i].name);
        vector__order_free(f, &f->fields[i]);
    }
    free(f->chunks);
    free(f->fields);
    free(f->facet_table.ids);
    free(f->field_table.ids);
}

uint32_t vector__field_intern(struct vector__facets *f, uint32_t parent, struct cx_str name)
{
    const uint32_t hash = hash_field(f, parent, name);
    const uint32_t found = find_field(f, hash, parent, name);
    if (found != VECTOR__NO_FIELD) {
        return found;
    }
    const uint32_t id = new_field(f);
    f->fields[id] = (struct vector__field){
        .name = cx_strndup(name.p, name.len),
        .parent = parent,
        .hash = hash,
    };
    f->bytes += name.len + 1;
    f->fields[parent].children++;
    table_add(f, &f->field_table, hash_of_field, id);
    return id;
}

uint32_t vector__facet_intern(struct vector__facets *f, uint32_t field,
                              const struct vector__value *value)
{
    const uint32_t hash = hash_facet(f, field, value);
    const uint32_t found = find_facet(f, hash, field, value);
    if (found != VECTOR__NO_FACET) {
        return found;
    }
    const uint32_t id = new_facet(f);
    struct vector__facet *facet = vector__facet_of(f, id);
    *facet = (struct vector__facet){
        .field = field & FIELD_MAX,
        .kind = (unsigned)value->kind & KIND_MAX,
        .hash = hash,
    };
    if (value->kind == VECTOR__REAL) {
        facet->value.real = value->number.real;
    } else if (value->kind >= VECTOR__STRING) {
        facet->value.text = make_text(f, value);
    } else {
        facet->value.integer = value->number.integer;
    }
    vector__order_add(f, &f->fields[field], id);
    table_add(f, &f->facet_table, hash_of_facet, id);
    return id;
}

void vector__facet_drop(struct vector__facets *f, uint32_t facet)
{
    struct vector__facet *gone = vector__facet_of(f, facet);
    CX_CHECK(gone->slots.count == 0);
    const uint32_t field = gone->field;
    vector__order_remove(f, &f->fields[field], facet);
    table_remove(f, &f->facet_table, hash_of_facet, facet);
    if (gone->kind >= VECTOR__STRING) {
        f->bytes -= text_bytes((enum vector__kind)gone->kind, gone->value.text->len);
        free(gone->value.text);
    }
    *gone = (struct vector__facet){ .hash = f->facet_free };
    f->facet_free = facet;
    drop_field(f, field);
}

size_t vector__field_cost(struct cx_str name)
{
    return name.len + 1 + 2 * sizeof(struct vector__field) + 8 * sizeof(uint32_t) +
           sizeof(struct vector__facet_run) + 2 * sizeof(struct vector__facet_run *);
}

size_t vector__facet_cost(const struct vector__value *value)
{
    const size_t text =
        value->kind >= VECTOR__STRING ? text_bytes(value->kind, value->text.len) : 0;
    return text + 2 * sizeof(struct vector__facet) + 12 * sizeof(uint32_t);
}

uint32_t vector__facets_field(const struct vector__facets *f, uint32_t parent, struct cx_str name)
{
    return find_field(f, hash_field(f, parent, name), parent, name);
}

uint32_t vector__facets_find(const struct vector__facets *f, uint32_t field,
                             const struct vector__value *value)
{
    return find_facet(f, hash_facet(f, field, value), field, value);
}

void vector__facet_value(const struct vector__facet *facet, struct vector__value *out)
{
    *out = (struct vector__value){ .kind = (enum vector__kind)facet->kind };
    if (out->kind == VECTOR__REAL) {
        out->number.real = facet->value.real;
    } else if (out->kind >= VECTOR__STRING) {
        const struct vector__facet_text *text = facet->value.text;
        out->text = (struct cx_str){ text->bytes, text->len };
        if (has_digest(out->kind)) {
            memcpy(&out->digest, text->bytes + text->len, sizeof out->digest);
        }
    } else {
        out->number.integer = facet->value.integer;
    }
}

static uint32_t find_facet(const struct vector__facets *f, uint32_t hash, uint32_t field,
                           const struct vector__value *value)
{
    const struct vector__facet_table *table = &f->facet_table;
    const size_t mask = table->room - 1;
    for (size_t at = hash & mask; table->room > 0 && table->ids[at] != 0; at = (at + 1) & mask) {
        const struct vector__facet *facet = vector__facet_of(f, table->ids[at]);
        if (facet->hash == hash && is_facet(facet, field, value)) {
            return table->ids[at];
        }
    }
    return VECTOR__NO_FACET;
}

static uint32_t find_field(const struct vector__facets *f, uint32_t hash, uint32_t parent,
                           struct cx_str name)
{
    const struct vector__facet_table *table = &f->field_table;
    const size_t mask = table->room - 1;
    for (size_t at = hash & mask; table->room > 0 && table->ids[at] != 0; at = (at + 1) & mask) {
        const struct vector__field *field = &f->fields[table->ids[at]];
        if (field->hash == hash && field->parent == parent &&
            cx_str_eq(cx_str_of(field->name), name)) {
            return table->ids[at];
        }
    }
    return VECTOR__NO_FIELD;
}

static uint32_t hash_facet(const struct vector__facets *f, uint32_t field,
                           const struct vector__value *value)
{
    uint64_t words[2] = { (uint64_t)field << 8 | (uint64_t)value->kind, 0 };
    if (has_digest(value->kind)) {
        words[1] = value->digest.words[0];
    } else if (value->kind == VECTOR__STRING) {
        words[1] = cx_siphash(f->key.bytes[0], value->text.p, value->text.len);
    } else if (value->kind == VECTOR__REAL) {
        memcpy(&words[1], &value->number.real, sizeof words[1]);
    } else {
        words[1] = (uint64_t)value->number.integer;
    }
    return (uint32_t)cx_siphash(f->key.bytes[0], words, sizeof words);
}

static uint32_t hash_field(const struct vector__facets *f, uint32_t parent, struct cx_str name)
{
    const uint64_t words[] = { parent, cx_siphash(f->key.bytes[0], name.p, name.len) };
    return (uint32_t)cx_siphash(f->key.bytes[0], words, sizeof words);
}

static bool is_facet(const struct vector__facet *facet, uint32_t field,
                     const struct vector__value *value)
{
    if (facet->field != field || facet->kind != (unsigned)value->kind) {
        return false;
    }
    if (value->kind == VECTOR__REAL) {
        return facet->value.real == value->number.real;
    }
    if (value->kind < VECTOR__STRING) {
        return facet->value.integer == value->number.integer;
    }
    const struct vector__facet_text *text = facet->value.text;
    if (!cx_str_eq((struct cx_str){ text->bytes, text->len }, value->text)) {
        return false;
    }
    return !has_digest(value->kind) ||
           memcmp(text->bytes + text->len, &value->digest, sizeof value->digest) == 0;
}

static bool has_digest(enum vector__kind kind)
{
    return kind > VECTOR__STRING;
}

static struct vector__facet_text *make_text(struct vector__facets *f,
                                            const struct vector__value *value)
{
    const size_t bytes = text_bytes(value->kind, value->text.len);
    struct vector__facet_text *text = cx_alloc(bytes);
    text->len = (uint32_t)value->text.len;
    if (value->text.len > 0) {
        memcpy(text->bytes, value->text.p, value->text.len);
    }
    if (has_digest(value->kind)) {
        memcpy(text->bytes + text->len, &value->digest, sizeof value->digest);
    }
    f->bytes += bytes;
    return text;
}

static size_t text_bytes(enum vector__kind kind, size_t len)
{
    return sizeof(struct vector__facet_text) + len +
           (has_digest(kind) ? sizeof(struct vector__digest) : 0);
}

static uint32_t new_facet(struct vector__facets *f)
{
    if (f->facet_free != 0) {
        const uint32_t id = f->facet_free;
        f->facet_free = vector__facet_of(f, id)->hash;
        return id;
    }
    if (f->facet_end == f->chunk_count * VECTOR__FACET_CHUNK) {
        f->chunks = cx_realloc_array(f->chunks, f->chunk_count + 1, sizeof(struct vector__facet *));
        f->chunks[f->chunk_count++] = cx_alloc(VECTOR__FACET_CHUNK * sizeof **f->chunks);
        f->bytes += VECTOR__FACET_CHUNK * sizeof **f->chunks + sizeof(struct vector__facet *);
        /* The first one stands for none. */
        f->facet_end += f->facet_end == 0 ? 1 : 0;
    }
    CX_CHECK(f->facet_end < UINT32_MAX);
    return f->facet_end++;
}

static uint32_t new_field(struct vector__facets *f)
{
    if (f->field_free != 0) {
        const uint32_t id = f->field_free;
        f->field_free = f->fields[id].parent;
        return id;
    }
    if (f->field_end == f->field_room) {
        const size_t room = f->field_room == 0 ? 16 : f->field_room * 2;
        f->fields = cx_realloc_array(f->fields, room, sizeof *f->fields);
        f->bytes += (room - f->field_room) * sizeof *f->fields;
        f->field_room = room;
    }
    if (f->field_end == 0) {
        f->fields[f->field_end++] = (struct vector__field){ .name = NULL };
    }
    CX_CHECK(f->field_end < FIELD_MAX);
    return f->field_end++;
}

static void drop_field(struct vector__facets *f, uint32_t field)
{
    while (field != VECTOR__TOP_FIELD && f->fields[field].count == 0 &&
           f->fields[field].children == 0) {
        struct vector__field *gone = &f->fields[field];
        const uint32_t parent = gone->parent;
        table_remove(f, &f->field_table, hash_of_field, field);
        f->bytes -= strlen(gone->name) + 1;
        free(gone->name);
        vector__order_free(f, gone);
        vector__slot_set_clear(&gone->slots, &f->bytes);
        *gone = (struct vector__field){ .parent = f->field_free };
        f->field_free = field;
        f->fields[parent].children--;
        field = parent;
    }
}

static uint32_t hash_of_facet(const struct vector__facets *f, uint32_t id)
{
    return vector__facet_of(f, id)->hash;
}

static uint32_t hash_of_field(const struct vector__facets *f, uint32_t id)
{
    return f->fields[id].hash;
}

static void table_add(struct vector__facets *f, struct vector__facet_table *table,
                      hash_of_fn hash_of, uint32_t id)
{
    if ((table->count + 1) * 4 > table->room * 3) {
        table_grow(f, table, hash_of);
    }
    size_t at = hash_of(f, id) & (table->room - 1);
    while (table->ids[at] != 0) {
        at = (at + 1) & (table->room - 1);
    }
    table->ids[at] = id;
    table->count++;
}

static void table_grow(struct vector__facets *f, struct vector__facet_table *table,
                       hash_of_fn hash_of)
{
    const struct vector__facet_table old = *table;
    table->room = old.room == 0 ? TABLE_ROOM_MIN : old.room * 2;
    table->count = 0;
    table->ids = cx_alloc(table->room * sizeof *table->ids);
    f->bytes += (table->room - old.room) * sizeof *table->ids;
    for (size_t i = 0; i < old.room; i++) {
        if (old.ids[i] != 0) {
            table_add(f, table, hash_of, old.ids[i]);
        }
    }
    free(old.ids);
}

/* Closes the gap by moving back what would no longer be found (Knuth 6.4, algorithm R). */
static void table_remove(const struct vector__facets *f, struct vector__facet_table *table,
                         hash_of_fn hash_of, uint32_t id)
{
    const size_t mask = table->room - 1;
    size_t gap = hash_of(f, id) & mask;
    while (table->ids[gap] != id) {
        gap = (gap + 1) & mask;
    }
    table->ids[gap] = 0;
    for (size_t at = (gap + 1) & mask; table->ids[at] != 0; at = (at + 1) & mask) {
        const size_t home = hash_of(f, table->ids[at]) & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            table->ids[gap] = table->ids[at];
            table->ids[at] = 0;
            gap = at;
        }
    }
    table->count--;
}
