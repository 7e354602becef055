/* SPDX-License-Identifier: MIT
 *
 * Loading the configuration: the sources one after the other, then what follows from all of them
 * (config.h). One value is config_value.c's, the file config_file.c's, the environment config_env.c's.
 */
#include "app/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/config_table.h"
#include "cortex/crypto.h"
#include "app/secret_file.h"

#define TOKENS_MAX 1024
#define WARNINGS_MAX 64
#define DEFAULT_OPENAI_MODEL "text-embedding-3-small"
#define DEFAULT_HUGGINGFACE_MODEL "all-MiniLM-L6-v2"

static void set_defaults(struct cx_config *config);
static enum cx_status read_file(struct cx_config *config, const struct app__cli *cli,
                                char *const *environment, struct cx_err *err);
static const char *find_file(struct cx_config *config, char *const *environment);
static enum cx_status read_credentials(struct cx_config *config, char *const *environment,
                                       struct cx_err *err);
static enum cx_status read_flags(struct cx_config *config, const struct app__cli *cli,
                                 struct cx_err *err);
static enum cx_status carry_over(struct cx_config *config, const struct cx_config *running,
                                 struct cx_err *err);
static enum cx_status resolve_secret(struct cx_config *config, enum app__key_id value_id,
                                     enum app__key_id file_id, struct cx_err *err);
static enum cx_status resolve_data(struct cx_config *config, char *const *environment,
                                   struct cx_err *err);
static bool listens_by_default(const struct cx_config *config);
static const char *copy_text(struct cx_config *config, const char *text);

enum cx_status app__config_load(const struct app__cli *cli, char **environment,
                                const struct cx_config *running, struct cx_config **out,
                                struct cx_err *err)
{
    struct cx_config *config = cx_alloc(sizeof *config);
    cx_arena_init(&config->arena, APP__ARENA_MAX_BYTES);
    cx_arena_init(&config->token_arena, APP__ARENA_MAX_BYTES);
    set_defaults(config);
    enum cx_status status = read_file(config, cli, environment, err);
    if (status == CX_OK) {
        status = read_credentials(config, environment, err);
    }
    if (status == CX_OK) {
        status =
            read_flags(config, cli, err); /* the provider decides which variables are looked at */
    }
    struct cx_err env_err = { .text = "" };
    /* In any case: a start that fails leaves no secret in /proc/PID/environ either. */
    const enum cx_status env_status = app__config_read_env(config, environment, &env_err);
    if (status == CX_OK && env_status != CX_OK) {
        status = cx_err_set(err, env_status, "%s", env_err.text);
    }
    if (status == CX_OK) {
        status = read_flags(config, cli, err);
    }
    if (status == CX_OK && running != NULL) {
        status = carry_over(config, running, err);
    }
    if (status == CX_OK) {
        status = resolve_secret(config, APP__KEY_state_signing_key, APP__KEY_state_signing_key_file,
                                err);
    }
    if (status == CX_OK) {
        status = resolve_secret(config, APP__KEY_embedding_api_key, APP__KEY_embedding_api_key_file,
                                err);
    }
    if (status == CX_OK) {
        status = resolve_secret(config, APP__KEY_chroma_token, APP__KEY_chroma_token_file, err);
    }
    if (status == CX_OK) {
        status = resolve_data(config, environment, err);
    }
    if (status == CX_OK && config->embedding_provider != APP__PROVIDER_BUILTIN &&
        config->embedding_model == NULL) {
        config->embedding_model =
            copy_text(config, config->embedding_provider == APP__PROVIDER_HUGGINGFACE
                                  ? DEFAULT_HUGGINGFACE_MODEL
                                  : DEFAULT_OPENAI_MODEL);
    }
    config->http_listen_is_default = listens_by_default(config);
    if (status == CX_OK) {
        status = app__config_check(config, err);
    }
    if (status != CX_OK) {
        app__config_free(&config);
        return status;
    }
    *out = config;
    return CX_OK;
}

static void set_defaults(struct cx_config *config)
{
    static const struct app__value_source source = { .base_dir = "/" };
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        const enum cx_status status =
            app__value_set(config, &app__keys[i], app__keys[i].fallback, &source, NULL);
        CX_CHECK(status == CX_OK);
    }
}

