/* SPDX-License-Identifier: MIT
 *
 * What keeps large JSON off the loop: bodies are parsed, and answers written, on a lane, and a
 * large value is freed there too, because its hundred thousand small pieces take milliseconds.
 */
#include "api/api_internal.h"

/* ---- Bodies ---- */

static enum cx_status body_work(void *arg, struct cx_err *err);

enum cx_step_result api__body_parse(struct cx_exchange *x, struct api__body *body)
{
    body->api = api__of(x);
    body->text = cx_exchange_body(x);
    if (body->text.len > API_INLINE_BODY_BYTES) {
        return cx_exchange_work(x, body->api->options.cpu_lane, CX_PRIORITY_NORMAL, body_work,
                                body);
    }
    struct cx_err err = { "" };
    const enum cx_status status = body_work(body, &err);
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

static enum cx_status body_work(void *arg, struct cx_err *err)
{
    struct api__body *body = arg;
    return cx_json_parse(body->text, &body->json, err);
}

void api__body_free(struct api__body *body)
{
    if (body->json != NULL) {
        api__discard(body->api, body->json, body->text.len);
        body->json = NULL;
    }
}

/* ---- Answers ---- */

enum cx_status api__write_answer(json_t *value, struct cx_buf *out, struct cx_err *err)
{
    if (value == NULL) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    cx_buf_init(out, API_ANSWER_MAX_BYTES);
    cx_json_write(value, out);
    json_decref(value);
    const bool starved = out->starved;
    if (out->failed) {
        cx_buf_free(out);
        if (starved) {
            return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
        }
        return cx_err_set(err, CX_TOO_LARGE,
                          "The answer would be larger than %zu bytes: ask for less at once",
                          API_ANSWER_MAX_BYTES);
    }
    return CX_OK;
}

/* ---- Freeing ---- */

static void free_json(void *json);
static void on_discarded(void *arg, enum cx_status status);

void api__discard(struct cx_api *api, json_t *json, size_t text_bytes)
{
    if (text_bytes <= API_INLINE_BODY_BYTES ||
        cx_lane_submit_freeing(api->options.cpu_lane, free_json, on_discarded, json) != CX_OK) {
        json_decref(json);
    }
}

static void free_json(void *json)
{
    json_decref(json);
}

static void on_discarded(void *arg, enum cx_status status)
{
    if (status != CX_OK) {
        free_json(arg);
    }
}
