/* SPDX-License-Identifier: MIT
 *
 * json: strings (RFC 8259 section 7): escapes and UTF-8. A string without escapes is not copied.
 * Owns nothing, any thread.
 */
#include "parser.h"
#include "scan.h"

static size_t sequence_bytes(const char *at, const char *end);
static bool decode_escape(struct json__parser *p);
static bool decode_unicode(struct json__parser *p, const char *at);
static int32_t read_hex4(const char *at, const char *end);

bool json__decode_string(struct json__parser *p, struct json__decoded *out)
{
    const char *run = ++p->at; /* what is not yet in scratch */
    const size_t offset = p->scratch.len;
    bool escaped = false;
    for (;;) {
        p->at += json__plain_run(p->at, (size_t)(p->end - p->at), true);
        if (p->at == p->end) {
            return json__refuse(p, p->at, "the text ends inside a string");
        }
        const unsigned char c = (unsigned char)*p->at;
        if (c == '"') {
            break;
        }
        if (c == '\\') {
            escaped = true;
            cx_buf_append(&p->scratch, run, (size_t)(p->at - run));
            if (!decode_escape(p)) {
                return false;
            }
            run = p->at;
        } else if (c < 0x20) {
            return json__refuse(p, p->at, "a control character in a string must be escaped");
        } else {
            const size_t bytes = sequence_bytes(p->at, p->end);
            if (bytes == 0) {
                return json__refuse(p, p->at, "a string is not UTF-8");
            }
            p->at += bytes;
        }
    }
    if (escaped) {
        cx_buf_append(&p->scratch, run, (size_t)(p->at - run));
        if (p->scratch.failed) {
            (void)json__made(p, NULL);
            return false;
        }
        *out = (struct json__decoded){ .offset = offset, .len = p->scratch.len - offset };
    } else {
        *out = (struct json__decoded){ .raw = run, .len = (size_t)(p->at - run) };
    }
    p->at++;
    return true;
}

/* Bytes of the UTF-8 sequence at p, which starts with a byte of 0x80 or more; 0 if it is none (RFC
 * 3629). */
static size_t sequence_bytes(const char *at, const char *end)
{
    const unsigned char *c = (const unsigned char *)at;
    const size_t left = (size_t)(end - at);
    unsigned char least = 0x80; /* of the second byte */
    unsigned char most = 0xbf;
    size_t bytes = 0;
    if (c[0] >= 0xc2 && c[0] <= 0xdf) {
        bytes = 2;
    } else if (c[0] >= 0xe0 && c[0] <= 0xef) {
        bytes = 3;
        least = c[0] == 0xe0 ? 0xa0 : least; /* overlong */
        most = c[0] == 0xed ? 0x9f : most;   /* surrogates */
    } else if (c[0] >= 0xf0 && c[0] <= 0xf4) {
        bytes = 4;
        least = c[0] == 0xf0 ? 0x90 : least;
        most = c[0] == 0xf4 ? 0x8f : most; /* beyond U+10FFFF */
    }
    if (bytes == 0 || left < bytes || c[1] < least || c[1] > most) {
        return 0;
    }
    for (size_t i = 2; i < bytes; i++) {
        if (c[i] < 0x80 || c[i] > 0xbf) {
            return 0;
        }
    }
    return bytes;
}

static bool decode_escape(struct json__parser *p)
{
    const char *at = p->at++;
    char c = p->at < p->end ? *p->at++ : '\0';
    switch (c) {
    case '"':
    case '\\':
    case '/':
        break;
    case 'b':
        c = '\b';
        break;
    case 'f':
        c = '\f';
        break;
    case 'n':
        c = '\n';
        break;
    case 'r':
        c = '\r';
        break;
    case 't':
        c = '\t';
        break;
    case 'u':
        return decode_unicode(p, at);
    default:
        return json__refuse(p, at, "an escape that JSON does not have");
    }
    cx_buf_putc(&p->scratch, c);
    return true;
}

static bool decode_unicode(struct json__parser *p, const char *at)
{
    int32_t code = read_hex4(p->at, p->end);
    if (code < 0) {
        return json__refuse(p, at, "\\u is not followed by four hexadecimal digits");
    }
    if (code == 0) {
        return json__refuse(p, at, "\\u0000 is not allowed");
    }
    p->at += 4;
    if (code >= 0xd800 && code <= 0xdfff) {
        int32_t low = -1;
        if (code <= 0xdbff && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
            low = read_hex4(p->at + 2, p->end);
        }
        if (low < 0xdc00 || low > 0xdfff) {
            return json__refuse(p, at, "half of a surrogate pair");
        }
        p->at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    char utf8[4];
    size_t bytes = 0;
    if (code < 0x80) {
        utf8[bytes++] = (char)code;
    } else if (code < 0x800) {
        utf8[bytes++] = (char)(0xc0 | code >> 6);
        utf8[bytes++] = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        utf8[bytes++] = (char)(0xe0 | code >> 12);
        utf8[bytes++] = (char)(0x80 | (code >> 6 & 63));
        utf8[bytes++] = (char)(0x80 | (code & 63));
    } else {
        utf8[bytes++] = (char)(0xf0 | code >> 18);
        utf8[bytes++] = (char)(0x80 | (code >> 12 & 63));
        utf8[bytes++] = (char)(0x80 | (code >> 6 & 63));
        utf8[bytes++] = (char)(0x80 | (code & 63));
    }
    cx_buf_append(&p->scratch, utf8, bytes);
    return true;
}

/* Four hexadecimal digits at `at`, or -1. */
static int32_t read_hex4(const char *at, const char *end)
{
    if (end - at < 4) {
        return -1;
    }
    int32_t code = 0;
    for (int i = 0; i < 4; i++) {
        const char c = at[i];
        int digit = 0;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if (c >= 'a' && c <= 'f') {
            digit = c - 'a' + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = c - 'A' + 10;
        } else {
            return -1;
        }
        code = code * 16 + digit;
    }
    return code;
}
