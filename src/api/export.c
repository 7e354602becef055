/* SPDX-License-Identifier: MIT
 *
 * GET /vector/export: all documents of a collection as NDJSON that POST /vector/documents takes back.
 * A page is read when the client has taken the one before it, so that nothing gathers here.
 */
#include <string.h>

#include "api/api_internal.h"

#define PAGE_BYTES ((size_t)256 * 1024) /* more where one document is larger */
#define SLICE_BYTES ((size_t)256 * 1024)
#define UNSENT_BYTES ((size_t)1024 * 1024)

struct export
{
    struct cx_api *api;
    struct cx_vector *v;
    struct cx_vector_export at;
    struct cx_buf page;
    size_t sent; /* of the page */
};

static enum cx_step_result export_open(struct cx_exchange *x);
static enum cx_step_result export_read(struct cx_exchange *x);
static enum cx_step_result export_write(struct cx_exchange *x);

static const struct cx_step export_steps[] = {
    { "open", export_open, false },   /* loop                                             */
    { "read", export_read, false },   /* waits: read lane; a page                         */
    { "write", export_write, false }, /* waits: the reader; again, then read, or the end */
};
API_TOOL(api__export, "vector.export", export_steps, sizeof(struct export));

static void release_export(void *arg);

static enum cx_step_result export_open(struct cx_exchange *x)
{
    struct export *e = cx_exchange_state(x);
    enum cx_step_result there = api__need_vector(x);
    if (there == CX_STEP_NEXT) {
        e->api = api__of(x);
        cx_buf_init(&e->page, API_ANSWER_MAX_BYTES);
        cx_exchange_defer(x, release_export, e);
        there = api__collection_find(x, api__collection_query(x), &e->v);
    }
    if (there != CX_STEP_NEXT) {
        return there;
    }
    const char *vectors = cx_exchange_query(x, "vectors");
    e->at.vectors = vectors != NULL && strcmp(vectors, "true") == 0;
    if (vectors != NULL && !e->at.vectors && strcmp(vectors, "false") != 0) {
        struct cx_faults faults;
        cx_faults_init(&faults);
        api__query_fault(&faults, "vectors", "value", "must be true or false");
        return cx_exchange_fail_faults(x, &faults);
    }
    return cx_stream_open(x, 200,
                          &(struct cx_stream_options){ .content_type = "application/x-ndjson",
                                                       .unsent_max = UNSENT_BYTES });
}

static void release_export(void *arg)
{
    struct export *e = arg;
    api__collection_release(e->api, &e->v);
    cx_buf_free(&e->page);
}

static enum cx_status read_work(void *arg, struct cx_err *err);

static enum cx_step_result export_read(struct cx_exchange *x)
{
    struct export *e = cx_exchange_state(x);
    return cx_exchange_work(x, e->api->options.read_lane, CX_PRIORITY_NORMAL, read_work, e);
}

static enum cx_status read_work(void *arg, struct cx_err *err)
{
    struct export *e = arg;
    cx_buf_clear(&e->page);
    e->sent = 0;
    struct cx_db *db = cx_store_reader(e->api->options.store);
    const enum cx_status status = cx_vector_export(e->v, db, &e->at, PAGE_BYTES, &e->page, err);
    cx_store_return(e->api->options.store, db);
    return status;
}

static enum cx_step_result export_write(struct cx_exchange *x)
{
    struct export *e = cx_exchange_state(x);
    const size_t left = e->page.len - e->sent;
    if (left == 0) {
        if (e->at.ended) {
            return cx_stream_end(x);
        }
        cx_exchange_go_to(x, export_read);
        return CX_STEP_NEXT;
    }
    const size_t some = left < SLICE_BYTES ? left : SLICE_BYTES;
    (void)cx_stream_write(x, (struct cx_str){ e->page.data + e->sent, some });
    e->sent += some;
    cx_exchange_go_to(x, export_write);
    return cx_stream_wait(x, CX_WAIT_ROOM, NULL, NULL);
}
