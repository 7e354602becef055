/* SPDX-License-Identifier: MIT
 *
 * The log: where lines go, and what becomes of them when their reader is slow, stalled or gone.
 */
#include "test.h"

#include "base/log.h"
#include "log_env.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Where lines go -------------------------------------------------------------------------- */

TEST(log_style_follows_standard_error)
{
    const int file = memfd_create("log", MFD_CLOEXEC);
    struct stat info;
    REQUIRE(file >= 0 && fstat(file, &info) == 0);
    char stream[64];
    int saved = swap_stderr(file);
    const struct log_style plain = base__log_sink_style(CX_LOG_AUTO);
    (void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)info.st_dev,
                   (unsigned long long)info.st_ino);
    (void)setenv("JOURNAL_STREAM", stream, 1);
    const struct log_style journal = base__log_sink_style(CX_LOG_AUTO);
    (void)setenv("JOURNAL_STREAM", "1:2", 1);
    const struct log_style other = base__log_sink_style(CX_LOG_LOGFMT);
    (void)setenv("JOURNAL_STREAM", "nonsense", 1);
    const struct log_style nonsense = base__log_sink_style(CX_LOG_AUTO);
    (void)unsetenv("JOURNAL_STREAM");
    restore_stderr(saved);
    (void)close(file);
    EXPECT(plain.format == CX_LOG_JSON && !plain.journal);
    EXPECT(journal.format == CX_LOG_JSON && journal.journal);
    EXPECT(other.format == CX_LOG_LOGFMT && !other.journal);
    EXPECT(!nonsense.journal);

    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal >= 0) {
        saved = swap_stderr(terminal);
        const struct log_style on_terminal = base__log_sink_style(CX_LOG_AUTO);
        restore_stderr(saved);
        (void)close(terminal);
        EXPECT(on_terminal.format == CX_LOG_LOGFMT);
    }
}

TEST(log_writes_at_once_before_it_is_started)
{
    int ends[2];
    make_pipe(ends);
    const int saved = swap_stderr(ends[1]);
    (void)close(ends[1]);
    CX_LOG(CX_LOG_INFO, "direct", CX_I("n", 1));
    char bytes[256] = "";
    const ssize_t got = read(ends[0], bytes, sizeof bytes - 1);
    CX_LOG(CX_LOG_DEBUG, "below the level");
    restore_stderr(saved);
    EXPECT(got > 0 && strstr(bytes, "\"msg\":\"direct\",\"n\":1}\n") != NULL);
    EXPECT_INT(read(ends[0], bytes, sizeof bytes), 0);
    (void)close(ends[0]);
}

TEST(log_levels_are_kept)
{
    const int file = memfd_create("log", MFD_CLOEXEC);
    REQUIRE(file >= 0);
    const int saved = swap_stderr(file);
    cx_log_start(CX_LOG_WARN, CX_LOG_LOGFMT);
    int evaluated = 0;
    CX_LOG(CX_LOG_INFO, "no", CX_I("n", ++evaluated));
    CX_LOG(CX_LOG_ERROR, "yes");
    cx_log_set_level(CX_LOG_DEBUG);
    CX_LOG(CX_LOG_DEBUG, "now", CX_I("n", ++evaluated));
    cx_log_start(CX_LOG_INFO, CX_LOG_LOGFMT); /* a second start sets level and format */
    CX_LOG(CX_LOG_DEBUG, "no");
    cx_log_stop();
    cx_log_stop();
    CX_LOG(CX_LOG_INFO, "after");
    restore_stderr(saved);
    struct cx_buf text;
    cx_buf_init(&text, 1 << 16);
    (void)lseek(file, 0, SEEK_SET);
    read_all(file, &text);
    (void)close(file);
    cx_buf_putc(&text, '\0');
    EXPECT_INT(evaluated, 1);
    EXPECT(strstr(text.data, "msg=yes\n") != NULL);
    EXPECT(strstr(text.data, "msg=now n=1\n") != NULL);
    EXPECT(strstr(text.data, "level=info msg=after\n") != NULL);
    EXPECT(strstr(text.data, "msg=no") == strstr(text.data, "msg=now"));
    cx_buf_free(&text);
}

/* ---- Many threads, one slow reader ----------------------------------------------------------- */

enum { LINES_EACH = 6000 };

