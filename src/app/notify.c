/* SPDX-License-Identifier: MIT
 *
 * Talking to the service manager (notify.h): datagrams to a Unix socket, one message each.
 */
#include "app/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/config_table.h"

#define MESSAGE_MAX_BYTES 512

struct app__notify {
    int fd; /* -1 = nobody listens */
    struct sockaddr_un address;
    socklen_t address_len;
    uint64_t watchdog_ms;
};

static enum cx_status read_watchdog(char *const *environment, uint64_t *ms, struct cx_err *err);

enum cx_status app__notify_new(char *const *environment, struct app__notify **out,
                               struct cx_err *err)
{
    struct app__notify n = { .fd = -1, .address = { .sun_family = AF_UNIX } };
    const enum cx_status status = read_watchdog(environment, &n.watchdog_ms, err);
    if (status != CX_OK) {
        return status;
    }
    const char *path = app__env_get(environment, "NOTIFY_SOCKET");
    if (path != NULL) {
        const size_t len = strlen(path);
        if ((path[0] != '/' && path[0] != '@') || len >= sizeof n.address.sun_path) {
            return cx_err_set(
                err, CX_INVALID,
                "NOTIFY_SOCKET: must be a path, or @ and a name, of at most %zu bytes",
                sizeof n.address.sun_path - 1);
        }
        memcpy(n.address.sun_path, path, len);
        n.address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        if (path[0] == '@') {
            n.address.sun_path[0] = '\0'; /* the abstract name space: no NUL at its end either */
        } else {
            n.address_len++;
        }
        n.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (n.fd < 0) {
            return cx_err_set(err, CX_IO_ERROR, "NOTIFY_SOCKET: %s", strerror(errno));
        }
    }
    *out = cx_alloc(sizeof **out);
    **out = n;
    return CX_OK;
}

static enum cx_status read_watchdog(char *const *environment, uint64_t *ms, struct cx_err *err)
{
    const char *usec = app__env_get(environment, "WATCHDOG_USEC");
    const char *pid = app__env_get(environment, "WATCHDOG_PID");
    uint64_t value = 0;
    *ms = 0;
    if (usec == NULL) {
        return CX_OK;
    }
    if (pid != NULL) {
        if (!cx_parse_u64(cx_str_of(pid), &value)) {
            return cx_err_set(err, CX_INVALID, "WATCHDOG_PID: \"%.40s\" is no process id", pid);
        }
        if (value != (uint64_t)getpid()) {
            return CX_OK; /* meant for another process */
        }
    }
    if (!cx_parse_u64(cx_str_of(usec), &value) || value == 0) {
        return cx_err_set(err, CX_INVALID, "WATCHDOG_USEC: \"%.40s\" is no number of microseconds",
                          usec);
    }
    *ms = value >= 1000 ? value / 1000 : 1;
    return CX_OK;
}

void app__notify_free(struct app__notify **notify)
{
    if (*notify == NULL) {
        return;
    }
    if ((*notify)->fd >= 0) {
        close((*notify)->fd);
    }
    free(*notify);
    *notify = NULL;
}

bool app__notify_send(const struct app__notify *notify, const char *state)
{
    if (notify->fd < 0) {
        return true;
    }
    ssize_t n = 0;
    do {
        n = sendto(notify->fd, state, strlen(state), MSG_NOSIGNAL,
                   (const struct sockaddr *)&notify->address, notify->address_len);
    } while (n < 0 && errno == EINTR);
    return n >= 0;
}

bool app__notify_reloading(const struct app__notify *notify)
{
    char text[96];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reloading",
             (unsigned long long)(cx_clock_mono_ns() / 1000));
    return app__notify_send(notify, text);
}

bool app__notify_status(const struct app__notify *notify, const char *format, ...)
{
    char text[MESSAGE_MAX_BYTES] = "STATUS=";
    const size_t prefix = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + prefix, sizeof text - prefix, format, args);
    va_end(args);
    for (char *c = text + prefix; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = ' '; /* a newline would begin another assignment */
        }
    }
    return app__notify_send(notify, text);
}

uint64_t app__notify_watchdog_ms(const struct app__notify *notify)
{
    return notify->watchdog_ms;
}
