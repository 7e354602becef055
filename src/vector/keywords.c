/* SPDX-License-Identifier: MIT
 *
 * The keyword leg (keywords.h): from words to lists, and from lists to scores.
 */
#include "keywords.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MATCH_BYTES ((size_t)128 * 1024) /* of the FTS5 expression */
#define BM25_K1 1.2
#define BM25_B 0.75

/* The one term of a word. */
struct sole_term {
    struct vector__keyword *keyword;
    size_t count;
};
/* The rows of a word, as FTS5 tells them. */
struct rows {
    struct row {
        int64_t rowid;
        uint32_t times;
    } * items;
    size_t count;
    size_t cap;
    bool too_often; /* for a posting */
};

static void on_term(void *ctx, struct cx_str term);
static enum cx_status load_list(struct vector__keywords *k, struct vector__keyword *keyword,
                                struct cx_vector *v, struct cx_db *db, struct cx_err *err);
static void on_row(void *ctx, int64_t rowid, uint32_t times);
static bool keep_list(const struct vector__keywords *k, struct cx_vector *v,
                      struct vector__list **list);
static void score_found(const struct vector__keywords *k, const struct vector__index *index,
                        struct vector__matches *out);
static struct vector__list *list_of(const struct vector__keywords *k,
                                    const struct vector__index *index, size_t at);
static void score_list(const struct vector__index *index, struct vector__list *list,
                       struct vector__matches *out);

enum cx_status vector__keywords_init(struct vector__keywords *k, struct cx_vector *v,
                                     struct cx_db *db, struct cx_str query, struct cx_err *err)
{
    *k = (struct vector__keywords){ .query = query };
    struct cx_str words[VECTOR__QUERY_WORDS_MAX];
    const size_t count = vector__query_words(query, words);
    k->items = cx_alloc((count + 1) * sizeof *k->items);
    for (size_t i = 0; i < count; i++) {
        struct vector__keyword *keyword = &k->items[k->count];
        struct sole_term term = { .keyword = keyword };
        const enum cx_status status = cx_db_terms(db, words[i], on_term, &term, err);
        k->by_fts5 = k->by_fts5 || term.count > 1;
        if (status != CX_OK || term.count == 0) {
            free(keyword->term);
            keyword->term = NULL;
        }
        if (status != CX_OK) {
            return status;
        }
        if (term.count == 0) {
            continue; /* a word of signs: it stands in no text */
        }
        keyword->word = words[i];
        keyword->hash = vector__postings_hash(&v->index.postings,
                                              (struct cx_str){ keyword->term, keyword->term_len });
        keyword->first = 0;
        while (keyword->first < k->count &&
               !(k->items[keyword->first].hash == keyword->hash &&
                 strcmp(k->items[keyword->first].term, keyword->term) == 0)) {
            keyword->first++;
        }
        k->count++;
    }
    CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
    k->version = v->index.postings.version;
    k->time = atomic_fetch_add_explicit(&v->index.postings.clock, 1, memory_order_relaxed) + 1;
    k->by_fts5 = k->by_fts5 || v->index.postings.off;
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    return CX_OK;
}

void vector__keywords_free(struct vector__keywords *k)
{
    for (size_t i = 0; i < k->count; i++) {
        free(k->items[i].term);
        vector__list_free(k->items[i].own);
    }
    free(k->items);
    free(k->found);
    *k = (struct vector__keywords){ 0 };
}

static void on_term(void *ctx, struct cx_str term)
{
    struct sole_term *sole = ctx;
    if (sole->count++ == 0) {
        sole->keyword->term = cx_strndup(term.p, term.len);
        sole->keyword->term_len = term.len;
    }
}

