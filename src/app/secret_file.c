/* SPDX-License-Identifier: MIT
 *
 * Reading and making small files (secret_file.h).
 */
#include "app/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_BYTES 64

static enum cx_status read_open(int fd, const char *path, size_t max, struct cx_buf *out,
                                bool *others, struct cx_err *err);
static enum cx_status os_error(const char *path, int code, struct cx_err *err);
static enum cx_status write_temporary(int dir_fd, const char *name, struct cx_str text);
static bool write_all(int fd, struct cx_str text);
static enum cx_status write_status(int code);

bool app__file_is_there(const char *path)
{
    return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

enum cx_status app__file_read(const char *path, size_t max, struct cx_buf *out, bool *others,
                              struct cx_err *err)
{
    /* Not to wait for a writer where the path turns out to be a FIFO. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return os_error(path, errno, err);
    }
    const enum cx_status status = read_open(fd, path, max, out, others, err);
    close(fd);
    return status;
}

static enum cx_status read_open(int fd, const char *path, size_t max, struct cx_buf *out,
                                bool *others, struct cx_err *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return os_error(path, errno, err);
    }
    if (!S_ISREG(info.st_mode)) {
        return cx_err_set(err, CX_INVALID, "%s: this is no ordinary file", path);
    }
    const size_t before = out->len;
    /* One byte more than is taken shows a file that is too long; a file may grow while it is read. */
    char *to = cx_buf_reserve(out, max + 1);
    CX_CHECK(to != NULL);
    size_t len = 0;
    while (len <= max) {
        const ssize_t n = read(fd, to + len, max + 1 - len);
        if (n < 0 && errno != EINTR) {
            return os_error(path, errno, err);
        }
        if (n == 0) {
            break;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    if (len > max) {
        return cx_err_set(err, CX_INVALID, "%s: the file is longer than %zu bytes", path, max);
    }
    out->len = before + len;
    out->data[out->len] = '\0';
    *others = (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    return CX_OK;
}

static enum cx_status os_error(const char *path, int code, struct cx_err *err)
{
    const enum cx_status status = code == ENOENT || code == ENOTDIR ? CX_NOT_FOUND
                                  : code == EACCES || code == EPERM ? CX_UNAUTHORIZED
                                                                    : CX_IO_ERROR;
    return cx_err_set(err, status, "%s: %s", path, strerror(code));
}

enum cx_status app__secret_read(const char *path, struct cx_arena *arena, const char **out,
                                bool *others, struct cx_err *err)
{
    struct cx_buf text;
    cx_buf_init(&text, APP__SECRET_MAX_BYTES + 2);
    enum cx_status status = app__file_read(path, APP__SECRET_MAX_BYTES + 1, &text, others, err);
    if (status == CX_OK) {
        struct cx_str s = { text.data, text.len };
        s.len -= s.len > 0 && s.p[s.len - 1] == '\n' ? 1 : 0;
        s.len -= s.len > 0 && s.p[s.len - 1] == '\r' ? 1 : 0;
        if (s.len == 0 || s.len > APP__SECRET_MAX_BYTES) {
            status = cx_err_set(err, CX_INVALID, "%s: a secret has 1 to %d bytes", path,
                                APP__SECRET_MAX_BYTES);
        } else if (memchr(s.p, '\0', s.len) != NULL || !cx_utf8_valid(s)) {
            status = cx_err_set(err, CX_INVALID, "%s: a secret is UTF-8 text without NUL", path);
        } else {
            *out = cx_arena_strndup(arena, s.p, s.len);
            CX_CHECK(*out != NULL);
        }
    }
    if (text.data != NULL) {
        cx_wipe(text.data, text.cap);
    }
    cx_buf_free(&text);
    return status;
}

enum cx_status app__secret_write(const char *dir, const char *name, const char *text,
                                 struct cx_err *err)
{
    const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return os_error(dir, errno, err);
    }
    char temporary[NAME_MAX_BYTES];
    const int len = snprintf(temporary, sizeof temporary, ".%s.new", name);
    CX_CHECK(len > 0 && len < NAME_MAX_BYTES);
    (void)unlinkat(dir_fd, temporary, 0); /* of a start that was cut off */
    enum cx_status status = write_temporary(dir_fd, temporary, cx_str_of(text));
    if (status == CX_OK && (renameat(dir_fd, temporary, dir_fd, name) != 0 || fsync(dir_fd) != 0)) {
        status = write_status(errno);
    }
    if (status != CX_OK) {
        const int code = errno;
        (void)unlinkat(dir_fd, temporary, 0);
        (void)cx_err_set(err, status, "%s/%s: %s", dir, name, strerror(code));
    }
    close(dir_fd);
    return status;
}

static enum cx_status write_temporary(int dir_fd, const char *name, struct cx_str text)
{
    const int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                          S_IRUSR | S_IWUSR);
    if (fd < 0) {
        return write_status(errno);
    }
    enum cx_status status = CX_OK;
    /* fchmod: the mode above passes through the umask, which may take our own bits away. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 || !write_all(fd, text) ||
        !write_all(fd, CX_STR("\n")) || fsync(fd) != 0) {
        status = write_status(errno);
    }
    if (close(fd) != 0 && status == CX_OK) {
        status = write_status(errno);
    }
    return status;
}

static bool write_all(int fd, struct cx_str text)
{
    size_t done = 0;
    while (done < text.len) {
        const ssize_t n = write(fd, text.p + done, text.len - done);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static enum cx_status write_status(int code)
{
    return code == ENOSPC || code == EDQUOT                   ? CX_STORAGE_FULL
           : code == EACCES || code == EPERM || code == EROFS ? CX_UNAUTHORIZED
                                                              : CX_IO_ERROR;
}
