/* SPDX-License-Identifier: MIT
 *
 * Ranking (rank.h): the three modes. A score is always made of the float32 cosine and of bm25; the
 * bounds of a scan (scan.h) only decide whose cosine is worth computing. As sums, products and
 * quotients of rounded numbers keep their order, what is computed of a bound is a bound.
 */
#include "rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "best.h"
#include "cortex/metrics.h"
#include "rank_rrf.h"
#include "scan.h"
#include "share.h"

#define WEIGHT_KEYWORD 0.6
#define WEIGHT_SEMANTIC 0.4

/* What a hybrid score is made of. */
struct fusion {
    float *uppers;      /* of every slot (scan.h); NULL where slots are listed */
    const double *bm25; /* of every slot; NULL: no matches */
    double bm25_max;    /* of those that pass */
    double cosine_max;
};

static enum cx_status check_query(const struct cx_vector *v, const struct vector__ranking *r,
                                  struct cx_err *err);
static enum cx_status rank_live(const struct cx_vector *v, const struct vector__ranking *r,
                                struct vector__best *best, struct cx_err *err);
static void rank_keyword(const struct vector__index *index, const struct vector__ranking *r,
                         const struct vector__matches *matches, struct vector__best *best);
static enum cx_status rank_by_cosine(const struct cx_vector *v, const struct vector__ranking *r,
                                     const struct vector__matches *matches,
                                     struct vector__best *best, struct cx_err *err);
static enum cx_status rank_semantic(const struct vector__scan *scan,
                                    const struct vector__ranking *r, struct vector__best *best,
                                    struct cx_err *err);
static enum cx_status rank_places(const struct vector__scan *scan, const struct vector__ranking *r,
                                  const struct vector__matches *matches, struct vector__best *best,
                                  struct cx_err *err);
static void offer_place(const struct vector__scan *scan, const struct vector__ranking *r,
                        const struct vector__matches *matches, double max,
                        const struct vector__fused *one, struct vector__best *best);
static void offer_rest(const struct vector__index *index, const struct vector__ranking *r,
                       const struct vector__fused *placed, size_t count, struct vector__best *best);
static enum cx_status rank_hybrid(const struct vector__scan *scan, const struct vector__ranking *r,
                                  const struct vector__matches *matches, struct vector__best *best,
                                  struct cx_err *err);
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
static double keyword_max(const struct vector__ranking *r, const struct vector__matches *matches);
static double fused(double keyword, double cosine, double cosine_max);
static double divided(double score, double max);
static double least_score(const struct vector__ranking *r);
static void offer(struct vector__best *best, const struct vector__ranking *r,
                  const struct vector__index *index, size_t at, double score, double semantic,
                  double keyword);

enum cx_status vector__rank(struct cx_vector *v, const struct vector__ranking *ranking, size_t most,
                            struct vector__candidate *out, size_t *count, struct cx_err *err)
{
    struct vector__best best = { .items = out, .most = most };
    if (ranking->ask != NULL && vector__share_fetch(ranking->ask, most, out, count)) {
        return CX_OK;
    }
    const uint64_t before_ns = cx_clock_mono_ns();
    CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
    enum cx_status status = check_query(v, ranking, err);
    struct vector__allowed allowed = { .all = true };
    if (status == CX_OK) {
        status = vector__filter_ask(ranking->filter, &v->index.facets, &allowed, err);
    }
    if (status == CX_OK && v->index.live > 0 && most > 0) {
        struct vector__ranking of_allowed = *ranking;
        of_allowed.allowed = &allowed;
        of_allowed.v = v;
        status = rank_live(v, &of_allowed, &best, err);
    }
    vector__allowed_free(&allowed);
    vector__best_sort(&best);
    for (size_t i = 0; i < best.count; i++) {
        best.items[i].doc_id = NULL;
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    if (status == CX_OK) {
        cx_histogram_observe(v->scan_seconds, (double)(cx_clock_mono_ns() - before_ns) / 1e9);
        *count = best.count;
    }
    return status;
}

/* In a collection that is empty, or has no vector yet, nothing is compared. */
static enum cx_status check_query(const struct cx_vector *v, const struct vector__ranking *r,
                                  struct cx_err *err)
{
    if (r->query == NULL || v->index.live == 0 || v->index.dimension == 0) {
        return CX_OK;
    }
    if (v->owner == CX_OWNER_CLIENT && !r->own_vector) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%s\" holds vectors that clients bring: the query needs one "
                          "of %u dimensions",
                          v->name, v->index.dimension);
    }
    if (r->dimension != v->index.dimension) {
        return cx_err_set(err, CX_CONFLICT,
                          "the query's vector has %u dimensions, collection \"%s\" has %u",
                          r->dimension, v->name, v->index.dimension);
    }
    return CX_OK;
}

