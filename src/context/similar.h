/* SPDX-License-Identifier: MIT
 *
 * similar: how alike two texts are, from a sketch of each: the smallest hashes of its shingles, three
 * words in a row. A. Broder, "On the resemblance and containment of documents", 1997 (bottom-k
 * sketches). Words are runs of bytes that are no ASCII white space, ASCII letters in lower case.
 *
 * Threads: any.
 */
#ifndef CORTEX_CONTEXT_SIMILAR_H
#define CORTEX_CONTEXT_SIMILAR_H

#include "cortex/base.h"

#define CONTEXT__SKETCH_MAX 256

struct context__sketch {
    uint64_t whole; /* hash of the text as it is */
    size_t len;     /* of the text */
    size_t count;
    uint64_t hashes[CONTEXT__SKETCH_MAX]; /* ascending */
};
/* key: the same for all texts that are to be compared. */
enum cx_status context__sketch(const uint8_t key[16], struct cx_str text,
                               struct context__sketch *out, struct cx_err *err) CX_MUST_CHECK;
bool context__same(const struct context__sketch *a, const struct context__sketch *b);
/* 0 to 1: the Jaccard index of their shingles, exact while both have at most CONTEXT__SKETCH_MAX of
 * them together. */
double context__similarity(const struct context__sketch *a, const struct context__sketch *b);

#endif
