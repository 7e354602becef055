/* SPDX-License-Identifier: MIT
 *
 * The configuration file's entries into a configuration: keys of the table, [token "name"], and the
 * other sections that have a name.
 */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "app/config_table.h"
#include "cortex/crypto.h"
#include "app/units.h"

/* A [token "name"] section under way: it is whole only when the next section begins. */
struct pending_token {
    bool open;
    bool has_sha256;
    bool has_scopes;
    unsigned line;
    unsigned column;
    char name[APP__INI_NAME_MAX_BYTES + 1];
    struct app__token token;
};

struct file_reader {
    struct cx_config *config;
    struct app__value_source source;
    struct pending_token pending;
    bool drafting; /* config->draft is a section with a name that is under way … */
    unsigned draft_column;
    struct cx_arena scratch;
};

static const char *base_dir(struct cx_arena *arena, const char *path);
static enum cx_status on_entry(void *ctx, const struct app__ini_entry *entry, struct cx_err *err);
static enum cx_status open_section(struct file_reader *r, const struct app__ini_entry *entry,
                                   struct cx_err *err);
static enum cx_status finish_section(struct file_reader *r, const char *file, struct cx_err *err);
static enum cx_status finish_token(struct file_reader *r, const char *file, struct cx_err *err);
static enum cx_status read_token_key(struct file_reader *r, const struct app__ini_entry *entry,
                                     struct cx_err *err);
static enum cx_status read_scopes(struct file_reader *r, const char *text, struct cx_err *err);
static const struct app__key *find_named_key(const struct app__ini_entry *entry);
static enum cx_status unknown_section(const struct app__ini_entry *entry, struct cx_err *err);
static enum cx_status unknown_key(const struct app__ini_entry *entry, struct cx_err *err);

enum cx_status app__config_read_text(struct cx_config *config, const char *path, struct cx_str text,
                                     struct cx_err *err)
{
    struct file_reader r = { .config = config };
    cx_arena_init(&r.scratch, (size_t)16 << 20);
    r.source.base_dir = base_dir(&r.scratch, path);
    enum cx_status status = app__ini_parse(path, text, on_entry, &r, err);
    if (status == CX_OK) {
        status = finish_section(&r, path, err);
    }
    cx_arena_free(&r.scratch);
    return status;
}

/* Relative paths in a file are taken from its folder. NULL: that is the working directory. */
static const char *base_dir(struct cx_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return NULL;
    }
    char cwd[PATH_MAX];
    const int len = (int)(slash - path);
    if (path[0] == '/' || getcwd(cwd, sizeof cwd) == NULL) {
        return cx_arena_printf(arena, "%.*s", len, path);
    }
    return cx_arena_printf(arena, "%s/%.*s", cwd, len, path);
}

/* Other programs' files have comments behind values. */
static void warn_of_comment(struct cx_config *config, const struct app__ini_entry *entry)
{
    if (!entry->quoted &&
        (strstr(entry->value, " #") != NULL || strstr(entry->value, "\t#") != NULL)) {
        app__config_warn(config,
                         "%s:%u: %s has a # in its value: a comment stands on a line of its own, "
                         "a value that is meant to have one in quotes",
                         entry->file, entry->line, entry->key);
    }
}

static enum cx_status on_entry(void *ctx, const struct app__ini_entry *entry, struct cx_err *err)
{
    struct file_reader *r = ctx;
    if (entry->key != NULL) {
        warn_of_comment(r->config, entry);
    }
    if (entry->key == NULL) {
        const enum cx_status status = finish_section(r, entry->file, err);
        return status == CX_OK ? open_section(r, entry, err) : status;
    }
    if (r->pending.open) {
        return read_token_key(r, entry, err);
    }
    const struct app__key *key =
        r->drafting ? find_named_key(entry) : app__key_find(entry->section, entry->key);
    if (key == NULL) {
        return unknown_key(entry, err);
    }
    struct cx_err why = { .text = "" };
    const enum cx_status status = app__value_set(r->config, key, entry->value, &r->source, &why);
    if (status != CX_OK) {
        return app__ini_fail(entry, entry->value_column, err, "%s: %s", key->name, why.text);
    }
    if (!r->drafting) {
        r->config->origins[app__key_id(key)] =
            (struct app__origin){ .kind = APP__FROM_FILE, .line = entry->line };
    }
    return CX_OK;
}

