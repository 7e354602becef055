/* SPDX-License-Identifier: MIT
 *
 * The environment into a configuration: CORTEX_SECTION_KEY for every key, the names that the earlier
 * Python service knew, and tokens. Secrets are overwritten where they stand (which is what
 * /proc/PID/environ shows) and taken out, so that they are neither inherited nor found later.
 */
#include <stdio.h>
#include <string.h>

#include "app/config_table.h"
#include "cortex/crypto.h"
#include "app/units.h"

#define AZURE_KEY "AZURE_OPENAI_API_KEY"
#define TOKEN_MAX_BYTES 4096
#define TOKEN_SHORT_BYTES 16 /* shorter ones can be guessed */

static enum cx_status read_keys(struct cx_config *config, char *const *environment,
                                struct cx_err *err);
static const char *other_name_of(const struct cx_config *config, const struct app__key *key);
static enum cx_status read_key(struct cx_config *config, const struct app__key *key,
                               const char *variable, const char *value, bool plain_seconds,
                               struct cx_err *err);
static enum cx_status read_port(struct cx_config *config, char *const *environment,
                                struct cx_err *err);
static enum cx_status read_tokens(struct cx_config *config, char *const *environment,
                                  struct cx_err *err);
static enum cx_status read_token(struct cx_config *config, struct cx_str text, unsigned number,
                                 struct cx_err *err);
static void warn_unknown(struct cx_config *config, char *const *environment);
static bool is_known(const char *name);
static void wipe_secrets(char **environment);
static const char *variable_value(const char *entry, const char *name);

enum cx_status app__config_read_env(struct cx_config *config, char **environment,
                                    struct cx_err *err)
{
    enum cx_status status = read_keys(config, environment, err);
    if (status == CX_OK) {
        status = read_port(config, environment, err);
    }
    if (status == CX_OK) {
        status = read_tokens(config, environment, err);
    }
    warn_unknown(config, environment);
    wipe_secrets(environment);
    return status;
}

const char *app__env_get(char *const *environment, const char *name)
{
    for (char *const *entry = environment; *entry != NULL; entry++) {
        const char *value = variable_value(*entry, name);
        if (value != NULL) {
            return *value != '\0' ? value : NULL;
        }
    }
    return NULL;
}

static enum cx_status read_keys(struct cx_config *config, char *const *environment,
                                struct cx_err *err)
{
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        const struct app__key *key = &app__keys[i];
        char name[APP__ENV_NAME_BYTES];
        const char *value = app__env_get(environment, app__key_env(key, name));
        const char *other_name = other_name_of(config, key);
        const bool two_names = other_name[0] != '\0' && strcmp(other_name, name) != 0;
        const char *other = two_names ? app__env_get(environment, other_name) : NULL;
        enum cx_status status = CX_OK;
        if (value != NULL && other != NULL) {
            return cx_err_set(err, CX_INVALID, "%s and %s are both set and mean the same", name,
                              other_name);
        }
        if (value != NULL) {
            status = read_key(config, key, NULL, value, false, err);
        } else if (other != NULL) {
            status =
                read_key(config, key, other_name, other, (key->traits & APP__SECONDS) != 0, err);
        }
        if (status != CX_OK) {
            return status;
        }
    }
    return CX_OK;
}

/* As Azure's own clients name them; the provider stands before its address and key in the table. */
static const char *other_name_of(const struct cx_config *config, const struct app__key *key)
{
    const bool azure = config->embedding_provider == APP__PROVIDER_AZURE;
    if (azure && app__key_id(key) == APP__KEY_embedding_base_url) {
        return "AZURE_OPENAI_ENDPOINT";
    }
    if (azure && app__key_id(key) == APP__KEY_embedding_api_key) {
        return AZURE_KEY;
    }
    return key->env;
}

/* variable: NULL for the key's own CORTEX_SECTION_KEY. */
static enum cx_status read_key(struct cx_config *config, const struct app__key *key,
                               const char *variable, const char *value, bool plain_seconds,
                               struct cx_err *err)
{
    const struct app__value_source source = { .base_dir = NULL, .plain_seconds = plain_seconds };
    struct cx_err why = { .text = "" };
    const enum cx_status status = app__value_set(config, key, value, &source, &why);
    if (status != CX_OK) {
        char own[APP__ENV_NAME_BYTES];
        return cx_err_set(err, status, "%s: %s",
                          variable != NULL ? variable : app__key_env(key, own), why.text);
    }
    config->origins[app__key_id(key)] =
        (struct app__origin){ .kind = APP__FROM_ENVIRONMENT, .name = variable };
    return CX_OK;
}

