/* SPDX-License-Identifier: MIT
 *
 * What the files of hot state share. Loop thread.
 */
#ifndef CORTEX_STATE_HOT_H
#define CORTEX_STATE_HOT_H

#include "cortex/metrics.h"
#include "cortex/state.h"
#include "hot_heap.h"
#include "hot_tree.h"

struct cx_hot {
    struct cx_hot_options options;
    struct cx_random random; /* weights of the tree */
    struct hot__entry *tree;
    struct hot__heap heap;
    struct hot__entry *newest; /* by use */
    struct hot__entry *oldest;
    size_t count;
    size_t bytes;
    uint64_t last_stamp;
    struct cx_series *entries_gauge;
    struct cx_series *bytes_gauge;
    struct cx_series *hits;
    struct cx_series *misses;
    struct cx_series *expired;
    struct cx_series *evicted;
};

#endif
