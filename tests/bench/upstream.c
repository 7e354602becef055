/* SPDX-License-Identifier: MIT
 *
 * An embedding service for benchmarks: POST anything takes a fixed time and answers every input with
 * ready-made numbers in base64, of which the first six depend on the input's bytes, so that equal texts
 * get equal vectors and others do not. One thread, HTTP/1.1 with keep-alive and Content-Length alone.
 *
 *   upstream DELAY_MS [DIMENSION]      prints the port that it listens on, on 127.0.0.1
 *
 *   GET /counts         {"calls": …, "texts": …, "active_most": …}, since the last reset
 *   GET /reset/MS       forgets the counts; calls take MS from now on
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OWN_NUMBERS 6 /* 24 bytes are 32 characters: no other number shares them */
#define OWN_CHARS 32
#define EVENTS 256
#define READ_BYTES ((size_t)256 * 1024)
#define REQUEST_BYTES_MAX ((size_t)128 << 20)

struct bytes {
    char *p;
    size_t len;
    size_t cap;
};

struct peer {
    int fd;
    struct bytes in;
    struct bytes out;
    size_t written;
    bool waiting; /* a request is answered when due_ns has come */
    bool gone;
    bool polls_out;
    uint64_t due_ns;
    struct peer *next; /* among those that wait, by due_ns */
};

struct service {
    int epoll;
    uint64_t delay_ns;
    size_t dimension;
    char *numbers; /* base64 of all but the first OWN_NUMBERS */
    size_t numbers_len;
    struct peer *first;
    struct peer *last;
    uint64_t calls;
    uint64_t texts;
    unsigned active;
    unsigned active_most;
    char *read_buffer;
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void put(struct bytes *b, const char *p, size_t len)
{
    if (b->cap - b->len < len) {
        const size_t cap = b->len + len > 2 * b->cap ? b->len + len : 2 * b->cap;
        b->p = realloc(b->p, cap);
        if (b->p == NULL) {
            die("realloc");
        }
        b->cap = cap;
    }
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

/* ---- Numbers ---- */

static size_t base64(const unsigned char *in, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = 0;
    for (size_t i = 0; i < len; i += 3) {
        const unsigned a = in[i];
        const unsigned b = i + 1 < len ? in[i + 1] : 0;
        const unsigned c = i + 2 < len ? in[i + 2] : 0;
        out[at++] = digits[a >> 2];
        out[at++] = digits[(a & 3) << 4 | b >> 4];
        out[at++] = i + 1 < len ? digits[(b & 15) << 2 | c >> 6] : '=';
        out[at++] = i + 2 < len ? digits[c & 63] : '=';
    }
    return at;
}

static void make_numbers(struct service *s)
{
    const size_t count = s->dimension - OWN_NUMBERS;
    float *numbers = malloc(count * sizeof *numbers);
    s->numbers = malloc(count * sizeof *numbers * 2 + 8);
    if (numbers == NULL || s->numbers == NULL) {
        die("malloc");
    }
    for (size_t i = 0; i < count; i++) {
        numbers[i] = (float)(sin((double)(i + 1)) * 0.01);
    }
    s->numbers_len = base64((const unsigned char *)numbers, count * sizeof *numbers, s->numbers);
    free(numbers);
}

static void put_embedding(struct service *s, struct bytes *out, size_t index, uint64_t hash)
{
    float own[OWN_NUMBERS];
    for (size_t i = 0; i < OWN_NUMBERS; i++) {
        hash = (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9) + i;
        own[i] = (float)((double)(hash >> 40) / (double)(1U << 23) - 1.0);
    }
    char text[96];
    char head[OWN_CHARS];
    const int len =
        snprintf(text, sizeof text, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":\"",
                 index > 0 ? "," : "", index);
    put(out, text, (size_t)len);
    put(out, head, base64((const unsigned char *)own, sizeof own, head));
    put(out, s->numbers, s->numbers_len);
    put(out, "\"}", 2);
}

/* ---- Answers ---- */

/* The end of a JSON string that begins at p; its bytes' hash, as they stand. */
static const char *read_string(const char *p, const char *end, uint64_t *hash)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; p < end && *p != '"'; p++) {
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        if (*p == '\\' && p + 1 < end) {
            p++;
            h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        }
    }
    *hash = h;
    return p;
}