static enum cx_status read_port(struct cx_config *config, char *const *environment,
                                struct cx_err *err)
{
    static const char name[] = "CORTEX_PORT";
    const char *value = app__env_get(environment, name);
    if (value == NULL) {
        return CX_OK;
    }
    const struct app__key *key = &app__keys[APP__KEY_http_listen];
    if (config->origins[APP__KEY_http_listen].kind == APP__FROM_ENVIRONMENT) {
        return cx_err_set(err, CX_INVALID,
                          "%s and CORTEX_HTTP_LISTEN are both set; one of them must go", name);
    }
    uint64_t port = 0;
    if (!cx_parse_u64(cx_str_of(value), &port) || port == 0 || port > 65535) {
        return cx_err_set(err, CX_INVALID, "%s: \"%.40s\" is no port from 1 to 65535", name, value);
    }
    char addresses[64];
    snprintf(addresses, sizeof addresses, "127.0.0.1:%u, [::1]:%u", (unsigned)port, (unsigned)port);
    return read_key(config, key, name, addresses, false, err);
}

/* ---- Tokens ------------------------------------------------------------------------------------ */

static enum cx_status read_tokens(struct cx_config *config, char *const *environment,
                                  struct cx_err *err)
{
    const char *rest = app__env_get(environment, "CORTEX_TOKENS");
    unsigned number = 0;
    while (rest != NULL && *rest != '\0') {
        const size_t len = strcspn(rest, ",");
        const struct cx_str text = cx_str_trim((struct cx_str){ rest, len });
        if (text.len > 0) {
            const enum cx_status status = read_token(config, text, ++number, err);
            if (status != CX_OK) {
                return status;
            }
        }
        rest += len + (rest[len] == ',' ? 1 : 0);
    }
    return CX_OK;
}

static enum cx_status read_token(struct cx_config *config, struct cx_str text, unsigned number,
                                 struct cx_err *err)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.p[i] <= ' ' || (unsigned char)text.p[i] >= 0x7f) {
            return cx_err_set(err, CX_INVALID,
                              "CORTEX_TOKENS: token %u must be printable ASCII without blanks",
                              number);
        }
    }
    if (text.len > TOKEN_MAX_BYTES) {
        return cx_err_set(err, CX_INVALID, "CORTEX_TOKENS: token %u is longer than %d bytes",
                          number, TOKEN_MAX_BYTES);
    }
    if (text.len < TOKEN_SHORT_BYTES) {
        app__config_warn(config,
                         "CORTEX_TOKENS: token %u is shorter than %d bytes and can be guessed",
                         number, TOKEN_SHORT_BYTES);
    }
    char name[24];
    snprintf(name, sizeof name, "env-%u", number);
    struct app__token token = {
        .name = name,
        .scopes = CX_SCOPE_ALL,
        .origin = { .kind = APP__FROM_ENVIRONMENT, .name = "CORTEX_TOKENS" },
    };
    cx_sha256(text, token.sha256);
    struct cx_err why = { .text = "" };
    const enum cx_status status = app__config_add_token(config, &token, &why);
    return status == CX_OK ? CX_OK : cx_err_set(err, status, "CORTEX_TOKENS: %s", why.text);
}

/* ---- Names that are not known ------------------------------------------------------------------ */

/* A warning and no error: an orchestrator may set variables of that prefix for its own use. */
static void warn_unknown(struct cx_config *config, char *const *environment)
{
    static const char prefix[] = "CORTEX_";
    for (char *const *entry = environment; *entry != NULL; entry++) {
        char name[APP__ENV_NAME_BYTES];
        const size_t len = strcspn(*entry, "=");
        if (strncmp(*entry, prefix, sizeof prefix - 1) != 0 || len >= sizeof name) {
            continue;
        }
        memcpy(name, *entry, len);
        name[len] = '\0';
        if (!is_known(name)) {
            app__config_warn(config, "environment: nothing is known by the name %s", name);
        }
    }
}

static bool is_known(const char *name)
{
    static const char *const others[] = { "CORTEX_CONFIG", "CORTEX_PORT", "CORTEX_TOKENS" };
    for (size_t i = 0; i < CX_ARRAY_LEN(others); i++) {
        if (strcmp(name, others[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        char own[APP__ENV_NAME_BYTES];
        if (strcmp(name, app__keys[i].env) == 0 ||
            strcmp(name, app__key_env(&app__keys[i], own)) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- Secrets ----------------------------------------------------------------------------------- */

static void wipe_secrets(char **environment)
{
    app__env_take_out(environment, "CORTEX_TOKENS");
    app__env_take_out(environment, AZURE_KEY);
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        if (app__keys[i].type == APP__SECRET) {
            char own[APP__ENV_NAME_BYTES];
            app__env_take_out(environment, app__key_env(&app__keys[i], own));
            app__env_take_out(environment, app__keys[i].env);
        }
    }
}

void app__env_take_out(char **environment, const char *name)
{
    char **to = environment;
    for (char **from = environment; *from != NULL; from++) {
        const char *value = variable_value(*from, name);
        if (value == NULL) {
            *to++ = *from;
            continue;
        }
        cx_wipe(*from + (value - *from), strlen(value));
    }
    *to = NULL;
}

static const char *variable_value(const char *entry, const char *name)
{
    const size_t len = strlen(name);
    return len > 0 && strncmp(entry, name, len) == 0 && entry[len] == '=' ? entry + len + 1 : NULL;
}
