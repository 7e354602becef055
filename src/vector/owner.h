/* SPDX-License-Identifier: MIT
 *
 * owner: whose vectors a collection holds. The first document decides: the embedder that is
 * configured, or clients that bring vectors of their own. A collection without documents is nobody's.
 *
 * Threads: the write lane (opening; claiming), but vector__owner_admit, which any thread may call.
 */
#ifndef CORTEX_VECTOR_OWNER_H
#define CORTEX_VECTOR_OWNER_H

#include "vector_internal.h"

struct vector__claim {
    enum cx_vector_owner owner;
    unsigned dimension; /* 0 = not known yet */
};
/* Whose it is as it stands in the database; where it belongs to another model, which one and how far it
 * has been embedded anew stands in v then. */
enum cx_status vector__owner_read(struct cx_vector *v, struct cx_db *db, struct vector__claim *out,
                                  struct cx_err *err);
/* Whether these documents may come into a collection that `stands` so, and whose it is with them.
 * A document whose vector is still to be made has none. */
enum cx_status vector__owner_admit(const struct cx_vector *v, struct vector__claim stands,
                                   const struct cx_document *docs, size_t count,
                                   struct vector__claim *out, struct cx_err *err);
/* How many dimensions the embedder's vectors have is for the embedder to say: CX_CONFLICT where only
 * vectors of clients would tell. */
enum cx_status vector__owner_check_learned(struct vector__claim stands, struct vector__claim claim,
                                           const struct cx_document *docs, size_t count,
                                           struct cx_err *err);
/* Writes it down, as a part of the caller's transaction. */
enum cx_status vector__owner_claim(const struct cx_vector *v, struct cx_db *db,
                                   struct vector__claim claim, struct cx_err *err);

#endif
