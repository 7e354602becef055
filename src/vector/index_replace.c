/* SPDX-License-Identifier: MIT
 *
 * When the dimension of a collection becomes known, or another one: an index with rows of that size
 * takes the place of the old one. What can fail is making it, before a transaction commits; this, after
 * it, cannot.
 */
#include "index.h"

#include <stdlib.h>
#include <string.h>

static void swap_all_but_lock(struct vector__index *a, struct vector__index *b);

void vector__index_replace(struct vector__index *index, struct vector__index *next)
{
    CX_CHECK(index->live == index->pending && next->live == 0);
    uint32_t *moved = cx_alloc((index->slot_end + 1) * sizeof *moved);
    for (size_t at = 0; at < index->slot_end; at++) {
        struct vector__slot *slot = vector__index_slot(index, at);
        if (slot->rowid != 0) {
            const int64_t rowid = slot->rowid;
            struct vector__entry entry = { .rowid = slot->rowid,
                                           .doc_id = cx_strdup(vector__index_id(index, at)),
                                           .pending = true };
            vector__index_set(next, &entry);
            moved[at] = (uint32_t)vector__index_find(next, rowid);
            vector__index_set_length(next, moved[at], vector__index_length(index, at));
        }
    }
    vector__facets_renumber(&index->facets, moved);
    vector__facets_move(&next->facets, &index->facets);
    free(moved);
    /* Postings go by slot. */
    vector__postings_clear(&index->postings);
    index->postings.version++;
    swap_all_but_lock(index, next);
    index->file_stale = true;
    vector__index_set_graph(index, NULL);
    vector__index_free(next);
}

/* A lock that others wait for cannot be moved; postings stay because their version must, and the file
 * because it is open. */
static void swap_all_but_lock(struct vector__index *a, struct vector__index *b)
{
    _Static_assert(offsetof(struct vector__index, lock) == 0, "what is not swapped comes first");
    const size_t from = offsetof(struct vector__index, dimension);
    char kept[sizeof *a];
    memcpy(kept, (char *)a + from, sizeof *a - from);
    memcpy((char *)a + from, (char *)b + from, sizeof *a - from);
    memcpy((char *)b + from, kept, sizeof *a - from);
}
