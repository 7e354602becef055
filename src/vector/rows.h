/* SPDX-License-Identifier: MIT
 *
 * rows: one document in the database, in its three places: documents, vectors, keyword index. Every
 * function is a part of the caller's transaction.
 *
 * Threads: the write lane (reading: any worker).
 */
#ifndef CORTEX_VECTOR_ROWS_H
#define CORTEX_VECTOR_ROWS_H

#include "cortex/crypto.h"
#include "vector_internal.h"

/* A statement upon the vectors of one side. */
#define VECTOR__BY_SIDE(v, before, after)                                                          \
    (atomic_load_explicit(&(v)->side, memory_order_relaxed) == 0 ? before "vectors" after          \
                                                                 : before "vectors_beside" after)

/* What stands in the database of one document. */
struct vector__stored {
    bool found;
    bool same_content;
    bool same_fields; /* uri, summary, metadata */
    bool has_vector;  /* else it is pending */
    int64_t id;
};

enum cx_status vector__row_find(const struct cx_vector *v, struct cx_db *db,
                                const struct cx_document *doc, const uint8_t hash[CX_SHA256_BYTES],
                                struct vector__stored *out, struct cx_err *err);
/* *same: whether this vector is the one that is stored, byte for byte. */
enum cx_status vector__row_same_vector(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                       const float *vector, unsigned dimension, bool *same,
                                       struct cx_err *err);
/* Without its vector. */
enum cx_status vector__row_insert(const struct cx_vector *v, struct cx_db *db,
                                  const struct cx_document *doc,
                                  const uint8_t hash[CX_SHA256_BYTES], int64_t now_us, int64_t *id,
                                  struct cx_err *err);
enum cx_status vector__row_update_content(const struct cx_vector *v, struct cx_db *db,
                                          const struct cx_document *doc, int64_t id,
                                          const uint8_t hash[CX_SHA256_BYTES], struct cx_err *err);
/* uri, summary, metadata and the time. */
enum cx_status vector__row_update_fields(struct cx_db *db, const struct cx_document *doc,
                                         int64_t id, int64_t now_us, struct cx_err *err);
enum cx_status vector__row_write_vector(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                        const float *vector, unsigned dimension,
                                        struct cx_err *err);
/* Those of both sides: the content has another now. */
enum cx_status vector__row_drop_vectors(struct cx_db *db, int64_t id,
                                        struct cx_err *err) CX_MUST_CHECK;
enum cx_status vector__row_drop_stale(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                      struct cx_err *err) CX_MUST_CHECK;
/* *waits: whether the document is there, with this content and without a vector. */
enum cx_status vector__row_waits(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                 const uint8_t hash[CX_SHA256_BYTES], bool *waits,
                                 struct cx_err *err) CX_MUST_CHECK;
/* *id: 0 where there is no such document. */
enum cx_status vector__row_delete(const struct cx_vector *v, struct cx_db *db, struct cx_str doc_id,
                                  int64_t *id, struct cx_err *err);

/* A document of a collection whose keyword index this is. */
enum cx_status vector__row_remove(const struct cx_vector_store *store, struct cx_db *db,
                                  const struct vector__fulltext *fulltext, int64_t id,
                                  struct cx_err *err) CX_MUST_CHECK;
/* sweep.c: a digest of how the parts of a keyword index lie, and whether they are few. */
enum cx_status vector__read_parts(struct cx_db *db, const struct vector__fulltext *fulltext,
                                  uint8_t digest[CX_SHA256_BYTES], bool *small,
                                  struct cx_err *err) CX_MUST_CHECK;
/* purge.c: the text of this document is about to go. */
enum cx_status vector__note_gone(const struct cx_vector_store *store, struct cx_db *db, int64_t id,
                                 struct cx_err *err) CX_MUST_CHECK;

#endif
