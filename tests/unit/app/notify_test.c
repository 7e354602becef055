/* SPDX-License-Identifier: MIT
 *
 * What the service manager is told, on a real datagram socket, and what it hands over.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/config_table.h"
#include "app/notify.h"
#include "app_helpers.h"
#include "test.h"

/* A receiver at this path, or at this abstract name where it begins with @. */
static int receiver(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const size_t len = strlen(path);
    CX_CHECK(len < sizeof address.sun_path);
    memcpy(address.sun_path, path, len);
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    CX_CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&address, size) == 0);
    return fd;
}

static const char *received(int fd)
{
    static char text[1024];
    const ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return n >= 0 ? text : NULL;
}

static struct app__notify *notify_for(const char *socket_path)
{
    char variable[600];
    char *env[] = { variable, NULL };
    struct app__notify *notify = NULL;
    snprintf(variable, sizeof variable, "NOTIFY_SOCKET=%s", socket_path);
    CX_CHECK(app__notify_new(env, &notify, NULL) == CX_OK);
    return notify;
}

static void expect_messages(const char *path)
{
    const int fd = receiver(path);
    struct app__notify *notify = notify_for(path);
    EXPECT(app__notify_send(notify, "READY=1\nSTATUS=Serving"));
    EXPECT_STR(received(fd), "READY=1\nSTATUS=Serving");
    const uint64_t before = cx_clock_mono_ns() / 1000;
    EXPECT(app__notify_reloading(notify));
    const char *text = received(fd);
    static const char start[] = "RELOADING=1\nMONOTONIC_USEC=";
    REQUIRE(text != NULL && strncmp(text, start, sizeof start - 1) == 0);
    const unsigned long long usec = strtoull(text + sizeof start - 1, NULL, 10);
    EXPECT(usec >= before && usec <= cx_clock_mono_ns() / 1000);
    EXPECT(app__notify_status(notify, "%d waiting\nREADY=%d", 3, 0));
    EXPECT_STR(received(fd), "STATUS=3 waiting READY=0");
    EXPECT(app__notify_send(notify, "WATCHDOG=1"));
    EXPECT_STR(received(fd), "WATCHDOG=1");
    EXPECT(app__notify_send(notify, "STOPPING=1"));
    EXPECT_STR(received(fd), "STOPPING=1");
    EXPECT(received(fd) == NULL && errno == EAGAIN);
    close(fd);
    EXPECT(!app__notify_send(notify, "READY=1")); /* the manager has gone */
    app__notify_free(&notify);
    EXPECT(notify == NULL);
    app__notify_free(&notify);
}

TEST(notify_tells)
{
    expect_messages(in_dir("notify"));
    char name[64];
    snprintf(name, sizeof name, "@cortex-unit-%d", (int)getpid());
    expect_messages(name);
}

/* A manager that does not read must not hold us up. */
TEST(notify_does_not_wait)
{
    const int fd = receiver(in_dir("notify"));
    struct app__notify *notify = notify_for(in_dir("notify"));
    int sent = 0;
    while (sent < 100000 && app__notify_send(notify, "WATCHDOG=1")) {
        sent++;
    }
    EXPECT(sent > 0 && sent < 100000);
    EXPECT(received(fd) != NULL);
    EXPECT(app__notify_send(notify, "READY=1"));
    app__notify_free(&notify);
    close(fd);
}

TEST(notify_without_a_manager)
{
    char *env[] = { NULL };
    struct app__notify *notify = NULL;
    REQUIRE(app__notify_new(env, &notify, NULL) == CX_OK);
    EXPECT(app__notify_send(notify, "READY=1") && app__notify_reloading(notify));
    EXPECT_INT(app__notify_watchdog_ms(notify), 0);
    app__notify_free(&notify);
}

static enum cx_status watchdog(const char *usec, const char *pid, uint64_t *ms, struct cx_err *err)
{
    char a[128] = "";
    char b[128] = "";
    char *env[] = { a, b, NULL };
    snprintf(a, sizeof a, "WATCHDOG_USEC=%s", usec);
    snprintf(b, sizeof b, "WATCHDOG_PID=%s", pid);
    struct app__notify *notify = NULL;
    const enum cx_status status = app__notify_new(env, &notify, err);
    if (status == CX_OK) {
        *ms = app__notify_watchdog_ms(notify);
    }
    app__notify_free(&notify);
    return status;
}

