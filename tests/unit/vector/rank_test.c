/* SPDX-License-Identifier: MIT
 *
 * Ranking against brute force, bit for bit: the same documents in the same order with the same
 * scores, under every kernel, in every mode, over data that is made to mislead a bound.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"
#include "fixture.h"
#include "vector/rank.h"

#define ROWS 2500 /* more than two blocks */
#define MOST 60

enum data {
    RANDOM,
    EQUAL,      /* a handful of vectors, many times each */
    NEAR_TIES,  /* one vector, its numbers moved by single steps of float32 */
    STEEP,      /* numbers from 1 down to 1e-30 in one vector */
    OPPOSITE,   /* all cosines below zero */
    MANY_ZEROS, /* mostly vectors of no length */
    RISING,     /* each row better than the one before: the floor always comes too late */
    DATA_KINDS
};

static void unit(float *x, unsigned dimension)
{
    double sum = 0;
    for (unsigned i = 0; i < dimension; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    for (unsigned i = 0; i < dimension && sum > 0; i++) {
        x[i] = (float)((double)x[i] / sqrt(sum));
    }
}

static void draw_row(uint64_t *state, enum data data, const float *query, size_t at, float *out,
                     unsigned dimension)
{
    switch (data) {
    case RANDOM:
    case DATA_KINDS:
        draw_unit(state, out, dimension);
        return;
    case EQUAL: {
        uint64_t few = 1000 + draw(state) % 5;
        draw_unit(&few, out, dimension);
        return;
    }
    case NEAR_TIES:
        memcpy(out, query, dimension * sizeof *out);
        for (unsigned i = 0; i < dimension; i++) {
            const uint64_t step = draw(state) % 3;
            out[i] = step == 0 ? out[i] : nextafterf(out[i], step == 1 ? 2 : -2);
        }
        return;
    case STEEP:
        for (unsigned i = 0; i < dimension; i++) {
            out[i] = (float)pow(10, -(double)(draw(state) % 31)) * (draw(state) % 2 ? 1 : -1);
        }
        unit(out, dimension);
        return;
    case OPPOSITE:
        draw_unit(state, out, dimension);
        for (unsigned i = 0; i < dimension; i++) {
            out[i] = 0.3F * out[i] - query[i];
        }
        unit(out, dimension);
        return;
    case MANY_ZEROS:
        memset(out, 0, dimension * sizeof *out);
        if (draw(state) % 20 == 0) {
            draw_unit(state, out, dimension);
        }
        return;
    case RISING:
        draw_unit(state, out, dimension);
        for (unsigned i = 0; i < dimension; i++) {
            out[i] += query[i] * (float)at / ROWS * 4;
        }
        unit(out, dimension);
        return;
    }
}

/* An index without a database. */
struct world {
    struct cx_vector v;
    unsigned dimension;
    float *query;                     /* padded */
    int labels[ROWS];                 /* of the document in each slot; -1 = none */
    struct vector__keywords keywords; /* found by FTS5, as it were */
    uint64_t state;
};

static void world_init(struct world *w, unsigned dimension, enum data data)
{
    *w = (struct world){ .dimension = dimension, .state = dimension * 100 + (unsigned)data };
    w->v.scan_seconds = cx_metrics_series(CX_M_VECTOR_SCAN, "");
    w->v.owner = CX_OWNER_EMBEDDER;
    vector__index_init(&w->v.index);
    if (dimension % 2 == 0) {     /* else all rows stay in memory */
        static char beside[4096]; /* borrowed */
        snprintf(beside, sizeof beside, "%s/rank.db", test_dir());
        vector__index_use_file(&w->v.index, beside);
    }
    vector__index_set_dimension(&w->v.index, dimension);
    w->query = aligned_alloc(VECTOR__ALIGN, w->v.index.stride * sizeof *w->query);
    memset(w->query, 0, w->v.index.stride * sizeof *w->query);
    draw_unit(&w->state, w->query, dimension);
    struct cx_err err = { "" };
    REQUIRE(vector__index_reserve(&w->v.index, ROWS, &err) == CX_OK);
    CX_CHECK(pthread_rwlock_wrlock(&w->v.index.lock) == 0);
    for (size_t i = 0; i < ROWS; i++) {
        char id[32];
        snprintf(id, sizeof id, "%04llx-%zu", (unsigned long long)(draw(&w->state) % 65536), i);
        struct vector__entry entry = { .rowid = (int64_t)i + 1, .doc_id = cx_strdup(id) };
        entry.pending = draw(&w->state) % 40 == 0;
        if (!entry.pending) {
            entry.vector = cx_alloc(dimension * sizeof *entry.vector);
            draw_row(&w->state, data, w->query, i, entry.vector, dimension);
        }
        w->labels[i] = -1;
        if (draw(&w->state) % 4 == 0) {
            w->labels[i] = (int)(draw(&w->state) % 16);
            entry.metadata = json_pack("{s:i}", "label", w->labels[i]);
        }
        vector__index_set(&w->v.index, &entry);
    }
    CX_CHECK(pthread_rwlock_unlock(&w->v.index.lock) == 0);
    vector__index_flush(&w->v.index);
    CX_CHECK(pthread_rwlock_wrlock(&w->v.index.lock) == 0);
    for (size_t i = 0; i < ROWS / 10; i++) {
        vector__index_remove(&w->v.index, (int64_t)(1 + draw(&w->state) % ROWS));
    }
    CX_CHECK(pthread_rwlock_unlock(&w->v.index.lock) == 0);
}

static void world_free(struct world *w)
{
    vector__index_free(&w->v.index);
    free(w->query);
    vector__keywords_free(&w->keywords);
}

/* One in `rarity` documents matches; some of the matches are of documents that are gone. */
static void draw_matches(struct world *w, uint64_t rarity)
{
    struct vector__keywords *k = &w->keywords;
    k->by_fts5 = true;
    k->found_count = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (draw(&w->state) % rarity != 0) {
            continue;
        }
        if (k->found_count == k->found_cap) {
            k->found_cap = k->found_cap * 2 + 64;
            k->found = cx_realloc_array(k->found, k->found_cap, sizeof *k->found);
        }
        /* Few different values: many ties. */
        const double bm25 = (double)(1 + draw(&w->state) % 7) * 1.37;
        k->found[k->found_count++] = (struct vector__found){ (int64_t)i + 1, bm25 };
    }
}

