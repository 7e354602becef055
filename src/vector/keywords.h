/* SPDX-License-Identifier: MIT
 *
 * keywords: the keyword leg of one search. Its words, the lists of postings that they need, and the
 * score of every document in which one of them stands: FTS5's bm25() of the query that
 * cx_vector_match_query makes of the same text. Where the lists cannot give it, FTS5 itself is
 * asked.
 *
 * Threads: a worker with a reader of its own.
 */
#ifndef CORTEX_VECTOR_KEYWORDS_H
#define CORTEX_VECTOR_KEYWORDS_H

#include "vector_internal.h"

#define VECTOR__QUERY_WORDS_MAX 512 /* the cost of a query grows with its words */

/* The words of a query, borrowed from it, without stop words; returns how many. */
size_t vector__query_words(struct cx_str text, struct cx_str words[VECTOR__QUERY_WORDS_MAX]);

struct vector__keyword {
    struct cx_str word; /* borrowed from the query */
    char *term;
    size_t term_len;
    uint64_t hash;
    size_t first;             /* place of the first keyword of this term */
    struct vector__list *own; /* read from FTS5, where the index has no room for it */
};
/* What FTS5 itself has found. */
struct vector__found {
    int64_t rowid;
    double bm25; /* higher is better */
};
struct vector__keywords {
    struct cx_str query;
    struct vector__keyword *items;
    size_t count;
    uint64_t version; /* of the postings, before the database was looked at */
    uint64_t time;    /* by their clock */
    bool by_fts5;     /* ask FTS5: a word makes two terms, or texts have changed meanwhile */
    struct vector__found *found;
    size_t found_count;
    size_t found_cap;
};
/* Before the transaction begins in which the database is read. */
enum cx_status vector__keywords_init(struct vector__keywords *k, struct cx_vector *v,
                                     struct cx_db *db, struct cx_str query,
                                     struct cx_err *err) CX_MUST_CHECK;
void vector__keywords_free(struct vector__keywords *k); /* after a failed init too */
/* Within it, and without the index's lock: reads the lists that the index lacks, and leaves them there.
 */
enum cx_status vector__keywords_load(struct vector__keywords *k, struct cx_vector *v,
                                     struct cx_db *db, struct cx_err *err) CX_MUST_CHECK;
enum cx_status vector__keywords_ask_fts5(struct vector__keywords *k, const struct cx_vector *v,
                                         struct cx_db *db, struct cx_err *err) CX_MUST_CHECK;

/* All matches. */
struct vector__matches {
    uint32_t *slots;
    size_t count;
    double *scores; /* of every slot: bm25; 0 = no match */
};
/* Under the index's lock. Where lists are missing or too old it sets by_fts5 and finds nothing. */
enum cx_status vector__keywords_score(struct vector__keywords *k, const struct vector__index *index,
                                      struct vector__matches *out,
                                      struct cx_err *err) CX_MUST_CHECK;
void vector__matches_free(struct vector__matches *matches);

#endif
