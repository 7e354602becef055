/* SPDX-License-Identifier: MIT
 *
 * Giving way to whoever waits for this processor. A thread that computes is displaced at a tick of the
 * kernel's clock, which may be four milliseconds away, unless the kernel finds that whoever is woken
 * deserves it at once, which depends on what each has had before. A yield decides that anew.
 *
 * A yield gives up what is left of the thread's slice. Where others compute too that would cost it its share,
 * so that who was away for long goes on for as long: it gets half of the processor at least.
 */
#include "cortex/base.h"

#include <sched.h>

#define EVERY_NS 100000 /* a yield that nobody takes costs a two-hundredth of it */

static _Thread_local bool gives_way;
static _Thread_local uint64_t next_ns;

void cx_gives_way(bool on)
{
    gives_way = on;
    next_ns = on ? cx_clock_mono_ns() + EVERY_NS : 0;
}

void cx_give_way(void)
{
    if (!gives_way) {
        return;
    }
    const uint64_t before_ns = cx_clock_mono_ns();
    if (before_ns < next_ns) {
        return;
    }
    (void)sched_yield();
    const uint64_t now_ns = cx_clock_mono_ns();
    const uint64_t away_ns = now_ns - before_ns;
    next_ns = now_ns + (away_ns > EVERY_NS ? away_ns : EVERY_NS);
}
