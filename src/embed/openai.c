/* SPDX-License-Identifier: MIT
 *
 * The OpenAI provider: any server that speaks POST /embeddings. A call of many texts goes as several
 * requests within the API's limits, one after the other; each is written and its answer read on the
 * lane, as both may be megabytes. Nothing of an answer, a URL or the key reaches an error or the log.
 *
 * Threads: the loop, except write_work and read_work. While one of these runs, the batch is theirs.
 */
#include "embed_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "openai.h"

#define CONNECT_TIMEOUT_MS 10000
#define TIMEOUT_MS 30000
#define REQUEST_BYTES_MAX ((size_t)64 << 20)
#define RESPONSE_BYTES_MAX ((size_t)256 << 20)
#define INLINE_BYTES 8192 /* what is written at once, without the lane */

/* What a server that does not know it may refuse a request for. Each leaves out the one before, too. */
enum omission { OMITS_NOTHING, OMITS_ENCODING, OMITS_DIMENSIONS };

struct openai {
    struct cx_embedder base;
    struct cx_fetch *fetch;
    struct cx_lane *lane;
    struct embed__openai_address address;
    char *key_header;    /* the whole line, or NULL; wiped when freed */
    unsigned dimensions; /* asked for; 0 = the model's own */
    uint64_t timeout_ms;
    uint64_t connect_timeout_ms;
    uint64_t first_byte_timeout_ms;
    uint64_t low_speed_bytes;
    uint64_t low_speed_ms;
    enum omission omits; /* of what the server does not take */
    bool omits_known;    /* an answer came */
};
/* How far a batch has come. */
enum phase { PHASE_WRITING, PHASE_FETCHING, PHASE_READING };
struct openai_call {
    struct cx_embed_call base;
    enum phase phase;
    struct cx_job *job;
    struct cx_call *request;
    char *traceparent; /* the whole header, or NULL */
    size_t first;      /* the batch: texts first to end - 1 */
    size_t end;
    enum omission omits;
    struct cx_buf body; /* of the request, then of the answer */
    struct embed__openai_answer answer;
    struct cx_err answer_err;
    enum cx_status work_status;
};

static char *make_key_header(const struct cx_embed_openai_options *options);
static bool is_header_value(const char *text);
static unsigned known_dimension(const char *model);
static enum cx_status start(struct cx_embed_call *base, struct cx_err *err);
static enum cx_status begin_batch(struct openai_call *call, struct cx_err *err);
static enum cx_priority priority_of(const struct openai_call *call);
static void write_work(void *arg);
static void on_written(void *arg, enum cx_status status);
static enum cx_status send_batch(struct openai_call *call, struct cx_err *err);
static void on_answer(void *ctx, const struct cx_fetch_response *response);
static bool may_omit_more(const struct openai_call *call, const struct cx_fetch_response *response);
static enum cx_status status_of(const struct cx_fetch_response *response, struct cx_err *err);
static void read_work(void *arg);
static void on_read(void *arg, enum cx_status status);
static enum cx_status take_answer(struct openai_call *call, struct cx_err *err);
static void end_call(struct openai_call *call, enum cx_status status, const struct cx_err *err);
static void cancel(struct cx_embed_call *base);
static void release_call(struct cx_embed_call *base);
static void free_openai(struct cx_embedder *base);

static const struct embed__ops OPS = {
    .call_size = sizeof(struct openai_call),
    .start = start,
    .cancel = cancel,
    .release_call = release_call,
    .free = free_openai,
};

enum cx_status cx_embedder_openai(const struct cx_embed_openai_options *options,
                                  struct cx_embedder **out, struct cx_err *err)
{
    if (options->model == NULL || options->model[0] == '\0' || strlen(options->model) > 256) {
        return cx_err_set(err, CX_INVALID, "the embedding model has no usable name");
    }
    if (options->dimensions > EMBED__OPENAI_DIMENSION_MAX) {
        return cx_err_set(err, CX_INVALID, "embeddings can have at most %d dimensions",
                          EMBED__OPENAI_DIMENSION_MAX);
    }
    if (options->api_key != NULL && !is_header_value(options->api_key)) {
        return cx_err_set(err, CX_INVALID,
                          "the embedding service's key holds bytes that no key has");
    }
    struct openai *e = cx_alloc(sizeof *e);
    const enum cx_status status = embed__openai_address(options, &e->address, err);
    if (status != CX_OK) {
        free(e);
        return status;
    }
    e->fetch = options->fetch;
    e->lane = options->lane;
    e->dimensions = options->dimensions;
    e->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    e->connect_timeout_ms =
        options->connect_timeout_ms > 0 ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    e->first_byte_timeout_ms = options->first_byte_timeout_ms;
    e->low_speed_bytes = options->low_speed_bytes;
    e->low_speed_ms = options->low_speed_ms;
    e->key_header = make_key_header(options);
    const unsigned dimension =
        options->dimensions > 0 ? options->dimensions : known_dimension(options->model);
    embed__init(&e->base, &OPS, "openai", options->model, dimension, "");
    *out = &e->base;
    return CX_OK;
}

