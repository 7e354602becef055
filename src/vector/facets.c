/* SPDX-License-Identifier: MIT
 *
 * The facets of documents that come and go (facets.h). Depth is bounded by the parser that made the JSON.
 */
#include "facets.h"

#include <stdlib.h>
#include <string.h>

#include "facet_store.h"

#define BLOCK_SLOTS 1024
#define IDS_ROOM_MIN 64

/* starts: place of each slot's list among ids, which begins with how many there are; 0 = none. */
struct vector__facet_lists {
    uint32_t starts[BLOCK_SLOTS];
    uint32_t *ids;
    uint32_t end;
    uint32_t room;
    uint32_t garbage; /* of lists that are gone */
};
/* The facets of one slot while they are found. */
struct collector {
    struct vector__facets *f;
    uint32_t slot;
    uint32_t *ids;
    size_t count;
    size_t room;
};

static struct vector__digest collect(struct collector *c, uint32_t field, size_t path_len,
                                     const json_t *value);
static struct vector__digest collect_content(struct collector *c, uint32_t field, size_t path_len,
                                             const json_t *value);
static void collect_members(struct collector *c, uint32_t field, size_t path_len,
                            const json_t *object, struct vector__digest *content);
static size_t member_path(size_t path_len, const char *name);
static void add_facet(struct collector *c, uint32_t facet);
static size_t cost_of(const json_t *value, size_t path_len);
static void note_present(struct vector__facets *f, uint32_t slot);
static void keep_list(struct vector__facets *f, uint32_t slot, const uint32_t *ids, size_t count);
static struct vector__facet_lists *lists_for(struct vector__facets *f, uint32_t slot);
static void make_room(struct vector__facets *f, struct vector__facet_lists *lists, size_t added);
static void drop_list(struct vector__facets *f, uint32_t slot);
static void drop_lists(struct vector__facets *f);
static void add_slot(struct vector__facets *f, uint32_t slot, const uint32_t *ids, size_t count);

void vector__facets_init(struct vector__facets *f)
{
    *f = (struct vector__facets){ 0 };
    cx_random_bytes(&f->key, sizeof f->key);
}

void vector__facets_free(struct vector__facets *f)
{
    vector__facet_store_free(f);
    drop_lists(f);
    free(f->present);
    *f = (struct vector__facets){ 0 };
}

void vector__facets_set(struct vector__facets *f, uint32_t slot, const json_t *metadata)
{
    vector__facets_remove(f, slot);
    note_present(f, slot);
    struct collector c = { .f = f, .slot = slot };
    if (json_object_size(metadata) > 0) {
        (void)collect_content(&c, VECTOR__TOP_FIELD, 0, metadata);
    }
    if (c.count > 0) {
        keep_list(f, slot, c.ids, c.count);
    }
    free(c.ids);
}

