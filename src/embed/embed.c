/* SPDX-License-Identifier: MIT
 *
 * The providers' common half: set-up, the beginning and the end of a call, figures.
 */
#include "embed_internal.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"
#include "cortex/metrics.h"

static void write_fingerprint(const struct cx_embedder *e, const char *parameters, char text[65]);
static void free_call(struct cx_embed_call *call);

void embed__init(struct cx_embedder *e, const struct embed__ops *ops, const char *provider,
                 const char *model, unsigned dimension, const char *parameters)
{
    e->ops = ops;
    e->provider = cx_strdup(provider);
    e->model = cx_strdup(model);
    e->dimension = dimension;
    write_fingerprint(e, parameters, e->fingerprint);
    struct cx_buf labels;
    cx_buf_init(&labels, 256);
    cx_buf_printf(&labels, "provider=\"%s\",outcome=\"ok\"", provider);
    e->texts_ok = cx_metrics_series(CX_M_EMBED_TEXTS, labels.data);
    cx_buf_clear(&labels);
    cx_buf_printf(&labels, "provider=\"%s\",outcome=\"failed\"", provider);
    e->texts_failed = cx_metrics_series(CX_M_EMBED_TEXTS, labels.data);
    cx_buf_clear(&labels);
    cx_buf_printf(&labels, "provider=\"%s\"", provider);
    e->seconds = cx_metrics_series(CX_M_EMBED_SECONDS, labels.data);
    cx_buf_free(&labels);
}

void cx_embedder_free(struct cx_embedder **e)
{
    if (*e != NULL) {
        CX_CHECK((*e)->active == 0);
        free((*e)->provider);
        free((*e)->model);
        (*e)->ops->free(*e);
        *e = NULL;
    }
}

void cx_embedder_info(const struct cx_embedder *e, struct cx_embedder_info *out)
{
    out->provider = e->provider;
    out->model = e->model;
    out->dimension = e->dimension;
    memcpy(out->fingerprint, e->fingerprint, sizeof out->fingerprint);
    out->memory_bytes = e->memory_bytes;
}

enum cx_status cx_embedder_start(struct cx_embedder *e, enum cx_embed_kind kind,
                                 const struct cx_str *texts, size_t count, uint64_t timeout_ms,
                                 const char *traceparent, cx_embed_fn on_done, void *ctx,
                                 struct cx_embed_call **out, struct cx_err *err)
{
    CX_ASSERT_LOOP();
    if (count > EMBED__TEXTS_MAX) {
        return cx_err_set(err, CX_TOO_LARGE, "at most %d texts can be embedded at once",
                          EMBED__TEXTS_MAX);
    }
    struct cx_embed_call *call = cx_alloc(e->ops->call_size);
    call->embedder = e;
    call->kind = kind;
    call->texts = texts;
    call->count = count;
    call->started_ns = cx_clock_mono_ns();
    const uint64_t limit_ms = timeout_ms < 3600000 ? timeout_ms : 3600000;
    call->deadline_ns = call->started_ns + limit_ms * 1000000;
    call->traceparent = traceparent;
    call->on_done = on_done;
    call->ctx = ctx;
    call->result.count = count;
    e->active++;
    const enum cx_status status = e->ops->start(call, err);
    call->traceparent = NULL;
    if (status != CX_OK) {
        e->active--;
        cx_counter_add(e->texts_failed, count);
        free_call(call);
        return status;
    }
    *out = call;
    return CX_OK;
}

void cx_embed_call_cancel(struct cx_embed_call *call)
{
    CX_ASSERT_LOOP();
    if (!call->cancelled) {
        call->cancelled = true;
        call->embedder->ops->cancel(call);
    }
}

void embed__finish(struct cx_embed_call *call)
{
    struct cx_embedder *e = call->embedder;
    struct cx_embed_result result = call->result;
    call->result.vectors = NULL;
    call->result.cut = NULL;
    const cx_embed_fn on_done = call->on_done;
    void *ctx = call->ctx;
    result.elapsed_ns = cx_clock_mono_ns() - call->started_ns;
    if (result.status == CX_OK) {
        result.dimension = e->dimension;
    } else {
        free(result.vectors);
        result.vectors = NULL;
        result.count = 0;
        result.dimension = 0;
    }
    cx_counter_add(result.status == CX_OK ? e->texts_ok : e->texts_failed, call->count);
    cx_histogram_observe(e->seconds, (double)result.elapsed_ns / 1e9);
    free_call(call);
    e->active--;
    on_done(ctx, &result);
    free(result.cut);
}

void embed__fail(struct cx_embed_call *call, enum cx_status status, const char *text)
{
    call->result.status =
        cx_err_set(&call->result.err, status, "%s", text != NULL ? text : cx_status_text(status));
    embed__finish(call);
}

bool cx_embedder_count_tokens(const struct cx_embedder *e, enum cx_embed_kind kind,
                              const struct cx_str *texts, size_t count, size_t *out)
{
    const struct cx_embedder *provider = embed__provider_of(e);
    if (provider->ops->count_tokens == NULL) {
        return false;
    }
    *out = provider->ops->count_tokens(provider, kind, texts, count);
    return true;
}

uint64_t embed__time_left_ms(const struct cx_embed_call *call)
{
    const uint64_t now_ns = cx_clock_mono_ns();
    return now_ns >= call->deadline_ns ? 0 : (call->deadline_ns - now_ns) / 1000000;
}

static void write_fingerprint(const struct cx_embedder *e, const char *parameters, char text[65])
{
    struct cx_buf line;
    cx_buf_init(&line, 4096);
    /* Lengths in front: no two descriptions give the same bytes. */
    cx_buf_printf(&line, "cortex-embedding:%zu:%s:%zu:%s:%u:%s", strlen(e->provider), e->provider,
                  strlen(e->model), e->model, e->dimension, parameters);
    CX_CHECK(!line.failed);
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256((struct cx_str){ line.data, line.len }, digest);
    (void)cx_hex(digest, sizeof digest, text);
    cx_buf_free(&line);
}

static void free_call(struct cx_embed_call *call)
{
    if (call->embedder->ops->release_call != NULL) {
        call->embedder->ops->release_call(call);
    }
    free(call->result.vectors);
    free(call->result.cut);
    free(call);
}
