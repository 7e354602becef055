/* SPDX-License-Identifier: MIT
 *
 * The data directory's lock (lock.h).
 */
#include "app/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct app__lock {
    int fd;
};

static enum cx_status take(int fd, const char *data_dir, struct cx_err *err);
static enum cx_status held_by(int fd, const char *data_dir, struct cx_err *err);

enum cx_status app__lock_take(const char *data_dir, struct app__lock **out, struct cx_err *err)
{
    char path[PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s/lock", data_dir);
    if (len <= 0 || (size_t)len >= sizeof path) {
        return cx_err_set(err, CX_INVALID, "the data directory's path is too long");
    }
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        const enum cx_status status = errno == EACCES || errno == EPERM || errno == EROFS
                                          ? CX_UNAUTHORIZED
                                      : errno == ENOSPC || errno == EDQUOT ? CX_STORAGE_FULL
                                                                           : CX_IO_ERROR;
        return cx_err_set(err, status, "%s: %s", path, strerror(errno));
    }
    const enum cx_status status = take(fd, data_dir, err);
    if (status != CX_OK) {
        close(fd);
        return status;
    }
    *out = cx_alloc(sizeof **out);
    (*out)->fd = fd;
    return CX_OK;
}

/* An open file description lock: unlike the process's own, it does not go when another descriptor of
 * the same file is closed. */
static enum cx_status take(int fd, const char *data_dir, struct cx_err *err)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        return errno == EAGAIN || errno == EACCES
                   ? held_by(fd, data_dir, err)
                   : cx_err_set(err, CX_IO_ERROR, "%s/lock: %s", data_dir, strerror(errno));
    }
    char text[16];
    const int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        const enum cx_status status =
            errno == ENOSPC || errno == EDQUOT ? CX_STORAGE_FULL : CX_IO_ERROR;
        return cx_err_set(err, status, "%s/lock: %s", data_dir, strerror(errno));
    }
    return CX_OK;
}

static enum cx_status held_by(int fd, const char *data_dir, struct cx_err *err)
{
    char text[16] = "";
    const ssize_t len = pread(fd, text, sizeof text - 1, 0);
    uint64_t pid = 0;
    const struct cx_str digits = { text, len > 0 ? strcspn(text, "\n") : 0 };
    if (digits.len == 0 || !cx_parse_u64(digits, &pid)) {
        return cx_err_set(err, CX_CONFLICT, "another process has the data directory %s", data_dir);
    }
    return cx_err_set(err, CX_CONFLICT, "process %llu has the data directory %s",
                      (unsigned long long)pid, data_dir);
}

void app__lock_release(struct app__lock **lock)
{
    if (*lock != NULL) {
        close((*lock)->fd);
        free(*lock);
        *lock = NULL;
    }
}
