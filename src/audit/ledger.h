/* SPDX-License-Identifier: MIT
 *
 * Inside the audit room: a ledger that is open. What belongs to the ledger lane needs no lock; the
 * rest stands under one of two, which are never held together.
 */
#ifndef CORTEX_AUDIT_LEDGER_H
#define CORTEX_AUDIT_LEDGER_H

#include <pthread.h>
#include <stdatomic.h>

#include "audit/files.h"
#include "audit/folder.h"
#include "audit/walk.h"
#include "cortex/metrics.h"

#define AUDIT__GROUP_RECORDS_MAX 1024
#define AUDIT__GROUP_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define AUDIT__AGENTS_MAX 4096 /* whose entries are counted one by one */
#define AUDIT__AGENT_BUCKETS 1024
#define AUDIT__LABELS_MAX 100 /* shown of one run, the newest */

enum audit__state { AUDIT__OPEN, AUDIT__DAMAGED, AUDIT__FAILED };
enum audit__outcome {
    AUDIT__WRITTEN,
    AUDIT__KNOWN,
    AUDIT__CONFLICT,
    AUDIT__FULL,
    AUDIT__REFUSED,
    AUDIT__LOST,
    AUDIT__OUTCOME_COUNT
};

/* Where an entry is, and what the index wants to know of it. */
struct audit__recent {
    uint64_t sequence;
    int64_t run_hash;
    int64_t recorded_us;
    enum cx_audit_kind kind;
    enum cx_audit_flag parse_ok;
    double latency_ms;
    struct audit__place place;
    struct cx_str run_id; /* these lie behind it */
    struct cx_str agent;
    struct cx_str correlation; /* p NULL = none */
    uint8_t hash[CX_SHA256_BYTES];
    struct audit__recent *next;           /* by sequence */
    struct audit__recent *next_in_bucket; /* newest first */
    struct audit__recent_block *block;    /* in which it lies */
};
struct audit__agent {
    struct audit__agent *next;
    uint64_t entries;
    size_t len;
    char name[];
};
struct audit__totals {
    uint64_t runs;
    uint64_t judged; /* runs that say whether they were parsed … */
    uint64_t parsed; /* … and were */
    uint64_t timed;
    double latency_ms; /* sum over timed */
};

struct audit__group;

struct cx_audit {
    struct cx_audit_options options;
    const struct cx_audit_files *files;
    int dir;
    _Atomic int state; /* enum audit__state; OPEN → DAMAGED at the start, → FAILED */
    _Atomic bool caught_up;
    struct cx_err damage; /* written at the start */

    /* The ledger lane's. */
    int segment_fd; /* -1: the next group begins a segment */
    int checkpoint_fd;
    uint32_t segment;
    uint64_t segment_bytes;
    int64_t segment_began_us;
    int64_t last_us; /* of the last entry: time does not go back in a ledger */
    uint64_t size;
    uint8_t head[CX_SHA256_BYTES];
    struct audit__checkpoint checkpoint;
    unsigned slot;                /* that holds it */
    uint64_t commit_ns;           /* what a group takes, smoothed */
    struct audit__filter *filter; /* NULL = every run may be known */
    struct audit__group *group;   /* the one under way */
    struct cx_buf lines;
    struct cx_buf entry;

    /* What tidies the sealed segments. */
    struct audit__tidy *tidy; /* under way, or NULL */
    uint32_t unpackable;      /* this one is not tried again */

    /* The index's: whoever has the store's writer. */
    struct audit__catch_up *catch_up;

    /* What the loop comes for stands under a lock of its own, which nobody holds for longer than it
     * takes to write it down. */
    pthread_mutex_t queue_lock; /* guards what follows */
    struct cx_audit_record *first_waiting;
    struct cx_audit_record *last_waiting;
    size_t waiting_count;
    size_t waiting_bytes;
    bool commit_due;
    pthread_cond_t gathered; /* as many wait as were expected */
    size_t expected;         /* while a commit waits for them; else 0 */
    size_t written_count;    /* of the group under way */
    size_t crowd;            /* how many seem to write at once */
    uint64_t shown_size;
    uint8_t shown_head[CX_SHA256_BYTES];
    uint32_t shown_segment;

    pthread_mutex_t lock; /* guards what follows */
    uint64_t indexed_to;
    uint64_t removed_to;   /* by retention … */
    uint64_t forgotten_to; /* … and as far from the index */
    struct audit__recent *first_recent;
    struct audit__recent *last_recent;
    _Atomic size_t recent_count; /* which may be read without it */
    struct audit__recent **buckets;
    size_t bucket_count; /* a power of two */
    struct audit__totals totals;
    struct audit__agent *agents[AUDIT__AGENT_BUCKETS];
    size_t agent_count;
    uint64_t other_agents;

    struct cx_series *records[AUDIT__OUTCOME_COUNT];
    struct cx_series *groups;
    struct cx_series *group_seconds;
    struct cx_series *sync_seconds;
    struct cx_series *written_bytes;
    struct cx_series *waiting_gauge;
    struct cx_series *unindexed_gauge;
    struct cx_series *entries_gauge;
    struct cx_series *segment_gauge;
    struct cx_series *damaged_gauge;
    struct cx_series *lookups_memory;
    struct cx_series *lookups_filter;
    struct cx_series *lookups_index;
};

static inline void audit__lock(struct cx_audit *a)
{
    CX_CHECK(pthread_mutex_lock(&a->lock) == 0);
}
static inline void audit__unlock(struct cx_audit *a)
{
    CX_CHECK(pthread_mutex_unlock(&a->lock) == 0);
}

