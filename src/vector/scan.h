/* SPDX-License-Identifier: MIT
 *
 * scan: the rows that may be among the best, found by reading the coarse rows alone. Of each row
 * a bound is known; the floor is what the best are known to reach at least, and rises as the scan goes
 * on; a row whose upper bound lies under it is done with. The high plane (coarse.h) is read of every
 * row, the low one of those that the first bound leaves; those that the fine bound leaves are few, and
 * their scores are computed from the float32 rows. Several queries can share one pass over the rows.
 *
 * Threads: a worker that holds the index's lock for reading.
 */
#ifndef CORTEX_VECTOR_SCAN_H
#define CORTEX_VECTOR_SCAN_H

#include "filter_sets.h"
#include "vector_internal.h"

/* The greatest of the lower bounds offered so far; a heap with the least on top. */
struct vector__floor {
    double value; /* what is less cannot be among the best `most` */
    double *items;
    size_t count;
    size_t most;
    double least;
};
/* most: at least 1. least: what is less does not count anyway; -INFINITY where there is no such
 * thing. False where memory is out. */
bool vector__floor_init(struct vector__floor *floor, size_t most, double least);
void vector__floor_free(struct vector__floor *floor);
void vector__floor_clear(struct vector__floor *floor); /* as it began */
void vector__floor_offer(struct vector__floor *floor, double lower);

struct vector__possible {
    double upper;
    uint32_t slot;
};
struct vector__possibles {
    struct vector__possible *items;
    size_t count;
    size_t cap;
};
void vector__possibles_add(struct vector__possibles *list, uint32_t slot, double upper);
/* Forgets those that the floor has risen over. */
void vector__possibles_cut(struct vector__possibles *list, double floor);
/* The greatest upper bound first: the fewer have to be looked at. */
void vector__possibles_sort(struct vector__possibles *list);
void vector__possibles_free(struct vector__possibles *list);

/* Where float32 rows are read to. */
struct vector__row_buffer {
    float *row;
    bool failed; /* one could not be read: what was found is not to be used */
};
struct vector__scan {
    const struct vector__index *index;
    struct vector__kernel kernel;
    const float *query; /* padded and aligned */
    float *zeros;       /* where there is none */
    struct vector__row_buffer *buffer;
    const struct vector__allowed *allowed;
    size_t breadth; /* of a search through the graph; 0 = there is to be none */
    struct vector__coarse_query coarse;
};
/* query: of the index's dimension, padded and aligned as rows are; NULL stands for zeros, and all
 * cosines are 0. To be freed on failure too. */
enum cx_status vector__scan_init(struct vector__scan *scan, const struct cx_vector *v,
                                 const float *query, const struct vector__allowed *allowed,
                                 struct cx_err *err) CX_MUST_CHECK;
void vector__scan_free(struct vector__scan *scan);
/* One query's part in a pass over the rows. */
struct vector__pass {
    const struct vector__scan *scan;
    struct vector__floor *floor;
    /* The slots that have a vector, pass the filter, and whose cosine may reach the floor once all are
     * seen. */
    struct vector__possibles *out;
    float *
        uppers; /* NULL, or room for every slot: how much its cosine can be (-INFINITY: no document) */
};
#define VECTOR__PASSES_MAX 8
/* passes: 1 to VECTOR__PASSES_MAX, of the same index. */
void vector__scan_cosines(const struct vector__pass *passes, size_t count);
/* The same, without uppers, for slots that are listed: reads nothing of any other. */
void vector__scan_listed(const struct vector__scan *scan, const uint32_t *slots, size_t count,
                         struct vector__floor *floor, struct vector__possibles *out);
/* The same through the graph of the index, without uppers and not quite complete (graph_scan.c). False, and
 * nothing has happened, where there is none or it does not pay. */
bool vector__scan_graph(const struct vector__pass *pass, size_t breadth);
/* From an upper bound as in `uppers`. */
double vector__scan_upper(const struct vector__scan *scan, float upper);
/* The least entry of `uppers` whose upper bound reaches this cosine. */
float vector__scan_cut(const struct vector__scan *scan, double cosine);
struct vector__range {
    double lower;
    double upper;
};
/* What the cosine of a slot's row lies between; reads both planes. */
struct vector__range vector__scan_range(const struct vector__scan *scan, size_t slot);
/* The float32 cosine; reads the row. */
float vector__scan_exact(const struct vector__scan *scan, size_t slot);

#endif