enum cx_status vector__keywords_load(struct vector__keywords *k, struct cx_vector *v,
                                     struct cx_db *db, struct cx_err *err)
{
    bool *missing = cx_alloc((k->count + 1) * sizeof *missing);
    CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
    struct vector__postings *p = &v->index.postings;
    for (size_t i = 0; i < k->count; i++) {
        const struct vector__keyword *keyword = &k->items[i];
        struct vector__list *list = vector__postings_find(
            p, keyword->hash, (struct cx_str){ keyword->term, keyword->term_len });
        missing[i] = keyword->first == i &&
                     (list == NULL || atomic_load_explicit(&list->worn, memory_order_relaxed));
        if (list != NULL) {
            atomic_store_explicit(&list->used, k->time, memory_order_relaxed);
        }
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < k->count && status == CX_OK && !k->by_fts5; i++) {
        if (missing[i]) {
            status = load_list(k, &k->items[i], v, db, err);
        }
    }
    free(missing);
    return status;
}

static enum cx_status load_list(struct vector__keywords *k, struct vector__keyword *keyword,
                                struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    struct rows rows = { 0 };
    const enum cx_status status =
        cx_db_word_rows(db, v->fulltext.word_rows, keyword->word, on_row, &rows, err);
    if (status != CX_OK || rows.too_often) {
        k->by_fts5 = true;
        free(rows.items);
        return status;
    }
    struct vector__list *list =
        vector__list_new(keyword->hash, (struct cx_str){ keyword->term, keyword->term_len });
    vector__list_reserve(list, rows.count);
    CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
    for (size_t i = 0; i < rows.count; i++) {
        /* A row that the index does not know yet comes with its words when it does. */
        const size_t slot = vector__index_find(&v->index, rows.items[i].rowid);
        if (slot != VECTOR__NO_SLOT) {
            vector__list_append(
                list, (struct vector__posting){ .slot = (uint32_t)slot,
                                                .epoch = vector__index_epoch(&v->index, slot),
                                                .times = (uint16_t)rows.items[i].times });
        }
    }
    const bool stale = v->index.postings.version != k->version;
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    free(rows.items);
    k->by_fts5 = stale || !keep_list(k, v, &list);
    keyword->own = list;
    return CX_OK;
}

static void on_row(void *ctx, int64_t rowid, uint32_t times)
{
    struct rows *rows = ctx;
    if (rows->count == rows->cap) {
        rows->cap = rows->cap == 0 ? 64 : rows->cap * 2;
        rows->items = cx_realloc_array(rows->items, rows->cap, sizeof *rows->items);
    }
    rows->items[rows->count++] = (struct row){ rowid, times };
    rows->too_often = rows->too_often || times > VECTOR__TIMES_MAX;
}

/* To the index, where it has room; else it serves this search alone. False where texts have changed
 * since the database was read: the list would lack them for good. */
