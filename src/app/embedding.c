/* SPDX-License-Identifier: MIT
 *
 * Makes the embedder that the configuration asks for: a provider, and in front of it the batcher
 * with its cache, retries and circuit breaker. Tokens are the context module's affair, the
 * circuit's state the health check's: siblings that know nothing of each other meet here.
 */
#include "app/app_internal.h"

#include <string.h>
#include <unistd.h>

#include "cortex/context.h"

#define DEFAULT_OPENAI_MODEL "text-embedding-3-small"
#define CACHE_DISK_BYTES ((size_t)512 << 20)

static enum cx_status make_openai(struct app *app, struct cx_embedder **out, struct cx_err *err);
static enum cx_status make_huggingface(struct app *app, struct cx_embedder **out,
                                       struct cx_err *err);
static enum cx_status make_provider(struct app *app, struct cx_embedder **out, struct cx_err *err);
static void set_caches(const struct cx_config *config, struct cx_batcher_options *options);
static void set_limits(const struct cx_config *config, struct cx_batcher_options *options);
static size_t count_tokens(void *ctx, struct cx_str text);
static size_t cut_tokens(void *ctx, struct cx_str text, size_t max_tokens);
static void on_circuit(void *ctx, enum cx_circuit state);

enum cx_status app__make_embedder(struct app *app, struct cx_err *err)
{
    const struct cx_config *c = app->config;
    if (c->vector_backend == APP__BACKEND_NONE) {
        return CX_OK;
    }
    const bool remote = c->embedding_provider == APP__PROVIDER_OPENAI ||
                        c->embedding_provider == APP__PROVIDER_AZURE;
    struct cx_embedder *provider = NULL;
    const enum cx_status made = make_provider(app, &provider, err);
    if (made != CX_OK) {
        return made;
    }
    struct cx_batcher_options options;
    cx_batcher_defaults(remote, &options);
    if (c->embedding_provider != APP__PROVIDER_BUILTIN) { /* which is faster than any cache */
        set_caches(c, &options);
    }
    options.loop = app->loop;
    options.inner = provider;
    options.cpu_lane = app->cpu_lane;
    options.store = app->store;
    options.read_lane = app->read_lane;
    options.write_lane = app->write_lane;
    if (remote) {
        set_limits(c, &options);
        options.count_tokens = count_tokens;
        options.cut_tokens = cut_tokens;
        options.on_circuit = on_circuit;
        options.circuit_ctx = app;
    }
    const enum cx_status status = cx_embedder_batched(&options, &app->embedder, err);
    if (status != CX_OK) {
        cx_embedder_free(&provider);
    }
    return status;
}

static enum cx_status make_provider(struct app *app, struct cx_embedder **out, struct cx_err *err)
{
    switch ((enum app__provider)app->config->embedding_provider) {
    case APP__PROVIDER_OPENAI:
    case APP__PROVIDER_AZURE:
        return make_openai(app, out, err);
    case APP__PROVIDER_HUGGINGFACE:
        return make_huggingface(app, out, err);
    case APP__PROVIDER_BUILTIN:
        break;
    }
    cx_embedder_builtin(app->cpu_lane, out);
    return CX_OK;
}

/* "all-MiniLM-L6-v2", or as the hub names it, "sentence-transformers/all-MiniLM-L6-v2": the folder
 * may have either name. A path's last part is the model's name, so that it may move. */
static enum cx_status make_huggingface(struct app *app, struct cx_embedder **out,
                                       struct cx_err *err)
{
    const struct cx_config *c = app->config;
    const char *slash = strrchr(c->embedding_model, '/');
    const char *name = slash != NULL && slash[1] != '\0' ? slash + 1 : c->embedding_model;
    struct cx_buf directory;
    cx_buf_init(&directory, 16384);
    if (c->embedding_model[0] == '/') {
        cx_buf_puts(&directory, c->embedding_model);
    } else {
        cx_buf_printf(&directory, "%s/%s", c->embedding_models_dir, c->embedding_model);
        if (name != c->embedding_model && access(directory.data, F_OK) != 0) {
            cx_buf_clear(&directory);
            cx_buf_printf(&directory, "%s/%s", c->embedding_models_dir, name);
        }
    }
    CX_CHECK(!directory.failed);
    const struct cx_embed_huggingface_options options = {
        .directory = directory.data,
        .model = name,
        .precision = (enum cx_embed_precision)c->embedding_precision,
        .kernel = c->embedding_kernel,
        .query_prompt = c->embedding_query_prompt,
        .document_prompt = c->embedding_document_prompt,
        .loop = app->loop,
        .lane = app->cpu_lane,
        .parallel = app__cpu_threads(c),
    };
    struct cx_err why = { "" };
    const enum cx_status status = cx_embedder_huggingface(&options, out, &why);
    cx_buf_free(&directory);
    return status == CX_OK ? CX_OK : cx_err_set(err, status, "embedding.model: %s", why.text);
}

