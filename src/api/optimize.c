/* SPDX-License-Identifier: MIT
 *
 * POST /context/optimize: what of many items fits into a budget of tokens. The items that come back
 * are the very values that were sent; behind them may stand what a search of the vector memory finds.
 */
#include "api/context_encoding.h"
#include "api/search_request.h"

#include <math.h>
#include <stdlib.h>

#define ITEMS_MAX 500
#define CONTENT_MAX_BYTES ((size_t)100 * 1024)
#define PRIORITY_MAX 1e9
#define TOKENS_MIN 100
#define TOKENS_MAX 128000
#define TOKENS_DEFAULT 4096
#define SIMILARITY_DEFAULT 0.9

struct optimize {
    struct api__search_run search; /* where the body has from_search */
    struct cx_api *api;
    struct cx_str text; /* the body, borrowed */
    json_t *body;
    struct cx_faults faults;
    const json_t *sent; /* the array of items, in body; NULL = none */
    bool searches;
    double found_priority; /* added to the score of what is found */
    json_t *found;         /* items made of hits, behind those sent */
    json_t *found_ids;
    struct cx_packing packing;
    bool in_order_sent;
    bool explain;
    size_t left_out; /* for want of room */
    struct cx_buf answer;
};

static enum cx_step_result optimize_read(struct cx_exchange *x);
static enum cx_step_result optimize_embed(struct cx_exchange *x);
static enum cx_step_result optimize_ask(struct cx_exchange *x);
static enum cx_step_result optimize_pack(struct cx_exchange *x);
static enum cx_step_result optimize_reply(struct cx_exchange *x);

static const struct cx_step optimize_steps[] = {
    /* clang-format off */
    { "read", optimize_read, false },   /* waits: cpu lane: body → items, packed where nothing is searched */
    { "embed", optimize_embed, false }, /* loop, or waits: provider, where something is                    */
    { "ask", optimize_ask, true },      /* loop, or waits: Chroma, where it answers                        */
    { "pack", optimize_pack, false },   /* loop, or waits: cpu lane: search → items → packed → answer      */
    { "reply", optimize_reply, false }, /* loop                                                            */
    /* clang-format on */
};
API_TOOL(api__optimize, "context.optimize", optimize_steps, sizeof(struct optimize));

/* ---- read ---- */

static void release_optimize(void *arg);
static enum cx_status read_work(void *arg, struct cx_err *err);

static enum cx_step_result optimize_read(struct cx_exchange *x)
{
    struct optimize *o = cx_exchange_state(x);
    o->api = api__of(x);
    o->search.api = o->api;
    o->text = cx_exchange_body(x);
    cx_faults_init(&o->faults);
    cx_exchange_defer(x, release_optimize, o);
    return cx_exchange_work(x, o->api->options.cpu_lane, CX_PRIORITY_NORMAL, read_work, o);
}

static void release_optimize(void *arg)
{
    struct optimize *o = arg;
    api__search_release(&o->search);
    cx_buf_free(&o->answer);
    cx_faults_free(&o->faults);
    free(o->packing.items);
    free(o->packing.order);
    json_decref(o->found);
    json_decref(o->found_ids);
    if (o->body != NULL) {
        api__discard(o->api, o->body, o->text.len);
    }
}

static void read_request(struct optimize *o, struct cx_reader *r);
static enum cx_status pack(struct optimize *o, struct cx_err *err);

static enum cx_status read_work(void *arg, struct cx_err *err)
{
    struct optimize *o = arg;
    const enum cx_status status = cx_json_parse(o->text, &o->body, err);
    if (status != CX_OK) {
        return status;
    }
    struct cx_reader r;
    cx_reader_init(&r, o->body, &o->faults, "body");
    if (r.object != NULL) {
        read_request(o, &r);
    }
    cx_reader_free(&r);
    return o->faults.count == 0 && !o->searches ? pack(o, err) : CX_OK;
}

static void read_budget(struct optimize *o, struct cx_reader *r);
static void read_duplicates(struct optimize *o, struct cx_reader *r);
static void read_items(struct optimize *o, struct cx_reader *r);
static void read_search(struct optimize *o, struct cx_reader *r);