static enum cx_status rank_live(const struct cx_vector *v, const struct vector__ranking *r,
                                struct vector__best *best, struct cx_err *err)
{
    struct vector__matches matches = { 0 };
    if (r->mode != CX_SEARCH_SEMANTIC) {
        const bool asked = r->keywords->by_fts5;
        const enum cx_status status = vector__keywords_score(r->keywords, &v->index, &matches, err);
        if (status != CX_OK || r->keywords->by_fts5 != asked) {
            vector__matches_free(&matches);
            return status;
        }
    }
    if (r->mode == CX_SEARCH_KEYWORD) {
        rank_keyword(&v->index, r, &matches, best);
        vector__matches_free(&matches);
        return CX_OK;
    }
    const enum cx_status status = rank_by_cosine(v, r, &matches, best, err);
    vector__matches_free(&matches);
    return status;
}

static void rank_keyword(const struct vector__index *index, const struct vector__ranking *r,
                         const struct vector__matches *matches, struct vector__best *best)
{
    const double max = keyword_max(r, matches);
    for (size_t i = 0; i < matches->count; i++) {
        const double keyword = divided(matches->scores[matches->slots[i]], max);
        if (vector__best_wants(best, keyword)) {
            if (vector__allows(r->allowed, matches->slots[i])) {
                offer(best, r, index, matches->slots[i], keyword, 0, keyword);
            }
        }
    }
}

static enum cx_status rank_by_cosine(const struct cx_vector *v, const struct vector__ranking *r,
                                     const struct vector__matches *matches,
                                     struct vector__best *best, struct cx_err *err)
{
    /* While no document has a vector there is nothing to compare the query's with. */
    const bool compares = r->query != NULL && v->index.pending < v->index.live;
    if (r->mode == CX_SEARCH_SEMANTIC && !compares) {
        return CX_OK;
    }
    struct vector__scan scan;
    enum cx_status status =
        vector__scan_init(&scan, v, compares ? r->query : NULL, r->allowed, err);
    if (v->index.graph != NULL && !r->exact && scan.zeros == NULL) {
        scan.breadth = v->store->graph_breadth;
    }
    if (status == CX_OK) {
        status = r->mode == CX_SEARCH_SEMANTIC     ? rank_semantic(&scan, r, best, err)
                 : r->fusion == CX_FUSION_WEIGHTED ? rank_hybrid(&scan, r, matches, best, err)
                                                   : rank_places(&scan, r, matches, best, err);
    }
    if (status == CX_OK && scan.buffer->failed) {
        status = cx_err_set(err, CX_IO_ERROR, "%s", cx_status_text(CX_IO_ERROR));
    }
    vector__scan_free(&scan);
    return status;
}

static enum cx_status rank_semantic(const struct vector__scan *scan,
                                    const struct vector__ranking *r, struct vector__best *best,
                                    struct cx_err *err)
{
    struct vector__floor floor;
    if (!vector__floor_init(&floor, best->most, least_score(r))) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    struct vector__possibles possibles = { 0 };
    const struct vector__pass pass = { scan, &floor, &possibles, NULL };
    if (r->allowed->slots != NULL) {
        vector__scan_listed(scan, r->allowed->slots, r->allowed->count, &floor, &possibles);
    } else if (scan->breadth > 0 && vector__scan_graph(&pass, scan->breadth)) {
        /* Found. */
    } else if (r->ask != NULL) {
        vector__rank_shared(r->v, &pass);
    } else {
        vector__scan_cosines(&pass, 1);
    }
    score_possibles(scan, r, NULL, &possibles, best);
    vector__possibles_free(&possibles);
    vector__floor_free(&floor);
    return CX_OK;
}