static int compare_candidates(const void *a, const void *b)
{
    const struct vector__candidate *x = a;
    const struct vector__candidate *y = b;
    return x->score > y->score ? -1 : x->score < y->score ? 1 : strcmp(x->doc_id, y->doc_id);
}

/* Scores every document of a label of at least `least` by the formula. */
static size_t brute_force(const struct world *w, const struct vector__ranking *r, int least,
                          struct vector__candidate *out)
{
    const struct vector__index *index = &w->v.index;
    double *bm25 = calloc(ROWS, sizeof *bm25);
    double *cosine = calloc(ROWS, sizeof *cosine);
    bool *allowed = calloc(ROWS, sizeof *allowed);
    float *row = aligned_alloc(VECTOR__ALIGN, index->stride * sizeof *row);
    double bm25_max = 0;
    double cosine_max = 0;
    for (size_t i = 0; i < r->keywords->found_count; i++) {
        const size_t at = vector__index_find(index, r->keywords->found[i].rowid);
        if (at != VECTOR__NO_SLOT) {
            bm25[at] = r->keywords->found[i].bm25;
        }
    }
    for (size_t i = 0; i < index->slot_end; i++) {
        const struct vector__slot *slot = vector__index_slot(index, i);
        allowed[i] = slot->rowid != 0 && w->labels[i] >= least;
        float dot = 0;
        if (allowed[i] && !slot->pending) {
            CX_CHECK(vector__index_read(index, i, row));
            w->v.kernel.dot(r->query, row, index->stride, 1, &dot);
        }
        cosine[i] = dot;
        if (allowed[i]) {
            bm25_max = fmax(bm25_max, bm25[i]);
            cosine_max = fmax(cosine_max, cosine[i]);
        }
    }
    size_t count = 0;
    for (size_t i = 0; i < index->slot_end; i++) {
        const struct vector__slot *slot = vector__index_slot(index, i);
        const double keyword = bm25_max > 0 ? bm25[i] / bm25_max : 0;
        double score = cosine[i];
        if (r->mode == CX_SEARCH_KEYWORD) {
            score = keyword;
        } else if (r->mode == CX_SEARCH_HYBRID) {
            score = 0.6 * keyword + 0.4 * (cosine_max > 0 ? cosine[i] / cosine_max : 0);
            score = fmin(1, fmax(0, score));
        }
        const bool known = r->mode == CX_SEARCH_HYBRID ||
                           (r->mode == CX_SEARCH_KEYWORD ? bm25[i] > 0 : !slot->pending);
        if (allowed[i] && known && !(r->has_min_score && score < r->min_score)) {
            out[count++] = (struct vector__candidate){
                .score = score,
                .semantic = r->mode == CX_SEARCH_KEYWORD ? 0 : cosine[i],
                .keyword = r->mode == CX_SEARCH_SEMANTIC ? 0 : keyword,
                .pending = slot->pending,
                .rowid = slot->rowid,
                .doc_id = vector__index_id(index, i),
            };
        }
    }
    free(bm25);
    free(cosine);
    free(allowed);
    free(row);
    qsort(out, count, sizeof *out, compare_candidates);
    return count;
}

