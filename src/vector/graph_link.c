/* SPDX-License-Identifier: MIT
 *
 * Linking what waits. All is computed first, as links that certain nodes are to have, while searches
 * go on; then written at once, in microseconds. Of the nearest nodes those are linked that are nearer
 * to the new one than to any that was linked before: links in all directions rather than many in one.
 *
 * Threads: one at a time, as graph.h says.
 */
#include <stdlib.h>
#include <string.h>

#include "graph_walk.h"

#define BREADTH 100 /* of the walks that look for neighbours */
#define CHANGES (VECTOR__GRAPH_LEVELS * VECTOR__GRAPH_LINKS + 2 * VECTOR__GRAPH_BASE)

struct change {
    size_t level;
    uint32_t node;
    uint32_t links[VECTOR__GRAPH_BASE];
};
/* One slot's linking. */
struct linking {
    struct vector__graph *graph;
    const struct vector__index *index;
    uint32_t slot;
    size_t top; /* the highest level it is in */
    uint32_t places[VECTOR__GRAPH_LEVELS + 1];
    struct change own[VECTOR__GRAPH_LEVELS + 1];
    struct change changes[CHANGES]; /* of others */
    size_t change_count;
    struct vector__walk walk;
    int8_t *numbers;   /* of the slot's row */
    int8_t *candidate; /* of another's */
};

static void detach(struct linking *l);
static void replace_link(struct linking *l, uint32_t node, const uint32_t *others);
static void attach(struct linking *l);
static size_t choose(struct linking *l, size_t level, const struct vector__sight *sights,
                     size_t count, size_t most, uint32_t *out);
static void link_back(struct linking *l, size_t level, uint32_t node, uint32_t added);
static void write_changes(struct linking *l);
static struct vector__point point_of(const struct vector__index *index, uint32_t slot,
                                     int8_t *numbers);
static size_t draw_top(struct vector__graph *graph);
static bool has_row(const struct vector__index *index, uint32_t slot);

size_t vector__graph_tend(struct vector__graph *graph, const struct vector__index *index,
                          size_t count)
{
    struct linking *l = cx_alloc(sizeof *l);
    l->graph = graph;
    l->index = index;
    l->numbers = aligned_alloc(VECTOR__ALIGN, 4 * index->coarse_stride);
    bool room = vector__walk_init(&l->walk, graph, index, BREADTH) && l->numbers != NULL;
    l->candidate = room ? l->numbers + 2 * index->coarse_stride : NULL;
    size_t done = 0;
    for (; room && done < count && graph->waiting_count > 0; done++) {
        cx_give_way();
        l->slot = graph->waiting[graph->waiting_count - 1];
        l->change_count = 0;
        detach(l);
        const bool attached = has_row(index, l->slot);
        if (attached) {
            attach(l);
        }
        CX_CHECK(pthread_rwlock_wrlock(&graph->lock) == 0);
        write_changes(l);
        struct vector__graph_block *block = graph->blocks[l->slot / VECTOR__BLOCK_ROWS];
        const uint64_t bit = UINT64_C(1) << (l->slot % 64);
        block->waiting[l->slot % VECTOR__BLOCK_ROWS / 64] &= ~bit;
        if (attached) {
            block->linked[l->slot % VECTOR__BLOCK_ROWS / 64] |= bit;
            graph->linked++;
        }
        graph->waiting_count--;
        vector__graph_shrink_waiting(graph);
        CX_CHECK(pthread_rwlock_unlock(&graph->lock) == 0);
    }
    vector__walk_free(&l->walk);
    free(l->numbers);
    free(l);
    return done;
}

/* Those that link to the slot, which held another row, link to one of its neighbours instead. */
static void detach(struct linking *l)
{
    struct vector__graph *graph = l->graph;
    const uint32_t *links = vector__graph_links(graph, 0, l->slot);
    l->own[0] = (struct change){ .level = 0, .node = l->slot };
    memset(l->own[0].links, 0xFF, sizeof l->own[0].links);
    l->top = 0;
    if (links[0] == VECTOR__GRAPH_NONE) {
        return;
    }
    graph->relinked++;
    for (size_t i = 0; i < VECTOR__GRAPH_BASE && links[i] != VECTOR__GRAPH_NONE; i++) {
        replace_link(l, links[i], links);
    }
}