static char *make_key_header(const struct cx_embed_openai_options *options)
{
    if (options->api_key == NULL) {
        return NULL;
    }
    const char *name = options->azure ? "api-key: " : "Authorization: Bearer ";
    const size_t size = strlen(name) + strlen(options->api_key) + 1;
    char *header = cx_alloc(size);
    (void)snprintf(header, size, "%s%s", name, options->api_key);
    return header;
}

static bool is_header_value(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            return false;
        }
    }
    return text[0] != '\0' && strlen(text) <= 4096;
}

static unsigned known_dimension(const char *model)
{
    static const struct {
        const char *model;
        unsigned dimension;
    } KNOWN[] = {
        { "text-embedding-3-small", 1536 },
        { "text-embedding-3-large", 3072 },
        { "text-embedding-ada-002", 1536 },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(KNOWN); i++) {
        if (strcmp(model, KNOWN[i].model) == 0) {
            return KNOWN[i].dimension;
        }
    }
    return 0;
}

static enum cx_status start(struct cx_embed_call *base, struct cx_err *err)
{
    struct openai_call *call = (struct openai_call *)base;
    cx_buf_init(&call->body, REQUEST_BYTES_MAX);
    if (base->traceparent != NULL && is_header_value(base->traceparent)) {
        const size_t size = strlen(base->traceparent) + sizeof "traceparent: ";
        call->traceparent = cx_alloc(size);
        (void)snprintf(call->traceparent, size, "traceparent: %s", base->traceparent);
    }
    return begin_batch(call, err);
}

/* Small requests are written at once; without texts there is nothing to send, but still an end that
 * comes later. */
static enum cx_status begin_batch(struct openai_call *call, struct cx_err *err)
{
    const struct openai *e = (const struct openai *)call->base.embedder;
    call->phase = PHASE_WRITING;
    call->omits = e->omits;
    size_t bytes = 0;
    const size_t left = call->base.count - call->first;
    for (size_t i = 0; i < left && bytes <= INLINE_BYTES; i++) {
        bytes += call->base.texts[call->first + i].len + 16;
    }
    if (left > 0 && bytes <= INLINE_BYTES) {
        write_work(call);
        return call->work_status == CX_OK
                   ? send_batch(call, err)
                   : cx_err_set(err, call->work_status, "%s", cx_status_text(call->work_status));
    }
    const enum cx_status status =
        cx_lane_submit(e->lane, priority_of(call), write_work, on_written, call, &call->job);
    return status == CX_OK ? CX_OK : cx_err_set(err, status, "%s", cx_status_text(status));
}

static enum cx_priority priority_of(const struct openai_call *call)
{
    return call->base.kind == CX_EMBED_QUERY ? CX_PRIORITY_HIGH : CX_PRIORITY_NORMAL;
}

static void write_work(void *arg)
{
    struct openai_call *call = arg;
    const struct openai *e = (const struct openai *)call->base.embedder;
    const struct embed__openai_shape shape = {
        .model = e->base.model,
        .dimensions = call->omits < OMITS_DIMENSIONS ? e->dimensions : 0,
        .plain = call->omits >= OMITS_ENCODING,
    };
    const struct cx_str *texts = call->base.texts + call->first;
    const size_t left = call->base.count - call->first;
    const size_t count = left < EMBED__OPENAI_INPUTS ? left : EMBED__OPENAI_INPUTS;
    call->end = call->first + count;
    cx_buf_clear(&call->body);
    const bool written = embed__openai_write(&shape, texts, count, &call->body);
    call->work_status = written ? CX_OK : CX_TOO_LARGE;
}

static void on_written(void *arg, enum cx_status status)
{
    struct openai_call *call = arg;
    call->job = NULL;
    struct cx_err err = { "" };
    if (status == CX_OK) {
        status = call->work_status;
    }
    if (status == CX_OK && !call->base.cancelled) {
        if (call->base.count == 0) {
            end_call(call, CX_OK, NULL);
            return;
        }
        status = send_batch(call, &err);
    }
    if (status != CX_OK || call->base.cancelled) {
        end_call(call, status, &err);
    }
}

