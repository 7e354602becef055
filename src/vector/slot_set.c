/* SPDX-License-Identifier: MIT
 *
 * Sets of slots (slot_set.h).
 */
#include "slot_set.h"

#include <stdlib.h>
#include <string.h>

#define DENSE_MIN 64     /* fewer are a list whatever their density */
#define DENSE_ONE_IN 32  /* a list takes 32 bits a slot: from here on bits take less … */
#define SPARSE_ONE_IN 64 /* … and up to here they stay, once made */

#define ROOM_MAX 0x7FFFFFFFU /* slots are fewer, and so are their words */

static size_t list_place(const struct vector__slot_set *set, uint32_t slot);
static void list_insert(struct vector__slot_set *set, size_t at, uint32_t slot, size_t *bytes);
static void make_dense(struct vector__slot_set *set, size_t slot_end, size_t *bytes);
static void make_list(struct vector__slot_set *set, size_t *bytes);
static void grow_words(struct vector__slot_set *set, size_t words, size_t *bytes);

bool vector__slot_set_add(struct vector__slot_set *set, uint32_t slot, size_t slot_end,
                          size_t *bytes)
{
    if (vector__slot_set_has(set, slot)) {
        return false;
    }
    if (set->dense && slot / 64 >= set->room && (size_t)set->count * SPARSE_ONE_IN < slot_end) {
        make_list(set, bytes);
    } else if (!set->dense && set->count >= DENSE_MIN &&
               (size_t)set->count * DENSE_ONE_IN >= slot_end) {
        make_dense(set, slot_end, bytes);
    }
    if (set->dense) {
        grow_words(set, slot / 64 + 1, bytes);
        vector__bit_set(set->in.words, slot);
    } else if (set->room == 0 && set->count == 0) {
        set->in.one = slot;
    } else {
        list_insert(set, list_place(set, slot), slot, bytes);
    }
    set->count++;
    return true;
}

bool vector__slot_set_remove(struct vector__slot_set *set, uint32_t slot, size_t *bytes)
{
    if (!vector__slot_set_has(set, slot)) {
        return false;
    }
    if (set->dense) {
        set->in.words[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    } else if (set->room > 0) {
        const size_t at = list_place(set, slot);
        memmove(set->in.list + at, set->in.list + at + 1,
                (set->count - at - 1) * sizeof *set->in.list);
    }
    set->count--;
    if (set->count == 0) {
        vector__slot_set_clear(set, bytes);
    }
    return true;
}

bool vector__slot_set_has(const struct vector__slot_set *set, uint32_t slot)
{
    if (set->count == 0) {
        return false;
    }
    if (set->dense) {
        return slot / 64 < set->room && vector__bit(set->in.words, slot);
    }
    if (set->room == 0) {
        return set->in.one == slot;
    }
    const size_t at = list_place(set, slot);
    return at < set->count && set->in.list[at] == slot;
}

void vector__slot_set_into(const struct vector__slot_set *set, uint64_t *bits, size_t words)
{
    if (set->count == 0) {
        return;
    }
    if (set->dense) {
        const size_t common = set->room < words ? set->room : words;
        for (size_t i = 0; i < common; i++) {
            bits[i] |= set->in.words[i];
        }
        return;
    }
    const uint32_t *slots = set->room > 0 ? set->in.list : &set->in.one;
    for (size_t i = 0; i < set->count; i++) {
        vector__bit_set(bits, slots[i]);
    }
}

void vector__slot_set_out_of(const struct vector__slot_set *set, uint64_t *bits, size_t words)
{
    if (set->count == 0) {
        return;
    }
    if (set->dense) {
        const size_t common = set->room < words ? set->room : words;
        for (size_t i = 0; i < common; i++) {
            bits[i] &= ~set->in.words[i];
        }
        return;
    }
    const uint32_t *slots = set->room > 0 ? set->in.list : &set->in.one;
    for (size_t i = 0; i < set->count; i++) {
        bits[slots[i] / 64] &= ~(UINT64_C(1) << (slots[i] % 64));
    }
}

void vector__slot_set_clear(struct vector__slot_set *set, size_t *bytes)
{
    if (set->dense) {
        *bytes -= set->room * sizeof *set->in.words;
        free(set->in.words);
    } else if (set->room > 0) {
        *bytes -= set->room * sizeof *set->in.list;
        free(set->in.list);
    }
    *set = (struct vector__slot_set){ 0 };
}

/* Of the first that is not less. Slots mostly come in ascending order. */
static size_t list_place(const struct vector__slot_set *set, uint32_t slot)
{
    const uint32_t *list = set->room > 0 ? set->in.list : &set->in.one;
    size_t low = 0;
    size_t high = set->count;
    if (high > 0 && list[high - 1] < slot) {
        return high;
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (list[middle] < slot) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void list_insert(struct vector__slot_set *set, size_t at, uint32_t slot, size_t *bytes)
{
    if (set->count >= set->room) {
        const uint32_t old = set->room;
        const uint32_t room = old == 0 ? 4 : old + old / 2;
        uint32_t *list = cx_realloc_array(old == 0 ? NULL : set->in.list, room, sizeof *list);
        if (old == 0) {
            list[0] = set->in.one;
        }
        *bytes += (room - old) * sizeof *list;
        set->in.list = list;
        set->room = room & ROOM_MAX;
    }
    memmove(set->in.list + at + 1, set->in.list + at, (set->count - at) * sizeof *set->in.list);
    set->in.list[at] = slot;
}

static void make_dense(struct vector__slot_set *set, size_t slot_end, size_t *bytes)
{
    const size_t room = slot_end / 64 + 1;
    uint64_t *words = cx_alloc(room * sizeof *words);
    vector__slot_set_into(set, words, room);
    if (set->room > 0) {
        *bytes -= set->room * sizeof *set->in.list;
        free(set->in.list);
    }
    *bytes += room * sizeof *words;
    set->in.words = words;
    set->room = (unsigned)room & ROOM_MAX;
    set->dense = true;
}

static void make_list(struct vector__slot_set *set, size_t *bytes)
{
    const size_t room = (size_t)set->count + 4;
    uint32_t *list = cx_realloc_array(NULL, room, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < set->room; i++) {
        for (uint64_t left = set->in.words[i]; left != 0; left &= left - 1) {
            list[count++] = (uint32_t)(i * 64 + (size_t)__builtin_ctzll(left));
        }
    }
    *bytes -= set->room * sizeof *set->in.words;
    free(set->in.words);
    *bytes += room * sizeof *list;
    set->in.list = list;
    set->room = (unsigned)room & ROOM_MAX;
    set->dense = false;
}

static void grow_words(struct vector__slot_set *set, size_t words, size_t *bytes)
{
    if (words <= set->room) {
        return;
    }
    const size_t room = words + words / 8;
    set->in.words =
        cx_realloc_array(set->room == 0 ? NULL : set->in.words, room, sizeof *set->in.words);
    memset(set->in.words + set->room, 0, (room - set->room) * sizeof *set->in.words);
    *bytes += (room - set->room) * sizeof *set->in.words;
    set->room = (unsigned)room & ROOM_MAX;
}
