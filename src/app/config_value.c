/* SPDX-License-Identifier: MIT
 *
 * One value of the configuration: from text into its field, checked, and back (config_table.h).
 */
#include "app/config_table.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/units.h"

#define ITEMS_MAX 256

static enum cx_status check_bytes(const char *text, struct cx_err *err);
static void *field(struct cx_config *config, const struct app__key *key);
static const void *const_field(const struct cx_config *config, const struct app__key *key);
static void format_count(uint64_t value, struct cx_buf *out);
static enum cx_status set_number(void *field, const struct app__key *key, const char *text,
                                 bool plain_seconds, struct cx_err *err);
static enum cx_status set_real(double *field, const struct app__key *key, const char *text,
                               struct cx_err *err);
static enum cx_status range_error(const struct app__key *key, const char *text, struct cx_err *err);
static enum cx_status set_word(struct cx_config *config, const struct app__key *key,
                               const char *text, struct cx_err *err);
static bool next_word(const char **rest, struct cx_str *word, bool *first_of_choice);
static enum cx_status set_text(struct cx_config *config, const struct app__key *key,
                               const char *text, const struct app__value_source *source,
                               struct cx_err *err);
static enum cx_status set_path(struct cx_config *config, const char **field, const char *text,
                               const char *base_dir, struct cx_err *err);
static enum cx_status check_secret(const char *text, struct cx_err *err);
static enum cx_status set_list(struct cx_config *config, const struct app__key *key,
                               const char *text, struct cx_err *err);

enum cx_status app__value_set(struct cx_config *config, const struct app__key *key,
                              const char *text, const struct app__value_source *source,
                              struct cx_err *err)
{
    const enum cx_status status = check_bytes(text, err);
    if (status != CX_OK) {
        return status;
    }
    switch (key->type) {
    case APP__INT:
    case APP__DURATION:
    case APP__BYTES:
        return set_number(field(config, key), key, text, source->plain_seconds, err);
    case APP__REAL:
        return set_real(field(config, key), key, text, err);
    case APP__BOOL:
        return app__bool_parse(cx_str_of(text), field(config, key), err);
    case APP__WORD:
        return set_word(config, key, text, err);
    case APP__STRING:
    case APP__SECRET:
    case APP__URL:
    case APP__ENDPOINT:
    case APP__PATH:
    case APP__DATA_PATH:
        return set_text(config, key, text, source, err);
    case APP__LISTEN:
    case APP__NAMES:
    case APP__ORIGINS:
    case APP__ADDRESSES:
    case APP__LIST:
        return set_list(config, key, text, err);
    }
    return cx_err_set(err, CX_INTERNAL, "%s has no type that is known", key->name);
}

/* The file's parser has seen to this already; the environment and the command line are raw. */
static enum cx_status check_bytes(const char *text, struct cx_err *err)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f) {
            return cx_err_set(err, CX_INVALID, "must have no control characters");
        }
    }
    return cx_utf8_valid(cx_str_of(text)) ? CX_OK : cx_err_set(err, CX_INVALID, "must be UTF-8");
}

static void *field(struct cx_config *config, const struct app__key *key)
{
    return (char *)config + key->offset;
}

static const void *const_field(const struct cx_config *config, const struct app__key *key)
{
    return (const char *)config + key->offset;
}

const char **app__value_text(struct cx_config *config, const struct app__key *key)
{
    CX_CHECK(key->type <= APP__DATA_PATH);
    return field(config, key);
}

/* ---- Numbers ----------------------------------------------------------------------------------- */

static enum cx_status set_number(void *field, const struct app__key *key, const char *text,
                                 bool plain_seconds, struct cx_err *err)
{
    const struct cx_str s = cx_str_of(text);
    uint64_t value = 0;
    enum cx_status status = CX_OK;
    if (key->type == APP__DURATION) {
        status = app__duration_parse(s, plain_seconds, &value, err);
    } else if (key->type == APP__BYTES) {
        status = app__bytes_parse(s, &value, err);
    } else if (!cx_parse_u64(s, &value)) {
        status = cx_err_set(err, CX_INVALID, "\"%s\" is no whole number", text);
    }
    if (status != CX_OK) {
        return status;
    }
    if (value < key->min || value > key->max) {
        return range_error(key, text, err);
    }
    if ((key->traits & APP__SECONDS) != 0 && value % 1000 != 0) {
        return cx_err_set(err, CX_INVALID, "\"%s\" must be whole seconds", text);
    }
    if (key->type == APP__BYTES) {
        *(size_t *)field = (size_t)value;
    } else {
        *(unsigned *)field = (unsigned)value; /* the table's ranges fit: a test walks them */
    }
    return CX_OK;
}

