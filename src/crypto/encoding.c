/* SPDX-License-Identifier: MIT
 *
 * crypto: bytes as text. Hexadecimal and base64 (RFC 4648), both directions strict. Owns nothing,
 * any thread. Not for secrets whose reading must take the same time whatever they are: the tables
 * are indexed by the data.
 */
#include "cortex/crypto.h"

#include <string.h>

static void encode_base64(const uint8_t *from, size_t len, const char alphabet[64], bool padded,
                          struct cx_buf *out);
static int hex_value(char c);

char *cx_hex(const void *data, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = data;
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[from[i] >> 4];
        text[2 * i + 1] = digits[from[i] & 15];
    }
    text[2 * len] = '\0';
    return text;
}

bool cx_unhex(struct cx_str text, uint8_t *out, size_t out_len)
{
    if (text.len % 2 != 0 || text.len / 2 != out_len) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (hex_value(text.p[i]) < 0) {
            return false;
        }
    }
    for (size_t i = 0; i < out_len; i++) {
        const unsigned high = (unsigned)hex_value(text.p[2 * i]);
        const unsigned low = (unsigned)hex_value(text.p[2 * i + 1]);
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void cx_base64_encode(const void *data, size_t len, struct cx_buf *out)
{
    encode_base64(data, len, standard, true, out);
}

void cx_base64url_encode(const void *data, size_t len, struct cx_buf *out)
{
    encode_base64(data, len, url_safe, false, out);
}

static void encode_base64(const uint8_t *from, size_t len, const char alphabet[64], bool padded,
                          struct cx_buf *out)
{
    if (len > SIZE_MAX / 4 * 3 - 3) {
        out->failed = true; /* its length as text is no size_t */
        return;
    }
    const size_t groups = len / 3;
    const size_t rest = len % 3;
    const size_t tail = rest == 0 ? 0 : padded ? 4 : rest + 1;
    char *text = cx_buf_reserve(out, groups * 4 + tail);
    if (text == NULL) {
        return;
    }
    for (size_t i = 0; i < groups; i++, from += 3, text += 4) {
        const uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        text[0] = alphabet[bits >> 18];
        text[1] = alphabet[bits >> 12 & 63];
        text[2] = alphabet[bits >> 6 & 63];
        text[3] = alphabet[bits & 63];
    }
    if (rest > 0) {
        const uint32_t bits = (uint32_t)from[0] << 16 | (rest == 2 ? (uint32_t)from[1] << 8 : 0);
        char last[4] = { alphabet[bits >> 18], alphabet[bits >> 12 & 63], '=', '=' };
        if (rest == 2) {
            last[2] = alphabet[bits >> 6 & 63];
        }
        memcpy(text, last, tail);
    }
    out->len += groups * 4 + tail;
    if (out->data != NULL) {
        out->data[out->len] = '\0';
    }
}

/* The value of each letter plus one, so that what is not listed is 0. */
#define LETTER(c, value) [c] = (value) + 1
#define LETTERS_4(c, value)                                                                        \
    LETTER(c, value), LETTER((c) + 1, (value) + 1), LETTER((c) + 2, (value) + 2),                  \
        LETTER((c) + 3, (value) + 3)
#define LETTERS_24(c, value)                                                                       \
    LETTERS_4(c, value), LETTERS_4((c) + 4, (value) + 4), LETTERS_4((c) + 8, (value) + 8),         \
        LETTERS_4((c) + 12, (value) + 12), LETTERS_4((c) + 16, (value) + 16),                      \
        LETTERS_4((c) + 20, (value) + 20)
static const uint8_t values[256] = {
    LETTERS_24('A', 0), LETTER('Y', 24), LETTER('Z', 25),    LETTERS_24('a', 26),
    LETTER('y', 50),    LETTER('z', 51), LETTERS_4('0', 52), LETTERS_4('4', 56),
    LETTER('8', 60),    LETTER('9', 61), LETTER('+', 62),    LETTER('/', 63),
};

bool cx_base64_decode(struct cx_str text, void *out, size_t out_cap, size_t *out_len)
{
    if (text.len % 4 != 0) {
        return false;
    }
    if (text.len == 0) {
        *out_len = 0;
        return true;
    }
    size_t padding = 0;
    if (text.p[text.len - 1] == '=') {
        padding = text.p[text.len - 2] == '=' ? 2 : 1;
    }
    const size_t len = text.len / 4 * 3 - padding;
    if (len > out_cap) {
        return false;
    }
    const uint8_t *from = (const uint8_t *)text.p;
    uint8_t *to = out;
    for (size_t whole = len / 3; whole > 0; whole--, from += 4, to += 3) {
        const uint32_t a = values[from[0]];
        const uint32_t b = values[from[1]];
        const uint32_t c = values[from[2]];
        const uint32_t d = values[from[3]];
        if (a == 0 || b == 0 || c == 0 || d == 0) {
            return false;
        }
        const uint32_t bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
        to[0] = (uint8_t)(bits >> 16);
        to[1] = (uint8_t)(bits >> 8);
        to[2] = (uint8_t)bits;
    }
    if (padding > 0) {
        const uint32_t a = values[from[0]];
        const uint32_t b = values[from[1]];
        const uint32_t c = padding == 1 ? values[from[2]] : 1;
        if (a == 0 || b == 0 || c == 0) {
            return false;
        }
        const uint32_t bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6;
        /* Bits below the last byte must be zero, or one value would have several texts. */
        if ((padding == 1 ? bits & 0xff : bits & 0xffff) != 0) {
            return false;
        }
        to[0] = (uint8_t)(bits >> 16);
        if (padding == 1) {
            to[1] = (uint8_t)(bits >> 8);
        }
    }
    *out_len = len;
    return true;
}
