/* SPDX-License-Identifier: MIT
 *
 * The system's own calls, and small files written whole (files.h).
 */
#include "audit/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int system_create(void *ctx, int dir, const char *name, int flags)
{
    (void)ctx;
    return openat(dir, name, flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static ssize_t system_write(void *ctx, int fd, const void *data, size_t len, off_t offset)
{
    (void)ctx;
    return pwrite(fd, data, len, offset);
}

static int system_sync(void *ctx, int fd, bool data_only)
{
    (void)ctx;
    return data_only ? fdatasync(fd) : fsync(fd);
}

static int system_truncate(void *ctx, int fd, off_t size)
{
    (void)ctx;
    return ftruncate(fd, size);
}

static int system_rename(void *ctx, int dir, const char *from, const char *to)
{
    (void)ctx;
    return renameat(dir, from, dir, to);
}

static int system_unlink(void *ctx, int dir, const char *name)
{
    (void)ctx;
    return unlinkat(dir, name, 0);
}

const struct cx_audit_files audit__system_files = {
    .create = system_create,
    .write = system_write,
    .sync = system_sync,
    .truncate = system_truncate,
    .rename = system_rename,
    .unlink = system_unlink,
};

enum cx_status audit__file_status(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? CX_STORAGE_FULL
           : error == ENOENT                                    ? CX_NOT_FOUND
                                                                : CX_IO_ERROR;
}

enum cx_status audit__write_at(const struct cx_audit_files *files, int fd, struct cx_str data,
                               uint64_t offset)
{
    size_t done = 0;
    while (done < data.len) {
        const ssize_t n =
            files->write(files->ctx, fd, data.p + done, data.len - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR) {
            return audit__file_status(errno);
        }
        if (n == 0) {
            return CX_IO_ERROR;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return CX_OK;
}

enum cx_status audit__write_file(const struct cx_audit_files *files, int dir, const char *name,
                                 struct cx_str data, struct cx_err *err)
{
    char temporary[64];
    const int len = snprintf(temporary, sizeof temporary, ".%s.new", name);
    CX_CHECK(len > 0 && (size_t)len < sizeof temporary);
    const int fd = files->create(files->ctx, dir, temporary, O_WRONLY | O_TRUNC);
    enum cx_status status = fd < 0 ? audit__file_status(errno) : CX_OK;
    if (status == CX_OK) {
        status = audit__write_at(files, fd, data, 0);
    }
    if (status == CX_OK && files->sync(files->ctx, fd, false) != 0) {
        status = audit__file_status(errno);
    }
    if (fd >= 0 && close(fd) != 0 && status == CX_OK) {
        status = audit__file_status(errno);
    }
    if (status == CX_OK && (files->rename(files->ctx, dir, temporary, name) != 0 ||
                            files->sync(files->ctx, dir, false) != 0)) {
        status = audit__file_status(errno);
    }
    if (status != CX_OK) {
        const int error = errno;
        (void)files->unlink(files->ctx, dir, temporary);
        return cx_err_set(err, status, "%s: %s", name, strerror(error));
    }
    return CX_OK;
}

enum cx_status audit__read_file(int dir, const char *name, size_t max, struct cx_buf *out,
                                struct cx_err *err)
{
    const int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return cx_err_set(err, audit__file_status(errno), "%s: %s", name, strerror(errno));
    }
    enum cx_status status = CX_OK;
    size_t len = 0;
    char *to = cx_buf_reserve(out, max + 1);
    CX_CHECK(to != NULL);
    while (len <= max) {
        const ssize_t n = read(fd, to + len, max + 1 - len);
        if (n < 0 && errno != EINTR) {
            status = cx_err_set(err, CX_IO_ERROR, "%s: %s", name, strerror(errno));
            break;
        }
        if (n == 0) {
            break;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    (void)close(fd);
    if (status == CX_OK && len > max) {
        status = cx_err_set(err, CX_TOO_LARGE, "%s: longer than %zu bytes", name, max);
    }
    if (status == CX_OK) {
        out->len += len;
        out->data[out->len] = '\0';
    }
    return status;
}