static enum cx_status make_openai(struct app *app, struct cx_embedder **out, struct cx_err *err)
{
    const struct cx_config *c = app->config;
    const struct cx_embed_openai_options options = {
        .fetch = app->fetch,
        .base_url = c->embedding_base_url,
        .api_key = c->embedding_api_key,
        .model = c->embedding_model != NULL ? c->embedding_model : DEFAULT_OPENAI_MODEL,
        .dimensions = c->embedding_dimensions,
        .lane = app->cpu_lane,
        .azure = c->embedding_provider == APP__PROVIDER_AZURE,
        .api_version = c->embedding_api_version,
        .timeout_ms = c->embedding_timeout_ms,
        .connect_timeout_ms = c->embedding_connect_timeout_ms,
        .first_byte_timeout_ms = c->embedding_first_byte_timeout_ms,
        .low_speed_bytes = c->embedding_low_speed_bytes,
        .low_speed_ms = c->embedding_low_speed_bytes > 0 ? c->embedding_low_speed_ms : 0,
    };
    enum cx_status status = CX_OK;
    if (strncmp(c->embedding_base_url, "https:", 6) == 0) {
        status = cx_fetch_warm_tls(app->fetch, err); /* else the first request blocks the loop */
    }
    return status == CX_OK ? cx_embedder_openai(&options, out, err) : status;
}

static void set_caches(const struct cx_config *config, struct cx_batcher_options *options)
{
    options->cache_memory_bytes = config->embedding_cache_bytes;
    options->cache_disk_rows = config->embedding_cache_rows;
    options->cache_disk_bytes = CACHE_DISK_BYTES;
}

static void set_limits(const struct cx_config *config, struct cx_batcher_options *options)
{
    options->window_ms = config->embedding_window_ms;
    options->calls_max = config->embedding_calls;
    if (options->document_calls_max >= options->calls_max) {
        options->document_calls_max = options->calls_max - 1;
    }
    options->inputs_max = config->embedding_inputs_per_call;
    options->tokens_max = config->embedding_tokens_per_call;
    options->input_tokens_max = config->embedding_tokens_per_input;
    options->queue_texts_max = config->embedding_queue_texts;
    options->queue_bytes_max = config->embedding_queue_bytes;
    options->attempts_max = config->embedding_attempts;
    options->breaker_failures = config->embedding_breaker_failures;
    options->breaker_open_ms = config->embedding_breaker_pause_ms;
}

/* The models behind OpenAI's embeddings count by cl100k_base; for others it is a fair estimate. */
static size_t count_tokens(void *ctx, struct cx_str text)
{
    (void)ctx;
    size_t tokens = 0;
    return cx_bpe_count(CX_ENCODING_CL100K, text, &tokens) == CX_OK ? tokens : text.len;
}

static size_t cut_tokens(void *ctx, struct cx_str text, size_t max_tokens)
{
    (void)ctx;
    size_t bytes = 0;
    return cx_bpe_cut(CX_ENCODING_CL100K, text, max_tokens, &bytes, NULL) == CX_OK
               ? bytes
               : cx_utf8_cut(text, max_tokens); /* a token is at least a byte */
}

static void on_circuit(void *ctx, enum cx_circuit state)
{
    struct app *app = ctx;
    CX_LOG(state == CX_CIRCUIT_CLOSED ? CX_LOG_INFO : CX_LOG_WARN, "embedding circuit",
           CX_S("state", cx_circuit_name(state)));
    if (app->api != NULL) {
        cx_api_check_health(app->api);
    }
}

bool app__count_tokens(void *ctx, struct cx_str text, int64_t *out)
{
    (void)ctx;
    size_t tokens = 0;
    if (cx_bpe_count(CX_ENCODING_CL100K, text, &tokens) != CX_OK) {
        return false;
    }
    *out = (int64_t)tokens;
    return true;
}
