/* SPDX-License-Identifier: MIT
 *
 * Loading the configuration: every key from every source, the order of the sources, secrets, tokens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/cli.h"
#include "app/config_table.h"
#include "app_helpers.h"
#include "cortex/crypto.h"
#include "test.h"

/* The n-th of three good values of a key, none of which is its default. */
static const char *good_value(const struct app__key *key, unsigned n)
{
    static char texts[4][600];
    char *text = texts[n];
    const size_t size = sizeof texts[0];
    const enum app__key_id id = app__key_id(key);
    switch (key->type) {
    case APP__STRING:
        snprintf(text, size, "text %u", n);
        break;
    case APP__SECRET:
        snprintf(text, size, "secret %u", n);
        break;
    case APP__URL:
    case APP__ENDPOINT:
        snprintf(text, size, "http://host%u:80", n);
        break;
    case APP__PATH:
    case APP__DATA_PATH: {
        char name[16];
        snprintf(name, sizeof name, "f%u", n);
        snprintf(text, size, "%s", put_file(name, "contents\n"));
        break;
    }
    case APP__INT:
    case APP__REAL:
        snprintf(text, size, "%llu", (unsigned long long)(key->max - n));
        break;
    case APP__BYTES: /* uri_bytes counts in header_bytes, whose default it must not pass */
        snprintf(text, size, "%llu",
                 (unsigned long long)(id == APP__KEY_http_uri_bytes ? key->min + n : key->max - n));
        break;
    case APP__DURATION:
        snprintf(text, size, "%llus", (unsigned long long)(key->max / 1000 - n));
        break;
    case APP__BOOL:
        snprintf(text, size, "%s", n % 2 == 1 ? "yes" : "no");
        break;
    case APP__WORD: {
        static const struct {
            const char *words;
            const char *values[4];
        } choices[] = {
            { "auto|yes", { "", "yes", "auto", "yes" } },
            { "debug|info|warn,warning|error,critical", { "", "debug", "warn", "error" } },
            { "auto|logfmt|json", { "", "json", "logfmt", "json" } },
            { "none|exchange", { "", "exchange", "none", "exchange" } },
            { "local,faiss,memory|none|chroma", { "", "none", "local", "none" } },
            { "x-chroma-token|authorization",
              { "", "authorization", "x-chroma-token", "authorization" } },
            { "semantic|keyword|hybrid", { "", "semantic", "keyword", "semantic" } },
            { "builtin|openai|azure|huggingface", { "", "openai", "huggingface", "builtin" } },
            { "auto|float32|bfloat16|int8", { "", "float32", "auto", "int8" } },
        };
        text[0] = '\0';
        for (size_t i = 0; i < CX_ARRAY_LEN(choices); i++) {
            if (strcmp(choices[i].words, key->words) == 0) {
                snprintf(text, size, "%s", choices[i].values[n]);
            }
        }
        CX_CHECK(text[0] != '\0'); /* new words want a line above */
        break;
    }
    case APP__LISTEN:
        snprintf(text, size, "127.0.0.%u:%u, [::1]:%u", n, n, n);
        break;
    case APP__NAMES:
        snprintf(text, size, "host%u.example.org, *", n);
        break;
    case APP__ORIGINS:
        snprintf(text, size, "https://host%u.example.org, http://[::1]:%u", n, n);
        break;
    case APP__ADDRESSES:
        snprintf(text, size, "10.0.0.%u, fe80::%u", n, n);
        break;
    case APP__LIST: /* of sections with names alone */
        text[0] = '\0';
        break;
    }
    return text;
}

static const char *value_text(const struct cx_config *config, const struct app__key *key)
{
    static char text[1024];
    struct cx_buf out;
    cx_buf_init(&out, sizeof text - 1);
    app__value_format(config, key, &out);
    snprintf(text, sizeof text, "%s", out.data != NULL ? out.data : "");
    cx_buf_free(&out);
    return text;
}

static const char *origin_text(const struct cx_config *config, const struct app__key *key)
{
    static char text[1024];
    struct cx_buf out;
    cx_buf_init(&out, sizeof text - 1);
    app__origin_format(config, key, &config->origins[app__key_id(key)], &out);
    snprintf(text, sizeof text, "%s", out.data);
    cx_buf_free(&out);
    return text;
}

/* Both texts as the key reads them. */
static void expect_value(const struct cx_config *config, const struct app__key *key,
                         const char *want)
{
    static const struct app__value_source source = { .base_dir = "/" };
    struct loaded other = load(NULL, NULL, NULL);
    REQUIRE(other.status == CX_OK);
    CX_CHECK(app__value_set(other.config, key, want, &source, NULL) == CX_OK);
    char canonical[1024];
    snprintf(canonical, sizeof canonical, "%s", value_text(other.config, key));
    EXPECT_STR(value_text(config, key), canonical);
    unload(&other);
}

/* What a key of [embedding] needs around it to be taken. */
static void write_file(char *file, size_t size, const struct app__key *key, const char *value)
{
    const enum app__key_id id = app__key_id(key);
    const bool embedding = strcmp(key->section, "embedding") == 0;
    snprintf(file, size, "[%s]\n%s%s%s%s%s\n", key->section, key->name, value != NULL ? " = " : "",
             value != NULL ? value : " =",
             embedding && id != APP__KEY_embedding_provider ? "\nprovider = openai" : "",
             embedding && id != APP__KEY_embedding_base_url ? "\nbase_url = http://127.0.0.1:1/v1"
                                                            : "");
}

