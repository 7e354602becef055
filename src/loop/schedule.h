/* SPDX-License-Identifier: MIT
 *
 * Which of our threads the kernel puts first when there are more than processors. Without effect in a
 * process that was given another scheduling class than the ordinary one: who did that meant all of it.
 */
#ifndef CORTEX_LOOP_SCHEDULE_H
#define CORTEX_LOOP_SCHEDULE_H

enum loop__urgency {
    LOOP__INHERITED, /* nothing was said yet */
    LOOP__ORDINARY,
    LOOP__PROMPT,    /* works for moments, and soon after it is woken: the loop's thread */
    LOOP__BACKGROUND /* computes: whoever is woken meanwhile goes first */
};
/* Of this thread, from now on. Threads inherit what the one that makes them has. */
void loop__schedule(enum loop__urgency urgency);

#endif