/* ---- File -------------------------------------------------------------------------------------- */

static enum cx_status read_file(struct cx_config *config, const struct app__cli *cli,
                                char *const *environment, struct cx_err *err)
{
    const char *named =
        cli->config_path != NULL ? cli->config_path : app__env_get(environment, "CORTEX_CONFIG");
    const char *path = named != NULL ? named : find_file(config, environment);
    if (path == NULL) {
        return CX_OK;
    }
    struct cx_buf text;
    bool others = false;
    cx_buf_init(&text, APP__INI_FILE_MAX_BYTES + 1);
    enum cx_status status = app__file_read(path, APP__INI_FILE_MAX_BYTES, &text, &others, err);
    if (status == CX_OK) {
        config->path = cx_arena_strdup(&config->token_arena, path);
        CX_CHECK(config->path != NULL);
        status = app__config_read_text(config, path, (struct cx_str){ text.data, text.len }, err);
    }
    for (size_t i = 0; i < APP__KEY_COUNT && status == CX_OK && others; i++) {
        if (app__keys[i].type == APP__SECRET && config->origins[i].kind == APP__FROM_FILE) {
            app__config_warn(config, "%s: others than its owner may read it, and it holds %s.%s",
                             path, app__keys[i].section, app__keys[i].name);
        }
    }
    if (text.data != NULL) {
        cx_wipe(text.data, text.cap);
    }
    cx_buf_free(&text);
    return status;
}

/* The first there is of the places where a file is looked for that nobody named. */
static const char *find_file(struct cx_config *config, char *const *environment)
{
    const char *home = app__env_get(environment, "HOME");
    const char *xdg = app__env_get(environment, "XDG_CONFIG_HOME");
    char *own = NULL;
    if (xdg != NULL && xdg[0] == '/') {
        own = cx_arena_printf(&config->arena, "%s/cortex/cortex.conf", xdg);
    } else if (home != NULL && home[0] == '/') {
        own = cx_arena_printf(&config->arena, "%s/.config/cortex/cortex.conf", home);
    }
    if (own != NULL && app__file_is_there(own)) {
        return own;
    }
    static const char system_wide[] = "/etc/cortex/cortex.conf";
    return app__file_is_there(system_wide) ? system_wide : NULL;
}

/* ---- Credentials and flags --------------------------------------------------------------------- */

static enum cx_status read_credentials(struct cx_config *config, char *const *environment,
                                       struct cx_err *err)
{
    static const struct {
        const char *name;
        enum app__key_id key;
    } credentials[] = {
        { "signing_key", APP__KEY_state_signing_key },
        { "openai_api_key", APP__KEY_embedding_api_key },
        { "chroma_token", APP__KEY_chroma_token },
    };
    const char *dir = app__env_get(environment, "CREDENTIALS_DIRECTORY");
    for (size_t i = 0; dir != NULL && i < CX_ARRAY_LEN(credentials); i++) {
        char *path = cx_arena_printf(&config->arena, "%s/%s", dir, credentials[i].name);
        CX_CHECK(path != NULL);
        if (!app__file_is_there(path)) {
            continue;
        }
        bool others =
            false; /* systemd lets us in by an access list, which looks like group access */
        const char **value = app__value_text(config, &app__keys[credentials[i].key]);
        const enum cx_status status = app__secret_read(path, &config->arena, value, &others, err);
        if (status != CX_OK) {
            return status;
        }
        config->origins[credentials[i].key] =
            (struct app__origin){ .kind = APP__FROM_CREDENTIAL, .name = credentials[i].name };
    }
    return CX_OK;
}

static enum cx_status read_flags(struct cx_config *config, const struct app__cli *cli,
                                 struct cx_err *err)
{
    static const struct app__value_source source = { .base_dir = NULL };
    for (size_t i = 0; i < cli->override_count; i++) {
        const struct app__override *o = &cli->overrides[i];
        const struct app__key *key = &app__keys[o->key];
        struct cx_err why = { .text = "" };
        const enum cx_status status = app__value_set(config, key, o->value, &source, &why);
        if (status != CX_OK) {
            const bool any = strcmp(o->flag, "--set") == 0;
            return cx_err_set(err, CX_BAD_REQUEST, "%s%s%s%s%s: %s", o->flag, any ? " " : "",
                              any ? key->section : "", any ? "." : "", any ? key->name : "",
                              why.text);
        }
        config->origins[o->key] = (struct app__origin){ .kind = APP__FROM_FLAG, .name = o->flag };
    }
    return CX_OK;
}

