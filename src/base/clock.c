/* SPDX-License-Identifier: MIT
 *
 * The two clocks.
 */
#include "cortex/base.h"

#include <time.h>

uint64_t cx_clock_mono_ns(void)
{
    struct timespec now;
    CX_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

int64_t cx_clock_wall_us(void)
{
    struct timespec now;
    CX_CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * INT64_C(1000000) + (int64_t)now.tv_nsec / 1000;
}
