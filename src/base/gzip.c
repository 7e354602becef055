/* SPDX-License-Identifier: MIT
 *
 * One gzip member (RFC 1952) by zlib. Equal input gives equal bytes: no time and no name is
 * written.
 */
#include "cortex/base.h"

#define ZLIB_CONST
#include <zlib.h>

enum {
    GZIP_WINDOW_BITS = 15 + 16 /* zlib's way to ask for the gzip wrapper */,
    GZIP_STEP_MIN = 512
};

static bool deflate_all(z_stream *z, struct cx_str data, struct cx_buf *out);
static bool give_output(z_stream *z, size_t want, struct cx_buf *out);
static uInt as_uint(size_t len);

bool cx_gzip(struct cx_str data, int level, struct cx_buf *out)
{
    CX_CHECK(level >= 1 && level <= 9);
    if (out->failed) {
        return false;
    }
    const size_t before = out->len;
    z_stream z = { 0 };
    bool ok = deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (ok) {
        ok = deflate_all(&z, data, out);
        (void)deflateEnd(&z);
    }
    if (!ok) {
        out->len = before;
        out->failed = true;
    }
    if (out->data != NULL) {
        out->data[out->len] = '\0';
    }
    return ok;
}

static bool deflate_all(z_stream *z, struct cx_str data, struct cx_buf *out)
{
    /* Text shrinks to a fourth or less; what does not costs one more turn of the loop. */
    size_t step = data.len / 4 + GZIP_STEP_MIN;
    z->next_in = (const Bytef *)data.p;
    size_t left = data.len;
    for (;;) {
        if (z->avail_in == 0) {
            z->avail_in = as_uint(left);
            left -= z->avail_in;
        }
        if (!give_output(z, step, out)) {
            return false;
        }
        const uInt room = z->avail_out;
        const int result = deflate(z, left == 0 ? Z_FINISH : Z_NO_FLUSH);
        out->len += room - z->avail_out;
        if (result == Z_STREAM_END) {
            return true;
        }
        if (result != Z_OK && result != Z_BUF_ERROR) {
            return false;
        }
    }
}

/* At most up to the ceiling, so that a result just below it still fits. */
static bool give_output(z_stream *z, size_t want, struct cx_buf *out)
{
    const size_t room = out->ceiling - out->len;
    const size_t step = as_uint(want < room ? want : room);
    char *at = step > 0 ? cx_buf_reserve(out, step) : NULL;
    z->next_out = (Bytef *)at;
    z->avail_out = as_uint(step);
    return at != NULL;
}

static uInt as_uint(size_t len)
{
    const size_t most = (size_t)1 << 30;
    return (uInt)(len < most ? len : most);
}
