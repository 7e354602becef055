/* SPDX-License-Identifier: MIT
 *
 * The trie (trie.h): its edges stand in one open-addressed table, at most half full.
 */
#include "trie.h"

#include <stdlib.h>

static uint32_t add_node(struct embed__trie *trie);
static uint32_t add_edge(struct embed__trie *trie, uint32_t node, char byte);
static void place(struct embed__trie *trie, struct embed__trie_edge edge);
static void widen(struct embed__trie *trie);

bool embed__trie_put(struct embed__trie *trie, struct cx_str text, int32_t value)
{
    if (trie->count == 0) {
        (void)add_node(trie);
        widen(trie);
    }
    uint32_t node = EMBED__TRIE_ROOT;
    for (size_t i = 0; i < text.len; i++) {
        uint32_t next = embed__trie_step(trie, node, text.p[i]);
        if (next == 0) {
            if (trie->count == EMBED__TRIE_NODES_MAX) {
                return false;
            }
            next = add_edge(trie, node, text.p[i]);
        }
        node = next;
    }
    trie->values[node] = value;
    return true;
}

void embed__trie_free(struct embed__trie *trie)
{
    free(trie->edges);
    free(trie->values);
    *trie = (struct embed__trie){ 0 };
}

size_t embed__trie_bytes(const struct embed__trie *trie)
{
    return trie->count == 0
               ? 0
               : (trie->mask + 1) * sizeof *trie->edges + trie->room * sizeof *trie->values;
}

int32_t embed__trie_longest(const struct embed__trie *trie, uint32_t node, struct cx_str s,
                            size_t *len)
{
    int32_t found = EMBED__TRIE_NONE;
    for (size_t i = 0; trie->count > 0 && i < s.len; i++) {
        node = embed__trie_step(trie, node, s.p[i]);
        if (node == 0) {
            break;
        }
        if (trie->values[node] != EMBED__TRIE_NONE) {
            found = trie->values[node];
            *len = i + 1;
        }
    }
    return found;
}

int32_t embed__trie_find(const struct embed__trie *trie, struct cx_str text)
{
    if (trie->count == 0) {
        return EMBED__TRIE_NONE;
    }
    uint32_t node = EMBED__TRIE_ROOT;
    for (size_t i = 0; i < text.len; i++) {
        node = embed__trie_step(trie, node, text.p[i]);
        if (node == 0) {
            return EMBED__TRIE_NONE;
        }
    }
    return trie->values[node];
}

static uint32_t add_node(struct embed__trie *trie)
{
    if (trie->count == trie->room) {
        trie->room = trie->room > 0 ? trie->room * 2 : 64;
        trie->values = cx_realloc_array(trie->values, trie->room, sizeof *trie->values);
    }
    trie->values[trie->count] = EMBED__TRIE_NONE;
    return trie->count++;
}

static uint32_t add_edge(struct embed__trie *trie, uint32_t node, char byte)
{
    const struct embed__trie_edge edge = { node << 8 | (unsigned char)byte, add_node(trie) };
    if ((size_t)trie->count * 2 > trie->mask + 1) {
        widen(trie);
    }
    place(trie, edge);
    return edge.to;
}

static void place(struct embed__trie *trie, struct embed__trie_edge edge)
{
    size_t at = embed__trie_hash(edge.from) & trie->mask;
    while (trie->edges[at].to != 0) {
        at = (at + 1) & trie->mask;
    }
    trie->edges[at] = edge;
}

static void widen(struct embed__trie *trie)
{
    struct embed__trie_edge *old = trie->edges;
    const size_t before = old != NULL ? trie->mask + 1 : 0;
    const size_t after = before > 0 ? before * 2 : 256;
    trie->edges = cx_alloc(after * sizeof *trie->edges);
    trie->mask = after - 1;
    for (size_t i = 0; i < before; i++) {
        if (old[i].to != 0) {
            place(trie, old[i]);
        }
    }
    free(old);
}
