/* SPDX-License-Identifier: MIT
 *
 * One operation on its way:
 *
 *   WRITING --> [RESOLVING] --> ASKING --> READING --> end
 *                  ^              |
 *                  +-- PAUSING <--+    tried again, or the collection has another id by now
 *
 * Everything may be asked twice: what is put is an upsert, and what is deleted stays so. Loop thread,
 * except write_work and read_work; while one of these runs the operation is theirs.
 */
#include "chroma_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_BYTES_MAX ((size_t)512 << 20)
#define ANSWER_BYTES_MAX ((size_t)128 << 20)
#define COLLECTION_BYTES_MAX ((size_t)256 << 10)
#define RETRY_BASE_MS 50
#define RETRY_CAP_MS 2000
#define RETRY_AFTER_MAX_MS 86400000

enum phase { PHASE_WRITING, PHASE_RESOLVING, PHASE_ASKING, PHASE_READING, PHASE_PAUSING };
struct cx_chroma_call {
    struct cx_chroma *chroma;
    struct cx_chroma_op *op;
    void (*on_done)(void *ctx);
    void *ctx;
    enum phase phase;
    bool cancelled;
    bool asked;  /* once before */
    bool looked; /* for the collection's id a second time, as the first was gone */
    unsigned tries;
    uint64_t epoch; /* of the breaker's leave */
    uint64_t deadline_ms;
    uint64_t sent_ns;
    struct cx_job *job;
    struct cx_call *request;
    struct cx_timer *timer;
    struct cx_buf body; /* of the request */
    struct cx_buf answer;
    enum cx_status work_status;
    struct cx_err work_err;
    char *traceparent; /* the whole header, or NULL */
    char name[CHROMA__NAME_BYTES + 1];
};

static void free_call(struct cx_chroma_call *call);
static void write_work(void *arg);
static void on_written(void *arg, enum cx_status status);
static void proceed(struct cx_chroma_call *call);
static enum cx_status check_vectors(const struct cx_chroma_call *call,
                                    const struct chroma__collection *found, struct cx_err *err);
static void resolve(struct cx_chroma_call *call);
static void ask(struct cx_chroma_call *call, const char *id);
static void send(struct cx_chroma_call *call, enum phase phase, const char *method, const char *url,
                 struct cx_str body, size_t answer_max);
static void on_answer(void *ctx, const struct cx_fetch_response *response);
static void on_resolved(struct cx_chroma_call *call, struct cx_str body);
static void on_not_found(struct cx_chroma_call *call);
static void read_work(void *arg);
static void on_read(void *arg, enum cx_status status);
static void try_again(struct cx_chroma_call *call, enum cx_status status, const char *text,
                      uint64_t retry_after_ms);
static void on_pause_over(void *ctx);
static void end_call(struct cx_chroma_call *call, enum cx_status status, const char *text);

static uint64_t now_ms(const struct cx_chroma *c)
{
    return cx_loop_now_ms(c->options.loop);
}

enum cx_status cx_chroma_start(struct cx_chroma *chroma, struct cx_chroma_op *op,
                               void (*on_done)(void *ctx), void *ctx, struct cx_err *err)
{
    CX_ASSERT_LOOP();
    CX_CHECK(op->call == NULL);
    struct cx_chroma_call *call = cx_alloc(sizeof *call);
    *call = (struct cx_chroma_call){ .chroma = chroma,
                                     .op = op,
                                     .on_done = on_done,
                                     .ctx = ctx,
                                     .deadline_ms = now_ms(chroma) + op->time_ms };
    cx_buf_init(&call->body, REQUEST_BYTES_MAX);
    cx_buf_init(&call->answer, ANSWER_BYTES_MAX);
    enum cx_status status = CX_OK;
    if (op->verb != CX_CHROMA_LIST) {
        status = chroma__name_of(chroma, op->collection, call->name, err);
    }
    if (status == CX_OK && !cx_breaker_ready(&chroma->breaker, now_ms(chroma))) {
        op->retry_after_ms = cx_breaker_wait_ms(&chroma->breaker, now_ms(chroma));
        status =
            cx_err_set(err, CX_VECTOR_CIRCUIT_OPEN, "%s", cx_status_text(CX_VECTOR_CIRCUIT_OPEN));
    }
    if (status == CX_OK) {
        status = cx_lane_submit(chroma->options.lane, CX_PRIORITY_NORMAL, write_work, on_written,
                                call, &call->job);
        if (status != CX_OK) {
            (void)cx_err_set(err, status, "%s", cx_status_text(status));
        }
    }
    if (status != CX_OK) {
        free_call(call);
        return status;
    }
    if (op->traceparent != NULL) {
        const size_t size = strlen(op->traceparent) + sizeof "traceparent: ";
        call->traceparent = cx_alloc(size);
        (void)snprintf(call->traceparent, size, "traceparent: %s", op->traceparent);
    }
    cx_retry_budget_earn(&chroma->budget);
    chroma->active++;
    op->call = call;
    return CX_OK;
}

