/* SPDX-License-Identifier: MIT
 *
 * Queues of jobs, and spare ones. Whoever calls has the lane's lock where a queue needs it.
 */
#include "jobs.h"

#include <stdlib.h>

#define SPARE_MAX 64

void loop__jobs_append(struct loop__jobs *queue, struct cx_job *job)
{
    job->next = NULL;
    job->previous = queue->last;
    if (queue->last != NULL) {
        queue->last->next = job;
    } else {
        queue->first = job;
    }
    queue->last = job;
    queue->count++;
}

void loop__jobs_unlink(struct loop__jobs *queue, struct cx_job *job)
{
    if (job->previous != NULL) {
        job->previous->next = job->next;
    } else {
        queue->first = job->next;
    }
    if (job->next != NULL) {
        job->next->previous = job->previous;
    } else {
        queue->last = job->previous;
    }
    job->next = job->previous = NULL;
    queue->count--;
}

struct cx_job *loop__jobs_take(struct loop__jobs *queue)
{
    struct cx_job *job = queue->first;
    if (job != NULL) {
        loop__jobs_unlink(queue, job);
    }
    return job;
}

struct cx_job *loop__spare_take(struct loop__spare_jobs *spare)
{
    struct cx_job *job = spare->first;
    if (job != NULL) {
        spare->first = job->next;
        spare->count--;
        job->next = NULL;
    }
    return job;
}

void loop__spare_keep(struct loop__spare_jobs *spare, struct cx_job *job)
{
    if (spare->count >= SPARE_MAX) {
        free(job);
        return;
    }
    job->next = spare->first;
    spare->first = job;
    spare->count++;
}

void loop__spare_free(struct loop__spare_jobs *spare)
{
    struct cx_job *job = NULL;
    while ((job = loop__spare_take(spare)) != NULL) {
        free(job);
    }
}