/* Reads to the end, and says when it has seen two words on the way. */
struct reader {
    pthread_t thread;
    int fd;
    struct cx_buf text;
    sem_t told; /* "log lines dropped" */
    sem_t last; /* "the last line" */
};

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    bool told = false;
    bool last = false;
    ssize_t got = 0;
    do {
        char *room = cx_buf_reserve(&r->text, 4096);
        CX_CHECK(room != NULL);
        got = read(r->fd, room, 4096);
        r->text.len += got > 0 ? (size_t)got : 0;
        const size_t back = r->text.len < 8192 ? r->text.len : 8192;
        const char *from = r->text.data + r->text.len - back;
        if (!told && memmem(from, back, "log lines dropped", 17) != NULL) {
            told = true;
            (void)sem_post(&r->told);
        }
        if (!last && memmem(from, back, "the last line", 13) != NULL) {
            last = true;
            (void)sem_post(&r->last);
        }
    } while (got > 0);
    r->text.data[r->text.len] = '\0';
    return NULL;
}

static void start_reader(struct reader *r, int fd)
{
    r->fd = fd;
    cx_buf_init(&r->text, 64 << 20);
    CX_CHECK(sem_init(&r->told, 0, 0) == 0 && sem_init(&r->last, 0, 0) == 0);
    CX_CHECK(pthread_create(&r->thread, NULL, reader_main, r) == 0);
}

static void wait_for(sem_t *seen)
{
    while (sem_wait(seen) != 0) {
    }
}

struct tally {
    uint64_t lines; /* of the talkers */
    uint64_t said;  /* dropped lines as told by the log */
    int torn;
    int disordered;
};

static struct tally tally_of(const struct cx_buf *text)
{
    struct tally t = { 0 };
    int last[THREADS] = { -1, -1, -1, -1 };
    const char *at = text->data;
    while (at != NULL && *at != '\0') {
        const char *end = NULL;
        if (!is_json_line(at, &end)) {
            t.torn++;
            end = strchr(at, '\n');
            at = end != NULL ? end + 1 : NULL;
            continue;
        }
        int thread = 0;
        int n = 0;
        unsigned long long lines = 0;
        const char *message = strstr(at, "\"msg\"");
        if (sscanf(message, "\"msg\":\"talk\",\"thread\":%d,\"n\":%d", &thread, &n) == 2 &&
            thread >= 0 && thread < THREADS) {
            t.lines++;
            t.disordered += n <= last[thread];
            last[thread] = n;
            const char *value = strstr(message, "\"text\":\"");
            t.torn +=
                value == NULL || strspn(value + 8, (char[]){ (char)('a' + thread), 0 }) != 199;
        } else if (sscanf(message, "\"msg\":\"log lines dropped\",\"lines\":%llu", &lines) == 1) {
            t.said += lines;
        } else if (strncmp(message, "\"msg\":\"the last line\"", 21) != 0) {
            t.torn++;
        }
        at = end;
    }
    return t;
}

/* The reader does not read before every line has been logged, so that any wait would be for
 * ever. */
static void log_into_stalled(int read_end, int write_end)
{
    const uint64_t dropped_before = cx_log_dropped();
    const int saved = swap_stderr(write_end);
    (void)close(write_end);
    cx_log_start(CX_LOG_INFO, CX_LOG_AUTO);
    talk_all(LINES_EACH);
    const uint64_t dropped = cx_log_dropped() - dropped_before;
    struct reader reader;
    start_reader(&reader, read_end);
    wait_for(&reader.told); /* so there is room again */
    CX_LOG(CX_LOG_INFO, "the last line");
    wait_for(&reader.last);
    cx_log_stop();
    const uint64_t dropped_in_all = cx_log_dropped() - dropped_before;
    restore_stderr(saved);
    (void)pthread_join(reader.thread, NULL);
    const struct tally t = tally_of(&reader.text);
    EXPECT(dropped > 0);
    EXPECT_INT(t.torn, 0);
    EXPECT_INT(t.disordered, 0);
    EXPECT_INT(t.lines + dropped, (uint64_t)THREADS * LINES_EACH);
    EXPECT_INT(t.said, dropped);
    EXPECT_INT(dropped_in_all, dropped);
    cx_buf_free(&reader.text);
    (void)close(read_end);
}

TEST(log_never_waits_for_a_stalled_pipe)
{
    int ends[2];
    make_pipe(ends);
    log_into_stalled(ends[0], ends[1]);
}

