/* SPDX-License-Identifier: MIT
 *
 * A light HTTP client for benchmarks, over connections that are open before the clock starts.
 *
 *   load burst PORT COUNT PATH BODY                     all at once, one request a connection, while
 *                                                       /healthz is asked every 20 ms by a thread
 *   load steady PORT CONNECTIONS SECONDS PATH BODY      each asks again as soon as it is answered
 *
 * In BODY, # stands for a number that no other request has; with LOAD_DISTINCT=K in the environment,
 * for one of K. LOAD_TOKEN is the bearer token; LOAD_FROM, the first number. Prints one line of JSON.
 * An answer counts if its status is 200 and it came whole, by Content-Length.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
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

#define EVENTS 512
#define HEALTH_EVERY_NS 20000000L
#define HEALTH_MOST 100000
#define HEAD_BYTES 8192
#define BURST_SECONDS 60

struct client {
    int fd;
    uint64_t began_ns;
    size_t head_len;
    bool body; /* the head is whole */
    size_t left;
    bool good;
    bool done;
    char head[HEAD_BYTES];
};

struct load {
    uint16_t port;
    const char *path;
    const char *body;
    const char *token;
    uint64_t next;
    uint64_t distinct;
    int epoll;
    struct client *clients;
    size_t count;
    size_t open; /* requests without an answer */
    double *waits_ms;
    size_t answered;
    size_t room;
    size_t failed;
    char trouble[512]; /* the first answer that was none */
};

