/* SPDX-License-Identifier: MIT
 *
 * facet_store: fields and facets, each kept once and found by what it is (facets.h).
 *
 * Threads: as the index.
 */
#ifndef CORTEX_VECTOR_FACET_STORE_H
#define CORTEX_VECTOR_FACET_STORE_H

#include "facets.h"

#define VECTOR__FACET_CHUNK 1024 /* facets that are allocated together */

/* Of a string, an array, an object: what is kept of the text, and behind it a digest where there is one. */
struct vector__facet_text {
    uint32_t len;
    char bytes[];
};

void vector__facet_store_free(struct vector__facets *f);
/* Finds it, or makes it, of no slots yet. */
uint32_t vector__field_intern(struct vector__facets *f, uint32_t parent, struct cx_str name);
uint32_t vector__facet_intern(struct vector__facets *f, uint32_t field,
                              const struct vector__value *value);
/* One of no slots any more; its field too, and what that stands in, where nothing is left of it. */
void vector__facet_drop(struct vector__facets *f, uint32_t facet);
/* At most, with its share of tables. */
size_t vector__field_cost(struct cx_str name);
size_t vector__facet_cost(const struct vector__value *value);

static inline struct vector__facet *vector__facet_of(const struct vector__facets *f, uint32_t facet)
{
    return &f->chunks[facet / VECTOR__FACET_CHUNK][facet % VECTOR__FACET_CHUNK];
}

#endif
