/* SPDX-License-Identifier: MIT
 *
 * loop, inside the room: whether a transfer's answer begins, and comes, fast enough. Loop thread only.
 */
#ifndef CORTEX_LOOP_PACE_H
#define CORTEX_LOOP_PACE_H

#include "fetch.h"

struct loop__pace { /* owner: its call */
    const struct loop__transfer *transfer;
    struct cx_timer *timer; /* NULL = not watched */
    void (*on_slow)(void *ctx, const char *reason);
    void *ctx;
    uint64_t began_ms;
    uint64_t window_ms; /* when the present one began; 0 = no byte of the answer has been seen */
    size_t window_bytes;
};

/* Watches by the limits of the transfer's request; nothing where it has none. on_slow comes once, never
 * within this call; it may call loop__pace_stop. */
void loop__pace_start(struct loop__pace *pace, struct cx_loop *loop,
                      const struct loop__transfer *transfer,
                      void (*on_slow)(void *ctx, const char *reason), void *ctx);
void loop__pace_stop(struct loop__pace *pace); /* nothing if it does not watch */

#endif
