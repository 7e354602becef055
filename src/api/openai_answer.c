/* SPDX-License-Identifier: MIT
 *
 * The answer of POST /v1/embeddings as bytes. Numbers are written with as few digits as read back
 * as the same float32: half as long as the digits of the double that it is. Pure; any thread.
 */
#include "api/openai_compat.h"

#include <math.h>
#include <string.h>

#include "cortex/crypto.h"

#define NUMBER_BYTES_MAX 32 /* with its comma */
#define ROW_BYTES_MAX 96    /* around its numbers */
#define TAIL_BYTES_MAX 4096 /* model and usage */

static void write_floats(const float *row, unsigned dimension, struct cx_buf *out);

void api__openai_write_vectors(const struct api__openai_vectors *v, struct cx_buf *out)
{
    const size_t number_bytes = v->base64 ? 6 : NUMBER_BYTES_MAX;
    cx_buf_init(out, v->count * (v->dimension * number_bytes + ROW_BYTES_MAX) + TAIL_BYTES_MAX);
    cx_buf_puts(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < v->count; i++) {
        const float *row = v->rows + i * v->dimension;
        cx_buf_printf(
            out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i > 0 ? "," : "", i);
        if (v->base64) {
            /* Little-endian, as every machine we build for. */
            cx_buf_putc(out, '"');
            cx_base64_encode(row, v->dimension * sizeof *row, out);
            cx_buf_putc(out, '"');
        } else {
            write_floats(row, v->dimension, out);
        }
        cx_buf_putc(out, '}');
    }
    cx_buf_puts(out, "],\"model\":");
    cx_json_write_string(cx_str_of(v->model), out);
    cx_buf_printf(out, ",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}", v->tokens,
                  v->tokens);
    if (v->truncated > 0) {
        cx_buf_printf(out, ",\"truncated\":%zu", v->truncated);
    }
    cx_buf_putc(out, '}');
}

size_t api__openai_vectors_bytes(size_t count, unsigned dimension, bool base64)
{
    const size_t text_bytes = base64 ? 6 : 14;
    return count * dimension * (sizeof(float) + text_bytes);
}

static size_t write_number(float value, char *text);

static void write_floats(const float *row, unsigned dimension, struct cx_buf *out)
{
    enum { AT_ONCE = 64 };
    cx_buf_putc(out, '[');
    for (unsigned i = 0; i < dimension;) {
        const unsigned end = dimension - i < AT_ONCE ? dimension : i + AT_ONCE;
        char *text = cx_buf_reserve(out, (size_t)(end - i) * NUMBER_BYTES_MAX);
        size_t len = 0;
        if (text == NULL) {
            return;
        }
        for (; i < end; i++) {
            if (i > 0) {
                text[len++] = ',';
            }
            len += write_number(row[i], text + len);
        }
        out->len += len;
    }
    cx_buf_putc(out, ']');
}

static bool shorten(double value, uint64_t *digits, int *places);
static size_t lay_out(uint64_t digits, int places, char *text);

static size_t write_number(float value, char *text)
{
    size_t len = 0;
    uint64_t digits = 0;
    int places = 0;
    if (shorten(fabs((double)value), &digits, &places)) {
        if (value < 0.0F) {
            text[len++] = '-';
        }
        return len + lay_out(digits, places, text + len);
    }
    len = cx_json_format_number((double)value, text);
    if (strpbrk(text, ".e") == NULL) {
        memcpy(text + len, ".0", 3);
        len += 2;
    }
    return len;
}

/* The fewest digits of 0.d1d2d3… that read back, of a number that is written that way. A decimal of
 * up to 15 digits is one double, and so is each power of ten here: what is compared is exactly what
 * a reader makes of the text. Six digits always survive a float32, nine always tell it. */
static bool shorten(double value, uint64_t *digits, int *places)
{
    static const double powers[] = { 1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6, 1e7,
                                     1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14 };
    if (!(value >= 1e-5 && value < 1.0)) {
        return false;
    }
    int zeros = 0; /* behind the point */
    while (value * powers[zeros + 1] < 1.0) {
        zeros++;
    }
    for (int count = 6; count <= 9; count++) {
        const double scale = powers[zeros + count];
        const double whole = nearbyint(value * scale);
        if ((float)(whole / scale) == (float)value) {
            *digits = (uint64_t)whole;
            *places = zeros + count;
            return *digits < (uint64_t)scale; /* else it is 1 */
        }
    }
    return false;
}

static size_t lay_out(uint64_t digits, int places, char *text)
{
    while (digits % 10 == 0) {
        digits /= 10;
        places--;
    }
    text[0] = '0';
    text[1] = '.';
    for (int i = places; i > 0; i--) {
        text[1 + i] = (char)('0' + digits % 10);
        digits /= 10;
    }
    return (size_t)places + 2;
}
