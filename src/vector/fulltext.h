/* SPDX-License-Identifier: MIT
 *
 * fulltext: the FTS5 table of one collection. Each has its own, so that bm25, which weighs words by how
 * many documents there are and how long they are, is FTS5's own within a collection, and a search
 * reads no other's postings. The first collection's table is named as it was when there was but one.
 *
 * Threads: any, once it is made.
 */
#ifndef CORTEX_VECTOR_FULLTEXT_H
#define CORTEX_VECTOR_FULLTEXT_H

#include "cortex/base.h"
#include "cortex/store.h"

#define VECTOR__SQL_BYTES 256

/* Statements upon the table. They stay where they are while connections may know them. */
struct vector__fulltext {
    char create[VECTOR__SQL_BYTES];
    char drop[VECTOR__SQL_BYTES];
    char add[VECTOR__SQL_BYTES];     /* ?1 rowid, ?2 text */
    char remove[VECTOR__SQL_BYTES];  /* ?1 rowid, of a document that is still there */
    char merge[VECTOR__SQL_BYTES];   /* ?1 pages */
    char parts[VECTOR__SQL_BYTES];   /* ?1 limit: how its parts lie, and how many rows they have */
    char lengths[VECTOR__SQL_BYTES]; /* id, sz of every row */
    char word_rows[VECTOR__SQL_BYTES]; /* for cx_db_word_rows */
    char rank[VECTOR__SQL_BYTES];      /* ?1 expression: rowid, bm25 */
};
void vector__fulltext_init(struct vector__fulltext *fulltext, int64_t collection);

#endif
