/* SPDX-License-Identifier: MIT
 *
 * GET /vector/export: all documents of a collection as NDJSON that POST /vector/documents takes back.
 * A page is read when the client has taken the one before it, so that nothing gathers here.
 */
#include "api/export.h"

#include <string.h>

#define PAGE_BYTES ((size_t)256 * 1024) /* more where one document is larger */
#define SLICE_BYTES ((size_t)256 * 1024)
#define UNSENT_BYTES ((size_t)1024 * 1024)

struct export
{
    struct cx_api *api;
    struct cx_vector *v;
    struct cx_vector_export at;
    struct api__export_page page;
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
        cx_buf_init(&e->page.lines, API_ANSWER_MAX_BYTES);
        cx_exchange_defer(x, release_export, e);
        there = api__collection_find(x, api__collection_query(x), &e->v);
    }
    if (there != CX_STEP_NEXT) {
        return there;
    }
    there = api__export_query(x, &e->at.vectors);
    return there == CX_STEP_NEXT ? api__export_open(x, &e->page) : there;
}

static void release_export(void *arg)
{
    struct export *e = arg;
    api__collection_release(e->api, &e->v);
    cx_buf_free(&e->page.lines);
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
    cx_buf_clear(&e->page.lines);
    e->page.sent = 0;
    struct cx_db *db = cx_store_reader(e->api->options.store);
    const enum cx_status status =
        cx_vector_export(e->v, db, &e->at, PAGE_BYTES, &e->page.lines, err);
    cx_store_return(e->api->options.store, db);
    return status;
}

static enum cx_step_result export_write(struct cx_exchange *x)
{
    struct export *e = cx_exchange_state(x);
    return api__export_write(x, &e->page, e->at.ended, export_write, export_read);
}

/* ---- What both stores' exports share ---- */

enum cx_step_result api__export_query(struct cx_exchange *x, bool *vectors)
{
    const char *text = cx_exchange_query(x, "vectors");
    *vectors = text != NULL && strcmp(text, "true") == 0;
    if (text == NULL || *vectors || strcmp(text, "false") == 0) {
        return CX_STEP_NEXT;
    }
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__query_fault(&faults, "vectors", "value", "must be true or false");
    return cx_exchange_fail_faults(x, &faults);
}

enum cx_step_result api__export_open(struct cx_exchange *x, struct api__export_page *page)
{
    page->sent = 0;
    return cx_stream_open(x, 200,
                          &(struct cx_stream_options){ .content_type = "application/x-ndjson",
                                                       .unsent_max = UNSENT_BYTES });
}

enum cx_step_result api__export_write(struct cx_exchange *x, struct api__export_page *page,
                                      bool ended,
                                      enum cx_step_result (*write)(struct cx_exchange *x),
                                      enum cx_step_result (*read)(struct cx_exchange *x))
{
    const size_t left = page->lines.len - page->sent;
    if (left == 0) {
        if (ended) {
            return cx_stream_end(x);
        }
        cx_exchange_go_to(x, read);
        return CX_STEP_NEXT;
    }
    const size_t some = left < SLICE_BYTES ? left : SLICE_BYTES;
    (void)cx_stream_write(x, (struct cx_str){ page->lines.data + page->sent, some });
    page->sent += some;
    cx_exchange_go_to(x, write);
    return cx_stream_wait(x, CX_WAIT_ROOM, NULL, NULL);
}
