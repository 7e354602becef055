/* SPDX-License-Identifier: MIT
 *
 * Walking the graph (graph_walk.h).
 */
#include "graph_walk.h"

#include <stdlib.h>
#include <string.h>

#define SEEN_LEAST 2048
#define LEAST_ROOM 8
#define SOON 3 /* so many places from being looked at, a node's links are asked for at once */

static void prefetch_links(const struct vector__graph *graph, size_t level, uint32_t node);
static void enter(struct vector__walk *walk, size_t level, uint32_t node);
static size_t see(struct vector__walk *walk, float closeness, uint32_t node);
static bool is_new(struct vector__walk *walk, uint32_t node);
static void grow_seen(struct vector__walk *walk);

bool vector__walk_init(struct vector__walk *walk, const struct vector__graph *graph,
                       const struct vector__index *index, size_t breadth)
{
    size_t cap = SEEN_LEAST;
    while (cap < breadth * 32) {
        cap *= 2;
    }
    const size_t room = breadth > LEAST_ROOM ? breadth : LEAST_ROOM;
    *walk = (struct vector__walk){ .graph = graph, .index = index, .breadth = breadth };
    walk->view = malloc((room + 1) * sizeof *walk->view);
    walk->seen = malloc(cap * sizeof *walk->seen);
    walk->seen_cap = cap;
    return walk->view != NULL && walk->seen != NULL;
}

void vector__walk_free(struct vector__walk *walk)
{
    free(walk->view);
    free(walk->seen);
}

bool vector__walk_descend(struct vector__walk *walk, size_t to_level)
{
    const struct vector__graph *graph = walk->graph;
    walk->count = 0;
    if (graph->level_count == 0) {
        if (graph->entry == VECTOR__GRAPH_NONE) {
            return false;
        }
        enter(walk, 0, graph->entry);
        return true;
    }
    enter(walk, graph->level_count, 0);
    for (size_t level = graph->level_count; level > to_level; level--) {
        vector__walk_level(walk, level, 1);
        const uint32_t node = walk->view[0].node;
        walk->count = 0;
        enter(walk, level - 1,
              level == 1 ? graph->levels[0].slots[node] : graph->levels[level - 1].below[node]);
    }
    return true;
}

/* Of the nodes in view the nearest whose neighbours were not looked at comes next. */
void vector__walk_level(struct vector__walk *walk, size_t level, size_t breadth)
{
    walk->breadth = breadth;
    walk->count = walk->count < breadth ? walk->count : breadth;
    walk->seen_count = 0;
    memset(walk->seen, 0xFF, walk->seen_cap * sizeof *walk->seen);
    for (size_t i = 0; i < walk->count; i++) {
        walk->view[i].expanded = false;
        (void)is_new(walk, walk->view[i].node);
    }
    size_t at = 0;
    while (at < walk->count) {
        if (walk->view[at].expanded) {
            at++;
            continue;
        }
        walk->view[at].expanded = true;
        const uint32_t node = walk->view[at].node;
        const uint32_t *links = vector__graph_links(walk->graph, level, node);
        const size_t degree = vector__graph_degree(level);
        uint32_t nodes[VECTOR__GRAPH_BASE];
        size_t count = 0;
        for (size_t i = 0; i < degree && links[i] != VECTOR__GRAPH_NONE; i++) {
            if (is_new(walk, links[i])) {
                nodes[count++] = links[i];
            }
        }
        float closeness[VECTOR__GRAPH_BASE];
        vector__walk_measure(walk, level, nodes, count, closeness);
        for (size_t i = 0; i < count; i++) {
            const size_t place = see(walk, closeness[i], nodes[i]);
            if (place <= at + SOON) {
                prefetch_links(walk->graph, level, nodes[i]);
            }
            at = place < at ? place : at;
        }
    }
}

static void prefetch_links(const struct vector__graph *graph, size_t level, uint32_t node)
{
    const uint32_t *links = vector__graph_links(graph, level, node);
    const size_t line = VECTOR__PIECE_BYTES / sizeof *links;
    for (size_t i = 0; i < vector__graph_degree(level); i += line) {
        __builtin_prefetch(links + i);
    }
}

void vector__walk_measure(const struct vector__walk *walk, size_t level, const uint32_t *nodes,
                          size_t count, float *out)
{
    const struct vector__index *index = walk->index;
    const uint8_t *rows[VECTOR__GRAPH_BASE] = { NULL };
    const float *scales[VECTOR__GRAPH_BASE];
    int32_t products[VECTOR__GRAPH_BASE];
    const size_t stride = index->coarse_stride;
    for (size_t i = 0; i < count; i++) {
        const uint32_t slot = vector__graph_slot(walk->graph, level, nodes[i]);
        const struct vector__block *block = index->blocks[slot / VECTOR__BLOCK_ROWS];
        rows[i] = block->coarse + slot % VECTOR__BLOCK_ROWS * stride;
        scales[i] = &block->scales[slot % VECTOR__BLOCK_ROWS];
        __builtin_prefetch(scales[i]);
        for (size_t j = 0; j < stride; j += VECTOR__PIECE_BYTES) {
            __builtin_prefetch(rows[i] + j);
        }
    }
    walk->graph->kernel.near(walk->point.numbers, rows, count, stride, products);
    for (size_t i = 0; i < count; i++) {
        out[i] = walk->point.scale * *scales[i] * 16.0F * (float)(products[i] - walk->point.offset);
    }
}

static void enter(struct vector__walk *walk, size_t level, uint32_t node)
{
    float closeness;
    vector__walk_measure(walk, level, &node, 1, &closeness);
    walk->view[walk->count++] = (struct vector__sight){ .closeness = closeness, .node = node };
}

/* Returns its place in view, or SIZE_MAX. */
static size_t see(struct vector__walk *walk, float closeness, uint32_t node)
{
    if (walk->count == walk->breadth && !(closeness > walk->view[walk->count - 1].closeness)) {
        return SIZE_MAX;
    }
    size_t low = 0;
    size_t high = walk->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (walk->view[middle].closeness < closeness) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    walk->count += walk->count < walk->breadth ? 1 : 0;
    memmove(walk->view + low + 1, walk->view + low, (walk->count - 1 - low) * sizeof *walk->view);
    walk->view[low] = (struct vector__sight){ .closeness = closeness, .node = node };
    return low;
}

static bool is_new(struct vector__walk *walk, uint32_t node)
{
    if (walk->seen_count * 2 >= walk->seen_cap) {
        grow_seen(walk);
    }
    const size_t mask = walk->seen_cap - 1;
    size_t at = (size_t)(node * UINT32_C(2654435769)) >> 7 & mask;
    while (walk->seen[at] != VECTOR__GRAPH_NONE) {
        if (walk->seen[at] == node) {
            return false;
        }
        at = (at + 1) & mask;
    }
    walk->seen[at] = node;
    walk->seen_count++;
    return true;
}

static void grow_seen(struct vector__walk *walk)
{
    uint32_t *old = walk->seen;
    const size_t old_cap = walk->seen_cap;
    walk->seen_cap *= 2;
    walk->seen = cx_realloc_array(NULL, walk->seen_cap, sizeof *walk->seen);
    memset(walk->seen, 0xFF, walk->seen_cap * sizeof *walk->seen);
    walk->seen_count = 0;
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i] != VECTOR__GRAPH_NONE) {
            (void)is_new(walk, old[i]);
        }
    }
    free(old);
}
