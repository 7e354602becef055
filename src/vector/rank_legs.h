/* SPDX-License-Identifier: MIT
 *
 * rank_legs: what the ways to rank share: each leg by itself, and the two ways to fuse both.
 *
 * Threads: a worker that holds the index's lock for reading.
 */
#ifndef CORTEX_VECTOR_RANK_LEGS_H
#define CORTEX_VECTOR_RANK_LEGS_H

#include "best.h"
#include "scan.h"

/* ---- rank.c ---- */

/* By the cosine alone. */
enum cx_status vector__rank_semantic(const struct vector__scan *scan,
                                     const struct vector__ranking *r, struct vector__best *best,
                                     struct cx_err *err) CX_MUST_CHECK;
/* By bm25 alone. */
void vector__rank_keyword(const struct vector__index *index, const struct vector__ranking *r,
                          const struct vector__matches *matches, struct vector__best *best);
/* Of those that pass the filter. */
double vector__keyword_max(const struct vector__ranking *r, const struct vector__matches *matches);
/* A leg whose maximum is not positive counts nothing. */
double vector__divided(double score, double max);
/* What a score must reach; -INFINITY where there is no such thing. */
double vector__least_score(const struct vector__ranking *r);
/* The document of a slot, if its score reaches that. */
void vector__offer(struct vector__best *best, const struct vector__ranking *r,
                   const struct vector__index *index, size_t slot, double score, double semantic,
                   double keyword);

/* ---- rank_weighted.c ---- */

/* By the weighted sum of both legs, each over its maximum. */
enum cx_status vector__rank_weighted(const struct vector__scan *scan,
                                     const struct vector__ranking *r,
                                     const struct vector__matches *matches,
                                     struct vector__best *best, struct cx_err *err) CX_MUST_CHECK;

/* ---- rank_places.c ---- */

/* By the places in both legs (rank_rrf.h). */
enum cx_status vector__rank_places(const struct vector__scan *scan, const struct vector__ranking *r,
                                   const struct vector__matches *matches, struct vector__best *best,
                                   struct cx_err *err) CX_MUST_CHECK;

#endif
