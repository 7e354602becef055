/* SPDX-License-Identifier: MIT
 *
 * The ids of the index's documents (index.h), those of a block one after the other in one piece: as pieces of
 * their own they would take three times the memory, and keep apart what is free between them.
 */
#include <stdlib.h>
#include <string.h>

#include "index.h"

#define LEAST_ROOM 64

static void resize(struct vector__index *index, struct vector__block *block, size_t added);
static void wipe(struct vector__block *block, struct vector__slot *slot);

/* The slot has its rowid. */
void vector__index_set_id(struct vector__index *index, size_t at, const char *doc_id)
{
    struct vector__block *block = index->blocks[at / VECTOR__BLOCK_ROWS];
    struct vector__slot *slot = vector__index_slot(index, at);
    const size_t size = strlen(doc_id) + 1;
    if (slot->id != 0 && strcmp(vector__index_id(index, at), doc_id) == 0) {
        return;
    }
    wipe(block, slot);
    if (block->ids.used + size > block->ids.room) {
        resize(index, block, size);
    }
    memcpy(block->ids.text + block->ids.used, doc_id, size);
    slot->id = block->ids.used;
    block->ids.used += (uint32_t)size;
}

void vector__index_drop_id(struct vector__index *index, size_t at)
{
    struct vector__block *block = index->blocks[at / VECTOR__BLOCK_ROWS];
    wipe(block, vector__index_slot(index, at));
    if (block->ids.wiped > block->ids.used / 2) {
        resize(index, block, 0);
    }
}

void vector__index_free_ids(struct vector__index *index, size_t block)
{
    struct vector__id_texts *ids = &index->blocks[block]->ids;
    index->extra_bytes -= ids->room;
    free(ids->text);
    *ids = (struct vector__id_texts){ 0 };
}

/* What was deleted is nowhere in memory any more. */
static void wipe(struct vector__block *block, struct vector__slot *slot)
{
    if (slot->id != 0) {
        char *text = block->ids.text + slot->id;
        const size_t size = strlen(text) + 1;
        memset(text, 0, size);
        block->ids.wiped += (uint32_t)size;
        slot->id = 0;
    }
}

/* Without what was wiped, with room for as much as is added and some more. */
static void resize(struct vector__index *index, struct vector__block *block, size_t added)
{
    const size_t kept = block->ids.used - block->ids.wiped;
    struct vector__id_texts ids = { .used = 1 }; /* 0 is the place of none */
    if (kept > 1 || added > 0) {
        ids.room = (uint32_t)(kept + kept / 4 + added + LEAST_ROOM);
        ids.text = cx_alloc(ids.room);
        for (size_t i = 0; i < VECTOR__BLOCK_ROWS; i++) {
            struct vector__slot *slot = &block->slots[i];
            if (slot->id != 0) {
                const size_t size = strlen(block->ids.text + slot->id) + 1;
                memcpy(ids.text + ids.used, block->ids.text + slot->id, size);
                slot->id = ids.used;
                ids.used += (uint32_t)size;
            }
        }
    }
    index->extra_bytes += ids.room;
    index->extra_bytes -= block->ids.room;
    free(block->ids.text);
    block->ids = ids;
}
