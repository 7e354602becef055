/* SPDX-License-Identifier: MIT
 *
 * Search: every mode against a reference that scores each document by hand, ties, shapes, filters,
 * the empty store, vectors of no length.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define DOCUMENTS 2500
#define VOCABULARY 12

static const char *const WORDS[VOCABULARY] = {
    "apple", "bread", "cheese", "dough", "egg",  "fig",
    "grape", "honey", "iris",   "jam",   "kiwi", "lemon"
};

struct expected {
    char id[16];
    double score;
};
struct reference {
    float vectors[DOCUMENTS][DIMENSION];
    char content[DOCUMENTS][128];
    char metadata[DOCUMENTS][64];
    char ids[DOCUMENTS][16];
    double bm25[DOCUMENTS];
    struct expected expected[DOCUMENTS];
    size_t count;
};

static void fill(struct fixture *f, struct reference *r)
{
    uint64_t state = 42;
    struct cx_document *docs = calloc(DOCUMENTS, sizeof *docs);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        snprintf(r->ids[i], sizeof r->ids[i], "d%04zu", (i * 7919) % DOCUMENTS);
        snprintf(r->metadata[i], sizeof r->metadata[i], "{\"group\":%zu,\"tags\":[\"t%zu\"]}",
                 i % 50, i % 3);
        draw_unit(&state, r->vectors[i], DIMENSION);
        for (uint64_t n = 1 + draw(&state) % 12; n > 0; n--) {
            const size_t len = strlen(r->content[i]);
            snprintf(r->content[i] + len, sizeof r->content[i] - len, "%s ",
                     WORDS[draw(&state) % VOCABULARY]);
        }
        docs[i] = document(r->ids[i], r->content[i], r->metadata[i], r->vectors[i]);
    }
    struct cx_vector_put figures;
    REQUIRE(put(f, docs, DOCUMENTS, &figures) == CX_OK);
    EXPECT_INT(figures.indexed, DOCUMENTS);
    free(docs);
}

/* FTS5's own words for every document, by a statement that has nothing in common with the store's. */
static void ask_bm25(struct fixture *f, struct reference *r, const char *match)
{
    memset(r->bm25, 0, sizeof r->bm25);
    struct cx_stmt *s = NULL;
    struct cx_err err = { "" };
    REQUIRE(cx_db_prepare(f->db,
                          "SELECT d.doc_id, -rank FROM documents_fts JOIN documents d"
                          " ON d.id = documents_fts.rowid WHERE documents_fts MATCH ?1",
                          &s, &err) == CX_OK);
    cx_stmt_bind_text(s, 1, cx_str_of(match));
    bool row = false;
    while (cx_stmt_step(s, &row, &err) == CX_OK && row) {
        const struct cx_str id = cx_stmt_text(s, 0);
        for (size_t i = 0; i < DOCUMENTS; i++) {
            if (cx_str_eq(id, cx_str_of(r->ids[i]))) {
                r->bm25[i] = cx_stmt_real(s, 1);
            }
        }
    }
}

static int compare_expected(const void *a, const void *b)
{
    const struct expected *x = a;
    const struct expected *y = b;
    return x->score > y->score ? -1 : x->score < y->score ? 1 : strcmp(x->id, y->id);
}

/* group: only documents of it; -1 = all. */
static void expect_by_hand(struct reference *r, const float *query, enum cx_search_mode mode,
                           int group)
{
    double cosine_max = 0;
    double bm25_max = 0;
    double *cosine = calloc(DOCUMENTS, sizeof *cosine);
    r->count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < DOCUMENTS; i++) {
            if (group >= 0 && i % 50 != (size_t)group) {
                continue;
            }
            cosine[i] = 0;
            for (size_t j = 0; j < DIMENSION; j++) {
                cosine[i] += (double)r->vectors[i][j] * (double)query[j];
            }
            if (pass == 0) {
                cosine_max = fmax(cosine_max, cosine[i]);
                bm25_max = fmax(bm25_max, r->bm25[i]);
                continue;
            }
            const double keyword = bm25_max > 0 ? r->bm25[i] / bm25_max : 0;
            double score = cosine[i];
            if (mode == CX_SEARCH_KEYWORD) {
                score = keyword;
            } else if (mode == CX_SEARCH_HYBRID) {
                score = 0.6 * keyword + 0.4 * cosine[i] / cosine_max;
                score = score < 0 ? 0 : score;
            }
            if (mode != CX_SEARCH_KEYWORD || r->bm25[i] > 0) {
                struct expected *e = &r->expected[r->count++];
                memcpy(e->id, r->ids[i], sizeof e->id);
                e->score = score;
            }
        }
    }
    free(cosine);
    qsort(r->expected, r->count, sizeof *r->expected, compare_expected);
}