static enum cx_status set_real(double *field, const struct app__key *key, const char *text,
                               struct cx_err *err)
{
    double value = 0;
    const enum cx_status status = app__real_parse(cx_str_of(text), &value, err);
    if (status != CX_OK) {
        return status;
    }
    if (value < (double)key->min || value > (double)key->max) {
        return range_error(key, text, err);
    }
    *field = value;
    return CX_OK;
}

static enum cx_status range_error(const struct app__key *key, const char *text, struct cx_err *err)
{
    struct cx_buf range;
    cx_buf_init(&range, 128);
    void (*const format)(uint64_t, struct cx_buf *) = key->type == APP__DURATION
                                                          ? app__duration_format
                                                      : key->type == APP__BYTES ? app__bytes_format
                                                                                : format_count;
    format(key->min, &range);
    cx_buf_puts(&range, " and ");
    format(key->max, &range);
    const enum cx_status status =
        cx_err_set(err, CX_INVALID, "\"%s\" must be between %s", text, range.data);
    cx_buf_free(&range);
    return status;
}

static void format_count(uint64_t value, struct cx_buf *out)
{
    cx_buf_put_u64(out, value);
}

/* ---- Words ------------------------------------------------------------------------------------- */

static enum cx_status set_word(struct cx_config *config, const struct app__key *key,
                               const char *text, struct cx_err *err)
{
    const char *rest = key->words;
    struct cx_str word;
    struct cx_str choice = { NULL, 0 };
    bool first = false;
    unsigned number = 0;
    unsigned choices = 0;
    while (next_word(&rest, &word, &first)) {
        choices += first ? 1 : 0;
        number = choices - 1;
        choice = first ? word : choice;
        if (cx_str_eq_nocase(word, cx_str_of(text))) {
            *(unsigned *)field(config, key) = number;
            if (!first) {
                app__config_warn(config, "%s.%s: %s means %.*s", key->section, key->name, text,
                                 (int)choice.len, choice.p);
            }
            return CX_OK;
        }
    }
    struct cx_buf known;
    cx_buf_init(&known, 256);
    rest = key->words;
    while (next_word(&rest, &word, &first)) {
        if (known.len > 0) {
            cx_buf_puts(&known, *rest == '\0' ? " or " : ", ");
        }
        cx_buf_put_str(&known, word);
    }
    const enum cx_status status =
        cx_err_set(err, CX_INVALID, "\"%s\" must be %s", text, known.data);
    cx_buf_free(&known);
    return status;
}

/* "a,b|c": gives a (first of its choice), b, c (first). */
static bool next_word(const char **rest, struct cx_str *word, bool *first_of_choice)
{
    const char *at = *rest;
    if (*at == '\0') {
        return false;
    }
    *first_of_choice = *at != ',';
    if (*at == ',' || *at == '|') {
        at++;
    }
    const size_t len = strcspn(at, ",|");
    *word = (struct cx_str){ at, len };
    *rest = at + len;
    return true;
}

/* ---- Texts ------------------------------------------------------------------------------------- */

static enum cx_status set_text(struct cx_config *config, const struct app__key *key,
                               const char *text, const struct app__value_source *source,
                               struct cx_err *err)
{
    const char **out = field(config, key);
    const size_t len = strlen(text);
    if (len == 0 && (key->min == 0 || key->fallback[0] == '\0')) {
        *out = NULL; /* back to nothing: an empty value is how a file says so */
        return CX_OK;
    }
    if (len < key->min || len > key->max) {
        return cx_err_set(err, CX_INVALID, "must have %llu to %llu bytes",
                          (unsigned long long)key->min, (unsigned long long)key->max);
    }
    if (key->type == APP__PATH) {
        return set_path(config, out, text, source->base_dir, err);
    }
    enum cx_status status = CX_OK;
    if (key->type == APP__SECRET) {
        status = check_secret(text, err);
    } else if (key->type == APP__URL || key->type == APP__ENDPOINT) {
        status = app__url_check(text, err);
    }
    if (status == CX_OK && key->type == APP__ENDPOINT && strchr(text, '?') != NULL) {
        status = cx_err_set(err, CX_INVALID, "must have no ?: it is shown to those who ask");
    }
    if (status != CX_OK) {
        return status;
    }
    char *copy = cx_arena_strndup(&config->arena, text, len);
    CX_CHECK(copy != NULL);
    while (key->type == APP__URL && copy[strlen(copy) - 1] == '/') {
        copy[strlen(copy) - 1] = '\0';
    }
    *out = copy;
    return CX_OK;
}

