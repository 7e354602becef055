/* SPDX-License-Identifier: MIT
 *
 * Saving a graph (graph_file.h). graph_load.c reads it.
 */
#include "graph_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frames.h"
#include "graph_file_internal.h"

/* What is written: numbers of nodes and places, VECTOR__GRAPH_NONE where one is left out. */
struct saving {
    struct vector__index *index;
    struct vector__graph *graph;
    struct vector__frames frames;
    uint32_t *nodes; /* slot → node */
    uint32_t *slots; /* node → slot */
    size_t slot_count;
    size_t node_count;
    size_t level_count;
    unsigned dimension;
    uint32_t *places[VECTOR__GRAPH_LEVELS]; /* place in a level → the one that it is to have */
    uint32_t place_counts[VECTOR__GRAPH_LEVELS];
};

static bool write_graph(struct saving *s);
static bool lock(struct saving *s);
static void unlock(struct saving *s);
static bool number_nodes(struct saving *s);
static bool write_header(struct saving *s);
static bool write_nodes(struct saving *s);
static bool write_links(struct saving *s);
static bool write_level(struct saving *s, size_t level);
static void put_links(struct saving *s, const uint32_t *links, size_t degree,
                      const uint32_t *numbers, size_t number_count);

uint64_t vector__graph_row_hash(const struct vector__index *index, size_t slot)
{
    const struct vector__coarse_rows rows = vector__index_coarse(index, slot / VECTOR__BLOCK_ROWS);
    const size_t at = slot % VECTOR__BLOCK_ROWS;
    uint32_t scale;
    memcpy(&scale, &rows.scales[at], sizeof scale);
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15) ^ scale;
    for (int plane = 0; plane < 2; plane++) {
        const uint8_t *bytes = (plane == 0 ? rows.high : rows.low) + at * rows.stride;
        for (size_t i = 0; i < rows.stride; i += sizeof(uint64_t)) {
            uint64_t word;
            memcpy(&word, bytes + i, sizeof word);
            hash = (hash ^ word) * UINT64_C(0xbf58476d1ce4e5b9);
            hash ^= hash >> 29;
        }
    }
    return hash;
}

bool vector__graph_save(struct vector__index *index, struct vector__graph *graph, const char *path)
{
    const size_t size = strlen(path) + sizeof ".new";
    char *temporary = cx_alloc(size);
    (void)snprintf(temporary, size, "%s.new", path);
    struct saving s = { .index = index, .graph = graph };
    bool saved = vector__frames_create(&s.frames, temporary);
    if (saved) {
        errno = 0;
        saved = write_graph(&s) && fsync(s.frames.fd) == 0;
        vector__frames_close(&s.frames);
        saved = saved && rename(temporary, path) == 0;
    }
    if (!saved) {
        if (errno != 0) {
            CX_LOG(CX_LOG_WARN,
                   "the graph of a collection cannot be saved: the next start makes it anew",
                   CX_S("error", strerror(errno)));
        }
        (void)unlink(temporary);
        (void)unlink(path);
    }
    free(s.nodes);
    free(s.slots);
    for (size_t i = 0; i < VECTOR__GRAPH_LEVELS; i++) {
        free(s.places[i]);
    }
    free(temporary);
    return saved;
}

static bool write_graph(struct saving *s)
{
    bool written = number_nodes(s) && write_header(s) && write_nodes(s) && write_links(s);
    /* The graph may be gone by now: what is asked of it is asked under the lock. */
    for (size_t level = 1; written && level <= s->level_count; level++) {
        written = write_level(s, level);
    }
    return written;
}

/* False where the graph is there no more. */
static bool lock(struct saving *s)
{
    CX_CHECK(pthread_rwlock_rdlock(&s->index->lock) == 0);
    if (s->index->graph != s->graph) {
        CX_CHECK(pthread_rwlock_unlock(&s->index->lock) == 0);
        return false;
    }
    return true;
}

static void unlock(struct saving *s)
{
    CX_CHECK(pthread_rwlock_unlock(&s->index->lock) == 0);
}