static enum cx_status send_batch(struct openai_call *call, struct cx_err *err)
{
    const struct openai *e = (const struct openai *)call->base.embedder;
    const uint64_t left_ms = embed__time_left_ms(&call->base);
    if (left_ms == 0) {
        return cx_err_set(err, CX_EMBEDDING_TIMEOUT, "%s", cx_status_text(CX_EMBEDDING_TIMEOUT));
    }
    const char *headers[5] = { "Content-Type: application/json", "Accept: application/json" };
    size_t n = 2;
    if (e->key_header != NULL) {
        headers[n++] = e->key_header;
    }
    if (call->traceparent != NULL) {
        headers[n++] = call->traceparent;
    }
    /* A number in JSON takes up to some 25 bytes. */
    const size_t dimension =
        e->base.dimension > 0 ? e->base.dimension : EMBED__OPENAI_DIMENSION_MAX;
    const size_t wanted = (call->end - call->first) * (dimension * 28 + 256) + 65536;
    const uint64_t timeout_ms = left_ms < e->timeout_ms ? left_ms : e->timeout_ms;
    const struct cx_fetch_request request = {
        .method = "POST",
        .url = e->address.url,
        .unix_socket = e->address.unix_socket,
        .headers = headers,
        .body = { call->body.data, call->body.len },
        .connect_timeout_ms =
            timeout_ms < e->connect_timeout_ms ? timeout_ms : e->connect_timeout_ms,
        .first_byte_timeout_ms = e->first_byte_timeout_ms,
        .low_speed_bytes = e->low_speed_bytes,
        .low_speed_ms = e->low_speed_ms,
        .timeout_ms = timeout_ms,
        .response_max_bytes = wanted < RESPONSE_BYTES_MAX ? wanted : RESPONSE_BYTES_MAX,
        .http2 = true,
    };
    call->phase = PHASE_FETCHING;
    const enum cx_status status =
        cx_fetch_start(e->fetch, &request, on_answer, call, &call->request, NULL);
    cx_buf_free(&call->body);
    if (status == CX_OK || status == CX_OVERLOADED || status == CX_NO_MEMORY) {
        return status == CX_OK ? CX_OK : cx_err_set(err, status, "%s", cx_status_text(status));
    }
    return cx_err_set(err, CX_EMBEDDING_UPSTREAM, "the embedding service cannot be reached");
}

static void on_answer(void *ctx, const struct cx_fetch_response *response)
{
    struct openai_call *call = ctx;
    const struct openai *e = (const struct openai *)call->base.embedder;
    struct cx_call *request = call->request;
    call->request = NULL;
    struct cx_err err = { "" };
    if (call->base.cancelled) {
        end_call(call, CX_CANCELLED, NULL);
        return;
    }
    enum cx_status status = CX_OK;
    call->base.result.retry_after_ms = 0;
    if (response->outcome == CX_FETCH_OK) {
        call->base.result.retry_after_ms = embed__openai_pause_ms(response);
    }
    if (may_omit_more(call, response)) {
        call->omits++;
        call->phase = PHASE_WRITING;
        status =
            cx_lane_submit(e->lane, priority_of(call), write_work, on_written, call, &call->job);
    } else {
        status = status_of(response, &err);
        call->base.result.input_refused =
            response->outcome == CX_FETCH_OK &&
            (response->status == 400 || response->status == 413 || response->status == 422);
        if (status == CX_OK) {
            cx_call_take_body(request, &call->body);
            call->phase = PHASE_READING;
            status =
                cx_lane_submit(e->lane, priority_of(call), read_work, on_read, call, &call->job);
        }
    }
    if (status != CX_OK) {
        end_call(call, status, &err);
    }
}

/* A server that does not know `encoding_format`, or a model with one dimension only, may refuse the
 * request for it: asked once more without, until an answer has come. */
static bool may_omit_more(const struct openai_call *call, const struct cx_fetch_response *response)
{
    const struct openai *e = (const struct openai *)call->base.embedder;
    const enum omission last = e->dimensions > 0 ? OMITS_DIMENSIONS : OMITS_ENCODING;
    return response->outcome == CX_FETCH_OK &&
           (response->status == 400 || response->status == 422) && !e->omits_known &&
           call->omits < last;
}