static void read_request(struct optimize *o, struct cx_reader *r)
{
    static const char *const strategies[] = { "greedy", "knapsack", NULL };
    static const char *const orders[] = { "priority", "sent", NULL };
    size_t strategy = 0;
    size_t order = 0;
    read_items(o, r);
    read_budget(o, r);
    api__read_encoding(r, &o->packing.encoding);
    cx_read_word(r, "strategy", CX_OPTIONAL, strategies, &strategy);
    cx_read_word(r, "order", CX_OPTIONAL, orders, &order);
    read_duplicates(o, r);
    cx_read_bool(r, "explain", CX_OPTIONAL, &o->explain);
    read_search(o, r);
    o->packing.strategy = strategy == 1 ? CX_PACKING_KNAPSACK : CX_PACKING_GREEDY;
    o->in_order_sent = order == 1;
}

static void read_budget(struct optimize *o, struct cx_reader *r)
{
    const int64_t allowed = o->api->options.token_budget_max;
    const int64_t most = allowed < TOKENS_MAX ? allowed : TOKENS_MAX;
    int64_t max_tokens = most < TOKENS_DEFAULT ? most : TOKENS_DEFAULT;
    int64_t reserve_tokens = 0;
    cx_read_int(r, "max_tokens", CX_OPTIONAL, TOKENS_MIN, most, &max_tokens);
    cx_read_int(r, "reserve_tokens", CX_OPTIONAL, 0, INT64_MAX, &reserve_tokens);
    o->packing.budget = reserve_tokens < max_tokens ? (size_t)(max_tokens - reserve_tokens) : 0;
}

static void read_duplicates(struct optimize *o, struct cx_reader *r)
{
    bool deduplicate = false;
    double similarity = SIMILARITY_DEFAULT;
    cx_read_bool(r, "deduplicate", CX_OPTIONAL, &deduplicate);
    if (cx_read_real(r, "similarity", CX_OPTIONAL, 0.5, 1.0, &similarity) && !deduplicate) {
        cx_read_fault(r, "similarity", "value", "means nothing without deduplicate");
    }
    o->packing.similarity = deduplicate ? similarity : 0.0;
}

static void read_item(struct optimize *o, struct cx_reader *parent, size_t index);

static void read_items(struct optimize *o, struct cx_reader *r)
{
    const json_t *search = json_object_get(r->object, "from_search");
    const enum cx_need need = json_is_object(search) ? CX_OPTIONAL : CX_REQUIRED;
    if (!cx_read_array(r, "items", need, 0, ITEMS_MAX, &o->sent)) {
        return;
    }
    o->packing.count = json_array_size(o->sent);
    o->packing.items = cx_alloc((o->packing.count + 1) * sizeof *o->packing.items);
    o->packing.order = cx_alloc((o->packing.count + 1) * sizeof *o->packing.order);
    for (size_t i = 0; i < o->packing.count; i++) {
        read_item(o, r, i);
    }
}

/* category and metadata are the client's own: they are only checked for what they may be. */
static void read_item(struct optimize *o, struct cx_reader *parent, size_t index)
{
    struct cx_packing_item *item = &o->packing.items[index];
    struct cx_str category = { NULL, 0 };
    const json_t *metadata = NULL;
    struct cx_reader r;
    cx_reader_init_element(&r, parent, "items", index, json_array_get(o->sent, index));
    if (cx_read_string(&r, "content", CX_REQUIRED, 0, SIZE_MAX, &item->content) &&
        item->content.len > CONTENT_MAX_BYTES) {
        cx_read_fault(&r, "content", "length", "must be at most %zu bytes", CONTENT_MAX_BYTES);
    }
    cx_read_real(&r, "priority", CX_OPTIONAL, -PRIORITY_MAX, PRIORITY_MAX, &item->priority);
    cx_read_string(&r, "category", CX_OPTIONAL, 0, SIZE_MAX, &category);
    cx_read_object(&r, "metadata", CX_OPTIONAL, &metadata);
    cx_reader_free(&r);
}

