/* SPDX-License-Identifier: MIT
 *
 * Documents that come, change and go at random, the store closed and opened in between, and searches of
 * every mode under drawn filters: after every step the answers are those that a plain account of the
 * documents gives by brute force. Longer, and from another seed, by CORTEX_PROPERTY_ROUNDS and
 * CORTEX_PROPERTY_SEED.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drawn.h"
#include "fixture.h"
#include "naive_filter.h"
#include "vector/vector_internal.h"

#define DOCUMENTS 160
#define ROUNDS 60
#define SEARCHES 8
#define BATCH 12
#define VOCABULARY 6
#define PLACES 100
#define NEAR 1e-9

static const char *const WORDS[VOCABULARY] = { "apple", "bread", "cheese", "dough", "egg", "fig" };

struct kept {
    bool there;
    bool pending;
    char id[8];
    char content[64];
    char *metadata_text;
    json_t *metadata;
    _Alignas(VECTOR__ALIGN) float vector[VECTOR__ROW_FLOATS]; /* padded */
};
struct answer {
    const char *id;
    double score;
    double cosine;
    double bm25;
    bool pending;
};
struct world {
    struct fixture f;
    uint64_t state;
    struct kept documents[DOCUMENTS];
    struct answer answers[DOCUMENTS];
    size_t answer_count;
    size_t hits; /* of all searches */
};

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- What happens to documents ---- */

static void draw_content(struct world *w, char content[64])
{
    content[0] = '\0';
    for (uint64_t n = 1 + draw(&w->state) % 5; n > 0; n--) {
        strcat(content, WORDS[draw(&w->state) % VOCABULARY]);
        strcat(content, " ");
    }
}

static void put_some(struct world *w)
{
    struct cx_document docs[BATCH];
    const size_t count = 1 + draw(&w->state) % BATCH;
    const size_t first = draw(&w->state) % DOCUMENTS;
    const size_t step = 1 + draw(&w->state) % 7;
    for (size_t i = 0; i < count; i++) {
        struct kept *k = &w->documents[(first + i * step) % DOCUMENTS];
        if (!k->there || draw(&w->state) % 2 == 0) {
            draw_content(w, k->content);
        }
        if (!k->there || draw(&w->state) % 3 > 0) {
            json_decref(k->metadata);
            free(k->metadata_text);
            k->metadata = draw_metadata(&w->state);
            k->metadata_text = json_dumps(k->metadata, JSON_COMPACT);
        }
        k->there = true;
        k->pending = draw(&w->state) % 12 == 0;
        memset(k->vector, 0, sizeof k->vector);
        docs[i] = document(k->id, k->content, k->metadata_text, NULL);
        docs[i].pending = k->pending;
        if (!k->pending) {
            /* Few of them: scores that are equal are the hard part. */
            uint64_t few = draw(&w->state) % 40;
            draw_unit(draw(&w->state) % 2 == 0 ? &few : &w->state, k->vector, DIMENSION);
            docs[i].vector = k->vector;
        }
    }
    struct cx_vector_put figures;
    struct cx_err err = { "" };
    const enum cx_status status = cx_vector_put(w->f.v, w->f.db, docs, count, &figures, &err);
    (void)test_expect(status == CX_OK, __FILE__, __LINE__, "put: %s", err.text);
}

/* A vector that was there stays where the content does. */
static void keep_old_vectors(struct world *w, const struct kept *before)
{
    for (size_t i = 0; i < DOCUMENTS; i++) {
        struct kept *k = &w->documents[i];
        if (k->there && k->pending && before[i].there && !before[i].pending &&
            strcmp(k->content, before[i].content) == 0) {
            k->pending = false;
            memcpy(k->vector, before[i].vector, sizeof k->vector);
        }
    }
}

