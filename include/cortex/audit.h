/* SPDX-License-Identifier: MIT
 *
 * audit: the ledger of agents' runs, which is evidence: what was acknowledged is on disk, and cannot
 * be changed or dropped without its showing. docs/FORMATS.md has the format, from which a second
 * verifier was written. In the order of life: open, append, look up, verify.
 *
 * Threads: plain blocking code. cx_audit_commit, and what maintains segments, belong to one thread at
 * a time, the ledger lane; cx_audit_index to whoever has the store's writer, the write lane; the rest
 * may be called from any.
 *
 * An append has three outcomes: written (CX_OK), not written (a full disk, a conflict, a refusal),
 * unknown (CX_OUTCOME_UNKNOWN): then asking again with the same run_id settles it. After a write or an
 * fsync that failed nothing is acknowledged any more (cx_audit_failed): the process must end and look
 * again at what is on disk.
 */
#ifndef CORTEX_AUDIT_H
#define CORTEX_AUDIT_H

#include "cortex/base.h"
#include "cortex/crypto.h"
#include "cortex/store.h"

extern const struct cx_migration cx_audit_migrations[];
extern const size_t cx_audit_migration_count;

#define CX_AUDIT_FOLDER "ledger"
#define CX_AUDIT_ENTRY_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define CX_AUDIT_RUN_ID_MAX 256       /* bytes */
#define CX_AUDIT_NAME_MAX 256         /* bytes: agents, methods, correlation IDs */
#define CX_AUDIT_CHECKPOINT_BYTES 384 /* of its JSON, with the NUL */

/* ---- Open -------------------------------------------------------------------------------------- */
struct cx_audit;
struct cx_audit_files; /* the calls that write, which tests let fail */
struct cx_audit_options {
    const char *data_dir; /* the ledger is its folder "ledger"; nobody else may write there */
    const struct cx_signer *signer;     /* borrowed */
    struct cx_store *store;             /* borrowed; holds the index */
    const struct cx_audit_files *files; /* NULL = the system's own */
    size_t segment_bytes;               /* a segment is sealed when it has as many … */
    int64_t segment_age_us;             /* … or is as old; 0 = never for that reason */
    size_t waiting_max;                 /* records that wait to be written … */
    size_t waiting_bytes_max;           /* … and their bytes */
    size_t unindexed_max;               /* written, and not yet in the index: kept in memory */
    bool pack;                          /* sealed segments */
    uint64_t keep_bytes; /* the oldest segments go while all have more; 0 = all stay */
    int64_t keep_us;     /* segments that were sealed before go; 0 = all stay */
};
/* Makes the ledger, or checks its tail against the signed checkpoint. What follows the checkpoint was
 * never acknowledged and is cut off. A ledger that contradicts its checkpoint opens all the same, for
 * reading: see cx_audit_damage. */
enum cx_status cx_audit_open(const struct cx_audit_options *options, struct cx_audit **out,
                             struct cx_err *err) CX_MUST_CHECK;
void cx_audit_close(struct cx_audit **audit);
/* True: nothing may be acknowledged any more, the process must end. */
bool cx_audit_failed(const struct cx_audit *audit);
/* What contradicts the checkpoint, for a person; false where nothing does. */
bool cx_audit_damage(struct cx_audit *audit, struct cx_err *what);

/* ---- Append ------------------------------------------------------------------------------------ */
enum cx_audit_kind { CX_AUDIT_RUN, CX_AUDIT_LABEL, CX_AUDIT_DAMAGE, CX_AUDIT_KIND_COUNT };
enum cx_audit_flag { CX_AUDIT_UNSAID, CX_AUDIT_NO, CX_AUDIT_YES };
struct cx_audit_record { /* the caller's; borrowed from offer until commit hands it back */
    enum cx_audit_kind kind;
    struct cx_str run_id;
    struct cx_str agent;       /* of a run */
    struct cx_str correlation; /* p NULL = none */
    struct cx_str content;     /* a JSON object on one line, at most CX_AUDIT_ENTRY_MAX_BYTES */
    enum cx_audit_flag parse_ok;
    double latency_ms; /* negative = unsaid */
    void *ctx;
    struct cx_audit_record *next;
    /* From here on: what came of it. */
    enum cx_status status;
    bool known; /* was written before, under this run_id, with the same content */
    uint64_t sequence;
    int64_t recorded_us;
    uint32_t segment;
    uint8_t hash[CX_SHA256_BYTES];
    char checkpoint[CX_AUDIT_CHECKPOINT_BYTES]; /* JSON */
};
/* Lets a record wait for the next commit. *commit: one must be asked for, because none that has not
 * begun is. Else than CX_OK: it does not wait. Does not block. */
enum cx_status cx_audit_offer(struct cx_audit *audit, struct cx_audit_record *record, bool *commit,
                              struct cx_err *err) CX_MUST_CHECK;
/* Writes what waits as one group: one write and fsync of the segment, one of the checkpoint. Gives
 * all records of the group back with their outcome, in order. *more: some still wait, and another
 * commit must be asked for. */
struct cx_audit_record *cx_audit_commit(struct cx_audit *audit, bool *more);

/* ---- Index (the writer of the store) ----------------------------------------------------------- */
/* Brings a slice of what is in the ledger and not in the index into it; *more: there is more. */
enum cx_status cx_audit_index(struct cx_audit *audit, bool *more, struct cx_err *err) CX_MUST_CHECK;
/* True once the index has caught up with what was there at the start: before that it is not known
 * which run_ids are taken, and nothing is taken. */
