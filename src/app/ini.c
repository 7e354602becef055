/* SPDX-License-Identifier: MIT
 *
 * The configuration file's parser (ini.h): line by line over bytes in memory, no allocation but the
 * list of what was seen, which has a ceiling.
 */
#include "app/ini.h"

#include <stdio.h>
#include <string.h>

struct seen_key {
    struct seen_key *next;
    unsigned line;
    char text[];
};

struct section {
    struct section *next;
    struct seen_key *keys;
    const char *section;
    const char *name;
    unsigned line;
};

struct parser {
    const char *file;
    app__ini_fn on_entry;
    void *ctx;
    struct cx_err *err;
    struct cx_arena arena;
    struct section *sections;
    struct section *current;
    unsigned line;
    unsigned entries;
    size_t at;  /* next byte of text */
    size_t len; /* of text, the blanks at its end left out */
    char text[APP__INI_LINE_MAX_BYTES + 1];
};

static enum cx_status parse_line(struct parser *p, struct cx_str line);
static enum cx_status check_bytes(struct parser *p, struct cx_str line);
static enum cx_status parse_section(struct parser *p);
static enum cx_status parse_section_name(struct parser *p, const char **out);
static enum cx_status open_section(struct parser *p, const char *section, const char *name,
                                   unsigned column);
static enum cx_status parse_entry(struct parser *p);
static enum cx_status note_key(struct parser *p, const char *key, unsigned column);
static enum cx_status unquote(struct parser *p, char **out);
static enum cx_status count_entry(struct parser *p, size_t at);
static struct cx_str read_word(struct parser *p);
static void skip_blanks(struct parser *p);
static enum cx_status fail(struct parser *p, size_t at, const char *format, ...) CX_PRINTF(3, 4);
static enum cx_status fail_at(const char *file, unsigned line, unsigned column, struct cx_err *err,
                              const char *format, va_list args) CX_PRINTF(5, 0);

enum cx_status app__ini_parse(const char *file, struct cx_str text, app__ini_fn on_entry, void *ctx,
                              struct cx_err *err)
{
    if (text.len > APP__INI_FILE_MAX_BYTES) {
        return cx_err_set(err, CX_INVALID, "%s: the file is longer than 1 MiB", file);
    }
    struct parser p = { .file = file, .on_entry = on_entry, .ctx = ctx, .err = err };
    /* Each entry costs its bytes, which the file's limit bounds, and some bookkeeping. */
    cx_arena_init(&p.arena, 2 * APP__INI_FILE_MAX_BYTES);
    enum cx_status status = CX_OK;
    while (status == CX_OK && text.len > 0) {
        const char *end = memchr(text.p, '\n', text.len);
        const size_t len = end != NULL ? (size_t)(end - text.p) : text.len;
        p.line++;
        status = parse_line(&p, (struct cx_str){ text.p, len });
        const size_t step = end != NULL ? len + 1 : len;
        text.p += step;
        text.len -= step;
    }
    cx_arena_free(&p.arena);
    cx_wipe(p.text, sizeof p.text);
    return status;
}

enum cx_status app__ini_fail(const struct app__ini_entry *entry, unsigned column,
                             struct cx_err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const enum cx_status status = fail_at(entry->file, entry->line, column, err, format, args);
    va_end(args);
    return status;
}

static enum cx_status parse_line(struct parser *p, struct cx_str line)
{
    if (line.len > APP__INI_LINE_MAX_BYTES) {
        return fail(p, APP__INI_LINE_MAX_BYTES, "the line is longer than 8 KiB");
    }
    const enum cx_status status = check_bytes(p, line);
    if (status != CX_OK) {
        return status;
    }
    p->len = line.len;
    memcpy(p->text, line.p, line.len);
    while (p->len > 0 && (p->text[p->len - 1] == ' ' || p->text[p->len - 1] == '\t')) {
        p->len--;
    }
    p->text[p->len] = '\0';
    p->at = 0;
    skip_blanks(p);
    switch (p->text[p->at]) {
    case '\0':
    case '#':
    case ';':
        return CX_OK;
    case '[':
        return parse_section(p);
    default:
        return parse_entry(p);
    }
}

