/* SPDX-License-Identifier: MIT
 *
 * A search: filter, keyword leg, ranking, and the rows of the best.
 *
 * The index and the database are changed one after the other, so for a moment they may differ: a
 * document that only one of them knows, or whose metadata has changed, is no hit. Where that leaves too
 * few the search is made again, with candidates to spare, which take the places of those.
 *
 * Threads: a worker with a reader of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"
#include "hits.h"
#include "rows.h"

#define RRF_WINDOW 100

/* What one search works with. */
struct run {
    struct cx_vector *v;
    struct cx_db *db;
    const struct cx_search *search;
    float *query; /* padded, aligned; NULL = no vector leg */
    struct vector__keywords keywords;
    struct vector__candidate *candidates;
    size_t candidate_max;
    size_t candidate_count;
    struct vector__hits hits;
    struct cx_vector_ask *ask; /* NULL = none, or it was of no use */
};

static enum cx_status check_search(const struct cx_vector *v, const struct cx_search *search,
                                   struct cx_err *err);
static enum cx_status pad_query(struct run *run, struct cx_err *err);
static enum cx_status try_search(struct run *run, bool *whole, struct cx_err *err);
static enum cx_status rank(struct run *run, const struct vector__ranking *ranking,
                           struct cx_err *err);
static enum cx_status add_hit(struct run *run, const struct vector__candidate *candidate,
                              struct cx_err *err);
static void run_free(struct run *run);

enum cx_status cx_vector_search(struct cx_vector *v, struct cx_db *db,
                                const struct cx_search *search, json_t **hits, struct cx_err *err)
{
    struct cx_buf text;
    cx_buf_init(&text, SIZE_MAX);
    enum cx_status status = cx_vector_search_write(v, db, search, &text, NULL, err);
    if (status == CX_OK) {
        status = cx_json_parse((struct cx_str){ text.data, text.len }, hits, err);
    }
    cx_buf_free(&text);
    return status;
}

enum cx_status cx_vector_search_write(struct cx_vector *v, struct cx_db *db,
                                      const struct cx_search *search, struct cx_buf *out,
                                      json_t *ids, struct cx_err *err)
{
    struct run run = { .v = v, .db = db, .search = search };
    const size_t before = out->len;
    enum cx_status status = check_search(v, search, err);
    if (status == CX_OK) {
        status = pad_query(&run, err);
    }
    bool whole = false;
    static const size_t spare[] = { 0, 8, 64, 512, 4096 };
    for (size_t i = 0; i < CX_ARRAY_LEN(spare) && status == CX_OK && !whole; i++) {
        out->len = before;
        (void)json_array_clear(ids);
        run.hits = (struct vector__hits){ .out = out, .ids = ids, .search = search };
        run.candidate_max = search->top_k + spare[i];
        run.ask = i == 0 ? search->ask : NULL;
        run.candidates =
            cx_realloc_array(run.candidates, run.candidate_max, sizeof *run.candidates);
        vector__keywords_free(&run.keywords);
        if (search->mode != CX_SEARCH_SEMANTIC) {
            status = vector__keywords_init(&run.keywords, v, db, search->query, err);
        }
        if (status == CX_OK) {
            status = cx_db_begin(db, err);
        }
        if (status == CX_OK) {
            cx_buf_putc(out, '[');
            status = try_search(&run, &whole, err);
            cx_buf_putc(out, ']');
            cx_db_rollback(db);
        }
    }
    run_free(&run);
    if (status == CX_OK && out->starved) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    if (status == CX_OK && out->failed) {
        return cx_err_set(err, CX_TOO_LARGE,
                          "The answer would be larger than %zu bytes: ask for less at once",
                          out->ceiling);
    }
    return status;
}

static enum cx_status check_search(const struct cx_vector *v, const struct cx_search *search,
                                   struct cx_err *err)
{
    if (search->top_k > 10000) {
        return cx_err_set(err, CX_INVALID, "top_k is too large");
    }
    if (search->mode == CX_SEARCH_SEMANTIC && vector__status(v) != CX_VECTOR_READY) {
        return vector__refuse_model(v, err);
    }
    if (search->mode == CX_SEARCH_SEMANTIC && search->vector == NULL) {
        return cx_err_set(err, CX_INVALID, "a semantic search needs a vector");
    }
    return CX_OK;
}

