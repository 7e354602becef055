/* SPDX-License-Identifier: MIT
 *
 * The log's ring and its thread. Whoever logs copies a line into the ring under a lock that is held
 * for no longer than that; the thread writes from the ring to standard error without the lock,
 * because what lies between tail and head changes only when the thread itself moves the tail.
 *
 * One of the two rooms with state at file scope: a check that fails anywhere must find its way
 * here.
 */
#include "log.h"

#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

enum {
    RING_BYTES = 1 << 20,
    RING_MASK = RING_BYTES - 1,
    WRITE_SLICE_MS = 100, /* how soon the thread sees that it is to stop while nobody reads */
    NAP_MS = 10,
    GATHER_MS = 5,   /* lines come in bursts: who logs is not to wake the thread for each of them */
    STOP_MS = 1000,  /* for the thread to write what waits */
    STUCK_MS = 500,  /* beyond that it hangs in a write and is left behind */
    DIRECT_MS = 1000 /* for a line that is written without a thread */
};

enum log_state {
    LOG_DIRECT,   /* no thread: each line is written by whoever logs it */
    LOG_RUNNING,  /* through the ring */
    LOG_ABANDONED /* direct again; the thread hung and keeps the ring for good */
};

static struct {
    atomic_int level;
    atomic_int format;
    atomic_bool journal;
    atomic_int state;         /* enum log_state; changed under lock */
    _Atomic uint64_t dropped; /* lines */
    _Atomic uint64_t unsaid;  /* of them, those that no line has told of yet */
    pthread_t thread;
    struct log_sink sink; /* the thread's */

    pthread_mutex_t lock; /* of what follows, and of the ring's head and tail */
    pthread_cond_t filled;
    pthread_cond_t ended;
    bool thread_waits;   /* for a first line */
    bool thread_gathers; /* further lines */
    bool thread_ended;
    uint64_t stop_at_ns; /* 0 = go on */
    uint64_t head;       /* bytes ever put in; they stand at head & RING_MASK */
    uint64_t tail;       /* bytes ever taken out */

    pthread_mutex_t direct_lock; /* of standard error while there is no thread */
    bool direct_stalled;
} shared = {
    .level = CX_LOG_INFO,
    .format = CX_LOG_AUTO,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .filled = PTHREAD_COND_INITIALIZER,
    .ended = PTHREAD_COND_INITIALIZER,
    .direct_lock = PTHREAD_MUTEX_INITIALIZER,
};
static char ring[RING_BYTES];

enum put_result { PUT_DONE, PUT_NO_ROOM, PUT_NO_THREAD };

static void write_queued(enum cx_log_level level, const char *message,
                         const struct cx_field *fields);
static struct log_style current_style(void);
static enum put_result ring_put(const struct log_line *line);
static void ring_copy(uint64_t at, const char *bytes, size_t len);
static void write_direct(struct log_line *line, bool at_any_price);
static void note_dropped(uint64_t lines);
static void start_thread(void);
static void *thread_main(void *unused);
static bool wait_for_lines(struct iovec slices[2]);
static void gather_lines(void);
static bool half_full(void);
static void end_thread(void);
static bool take_out(size_t len);
static void say_dropped(void);
static uint64_t count_lines(uint64_t from, uint64_t to);
static void stop_thread(bool at_any_price);
static struct timespec timespec_of(uint64_t ns);
static bool lock_soon(pthread_mutex_t *lock);

bool cx_log_enabled(enum cx_log_level level)
{
    return (int)level >= atomic_load_explicit(&shared.level, memory_order_relaxed);
}

void cx_log_set_level(enum cx_log_level level)
{
    atomic_store_explicit(&shared.level, (int)level, memory_order_relaxed);
}