static enum cx_status check_bytes(struct parser *p, struct cx_str line)
{
    size_t at = 0;
    while (at < line.len) {
        const unsigned char c = (unsigned char)line.p[at];
        if (c == '\r') {
            return fail(p, at, "a carriage return; lines end with a newline alone");
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return fail(p, at, "a control character (0x%02x)", c);
        }
        const size_t size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (size > line.len - at || !cx_utf8_valid((struct cx_str){ line.p + at, size })) {
            return fail(p, at, "this is not UTF-8 (byte 0x%02x)", c);
        }
        if (c == 0xc2 && (unsigned char)line.p[at + 1] < 0xa0) {
            return fail(p, at, "a control character (U+%04X)", (unsigned char)line.p[at + 1]);
        }
        if (size == 3 && memcmp(line.p + at, "\xef\xbb\xbf", 3) == 0) {
            return fail(p, at, "a byte order mark");
        }
        at += size;
    }
    return CX_OK;
}

static enum cx_status parse_section(struct parser *p)
{
    p->at++;
    const unsigned column = (unsigned)p->at + 1;
    const struct cx_str section = read_word(p);
    if (section.len == 0) {
        return fail(p, p->at, "expected a section's name: lower-case letters, digits and _");
    }
    const size_t after = p->at;
    skip_blanks(p);
    const char *name = NULL;
    if (p->text[p->at] == '"') {
        const enum cx_status status = parse_section_name(p, &name);
        if (status != CX_OK) {
            return status;
        }
    } else if (p->at != after) {
        return fail(p, after, "expected ] or a name in quotes");
    }
    if (p->text[p->at] != ']') {
        return fail(p, p->at, "expected ]");
    }
    p->at++;
    if (p->at != p->len) {
        return fail(p, p->at, "text after ]; a comment stands on a line of its own");
    }
    char *copy = cx_arena_strndup(&p->arena, section.p, section.len);
    CX_CHECK(copy != NULL);
    return open_section(p, copy, name, column);
}

static enum cx_status parse_section_name(struct parser *p, const char **out)
{
    const size_t start = ++p->at;
    while (p->text[p->at] != '\0' && p->text[p->at] != '"') {
        if (p->text[p->at] == '\\') {
            return fail(p, p->at, "a backslash in a section's name");
        }
        p->at++;
    }
    if (p->text[p->at] == '\0') {
        return fail(p, start - 1, "the quotes are not closed");
    }
    if (p->at == start || p->at - start > APP__INI_NAME_MAX_BYTES) {
        return fail(p, start, "a section's name in quotes has 1 to %d bytes",
                    APP__INI_NAME_MAX_BYTES);
    }
    char *name = cx_arena_strndup(&p->arena, p->text + start, p->at - start);
    CX_CHECK(name != NULL);
    p->at++;
    *out = name;
    return CX_OK;
}

static enum cx_status open_section(struct parser *p, const char *section, const char *name,
                                   unsigned column)
{
    struct section *s = p->sections;
    while (s != NULL && (strcmp(s->section, section) != 0 || (s->name == NULL) != (name == NULL) ||
                         (name != NULL && strcmp(s->name, name) != 0))) {
        s = s->next;
    }
    if (s != NULL && name != NULL) {
        return fail(p, column - 1, "[%s \"%s\"] stands in line %u already", section, name, s->line);
    }
    enum cx_status status = count_entry(p, column - 1);
    if (status != CX_OK) {
        return status;
    }
    if (s == NULL) {
        s = cx_arena_alloc(&p->arena, sizeof *s);
        CX_CHECK(s != NULL);
        *s = (struct section){
            .next = p->sections, .section = section, .name = name, .line = p->line
        };
        p->sections = s;
    }
    p->current = s;
    const struct app__ini_entry entry = {
        .file = p->file, .section = section, .name = name, .line = p->line, .column = column
    };
    return p->on_entry(p->ctx, &entry, p->err);
}

