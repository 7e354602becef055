/* SPDX-License-Identifier: MIT
 *
 * notify: what systemd is told (sd_notify(3)) and what it hands over (sd_listen_fds(3)), without its
 * library. Without NOTIFY_SOCKET everything here does nothing. Any one thread at a time; never blocks.
 */
#ifndef CORTEX_APP_NOTIFY_H
#define CORTEX_APP_NOTIFY_H

#include "cortex/base.h"

struct app__notify;
/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of the environment. CX_INVALID where they are of
 * a kind we do not know. */
enum cx_status app__notify_new(char *const *environment, struct app__notify **out,
                               struct cx_err *err) CX_MUST_CHECK;
void app__notify_free(struct app__notify **notify); /* NULL is nothing */

/* "READY=1\nSTATUS=Serving". False where it could not be handed over now: worth another try. */
bool app__notify_send(const struct app__notify *notify, const char *state);
/* RELOADING=1 with MONOTONIC_USEC. Followed by READY=1 when the reload is over. */
bool app__notify_reloading(const struct app__notify *notify);
/* STATUS= with this text; control bytes become blanks. */
bool app__notify_status(const struct app__notify *notify, const char *format, ...) CX_PRINTF(2, 3);
/* After how long without WATCHDOG=1 we are taken for dead; send it twice as often. 0 = not watched. */
uint64_t app__notify_watchdog_ms(const struct app__notify *notify);

/* How many sockets were handed over, as descriptors from APP__LISTEN_FDS_START on, made close-on-exec;
 * the variables are taken out of the environment. CX_INVALID where one is no listening stream socket. */
#define APP__LISTEN_FDS_START 3
enum cx_status app__listen_fds(char **environment, unsigned *count,
                               struct cx_err *err) CX_MUST_CHECK;
/* Where a listening socket can be reached from; text: its address, for sentences. */
#define APP__SOCKET_TEXT_BYTES 128
bool app__socket_is_local(int fd, char text[APP__SOCKET_TEXT_BYTES]);

#endif