TEST(config_every_key_from_every_source)
{
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        const struct app__key *key = &app__keys[i];
        const bool secret = key->type == APP__SECRET;
        char file[2048];
        char env[1024];
        char alias[1024];
        char flag[1024];
        char name[APP__ENV_NAME_BYTES];
        write_file(file, sizeof file, key, good_value(key, 1));
        snprintf(env, sizeof env, "%s=%s", app__key_env(key, name), good_value(key, 2));
        snprintf(flag, sizeof flag, "%s.%s=%s", key->section, key->name, good_value(key, 3));

        struct loaded l = load(file, NULL, NULL);
        EXPECT_STR(sentence(&l), "");
        if (l.status == CX_OK) {
            expect_value(l.config, key, good_value(key, 1));
            const struct app__origin *origin = &l.config->origins[i];
            EXPECT(origin->kind == APP__FROM_FILE && origin->line == 2);
        }
        unload(&l);

        l = load(file, LIST(env), NULL);
        EXPECT_STR(sentence(&l), "");
        if (l.status == CX_OK) {
            char want[APP__ENV_NAME_BYTES + 16];
            snprintf(want, sizeof want, "environment %s", name);
            expect_value(l.config, key, good_value(key, 2));
            EXPECT_STR(origin_text(l.config, key), want);
        }
        unload(&l);

        l = load(file, LIST(env), LIST("--set", flag));
        if (secret) {
            EXPECT(l.status == CX_BAD_REQUEST && strstr(l.err.text, "is a secret") != NULL);
            EXPECT(strstr(l.err.text, "secret 3") == NULL);
        } else {
            EXPECT_STR(sentence(&l), "");
        }
        if (l.status == CX_OK) {
            expect_value(l.config, key, good_value(key, 3));
            EXPECT_STR(origin_text(l.config, key), "flag --set");
        }
        unload(&l);

        if (key->env[0] != '\0' && strcmp(key->env, name) != 0) {
            char want[1024];
            snprintf(alias, sizeof alias, "%s=%s", key->env, good_value(key, 2));
            snprintf(want, sizeof want, "environment %s", key->env);
            l = load(file, LIST(alias), NULL);
            EXPECT_STR(sentence(&l), "");
            if (l.status == CX_OK) {
                expect_value(l.config, key, good_value(key, 2));
                EXPECT_STR(origin_text(l.config, key), want);
            }
            unload(&l);
            l = load(file, LIST(alias, env), NULL);
            snprintf(want, sizeof want, "%s and %s are both set and mean the same", name, key->env);
            EXPECT(l.status == CX_INVALID);
            EXPECT_STR(sentence(&l), want);
            unload(&l);
        }
        if (key->flag[0] != '\0') {
            char want[128];
            snprintf(want, sizeof want, "flag %s", key->flag);
            l = load(file, LIST(env), LIST(key->flag, good_value(key, 3)));
            EXPECT_STR(sentence(&l), "");
            if (l.status == CX_OK) {
                expect_value(l.config, key, good_value(key, 3));
                EXPECT_STR(origin_text(l.config, key), want);
            }
            unload(&l);
        }
    }
}

TEST(config_table_is_sound)
{
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        const struct app__key *key = &app__keys[i];
        char name[APP__ENV_NAME_BYTES];
        EXPECT(key->min <= key->max);
        EXPECT(app__key_find(key->section, key->name) == key);
        EXPECT(strncmp(app__key_env(key, name), "CORTEX_", 7) == 0);
        EXPECT(key->help[0] != '\0' && key->help[strlen(key->help) - 1] == '.');
        EXPECT((key->words[0] != '\0') == (key->type == APP__WORD));
        if (key->type == APP__INT || key->type == APP__DURATION) {
            EXPECT(key->max <= UINT32_MAX); /* the field is an unsigned */
        }
        if ((key->traits & APP__RELOAD) != 0) {
            EXPECT(key->type >= APP__INT && key->type <= APP__WORD); /* adopted by value */
        }
        bool sectioned = false;
        for (size_t s = 0; s < app__section_count; s++) {
            sectioned = sectioned || strcmp(app__sections[s].name, key->section) == 0;
        }
        EXPECT(sectioned);
        for (size_t j = 0; j < i; j++) {
            char other[APP__ENV_NAME_BYTES];
            EXPECT(key->flag[0] == '\0' || strcmp(key->flag, app__keys[j].flag) != 0);
            EXPECT(key->env[0] == '\0' || strcmp(key->env, app__keys[j].env) != 0);
            EXPECT(strcmp(name, app__key_env(&app__keys[j], other)) != 0);
            EXPECT(strcmp(name, app__keys[j].env) != 0);
        }
    }
}

TEST(config_defaults)
{
    struct loaded l = load(NULL, NULL, NULL);
    REQUIRE(l.status == CX_OK);
    const struct cx_config *c = l.config;
    EXPECT(c->path == NULL && c->token_count == 0 && c->warning_count == 0);
    EXPECT_STR(c->http_listen[0], "127.0.0.1:4949");
    EXPECT_STR(c->http_listen[1], "[::1]:4949");
    EXPECT(c->http_listen[2] == NULL && c->http_listen_is_default);
    EXPECT(c->http_server_names[0] == NULL);
    EXPECT_INT(c->http_body_bytes, 8 << 20);
    EXPECT_INT(c->http_documents_body_bytes, 48 << 20);
    EXPECT_INT(c->http_exchanges, 16384);
    EXPECT_INT(c->http_deadline_ms, 30000);
    EXPECT_INT(c->http_slow_request_ms, 1000);
    EXPECT(c->rate_per_second == 0);
    EXPECT_INT(c->log_level, CX_LOG_INFO);
    EXPECT_INT(c->log_format, CX_LOG_AUTO);
    EXPECT(!c->log_access);
    EXPECT_STR(c->data_dir, in_dir(".local/state/cortex"));
    EXPECT_STR(c->data_database, in_dir(".local/state/cortex/cortex.db"));
    EXPECT(c->state_signing_key == NULL);
    EXPECT_INT(c->state_default_ttl_ms, 120000);
    EXPECT_INT(c->state_context_size_cap, 30 << 10);
    EXPECT_INT(c->state_snapshots_kept, 10000);
    EXPECT_INT(c->vector_backend, APP__BACKEND_LOCAL);
    EXPECT_INT(c->embedding_provider, APP__PROVIDER_BUILTIN);
    EXPECT(c->embedding_model == NULL && c->embedding_api_key == NULL);
    EXPECT_STR(c->embedding_base_url, "https://api.openai.com/v1");
    EXPECT_INT(c->events_ring_entries, 10000);
    EXPECT_INT(c->server_lag_degraded_ms, 100);
    EXPECT_INT(c->server_drain_timeout_ms, 30000);
    unload(&l);
}

