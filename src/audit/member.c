/* SPDX-License-Identifier: MIT
 *
 * A packed segment is a row of gzip members (RFC 1952), each of whole lines, which any gunzip reads.
 * A member's extra field "CX" holds its packed and plain size, so that a line is found without
 * unpacking what is before it, and the digest of its bytes, so that a change shows even where gunzip
 * would not mind (its padding bits). Any thread.
 */
#include "audit/reader.h"

#include <string.h>

#define LEVEL 6
#define PLAIN_HEAD_BYTES 10 /* of a member without an extra field, as cx_gzip writes it */
#define EXTRA_AT 12
#define PAYLOAD_BYTES (AUDIT__MEMBER_HEAD_BYTES - EXTRA_AT - 4)

static const uint8_t fixed[EXTRA_AT + 4] = {
    0x1f, 0x8b, 8,   4 /* extra field */, 0, 0, 0, 0, 0, 3 /* Unix */, 4 + PAYLOAD_BYTES,
    0,    'C',  'X', PAYLOAD_BYTES,       0,
};

static void put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

bool audit__member_write(struct cx_str lines, struct cx_buf *out)
{
    struct cx_buf plain;
    cx_buf_init(&plain, lines.len + lines.len / 1000 + 1024);
    bool ok = cx_gzip(lines, LEVEL, &plain) && plain.len > PLAIN_HEAD_BYTES;
    if (ok) {
        const struct cx_str rest = { plain.data + PLAIN_HEAD_BYTES, plain.len - PLAIN_HEAD_BYTES };
        uint8_t head[AUDIT__MEMBER_HEAD_BYTES];
        memcpy(head, fixed, sizeof fixed);
        put_u32(head + sizeof fixed, (uint32_t)(sizeof head + rest.len));
        put_u32(head + sizeof fixed + 4, (uint32_t)lines.len);
        cx_sha256(rest, head + sizeof fixed + 8);
        cx_buf_append(out, head, sizeof head);
        cx_buf_put_str(out, rest);
        ok = !out->failed;
    }
    cx_buf_free(&plain);
    return ok;
}

bool audit__member_parse(const uint8_t head[AUDIT__MEMBER_HEAD_BYTES], struct audit__member *out)
{
    if (memcmp(head, fixed, sizeof fixed) != 0) {
        return false;
    }
    out->packed_bytes = get_u32(head + sizeof fixed);
    out->plain_bytes = get_u32(head + sizeof fixed + 4);
    memcpy(out->digest, head + sizeof fixed + 8, sizeof out->digest);
    return out->packed_bytes > AUDIT__MEMBER_HEAD_BYTES &&
           out->packed_bytes <= 2 * AUDIT__LINE_MAX_BYTES && out->plain_bytes > 0 &&
           out->plain_bytes <= AUDIT__LINE_MAX_BYTES + AUDIT__MEMBER_PLAIN_BYTES;
}

bool audit__member_open(const struct audit__member *m, struct cx_str member, struct cx_buf *out)
{
    const struct cx_str rest = { member.p + AUDIT__MEMBER_HEAD_BYTES,
                                 member.len - AUDIT__MEMBER_HEAD_BYTES };
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256(rest, digest);
    const size_t before = out->len;
    size_t used = 0;
    return memcmp(digest, m->digest, sizeof digest) == 0 && cx_gunzip(member, out, &used) &&
           used == member.len && out->len - before == m->plain_bytes;
}