/* places: by rowid; SIZE_MAX = in no place. */
static void find_places(const struct vector__candidate *leg, size_t count, size_t *places)
{
    for (size_t i = 0; i <= ROWS; i++) {
        places[i] = SIZE_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        places[leg[i].rowid] = i;
    }
}

static double share_of(size_t place, size_t window)
{
    return place < window ? 1 / (60.0 + (double)place + 1) : 0;
}

/* By the places of every document in the two legs. */
static size_t brute_force_places(const struct world *w, const struct vector__ranking *r, int least,
                                 struct vector__candidate *out)
{
    static struct vector__candidate legs[2][ROWS];
    static size_t places[2][ROWS + 1];
    struct vector__ranking leg = *r;
    leg.has_min_score = false;
    leg.mode = CX_SEARCH_SEMANTIC;
    const size_t by_cosine = brute_force(w, &leg, least, legs[0]);
    leg.mode = CX_SEARCH_KEYWORD;
    const size_t by_keyword = brute_force(w, &leg, least, legs[1]);
    find_places(legs[0], by_cosine, places[0]);
    find_places(legs[1], by_keyword, places[1]);
    leg.mode = CX_SEARCH_HYBRID; /* for all documents */
    const size_t all = brute_force(w, &leg, least, out);
    size_t count = 0;
    for (size_t i = 0; i < all; i++) {
        struct vector__candidate one = out[i];
        const size_t b = places[1][one.rowid];
        one.score = share_of(places[0][one.rowid], r->window) + share_of(b, r->window);
        one.keyword = b < by_keyword ? legs[1][b].score : 0;
        /* What is in no leg is there where too few are. */
        if ((one.score > 0 || by_cosine < r->window) &&
            !(r->has_min_score && one.score < r->min_score)) {
            out[count++] = one;
        }
    }
    qsort(out, count, sizeof *out, compare_candidates);
    return count;
}

static void expect_same(struct world *w, const struct vector__ranking *r, int least,
                        const size_t *mosts, size_t most_count, const char *what)
{
    static struct vector__candidate truth[ROWS];
    static struct vector__candidate found[ROWS];
    const size_t all = r->mode == CX_SEARCH_HYBRID && r->fusion == CX_FUSION_RRF
                           ? brute_force_places(w, r, least, truth)
                           : brute_force(w, r, least, truth);
    for (size_t m = 0; m < most_count; m++) {
        const size_t true_count = all < mosts[m] ? all : mosts[m];
        size_t count = 0;
        struct cx_err err = { "" };
        REQUIRE(vector__rank(&w->v, r, mosts[m], found, &count, &err) == CX_OK);
        EXPECT_INT(count, true_count);
        for (size_t i = 0; i < count && i < true_count; i++) {
            const bool same =
                found[i].rowid == truth[i].rowid && found[i].score == truth[i].score &&
                found[i].semantic == truth[i].semantic && found[i].keyword == truth[i].keyword &&
                found[i].pending == truth[i].pending;
            if (!test_expect(same, __FILE__, __LINE__,
                             "%s, mode %d, %u dimensions, kernel %s, place %zu: %lld with %.17g "
                             "instead of %lld with %.17g",
                             what, (int)r->mode, w->dimension, w->v.kernel.name, i,
                             (long long)found[i].rowid, found[i].score, (long long)truth[i].rowid,
                             truth[i].score)) {
                return;
            }
        }
    }
}

