/* SPDX-License-Identifier: MIT
 *
 * rank_rrf: reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009). A document's score is the sum of
 * 1 / (60 + its place) over the legs in which it is among the best, places counted from 1: what a score is
 * worth in one leg against the other does not matter.
 *
 * Threads: a worker that holds the index's lock for reading.
 */
#ifndef CORTEX_VECTOR_RANK_RRF_H
#define CORTEX_VECTOR_RANK_RRF_H

#include "rank.h"

/* The best of one leg, best first. */
struct vector__leg {
    const struct vector__candidate *items;
    size_t count;
};
struct vector__fused {
    struct vector__candidate candidate; /* of the leg by cosine, if it is in both; score: fused */
    bool by_cosine;                     /* in that leg */
    bool by_keyword;
};
/* Every document that is in a leg, once. out: room for both legs. Returns how many. */
size_t vector__rrf_fuse(struct vector__leg by_cosine, struct vector__leg by_keyword,
                        struct vector__fused *out);

#endif
