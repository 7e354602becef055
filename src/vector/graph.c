/* SPDX-License-Identifier: MIT
 *
 * The graph's memory, what waits to be linked, and its searches (graph.h). graph_link.c links.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"
#include "graph_walk.h"

#define WAYS_IN 4 /* nodes of level 1 from which level 0 is entered */

static void forget(struct vector__graph *graph);
static void add_block(struct vector__graph *graph);

void vector__graph_init(struct vector__graph *graph)
{
    *graph =
        (struct vector__graph){ .kernel = vector__kernel_best(),
                                .entry = VECTOR__GRAPH_NONE,
                                .random = UINT64_C(0x9e3779b97f4a7c15),
                                .searches = cx_metrics_series(CX_M_VECTOR_GRAPH_SEARCHES, "") };
    pthread_rwlockattr_t attributes;
    CX_CHECK(pthread_rwlockattr_init(&attributes) == 0);
    CX_CHECK(pthread_rwlockattr_setkind_np(&attributes,
                                           PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0);
    CX_CHECK(pthread_rwlock_init(&graph->lock, &attributes) == 0);
    (void)pthread_rwlockattr_destroy(&attributes);
}

void vector__graph_free(struct vector__graph *graph)
{
    forget(graph);
    free(graph->blocks);
    free(graph->waiting);
    CX_CHECK(pthread_rwlock_destroy(&graph->lock) == 0);
}

void vector__graph_note_all(struct vector__graph *graph, const struct vector__index *index)
{
    for (size_t slot = 0; slot < index->slot_end; slot++) {
        if (vector__index_slot(index, slot)->rowid != 0) {
            vector__graph_note(graph, slot);
        }
    }
}

void vector__graph_note(struct vector__graph *graph, size_t slot)
{
    vector__graph_reserve(graph, slot + 1);
    struct vector__graph_block *block = graph->blocks[slot / VECTOR__BLOCK_ROWS];
    uint64_t *linked = &block->linked[slot % VECTOR__BLOCK_ROWS / 64];
    uint64_t *waiting = &block->waiting[slot % VECTOR__BLOCK_ROWS / 64];
    const uint64_t bit = UINT64_C(1) << (slot % 64);
    graph->linked -= (*linked & bit) != 0 ? 1 : 0;
    *linked &= ~bit;
    if ((*waiting & bit) != 0) {
        return;
    }
    *waiting |= bit;
    if (graph->waiting_count == graph->waiting_cap) {
        const size_t added = graph->waiting_cap == 0 ? 1024 : graph->waiting_cap;
        graph->waiting_cap += added;
        atomic_fetch_add_explicit(&graph->bytes, added * sizeof *graph->waiting,
                                  memory_order_relaxed);
        graph->waiting =
            cx_realloc_array(graph->waiting, graph->waiting_cap, sizeof *graph->waiting);
    }
    graph->waiting[graph->waiting_count++] = (uint32_t)slot;
}

size_t vector__graph_search(const struct vector__graph *graph, const struct vector__index *index,
                            const struct vector__coarse_query *query, size_t breadth,
                            struct vector__near *out)
{
    struct vector__walk walk;
    size_t count = 0;
    if (vector__walk_init(&walk, graph, index, breadth)) {
        walk.point = (struct vector__point){ query->numbers, query->offset, query->scale };
        if (graph->level_count > 0) {
            (void)vector__walk_descend(&walk, 1);
            vector__walk_level(&walk, 1, breadth < WAYS_IN ? breadth : WAYS_IN);
            for (size_t i = 0; i < walk.count; i++) {
                walk.view[i].node = graph->levels[0].slots[walk.view[i].node];
            }
        } else {
            (void)vector__walk_descend(&walk, 0);
        }
        vector__walk_level(&walk, 0, breadth);
        for (size_t i = 0; i < walk.count; i++) {
            const struct vector__sight *sight = &walk.view[i];
            if (vector__graph_is_linked(graph, sight->node)) {
                out[count++] = (struct vector__near){ sight->closeness, sight->node };
            }
        }
    }
    vector__walk_free(&walk);
    return count;
}

size_t vector__graph_bytes(const struct vector__graph *graph)
{
    return atomic_load_explicit(&graph->bytes, memory_order_relaxed);
}

void vector__graph_reserve(struct vector__graph *graph, size_t slots)
{
    while (graph->block_count * VECTOR__BLOCK_ROWS < slots) {
        add_block(graph);
    }
}

static void forget(struct vector__graph *graph)
{
    while (graph->block_count > 0) {
        free(graph->blocks[--graph->block_count]);
    }
    while (graph->level_count > 0) {
        struct vector__graph_level *level = &graph->levels[--graph->level_count];
        free(level->slots);
        free(level->below);
        free(level->links);
        *level = (struct vector__graph_level){ 0 };
    }
    atomic_store_explicit(&graph->bytes, graph->waiting_cap * sizeof *graph->waiting,
                          memory_order_relaxed);
    graph->waiting_count = 0;
    graph->linked = 0;
    graph->relinked = 0;
    graph->entry = VECTOR__GRAPH_NONE;
}

static void add_block(struct vector__graph *graph)
{
    graph->blocks = cx_realloc_array(graph->blocks, graph->block_count + 1, sizeof *graph->blocks);
    struct vector__graph_block *block = cx_alloc(sizeof *block);
    memset(block->links, 0xFF, sizeof block->links);
    graph->blocks[graph->block_count++] = block;
    atomic_fetch_add_explicit(&graph->bytes, sizeof *block, memory_order_relaxed);
}