static enum cx_status pad_query(struct run *run, struct cx_err *err)
{
    const struct cx_search *search = run->search;
    if (search->vector == NULL || search->dimension == 0 || search->mode == CX_SEARCH_KEYWORD ||
        vector__status(run->v) != CX_VECTOR_READY) {
        return CX_OK;
    }
    const size_t floats = (search->dimension + (size_t)VECTOR__ROW_FLOATS - 1) /
                          VECTOR__ROW_FLOATS * VECTOR__ROW_FLOATS;
    run->query = aligned_alloc(VECTOR__ALIGN, floats * sizeof *run->query);
    if (run->query == NULL) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    memset(run->query, 0, floats * sizeof *run->query);
    if (!vector__copy_unit(run->query, search->vector, search->dimension)) {
        return cx_err_set(err, CX_INVALID, "the query's vector holds a number that is not finite");
    }
    return CX_OK;
}

/* *whole: as many hits as there ought to be. */
static enum cx_status try_search(struct run *run, bool *whole, struct cx_err *err)
{
    const struct cx_search *search = run->search;
    /* A hybrid search without a vector is one by keywords. */
    const bool by_keyword = search->mode == CX_SEARCH_HYBRID && run->query == NULL;
    const struct vector__ranking ranking = {
        .mode = by_keyword ? CX_SEARCH_KEYWORD : search->mode,
        .fusion = search->fusion,
        .window = search->top_k > RRF_WINDOW ? search->top_k : RRF_WINDOW,
        .query = run->query,
        .dimension = search->dimension,
        .own_vector = search->own_vector,
        .keywords = &run->keywords,
        .filter = search->filter,
        .exact = search->exact,
        .ask = run->ask,
        .has_min_score = search->has_min_score,
        .min_score = search->min_score,
    };
    enum cx_status status = rank(run, &ranking, err);
    size_t at = 0;
    while (status == CX_OK && at < run->candidate_count && run->hits.count < search->top_k) {
        status = add_hit(run, &run->candidates[at], err);
        at++;
    }
    *whole = run->hits.count == search->top_k || run->candidate_count < run->candidate_max;
    return status;
}

static enum cx_status rank(struct run *run, const struct vector__ranking *ranking,
                           struct cx_err *err)
{
    enum cx_status status = CX_OK;
    if (ranking->mode != CX_SEARCH_SEMANTIC) {
        status = vector__keywords_load(&run->keywords, run->v, run->db, err);
    }
    /* The second time FTS5 has been asked. */
    for (bool again = true; again && status == CX_OK;) {
        const bool by_fts5 = run->keywords.by_fts5;
        if (by_fts5) {
            status = vector__keywords_ask_fts5(&run->keywords, run->v, run->db, err);
        }
        if (status == CX_OK) {
            status = vector__rank(run->v, ranking, run->candidate_max, run->candidates,
                                  &run->candidate_count, err);
        }
        again = !by_fts5 && run->keywords.by_fts5;
    }
    return status;
}

/* A candidate that the database does not know (any more) adds nothing. */
static enum cx_status add_hit(struct run *run, const struct vector__candidate *candidate,
                              struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(run->db,
                                          VECTOR__BY_SIDE(run->v,
                                                          "SELECT doc_id, uri, summary, metadata,"
                                                          " CASE WHEN ?2 THEN content END,"
                                                          " CASE WHEN ?3 THEN (SELECT vector FROM ",
                                                          " x WHERE x.id = documents.id) END"
                                                          " FROM documents WHERE id = ?1"),
                                          &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, candidate->rowid);
    cx_stmt_bind_int(s, 2, (run->search->include & CX_INCLUDE_CONTENT) != 0);
    cx_stmt_bind_int(s, 3, (run->search->include & CX_INCLUDE_VECTOR) != 0);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status != CX_OK || !row) {
        return status;
    }
    const bool compared = run->query != NULL && !candidate->pending;
    status = vector__hit_write(&run->hits, candidate, compared, s, err);
    cx_stmt_reset(s);
    return status;
}

static void run_free(struct run *run)
{
    free(run->query);
    vector__keywords_free(&run->keywords);
    free(run->candidates);
}