static bool number_nodes(struct saving *s)
{
    if (!lock(s)) {
        return false;
    }
    const struct vector__graph *graph = s->graph;
    s->slot_count = graph->block_count * VECTOR__BLOCK_ROWS;
    s->nodes = cx_realloc_array(NULL, s->slot_count + 1, sizeof *s->nodes);
    s->slots = cx_realloc_array(NULL, s->slot_count + 1, sizeof *s->slots);
    for (size_t slot = 0; slot < s->slot_count; slot++) {
        const bool linked = vector__graph_is_linked(graph, slot);
        s->nodes[slot] = linked ? (uint32_t)s->node_count : VECTOR__GRAPH_NONE;
        s->slots[s->node_count] = (uint32_t)slot;
        s->node_count += linked ? 1 : 0;
    }
    s->level_count = graph->level_count;
    s->dimension = s->index->dimension;
    for (size_t i = 0; i < s->level_count; i++) {
        const struct vector__graph_level *level = &graph->levels[i];
        s->places[i] = cx_realloc_array(NULL, level->count + 1, sizeof **s->places);
        for (size_t place = 0; place < level->count; place++) {
            const bool there = s->nodes[level->slots[place]] != VECTOR__GRAPH_NONE;
            s->places[i][place] = there ? s->place_counts[i]++ : VECTOR__GRAPH_NONE;
        }
    }
    unlock(s);
    return true;
}

static bool write_header(struct saving *s)
{
    struct vector__graph_header header = { .magic = VECTOR__GRAPH_MAGIC,
                                           .dimension = s->dimension,
                                           .base = VECTOR__GRAPH_BASE,
                                           .links = VECTOR__GRAPH_LINKS,
                                           .node_count = s->node_count };
    memcpy(header.place_counts, s->place_counts, sizeof header.place_counts);
    vector__frames_put(&s->frames, &header, sizeof header);
    return vector__frames_write(&s->frames);
}

static bool write_nodes(struct saving *s)
{
    for (size_t first = 0; first < s->node_count; first += VECTOR__NODES_PER_FRAME) {
        if (!lock(s)) {
            return false;
        }
        const size_t end = vector__frame_end(first, VECTOR__NODES_PER_FRAME, s->node_count);
        for (size_t node = first; node < end; node++) {
            const struct vector__graph_node n = {
                .rowid = vector__index_slot(s->index, s->slots[node])->rowid,
                .hash = vector__graph_row_hash(s->index, s->slots[node]),
            };
            vector__frames_put(&s->frames, &n, sizeof n);
        }
        unlock(s);
        if (!vector__frames_write(&s->frames)) {
            return false;
        }
    }
    return true;
}

static bool write_links(struct saving *s)
{
    for (size_t first = 0; first < s->node_count; first += VECTOR__NODES_PER_FRAME) {
        if (!lock(s)) {
            return false;
        }
        const size_t end = vector__frame_end(first, VECTOR__NODES_PER_FRAME, s->node_count);
        for (size_t node = first; node < end; node++) {
            const uint32_t slot = s->slots[node];
            put_links(s,
                      s->graph->blocks[slot / VECTOR__BLOCK_ROWS]->links[slot % VECTOR__BLOCK_ROWS],
                      VECTOR__GRAPH_BASE, s->nodes, s->slot_count);
        }
        unlock(s);
        if (!vector__frames_write(&s->frames)) {
            return false;
        }
    }
    return true;
}

static bool write_level(struct saving *s, size_t level)
{
    const size_t i = level - 1;
    size_t in_frame = 0;
    if (!lock(s)) {
        return false;
    }
    const struct vector__graph_level *l = &s->graph->levels[i];
    const size_t count = l->count;
    bool written = true;
    for (size_t place = 0; place < count && written; place++) {
        if (s->places[i][place] == VECTOR__GRAPH_NONE) {
            continue;
        }
        const uint32_t node = s->nodes[l->slots[place]];
        const uint32_t below = level == 1 ? node : s->places[i - 1][l->below[place]];
        vector__frames_put(&s->frames, &below, sizeof below);
        vector__frames_put(&s->frames, &node, sizeof node);
        put_links(s, l->links + place * VECTOR__GRAPH_LINKS, VECTOR__GRAPH_LINKS, s->places[i],
                  count);
        if (++in_frame == VECTOR__PLACES_PER_FRAME) {
            in_frame = 0;
            unlock(s);
            written = vector__frames_write(&s->frames);
            if (!lock(s)) {
                return false;
            }
        }
    }
    unlock(s);
    return written && (in_frame == 0 || vector__frames_write(&s->frames));
}

/* Those that are written, and nothing after them. */
static void put_links(struct saving *s, const uint32_t *links, size_t degree,
                      const uint32_t *numbers, size_t number_count)
{
    uint32_t out[VECTOR__GRAPH_BASE];
    size_t count = 0;
    for (size_t i = 0; i < degree && links[i] != VECTOR__GRAPH_NONE; i++) {
        if (links[i] < number_count && numbers[links[i]] != VECTOR__GRAPH_NONE) {
            out[count++] = numbers[links[i]];
        }
    }
    while (count < degree) {
        out[count++] = VECTOR__GRAPH_NONE;
    }
    vector__frames_put(&s->frames, out, degree * sizeof *out);
}
