/* SPDX-License-Identifier: MIT
 *
 * hits: the best documents of a search as bytes of JSON, one after the other, from the rows of the database.
 *
 * Threads: a worker with a reader of its own.
 */
#ifndef CORTEX_VECTOR_HITS_H
#define CORTEX_VECTOR_HITS_H

#include "rank.h"

/* Owner: the search. */
struct vector__hits {
    struct cx_buf *out;
    json_t *ids; /* their doc_ids; NULL = not wanted */
    const struct cx_search *search;
    size_t count;
    size_t bytes; /* of their texts */
};

/* row: doc_id, uri, summary, metadata, and content and vector where they are asked for. Writes nothing where
 * the document does not pass the filter after all. compared: it has a vector, and so has the query.
 * CX_TOO_LARGE where the texts get too large. */
enum cx_status vector__hit_write(struct vector__hits *hits,
                                 const struct vector__candidate *candidate, bool compared,
                                 const struct cx_stmt *row, struct cx_err *err) CX_MUST_CHECK;

#endif