static inline void audit__lock_queue(struct cx_audit *a)
{
    CX_CHECK(pthread_mutex_lock(&a->queue_lock) == 0);
}
static inline void audit__unlock_queue(struct cx_audit *a)
{
    CX_CHECK(pthread_mutex_unlock(&a->queue_lock) == 0);
}

/* ledger.c */
int audit__open_folder(const char *data_dir, bool make, struct cx_err *err); /* -1 */
/* Makes what a ledger begins with. CX_OK, CX_STORAGE_FULL, CX_IO_ERROR. */
enum cx_status audit__make(const struct cx_audit_files *files, int dir,
                           const struct cx_signer *signer, struct cx_err *err) CX_MUST_CHECK;
/* A new segment with its header, on disk. */
enum cx_status audit__make_segment(const struct cx_audit_files *files, int dir, uint32_t segment,
                                   const struct audit__checkpoint *before,
                                   struct cx_err *err) CX_MUST_CHECK;
/* Nothing is acknowledged from here on. */
void audit__fail(struct cx_audit *a, const char *what, enum cx_status status);
int audit__sync(struct cx_audit *a, int fd);

/* tail.c */
/* Makes the ledger where there is none; takes it over, or finds it damaged. */
enum cx_status audit__open_tail(struct cx_audit *a, struct cx_err *err) CX_MUST_CHECK;

/* queue.c */
/* Whether records are taken, and if not, why. */
enum cx_status audit__takes_records(struct cx_audit *a, struct cx_err *err) CX_MUST_CHECK;
/* Takes what waits, up to a group, having waited a moment for company. *more: some still wait. */
struct cx_audit_record *audit__take_group(struct cx_audit *a, bool *more);
/* A group is done: who was in it, or has come meanwhile, is expected back. */
void audit__note_crowd(struct cx_audit *a);

/* recent.c; under the lock, but for making them */
int64_t audit__run_hash(struct cx_str run_id);
/* Those of a group, chained, without being in the ledger's list; their memory is one block. */
struct audit__recent *audit__recent_make(const struct audit__group *g);
void audit__recent_add(struct cx_audit *a, struct audit__recent *chain); /* takes over */
/* The first (a run) or the newest of that kind; NULL. */
const struct audit__recent *audit__recent_find(const struct cx_audit *a, int64_t run_hash,
                                               struct cx_str run_id, enum cx_audit_kind kind);
void audit__recent_drop_first(struct cx_audit *a);
void audit__totals_add(struct cx_audit *a, struct cx_str agent, enum cx_audit_flag parse_ok,
                       double latency_ms);
void audit__agent_add(struct cx_audit *a, struct cx_str agent, uint64_t entries);
void audit__agents_free(struct cx_audit *a);

/* filter.c: made before cx_audit_indexed is true, then the ledger lane's. */
enum cx_status audit__filter_make(struct cx_audit *a, struct cx_db *db,
                                  struct cx_err *err) CX_MUST_CHECK;
/* False: it was new, and is known from now on. */
bool audit__filter_may_know(struct cx_audit *a, int64_t run_hash);
void audit__filter_free(struct cx_audit *a);

/* index_read.c */
/* What the index knows: how far it reaches, and the figures up to there. */
enum cx_status audit__index_load(struct cx_audit *a, struct cx_err *err) CX_MUST_CHECK;
struct audit__found {
    uint64_t sequence;
    int64_t recorded_us;
    struct audit__place place;
};
/* The first run of that name behind a sequence. CX_NOT_FOUND. */
enum cx_status audit__index_find(struct cx_db *db, int64_t run_hash, struct cx_str run_id,
                                 uint64_t after, struct audit__found *out,
                                 struct cx_err *err) CX_MUST_CHECK;
/* The newest AUDIT__LABELS_MAX labels of a run, oldest first. *count is 0 before. */
enum cx_status audit__index_labels(struct cx_db *db, int64_t run_hash, struct cx_str run_id,
                                   struct audit__found *found, size_t *count,
                                   struct cx_err *err) CX_MUST_CHECK;
struct audit__selection {      /* of runs */
    struct cx_str agent;       /* p NULL = any */
    struct cx_str correlation; /* p NULL = any */
    uint64_t after;            /* behind this entry … */
    uint64_t to;               /* … up to this one */
    int64_t since_us;          /* recorded after that; 0 = all */
    int64_t until_us;          /* and not after that; 0 = all */
};
/* Adds at most limit to found. */
enum cx_status audit__index_select(struct cx_db *db, const struct audit__selection *s,
                                   bool newest_first, size_t limit, struct audit__found *found,
                                   size_t *count, struct cx_err *err) CX_MUST_CHECK;
bool audit__is_selected(const struct audit__selection *s, const struct audit__recent *r);
enum cx_status audit__index_clear(struct cx_db *db, struct cx_err *err) CX_MUST_CHECK;

/* catch_up.c */
void audit__catch_up_free(struct cx_audit *a);

/* tidy.c */
void audit__tidy_free(struct cx_audit *a);

/* query.c */
/* Where a run stands, whether in memory or in the index; not where retention has removed it. CX_NOT_FOUND. */
enum cx_status audit__find_run(struct cx_audit *a, struct cx_db *db, int64_t run_hash,
                               struct cx_str run_id, struct audit__found *found, bool *in_memory,
                               struct cx_err *err) CX_MUST_CHECK;
/* One line, read and judged; last as for audit__read_at. CX_NOT_FOUND where it is no longer there. */
enum cx_status audit__read_line(const struct cx_audit *a, const struct audit__place *place,
                                struct audit__unpacked *last, struct cx_buf *buf,
                                struct audit__line *line, struct audit__entry *entry,
                                struct cx_err *err) CX_MUST_CHECK;

#endif