static enum cx_status status_of(const struct cx_fetch_response *response, struct cx_err *err)
{
    switch (response->outcome) {
    case CX_FETCH_OK:
        break;
    case CX_FETCH_TIMEOUT:
        return cx_err_set(err, CX_EMBEDDING_TIMEOUT, "%s: %s", cx_status_text(CX_EMBEDDING_TIMEOUT),
                          response->reason);
    case CX_FETCH_TOO_LARGE:
        return cx_err_set(err, CX_EMBEDDING_UPSTREAM, "the embedding service answered too much");
    case CX_FETCH_CANCELLED:
        return cx_err_set(err, CX_CANCELLED, "%s", cx_status_text(CX_CANCELLED));
    case CX_FETCH_RESOLVE:
        return cx_err_set(err, CX_EMBEDDING_UPSTREAM,
                          "the embedding service cannot be reached: its name was not found");
    case CX_FETCH_CONNECT:
        return cx_err_set(err, CX_EMBEDDING_UPSTREAM, "the embedding service cannot be reached");
    case CX_FETCH_TLS:
        return cx_err_set(err, CX_EMBEDDING_UPSTREAM,
                          "no secure connection to the embedding service: %s", response->reason);
    case CX_FETCH_BROKEN:
        return cx_err_set(err, CX_EMBEDDING_UPSTREAM, "the embedding service broke off its answer");
    }
    if (response->status >= 200 && response->status < 300) {
        return CX_OK;
    }
    const enum cx_status status =
        response->status == 401 || response->status == 403   ? CX_EMBEDDING_UNAUTHORIZED
        : response->status == 429                            ? CX_EMBEDDING_RATE_LIMITED
        : response->status == 408 || response->status == 504 ? CX_EMBEDDING_TIMEOUT
                                                             : CX_EMBEDDING_UPSTREAM;
    return cx_err_set(err, status, "%s (status %d)", cx_status_text(status), response->status);
}

static void read_work(void *arg)
{
    struct openai_call *call = arg;
    const char *text = call->body.data != NULL ? call->body.data : "";
    call->work_status =
        embed__openai_read((struct cx_str){ text, call->body.len }, call->end - call->first,
                           &call->answer, &call->answer_err);
    cx_buf_free(&call->body); /* may be large: not on the loop */
}

static void on_read(void *arg, enum cx_status status)
{
    struct openai_call *call = arg;
    call->job = NULL;
    struct cx_err err = { "" };
    if (status == CX_OK) {
        status = call->work_status;
        err = call->answer_err;
    }
    if (status == CX_OK && !call->base.cancelled) {
        status = take_answer(call, &err);
    }
    if (status == CX_OK && !call->base.cancelled && call->end < call->base.count) {
        call->first = call->end;
        call->body.ceiling = REQUEST_BYTES_MAX;
        cx_buf_free(&call->body);
        status = begin_batch(call, &err);
        if (status == CX_OK) {
            return;
        }
    }
    end_call(call, status, &err);
}

/* Into the result, where the batches stand one behind the other. */
static enum cx_status take_answer(struct openai_call *call, struct cx_err *err)
{
    struct openai *e = (struct openai *)call->base.embedder;
    const unsigned dimension = call->answer.dimension;
    if (e->base.dimension != 0 && dimension != e->base.dimension) {
        return cx_err_set(
            err, CX_EMBEDDING_UPSTREAM,
            "the embedding service answered embeddings of %u dimensions instead of %u", dimension,
            e->base.dimension);
    }
    struct cx_embed_result *result = &call->base.result;
    if (call->first == 0 && call->end == call->base.count) {
        result->vectors = call->answer.vectors;
        call->answer.vectors = NULL;
    } else {
        if (result->vectors == NULL) {
            result->vectors = malloc(call->base.count * dimension * sizeof(float));
        }
        if (result->vectors == NULL) {
            return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
        }
        memcpy(result->vectors + call->first * dimension, call->answer.vectors,
               (call->end - call->first) * dimension * sizeof(float));
        free(call->answer.vectors);
        call->answer.vectors = NULL;
    }
    e->base.dimension = dimension;
    e->omits = call->omits;
    e->omits_known = true;
    return CX_OK;
}

static void end_call(struct openai_call *call, enum cx_status status, const struct cx_err *err)
{
    if (call->base.cancelled) {
        embed__fail(&call->base, CX_CANCELLED, NULL);
    } else if (status != CX_OK) {
        embed__fail(&call->base, status, err != NULL && err->text[0] != '\0' ? err->text : NULL);
    } else {
        embed__finish(&call->base);
    }
}

static void cancel(struct cx_embed_call *base)
{
    struct openai_call *call = (struct openai_call *)base;
    if (call->phase == PHASE_FETCHING && call->request != NULL) {
        cx_call_cancel(call->request);
    } else if (call->job != NULL) {
        cx_job_cancel(call->job);
    }
}

static void release_call(struct cx_embed_call *base)
{
    struct openai_call *call = (struct openai_call *)base;
    free(call->traceparent);
    cx_buf_free(&call->body);
    free(call->answer.vectors);
}

static void free_openai(struct cx_embedder *base)
{
    struct openai *e = (struct openai *)base;
    free(e->address.url);
    free(e->address.unix_socket);
    if (e->key_header != NULL) {
        cx_wipe(e->key_header, strlen(e->key_header));
        free(e->key_header);
    }
    free(e);
}
