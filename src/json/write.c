/* SPDX-License-Identifier: MIT
 *
 * json: values as bytes, compact or canonical (RFC 8785). Writes straight into the caller's buffer,
 * whose ceiling is the only limit. Owns nothing, any thread.
 */
#include "cortex/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"

/* Values of our own making wrap what a client sent a few times; this deep is none of them. */
#define WRITE_DEPTH_MAX 1024
#define EXACT_INTEGER_MAX ((INT64_C(1) << 53) - 1)

struct writer {
    struct cx_buf *out;
    struct cx_err *err;
    bool canonical;
    enum cx_status status; /* CX_OK until something cannot be written */
    int depth;
};

static void write_value(struct writer *w, const json_t *value);
static void write_array(struct writer *w, const json_t *array);
static void write_members(struct writer *w, json_t *object);
static void write_members_sorted(struct writer *w, json_t *object);
static void write_integer(struct writer *w, int64_t value);
static void write_real(struct writer *w, double value);

void cx_json_write(const json_t *value, struct cx_buf *out)
{
    struct writer w = { .out = out, .status = CX_OK };
    write_value(&w, value);
}

enum cx_status cx_json_write_canonical(const json_t *value, struct cx_buf *out, struct cx_err *err)
{
    struct writer w = { .out = out, .err = err, .canonical = true, .status = CX_OK };
    const size_t before = out->len;
    write_value(&w, value);
    if (w.status == CX_OK && out->failed) {
        w.status = cx_err_set(err, CX_TOO_LARGE, "The value is too large to be written");
    }
    if (w.status != CX_OK && out->data != NULL) {
        out->len = before;
        out->data[before] = '\0';
    }
    return w.status;
}

static void write_value(struct writer *w, const json_t *value)
{
    if (w->out->failed || w->status != CX_OK) {
        return;
    }
    CX_CHECK(w->depth < WRITE_DEPTH_MAX);
    w->depth++;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        cx_buf_putc(w->out, '{');
        if (w->canonical) {
            write_members_sorted(w, (json_t *)value);
        } else {
            write_members(w, (json_t *)value);
        }
        cx_buf_putc(w->out, '}');
        break;
    case JSON_ARRAY:
        write_array(w, value);
        break;
    case JSON_STRING:
        cx_json_write_string((struct cx_str){ json_string_value(value), json_string_length(value) },
                             w->out);
        break;
    case JSON_INTEGER:
        write_integer(w, json_integer_value(value));
        break;
    case JSON_REAL:
        write_real(w, json_real_value(value));
        break;
    case JSON_TRUE:
        cx_buf_append(w->out, "true", 4);
        break;
    case JSON_FALSE:
        cx_buf_append(w->out, "false", 5);
        break;
    case JSON_NULL:
        cx_buf_append(w->out, "null", 4);
        break;
    }
    w->depth--;
}

static void write_array(struct writer *w, const json_t *array)
{
    const size_t count = json_array_size(array);
    cx_buf_putc(w->out, '[');
    for (size_t i = 0; i < count && !w->out->failed; i++) {
        if (i > 0) {
            cx_buf_putc(w->out, ',');
        }
        write_value(w, json_array_get(array, i));
    }
    cx_buf_putc(w->out, ']');
}

static void write_member(struct writer *w, struct cx_str name, const json_t *value, bool first)
{
    if (!first) {
        cx_buf_putc(w->out, ',');
    }
    cx_json_write_string(name, w->out);
    cx_buf_putc(w->out, ':');
    write_value(w, value);
}

/* jansson walks the members in the order in which they were first set. */
static void write_members(struct writer *w, json_t *object)
{
    bool first = true;
    for (void *at = json_object_iter(object); at != NULL && !w->out->failed;
         at = json_object_iter_next(object, at)) {
        const struct cx_str name = { json_object_iter_key(at), json_object_iter_key_len(at) };
        write_member(w, name, json_object_iter_value(at), first);
        first = false;
    }
}

