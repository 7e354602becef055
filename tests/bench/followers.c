/* SPDX-License-Identifier: MIT
 *
 * Many followers of /events/stream, while events are made at a steady rate: each looks at the sequence
 * of every event that it gets.
 *
 *   followers PORT FOLLOWERS STALLED RATE SECONDS RECONNECTS
 *
 * STALLED of the followers never read. RECONNECTS times one that reads is cut off and comes again with
 * its Last-Event-ID. Events are made by putting values into hot state (RATE a second, 0 = as fast as
 * they are answered); the key is the time, by which a follower in fifty knows how old an event is.
 * FOLLOWERS_TOKEN is the bearer token. Prints one line of JSON; `wrong` counts events that were not the
 * next one, `lost` what was still missing ten seconds after the last was made.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define READ_BYTES (256 * 1024)
#define CARRY 512
#define SAMPLE_EVERY 50
#define SAMPLES_MAX 4000000
#define SETTLE_NS 10000000000ULL

struct follower {
    int fd;
    bool stalled;
    bool sampled;
    bool began;        /* its head has come */
    uint64_t sequence; /* of the last event; 0 = none yet */
    char id[64];       /* likewise */
    char carry[CARRY]; /* the begin of a line that is not whole */
    size_t carry_len;
};

static const char *token;
static uint16_t port;
static struct follower *followers;
static size_t count;
static int epoll_fd;
static uint64_t received, wrong, gaps, closed, shutdowns;
static double *samples_ms;
static size_t sample_count;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static int open_socket(bool stalled)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int small = 4096;
    const int on = 1;
    if (fd < 0) {
        die("socket");
    }
    if (stalled) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        die("connect");
    }
    return fd;
}

