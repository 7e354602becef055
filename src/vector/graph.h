/* SPDX-License-Identifier: MIT
 *
 * graph: a navigable graph over the rows of an index (Malkov and Yashunin, Efficient and robust
 * approximate nearest neighbor search using hierarchical navigable small world graphs), so that a search
 * in many rows looks at a few hundred of them. Its nodes are the index's slots and its distances
 * those of the coarse rows (coarse.h), which it reads where the index has them: what it keeps itself is
 * links. Level 0 holds every node; above it, each level holds some of the level below, as a way in.
 *
 * A slot whose row has come, changed or gone is *waiting* until vector__graph_tend links it anew: a
 * search looks at those that wait one by one. A link to a slot that holds another row by now is merely
 * a link that helps less, as distances are always those of the rows that are there.
 *
 * Threads: searches hold the index's lock and the graph's for reading. What waits is noted by who holds
 * the index's lock for writing. One thread at a time tends it, holding the index's lock for reading,
 * and takes the graph's for writing in moments.
 */
#ifndef CORTEX_VECTOR_GRAPH_H
#define CORTEX_VECTOR_GRAPH_H

#include <pthread.h>
#include <stdatomic.h>

#include "index.h"
#include "kernel.h"

#define VECTOR__GRAPH_LINKS 16                       /* of a node in the levels above 0 */
#define VECTOR__GRAPH_BASE (2 * VECTOR__GRAPH_LINKS) /* in level 0 */
#define VECTOR__GRAPH_LEVELS 8
#define VECTOR__GRAPH_NONE UINT32_MAX

struct cx_series;

/* A level above 0. A node is a place in these arrays. */
struct vector__graph_level {
    uint32_t *slots;
    uint32_t *below; /* its place in the level below; in the lowest, unused: there it is the slot */
    uint32_t *links; /* VECTOR__GRAPH_LINKS each, VECTOR__GRAPH_NONE after the last */
    size_t count;
    size_t cap;
};
/* VECTOR__BLOCK_ROWS slots. */
struct vector__graph_block {
    uint32_t links[VECTOR__BLOCK_ROWS][VECTOR__GRAPH_BASE];
    uint64_t linked[VECTOR__BLOCK_ROWS / 64];  /* with the row that it has now */
    uint64_t waiting[VECTOR__BLOCK_ROWS / 64]; /* is in the list */
};
struct vector__graph {
    pthread_rwlock_t lock;
    struct vector__kernel kernel;
    struct vector__graph_block **blocks; /* as many as the index has, or fewer */
    size_t block_count;
    struct vector__graph_level levels[VECTOR__GRAPH_LEVELS];
    size_t level_count;
    uint32_t entry; /* a slot, while there is no level above 0 */
    size_t linked;
    size_t relinked;   /* slots that were linked before */
    size_t changes;    /* that were noted, ever */
    size_t saved;      /* of these: that the file knows of (graph_file.h) */
    uint32_t *waiting; /* slots */
    size_t waiting_count;
    size_t waiting_cap;
    uint64_t random;
    atomic_size_t bytes;
    struct cx_series *searches; /* how often it was of use */
};

struct vector__near {
    float closeness; /* about the cosine */
    uint32_t slot;
};

void vector__graph_init(struct vector__graph *graph);
void vector__graph_free(struct vector__graph *graph);
/* Every slot of the index waits, at first. */
void vector__graph_note_all(struct vector__graph *graph, const struct vector__index *index);
/* The slot's row has come, changed or gone. */
void vector__graph_note(struct vector__graph *graph, size_t slot);
/* ---- For graph_link.c and graph_load.c, of a graph that no search uses, or with its lock for writing ---- */

/* Adds a node to a level above 0, without links. below: its place in the level below, or its slot. */
void vector__graph_add_place(struct vector__graph *graph, size_t level, uint32_t slot,
                             uint32_t below);
/* False where it is so already, or does not wait. It goes on waiting. */
bool vector__graph_set_linked(struct vector__graph *graph, size_t slot);
/* No slot is linked any more. */
void vector__graph_forget_links(struct vector__graph *graph);
/* What is linked waits no more. */
void vector__graph_stop_waiting(struct vector__graph *graph);
/* Where nothing waits any more, the memory for what did. */
void vector__graph_shrink_waiting(struct vector__graph *graph);

/* Links at most `count` of those that wait. Returns how many it has looked at. */
size_t vector__graph_tend(struct vector__graph *graph, const struct vector__index *index,
                          size_t count);
/* The nearest linked slots, nearest first. breadth: how many are kept in view, and found at most; the
 * more, the fewer are missed. out: room for as many. */
size_t vector__graph_search(const struct vector__graph *graph, const struct vector__index *index,
                            const struct vector__coarse_query *query, size_t breadth,
                            struct vector__near *out);
size_t vector__graph_bytes(const struct vector__graph *graph); /* any thread */
/* Memory for so many slots, in advance. */
void vector__graph_reserve(struct vector__graph *graph, size_t slots);

static inline bool vector__graph_is_linked(const struct vector__graph *graph, size_t slot)
{
    return slot / VECTOR__BLOCK_ROWS < graph->block_count &&
           (graph->blocks[slot / VECTOR__BLOCK_ROWS]->linked[slot % VECTOR__BLOCK_ROWS / 64] >>
                (slot % 64) &
            1) != 0;
}

#endif
