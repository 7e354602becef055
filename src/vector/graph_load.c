/* SPDX-License-Identifier: MIT
 *
 * Loading a graph (graph_file.h). Every number is checked, whatever its checksum says. Searches do not use
 * the graph before all of it is there, since all but a few slots still wait.
 */
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "graph_file.h"
#include "graph_file_internal.h"

struct loading {
    struct vector__index *index;
    struct vector__graph *graph;
    struct vector__frames frames;
    struct vector__graph_header header;
    uint32_t *slots; /* node → slot; VECTOR__GRAPH_NONE = it has another row by now, or none */
    uint32_t *places[VECTOR__GRAPH_LEVELS]; /* of the file → of the graph */
    uint32_t *nodes[VECTOR__GRAPH_LEVELS];  /* of the file's places */
};

static bool read_graph(struct loading *l);
static bool lock(struct loading *l);
static void unlock(struct loading *l);
static bool read_header(struct loading *l);
static bool read_nodes(struct loading *l);
static bool read_links(struct loading *l);
static bool read_level(struct loading *l, size_t level);
static bool read_place(struct loading *l, size_t level, size_t place, const uint32_t *record);
static bool take_links(const uint32_t *links, size_t degree, const uint32_t *numbers, size_t count,
                       uint32_t *out);
static void link_levels(struct loading *l);
static bool finish(struct loading *l);

bool vector__graph_load(struct vector__index *index, struct vector__graph *graph, const char *path)
{
    struct loading l = { .index = index, .graph = graph };
    if (!vector__frames_open(&l.frames, path)) {
        return false;
    }
    const bool loaded = read_graph(&l) && vector__frames_at_end(&l.frames) && finish(&l);
    vector__frames_close(&l.frames);
    if (!loaded && lock(&l)) {
        CX_CHECK(pthread_rwlock_wrlock(&graph->lock) == 0);
        vector__graph_forget_links(graph);
        CX_CHECK(pthread_rwlock_unlock(&graph->lock) == 0);
        unlock(&l);
    }
    free(l.slots);
    for (size_t i = 0; i < VECTOR__GRAPH_LEVELS; i++) {
        free(l.places[i]);
        free(l.nodes[i]);
    }
    return loaded;
}

static bool read_graph(struct loading *l)
{
    bool good = read_header(l) && read_nodes(l) && read_links(l);
    for (size_t level = 1; good && level <= VECTOR__GRAPH_LEVELS; level++) {
        good = read_level(l, level);
    }
    return good;
}

static bool lock(struct loading *l)
{
    CX_CHECK(pthread_rwlock_rdlock(&l->index->lock) == 0);
    if (l->index->graph != l->graph) {
        CX_CHECK(pthread_rwlock_unlock(&l->index->lock) == 0);
        return false;
    }
    return true;
}

static void unlock(struct loading *l)
{
    CX_CHECK(pthread_rwlock_unlock(&l->index->lock) == 0);
}

static bool read_header(struct loading *l)
{
    struct vector__graph_header *h = &l->header;
    if (!vector__frames_read(&l->frames, sizeof *h) || !lock(l)) {
        return false;
    }
    const unsigned dimension = l->index->dimension;
    unlock(l);
    memcpy(h, l->frames.payload, sizeof *h);
    bool good = h->magic == VECTOR__GRAPH_MAGIC && h->base == VECTOR__GRAPH_BASE &&
                h->links == VECTOR__GRAPH_LINKS && h->dimension == dimension && h->node_count > 0 &&
                h->node_count < UINT32_MAX;
    for (size_t i = 0; i < VECTOR__GRAPH_LEVELS; i++) {
        good = good && h->place_counts[i] <= (i == 0 ? h->node_count : h->place_counts[i - 1]);
    }
    return good;
}

static bool read_nodes(struct loading *l)
{
    l->slots = calloc(l->header.node_count, sizeof *l->slots);
    for (size_t first = 0; l->slots != NULL && first < l->header.node_count;
         first += VECTOR__NODES_PER_FRAME) {
        const size_t end = vector__frame_end(first, VECTOR__NODES_PER_FRAME, l->header.node_count);
        if (!vector__frames_read(&l->frames, (end - first) * sizeof(struct vector__graph_node)) ||
            !lock(l)) {
            return false;
        }
        for (size_t node = first; node < end; node++) {
            struct vector__graph_node n;
            memcpy(&n, l->frames.payload + (node - first) * sizeof n, sizeof n);
            const size_t slot =
                n.rowid != 0 ? vector__index_find(l->index, n.rowid) : VECTOR__NO_SLOT;
            const bool same = slot != VECTOR__NO_SLOT &&
                              slot / VECTOR__BLOCK_ROWS < l->graph->block_count &&
                              !vector__index_slot(l->index, slot)->pending &&
                              vector__graph_row_hash(l->index, slot) == n.hash &&
                              vector__graph_set_linked(l->graph, slot);
            l->slots[node] = same ? (uint32_t)slot : VECTOR__GRAPH_NONE;
        }
        unlock(l);
    }
    return l->slots != NULL;
}

