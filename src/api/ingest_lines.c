/* SPDX-License-Identifier: MIT
 *
 * POST /vector/documents with NDJSON of any length: 200 at once, then lines are gathered into
 * batches, which a pipe (ingest_pipe.c) takes to the disk, and each batch is answered with a line
 * when it is there. A batch is what has come while the ones before it were on their way, up to a
 * ceiling. A line that cannot be taken ends the ingest with a line that names it: everything before
 * it is on disk, nothing after.
 *
 * The client may send all before it reads anything. Its answers then gather here up to a bound;
 * beyond it the answers of further batches are summed up in one line, without ids.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/ingest_pipe.h"
#include "cortex/context.h"
#include "cortex/metrics.h"

#define LINE_BYTES ((size_t)16 * 1024 * 1024)
#define BATCH_LINES 256
#define BATCH_BYTES ((size_t)1024 * 1024)
#define UNSENT_BYTES ((size_t)8 * 1024 * 1024)

struct ingest {
    struct cx_exchange *x;
    struct cx_api *api;
    struct cx_vector *v;
    struct api__pipe pipe;
    struct cx_buf lines;            /* that no batch has yet */
    size_t line_count;              /* whole ones of these … */
    size_t whole_bytes;             /* … and their bytes; what follows is the beginning of one */
    size_t line;                    /* the last that a batch has taken */
    bool stopped;                   /* takes no further line */
    struct api__ingest_fault fault; /* why, where it is not the pipe's */
    bool left;                      /* the client */
    struct {                        /* answers that are summed up */
        size_t first_line;
        size_t last_line;
        size_t batches;
        struct cx_vector_put done;
    } sum;
};

static enum cx_step_result lines_open(struct cx_exchange *x);
static enum cx_step_result lines_take(struct cx_exchange *x);

static const struct cx_step lines_steps[] = {
    { "open", lines_open, false }, /* loop: what the query asks for; 200                    */
    { "take", lines_take, true },  /* waits, again and again: lines, room in the pipe, its end */
};
API_TOOL(api__documents_stream, "vector.index", lines_steps, sizeof(struct ingest));

/* ---- open ---- */

static void read_query(struct cx_exchange *x, struct ingest *g, struct cx_faults *faults);
static void release_ingest(void *arg);
static void on_stored(void *ctx, struct api__load *load);
static void on_move(void *ctx);

