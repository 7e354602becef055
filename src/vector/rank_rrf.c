/* SPDX-License-Identifier: MIT
 *
 * Reciprocal rank fusion (rank_rrf.h).
 */
#include "rank_rrf.h"

#include <stdlib.h>

#define RRF_K 60.0

static double share_of(size_t at);
static int by_rowid(const void *a, const void *b);

size_t vector__rrf_fuse(struct vector__leg by_cosine, struct vector__leg by_keyword,
                        struct vector__fused *out)
{
    for (size_t i = 0; i < by_cosine.count; i++) {
        out[i] = (struct vector__fused){ .candidate = by_cosine.items[i], .by_cosine = true };
        out[i].candidate.score = share_of(i);
    }
    if (by_cosine.count > 1) {
        qsort(out, by_cosine.count, sizeof *out, by_rowid);
    }
    size_t count = by_cosine.count;
    for (size_t i = 0; i < by_keyword.count; i++) {
        const struct vector__fused wanted = { .candidate = by_keyword.items[i] };
        struct vector__fused *same =
            by_cosine.count > 0 ? bsearch(&wanted, out, by_cosine.count, sizeof *out, by_rowid)
                                : NULL;
        if (same == NULL) {
            same = &out[count++];
            *same = wanted;
            same->candidate.score = 0;
        }
        same->candidate.keyword = by_keyword.items[i].keyword;
        same->candidate.score += share_of(i);
        same->by_keyword = true;
    }
    return count;
}

static double share_of(size_t at)
{
    return 1 / (RRF_K + (double)at + 1);
}

static int by_rowid(const void *a, const void *b)
{
    const int64_t x = ((const struct vector__fused *)a)->candidate.rowid;
    const int64_t y = ((const struct vector__fused *)b)->candidate.rowid;
    return x < y ? -1 : x > y ? 1 : 0;
}
