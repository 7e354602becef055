/* SPDX-License-Identifier: MIT
 *
 * Keeping the segments that are sealed: they are packed, one member of lines after the other, compared with
 * what they were before that goes; and the oldest are removed where they are more, or older, than is to be
 * kept, behind a signed stub. Touches nothing that the ledger lane writes to. One thread at a time.
 */
#include "audit/tidy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY ".packing.new"

static enum cx_status begin(struct cx_audit *a, bool *more, struct cx_err *err);
static enum cx_status pack_some(struct cx_audit *a, struct cx_err *err);
static void give_up(struct cx_audit *a);

enum cx_status cx_audit_tidy(struct cx_audit *a, bool *more, struct cx_err *err)
{
    *more = false;
    if (atomic_load(&a->state) != AUDIT__OPEN) {
        return CX_OK;
    }
    enum cx_status status = CX_OK;
    if (a->tidy == NULL) {
        status = begin(a, more, err);
    } else {
        status = pack_some(a, err);
        *more = status == CX_OK;
    }
    if (status != CX_OK) {
        give_up(a);
    }
    return status;
}

void audit__tidy_free(struct cx_audit *a)
{
    give_up(a);
}

static void give_up(struct cx_audit *a)
{
    struct audit__tidy *t = a->tidy;
    if (t == NULL) {
        return;
    }
    a->tidy = NULL;
    audit__reader_close(&t->plain);
    audit__reader_close(&t->packed);
    if (t->fd >= 0) {
        (void)close(t->fd);
    }
    if (t->made) {
        (void)a->files->unlink(a->files->ctx, a->dir, TEMPORARY);
    }
    cx_buf_free(&t->lines);
    cx_buf_free(&t->member);
    free(t);
}

/* ---- What is to be done ------------------------------------------------------------------------ */

static enum cx_status remove_old(struct cx_audit *a, struct audit__folder *folder, uint32_t active,
                                 struct cx_err *err);
static enum cx_status begin_packing(struct cx_audit *a, uint32_t segment, struct cx_err *err);
static void count_segments(struct cx_audit *a, const struct audit__folder *folder);

static enum cx_status begin(struct cx_audit *a, bool *more, struct cx_err *err)
{
    struct cx_audit_figures figures;
    cx_audit_figures(a, &figures);
    const uint32_t active = figures.segment;
    struct audit__findings *findings = cx_alloc(sizeof *findings);
    struct audit__folder folder;
    const int dir = audit__open_folder(a->options.data_dir, false, err);
    enum cx_status status = dir < 0 ? CX_IO_ERROR : audit__folder_read(dir, &folder, findings, err);
    if (status != CX_OK) {
        free(findings);
        return status;
    }
    if (findings->count == 0) { /* what is damaged is left alone */
        status = remove_old(a, &folder, active, err);
        for (size_t i = 0; status == CX_OK && a->options.pack && i < folder.segment_count; i++) {
            const struct audit__segment *s = &folder.segments[i];
            if (s->number < active && s->plain && s->number > a->unpackable) {
                status = begin_packing(a, s->number, err);
                *more = status == CX_OK;
                break;
            }
        }
        count_segments(a, &folder);
    }
    audit__folder_free(&folder);
    free(findings);
    return status;
}

static void count_segments(struct cx_audit *a, const struct audit__folder *folder)
{
    size_t plain = 0;
    for (size_t i = 0; i < folder->segment_count; i++) {
        plain += folder->segments[i].plain ? 1 : 0;
    }
    cx_gauge_set(cx_metrics_series(CX_M_AUDIT_SEGMENTS, "form=\"plain\""), (double)plain);
    cx_gauge_set(cx_metrics_series(CX_M_AUDIT_SEGMENTS, "form=\"packed\""),
                 (double)(folder->segment_count - plain));
    (void)a;
}

/* ---- Removing ---------------------------------------------------------------------------------- */

static uint64_t file_bytes(const struct cx_audit *a, const struct audit__segment *s)
{
    char name[AUDIT__SEGMENT_NAME_BYTES];
    struct stat info;
    uint64_t bytes = 0;
    if (s->plain && fstatat(a->dir, audit__segment_name(s->number, false, name), &info, 0) == 0) {
        bytes += (uint64_t)info.st_size;
    }
    if (s->packed && fstatat(a->dir, audit__segment_name(s->number, true, name), &info, 0) == 0) {
        bytes += (uint64_t)info.st_size;
    }
    return bytes;
}

static bool read_header(const struct cx_audit *a, uint32_t segment, struct audit__checkpoint *out)
{
    struct audit__reader r;
    enum audit__read what = AUDIT__READ_END;
    struct cx_str line = { NULL, 0 };
    uint64_t offset = 0;
    uint32_t number = 0;
    if (audit__reader_open(a->dir, segment, &r, NULL) != CX_OK) {
        return false;
    }
    const bool good = audit__reader_next(&r, &what, &line, &offset, NULL) == CX_OK &&
                      what == AUDIT__READ_LINE && audit__header_parse(line, &number, out) &&
                      number == segment;
    audit__reader_close(&r);
    return good;
}

