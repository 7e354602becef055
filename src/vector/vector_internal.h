/* SPDX-License-Identifier: MIT
 *
 * What the files of vector share: the store, its figures, the checks of a vector.
 */
#ifndef CORTEX_VECTOR_INTERNAL_H
#define CORTEX_VECTOR_INTERNAL_H

#include <stdatomic.h>

#include "cortex/vector.h"
#include "filter.h"
#include "index.h"
#include "kernel.h"

struct cx_series;

#define VECTOR__DIMENSION_MAX 65536
#define VECTOR__COLLECTION 1    /* the row of "default" in collections */
#define VECTOR__CLIENT "client" /* provider and model of vectors that clients bring */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "vectors are stored as they lie in memory");

struct cx_vector {
    char *provider;
    char *model;
    char *fingerprint;
    unsigned dimension; /* of the configured model; 0 = learned from its first vector */
    size_t index_bytes_max;
    enum cx_vector_owner owner; /* changed with the index, under its lock */
    struct vector__facet_key facet_key;
    struct vector__kernel kernel;
    struct vector__index index;
    atomic_size_t figure_documents;
    atomic_size_t figure_pending;
    atomic_size_t figure_bytes;
    atomic_uint_least64_t figure_claim; /* owner << 32 | dimension: always of one time */
    struct cx_series *documents;
    struct cx_series *pending;
    struct cx_series *index_bytes;
    struct cx_series *scan_seconds;
};

/* After a change of the index; the write lane. */
void vector__update_figures(struct cx_vector *v);
/* After a change of its postings; any thread. */
void vector__note_bytes(struct cx_vector *v);
/* How many words each document has, from FTS5. At start, when the documents are there. */
enum cx_status vector__load_lengths(struct cx_vector *v, struct cx_db *db, struct cx_err *err);
/* A text as the keyword index takes it. *out: the caller frees, with what it holds. */
enum cx_status vector__words_of(const struct cx_vector *v, struct cx_db *db, struct cx_str text,
                                struct vector__words **out, struct cx_err *err);
/* The metadata of a document as stored, as an object. */
enum cx_status vector__parse_metadata(struct cx_str text, json_t **out, struct cx_err *err);
/* A string of SQLite as JSON; null where it is NULL. */
json_t *vector__json_text(struct cx_str text);
/* dst: dimension floats; src of any alignment. False where a number is not finite. A vector whose length
 * is neither 0 nor 1 is brought to 1. */
bool vector__copy_unit(float *dst, const void *src, unsigned dimension);

#endif
