/* SPDX-License-Identifier: MIT
 *
 * One line of the log, as logfmt or as a JSON object, in a buffer of fixed size. Whatever a value
 * holds, the line stays one line: control bytes, quotes, backslashes, invalid UTF-8 and characters
 * that break or turn lines on a screen are written as escapes.
 */
#include "log.h"
#include "utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Kept free for what closes a line: a quote, `,"cut":true`, a brace, the newline. */
enum { LINE_TAIL_BYTES = 32, LINE_LIMIT = LOG_LINE_BYTES - LINE_TAIL_BYTES };

struct writer {
    struct log_line *line;
    bool json;
    bool cut;
};

static const char *level_name(enum cx_log_level level);
static const char *journal_prefix(enum cx_log_level level);
static void put_field(struct writer *w, const struct cx_field *field);
static void put_string(struct writer *w, const char *name, const char *value);
static bool put_name(struct writer *w, const char *name);
static bool needs_quotes(const char *value);
static void put_quoted(struct writer *w, const char *value);
static bool put_escaped(struct writer *w, const unsigned char *unit, size_t len, uint32_t code);
static size_t plain_prefix(const unsigned char *p, size_t len);
static bool put_bytes(struct writer *w, const char *bytes, size_t len);
static void put_tail(struct writer *w, const char *text);

void base__log_format(struct log_line *line, struct log_style style, enum cx_log_level level,
                      int64_t wall_us, const char *message, const struct cx_field *fields)
{
    struct writer w = { .line = line, .json = style.format == CX_LOG_JSON };
    char time[CX_TIME_TEXT_BYTES];
    line->len = 0;
    if (style.journal) {
        put_tail(&w, journal_prefix(level));
    }
    if (w.json) {
        put_tail(&w, "{");
    }
    const size_t start = line->len;
    put_string(&w, "time", cx_time_format(wall_us, time));
    put_string(&w, "level", level_name(level));
    put_string(&w, "msg", message);
    for (; fields->name != NULL; fields++) {
        put_field(&w, fields);
    }
    /* Each field brought its separator; the first one has nothing to be separated from. */
    memmove(line->text + start, line->text + start + 1, line->len - start - 1);
    line->len--;
    if (w.cut) {
        put_tail(&w, w.json ? ",\"cut\":true" : " cut=true");
    }
    put_tail(&w, w.json ? "}\n" : "\n");
}

static const char *level_name(enum cx_log_level level)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    return (unsigned)level < CX_ARRAY_LEN(names) ? names[level] : "error";
}

/* The priorities of syslog, as sd-daemon(3) has them. */
static const char *journal_prefix(enum cx_log_level level)
{
    static const char *const prefixes[] = { "<7>", "<6>", "<4>", "<3>" };
    return (unsigned)level < CX_ARRAY_LEN(prefixes) ? prefixes[level] : "<3>";
}

static void put_field(struct writer *w, const struct cx_field *field)
{
    if (field->kind == CX_FIELD_STRING) {
        if (field->s != NULL) {
            put_string(w, field->name, field->s);
        }
        return;
    }
    char number[32];
    if (field->kind == CX_FIELD_INT) {
        (void)snprintf(number, sizeof number, "%lld", (long long)field->i);
    } else if (isfinite(field->r)) {
        (void)snprintf(number, sizeof number, "%.9g", field->r);
    } else {
        (void)snprintf(number, sizeof number, "null");
    }
    const size_t before = w->line->len;
    if (put_name(w, field->name) && !put_bytes(w, number, strlen(number))) {
        w->line->len = before;
    }
}

static void put_string(struct writer *w, const char *name, const char *value)
{
    if (!put_name(w, name)) {
        return;
    }
    /* What is too long is taken again, character by character, to be cut between two. */
    if (w->json || needs_quotes(value) || !put_bytes(w, value, strlen(value))) {
        put_quoted(w, value);
    }
}

/* The separator, the name and what stands between it and the value: all of it or nothing. */
static bool put_name(struct writer *w, const char *name)
{
    const size_t before = w->line->len;
    bool ok = put_bytes(w, w->json ? ",\"" : " ", w->json ? 2 : 1);
    for (const char *c = name; ok && *c != '\0'; c++) {
        const bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                           (*c >= '0' && *c <= '9') || *c == '_' || *c == '.' || *c == '-';
        ok = put_bytes(w, plain ? c : "_", 1);
    }
    /* A quote may follow, which is why it must fit too. */
    ok = ok && put_bytes(w, w->json ? "\":" : "=", w->json ? 2 : 1) && w->line->len < LINE_LIMIT;
    if (!ok) {
        w->line->len = before;
        w->cut = true;
    }
    return ok;
}

static bool needs_quotes(const char *value)
{
    if (*value == '\0') {
        return true;
    }
    for (const unsigned char *p = (const unsigned char *)value; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7F || *p == '"' || *p == '=' || *p == '\\') {
            return true;
        }
    }
    return false;
}

static void put_quoted(struct writer *w, const char *value)
{
    const unsigned char *p = (const unsigned char *)value;
    size_t left = strlen(value);
    bool ok = put_bytes(w, "\"", 1);
    while (ok && left > 0) {
        size_t unit = plain_prefix(p, left);
        if (unit > 0) {
            const size_t room = LINE_LIMIT - w->line->len;
            ok = put_bytes(w, (const char *)p, unit < room ? unit : room) && unit <= room;
        } else {
            uint32_t code = 0;
            unit = base__utf8_decode(p, left, &code);
            ok = put_escaped(w, p, unit, code);
            unit = unit > 0 ? unit : 1;
        }
        p += unit;
        left -= unit;
    }
    if (!ok) {
        w->cut = true;
    }
    put_tail(w, "\"");
}

/* Writes one character that may need an escape. len 0: no UTF-8, one byte is taken. */
static bool put_escaped(struct writer *w, const unsigned char *unit, size_t len, uint32_t code)
{
    char escape[8];
    if (len == 0) {
        (void)snprintf(escape, sizeof escape, w->json ? "\\\\x%02x" : "\\x%02x", unit[0]);
    } else if (code == '"' || code == '\\') {
        (void)snprintf(escape, sizeof escape, "\\%c", (char)code);
    } else if (code == '\n' || code == '\r' || code == '\t') {
        (void)snprintf(escape, sizeof escape, "\\%c",
                       code == '\n'   ? 'n'
                       : code == '\r' ? 'r'
                                      : 't');
    } else if (code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
               (code >= 0x2066 && code <= 0x2069)) {
        (void)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code & 0xFFFFu);
    } else {
        return put_bytes(w, (const char *)unit, len);
    }
    return put_bytes(w, escape, strlen(escape));
}

static size_t plain_prefix(const unsigned char *p, size_t len)
{
    size_t at = 0;
    while (at < len && p[at] >= 0x20 && p[at] < 0x7F && p[at] != '"' && p[at] != '\\') {
        at++;
    }
    return at;
}

static bool put_bytes(struct writer *w, const char *bytes, size_t len)
{
    if (len > LINE_LIMIT - w->line->len) {
        w->cut = true;
        return false;
    }
    memcpy(w->line->text + w->line->len, bytes, len);
    w->line->len += len;
    return true;
}

/* What closes the line; the limit has kept its room. */
static void put_tail(struct writer *w, const char *text)
{
    const size_t len = strlen(text);
    memcpy(w->line->text + w->line->len, text, len);
    w->line->len += len;
}