static enum cx_status write_stub(struct cx_audit *a, uint32_t first,
                                 const struct audit__checkpoint *end, struct cx_err *err);

static enum cx_status remove_old(struct cx_audit *a, struct audit__folder *folder, uint32_t active,
                                 struct cx_err *err)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < folder->segment_count; i++) {
        bytes += file_bytes(a, &folder->segments[i]);
    }
    const int64_t now_us = cx_clock_wall_us();
    uint32_t first = folder->has_stub ? folder->stub.first_segment : 1;
    struct audit__checkpoint end = folder->stub.end;
    const uint32_t first_before = first;
    for (size_t i = 0; i + 1 < folder->segment_count; i++) {
        const struct audit__segment *s = &folder->segments[i];
        struct audit__checkpoint after; /* what the segment ended with: its successor says so */
        if (s->number < first) {
            bytes -= file_bytes(a, s); /* its removal was cut off */
            continue;
        }
        const bool known = s->number < active && folder->segments[i + 1].number == s->number + 1 &&
                           read_header(a, s->number + 1, &after) &&
                           audit__keys_verify(&folder->keys, &after);
        const bool large = a->options.keep_bytes > 0 && bytes > a->options.keep_bytes;
        const bool old =
            known && a->options.keep_us > 0 && now_us - after.time_us > a->options.keep_us;
        if (!known || (!large && !old)) {
            break;
        }
        bytes -= file_bytes(a, s);
        first = s->number + 1;
        end = after;
    }
    enum cx_status status = CX_OK;
    if (first > first_before) {
        status = write_stub(a, first, &end, err);
    }
    size_t gone = 0;
    while (status == CX_OK && gone < folder->segment_count &&
           folder->segments[gone].number < first) {
        char name[AUDIT__SEGMENT_NAME_BYTES];
        for (int packed = 0; packed < 2; packed++) {
            (void)a->files->unlink(
                a->files->ctx, a->dir,
                audit__segment_name(folder->segments[gone].number, packed == 1, name));
        }
        gone++;
    }
    if (gone > 0) {
        folder->segment_count -= gone;
        memmove(folder->segments, folder->segments + gone,
                folder->segment_count * sizeof *folder->segments);
        audit__lock(a);
        a->removed_to = end.size;
        audit__unlock(a);
        CX_LOG(CX_LOG_INFO, "ledger: old segments removed", CX_I("segments", gone),
               CX_I("up_to_entry", end.size));
    }
    return status;
}

static enum cx_status write_stub(struct cx_audit *a, uint32_t first,
                                 const struct audit__checkpoint *end, struct cx_err *err)
{
    struct audit__stub stub = { .first_segment = first, .end = *end };
    struct cx_buf text;
    stub.end.time_us = cx_clock_wall_us();
    audit__stub_sign(&stub, a->options.signer);
    cx_buf_init(&text, AUDIT__SMALL_MAX_BYTES);
    audit__stub_write(&stub, &text);
    CX_CHECK(!text.failed);
    const enum cx_status status = audit__write_file(a->files, a->dir, AUDIT__STUB_FILE,
                                                    (struct cx_str){ text.data, text.len }, err);
    cx_buf_free(&text);
    return status;
}

/* ---- Packing ----------------------------------------------------------------------------------- */

static enum cx_status begin_packing(struct cx_audit *a, uint32_t segment, struct cx_err *err)
{
    struct audit__tidy *t = cx_alloc(sizeof *t);
    t->segment = segment;
    t->packed.fd = -1;
    cx_buf_init(&t->lines, AUDIT__LINE_MAX_BYTES + AUDIT__MEMBER_PLAIN_BYTES);
    cx_buf_init(&t->member, 2 * AUDIT__LINE_MAX_BYTES);
    t->fd = -1;
    a->tidy = t;
    enum cx_status status = audit__reader_open(a->dir, segment, &t->plain, err);
    if (status != CX_OK) {
        t->plain.fd = -1;
        return status;
    }
    t->fd = a->files->create(a->files->ctx, a->dir, TEMPORARY, O_RDWR | O_TRUNC);
    t->made = t->fd >= 0;
    return t->made ? CX_OK
                   : cx_err_set(err, audit__file_status(errno), "packing: %s", strerror(errno));
}

static enum cx_status write_member(struct cx_audit *a, struct cx_err *err);
static enum cx_status compare_some(struct cx_audit *a, bool *ended, struct cx_err *err);
static enum cx_status begin_comparing(struct cx_audit *a, struct cx_err *err);
static enum cx_status put_in_place(struct cx_audit *a, struct cx_err *err);

