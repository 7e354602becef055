/* SPDX-License-Identifier: MIT
 *
 * POST /v1/embeddings, as OpenAI's API has it, so that any client of it can be pointed here:
 * https://platform.openai.com/docs/api-reference/embeddings/create
 * Long inputs are parsed and counted, and large answers written, on the cpu lane.
 */
#include "api/openai_compat.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/context.h"
#include "cortex/metrics.h"

#define INPUTS_MAX 2048
#define INPUT_TOKENS_MAX 8192 /* of a model of OpenAI's */
/* What takes longer than some 0.5 ms is not done on the loop: counting tokens takes up to 0.1 ms a
 * KiB, writing numbers 0.05 ms a thousand. */
#define INLINE_INPUT_BYTES ((size_t)8 * 1024)
#define INLINE_NUMBERS 4096
/* Up to so many inputs somebody waits for; more are work that may stand behind that. */
#define QUERY_INPUTS_MAX 8
/* A small request can ask for 2,048 vectors, some 50 MB: so much may be under way in all. */
#define ANSWERS_BYTES_MAX ((size_t)512 << 20)
#define DIMENSION_GUESS 3072 /* before the first answer told it */

struct embeddings {
    struct cx_api *api;
    struct cx_embedder_info info;
    struct cx_str text; /* the body, borrowed */
    json_t *body;
    struct cx_faults faults;
    struct cx_str model; /* asked for */
    int64_t dimensions;  /* asked for; 0 = not */
    struct cx_str *texts;
    size_t count;
    bool listed;        /* the input is an array */
    size_t long_index;  /* of the first text that is too long … */
    size_t long_tokens; /* … and its length; 0 = there is none */
    size_t reserved_bytes;
    struct cx_embed_call *call;
    uint64_t retry_after_ms;
    float *embedded; /* the provider's */
    struct api__openai_vectors vectors;
    struct cx_buf answer;
};

static enum cx_step_result embeddings_parse(struct cx_exchange *x);
static enum cx_step_result embeddings_check(struct cx_exchange *x);
static enum cx_step_result embeddings_embed(struct cx_exchange *x);
static enum cx_step_result embeddings_write(struct cx_exchange *x);
static enum cx_step_result embeddings_reply(struct cx_exchange *x);

static const struct cx_step embeddings_steps[] = {
    { "parse", embeddings_parse, false }, /* loop, or waits: cpu lane where the body is long     */
    { "check", embeddings_check, false }, /* loop:  refusals; room for the answer is set aside   */
    { "embed", embeddings_embed, false }, /* waits: provider                                     */
    { "write", embeddings_write, true },  /* loop, or waits: cpu lane where the answer is large  */
    { "reply", embeddings_reply, false }, /* loop                                                */
};
API_ENDPOINT(api__embeddings, embeddings_steps, sizeof(struct embeddings));

/* ---- parse ---- */

static void release_embeddings(void *arg);
static enum cx_status parse_work(void *arg, struct cx_err *err);

