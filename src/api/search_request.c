/* SPDX-License-Identifier: MIT
 *
 * What a body of POST /vector/search asks for, whichever store answers.
 */
#include "api/search_request.h"

#define QUERY_MAX_CHARS 10000
#define QUERY_MAX_BYTES ((size_t)10 * 1024)
#define TOP_K_MAX 100
#define TOP_K_DEFAULT 5

static void read_query(struct cx_reader *r, struct api__search_request *q);
static void read_filter(struct cx_reader *r, struct api__search_request *q);
static void read_include(struct cx_reader *r, struct api__search_request *q);

void api__search_read(struct cx_exchange *x, const json_t *body, const char *member,
                      struct cx_faults *faults, struct api__search_request *q)
{
    static const char *const modes[] = { "semantic", "keyword", "hybrid", NULL };
    struct cx_reader r;
    cx_reader_init(&r, member != NULL ? json_object_get(body, member) : body, faults, "body");
    if (member != NULL) {
        json_array_append_new(r.loc, json_string(member));
    }
    q->what.own_vector =
        api__read_vector(&r, cx_exchange_arena(x), &q->what.vector, &q->what.dimension);
    read_query(&r, q);
    int64_t top_k = TOP_K_DEFAULT;
    cx_read_int(&r, "top_k", CX_OPTIONAL, 1, TOP_K_MAX, &top_k);
    q->what.top_k = (size_t)top_k;
    size_t mode = (size_t)api__of(x)->options.search_mode;
    static const char *const fusions[] = { "weighted", "rrf", NULL };
    size_t fusion = CX_FUSION_WEIGHTED;
    q->fusion_given = cx_read_word(&r, "fusion", CX_OPTIONAL, fusions, &fusion);
    q->what.fusion = (enum cx_search_fusion)fusion;
    q->mode_given = cx_read_word(&r, "mode", CX_OPTIONAL, modes, &mode);
    q->what.mode = (enum cx_search_mode)mode;
    if (q->what.mode == CX_SEARCH_KEYWORD && q->what.vector != NULL && q->what.query.p == NULL) {
        cx_read_fault(&r, "query", "missing", "is required where the mode is keyword");
    }
    q->collection = CX_STR("default");
    api__read_collection(&r, &q->collection);
    q->what.has_min_score =
        cx_read_real(&r, "min_score", CX_OPTIONAL, -1.0, 1.0, &q->what.min_score);
    cx_read_bool(&r, "exact", CX_OPTIONAL, &q->what.exact);
    read_filter(&r, q);
    read_include(&r, q);
    if (api__of(x)->options.chroma != NULL) {
        api__search_read_where(&r, q);
    }
    cx_reader_free(&r);
}

/* A vector takes its place; one that is wrong is told of by itself. */
static void read_query(struct cx_reader *r, struct api__search_request *q)
{
    const json_t *vector = json_object_get(r->object, "vector");
    const enum cx_need need = vector == NULL || json_is_null(vector) ? CX_REQUIRED : CX_OPTIONAL;
    if (cx_read_string(r, "query", need, 1, QUERY_MAX_CHARS, &q->what.query) &&
        q->what.query.len > QUERY_MAX_BYTES) {
        cx_read_fault(r, "query", "length", "must be at most %zu bytes", QUERY_MAX_BYTES);
    }
}

static void read_filter(struct cx_reader *r, struct api__search_request *q)
{
    const json_t *filter = NULL;
    const json_t *metadata = NULL;
    const bool first = cx_read_object(r, "filter", CX_OPTIONAL, &filter);
    const bool second = cx_read_object(r, "filter_metadata", CX_OPTIONAL, &metadata);
    q->filter_name = first ? "filter" : "filter_metadata";
    if (!api__read_filter(r, q->filter_name, first ? filter : metadata, &q->filter)) {
        return;
    }
    q->what.filter = q->filter;
    /* Only now: how long that can take is bounded by what a filter may hold. */
    if (first && second && !json_equal(filter, metadata)) {
        cx_read_fault(r, "filter_metadata", "value", "must equal filter where both are given");
    }
}

static void read_include(struct cx_reader *r, struct api__search_request *q)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = { { "content", CX_INCLUDE_CONTENT },
                  { "vector", CX_INCLUDE_VECTOR },
                  { "scores", CX_INCLUDE_SCORES } };
    const json_t *include = NULL;
    if (!cx_read_array(r, "include", CX_OPTIONAL, 0, 16, &include)) {
        return;
    }
    for (size_t i = 0; i < json_array_size(include); i++) {
        const char *word = json_string_value(json_array_get(include, i));
        unsigned bit = 0;
        for (size_t k = 0; word != NULL && k < CX_ARRAY_LEN(words); k++) {
            if (cx_str_eq(cx_str_of(word), cx_str_of(words[k].word))) {
                bit = words[k].bit;
            }
        }
        if (bit == 0) {
            cx_read_fault(r, "include", "value", "must hold only content, vector and scores");
            return;
        }
        q->what.include |= bit;
    }
}
