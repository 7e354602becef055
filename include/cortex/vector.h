/* SPDX-License-Identifier: MIT
 *
 * vector: documents, their keyword index (FTS5) and their vectors; search over both. SQLite holds the
 * truth, the index in memory is a cache of it that is rebuilt at start.
 *
 * Threads: blocking code for lanes. Functions that change take the writer (write lane); searching takes a reader. The index guards
 * itself by a reader-writer lock, held by workers only.
 */
#ifndef CORTEX_VECTOR_H
#define CORTEX_VECTOR_H

#include <jansson.h>

#include "cortex/base.h"
#include "cortex/store.h"

extern const struct cx_migration cx_vector_migrations[];
extern const size_t cx_vector_migration_count;

struct cx_vector; /* the store of one database */

struct cx_vector_options {
    const char *provider; /* of the embedder that is configured */
    const char *model;
    const char *fingerprint;
    unsigned dimension;     /* 0 = learned from the first vector */
    size_t index_bytes_max; /* ceiling of the index: CX_OVERLOADED beyond, nothing stored */
};
/* Reads every vector into memory. CX_CONFLICT where the collection belongs to another model: err names both. */
enum cx_status cx_vector_open(struct cx_db *db, const struct cx_vector_options *options,
                              struct cx_vector **out, struct cx_err *err) CX_MUST_CHECK;
void cx_vector_free(struct cx_vector **v);

/* ---- Documents --------------------------------------------------------------------------------- */
struct cx_document {
    struct cx_str doc_id; /* 1 to 512 bytes; cx_document_make_id where the client gave none */
    struct cx_str content;
    struct cx_str uri;
    struct cx_str summary;  /* p NULL = none */
    struct cx_str metadata; /* JSON object text, compact */
    const float *vector;    /* dimension floats, length 1; NULL only for an unchanged document */
    unsigned dimension;
};
/* Hash of collection, uri and content: the same document sent twice is one. id: 32 hex digits + NUL. */
void cx_document_make_id(struct cx_str collection, struct cx_str uri, struct cx_str content,
                         char id[33]);
/* For each document whether its stored content is the same under the same model, and so needs no embedding. Reader or writer. */
enum cx_status cx_vector_unchanged(struct cx_vector *v, struct cx_db *db,
                                   const struct cx_document *docs, size_t count, bool *unchanged,
                                   struct cx_err *err) CX_MUST_CHECK;
struct cx_vector_put {
    size_t indexed; /* new */
    size_t updated; /* replaced content, or new uri, summary or metadata */
    size_t unchanged;
};
/* One transaction: all or nothing. Then the index has them too. */
enum cx_status cx_vector_put(struct cx_vector *v, struct cx_db *db, const struct cx_document *docs,
                             size_t count, struct cx_vector_put *out,
                             struct cx_err *err) CX_MUST_CHECK;
/* {"doc_id","content","uri","summary","metadata","created_at","updated_at"} */
enum cx_status cx_vector_get(struct cx_vector *v, struct cx_db *db, struct cx_str doc_id,
                             json_t **out, struct cx_err *err) CX_MUST_CHECK;
/* *deleted: how many of the ids were there. */
enum cx_status cx_vector_delete(struct cx_vector *v, struct cx_db *db, const struct cx_str *ids,
                                size_t count, size_t *deleted, struct cx_err *err) CX_MUST_CHECK;
/* {"documents": [{"doc_id","uri","summary","metadata"}], "cursor": string|null}, by doc_id. */
enum cx_status cx_vector_list(struct cx_vector *v, struct cx_db *db, struct cx_str cursor,
                              size_t limit, json_t **out, struct cx_err *err) CX_MUST_CHECK;

/* ---- Search ------------------------------------------------------------------------------------ */
enum cx_search_mode { CX_SEARCH_SEMANTIC, CX_SEARCH_KEYWORD, CX_SEARCH_HYBRID };
enum cx_search_include { CX_INCLUDE_CONTENT = 1, CX_INCLUDE_VECTOR = 2, CX_INCLUDE_SCORES = 4 };
struct cx_search {
    struct cx_str query; /* may be empty where vector is given */
    const float *vector; /* of the query, length 1; NULL in keyword mode */
    unsigned dimension;
    size_t top_k;
    enum cx_search_mode mode;
    bool has_min_score;
    double min_score;
    unsigned include;
    const json_t *filter; /* object of equalities: missing keys, null, arrays, "a.b"; or NULL */
};
/* The candidates and their scores, exact over all documents that pass the filter; then the rows of the best. *hits: array of Hit, best first,
 * ties by doc_id. hybrid = 0.6 · bm25/max + 0.4 · cos/max, a leg whose maximum is not positive counting 0. */
enum cx_status cx_vector_search(struct cx_vector *v, struct cx_db *db,
                                const struct cx_search *search, json_t **hits,
                                struct cx_err *err) CX_MUST_CHECK;

/* Any thread, without a database: for health and metrics. */
struct cx_vector_figures {
    size_t documents;
    size_t index_bytes;
    unsigned dimension;
};
void cx_vector_figures(const struct cx_vector *v, struct cx_vector_figures *out);
/* FTS5 query of a text: its words quoted, joined by OR, without stop words. Empty when no word is left. */
void cx_vector_match_query(struct cx_str text, struct cx_buf *out);

/* The dot-product kernels, for tests and benchmarks; "avx512", "avx2", "plain"; best that runs here. */
const char *cx_vector_kernel_name(void);

#endif
