/* SPDX-License-Identifier: MIT
 *
 * POST /context/optimize: what of many items fits into a budget of tokens. The items that come back
 * are the very values that were sent.
 */
#include "api/api_internal.h"
#include "api/context_encoding.h"

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
    struct cx_api *api;
    struct cx_str text; /* the body, borrowed */
    json_t *body;
    struct cx_faults faults;
    const json_t *sent; /* the array of items, in body */
    struct cx_packing packing;
    bool in_order_sent;
    bool explain;
    size_t left_out; /* for want of room */
    struct cx_buf answer;
};

static enum cx_step_result optimize_pack(struct cx_exchange *x);
static enum cx_step_result optimize_reply(struct cx_exchange *x);

static const struct cx_step optimize_steps[] = {
    { "pack", optimize_pack, false },   /* waits: cpu lane: body → items → packed → answer */
    { "reply", optimize_reply, false }, /* loop                                            */
};
API_TOOL(api__optimize, "context.optimize", optimize_steps, sizeof(struct optimize));

/* ---- pack ---- */

static void release_optimize(void *arg);
static enum cx_status pack_work(void *arg, struct cx_err *err);

static enum cx_step_result optimize_pack(struct cx_exchange *x)
{
    struct optimize *o = cx_exchange_state(x);
    o->api = api__of(x);
    o->text = cx_exchange_body(x);
    cx_faults_init(&o->faults);
    cx_exchange_defer(x, release_optimize, o);
    return cx_exchange_work(x, o->api->options.cpu_lane, CX_PRIORITY_NORMAL, pack_work, o);
}

static void release_optimize(void *arg)
{
    struct optimize *o = arg;
    cx_buf_free(&o->answer);
    cx_faults_free(&o->faults);
    free(o->packing.items);
    free(o->packing.order);
    if (o->body != NULL) {
        api__discard(o->api, o->body, o->text.len);
    }
}

static void read_request(struct optimize *o, struct cx_reader *r);
static json_t *answer_of(struct optimize *o);

static enum cx_status pack_work(void *arg, struct cx_err *err)
{
    struct optimize *o = arg;
    enum cx_status status = cx_json_parse(o->text, &o->body, err);
    if (status != CX_OK) {
        return status;
    }
    struct cx_reader r;
    cx_reader_init(&r, o->body, &o->faults, "body");
    if (r.object != NULL) {
        read_request(o, &r);
    }
    cx_reader_free(&r);
    if (o->faults.count > 0) {
        return CX_OK; /* the next step says so */
    }
    o->packing.cache = o->api->token_cache;
    status = cx_packing_run(&o->packing, err);
    return status == CX_OK ? api__write_answer(answer_of(o), &o->answer, err) : status;
}

static void read_budget(struct optimize *o, struct cx_reader *r);
static void read_duplicates(struct optimize *o, struct cx_reader *r);
static void read_items(struct optimize *o, struct cx_reader *r);

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
    o->packing.strategy = strategy == 1 ? CX_PACKING_KNAPSACK : CX_PACKING_GREEDY;
    o->in_order_sent = order == 1;
}

static void read_budget(struct optimize *o, struct cx_reader *r)
{
    int64_t max_tokens = TOKENS_DEFAULT;
    int64_t reserve_tokens = 0;
    cx_read_int(r, "max_tokens", CX_OPTIONAL, TOKENS_MIN, TOKENS_MAX, &max_tokens);
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
    if (!cx_read_array(r, "items", CX_REQUIRED, 0, ITEMS_MAX, &o->sent)) {
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
    return answer;
}

static json_t *items_of(struct optimize *o)
{
    const struct cx_packing *p = &o->packing;
    json_t *items = json_array();
    for (size_t i = 0; i < p->kept && !o->in_order_sent; i++) {
        json_array_append(items, json_array_get(o->sent, p->order[i]));
    }
    for (size_t i = 0; i < p->count && o->in_order_sent; i++) {
        if (p->items[i].reason == CX_PACKING_KEPT) {
            json_array_append(items, json_array_get(o->sent, i));
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
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &o->faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
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
    return cx_exchange_reply_buf(x, 200, "application/json", &o->answer);
}
