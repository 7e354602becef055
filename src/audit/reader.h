/* SPDX-License-Identifier: MIT
 *
 * reader: the lines of one segment, plain or packed, and single lines by their place. Any thread; a
 * reader belongs to one at a time.
 */
#ifndef CORTEX_AUDIT_READER_H
#define CORTEX_AUDIT_READER_H

#include "audit/format.h"

struct audit__reader {
    int fd; /* -1 = closed */
    bool packed;
    bool ended;       /* nothing more in the file */
    bool damaged;     /* a packed member is not what was written */
    uint64_t file_at; /* what is read next */
    uint64_t offset;  /* of the next line, as if it were plain */
    size_t at;        /* of the next line in the buffer */
    size_t searched;  /* from there on no newline was found yet */
    struct cx_buf bytes;
};
enum audit__read {
    AUDIT__READ_LINE,
    AUDIT__READ_TORN, /* bytes at the end without a newline */
    AUDIT__READ_END,
    AUDIT__READ_DAMAGED /* a packed member, or a line that is too long: nothing more can be read */
};
/* CX_NOT_FOUND, CX_IO_ERROR. */
enum cx_status audit__reader_open(int dir, uint32_t segment, struct audit__reader *out,
                                  struct cx_err *err) CX_MUST_CHECK;
/* Of a file that is open already; takes it over. */
void audit__reader_of(int fd, bool packed, struct audit__reader *out);
/* line without its newline, until the next call; offset is where it begins. */
enum cx_status audit__reader_next(struct audit__reader *r, enum audit__read *what,
                                  struct cx_str *line, uint64_t *offset,
                                  struct cx_err *err) CX_MUST_CHECK;
void audit__reader_close(struct audit__reader *r);

/* The packed member that was read last: who reads many lines finds the next ones in it. */
struct audit__unpacked {
    uint32_t segment; /* 0 = none */
    uint64_t offset;  /* of its first line, as if the segment were plain */
    struct cx_buf lines;
};
void audit__unpacked_free(struct audit__unpacked *u);

/* Appends len bytes of a segment from offset on, as if it were plain. last may be NULL. CX_NOT_FOUND where
 * there are none, CX_IO_ERROR. */
enum cx_status audit__read_at(int dir, uint32_t segment, uint64_t offset, size_t len,
                              struct audit__unpacked *last, struct cx_buf *out,
                              struct cx_err *err) CX_MUST_CHECK;

/* ---- Packed segments: gzip members of whole lines, each with its sizes and digest in its header -- */
#define AUDIT__MEMBER_HEAD_BYTES 56
#define AUDIT__MEMBER_PLAIN_BYTES ((size_t)256 * 1024) /* of lines, or one longer line */
struct audit__member {
    uint32_t packed_bytes; /* of the whole member */
    uint32_t plain_bytes;
    uint8_t digest[CX_SHA256_BYTES]; /* of what follows the head */
};
bool audit__member_write(struct cx_str lines, struct cx_buf *out);
bool audit__member_parse(const uint8_t head[AUDIT__MEMBER_HEAD_BYTES], struct audit__member *out);
/* member: all of its bytes. False where they are not what was written. */
bool audit__member_open(const struct audit__member *m, struct cx_str member, struct cx_buf *out);

#endif
