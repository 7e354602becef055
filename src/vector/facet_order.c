/* SPDX-License-Identifier: MIT
 *
 * The facets of a field in order (facet_order.h).
 */
#include "facet_order.h"

#include <stdlib.h>
#include <string.h>

#include "facet_store.h"

#define RUN_MAX 256
#define RUN_ROOM_MIN 2

/* What is looked for: a group (value NULL), or a value in it. */
struct bound {
    int group;
    const struct vector__value *value;
    bool after;
};

static struct vector__order_place
find(const struct vector__facets *f, const struct vector__field *field, const struct bound *bound);
static bool is_before(const struct vector__facets *f, uint32_t facet, const struct bound *bound);
static struct vector__facet_run *new_run(struct vector__facets *f, uint32_t room);
static void insert_run(struct vector__facets *f, struct vector__field *field, uint32_t at,
                       struct vector__facet_run *run);
static void split_run(struct vector__facets *f, struct vector__field *field,
                      struct vector__order_place *place);
static void grow_run(struct vector__facets *f, struct vector__facet_run **run);
static size_t run_bytes(uint32_t room);

void vector__order_add(struct vector__facets *f, struct vector__field *field, uint32_t facet)
{
    struct vector__value value;
    vector__facet_value(vector__facet_of(f, facet), &value);
    const struct bound bound = { vector__value_group(value.kind), &value, false };
    struct vector__order_place place = find(f, field, &bound);
    if (field->run_count == 0) {
        insert_run(f, field, 0, new_run(f, RUN_ROOM_MIN));
    } else if (place.at == 0 && place.run > 0) {
        place.run--; /* at the end of the one before */
        place.at = field->runs[place.run]->count;
    }
    if (field->runs[place.run]->count == RUN_MAX) {
        split_run(f, field, &place);
    }
    struct vector__facet_run **run = &field->runs[place.run];
    if ((*run)->count == (*run)->room) {
        grow_run(f, run);
    }
    uint32_t *at = (*run)->ids + place.at;
    memmove(at + 1, at, ((*run)->count - place.at) * sizeof *at);
    *at = facet;
    (*run)->count++;
    field->count++;
}

void vector__order_remove(struct vector__facets *f, struct vector__field *field, uint32_t facet)
{
    struct vector__value value;
    vector__facet_value(vector__facet_of(f, facet), &value);
    const struct bound bound = { vector__value_group(value.kind), &value, false };
    const struct vector__order_place place = find(f, field, &bound);
    CX_CHECK(place.run < field->run_count && field->runs[place.run]->ids[place.at] == facet);
    struct vector__facet_run *run = field->runs[place.run];
    run->count--;
    field->count--;
    memmove(run->ids + place.at, run->ids + place.at + 1,
            (run->count - place.at) * sizeof *run->ids);
    if (run->count == 0) {
        f->bytes -= run_bytes(run->room);
        free(run);
        field->run_count--;
        memmove(field->runs + place.run, field->runs + place.run + 1,
                (field->run_count - place.run) * sizeof(struct vector__facet_run *));
    }
}

void vector__order_free(struct vector__facets *f, struct vector__field *field)
{
    for (uint32_t i = 0; i < field->run_count; i++) {
        f->bytes -= run_bytes(field->runs[i]->room);
        free(field->runs[i]);
    }
    f->bytes -= field->run_room * sizeof(struct vector__facet_run *);
    free(field->runs);
    field->runs = NULL;
    field->run_count = 0;
    field->run_room = 0;
}

struct vector__order_place vector__order_group(const struct vector__facets *f,
                                               const struct vector__field *field, int group)
{
    const struct bound bound = { group, NULL, false };
    return find(f, field, &bound);
}

struct vector__order_place vector__order_find(const struct vector__facets *f,
                                              const struct vector__field *field,
                                              const struct vector__value *value, bool after)
{
    const struct bound bound = { vector__value_group(value->kind), value, after };
    return find(f, field, &bound);
}

size_t vector__order_between(const struct vector__field *field, struct vector__order_place from,
                             struct vector__order_place to)
{
    size_t count = 0;
    for (uint32_t i = from.run; i < to.run; i++) {
        count += field->runs[i]->count;
    }
    return count + to.at - from.at;
}

/* The first that is not before the bound. At the end of all: a run that is not there. */
static struct vector__order_place find(const struct vector__facets *f,
                                       const struct vector__field *field, const struct bound *bound)
{
    uint32_t low = 0;
    uint32_t high = field->run_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct vector__facet_run *run = field->runs[middle];
        if (is_before(f, run->ids[run->count - 1], bound)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct vector__order_place place = { .run = low };
    uint32_t end = low < field->run_count ? field->runs[low]->count : 0;
    while (place.at < end) {
        const uint32_t middle = place.at + (end - place.at) / 2;
        if (is_before(f, field->runs[low]->ids[middle], bound)) {
            place.at = middle + 1;
        } else {
            end = middle;
        }
    }
    return place;
}

static bool is_before(const struct vector__facets *f, uint32_t facet, const struct bound *bound)
{
    struct vector__value value;
    vector__facet_value(vector__facet_of(f, facet), &value);
    const int group = vector__value_group(value.kind);
    if (group != bound->group || bound->value == NULL) {
        return group < bound->group;
    }
    const int order = vector__value_total(&value, bound->value);
    return order < 0 || (order == 0 && bound->after);
}

static struct vector__facet_run *new_run(struct vector__facets *f, uint32_t room)
{
    struct vector__facet_run *run = cx_alloc(run_bytes(room));
    run->room = room;
    f->bytes += run_bytes(room);
    return run;
}

static void insert_run(struct vector__facets *f, struct vector__field *field, uint32_t at,
                       struct vector__facet_run *run)
{
    if (field->run_count == field->run_room) {
        const uint32_t room = field->run_room == 0 ? 1 : field->run_room * 2;
        field->runs = cx_realloc_array(field->runs, room, sizeof(struct vector__facet_run *));
        f->bytes += (room - field->run_room) * sizeof(struct vector__facet_run *);
        field->run_room = room;
    }
    memmove(field->runs + at + 1, field->runs + at,
            (field->run_count - at) * sizeof(struct vector__facet_run *));
    field->runs[at] = run;
    field->run_count++;
}

/* In two halves; but one that grows at its end stays full, and another begins. */
static void split_run(struct vector__facets *f, struct vector__field *field,
                      struct vector__order_place *place)
{
    struct vector__facet_run *full = field->runs[place->run];
    const uint32_t kept = place->at == full->count ? full->count : full->count / 2;
    struct vector__facet_run *rest = new_run(f, RUN_MAX);
    rest->count = full->count - kept;
    memcpy(rest->ids, full->ids + kept, rest->count * sizeof *rest->ids);
    full->count = kept;
    insert_run(f, field, place->run + 1, rest);
    if (place->at > kept || rest->count == 0) {
        place->run++;
        place->at -= kept;
    }
}

static void grow_run(struct vector__facets *f, struct vector__facet_run **run)
{
    const uint32_t old = (*run)->room;
    const uint32_t room = 2 * old < RUN_MAX ? 2 * old : RUN_MAX;
    *run = cx_realloc_array(*run, 1, run_bytes(room));
    (*run)->room = room;
    f->bytes += run_bytes(room) - run_bytes(old);
}

static size_t run_bytes(uint32_t room)
{
    return sizeof(struct vector__facet_run) + room * sizeof(uint32_t);
}
