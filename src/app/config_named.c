/* SPDX-License-Identifier: MIT
 *
 * Sections with names: databases, roots, services. A section is put together in the configuration's
 * draft, by the same functions as every other key, and added when it is whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_table.h"

#define NAMED_MAX 256 /* sections in all */
#define NAME_MAX_BYTES 64
#define OWN_DATABASE "cortex"

const struct app__section app__named_sections[APP__NAMED_KIND_COUNT] = {
#define APP_NAMED(section_, help_) [APP__NAMED_##section_] = { .name = #section_, .help = (help_) },
#define APP_NAMED_KEY(...)
#include "app/config_named.def"
#undef APP_NAMED
#undef APP_NAMED_KEY
};

const struct app__key app__named_keys[] = {
#define APP_NAMED(section, help)
#define APP_NAMED_KEY(section_, key_, field_, type_, default_, min_, max_, words_, help_)          \
    { .section = #section_,                                                                        \
      .name = #key_,                                                                               \
      .type = APP__##type_,                                                                        \
      .offset = offsetof(struct cx_config, draft) + offsetof(struct app__named, field_),           \
      .fallback = (default_),                                                                      \
      .min = (min_),                                                                               \
      .max = (max_),                                                                               \
      .words = (words_),                                                                           \
      .env = "",                                                                                   \
      .flag = "",                                                                                  \
      .help = (help_) },
#include "app/config_named.def"
#undef APP_NAMED
#undef APP_NAMED_KEY
};
const size_t app__named_key_count = CX_ARRAY_LEN(app__named_keys);

static bool is_of(const struct app__key *key, enum app__named_kind kind)
{
    return strcmp(key->section, app__named_sections[kind].name) == 0;
}

void app__named_begin(struct cx_config *config, enum app__named_kind kind, const char *name,
                      unsigned line)
{
    static const struct app__value_source source = { .base_dir = "/" };
    config->draft = (struct app__named){ .kind = kind,
                                         .name = cx_arena_strdup(&config->arena, name),
                                         .line = line };
    CX_CHECK(config->draft.name != NULL);
    for (size_t i = 0; i < app__named_key_count; i++) {
        if (is_of(&app__named_keys[i], kind)) {
            const enum cx_status status = app__value_set(
                config, &app__named_keys[i], app__named_keys[i].fallback, &source, NULL);
            CX_CHECK(status == CX_OK);
        }
    }
}

static enum cx_status check_draft(const struct app__named *draft, struct cx_err *err);

enum cx_status app__named_end(struct cx_config *config, struct cx_err *err)
{
    const struct app__named *draft = &config->draft;
    const char *kind = app__named_sections[draft->kind].name;
    for (size_t i = 0; i < config->named_count; i++) {
        if (config->named[i].kind == draft->kind &&
            strcmp(config->named[i].name, draft->name) == 0) {
            return cx_err_set(err, CX_INVALID, "there is a %s \"%s\" already", kind, draft->name);
        }
    }
    if (config->named_count == NAMED_MAX) {
        return cx_err_set(err, CX_INVALID, "more than %d databases, roots and services", NAMED_MAX);
    }
    const enum cx_status status = check_draft(draft, err);
    if (status == CX_OK) {
        config->named =
            cx_realloc_array(config->named, config->named_count + 1, sizeof *config->named);
        config->named[config->named_count++] = *draft;
    }
    return status;
}

