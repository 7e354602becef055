/* SPDX-License-Identifier: MIT
 *
 * GET /vector/export where a Chroma server keeps the documents: some parts' ids, then their documents a page at a
 * time; a page is read when the client has taken the one before it.
 */
#include <stdlib.h>
#include <string.h>

#include "api/chroma_walk.h"
#include "api/export.h"
#include "cortex/crypto.h"
#include "cortex/json.h"

#define IDS_WANTED 2000

struct export
{
    struct api__walk walk; /* first: its steps find it here */
    bool vectors;
    struct api__export_page page;
};

static enum cx_step_result export_begin(struct cx_exchange *x);
static enum cx_step_result export_open(struct cx_exchange *x);
static enum cx_step_result export_read(struct cx_exchange *x);
static enum cx_step_result export_page(struct cx_exchange *x);
static enum cx_step_result export_write(struct cx_exchange *x);

static const struct cx_step export_steps[] = {
    { "begin", export_begin, false },    /* loop: what the query asks for                        */
    { "count", api__walk_count, false }, /* waits: Chroma: is the collection there?              */
    { "open", export_open, false },      /* loop: 200                                            */
    { "find", api__walk_find, false },   /* waits: Chroma: some ids, or loop: there are enough   */
    { "found", api__walk_found, false }, /* loop, or find                                        */
    { "read", export_read, false },      /* waits: Chroma: their documents, a page               */
    { "page", export_page, true },       /* waits: cpu lane; or read again, less at once         */
    { "write", export_write, false },    /* waits: the reader; again, then find, or the end      */
};
API_TOOL(api__chroma_export, "vector.export", export_steps, sizeof(struct export));

static void release_export(void *arg);

static enum cx_step_result export_begin(struct cx_exchange *x)
{
    struct export *e = cx_exchange_state(x);
    e->walk.api = api__of(x);
    e->walk.collection = api__collection_query(x);
    e->walk.ids_wanted = IDS_WANTED;
    e->walk.ids_enough = 1;
    cx_buf_init(&e->page.lines, API_ANSWER_MAX_BYTES);
    cx_exchange_defer(x, release_export, e);
    const enum cx_step_result asked = api__export_query(x, &e->vectors);
    e->walk.include = CX_CHROMA_WITH_CONTENT | (e->vectors ? CX_CHROMA_WITH_VECTOR : 0U);
    return asked;
}

static void release_export(void *arg)
{
    struct export *e = arg;
    api__walk_release(&e->walk);
    cx_buf_free(&e->page.lines);
}

static enum cx_step_result export_open(struct cx_exchange *x)
{
    struct export *e = cx_exchange_state(x);
    return api__export_open(x, &e->page);
}

static enum cx_step_result export_read(struct cx_exchange *x)
{
    struct export *e = cx_exchange_state(x);
    return api__walk_left(&e->walk) > 0 ? api__walk_read(x, SIZE_MAX) : CX_STEP_NEXT;
}

static enum cx_status page_work(void *arg, struct cx_err *err);

static enum cx_step_result export_page(struct cx_exchange *x)
{
    struct export *e = cx_exchange_state(x);
    if (e->walk.ask.op.verb != CX_CHROMA_GET) {
        return CX_STEP_NEXT; /* there was nothing to read */
    }
    bool again = false;
    const enum cx_step_result judged = api__walk_judge(x, &again);
    if (again) {
        cx_exchange_go_to(x, export_read);
    }
    return judged != CX_STEP_NEXT || again ? judged
                                           : cx_exchange_work(x, e->walk.api->options.cpu_lane,
                                                              CX_PRIORITY_NORMAL, page_work, e);
}

static void write_line(const struct export *e, const json_t *document, struct cx_buf *out);

static enum cx_status page_work(void *arg, struct cx_err *err)
{
    struct export *e = arg;
    json_t *documents = e->walk.ask.op.answer;
    e->walk.ask.op.answer = NULL;
    cx_buf_clear(&e->page.lines);
    e->page.sent = 0;
    for (size_t i = 0; i < json_array_size(documents); i++) {
        write_line(e, json_array_get(documents, i), &e->page.lines);
    }
    json_decref(documents);
    return e->page.lines.failed
               ? cx_err_set(err, CX_TOO_LARGE, "A document is too large to be exported")
               : CX_OK;
}

static void write_vector(const struct export *e, const json_t *vector, struct cx_buf *out);

static void write_line(const struct export *e, const json_t *document, struct cx_buf *out)
{
    static const char *const members[] = { "doc_id", "content", "uri", "summary", "metadata" };
    for (size_t i = 0; i < CX_ARRAY_LEN(members); i++) {
        const json_t *value = json_object_get(document, members[i]);
        if (!json_is_null(value)) {
            cx_buf_printf(out, "%s\"%s\":", i > 0 ? "," : "{", members[i]);
            cx_json_write(value, out);
        }
    }
    const json_t *vector = json_object_get(document, "vector");
    if (e->vectors && json_is_array(vector) && e->walk.ask.op.holds != CX_CHROMA_NO_VECTORS) {
        write_vector(e, vector, out);
    }
    cx_buf_puts(out, "}\n");
}

static void write_vector(const struct export *e, const json_t *vector, struct cx_buf *out)
{
    const size_t dimension = json_array_size(vector);
    float *floats = cx_realloc_array(NULL, dimension + 1, sizeof *floats);
    for (size_t i = 0; i < dimension; i++) {
        floats[i] = (float)json_number_value(json_array_get(vector, i));
    }
    cx_buf_puts(out, ",\"vector\":\"");
    cx_base64_encode(floats, dimension * sizeof *floats, out);
    cx_buf_putc(out, '"');
    if (e->walk.ask.op.holds == CX_CHROMA_OURS) {
        cx_buf_printf(out, ",\"fingerprint\":\"%s\"", e->walk.api->model_fingerprint);
    }
    free(floats);
}

static enum cx_step_result export_write(struct cx_exchange *x)
{
    struct export *e = cx_exchange_state(x);
    return api__export_write(x, &e->page, api__walk_ended(&e->walk), export_write, api__walk_find);
}
