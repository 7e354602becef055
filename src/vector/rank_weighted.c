/* SPDX-License-Identifier: MIT
 *
 * Ranking by the weighted sum of both legs (rank_legs.h). A score is made of the float32 cosine and of bm25;
 * the bounds of a scan only decide whose cosine is worth computing. As sums, products and quotients of
 * rounded numbers keep their order, what is computed of a bound is a bound.
 */
#include <math.h>
#include <stdlib.h>

#include "rank_legs.h"

#define WEIGHT_KEYWORD 0.6
#define WEIGHT_SEMANTIC 0.4

/* What a score is made of. */
struct fusion {
    float *uppers;      /* of every slot (scan.h); NULL where slots are listed */
    const double *bm25; /* of every slot; NULL: no matches */
    double bm25_max;    /* of those that pass */
    double cosine_max;
};

static enum cx_status find_cosine_max(const struct vector__scan *scan,
                                      const struct vector__ranking *r, struct fusion *fusion,
                                      struct cx_err *err);
static enum cx_status find_near(const struct vector__scan *scan, struct fusion *fusion, size_t most,
                                struct vector__possibles *near, bool *found, struct cx_err *err);
static void take_cosine_max(const struct vector__scan *scan, struct fusion *fusion,
                            struct vector__possibles *possibles);
static void consider_near(const struct vector__scan *scan, const struct vector__matches *matches,
                          const struct fusion *fusion, const struct vector__possibles *near,
                          struct vector__floor *floor, struct vector__possibles *possibles);
static void consider_matches(const struct vector__scan *scan, const struct vector__matches *matches,
                             const struct fusion *fusion, struct vector__floor *floor,
                             struct vector__possibles *possibles);
static void consider_others(const struct vector__scan *scan, const struct fusion *fusion,
                            struct vector__floor *floor, struct vector__possibles *possibles);
static void consider(const struct vector__scan *scan, const struct fusion *fusion, size_t slot,
                     struct vector__floor *floor, struct vector__possibles *possibles);
static void consider_fine(const struct vector__scan *scan, const struct fusion *fusion, size_t slot,
                          struct vector__floor *floor, struct vector__possibles *possibles);
static double keyword_of(const struct fusion *fusion, size_t slot);
static void score_possibles(const struct vector__scan *scan, const struct vector__ranking *r,
                            const struct fusion *fusion, struct vector__possibles *possibles,
                            struct vector__best *best);
static double fused(double keyword, double cosine, double cosine_max);

