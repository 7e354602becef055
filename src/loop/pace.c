/* SPDX-License-Identifier: MIT
 *
 * The pace of a transfer. Looked at a few times within the shorter of the limits, so that a limit is
 * heeded a quarter too late at most. libcurl's own low-speed limit counts in whole seconds, and the time
 * before the first byte as slow.
 */
#include "pace.h"

#include <stdio.h>

#define LOOKS 4 /* within a limit */
#define LOOK_LEAST_MS 5

static uint64_t shorter_limit(const struct loop__request *request);
static void on_look(void *ctx);
static void give_up(struct loop__pace *pace, const char *what, uint64_t ms);

void loop__pace_start(struct loop__pace *pace, struct cx_loop *loop,
                      const struct loop__transfer *transfer,
                      void (*on_slow)(void *ctx, const char *reason), void *ctx)
{
    const uint64_t limit_ms = shorter_limit(transfer->request);
    *pace = (struct loop__pace){ .transfer = transfer, .on_slow = on_slow, .ctx = ctx };
    if (limit_ms == 0) {
        return;
    }
    const uint64_t look_ms = limit_ms / LOOKS > LOOK_LEAST_MS ? limit_ms / LOOKS : LOOK_LEAST_MS;
    pace->began_ms = cx_clock_mono_ns() / 1000000;
    cx_timer_new(loop, on_look, pace, &pace->timer);
    cx_timer_start(pace->timer, look_ms, look_ms);
}

static uint64_t shorter_limit(const struct loop__request *request)
{
    const uint64_t first = request->first_byte_timeout_ms;
    const uint64_t low = request->low_speed_ms;
    return first > 0 && (first < low || low == 0) ? first : low;
}

void loop__pace_stop(struct loop__pace *pace)
{
    cx_timer_free(&pace->timer);
}

static void on_look(void *ctx)
{
    struct loop__pace *pace = ctx;
    const struct loop__request *request = pace->transfer->request;
    const uint64_t now_ms = cx_clock_mono_ns() / 1000000;
    const size_t bytes = pace->transfer->header_bytes + pace->transfer->body.len;
    if (bytes == 0) {
        const uint64_t connected_ms = loop__transfer_connected_ms(pace->transfer);
        if (request->first_byte_timeout_ms > 0 && connected_ms > 0 &&
            now_ms >= pace->began_ms + connected_ms + request->first_byte_timeout_ms) {
            give_up(pace, "no answer had begun", request->first_byte_timeout_ms);
        }
        return;
    }
    if (pace->window_ms == 0) {
        pace->window_ms = now_ms;
        pace->window_bytes = bytes;
    }
    if (request->low_speed_ms == 0 || now_ms < pace->window_ms + request->low_speed_ms) {
        return;
    }
    const uint64_t least = request->low_speed_bytes * (now_ms - pace->window_ms) / 1000;
    if (bytes - pace->window_bytes < least) {
        give_up(pace, "the answer came too slowly", request->low_speed_ms);
        return;
    }
    pace->window_ms = now_ms;
    pace->window_bytes = bytes;
}

static void give_up(struct loop__pace *pace, const char *what, uint64_t ms)
{
    char reason[96];
    (void)snprintf(reason, sizeof(reason), "%s for %llu ms", what, (unsigned long long)ms);
    loop__pace_stop(pace);
    pace->on_slow(pace->ctx, reason);
}
