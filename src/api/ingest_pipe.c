/* SPDX-License-Identifier: MIT
 *
 * Batches on their way: which may take its next step, and what comes of each.
 *
 * Threads: the loop; the _work functions on workers, which own their load while they run.
 */
#include "api/ingest_pipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOADS_MAX 3
#define AGAIN_MS 20
/* For the vectors of a batch whose client waits for them: a slow model is let finish. Each call of a
 * service has its own time and its attempts, and the client may leave at any time. */
#define PATIENT_MS ((uint64_t)3600 * 1000)

static void pump(struct api__pipe *p);
static void on_again(void *ctx);
static void on_drained(void *ctx);
static void start_prepare(struct api__load *load);
static void start_compare(struct api__load *load, bool first);
static void start_embed(struct api__load *load);
static void start_store(struct api__load *load);
static void finish(struct api__load *load);
static void fail(struct api__load *load, enum cx_status status, const char *text);
static void move_one(struct api__pipe *p, struct api__load *load, bool first);
static void sweep(struct api__pipe *p);
static void free_load(struct api__pipe *p, struct api__load *load);

void api__pipe_open(struct api__pipe *p)
{
    cx_timer_new(p->api->options.loop, on_again, p, &p->timer);
    cx_timer_new(p->api->options.loop, on_drained, p, &p->drain_timer);
}

void api__pipe_close(struct api__pipe *p)
{
    CX_CHECK(api__pipe_idle(p));
    json_decref(p->fault.errors);
    cx_timer_free(&p->timer);
    cx_timer_free(&p->drain_timer);
}

bool api__pipe_idle(const struct api__pipe *p)
{
    return p->first == NULL;
}

bool api__pipe_takes(const struct api__pipe *p)
{
    if (p->stopped || p->count == LOADS_MAX) {
        return false;
    }
    for (const struct api__load *load = p->first; load != NULL; load = load->next) {
        if (load->state < LOAD_COMPARED) {
            return false;
        }
    }
    return true;
}

void api__pipe_put(struct api__pipe *p, struct cx_buf *lines, size_t first_line, size_t last_line)
{
    CX_CHECK(api__pipe_takes(p));
    struct api__load *load = cx_alloc(sizeof *load);
    load->pipe = p;
    load->lines = *lines;
    load->first_line = first_line;
    load->last_line = last_line;
    cx_buf_init(lines, lines->ceiling);
    struct api__load **at = &p->first;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = load;
    p->count++;
    pump(p);
}

void api__pipe_cancel(struct api__pipe *p)
{
    p->stopped = true;
    for (struct api__load *load = p->first; load != NULL; load = load->next) {
        if (load->call != NULL) {
            cx_embed_call_cancel(load->call);
        }
        if (load->state == LOAD_COMPARING && load->busy) {
            api__batch_cancel(&load->batch);
        }
    }
    pump(p);
}

void api__pipe_drain(struct api__pipe *p)
{
    if (p->wait && !p->draining) {
        p->draining = true;
        cx_timer_start(p->drain_timer, p->api->options.deadline_ms / 2, 0);
    }
}

/* The client is told where to go on while there is time for it. */
static void on_drained(void *ctx)
{
    struct api__pipe *p = ctx;
    for (struct api__load *load = p->first; load != NULL; load = load->next) {
        if (load->call != NULL) {
            load->given_up = true;
            cx_embed_call_cancel(load->call);
        }
    }
}

/* ---- Who moves ---- */

/* Nothing that has not begun to be stored goes on once the pipe has its fault or is cancelled. */
static bool is_void(const struct api__pipe *p, const struct api__load *load)
{
    return p->stopped && (p->fault.status == CX_OK || load->first_line >= p->fault.line) &&
           !(load->state == LOAD_STORING && load->busy);
}

static bool is_embedding(const struct api__pipe *p)
{
    const struct api__load *load = p->first;
    while (load != NULL && !(load->state == LOAD_EMBEDDING && load->busy)) {
        load = load->next;
    }
    return load != NULL;
}

static void pump(struct api__pipe *p)
{
    bool first = true; /* of those that are still on their way */
    for (struct api__load *load = p->first; load != NULL; load = load->next) {
        if (!load->busy) {
            move_one(p, load, first);
        }
        first = first && load->state == LOAD_DONE;
    }
    sweep(p);
}

