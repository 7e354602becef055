/* SPDX-License-Identifier: MIT
 *
 * hot_heap: what expires next: a binary heap, in which each entry knows its place. Loop thread.
 */
#ifndef CORTEX_STATE_HOT_HEAP_H
#define CORTEX_STATE_HOT_HEAP_H

#include "hot_tree.h"

struct hot__heap {
    struct hot__entry **items;
    size_t count;
    size_t cap;
};
/* Entries that never expire stay out of it. */
void hot__heap_add(struct hot__heap *heap, struct hot__entry *entry);
void hot__heap_remove(struct hot__heap *heap, struct hot__entry *entry);
void hot__heap_free(struct hot__heap *heap);

#endif
