/* SPDX-License-Identifier: MIT
 *
 * best: the best candidates so far, by score and, where scores are equal, by doc_id.
 *
 * Threads: one owner.
 */
#ifndef CORTEX_VECTOR_BEST_H
#define CORTEX_VECTOR_BEST_H

#include "rank.h"

/* A heap with the worst of them on top. */
struct vector__best {
    struct vector__candidate *items; /* room for `most`; the caller's */
    size_t count;
    size_t most;
};

/* Whether a candidate of this score could come in. */
static inline bool vector__best_wants(const struct vector__best *best, double score)
{
    return best->count < best->most || (best->most > 0 && score >= best->items[0].score);
}
void vector__best_offer(struct vector__best *best, const struct vector__candidate *candidate);
/* Best first. It is no heap any more. */
void vector__best_sort(struct vector__best *best);

#endif
