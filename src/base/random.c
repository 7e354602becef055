/* SPDX-License-Identifier: MIT
 *
 * Random bytes from the kernel, and identifiers made of them.
 */
#include "cortex/base.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

void cx_random_init(struct cx_random *r)
{
    r->left = 0;
}

void cx_random_fill(struct cx_random *r, void *out, size_t len)
{
    if (len > sizeof r->bytes) {
        cx_random_bytes(out, len);
        return;
    }
    if (len > r->left) {
        cx_random_bytes(r->bytes, sizeof r->bytes);
        r->left = sizeof r->bytes;
    }
    r->left -= len;
    memcpy(out, r->bytes + r->left, len);
    /* What was handed out must not be found again in the pool. */
    cx_wipe(r->bytes + r->left, len);
}

char *cx_uuid4(struct cx_random *r, char text[CX_UUID_TEXT_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[16];
    cx_random_fill(r, bytes, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80);
    char *at = text;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 0x0F];
    }
    *at = '\0';
    return text;
}

void cx_random_bytes(void *out, size_t len)
{
    unsigned char *at = out;
    while (len > 0) {
        const ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        CX_CHECK(got > 0);
        at += got;
        len -= (size_t)got;
    }
}
