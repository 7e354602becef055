/* SPDX-License-Identifier: MIT
 *
 * The upper bounds of the histograms' buckets, in seconds, rising, each with its text for `le`; the
 * bucket +Inf follows by itself. bounds_NAME is what metrics.def calls NAME.
 */
#ifndef CORTEX_METRICS_BUCKETS_H
#define CORTEX_METRICS_BUCKETS_H

#include "registry.h"

#define BOUND(bound)                                                                               \
    {                                                                                              \
        (bound), #bound                                                                            \
    }

/* 10 µs to 1 s: what happens inside this process. */
static const struct metrics_bound bounds_FAST[] = {
    BOUND(0.00001), BOUND(0.000025), BOUND(0.00005), BOUND(0.0001), BOUND(0.00025), BOUND(0.0005),
    BOUND(0.001),   BOUND(0.0025),   BOUND(0.005),   BOUND(0.01),   BOUND(0.02),    BOUND(0.025),
    BOUND(0.05),    BOUND(0.1),      BOUND(0.25),    BOUND(0.5),    BOUND(1),
};

/* 1 ms to 60 s: what a client waits for. */
static const struct metrics_bound bounds_LATENCY[] = {
    BOUND(0.001), BOUND(0.0025), BOUND(0.005), BOUND(0.01), BOUND(0.025),
    BOUND(0.05),  BOUND(0.1),    BOUND(0.25),  BOUND(0.5),  BOUND(1),
    BOUND(2.5),   BOUND(5),      BOUND(10),    BOUND(25),   BOUND(60),
};

#undef BOUND

#endif
