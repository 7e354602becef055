/* SPDX-License-Identifier: MIT
 *
 * The tables made of status.def, and the error text for a person.
 */
#include "cortex/base.h"

#include <stdio.h>
#include <string.h>

struct status_row {
    int http;
    const char *name;
    const char *reason;
    const char *text;
};

static const struct status_row status_rows[CX_STATUS_COUNT] = {
    [CX_OK] = { 200, "OK", "ok", "OK" },
#define CX_STATUS(id, http_status, reason_word, default_text)                                      \
    [CX_##id] = { http_status, #id, reason_word, default_text },
#include "cortex/status.def"
#undef CX_STATUS
};

static const struct status_row *row_of(enum cx_status status);
static void replace_invalid(char *text, size_t len);

enum cx_status cx_err_set(struct cx_err *err, enum cx_status status, const char *format, ...)
{
    if (err == NULL) {
        return status;
    }
    /* By way of a copy, because err->text may be among the arguments; one byte longer, so that the
     * cut sees whether a character goes on. */
    char text[sizeof err->text + 1];
    va_list args;
    va_start(args, format);
    const int written = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = written < 0 ? 0 : (size_t)written;
    if (len >= sizeof err->text) {
        len = cx_utf8_cut((struct cx_str){ text, sizeof err->text }, sizeof err->text - 1);
    }
    text[len] = '\0';
    replace_invalid(text, len);
    memcpy(err->text, text, len + 1);
    return status;
}

int cx_status_http(enum cx_status status)
{
    return row_of(status)->http;
}

const char *cx_status_reason(enum cx_status status)
{
    return row_of(status)->reason;
}

const char *cx_status_text(enum cx_status status)
{
    return row_of(status)->text;
}

const char *cx_status_name(enum cx_status status)
{
    return row_of(status)->name;
}

static const struct status_row *row_of(enum cx_status status)
{
    CX_CHECK((unsigned)status < CX_STATUS_COUNT);
    return &status_rows[status];
}

/* The text goes into JSON, which has no room for bytes that are not UTF-8. */
static void replace_invalid(char *text, size_t len)
{
    if (cx_utf8_valid((struct cx_str){ text, len })) {
        return;
    }
    size_t at = 0;
    while (at < len) {
        size_t unit = 1;
        while (unit <= 4 && at + unit <= len &&
               !cx_utf8_valid((struct cx_str){ text + at, unit })) {
            unit++;
        }
        if (unit > 4 || at + unit > len) {
            text[at] = '?';
            unit = 1;
        }
        at += unit;
    }
}
