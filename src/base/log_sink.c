/* SPDX-License-Identifier: MIT
 *
 * Standard error, written without ever waiting longer than asked and without a signal when its
 * reader is gone. Its file description is shared with other programs, so it is not made
 * non-blocking: a socket is asked per call (MSG_DONTWAIT), anything else is polled first and then
 * given no more than a pipe takes at once when it says that it has room (PIPE_BUF, also the size up
 * to which pipes keep lines whole).
 */
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SINK_STEP_MAX = 64 * 1024, SINK_NAP_MS = 10 };

static bool is_journal(void);
static ssize_t write_quietly(const struct log_sink *sink, struct iovec *slices, int count);
static ssize_t write_without_sigpipe(struct iovec *slices, int count);
static size_t end_at_line(const struct iovec slices[2], size_t most);

struct log_sink base__log_sink_open(void)
{
    struct stat info;
    struct log_sink sink = { .step_bytes = PIPE_BUF };
    if (fstat(STDERR_FILENO, &info) == 0) {
        sink.is_socket = S_ISSOCK(info.st_mode);
        if (sink.is_socket || S_ISREG(info.st_mode)) {
            sink.step_bytes = SINK_STEP_MAX;
        }
    }
    return sink;
}

struct log_style base__log_sink_style(enum cx_log_format format)
{
    const int saved_errno = errno;
    if (format == CX_LOG_AUTO) {
        format = isatty(STDERR_FILENO) ? CX_LOG_LOGFMT : CX_LOG_JSON;
    }
    errno = saved_errno;
    return (struct log_style){ .format = format, .journal = is_journal() };
}

enum log_outcome base__log_sink_write(const struct log_sink *sink, const struct iovec slices[2],
                                      int timeout_ms, size_t *written)
{
    struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
    const int polled = poll(&ready, 1, timeout_ms);
    if (polled <= 0) {
        return LOG_WOULD_BLOCK;
    }
    const size_t most = end_at_line(slices, sink->step_bytes);
    struct iovec part[2] = { slices[0], slices[1] };
    if (part[0].iov_len >= most) {
        part[0].iov_len = most;
        part[1].iov_len = 0;
    } else if (part[1].iov_len > most - part[0].iov_len) {
        part[1].iov_len = most - part[0].iov_len;
    }
    const ssize_t wrote = write_quietly(sink, part, part[1].iov_len > 0 ? 2 : 1);
    if (wrote > 0) {
        *written = (size_t)wrote;
        return LOG_WROTE;
    }
    if (wrote < 0 && errno != EAGAIN && errno != EINTR) {
        return LOG_GONE;
    }
    /* It said that it had room; do not ask again at once. */
    (void)poll(NULL, 0, timeout_ms < SINK_NAP_MS ? timeout_ms : SINK_NAP_MS);
    return LOG_WOULD_BLOCK;
}

/* systemd names the device and inode of the stream that it gave us (systemd.exec(5)); somebody may
 * have put another in its place since. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat info;
    if (stream == NULL || fstat(STDERR_FILENO, &info) != 0) {
        return false;
    }
    const char *colon = strchr(stream, ':');
    uint64_t device = 0;
    uint64_t inode = 0;
    return colon != NULL &&
           cx_parse_u64((struct cx_str){ stream, (size_t)(colon - stream) }, &device) &&
           cx_parse_u64(cx_str_of(colon + 1), &inode) && device == (uint64_t)info.st_dev &&
           inode == (uint64_t)info.st_ino;
}

static ssize_t write_quietly(const struct log_sink *sink, struct iovec *slices, int count)
{
    if (!sink->is_socket) {
        return write_without_sigpipe(slices, count);
    }
    const struct msghdr message = { .msg_iov = slices, .msg_iovlen = (size_t)count };
    return sendmsg(STDERR_FILENO, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* SIGPIPE goes to the thread that wrote: held back there, and taken out again unless one was
 * pending before. */
static ssize_t write_without_sigpipe(struct iovec *slices, int count)
{
    sigset_t sigpipe;
    sigset_t before;
    sigset_t pending;
    (void)sigemptyset(&sigpipe);
    (void)sigaddset(&sigpipe, SIGPIPE);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    const ssize_t wrote = writev(STDERR_FILENO, slices, count);
    const int saved_errno = errno;
    if (wrote < 0 && saved_errno == EPIPE && sigismember(&pending, SIGPIPE) == 0) {
        const struct timespec now = { 0 };
        while (sigtimedwait(&sigpipe, NULL, &now) < 0 && errno == EINTR) {
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved_errno;
    return wrote;
}

/* As many whole lines as fit in `most` bytes, or `most` when the first does not. */
static size_t end_at_line(const struct iovec slices[2], size_t most)
{
    if (slices[0].iov_len + slices[1].iov_len <= most) {
        return most;
    }
    for (size_t end = most; end > 0; end--) {
        const size_t at = end - 1;
        const char *byte = at < slices[0].iov_len
                               ? (const char *)slices[0].iov_base + at
                               : (const char *)slices[1].iov_base + (at - slices[0].iov_len);
        if (*byte == '\n') {
            return end;
        }
    }
    return most;
}
