/* SPDX-License-Identifier: MIT
 *
 * rank: from the two legs of a search to its best candidates, exactly: every document that passes
 * the filter is scored, the best are kept by score and, where scores are equal, by doc_id. A pending
 * document, which has no vector yet, is no candidate of a semantic search; in a hybrid one its cosine
 * counts as 0.
 *
 * Threads: a worker; vector__rank takes the index's lock for reading.
 */
#ifndef CORTEX_VECTOR_RANK_H
#define CORTEX_VECTOR_RANK_H

#include "vector_internal.h"

/* What the keyword index found: all of its matches. */
struct vector__match {
    int64_t rowid;
    double bm25; /* higher is better */
};
struct vector__matches {
    struct vector__match *items;
    size_t count;
    size_t cap;
};
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
    const float *query; /* padded and aligned as rows are, or NULL */
    unsigned dimension; /* of the query */
    bool own_vector;    /* the query's vector is the client's */
    const struct vector__matches *matches;
    const struct vector__filter *filter;
    bool has_min_score;
    double min_score;
};
/* Writes at most `most` candidates, best first, to out; *count: how many. */
enum cx_status vector__rank(struct cx_vector *v, const struct vector__ranking *ranking, size_t most,
                            struct vector__candidate *out, size_t *count, struct cx_err *err);

#endif