static const struct app__key *find_named_key(const struct app__ini_entry *entry)
{
    for (size_t i = 0; i < app__named_key_count; i++) {
        if (strcmp(app__named_keys[i].section, entry->section) == 0 &&
            strcmp(app__named_keys[i].name, entry->key) == 0) {
            return &app__named_keys[i];
        }
    }
    return NULL;
}

static enum cx_status finish_section(struct file_reader *r, const char *file, struct cx_err *err)
{
    if (!r->drafting) {
        return finish_token(r, file, err);
    }
    const struct app__ini_entry header = { .file = file,
                                           .line = r->config->draft.line,
                                           .column = r->draft_column };
    struct cx_err why = { .text = "" };
    r->drafting = false;
    const enum cx_status status = app__named_end(r->config, &why);
    return status == CX_OK ? CX_OK : app__ini_fail(&header, header.column, err, "%s", why.text);
}

static enum cx_status open_section(struct file_reader *r, const struct app__ini_entry *entry,
                                   struct cx_err *err)
{
    if (strcmp(entry->section, "token") == 0) {
        if (entry->name == NULL) {
            return app__ini_fail(entry, entry->column, err, "a token has a name: [token \"name\"]");
        }
        r->pending =
            (struct pending_token){ .open = true, .line = entry->line, .column = entry->column };
        memcpy(r->pending.name, entry->name, strlen(entry->name) + 1);
        return CX_OK;
    }
    for (unsigned kind = 0; kind < APP__NAMED_KIND_COUNT; kind++) {
        if (strcmp(entry->section, app__named_sections[kind].name) != 0) {
            continue;
        }
        if (entry->name == NULL) {
            return app__ini_fail(entry, entry->column, err, "a %s has a name: [%s \"name\"]",
                                 entry->section, entry->section);
        }
        app__named_begin(r->config, (enum app__named_kind)kind, entry->name, entry->line);
        r->drafting = true;
        r->draft_column = entry->column;
        return CX_OK;
    }
    for (size_t i = 0; i < app__section_count; i++) {
        if (strcmp(entry->section, app__sections[i].name) == 0) {
            return entry->name == NULL ? CX_OK
                                       : app__ini_fail(entry, entry->column, err,
                                                       "[%s] takes no name", entry->section);
        }
    }
    return unknown_section(entry, err);
}

/* ---- Tokens ------------------------------------------------------------------------------------ */

static enum cx_status finish_token(struct file_reader *r, const char *file, struct cx_err *err)
{
    struct pending_token *p = &r->pending;
    if (!p->open) {
        return CX_OK;
    }
    p->open = false;
    const struct app__ini_entry header = { .file = file, .line = p->line, .column = p->column };
    if (!p->has_sha256 || !p->has_scopes) {
        return app__ini_fail(&header, p->column, err, "[token \"%s\"] has no %s", p->name,
                             p->has_sha256 ? "scopes" : "sha256");
    }
    p->token.name = p->name;
    p->token.origin = (struct app__origin){ .kind = APP__FROM_FILE, .line = p->line };
    struct cx_err why = { .text = "" };
    const enum cx_status status = app__config_add_token(r->config, &p->token, &why);
    if (status != CX_OK) {
        return app__ini_fail(&header, p->column, err, "%s", why.text);
    }
    if (p->token.expires_us != 0 && p->token.expires_us <= cx_clock_wall_us()) {
        app__config_warn(r->config, "%s:%u: the token \"%s\" has expired", file, p->line, p->name);
    }
    return CX_OK;
}