/* A name stands in paths and in labels. */
static enum cx_status check_name(const struct app__named *draft, struct cx_err *err)
{
    const size_t len = strlen(draft->name);
    if (len > NAME_MAX_BYTES ||
        strspn(draft->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") !=
            len ||
        draft->name[0] == '.') {
        return cx_err_set(err, CX_INVALID,
                          "\"%s\" is no name: at most %d letters, digits, '_', '-' and '.', which "
                          "does not come first",
                          draft->name, NAME_MAX_BYTES);
    }
    return CX_OK;
}

static enum cx_status check_draft(const struct app__named *draft, struct cx_err *err)
{
    const char *lacks = NULL;
    const bool sqlite = draft->engine == APP__ENGINE_SQLITE;
    switch (draft->kind) {
    case APP__NAMED_database:
        if (strcmp(draft->name, OWN_DATABASE) == 0) {
            return cx_err_set(err, CX_INVALID, "\"%s\" is the daemon's own database", OWN_DATABASE);
        }
        if (sqlite ? draft->dsn_env != NULL || draft->dsn_file != NULL : draft->path != NULL) {
            return cx_err_set(err, CX_INVALID, "the database \"%s\" takes %s, as engine = %s says",
                              draft->name, sqlite ? "path" : "dsn_env or dsn_file",
                              sqlite ? "sqlite" : "postgresql");
        }
        if (!sqlite && draft->dsn_env != NULL && draft->dsn_file != NULL) {
            return cx_err_set(err, CX_INVALID,
                              "the database \"%s\" takes dsn_env or dsn_file, not both",
                              draft->name);
        }
        if (sqlite && draft->path == NULL) {
            lacks = "path";
        } else if (!sqlite && draft->dsn_env == NULL && draft->dsn_file == NULL) {
            lacks = "dsn_env or dsn_file";
        }
        break;
    case APP__NAMED_root:
        lacks = draft->path == NULL ? "path" : NULL;
        break;
    case APP__NAMED_service:
        if (draft->url != NULL && strncmp(draft->url, "unix:", 5) == 0) {
            return cx_err_set(err, CX_INVALID,
                              "the service \"%s\": url must begin with http:// or "
                              "https://",
                              draft->name);
        }
        lacks = draft->url == NULL ? "url" : NULL;
        break;
    case APP__NAMED_KIND_COUNT:
        break;
    }
    if (lacks != NULL) {
        return cx_err_set(err, CX_INVALID, "[%s \"%s\"] has no %s",
                          app__named_sections[draft->kind].name, draft->name, lacks);
    }
    return check_name(draft, err);
}

void app__named_print(const struct cx_config *config, const struct app__named *named,
                      struct cx_buf *out)
{
    struct cx_config *view = cx_alloc(sizeof *view); /* the formatter reads a draft */
    view->draft = *named;
    cx_buf_printf(out, "\n# %s:%u\n[%s \"%s\"]\n", config->path != NULL ? config->path : "file",
                  named->line, app__named_sections[named->kind].name, named->name);
    for (size_t i = 0; i < app__named_key_count; i++) {
        const struct app__key *key = &app__named_keys[i];
        if (!is_of(key, named->kind)) {
            continue;
        }
        struct cx_buf value;
        cx_buf_init(&value, APP__INI_FILE_MAX_BYTES);
        app__value_format(view, key, &value);
        if (value.len > 0) {
            cx_buf_printf(out, "%s =", key->name);
            app__put_value(value.data, out);
            cx_buf_putc(out, '\n');
        }
        cx_buf_free(&value);
    }
    free(view);
}

static void print_all(const struct cx_config *config, enum app__named_kind kind, struct cx_buf *out)
{
    for (size_t i = 0; i < config->named_count; i++) {
        if (config->named[i].kind == kind) {
            struct app__named named = config->named[i];
            named.line = 0; /* where it stands is no difference */
            app__named_print(config, &named, out);
        }
    }
}

bool app__named_same(const struct cx_config *a, const struct cx_config *b,
                     enum app__named_kind kind)
{
    struct cx_buf x;
    struct cx_buf y;
    cx_buf_init(&x, APP__INI_FILE_MAX_BYTES * 2);
    cx_buf_init(&y, APP__INI_FILE_MAX_BYTES * 2);
    print_all(a, kind, &x);
    print_all(b, kind, &y);
    const bool same = cx_str_eq((struct cx_str){ x.data, x.len }, (struct cx_str){ y.data, y.len });
    cx_buf_free(&x);
    cx_buf_free(&y);
    return same;
}
