/* SPDX-License-Identifier: MIT
 *
 * slot_set: a set of slots, in the form that takes least: one slot by itself, a sorted list while it is
 * thin, a bit for every slot where it is dense.
 *
 * Threads: as the index.
 */
#ifndef CORTEX_VECTOR_SLOT_SET_H
#define CORTEX_VECTOR_SLOT_SET_H

#include "cortex/base.h"

struct vector__slot_set {
    uint32_t count;
    unsigned room : 31; /* of the list or, where dense, words; 0: a slot by itself, or none */
    bool dense : 1;
    union {
        uint32_t one;
        uint32_t *list;
        uint64_t *words;
    } in;
};

/* slot_end: how many slots there are. bytes: of all sets, kept up. False where it was in already. */
bool vector__slot_set_add(struct vector__slot_set *set, uint32_t slot, size_t slot_end,
                          size_t *bytes);
/* False where it was not in. */
bool vector__slot_set_remove(struct vector__slot_set *set, uint32_t slot, size_t *bytes);
bool vector__slot_set_has(const struct vector__slot_set *set, uint32_t slot);
/* Adds all of it to `words` words of bits. */
void vector__slot_set_into(const struct vector__slot_set *set, uint64_t *bits, size_t words);
/* Takes all of it away from them. */
void vector__slot_set_out_of(const struct vector__slot_set *set, uint64_t *bits, size_t words);
void vector__slot_set_clear(struct vector__slot_set *set, size_t *bytes);

static inline void vector__bit_set(uint64_t *bits, size_t at)
{
    bits[at / 64] |= UINT64_C(1) << (at % 64);
}
static inline bool vector__bit(const uint64_t *bits, size_t at)
{
    return (bits[at / 64] >> (at % 64) & 1) != 0;
}

#endif
