/* SPDX-License-Identifier: MIT
 *
 * A set of texts, each with a number, that is walked byte by byte: the longest one that a text
 * begins with is found in as many steps as it has bytes.
 *
 * Threads: one while it is filled, then any.
 */
#ifndef CORTEX_EMBED_TRIE_H
#define CORTEX_EMBED_TRIE_H

#include "cortex/base.h"

#define EMBED__TRIE_ROOT 0u
#define EMBED__TRIE_NONE (-1)
#define EMBED__TRIE_NODES_MAX (UINT32_C(1) << 24)

struct embed__trie_edge {
    uint32_t from; /* node << 8 | byte */
    uint32_t to;   /* 0 = the place is free: nothing leads back to the root */
};
struct embed__trie { /* owner: who declared it; zeroed is empty */
    struct embed__trie_edge *edges;
    size_t mask;
    int32_t *values; /* of each node; EMBED__TRIE_NONE = no text ends here */
    uint32_t count;
    uint32_t room;
};

/* The later value of equal texts stays. False: there are too many. */
bool embed__trie_put(struct embed__trie *trie, struct cx_str text, int32_t value);
void embed__trie_free(struct embed__trie *trie);
size_t embed__trie_bytes(const struct embed__trie *trie);

static inline uint32_t embed__trie_hash(uint32_t from)
{
    const uint32_t mixed = from * UINT32_C(0x9E3779B1);
    return mixed ^ mixed >> 15;
}

/* The node behind a byte, EMBED__TRIE_ROOT where no text goes on so. Not of an empty trie. */
static inline uint32_t embed__trie_step(const struct embed__trie *trie, uint32_t node, char byte)
{
    const uint32_t from = node << 8 | (unsigned char)byte;
    size_t at = embed__trie_hash(from) & trie->mask;
    while (trie->edges[at].to != 0 && trie->edges[at].from != from) {
        at = (at + 1) & trie->mask;
    }
    return trie->edges[at].to;
}

/* The longest text that follows `node` and that s begins with: its value and length, or
 * EMBED__TRIE_NONE. Nothing of length 0. */
int32_t embed__trie_longest(const struct embed__trie *trie, uint32_t node, struct cx_str s,
                            size_t *len);
/* The value of exactly this text. */
int32_t embed__trie_find(const struct embed__trie *trie, struct cx_str text);

#endif
