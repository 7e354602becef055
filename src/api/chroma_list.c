/* SPDX-License-Identifier: MIT
 *
 * GET /vector/documents where a Chroma server keeps them: a page of the walk through a collection, whose order
 * lasts but is not that of the ids. The cursor is the last document's id, there or not.
 */
#include "api/chroma_walk.h"

struct list {
    struct api__walk walk; /* first: its steps find it here */
    size_t limit;
    struct cx_buf answer;
};

static enum cx_step_result list_begin(struct cx_exchange *x);
static enum cx_step_result list_read(struct cx_exchange *x);
static enum cx_step_result list_page(struct cx_exchange *x);
static enum cx_step_result list_reply(struct cx_exchange *x);

static const struct cx_step list_steps[] = {
    { "begin", list_begin, false },      /* loop: what the query asks for                   */
    { "count", api__walk_count, false }, /* waits: Chroma: is the collection there?         */
    { "find", api__walk_find, false },   /* waits: Chroma: ids, one more than are shown     */
    { "found", api__walk_found, false }, /* loop, or find                                   */
    { "read", list_read, false },        /* waits: Chroma: their documents                  */
    { "page", list_page, true },         /* waits: cpu lane; or read again, less at once    */
    { "reply", list_reply, false },      /* loop                                            */
};
API_ENDPOINT(api__chroma_list, list_steps, sizeof(struct list));

static void release_list(void *arg);

static enum cx_step_result list_begin(struct cx_exchange *x)
{
    struct list *l = cx_exchange_state(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    l->walk.api = api__of(x);
    l->walk.collection = api__collection_query(x);
    cx_exchange_defer(x, release_list, l);
    api__read_page(x, &faults, &l->limit, &l->walk.after);
    l->walk.page = l->limit;
    l->walk.ids_enough = l->limit + 1;
    l->walk.ids_wanted = l->limit + l->limit / 4 + 16;
    return cx_exchange_fail_faults(x, &faults);
}

static void release_list(void *arg)
{
    struct list *l = arg;
    api__walk_release(&l->walk);
    cx_buf_free(&l->answer);
}

static enum cx_step_result list_read(struct cx_exchange *x)
{
    struct list *l = cx_exchange_state(x);
    return api__walk_left(&l->walk) > 0 ? api__walk_read(x, l->limit) : CX_STEP_NEXT;
}

static enum cx_status page_work(void *arg, struct cx_err *err);

static enum cx_step_result list_page(struct cx_exchange *x)
{
    struct list *l = cx_exchange_state(x);
    bool again = false;
    if (l->walk.ask.op.verb == CX_CHROMA_GET) {
        const enum cx_step_result judged = api__walk_judge(x, &again);
        if (judged != CX_STEP_NEXT) {
            return judged;
        }
    }
    if (again) {
        cx_exchange_go_to(x, list_read);
        return CX_STEP_NEXT;
    }
    return cx_exchange_work(x, l->walk.api->options.cpu_lane, CX_PRIORITY_NORMAL, page_work, l);
}

static enum cx_status page_work(void *arg, struct cx_err *err)
{
    struct list *l = arg;
    json_t *documents = l->walk.ask.op.answer;
    l->walk.ask.op.answer = NULL;
    json_t *cursor = json_null();
    if (!api__walk_ended(&l->walk)) {
        const struct cx_str last = api__walk_last(&l->walk);
        cursor = json_stringn(last.p, last.len);
    }
    json_t *answer = json_object();
    (void)json_object_set_new(answer, "documents", documents != NULL ? documents : json_array());
    (void)json_object_set_new(answer, "cursor", cursor);
    return api__write_answer(answer, &l->answer, err);
}

static enum cx_step_result list_reply(struct cx_exchange *x)
{
    struct list *l = cx_exchange_state(x);
    return cx_exchange_reply_buf(x, 200, "application/json", &l->answer);
}