TEST(log_never_waits_for_a_stalled_pipe_that_does_not_block)
{
    int ends[2];
    make_pipe(ends);
    REQUIRE(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    log_into_stalled(ends[0], ends[1]);
}

TEST(log_never_waits_for_a_stalled_socket)
{
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const int size = 8192;
    (void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    log_into_stalled(ends[0], ends[1]);
}

TEST(log_loses_nothing_on_a_reader_that_reads)
{
    int ends[2];
    make_pipe(ends);
    const uint64_t dropped_before = cx_log_dropped();
    const int saved = swap_stderr(ends[1]);
    (void)close(ends[1]);
    struct reader reader;
    start_reader(&reader, ends[0]);
    cx_log_start(CX_LOG_INFO, CX_LOG_AUTO);
    talk_all(700); /* less than the ring holds, so that it does not matter how fast the reader is */
    CX_LOG(CX_LOG_INFO, "the last line");
    wait_for(&reader.last);
    cx_log_stop();
    restore_stderr(saved);
    (void)pthread_join(reader.thread, NULL);
    const struct tally t = tally_of(&reader.text);
    EXPECT_INT(t.torn, 0);
    EXPECT_INT(t.disordered, 0);
    EXPECT_INT(t.lines, THREADS * 700);
    EXPECT_INT(cx_log_dropped() - dropped_before, 0);
    cx_buf_free(&reader.text);
    (void)close(ends[0]);
}

TEST(log_stop_leaves_a_reader_that_never_reads)
{
    int ends[2];
    make_pipe(ends);
    const uint64_t dropped_before = cx_log_dropped();
    const int saved = swap_stderr(ends[1]);
    (void)close(ends[1]);
    cx_log_start(CX_LOG_INFO, CX_LOG_AUTO);
    talk_all(100);
    cx_log_stop();
    CX_LOG(CX_LOG_INFO, "talk", CX_S("text", "waits a second, in vain"));
    for (int i = 0; i < 1000; i++) {
        CX_LOG(CX_LOG_INFO, "talk", CX_S("text", "does not wait any more"));
    }
    const uint64_t dropped = cx_log_dropped() - dropped_before;
    restore_stderr(saved);
    struct cx_buf text;
    cx_buf_init(&text, 1 << 20);
    read_all(ends[0], &text);
    const struct tally t = tally_of(&text);
    EXPECT_INT(t.torn, 0);
    EXPECT_INT(t.lines + dropped, THREADS * 100 + 1001);
    cx_buf_free(&text);
    (void)close(ends[0]);
}

/* ---- No reader at all ------------------------------------------------------------------------ */

static bool sigpipe_is_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

/* What the log dropped of so many lines, written to nobody. No claim before standard error is back:
 * it would be written to nobody too. */
static uint64_t dropped_through_ring(int lines)
{
    const uint64_t before = cx_log_dropped();
    cx_log_start(CX_LOG_INFO, CX_LOG_AUTO);
    talk_all(lines);
    cx_log_stop();
    return cx_log_dropped() - before;
}

TEST(log_survives_a_reader_that_is_gone)
{
    int ends[2];
    make_pipe(ends);
    const int saved = swap_stderr(ends[1]);
    (void)close(ends[1]);
    (void)close(ends[0]);
    const uint64_t before = cx_log_dropped();
    errno = 0;
    CX_LOG(CX_LOG_ERROR, "direct, to nobody"); /* SIGPIPE would end this program */
    const int errno_after = errno;
    const uint64_t dropped_direct = cx_log_dropped() - before;
    const bool pending = sigpipe_is_pending();
    const uint64_t dropped = dropped_through_ring(50);
    restore_stderr(saved);
    EXPECT_INT(dropped_direct, 1);
    EXPECT_INT(errno_after, 0);
    EXPECT(!pending);
    /* Exactly these: what tells of them must not be dropped and told of for ever. */
    EXPECT_INT(dropped, THREADS * 50);
}

TEST(log_survives_a_socket_whose_peer_is_gone)
{
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const int saved = swap_stderr(ends[1]);
    (void)close(ends[1]);
    (void)close(ends[0]);
    const uint64_t dropped = dropped_through_ring(50);
    restore_stderr(saved);
    EXPECT_INT(dropped, THREADS * 50);
}

static void log_some(void)
{
    CX_LOG(CX_LOG_INFO, "direct");
    cx_log_start(CX_LOG_INFO, CX_LOG_AUTO);
    CX_LOG(CX_LOG_INFO, "through the ring");
    cx_log_stop();
    if (cx_log_dropped() < 2) {
        _exit(1);
    }
}

TEST(log_survives_a_closed_standard_error)
{
    const int status = run_child(-1, log_some);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(log_survives_a_full_disk)
{
    const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    REQUIRE(full >= 0);
    const int status = run_child(full, log_some);
    (void)close(full);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