static void replace_link(struct linking *l, uint32_t node, const uint32_t *others)
{
    const uint32_t *links = vector__graph_links(l->graph, 0, node);
    struct change *change = &l->changes[l->change_count];
    size_t count = 0;
    size_t gap = SIZE_MAX;
    for (; count < VECTOR__GRAPH_BASE && links[count] != VECTOR__GRAPH_NONE; count++) {
        gap = links[count] == l->slot ? count : gap;
    }
    if (gap == SIZE_MAX) {
        return;
    }
    *change = (struct change){ .level = 0, .node = node };
    memcpy(change->links, links, sizeof change->links);
    uint32_t possible[VECTOR__GRAPH_BASE];
    size_t possible_count = 0;
    for (size_t i = 0; i < VECTOR__GRAPH_BASE && others[i] != VECTOR__GRAPH_NONE; i++) {
        bool there = others[i] == node || !vector__graph_is_linked(l->graph, others[i]);
        for (size_t k = 0; k < count && !there; k++) {
            there = links[k] == others[i];
        }
        if (!there) {
            possible[possible_count++] = others[i];
        }
    }
    if (possible_count > 0) {
        float closeness[VECTOR__GRAPH_BASE];
        l->walk.point = point_of(l->index, node, l->candidate);
        vector__walk_measure(&l->walk, 0, possible, possible_count, closeness);
        size_t best = 0;
        for (size_t i = 1; i < possible_count; i++) {
            best = closeness[i] > closeness[best] ? i : best;
        }
        change->links[gap] = possible[best];
    } else {
        change->links[gap] = change->links[count - 1];
        change->links[count - 1] = VECTOR__GRAPH_NONE;
    }
    l->change_count++;
}

static void attach(struct linking *l)
{
    struct vector__graph *graph = l->graph;
    const struct vector__point point = point_of(l->index, l->slot, l->numbers);
    l->top = draw_top(graph);
    for (size_t level = 0; level <= l->top; level++) {
        l->places[level] = level == 0 ? l->slot : (uint32_t)graph->levels[level - 1].count;
        l->own[level] = (struct change){ .level = level, .node = l->places[level] };
        memset(l->own[level].links, 0xFF, sizeof l->own[level].links);
    }
    if (l->top > 0) { /* not to be seen before anything links there */
        CX_CHECK(pthread_rwlock_wrlock(&graph->lock) == 0);
        for (size_t level = 1; level <= l->top; level++) {
            vector__graph_add_place(graph, level, l->slot, l->places[level - 1]);
        }
        CX_CHECK(pthread_rwlock_unlock(&graph->lock) == 0);
    }
    size_t level = l->top < graph->level_count ? l->top : graph->level_count;
    l->walk.point = point;
    if (!vector__walk_descend(&l->walk, level)) {
        return;
    }
    for (;; level--) {
        l->walk.point = point;
        vector__walk_level(&l->walk, level, BREADTH);
        /* Itself may be in view: its row was another's, and links to it are left. */
        struct vector__sight sights[BREADTH];
        size_t count = 0;
        for (size_t i = 0; i < l->walk.count; i++) {
            const uint32_t slot = vector__graph_slot(graph, level, l->walk.view[i].node);
            if (slot != l->slot && has_row(l->index, slot)) {
                sights[count++] = l->walk.view[i];
            }
        }
        const size_t n = choose(l, level, sights, count, VECTOR__GRAPH_LINKS, l->own[level].links);
        for (size_t i = 0; i < n; i++) {
            link_back(l, level, l->own[level].links[i], l->places[level]);
        }
        if (level == 0) {
            return;
        }
        for (size_t i = 0; i < l->walk.count; i++) {
            uint32_t *node = &l->walk.view[i].node;
            *node =
                level == 1 ? graph->levels[0].slots[*node] : graph->levels[level - 1].below[*node];
        }
    }
}

/* sights: nearest first. */
static size_t choose(struct linking *l, size_t level, const struct vector__sight *sights,
                     size_t count, size_t most, uint32_t *out)
{
    size_t chosen = 0;
    for (size_t i = 0; i < count && chosen < most; i++) {
        const uint32_t slot = vector__graph_slot(l->graph, level, sights[i].node);
        float closeness[VECTOR__GRAPH_BASE];
        bool wanted = true;
        if (chosen > 0) {
            l->walk.point = point_of(l->index, slot, l->candidate);
            vector__walk_measure(&l->walk, level, out, chosen, closeness);
            for (size_t k = 0; k < chosen && wanted; k++) {
                wanted = closeness[k] < sights[i].closeness;
            }
        }
        if (wanted) {
            out[chosen++] = sights[i].node;
        }
    }
    return chosen;
}