static void move_one(struct api__pipe *p, struct api__load *load, bool first)
{
    if (load->state == LOAD_DONE || is_void(p, load)) {
        load->state = LOAD_DONE;
    } else if (load->state == LOAD_PREPARING) {
        start_prepare(load);
    } else if (load->state == LOAD_PREPARED || load->state == LOAD_COMPARING) {
        start_compare(load, first);
    } else if (load->state <= LOAD_EMBEDDING && !is_embedding(p)) {
        start_embed(load);
    }
    if (first && !load->busy && !is_void(p, load) &&
        (load->state == LOAD_EMBEDDED || load->state == LOAD_STORING)) {
        start_store(load);
    }
}

static void sweep(struct api__pipe *p)
{
    struct api__load **at = &p->first;
    while (*at != NULL) {
        struct api__load *load = *at;
        if (load->state == LOAD_DONE) {
            *at = load->next;
            p->count--;
            free_load(p, load);
        } else {
            at = &load->next;
        }
    }
}

static void on_again(void *ctx)
{
    struct api__pipe *p = ctx;
    pump(p);
    p->on_move(p->ctx);
}

static void moved(struct api__pipe *p)
{
    pump(p);
    p->on_move(p->ctx);
}

/* A full lane is waited for: that is what holds the client back. */
static void begin(struct api__load *load, struct cx_lane *lane, cx_work_fn work, cx_done_fn on_done)
{
    struct cx_job *job = NULL;
    load->err.text[0] = '\0';
    const enum cx_status status =
        cx_lane_submit(lane, CX_PRIORITY_NORMAL, work, on_done, load, &job);
    load->busy = status == CX_OK;
    if (status != CX_OK) {
        cx_timer_start(load->pipe->timer, AGAIN_MS, 0);
    }
}

/* ---- Preparing: parse, and write what is known of the answer ---- */

static void prepare_work(void *arg);
static void on_prepared(void *arg, enum cx_status status);

static void start_prepare(struct api__load *load)
{
    load->state = LOAD_PREPARING;
    begin(load, load->pipe->api->options.cpu_lane, prepare_work, on_prepared);
}

static void read_lines(struct api__load *load);
static void cut_before_refused(struct api__load *load);

static void prepare_work(void *arg)
{
    struct api__load *load = arg;
    const struct api__pipe *p = load->pipe;
    api__batch_init(&load->batch, p->api, 4 * load->lines.len + ((size_t)16 << 20));
    load->batch.v = p->v;
    load->batch.collection = p->collection;
    load->batch.chunk = p->chunk;
    load->batch.traceparent = p->traceparent;
    load->batch.time_ms = p->api->options.deadline_ms;
    load->values = json_array();
    read_lines(load);
    cut_before_refused(load);
    load->status = api__batch_read_done(&load->batch, &load->err);
    cx_buf_init(&load->answer, API_ANSWER_MAX_BYTES);
    const size_t last = load->batch.sent_count > 0
                            ? load->batch.sent[load->batch.sent_count - 1].line
                            : load->first_line;
    cx_buf_printf(&load->answer, "{\"lines\":[%zu,%zu],\"ids\":", load->first_line,
                  load->fault.status != CX_OK ? last : load->last_line);
    api__batch_write_ids(&load->batch, &load->answer);
}

static bool read_line(struct api__load *load, struct cx_str line, size_t number);
static void note_fault(struct api__load *load, size_t line, enum cx_status status, const char *text,
                       json_t *errors);

static void read_lines(struct api__load *load)
{
    struct cx_str rest = { load->lines.data, load->lines.len };
    for (size_t number = load->first_line; rest.len > 0; number++) {
        const char *newline = memchr(rest.p, '\n', rest.len);
        const size_t len = newline != NULL ? (size_t)(newline - rest.p) : rest.len;
        if (!read_line(load, (struct cx_str){ rest.p, len }, number)) {
            return;
        }
        const size_t taken = len + (newline != NULL ? 1 : 0);
        rest = (struct cx_str){ rest.p + taken, rest.len - taken };
    }
}

static bool is_blank(struct cx_str line)
{
    size_t i = 0;
    while (i < line.len && (line.p[i] == ' ' || line.p[i] == '\t' || line.p[i] == '\r')) {
        i++;
    }
    return i == line.len;
}