static void delete_some(struct world *w)
{
    struct cx_str ids[BATCH];
    const size_t count = 1 + draw(&w->state) % BATCH;
    size_t want = 0;
    for (size_t i = 0; i < count; i++) {
        struct kept *k = &w->documents[(draw(&w->state) % DOCUMENTS)];
        ids[i] = cx_str_of(k->id);
        want += k->there ? 1 : 0;
        k->there = false;
    }
    size_t deleted = 0;
    struct cx_err err = { "" };
    EXPECT_INT(cx_vector_delete(w->f.v, w->f.db, ids, count, &deleted, &err), CX_OK);
    EXPECT_INT(deleted, want);
}

static struct cx_vector_filter *parsed(const json_t *json)
{
    json_t *loc = json_array();
    struct cx_faults faults;
    struct cx_vector_filter *filter = NULL;
    cx_faults_init(&faults);
    EXPECT(cx_vector_filter_parse(json, loc, &faults, &filter));
    json_decref(loc);
    return filter;
}

/* Few at a time: a filter may mean nearly all. */
static void delete_matching(struct world *w)
{
    json_t *json = draw_filter(&w->state, 2);
    size_t want = 0;
    for (size_t i = 0; i < DOCUMENTS; i++) {
        const struct kept *k = &w->documents[i];
        want += k->there && naive_filter(json, k->metadata) ? 1 : 0;
    }
    if (want > 0 && want < DOCUMENTS / 8) {
        struct cx_vector_filter *filter = parsed(json);
        struct cx_vector_delete progress = { .doc_ids = json_array(), .more = true };
        struct cx_err err = { "" };
        while (progress.more) {
            REQUIRE(cx_vector_delete_matching(w->f.v, w->f.db, filter, &progress, &err) == CX_OK);
        }
        EXPECT_INT(progress.deleted, want);
        EXPECT_INT(json_array_size(progress.doc_ids), want);
        for (size_t i = 0; i < DOCUMENTS; i++) {
            struct kept *k = &w->documents[i];
            k->there = k->there && !naive_filter(json, k->metadata);
        }
        json_decref(progress.doc_ids);
        cx_vector_filter_free(&filter);
    }
    json_decref(json);
}

static void reopen(struct world *w)
{
    fixture_close(&w->f);
    REQUIRE(fixture_open(&w->f));
}

/* ---- What a search ought to say ---- */

/* FTS5's own bm25 of every document. */
static void ask_bm25(struct world *w, const char *match, double bm25[DOCUMENTS])
{
    struct cx_stmt *s = NULL;
    struct cx_err err = { "" };
    memset(bm25, 0, DOCUMENTS * sizeof *bm25);
    REQUIRE(cx_db_prepare(w->f.db,
                          "SELECT d.doc_id, -rank FROM documents_fts JOIN documents d"
                          " ON d.id = documents_fts.rowid WHERE documents_fts MATCH ?1",
                          &s, &err) == CX_OK);
    cx_stmt_bind_text(s, 1, cx_str_of(match));
    bool row = false;
    while (cx_stmt_step(s, &row, &err) == CX_OK && row) {
        bm25[strtoul(cx_stmt_text(s, 0).p + 1, NULL, 10)] = cx_stmt_real(s, 1);
    }
}

static int by_score(const void *a, const void *b)
{
    const struct answer *x = a;
    const struct answer *y = b;
    return x->score > y->score ? -1 : x->score < y->score ? 1 : strcmp(x->id, y->id);
}

static int by_cosine(const void *a, const void *b)
{
    const struct answer *x = a;
    const struct answer *y = b;
    if (x->pending != y->pending) {
        return x->pending ? 1 : -1;
    }
    return x->cosine > y->cosine ? -1 : x->cosine < y->cosine ? 1 : strcmp(x->id, y->id);
}

static struct answer *answer_of(struct world *w, const char *id)
{
    for (size_t i = 0; i < w->answer_count; i++) {
        if (strcmp(w->answers[i].id, id) == 0) {
            return &w->answers[i];
        }
    }
    return NULL;
}

/* bm25 of two documents may differ in its last bit only, and a place is worth more than that: the places
 * by words are those that a search by words tells, which is held to its own scores. */