/* Trusts that the body is JSON in which "input" is a string or a list of strings. */
static size_t put_embeddings(struct service *s, struct bytes *out, const char *body, size_t len)
{
    const char *end = body + len;
    const char *p = memmem(body, len, "\"input\"", 7);
    size_t count = 0;
    if (p == NULL) {
        return 0;
    }
    p += 7;
    while (p < end && (*p == ':' || *p == ' ')) {
        p++;
    }
    const bool listed = p < end && *p == '[';
    while (p < end && *p != ']' && (count == 0 || listed)) {
        if (*p == '"') {
            uint64_t hash = 0;
            p = read_string(p + 1, end, &hash);
            put_embedding(s, out, count++, hash);
        }
        p++;
    }
    return count;
}

static void put_response(struct bytes *out, const char *body, size_t len)
{
    char head[160];
    const int head_len = snprintf(head, sizeof head,
                                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                  "Content-Length: %zu\r\n\r\n",
                                  len);
    put(out, head, (size_t)head_len);
    put(out, body, len);
}

static void answer_embeddings(struct service *s, struct peer *c, const char *body, size_t len)
{
    /* The length is known only when all is written: the head goes where room was left for it. */
    static const char tail[] =
        "],\"model\":\"slow\",\"usage\":{\"prompt_tokens\":1,\"total_tokens\":1}}";
    static const char space[160] = "";
    char head[sizeof space];
    c->out.len = 0;
    put(&c->out, space, sizeof space);
    put(&c->out, "{\"object\":\"list\",\"data\":[", 25);
    s->texts += put_embeddings(s, &c->out, body, len);
    put(&c->out, tail, sizeof tail - 1);
    const int head_len = snprintf(head, sizeof head,
                                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                  "Content-Length: %zu\r\n\r\n",
                                  c->out.len - sizeof space);
    c->written = sizeof space - (size_t)head_len;
    memcpy(c->out.p + c->written, head, (size_t)head_len);
    s->calls++;
    c->waiting = true;
    c->due_ns = now_ns() + s->delay_ns;
    s->active++;
    s->active_most = s->active > s->active_most ? s->active : s->active_most;
    /* Delays are alike but for a reset: the list is sorted as it grows. */
    c->next = NULL;
    if (s->last != NULL) {
        s->last->next = c;
    } else {
        s->first = c;
    }
    s->last = c;
}

static void answer_control(struct service *s, struct peer *c, const char *path)
{
    char text[160];
    unsigned long delay_ms = 0;
    c->out.len = 0;
    c->written = 0;
    const int len =
        snprintf(text, sizeof text, "{\"calls\": %llu, \"texts\": %llu, \"active_most\": %u}",
                 (unsigned long long)s->calls, (unsigned long long)s->texts, s->active_most);
    if (sscanf(path, "/reset/%lu", &delay_ms) == 1) {
        s->calls = s->texts = 0;
        s->active_most = s->active;
        s->delay_ns = (uint64_t)delay_ms * 1000000U;
    }
    put_response(&c->out, text, (size_t)len);
}

/* ---- Sockets ---- */

static void poll_out(struct service *s, struct peer *c, bool on)
{
    if (c->polls_out != on) {
        struct epoll_event event = { .events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = c };
        (void)epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event);
        c->polls_out = on;
    }
}

static void hang_up(struct peer *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
        c->fd = -1;
    }
    c->gone = true;
    if (!c->waiting) {
        free(c->in.p);
        free(c->out.p);
        free(c);
    }
}

static void flush(struct service *s, struct peer *c)
{
    while (c->written < c->out.len) {
        const ssize_t n = send(c->fd, c->out.p + c->written, c->out.len - c->written, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            poll_out(s, c, true);
            return;
        }
        if (n < 0) {
            hang_up(c);
            return;
        }
        c->written += (size_t)n;
    }
    poll_out(s, c, false);
    if (c->out.cap > READ_BYTES) {
        free(c->out.p);
        c->out = (struct bytes){ NULL, 0, 0 };
        c->written = 0;
    }
}

