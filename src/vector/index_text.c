/* SPDX-License-Identifier: MIT
 *
 * What the index knows of its documents' texts: their lengths, and the postings of words that have been
 * asked for; and how much memory it may take beside the others.
 */
#include "index.h"

void vector__index_set_length(struct vector__index *index, size_t slot, uint32_t length)
{
    uint32_t *of_slot =
        &index->blocks[slot / VECTOR__BLOCK_ROWS]->lengths[slot % VECTOR__BLOCK_ROWS];
    index->words = index->words - *of_slot + length;
    *of_slot = length;
}

void vector__index_set_text(struct vector__index *index, size_t slot,
                            const struct vector__words *words)
{
    vector__index_drop_text(index, slot);
    vector__index_set_length(index, slot, words->length);
    vector__postings_add(&index->postings, words, (uint32_t)slot, vector__index_epoch(index, slot));
    vector__postings_fit(&index->postings, vector__index_postings_max(index), UINT64_MAX);
}

void vector__index_drop_text(struct vector__index *index, size_t slot)
{
    vector__index_set_length(index, slot, 0);
    index->postings.version++;
    uint16_t *epoch = &index->blocks[slot / VECTOR__BLOCK_ROWS]->epochs[slot % VECTOR__BLOCK_ROWS];
    (*epoch)++;
    if (*epoch == 0) {
        /* Postings of the first epoch would come to life again. */
        vector__postings_clear(&index->postings);
    }
}

/* Of what all postings may take together, what those of others leave. */
size_t vector__index_postings_max(const struct vector__index *index)
{
    size_t rows = vector__index_bytes_with(index, 0);
    size_t others = 0;
    if (index->memory != NULL) {
        rows += atomic_load_explicit(&index->memory->rows, memory_order_relaxed) -
                atomic_load_explicit(&index->bytes_noted, memory_order_relaxed);
        others = atomic_load_explicit(&index->memory->postings, memory_order_relaxed) -
                 atomic_load_explicit(&index->postings.bytes, memory_order_relaxed);
    }
    const size_t left = index->bytes_max > rows ? index->bytes_max - rows : 0;
    const size_t all = left < index->bytes_max / 8 ? left : index->bytes_max / 8;
    return all > others ? all - others : 0;
}

void vector__index_share(struct vector__index *index, struct vector__memory *memory)
{
    index->memory = memory;
    index->bytes_max = memory->max;
    index->postings.total = &memory->postings;
}

void vector__index_note(struct vector__index *index, size_t bytes)
{
    if (index->memory != NULL) {
        const size_t before =
            atomic_exchange_explicit(&index->bytes_noted, bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&index->memory->rows, bytes - before, memory_order_relaxed);
    }
}
