/* SPDX-License-Identifier: MIT
 *
 * The registry's insides, shared by what fills it (registry.c) and what writes it out
 * (exposition.c).
 *
 * A family's series are a list that only grows, at its end, under the registry's lock; it is read
 * without the lock. Series are never freed.
 */
#ifndef CORTEX_METRICS_REGISTRY_H
#define CORTEX_METRICS_REGISTRY_H

#include "cortex/metrics.h"

#include <stdatomic.h>

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

struct metrics_bound {
    double value;
    const char *text;
};
struct metrics_family {
    const char *name;
    const char *help;
    enum metrics_kind kind;
    const struct metrics_bound *bounds; /* of a histogram */
    size_t bound_count;
};

struct cx_series {
    const struct metrics_family *family;
    _Atomic(struct cx_series *) next;
    char *labels;
    uint64_t labels_hash;
    _Atomic uint64_t count;     /* of a counter */
    _Atomic uint64_t real_bits; /* a double: a gauge's value, a histogram's sum */
    _Atomic uint64_t buckets[]; /* bound_count + 1, each with what fell into it alone */
};

extern const struct metrics_family metrics__families[CX_METRIC_COUNT];
/* NULL while the family has none. */
const struct cx_series *metrics__first(enum cx_metric id);
/* Of a gauge or of a histogram's sum. */
double metrics__real(const struct cx_series *s);

#endif
