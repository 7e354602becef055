/* SPDX-License-Identifier: MIT
 *
 * graph_walk: the one way in which the graph is searched, for queries and for linking alike: from a
 * few nodes to those of their neighbours that are nearer, keeping the nearest in view, until nothing
 * in view has neighbours that were not looked at.
 *
 * Threads: as graph.h says of searches.
 */
#ifndef CORTEX_VECTOR_GRAPH_WALK_H
#define CORTEX_VECTOR_GRAPH_WALK_H

#include "graph.h"

/* What is compared with: a coarse query, or a row. */
struct vector__point {
    const int8_t *numbers; /* aligned, padded */
    int32_t offset;        /* what the 8 in every half byte adds */
    float scale;           /* a product's worth, times the row's */
};
struct vector__sight {
    float closeness;
    uint32_t node; /* a slot in level 0, a place in the others */
    bool expanded;
};
struct vector__walk {
    const struct vector__graph *graph;
    const struct vector__index *index;
    struct vector__point point;
    struct vector__sight *view; /* nearest first */
    size_t count;
    size_t breadth;
    uint32_t *seen; /* nodes looked at, open addressing */
    size_t seen_cap;
    size_t seen_count;
};

/* False where memory is out. */
bool vector__walk_init(struct vector__walk *walk, const struct vector__graph *graph,
                       const struct vector__index *index, size_t breadth);
void vector__walk_free(struct vector__walk *walk);
/* From the top to level 1: afterwards the view holds one node of level 0. False where there is none. */
bool vector__walk_descend(struct vector__walk *walk, size_t to_level);
/* In this level, from what is in view. */
void vector__walk_level(struct vector__walk *walk, size_t level, size_t breadth);
/* How near these nodes of a level are to the point. */
void vector__walk_measure(const struct vector__walk *walk, size_t level, const uint32_t *nodes,
                          size_t count, float *out);

static inline uint32_t vector__graph_slot(const struct vector__graph *graph, size_t level,
                                          uint32_t node)
{
    return level == 0 ? node : graph->levels[level - 1].slots[node];
}
static inline uint32_t *vector__graph_links(const struct vector__graph *graph, size_t level,
                                            uint32_t node)
{
    return level == 0 ? graph->blocks[node / VECTOR__BLOCK_ROWS]->links[node % VECTOR__BLOCK_ROWS]
                      : graph->levels[level - 1].links + (size_t)node * VECTOR__GRAPH_LINKS;
}
static inline size_t vector__graph_degree(size_t level)
{
    return level == 0 ? VECTOR__GRAPH_BASE : VECTOR__GRAPH_LINKS;
}

#endif