static void follow(struct follower *f)
{
    char request[1024];
    f->fd = open_socket(f->stalled);
    f->began = false;
    f->carry_len = 0;
    const int len = snprintf(
        request, sizeof request,
        "GET /events/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s%s%s\r\n",
        token, f->id[0] != '\0' ? "Last-Event-ID: " : "", f->id, f->id[0] != '\0' ? "\r\n" : "");
    if (write(f->fd, request, (size_t)len) != len) {
        die("write");
    }
    fcntl(f->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = f };
    if (!f->stalled && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, f->fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static void take_line(struct follower *f, const char *line, size_t len)
{
    if (!f->began) {
        f->began = len >= 12 && memcmp(line, "HTTP/1.1 200", 12) == 0;
        if (!f->began) {
            fprintf(stderr, "followers: %.*s\n", (int)len, line);
            exit(1);
        }
    } else if (len > 4 && memcmp(line, "id: ", 4) == 0 && len - 4 < sizeof f->id) {
        memcpy(f->id, line + 4, len - 4);
        f->id[len - 4] = '\0';
        const char *dash = strchr(f->id, '-');
        const uint64_t sequence = dash != NULL ? strtoull(dash + 1, NULL, 10) : 0;
        wrong += f->sequence != 0 && sequence != f->sequence + 1 ? 1 : 0;
        f->sequence = sequence;
        received++;
    } else if (len > 6 && memcmp(line, "data: ", 6) == 0) {
        gaps += memmem(line, len < 64 ? len : 64, "stream.gap", 10) != NULL ? 1 : 0;
        shutdowns += memmem(line, len < 64 ? len : 64, "stream.shutdown", 15) != NULL ? 1 : 0;
        const char *key = f->sampled ? memmem(line, len, "\"key\":\"", 7) : NULL;
        if (key != NULL && sample_count < SAMPLES_MAX) {
            samples_ms[sample_count++] = (double)(now_ns() - strtoull(key + 7, NULL, 10)) * 1e-6;
        }
    }
}

static void take_bytes(struct follower *f, const char *bytes, size_t len)
{
    while (len > 0) {
        const char *end = memchr(bytes, '\n', len);
        const size_t piece = end != NULL ? (size_t)(end - bytes) : len;
        if (f->carry_len > 0 || end == NULL) {
            const size_t room = CARRY - f->carry_len;
            memcpy(f->carry + f->carry_len, bytes, piece < room ? piece : room);
            f->carry_len += piece < room ? piece : room;
        }
        if (end == NULL) {
            return;
        }
        if (f->carry_len > 0) {
            take_line(f, f->carry, f->carry_len);
            f->carry_len = 0;
        } else {
            take_line(f, bytes, piece);
        }
        bytes += piece + 1;
        len -= piece + 1;
    }
}

static void on_readable(struct follower *f)
{
    static char bytes[READ_BYTES];
    const ssize_t got = read(f->fd, bytes, sizeof bytes);
    if (got > 0) {
        take_bytes(f, bytes, (size_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        closed++;
        close(f->fd);
        f->fd = -1;
    }
}

/* ---- Who makes the events ---- */

static int maker;
static uint64_t asked, answered;

static void make(size_t many)
{
    static char text[1 << 18];
    size_t len = 0;
    for (size_t i = 0; i < many && len < sizeof text - 1024; i++, asked++) {
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "PUT /hot/followers/%llu?ttl=1 HTTP/1.1\r\nHost: "
                                "localhost\r\nAuthorization: Bearer %s\r\n"
                                "Content-Type: application/json\r\nContent-Length: 1\r\n\r\n1",
                                (unsigned long long)now_ns(), token);
    }
    for (size_t at = 0; at < len;) {
        const ssize_t put = write(maker, text + at, len - at);
        if (put < 0) {
            die("write");
        }
        at += (size_t)put;
    }
}

static void read_answers(void)
{
    static char bytes[READ_BYTES];
    static size_t kept;
    ssize_t got = recv(maker, bytes + kept, sizeof bytes - kept, MSG_DONTWAIT);
    if (got <= 0) {
        return;
    }
    const size_t len = kept + (size_t)got;
    const char *p = bytes;
    const char *found;
    while ((found = memmem(p, len - (size_t)(p - bytes), "HTTP/1.1 20", 11)) != NULL) {
        answered++;
        p = found + 11;
    }
    kept = len < 10 ? len : 10; /* a mark that is cut in two */
    memmove(bytes, bytes + len - kept, kept);
}

/* ---- The run ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t turn(int wait_ms)
{
    struct epoll_event events[EVENTS];
    const int ready = epoll_wait(epoll_fd, events, EVENTS, wait_ms);
    for (int i = 0; i < ready; i++) {
        on_readable(events[i].data.ptr);
    }
    read_answers();
    return now_ns();
}

static uint64_t missing(uint64_t last)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += followers[i].stalled ? 0 : last - followers[i].sequence;
    }
    return sum;
}

int main(int argc, char **argv)
{
    token = getenv("FOLLOWERS_TOKEN");
    if (argc != 7 || token == NULL) {
        fprintf(
            stderr,
            "usage: FOLLOWERS_TOKEN=T followers PORT FOLLOWERS STALLED RATE SECONDS RECONNECTS\n");
        return 64;
    }
    port = (uint16_t)atoi(argv[1]);
    count = (size_t)atoi(argv[2]);
    const size_t stalled = (size_t)atoi(argv[3]);
    const uint64_t rate = (uint64_t)atoi(argv[4]);
    const uint64_t seconds = (uint64_t)atoi(argv[5]);
    const uint64_t reconnects = (uint64_t)atoi(argv[6]);
    followers = calloc(count, sizeof *followers);
    samples_ms = malloc(SAMPLES_MAX * sizeof *samples_ms);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        followers[i].stalled = i < stalled;
        followers[i].sampled = i % SAMPLE_EVERY == 0;
        follow(&followers[i]);
    }
    maker = open_socket(false);
    make(1); /* everybody has an id to begin with */
    for (uint64_t until = now_ns() + SETTLE_NS; missing(1) > 0 && now_ns() < until;) {
        turn(10);
    }
    const uint64_t begun = now_ns();
    uint64_t cut = 0;
    uint64_t at = begun;
    while (at - begun < seconds * 1000000000ULL) {
        const uint64_t due = rate > 0 ? (at - begun) * rate / 1000000000ULL + 1 : answered + 64;
        if (due > asked && asked - answered < 4096) {
            make((size_t)(due - asked));
        }
        if (cut < (at - begun) * reconnects / (seconds * 1000000000ULL)) {
            struct follower *f = &followers[stalled + cut++ % (count - stalled)];
            if (f->fd >= 0) {
                close(f->fd);
                follow(f);
            }
        }
        at = turn(1);
    }
    const double took_s = (double)(now_ns() - begun) * 1e-9;
    for (uint64_t until = now_ns() + SETTLE_NS;
         (answered < asked || missing(asked) > 0) && now_ns() < until;) {
        turn(10);
    }
    qsort(samples_ms, sample_count, sizeof *samples_ms, by_value);
    printf("{\"made\": %llu, \"rate\": %.0f, \"received\": %llu, \"wrong\": %llu, \"lost\": %llu, "
           "\"gaps\": %llu, "
           "\"closed\": %llu, \"reconnects\": %llu, \"p50_ms\": %.2f, \"p99_ms\": %.2f, "
           "\"worst_ms\": %.2f}\n",
           (unsigned long long)asked, (double)asked / took_s, (unsigned long long)received,
           (unsigned long long)wrong, (unsigned long long)missing(asked), (unsigned long long)gaps,
           (unsigned long long)closed, (unsigned long long)cut,
           sample_count ? samples_ms[sample_count / 2] : 0,
           sample_count ? samples_ms[sample_count * 99 / 100] : 0,
           sample_count ? samples_ms[sample_count - 1] : 0);
    return 0;
}