static enum cx_step_result embeddings_parse(struct cx_exchange *x)
{
    struct embeddings *e = cx_exchange_state(x);
    e->api = api__of(x);
    if (e->api->options.embedder == NULL) {
        return cx_exchange_fail(x, CX_NOT_CONFIGURED, "No embedding model is configured");
    }
    cx_embedder_info(e->api->options.embedder, &e->info);
    e->text = cx_exchange_body(x);
    cx_faults_init(&e->faults);
    cx_buf_init(&e->answer, 0);
    cx_exchange_defer(x, release_embeddings, e);
    if (e->text.len > INLINE_INPUT_BYTES) {
        return cx_exchange_work(x, e->api->options.cpu_lane, CX_PRIORITY_NORMAL, parse_work, e);
    }
    struct cx_err err = { "" };
    const enum cx_status status = parse_work(e, &err);
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

static void release_embeddings(void *arg)
{
    struct embeddings *e = arg;
    e->api->answers_bytes -= e->reserved_bytes;
    cx_gauge_set(e->api->answers_gauge, (double)e->api->answers_bytes);
    cx_buf_free(&e->answer);
    free(e->embedded);
    free(e->texts);
    cx_faults_free(&e->faults);
    if (e->body != NULL) {
        api__discard(e->api, e->body, e->text.len);
    }
}

static void read_request(struct embeddings *e, struct cx_reader *r);
static bool is_for_us(const struct embeddings *e);
static enum cx_status count_tokens(struct embeddings *e, struct cx_err *err);

static enum cx_status parse_work(void *arg, struct cx_err *err)
{
    struct embeddings *e = arg;
    const enum cx_status parsed = cx_json_parse(e->text, &e->body, err);
    if (parsed != CX_OK) {
        return parsed;
    }
    struct cx_reader r;
    cx_reader_init(&r, e->body, &e->faults, "body");
    if (r.object != NULL) {
        read_request(e, &r);
    }
    cx_reader_free(&r);
    return e->faults.count == 0 && is_for_us(e) ? count_tokens(e, err) : CX_OK;
}

static bool is_for_us(const struct embeddings *e)
{
    return cx_str_eq(e->model, cx_str_of(e->info.model));
}

static void read_input(struct embeddings *e, struct cx_reader *r);

static void read_request(struct embeddings *e, struct cx_reader *r)
{
    static const char *const formats[] = { "float", "base64", NULL };
    size_t format = 0;
    struct cx_str user = { NULL, 0 };
    read_input(e, r);
    cx_read_string(r, "model", CX_REQUIRED, 1, SIZE_MAX, &e->model);
    cx_read_word(r, "encoding_format", CX_OPTIONAL, formats, &format);
    cx_read_int(r, "dimensions", CX_OPTIONAL, 1, INT64_MAX, &e->dimensions);
    cx_read_string(r, "user", CX_OPTIONAL, 0, SIZE_MAX, &user);
    e->vectors.base64 = format == 1;
}

static bool read_text(struct embeddings *e, struct cx_reader *r, const json_t *value);

static void read_input(struct embeddings *e, struct cx_reader *r)
{
    const json_t *input = json_object_get(r->object, "input");
    const json_t *list = NULL;
    struct cx_str text = { NULL, 0 };
    e->listed = json_is_array(input);
    if (e->listed) {
        if (!cx_read_array(r, "input", CX_REQUIRED, 1, INPUTS_MAX, &list)) {
            return;
        }
        e->texts = cx_realloc_array(NULL, json_array_size(list), sizeof *e->texts);
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (!read_text(e, r, json_array_get(list, i))) {
                return;
            }
        }
    } else if (input != NULL && !json_is_null(input) && !json_is_string(input)) {
        cx_read_fault(r, "input", "type", "must be a string or an array of strings");
    } else if (cx_read_string(r, "input", CX_REQUIRED, 1, SIZE_MAX, &text)) {
        e->texts = cx_realloc_array(NULL, 1, sizeof *e->texts);
        (void)read_text(e, r, input);
    }
}

/* False: this one was told of all the rest. */
static bool read_text(struct embeddings *e, struct cx_reader *r, const json_t *value)
{
    if (json_is_integer(value) || json_is_array(value)) {
        cx_read_fault(r, "input", "type", "must be text: arrays of tokens are not taken");
        return false;
    }
    if (json_is_string(value) && json_string_length(value) > 0) {
        e->texts[e->count++] =
            (struct cx_str){ json_string_value(value), json_string_length(value) };
        return true;
    }
    /* What stands before was all good, or would have been counted as a fault too. */
    const size_t index = e->count + e->faults.count;
    json_t *loc = json_pack("[s, s, I]", "body", "input", (json_int_t)index);
    if (json_is_string(value)) {
        cx_faults_add(&e->faults, loc, "length", "must not be empty");
    } else {
        cx_faults_add(&e->faults, loc, "type", "must be a string");
    }
    json_decref(loc);
    return true;
}

static enum cx_embed_kind kind_of(const struct embeddings *e)
{
    return e->count <= QUERY_INPUTS_MAX ? CX_EMBED_QUERY : CX_EMBED_DOCUMENT;
}

