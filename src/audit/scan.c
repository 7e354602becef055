/* SPDX-License-Identifier: MIT
 *
 * Scanning and writing parts of lines (scan.h). What has more than one spelling elsewhere is written again and
 * compared.
 */
#include "audit/scan.h"

#include <string.h>

void audit__take_literal(struct audit__scan *s, const char *literal)
{
    const size_t len = strlen(literal);
    if (!s->ok || s->left.len < len || memcmp(s->left.p, literal, len) != 0) {
        s->ok = false;
        return;
    }
    s->left.p += len;
    s->left.len -= len;
}

struct cx_str audit__take_bytes(struct audit__scan *s, size_t len)
{
    if (!s->ok || s->left.len < len) {
        s->ok = false;
        return (struct cx_str){ NULL, 0 };
    }
    const struct cx_str taken = { s->left.p, len };
    s->left.p += len;
    s->left.len -= len;
    return taken;
}

uint64_t audit__take_u64(struct audit__scan *s)
{
    size_t len = 0;
    while (s->ok && len < s->left.len && s->left.p[len] >= '0' && s->left.p[len] <= '9') {
        len++;
    }
    const struct cx_str digits = audit__take_bytes(s, len);
    uint64_t value = 0;
    if (s->ok && (!cx_parse_u64(digits, &value) || (digits.len > 1 && digits.p[0] == '0'))) {
        s->ok = false;
    }
    return value;
}

void audit__take_hex(struct audit__scan *s, uint8_t *out, size_t out_len)
{
    const struct cx_str text = audit__take_bytes(s, 2 * out_len);
    for (size_t i = 0; s->ok && i < text.len; i++) {
        s->ok = (text.p[i] >= '0' && text.p[i] <= '9') || (text.p[i] >= 'a' && text.p[i] <= 'f');
    }
    if (s->ok) {
        s->ok = cx_unhex(text, out, out_len);
    }
}

void audit__take_key_id(struct audit__scan *s, char out[CX_KEY_ID_BYTES])
{
    uint8_t bytes[(CX_KEY_ID_BYTES - 1) / 2];
    audit__take_hex(s, bytes, sizeof bytes);
    if (s->ok) {
        (void)cx_hex(bytes, sizeof bytes, out);
    }
}

int64_t audit__take_time(struct audit__scan *s)
{
    char again[CX_TIME_TEXT_BYTES];
    int64_t time_us = 0;
    const struct cx_str text = audit__take_bytes(s, sizeof "2026-02-08T10:00:00.123456Z" - 1);
    if (s->ok && (!cx_time_parse(text, &time_us) ||
                  !cx_str_eq(text, cx_str_of(cx_time_format(time_us, again))))) {
        s->ok = false;
    }
    return time_us;
}

bool audit__scan_ended(const struct audit__scan *s)
{
    return s->ok && s->left.len == 0;
}

void audit__put_hex(struct cx_buf *out, const void *data, size_t len)
{
    char text[2 * CX_ED25519_SIGNATURE_BYTES + 1];
    CX_CHECK(2 * len < sizeof text);
    cx_buf_puts(out, cx_hex(data, len, text));
}

void audit__put_time(struct cx_buf *out, int64_t time_us)
{
    char text[CX_TIME_TEXT_BYTES];
    cx_buf_puts(out, cx_time_format(time_us, text));
}
