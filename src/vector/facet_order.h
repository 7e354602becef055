/* SPDX-License-Identifier: MIT
 *
 * facet_order: the facets of a field in the order of their values (vector__value_total), in runs of some
 * hundreds, so that one more is put in its place by moving few, and those above or below a value lie
 * together.
 *
 * Threads: as the index.
 */
#ifndef CORTEX_VECTOR_FACET_ORDER_H
#define CORTEX_VECTOR_FACET_ORDER_H

#include "facets.h"

struct vector__facet_run {
    uint32_t count; /* at least 1 */
    uint32_t room;
    uint32_t ids[];
};

void vector__order_add(struct vector__facets *f, struct vector__field *field, uint32_t facet);
/* One that is in. */
void vector__order_remove(struct vector__facets *f, struct vector__field *field, uint32_t facet);
void vector__order_free(struct vector__facets *f, struct vector__field *field);

/* A place between facets: before the one that is `at` in its run. */
struct vector__order_place {
    uint32_t run;
    uint32_t at;
};
/* The first facet of this group and of what comes after it. */
struct vector__order_place vector__order_group(const struct vector__facets *f,
                                               const struct vector__field *field, int group);
/* The first facet that is not less than the value, or, with `after`, that is greater. */
struct vector__order_place vector__order_find(const struct vector__facets *f,
                                              const struct vector__field *field,
                                              const struct vector__value *value, bool after);
/* How many facets lie between two places. */
size_t vector__order_between(const struct vector__field *field, struct vector__order_place from,
                             struct vector__order_place to);

#endif