struct member {
    struct cx_str name;
    const json_t *value;
};

/* UTF-8 bytes sort as code points do. In UTF-16 those beyond U+FFFF (lead bytes F0 and up) are
 * written with surrogates, and so come before U+E000 to U+FFFF (lead bytes EE and EF). */
static int compare_as_utf16(const void *a, const void *b)
{
    const struct cx_str *x = &((const struct member *)a)->name;
    const struct cx_str *y = &((const struct member *)b)->name;
    const size_t shorter = x->len < y->len ? x->len : y->len;
    for (size_t i = 0; i < shorter; i++) {
        const unsigned char c = (unsigned char)x->p[i];
        const unsigned char d = (unsigned char)y->p[i];
        if (c != d) {
            const bool swapped = c >= 0xee && d >= 0xee && (c >= 0xf0) != (d >= 0xf0);
            return (c < d) != swapped ? -1 : 1;
        }
    }
    return x->len < y->len ? -1 : x->len > y->len;
}

static void write_members_sorted(struct writer *w, json_t *object)
{
    const size_t count = json_object_size(object);
    if (count == 0) {
        return;
    }
    struct member *members = calloc(count, sizeof *members);
    if (members == NULL) {
        w->status = cx_err_set(w->err, CX_NO_MEMORY, "There is no memory to sort the members");
        return;
    }
    size_t n = 0;
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        members[n].name.p = json_object_iter_key(at);
        members[n].name.len = json_object_iter_key_len(at);
        members[n++].value = json_object_iter_value(at);
    }
    qsort(members, n, sizeof *members, compare_as_utf16);
    for (size_t i = 0; i < n && !w->out->failed && w->status == CX_OK; i++) {
        write_member(w, members[i].name, members[i].value, i == 0);
    }
    free(members);
}

static void write_integer(struct writer *w, int64_t value)
{
    if (w->canonical && (value > EXACT_INTEGER_MAX || value < -EXACT_INTEGER_MAX)) {
        w->status = cx_err_set(w->err, CX_INVALID,
                               "An integer is beyond ±9007199254740991, where not every reader of "
                               "JSON sees the same number");
        return;
    }
    cx_buf_put_i64(w->out, value);
}

static void write_real(struct writer *w, double value)
{
    if (w->canonical) {
        char text[CX_NUMBER_TEXT_BYTES];
        const size_t len = cx_json_format_number(value, text);
        cx_buf_append(w->out, text, len);
    } else {
        cx_json_write_real(value, w->out);
    }
}

/* What was a real number stays one for who reads the text, and keeps its sign. */
void cx_json_write_real(double value, struct cx_buf *out)
{
    if (value == 0.0) {
        cx_buf_puts(out, signbit(value) ? "-0.0" : "0.0");
        return;
    }
    char text[CX_NUMBER_TEXT_BYTES];
    const size_t len = cx_json_format_number(value, text);
    cx_buf_append(out, text, len);
    if (memchr(text, '.', len) == NULL && memchr(text, 'e', len) == NULL) {
        cx_buf_append(out, ".0", 2);
    }
}

void cx_json_write_string(struct cx_str s, struct cx_buf *out)
{
    cx_buf_putc(out, '"');
    size_t at = 0;
    while (at < s.len) {
        const size_t run = json__plain_run(s.p + at, s.len - at, false);
        if (run > 0) {
            cx_buf_append(out, s.p + at, run);
            at += run;
        }
        if (at == s.len) {
            break;
        }
        static const char short_forms[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                            ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\' };
        static const char hex[] = "0123456789abcdef";
        const unsigned char c = (unsigned char)s.p[at++];
        if (short_forms[c] != '\0') {
            cx_buf_append(out, (const char[]){ '\\', short_forms[c] }, 2);
        } else {
            cx_buf_append(out, (const char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
        }
    }
    cx_buf_putc(out, '"');
}