TEST(config_words_are_the_enums_of_other_rooms)
{
    struct loaded l =
        load("[log]\nlevel = WARNING\nformat = json\n[vector]\nbackend = faiss\n", NULL, NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_INT(l.config->log_level, CX_LOG_WARN);
    EXPECT_INT(l.config->log_format, CX_LOG_JSON);
    EXPECT_INT(l.config->vector_backend, APP__BACKEND_LOCAL);
    unload(&l);
    l = load("[log]\nlevel = critical\nformat = logfmt\n[vector]\nbackend = none\n", NULL, NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_INT(l.config->log_level, CX_LOG_ERROR);
    EXPECT_INT(l.config->log_format, CX_LOG_LOGFMT);
    EXPECT_INT(l.config->vector_backend, APP__BACKEND_NONE);
    unload(&l);
}

TEST(config_file_errors)
{
    static const struct {
        const char *text;
        const char *want;
    } rows[] = {
        { "[http]\n  listne = 127.0.0.1:1",
          "cortex.conf:2:3: unknown key \"listne\" in [http]; did "
          "you mean \"listen\"?" },
        { "[http]\nlevel = debug",
          "cortex.conf:2:1: unknown key \"level\" in [http]; it belongs in [log]" },
        { "[http]\nzzzzzzzz = 1", "cortex.conf:2:1: unknown key \"zzzzzzzz\" in [http]" },
        { "[htpt]", "cortex.conf:1:2: unknown section [htpt]; did you mean [http]?" },
        { "[databse \"x\"]\npath = /x",
          "cortex.conf:1:2: unknown section [databse]; did you mean [database]?" },
        { "[database]\npath = /x", "cortex.conf:1:2: a database has a name: [database \"name\"]" },
        { "[database \"x\"]", "cortex.conf:1:2: [database \"x\"] has no path" },
        { "[database \"cortex\"]\npath = /x",
          "cortex.conf:1:2: \"cortex\" is the daemon's own database" },
        { "[database \"x\"]\nengine = postgresql\npath = /x",
          "cortex.conf:1:2: the database \"x\" takes dsn_env or dsn_file, as engine = postgresql "
          "says" },
        { "[database \"x\"]\nengine = postgresql\ndsn_env = A\ndsn_file = /a",
          "cortex.conf:1:2: the database \"x\" takes dsn_env or dsn_file, not both" },
        { "[database \"x\"]\nengine = oracle",
          "cortex.conf:2:10: engine: \"oracle\" must be sqlite or postgresql" },
        { "[root \"a\"]\npath = /x\n[root \"a\"]\npath = /y",
          "cortex.conf:3:2: [root \"a\"] stands in line 1 already" },
        { "[root \"a b\"]\npath = /x", "cortex.conf:1:2: \"a b\" is no name: at most 64 letters, "
                                       "digits, '_', '-' and '.', which "
                                       "does not come first" },
        { "[root \"a\"]\npaht = /x",
          "cortex.conf:2:1: unknown key \"paht\" in [root]; did you mean \"path\"?" },
        { "[service \"a\"]\nurl = ftp://x/",
          "cortex.conf:2:7: url: \"ftp://x/\" must begin with http:// or https:// and a host" },
        { "[service \"a\"]\nurl = http://x/?key=1",
          "cortex.conf:2:7: url: must have no ?: it is shown to those who ask" },
        { "[service \"a\"]\n[log]", "cortex.conf:1:2: [service \"a\"] has no url" },
        { "[http \"x\"]", "cortex.conf:1:2: [http] takes no name" },
        { "[token]", "cortex.conf:1:2: a token has a name: [token \"name\"]" },
        { "[http]\nlisten = 127.0.0.1", "cortex.conf:2:10: listen: \"127.0.0.1\" is no address and "
                                        "port such as 127.0.0.1:4949 or "
                                        "[::1]:4949" },
        { "[http]\nlisten =", "cortex.conf:2:9: listen: must have 1 to 16 items, not 0" },
        { "[http]\nlisten = 127.0.0.1:1,, 127.0.0.1:2",
          "cortex.conf:2:10: listen: an empty item in the list" },
        { "[http]\nlisten = 127.0.0.1:1,",
          "cortex.conf:2:10: listen: a comma at the end of the list" },
        { "[http]\nlisten = 127.0.0.1:1 127.0.0.1:1",
          "cortex.conf:2:10: listen: \"127.0.0.1:1\" is there twice" },
        { "[http]\nserver_names = a b:80",
          "cortex.conf:2:16: server_names: \"b:80\" is no host name (without a port), nor *" },
        { "[http]\nallowed_origins = https://a/",
          "cortex.conf:2:19: allowed_origins: \"https://a/\" is no origin such as "
          "https://app.example.org" },
        { "[http]\ntrusted_proxies = 10.0.0.0/8",
          "cortex.conf:2:19: trusted_proxies: \"10.0.0.0/8\" is no IP address" },
        { "[http]\nconnections = 0",
          "cortex.conf:2:15: connections: \"0\" must be between 1 and 1000000" },
        { "[http]\nconnections = many",
          "cortex.conf:2:15: connections: \"many\" is no whole number" },
        { "[http]\nheader_timeout = 1h",
          "cortex.conf:2:18: header_timeout: \"1h\" must be between 100ms and 10m" },
        { "[http]\nheader_timeout = 10",
          "cortex.conf:2:18: header_timeout: \"10\" needs a unit: ms, s, m, h or d" },
        { "[http]\nuri_bytes = 1MiB",
          "cortex.conf:2:13: uri_bytes: \"1MiB\" must be between 256 and 64KiB" },
        { "[http]\nuri_bytes = 64KiB", "http.uri_bytes (cortex.conf:2): must not be more than "
                                       "http.header_bytes, which counts it in" },
        { "[log]\nlevel = loud", "cortex.conf:2:9: level: \"loud\" must be debug, info, warn, "
                                 "warning, error or critical" },
        { "[log]\naccess = maybe", "cortex.conf:2:10: access: \"maybe\" must be yes or no" },
        { "[rate]\nper_second = 1,5",
          "cortex.conf:2:14: per_second: \"1,5\" is no number such as 5 or 0.25" },
        { "[rate]\nburst = 0", "cortex.conf:2:9: burst: \"0\" must be between 1 and 1000000" },
        { "[state]\ndefault_ttl = 1500ms",
          "cortex.conf:2:15: default_ttl: \"1500ms\" must be whole seconds" },
        { "[state]\nsigning_key = ********", "cortex.conf:2:15: signing_key: this is the mask of a "
                                             "printed configuration, not a secret" },
        { "[state]\nsigning_key = k\nsigning_key_file = /x",
          "state.signing_key and signing_key_file are both set; one of them must go" },
        { "[state]\nsigning_key_file = missing",
          "state.signing_key_file: missing: No such file or directory" },
        { "[vector]\nbackend = pinecone",
          "cortex.conf:2:11: backend: \"pinecone\" must be local, faiss, memory, none or chroma" },
        { "[embedding]\nprovider = openai",
          "embedding.provider (cortex.conf:2): openai needs embedding.api_key_file (or "
          "OPENAI_API_KEY), or another embedding.base_url" },
        { "[embedding]\nbase_url = ftp://x",
          "cortex.conf:2:12: base_url: \"ftp://x\" must begin with "
          "http:// or https:// and a host" },
        { "[embedding]\nbase_url = http://u:p@x",
          "cortex.conf:2:12: base_url: must have no user or password in the address" },
        { "[embedding]\nbase_url = http://x/#a",
          "cortex.conf:2:12: base_url: \"http://x/#a\" must have no #" },
        { "[embedding]\nprovider = azure\napi_key = k",
          "embedding.provider (cortex.conf:2): azure needs embedding.base_url (or "
          "AZURE_OPENAI_ENDPOINT) and embedding.api_key_file (or AZURE_OPENAI_API_KEY)" },
        { "[embedding]\nprovider = azure\nbase_url = http://x",
          "embedding.provider (cortex.conf:2): azure needs embedding.base_url (or "
          "AZURE_OPENAI_ENDPOINT) and embedding.api_key_file (or AZURE_OPENAI_API_KEY)" },
        { "[fetch]\nproxy = http://x/?a", "fetch.proxy (cortex.conf:2): must have no ?" },
        { "[embedding]\ndimensions = 3", "embedding.dimensions (cortex.conf:2): is for "
                                         "embedding.provider = openai; other models have "
                                         "one dimension only" },
        { "[fetch]\nproxy = unix:/x", "fetch.proxy (cortex.conf:2): must begin with http:// or "
                                      "https://" },
        { "[http]\nlisten = 0.0.0.0:4949",
          "0.0.0.0:4949 is not a loopback address, and there it takes tokens to keep strangers "
          "out: "
          "add a [token \"name\"] section (cortexd --hash-token makes its line) or set "
          "CORTEX_TOKENS" },
        { "[token \"a\"]\nscopes = *", "cortex.conf:1:2: [token \"a\"] has no sha256" },
        { "[token \"a\"]\nsha256 = "
          "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n[log]",
          "cortex.conf:1:2: [token \"a\"] has no scopes" },
        { "[token \"a\"]\nsha256 = 12", "cortex.conf:2:10: sha256: must be the 64 hex digits that "
                                        "cortexd --hash-token prints" },
        { "[token \"a\"]\nscopes = vectors",
          "cortex.conf:2:10: scopes: \"vectors\" must be context, vector, database, filesystem, "
          "services, state, audit or *" },
        { "[token \"a\"]\nscopes =",
          "cortex.conf:2:9: scopes: a token needs at least one; * is all" },
        { "[token \"a\"]\nexpires = soon",
          "cortex.conf:2:11: expires: \"soon\" is no time such as 2027-01-31T00:00:00Z" },
        { "[token \"a\"]\nscope = *",
          "cortex.conf:2:1: unknown key \"scope\" in [token]; did you mean \"scopes\"?" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        struct loaded l = load(rows[i].text, NULL, NULL);
        EXPECT(l.status == CX_INVALID);
        EXPECT_STR(sentence(&l), rows[i].want);
        unload(&l);
    }
}

TEST(config_sections_with_names)
{
    struct loaded l = load("[root \"docs\"]\npath = there\nexclude = *.key, id_*\n"
                           "[database \"orders\"]\npath = /var/orders.db\ntimeout = 1s\n"
                           "[log]\nlevel = warn\n"
                           "[service \"web\"]\nurl = http://127.0.0.1:80/health\nexpect = 204\n"
                           "[database \"stock\"]\nengine = postgresql\ndsn_env = STOCK_DSN\n",
                           NULL, NULL);
    EXPECT_STR(sentence(&l), "");
    REQUIRE(l.status == CX_OK && l.config->named_count == 4);
    const struct app__named *root = &l.config->named[0];
    EXPECT_INT(root->kind, APP__NAMED_root);
    EXPECT_STR(root->name, "docs");
    EXPECT_STR(root->path, in_dir("there"));
    EXPECT(!root->hidden);
    EXPECT_STR(root->exclude[0], "*.key");
    EXPECT_STR(root->exclude[1], "id_*");
    EXPECT(root->exclude[2] == NULL);
    const struct app__named *orders = &l.config->named[1];
    EXPECT_INT(orders->kind, APP__NAMED_database);
    EXPECT_INT(orders->engine, APP__ENGINE_SQLITE);
    EXPECT_INT(orders->timeout_ms, 1000);
    EXPECT(orders->dsn_env == NULL && orders->exclude == NULL);
    const struct app__named *web = &l.config->named[2];
    EXPECT_STR(web->url, "http://127.0.0.1:80/health");
    EXPECT_INT(web->expect, 204);
    EXPECT_INT(web->interval_ms, 30000);
    EXPECT_STR(web->service_kind, "http");
    const struct app__named *stock = &l.config->named[3];
    EXPECT_INT(stock->engine, APP__ENGINE_POSTGRESQL);
    EXPECT_STR(stock->dsn_env, "STOCK_DSN");
    EXPECT_INT(l.config->log_level, CX_LOG_WARN);

    struct cx_buf text;
    cx_buf_init(&text, 1 << 20);
    app__config_print(l.config, &text);
    struct loaded again = load(text.data, NULL, NULL);
    EXPECT_STR(sentence(&again), "");
    REQUIRE(again.status == CX_OK);
    for (unsigned kind = 0; kind < APP__NAMED_KIND_COUNT; kind++) {
        EXPECT(app__named_same(l.config, again.config, (enum app__named_kind)kind));
    }
    cx_buf_free(&text);
    unload(&again);
    unload(&l);
}

TEST(config_file_is_missing)
{
    struct loaded l = load(NULL, NULL, LIST("--config", in_dir("none.conf")));
    EXPECT(l.status == CX_NOT_FOUND);
    EXPECT_STR(sentence(&l), "none.conf: No such file or directory");
    EXPECT_INT(app__exit_code(l.status), 66);
    unload(&l);
    char env[600];
    snprintf(env, sizeof env, "CORTEX_CONFIG=%s", in_dir("none.conf"));
    l = load(NULL, LIST(env), NULL);
    EXPECT(l.status == CX_NOT_FOUND);
    unload(&l);
    l = load(NULL, NULL, LIST("--config", test_dir()));
    EXPECT(l.status == CX_INVALID); /* a folder */
    unload(&l);
}

TEST(config_file_is_found)
{
    CX_CHECK(mkdir(in_dir(".config"), 0700) == 0 && mkdir(in_dir(".config/cortex"), 0700) == 0);
    put_file(".config/cortex/cortex.conf", "[log]\nlevel = debug\n[data]\ndir = here\n");
    struct loaded l = load(NULL, NULL, NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_INT(l.config->log_level, CX_LOG_DEBUG);
    EXPECT_STR(l.config->path, in_dir(".config/cortex/cortex.conf"));
    EXPECT_STR(l.config->data_dir, in_dir(".config/cortex/here")); /* from the file's folder */
    unload(&l);
    char xdg[600];
    snprintf(xdg, sizeof xdg, "XDG_CONFIG_HOME=%s", in_dir("xdg"));
    CX_CHECK(mkdir(in_dir("xdg"), 0700) == 0 && mkdir(in_dir("xdg/cortex"), 0700) == 0);
    put_file("xdg/cortex/cortex.conf", "[log]\nlevel = error\n");
    l = load(NULL, LIST(xdg), NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_INT(l.config->log_level, CX_LOG_ERROR);
    unload(&l);
}

TEST(config_data_directory)
{
    struct loaded l =
        load(NULL, LIST("STATE_DIRECTORY=/var/lib/cortex:/other", "XDG_STATE_HOME=/x"), NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->data_dir, "/var/lib/cortex");
    EXPECT_STR(l.config->data_database, "/var/lib/cortex/cortex.db");
    unload(&l);
    l = load(NULL, LIST("XDG_STATE_HOME=/x"), NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->data_dir, "/x/cortex");
    unload(&l);
    l = load(NULL, LIST("XDG_STATE_HOME=relative", "CORTEX_DB_PATH=sub/my.db"), NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->data_dir, in_dir(".local/state/cortex"));
    EXPECT_STR(l.config->data_database, in_dir(".local/state/cortex/sub/my.db"));
    unload(&l);
    l = load(NULL, LIST("HOME=relative", "STATE_DIRECTORY=also"), NULL);
    EXPECT(l.status == CX_INVALID && strstr(l.err.text, "set data.dir") != NULL);
    unload(&l);
    /* Always absolute, from the working directory where a flag says it. */
    l = load(NULL, NULL, LIST("--data-dir=some/place/"));
    REQUIRE(l.status == CX_OK);
    const char *tail = strstr(l.config->data_dir, "/some/place");
    EXPECT(l.config->data_dir[0] == '/' && tail != NULL && tail[11] == '\0');
    unload(&l);
}

TEST(config_environment_of_the_earlier_service)
{
    struct loaded l = load(
        "[http]\nlisten = 127.0.0.1:1\n",
        LIST("CORTEX_SIGNING_KEY=abc", "CORTEX_PORT=5000", "CORTEX_DB_PATH=/d/c.db",
             "CORTEX_VECTOR_BACKEND=faiss", "CORTEX_EMBEDDING_PROVIDER=openai",
             "CORTEX_EMBEDDING_MODEL=m", "CORTEX_MAX_TOKEN_BUDGET=4096", "CORTEX_DEFAULT_TTL=60",
             "CORTEX_CONTEXT_SIZE_CAP=20480",
             "CORTEX_TOKENS= first-token-0123456 , second-token-012345,",
             "CORTEX_LOG_LEVEL=WARNING", "OPENAI_API_KEY=sk-1", "OPENAI_BASE_URL=http://h/v1/"),
        NULL);
    REQUIRE(l.status == CX_OK);
    const struct cx_config *c = l.config;
    EXPECT_STR(c->state_signing_key, "abc");
    EXPECT_STR(c->http_listen[0], "127.0.0.1:5000");
    EXPECT_STR(c->http_listen[1], "[::1]:5000");
    EXPECT(c->http_listen[2] == NULL && c->http_listen_is_default);
    EXPECT_STR(c->data_database, "/d/c.db");
    EXPECT_INT(c->vector_backend, APP__BACKEND_LOCAL);
    EXPECT_INT(c->embedding_provider, APP__PROVIDER_OPENAI);
    EXPECT_STR(c->embedding_model, "m");
    EXPECT_INT(c->state_max_token_budget, 4096);
    EXPECT_INT(c->state_default_ttl_ms, 60000);
    EXPECT_INT(c->state_context_size_cap, 20480);
    EXPECT_INT(c->log_level, CX_LOG_WARN);
    EXPECT_STR(c->embedding_api_key, "sk-1");
    EXPECT_STR(c->embedding_base_url, "http://h/v1");
    REQUIRE(c->warning_count == 2); /* in the order of the table */
    EXPECT_STR(c->warnings[0], "log.level: WARNING means warn");
    EXPECT_STR(c->warnings[1], "vector.backend: faiss means local");
    REQUIRE(c->token_count == 2);
    uint8_t digest[32];
    cx_sha256(CX_STR("second-token-012345"), digest);
    EXPECT_STR(c->tokens[1].name, "env-2");
    EXPECT_BYTES(c->tokens[1].sha256, 32, digest, 32);
    EXPECT_INT(c->tokens[1].scopes, CX_SCOPE_ALL);
    EXPECT_INT(c->tokens[1].expires_us, 0);
    /* Secrets are gone from the environment, the rest is there. */
    EXPECT(app__env_get(l.env, "CORTEX_SIGNING_KEY") == NULL);
    EXPECT(app__env_get(l.env, "CORTEX_TOKENS") == NULL);
    EXPECT(app__env_get(l.env, "OPENAI_API_KEY") == NULL);
    EXPECT_STR(app__env_get(l.env, "CORTEX_PORT"), "5000");
    unload(&l);
}

/* Azure's own names count for azure, wherever that is said, and OpenAI's do not. */
TEST(config_environment_of_azure)
{
    struct loaded l = load(
        "[embedding]\nprovider = azure\n",
        LIST("AZURE_OPENAI_API_KEY=az-1", "AZURE_OPENAI_ENDPOINT=https://me.openai.azure.com/",
             "OPENAI_API_VERSION=2024-10-21", "OPENAI_API_KEY=sk-1", "OPENAI_BASE_URL=http://h/v1"),
        NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_INT(l.config->embedding_provider, APP__PROVIDER_AZURE);
    EXPECT_STR(l.config->embedding_api_key, "az-1");
    EXPECT_STR(l.config->embedding_base_url, "https://me.openai.azure.com");
    EXPECT_STR(l.config->embedding_api_version, "2024-10-21");
    EXPECT_STR(l.config->embedding_model, "text-embedding-3-small");
    EXPECT(app__env_get(l.env, "AZURE_OPENAI_API_KEY") == NULL);
    unload(&l);
    l = load(NULL, LIST("AZURE_OPENAI_API_KEY=az-1", "AZURE_OPENAI_ENDPOINT=http://h"),
             LIST("--set", "embedding.provider=azure"));
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->embedding_api_key, "az-1");
    unload(&l);
    l = load(NULL,
             LIST("CORTEX_EMBEDDING_PROVIDER=openai", "OPENAI_API_KEY=sk-1",
                  "AZURE_OPENAI_API_KEY=az-1"),
             NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->embedding_api_key, "sk-1");
    EXPECT(app__env_get(l.env, "AZURE_OPENAI_API_KEY") == NULL);
    unload(&l);
    l = load("[embedding]\nprovider = azure\n",
             LIST("AZURE_OPENAI_API_KEY=az-1", "CORTEX_EMBEDDING_API_KEY=az-2"), NULL);
    EXPECT(l.status == CX_INVALID);
    EXPECT_STR(l.err.text,
               "CORTEX_EMBEDDING_API_KEY and AZURE_OPENAI_API_KEY are both set and mean "
               "the same");
    unload(&l);
}

TEST(config_environment_errors)
{
    static const struct {
        const char *env;
        const char *want;
    } rows[] = {
        { "CORTEX_PORT=http", "CORTEX_PORT: \"http\" is no port from 1 to 65535" },
        { "CORTEX_PORT=0", "CORTEX_PORT: \"0\" is no port from 1 to 65535" },
        { "CORTEX_PORT=65536", "CORTEX_PORT: \"65536\" is no port from 1 to 65535" },
        { "CORTEX_DEFAULT_TTL=soon",
          "CORTEX_DEFAULT_TTL: \"soon\" is no duration such as 250ms, 30s, 5m, 2h or 1d" },
        { "CORTEX_DEFAULT_TTL=0", "CORTEX_DEFAULT_TTL: \"0\" must be between 1s and 30d" },
        { "CORTEX_STATE_DEFAULT_TTL=60",
          "CORTEX_STATE_DEFAULT_TTL: \"60\" needs a unit: ms, s, m, h or d" },
        { "CORTEX_CONTEXT_SIZE_CAP=-1",
          "CORTEX_CONTEXT_SIZE_CAP: \"-1\" is no size such as 512, 8KiB, 64MiB or 2GiB" },
        { "CORTEX_VECTOR_BACKEND=pinecone",
          "CORTEX_VECTOR_BACKEND: \"pinecone\" must be local, faiss, memory, none or chroma" },
        { "CORTEX_LOG_LEVEL=LOUD",
          "CORTEX_LOG_LEVEL: \"LOUD\" must be debug, info, warn, warning, error or critical" },
        { "CORTEX_HTTP_LISTEN=nowhere",
          "CORTEX_HTTP_LISTEN: \"nowhere\" is no address and port such as 127.0.0.1:4949 or "
          "[::1]:4949" },
        { "CORTEX_TOKENS=good-token-0123456,bad token",
          "CORTEX_TOKENS: token 2 must be printable ASCII without blanks" },
        { "CORTEX_TOKENS=same-token-0123456,same-token-0123456",
          "CORTEX_TOKENS: \"env-1\" and \"env-2\" are the same token" },
        { "CORTEX_SIGNING_KEY=a\nb", "CORTEX_SIGNING_KEY: must have no control characters" },
        { "CORTEX_SIGNING_KEY=\xff", "CORTEX_SIGNING_KEY: must be UTF-8" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        struct loaded l = load(NULL, LIST(rows[i].env), NULL);
        EXPECT(l.status == CX_INVALID);
        EXPECT_STR(sentence(&l), rows[i].want);
        unload(&l);
    }
    struct loaded l = load(NULL, LIST("CORTEX_PORT=1", "CORTEX_HTTP_LISTEN=127.0.0.1:1"), NULL);
    EXPECT_STR(sentence(&l),
               "CORTEX_PORT and CORTEX_HTTP_LISTEN are both set; one of them must go");
    unload(&l);
    /* A start that fails in the file overwrites the secrets all the same (load checks that). */
    l = load("[nope]", LIST("CORTEX_TOKENS=a-token-0123456789", "CORTEX_SIGNING_KEY=k"), NULL);
    EXPECT(l.status == CX_INVALID && app__env_get(l.env, "CORTEX_TOKENS") == NULL);
    EXPECT(app__env_get(l.env, "CORTEX_SIGNING_KEY") == NULL);
    unload(&l);
    /* Empty counts as not set; what is not known is only warned about. */
    l = load(NULL, LIST("CORTEX_PORT=", "CORTEX_TOKENS=", "CORTEX_HTPP_LISTEN=x"), NULL);
    REQUIRE(l.status == CX_OK && l.config->warning_count == 1);
    EXPECT_STR(l.config->warnings[0],
               "environment: nothing is known by the name CORTEX_HTPP_LISTEN");
    unload(&l);
    l = load(NULL, LIST("CORTEX_TOKENS=short"), NULL);
    REQUIRE(l.status == CX_OK && l.config->warning_count == 1);
    EXPECT_STR(l.config->warnings[0],
               "CORTEX_TOKENS: token 1 is shorter than 16 bytes and can be guessed");
    unload(&l);
}

TEST(config_flag_errors)
{
    static const struct {
        const char *arg;
        const char *want;
    } rows[] = {
        { "--listen=x",
          "--listen: \"x\" is no address and port such as 127.0.0.1:4949 or [::1]:4949" },
        { "--set=http.connections=0",
          "--set http.connections: \"0\" must be between 1 and 1000000" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        struct loaded l = load(NULL, NULL, LIST(rows[i].arg));
        EXPECT(l.status == CX_BAD_REQUEST);
        EXPECT_STR(sentence(&l), rows[i].want);
        unload(&l);
    }
}

/* ---- Secrets ----------------------------------------------------------------------------------- */

TEST(config_secret_files)
{
    put_file("key", "the key \xc3\xa4 \n");
    CX_CHECK(chmod(in_dir("key"), 0600) == 0);
    struct loaded l = load("[state]\nsigning_key_file = key\n", NULL, NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->state_signing_key, "the key \xc3\xa4 "); /* one newline goes, no more */
    EXPECT_INT(l.config->warning_count, 0);
    unload(&l);

    CX_CHECK(chmod(in_dir("key"), 0640) == 0);
    l = load("[state]\nsigning_key_file = key\n", NULL, NULL);
    REQUIRE(l.status == CX_OK && l.config->warning_count == 1);
    EXPECT(strstr(l.config->warnings[0], "/key: others than its owner may read it") != NULL);
    unload(&l);

    /* The environment beats the file, credentials too. */
    l = load("[state]\nsigning_key_file = key\n", LIST("CORTEX_SIGNING_KEY=env"), NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->state_signing_key, "env");
    unload(&l);
    char dir[600];
    snprintf(dir, sizeof dir, "CREDENTIALS_DIRECTORY=%s", in_dir("credentials"));
    CX_CHECK(mkdir(in_dir("credentials"), 0700) == 0);
    put_file("credentials/signing_key", "credential");
    put_file("credentials/openai_api_key", "sk-2\n");
    l = load("[state]\nsigning_key_file = key\n", LIST(dir), NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->state_signing_key, "credential");
    EXPECT_STR(l.config->embedding_api_key, "sk-2");
    EXPECT_INT(l.config->origins[APP__KEY_state_signing_key].kind, APP__FROM_CREDENTIAL);
    unload(&l);
    l = load("[state]\nsigning_key = key\n", LIST(dir, "CORTEX_SIGNING_KEY=env"), NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->state_signing_key, "env");
    unload(&l);
    /* A flag names a file, which beats them. */
    char flag[600];
    snprintf(flag, sizeof flag, "state.signing_key_file=%s", in_dir("key"));
    l = load(NULL, LIST(dir, "CORTEX_SIGNING_KEY=env"), LIST("--set", flag));
    REQUIRE(l.status == CX_OK);
    EXPECT_STR(l.config->state_signing_key, "the key \xc3\xa4 ");
    unload(&l);

    static const char *const bad[] = { "", "\n", "\r\n", "\xff\xfe" };
    for (size_t i = 0; i < CX_ARRAY_LEN(bad); i++) {
        put_file("key", bad[i]);
        l = load("[state]\nsigning_key_file = key\n", NULL, NULL);
        EXPECT(l.status == CX_INVALID && strstr(l.err.text, "a secret") != NULL);
        unload(&l);
    }
}

TEST(config_file_with_secrets_open_to_others)
{
    put_file("cortex.conf", "");
    CX_CHECK(chmod(in_dir("cortex.conf"), 0644) == 0);
    struct loaded l = load("[state]\nsigning_key = k\n", NULL, NULL);
    REQUIRE(l.status == CX_OK && l.config->warning_count == 1);
    EXPECT(strstr(l.config->warnings[0], "it holds state.signing_key") != NULL);
    unload(&l);
    CX_CHECK(chmod(in_dir("cortex.conf"), 0600) == 0);
    l = load("[state]\nsigning_key = k\n", NULL, NULL);
    REQUIRE(l.status == CX_OK);
    EXPECT_INT(l.config->warning_count, 0);
    unload(&l);
}

/* ---- Tokens and remote listeners --------------------------------------------------------------- */

#define DIGEST_A "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define DIGEST_B "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"

TEST(config_tokens)
{
    struct loaded l = load("[token \"a b\"]\nsha256 = " DIGEST_A "\nscopes = context, state\n"
                           "expires = 2999-01-01T00:00:00Z\n"
                           "[token \"old\"]\nscopes = *\nsha256 = " DIGEST_B "\n"
                           "expires = 2001-01-01T00:00:00Z\n[log]\nlevel = info\n",
                           LIST("CORTEX_TOKENS=another-token-01234"), NULL);
    REQUIRE(l.status == CX_OK);
    REQUIRE(l.config->token_count == 3);
    uint8_t digest[32];
    CX_CHECK(cx_unhex(CX_STR(DIGEST_A), digest, sizeof digest));
    const struct app__token *t = l.config->tokens;
    EXPECT_STR(t[0].name, "a b");
    EXPECT_BYTES(t[0].sha256, 32, digest, 32);
    EXPECT_INT(t[0].scopes, CX_SCOPE_CONTEXT | CX_SCOPE_STATE);
    EXPECT(t[0].expires_us > cx_clock_wall_us());
    EXPECT_INT(t[1].scopes, CX_SCOPE_ALL);
    EXPECT_STR(t[2].name, "env-1");
    REQUIRE(l.config->warning_count == 1);
    EXPECT(strstr(l.config->warnings[0], "the token \"old\" has expired") != NULL);
    struct cx_tokens *tokens = NULL;
    app__config_tokens(l.config, &tokens);
    EXPECT_INT(cx_tokens_count(tokens), 3);
    cx_tokens_free(&tokens);
    unload(&l);
    l = load("[token \"a\"]\nsha256 = " DIGEST_A "\nscopes = *\n"
             "[token \"b\"]\nsha256 = " DIGEST_A "\nscopes = *\n",
             NULL, NULL);
    EXPECT_STR(sentence(&l), "cortex.conf:4:2: \"a\" and \"b\" are the same token");
    unload(&l);
}

TEST(config_remote_listeners)
{
    static const char *const remote[] = { "0.0.0.0:1",           "[::]:1",
                                          "192.168.1.1:1",       "[fe80::1]:1",
                                          "[::ffff:10.0.0.1]:1", "128.0.0.1:1" };
    static const char *const local[] = { "127.0.0.1:1", "127.9.9.9:1", "[::1]:1",
                                         "[::ffff:127.0.0.1]:1", "127.0.0.1:0" };
    static const char *const none[] = { "",
                                        "1",
                                        ":1",
                                        "127.0.0.1",
                                        "127.1:1",
                                        "::1:1",
                                        "[::1]",
                                        "[::1]1",
                                        "[127.0.0.1]:1",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:-1",
                                        "127.0.0.1:",
                                        "localhost:1",
                                        "[]:1",
                                        "[::1:1",
                                        "127.0.0.1:000001" };
    char file[256];
    for (size_t i = 0; i < CX_ARRAY_LEN(remote); i++) {
        snprintf(file, sizeof file, "[http]\nlisten = %s\n", remote[i]);
        struct loaded l = load(file, NULL, NULL);
        EXPECT(l.status == CX_INVALID && strstr(l.err.text, "tokens") != NULL);
        unload(&l);
        l = load(file, LIST("CORTEX_TOKENS=another-token-01234"), NULL);
        EXPECT(l.status == CX_INVALID && strstr(l.err.text, "signing key") != NULL);
        unload(&l);
        l = load(file, LIST("CORTEX_TOKENS=another-token-01234", "CORTEX_SIGNING_KEY=k"), NULL);
        EXPECT(l.status == CX_OK);
        unload(&l);
    }
    bool loopback = false;
    for (size_t i = 0; i < CX_ARRAY_LEN(local); i++) {
        EXPECT(app__address_parse(local[i], &loopback) && loopback);
    }
    for (size_t i = 0; i < CX_ARRAY_LEN(none); i++) {
        EXPECT(!app__address_parse(none[i], &loopback));
    }
}

/* ---- Reload ------------------------------------------------------------------------------------ */

static void on_change(void *ctx, const char *key, bool reloadable)
{
    cx_buf_printf(ctx, "%s%s ", key, reloadable ? "+" : "");
}

TEST(config_reload)
{
    struct loaded first =
        load("[log]\nlevel = info\n[token \"a\"]\nsha256 = " DIGEST_A "\nscopes = *\n",
             LIST("CORTEX_TOKENS=another-token-01234", "CORTEX_SIGNING_KEY=k"), NULL);
    REQUIRE(first.status == CX_OK);
    struct loaded second =
        reload(first.config,
               "[log]\nlevel = debug\n[rate]\nper_second = 0.5\n[http]\n"
               "connections = 7\n[token \"b\"]\nsha256 = " DIGEST_B "\nscopes = state\n",
               NULL, NULL);
    REQUIRE(second.status == CX_OK);
    struct cx_buf changes;
    cx_buf_init(&changes, 1000);
    app__config_compare(first.config, second.config, on_change, &changes);
    EXPECT_STR(changes.data, "http.connections rate.per_second+ log.level+ token+ ");
    EXPECT_STR(second.config->state_signing_key, "k");
    app__config_adopt(first.config, second.config);
    unload(&second);
    EXPECT_INT(first.config->log_level, CX_LOG_DEBUG);
    EXPECT(first.config->rate_per_second == 0.5);
    EXPECT_INT(first.config->http_connections, 20000);
    REQUIRE(first.config->token_count == 2);
    EXPECT_STR(first.config->tokens[0].name, "b");
    EXPECT_STR(first.config->tokens[1].name, "env-1");
    /* The same once more changes nothing but what still waits for a restart. */
    second = reload(first.config,
                    "[log]\nlevel = debug\n[rate]\nper_second = 0.5\n[http]\n"
                    "connections = 7\n[token \"b\"]\nsha256 = " DIGEST_B "\nscopes = state\n",
                    NULL, NULL);
    REQUIRE(second.status == CX_OK);
    cx_buf_clear(&changes);
    app__config_compare(first.config, second.config, on_change, &changes);
    EXPECT_STR(changes.data, "http.connections ");
    unload(&second);
    cx_buf_free(&changes);
    unload(&first);
}
