/* SPDX-License-Identifier: MIT
 *
 * facet_value: a value of metadata as it is kept and compared. Numbers are integers wherever they are
 * whole, so that 1 is 1.0; long strings, arrays and objects are known by a digest of 128 bits under a key
 * of this process, which nobody can aim at; long strings also by their beginning, for their order.
 *
 * Threads: any.
 */
#ifndef CORTEX_VECTOR_FACET_VALUE_H
#define CORTEX_VECTOR_FACET_VALUE_H

#include <jansson.h>

#include "cortex/base.h"
#include "filter.h"

struct vector__facet_key {
    uint8_t bytes[2][16];
};
struct vector__digest {
    uint64_t words[2];
};
enum vector__kind {
    VECTOR__NULL,
    VECTOR__FALSE,
    VECTOR__TRUE,
    VECTOR__INTEGER,
    VECTOR__REAL, /* not whole, or too large to be an integer */
    VECTOR__STRING,
    VECTOR__LONG_STRING, /* more than VECTOR__STRING_BYTES: so many, and the digest */
    VECTOR__ARRAY,
    VECTOR__OBJECT,
};
struct vector__value {
    enum vector__kind kind;
    union {
        int64_t integer;
        double real;
    } number;
    struct cx_str text;           /* of a string; borrowed */
    struct vector__digest digest; /* of a long string, an array, an object */
};

/* members: of an array or object, the digest of its content; unused else. */
void vector__value_of(const struct vector__facet_key *key, const json_t *json,
                      const struct vector__digest *members, struct vector__value *out);
/* The same, with all that is in it looked at. */
void vector__value_with_digest(const struct vector__facet_key *key, const json_t *json,
                               struct vector__value *out);
struct vector__digest vector__digest_of(const struct vector__facet_key *key, const json_t *json);
/* The content of an array or object, member by member; an object's in any order. */
void vector__digest_begin(const json_t *container, struct vector__digest *content);
void vector__digest_element(const struct vector__facet_key *key, struct vector__digest element,
                            struct vector__digest *content);
void vector__digest_member(const struct vector__facet_key *key, const char *name,
                           struct vector__digest member, struct vector__digest *content);
struct vector__digest vector__value_digest(const struct vector__facet_key *key,
                                           const struct vector__value *value);

/* False where the two are of types that have no order between them. *order: below 0 where a comes first. */
bool vector__value_order(const struct vector__value *a, const struct vector__value *b, int *order);
bool vector__json_order(const json_t *a, const json_t *b, int *order);
/* An order of all values, in which those that compare stand together: kinds by their group, and what has no
 * order of its own by its digest. 0: the same value. */
int vector__value_total(const struct vector__value *a, const struct vector__value *b);
/* Values of one group may compare with each other. */
int vector__value_group(enum vector__kind kind);
/* op: GT, GTE, LT, LTE. */
bool vector__order_holds(enum vector__filter_op op, int order);

#endif