/* One member, or the comparison of some lines. */
static enum cx_status pack_some(struct cx_audit *a, struct cx_err *err)
{
    struct audit__tidy *t = a->tidy;
    if (t->comparing) {
        bool ended = false;
        const enum cx_status status = compare_some(a, &ended, err);
        return status == CX_OK && ended ? put_in_place(a, err) : status;
    }
    enum audit__read what = AUDIT__READ_LINE;
    enum cx_status status = CX_OK;
    cx_buf_clear(&t->lines);
    while (status == CX_OK && what == AUDIT__READ_LINE &&
           t->lines.len < AUDIT__MEMBER_PLAIN_BYTES) {
        struct cx_str line = { NULL, 0 };
        uint64_t offset = 0;
        status = audit__reader_next(&t->plain, &what, &line, &offset, err);
        if (status == CX_OK && what == AUDIT__READ_LINE) {
            cx_buf_put_str(&t->lines, line);
            cx_buf_putc(&t->lines, '\n');
        }
    }
    if (status == CX_OK && what != AUDIT__READ_LINE && what != AUDIT__READ_END) {
        a->unpackable = t->segment; /* damaged: verifying tells */
        return cx_err_set(err, CX_CONFLICT, "segment %" PRIu32 " is not whole", t->segment);
    }
    if (status == CX_OK && t->lines.len > 0) {
        status = write_member(a, err);
    }
    return status == CX_OK && what == AUDIT__READ_END ? begin_comparing(a, err) : status;
}

static enum cx_status write_member(struct cx_audit *a, struct cx_err *err)
{
    struct audit__tidy *t = a->tidy;
    cx_buf_clear(&t->member);
    if (t->lines.failed ||
        !audit__member_write((struct cx_str){ t->lines.data, t->lines.len }, &t->member)) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    const enum cx_status status = audit__write_at(
        a->files, t->fd, (struct cx_str){ t->member.data, t->member.len }, t->written);
    t->written += t->member.len;
    return status == CX_OK ? CX_OK : cx_err_set(err, status, "packing: %s", cx_status_text(status));
}

static enum cx_status begin_comparing(struct cx_audit *a, struct cx_err *err)
{
    struct audit__tidy *t = a->tidy;
    if (a->files->sync(a->files->ctx, t->fd, false) != 0) {
        return cx_err_set(err, audit__file_status(errno), "packing: %s", strerror(errno));
    }
    audit__reader_close(&t->plain);
    t->comparing = true;
    audit__reader_of(t->fd, true, &t->packed);
    t->fd = -1;
    return audit__reader_open(a->dir, t->segment, &t->plain, err);
}

static enum cx_status compare_some(struct cx_audit *a, bool *ended, struct cx_err *err)
{
    struct audit__tidy *t = a->tidy;
    for (int i = 0; i < 256; i++) {
        enum audit__read what[2];
        struct cx_str line[2] = { { NULL, 0 }, { NULL, 0 } };
        uint64_t offset[2];
        enum cx_status status = audit__reader_next(&t->plain, &what[0], &line[0], &offset[0], err);
        if (status == CX_OK) {
            status = audit__reader_next(&t->packed, &what[1], &line[1], &offset[1], err);
        }
        if (status != CX_OK) {
            return status;
        }
        if (what[0] != what[1] || !cx_str_eq(line[0], line[1])) {
            a->unpackable = t->segment;
            return cx_err_set(err, CX_INTERNAL, "segment %" PRIu32 " packed is not what it was",
                              t->segment);
        }
        if (what[0] == AUDIT__READ_END) {
            *ended = true;
            break;
        }
    }
    return CX_OK;
}

static enum cx_status put_in_place(struct cx_audit *a, struct cx_err *err)
{
    const uint32_t segment = a->tidy->segment;
    char plain[AUDIT__SEGMENT_NAME_BYTES];
    char packed[AUDIT__SEGMENT_NAME_BYTES];
    (void)audit__segment_name(segment, false, plain);
    (void)audit__segment_name(segment, true, packed);
    if (a->files->rename(a->files->ctx, a->dir, TEMPORARY, packed) != 0) {
        return cx_err_set(err, audit__file_status(errno), "%s: %s", packed, strerror(errno));
    }
    a->tidy->made = false;
    if (a->files->sync(a->files->ctx, a->dir, false) != 0 ||
        a->files->unlink(a->files->ctx, a->dir, plain) != 0 ||
        a->files->sync(a->files->ctx, a->dir, false) != 0) {
        return cx_err_set(err, audit__file_status(errno), "%s: %s", packed, strerror(errno));
    }
    CX_LOG(CX_LOG_INFO, "ledger: a segment was packed", CX_I("segment", segment),
           CX_I("bytes", a->tidy->plain.offset), CX_I("packed_bytes", a->tidy->written));
    give_up(a);
    return CX_OK;
}
