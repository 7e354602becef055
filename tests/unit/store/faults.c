/* SPDX-License-Identifier: MIT
 *
 * Failing system calls for the store's tests.
 */
#include "faults.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test.h"

static int write_error;
static const char *write_suffix;
static int sync_error;
static bool wal_spared;

/* Whether the open file's name ends so. */
static bool named(int fd, const char *suffix)
{
    char link[64];
    char path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t len = readlink(link, path, sizeof path);
    const size_t end = strlen(suffix);
    return len >= (ssize_t)end && memcmp(path + len - end, suffix, end) == 0;
}

static ssize_t failing_pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (write_error != 0 && (write_suffix == NULL || named(fd, write_suffix))) {
        errno = write_error;
        return -1;
    }
    return pwrite(fd, data, len, at);
}

void faults_of_write(int error, const char *suffix)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    const bool on = error != 0;
    write_error = error;
    write_suffix = suffix;
    const sqlite3_syscall_ptr call =
        on ? (sqlite3_syscall_ptr)(void (*)(void))failing_pwrite : NULL;
    EXPECT_INT(vfs->xSetSystemCall(vfs, "pwrite", call), SQLITE_OK);
    EXPECT_INT(vfs->xSetSystemCall(vfs, "pwrite64", call), SQLITE_OK);
}

void faults_of_sync(int error, bool spare_wal)
{
    sync_error = error;
    wal_spared = spare_wal;
}

static bool sync_fails(int fd)
{
    if (sync_error == 0) {
        return false;
    }
    if (wal_spared && named(fd, "-wal")) {
        return false;
    }
    errno = sync_error;
    return true;
}

int fdatasync(int fd)
{
    return sync_fails(fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return sync_fails(fd) ? -1 : (int)syscall(SYS_fsync, fd);
}