static void expect_hits(const struct reference *r, const json_t *hits, size_t top_k)
{
    const size_t want = r->count < top_k ? r->count : top_k;
    EXPECT_INT(json_array_size(hits), want);
    for (size_t i = 0; i < json_array_size(hits) && i < want; i++) {
        const json_t *hit = json_array_get(hits, i);
        const double score = json_real_value(json_object_get(hit, "score"));
        (void)test_expect(fabs(score - r->expected[i].score) < 1e-6, __FILE__, __LINE__,
                          "hit %zu: score %.9f instead of %.9f", i, score, r->expected[i].score);
        /* Rounding may swap neighbours that are as good as equal. */
        const bool near =
            (i > 0 && r->expected[i - 1].score - r->expected[i].score < 1e-6) ||
            (i + 1 < r->count && r->expected[i].score - r->expected[i + 1].score < 1e-6);
        if (!near) {
            EXPECT_STR(json_string_value(json_object_get(hit, "doc_id")), r->expected[i].id);
        }
    }
}

TEST(every_mode_is_exact)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    struct reference *r = calloc(1, sizeof *r);
    fill(&f, r);
    uint64_t state = 99;
    static const enum cx_search_mode MODES[] = { CX_SEARCH_SEMANTIC, CX_SEARCH_KEYWORD,
                                                 CX_SEARCH_HYBRID };
    for (int q = 0; q < 10; q++) {
        float query[DIMENSION];
        draw_unit(&state, query, DIMENSION);
        char text[128];
        char match[128];
        const char *one = WORDS[draw(&state) % VOCABULARY];
        const char *two = WORDS[draw(&state) % VOCABULARY];
        snprintf(text, sizeof text, "the %s, or %s?", one, two);
        snprintf(match, sizeof match, "\"%s\" OR \"%s\"", one, two);
        ask_bm25(&f, r, match);
        for (size_t m = 0; m < CX_ARRAY_LEN(MODES); m++) {
            for (int group = -1; group <= 49; group += 25) {
                char only[32];
                snprintf(only, sizeof only, "{\"group\":%d}", group);
                const struct cx_search search = {
                    .query = cx_str_of(text),
                    .vector = query,
                    .dimension = DIMENSION,
                    .top_k = 40,
                    .mode = MODES[m],
                    .filter = group >= 0 ? filter(&f, only) : NULL,
                };
                expect_by_hand(r, query, MODES[m], group);
                json_t *hits = search_hits(&f, &search);
                expect_hits(r, hits, search.top_k);
                json_decref(hits);
            }
        }
    }
    free(r);
    fixture_close(&f);
}

TEST(search_after_changes_is_exact)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    struct reference *r = calloc(1, sizeof *r);
    fill(&f, r);
    /* Every third document goes, and comes back under the same id with another vector. */
    uint64_t state = 5;
    struct cx_err err = { "" };
    for (size_t i = 0; i < DOCUMENTS; i += 3) {
        const struct cx_str id = cx_str_of(r->ids[i]);
        size_t deleted = 0;
        REQUIRE(cx_vector_delete(f.v, f.db, &id, 1, &deleted, &err) == CX_OK);
        EXPECT_INT(deleted, 1);
        if (i % 2 == 0) {
            continue;
        }
    }
    for (size_t i = 0; i < DOCUMENTS; i += 3) {
        draw_unit(&state, r->vectors[i], DIMENSION);
        REQUIRE(put_one(&f, r->ids[i], r->content[i], r->metadata[i], r->vectors[i]));
    }
    float query[DIMENSION];
    draw_unit(&state, query, DIMENSION);
    ask_bm25(&f, r, "\"honey\"");
    const struct cx_search search = { .query = CX_STR("honey"),
                                      .vector = query,
                                      .dimension = DIMENSION,
                                      .top_k = 100,
                                      .mode = CX_SEARCH_HYBRID };
    expect_by_hand(r, query, CX_SEARCH_HYBRID, -1);
    json_t *hits = search_hits(&f, &search);
    expect_hits(r, hits, search.top_k);
    json_decref(hits);
    free(r);
    fixture_close(&f);
}