static enum cx_status set_path(struct cx_config *config, const char **field, const char *text,
                               const char *base_dir, struct cx_err *err)
{
    char cwd[PATH_MAX];
    const char *base = base_dir;
    if (text[0] != '/' && base == NULL) {
        base = getcwd(cwd, sizeof cwd);
        if (base == NULL) {
            return cx_err_set(err, CX_IO_ERROR, "the working directory has no name: %s",
                              strerror(errno));
        }
    }
    char *path = text[0] == '/' ? cx_arena_strdup(&config->arena, text)
                                : cx_arena_printf(&config->arena, "%s/%s", base, text);
    CX_CHECK(path != NULL);
    for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--) {
        path[len - 1] = '\0';
    }
    *field = path;
    return CX_OK;
}

static enum cx_status check_secret(const char *text, struct cx_err *err)
{
    return strcmp(text, APP__MASK) != 0
               ? CX_OK
               : cx_err_set(err, CX_INVALID,
                            "this is the mask of a printed configuration, not a secret");
}

/* ---- Lists ------------------------------------------------------------------------------------- */

static enum cx_status set_list(struct cx_config *config, const struct app__key *key,
                               const char *text, struct cx_err *err)
{
    const char *const *items = NULL;
    size_t count = 0;
    enum cx_status status = app__list_parse(&config->arena, text, &items, &count, err);
    if (status != CX_OK) {
        return status;
    }
    if (count < key->min || count > key->max) {
        return cx_err_set(err, CX_INVALID, "must have %llu to %llu items, not %zu",
                          (unsigned long long)key->min, (unsigned long long)key->max, count);
    }
    for (size_t i = 0; i < count; i++) {
        status = app__item_check(key->type, items[i], err);
        for (size_t j = 0; j < i && status == CX_OK; j++) {
            if (strcmp(items[i], items[j]) == 0) {
                status = cx_err_set(err, CX_INVALID, "\"%s\" is there twice", items[i]);
            }
        }
        if (status != CX_OK) {
            return status;
        }
    }
    *(const char *const **)field(config, key) = items;
    return CX_OK;
}

enum cx_status app__list_parse(struct cx_arena *arena, const char *text, const char *const **out,
                               size_t *count, struct cx_err *err)
{
    const char **items = cx_arena_alloc(arena, (ITEMS_MAX + 1) * sizeof *items);
    CX_CHECK(items != NULL);
    size_t n = 0;
    const char *at = text + strspn(text, " \t");
    while (*at != '\0') {
        const size_t len = strcspn(at, ", \t");
        if (len == 0) {
            return cx_err_set(err, CX_INVALID, "an empty item in the list");
        }
        if (n == ITEMS_MAX) {
            return cx_err_set(err, CX_INVALID, "more than %d items in the list", ITEMS_MAX);
        }
        items[n] = cx_arena_strndup(arena, at, len);
        CX_CHECK(items[n] != NULL);
        n++;
        at += len;
        at += strspn(at, " \t");
        if (*at == ',') {
            at++;
            at += strspn(at, " \t");
            if (*at == '\0') {
                return cx_err_set(err, CX_INVALID, "a comma at the end of the list");
            }
        }
    }
    *out = items;
    *count = n;
    return CX_OK;
}

/* ---- And back ---------------------------------------------------------------------------------- */

void app__value_format(const struct cx_config *config, const struct app__key *key,
                       struct cx_buf *out)
{
    const void *value = const_field(config, key);
    const char *rest = key->words;
    struct cx_str word;
    bool first = false;
    unsigned choices = 0;
    switch (key->type) {
    case APP__STRING:
    case APP__SECRET:
    case APP__URL:
    case APP__ENDPOINT:
    case APP__PATH:
    case APP__DATA_PATH:
        cx_buf_puts(out, *(const char *const *)value != NULL ? *(const char *const *)value : "");
        break;
    case APP__INT:
        cx_buf_put_u64(out, *(const unsigned *)value);
        break;
    case APP__REAL:
        app__real_format(*(const double *)value, out);
        break;
    case APP__BOOL:
        cx_buf_puts(out, *(const bool *)value ? "yes" : "no");
        break;
    case APP__DURATION:
        app__duration_format(*(const unsigned *)value, out);
        break;
    case APP__BYTES:
        app__bytes_format(*(const size_t *)value, out);
        break;
    case APP__WORD:
        while (next_word(&rest, &word, &first)) {
            choices += first ? 1 : 0;
            if (first && choices == *(const unsigned *)value + 1) {
                cx_buf_put_str(out, word);
            }
        }
        break;
    case APP__LISTEN:
    case APP__NAMES:
    case APP__ORIGINS:
    case APP__ADDRESSES:
    case APP__LIST:
        for (const char *const *item = *(const char *const *const *)value; *item != NULL; item++) {
            if (item != *(const char *const *const *)value) {
                cx_buf_puts(out, ", ");
            }
            cx_buf_puts(out, *item);
        }
        break;
    }
}
