/* SPDX-License-Identifier: MIT
 *
 * graph_file: a graph's links in a file beside the database, so that a start need not make them anew. It is
 * a cache: whatever is wrong with it, it is thrown away.
 *
 * The file is a row of frames: u32 the payload's length, the payload, and the SHA-256 of the frame's
 * number (u64), that length and the payload. Frames, in this order: one struct header; the nodes, 1,024 a
 * frame, each its document's rowid (i64) and a hash of its coarse row (u64); their links in level 0,
 * likewise, VECTOR__GRAPH_BASE (u32) each; of each level above, 4,096 of its nodes a frame, each what it is
 * below, its node, and its links (u32). All numbers are the machine's; nodes and links are numbers of
 * nodes, places in levels counted from 0. A node whose document has another row by now, or none, counts as
 * not there.
 *
 * Threads: the one that tends the graph (graph.h), holding no lock.
 */
#ifndef CORTEX_VECTOR_GRAPH_FILE_H
#define CORTEX_VECTOR_GRAPH_FILE_H

#include "graph.h"

/* The lock of the index is taken for a block at a time, and its graph is this one whenever it is. False,
 * and logged where it is a fault of the disk, when there is no such file afterwards. */
bool vector__graph_save(struct vector__index *index, struct vector__graph *graph, const char *path);
/* All that has a row waits in the graph. Those that the file knows do not wait afterwards. False where
 * the file was not there, or not whole: the graph is then as it was. */
bool vector__graph_load(struct vector__index *index, struct vector__graph *graph, const char *path);

#endif
