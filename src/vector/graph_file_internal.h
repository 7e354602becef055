/* SPDX-License-Identifier: MIT
 *
 * What saving and loading a graph share (graph_file.h).
 */
#ifndef CORTEX_VECTOR_GRAPH_FILE_INTERNAL_H
#define CORTEX_VECTOR_GRAPH_FILE_INTERNAL_H

#include "graph.h"

#define VECTOR__GRAPH_MAGIC UINT64_C(0x3168706172477843) /* "CxGraph1" */
#define VECTOR__NODES_PER_FRAME 1024
#define VECTOR__PLACES_PER_FRAME 4096

struct vector__graph_header {
    uint64_t magic;
    uint32_t dimension;
    uint32_t base;
    uint32_t links;
    uint32_t place_counts[VECTOR__GRAPH_LEVELS];
    uint32_t unused;
    uint64_t node_count;
};
struct vector__graph_node {
    int64_t rowid;
    uint64_t hash;
};

uint64_t vector__graph_row_hash(const struct vector__index *index, size_t slot);

static inline size_t vector__frame_end(size_t first, size_t per_frame, size_t count)
{
    return count - first < per_frame ? count : first + per_frame;
}

#endif
