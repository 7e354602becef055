/* SPDX-License-Identifier: MIT
 *
 * Sockets that the service manager opened for us (notify.h; sd_listen_fds(3)).
 */
#include "app/notify.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/config_table.h"

#define LISTEN_FDS_MAX 64

static enum cx_status check_socket(int fd, struct cx_err *err);

enum cx_status app__listen_fds(char **environment, unsigned *count, struct cx_err *err)
{
    const char *pid_text = app__env_get(environment, "LISTEN_PID");
    const char *fds_text = app__env_get(environment, "LISTEN_FDS");
    uint64_t pid = 0;
    uint64_t fds = 0;
    *count = 0;
    if (pid_text == NULL || fds_text == NULL) {
        return CX_OK;
    }
    if (!cx_parse_u64(cx_str_of(pid_text), &pid) || !cx_parse_u64(cx_str_of(fds_text), &fds) ||
        fds > LISTEN_FDS_MAX) {
        return cx_err_set(err, CX_INVALID,
                          "LISTEN_PID and LISTEN_FDS: \"%.40s\" and \"%.40s\" are no "
                          "process id and number of sockets (at most %d)",
                          pid_text, fds_text, LISTEN_FDS_MAX);
    }
    if (pid != (uint64_t)getpid()) {
        return CX_OK; /* meant for another process */
    }
    app__env_take_out(environment, "LISTEN_PID");
    app__env_take_out(environment, "LISTEN_FDS");
    app__env_take_out(environment, "LISTEN_FDNAMES");
    for (unsigned i = 0; i < (unsigned)fds; i++) {
        const enum cx_status status = check_socket((int)(APP__LISTEN_FDS_START + i), err);
        if (status != CX_OK) {
            return status;
        }
    }
    *count = (unsigned)fds;
    return CX_OK;
}

static enum cx_status check_socket(int fd, struct cx_err *err)
{
    int listening = 0;
    int type = 0;
    socklen_t len = sizeof listening;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0) {
        return cx_err_set(err, CX_INVALID, "LISTEN_FDS: descriptor %d: %s", fd, strerror(errno));
    }
    len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM ||
        !listening) {
        return cx_err_set(err, CX_INVALID,
                          "LISTEN_FDS: descriptor %d is no listening stream socket", fd);
    }
    return CX_OK;
}

bool app__socket_is_local(int fd, char text[APP__SOCKET_TEXT_BYTES])
{
    struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";
    snprintf(text, APP__SOCKET_TEXT_BYTES, "a socket of an unknown kind");
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return false;
    }
    if (address.ss_family == AF_UNIX) {
        snprintf(text, APP__SOCKET_TEXT_BYTES, "a Unix socket");
        return true;
    }
    bool loopback = false;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(text, APP__SOCKET_TEXT_BYTES, "%s:%u", host, ntohs(v4->sin_port));
        return app__address_parse(text, &loopback) && loopback;
    }
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(text, APP__SOCKET_TEXT_BYTES, "[%s]:%u", host, ntohs(v6->sin6_port));
        return app__address_parse(text, &loopback) && loopback;
    }
    return false;
}