static bool read_links(struct loading *l)
{
    for (size_t first = 0; first < l->header.node_count; first += VECTOR__NODES_PER_FRAME) {
        const size_t end = vector__frame_end(first, VECTOR__NODES_PER_FRAME, l->header.node_count);
        const size_t bytes = VECTOR__GRAPH_BASE * sizeof(uint32_t);
        if (!vector__frames_read(&l->frames, (end - first) * bytes) || !lock(l)) {
            return false;
        }
        bool good = true;
        for (size_t node = first; node < end && good; node++) {
            uint32_t links[VECTOR__GRAPH_BASE];
            uint32_t out[VECTOR__GRAPH_BASE];
            memcpy(links, l->frames.payload + (node - first) * bytes, bytes);
            good = take_links(links, VECTOR__GRAPH_BASE, l->slots, l->header.node_count, out);
            const uint32_t slot = l->slots[node];
            if (good && slot != VECTOR__GRAPH_NONE) {
                memcpy(
                    l->graph->blocks[slot / VECTOR__BLOCK_ROWS]->links[slot % VECTOR__BLOCK_ROWS],
                    out, bytes);
            }
        }
        unlock(l);
        if (!good) {
            return false;
        }
    }
    return true;
}

static bool read_level(struct loading *l, size_t level)
{
    const size_t i = level - 1;
    const size_t count = l->header.place_counts[i];
    const size_t record = 2 + VECTOR__GRAPH_LINKS;
    l->places[i] = calloc(count + 1, sizeof **l->places);
    l->nodes[i] = calloc(count + 1, sizeof **l->nodes);
    if (l->places[i] == NULL || l->nodes[i] == NULL) {
        return false;
    }
    for (size_t first = 0; first < count; first += VECTOR__PLACES_PER_FRAME) {
        const size_t end = vector__frame_end(first, VECTOR__PLACES_PER_FRAME, count);
        if (!vector__frames_read(&l->frames, (end - first) * record * sizeof(uint32_t)) ||
            !lock(l)) {
            return false;
        }
        bool good = true;
        for (size_t place = first; place < end && good; place++) {
            uint32_t numbers[2 + VECTOR__GRAPH_LINKS];
            memcpy(numbers, l->frames.payload + (place - first) * sizeof numbers, sizeof numbers);
            good = read_place(l, level, place, numbers);
        }
        unlock(l);
        if (!good) {
            return false;
        }
    }
    if (count > 0 && lock(l)) {
        link_levels(l);
        unlock(l);
    }
    return true;
}

/* record: what it is below, its node, its links as the file numbers them. */
static bool read_place(struct loading *l, size_t level, size_t place, const uint32_t *record)
{
    const size_t i = level - 1;
    const uint32_t below = record[0];
    const uint32_t node = record[1];
    const bool good =
        node < l->header.node_count &&
        (level == 1 ? below == node
                    : below < l->header.place_counts[i - 1] && l->nodes[i - 1][below] == node);
    if (!good) {
        return false;
    }
    l->nodes[i][place] = node;
    l->places[i][place] = VECTOR__GRAPH_NONE;
    const uint32_t slot = l->slots[node];
    if (slot != VECTOR__GRAPH_NONE) {
        struct vector__graph_level *to = &l->graph->levels[i];
        l->places[i][place] = (uint32_t)to->count;
        vector__graph_add_place(l->graph, level, slot, level == 1 ? slot : l->places[i - 1][below]);
        memcpy(to->links + (to->count - 1) * VECTOR__GRAPH_LINKS, record + 2,
               VECTOR__GRAPH_LINKS * sizeof *record);
    }
    for (size_t k = 0; k < VECTOR__GRAPH_LINKS; k++) {
        if (record[2 + k] != VECTOR__GRAPH_NONE && record[2 + k] >= l->header.place_counts[i]) {
            return false;
        }
    }
    return true;
}

/* Of the level that was read last: now that all its places are known. */
static void link_levels(struct loading *l)
{
    size_t i = 0;
    while (i + 1 < VECTOR__GRAPH_LEVELS && l->places[i + 1] != NULL) {
        i++;
    }
    struct vector__graph_level *level = &l->graph->levels[i];
    for (size_t place = 0; place < level->count; place++) {
        uint32_t *links = level->links + place * VECTOR__GRAPH_LINKS;
        uint32_t out[VECTOR__GRAPH_LINKS];
        (void)take_links(links, VECTOR__GRAPH_LINKS, l->places[i], l->header.place_counts[i], out);
        memcpy(links, out, sizeof out);
    }
}

/* False where one is out of range. */
static bool take_links(const uint32_t *links, size_t degree, const uint32_t *numbers, size_t count,
                       uint32_t *out)
{
    size_t taken = 0;
    for (size_t i = 0; i < degree && links[i] != VECTOR__GRAPH_NONE; i++) {
        if (links[i] >= count) {
            return false;
        }
        if (numbers[links[i]] != VECTOR__GRAPH_NONE) {
            out[taken++] = numbers[links[i]];
        }
    }
    for (; taken < degree; taken++) {
        out[taken] = VECTOR__GRAPH_NONE;
    }
    return true;
}

/* Who is linked waits no more. False where that is too few to be worth it. */
static bool finish(struct loading *l)
{
    struct vector__graph *graph = l->graph;
    if (!lock(l)) {
        return false;
    }
    const bool worth = graph->linked * 2 > l->index->live - l->index->pending;
    if (worth) {
        CX_CHECK(pthread_rwlock_wrlock(&graph->lock) == 0);
        vector__graph_stop_waiting(graph);
        CX_CHECK(pthread_rwlock_unlock(&graph->lock) == 0);
    }
    unlock(l);
    return worth;
}