TEST(ties_go_by_id)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const float x[DIMENSION] = { 1 };
    static const char *const IDS[] = { "m", "b", "z", "a", "c", "aa" };
    for (size_t i = 0; i < CX_ARRAY_LEN(IDS); i++) {
        REQUIRE(put_one(&f, IDS[i], "same words", "{}", x));
    }
    char ids[1024];
    struct cx_search search = { .query = CX_STR("words"),
                                .vector = x,
                                .dimension = DIMENSION,
                                .top_k = 3,
                                .mode = CX_SEARCH_SEMANTIC };
    EXPECT_STR(search_ids(&f, &search, ids), "a aa b");
    search.mode = CX_SEARCH_KEYWORD;
    EXPECT_STR(search_ids(&f, &search, ids), "a aa b");
    search.mode = CX_SEARCH_HYBRID;
    EXPECT_STR(search_ids(&f, &search, ids), "a aa b");
    search.top_k = 100;
    EXPECT_STR(search_ids(&f, &search, ids), "a aa b c m z");
    fixture_close(&f);
}

TEST(one_leg_alone)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const float x[DIMENSION] = { 1 };
    const float y[DIMENSION] = { 0, 1 };
    const float minus_x[DIMENSION] = { -1 };
    const float zero[DIMENSION] = { 0 };
    REQUIRE(put_one(&f, "a", "apple", "{}", x));
    REQUIRE(put_one(&f, "b", "bread", "{}", y));
    char ids[1024];
    struct cx_search search = { .query = CX_STR("of the"),
                                .vector = y,
                                .dimension = DIMENSION,
                                .top_k = 5,
                                .mode = CX_SEARCH_HYBRID };
    json_t *hits = search_hits(&f, &search); /* no keywords */
    EXPECT(fabs(json_real_value(json_object_get(json_array_get(hits, 0), "score")) - 0.4) < 1e-6);
    json_decref(hits);
    EXPECT_STR(search_ids(&f, &search, ids), "b a");
    search.query = CX_STR("apple");
    search.vector = zero; /* a query without features */
    hits = search_hits(&f, &search);
    EXPECT_INT(json_array_size(hits), 2); /* a score of 0 is a score */
    EXPECT(fabs(json_real_value(json_object_get(json_array_get(hits, 0), "score")) - 0.6) < 1e-6);
    EXPECT(json_real_value(json_object_get(json_array_get(hits, 1), "score")) == 0.0);
    json_decref(hits);
    search.vector = minus_x; /* no cosine is positive: that leg counts nothing */
    search.query = CX_STR("bread");
    EXPECT_STR(search_ids(&f, &search, ids), "b a");
    search.vector = NULL; /* no vector could be had: keywords alone, and only what they match */
    EXPECT_STR(search_ids(&f, &search, ids), "b");
    search.query = CX_STR("");
    EXPECT_STR(search_ids(&f, &search, ids), "");
    search.mode = CX_SEARCH_SEMANTIC;
    EXPECT_STR(search_ids(&f, &search, ids), "!INVALID");
    fixture_close(&f);
}

TEST(hits_have_exactly_their_keys)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const float x[DIMENSION] = { 0.6F, 0.8F };
    struct cx_document doc = document("a", "some words", "{\"k\":{\"deep\":[1,null]}}", x);
    doc.uri = CX_STR("file:///a");
    REQUIRE(put(&f, &doc, 1, NULL) == CX_OK);
    struct cx_search search = { .query = CX_STR("words"),
                                .vector = x,
                                .dimension = DIMENSION,
                                .top_k = 1,
                                .mode = CX_SEARCH_HYBRID };
    json_t *hits = search_hits(&f, &search);
    json_t *hit = json_array_get(hits, 0);
    EXPECT_INT(json_object_size(hit), 5);
    EXPECT_STR(json_string_value(json_object_get(hit, "uri")), "file:///a");
    EXPECT(json_is_null(json_object_get(hit, "summary")));
    char *metadata = json_dumps(json_object_get(hit, "metadata"), JSON_COMPACT);
    EXPECT_STR(metadata, "{\"k\":{\"deep\":[1,null]}}");
    free(metadata);
    EXPECT(fabs(json_real_value(json_object_get(hit, "score")) - 1) < 1e-6);
    json_decref(hits);

    search.include = CX_INCLUDE_CONTENT | CX_INCLUDE_VECTOR | CX_INCLUDE_SCORES;
    hits = search_hits(&f, &search);
    hit = json_array_get(hits, 0);
    EXPECT_INT(json_object_size(hit), 8);
    EXPECT_STR(json_string_value(json_object_get(hit, "content")), "some words");
    const json_t *vector = json_object_get(hit, "vector");
    EXPECT_INT(json_array_size(vector), DIMENSION);
    EXPECT(json_real_value(json_array_get(vector, 0)) == 0.6); /* not 0.6000000238418579 */
    EXPECT(json_real_value(json_array_get(vector, 1)) == 0.8);
    const json_t *scores = json_object_get(hit, "scores");
    EXPECT(fabs(json_real_value(json_object_get(scores, "keyword")) - 1) < 1e-6);
    EXPECT(fabs(json_real_value(json_object_get(scores, "semantic")) - 1) < 1e-6);
    json_decref(hits);
    fixture_close(&f);
}