static int by_closeness(const void *a, const void *b)
{
    const float x = ((const struct vector__sight *)a)->closeness;
    const float y = ((const struct vector__sight *)b)->closeness;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void link_back(struct linking *l, size_t level, uint32_t node, uint32_t added)
{
    /* What detaching is to change comes first. */
    const uint32_t *links = vector__graph_links(l->graph, level, node);
    struct change *change = NULL;
    for (size_t i = 0; i < l->change_count && change == NULL; i++) {
        if (l->changes[i].level == level && l->changes[i].node == node) {
            change = &l->changes[i];
        }
    }
    if (change == NULL) {
        CX_CHECK(l->change_count < CHANGES);
        change = &l->changes[l->change_count++];
        *change = (struct change){ .level = level, .node = node };
        memset(change->links, 0xFF, sizeof change->links);
        memcpy(change->links, links, vector__graph_degree(level) * sizeof *links);
    }
    size_t count = 0;
    for (; count < vector__graph_degree(level) && change->links[count] != VECTOR__GRAPH_NONE;
         count++) {
        if (change->links[count] == added) {
            return;
        }
    }
    if (count < vector__graph_degree(level)) {
        change->links[count] = added;
        return;
    }
    float closeness[VECTOR__GRAPH_BASE];
    struct vector__sight sights[VECTOR__GRAPH_BASE + 1];
    l->walk.point = point_of(l->index, vector__graph_slot(l->graph, level, node), l->candidate);
    vector__walk_measure(&l->walk, level, change->links, count, closeness);
    for (size_t i = 0; i < count; i++) {
        sights[i] = (struct vector__sight){ closeness[i], change->links[i], false };
    }
    vector__walk_measure(&l->walk, level, &added, 1, closeness);
    sights[count] = (struct vector__sight){ closeness[0], added, false };
    qsort(sights, count + 1, sizeof *sights, by_closeness);
    memset(change->links, 0xFF, sizeof change->links);
    (void)choose(l, level, sights, count + 1, vector__graph_degree(level), change->links);
}

static void write_changes(struct linking *l)
{
    struct vector__graph *graph = l->graph;
    if (graph->entry == VECTOR__GRAPH_NONE || graph->entry == l->slot) {
        graph->entry = has_row(l->index, l->slot) ? l->slot : VECTOR__GRAPH_NONE;
    }
    graph->level_count = l->top > graph->level_count ? l->top : graph->level_count;
    for (size_t level = 0; level <= l->top; level++) {
        memcpy(vector__graph_links(graph, level, l->own[level].node), l->own[level].links,
               vector__graph_degree(level) * sizeof(uint32_t));
    }
    for (size_t i = 0; i < l->change_count; i++) {
        const struct change *change = &l->changes[i];
        memcpy(vector__graph_links(graph, change->level, change->node), change->links,
               vector__graph_degree(change->level) * sizeof(uint32_t));
    }
}

static struct vector__point point_of(const struct vector__index *index, uint32_t slot,
                                     int8_t *numbers)
{
    const size_t stride = index->coarse_stride;
    const struct vector__block *block = index->blocks[slot / VECTOR__BLOCK_ROWS];
    const uint8_t *high = block->coarse + slot % VECTOR__BLOCK_ROWS * stride;
    const uint8_t *low = high + VECTOR__BLOCK_ROWS * stride;
    int32_t sum = 0;
    for (size_t j = 0; j < stride; j += VECTOR__PIECE_BYTES) {
        int8_t *out = numbers + 2 * j;
        for (size_t i = 0; i < VECTOR__PIECE_BYTES; i++) {
            const int first = 16 * (high[j + i] & 15) + (low[j + i] & 15) - 136;
            const int second = 16 * (high[j + i] >> 4) + (low[j + i] >> 4) - 136;
            out[i] = (int8_t)first;
            out[VECTOR__PIECE_BYTES + i] = (int8_t)second;
            sum += first + second;
        }
    }
    return (struct vector__point){ numbers, 8 * sum, block->scales[slot % VECTOR__BLOCK_ROWS] };
}

/* One in VECTOR__GRAPH_LINKS of a level is in the next too. */
static size_t draw_top(struct vector__graph *graph)
{
    graph->random = graph->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t bits = graph->random >> 24;
    size_t top = 0;
    /* A new level only when the one below has been opened. */
    while (top < graph->level_count + 1 && top < VECTOR__GRAPH_LEVELS &&
           bits % VECTOR__GRAPH_LINKS == 0) {
        bits /= VECTOR__GRAPH_LINKS;
        top++;
    }
    return graph->linked == 0 ? 0 : top;
}

static bool has_row(const struct vector__index *index, uint32_t slot)
{
    const struct vector__slot *s = vector__index_slot(index, slot);
    return s->rowid != 0 && !s->pending;
}
