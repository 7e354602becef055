/* SPDX-License-Identifier: MIT
 *
 * json: the list of what is wrong with an input, and the first of it as a sentence. Owns the list,
 * one thread.
 */
#include "cortex/json.h"

#include <stdio.h>
#include <string.h>

#include "fault.h"

#define FAULTS_KEPT_MAX 100
#define MESSAGE_BYTES 400
#define PATH_BYTES 300

static json_t *path_to(const json_t *loc, const char *name);
static json_t *text_of(const char *text);
static void write_path(const json_t *loc, struct cx_buf *out);

void cx_faults_init(struct cx_faults *f)
{
    *f = (struct cx_faults){ .list = NULL };
}

void cx_faults_free(struct cx_faults *f)
{
    json_decref(f->list);
    cx_faults_init(f);
}

void cx_faults_add(struct cx_faults *f, const json_t *loc, const char *type, const char *format,
                   ...)
{
    va_list args;
    va_start(args, format);
    json__fault_add(f, loc, NULL, type, format, args);
    va_end(args);
}

void json__fault_add(struct cx_faults *f, const json_t *loc, const char *name, const char *type,
                     const char *format, va_list args)
{
    f->count++;
    if (f->count > FAULTS_KEPT_MAX) {
        return;
    }
    if (f->list == NULL) {
        f->list = json_array();
    }
    char message[MESSAGE_BYTES];
    (void)vsnprintf(message, sizeof message, format, args);
    json_t *fault = json_object();
    CX_CHECK(json_object_set_new(fault, "loc", path_to(loc, name)) == 0);
    CX_CHECK(json_object_set_new(fault, "msg", text_of(message)) == 0);
    CX_CHECK(json_object_set_new(fault, "type", json_string(type)) == 0);
    CX_CHECK(json_array_append_new(f->list, fault) == 0);
}

static json_t *path_to(const json_t *loc, const char *name)
{
    json_t *path = json_array();
    CX_CHECK(json_array_extend(path, (json_t *)loc) == 0);
    if (name != NULL) {
        CX_CHECK(json_array_append_new(path, text_of(name)) == 0);
    }
    return path;
}

/* Text that was cut in the middle of a character is cut before it; what is no UTF-8 at all is left
 * out. */
static json_t *text_of(const char *text)
{
    struct cx_str s = cx_str_of(text);
    for (int cut = 0; cut < 4 && s.len > 0 && !cx_utf8_valid(s); cut++) {
        s.len--;
    }
    json_t *value = json_stringn(s.p, s.len);
    return value != NULL ? value : json_string("");
}

void cx_faults_sentence(const struct cx_faults *f, struct cx_err *err)
{
    const json_t *first = json_array_get(f->list, 0);
    if (first == NULL || err == NULL) {
        return;
    }
    struct cx_buf path;
    cx_buf_init(&path, 4096);
    write_path(json_object_get(first, "loc"), &path);
    struct cx_str shown = { path.data != NULL ? path.data : "", path.len };
    const char *dots = "";
    if (shown.len > PATH_BYTES || path.failed) {
        shown.len = cx_utf8_cut(shown, PATH_BYTES);
        dots = "…";
    }
    /* The reason is cut before the count is: how much else is wrong is worth more than its last
     * words. */
    char rest[48] = "";
    if (f->count > 1) {
        (void)snprintf(rest, sizeof rest, " (and %zu more)", f->count - 1);
    }
    const struct cx_str message = cx_str_of(json_string_value(json_object_get(first, "msg")));
    const size_t room = sizeof err->text - 1 - shown.len - strlen(dots) - 1 - strlen(rest);
    (void)cx_err_set(err, CX_INVALID, "%.*s%s %.*s%s", (int)shown.len, shown.p, dots,
                     (int)cx_utf8_cut(message, room), message.p, rest);
    cx_buf_free(&path);
}

/* documents[3].content: without the root (body, query, path) unless there is nothing else. */
static void write_path(const json_t *loc, struct cx_buf *out)
{
    const size_t count = json_array_size(loc);
    for (size_t i = count > 1 ? 1 : 0; i < count; i++) {
        const json_t *step = json_array_get(loc, i);
        if (json_is_integer(step)) {
            cx_buf_printf(out, "[%lld]", (long long)json_integer_value(step));
            continue;
        }
        if (out->len > 0) {
            cx_buf_putc(out, '.');
        }
        cx_buf_append(out, json_string_value(step), json_string_length(step));
    }
}
