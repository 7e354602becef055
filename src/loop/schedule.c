/* SPDX-License-Identifier: MIT
 *
 * A thread's class and slice. With Linux's EEVDF (since 6.12) a thread that is woken may displace the one
 * that runs if its slice is shorter; otherwise one that computes is displaced at the next tick of the kernel's
 * clock, which may be four milliseconds away. A slice does not change what share of a processor a thread gets.
 * Older kernels take no notice of it.
 */
#include "schedule.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROMPT_SLICE_NS 300000
#define BACKGROUND_SLICE_NS 3000000 /* longer than that of anybody who asks for none */

/* sched_setattr(2): the C library of Debian 12 has neither the calls nor the structure. */
struct attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns; /* of the ordinary classes: the slice, 0 = the kernel's own */
    uint64_t deadline_ns;
    uint64_t period_ns;
};

/* What it has been told, to spare further calls. */
static _Thread_local enum loop__urgency told;

void loop__schedule(enum loop__urgency urgency)
{
    static const struct {
        uint32_t policy;
        uint64_t slice_ns;
    } kinds[] = {
        [LOOP__INHERITED] = { SCHED_OTHER, 0 },
        [LOOP__ORDINARY] = { SCHED_OTHER, 0 },
        [LOOP__PROMPT] = { SCHED_OTHER, PROMPT_SLICE_NS },
        [LOOP__BACKGROUND] = { SCHED_BATCH, BACKGROUND_SLICE_NS },
    };
    struct attributes attributes = { .size = 0 };
    if (urgency == told || syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0 ||
        attributes.policy != kinds[told].policy) {
        return;
    }
    attributes.size = sizeof attributes;
    attributes.policy = kinds[urgency].policy;
    attributes.runtime_ns = kinds[urgency].slice_ns;
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) == 0) {
        told = urgency;
    }
}