struct health {
    const struct load *load;
    atomic_bool stop;
    double *waits_ms;
    size_t count;
    size_t failed;
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

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static double percentile(const double *sorted, size_t count, double percent)
{
    const size_t at = (size_t)((double)count * percent / 100.0);
    return count == 0 ? 0 : sorted[at < count ? at : count - 1];
}

/* ---- Connections ---- */

static int open_connection(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int on = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        die("connect");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Asks for /healthz, so that the server has taken the connection; false where the answer is no 200. */
static bool ask_health(int fd)
{
    static const char ask[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char answer[4096];
    size_t len = 0;
    if (send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) != (ssize_t)sizeof ask - 1) {
        return false;
    }
    for (;;) {
        const ssize_t n = recv(fd, answer + len, sizeof answer - 1 - len, 0);
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        answer[len] = '\0';
        const char *end = strstr(answer, "\r\n\r\n");
        const char *length = strcasestr(answer, "\r\ncontent-length:");
        if (end != NULL && length != NULL &&
            len >= (size_t)(end + 4 - answer) + strtoull(length + 17, NULL, 10)) {
            return strncmp(answer, "HTTP/1.1 200", 12) == 0;
        }
    }
}

static void open_all(struct load *l, bool greet)
{
    l->clients = calloc(l->count, sizeof *l->clients);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->clients == NULL || l->epoll < 0) {
        die("clients");
    }
    for (size_t i = 0; i < l->count; i++) {
        struct client *c = &l->clients[i];
        c->fd = open_connection(l->port);
        if (greet && i % 64 == 63) {
            (void)ask_health(c->fd); /* no faster than it is accepted */
        }
    }
    for (size_t i = 0; greet && i < l->count; i++) {
        if (i % 64 != 63 && !ask_health(l->clients[i].fd)) {
            die("/healthz on a new connection");
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        struct client *c = &l->clients[i];
        (void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
            die("epoll_ctl");
        }
    }
}

/* ---- Requests and answers ---- */

static void write_body(struct load *l, char *body, size_t size)
{
    const uint64_t number = l->distinct > 0 ? l->next % l->distinct : l->next;
    const char *mark = strchr(l->body, '#');
    l->next++;
    if (mark == NULL) {
        (void)snprintf(body, size, "%s", l->body);
    } else {
        (void)snprintf(body, size, "%.*s%llu%s", (int)(mark - l->body), l->body,
                       (unsigned long long)number, mark + 1);
    }
}

static void ask(struct load *l, struct client *c)
{
    char body[4096];
    char request[8192];
    write_body(l, body, sizeof body);
    const int len = snprintf(request, sizeof request,
                             "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
                             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                             l->path, l->token, strlen(body), body);
    c->head_len = 0;
    c->body = c->good = c->done = false;
    c->began_ns = now_ns();
    l->open++;
    if (send(c->fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
        die("send");
    }
}

static void end_answer(struct load *l, struct client *c, bool good)
{
    c->done = true;
    l->open--;
    if (!good) {
        l->failed++;
        if (l->trouble[0] == '\0') {
            (void)snprintf(l->trouble, sizeof l->trouble, "%.*s", (int)c->head_len, c->head);
        }
        return;
    }
    if (l->answered == l->room) {
        l->room = l->room * 2 + 1024;
        l->waits_ms = realloc(l->waits_ms, l->room * sizeof *l->waits_ms);
        if (l->waits_ms == NULL) {
            die("realloc");
        }
    }
    l->waits_ms[l->answered++] = (double)(now_ns() - c->began_ns) / 1e6;
}

static void take(struct load *l, struct client *c, const char *bytes, size_t len)
{
    if (!c->body) {
        const size_t room = HEAD_BYTES - 1 - c->head_len;
        const size_t taken = len < room ? len : room;
        const size_t before = c->head_len;
        memcpy(c->head + c->head_len, bytes, taken);
        c->head_len += taken;
        c->head[c->head_len] = '\0';
        char *end = strstr(c->head, "\r\n\r\n");
        if (end == NULL) {
            return;
        }
        const char *length = strcasestr(c->head, "\r\ncontent-length:");
        c->good = strncmp(c->head, "HTTP/1.1 200", 12) == 0 && length != NULL && length < end;
        c->left = length != NULL ? strtoull(length + 17, NULL, 10) : 0;
        c->body = true;
        const size_t of_head = (size_t)(end + 4 - c->head) - before;
        len -= of_head;
    }
    c->left -= len < c->left ? len : c->left;
    if (c->left == 0) {
        end_answer(l, c, c->good);
    }
}

static void on_readable(struct load *l, struct client *c)
{
    static char bytes[65536];
    while (!c->done) {
        const ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            end_answer(l, c, false);
            (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, c->fd, NULL);
            return;
        }
        take(l, c, bytes, (size_t)n);
    }
}

/* ---- Health ---- */

static void *watch_health(void *arg)
{
    struct health *h = arg;
    const int fd = open_connection(h->load->port);
    struct timespec next;
    if (!ask_health(fd)) {
        die("/healthz");
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    while (!atomic_load(&h->stop) && h->count < HEALTH_MOST) {
        const uint64_t began = now_ns();
        h->failed += ask_health(fd) ? 0 : 1;
        h->waits_ms[h->count++] = (double)(now_ns() - began) / 1e6;
        /* What came late does not come in a bunch. */
        struct timespec now;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        do {
            next.tv_nsec += HEALTH_EVERY_NS;
            if (next.tv_nsec >= 1000000000L) {
                next.tv_sec++;
                next.tv_nsec -= 1000000000L;
            }
        } while (next.tv_sec < now.tv_sec ||
                 (next.tv_sec == now.tv_sec && next.tv_nsec < now.tv_nsec));
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    (void)close(fd);
    return NULL;
}

/* ---- The two ways ---- */

static void print_waits(struct load *l)
{
    if (l->answered > 0) {
        qsort(l->waits_ms, l->answered, sizeof *l->waits_ms, by_value);
    }
    for (char *c = l->trouble; *c != '\0'; c++) {
        *c = *c == '"' || *c == '\\' || (unsigned char)*c < ' ' ? ' ' : *c;
    }
    (void)printf("\"answered\": %zu, \"failed\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
                 "\"worst_ms\": %.3f, \"trouble\": \"%s\"",
                 l->answered, l->failed, percentile(l->waits_ms, l->answered, 50),
                 percentile(l->waits_ms, l->answered, 99),
                 l->answered > 0 ? l->waits_ms[l->answered - 1] : 0, l->trouble);
}

static void wait_some(struct load *l, int timeout_ms, bool again)
{
    struct epoll_event events[EVENTS];
    const int count = epoll_wait(l->epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct client *c = events[i].data.ptr;
        if (c->done) {
            (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, c->fd, NULL);
            continue;
        }
        on_readable(l, c);
        if (again && c->done && c->good) {
            ask(l, c);
        }
    }
}

static int burst(struct load *l)
{
    open_all(l, true);
    struct health h = { .load = l, .waits_ms = malloc(HEALTH_MOST * sizeof(double)) };
    pthread_t thread;
    if (h.waits_ms == NULL || pthread_create(&thread, NULL, watch_health, &h) != 0) {
        die("thread");
    }
    const uint64_t began = now_ns();
    for (size_t i = 0; i < l->count; i++) {
        ask(l, &l->clients[i]);
    }
    const uint64_t sent = now_ns();
    while (l->open > 0 && now_ns() - began < BURST_SECONDS * UINT64_C(1000000000)) {
        wait_some(l, 1000, false);
    }
    const uint64_t ended = now_ns();
    atomic_store(&h.stop, true);
    (void)pthread_join(thread, NULL);
    l->failed += l->open;
    qsort(h.waits_ms, h.count, sizeof *h.waits_ms, by_value);
    (void)printf("{\"sent_s\": %.4f, \"all_s\": %.4f, ", (double)(sent - began) / 1e9,
                 (double)(ended - began) / 1e9);
    print_waits(l);
    size_t late = 0;
    while (late < h.count && h.waits_ms[h.count - 1 - late] >= 2.0) {
        late++;
    }
    (void)printf(", \"health\": {\"count\": %zu, \"failed\": %zu, \"p50_ms\": %.3f, "
                 "\"p99_ms\": %.3f, \"worst_ms\": %.3f, \"over_2_ms\": %zu}}\n",
                 h.count, h.failed, percentile(h.waits_ms, h.count, 50),
                 percentile(h.waits_ms, h.count, 99), h.count > 0 ? h.waits_ms[h.count - 1] : 0,
                 late);
    return 0;
}

static int steady(struct load *l, double seconds)
{
    open_all(l, false);
    const uint64_t began = now_ns();
    const uint64_t until = began + (uint64_t)(seconds * 1e9);
    for (size_t i = 0; i < l->count; i++) {
        ask(l, &l->clients[i]);
    }
    while (now_ns() < until && l->open > 0) {
        wait_some(l, 100, true);
    }
    const double took = (double)(now_ns() - began) / 1e9;
    (void)printf("{\"seconds\": %.3f, \"rate\": %.1f, ", took, (double)l->answered / took);
    print_waits(l);
    (void)printf("}\n");
    return 0;
}

int main(int argc, char **argv)
{
    const bool is_burst = argc == 6 && strcmp(argv[1], "burst") == 0;
    const bool is_steady = argc == 7 && strcmp(argv[1], "steady") == 0;
    if (!is_burst && !is_steady) {
        (void)fprintf(stderr, "usage: load burst PORT COUNT PATH BODY\n"
                              "       load steady PORT CONNECTIONS SECONDS PATH BODY\n");
        return 64;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    const char *token = getenv("LOAD_TOKEN");
    const char *distinct = getenv("LOAD_DISTINCT");
    const char *from = getenv("LOAD_FROM");
    struct load l = {
        .port = (uint16_t)strtoul(argv[2], NULL, 10),
        .count = strtoull(argv[3], NULL, 10),
        .path = argv[is_burst ? 4 : 5],
        .body = argv[is_burst ? 5 : 6],
        .token = token != NULL ? token : "none",
        .next = from != NULL ? strtoull(from, NULL, 10) : 0,
        .distinct = distinct != NULL ? strtoull(distinct, NULL, 10) : 0,
    };
    return is_burst ? burst(&l) : steady(&l, strtod(argv[4], NULL));
}