static void free_call(struct cx_chroma_call *call)
{
    cx_timer_free(&call->timer);
    cx_buf_free(&call->body);
    cx_buf_free(&call->answer);
    free(call->traceparent);
    free(call);
}

void cx_chroma_cancel(struct cx_chroma_op *op)
{
    struct cx_chroma_call *call = op->call;
    if (call == NULL) {
        return;
    }
    call->cancelled = true;
    if (call->request != NULL) {
        cx_call_cancel(call->request);
    } else if (call->job != NULL) {
        cx_job_cancel(call->job);
    } else if (call->phase == PHASE_PAUSING) {
        cx_timer_start(call->timer, 0, 0);
    }
}

void cx_chroma_op_end(struct cx_chroma_op *op)
{
    CX_CHECK(op->call == NULL);
    json_decref(op->answer);
    op->answer = NULL;
}

/* ---- Writing ---- */

static void write_work(void *arg)
{
    struct cx_chroma_call *call = arg;
    chroma__write_body(call->op, &call->body);
}

static void on_written(void *arg, enum cx_status status)
{
    struct cx_chroma_call *call = arg;
    call->job = NULL;
    if (status != CX_OK) {
        end_call(call, status, NULL);
    } else if (call->body.failed) {
        end_call(call, CX_TOO_LARGE, "The documents are too much for one request");
    } else {
        proceed(call);
    }
}

/* What comes next: the collection's id, or with it what was asked for. */
static void proceed(struct cx_chroma_call *call)
{
    const struct cx_chroma_op *op = call->op;
    if (call->cancelled) {
        end_call(call, CX_CANCELLED, NULL);
        return;
    }
    if (op->verb == CX_CHROMA_LIST || op->verb == CX_CHROMA_DROP) {
        ask(call, NULL);
        return;
    }
    const struct chroma__collection *found = chroma__known(call->chroma, call->name);
    if (found == NULL) {
        resolve(call);
        return;
    }
    struct cx_err err = { "" };
    const enum cx_status status = check_vectors(call, found, &err);
    if (status != CX_OK) {
        end_call(call, status, err.text);
        return;
    }
    char id[CHROMA__ID_BYTES + 1];
    (void)snprintf(id, sizeof id, "%s", found->id);
    ask(call, id);
}

/* Vectors of two models never meet. */
static enum cx_status check_vectors(const struct cx_chroma_call *call,
                                    const struct chroma__collection *found, struct cx_err *err)
{
    const struct cx_chroma *c = call->chroma;
    const struct cx_chroma_op *op = call->op;
    const int len = (int)op->collection.len;
    const char *name = op->collection.p;
    if (!found->ours) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%.*s\" of the Chroma server was not made by Cortex", len,
                          name);
    }
    if (op->vectors == CX_CHROMA_NO_VECTORS) {
        return CX_OK;
    }
    if (op->vectors == CX_CHROMA_OURS && found->of_client) {
        return cx_err_set(
            err, CX_CONFLICT,
            "collection \"%.*s\" holds vectors that clients bring: a text needs one of "
            "%u dimensions",
            len, name, found->dimension);
    }
    if (op->vectors == CX_CHROMA_OURS && strcmp(found->fingerprint, c->fingerprint) != 0) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%.*s\" belongs to the model %s/%s, and %s/%s is configured",
                          len, name, found->provider, found->model, c->provider, c->model);
    }
    if (op->dimension != 0 && found->dimension != op->dimension) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%.*s\" has vectors of %u dimensions, not %u", len, name,
                          found->dimension, op->dimension);
    }
    return CX_OK;
}

/* ---- Asking ---- */

