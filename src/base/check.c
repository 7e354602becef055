/* SPDX-License-Identifier: MIT
 *
 * The end of a process whose state is not what it must be: the claim, its place and the way there,
 * as lines of the log, then abort. None of it waits for anybody for longer than a few seconds.
 */
#include "log.h"

#include <execinfo.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FRAMES_MAX = 48, FRAMES_BYTES = 8192, OTHER_THREADS_MS = 10000 };

static atomic_flag failing = ATOMIC_FLAG_INIT;
static _Thread_local bool failing_here;

static void write_backtrace(void);

void cx_check_failed(const char *claim, const char *file, int line)
{
    if (failing_here) {
        abort(); /* a check failed on the way out */
    }
    failing_here = true;
    if (atomic_flag_test_and_set(&failing)) {
        (void)poll(NULL, 0, OTHER_THREADS_MS); /* the first one ends us all */
        abort();
    }
    base__log_give_up();
    const struct cx_field fields[] = {
        CX_S("claim", claim), CX_S("file", file), CX_I("line", line), { .name = NULL }
    };
    base__log_write_now(CX_LOG_ERROR, "check failed", fields, true);
    write_backtrace();
    abort();
}

/* By way of memory: libc would write the frames straight to standard error and could wait there for
 * ever. */
static void write_backtrace(void)
{
    void *frames[FRAMES_MAX];
    const int count = backtrace(frames, FRAMES_MAX);
    const int fd = memfd_create("backtrace", MFD_CLOEXEC);
    if (fd < 0) {
        return;
    }
    backtrace_symbols_fd(frames, count, fd);
    char text[FRAMES_BYTES];
    const ssize_t len = pread(fd, text, sizeof text - 1, 0);
    (void)close(fd);
    if (len <= 0) {
        return;
    }
    text[len] = '\0';
    for (char *at = text; *at != '\0';) {
        char *end = strchrnul(at, '\n');
        const bool last = *end == '\0';
        *end = '\0';
        const struct cx_field fields[] = { CX_S("frame", at), { .name = NULL } };
        base__log_write_now(CX_LOG_ERROR, "backtrace", fields, true);
        at = last ? end : end + 1;
    }
}