/* A model that is run here by its own tokenizer, OpenAI's by their own encoding. What others count
 * is theirs to know: cl100k_base says about how much a text is. */
static enum cx_status count_tokens(struct embeddings *e, struct cx_err *err)
{
    const enum cx_embed_kind kind = kind_of(e);
    if (e->api->options.embedder != NULL &&
        cx_embedder_count_tokens(e->api->options.embedder, kind, e->texts, e->count,
                                 &e->vectors.tokens)) {
        return CX_OK;
    }
    const bool limited = strcmp(e->info.provider, "openai") == 0;
    enum cx_encoding encoding = CX_ENCODING_CL100K;
    (void)cx_encoding_of_model(cx_str_of(e->info.model), &encoding);
    for (size_t i = 0; i < e->count; i++) {
        size_t tokens = 0;
        const enum cx_status status = cx_bpe_count(encoding, e->texts[i], &tokens);
        if (status != CX_OK) {
            return cx_err_set(err, status, "%s", cx_status_text(status));
        }
        e->vectors.tokens += tokens;
        if (limited && tokens > INPUT_TOKENS_MAX) {
            e->long_index = i;
            e->long_tokens = tokens;
            return CX_OK;
        }
    }
    return CX_OK;
}

/* ---- check ---- */

static enum cx_step_result refuse_long(struct cx_exchange *x, const struct embeddings *e);
static enum cx_step_result refuse_dimensions(struct cx_exchange *x, unsigned dimension);
static bool reserve_answer(struct embeddings *e);

