/* SPDX-License-Identifier: MIT
 *
 * Ranking by the places in both legs (rank_legs.h).
 */
#include <stdlib.h>

#include "rank_legs.h"
#include "rank_rrf.h"

static void offer_place(const struct vector__scan *scan, const struct vector__ranking *r,
                        const struct vector__matches *matches, double max,
                        const struct vector__fused *one, struct vector__best *best);
static void offer_rest(const struct vector__index *index, const struct vector__ranking *r,
                       const struct vector__fused *placed, size_t count, struct vector__best *best);

/* Each leg by itself, then both by the places in them. */
enum cx_status vector__rank_places(const struct vector__scan *scan, const struct vector__ranking *r,
                                   const struct vector__matches *matches, struct vector__best *best,
                                   struct cx_err *err)
{
    struct vector__candidate *items = malloc(2 * r->window * sizeof *items);
    struct vector__fused *placed = malloc(2 * r->window * sizeof *placed);
    struct vector__best by_cosine = { .items = items, .most = r->window };
    if (items == NULL || placed == NULL) {
        free(items);
        free(placed);
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    enum cx_status status = CX_OK;
    struct vector__ranking leg = *r;
    leg.has_min_score = false;
    if (scan->zeros == NULL) {
        status = vector__rank_semantic(scan, &leg, &by_cosine, err);
    }
    if (status == CX_OK) {
        struct vector__best by_keyword = { .items = items + r->window, .most = r->window };
        vector__rank_keyword(scan->index, &leg, matches, &by_keyword);
        vector__best_sort(&by_cosine);
        vector__best_sort(&by_keyword);
        const size_t count =
            vector__rrf_fuse((struct vector__leg){ by_cosine.items, by_cosine.count },
                             (struct vector__leg){ by_keyword.items, by_keyword.count }, placed);
        const double max = vector__keyword_max(r, matches);
        for (size_t i = 0; i < count; i++) {
            offer_place(scan, r, matches, max, &placed[i], best);
        }
        if (by_cosine.count < r->window) {
            offer_rest(scan->index, r, placed, count, best);
        }
    }
    free(items);
    free(placed);
    return status;
}

static void offer_place(const struct vector__scan *scan, const struct vector__ranking *r,
                        const struct vector__matches *matches, double max,
                        const struct vector__fused *one, struct vector__best *best)
{
    if (!vector__best_wants(best, one->candidate.score)) {
        return;
    }
    const size_t at = vector__index_find(scan->index, one->candidate.rowid);
    double cosine = one->candidate.semantic;
    double keyword = one->candidate.keyword;
    if (!one->by_cosine && !one->candidate.pending && scan->zeros == NULL) {
        cosine = vector__scan_exact(scan, at);
    }
    if (!one->by_keyword && matches->count > 0) {
        keyword = vector__divided(matches->scores[at], max);
    }
    vector__offer(best, r, scan->index, at, one->candidate.score, cosine, keyword);
}

/* All that have a vector are placed: what is left, as far as it passes, is in no leg. */
static void offer_rest(const struct vector__index *index, const struct vector__ranking *r,
                       const struct vector__fused *placed, size_t count, struct vector__best *best)
{
    uint64_t *seen = cx_alloc((index->slot_end / 64 + 1) * sizeof *seen);
    for (size_t i = 0; i < count; i++) {
        vector__bit_set(seen, vector__index_find(index, placed[i].candidate.rowid));
    }
    for (size_t at = 0; at < index->slot_end; at++) {
        const struct vector__slot *slot = vector__index_slot(index, at);
        if (slot->rowid != 0 && vector__allows(r->allowed, at) && !vector__bit(seen, at)) {
            vector__offer(best, r, index, at, 0, 0, 0);
        }
    }
    free(seen);
}