/* ---- Reloading --------------------------------------------------------------------------------- */

/* The environment's secrets were taken out of it at the start, and what the first start made is in no
 * source at all: both are in the running configuration alone. */
static enum cx_status carry_over(struct cx_config *config, const struct cx_config *running,
                                 struct cx_err *err)
{
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        const enum app__origin_kind kind = running->origins[i].kind;
        if (app__keys[i].type == APP__SECRET && config->origins[i].kind < kind &&
            (kind == APP__FROM_ENVIRONMENT || kind == APP__FROM_FIRST_START)) {
            const char *text = *app__value_text((struct cx_config *)running, &app__keys[i]);
            *app__value_text(config, &app__keys[i]) = copy_text(config, text);
            config->origins[i] = running->origins[i];
        }
    }
    const size_t fresh_count = config->token_count;
    for (size_t i = 0; i < running->token_count; i++) {
        const enum app__origin_kind kind = running->tokens[i].origin.kind;
        if (kind == APP__FROM_ENVIRONMENT || (kind == APP__FROM_FIRST_START && fresh_count == 0)) {
            const enum cx_status status = app__config_add_token(config, &running->tokens[i], err);
            if (status != CX_OK) {
                return status;
            }
        }
    }
    return CX_OK;
}

/* ---- What follows from all sources ------------------------------------------------------------- */

static enum cx_status resolve_secret(struct cx_config *config, enum app__key_id value_id,
                                     enum app__key_id file_id, struct cx_err *err)
{
    const struct app__key *key = &app__keys[value_id];
    const struct app__key *file_key = &app__keys[file_id];
    const char **value = app__value_text(config, key);
    const char *path = *app__value_text(config, file_key);
    const struct app__origin *origin = &config->origins[file_id];
    if (path == NULL || (*value != NULL && config->origins[value_id].kind > origin->kind)) {
        return CX_OK;
    }
    if (*value != NULL && config->origins[value_id].kind == origin->kind) {
        return cx_err_set(err, CX_INVALID, "%s.%s and %s are both set; one of them must go",
                          key->section, key->name, file_key->name);
    }
    bool others = false;
    struct cx_err why = { .text = "" };
    const enum cx_status status = app__secret_read(path, &config->arena, value, &others, &why);
    if (status != CX_OK) {
        return cx_err_set(err, status == CX_NOT_FOUND ? CX_INVALID : status, "%s.%s: %s",
                          file_key->section, file_key->name, why.text);
    }
    config->origins[value_id] = *origin;
    config->origins[value_id].name = file_key->name;
    if (others) {
        app__config_warn(config, "%s: others than its owner may read it, and it holds %s.%s", path,
                         key->section, key->name);
    }
    return CX_OK;
}

static enum cx_status resolve_data(struct cx_config *config, char *const *environment,
                                   struct cx_err *err)
{
    struct app__origin *origin = &config->origins[APP__KEY_data_dir];
    if (config->data_dir == NULL) {
        const char *systemd = app__env_get(environment, "STATE_DIRECTORY");
        const char *xdg = app__env_get(environment, "XDG_STATE_HOME");
        const char *home = app__env_get(environment, "HOME");
        char *dir = NULL;
        origin->kind = APP__FROM_ENVIRONMENT;
        if (systemd != NULL && systemd[0] == '/') { /* the first of several */
            dir = cx_arena_strndup(&config->arena, systemd, strcspn(systemd, ":"));
            origin->name = "STATE_DIRECTORY";
        } else if (xdg != NULL && xdg[0] == '/') {
            dir = cx_arena_printf(&config->arena, "%s/cortex", xdg);
            origin->name = "XDG_STATE_HOME";
        } else if (home != NULL && home[0] == '/') {
            dir = cx_arena_printf(&config->arena, "%s/.local/state/cortex", home);
            origin->name = "HOME";
        } else {
            return cx_err_set(err, CX_INVALID,
                              "there is no place for data: set data.dir (or STATE_DIRECTORY, "
                              "XDG_STATE_HOME or HOME)");
        }
        CX_CHECK(dir != NULL);
        config->data_dir = dir;
    }
    if (config->data_database[0] != '/') {
        config->data_database =
            cx_arena_printf(&config->arena, "%s/%s", config->data_dir, config->data_database);
        CX_CHECK(config->data_database != NULL);
    }
    if (config->embedding_models_dir[0] != '/') {
        config->embedding_models_dir = cx_arena_printf(&config->arena, "%s/%s", config->data_dir,
                                                       config->embedding_models_dir);
        CX_CHECK(config->embedding_models_dir != NULL);
    }
    return CX_OK;
}

