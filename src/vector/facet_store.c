/* SPDX-License-Identifier: MIT
 *
 * Fields and facets, and the tables by which they are found (facet_store.h).
 */
#include "facet_store.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_ROOM_MIN 64

struct vector__facet_entry {
    uint32_t hash;
    uint32_t id; /* 0 = empty */
};

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
static void field_add(struct vector__facets *f, struct vector__field *field, uint32_t facet);
static void field_remove(struct vector__facets *f, struct vector__field *field, uint32_t place);
static void table_add(struct vector__facets *f, struct vector__facet_table *table, uint32_t hash,
                      uint32_t id);
static void table_grow(struct vector__facets *f, struct vector__facet_table *table);
static void table_remove(struct vector__facet_table *table, uint32_t hash, uint32_t id);

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
        free(f->fields[i].facets);
    }
    free(f->chunks);
    free(f->fields);
    free(f->facet_table.entries);
    free(f->field_table.entries);
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
    table_add(f, &f->field_table, hash, id);
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
    *facet = (struct vector__facet){ .field = field, .hash = hash, .kind = (uint8_t)value->kind };
    if (value->kind == VECTOR__REAL) {
        facet->value.real = value->number.real;
    } else if (value->kind >= VECTOR__STRING) {
        facet->value.text = make_text(f, value);
    } else {
        facet->value.integer = value->number.integer;
    }
    field_add(f, &f->fields[field], id);
    table_add(f, &f->facet_table, hash, id);
    return id;
}

void vector__facet_drop(struct vector__facets *f, uint32_t facet)
{
    struct vector__facet *gone = vector__facet_of(f, facet);
    CX_CHECK(gone->slots.count == 0);
    table_remove(&f->facet_table, gone->hash, facet);
    if (gone->kind >= VECTOR__STRING) {
        f->bytes -= text_bytes((enum vector__kind)gone->kind, gone->value.text->len);
        free(gone->value.text);
    }
    const uint32_t field = gone->field;
    field_remove(f, &f->fields[field], gone->place);
    *gone = (struct vector__facet){ .place = f->facet_free };
    f->facet_free = facet;
    drop_field(f, field);
}

size_t vector__field_cost(struct cx_str name)
{
    return name.len + 1 + 2 * sizeof(struct vector__field) +
           8 * sizeof(struct vector__facet_entry) + 16;
}

size_t vector__facet_cost(const struct vector__value *value)
{
    const size_t text =
        value->kind >= VECTOR__STRING ? text_bytes(value->kind, value->text.len) : 0;
    return text + sizeof(struct vector__facet) + 8 * sizeof(struct vector__facet_entry) +
           8 * sizeof(uint32_t);
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
        out->text = (struct cx_str){ facet->value.text->bytes, facet->value.text->len };
    } else {
        out->number.integer = facet->value.integer;
    }
}

static uint32_t find_facet(const struct vector__facets *f, uint32_t hash, uint32_t field,
                           const struct vector__value *value)
{
    const struct vector__facet_table *table = &f->facet_table;
    if (table->room == 0) {
        return VECTOR__NO_FACET;
    }
    for (size_t at = hash & (table->room - 1); table->entries[at].id != 0;
         at = (at + 1) & (table->room - 1)) {
        if (table->entries[at].hash == hash &&
            is_facet(vector__facet_of(f, table->entries[at].id), field, value)) {
            return table->entries[at].id;
        }
    }
    return VECTOR__NO_FACET;
}