static void resolve(struct cx_chroma_call *call)
{
    const struct cx_chroma *c = call->chroma;
    if (call->op->verb == CX_CHROMA_PUT) {
        struct cx_buf body;
        cx_buf_init(&body, 65536);
        chroma__write_collection(c, call->name, call->op, &body);
        CX_CHECK(!body.failed);
        send(call, PHASE_RESOLVING, "POST", c->base, (struct cx_str){ body.data, body.len },
             COLLECTION_BYTES_MAX);
        cx_buf_free(&body);
        return;
    }
    struct cx_buf url;
    cx_buf_init(&url, 32768);
    cx_buf_printf(&url, "%s/%s", c->base, call->name);
    CX_CHECK(!url.failed);
    send(call, PHASE_RESOLVING, "GET", url.data, (struct cx_str){ NULL, 0 }, COLLECTION_BYTES_MAX);
    cx_buf_free(&url);
}

static void ask(struct cx_chroma_call *call, const char *id)
{
    static const char *const paths[] = {
        [CX_CHROMA_LOOK] = "get",    [CX_CHROMA_PUT] = "upsert",    [CX_CHROMA_GET] = "get",
        [CX_CHROMA_IDS] = "get",     [CX_CHROMA_DELETE] = "delete", [CX_CHROMA_COUNT] = "count",
        [CX_CHROMA_QUERY] = "query",
    };
    const struct cx_chroma_op *op = call->op;
    struct cx_buf url;
    cx_buf_init(&url, 32768);
    const char *method = op->verb == CX_CHROMA_DROP                                  ? "DELETE"
                         : op->verb == CX_CHROMA_LIST || op->verb == CX_CHROMA_COUNT ? "GET"
                                                                                     : "POST";
    if (op->verb == CX_CHROMA_LIST) {
        cx_buf_printf(&url, "%s?limit=%zu&offset=%zu", call->chroma->base, op->limit, op->offset);
    } else if (op->verb == CX_CHROMA_DROP) {
        cx_buf_printf(&url, "%s/%s", call->chroma->base, call->name);
    } else {
        cx_buf_printf(&url, "%s/%s/%s", call->chroma->base, id, paths[op->verb]);
    }
    CX_CHECK(!url.failed);
    send(call, PHASE_ASKING, method, url.data, (struct cx_str){ call->body.data, call->body.len },
         ANSWER_BYTES_MAX);
    cx_buf_free(&url);
}

static void send(struct cx_chroma_call *call, enum phase phase, const char *method, const char *url,
                 struct cx_str body, size_t answer_max)
{
    struct cx_chroma *c = call->chroma;
    const uint64_t now = now_ms(c);
    call->phase = phase;
    if (now >= call->deadline_ms) {
        end_call(call, CX_VECTOR_TIMEOUT, NULL);
        return;
    }
    const enum cx_circuit before = c->breaker.state;
    if (!cx_breaker_take(&c->breaker, now, &call->epoch)) {
        call->op->retry_after_ms = cx_breaker_wait_ms(&c->breaker, now);
        end_call(call, CX_VECTOR_CIRCUIT_OPEN, NULL);
        return;
    }
    chroma__circuit_told(c, before);
    const char *headers[5] = { "Accept: application/json" };
    size_t n = 1;
    if (body.len > 0) {
        headers[n++] = "Content-Type: application/json";
    }
    if (c->token_header != NULL) {
        headers[n++] = c->token_header;
    }
    if (call->traceparent != NULL) {
        headers[n++] = call->traceparent;
    }
    const uint64_t left_ms = call->deadline_ms - now;
    const uint64_t timeout_ms = left_ms < c->options.timeout_ms ? left_ms : c->options.timeout_ms;
    const uint64_t connect_ms = c->options.connect_timeout_ms;
    const struct cx_fetch_request request = {
        .method = method,
        .url = url,
        .headers = headers,
        .body = body,
        .connect_timeout_ms = connect_ms < timeout_ms ? connect_ms : timeout_ms,
        .timeout_ms = timeout_ms,
        .response_max_bytes = answer_max,
        .http2 = true,
    };
    call->sent_ns = cx_clock_mono_ns();
    const enum cx_status status =
        cx_fetch_start(c->options.fetch, &request, on_answer, call, &call->request, NULL);
    if (status != CX_OK) {
        cx_breaker_neutral(&c->breaker, call->epoch);
        end_call(call,
                 status == CX_OVERLOADED || status == CX_NO_MEMORY ? status : CX_VECTOR_UPSTREAM,
                 NULL);
    }
}

