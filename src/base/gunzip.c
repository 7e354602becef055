/* SPDX-License-Identifier: MIT
 *
 * One gzip member (RFC 1952) read back by zlib, its checksum and length included.
 */
#include "cortex/base.h"

#define ZLIB_CONST
#include <zlib.h>

enum { GZIP_ONLY = 15 + 16 /* zlib's way to ask for the gzip wrapper */, GROW_STEP = 64 * 1024 };

static bool inflate_all(z_stream *z, struct cx_str data, struct cx_buf *out, size_t *used);

bool cx_gunzip(struct cx_str data, struct cx_buf *out, size_t *used)
{
    if (out->failed) {
        return false;
    }
    const size_t before = out->len;
    z_stream z = { 0 };
    bool ok = inflateInit2(&z, GZIP_ONLY) == Z_OK;
    if (ok) {
        ok = inflate_all(&z, data, out, used);
        (void)inflateEnd(&z);
    }
    if (!ok) {
        out->len = before;
    }
    if (out->data != NULL) {
        out->data[out->len] = '\0';
    }
    return ok;
}

static bool inflate_all(z_stream *z, struct cx_str data, struct cx_buf *out, size_t *used)
{
    const size_t most = (size_t)1 << 30;
    size_t left = data.len;
    z->next_in = (const Bytef *)data.p;
    for (;;) {
        if (z->avail_in == 0) {
            z->avail_in = (uInt)(left < most ? left : most);
            left -= z->avail_in;
        }
        const size_t room = out->ceiling - out->len;
        const size_t step = room < GROW_STEP ? room : GROW_STEP;
        /* One byte more than the ceiling shows a member that just fits. */
        Bytef last = 0;
        char *at = step > 0 ? cx_buf_reserve(out, step) : (char *)&last;
        if (at == NULL) {
            return false;
        }
        z->next_out = (Bytef *)at;
        z->avail_out = (uInt)(step > 0 ? step : 1);
        const uInt given = z->avail_out;
        const uInt taken = z->avail_in;
        const int result = inflate(z, Z_NO_FLUSH);
        const size_t made = given - z->avail_out;
        if (step == 0 && made > 0) {
            out->failed = true;
            return false;
        }
        out->len += made;
        if (result == Z_STREAM_END) {
            *used = data.len - left - z->avail_in;
            return true;
        }
        const bool stuck = made == 0 && z->avail_in == taken && left == 0;
        if ((result != Z_OK && result != Z_BUF_ERROR) || stuck) {
            return false;
        }
    }
}