/* What is to be searched for is read on the loop (optimize_embed); here only what is ours of it. */
static void read_search(struct optimize *o, struct cx_reader *r)
{
    const json_t *search = NULL;
    if (cx_read_object(r, "from_search", CX_OPTIONAL, &search)) {
        struct cx_reader inner;
        cx_reader_init(&inner, search, &o->faults, "body");
        json_array_append_new(inner.loc, json_string("from_search"));
        cx_read_real(&inner, "priority", CX_OPTIONAL, -PRIORITY_MAX, PRIORITY_MAX,
                     &o->found_priority);
        cx_reader_free(&inner);
        o->searches = true;
    }
}

/* ---- embed ---- */

static enum cx_step_result optimize_embed(struct cx_exchange *x)
{
    struct optimize *o = cx_exchange_state(x);
    if (o->searches) {
        api__search_read(x, o->body, "from_search", &o->faults, &o->search.q);
        o->search.q.what.include = CX_INCLUDE_CONTENT;
    }
    enum cx_step_result result = cx_exchange_fail_faults(x, &o->faults);
    if (result != CX_STEP_NEXT || !o->searches) {
        return result;
    }
    if (!cx_exchange_may(x, CX_SCOPE_VECTOR)) {
        return cx_exchange_fail(x, CX_INSUFFICIENT_SCOPE, "Insufficient scope: requires 'vector'");
    }
    result = api__need_store(x);
    if (result == CX_STEP_NEXT) {
        result = api__search_find(x);
    }
    return result == CX_STEP_NEXT ? api__search_embed(x) : result;
}

/* ---- ask, pack ---- */

static enum cx_step_result optimize_ask(struct cx_exchange *x)
{
    const struct optimize *o = cx_exchange_state(x);
    return o->searches ? api__search_ask(x) : CX_STEP_NEXT; /* it is packed already */
}

static enum cx_status search_work(void *arg, struct cx_err *err);

static enum cx_step_result optimize_pack(struct cx_exchange *x)
{
    struct optimize *o = cx_exchange_state(x);
    return o->searches
               ? cx_exchange_work(x, o->api->options.cpu_lane, CX_PRIORITY_NORMAL, search_work, o)
               : CX_STEP_NEXT;
}

static void add_found(struct optimize *o, const json_t *hit);

static enum cx_status search_work(void *arg, struct cx_err *err)
{
    struct optimize *o = arg;
    json_t *hits = NULL;
    const enum cx_status status = api__search_hits(&o->search, &hits, err);
    if (status != CX_OK) {
        return status;
    }
    const size_t count = o->packing.count + json_array_size(hits) + 1;
    o->packing.items = cx_realloc_array(o->packing.items, count, sizeof *o->packing.items);
    o->packing.order = cx_realloc_array(o->packing.order, count, sizeof *o->packing.order);
    o->found = json_array();
    o->found_ids = json_array();
    for (size_t i = 0; i < json_array_size(hits); i++) {
        add_found(o, json_array_get(hits, i));
    }
    json_decref(hits);
    return pack(o, err);
}

/* A hit as an item: what it is worth is its score, and what the client adds to that. */
static void add_found(struct optimize *o, const json_t *hit)
{
    static const char *const taken[] = { "content", "doc_id", "uri", "summary", "metadata" };
    const json_t *content = json_object_get(hit, "content");
    const double score = json_number_value(json_object_get(hit, "score"));
    const double priority = o->found_priority + score;
    json_t *item = json_object();
    for (size_t i = 0; i < CX_ARRAY_LEN(taken); i++) {
        json_object_set(item, taken[i], json_object_get(hit, taken[i]));
    }
    json_object_set_new(item, "category", json_string("search"));
    json_object_set_new(item, "score", json_real(score));
    json_object_set_new(item, "priority", json_real(priority));
    json_array_append_new(o->found, item);
    json_array_append(o->found_ids, json_object_get(hit, "doc_id"));
    o->packing.items[o->packing.count++] = (struct cx_packing_item){
        .content = { json_string_value(content), json_string_length(content) },
        .priority = priority,
    };
}

static json_t *answer_of(struct optimize *o);

