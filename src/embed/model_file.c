/* SPDX-License-Identifier: MIT
 *
 * Reading files (model_file.h), by read and pread alone: a file that is cut meanwhile is an error and
 * never a signal.
 */
#include "model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JSON_BYTES_MAX ((size_t)1 << 20)

enum cx_status embed__model_path(const char *directory, const char *name,
                                 char path[EMBED__PATH_BYTES], struct cx_err *err)
{
    const int len = snprintf(path, EMBED__PATH_BYTES, "%s/%s", directory, name);
    return len > 0 && len < EMBED__PATH_BYTES
               ? CX_OK
               : cx_err_set(err, CX_INVALID, "%.64s…: the path is too long", directory);
}

enum cx_status embed__file_open(const char *path, int *fd, uint64_t *size, struct cx_err *err)
{
    /* Not to wait for the other end, should it be a FIFO. */
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) {
        const bool missing = errno == ENOENT || errno == ENOTDIR;
        return cx_err_set(err, missing ? CX_NOT_FOUND : CX_INVALID, "%s: %s", path,
                          strerror(errno));
    }
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void)close(file);
        return cx_err_set(err, CX_INVALID, "%s: is no regular file", path);
    }
    *fd = file;
    *size = (uint64_t)info.st_size;
    return CX_OK;
}

enum cx_status embed__file_read_at(int fd, const char *path, void *data, size_t len,
                                   uint64_t offset, struct cx_err *err)
{
    size_t done = 0;
    while (done < len) {
        const uint64_t at = offset + done;
        const ssize_t got = pread(fd, (char *)data + done, len - done, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return cx_err_set(err, CX_IO_ERROR, "%s: %s", path, strerror(errno));
        }
        if (got == 0) {
            return cx_err_set(err, CX_INVALID, "%s: is cut: it ends at byte %llu", path,
                              (unsigned long long)at);
        }
        done += (size_t)got;
    }
    return CX_OK;
}

enum cx_status embed__file_read(const char *path, size_t max_bytes, struct cx_buf *out,
                                struct cx_err *err)
{
    int fd = -1;
    uint64_t size = 0;
    cx_buf_init(out, max_bytes + 1);
    enum cx_status status = embed__file_open(path, &fd, &size, err);
    if (status != CX_OK) {
        return status;
    }
    char *room = size <= max_bytes ? cx_buf_reserve(out, (size_t)size + 1) : NULL;
    if (size > max_bytes) {
        status = cx_err_set(err, CX_INVALID, "%s: is larger than %zu bytes", path, max_bytes);
    } else if (room == NULL) {
        status = cx_err_set(err, CX_NO_MEMORY, "%s: there is no memory for it", path);
    } else {
        status = embed__file_read_at(fd, path, room, (size_t)size, 0, err);
    }
    (void)close(fd);
    if (status != CX_OK) {
        cx_buf_free(out);
        return status;
    }
    out->len = (size_t)size;
    return CX_OK;
}

enum cx_status embed__file_read_json(const char *directory, const char *name, json_t **out,
                                     struct cx_err *err)
{
    char path[EMBED__PATH_BYTES];
    struct cx_buf text;
    cx_buf_init(&text, 0);
    enum cx_status status = embed__model_path(directory, name, path, err);
    if (status == CX_OK) {
        status = embed__file_read(path, JSON_BYTES_MAX, &text, err);
    }
    if (status == CX_OK) {
        struct cx_err why = { "" };
        status = cx_json_parse_file((struct cx_str){ text.data, text.len }, out, &why);
        if (status != CX_OK) {
            status = cx_err_set(err, status == CX_NO_MEMORY ? status : CX_INVALID, "%s: %s", path,
                                why.text);
        }
    }
    cx_buf_free(&text);
    return status;
}
