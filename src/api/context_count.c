/* SPDX-License-Identifier: MIT
 *
 * POST /context/count: how many tokens one text has, or each of several. Short texts are counted on
 * the loop, others on the cpu lane.
 */
#include "api/api_internal.h"
#include "api/context_encoding.h"

#define TEXTS_MAX 10000
/* Counting takes at worst 0.1 ms a KiB. */
#define INLINE_COUNT_BYTES ((size_t)4 * 1024)

struct count {
    struct cx_api *api;
    struct api__body body;
    enum cx_encoding encoding;
    const json_t *texts; /* array, or NULL … */
    struct cx_str text;  /* … and then this */
    struct cx_buf answer;
};

static enum cx_step_result count_body(struct cx_exchange *x);
static enum cx_step_result count_parse(struct cx_exchange *x);
static enum cx_step_result count_count(struct cx_exchange *x);
static enum cx_step_result count_reply(struct cx_exchange *x);

static const struct cx_step count_steps[] = {
    { "body", count_body, false },   /* loop, or waits: cpu lane where it is large   */
    { "parse", count_parse, false }, /* loop:  body → texts, every fault at once     */
    { "count", count_count, false }, /* loop, or waits: cpu lane where they are long */
    { "reply", count_reply, false }, /* loop                                         */
};
API_TOOL(api__context_count, "context.count", count_steps, sizeof(struct count));

static void release_count(void *arg);

static enum cx_step_result count_body(struct cx_exchange *x)
{
    struct count *c = cx_exchange_state(x);
    c->api = api__of(x);
    cx_exchange_defer(x, release_count, c);
    return api__body_parse(x, &c->body);
}

static void release_count(void *arg)
{
    struct count *c = arg;
    api__body_free(&c->body);
    cx_buf_free(&c->answer);
}

static void read_texts(struct cx_reader *r, struct count *c);

static enum cx_step_result count_parse(struct cx_exchange *x)
{
    struct count *c = cx_exchange_state(x);
    struct cx_faults faults;
    struct cx_reader r;
    cx_faults_init(&faults);
    cx_reader_init(&r, c->body.json, &faults, "body");
    if (r.object != NULL) {
        read_texts(&r, c);
        api__read_encoding(&r, &c->encoding);
    }
    cx_reader_free(&r);
    return cx_exchange_fail_faults(x, &faults);
}

static void read_texts(struct cx_reader *r, struct count *c)
{
    const bool one = cx_read_string(r, "text", CX_OPTIONAL, 0, SIZE_MAX, &c->text);
    const bool many = cx_read_array(r, "texts", CX_OPTIONAL, 0, TEXTS_MAX, &c->texts);
    if (one && many) {
        cx_read_fault(r, "texts", "value", "must not be there together with text");
    } else if (!one && !many && r->faults->count == 0) {
        cx_read_fault(r, "text", "missing", "is required, or texts");
    }
    for (size_t i = 0; many && i < json_array_size(c->texts); i++) {
        if (!json_is_string(json_array_get(c->texts, i))) {
            json_t *loc = json_pack("[s, s, I]", "body", "texts", (json_int_t)i);
            cx_faults_add(r->faults, loc, "type", "must be a string");
            json_decref(loc);
        }
    }
}

static enum cx_status count_work(void *arg, struct cx_err *err);

static enum cx_step_result count_count(struct cx_exchange *x)
{
    struct count *c = cx_exchange_state(x);
    if (c->body.text.len > INLINE_COUNT_BYTES) {
        return cx_exchange_work(x, c->api->options.cpu_lane, CX_PRIORITY_HIGH, count_work, c);
    }
    struct cx_err err = { "" };
    const enum cx_status status = count_work(c, &err);
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

static enum cx_status count_text(const struct count *c, struct cx_str text, json_t **out,
                                 struct cx_err *err)
{
    size_t tokens = 0;
    const enum cx_status status =
        cx_token_cache_count(c->api->token_cache, c->encoding, text, &tokens);
    if (status != CX_OK) {
        return cx_err_set(err, status, "%s", cx_status_text(status));
    }
    *out = json_integer((json_int_t)tokens);
    return CX_OK;
}

static enum cx_status count_work(void *arg, struct cx_err *err)
{
    struct count *c = arg;
    json_t *tokens = NULL;
    enum cx_status status = CX_OK;
    if (c->texts == NULL) {
        status = count_text(c, c->text, &tokens, err);
    } else {
        tokens = json_array();
    }
    for (size_t i = 0; c->texts != NULL && i < json_array_size(c->texts) && status == CX_OK; i++) {
        const json_t *text = json_array_get(c->texts, i);
        json_t *count = NULL;
        status = count_text(c, (struct cx_str){ json_string_value(text), json_string_length(text) },
                            &count, err);
        (void)json_array_append_new(tokens, count);
    }
    if (status != CX_OK) {
        json_decref(tokens);
        return status;
    }
    return api__write_answer(
        json_pack("{s:o, s:s}", "tokens", tokens, "encoding", cx_encoding_name(c->encoding)),
        &c->answer, err);
}

static enum cx_step_result count_reply(struct cx_exchange *x)
{
    struct count *c = cx_exchange_state(x);
    return cx_exchange_reply_buf(x, 200, "application/json", &c->answer);
}
