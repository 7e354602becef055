/* SPDX-License-Identifier: MIT
 *
 * Waking the loop from another thread: an eventfd and a flag that spares further writes to it. What
 * the loop is to see must be there before the send: the flag is taken back before on_wake looks.
 */
#include "wake.h"

#include <sys/eventfd.h>
#include <unistd.h>

static void on_readable(uv_poll_t *poll, int status, int events);
static void on_poll_closed(uv_handle_t *handle);

void loop__wake_open(struct cx_loop *loop, struct loop__wake *wake, void (*on_wake)(void *ctx),
                     void *ctx)
{
    wake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CX_CHECK(wake->fd >= 0);
    atomic_init(&wake->sent, false);
    wake->on_wake = on_wake;
    wake->ctx = ctx;
    CX_CHECK(uv_poll_init(cx_loop_uv(loop), &wake->poll, wake->fd) == 0);
    wake->poll.data = wake;
    CX_CHECK(uv_poll_start(&wake->poll, UV_READABLE, on_readable) == 0);
    uv_unref((uv_handle_t *)&wake->poll);
}

void loop__wake_send(struct loop__wake *wake)
{
    if (!atomic_exchange(&wake->sent, true)) {
        const uint64_t one = 1;
        (void)!write(wake->fd, &one, sizeof one); /* full, it wakes all the same */
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct loop__wake *wake = poll->data;
    uint64_t count = 0;
    (void)!read(wake->fd, &count, sizeof count);
    atomic_store(&wake->sent, false);
    wake->on_wake(wake->ctx);
}

void loop__wake_close(struct loop__wake *wake, void (*on_closed)(void *ctx))
{
    wake->on_closed = on_closed;
    uv_close((uv_handle_t *)&wake->poll, on_poll_closed);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct loop__wake *wake = handle->data;
    wake->on_closed(wake->ctx);
}

void loop__wake_free(struct loop__wake *wake)
{
    (void)close(wake->fd);
}
