/* SPDX-License-Identifier: MIT
 *
 * What goes to the Chroma server: where to, with which headers, in what is left of the operation's time,
 * and only with the circuit breaker's leave. Loop thread.
 */
#include "call.h"

#include <stdio.h>

#define COLLECTION_BYTES_MAX ((size_t)256 << 10)
#define URL_BYTES_MAX 32768

static void send(struct cx_chroma_call *call, enum chroma__phase phase, const char *method,
                 const char *url, struct cx_str body, size_t answer_max);

void chroma__resolve(struct cx_chroma_call *call)
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
    cx_buf_init(&url, URL_BYTES_MAX);
    cx_buf_printf(&url, "%s/%s", c->base, call->name);
    CX_CHECK(!url.failed);
    send(call, PHASE_RESOLVING, "GET", url.data, (struct cx_str){ NULL, 0 }, COLLECTION_BYTES_MAX);
    cx_buf_free(&url);
}

void chroma__ask(struct cx_chroma_call *call, const char *id)
{
    static const char *const paths[] = {
        [CX_CHROMA_LOOK] = "get",    [CX_CHROMA_PUT] = "upsert",    [CX_CHROMA_GET] = "get",
        [CX_CHROMA_IDS] = "get",     [CX_CHROMA_DELETE] = "delete", [CX_CHROMA_COUNT] = "count",
        [CX_CHROMA_QUERY] = "query", [CX_CHROMA_WALK] = "get",
    };
    const struct cx_chroma_op *op = call->op;
    struct cx_buf url;
    cx_buf_init(&url, URL_BYTES_MAX);
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
         op->answer_bytes_max > 0 ? op->answer_bytes_max : CHROMA__ANSWER_BYTES_MAX);
    cx_buf_free(&url);
}

static void send(struct cx_chroma_call *call, enum chroma__phase phase, const char *method,
                 const char *url, struct cx_str body, size_t answer_max)
{
    struct cx_chroma *c = call->chroma;
    const uint64_t now = cx_loop_now_ms(c->options.loop);
    call->phase = phase;
    if (now >= call->deadline_ms) {
        chroma__end(call, CX_VECTOR_TIMEOUT, NULL);
        return;
    }
    const enum cx_circuit before = c->breaker.state;
    if (!cx_breaker_take(&c->breaker, now, &call->epoch)) {
        call->op->retry_after_ms = cx_breaker_wait_ms(&c->breaker, now);
        chroma__end(call, CX_VECTOR_CIRCUIT_OPEN, NULL);
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
        cx_fetch_start(c->options.fetch, &request, chroma__on_answer, call, &call->request, NULL);
    if (status != CX_OK) {
        cx_breaker_neutral(&c->breaker, call->epoch);
        chroma__end(call,
                    status == CX_OVERLOADED || status == CX_NO_MEMORY ? status : CX_VECTOR_UPSTREAM,
                    NULL);
    }
}
