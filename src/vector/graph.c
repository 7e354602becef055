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
#define WAITING_LEAST 1024

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
    graph->changes++;
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
        const size_t added = graph->waiting_cap == 0 ? WAITING_LEAST : graph->waiting_cap;
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

void vector__graph_add_place(struct vector__graph *graph, size_t level, uint32_t slot,
                             uint32_t below)
{
    struct vector__graph_level *l = &graph->levels[level - 1];
    if (l->count == l->cap) {
        const size_t added = l->cap == 0 ? 64 : l->cap;
        l->cap += added;
        atomic_fetch_add_explicit(&graph->bytes,
                                  added * (2 + VECTOR__GRAPH_LINKS) * sizeof(uint32_t),
                                  memory_order_relaxed);
        l->slots = cx_realloc_array(l->slots, l->cap, sizeof *l->slots);
        l->below = cx_realloc_array(l->below, l->cap, sizeof *l->below);
        l->links = cx_realloc_array(l->links, l->cap * VECTOR__GRAPH_LINKS, sizeof *l->links);
    }
    l->slots[l->count] = slot;
    l->below[l->count] = below;
    memset(l->links + l->count * VECTOR__GRAPH_LINKS, 0xFF, VECTOR__GRAPH_LINKS * sizeof *l->links);
    l->count++;
}

bool vector__graph_set_linked(struct vector__graph *graph, size_t slot)
{
    struct vector__graph_block *block = graph->blocks[slot / VECTOR__BLOCK_ROWS];
    const size_t word = slot % VECTOR__BLOCK_ROWS / 64;
    const uint64_t bit = UINT64_C(1) << (slot % 64);
    if ((block->linked[word] & bit) != 0 || (block->waiting[word] & bit) == 0) {
        return false;
    }
    block->linked[word] |= bit;
    graph->linked++;
    return true;
}

void vector__graph_forget_links(struct vector__graph *graph)
{
    for (size_t i = 0; i < graph->block_count; i++) {
        memset(graph->blocks[i]->links, 0xFF, sizeof graph->blocks[i]->links);
        memset(graph->blocks[i]->linked, 0, sizeof graph->blocks[i]->linked);
    }
    for (size_t i = 0; i < VECTOR__GRAPH_LEVELS; i++) {
        graph->levels[i].count = 0;
    }
    graph->level_count = 0;
    graph->linked = 0;
    graph->entry = VECTOR__GRAPH_NONE;
}

void vector__graph_stop_waiting(struct vector__graph *graph)
{
    size_t left = 0;
    for (size_t i = 0; i < graph->waiting_count; i++) {
        const uint32_t slot = graph->waiting[i];
        if (vector__graph_is_linked(graph, slot)) {
            graph->blocks[slot / VECTOR__BLOCK_ROWS]->waiting[slot % VECTOR__BLOCK_ROWS / 64] &=
                ~(UINT64_C(1) << (slot % 64));
            graph->entry = slot;
        } else {
            graph->waiting[left++] = slot;
        }
    }
    graph->waiting_count = left;
    vector__graph_shrink_waiting(graph);
    while (graph->level_count < VECTOR__GRAPH_LEVELS &&
           graph->levels[graph->level_count].count > 0) {
        graph->level_count++;
    }
}

void vector__graph_shrink_waiting(struct vector__graph *graph)
{
    if (graph->waiting_count == 0 && graph->waiting_cap > WAITING_LEAST) {
        atomic_fetch_sub_explicit(&graph->bytes, graph->waiting_cap * sizeof *graph->waiting,
                                  memory_order_relaxed);
        free(graph->waiting);
        graph->waiting = NULL;
        graph->waiting_cap = 0;
    }
}

static void forget(struct vector__graph *graph)
{
    while (graph->block_count > 0) {
        vector__pages_free(graph->blocks[--graph->block_count], sizeof(struct vector__graph_block));
    }
    for (size_t i = 0; i < VECTOR__GRAPH_LEVELS; i++) {
        struct vector__graph_level *level = &graph->levels[i];
        free(level->slots);
        free(level->below);
        free(level->links);
        *level = (struct vector__graph_level){ 0 };
    }
}

static void add_block(struct vector__graph *graph)
{
    graph->blocks = cx_realloc_array(graph->blocks, graph->block_count + 1,
                                     sizeof(struct vector__graph_block *));
    struct vector__graph_block *block = vector__pages_alloc(sizeof *block);
    CX_CHECK(block != NULL);
    memset(block->links, 0xFF, sizeof block->links);
    graph->blocks[graph->block_count++] = block;
    atomic_fetch_add_explicit(&graph->bytes, sizeof *block, memory_order_relaxed);
}
