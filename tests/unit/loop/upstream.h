/* SPDX-License-Identifier: MIT
 *
 * A scripted upstream for the tests of fetch: a plain blocking server with a thread for each
 * connection, on an ephemeral port of 127.0.0.1 or a unix socket. What it does with a request is in
 * the first segment of its path; the scripts are listed in upstream.c.
 */
#ifndef CORTEX_LOOP_UPSTREAM_H
#define CORTEX_LOOP_UPSTREAM_H

#include "loop_env.h"

#include <stdatomic.h>

#define UPSTREAM_CONNECTIONS_MAX 256

struct upstream;

struct upstream_connection {
    struct upstream *upstream;
    pthread_t thread;
    int fd;
};

struct upstream {
    int listener;
    unsigned port; /* 0 = a unix socket */
    pthread_t acceptor;
    struct gate together;     /* "/together" answers when it is open */
    atomic_bool speaks_first; /* says something that is not TLS before it is asked */
    struct gate seen;         /* passed (never waited at) by "/silent" once the request is there */
    pthread_mutex_t mutex;
    struct upstream_connection connections[UPSTREAM_CONNECTIONS_MAX];
    size_t connection_count; /* under the mutex */
    bool stopping;           /* under the mutex */
    atomic_uint requests;
    atomic_uint secrets; /* requests to "/secret" */
};

void upstream_start(struct upstream *u, const char *unix_path); /* NULL = TCP */
void upstream_stop(struct upstream *u);
size_t upstream_connections(struct upstream *u); /* accepted so far */

#endif
