/* SPDX-License-Identifier: MIT
 *
 * The growing buffer with a ceiling. Invariant: data is NULL, or cap > len and data[len] is NUL.
 */
#include "cortex/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_BYTES = 64 };

static void put_decimal(struct cx_buf *b, uint64_t value, bool negative);
static bool make_room(struct cx_buf *b, size_t len);

void cx_buf_init(struct cx_buf *b, size_t ceiling)
{
    /* One less than SIZE_MAX, so that a ceiling plus its NUL is still a size. */
    *b = (struct cx_buf){ .ceiling = ceiling < SIZE_MAX ? ceiling : SIZE_MAX - 1 };
}

void cx_buf_free(struct cx_buf *b)
{
    free(b->data);
    cx_buf_init(b, b->ceiling);
}

void cx_buf_clear(struct cx_buf *b)
{
    b->len = 0;
    b->failed = false;
    b->starved = false;
    if (b->data != NULL) {
        b->data[0] = '\0';
    }
}

void cx_buf_append(struct cx_buf *b, const void *data, size_t len)
{
    if (!make_room(b, len)) {
        return;
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
}

void cx_buf_puts(struct cx_buf *b, const char *text)
{
    cx_buf_append(b, text, strlen(text));
}

void cx_buf_putc(struct cx_buf *b, char c)
{
    cx_buf_append(b, &c, 1);
}

void cx_buf_put_str(struct cx_buf *b, struct cx_str s)
{
    cx_buf_append(b, s.p, s.len);
}

void cx_buf_put_u64(struct cx_buf *b, uint64_t value)
{
    put_decimal(b, value, false);
}

void cx_buf_put_i64(struct cx_buf *b, int64_t value)
{
    put_decimal(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

void cx_buf_printf(struct cx_buf *b, const char *format, ...)
{
    if (!make_room(b, 0)) {
        return;
    }
    const size_t room = b->cap - b->len;
    va_list args;
    va_start(args, format);
    int written = vsnprintf(b->data + b->len, room, format, args);
    va_end(args);
    if (written < 0) {
        b->failed = true;
    } else if ((size_t)written >= room && make_room(b, (size_t)written)) {
        va_start(args, format);
        written = vsnprintf(b->data + b->len, (size_t)written + 1, format, args);
        va_end(args);
    }
    if (b->failed) {
        b->data[b->len] = '\0';
        return;
    }
    b->len += (size_t)written;
}

char *cx_buf_reserve(struct cx_buf *b, size_t len)
{
    return make_room(b, len) ? b->data + b->len : NULL;
}

void cx_buf_consume(struct cx_buf *b, size_t len)
{
    CX_CHECK(len <= b->len);
    if (len == 0) {
        return;
    }
    b->len -= len;
    memmove(b->data, b->data + len, b->len);
    b->data[b->len] = '\0';
}

char *cx_buf_take(struct cx_buf *b, size_t *len)
{
    char *data = NULL;
    if (make_room(b, 0)) {
        data = b->data;
        if (len != NULL) {
            *len = b->len;
        }
        b->data = NULL;
    }
    cx_buf_free(b);
    return data;
}

static void put_decimal(struct cx_buf *b, uint64_t value, bool negative)
{
    char digits[21];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    if (negative) {
        digits[--at] = '-';
    }
    cx_buf_append(b, digits + at, sizeof digits - at);
}

/* Makes room for len bytes and the NUL after them. */
static bool make_room(struct cx_buf *b, size_t len)
{
    if (b->failed) {
        return false;
    }
    if (len > b->ceiling || b->len > b->ceiling - len) {
        b->failed = true;
        return false;
    }
    const size_t need = b->len + len + 1;
    if (need <= b->cap) {
        return true;
    }
    size_t cap = b->cap > 0 ? b->cap : BUF_FIRST_BYTES;
    while (cap < need) {
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    }
    if (cap > b->ceiling + 1) {
        cap = b->ceiling + 1;
    }
    char *data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        b->starved = true;
        return false;
    }
    data[b->len] = '\0';
    b->data = data;
    b->cap = cap;
    return true;
}