bool cx_log_level_parse(const char *text, enum cx_log_level *out)
{
    static const struct {
        const char *name;
        enum cx_log_level level;
    } names[] = {
        { "debug", CX_LOG_DEBUG },  { "info", CX_LOG_INFO },   { "warn", CX_LOG_WARN },
        { "warning", CX_LOG_WARN }, { "error", CX_LOG_ERROR }, { "critical", CX_LOG_ERROR },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(names); i++) {
        if (strcasecmp(text, names[i].name) == 0) {
            *out = names[i].level;
            return true;
        }
    }
    return false;
}

void cx_log_start(enum cx_log_level level, enum cx_log_format format)
{
    /* The first backtrace loads a library; after that a failed check needs no memory for its
     * own. */
    void *frame = NULL;
    (void)backtrace(&frame, 1);

    const struct log_style style = base__log_sink_style(format);
    cx_log_set_level(level);
    atomic_store(&shared.format, (int)style.format);
    atomic_store(&shared.journal, style.journal);
    (void)pthread_mutex_lock(&shared.lock);
    if (atomic_load(&shared.state) == LOG_DIRECT) {
        start_thread();
    }
    (void)pthread_mutex_unlock(&shared.lock);
}

void cx_log_write(enum cx_log_level level, const char *message, const struct cx_field *fields)
{
    const int saved_errno = errno; /* the caller may still want to look at it */
    if (atomic_load(&shared.state) == LOG_RUNNING) {
        write_queued(level, message, fields);
    } else {
        base__log_write_now(level, message, fields, false);
    }
    errno = saved_errno;
}

void cx_log_stop(void)
{
    stop_thread(false);
}

uint64_t cx_log_dropped(void)
{
    return atomic_load_explicit(&shared.dropped, memory_order_relaxed);
}

void base__log_give_up(void)
{
    stop_thread(true);
}

void base__log_write_now(enum cx_log_level level, const char *message,
                         const struct cx_field *fields, bool at_any_price)
{
    const struct log_style style =
        base__log_sink_style((enum cx_log_format)atomic_load(&shared.format));
    struct log_line line;
    base__log_format(&line, style, level, cx_clock_wall_us(), message, fields);
    write_direct(&line, at_any_price);
}

static void write_queued(enum cx_log_level level, const char *message,
                         const struct cx_field *fields)
{
    struct log_line line;
    base__log_format(&line, current_style(), level, cx_clock_wall_us(), message, fields);
    const enum put_result result = ring_put(&line);
    if (result == PUT_NO_ROOM) {
        note_dropped(1);
    } else if (result == PUT_NO_THREAD) {
        write_direct(&line, false);
    }
}

/* As it was when the thread was started. */
static struct log_style current_style(void)
{
    return (struct log_style){ .format = (enum cx_log_format)atomic_load(&shared.format),
                               .journal = atomic_load(&shared.journal) };
}

static enum put_result ring_put(const struct log_line *line)
{
    enum put_result result = PUT_NO_THREAD;
    bool wake = false;
    (void)pthread_mutex_lock(&shared.lock);
    if (atomic_load(&shared.state) == LOG_RUNNING) {
        if (line->len <= RING_BYTES - (shared.head - shared.tail)) {
            ring_copy(shared.head, line->text, line->len);
            shared.head += line->len;
            wake = shared.thread_waits || (shared.thread_gathers && half_full());
            shared.thread_waits = false;
            result = PUT_DONE;
        } else {
            result = PUT_NO_ROOM;
        }
    }
    (void)pthread_mutex_unlock(&shared.lock);
    if (wake) {
        (void)pthread_cond_signal(&shared.filled);
    }
    return result;
}

static void ring_copy(uint64_t at, const char *bytes, size_t len)
{
    const size_t start = (size_t)(at & RING_MASK);
    const size_t first = len < RING_BYTES - start ? len : RING_BYTES - start;
    memcpy(ring + start, bytes, first);
    memcpy(ring, bytes + first, len - first);
}