void vector__facets_remove(struct vector__facets *f, uint32_t slot)
{
    if (slot >= f->slot_end || !vector__bit(f->present, slot)) {
        return;
    }
    f->present[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    const struct vector__facet_lists *lists = f->lists[slot / BLOCK_SLOTS];
    const uint32_t start = lists != NULL ? lists->starts[slot % BLOCK_SLOTS] : 0;
    if (start == 0) {
        return;
    }
    for (uint32_t i = 1; i <= lists->ids[start]; i++) {
        struct vector__facet *facet = vector__facet_of(f, lists->ids[start + i]);
        struct vector__field *field = &f->fields[facet->field];
        field->pairs--;
        (void)vector__slot_set_remove(&field->slots, slot, &f->bytes);
        (void)vector__slot_set_remove(&facet->slots, slot, &f->bytes);
        if (facet->slots.count == 0) {
            vector__facet_drop(f, lists->ids[start + i]);
        }
    }
    drop_list(f, slot);
}

void vector__facets_renumber(struct vector__facets *f, const uint32_t *to)
{
    struct vector__facets old = *f;
    for (uint32_t i = 1; i < f->facet_end; i++) {
        vector__slot_set_clear(&vector__facet_of(f, i)->slots, &f->bytes);
    }
    for (uint32_t i = 1; i < f->field_end; i++) {
        vector__slot_set_clear(&f->fields[i].slots, &f->bytes);
    }
    f->lists = NULL;
    f->list_blocks = 0;
    f->present = NULL;
    f->present_words = 0;
    f->slot_end = 0;
    for (uint32_t slot = 0; slot < old.slot_end; slot++) {
        if (!vector__bit(old.present, slot)) {
            continue;
        }
        const struct vector__facet_lists *lists = old.lists[slot / BLOCK_SLOTS];
        const uint32_t start = lists != NULL ? lists->starts[slot % BLOCK_SLOTS] : 0;
        note_present(f, to[slot]);
        if (start != 0) {
            add_slot(f, to[slot], lists->ids + start + 1, lists->ids[start]);
        }
    }
    old.bytes = f->bytes - old.present_words * sizeof *old.present;
    drop_lists(&old);
    f->bytes = old.bytes;
    free(old.present);
}

void vector__facets_move(struct vector__facets *to, struct vector__facets *from)
{
    vector__facets_free(to);
    *to = *from;
    vector__facets_init(from);
}

size_t vector__facets_cost(const json_t *metadata)
{
    return json_object_size(metadata) > 0 ? cost_of(metadata, 0) + 2 * sizeof(uint32_t) : 0;
}

const struct vector__facet *vector__facets_at(const struct vector__facets *f, uint32_t facet)
{
    return vector__facet_of(f, facet);
}

/* Elements of an array are values of the array's own field. */
static struct vector__digest collect(struct collector *c, uint32_t field, size_t path_len,
                                     const json_t *value)
{
    const struct vector__digest content = collect_content(c, field, path_len, value);
    struct vector__value made;
    vector__value_of(&c->f->key, value, &content, &made);
    add_facet(c, vector__facet_intern(c->f, field, &made));
    return vector__value_digest(&c->f->key, &made);
}

static struct vector__digest collect_content(struct collector *c, uint32_t field, size_t path_len,
                                             const json_t *value)
{
    struct vector__digest content = { { 0 } };
    if (json_is_array(value)) {
        vector__digest_begin(value, &content);
        for (size_t i = 0; i < json_array_size(value); i++) {
            vector__digest_element(&c->f->key,
                                   collect(c, field, path_len, json_array_get(value, i)), &content);
        }
    } else if (json_is_object(value)) {
        vector__digest_begin(value, &content);
        collect_members(c, field, path_len, value, &content);
    }
    return content;
}

/* What no filter can ask for, its path being too long, is only a part of what it stands in. */
static void collect_members(struct collector *c, uint32_t field, size_t path_len,
                            const json_t *object, struct vector__digest *content)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)object, name, member)
    {
        const size_t len = member_path(path_len, name);
        const struct vector__digest digest =
            len > VECTOR__PATH_BYTES + 1
                ? vector__digest_of(&c->f->key, member)
                : collect(c, vector__field_intern(c->f, field, cx_str_of(name)), len, member);
        vector__digest_member(&c->f->key, name, digest, content);
    }
}

/* With a dot in front, which the first one does not have. */
static size_t member_path(size_t path_len, const char *name)
{
    return path_len + 1 + strlen(name);
}

static void add_facet(struct collector *c, uint32_t facet)
{
    struct vector__facets *f = c->f;
    struct vector__facet *made = vector__facet_of(f, facet);
    if (!vector__slot_set_add(&made->slots, c->slot, f->slot_end, &f->bytes)) {
        return;
    }
    struct vector__field *field = &f->fields[made->field];
    field->pairs++;
    (void)vector__slot_set_add(&field->slots, c->slot, f->slot_end, &f->bytes);
    if (c->count == c->room) {
        c->room = c->room == 0 ? 16 : c->room * 2;
        c->ids = cx_realloc_array(c->ids, c->room, sizeof *c->ids);
    }
    c->ids[c->count++] = facet;
}

static size_t cost_of(const json_t *value, size_t path_len)
{
    size_t cost = 0;
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            cost += cost_of(json_array_get(value, i), path_len);
        }
    }
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        const size_t len = member_path(path_len, name);
        if (len <= VECTOR__PATH_BYTES + 1) {
            cost += vector__field_cost(cx_str_of(name)) + cost_of(member, len);
        }
    }
    struct vector__value made = { .kind = json_is_array(value)    ? VECTOR__ARRAY
                                          : json_is_object(value) ? VECTOR__OBJECT
                                                                  : VECTOR__NULL };
    if (json_is_string(value)) {
        const size_t len = json_string_length(value);
        made.kind = VECTOR__LONG_STRING;
        made.text.len = len < VECTOR__STRING_BYTES ? len : VECTOR__STRING_BYTES;
    }
    return cost + vector__facet_cost(&made);
}