static void expect_every_mode(struct world *w, const char *what)
{
    /* Every document; many; so few that they are listed. */
    static const char *const FILTERS[] = { "{}", "{\"label\":{\"$gte\":4}}", "{\"label\":15}" };
    static const int LEAST[] = { -1, 4, 15 };
    static const size_t MOSTS[] = { 1, 10, MOST };
    for (size_t f = 0; f < CX_ARRAY_LEN(FILTERS); f++) {
        json_t *json = NULL;
        struct cx_vector_filter *filter = NULL;
        REQUIRE(filter_parse(FILTERS[f], &json, &filter));
        for (int mode = CX_SEARCH_SEMANTIC; mode <= CX_SEARCH_HYBRID; mode++) {
            struct vector__ranking r = { .mode = (enum cx_search_mode)mode,
                                         .query = w->query,
                                         .dimension = w->dimension,
                                         .window = 100,
                                         .keywords = &w->keywords,
                                         .filter = filter };
            expect_same(w, &r, LEAST[f], MOSTS, CX_ARRAY_LEN(MOSTS), what);
            r.has_min_score = true;
            r.min_score = (double)(draw(&w->state) % 100) / 100;
            expect_same(w, &r, LEAST[f], MOSTS, CX_ARRAY_LEN(MOSTS), what);
            if (mode == CX_SEARCH_HYBRID) {
                r.fusion = CX_FUSION_RRF;
                r.min_score /= 50;
                expect_same(w, &r, LEAST[f], MOSTS, CX_ARRAY_LEN(MOSTS), what);
                r.has_min_score = false;
                expect_same(w, &r, LEAST[f], MOSTS, CX_ARRAY_LEN(MOSTS), what);
            }
        }
        cx_vector_filter_free(&filter);
        json_decref(json);
    }
}

TEST(ranking_is_brute_force)
{
    static const unsigned DIMENSIONS[] = { 1, 3, 17, 64, 100, 385 };
    static const char *const NAMES[] = { "random",   "equal",      "near ties", "steep",
                                         "opposite", "many zeros", "rising" };
    struct vector__kernel kernels[VECTOR__KERNELS_MAX];
    const size_t kernel_count = vector__kernels(kernels);
    for (size_t d = 0; d < CX_ARRAY_LEN(DIMENSIONS); d++) {
        for (int data = 0; data < DATA_KINDS; data++) {
            struct world w;
            world_init(&w, DIMENSIONS[d], (enum data)data);
            for (size_t k = 0; k < kernel_count; k++) {
                w.v.kernel = kernels[k];
                static const uint64_t RARITIES[] = { 2, 100, 1000000 };
                draw_matches(&w, RARITIES[k % 3]);
                expect_every_mode(&w, NAMES[data]);
                draw_unit(&w.state, w.query, w.dimension);
                draw_matches(&w, RARITIES[(k + 1) % 3]);
                expect_every_mode(&w, NAMES[data]);
            }
            world_free(&w);
        }
    }
}

TEST(ranking_all_of_them)
{
    struct world w;
    world_init(&w, 48, RANDOM);
    w.v.kernel = vector__kernel_best();
    draw_matches(&w, 3);
    for (int mode = CX_SEARCH_SEMANTIC; mode <= CX_SEARCH_HYBRID; mode++) {
        const struct vector__ranking r = { .mode = (enum cx_search_mode)mode,
                                           .query = w.query,
                                           .dimension = w.dimension,
                                           .keywords = &w.keywords };
        const size_t most = ROWS;
        expect_same(&w, &r, -1, &most, 1, "all");
    }
    world_free(&w);
}

/* A query of no length: every cosine is 0, and the ids decide. */
TEST(ranking_by_nothing)
{
    struct world w;
    world_init(&w, 20, RANDOM);
    memset(w.query, 0, w.v.index.stride * sizeof *w.query);
    struct vector__kernel kernels[VECTOR__KERNELS_MAX];
    const size_t kernel_count = vector__kernels(kernels);
    for (size_t k = 0; k < kernel_count; k++) {
        w.v.kernel = kernels[k];
        expect_every_mode(&w, "nothing");
    }
    world_free(&w);
}
