/* SPDX-License-Identifier: MIT
 *
 * Reading segments (reader.h).
 */
#include "audit/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)512 * 1024)
#define OPEN_TRIES 3

static enum cx_status open_segment(int dir, uint32_t segment, int *fd, bool *packed,
                                   struct cx_err *err);
static enum cx_status read_full(int fd, uint64_t at, void *to, size_t len, size_t *got,
                                struct cx_err *err);
static enum cx_status refill(struct audit__reader *r, struct cx_err *err);

enum cx_status audit__reader_open(int dir, uint32_t segment, struct audit__reader *out,
                                  struct cx_err *err)
{
    int fd = -1;
    bool packed = false;
    const enum cx_status status = open_segment(dir, segment, &fd, &packed, err);
    if (status == CX_OK) {
        audit__reader_of(fd, packed, out);
    }
    return status;
}

void audit__reader_of(int fd, bool packed, struct audit__reader *out)
{
    *out = (struct audit__reader){ .fd = fd, .packed = packed };
    cx_buf_init(&out->bytes, 2 * AUDIT__LINE_MAX_BYTES + 2 * CHUNK_BYTES);
}

void audit__reader_close(struct audit__reader *r)
{
    if (r->fd >= 0) {
        (void)close(r->fd);
    }
    cx_buf_free(&r->bytes);
    r->fd = -1;
}

/* The plain file goes when its packed one is whole: it is looked for again then. */
static enum cx_status open_segment(int dir, uint32_t segment, int *fd, bool *packed,
                                   struct cx_err *err)
{
    char name[AUDIT__SEGMENT_NAME_BYTES];
    int error = ENOENT;
    for (int i = 0; i < OPEN_TRIES && error == ENOENT; i++) {
        *packed = i % 2 == 1;
        *fd = openat(dir, audit__segment_name(segment, *packed, name),
                     O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (*fd >= 0) {
            return CX_OK;
        }
        error = errno;
    }
    return cx_err_set(err, error == ENOENT ? CX_NOT_FOUND : CX_IO_ERROR, "segment %u: %s",
                      (unsigned)segment, strerror(error));
}

enum cx_status audit__reader_next(struct audit__reader *r, enum audit__read *what,
                                  struct cx_str *line, uint64_t *offset, struct cx_err *err)
{
    for (;;) {
        const size_t left = r->bytes.len - r->at;
        const char *from = r->bytes.data != NULL ? r->bytes.data + r->at : NULL;
        const char *end = from != NULL && left > r->searched
                              ? memchr(from + r->searched, '\n', left - r->searched)
                              : NULL;
        *offset = r->offset;
        if (end != NULL) {
            *line = (struct cx_str){ from, (size_t)(end - from) };
            *what = AUDIT__READ_LINE;
            r->at += line->len + 1;
            r->offset += line->len + 1;
            r->searched = 0;
            return CX_OK;
        }
        r->searched = left;
        if (r->damaged || left > AUDIT__LINE_MAX_BYTES) {
            *what = AUDIT__READ_DAMAGED;
            return CX_OK;
        }
        if (r->ended) {
            *line = (struct cx_str){ from, left };
            *what = left > 0 ? AUDIT__READ_TORN : AUDIT__READ_END;
            return CX_OK;
        }
        const enum cx_status status = refill(r, err);
        if (status != CX_OK) {
            return status;
        }
    }
}

static enum cx_status refill_packed(struct audit__reader *r, struct cx_err *err);

static enum cx_status refill(struct audit__reader *r, struct cx_err *err)
{
    cx_buf_consume(&r->bytes, r->at);
    r->at = 0;
    if (r->packed) {
        return refill_packed(r, err);
    }
    char *to = cx_buf_reserve(&r->bytes, CHUNK_BYTES);
    if (to == NULL) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    size_t got = 0;
    const enum cx_status status = read_full(r->fd, r->file_at, to, CHUNK_BYTES, &got, err);
    if (status != CX_OK) {
        return status;
    }
    r->bytes.len += got;
    r->file_at += got;
    r->ended = got < CHUNK_BYTES;
    return CX_OK;
}

static enum cx_status read_member(int fd, uint64_t at, const struct audit__member *m,
                                  struct cx_buf *out, bool *damaged, struct cx_err *err);

static enum cx_status refill_packed(struct audit__reader *r, struct cx_err *err)
{
    uint8_t head[AUDIT__MEMBER_HEAD_BYTES];
    struct audit__member m;
    size_t got = 0;
    enum cx_status status = read_full(r->fd, r->file_at, head, sizeof head, &got, err);
    if (status != CX_OK) {
        return status;
    }
    if (got == 0) {
        r->ended = true;
        return CX_OK;
    }
    if (got < sizeof head || !audit__member_parse(head, &m)) {
        r->damaged = true;
        return CX_OK;
    }
    status = read_member(r->fd, r->file_at, &m, &r->bytes, &r->damaged, err);
    r->file_at += m.packed_bytes;
    return status;
}

static enum cx_status read_member(int fd, uint64_t at, const struct audit__member *m,
                                  struct cx_buf *out, bool *damaged, struct cx_err *err)
{
    struct cx_buf packed;
    cx_buf_init(&packed, m->packed_bytes);
    char *to = cx_buf_reserve(&packed, m->packed_bytes);
    size_t got = 0;
    enum cx_status status = to == NULL
                                ? cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY))
                                : read_full(fd, at, to, m->packed_bytes, &got, err);
    if (status == CX_OK) {
        *damaged = got < m->packed_bytes ||
                   !audit__member_open(m, (struct cx_str){ to, m->packed_bytes }, out);
    }
    cx_buf_free(&packed);
    return status;
}