static bool keep_list(const struct vector__keywords *k, struct cx_vector *v,
                      struct vector__list **list)
{
    struct vector__postings *p = &v->index.postings;
    CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
    const bool current = p->version == k->version;
    const size_t bytes = vector__list_bytes(*list);
    const size_t bytes_max = vector__index_postings_max(&v->index);
    if (current && bytes <= bytes_max) {
        /* Those that this search is about to read stay. */
        vector__postings_fit(p, bytes_max - bytes, k->time);
    }
    if (current && bytes <= bytes_max && atomic_load(&p->bytes) <= bytes_max - bytes) {
        atomic_store_explicit(&(*list)->used, k->time, memory_order_relaxed);
        vector__postings_insert(p, *list);
        *list = NULL;
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    vector__note_bytes(v);
    return current;
}

enum cx_status vector__keywords_ask_fts5(struct vector__keywords *k, const struct cx_vector *v,
                                         struct cx_db *db, struct cx_err *err)
{
    k->found_count = 0;
    struct cx_buf match;
    cx_buf_init(&match, MATCH_BYTES);
    cx_vector_match_query(k->query, &match);
    CX_CHECK(!match.failed);
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(db, v->fulltext.rank, &s, err);
    if (status == CX_OK && match.len > 0) {
        cx_stmt_bind_text(s, 1, (struct cx_str){ match.data, match.len });
        bool row = false;
        while ((status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
            if (k->found_count == k->found_cap) {
                k->found_cap = k->found_cap == 0 ? 256 : k->found_cap * 2;
                k->found = cx_realloc_array(k->found, k->found_cap, sizeof *k->found);
            }
            /* FTS5's bm25 is negative, and the better the smaller. */
            k->found[k->found_count++] =
                (struct vector__found){ cx_stmt_int(s, 0), -cx_stmt_real(s, 1) };
        }
    }
    cx_buf_free(&match);
    return status;
}

enum cx_status vector__keywords_score(struct vector__keywords *k, const struct vector__index *index,
                                      struct vector__matches *out, struct cx_err *err)
{
    const size_t end = index->slot_end;
    *out = (struct vector__matches){
        .slots = malloc((end + 1) * sizeof *out->slots),
        .scores = calloc(end + 1, sizeof *out->scores),
    };
    if (out->slots == NULL || out->scores == NULL) {
        vector__matches_free(out);
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    if (k->by_fts5) {
        score_found(k, index, out);
        return CX_OK;
    }
    for (size_t i = 0; i < k->count; i++) {
        if (list_of(k, index, i) == NULL) {
            k->by_fts5 = true;
            return CX_OK;
        }
    }
    for (size_t i = 0; i < k->count; i++) {
        score_list(index, list_of(k, index, i), out);
    }
    return CX_OK;
}

void vector__matches_free(struct vector__matches *matches)
{
    free(matches->slots);
    free(matches->scores);
    *matches = (struct vector__matches){ 0 };
}

static void score_found(const struct vector__keywords *k, const struct vector__index *index,
                        struct vector__matches *out)
{
    for (size_t i = 0; i < k->found_count; i++) {
        const size_t slot = vector__index_find(index, k->found[i].rowid);
        if (slot != VECTOR__NO_SLOT && out->scores[slot] == 0) {
            out->slots[out->count++] = (uint32_t)slot;
            out->scores[slot] = k->found[i].bm25;
        }
    }
}

/* NULL where there is none that is up to date. */
static struct vector__list *list_of(const struct vector__keywords *k,
                                    const struct vector__index *index, size_t at)
{
    const struct vector__keyword *first = &k->items[k->items[at].first];
    if (first->own != NULL) {
        return index->postings.version == k->version ? first->own : NULL;
    }
    return vector__postings_find(&index->postings, first->hash,
                                 (struct cx_str){ first->term, first->term_len });
}

/* The sums as FTS5 makes them (fts5_aux.c, fts5Bm25Function): word by word, in the order of the
 * query, and each quotient in the same order of operations. */
static void score_list(const struct vector__index *index, struct vector__list *list,
                       struct vector__matches *out)
{
    size_t hits = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct vector__posting *posting = &list->items[i];
        hits += posting->epoch == vector__index_epoch(index, posting->slot) ? 1 : 0;
    }
    if (4 * hits < 3 * list->count) {
        atomic_store_explicit(&list->worn, true, memory_order_relaxed);
    }
    const double rows = (double)index->live;
    const double average = (double)index->words / rows;
    double idf = log((rows - (double)hits + 0.5) / ((double)hits + 0.5));
    idf = idf <= 0 ? 1e-6 : idf;
    for (size_t i = 0; i < list->count; i++) {
        const struct vector__posting *posting = &list->items[i];
        if (posting->epoch != vector__index_epoch(index, posting->slot)) {
            continue;
        }
        const double length = vector__index_length(index, posting->slot);
        const double times = posting->times;
        double *score = &out->scores[posting->slot];
        if (*score == 0) {
            out->slots[out->count++] = posting->slot;
        }
        *score += idf * ((times * (BM25_K1 + 1.0)) /
                         (times + BM25_K1 * (1 - BM25_B + BM25_B * length / average)));
    }
}