static enum cx_status read_token_key(struct file_reader *r, const struct app__ini_entry *entry,
                                     struct cx_err *err)
{
    struct app__token *token = &r->pending.token;
    struct cx_err why = { .text = "" };
    if (strcmp(entry->key, "sha256") == 0) {
        r->pending.has_sha256 =
            cx_unhex(cx_str_of(entry->value), token->sha256, sizeof token->sha256);
        return r->pending.has_sha256
                   ? CX_OK
                   : app__ini_fail(
                         entry, entry->value_column, err,
                         "sha256: must be the 64 hex digits that cortexd --hash-token prints");
    }
    if (strcmp(entry->key, "scopes") == 0) {
        r->pending.has_scopes = true;
        const enum cx_status status = read_scopes(r, entry->value, &why);
        return status == CX_OK
                   ? CX_OK
                   : app__ini_fail(entry, entry->value_column, err, "scopes: %s", why.text);
    }
    if (strcmp(entry->key, "expires") == 0) {
        if (!cx_time_parse(cx_str_of(entry->value), &token->expires_us) || token->expires_us <= 0) {
            return app__ini_fail(entry, entry->value_column, err,
                                 "expires: \"%s\" is no time such as 2027-01-31T00:00:00Z",
                                 entry->value);
        }
        return CX_OK;
    }
    return unknown_key(entry, err);
}

static enum cx_status read_scopes(struct file_reader *r, const char *text, struct cx_err *err)
{
    const char *const *words = NULL;
    size_t count = 0;
    const enum cx_status status = app__list_parse(&r->scratch, text, &words, &count, err);
    if (status != CX_OK) {
        return status;
    }
    if (count == 0) {
        return cx_err_set(err, CX_INVALID, "a token needs at least one; * is all");
    }
    for (size_t i = 0; i < count; i++) {
        unsigned scope = 0;
        if (!cx_scope_parse(cx_str_of(words[i]), &scope)) {
            return cx_err_set(
                err, CX_INVALID,
                "\"%s\" must be context, vector, database, filesystem, services, state, "
                "audit or *",
                words[i]);
        }
        r->pending.token.scopes |= scope;
    }
    return CX_OK;
}

/* ---- Names that are not known ------------------------------------------------------------------ */

static enum cx_status unknown_section(const struct app__ini_entry *entry, struct cx_err *err)
{
    const char *names[32];
    CX_CHECK(app__section_count + APP__NAMED_KIND_COUNT < CX_ARRAY_LEN(names));
    size_t count = 0;
    for (size_t i = 0; i < app__section_count; i++) {
        names[count++] = app__sections[i].name;
    }
    for (size_t i = 0; i < APP__NAMED_KIND_COUNT; i++) {
        names[count++] = app__named_sections[i].name;
    }
    names[count++] = "token";
    const char *suggestion = app__suggest(entry->section, names, count);
    return suggestion != NULL
               ? app__ini_fail(entry, entry->column, err,
                               "unknown section [%s]; did you mean [%s]?", entry->section,
                               suggestion)
               : app__ini_fail(entry, entry->column, err, "unknown section [%s]", entry->section);
}

static enum cx_status unknown_key(const struct app__ini_entry *entry, struct cx_err *err)
{
    static const char *const token_keys[] = { "sha256", "scopes", "expires" };
    const char *names[APP__KEY_COUNT + CX_ARRAY_LEN(token_keys) + 32];
    CX_CHECK(app__named_key_count <= 32);
    const char *home = NULL;
    size_t count = 0;
    const bool token = strcmp(entry->section, "token") == 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(token_keys) && token; i++) {
        names[count++] = token_keys[i];
    }
    for (size_t i = 0; i < app__named_key_count; i++) {
        if (strcmp(app__named_keys[i].section, entry->section) == 0) {
            names[count++] = app__named_keys[i].name;
        }
    }
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        if (strcmp(app__keys[i].section, entry->section) == 0) {
            names[count++] = app__keys[i].name;
        } else if (strcmp(app__keys[i].name, entry->key) == 0) {
            home = app__keys[i].section;
        }
    }
    if (home != NULL) {
        return app__ini_fail(entry, entry->column, err,
                             "unknown key \"%s\" in [%s]; it belongs in [%s]", entry->key,
                             entry->section, home);
    }
    const char *suggestion = app__suggest(entry->key, names, count);
    return suggestion != NULL
               ? app__ini_fail(entry, entry->column, err,
                               "unknown key \"%s\" in [%s]; did you mean \"%s\"?", entry->key,
                               entry->section, suggestion)
               : app__ini_fail(entry, entry->column, err, "unknown key \"%s\" in [%s]", entry->key,
                               entry->section);
}