static enum cx_status parse_entry(struct parser *p)
{
    const size_t start = p->at;
    const struct cx_str word = read_word(p);
    if (word.len == 0) {
        return fail(p, p->at,
                    "expected [section], or key = value with a key of lower-case letters, "
                    "digits and _");
    }
    const size_t word_end = p->at;
    skip_blanks(p);
    if (p->text[p->at] != '=') {
        return fail(p, p->at, "expected = after the key");
    }
    if (p->current == NULL) {
        return fail(p, start, "a key before the first [section]");
    }
    p->text[word_end] = '\0'; /* over a blank or the = itself, which were read */
    p->at++;
    skip_blanks(p);
    const unsigned column = (unsigned)start + 1;
    const unsigned value_column = (unsigned)p->at + 1;
    enum cx_status status = note_key(p, word.p, column);
    if (status != CX_OK) {
        return status;
    }
    char *value = p->text + p->at;
    const bool quoted = *value == '"';
    if (quoted) {
        status = unquote(p, &value);
        if (status != CX_OK) {
            return status;
        }
    }
    const struct app__ini_entry entry = {
        .file = p->file,
        .section = p->current->section,
        .name = p->current->name,
        .key = word.p,
        .value = value,
        .line = p->line,
        .column = column,
        .value_column = value_column,
        .quoted = quoted,
    };
    return p->on_entry(p->ctx, &entry, p->err);
}

static enum cx_status note_key(struct parser *p, const char *key, unsigned column)
{
    for (const struct seen_key *k = p->current->keys; k != NULL; k = k->next) {
        if (strcmp(k->text, key) == 0) {
            return fail(p, column - 1, "%s stands in line %u already", key, k->line);
        }
    }
    const enum cx_status status = count_entry(p, column - 1);
    if (status != CX_OK) {
        return status;
    }
    const size_t size = strlen(key) + 1;
    struct seen_key *k = cx_arena_alloc(&p->arena, sizeof *k + size);
    CX_CHECK(k != NULL);
    k->next = p->current->keys;
    k->line = p->line;
    memcpy(k->text, key, size);
    p->current->keys = k;
    return CX_OK;
}

/* Takes the quotes and escapes off in place: the result is never longer. */
static enum cx_status unquote(struct parser *p, char **out)
{
    const size_t start = p->at;
    char *to = p->text + start;
    p->at++;
    while (p->text[p->at] != '"') {
        if (p->text[p->at] == '\\') {
            const char escaped = p->text[p->at + 1];
            if (escaped != '\\' && escaped != '"') {
                return fail(p, p->at, "only \\\\ and \\\" are known in quotes");
            }
            p->at++;
        }
        if (p->text[p->at] == '\0') {
            return fail(p, start, "the quotes are not closed");
        }
        *to++ = p->text[p->at++];
    }
    if (p->at + 1 != p->len) {
        return fail(p, p->at + 1, "text after the closing quotes");
    }
    *to = '\0';
    *out = p->text + start;
    return CX_OK;
}

/* A ceiling on what is compared with what was seen before, so that time stays bounded. */
static enum cx_status count_entry(struct parser *p, size_t at)
{
    if (p->entries == APP__INI_ENTRIES_MAX) {
        return fail(p, at, "more than %d keys and sections", APP__INI_ENTRIES_MAX);
    }
    p->entries++;
    return CX_OK;
}

static struct cx_str read_word(struct parser *p)
{
    const size_t start = p->at;
    while ((p->text[p->at] >= 'a' && p->text[p->at] <= 'z') ||
           (p->at > start &&
            ((p->text[p->at] >= '0' && p->text[p->at] <= '9') || p->text[p->at] == '_'))) {
        p->at++;
    }
    return (struct cx_str){ p->text + start, p->at - start };
}

static void skip_blanks(struct parser *p)
{
    while (p->text[p->at] == ' ' || p->text[p->at] == '\t') {
        p->at++;
    }
}

static enum cx_status fail(struct parser *p, size_t at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const enum cx_status status = fail_at(p->file, p->line, (unsigned)at + 1, p->err, format, args);
    va_end(args);
    return status;
}

static enum cx_status fail_at(const char *file, unsigned line, unsigned column, struct cx_err *err,
                              const char *format, va_list args)
{
    char text[400];
    vsnprintf(text, sizeof text, format, args);
    return cx_err_set(err, CX_INVALID, "%s:%u:%u: %s", file, line, column, text);
}