static void score_by_places(struct world *w, const struct cx_search *search)
{
    qsort(w->answers, w->answer_count, sizeof *w->answers, by_cosine);
    for (size_t i = 0; i < w->answer_count && i < PLACES && !w->answers[i].pending; i++) {
        w->answers[i].score += 1 / (61.0 + (double)i);
    }
    struct cx_search by_words = *search;
    by_words.mode = CX_SEARCH_KEYWORD;
    by_words.top_k = PLACES;
    by_words.has_min_score = false;
    json_t *hits = search_hits(&w->f, &by_words);
    for (size_t i = 0; i < json_array_size(hits); i++) {
        const json_t *hit = json_array_get(hits, i);
        answer_of(w, json_string_value(json_object_get(hit, "doc_id")))->score +=
            1 / (61.0 + (double)i);
    }
    json_decref(hits);
}

static void score_by_weight(struct world *w, enum cx_search_mode mode)
{
    double cosine_max = 0;
    double bm25_max = 0;
    for (size_t i = 0; i < w->answer_count; i++) {
        cosine_max = fmax(cosine_max, w->answers[i].cosine);
        bm25_max = fmax(bm25_max, w->answers[i].bm25);
    }
    for (size_t i = 0; i < w->answer_count; i++) {
        struct answer *a = &w->answers[i];
        const double keyword = bm25_max > 0 ? a->bm25 / bm25_max : 0;
        const double cosine = cosine_max > 0 ? a->cosine / cosine_max : 0;
        a->score = mode == CX_SEARCH_SEMANTIC  ? a->cosine
                   : mode == CX_SEARCH_KEYWORD ? keyword
                                               : fmin(1, fmax(0, 0.6 * keyword + 0.4 * cosine));
    }
}

/* All that pass, with their scores, best first. */
static void expect_by_hand(struct world *w, const struct cx_search *search, const char *match,
                           const json_t *filter)
{
    static double bm25[DOCUMENTS];
    const struct vector__kernel kernel = vector__kernel_best();
    ask_bm25(w, match, bm25);
    w->answer_count = 0;
    for (size_t i = 0; i < DOCUMENTS; i++) {
        const struct kept *k = &w->documents[i];
        if (!k->there || !naive_filter(filter, k->metadata) ||
            (search->mode == CX_SEARCH_SEMANTIC && k->pending) ||
            (search->mode == CX_SEARCH_KEYWORD && bm25[i] <= 0)) {
            continue;
        }
        float cosine = 0;
        if (!k->pending && search->mode != CX_SEARCH_KEYWORD) {
            kernel.dot(search->vector, k->vector, VECTOR__ROW_FLOATS, 1, &cosine);
        }
        w->answers[w->answer_count++] =
            (struct answer){ k->id, 0, (double)cosine, bm25[i], k->pending };
    }
    if (search->mode == CX_SEARCH_HYBRID && search->fusion == CX_FUSION_RRF) {
        score_by_places(w, search);
    } else {
        score_by_weight(w, search->mode);
    }
    qsort(w->answers, w->answer_count, sizeof *w->answers, by_score);
    while (search->has_min_score && w->answer_count > 0 &&
           w->answers[w->answer_count - 1].score < search->min_score) {
        w->answer_count--;
    }
}

static bool expect_hits(struct world *w, const struct cx_search *search, const json_t *filter)
{
    json_t *hits = search_hits(&w->f, search);
    const size_t want = w->answer_count < search->top_k ? w->answer_count : search->top_k;
    bool same = json_array_size(hits) == want;
    for (size_t i = 0; i < want && same; i++) {
        const json_t *hit = json_array_get(hits, i);
        const double score = json_real_value(json_object_get(hit, "score"));
        const char *id = json_string_value(json_object_get(hit, "doc_id"));
        const struct answer *own = answer_of(w, id);
        same = own != NULL && fabs(score - w->answers[i].score) < NEAR &&
               fabs(score - own->score) < NEAR &&
               naive_filter(filter, json_object_get(hit, "metadata"));
    }
    if (!same) {
        char *text = json_dumps(filter, 0);
        char *found = json_dumps(hits, 0);
        (void)test_expect(false, __FILE__, __LINE__,
                          "mode %d, fusion %d, top %zu, filter %s: want %zu hits, found %.2000s",
                          (int)search->mode, (int)search->fusion, search->top_k, text, want, found);
        free(text);
        free(found);
    }
    w->hits += want;
    json_decref(hits);
    return same;
}