static bool read_line(struct api__load *load, struct cx_str line, size_t number)
{
    if (is_blank(line)) {
        return true;
    }
    json_t *value = NULL;
    struct cx_err err = { "" };
    const enum cx_status status = cx_json_parse(line, &value, &err);
    if (status != CX_OK) {
        note_fault(load, number, status, err.text, NULL);
        return false;
    }
    if (json_array_append_new(load->values, value) != 0) { /* who owns what is read from it */
        note_fault(load, number, CX_NO_MEMORY, cx_status_text(CX_NO_MEMORY), NULL);
        return false;
    }
    struct cx_faults faults;
    struct cx_reader r;
    cx_faults_init(&faults);
    cx_reader_init(&r, value, &faults, "document");
    api__batch_read(&load->batch, &r, number);
    cx_reader_free(&r);
    if (faults.count > 0) {
        cx_faults_sentence(&faults, &err);
        note_fault(load, number, CX_INVALID, err.text, json_incref(faults.list));
        api__batch_cut(&load->batch, load->batch.sent_count - 1);
    }
    const bool good = faults.count == 0;
    cx_faults_free(&faults);
    return good;
}

static void note_fault(struct api__load *load, size_t line, enum cx_status status, const char *text,
                       json_t *errors)
{
    json_decref(load->fault.errors);
    load->fault = (struct api__ingest_fault){ .status = status, .line = line, .errors = errors };
    (void)snprintf(load->fault.text, sizeof load->fault.text, "%s", text);
}

/* The first document that the collection refuses as things stand: one that lacks a vector, or whose
 * vector has another dimension. */
static void cut_before_refused(struct api__load *load)
{
    struct api__batch *b = &load->batch;
    struct cx_err err = { "" };
    const enum cx_status status = b->target->check(b, b->row_count, &err);
    if (b->row_count == 0 || status == CX_OK) {
        return;
    }
    size_t good = 0; /* so many rows are taken, one more is not */
    size_t bad = b->row_count;
    while (bad - good > 1) {
        const size_t middle = good + (bad - good) / 2;
        struct cx_err why = { "" };
        *(b->target->check(b, middle, &why) == CX_OK ? &good : &bad) = middle;
    }
    size_t sent = 0;
    while (sent + 1 < b->sent_count && b->sent[sent].first + b->sent[sent].count <= good) {
        sent++;
    }
    note_fault(load, b->sent[sent].line, status, err.text, NULL);
    api__batch_cut(b, sent);
}

static void on_prepared(void *arg, enum cx_status status)
{
    struct api__load *load = arg;
    struct api__pipe *p = load->pipe;
    load->busy = false;
    load->state = LOAD_PREPARED;
    if (status != CX_OK || load->status != CX_OK) {
        fail(load, status != CX_OK ? status : load->status, load->err.text);
    } else if (load->fault.status != CX_OK && !p->stopped) {
        p->fault = load->fault;
        load->fault.errors = NULL;
        p->stopped = true;
    }
    moved(p);
}

/* ---- Comparing, and storing ---- */

/* A full lane is waited for; else what has not begun has failed. */
static void began(struct api__load *load, enum cx_status status)
{
    struct api__pipe *p = load->pipe;
    load->busy = status == CX_OK;
    if (status == CX_OVERLOADED) {
        cx_timer_start(p->timer, AGAIN_MS, 0);
    } else if (status != CX_OK) {
        fail(load, status, load->batch.op.err.text);
        cx_timer_start(p->timer, 0, 0);
    }
}

static void on_compared(void *ctx, enum cx_status status, const struct cx_err *err);

static void start_compare(struct api__load *load, bool first)
{
    load->state = LOAD_COMPARING;
    if (load->batch.row_count == 0) { /* blank lines, or its first one is at fault */
        load->state = LOAD_COMPARED;
        return;
    }
    load->batch.others_before = !first;
    began(load, api__batch_compare(&load->batch, on_compared, load));
}

static void on_compared(void *ctx, enum cx_status status, const struct cx_err *err)
{
    struct api__load *load = ctx;
    struct api__pipe *p = load->pipe;
    load->busy = false;
    load->state = LOAD_COMPARED;
    if (load->batch.op.full) {
        load->state = LOAD_PREPARED;
        cx_timer_start(p->timer, AGAIN_MS, 0);
        p->on_move(p->ctx);
        return;
    }
    if (status != CX_OK) {
        fail(load, status, err->text);
    }
    moved(p);
}

