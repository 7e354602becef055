/* SPDX-License-Identifier: MIT
 *
 * rank: from the two legs of a search to its best candidates, exactly: every document that passes
 * the filter is scored, the best are kept by score and, where scores are equal, by doc_id. Fused by
 * places (rank_rrf.h) only the best of each leg have a score above 0. A pending
 * document, which has no vector yet, is no candidate of a semantic search; in a hybrid one its cosine
 * counts as 0.
 *
 * Threads: a worker; vector__rank takes the index's lock for reading.
 */
#ifndef CORTEX_VECTOR_RANK_H
#define CORTEX_VECTOR_RANK_H

#include "filter_sets.h"
#include "keywords.h"
#include "vector_internal.h"

struct vector__candidate {
    double score;
    double semantic; /* cosine; 0 without a vector leg, or without a vector */
    double keyword;  /* bm25 over its maximum, 0 to 1 */
    bool pending;    /* it has no vector yet */
    int64_t rowid;
    const char *doc_id; /* of the index: only under its lock */
};
struct vector__ranking {
    enum cx_search_mode mode;
    enum cx_search_fusion fusion;
    size_t window; /* places of each leg that count in RRF, at least as many as hits are wanted */
    const float *query;                    /* padded and aligned as rows are, or NULL */
    unsigned dimension;                    /* of the query */
    bool own_vector;                       /* the query's vector is the client's */
    struct vector__keywords *keywords;     /* NULL in semantic mode */
    const struct cx_vector_filter *filter; /* NULL passes all */
    const struct vector__allowed *allowed; /* which documents pass it: vector__rank finds out */
    bool exact;                            /* the graph is not used */
    struct cx_vector_ask *ask;             /* NULL = none; of a semantic search without a filter */
    struct cx_vector *v;                   /* vector__rank sets it */
    bool has_min_score;
    double min_score;
};
struct vector__pass;
/* The pass of a semantic search, and of some of those that wait (rank_shared.c). */
void vector__rank_shared(struct cx_vector *v, const struct vector__pass *own);
/* Writes at most `most` candidates, best first, to out; *count: how many. Where it sets by_fts5 of the
 * keywords, FTS5 is to be asked, and all to be ranked again. */
enum cx_status vector__rank(struct cx_vector *v, const struct vector__ranking *ranking, size_t most,
                            struct vector__candidate *out, size_t *count, struct cx_err *err);

#endif