static bool search_some(struct world *w)
{
    _Alignas(VECTOR__ALIGN) float query[VECTOR__ROW_FLOATS] = { 0 };
    char text[64];
    char match[64];
    const char *one = WORDS[draw(&w->state) % VOCABULARY];
    const char *two = WORDS[draw(&w->state) % VOCABULARY];
    snprintf(text, sizeof text, "the %s, or %s?", one, two);
    snprintf(match, sizeof match, "\"%s\" OR \"%s\"", one, two);
    uint64_t few = draw(&w->state) % 40;
    draw_unit(draw(&w->state) % 2 == 0 ? &few : &w->state, query, DIMENSION);
    json_t *json = draw(&w->state) % 4 > 0 ? draw_filter(&w->state, 3) : json_object();
    struct cx_vector_filter *filter = parsed(json);
    const uint64_t mode = draw(&w->state) % 4;
    const struct cx_search search = {
        .query = cx_str_of(text),
        .vector = query,
        .dimension = DIMENSION,
        .top_k = 1 + draw(&w->state) % (draw(&w->state) % 4 == 0 ? 100 : 10),
        .mode = mode < 3 ? (enum cx_search_mode)mode : CX_SEARCH_HYBRID,
        .fusion = mode == 3 ? CX_FUSION_RRF : CX_FUSION_WEIGHTED,
        .has_min_score = draw(&w->state) % 5 == 0,
        /* Between scores that occur. */
        .min_score = ((double)(draw(&w->state) % 1000) + 0.123456789) / (mode == 3 ? 30000 : 1000),
        .filter = filter,
    };
    expect_by_hand(w, &search, match, json);
    const bool same = expect_hits(w, &search, json);
    cx_vector_filter_free(&filter);
    json_decref(json);
    return same;
}

static bool step(struct world *w)
{
    static struct kept before[DOCUMENTS];
    memcpy(before, w->documents, sizeof before);
    const uint64_t what = draw(&w->state) % 12;
    if (what < 7) {
        put_some(w);
        keep_old_vectors(w, before);
    } else if (what < 9) {
        delete_some(w);
    } else if (what < 11) {
        delete_matching(w);
    } else {
        reopen(w);
    }
    bool same = true;
    for (int i = 0; i < SEARCHES && same; i++) {
        same = search_some(w);
    }
    return same;
}

TEST(searches_of_a_changing_store_are_brute_force)
{
    const uint64_t seed = setting("CORTEX_PROPERTY_SEED", 1);
    const uint64_t rounds = setting("CORTEX_PROPERTY_ROUNDS", ROUNDS);
    struct world *w = aligned_alloc(VECTOR__ALIGN, (sizeof *w + 63) / 64 * 64);
    memset(w, 0, sizeof *w);
    w->state = seed;
    REQUIRE(fixture_open(&w->f));
    for (size_t i = 0; i < DOCUMENTS; i++) {
        snprintf(w->documents[i].id, sizeof w->documents[i].id, "d%03zu", i);
    }
    bool same = true;
    uint64_t round = 0;
    while (round < rounds && same) {
        same = step(w);
        round++;
    }
    (void)test_expect(same, __FILE__, __LINE__, "seed %llu, round %llu", (unsigned long long)seed,
                      (unsigned long long)round);
    EXPECT(w->hits > rounds * 5);
    fixture_close(&w->f);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        json_decref(w->documents[i].metadata);
        free(w->documents[i].metadata_text);
    }
    free(w);
}
