/* SPDX-License-Identifier: MIT
 *
 * config: the daemon's settings, made from the table config.def. What counts more comes later:
 * defaults, configuration file, credentials of systemd, environment, command line.
 *
 * Threads: any, one at a time a configuration. Reading one blocks on small local files: start-up, or
 * a worker, while nobody changes the running one.
 *
 * Owner: whoever loaded it. Every pointer in a cx_config lives until app__config_free, but for `path`,
 * `tokens` and what they point to, which live until the next app__config_adopt.
 */
#ifndef CORTEX_APP_CONFIG_H
#define CORTEX_APP_CONFIG_H

#include "cortex/base.h"
#include "cortex/http.h"

/* Numbers of the choices of WORD keys, where no public header has them (config.def lists the words in
 * this order). log_level, log_format, search_default_mode and embedding_precision are numbers of enum
 * cx_log_level, cx_log_format, cx_search_mode and cx_embed_precision. */
enum app__check_host { APP__CHECK_HOST_AUTO, APP__CHECK_HOST_YES };
enum app__trace { APP__TRACE_NONE, APP__TRACE_EXCHANGE };
enum app__chroma_token { APP__CHROMA_TOKEN_PLAIN, APP__CHROMA_TOKEN_BEARER };
enum app__backend { APP__BACKEND_LOCAL, APP__BACKEND_NONE, APP__BACKEND_CHROMA };
enum app__provider {
    APP__PROVIDER_BUILTIN,
    APP__PROVIDER_OPENAI,
    APP__PROVIDER_AZURE,
    APP__PROVIDER_HUGGINGFACE
};

enum app__key_id {
#define CX_SECTION(section, help)
#define CX_KEY(section, key, field, ...) APP__KEY_##field,
#include "app/config.def"
#undef CX_SECTION
#undef CX_KEY
    APP__KEY_COUNT
};

/* Where a value came from; a later one wins. */
enum app__origin_kind {
    APP__FROM_DEFAULT,
    APP__FROM_FIRST_START, /* made by this daemon, kept in the data directory */
    APP__FROM_FILE,
    APP__FROM_CREDENTIAL,
    APP__FROM_ENVIRONMENT,
    APP__FROM_FLAG
};
struct app__origin {
    enum app__origin_kind kind;
    unsigned line;    /* with APP__FROM_FILE, of the configuration file */
    const char *name; /* static: of the credential, variable or flag; NULL: follows from the key */
};

struct app__token {
    const char *name;
    uint8_t sha256[32];
    unsigned scopes;    /* of enum cx_scope */
    int64_t expires_us; /* wall clock; 0 = never */
    struct app__origin origin;
};

/* A section that has a name; config_named.def says which keys each kind has. Text is NULL where it is
 * empty. */
enum app__named_kind {
#define APP_NAMED(section, help) APP__NAMED_##section,
#define APP_NAMED_KEY(...)
#include "app/config_named.def"
#undef APP_NAMED
#undef APP_NAMED_KEY
    APP__NAMED_KIND_COUNT
};
enum app__engine { APP__ENGINE_SQLITE, APP__ENGINE_POSTGRESQL };
struct app__named {
    enum app__named_kind kind;
    unsigned line; /* of the file */
    const char *name;
    const char *path;
    unsigned engine; /* of enum app__engine */
    const char *dsn_env;
    const char *dsn_file;
    unsigned timeout_ms;
    bool hidden;
    const char *const *exclude;
    const char *url;
    const char *service_kind;
    unsigned interval_ms;
    unsigned probe_timeout_ms;
    unsigned expect;
    const char *version;
    const char *git_sha;
    const char *deployed_at;
};

/* The order is the table's. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct cx_config {
    /* One field a key: text is NULL where it is empty, lists end with NULL and are never NULL. */
#define APP__C_STRING const char *
#define APP__C_SECRET const char *
#define APP__C_URL const char *
#define APP__C_PATH const char *      /* absolute */
#define APP__C_DATA_PATH const char * /* absolute */
#define APP__C_INT unsigned
#define APP__C_REAL double
#define APP__C_BOOL bool
#define APP__C_DURATION unsigned /* milliseconds */
#define APP__C_BYTES size_t
#define APP__C_WORD unsigned /* number of the choice */
#define APP__C_LISTEN const char *const *
#define APP__C_NAMES const char *const *
#define APP__C_ORIGINS const char *const *
#define APP__C_ADDRESSES const char *const *
#define APP__C_LIST const char *const *
#define CX_SECTION(section, help)
#define CX_KEY(section, key, field, type, ...) APP__C_##type field;
#include "app/config.def"
#undef CX_SECTION
#undef CX_KEY
    bool http_listen_is_default; /* the two loopback addresses: one of them may be missing here */
    const char *path;            /* of the configuration file; NULL = none was read */
    struct app__token *tokens;
    size_t token_count;
    struct app__named *named; /* in the order of the file */
    size_t named_count;
    struct app__named draft; /* where the section being read is put together */
    char **warnings;         /* sentences to be logged once the log runs */
    size_t warning_count;
    struct app__origin origins[APP__KEY_COUNT];
    struct cx_arena arena;
    struct cx_arena token_arena; /* tokens' names, and path */
};

struct app__cli;

/* ---- Loading -----------------------------------------------------------------------------------
 * environment: the process's own (environ). Secrets in it (CORTEX_SIGNING_KEY, CORTEX_TOKENS,
 * OPENAI_API_KEY) are overwritten and taken out of it. running: NULL at start; on a reload the
 * configuration in use, from which the secrets of the environment and those made at the first start
 * are taken over. CX_NOT_FOUND: the file that was named is not there; else CX_INVALID or CX_IO_ERROR.
 */
enum cx_status app__config_load(const struct app__cli *cli, char **environment,
                                const struct cx_config *running, struct cx_config **out,
                                struct cx_err *err) CX_MUST_CHECK;
void app__config_free(struct cx_config **config); /* wipes secrets; NULL is nothing */

/* Whether a listener that is not a loopback address may be opened: there must be tokens and a signing
 * key. Loading asks this for http.listen; sockets that were handed over are the caller's to ask for.
 * address: for the sentence. */
enum cx_status app__config_allows_remote(const struct cx_config *config, const char *address,
                                         struct cx_err *err) CX_MUST_CHECK;
/* "127.0.0.1:4949", "[::1]:4949": a literal and a port. False if it is none. */
bool app__address_parse(const char *text, bool *loopback);

/* Threads of the cpu lane: one a processor where no number is set. */
unsigned app__cpu_threads(const struct cx_config *config);
/* The tokens as the HTTP server takes them. */
void app__config_tokens(const struct cx_config *config, struct cx_tokens **out);

/* ---- Reloading ---------------------------------------------------------------------------------
 * Calls on_change for each key ("http.listen"; "token" for all of the tokens, "database" for all of
 * that kind, and so on) whose values differ.
 */
void app__config_compare(const struct cx_config *running, const struct cx_config *fresh,
                         void (*on_change)(void *ctx, const char *key, bool reloadable), void *ctx);
/* Moves the values of the keys that can be reloaded, and the tokens, from fresh into running. */
void app__config_adopt(struct cx_config *running, struct cx_config *fresh);

/* ---- Showing ----------------------------------------------------------------------------------- */
/* All keys with their effective values, each under a comment that says where it came from. Secrets
 * are masked; apart from them, reading it back gives the same configuration. */
void app__config_print(const struct cx_config *config, struct cx_buf *out);
void app__config_print_sample(struct cx_buf *out);    /* config/cortex.conf */
void app__config_print_reference(struct cx_buf *out); /* docs/configuration.md */

#endif