/* Each leg by itself, then both by the places in them. */
static enum cx_status rank_places(const struct vector__scan *scan, const struct vector__ranking *r,
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
        status = rank_semantic(scan, &leg, &by_cosine, err);
    }
    if (status == CX_OK) {
        struct vector__best by_keyword = { .items = items + r->window, .most = r->window };
        rank_keyword(scan->index, &leg, matches, &by_keyword);
        vector__best_sort(&by_cosine);
        vector__best_sort(&by_keyword);
        const size_t count =
            vector__rrf_fuse((struct vector__leg){ by_cosine.items, by_cosine.count },
                             (struct vector__leg){ by_keyword.items, by_keyword.count }, placed);
        const double max = keyword_max(r, matches);
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
        keyword = divided(matches->scores[at], max);
    }
    offer(best, r, scan->index, at, one->candidate.score, cosine, keyword);
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
            offer(best, r, index, at, 0, 0, 0);
        }
    }
    free(seen);
}

/* Fused only when both maxima are known: until then the bounds of all cosines are kept. */
static enum cx_status rank_hybrid(const struct vector__scan *scan, const struct vector__ranking *r,
                                  const struct vector__matches *matches, struct vector__best *best,
                                  struct cx_err *err)
{
    const size_t end = scan->index->slot_end;
    const bool listed = r->allowed->slots != NULL;
    struct fusion fusion = {
        .uppers = listed ? NULL : malloc(end * sizeof(float)),
        .bm25 = matches->count > 0 ? matches->scores : NULL,
        .bm25_max = keyword_max(r, matches),
    };
    struct vector__floor floor = { 0 };
    struct vector__possibles possibles = { 0 };
    enum cx_status status = CX_OK;
    if ((!listed && fusion.uppers == NULL) ||
        !vector__floor_init(&floor, best->most, least_score(r))) {
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
    } else if (status == CX_OK) {
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
    return fusion->bm25 != NULL ? divided(fusion->bm25[slot], fusion->bm25_max) : 0;
}

/* fusion: NULL for the cosine alone. */
static void score_possibles(const struct vector__scan *scan, const struct vector__ranking *r,
                            const struct fusion *fusion, struct vector__possibles *possibles,
                            struct vector__best *best)
{
    vector__possibles_sort(possibles);
    for (size_t i = 0; i < possibles->count; i++) {
        const struct vector__possible *possible = &possibles->items[i];
        if (vector__best_wants(best, possible->upper)) {
            const double cosine = vector__scan_exact(scan, possible->slot);
            const double keyword = fusion != NULL ? keyword_of(fusion, possible->slot) : 0;
            const double score =
                fusion != NULL ? fused(keyword, cosine, fusion->cosine_max) : cosine;
            offer(best, r, scan->index, possible->slot, score, cosine, keyword);
        }
    }
}

/* Of those that pass the filter. */
static double keyword_max(const struct vector__ranking *r, const struct vector__matches *matches)
{
    double max = 0;
    const bool listed = r->allowed->slots != NULL && r->allowed->count < matches->count;
    const uint32_t *slots = listed ? r->allowed->slots : matches->slots;
    const size_t count = listed ? r->allowed->count : matches->count;
    for (size_t i = 0; i < count; i++) {
        const double score = matches->scores[slots[i]];
        if (score > max && vector__allows(r->allowed, slots[i])) {
            max = score;
        }
    }
    return max;
}

/* A cosine below zero must not take a score out of its range of 0 to 1. */
static double fused(double keyword, double cosine, double cosine_max)
{
    const double sum = WEIGHT_KEYWORD * keyword + WEIGHT_SEMANTIC * divided(cosine, cosine_max);
    return sum > 1 ? 1 : sum > 0 ? sum : 0;
}

/* A leg whose maximum is not positive counts nothing. */
static double divided(double score, double max)
{
    return max > 0 ? score / max : 0;
}

static double least_score(const struct vector__ranking *r)
{
    return r->has_min_score ? r->min_score : -INFINITY;
}

static void offer(struct vector__best *best, const struct vector__ranking *r,
                  const struct vector__index *index, size_t at, double score, double semantic,
                  double keyword)
{
    const struct vector__slot *slot = vector__index_slot(index, at);
    if (isnan(score) || (r->has_min_score && score < r->min_score)) {
        return;
    }
    const struct vector__candidate candidate = {
        .score = score,
        .semantic = semantic,
        .keyword = keyword,
        .pending = slot->pending,
        .rowid = slot->rowid,
        .doc_id = vector__index_id(index, at),
    };
    vector__best_offer(best, &candidate);
}
