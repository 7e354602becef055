/* SPDX-License-Identifier: MIT
 *
 * Ranking (rank.h). The index is scanned block by block, so that the scores of a block are still in
 * the cache when they are looked at.
 */
#include "rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

#define WEIGHT_KEYWORD 0.6
#define WEIGHT_SEMANTIC 0.4

/* The best so far: a heap with the worst of them on top. */
struct best {
    struct vector__candidate *items;
    size_t count;
    size_t most;
};
/* One leg's score of every slot, and the greatest of them. */
struct leg {
    float *scores;
    double max;
};

static void rank_semantic(struct cx_vector *v, const struct vector__ranking *r, struct best *best);
static enum cx_status rank_keyword(struct cx_vector *v, const struct vector__ranking *r,
                                   struct best *best, struct cx_err *err);
static enum cx_status rank_hybrid(struct cx_vector *v, const struct vector__ranking *r,
                                  struct best *best, struct cx_err *err);
static bool passes(const struct vector__ranking *r, const struct vector__slot *slot);
static void scan_block(const struct cx_vector *v, const struct vector__ranking *r, size_t block,
                       size_t count, float *scores);
static double keyword_max(const struct cx_vector *v, const struct vector__ranking *r);
static double divided(double score, double max);
static void offer(struct best *best, const struct vector__ranking *r,
                  const struct vector__slot *slot, double score, double semantic, double keyword);
static bool is_better(const struct vector__candidate *a, const struct vector__candidate *b);
static void sift_down(struct best *best, size_t at);
static void sort_best(struct best *best);

