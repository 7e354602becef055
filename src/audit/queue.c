/* SPDX-License-Identifier: MIT
 *
 * The queue in front of the ledger: records wait in it, the loop fills it and the ledger lane empties it; what
 * waits when a commit begins is one group.
 *
 * Writers that were just acknowledged come back a moment later. To begin without them would make two
 * groups, each half as large, where one would do: a commit first waits for as many as wrote lately, at
 * most a quarter of what a group takes.
 */
#include "audit/ledger.h"

#include <errno.h>

#define GATHER_MAX_NS UINT64_C(2000000)
#define GATHER_MIN_NS UINT64_C(20000) /* shorter waits are not worth a switch */

enum cx_status cx_audit_offer(struct cx_audit *a, struct cx_audit_record *record, bool *commit,
                              struct cx_err *err)
{
    CX_CHECK(record->content.len <= CX_AUDIT_ENTRY_MAX_BYTES);
    enum cx_status status = audit__takes_records(a, err);
    *commit = false;
    if (status == CX_OK) {
        record->next = NULL;
        audit__lock_queue(a);
        if (a->waiting_count >= a->options.waiting_max ||
            (a->waiting_count > 0 &&
             a->waiting_bytes + record->content.len > a->options.waiting_bytes_max) ||
            atomic_load(&a->recent_count) + a->waiting_count >= a->options.unindexed_max) {
            status = cx_err_set(err, CX_OVERLOADED, "%s", cx_status_text(CX_OVERLOADED));
        } else {
            if (a->last_waiting != NULL) {
                a->last_waiting->next = record;
            } else {
                a->first_waiting = record;
            }
            a->last_waiting = record;
            a->waiting_count++;
            a->waiting_bytes += record->content.len;
            *commit = !a->commit_due;
            a->commit_due = true;
            if (a->expected > 0 && a->waiting_count >= a->expected) {
                CX_CHECK(pthread_cond_signal(&a->gathered) == 0);
            }
        }
        cx_gauge_set(a->waiting_gauge, (double)a->waiting_count);
        audit__unlock_queue(a);
    }
    if (status != CX_OK) {
        cx_counter_add(a->records[AUDIT__REFUSED], 1);
    }
    return status;
}

enum cx_status audit__takes_records(struct cx_audit *a, struct cx_err *err)
{
    switch ((enum audit__state)atomic_load(&a->state)) {
    case AUDIT__DAMAGED:
        return cx_err_set(err, CX_LEDGER_DAMAGED, "%s", cx_status_text(CX_LEDGER_DAMAGED));
    case AUDIT__FAILED:
        return cx_err_set(err, CX_LEDGER_FAILED, "%s", cx_status_text(CX_LEDGER_FAILED));
    case AUDIT__OPEN:
        break;
    }
    return atomic_load(&a->caught_up)
               ? CX_OK
               : cx_err_set(err, CX_OVERLOADED, "The ledger's index is still being made");
}

/* Under the lock. */
static void gather(struct cx_audit *a)
{
    uint64_t wait_ns = a->commit_ns / 4;
    wait_ns = wait_ns < GATHER_MAX_NS ? wait_ns : GATHER_MAX_NS;
    if (a->waiting_count == 0 || a->waiting_count >= a->crowd || wait_ns < GATHER_MIN_NS) {
        return;
    }
    const uint64_t until = cx_clock_mono_ns() + wait_ns;
    const struct timespec at = { .tv_sec = (time_t)(until / 1000000000),
                                 .tv_nsec = (long)(until % 1000000000) };
    a->expected = a->crowd;
    while (a->waiting_count < a->expected &&
           pthread_cond_timedwait(&a->gathered, &a->queue_lock, &at) != ETIMEDOUT) {
    }
    a->expected = 0;
}

struct cx_audit_record *audit__take_group(struct cx_audit *a, bool *more)
{
    audit__lock_queue(a);
    gather(a);
    struct cx_audit_record *first = a->first_waiting;
    struct cx_audit_record *last = NULL;
    size_t bytes = 0;
    size_t count = 0;
    for (struct cx_audit_record *r = first;
         r != NULL && count < AUDIT__GROUP_RECORDS_MAX &&
         (count == 0 || bytes + r->content.len <= AUDIT__GROUP_BYTES_MAX);
         r = r->next) {
        bytes += r->content.len;
        count++;
        last = r;
    }
    if (last != NULL) {
        a->first_waiting = last->next;
        a->last_waiting = last->next != NULL ? a->last_waiting : NULL;
        last->next = NULL;
    }
    a->waiting_count -= count;
    a->waiting_bytes -= bytes;
    a->written_count = count;
    *more = a->first_waiting != NULL;
    a->commit_due = *more; /* whoever asked for this commit asks for the next one too */
    cx_gauge_set(a->waiting_gauge, (double)a->waiting_count);
    audit__unlock_queue(a);
    return first;
}

void audit__note_crowd(struct cx_audit *a)
{
    audit__lock_queue(a);
    /* All of this group, and those that came meanwhile; those who have gone are forgotten slowly. */
    const size_t seen = a->written_count + a->waiting_count;
    a->crowd = seen >= a->crowd ? seen : a->crowd - (a->crowd - seen + 3) / 4;
    audit__unlock_queue(a);
}