bool cx_audit_indexed(struct cx_audit *audit);

/* ---- Sealed segments (one thread at a time) ------------------------------------------------------
 * Packs them and removes old ones, a little at a time; *more: there is more to do at once. To be asked now
 * and then, and when a segment was sealed.
 */
enum cx_status cx_audit_tidy(struct cx_audit *audit, bool *more, struct cx_err *err) CX_MUST_CHECK;

/* ---- Look up ----------------------------------------------------------------------------------- */
struct cx_audit_figures {
    uint64_t size; /* entries of every kind */
    uint8_t head[CX_SHA256_BYTES];
    uint32_t segment;
    size_t unindexed;
};
void cx_audit_figures(struct cx_audit *audit, struct cx_audit_figures *out);
/* Of a receipt: JSON, as it was answered first, under the newest checkpoint. */
void cx_audit_write_receipt(const struct cx_audit_record *record, struct cx_buf *out);
/* JSON of the running figures. */
void cx_audit_stats(struct cx_audit *audit, struct cx_buf *out);
/* JSON of one run with its labels. CX_NOT_FOUND. */
enum cx_status cx_audit_find(struct cx_audit *audit, struct cx_str run_id, struct cx_buf *out,
                             struct cx_err *err) CX_MUST_CHECK;
/* Where a run stands. CX_NOT_FOUND. */
enum cx_status cx_audit_locate(struct cx_audit *audit, struct cx_str run_id, uint64_t *sequence,
                               uint8_t hash[CX_SHA256_BYTES], struct cx_err *err) CX_MUST_CHECK;
struct cx_audit_query {
    struct cx_str agent;       /* p NULL = any */
    struct cx_str correlation; /* p NULL = any */
    int64_t since_us;          /* recorded after that; 0 = all */
    size_t limit;              /* 1 to 1,000 */
    struct cx_str cursor;      /* of the page before; p NULL = from the newest */
};
/* {"entries": [newest first], "cursor": string|null}. A page ends early at 8 MiB. */
enum cx_status cx_audit_list(struct cx_audit *audit, const struct cx_audit_query *query,
                             struct cx_buf *out, struct cx_err *err) CX_MUST_CHECK;
/* Runs with their labels as JSON Lines, oldest first, a piece at a time. */
struct cx_audit_export {
    struct cx_str agent;       /* p NULL = any */
    struct cx_str correlation; /* p NULL = any */
    struct cx_str label;       /* the newest label is this; p NULL = any, or none */
    bool labelled;             /* only runs with a label */
    int64_t since_us;          /* recorded after that; 0 = from the beginning */
    int64_t until_us;          /* and not after that; 0 = to the end */
    uint64_t after;            /* how far it has come: 0 at first */
    uint64_t end;              /* the ledger's size when it began: set by the first piece */
};
/* Appends lines, some 256 KiB; *more: there is more. */
enum cx_status cx_audit_export_some(struct cx_audit *audit, struct cx_audit_export *e,
                                    struct cx_buf *out, bool *more,
                                    struct cx_err *err) CX_MUST_CHECK;
/* {"keys": [oldest first], "current": key_id} */
enum cx_status cx_audit_keys(const struct cx_audit *audit, struct cx_buf *out,
                             struct cx_err *err) CX_MUST_CHECK;

/* ---- Verify ------------------------------------------------------------------------------------
 * Walks the whole chain, slice by slice. Needs nothing but the folder.
 */
struct cx_audit_verify;
struct cx_audit_verify_options {
    struct cx_str receipt; /* as /audit/record answered it; p NULL = none */
    struct cx_str key;     /* a public key to trust, hex, or a line of keys.jsonl; p NULL = any */
};
enum cx_status cx_audit_verify_new(const char *folder,
                                   const struct cx_audit_verify_options *options,
                                   struct cx_audit_verify **out, struct cx_err *err) CX_MUST_CHECK;
/* The same of a ledger that is open. */
enum cx_status cx_audit_verify_open(const struct cx_audit *audit, struct cx_audit_verify **out,
                                    struct cx_err *err) CX_MUST_CHECK;
/* Reads on for some milliseconds; *more: there is more. */
enum cx_status cx_audit_verify_step(struct cx_audit_verify *v, unsigned milliseconds, bool *more,
                                    struct cx_err *err) CX_MUST_CHECK;
/* When there is no more: {"ok", "entries", "head", "first_bad", …}. Returns ok. */
bool cx_audit_verify_result(struct cx_audit_verify *v, struct cx_buf *out);
void cx_audit_verify_free(struct cx_audit_verify **v);

/* ---- Repair (no daemon may run) ---------------------------------------------------------------- */
/* Walks the ledger and appends a signed note of what is missing, in a new segment; nothing that is
 * there is changed. *ranges: how many losses the note names; 0 = there was no damage. */
enum cx_status cx_audit_accept_damage(const struct cx_audit_options *options, size_t *ranges,
                                      struct cx_err *err) CX_MUST_CHECK;
/* Another key signs from the next start on; the old one vouches for it. CX_NOT_FOUND: there is no ledger yet.
 * CX_CONFLICT: old_key is not the one that signs now. */
enum cx_status cx_audit_add_key(const char *data_dir, const struct cx_signer *old_key,
                                const struct cx_signer *new_key, struct cx_err *err) CX_MUST_CHECK;
/* False where there is no ledger yet. */
enum cx_status cx_audit_has_key(const char *data_dir, const char *key_id, bool *has,
                                struct cx_err *err) CX_MUST_CHECK;

#endif