static enum cx_status read_full(int fd, uint64_t at, void *to, size_t len, size_t *got,
                                struct cx_err *err)
{
    size_t done = 0;
    while (done < len) {
        const ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(at + done));
        if (n < 0 && errno != EINTR) {
            return cx_err_set(err, CX_IO_ERROR, "the ledger cannot be read: %s", strerror(errno));
        }
        if (n == 0) {
            break;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    *got = done;
    return CX_OK;
}

/* ---- Single lines ------------------------------------------------------------------------------ */

static enum cx_status unpack_at(int fd, uint32_t segment, uint64_t offset,
                                struct audit__unpacked *u, struct cx_err *err);
static enum cx_status take_lines(const struct audit__unpacked *u, uint64_t offset, size_t len,
                                 struct cx_buf *out, struct cx_err *err);

static bool holds(const struct audit__unpacked *u, uint32_t segment, uint64_t offset)
{
    return u->segment == segment && offset >= u->offset && offset < u->offset + u->lines.len;
}

enum cx_status audit__read_at(int dir, uint32_t segment, uint64_t offset, size_t len,
                              struct audit__unpacked *last, struct cx_buf *out, struct cx_err *err)
{
    struct audit__unpacked own = { .segment = 0 };
    struct audit__unpacked *u = last != NULL ? last : &own;
    int fd = -1;
    bool packed = false;
    if (holds(u, segment, offset)) {
        return take_lines(u, offset, len, out, err);
    }
    enum cx_status status = open_segment(dir, segment, &fd, &packed, err);
    if (status != CX_OK) {
        return status;
    }
    if (packed) {
        status = unpack_at(fd, segment, offset, u, err);
        if (status == CX_OK) {
            status = take_lines(u, offset, len, out, err);
        }
    } else {
        size_t got = 0;
        char *to = cx_buf_reserve(out, len);
        status = to == NULL ? cx_err_set(err, CX_TOO_LARGE, "%s", cx_status_text(CX_TOO_LARGE))
                            : read_full(fd, offset, to, len, &got, err);
        if (status == CX_OK && got < len) {
            status = cx_err_set(err, CX_NOT_FOUND, "the ledger ends before this entry");
        }
        out->len += status == CX_OK ? len : 0;
    }
    (void)close(fd);
    audit__unpacked_free(&own);
    return status;
}

void audit__unpacked_free(struct audit__unpacked *u)
{
    cx_buf_free(&u->lines);
    u->segment = 0;
}

/* The member in which the offset lies. */
static enum cx_status unpack_at(int fd, uint32_t segment, uint64_t offset,
                                struct audit__unpacked *u, struct cx_err *err)
{
    uint64_t at = 0;
    uint64_t plain_at = 0;
    audit__unpacked_free(u);
    for (;;) {
        uint8_t head[AUDIT__MEMBER_HEAD_BYTES];
        struct audit__member m;
        size_t got = 0;
        enum cx_status status = read_full(fd, at, head, sizeof head, &got, err);
        if (status != CX_OK) {
            return status;
        }
        if (got < sizeof head || !audit__member_parse(head, &m)) {
            return cx_err_set(err, CX_NOT_FOUND, "the packed segment is damaged");
        }
        if (offset < plain_at + m.plain_bytes) {
            bool damaged = false;
            cx_buf_init(&u->lines, m.plain_bytes);
            status = read_member(fd, at, &m, &u->lines, &damaged, err);
            if (status == CX_OK && damaged) {
                status = cx_err_set(err, CX_NOT_FOUND, "the packed segment is damaged");
            }
            if (status != CX_OK) {
                audit__unpacked_free(u);
                return status;
            }
            u->segment = segment;
            u->offset = plain_at;
            return CX_OK;
        }
        at += m.packed_bytes;
        plain_at += m.plain_bytes;
    }
}

static enum cx_status take_lines(const struct audit__unpacked *u, uint64_t offset, size_t len,
                                 struct cx_buf *out, struct cx_err *err)
{
    const size_t from = (size_t)(offset - u->offset);
    if (from > u->lines.len || len > u->lines.len - from) {
        return cx_err_set(err, CX_NOT_FOUND, "the packed segment is damaged");
    }
    cx_buf_append(out, u->lines.data + from, len);
    return out->failed ? cx_err_set(err, CX_TOO_LARGE, "%s", cx_status_text(CX_TOO_LARGE)) : CX_OK;
}
