/* SPDX-License-Identifier: MIT
 *
 * passages: a long text may be stored in pieces, PARENT#0001, PARENT#0002 …, whose metadata name it
 * as `parent`. A row is a passage by both, its id and its metadata, so that it stays one through an
 * export; there is no other record of it.
 *
 * Threads: the write lane; every function is a part of the caller's transaction.
 */
#ifndef CORTEX_VECTOR_PASSAGES_H
#define CORTEX_VECTOR_PASSAGES_H

#include "vector_internal.h"

struct vector__ids { /* rows that were removed; owner: who declared it, zeroed; free(items) */
    int64_t *items;
    size_t count;
};
void vector__ids_add(struct vector__ids *ids, int64_t id);
/* Removes the row of this very id, if there is one. */
enum cx_status vector__whole_remove(const struct cx_vector *v, struct cx_db *db,
                                    struct cx_str doc_id, struct vector__ids *removed,
                                    struct cx_err *err) CX_MUST_CHECK;
/* CX_CONFLICT where doc, of this metadata, would take the place of row id, and one of the two is a passage
 * and the other is not: neither takes the other's place unasked. */
enum cx_status vector__passage_check(struct cx_db *db, const struct cx_document *doc,
                                     const json_t *metadata, int64_t id,
                                     struct cx_err *err) CX_MUST_CHECK;
/* Removes the passages of parent whose number is over `kept`. */
enum cx_status vector__passages_remove(const struct cx_vector *v, struct cx_db *db,
                                       struct cx_str parent, size_t kept,
                                       struct vector__ids *removed,
                                       struct cx_err *err) CX_MUST_CHECK;

#endif