/* Waits for a reader that is slow, but not for one that has already made a line wait in vain. */
static void write_direct(struct log_line *line, bool at_any_price)
{
    const bool locked = at_any_price ? lock_soon(&shared.direct_lock)
                                     : pthread_mutex_lock(&shared.direct_lock) == 0;
    const struct log_sink sink = base__log_sink_open();
    const uint64_t deadline =
        cx_clock_mono_ns() + (shared.direct_stalled ? 0 : DIRECT_MS * NS_PER_MS);
    size_t done = 0;
    enum log_outcome outcome = LOG_WROTE;
    while (done < line->len && outcome != LOG_GONE) {
        const struct iovec slices[2] = { { .iov_base = line->text + done,
                                           .iov_len = line->len - done } };
        const uint64_t now = cx_clock_mono_ns();
        const uint64_t left_ms = deadline > now ? (deadline - now) / NS_PER_MS : 0;
        size_t written = 0;
        outcome = base__log_sink_write(&sink, slices, (int)left_ms, &written);
        done += written;
        if (outcome == LOG_WOULD_BLOCK && left_ms == 0) {
            break;
        }
    }
    shared.direct_stalled = outcome == LOG_WOULD_BLOCK;
    if (locked) {
        (void)pthread_mutex_unlock(&shared.direct_lock);
    }
    if (done < line->len) {
        note_dropped(1);
    }
}

static void note_dropped(uint64_t lines)
{
    atomic_fetch_add(&shared.dropped, lines);
    atomic_fetch_add(&shared.unsaid, lines);
}

