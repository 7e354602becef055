/* SPDX-License-Identifier: MIT
 *
 * Rows in a file (row_file.h).
 */
#include "row_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cortex/base.h"

static void make_file(struct vector__row_file *file);
static int open_nameless(const char *folder);

void vector__row_file_init(struct vector__row_file *file, const char *beside)
{
    *file = (struct vector__row_file){ .fd = -1, .beside = beside };
    atomic_init(&file->unmade, false);
}

void vector__row_file_free(struct vector__row_file *file)
{
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    file->fd = -1;
}

bool vector__row_file_expected(const struct vector__row_file *file)
{
    return file->beside != NULL && !atomic_load_explicit(&file->unmade, memory_order_relaxed);
}

bool vector__row_file_write(struct vector__row_file *file, size_t at, const void *row)
{
    if (file->fd < 0) {
        make_file(file);
    }
    size_t done = file->fd < 0 ? file->row_bytes : 0;
    while (done < file->row_bytes) {
        const ssize_t n = pwrite(file->fd, (const char *)row + done, file->row_bytes - done,
                                 (off_t)(at * file->row_bytes + done));
        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            if (!file->complained) {
                CX_LOG(CX_LOG_WARN, "vectors cannot be written to their file and stay in memory",
                       CX_S("error", n < 0 ? strerror(errno) : "nothing was written"));
            }
            file->complained = true;
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    file->complained = file->complained && file->fd < 0;
    return file->fd >= 0;
}

bool vector__row_file_read(const struct vector__row_file *file, size_t at, void *row)
{
    size_t done = 0;
    while (done < file->row_bytes) {
        const ssize_t n = pread(file->fd, (char *)row + done, file->row_bytes - done,
                                (off_t)(at * file->row_bytes + done));
        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            CX_LOG(CX_LOG_ERROR, "a vector cannot be read from its file",
                   CX_S("error", n < 0 ? strerror(errno) : "it ends too early"));
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

void vector__row_file_clear(struct vector__row_file *file, size_t row_bytes)
{
    file->row_bytes = row_bytes;
    if (file->fd >= 0 && ftruncate(file->fd, 0) != 0) {
        CX_LOG(CX_LOG_WARN, "the file of vectors cannot be emptied",
               CX_S("error", strerror(errno)));
    }
}

static void make_file(struct vector__row_file *file)
{
    if (file->beside == NULL) {
        return;
    }
    const char *slash = strrchr(file->beside, '/');
    char *folder = slash != NULL ? cx_strndup(file->beside, (size_t)(slash - file->beside) + 1)
                                 : cx_strdup(".");
    file->fd = open_nameless(folder);
    atomic_store_explicit(&file->unmade, file->fd < 0, memory_order_relaxed);
    if (file->fd < 0 && !file->complained) {
        CX_LOG(CX_LOG_WARN, "no file for vectors can be made: they stay in memory",
               CX_S("error", strerror(errno)));
        file->complained = true;
    }
    free(folder);
}

/* Not every file system knows O_TMPFILE. */
static int open_nameless(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        const size_t size = strlen(folder) + sizeof "/.vectors-XXXXXX";
        char *name = cx_alloc(size);
        (void)snprintf(name, size, "%s/.vectors-XXXXXX", folder);
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(name);
        }
        free(name);
    }
    return fd;
}
