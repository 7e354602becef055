/* SPDX-License-Identifier: MIT
 *
 * loop, inside the room: what wakes the loop from another thread.
 */
#ifndef CORTEX_LOOP_WAKE_H
#define CORTEX_LOOP_WAKE_H

#include "internal.h"

#include <stdatomic.h>
#include <uv.h>

/* A uv_async_t in all but one thing: there the loop, woken, spins until the thread that wakes it has
 * come out of its call, and on a busy machine that thread is the one which the loop has just displaced. */
struct loop__wake { /* owner: whoever it is part of, until loop__wake_free */
    uv_poll_t poll;
    int fd;
    atomic_bool sent;
    void (*on_wake)(void *ctx);
    void (*on_closed)(void *ctx);
    void *ctx;
};

/* on_wake comes on the loop, once or more after each send. It does not keep the loop running. */
void loop__wake_open(struct cx_loop *loop, struct loop__wake *wake, void (*on_wake)(void *ctx),
                     void *ctx);
void loop__wake_send(struct loop__wake *wake); /* any thread */
/* on_wake comes no more; sends are still allowed, and lead to nothing. */
void loop__wake_close(struct loop__wake *wake, void (*on_closed)(void *ctx));
void loop__wake_free(struct loop__wake *wake); /* closed, and nobody sends any more */

#endif