/* What an answer means for the operation. */
struct verdict {
    enum cx_status status;
    bool weather; /* the server's own trouble: counts for the breaker */
    bool again;   /* may be better the next time */
    const char *text;
};
static struct verdict judge(const struct cx_fetch_response *response);
static uint64_t retry_after_ms(const struct cx_fetch_response *response);

static void on_answer(void *ctx, const struct cx_fetch_response *response)
{
    struct cx_chroma_call *call = ctx;
    struct cx_chroma *c = call->chroma;
    struct cx_call *request = call->request;
    call->request = NULL;
    if (call->cancelled || response->outcome == CX_FETCH_CANCELLED) {
        cx_breaker_neutral(&c->breaker, call->epoch);
        end_call(call, CX_CANCELLED, NULL);
        return;
    }
    const struct verdict v = judge(response);
    const enum cx_circuit before = c->breaker.state;
    if (v.weather) {
        cx_breaker_failure(&c->breaker, call->epoch, now_ms(c));
    } else if (v.status == CX_VECTOR_RATE_LIMITED) {
        cx_breaker_neutral(&c->breaker, call->epoch);
    } else {
        cx_breaker_success(&c->breaker, call->epoch);
    }
    chroma__circuit_told(c, before);
    cx_histogram_observe(c->seconds, (double)(cx_clock_mono_ns() - call->sent_ns) / 1e9);
    cx_counter_add(v.status == CX_OK || v.status == CX_NOT_FOUND ? c->ok
                   : v.weather || v.again                        ? c->failed
                                                                 : c->refused,
                   1);
    if (v.again) {
        try_again(call, v.status, v.text, retry_after_ms(response));
    } else if (v.status == CX_NOT_FOUND) {
        on_not_found(call);
    } else if (v.status != CX_OK) {
        end_call(call, v.status, v.text);
    } else if (call->phase == PHASE_RESOLVING) {
        on_resolved(call, response->body);
    } else {
        cx_call_take_body(request, &call->answer);
        call->phase = PHASE_READING;
        const enum cx_status status =
            cx_lane_submit(c->options.lane, CX_PRIORITY_HIGH, read_work, on_read, call, &call->job);
        if (status != CX_OK) {
            end_call(call, status, NULL);
        }
    }
}

static struct verdict judge(const struct cx_fetch_response *response)
{
    switch (response->outcome) {
    case CX_FETCH_OK:
        break;
    case CX_FETCH_TIMEOUT:
        return (struct verdict){ CX_VECTOR_TIMEOUT, true, true, NULL };
    case CX_FETCH_TOO_LARGE:
        return (struct verdict){ CX_TOO_LARGE, false, false,
                                 "The answer would be too large: ask for less at once" };
    case CX_FETCH_RESOLVE:
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true,
                                 "the vector store cannot be reached: its name was not found" };
    case CX_FETCH_CONNECT:
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true,
                                 "the vector store cannot be reached" };
    case CX_FETCH_TLS:
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true,
                                 "no secure connection to the vector store" };
    case CX_FETCH_BROKEN:
    case CX_FETCH_CANCELLED:
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true,
                                 "the vector store broke off its answer" };
    }
    const int status = response->status;
    if (status >= 200 && status < 300) {
        return (struct verdict){ CX_OK, false, false, NULL };
    }
    if (status == 404) {
        return (struct verdict){ CX_NOT_FOUND, false, false, NULL };
    }
    if (status == 401 || status == 403) {
        return (struct verdict){ CX_VECTOR_UNAUTHORIZED, true, false, NULL };
    }
    if (status == 429) {
        return (struct verdict){ CX_VECTOR_RATE_LIMITED, false, true, NULL };
    }
    if (status == 413) {
        return (struct verdict){ CX_TOO_LARGE, false, false,
                                 "The vector store does not take so much at once" };
    }
    if (status == 408 || status == 504) {
        return (struct verdict){ CX_VECTOR_TIMEOUT, true, true, NULL };
    }
    if (status >= 500) {
        return (struct verdict){ CX_VECTOR_UPSTREAM, true, true, NULL };
    }
    return (struct verdict){ CX_VECTOR_UPSTREAM, false, false,
                             "the vector store refused the request" };
}

static uint64_t retry_after_ms(const struct cx_fetch_response *response)
{
    uint64_t seconds = 0;
    if (response->outcome != CX_FETCH_OK ||
        !cx_parse_u64(cx_fetch_header(response, "retry-after"), &seconds)) {
        return 0;
    }
    return seconds < RETRY_AFTER_MAX_MS / 1000 ? seconds * 1000 : RETRY_AFTER_MAX_MS;
}