static enum cx_step_result lines_open(struct cx_exchange *x)
{
    const enum cx_step_result there = api__need_store(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct ingest *g = cx_exchange_state(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    g->x = x;
    g->api = api__of(x);
    read_query(x, g, &faults);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    if (g->api->ingests >= g->api->options.ingests_max) {
        return cx_exchange_fail(x, CX_OVERLOADED, "There are %zu ingests under way already",
                                g->api->ingests);
    }
    struct cx_err err = { "" };
    const struct api__batch_target *target = api__batch_target(g->api);
    const enum cx_status status = target->open(g->api, g->pipe.collection, &g->v, &err);
    if (status != CX_OK) {
        return cx_exchange_fail(x, status, "%s", err.text);
    }
    g->pipe.api = g->api;
    g->pipe.v = g->v;
    g->pipe.wait = g->pipe.wait || !target->keeps_pending;
    g->pipe.traceparent = cx_exchange_traceparent(x);
    g->pipe.on_stored = on_stored;
    g->pipe.on_move = on_move;
    g->pipe.ctx = g;
    api__pipe_open(&g->pipe);
    cx_buf_init(&g->lines, LINE_BYTES + 2 * BATCH_BYTES);
    g->api->ingests++;
    cx_gauge_add(cx_metrics_series(CX_M_VECTOR_INGESTS, ""), 1);
    cx_exchange_defer(x, release_ingest, g);
    return cx_stream_open(x, 200,
                          &(struct cx_stream_options){ .content_type = "application/x-ndjson",
                                                       .unsent_max = UNSENT_BYTES });
}

static bool read_number(struct cx_exchange *x, struct cx_faults *faults, const char *name,
                        uint64_t min, uint64_t max, size_t *out);

static void read_query(struct cx_exchange *x, struct ingest *g, struct cx_faults *faults)
{
    g->pipe.collection = api__collection_query(x);
    if (!cx_collection_name_valid(g->pipe.collection)) {
        api__query_fault(faults, "collection", "value", API_COLLECTION_SENTENCE);
    }
    const char *wait = cx_exchange_query(x, "wait");
    g->pipe.wait = wait != NULL && strcmp(wait, "true") == 0;
    if (wait != NULL && !g->pipe.wait && strcmp(wait, "false") != 0) {
        api__query_fault(faults, "wait", "value", "must be true or false");
    }
    struct api__chunk *chunk = &g->pipe.chunk;
    if (!read_number(x, faults, "chunk_tokens", CX_PASSAGE_TOKENS_MIN, API_CHUNK_TOKENS_MAX,
                     &chunk->tokens)) {
        if (cx_exchange_query(x, "chunk_overlap") != NULL && faults->count == 0) {
            api__query_fault(faults, "chunk_overlap", "value", "needs chunk_tokens beside it");
        }
        return;
    }
    chunk->overlap = API_CHUNK_OVERLAP_DEFAULT < chunk->tokens / 2 ? API_CHUNK_OVERLAP_DEFAULT
                                                                   : chunk->tokens / 2;
    (void)read_number(x, faults, "chunk_overlap", 0, chunk->tokens / 2, &chunk->overlap);
}

static bool read_number(struct cx_exchange *x, struct cx_faults *faults, const char *name,
                        uint64_t min, uint64_t max, size_t *out)
{
    const char *text = cx_exchange_query(x, name);
    uint64_t value = 0;
    if (text == NULL) {
        return false;
    }
    if (!cx_parse_u64(cx_str_of(text), &value) || value < min || value > max) {
        char sentence[64];
        snprintf(sentence, sizeof sentence, "must be between %zu and %zu", (size_t)min,
                 (size_t)max);
        api__query_fault(faults, name, "range", sentence);
        return false;
    }
    *out = (size_t)value;
    return true;
}

static void release_ingest(void *arg)
{
    struct ingest *g = arg;
    api__pipe_close(&g->pipe);
    api__collection_release(g->api, &g->v);
    cx_buf_free(&g->lines);
    g->api->ingests--;
    cx_gauge_add(cx_metrics_series(CX_M_VECTOR_INGESTS, ""), -1);
}

/* ---- take ---- */

static void stop(struct ingest *g, enum cx_status status, const char *text);
static void take_lines(struct ingest *g);
static bool is_full(const struct ingest *g);
static void hand_over(struct ingest *g);
static enum cx_step_result wait_for_more(struct cx_exchange *x, struct ingest *g);
static enum cx_step_result say_end(struct ingest *g);
static void say_sum(struct ingest *g);

static enum cx_step_result lines_take(struct cx_exchange *x)
{
    struct ingest *g = cx_exchange_state(x);
    const char *why = NULL;
    const enum cx_status outcome = cx_exchange_outcome(x, &why);
    if (outcome != CX_OK) {
        stop(g, outcome, why != NULL ? why : cx_status_text(outcome));
    }
    if (cx_stream_draining(x)) {
        api__pipe_drain(&g->pipe);
        g->line_count = 0;
        g->whole_bytes = 0;
        stop(g, CX_SHUTTING_DOWN, cx_status_text(CX_SHUTTING_DOWN));
        g->fault.line = g->line + 1; /* whatever was to end it later */
    }
    if (g->pipe.stopped) {
        stop(g, CX_OK, "");
        g->line_count = 0;
    }
    take_lines(g);
    const bool ended = g->stopped || cx_stream_body_ended(x);
    const bool idle = api__pipe_idle(&g->pipe);
    if (g->line_count > 0 && api__pipe_takes(&g->pipe) && (is_full(g) || idle || ended)) {
        hand_over(g);
        take_lines(g); /* what a full batch has left behind */
    }
    if (g->sum.batches > 0 && cx_stream_unsent(x) <= UNSENT_BYTES / 2) {
        say_sum(g);
    }
    if (ended && g->line_count == 0 && api__pipe_idle(&g->pipe) &&
        (g->stopped || cx_stream_body_ended(x))) {
        return say_end(g);
    }
    return wait_for_more(x, g);
}

static void stop(struct ingest *g, enum cx_status status, const char *text)
{
    if (g->stopped) {
        return;
    }
    g->stopped = true;
    g->fault.status = status;
    g->fault.line = g->line + g->line_count + 1; /* the first that is not taken */
    (void)snprintf(g->fault.text, sizeof g->fault.text, "%s", text);
}

static bool is_full(const struct ingest *g)
{
    return g->line_count >= BATCH_LINES || g->whole_bytes >= BATCH_BYTES;
}

static void take_lines(struct ingest *g)
{
    const struct cx_str piece = cx_exchange_body(g->x);
    size_t at = 0;
    while (at < piece.len && !is_full(g) && !g->stopped) {
        const char *newline = memchr(piece.p + at, '\n', piece.len - at);
        const size_t len = newline != NULL ? (size_t)(newline - piece.p) + 1 - at : piece.len - at;
        if (g->lines.len - g->whole_bytes + len > LINE_BYTES + 1) {
            stop(g, CX_TOO_LARGE, "A line may have at most 16 MiB");
            break;
        }
        cx_buf_append(&g->lines, piece.p + at, len);
        if (g->lines.failed) {
            stop(g, CX_NO_MEMORY, cx_status_text(CX_NO_MEMORY));
            break;
        }
        at += len;
        if (newline != NULL) {
            g->line_count++;
            g->whole_bytes = g->lines.len;
        }
    }
    cx_stream_take(g->x, g->stopped ? piece.len : at);
    if (cx_stream_body_ended(g->x) && !g->stopped && g->lines.len > g->whole_bytes) {
        g->line_count++; /* the last line needs no newline */
        g->whole_bytes = g->lines.len;
    }
}

/* The beginning of a next line stays here. */
static void hand_over(struct ingest *g)
{
    struct cx_buf rest;
    cx_buf_init(&rest, g->lines.ceiling);
    cx_buf_append(&rest, g->lines.data + g->whole_bytes, g->lines.len - g->whole_bytes);
    g->lines.len = g->whole_bytes;
    const size_t first = g->line + 1;
    g->line += g->line_count;
    g->line_count = 0;
    g->whole_bytes = 0;
    api__pipe_put(&g->pipe, &g->lines, first, g->line);
    g->lines = rest;
    if (rest.failed) {
        cx_buf_clear(&g->lines);
        stop(g, CX_NO_MEMORY, cx_status_text(CX_NO_MEMORY));
    }
}

static void cancel_ingest(void *op);

static enum cx_step_result wait_for_more(struct cx_exchange *x, struct ingest *g)
{
    unsigned what = 0;
    if (!g->stopped && !is_full(g) && !cx_stream_body_ended(x)) {
        /* The client has its time only when everything that it has sent is answered. */
        what = CX_WAIT_BODY | (api__pipe_idle(&g->pipe) ? 0 : CX_WAIT_PATIENT);
    }
    what |= g->sum.batches > 0 ? CX_WAIT_ROOM : 0;
    cx_exchange_go_to(x, lines_take);
    return cx_stream_wait(x, what, cancel_ingest, g);
}

/* The client has left: what is being stored is stored, the rest is dropped. */
static void cancel_ingest(void *op)
{
    struct ingest *g = op;
    g->left = true;
    api__pipe_cancel(&g->pipe);
    if (api__pipe_idle(&g->pipe)) {
        cx_stream_wake(g->x);
    }
}

static void on_move(void *ctx)
{
    struct ingest *g = ctx;
    if (!g->left || api__pipe_idle(&g->pipe)) {
        cx_stream_wake(g->x);
    }
}

/* ---- Answers ---- */

/* False: there is no memory for it. */
static bool say(struct ingest *g, struct cx_buf *line)
{
    cx_buf_putc(line, '\n');
    if (line->failed) {
        return false;
    }
    (void)cx_stream_write(g->x, (struct cx_str){ line->data, line->len });
    return true;
}

static void on_stored(void *ctx, struct api__load *load)
{
    struct ingest *g = ctx;
    const struct cx_vector_put *done = &load->batch.done;
    api__batch_tell(&load->batch, g->x);
    cx_counter_add(cx_metrics_series(CX_M_VECTOR_INGEST_LINES, ""),
                   load->last_line - load->first_line + 1);
    if (g->left) {
        return;
    }
    if (g->sum.batches == 0 && cx_stream_unsent(g->x) <= UNSENT_BYTES / 2 && !load->answer.failed &&
        load->answer.len < UNSENT_BYTES / 4) {
        api__batch_write_figures(&load->batch, &load->answer);
        if (say(g, &load->answer)) {
            return;
        }
    }
    if (g->sum.batches++ == 0) {
        g->sum.first_line = load->first_line;
    }
    g->sum.last_line = load->last_line;
    g->sum.done.indexed += done->indexed;
    g->sum.done.updated += done->updated;
    g->sum.done.unchanged += done->unchanged;
    g->sum.done.pending += done->pending;
    g->sum.done.removed += done->removed;
}

static void say_sum(struct ingest *g)
{
    const struct cx_vector_put *done = &g->sum.done;
    char line[512];
    (void)snprintf(line, sizeof line,
                   "{\"lines\":[%zu,%zu],\"batches\":%zu,\"ids_omitted\":true,\"indexed\":%zu,"
                   "\"updated\":%zu,\"unchanged\":%zu,\"pending\":%zu,\"removed\":%zu}\n",
                   g->sum.first_line, g->sum.last_line, g->sum.batches, done->indexed,
                   done->updated, done->unchanged, done->pending, done->removed);
    (void)cx_stream_write(g->x, cx_str_of(line));
    memset(&g->sum, 0, sizeof g->sum);
}

/* An ingest that has failed must not look as if it had not, memory or no memory. */
static void say_briefly(struct ingest *g, const struct api__ingest_fault *fault)
{
    char line[512];
    (void)snprintf(line, sizeof line,
                   "{\"line\":%zu,\"error\":{\"status\":%d,\"reason\":\"%s\",\"detail\":\"%s\"}}\n",
                   fault->line, cx_status_http(fault->status), cx_status_reason(fault->status),
                   cx_status_text(fault->status));
    (void)cx_stream_write(g->x, cx_str_of(line));
}

static enum cx_step_result say_end(struct ingest *g)
{
    const struct api__ingest_fault *fault =
        g->pipe.fault.status != CX_OK ? &g->pipe.fault : &g->fault;
    if (g->sum.batches > 0) {
        say_sum(g);
    }
    if (fault->status != CX_OK) {
        /* What is our own fault goes into the log alone, as everywhere. */
        const int http = cx_status_http(fault->status);
        const char *text = http == 500 ? cx_status_text(fault->status) : fault->text;
        if (http >= 500) {
            CX_LOG(CX_LOG_WARN, "ingest ended", CX_I("line", fault->line),
                   CX_S("reason", cx_status_reason(fault->status)), CX_S("why", fault->text),
                   CX_S("correlation_id", cx_exchange_correlation_id(g->x)));
        }
        struct cx_buf line;
        cx_buf_init(&line, (size_t)1024 * 1024);
        cx_buf_printf(&line, "{\"line\":%zu,\"error\":{\"status\":%d,\"reason\":\"%s\",\"detail\":",
                      fault->line, http, cx_status_reason(fault->status));
        cx_json_write_string(cx_str_of(text), &line);
        if (fault->errors != NULL) {
            cx_buf_puts(&line, ",\"errors\":");
            cx_json_write(fault->errors, &line);
        }
        cx_buf_puts(&line, "}}");
        if (!say(g, &line)) {
            say_briefly(g, fault);
        }
        cx_buf_free(&line);
    }
    return cx_stream_end(g->x);
}
