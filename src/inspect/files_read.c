/* SPDX-License-Identifier: MIT
 *
 * Reading the text of a file. It is looked at before it is opened for reading, and again after, so that
 * a FIFO or a device is never opened but by a race that is then noticed; and opened so that nothing
 * waits. Threads: a worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

#define CHARACTER_BYTES 4

static enum cx_status open_regular(const struct cx_files *files, struct cx_str path, int *fd,
                                   struct stat *st, struct cx_err *err);
static enum cx_status read_at(int fd, uint64_t offset, char *bytes, size_t wanted, size_t *got,
                              struct cx_err *err);
static struct cx_str whole_characters(struct cx_str bytes, size_t max, bool from_start);

enum cx_status cx_files_read(const struct cx_files *files, struct cx_str path, uint64_t offset,
                             size_t num_bytes, json_t **out, struct cx_err *err)
{
    int fd = -1;
    struct stat st = { .st_size = 0 };
    enum cx_status status = open_regular(files, path, &fd, &st, err);
    if (status != CX_OK) {
        return status;
    }
    /* A little more than is asked for: what follows tells whether the last character is whole. */
    const size_t wanted = num_bytes + CHARACTER_BYTES;
    char *bytes = calloc(1, wanted);
    size_t got = 0;
    status = bytes != NULL ? read_at(fd, offset, bytes, wanted, &got, err)
                           : cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    (void)close(fd);
    if (bytes == NULL || status != CX_OK) {
        free(bytes);
        return status;
    }
    const struct cx_str text =
        whole_characters((struct cx_str){ bytes, got }, num_bytes, offset == 0);
    const uint64_t end = offset + (uint64_t)(text.p - bytes) + text.len;
    if (!cx_utf8_valid(text) || memchr(text.p, '\0', text.len) != NULL ||
        (text.len == 0 && got > 0)) {
        status = cx_err_set(err, CX_UNSUPPORTED_MEDIA_TYPE, "The file is not UTF-8 text");
    } else {
        *out = json_pack("{s:s%, s:I, s:s%, s:b}", "path", path.p, path.len, "bytes_returned",
                         (json_int_t)text.len, "text", text.p, text.len, "truncated",
                         (int)(end < (uint64_t)st.st_size));
    }
    free(bytes);
    return status;
}

static enum cx_status open_regular(const struct cx_files *files, struct cx_str path, int *fd,
                                   struct stat *st, struct cx_err *err)
{
    const struct files__root *root = NULL;
    struct stat before;
    int looked = -1;
    enum cx_status status = files__open(files, path, O_PATH, &root, &looked, err);
    if (status != CX_OK) {
        return status;
    }
    const bool regular = fstat(looked, &before) == 0 && S_ISREG(before.st_mode);
    (void)close(looked);
    if (!regular) {
        return files__not_found(err);
    }
    status = files__open(files, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &root, fd, err);
    if (status != CX_OK) {
        return status;
    }
    if (fstat(*fd, st) != 0 || !S_ISREG(st->st_mode)) {
        (void)close(*fd);
        return files__not_found(err);
    }
    return CX_OK;
}

static enum cx_status read_at(int fd, uint64_t offset, char *bytes, size_t wanted, size_t *got,
                              struct cx_err *err)
{
    if (offset > INT64_MAX - wanted) {
        return CX_OK; /* behind the end of every file */
    }
    while (*got < wanted) {
        const ssize_t piece = pread(fd, bytes + *got, wanted - *got, (off_t)(offset + *got));
        if (piece < 0 && errno == EINTR) {
            continue;
        }
        if (piece < 0) {
            return cx_err_set(err, CX_NOT_FOUND, "The file cannot be read");
        }
        if (piece == 0) {
            break;
        }
        *got += (size_t)piece;
    }
    return CX_OK;
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* What an offset cuts off at the front, and num_bytes at the end, of a character. */
static struct cx_str whole_characters(struct cx_str bytes, size_t max, bool from_start)
{
    size_t skip = 0;
    while (!from_start && skip < CHARACTER_BYTES - 1 && skip < bytes.len &&
           continues(bytes.p[skip])) {
        skip++;
    }
    size_t end = bytes.len < max ? bytes.len : max;
    for (int i = 0;
         i < CHARACTER_BYTES - 1 && end > skip && end < bytes.len && continues(bytes.p[end]); i++) {
        end--;
    }
    return (struct cx_str){ bytes.p + skip, end > skip ? end - skip : 0 };
}