TEST(notify_watchdog)
{
    char own[32];
    uint64_t ms = 0;
    struct cx_err err = { .text = "" };
    snprintf(own, sizeof own, "%d", (int)getpid());
    EXPECT(watchdog("30000000", "", &ms, NULL) == CX_OK && ms == 30000);
    EXPECT(watchdog("30000000", own, &ms, NULL) == CX_OK && ms == 30000);
    EXPECT(watchdog("30000000", "1", &ms, NULL) == CX_OK && ms == 0);
    EXPECT(watchdog("1", own, &ms, NULL) == CX_OK && ms == 1);
    EXPECT(watchdog("", "", &ms, NULL) == CX_OK && ms == 0);
    EXPECT(watchdog("soon", own, &ms, &err) == CX_INVALID);
    EXPECT_STR(err.text, "WATCHDOG_USEC: \"soon\" is no number of microseconds");
    EXPECT(watchdog("1", "me", &ms, &err) == CX_INVALID);
    char *env[] = { (char[]){ "NOTIFY_SOCKET=vsock:2:1" }, NULL };
    struct app__notify *notify = NULL;
    EXPECT(app__notify_new(env, &notify, &err) == CX_INVALID && notify == NULL);
}

/* ---- Sockets that are handed over -------------------------------------------------------------- */

/* In a process of its own, whose descriptors from 3 on are what the test says. */
static int listen_in_child(const char *const *env, int (*make)(void))
{
    const pid_t child = fork();
    CX_CHECK(child >= 0);
    if (child == 0) {
        if (make != NULL) {
            const int fd = make();
            if (fd != APP__LISTEN_FDS_START) {
                (void)dup2(fd, APP__LISTEN_FDS_START);
            }
        } else {
            close(APP__LISTEN_FDS_START);
        }
        char pid[32];
        snprintf(pid, sizeof pid, "LISTEN_PID=%d", (int)getpid());
        char *copies[8] = { pid };
        size_t count = 1;
        while (env[count - 1] != NULL) {
            copies[count] = cx_strdup(env[count - 1]);
            count++;
        }
        unsigned fds = 99;
        struct cx_err err = { .text = "" };
        const enum cx_status status = app__listen_fds(copies, &fds, &err);
        if (status != CX_OK) {
            _exit(100);
        }
        if (fds > 0) {
            char text[APP__SOCKET_TEXT_BYTES];
            const bool gone = app__env_get(copies, "LISTEN_PID") == NULL &&
                              app__env_get(copies, "LISTEN_FDS") == NULL &&
                              app__env_get(copies, "LISTEN_FDNAMES") == NULL;
            const bool closing = fcntl(APP__LISTEN_FDS_START, F_GETFD) == FD_CLOEXEC;
            if (!gone || !closing) {
                _exit(101);
            }
            if (!app__socket_is_local(APP__LISTEN_FDS_START, text)) {
                _exit(50);
            }
        }
        _exit((int)fds);
    }
    int status = 0;
    CX_CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int listen_on(uint32_t host)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { .s_addr = htonl(host) } };
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    CX_CHECK(bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
             listen(fd, 1) == 0);
    return fd;
}

static int local_listener(void)
{
    return listen_on(INADDR_LOOPBACK);
}

static int no_listener(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int datagrams(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0);
}

TEST(listen_fds)
{
    EXPECT_INT(listen_in_child(LIST("LISTEN_FDS=1", "LISTEN_FDNAMES=a"), local_listener), 1);
    EXPECT_INT(listen_in_child(LIST("LISTEN_FDS=1"), no_listener), 100);
    EXPECT_INT(listen_in_child(LIST("LISTEN_FDS=1"), datagrams), 100);
    EXPECT_INT(listen_in_child(LIST("LISTEN_FDS=1"), NULL), 100);
    EXPECT_INT(listen_in_child(LIST("LISTEN_FDS=x"), local_listener), 100);
    EXPECT_INT(listen_in_child(LIST("LISTEN_FDS=99999"), local_listener), 100);
    EXPECT_INT(listen_in_child(LIST("OTHER=1"), local_listener), 0);
    char *env[] = { (char[]){ "LISTEN_PID=1" }, (char[]){ "LISTEN_FDS=1" }, NULL };
    unsigned count = 9;
    EXPECT(app__listen_fds(env, &count, NULL) == CX_OK && count == 0);
    EXPECT_STR(app__env_get(env, "LISTEN_FDS"), "1"); /* another process's: left alone */
}

/* Bound, but never listened on: nothing here is reachable from elsewhere. */
TEST(socket_is_local)
{
    char text[APP__SOCKET_TEXT_BYTES];
    const int any = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = { .sin_family = AF_INET };
    CX_CHECK(bind(any, (const struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(!app__socket_is_local(any, text));
    EXPECT(strncmp(text, "0.0.0.0:", 8) == 0);
    close(any);
    const int local = local_listener();
    EXPECT(app__socket_is_local(local, text));
    EXPECT(strncmp(text, "127.0.0.1:", 10) == 0);
    close(local);
    const int unix_socket = receiver(in_dir("socket"));
    EXPECT(app__socket_is_local(unix_socket, text));
    close(unix_socket);
    EXPECT(!app__socket_is_local(-1, text));
}
