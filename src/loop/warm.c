/* SPDX-License-Identifier: MIT
 *
 * Reads the certificates that outgoing TLS trusts before there is traffic. curl does that with the
 * first connection of a multi, for some 20 ms in which the loop would stand still, and keeps them.
 * So a connection is begun that leads nowhere: to a listener of our own on the loopback,
 * until its first bytes come out there; curl reads the certificates in the same turn in which it
 * sends them. At start-up only.
 */
#include "fetch.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX 1000 /* of a millisecond at most; a handful are needed */

static int listen_nowhere(unsigned *port);
static CURLcode begin_tls(struct loop__multi *multi, CURL *easy, int listener);
static bool has_first_bytes(int listener, int *end);

enum cx_status loop__warm_tls(struct loop__multi *multi,
                              const struct loop__transfer_options *options, struct cx_err *err)
{
    char url[64];
    unsigned port = 0;
    struct loop__request request;
    struct loop__transfer t;
    CX_CHECK(cx_loop_is_starting());
    const int listener = listen_nowhere(&port);
    if (listener < 0) {
        return cx_err_set(err, CX_INTERNAL, "No socket is left to read the certificates with");
    }
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
    const struct cx_fetch_request nowhere = { .method = "GET",
                                              .url = url,
                                              .response_max_bytes = 1 };
    enum cx_status status = loop__request_copy(&nowhere, &request, err);
    if (status == CX_OK) {
        status = loop__transfer_new(&t, &request, options, &request.peer, NULL, NULL);
        if (status == CX_OK) {
            const CURLcode code = begin_tls(multi, t.easy, listener);
            if (code != CURLE_OK) {
                status = cx_err_set(err, CX_INVALID, "The trusted certificates cannot be read: %s",
                                    t.error[0] != '\0' ? t.error : curl_easy_strerror(code));
            }
            loop__transfer_free(&t);
        }
        loop__request_free(&request);
    }
    (void)close(listener);
    return status;
}

static int listen_nowhere(unsigned *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 &&
        (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1) != 0 ||
         getsockname(fd, (struct sockaddr *)&address, &len) != 0)) {
        (void)close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static CURLcode begin_tls(struct loop__multi *multi, CURL *easy, int listener)
{
    CURLM *curl = loop__multi_curl(multi);
    CURLcode code = CURLE_OK;
    bool begun = false;
    int end = -1;
    if (!loop__multi_add(multi, easy)) {
        return CURLE_OUT_OF_MEMORY;
    }
    for (int turn = 0; turn < TURNS_MAX && !begun && code == CURLE_OK; turn++) {
        int count = 0;
        /* The loop does not run yet: what its callbacks would pass on is asked for here. */
        (void)curl_multi_perform(curl, &count);
        const CURLMsg *message = curl_multi_info_read(curl, &count);
        if (message != NULL && message->msg == CURLMSG_DONE) {
            code = message->data.result != CURLE_OK ? message->data.result : CURLE_RECV_ERROR;
        }
        begun = has_first_bytes(listener, &end);
    }
    loop__multi_remove(multi, easy);
    if (end >= 0) {
        (void)close(end);
    }
    if (code == CURLE_OK && !begun) {
        code = CURLE_SSL_CONNECT_ERROR;
    }
    return code;
}

/* Waits a millisecond at most. */
static bool has_first_bytes(int listener, int *end)
{
    if (*end < 0) {
        struct pollfd coming = { .fd = listener, .events = POLLIN };
        (void)poll(&coming, 1, 1);
        *end = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    char byte = 0;
    struct pollfd readable = { .fd = *end, .events = POLLIN };
    return *end >= 0 && poll(&readable, 1, 1) == 1 && recv(*end, &byte, 1, MSG_PEEK) == 1;
}
