/* SPDX-License-Identifier: MIT
 *
 * Ranking (rank.h): what a search may see, each leg by itself, and whose affair the rest is. The bounds of a
 * scan (scan.h) only decide whose float32 cosine is worth computing: scores are made of that.
 */
#include "rank.h"

#include <math.h>

#include "cortex/metrics.h"
#include "rank_legs.h"
#include "share.h"

static enum cx_status check_query(const struct cx_vector *v, const struct vector__ranking *r,
                                  struct cx_err *err);
static enum cx_status rank_live(const struct cx_vector *v, const struct vector__ranking *r,
                                struct vector__best *best, struct cx_err *err);
static enum cx_status rank_by_cosine(const struct cx_vector *v, const struct vector__ranking *r,
                                     const struct vector__matches *matches,
                                     struct vector__best *best, struct cx_err *err);

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
        vector__rank_keyword(&v->index, r, &matches, best);
        vector__matches_free(&matches);
        return CX_OK;
    }
    const enum cx_status status = rank_by_cosine(v, r, &matches, best, err);
    vector__matches_free(&matches);
    return status;
}

void vector__rank_keyword(const struct vector__index *index, const struct vector__ranking *r,
                          const struct vector__matches *matches, struct vector__best *best)
{
    const double max = vector__keyword_max(r, matches);
    for (size_t i = 0; i < matches->count; i++) {
        const double keyword = vector__divided(matches->scores[matches->slots[i]], max);
        if (vector__best_wants(best, keyword)) {
            if (vector__allows(r->allowed, matches->slots[i])) {
                vector__offer(best, r, index, matches->slots[i], keyword, 0, keyword);
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
        status = r->mode == CX_SEARCH_SEMANTIC ? vector__rank_semantic(&scan, r, best, err)
                 : r->fusion == CX_FUSION_WEIGHTED
                     ? vector__rank_weighted(&scan, r, matches, best, err)
                     : vector__rank_places(&scan, r, matches, best, err);
    }
    if (status == CX_OK && scan.buffer->failed) {
        status = cx_err_set(err, CX_IO_ERROR, "%s", cx_status_text(CX_IO_ERROR));
    }
    vector__scan_free(&scan);
    return status;
}

enum cx_status vector__rank_semantic(const struct vector__scan *scan,
                                     const struct vector__ranking *r, struct vector__best *best,
                                     struct cx_err *err)
{
    struct vector__floor floor;
    if (!vector__floor_init(&floor, best->most, vector__least_score(r))) {
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
    vector__possibles_sort(&possibles);
    for (size_t i = 0; i < possibles.count; i++) {
        if (vector__best_wants(best, possibles.items[i].upper)) {
            const uint32_t slot = possibles.items[i].slot;
            const double cosine = vector__scan_exact(scan, slot);
            vector__offer(best, r, scan->index, slot, cosine, cosine, 0);
        }
    }
    vector__possibles_free(&possibles);
    vector__floor_free(&floor);
    return CX_OK;
}

double vector__keyword_max(const struct vector__ranking *r, const struct vector__matches *matches)
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

double vector__divided(double score, double max)
{
    return max > 0 ? score / max : 0;
}

double vector__least_score(const struct vector__ranking *r)
{
    return r->has_min_score ? r->min_score : -INFINITY;
}

void vector__offer(struct vector__best *best, const struct vector__ranking *r,
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
