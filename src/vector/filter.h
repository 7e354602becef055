/* SPDX-License-Identifier: MIT
 *
 * filter: which documents a search may find, by their metadata. Two forms of one meaning: the exact
 * one looks at the JSON; the fast one looks at facets, keyed 64-bit hashes of every (path, value) a
 * document's metadata has, which the index keeps in memory. The fast one can only err by a collision of hashes;
 * the exact one has the last word on every hit.
 *
 * Meaning. {"a": 1, "b.c": "x"}: all members must hold. A path reaches into objects, and into every
 * element of an array on its way. A value matches when it is equal (numbers by value, objects and
 * arrays by content) or is an array of which an element matches. null matches null and a
 * missing key.
 *
 * Threads: any; a filter is read only once it is made.
 */
#ifndef CORTEX_VECTOR_FILTER_H
#define CORTEX_VECTOR_FILTER_H

#include <jansson.h>

#include "cortex/base.h"

#define VECTOR__PATH_BYTES 1024 /* longer paths cannot be asked for */

struct vector__condition {
    const char *path;    /* borrowed from the filter's json */
    const json_t *value; /* borrowed */
    uint64_t facet;
    uint64_t exists; /* facet of "something is there", for null */
};
struct vector__filter {
    struct vector__condition *conditions;
    size_t count; /* 0 = every document passes */
};
/* The key of the facets of one process. */
struct vector__facet_key {
    uint8_t bytes[16];
};

/* filter: NULL or an object, which must outlive *out. CX_INVALID where it is not understood. */
enum cx_status vector__filter_init(const json_t *filter, const struct vector__facet_key *key,
                                   struct vector__filter *out, struct cx_err *err) CX_MUST_CHECK;
void vector__filter_free(struct vector__filter *filter);
bool vector__filter_exact(const struct vector__filter *filter, const json_t *metadata);
bool vector__filter_facets(const struct vector__filter *filter, const uint64_t *facets,
                           size_t count);
/* The facets of one document, ascending. *out: the caller frees. */
void vector__facets_of(const json_t *metadata, const struct vector__facet_key *key, uint64_t **out,
                       size_t *count);

#endif