static enum cx_step_result embeddings_check(struct cx_exchange *x)
{
    struct embeddings *e = cx_exchange_state(x);
    const enum cx_step_result checked = api__openai_refuse_faults(x, &e->faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    if (!is_for_us(e)) {
        return api__openai_no_such_model(x, e->model);
    }
    if (e->dimensions != 0 && e->info.dimension != 0 && e->dimensions != e->info.dimension) {
        return refuse_dimensions(x, e->info.dimension);
    }
    if (e->long_tokens > 0) {
        return refuse_long(x, e);
    }
    if (!reserve_answer(e)) {
        return cx_exchange_fail(x, CX_OVERLOADED, "%s", cx_status_text(CX_OVERLOADED));
    }
    return CX_STEP_NEXT;
}

static enum cx_step_result refuse_dimensions(struct cx_exchange *x, unsigned dimension)
{
    return api__openai_refuse(x, 400, "invalid_value", "dimensions",
                              "dimensions must be %u, as this model's vectors have, or be left out",
                              dimension);
}

/* The first words are OpenAI's: there are clients that know what to do by them. */
static enum cx_step_result refuse_long(struct cx_exchange *x, const struct embeddings *e)
{
    char which[32] = "input";
    if (e->listed) {
        (void)snprintf(which, sizeof which, "input[%zu]", e->long_index);
    }
    return api__openai_refuse(x, 400, "context_length_exceeded", "input",
                              "This model's maximum context length is %d tokens, however %s has "
                              "%zu tokens. Please shorten it.",
                              INPUT_TOKENS_MAX, which, e->long_tokens);
}

/* One request alone is served whatever it needs: its size is bounded by the number of its inputs.
 */
static bool reserve_answer(struct embeddings *e)
{
    struct cx_api *api = e->api;
    const unsigned dimension = e->info.dimension > 0 ? e->info.dimension : DIMENSION_GUESS;
    const size_t bytes = api__openai_vectors_bytes(e->count, dimension, e->vectors.base64);
    if (api->answers_bytes > 0 && api->answers_bytes + bytes > ANSWERS_BYTES_MAX) {
        return false;
    }
    e->reserved_bytes = bytes;
    api->answers_bytes += bytes;
    cx_gauge_set(api->answers_gauge, (double)api->answers_bytes);
    return true;
}

/* ---- embed ---- */

static void on_embedded(void *ctx, struct cx_embed_result *result);
static void cancel_embed(void *op);

static enum cx_step_result embeddings_embed(struct cx_exchange *x)
{
    struct embeddings *e = cx_exchange_state(x);
    struct cx_err err = { "" };
    const enum cx_status status = cx_embedder_start(
        e->api->options.embedder, kind_of(e), e->texts, e->count, api__embed_ms(x),
        cx_exchange_traceparent(x), on_embedded, x, &e->call, &err);
    if (status != CX_OK) {
        return cx_exchange_fail(x, status, "%s",
                                err.text[0] != '\0' ? err.text : cx_status_text(status));
    }
    return cx_exchange_wait(x, cancel_embed, e);
}

static void cancel_embed(void *op)
{
    struct embeddings *e = op;
    if (e->call != NULL) {
        cx_embed_call_cancel(e->call);
    }
}

static void on_embedded(void *ctx, struct cx_embed_result *result)
{
    struct cx_exchange *x = ctx;
    struct embeddings *e = cx_exchange_state(x);
    e->call = NULL;
    e->retry_after_ms = result->retry_after_ms;
    if (result->status == CX_OK) {
        e->embedded = result->vectors;
        e->vectors.rows = result->vectors;
        e->vectors.count = result->count;
        e->vectors.dimension = result->dimension;
        e->vectors.truncated = result->truncated;
    }
    cx_exchange_resume(x, result->status, &result->err);
}

/* ---- write ---- */

static enum cx_step_result fail_embedding(struct cx_exchange *x, enum cx_status outcome,
                                          const char *detail);
static enum cx_status write_work(void *arg, struct cx_err *err);

static enum cx_step_result embeddings_write(struct cx_exchange *x)
{
    struct embeddings *e = cx_exchange_state(x);
    const char *detail = NULL;
    const enum cx_status outcome = cx_exchange_outcome(x, &detail);
    if (outcome != CX_OK) {
        return fail_embedding(x, outcome, detail != NULL ? detail : cx_status_text(outcome));
    }
    if (e->dimensions != 0 && e->dimensions != e->vectors.dimension) {
        return refuse_dimensions(x, e->vectors.dimension); /* only the answer told it */
    }
    e->vectors.model = e->info.model;
    if (e->vectors.count * e->vectors.dimension > INLINE_NUMBERS) {
        return cx_exchange_work(x, e->api->options.cpu_lane, CX_PRIORITY_NORMAL, write_work, e);
    }
    struct cx_err err = { "" };
    const enum cx_status status = write_work(e, &err);
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

/* OpenAI's own clients try 5xx again by themselves, after Retry-After where there is one, unless
 * x-should-retry forbids it. */
static enum cx_step_result fail_embedding(struct cx_exchange *x, enum cx_status outcome,
                                          const char *detail)
{
    const struct embeddings *e = cx_exchange_state(x);
    if (outcome == CX_INVALID) {
        return api__openai_refuse(x, 400, "invalid_value", "input", "%s", detail);
    }
    if (outcome == CX_EMBEDDING_UNAUTHORIZED) {
        cx_exchange_set_header(x, "X-Should-Retry", "false");
    } else if (e->retry_after_ms > 0 || outcome == CX_EMBEDDING_UPSTREAM ||
               outcome == CX_EMBEDDING_TIMEOUT) {
        cx_exchange_set_retry_after(x, (unsigned)((e->retry_after_ms + 999) / 1000));
    }
    return cx_exchange_fail(x, outcome, "%s", detail);
}

static enum cx_status write_work(void *arg, struct cx_err *err)
{
    struct embeddings *e = arg;
    api__openai_write_vectors(&e->vectors, &e->answer);
    free(e->embedded);
    e->embedded = NULL;
    return e->answer.failed ? cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY))
                            : CX_OK;
}

/* ---- reply ---- */

static enum cx_step_result embeddings_reply(struct cx_exchange *x)
{
    struct embeddings *e = cx_exchange_state(x);
    return cx_exchange_reply_buf(x, 200, "application/json", &e->answer);
}
