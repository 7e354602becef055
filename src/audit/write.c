/* SPDX-License-Identifier: MIT
 *
 * A group onto the disk: room in a segment, the lines and their sync, the checkpoint and its. A full disk is cut
 * back; after any other failure the ledger acknowledges nothing more. The ledger lane's.
 */
#include "audit/group.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <string.h>

static enum cx_status give_up(struct cx_audit *a, const char *what, enum cx_status status);
static enum cx_status cut_back(struct cx_audit *a);
static enum cx_status write_checkpoint(struct audit__group *g);

enum cx_status audit__make_room(struct audit__group *g)
{
    struct cx_audit *a = g->a;
    const bool used = a->segment_bytes > AUDIT__SMALL_MAX_BYTES;
    const bool full = used && a->segment_bytes >= a->options.segment_bytes;
    const bool old = used && a->options.segment_age_us > 0 &&
                     g->now_us - a->segment_began_us >= a->options.segment_age_us;
    if (a->segment_fd >= 0 && !full && !old) {
        return CX_OK;
    }
    struct cx_err err = { "" };
    enum cx_status status =
        audit__make_segment(a->files, a->dir, a->segment + 1, &a->checkpoint, &err);
    char name[AUDIT__SEGMENT_NAME_BYTES];
    struct stat info;
    int fd = -1;
    if (status == CX_OK) {
        fd = openat(a->dir, audit__segment_name(a->segment + 1, false, name),
                    O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &info) != 0) {
            status = CX_IO_ERROR;
        }
    }
    if (status != CX_OK) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return give_up(a, "a new segment", status);
    }
    if (a->segment_fd >= 0) {
        (void)close(a->segment_fd);
    }
    a->segment_fd = fd;
    a->segment++;
    a->segment_bytes = (uint64_t)info.st_size;
    a->segment_began_us = g->now_us;
    cx_gauge_set(a->segment_gauge, (double)a->segment);
    CX_LOG(CX_LOG_INFO, "ledger: a new segment", CX_I("segment", a->segment),
           CX_I("after_entry", a->size));
    return CX_OK;
}

enum cx_status audit__write_group(struct audit__group *g)
{
    struct cx_audit *a = g->a;
    if (g->fresh_count == 0) {
        return CX_OK;
    }
    enum cx_status status = audit__write_at(
        a->files, a->segment_fd, (struct cx_str){ a->lines.data, a->lines.len }, a->segment_bytes);
    if (status == CX_OK && audit__sync(a, a->segment_fd) != 0) {
        status = audit__file_status(errno);
    }
    if (status == CX_OK) {
        status = write_checkpoint(g);
    } else if (status == CX_STORAGE_FULL) {
        status = cut_back(a);
    } else {
        status = give_up(a, "writing to a segment", status);
    }
    return status;
}

/* In the slot that does not hold the newest one, in place: nothing of the file but these bytes
 * changes. From when they are written until they are synced, the outcome is unknown. */
static enum cx_status write_checkpoint(struct audit__group *g)
{
    struct cx_audit *a = g->a;
    struct audit__checkpoint c = { .size = g->size, .time_us = g->now_us };
    memcpy(c.head, g->head, sizeof c.head);
    audit__checkpoint_sign(&c, a->options.signer);
    char slot[AUDIT__SLOT_BYTES];
    audit__slot_write(&c, slot);
    const unsigned at = 1 - a->slot;
    const ssize_t n = a->files->write(a->files->ctx, a->checkpoint_fd, slot, sizeof slot,
                                      (off_t)at * AUDIT__SLOT_BYTES);
    if (n < 0 && audit__file_status(errno) == CX_STORAGE_FULL) {
        return cut_back(a);
    }
    if (n != (ssize_t)sizeof slot || audit__sync(a, a->checkpoint_fd) != 0) {
        audit__fail(a, "writing the checkpoint", audit__file_status(errno));
        return CX_OUTCOME_UNKNOWN;
    }
    a->checkpoint = c;
    a->slot = at;
    return CX_OK;
}

/* Nothing of this group was acknowledged, and without its checkpoint none of it counts. */
static enum cx_status give_up(struct cx_audit *a, const char *what, enum cx_status status)
{
    if (status == CX_STORAGE_FULL) {
        CX_LOG(CX_LOG_WARN, "ledger: the disk is full", CX_S("what", what));
        return status;
    }
    audit__fail(a, what, status);
    return CX_LEDGER_FAILED;
}

static enum cx_status cut_back(struct cx_audit *a)
{
    if (a->files->truncate(a->files->ctx, a->segment_fd, (off_t)a->segment_bytes) != 0 ||
        audit__sync(a, a->segment_fd) != 0) {
        return give_up(a, "cutting back after the disk was full", CX_IO_ERROR);
    }
    return give_up(a, "writing to a segment", CX_STORAGE_FULL);
}
