/* SPDX-License-Identifier: MIT
 *
 * What the files of vector share: the store and its collections, their figures, the checks of a vector.
 */
#ifndef CORTEX_VECTOR_INTERNAL_H
#define CORTEX_VECTOR_INTERNAL_H

#include <stdatomic.h>

#include "cortex/vector.h"
#include "fulltext.h"
#include "index.h"
#include "kernel.h"

struct cx_series;

#define VECTOR__DIMENSION_MAX 65536
#define VECTOR__DEFAULT "default"
#define VECTOR__CLIENT "client" /* provider and model of vectors that clients bring */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "vectors are stored as they lie in memory");

struct cx_vector_store {
    char *provider;
    char *model;
    char *fingerprint;
    unsigned dimension; /* of the configured model; 0 = learned from its first vector */
    const char *path;   /* of the database */
    size_t collections_max;
    size_t graph_above; /* a collection of more vectors has a graph */
    size_t graph_breadth;
    cx_gone_fn on_gone;
    struct vector__memory memory;
    pthread_mutex_t mutex;    /* guards the table, and who holds what; for moments only */
    struct cx_vector **items; /* by name, but for those that are deleted */
    size_t count;             /* those that no document has come into included */
    struct cx_vector **gone;  /* deleted, but somebody holds them */
    size_t gone_count;
    atomic_size_t collections;
    atomic_size_t documents;
    atomic_size_t pending;
    atomic_size_t unready;
    int64_t *dropped; /* the write lane's: deleted collections whose rows are still there */
    size_t dropped_count;
    struct cx_series *collections_gauge;
    struct cx_series *documents_gauge;
    struct cx_series *pending_gauge;
    struct cx_series *index_bytes_gauge;
    struct cx_series *dropped_gauge;
    struct cx_series *unready_gauge;
    struct cx_series *stale_gauge;
    struct cx_series *waiting_gauge; /* of all graphs */
};

/* Searches that wait for a worker (share.h). */
struct vector__share {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    struct cx_vector_ask *first; /* in the order in which they came */
    struct cx_vector_ask *last;
    size_t count;
    struct cx_series *shared;
};

/* Where a collection is in its life. */
enum vector__life {
    VECTOR__NEW,    /* no document has come yet: in the table, but not in the database */
    VECTOR__STORED, /* in both */
    VECTOR__GONE,   /* deleted: in neither, but somebody holds it */
};

struct cx_vector {
    struct cx_vector_store *store;
    int64_t id; /* of its row in collections; 0 = none */
    char *name;
    enum vector__life life; /* changed under the store's mutex */
    unsigned holders;       /* under the same */
    const char *provider;   /* the store's */
    const char *model;
    const char *fingerprint;
    unsigned dimension;         /* of the configured model; 0 = learned from its first vector */
    enum cx_vector_owner owner; /* changed with the index, under its lock */
    atomic_uint status; /* enum cx_vector_status; the write lane's to change, as side and stale */
    atomic_uint side;   /* the table of the vectors that the index holds (rows.h) */
    atomic_bool stale;  /* in the other one are some that are to go */
    char *stale_at;     /* the doc_id up to which they have gone; NULL = none yet */
    char *old_provider; /* of the other model, as long as there is one */
    char *old_model;
    unsigned old_dimension;
    struct vector__kernel kernel;
    struct vector__index index;
    struct vector__share share;
    struct vector__fulltext fulltext;
    atomic_size_t figure_documents;
    atomic_size_t figure_pending;
    atomic_size_t figure_bytes;
    atomic_uint_least64_t figure_claim; /* owner << 32 | dimension: always of one time */
    struct cx_series *scan_seconds;
};

/* ---- collections.c ---- */

/* Without documents, in no table. */
struct cx_vector *vector__new(struct cx_vector_store *store, struct cx_str name);
/* The writing of the first documents, as a part of the caller's transaction: its row, its keyword
 * index; and afterwards, if all went well. */
enum cx_status vector__store_begin(struct cx_vector *v, struct cx_db *db,
                                   struct cx_err *err) CX_MUST_CHECK;
void vector__store_done(struct cx_vector *v);
void vector__store_undo(struct cx_vector *v);
bool vector__is_stored(struct cx_vector *v);
/* A deleted collection is about to be freed. */
void vector__store_forget(struct cx_vector *v);
/* What the indexes of all collections together leave this one. */
size_t vector__bytes_max(const struct cx_vector *v);

/* The number of collections, and of those that are not ready, has changed. */
void vector__note_collections(struct cx_vector_store *store);

/* ---- reembed.c ---- */

static inline enum cx_vector_status vector__status(const struct cx_vector *v)
{
    return (enum cx_vector_status)atomic_load_explicit(&v->status, memory_order_acquire);
}
/* Whether documents may get vectors; CX_CONFLICT, both models named. Any thread. */
enum cx_status vector__check_model(const struct cx_vector *v, struct cx_err *err) CX_MUST_CHECK;
/* Says why, where the status is not CX_VECTOR_READY. */
enum cx_status vector__refuse_model(const struct cx_vector *v, struct cx_err *err);
void vector__set_status(struct cx_vector *v, enum cx_vector_status status);
/* Nothing is stale any more. */
void vector__reembed_prepared(struct cx_vector *v);

/* ---- graph_tend.c ---- */

/* At the end, where the file does not know all of it. */
void vector__save_graph(struct cx_vector *v);
/* Of a collection that is deleted: its file. A worker. */
void vector__forget_graph(struct cx_vector *v);

/* ---- sweep.c ---- */

/* A collection's rows are to be removed. */
void vector__note_dropped(struct cx_vector_store *store, int64_t id);

/* ---- vector.c ---- */

/* A collection that is in the database, with its documents. */
enum cx_status vector__load(struct cx_vector *v, struct cx_db *db,
                            struct cx_err *err) CX_MUST_CHECK;
/* From now on nothing of it counts. */
void vector__forget_figures(struct cx_vector *v);
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