TEST(min_score_cuts)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const float x[DIMENSION] = { 1 };
    const float between[DIMENSION] = { 0.6F, 0.8F };
    const float minus[DIMENSION] = { -1 };
    REQUIRE(put_one(&f, "a", "apple", "{}", x));
    REQUIRE(put_one(&f, "b", "bread", "{}", between));
    REQUIRE(put_one(&f, "c", "cheese", "{}", minus));
    char ids[1024];
    struct cx_search search = { .vector = x,
                                .dimension = DIMENSION,
                                .top_k = 5,
                                .mode = CX_SEARCH_SEMANTIC,
                                .has_min_score = true,
                                .min_score = 0.5 };
    EXPECT_STR(search_ids(&f, &search, ids), "a b");
    search.min_score = -1;
    EXPECT_STR(search_ids(&f, &search, ids), "a b c");
    search.min_score = 2;
    EXPECT_STR(search_ids(&f, &search, ids), "");
    fixture_close(&f);
}

TEST(filter_comes_before_ranking)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    uint64_t state = 3;
    float query[DIMENSION];
    draw_unit(&state, query, DIMENSION);
    for (int i = 0; i < 300; i++) {
        /* The few that match are the farthest of all. */
        char id[8];
        snprintf(id, sizeof id, "d%03d", i);
        float vector[DIMENSION];
        memcpy(vector, query, sizeof vector);
        const bool rare = i % 100 == 7;
        for (size_t j = 0; rare && j < DIMENSION; j++) {
            vector[j] = -vector[j];
        }
        REQUIRE(put_one(&f, id, "word", rare ? "{\"rare\":true}" : "{}", vector));
    }
    struct cx_search search = { .query = CX_STR("word"),
                                .vector = query,
                                .dimension = DIMENSION,
                                .top_k = 3,
                                .mode = CX_SEARCH_SEMANTIC,
                                .filter = filter(&f, "{\"rare\":true}") };
    char ids[1024];
    EXPECT_STR(search_ids(&f, &search, ids), "d007 d107 d207");
    search.mode = CX_SEARCH_HYBRID;
    EXPECT_STR(search_ids(&f, &search, ids), "d007 d107 d207");
    search.mode = CX_SEARCH_KEYWORD;
    EXPECT_STR(search_ids(&f, &search, ids), "d007 d107 d207");
    search.filter = filter(&f, "{\"rare\":{\"$ne\":true}}");
    EXPECT_STR(search_ids(&f, &search, ids), "d000 d001 d002");
    fixture_close(&f);
}

TEST(empty_store_and_odd_requests)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", 0, (size_t)1 << 30, &err));
    float query[DIMENSION] = { 1 };
    char ids[1024];
    struct cx_search search = { .query = CX_STR("word"),
                                .vector = query,
                                .dimension = DIMENSION,
                                .top_k = 5,
                                .mode = CX_SEARCH_HYBRID };
    EXPECT_STR(search_ids(&f, &search, ids), "");
    search.mode = CX_SEARCH_SEMANTIC;
    EXPECT_STR(search_ids(&f, &search, ids), "");
    search.mode = CX_SEARCH_KEYWORD;
    EXPECT_STR(search_ids(&f, &search, ids), "");
    REQUIRE(put_one(&f, "a", "word", "{}", query));
    search.mode = CX_SEARCH_HYBRID;
    search.dimension = DIMENSION - 1;
    EXPECT_STR(search_ids(&f, &search, ids), "!CONFLICT");
    search.dimension = DIMENSION;
    query[3] = NAN;
    EXPECT_STR(search_ids(&f, &search, ids), "!INVALID");
    query[3] = INFINITY;
    EXPECT_STR(search_ids(&f, &search, ids), "!INVALID");
    query[3] = 1e-40F; /* a denormal number is a number */
    EXPECT_STR(search_ids(&f, &search, ids), "a");
    search.top_k = 0;
    EXPECT_STR(search_ids(&f, &search, ids), "");
    fixture_close(&f);
}