/* ---- Embedding ---- */

static void on_embedded(void *ctx, struct cx_embed_result *result);
static void embedded(struct api__load *load, struct cx_embed_result *result);

static void start_embed(struct api__load *load)
{
    struct api__pipe *p = load->pipe;
    load->state = LOAD_EMBEDDING;
    if (!api__batch_texts(&load->batch)) {
        load->state = LOAD_EMBEDDED;
        return;
    }
    const enum cx_status status = cx_embedder_start(
        p->api->options.embedder, CX_EMBED_DOCUMENT, load->batch.texts, load->batch.text_count,
        p->wait ? PATIENT_MS : p->api->options.deadline_ms, p->traceparent, on_embedded, load,
        &load->call, &load->err);
    if (status == CX_OK) {
        load->busy = true;
    } else if (status == CX_OVERLOADED) {
        cx_timer_start(p->timer, AGAIN_MS, 0);
    } else {
        struct cx_embed_result none = { .status = status, .err = load->err };
        embedded(load, &none);
        cx_timer_start(p->timer, 0, 0);
    }
}

static void on_embedded(void *ctx, struct cx_embed_result *result)
{
    struct api__load *load = ctx;
    load->busy = false;
    load->call = NULL;
    embedded(load, result);
    moved(load->pipe);
}

static void embedded(struct api__load *load, struct cx_embed_result *result)
{
    load->state = LOAD_EMBEDDED;
    api__batch_embedded(&load->batch, result);
    if (result->status == CX_OK) {
        return;
    }
    if (load->given_up) {
        fail(load, CX_SHUTTING_DOWN, cx_status_text(CX_SHUTTING_DOWN));
    } else if (!load->pipe->wait && api__embedding_failed(result->status)) {
        api__batch_do_without(&load->batch);
    } else {
        fail(load, result->status, result->err.text);
    }
}

/* ---- Storing ---- */

static void on_store_done(void *ctx, enum cx_status status, const struct cx_err *err);

static void start_store(struct api__load *load)
{
    if (load->batch.row_count == 0) {
        finish(load);
        return;
    }
    load->state = LOAD_STORING;
    began(load, api__batch_store(&load->batch, on_store_done, load));
}

static void on_store_done(void *ctx, enum cx_status status, const struct cx_err *err)
{
    struct api__load *load = ctx;
    struct api__pipe *p = load->pipe;
    load->busy = false;
    if (load->batch.op.full) {
        cx_timer_start(p->timer, AGAIN_MS, 0);
        p->on_move(p->ctx);
        return;
    }
    if (status == CX_CONFLICT && api__batch_again(&load->batch)) {
        /* Another request, or the batch before it, has changed what it was compared with. */
        load->state = LOAD_PREPARED;
    } else if (status != CX_OK) {
        load->state = LOAD_EMBEDDED;
        fail(load, status, err->text);
    } else {
        finish(load);
    }
    moved(p);
}

static void finish(struct api__load *load)
{
    struct api__pipe *p = load->pipe;
    if (load->batch.sent_count > 0) {
        p->on_stored(p->ctx, load);
    }
    load->state = LOAD_DONE;
}

/* Of all of the batch; one before it may have failed already. */
static void fail(struct api__load *load, enum cx_status status, const char *text)
{
    struct api__pipe *p = load->pipe;
    if (p->stopped && (p->fault.status == CX_OK || p->fault.line < load->first_line)) {
        return;
    }
    json_decref(p->fault.errors);
    p->fault = (struct api__ingest_fault){ .status = status, .line = load->first_line };
    (void)snprintf(p->fault.text, sizeof p->fault.text, "%s",
                   text[0] != '\0' ? text : cx_status_text(status));
    p->stopped = true;
}

static void free_load(struct api__pipe *p, struct api__load *load)
{
    if (load->batch.api != NULL) {
        api__batch_free(&load->batch);
    }
    if (load->values != NULL) {
        api__discard(p->api, load->values, load->lines.len);
    }
    json_decref(load->fault.errors);
    cx_buf_free(&load->lines);
    cx_buf_free(&load->answer);
    free(load);
}
