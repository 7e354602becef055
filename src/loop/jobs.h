/* SPDX-License-Identifier: MIT
 *
 * loop, inside the room: the jobs of a lane, their queues, and those kept for the next submit.
 */
#ifndef CORTEX_LOOP_JOBS_H
#define CORTEX_LOOP_JOBS_H

#include "internal.h"

enum job_state { JOB_WAITING, JOB_POOLED, JOB_BEGUN, JOB_DROPPED };

struct runner;
struct cx_job {             /* owner: its lane */
    struct loop__task task; /* the completion of a job that was dropped while it waited */
    struct cx_lane *lane;
    struct runner *runner; /* POOLED */
    struct cx_job *next;
    struct cx_job *previous;
    enum cx_priority priority;
    enum job_state state;
    cx_work_fn work;
    cx_done_fn on_done;
    void *arg;
    uint64_t submitted_ns;
};

struct loop__jobs { /* a queue */
    struct cx_job *first;
    struct cx_job *last;
    size_t count;
};
void loop__jobs_append(struct loop__jobs *queue, struct cx_job *job);
void loop__jobs_unlink(struct loop__jobs *queue, struct cx_job *job);
struct cx_job *loop__jobs_take(struct loop__jobs *queue); /* the first; NULL = empty */

struct loop__spare_jobs {
    struct cx_job *first;
    size_t count;
};
struct cx_job *loop__spare_take(struct loop__spare_jobs *spare); /* NULL = none */
void loop__spare_keep(struct loop__spare_jobs *spare, struct cx_job *job);
void loop__spare_free(struct loop__spare_jobs *spare);

#endif
