/* SPDX-License-Identifier: MIT
 *
 * hot_tree: the entries of hot state in the order of namespace and key: a treap, whose shape depends on
 * random priorities alone. C. Aragon, R. Seidel, "Randomized search trees", 1989. Loop thread.
 */
#ifndef CORTEX_STATE_HOT_TREE_H
#define CORTEX_STATE_HOT_TREE_H

#include "cortex/base.h"

struct hot__space {
    size_t count; /* of its entries; with the last one it goes */
    size_t bytes;
    size_t name_len;
    char name[];
};
struct hot__entry {
    struct hot__entry *left;
    struct hot__entry *right;
    uint64_t weight; /* at least that of both children */
    struct hot__space *space;
    struct hot__entry *newer; /* by use */
    struct hot__entry *older;
    size_t heap_at;      /* in the heap of expiries; SIZE_MAX = never expires */
    uint64_t expires_ms; /* monotonic; 0 = never */
    int64_t expires_us;  /* the same by the wall clock, for people */
    uint64_t stamp;
    size_t key_len;
    size_t value_len;
    char bytes[]; /* key, then value */
};

static inline struct cx_str hot__key(const struct hot__entry *e)
{
    return (struct cx_str){ e->bytes, e->key_len };
}
static inline struct cx_str hot__value(const struct hot__entry *e)
{
    return (struct cx_str){ e->bytes + e->key_len, e->value_len };
}
static inline struct cx_str hot__name(const struct hot__space *s)
{
    return (struct cx_str){ s->name, s->name_len };
}

/* The entry is in no tree yet, and no other has its place. */
void hot__tree_insert(struct hot__entry **root, struct hot__entry *entry);
void hot__tree_remove(struct hot__entry **root, struct hot__entry *entry);
/* The first entry that is not before (space, key), or past: behind it. NULL = there is none. */
struct hot__entry *hot__tree_seek(struct hot__entry *root, struct cx_str space, struct cx_str key,
                                  bool past);
/* The first entry of the first namespace behind this one. */
struct hot__entry *hot__tree_next_space(struct hot__entry *root, struct cx_str space);

#endif
