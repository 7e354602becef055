/* SPDX-License-Identifier: MIT
 *
 * loop, inside the room: tasks that are put off to a later moment of the loop, and the thread
 * marks.
 */
#ifndef CORTEX_LOOP_INTERNAL_H
#define CORTEX_LOOP_INTERNAL_H

#include "cortex/loop.h"

/* Something that has to happen, but not within the call that found it out. Embedded in what it is
 * about; linked while it waits. */
struct loop__task {
    struct loop__task *next; /* NULL = not put off */
    struct loop__task *previous;
    void (*run)(void *ctx);
    void *ctx;
};

/* Nothing if it is put off already. Runs the task once, on the loop, after the current callback has
 * returned and before the loop sleeps again. What is put off from within a task runs an iteration
 * later, so that sockets and timers get their turn. */
void loop__defer(struct cx_loop *loop, struct loop__task *task);
void loop__defer_cancel(struct loop__task *task); /* nothing if it does not wait */

/* What is called next has a turn of its own (cx_loop_turn_over). */
void loop__new_turn(struct cx_loop *loop);

/* Marks this thread as a worker for the time of a job. */
void loop__mark_worker(bool working);

#endif