static void on_resolved(struct cx_chroma_call *call, struct cx_str body)
{
    struct chroma__collection found;
    struct cx_err err = { "" };
    json_t *json = NULL;
    if (chroma__parse(body, &json, &err) != CX_OK || !chroma__read_collection(json, &found) ||
        strcmp(found.name, call->name) != 0) {
        json_decref(json);
        end_call(call, CX_VECTOR_UPSTREAM, "the vector store's answer is not one of Chroma's");
        return;
    }
    json_decref(json);
    chroma__remember(call->chroma, &found);
    proceed(call);
}

/* The collection is not there, or has another id since somebody has deleted it and made it again. */
static void on_not_found(struct cx_chroma_call *call)
{
    struct cx_chroma_op *op = call->op;
    const bool by_id = call->phase == PHASE_ASKING && op->verb != CX_CHROMA_DROP;
    chroma__forget(call->chroma, call->name);
    if (by_id && op->verb != CX_CHROMA_LIST && !call->looked) {
        call->looked = true;
        proceed(call);
        return;
    }
    const bool is_default = cx_str_eq(op->collection, CX_STR("default"));
    if (op->verb == CX_CHROMA_PUT || op->verb == CX_CHROMA_LIST) {
        end_call(call, CX_VECTOR_UPSTREAM,
                 "the vector store does not know the tenant, the database or the collection");
    } else if (op->verb == CX_CHROMA_LOOK || is_default ||
               (op->verb == CX_CHROMA_DROP && call->asked)) {
        op->absent = true;
        end_call(call, CX_OK, NULL);
    } else {
        end_call(call, CX_NOT_FOUND, "There is no such collection");
    }
}

/* ---- Reading ---- */

static void read_work(void *arg)
{
    struct cx_chroma_call *call = arg;
    const char *text = call->answer.data != NULL ? call->answer.data : "";
    call->work_status = chroma__read_answer(
        call->chroma, call->op, (struct cx_str){ text, call->answer.len }, &call->work_err);
    cx_buf_free(&call->answer);
    cx_buf_free(&call->body);
}

static void on_read(void *arg, enum cx_status status)
{
    struct cx_chroma_call *call = arg;
    call->job = NULL;
    if (call->op->verb == CX_CHROMA_DROP) {
        chroma__forget(call->chroma, call->name);
    }
    if (status == CX_OK) {
        status = call->work_status;
    }
    end_call(call, status, call->work_err.text[0] != '\0' ? call->work_err.text : NULL);
}

/* ---- Again ---- */

static void try_again(struct cx_chroma_call *call, enum cx_status status, const char *text,
                      uint64_t retry_after)
{
    struct cx_chroma *c = call->chroma;
    const uint64_t now = now_ms(c);
    call->op->retry_after_ms = retry_after;
    call->asked = true;
    const uint64_t backoff_ms =
        retry_after > 0 ? retry_after
                        : cx_backoff_ms(&c->random, call->tries, RETRY_BASE_MS, RETRY_CAP_MS);
    call->tries++;
    if (call->tries >= c->options.attempts_max || now + backoff_ms >= call->deadline_ms ||
        c->breaker.state == CX_CIRCUIT_OPEN || !cx_retry_budget_take(&c->budget, now)) {
        end_call(call, status, text);
        return;
    }
    cx_counter_add(c->retries, 1);
    call->phase = PHASE_PAUSING;
    if (call->timer == NULL) {
        cx_timer_new(c->options.loop, on_pause_over, call, &call->timer);
    }
    cx_timer_start(call->timer, backoff_ms, 0);
}

static void on_pause_over(void *ctx)
{
    proceed(ctx);
}

/* ---- End ---- */

static void end_call(struct cx_chroma_call *call, enum cx_status status, const char *text)
{
    struct cx_chroma_op *op = call->op;
    void (*on_done)(void *ctx) = call->on_done;
    void *ctx = call->ctx;
    op->status = call->cancelled ? CX_CANCELLED : status;
    op->err = (struct cx_err){ "" };
    if (op->status != CX_OK) {
        (void)cx_err_set(&op->err, op->status, "%s",
                         text != NULL && !call->cancelled ? text : cx_status_text(op->status));
    }
    call->chroma->active--;
    op->call = NULL;
    free_call(call);
    on_done(ctx);
}