/* Fused only when both maxima are known: until then the bounds of all cosines are kept. */
enum cx_status vector__rank_weighted(const struct vector__scan *scan,
                                     const struct vector__ranking *r,
                                     const struct vector__matches *matches,
                                     struct vector__best *best, struct cx_err *err)
{
    const size_t end = scan->index->slot_end;
    const bool listed = r->allowed->slots != NULL;
    struct fusion fusion = {
        .uppers = listed ? NULL : malloc(end * sizeof(float)),
        .bm25 = matches->count > 0 ? matches->scores : NULL,
        .bm25_max = vector__keyword_max(r, matches),
    };
    struct vector__floor floor = { 0 };
    struct vector__possibles possibles = { 0 };
    enum cx_status status = CX_OK;
    if ((!listed && fusion.uppers == NULL) ||
        !vector__floor_init(&floor, best->most, vector__least_score(r))) {
        status = cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    struct vector__possibles near = { 0 };
    bool by_graph = false;
    if (status == CX_OK && scan->breadth > 0 && !listed) {
        status = find_near(scan, &fusion, best->most, &near, &by_graph, err);
    }
    if (status == CX_OK && !by_graph) {
        status = find_cosine_max(scan, r, &fusion, err);
    }
    if (status == CX_OK && by_graph) {
        consider_near(scan, matches, &fusion, &near, &floor, &possibles);
    } else if (status == CX_OK && listed) {
        for (size_t i = 0; i < r->allowed->count; i++) {
            consider_fine(scan, &fusion, r->allowed->slots[i], &floor, &possibles);
        }
    } else if (status == CX_OK && fusion.uppers != NULL) {
        /* Matches first: among them are most of the best, so that the floor rises early. */
        consider_matches(scan, matches, &fusion, &floor, &possibles);
        consider_others(scan, &fusion, &floor, &possibles);
    }
    if (status == CX_OK) {
        vector__possibles_cut(&possibles, floor.value);
        score_possibles(scan, r, &fusion, &possibles, best);
    }
    vector__possibles_free(&near);
    vector__possibles_free(&possibles);
    vector__floor_free(&floor);
    free(fusion.uppers);
    return status;
}

static enum cx_status find_cosine_max(const struct vector__scan *scan,
                                      const struct vector__ranking *r, struct fusion *fusion,
                                      struct cx_err *err)
{
    struct vector__floor floor;
    if (!vector__floor_init(&floor, 1, 0)) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    struct vector__possibles possibles = { 0 };
    if (fusion->uppers == NULL) {
        vector__scan_listed(scan, r->allowed->slots, r->allowed->count, &floor, &possibles);
    } else {
        vector__scan_cosines(&(struct vector__pass){ scan, &floor, &possibles, fusion->uppers }, 1);
    }
    take_cosine_max(scan, fusion, &possibles);
    vector__possibles_free(&possibles);
    vector__floor_free(&floor);
    return CX_OK;
}

/* Through the graph: whose cosines are the best, of which the maximum is the first. */
static enum cx_status find_near(const struct vector__scan *scan, struct fusion *fusion, size_t most,
                                struct vector__possibles *near, bool *found, struct cx_err *err)
{
    struct vector__floor floor;
    if (!vector__floor_init(&floor, most, -INFINITY)) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    *found = vector__scan_graph(&(struct vector__pass){ scan, &floor, near, NULL }, scan->breadth);
    vector__floor_free(&floor);
    if (*found) {
        take_cosine_max(scan, fusion, near);
    }
    return CX_OK;
}

static void take_cosine_max(const struct vector__scan *scan, struct fusion *fusion,
                            struct vector__possibles *possibles)
{
    vector__possibles_sort(possibles);
    for (size_t i = 0; i < possibles->count; i++) {
        if (possibles->items[i].upper > fusion->cosine_max) {
            const double cosine = vector__scan_exact(scan, possibles->items[i].slot);
            fusion->cosine_max = fmax(fusion->cosine_max, cosine);
        }
    }
}

/* What matches no word is among the best only where its cosine is. */
static void consider_near(const struct vector__scan *scan, const struct vector__matches *matches,
                          const struct fusion *fusion, const struct vector__possibles *near,
                          struct vector__floor *floor, struct vector__possibles *possibles)
{
    for (size_t i = 0; i < matches->count; i++) {
        if (vector__allows(scan->allowed, matches->slots[i])) {
            consider_fine(scan, fusion, matches->slots[i], floor, possibles);
        }
    }
    for (size_t i = 0; i < near->count; i++) {
        const uint32_t slot = near->items[i].slot;
        if (fusion->bm25 == NULL || !(fusion->bm25[slot] > 0)) {
            consider_fine(scan, fusion, slot, floor, possibles);
        }
    }
}

static void consider_matches(const struct vector__scan *scan, const struct vector__matches *matches,
                             const struct fusion *fusion, struct vector__floor *floor,
                             struct vector__possibles *possibles)
{
    for (size_t i = 0; i < matches->count; i++) {
        consider(scan, fusion, matches->slots[i], floor, possibles);
    }
}

static void consider_others(const struct vector__scan *scan, const struct fusion *fusion,
                            struct vector__floor *floor, struct vector__possibles *possibles)
{
    uint32_t picked[VECTOR__BLOCK_ROWS];
    const size_t end = scan->index->slot_end;
    for (size_t first = 0; first < end; first += VECTOR__BLOCK_ROWS) {
        /* The cosine that reaches the floor by itself; a little less, as it is rounded. */
        const double cosine = floor->value > 0
                                  ? floor->value * fusion->cosine_max / WEIGHT_SEMANTIC * (1 - 1e-9)
                                  : -INFINITY;
        const size_t count = end - first < VECTOR__BLOCK_ROWS ? end - first : VECTOR__BLOCK_ROWS;
        const size_t n = scan->kernel.pick(fusion->uppers + first, count,
                                           vector__scan_cut(scan, cosine), picked);
        for (size_t i = 0; i < n; i++) {
            if (fusion->bm25 == NULL || !(fusion->bm25[first + picked[i]] > 0)) {
                consider(scan, fusion, first + picked[i], floor, possibles);
            }
        }
    }
}

static void consider(const struct vector__scan *scan, const struct fusion *fusion, size_t slot,
                     struct vector__floor *floor, struct vector__possibles *possibles)
{
    const double coarse = vector__scan_upper(scan, fusion->uppers[slot]);
    const double upper = fused(keyword_of(fusion, slot), coarse, fusion->cosine_max);
    if (upper >= floor->value && vector__allows(scan->allowed, slot)) {
        consider_fine(scan, fusion, slot, floor, possibles);
    }
}

static void consider_fine(const struct vector__scan *scan, const struct fusion *fusion, size_t slot,
                          struct vector__floor *floor, struct vector__possibles *possibles)
{
    const double keyword = keyword_of(fusion, slot);
    const struct vector__range range = vector__scan_range(scan, slot);
    const double fine = fused(keyword, range.upper, fusion->cosine_max);
    if (fine >= floor->value) {
        vector__possibles_add(possibles, (uint32_t)slot, fine);
        vector__floor_offer(floor, fused(keyword, range.lower, fusion->cosine_max));
    }
}

/* bm25 over its maximum. */
static double keyword_of(const struct fusion *fusion, size_t slot)
{
    return fusion->bm25 != NULL ? vector__divided(fusion->bm25[slot], fusion->bm25_max) : 0;
}

static void score_possibles(const struct vector__scan *scan, const struct vector__ranking *r,
                            const struct fusion *fusion, struct vector__possibles *possibles,
                            struct vector__best *best)
{
    vector__possibles_sort(possibles);
    for (size_t i = 0; i < possibles->count; i++) {
        const struct vector__possible *possible = &possibles->items[i];
        if (vector__best_wants(best, possible->upper)) {
            const double cosine = vector__scan_exact(scan, possible->slot);
            const double keyword = keyword_of(fusion, possible->slot);
            const double score = fused(keyword, cosine, fusion->cosine_max);
            vector__offer(best, r, scan->index, possible->slot, score, cosine, keyword);
        }
    }
}

/* A cosine below zero must not take a score out of its range of 0 to 1. */
static double fused(double keyword, double cosine, double cosine_max)
{
    const double sum =
        WEIGHT_KEYWORD * keyword + WEIGHT_SEMANTIC * vector__divided(cosine, cosine_max);
    return sum > 1 ? 1 : sum > 0 ? sum : 0;
}