enum cx_status vector__rank(struct cx_vector *v, const struct vector__ranking *ranking, size_t most,
                            struct vector__candidate *out, size_t *count, struct cx_err *err)
{
    struct best best = { .items = out, .most = most };
    enum cx_status status = CX_OK;
    const uint64_t before_ns = cx_clock_mono_ns();
    CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
    const unsigned dimension = v->index.dimension;
    if (ranking->query != NULL && dimension != 0 && ranking->dimension != dimension) {
        CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
        return cx_err_set(err, CX_CONFLICT,
                          "the query's vector has %u dimensions, collection \"default\" has %u",
                          ranking->dimension, dimension);
    }
    switch (ranking->mode) {
    case CX_SEARCH_SEMANTIC:
        rank_semantic(v, ranking, &best);
        break;
    case CX_SEARCH_KEYWORD:
        status = rank_keyword(v, ranking, &best, err);
        break;
    case CX_SEARCH_HYBRID:
        status = rank_hybrid(v, ranking, &best, err);
        break;
    }
    sort_best(&best);
    for (size_t i = 0; i < best.count; i++) {
        best.items[i].doc_id = NULL;
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    cx_histogram_observe(v->scan_seconds, (double)(cx_clock_mono_ns() - before_ns) / 1e9);
    *count = best.count;
    return status;
}

static void rank_semantic(struct cx_vector *v, const struct vector__ranking *r, struct best *best)
{
    float scores[VECTOR__BLOCK_ROWS];
    const size_t end = v->index.slot_end;
    for (size_t first = 0; first < end; first += VECTOR__BLOCK_ROWS) {
        const size_t count = end - first < VECTOR__BLOCK_ROWS ? end - first : VECTOR__BLOCK_ROWS;
        scan_block(v, r, first / VECTOR__BLOCK_ROWS, count, scores);
        for (size_t i = 0; i < count; i++) {
            /* Most rows end here, before their slot is looked at. */
            if (best->count == best->most && (double)scores[i] < best->items[0].score) {
                continue;
            }
            const struct vector__slot *slot = vector__index_slot(&v->index, first + i);
            if (slot->rowid != 0 && passes(r, slot)) {
                offer(best, r, slot, scores[i], scores[i], 0);
            }
        }
    }
}

static enum cx_status rank_keyword(struct cx_vector *v, const struct vector__ranking *r,
                                   struct best *best, struct cx_err *err)
{
    (void)err;
    const double max = keyword_max(v, r);
    for (size_t i = 0; i < r->matches->count; i++) {
        const struct vector__match *match = &r->matches->items[i];
        const size_t at = vector__index_find(&v->index, match->rowid);
        if (at == VECTOR__NO_SLOT) {
            continue;
        }
        const struct vector__slot *slot = vector__index_slot(&v->index, at);
        if (passes(r, slot)) {
            const double keyword = divided(match->bm25, max);
            offer(best, r, slot, keyword, 0, keyword);
        }
    }
    return CX_OK;
}

/* Fused only when both maxima are known: the vector leg's scores of all slots are kept until then. */
static enum cx_status rank_hybrid(struct cx_vector *v, const struct vector__ranking *r,
                                  struct best *best, struct cx_err *err)
{
    const size_t end = v->index.slot_end;
    if (end == 0) {
        return CX_OK;
    }
    float *cosine = malloc(end * sizeof *cosine);
    float *keyword = calloc(end, sizeof *keyword);
    uint8_t *allowed = malloc(end);
    if (cosine == NULL || keyword == NULL || allowed == NULL) {
        free(cosine);
        free(keyword);
        free(allowed);
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    double cosine_max = 0;
    for (size_t first = 0; first < end; first += VECTOR__BLOCK_ROWS) {
        const size_t count = end - first < VECTOR__BLOCK_ROWS ? end - first : VECTOR__BLOCK_ROWS;
        scan_block(v, r, first / VECTOR__BLOCK_ROWS, count, cosine + first);
        for (size_t i = first; i < first + count; i++) {
            const struct vector__slot *slot = vector__index_slot(&v->index, i);
            allowed[i] = slot->rowid != 0 && passes(r, slot);
            if (allowed[i] && (double)cosine[i] > cosine_max) {
                cosine_max = cosine[i];
            }
        }
    }
    const double bm25_max = keyword_max(v, r);
    for (size_t i = 0; i < r->matches->count; i++) {
        const size_t at = vector__index_find(&v->index, r->matches->items[i].rowid);
        if (at != VECTOR__NO_SLOT && allowed[at]) {
            keyword[at] = (float)divided(r->matches->items[i].bm25, bm25_max);
        }
    }
    for (size_t i = 0; i < end; i++) {
        if (allowed[i]) {
            const double fused = WEIGHT_KEYWORD * (double)keyword[i] +
                                 WEIGHT_SEMANTIC * divided(cosine[i], cosine_max);
            /* A cosine below zero must not take a score out of its range of 0 to 1. */
            const double score = fused > 1 ? 1 : fused > 0 ? fused : 0;
            if (best->count < best->most || score >= best->items[0].score) {
                offer(best, r, vector__index_slot(&v->index, i), score, cosine[i], keyword[i]);
            }
        }
    }
    free(cosine);
    free(keyword);
    free(allowed);
    return CX_OK;
}

static bool passes(const struct vector__ranking *r, const struct vector__slot *slot)
{
    return r->filter->count == 0 ||
           vector__filter_facets(r->filter, slot->facets, slot->facet_count);
}

static void scan_block(const struct cx_vector *v, const struct vector__ranking *r, size_t block,
                       size_t count, float *scores)
{
    const struct vector__block *b = v->index.blocks[block];
    if (r->query == NULL) {
        memset(scores, 0, count * sizeof *scores);
        return;
    }
    const size_t stride = v->index.stride;
    if (r->filter->count == 0) {
        v->kernel.dot(r->query, b->rows, stride, count, scores);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        scores[i] = 0;
        if (passes(r, &b->slots[i])) {
            v->kernel.dot(r->query, b->rows + i * stride, stride, 1, &scores[i]);
        }
    }
}

static double keyword_max(const struct cx_vector *v, const struct vector__ranking *r)
{
    double max = 0;
    for (size_t i = 0; i < r->matches->count; i++) {
        if (r->matches->items[i].bm25 > max) {
            const size_t at = vector__index_find(&v->index, r->matches->items[i].rowid);
            if (at != VECTOR__NO_SLOT && passes(r, vector__index_slot(&v->index, at))) {
                max = r->matches->items[i].bm25;
            }
        }
    }
    return max;
}

/* A leg whose maximum is not positive counts nothing. */
static double divided(double score, double max)
{
    return max > 0 ? score / max : 0;
}

static void offer(struct best *best, const struct vector__ranking *r,
                  const struct vector__slot *slot, double score, double semantic, double keyword)
{
    if (isnan(score) || (r->has_min_score && score < r->min_score)) {
        return;
    }
    const struct vector__candidate candidate = {
        .score = score,
        .semantic = semantic,
        .keyword = keyword,
        .rowid = slot->rowid,
        .doc_id = slot->doc_id,
    };
    if (best->count < best->most) {
        size_t at = best->count++;
        while (at > 0 && is_better(&best->items[(at - 1) / 2], &candidate)) {
            best->items[at] = best->items[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        best->items[at] = candidate;
    } else if (best->most > 0 && is_better(&candidate, &best->items[0])) {
        best->items[0] = candidate;
        sift_down(best, 0);
    }
}

static bool is_better(const struct vector__candidate *a, const struct vector__candidate *b)
{
    if (a->score != b->score) {
        return a->score > b->score;
    }
    return strcmp(a->doc_id, b->doc_id) < 0;
}

static void sift_down(struct best *best, size_t at)
{
    const struct vector__candidate moved = best->items[at];
    while (true) {
        size_t child = 2 * at + 1;
        if (child >= best->count) {
            break;
        }
        if (child + 1 < best->count && is_better(&best->items[child], &best->items[child + 1])) {
            child++;
        }
        if (!is_better(&moved, &best->items[child])) {
            break;
        }
        best->items[at] = best->items[child];
        at = child;
    }
    best->items[at] = moved;
}

/* Takes the worst away again and again: what is left behind is sorted, best first. */
static void sort_best(struct best *best)
{
    const size_t count = best->count;
    while (best->count > 1) {
        best->count--;
        const struct vector__candidate worst = best->items[0];
        best->items[0] = best->items[best->count];
        best->items[best->count] = worst;
        sift_down(best, 0);
    }
    best->count = count;
}
