/* SPDX-License-Identifier: MIT
 *
 * facets: hashes of (path, value) pairs. Equal values have equal facets: 1 and 1.0, and objects
 * whatever the order of their members.
 *
 * Threads: any.
 */
#ifndef CORTEX_VECTOR_FACETS_H
#define CORTEX_VECTOR_FACETS_H

#include "filter.h"

/* Of this value at this path; value NULL: of "something is there". */
uint64_t vector__facet(const struct vector__facet_key *key, const char *path, size_t path_len,
                       const json_t *value);

/* A JSON number in the one form by which numbers compare: an integer wherever it is one. */
struct vector__number {
    bool is_integer;
    int64_t integer;
    double real;
};
struct vector__number vector__number_of(const json_t *value);

#endif
