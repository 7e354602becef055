/* SPDX-License-Identifier: MIT
 *
 * filter_sets: a filter asked of all documents at once, before anything is ranked: which slots pass, exactly.
 * Every comparison is a union of facets' slots, and joining is arithmetic on bits; the metadata of a
 * document is not looked at.
 *
 * Threads: a worker that holds the index's lock for reading; the result is good as long.
 */
#ifndef CORTEX_VECTOR_FILTER_SETS_H
#define CORTEX_VECTOR_FILTER_SETS_H

#include "facets.h"
#include "filter.h"

struct vector__allowed {
    bool all;     /* every document passes: bits and slots are NULL */
    size_t count; /* of documents that pass, unless all do */
    size_t word_count;
    const uint64_t *bits;  /* of every slot; 0 where it has no document */
    const uint32_t *slots; /* the same as a list, ascending, where they are few; else NULL */
};

/* filter: NULL passes everything. *out: the caller frees. */
enum cx_status vector__filter_ask(const struct cx_vector_filter *filter,
                                  const struct vector__facets *facets, struct vector__allowed *out,
                                  struct cx_err *err) CX_MUST_CHECK;
void vector__allowed_free(struct vector__allowed *allowed);

static inline bool vector__allows(const struct vector__allowed *allowed, size_t slot)
{
    return allowed->all || (slot / 64 < allowed->word_count && vector__bit(allowed->bits, slot));
}

#endif