static uint32_t find_field(const struct vector__facets *f, uint32_t hash, uint32_t parent,
                           struct cx_str name)
{
    const struct vector__facet_table *table = &f->field_table;
    if (table->room == 0) {
        return VECTOR__NO_FIELD;
    }
    for (size_t at = hash & (table->room - 1); table->entries[at].id != 0;
         at = (at + 1) & (table->room - 1)) {
        const struct vector__field *field = &f->fields[table->entries[at].id];
        if (table->entries[at].hash == hash && field->parent == parent &&
            cx_str_eq(cx_str_of(field->name), name)) {
            return table->entries[at].id;
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
    if (facet->field != field || facet->kind != (uint8_t)value->kind) {
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
        f->facet_free = vector__facet_of(f, id)->place;
        return id;
    }
    if (f->facet_end == f->chunk_count * VECTOR__FACET_CHUNK) {
        f->chunks = cx_realloc_array(f->chunks, f->chunk_count + 1, sizeof *f->chunks);
        f->chunks[f->chunk_count++] = cx_alloc(VECTOR__FACET_CHUNK * sizeof **f->chunks);
        f->bytes += VECTOR__FACET_CHUNK * sizeof **f->chunks + sizeof *f->chunks;
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
    CX_CHECK(f->field_end < VECTOR__NO_FIELD);
    return f->field_end++;
}

static void drop_field(struct vector__facets *f, uint32_t field)
{
    while (field != VECTOR__TOP_FIELD && f->fields[field].count == 0 &&
           f->fields[field].children == 0) {
        struct vector__field *gone = &f->fields[field];
        const uint32_t parent = gone->parent;
        table_remove(&f->field_table, gone->hash, field);
        f->bytes -= strlen(gone->name) + 1 + gone->room * sizeof *gone->facets;
        free(gone->name);
        free(gone->facets);
        vector__slot_set_clear(&gone->slots, &f->bytes);
        *gone = (struct vector__field){ .parent = f->field_free };
        f->field_free = field;
        f->fields[parent].children--;
        field = parent;
    }
}

static void field_add(struct vector__facets *f, struct vector__field *field, uint32_t facet)
{
    if (field->count == field->room) {
        const uint32_t room = field->room == 0 ? 2 : field->room + field->room / 2;
        field->facets = cx_realloc_array(field->facets, room, sizeof *field->facets);
        f->bytes += (room - field->room) * sizeof *field->facets;
        field->room = room;
    }
    vector__facet_of(f, facet)->place = field->count;
    field->facets[field->count++] = facet;
}

static void field_remove(struct vector__facets *f, struct vector__field *field, uint32_t place)
{
    field->count--;
    field->facets[place] = field->facets[field->count];
    vector__facet_of(f, field->facets[place])->place = place;
}

static void table_add(struct vector__facets *f, struct vector__facet_table *table, uint32_t hash,
                      uint32_t id)
{
    if ((table->count + 1) * 3 > table->room * 2) {
        table_grow(f, table);
    }
    size_t at = hash & (table->room - 1);
    while (table->entries[at].id != 0) {
        at = (at + 1) & (table->room - 1);
    }
    table->entries[at] = (struct vector__facet_entry){ hash, id };
    table->count++;
}

static void table_grow(struct vector__facets *f, struct vector__facet_table *table)
{
    const struct vector__facet_table old = *table;
    table->room = old.room == 0 ? TABLE_ROOM_MIN : old.room * 2;
    table->count = 0;
    table->entries = cx_alloc(table->room * sizeof *table->entries);
    f->bytes += (table->room - old.room) * sizeof *table->entries;
    for (size_t i = 0; i < old.room; i++) {
        if (old.entries[i].id != 0) {
            table_add(f, table, old.entries[i].hash, old.entries[i].id);
        }
    }
    free(old.entries);
}

/* Closes the gap by moving back what would no longer be found (Knuth 6.4, algorithm R). */
static void table_remove(struct vector__facet_table *table, uint32_t hash, uint32_t id)
{
    const size_t mask = table->room - 1;
    size_t gap = hash & mask;
    while (table->entries[gap].id != id) {
        gap = (gap + 1) & mask;
    }
    table->entries[gap].id = 0;
    for (size_t at = (gap + 1) & mask; table->entries[at].id != 0; at = (at + 1) & mask) {
        const size_t home = table->entries[at].hash & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            table->entries[gap] = table->entries[at];
            table->entries[at].id = 0;
            gap = at;
        }
    }
    table->count--;
}
