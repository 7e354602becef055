/* SPDX-License-Identifier: MIT
 *
 * loop, inside the room: host names to addresses, by getaddrinfo on the pool. At most two look-ups
 * at once, one for all that ask for the same name; what was found is kept for 30 s.
 */
#ifndef CORTEX_LOOP_RESOLVE_H
#define CORTEX_LOOP_RESOLVE_H

#include "cortex/loop.h"

#define LOOP__HOST_BYTES 256
/* "127.0.0.1,[::1]", as CURLOPT_RESOLVE wants it */
#define LOOP__ADDRESSES_MAX 16
#define LOOP__ADDRESSES_BYTES (LOOP__ADDRESSES_MAX * 48)

struct loop__resolver;
struct loop__name;

/* One who waits for a name; embedded in what waits. */
struct loop__waiter {
    struct loop__name *name; /* NULL = does not wait */
    struct loop__waiter *next;
    struct loop__waiter *previous;
    /* addresses: NULL = not found, and reason says why. Borrowed for the time of the call. Called
     * from the loop, never within loop__resolve; the waiter does not wait any more. */
    void (*on_resolved)(void *ctx, const char *addresses, const char *reason);
    void *ctx;
};

struct loop__resolver *loop__resolver_new(struct cx_loop *loop);
/* Needs that nobody waits. A look-up that still runs ends by itself; cx_loop_free waits for it. */
void loop__resolver_free(struct loop__resolver **resolver);

/* What is known of host, borrowed until the next call of anything here, or NULL. */
const char *loop__resolve_known(struct loop__resolver *resolver, const char *host);
/* Asks for host and waits; on_resolved and ctx are set. */
void loop__resolve(struct loop__resolver *resolver, const char *host, struct loop__waiter *waiter);
/* Waits no more; nothing if it does not wait. The look-up, if it has begun, ends by itself. */
void loop__resolve_leave(struct loop__waiter *waiter);

#endif