static size_t content_length(const char *head, const char *end)
{
    for (const char *line = head; line < end; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, "content-length:", 15) == 0) {
            return (size_t)strtoull(line + 15, NULL, 10);
        }
    }
    return 0;
}

static void take_request(struct service *s, struct peer *c)
{
    if (c->waiting || c->in.len < 4) {
        return;
    }
    const char *end = memmem(c->in.p, c->in.len, "\r\n\r\n", 4);
    if (end == NULL) {
        return;
    }
    const size_t head_len = (size_t)(end - c->in.p) + 4;
    c->in.p[head_len - 2] = '\0'; /* the head is a string for strstr */
    const size_t body_len = content_length(c->in.p, end);
    if (c->in.len < head_len + body_len) {
        c->in.p[head_len - 2] = '\r';
        return;
    }
    const bool post = c->in.p[0] == 'P';
    if (post) {
        answer_embeddings(s, c, c->in.p + head_len, body_len);
    } else {
        answer_control(s, c, c->in.p + 4);
    }
    c->in.len -= head_len + body_len;
    memmove(c->in.p, c->in.p + head_len + body_len, c->in.len);
    if (!post || s->delay_ns == 0) {
        return; /* flushed by who called, or when it is due, which is now */
    }
}

static void on_readable(struct service *s, struct peer *c)
{
    for (;;) {
        const ssize_t n = recv(c->fd, s->read_buffer, READ_BYTES, 0);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n <= 0 || c->in.len + (size_t)n > REQUEST_BYTES_MAX) {
            hang_up(c);
            return;
        }
        put(&c->in, s->read_buffer, (size_t)n);
        if ((size_t)n < READ_BYTES) {
            break;
        }
    }
    take_request(s, c);
    if (!c->waiting) {
        flush(s, c);
    }
}

static void on_due(struct service *s)
{
    const uint64_t now = now_ns();
    while (s->first != NULL && s->first->due_ns <= now) {
        struct peer *c = s->first;
        s->first = c->next;
        s->last = s->first != NULL ? s->last : NULL;
        c->waiting = false;
        s->active--;
        if (c->gone) {
            hang_up(c);
        } else {
            flush(s, c);
        }
    }
}

static void accept_all(struct service *s, int listener)
{
    int fd = -1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        const int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct peer *c = calloc(1, sizeof *c);
        if (c == NULL) {
            die("calloc");
        }
        c->fd = fd;
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
            die("epoll_ctl");
        }
    }
}

static int listen_somewhere(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 4096) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        die("listen");
    }
    (void)printf("%u\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct service s = {
        .delay_ns = argc > 1 ? strtoull(argv[1], NULL, 10) * 1000000U : 0,
        .dimension = argc > 2 ? strtoull(argv[2], NULL, 10) : 1536,
        .read_buffer = malloc(READ_BYTES),
    };
    if (s.dimension <= OWN_NUMBERS || s.read_buffer == NULL) {
        (void)fprintf(stderr, "usage: upstream DELAY_MS [DIMENSION]\n");
        return 64;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    make_numbers(&s);
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    const int listener = listen_somewhere();
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    if (s.epoll < 0 || epoll_ctl(s.epoll, EPOLL_CTL_ADD, listener, &event) != 0) {
        die("epoll");
    }
    for (;;) {
        struct epoll_event events[EVENTS];
        int timeout_ms = -1;
        if (s.first != NULL) {
            const uint64_t now = now_ns();
            timeout_ms = s.first->due_ns <= now ? 0 : (int)((s.first->due_ns - now) / 1000000U + 1);
        }
        const int count = epoll_wait(s.epoll, events, EVENTS, timeout_ms);
        for (int i = 0; i < count; i++) {
            struct peer *c = events[i].data.ptr;
            if (c == NULL) {
                accept_all(&s, listener);
            } else if ((events[i].events & EPOLLOUT) != 0) {
                flush(&s, c);
            } else {
                on_readable(&s, c);
            }
        }
        on_due(&s);
    }
}
