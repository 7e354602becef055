/* SPDX-License-Identifier: MIT
 *
 * GET /v1/models and one of them, and refusals in OpenAI's shape:
 * https://platform.openai.com/docs/api-reference/models
 */
#include "api/openai_compat.h"

#include <stdio.h>
#include <string.h>

static enum cx_step_result models_reply(struct cx_exchange *x);
static enum cx_step_result model_reply(struct cx_exchange *x);

static const struct cx_step models_steps[] = { { "reply", models_reply, false } };
API_ENDPOINT(api__models, models_steps, 0);
static const struct cx_step model_steps[] = { { "reply", model_reply, false } };
API_ENDPOINT(api__model, model_steps, 0);

static json_t *describe_model(const struct cx_api *api);

static enum cx_step_result models_reply(struct cx_exchange *x)
{
    const struct cx_api *api = api__of(x);
    json_t *data = json_array();
    if (api->options.embedder != NULL) {
        json_array_append_new(data, describe_model(api));
    }
    return cx_exchange_reply_json(x, 200,
                                  json_pack("{s: s, s: o}", "object", "list", "data", data));
}

static json_t *describe_model(const struct cx_api *api)
{
    struct cx_embedder_info info;
    cx_embedder_info(api->options.embedder, &info);
    return json_pack("{s: s, s: s, s: I, s: s}", "id", info.model, "object", "model", "created",
                     (json_int_t)(api->started_us / 1000000), "owned_by", info.provider);
}

/* A name such as BAAI/bge-m3 comes as one segment from clients that encode its slash, and as two
 * from those that do not. */
static enum cx_step_result model_reply(struct cx_exchange *x)
{
    const struct cx_api *api = api__of(x);
    const char *owner = cx_exchange_param(x, "owner");
    const char *name = cx_exchange_param(x, "model");
    const char *asked =
        owner == NULL ? name : cx_arena_printf(cx_exchange_arena(x), "%s/%s", owner, name);
    struct cx_embedder_info info = { .model = NULL };
    if (api->options.embedder != NULL) {
        cx_embedder_info(api->options.embedder, &info);
    }
    if (asked == NULL || info.model == NULL || strcmp(asked, info.model) != 0) {
        return api__openai_no_such_model(x, cx_str_of(asked));
    }
    return cx_exchange_reply_json(x, 200, describe_model(api));
}

/* ---- Refusals ---- */

enum cx_step_result api__openai_no_such_model(struct cx_exchange *x, struct cx_str model)
{
    enum { SHOWN_MAX = 128 };
    const size_t shown = cx_utf8_cut(model, SHOWN_MAX);
    return api__openai_refuse(
        x, 404, "model_not_found", "model",
        "The model '%.*s%s' does not exist here; GET /v1/models names the one "
        "that does",
        (int)shown, model.p != NULL ? model.p : "", shown < model.len ? "…" : "");
}

enum cx_step_result api__openai_refuse_faults(struct cx_exchange *x, struct cx_faults *faults)
{
    static const struct {
        const char *type;
        const char *code;
    } codes[] = { { "missing", "missing_required_parameter" }, { "type", "invalid_type" } };
    if (faults->count == 0) {
        return CX_STEP_NEXT;
    }
    struct cx_err sentence = { "" };
    cx_faults_sentence(faults, &sentence);
    const json_t *first = json_array_get(faults->list, 0);
    const json_t *loc = json_object_get(first, "loc");
    const char *type = json_string_value(json_object_get(first, "type"));
    const char *code = "invalid_value";
    for (size_t i = 0; i < CX_ARRAY_LEN(codes) && type != NULL; i++) {
        code = strcmp(type, codes[i].type) == 0 ? codes[i].code : code;
    }
    const enum cx_step_result refused = api__openai_refuse(
        x, 400, code, json_string_value(json_array_get(loc, 1)), "%s", sentence.text);
    cx_faults_free(faults);
    return refused;
}

enum cx_step_result api__openai_refuse(struct cx_exchange *x, int http_status, const char *code,
                                       const char *param, const char *format, ...)
{
    struct cx_err said;
    char text[sizeof said.text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)cx_err_set(&said, CX_INVALID, "%s", text); /* makes valid UTF-8 of it */
    return cx_exchange_reply_json(x, http_status,
                                  json_pack("{s: {s: s, s: s, s: s?, s: s}}", "error", "message",
                                            said.text, "type", "invalid_request_error", "param",
                                            param, "code", code));
}
