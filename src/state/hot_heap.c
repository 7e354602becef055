/* SPDX-License-Identifier: MIT
 *
 * The heap of expiries of hot state.
 */
#include "hot_heap.h"

#include <stdlib.h>

static void put(struct hot__heap *heap, size_t at, struct hot__entry *entry)
{
    heap->items[at] = entry;
    entry->heap_at = at;
}

static void rise(struct hot__heap *heap, size_t at, struct hot__entry *entry)
{
    while (at > 0 && heap->items[(at - 1) / 2]->expires_ms > entry->expires_ms) {
        put(heap, at, heap->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(heap, at, entry);
}

static void sink(struct hot__heap *heap, size_t at, struct hot__entry *entry)
{
    for (size_t child = 2 * at + 1; child < heap->count; child = 2 * at + 1) {
        if (child + 1 < heap->count &&
            heap->items[child + 1]->expires_ms < heap->items[child]->expires_ms) {
            child++;
        }
        if (heap->items[child]->expires_ms >= entry->expires_ms) {
            break;
        }
        put(heap, at, heap->items[child]);
        at = child;
    }
    put(heap, at, entry);
}

void hot__heap_add(struct hot__heap *heap, struct hot__entry *entry)
{
    entry->heap_at = SIZE_MAX;
    if (entry->expires_ms == 0) {
        return;
    }
    if (heap->count == heap->cap) {
        heap->cap = heap->cap > 0 ? 2 * heap->cap : 64;
        heap->items = cx_realloc_array(heap->items, heap->cap, sizeof(struct hot__entry *));
    }
    rise(heap, heap->count++, entry);
}

void hot__heap_remove(struct hot__heap *heap, struct hot__entry *entry)
{
    const size_t at = entry->heap_at;
    if (at == SIZE_MAX) {
        return;
    }
    entry->heap_at = SIZE_MAX;
    struct hot__entry *last = heap->items[--heap->count];
    if (last == entry) {
        return;
    }
    if (at > 0 && heap->items[(at - 1) / 2]->expires_ms > last->expires_ms) {
        rise(heap, at, last);
    } else {
        sink(heap, at, last);
    }
}

void hot__heap_free(struct hot__heap *heap)
{
    free(heap->items);
    *heap = (struct hot__heap){ .items = NULL };
}
