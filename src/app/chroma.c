/* SPDX-License-Identifier: MIT
 *
 * Makes the Chroma store where the configuration asks for it. The health check is told of its circuit.
 */
#include "app/app_internal.h"

#include <string.h>

static void on_circuit(void *ctx, enum cx_circuit state);

enum cx_status app__make_chroma(struct app *app, struct cx_err *err)
{
    const struct cx_config *c = app->config;
    if (c->vector_backend != APP__BACKEND_CHROMA) {
        return CX_OK;
    }
    struct cx_embedder_info info;
    cx_embedder_info(app->embedder, &info);
    const struct cx_chroma_options options = {
        .loop = app->loop,
        .fetch = app->fetch,
        .lane = app->cpu_lane,
        .url = c->chroma_url,
        .tenant = c->chroma_tenant,
        .database = c->chroma_database,
        .collection = c->chroma_collection,
        .token = c->chroma_token,
        .bearer = c->chroma_token_header == APP__CHROMA_TOKEN_BEARER,
        .timeout_ms = c->chroma_timeout_ms,
        .connect_timeout_ms = c->chroma_connect_timeout_ms,
        .attempts_max = c->chroma_attempts,
        .breaker_failures = c->chroma_breaker_failures,
        .breaker_open_ms = c->chroma_breaker_pause_ms,
        .provider = info.provider,
        .model = info.model,
        .fingerprint = info.fingerprint,
        .on_circuit = on_circuit,
        .circuit_ctx = app,
    };
    enum cx_status status = CX_OK;
    if (strncmp(c->chroma_url, "https:", 6) == 0) {
        status = cx_fetch_warm_tls(app->fetch, err); /* else the first request blocks the loop */
    }
    return status == CX_OK ? cx_chroma_new(&options, &app->chroma, err) : status;
}

static void on_circuit(void *ctx, enum cx_circuit state)
{
    struct app *app = ctx;
    CX_LOG(state == CX_CIRCUIT_CLOSED ? CX_LOG_INFO : CX_LOG_WARN, "vector store circuit",
           CX_S("state", cx_circuit_name(state)));
    if (app->api != NULL) {
        cx_api_check_health(app->api);
    }
}
