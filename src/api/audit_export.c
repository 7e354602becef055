/* SPDX-License-Identifier: MIT
 *
 * GET /audit/export: runs with their labels as a stream of JSON Lines. A piece is read on the read lane,
 * written, and the next one only read when most of it is on its way.
 */
#include "api/api_internal.h"

#include <string.h>

#define PIECE_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define PART_BYTES ((size_t)256 * 1024) /* at once, well below what may wait for a client */

struct exporting {
    struct cx_exchange *x;
    struct cx_api *api;
    struct cx_audit_export query;
    struct cx_buf piece;
    struct cx_job *job;
    bool more;
    size_t written; /* of the piece */
    enum cx_status status;
    struct cx_err err;
};

static enum cx_step_result export_parse(struct cx_exchange *x);
static enum cx_step_result export_open(struct cx_exchange *x);
static enum cx_step_result export_read(struct cx_exchange *x);

static const struct cx_step export_steps[] = {
    { "parse", export_parse,
      false },                      /* loop                                                       */
    { "open", export_open, false }, /* loop: the head goes out                                    */
    { "read", export_read, false }, /* waits: read lane, then room; again and again until the end */
};
API_ENDPOINT(api__audit_export, export_steps, sizeof(struct exporting));

static void release_export(void *arg);

static enum cx_step_result export_parse(struct cx_exchange *x)
{
    struct exporting *e = cx_exchange_state(x);
    e->x = x;
    e->api = api__of(x);
    cx_buf_init(&e->piece, PIECE_MAX_BYTES);
    cx_exchange_defer(x, release_export, e);
    struct cx_faults faults;
    cx_faults_init(&faults);
    const char *labelled = cx_exchange_query(x, "labelled");
    if (labelled != NULL && strcmp(labelled, "true") != 0 && strcmp(labelled, "false") != 0) {
        api__query_fault(&faults, "labelled", "value", "must be true or false");
    }
    e->query.labelled = labelled != NULL && strcmp(labelled, "true") == 0;
    e->query.agent = cx_str_of(cx_exchange_query(x, "agent"));
    e->query.correlation = cx_str_of(cx_exchange_query(x, "correlation_id"));
    e->query.label = cx_str_of(cx_exchange_query(x, "label"));
    api__read_time(x, &faults, "since", &e->query.since_us);
    api__read_time(x, &faults, "until", &e->query.until_us);
    e->more = true;
    return cx_exchange_fail_faults(x, &faults);
}

static void release_export(void *arg)
{
    struct exporting *e = arg;
    cx_buf_free(&e->piece);
}

static enum cx_step_result export_open(struct cx_exchange *x)
{
    return cx_stream_open(x, 200,
                          &(struct cx_stream_options){ .content_type = "application/x-ndjson" });
}

static void read_work(void *arg);
static void on_read(void *arg, enum cx_status status);
static void cancel(void *op);

static enum cx_step_result again(struct cx_exchange *x, unsigned what)
{
    cx_exchange_go_to(x, export_read);
    return cx_stream_wait(x, what, what == 0 ? cancel : NULL, cx_exchange_state(x));
}

/* By turns: reads a piece, writes it in parts as there is room. A piece that cannot be read cuts the
 * stream, so that the client sees that it has no end. */
static enum cx_step_result export_read(struct cx_exchange *x)
{
    struct exporting *e = cx_exchange_state(x);
    if (e->job != NULL) {
        return again(x, 0); /* woken by the drain */
    }
    if (e->status != CX_OK) {
        return cx_exchange_fail(x, e->status, "%s", e->err.text);
    }
    if (e->written < e->piece.len) {
        const size_t left = e->piece.len - e->written;
        const size_t part = left < PART_BYTES ? left : PART_BYTES;
        (void)cx_stream_write(x, (struct cx_str){ e->piece.data + e->written, part });
        e->written += part;
        return again(x, CX_WAIT_ROOM);
    }
    if (!e->more) {
        return cx_stream_end(x);
    }
    if (cx_stream_draining(x)) {
        return cx_exchange_fail(x, CX_SHUTTING_DOWN, "%s", cx_status_text(CX_SHUTTING_DOWN));
    }
    cx_buf_free(&e->piece);
    e->written = 0;
    const enum cx_status status = cx_lane_submit(e->api->options.read_lane, CX_PRIORITY_NORMAL,
                                                 read_work, on_read, e, &e->job);
    return status == CX_OK ? again(x, 0)
                           : cx_exchange_fail(x, status, "%s", cx_status_text(status));
}

static void cancel(void *op)
{
    (void)op; /* the piece ends soon, and then wakes us */
}

static void read_work(void *arg)
{
    struct exporting *e = arg;
    e->status =
        cx_audit_export_some(e->api->options.audit, &e->query, &e->piece, &e->more, &e->err);
}

static void on_read(void *arg, enum cx_status status)
{
    struct exporting *e = arg;
    e->job = NULL;
    if (status != CX_OK) {
        e->status = status;
    }
    cx_stream_wake(e->x);
}