/* Under the lock. Without a thread (no memory, no processes left) lines stay direct. */
static void start_thread(void)
{
    shared.sink = base__log_sink_open();
    shared.head = 0;
    shared.tail = 0;
    shared.stop_at_ns = 0;
    shared.thread_ended = false;
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&shared.thread, NULL, thread_main, NULL) == 0) {
        (void)pthread_setname_np(shared.thread, "cortex-log");
        atomic_store(&shared.state, LOG_RUNNING);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void *thread_main(void *unused)
{
    (void)unused;
    struct iovec slices[2];
    while (wait_for_lines(slices)) {
        size_t written = 0;
        const enum log_outcome outcome =
            base__log_sink_write(&shared.sink, slices, WRITE_SLICE_MS, &written);
        if (outcome == LOG_GONE) {
            /* Told of only once something can be written again: else the telling would spin. */
            const size_t len = slices[0].iov_len + slices[1].iov_len;
            note_dropped(count_lines(shared.tail, shared.tail + len));
            written = len;
        }
        if (!take_out(written)) {
            return NULL;
        }
        if (outcome == LOG_WROTE) {
            say_dropped();
        }
    }
    return NULL;
}

/* Under the lock, which it lets go of meanwhile. */
static void gather_lines(void)
{
    const struct timespec until = timespec_of(cx_clock_mono_ns() + GATHER_MS * NS_PER_MS);
    int waited = 0;
    shared.thread_gathers = true;
    while (shared.stop_at_ns == 0 && !half_full() && waited == 0) {
        waited = pthread_cond_clockwait(&shared.filled, &shared.lock, CLOCK_MONOTONIC, &until);
    }
    shared.thread_gathers = false;
}

static bool half_full(void)
{
    return shared.head - shared.tail >= RING_BYTES / 2;
}

/* False when the thread is to end; it then has. */
static bool wait_for_lines(struct iovec slices[2])
{
    (void)pthread_mutex_lock(&shared.lock);
    while (shared.head == shared.tail && shared.stop_at_ns == 0) {
        shared.thread_waits = true;
        (void)pthread_cond_wait(&shared.filled, &shared.lock);
    }
    shared.thread_waits = false;
    gather_lines();
    const bool late = shared.stop_at_ns != 0 && cx_clock_mono_ns() >= shared.stop_at_ns;
    const bool more =
        shared.head != shared.tail && !late && atomic_load(&shared.state) == LOG_RUNNING;
    if (more) {
        const size_t len = (size_t)(shared.head - shared.tail);
        const size_t start = (size_t)(shared.tail & RING_MASK);
        const size_t first = len < RING_BYTES - start ? len : RING_BYTES - start;
        slices[0] = (struct iovec){ .iov_base = ring + start, .iov_len = first };
        slices[1] = (struct iovec){ .iov_base = ring, .iov_len = len - first };
    } else {
        end_thread();
    }
    (void)pthread_mutex_unlock(&shared.lock);
    return more;
}

/* Under the lock. */
static void end_thread(void)
{
    if (atomic_load(&shared.state) == LOG_RUNNING) {
        note_dropped(count_lines(shared.tail, shared.head));
        atomic_store(&shared.state, LOG_DIRECT);
    }
    shared.thread_ended = true;
    (void)pthread_cond_broadcast(&shared.ended);
}

/* False if the thread was left behind meanwhile and must touch nothing more. */
static bool take_out(size_t len)
{
    (void)pthread_mutex_lock(&shared.lock);
    shared.tail += len;
    const bool running = atomic_load(&shared.state) == LOG_RUNNING;
    (void)pthread_mutex_unlock(&shared.lock);
    return running;
}

static void say_dropped(void)
{
    const uint64_t lines = atomic_load(&shared.unsaid);
    if (lines == 0) {
        return;
    }
    (void)pthread_mutex_lock(&shared.lock);
    const bool roomy = !half_full();
    (void)pthread_mutex_unlock(&shared.lock);
    if (!roomy) {
        return;
    }
    struct log_line line;
    base__log_format(&line, current_style(), CX_LOG_WARN, cx_clock_wall_us(), "log lines dropped",
                     (const struct cx_field[]){ CX_I("lines", lines), { .name = NULL } });
    if (ring_put(&line) == PUT_DONE) {
        atomic_fetch_sub(&shared.unsaid, lines);
    }
}

static uint64_t count_lines(uint64_t from, uint64_t to)
{
    uint64_t lines = 0;
    for (uint64_t at = from; at < to; at++) {
        lines += ring[at & RING_MASK] == '\n';
    }
    return lines;
}

static void stop_thread(bool at_any_price)
{
    if (at_any_price ? !lock_soon(&shared.lock) : pthread_mutex_lock(&shared.lock) != 0) {
        return;
    }
    if (atomic_load(&shared.state) != LOG_RUNNING || shared.stop_at_ns != 0 ||
        pthread_equal(pthread_self(), shared.thread) != 0) {
        (void)pthread_mutex_unlock(&shared.lock);
        return;
    }
    shared.stop_at_ns = cx_clock_mono_ns() + STOP_MS * NS_PER_MS;
    (void)pthread_cond_signal(&shared.filled);
    const uint64_t stuck_at_ns = shared.stop_at_ns + STUCK_MS * NS_PER_MS;
    const struct timespec stuck_at = timespec_of(stuck_at_ns);
    int waited = 0;
    while (!shared.thread_ended && waited == 0) {
        waited = pthread_cond_clockwait(&shared.ended, &shared.lock, CLOCK_MONOTONIC, &stuck_at);
    }
    const bool ended = shared.thread_ended;
    if (!ended) {
        atomic_store(&shared.state, LOG_ABANDONED);
        note_dropped(count_lines(shared.tail, shared.head));
    }
    (void)pthread_mutex_unlock(&shared.lock);
    if (ended) {
        (void)pthread_join(shared.thread, NULL);
    } else {
        (void)pthread_detach(shared.thread);
    }
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };
}

/* For a process in any state: whoever holds the lock may never let go of it. */
static bool lock_soon(pthread_mutex_t *lock)
{
    for (int i = 0; i < 50; i++) {
        if (pthread_mutex_trylock(lock) == 0) {
            return true;
        }
        (void)poll(NULL, 0, NAP_MS);
    }
    return false;
}