static enum cx_status pack(struct optimize *o, struct cx_err *err)
{
    o->packing.cache = o->api->token_cache;
    const enum cx_status status = cx_packing_run(&o->packing, err);
    return status == CX_OK ? api__write_answer(answer_of(o), &o->answer, err) : status;
}

static json_t *item_of(const struct optimize *o, size_t index)
{
    const size_t sent = json_array_size(o->sent);
    return index < sent ? json_array_get(o->sent, index) : json_array_get(o->found, index - sent);
}

static json_t *items_of(struct optimize *o);
static json_t *explanations_of(const struct optimize *o);

static json_t *answer_of(struct optimize *o)
{
    const struct cx_packing *p = &o->packing;
    const double percent =
        p->budget > 0 ? 100.0 * (double)p->total_tokens / (double)p->budget : 0.0;
    for (size_t i = 0; i < p->count; i++) {
        o->left_out += p->items[i].reason == CX_PACKING_NO_ROOM ? 1 : 0;
    }
    json_t *answer = json_object();
    json_object_set_new(answer, "items", items_of(o));
    json_object_set_new(answer, "total_tokens", json_integer((json_int_t)p->total_tokens));
    json_object_set_new(answer, "items_included", json_integer((json_int_t)p->kept));
    json_object_set_new(answer, "items_dropped", json_integer((json_int_t)(p->count - p->kept)));
    json_object_set_new(answer, "budget_used_percent", json_real(round(percent * 100) / 100));
    if (o->explain) {
        json_object_set_new(answer, "explanations", explanations_of(o));
    }
    if (o->search.degraded != NULL) {
        json_object_set_new(answer, "degraded", json_string(o->search.degraded));
    }
    return answer;
}

static json_t *items_of(struct optimize *o)
{
    const struct cx_packing *p = &o->packing;
    json_t *items = json_array();
    for (size_t i = 0; i < p->kept && !o->in_order_sent; i++) {
        json_array_append(items, item_of(o, p->order[i]));
    }
    for (size_t i = 0; i < p->count && o->in_order_sent; i++) {
        if (p->items[i].reason == CX_PACKING_KEPT) {
            json_array_append(items, item_of(o, i));
        }
    }
    return items;
}

static json_t *explanations_of(const struct optimize *o)
{
    json_t *list = json_array();
    for (size_t i = 0; i < o->packing.count; i++) {
        const struct cx_packing_item *item = &o->packing.items[i];
        json_t *row =
            json_pack("{s:I, s:I, s:s}", "index", (json_int_t)i, "tokens", (json_int_t)item->tokens,
                      "reason", cx_packing_reason_name(item->reason));
        if (item->reason == CX_PACKING_DUPLICATE) {
            json_object_set_new(row, "duplicate_of", json_integer((json_int_t)item->duplicate_of));
        }
        json_array_append_new(list, row);
    }
    return list;
}

/* ---- reply ---- */

static enum cx_step_result optimize_reply(struct cx_exchange *x)
{
    struct optimize *o = cx_exchange_state(x);
    const struct cx_packing *p = &o->packing;
    const char *correlation_id = cx_exchange_correlation_id(x);
    cx_events_emit(o->api->options.events, CX_EVENT_CONTEXT_PACKED,
                   json_pack("{s:I, s:I, s:I, s:I}", "items_included", (json_int_t)p->kept,
                             "items_dropped", (json_int_t)(p->count - p->kept), "total_tokens",
                             (json_int_t)p->total_tokens, "budget_tokens", (json_int_t)p->budget),
                   NULL, correlation_id);
    if (o->left_out > 0) {
        cx_events_emit(o->api->options.events, CX_EVENT_CONTEXT_OVERFLOW,
                       json_pack("{s:I, s:I}", "items_left_out", (json_int_t)o->left_out,
                                 "budget_tokens", (json_int_t)p->budget),
                       NULL, correlation_id);
    }
    if (o->searches) {
        api__search_tell(x, o->found_ids);
        o->found_ids = NULL;
    }
    return cx_exchange_reply_buf(x, 200, "application/json", &o->answer);
}