static void note_present(struct vector__facets *f, uint32_t slot)
{
    if (slot >= f->present_words * 64) {
        const size_t words = (size_t)slot / 64 + 1 + f->present_words / 4;
        f->present = cx_realloc_array(f->present, words, sizeof *f->present);
        memset(f->present + f->present_words, 0, (words - f->present_words) * sizeof *f->present);
        f->bytes += (words - f->present_words) * sizeof *f->present;
        f->present_words = words;
    }
    vector__bit_set(f->present, slot);
    f->slot_end = slot >= f->slot_end ? (size_t)slot + 1 : f->slot_end;
    const size_t blocks = f->slot_end / BLOCK_SLOTS + 1;
    if (blocks > f->list_blocks) {
        f->lists = cx_realloc_array(f->lists, blocks, sizeof(struct vector__facet_lists *));
        memset(f->lists + f->list_blocks, 0,
               (blocks - f->list_blocks) * sizeof(struct vector__facet_lists *));
        f->bytes += (blocks - f->list_blocks) * sizeof(struct vector__facet_lists *);
        f->list_blocks = blocks;
    }
}

static void keep_list(struct vector__facets *f, uint32_t slot, const uint32_t *ids, size_t count)
{
    struct vector__facet_lists *lists = lists_for(f, slot);
    make_room(f, lists, count + 1);
    lists->starts[slot % BLOCK_SLOTS] = lists->end;
    lists->ids[lists->end++] = (uint32_t)count;
    memcpy(lists->ids + lists->end, ids, count * sizeof *ids);
    lists->end += (uint32_t)count;
}

static struct vector__facet_lists *lists_for(struct vector__facets *f, uint32_t slot)
{
    CX_CHECK(slot / BLOCK_SLOTS < f->list_blocks);
    struct vector__facet_lists **lists = &f->lists[slot / BLOCK_SLOTS];
    if (*lists == NULL) {
        *lists = cx_alloc(sizeof **lists);
        f->bytes += sizeof **lists;
        (*lists)->end = 1; /* 0 stands for none */
    }
    return *lists;
}

/* Where much is garbage what is not moves together. */
static void make_room(struct vector__facets *f, struct vector__facet_lists *lists, size_t added)
{
    if (lists->end + added <= lists->room) {
        return;
    }
    const size_t kept = lists->end - lists->garbage;
    const size_t needed = kept + added;
    const size_t room = needed + needed / 4 > IDS_ROOM_MIN ? needed + needed / 4 : IDS_ROOM_MIN;
    CX_CHECK(room <= UINT32_MAX);
    uint32_t *ids = cx_realloc_array(NULL, room, sizeof *ids);
    uint32_t end = 1;
    for (size_t i = 0; i < BLOCK_SLOTS; i++) {
        if (lists->starts[i] != 0) {
            const uint32_t *list = lists->ids + lists->starts[i];
            lists->starts[i] = end;
            memcpy(ids + end, list, (list[0] + (size_t)1) * sizeof *ids);
            end += list[0] + 1;
        }
    }
    free(lists->ids);
    f->bytes += room * sizeof *ids;
    f->bytes -= lists->room * sizeof *ids;
    lists->ids = ids;
    lists->end = end;
    lists->room = (uint32_t)room;
    lists->garbage = 0;
}

static void drop_list(struct vector__facets *f, uint32_t slot)
{
    struct vector__facet_lists *lists = f->lists[slot / BLOCK_SLOTS];
    uint32_t *start = &lists->starts[slot % BLOCK_SLOTS];
    lists->garbage += lists->ids[*start] + 1;
    *start = 0;
    if (lists->garbage + 1 == lists->end) {
        f->bytes -= sizeof *lists + lists->room * sizeof *lists->ids;
        free(lists->ids);
        free(lists);
        f->lists[slot / BLOCK_SLOTS] = NULL;
    }
}

static void drop_lists(struct vector__facets *f)
{
    for (size_t i = 0; i < f->list_blocks; i++) {
        if (f->lists[i] != NULL) {
            f->bytes -= sizeof(struct vector__facet_lists) + f->lists[i]->room * sizeof(uint32_t);
            free(f->lists[i]->ids);
            free(f->lists[i]);
        }
    }
    f->bytes -= f->list_blocks * sizeof(struct vector__facet_lists *);
    free(f->lists);
}

static void add_slot(struct vector__facets *f, uint32_t slot, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct vector__facet *facet = vector__facet_of(f, ids[i]);
        (void)vector__slot_set_add(&facet->slots, slot, f->slot_end, &f->bytes);
        (void)vector__slot_set_add(&f->fields[facet->field].slots, slot, f->slot_end, &f->bytes);
    }
    keep_list(f, slot, ids, count);
}
