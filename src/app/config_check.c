/* SPDX-License-Identifier: MIT
 *
 * What one value alone cannot show: values that contradict each other, and what a listener that is
 * not a loopback address needs.
 */
#include <string.h>

#include "app/config_table.h"

static enum cx_status check_embedding(const struct cx_config *config, struct cx_err *err);
static enum cx_status fail_key(const struct cx_config *config, enum app__key_id id,
                               struct cx_err *err, const char *sentence);

enum cx_status app__config_check(const struct cx_config *config, struct cx_err *err)
{
    for (const char *const *address = config->http_listen; *address != NULL; address++) {
        bool loopback = false;
        CX_CHECK(app__address_parse(*address, &loopback));
        const enum cx_status status =
            loopback ? CX_OK : app__config_allows_remote(config, *address, err);
        if (status != CX_OK) {
            return status;
        }
    }
    if (config->http_uri_bytes > config->http_header_bytes) {
        return fail_key(config, APP__KEY_http_uri_bytes, err,
                        "must not be more than http.header_bytes, which counts it in");
    }
    if (config->hot_bytes / 3 < config->hot_value_bytes) {
        return fail_key(config, APP__KEY_hot_bytes, err,
                        "must be at least three times hot.value_bytes");
    }
    if (config->fetch_proxy != NULL && strncmp(config->fetch_proxy, "unix:", 5) == 0) {
        return fail_key(config, APP__KEY_fetch_proxy, err, "must begin with http:// or https://");
    }
    if (config->fetch_proxy != NULL && strchr(config->fetch_proxy, '?') != NULL) {
        return fail_key(config, APP__KEY_fetch_proxy, err, "must have no ?");
    }
    return check_embedding(config, err);
}

static enum cx_status check_embedding(const struct cx_config *config, struct cx_err *err)
{
    const bool openai = config->embedding_provider == APP__PROVIDER_OPENAI;
    const bool azure = config->embedding_provider == APP__PROVIDER_AZURE;
    const bool elsewhere = strncmp(config->embedding_base_url, "https://api.openai.com", 22) != 0;
    if (openai && config->embedding_api_key == NULL && !elsewhere) {
        return fail_key(config, APP__KEY_embedding_provider, err,
                        "openai needs embedding.api_key_file (or OPENAI_API_KEY), or another "
                        "embedding.base_url");
    }
    if (azure && (config->embedding_api_key == NULL || !elsewhere)) {
        return fail_key(config, APP__KEY_embedding_provider, err,
                        "azure needs embedding.base_url (or AZURE_OPENAI_ENDPOINT) and "
                        "embedding.api_key_file (or AZURE_OPENAI_API_KEY)");
    }
    if (!openai && !azure && config->embedding_dimensions != 0) {
        return fail_key(config, APP__KEY_embedding_dimensions, err,
                        "is for embedding.provider = openai; other models have one dimension only");
    }
    if (config->embedding_api_key != NULL && strpbrk(config->embedding_api_key, "\r\n") != NULL) {
        return fail_key(config, APP__KEY_embedding_api_key, err, "must be one line");
    }
    return CX_OK;
}

enum cx_status app__config_allows_remote(const struct cx_config *config, const char *address,
                                         struct cx_err *err)
{
    size_t usable = 0;
    for (size_t i = 0; i < config->token_count; i++) {
        usable += config->tokens[i].origin.kind != APP__FROM_FIRST_START ? 1 : 0;
    }
    if (usable == 0) {
        return cx_err_set(
            err, CX_INVALID,
            "%s is not a loopback address, and there it takes tokens to keep strangers "
            "out: add a [token \"name\"] section (cortexd --hash-token makes its line) or "
            "set CORTEX_TOKENS",
            address);
    }
    const enum app__origin_kind key_kind = config->origins[APP__KEY_state_signing_key].kind;
    if (config->state_signing_key == NULL || key_kind == APP__FROM_FIRST_START) {
        return cx_err_set(
            err, CX_INVALID,
            "%s is not a loopback address, and there it takes a signing key that clients "
            "elsewhere can share: set state.signing_key_file or CORTEX_SIGNING_KEY",
            address);
    }
    return CX_OK;
}

static enum cx_status fail_key(const struct cx_config *config, enum app__key_id id,
                               struct cx_err *err, const char *sentence)
{
    struct cx_buf place;
    cx_buf_init(&place, 8192);
    app__origin_format(config, &app__keys[id], &config->origins[id], &place);
    const enum cx_status status =
        cx_err_set(err, CX_INVALID, "%s.%s (%s): %s", app__keys[id].section, app__keys[id].name,
                   place.data, sentence);
    cx_buf_free(&place);
    return status;
}