/* Nobody named the addresses, CORTEX_PORT names the port alone. */
static bool listens_by_default(const struct cx_config *config)
{
    const struct app__origin *origin = &config->origins[APP__KEY_http_listen];
    return origin->kind == APP__FROM_DEFAULT ||
           (origin->kind == APP__FROM_ENVIRONMENT && origin->name != NULL);
}

static const char *copy_text(struct cx_config *config, const char *text)
{
    const char *copy = cx_arena_strdup(&config->arena, text);
    CX_CHECK(copy != NULL);
    return copy;
}

/* ---- Parts of loading -------------------------------------------------------------------------- */

void app__config_warn(struct cx_config *config, const char *format, ...)
{
    if (config->warning_count == WARNINGS_MAX) {
        return;
    }
    char text[sizeof((struct cx_err *)0)->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    config->warnings =
        cx_realloc_array(config->warnings, config->warning_count + 1, sizeof *config->warnings);
    config->warnings[config->warning_count++] = cx_strdup(text);
}

enum cx_status app__config_add_token(struct cx_config *config, const struct app__token *token,
                                     struct cx_err *err)
{
    for (size_t i = 0; i < config->token_count; i++) {
        if (strcmp(config->tokens[i].name, token->name) == 0) {
            return cx_err_set(err, CX_INVALID, "there is a token \"%s\" already", token->name);
        }
        if (memcmp(config->tokens[i].sha256, token->sha256, sizeof token->sha256) == 0) {
            return cx_err_set(err, CX_INVALID, "\"%s\" and \"%s\" are the same token",
                              config->tokens[i].name, token->name);
        }
    }
    if (config->token_count == TOKENS_MAX) {
        return cx_err_set(err, CX_INVALID, "more than %d tokens", TOKENS_MAX);
    }
    config->tokens =
        cx_realloc_array(config->tokens, config->token_count + 1, sizeof *config->tokens);
    struct app__token *added = &config->tokens[config->token_count++];
    *added = *token;
    added->name = cx_arena_strdup(&config->token_arena, token->name);
    CX_CHECK(added->name != NULL);
    return CX_OK;
}

/* ---- Afterwards -------------------------------------------------------------------------------- */

unsigned app__cpu_threads(const struct cx_config *config)
{
    if (config->lanes_cpu_threads > 0) {
        return config->lanes_cpu_threads;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : (unsigned)online;
}

void app__config_tokens(const struct cx_config *config, struct cx_tokens **out)
{
    cx_tokens_new(out);
    for (size_t i = 0; i < config->token_count; i++) {
        const struct app__token *t = &config->tokens[i];
        struct cx_token token = { .name = t->name,
                                  .scopes = t->scopes,
                                  .expires_us = t->expires_us };
        memcpy(token.sha256, t->sha256, sizeof token.sha256);
        cx_tokens_add(*out, &token);
    }
}

void app__config_free(struct cx_config **config)
{
    struct cx_config *c = *config;
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        const char *text =
            app__keys[i].type == APP__SECRET ? *app__value_text(c, &app__keys[i]) : NULL;
        if (text != NULL) {
            cx_wipe((char *)text, strlen(text)); /* in our arena, which is ours to write to */
        }
    }
    for (size_t i = 0; i < c->warning_count; i++) {
        free(c->warnings[i]);
    }
    free(c->warnings);
    free(c->tokens);
    free(c->named);
    cx_arena_free(&c->arena);
    cx_arena_free(&c->token_arena);
    free(c);
    *config = NULL;
}
