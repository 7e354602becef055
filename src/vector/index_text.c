/* SPDX-License-Identifier: MIT
 *
 * What the index knows of its documents' texts: their lengths, and the postings of words that have been
 * asked for.
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

size_t vector__index_postings_max(const struct vector__index *index)
{
    const size_t rows = vector__index_bytes_with(index, 0);
    const size_t left = index->bytes_max > rows ? index->bytes_max - rows : 0;
    return left < index->bytes_max / 8 ? left : index->bytes_max / 8;
}
