/* SPDX-License-Identifier: MIT
 *
 * group: records that are written, synced and acknowledged together. The ledger lane's.
 */
#ifndef CORTEX_AUDIT_GROUP_H
#define CORTEX_AUDIT_GROUP_H

#include "audit/ledger.h"

struct audit__fresh { /* a record that is to be written */
    int64_t run_hash;
    struct cx_audit_record *record;
    struct audit__place place;
};
struct audit__group { /* owner: the ledger, which uses it again */
    struct cx_audit *a;
    struct cx_db *db;
    struct cx_audit_record *records;
    uint64_t size; /* of the ledger, after it */
    uint8_t head[CX_SHA256_BYTES];
    int64_t now_us;
    size_t fresh_count;
    struct audit__fresh fresh[AUDIT__GROUP_RECORDS_MAX];
};

/* write.c */
/* A segment that is full or old is sealed, another one begun. */
enum cx_status audit__make_room(struct audit__group *g) CX_MUST_CHECK;
/* The lines, then the checkpoint, each synced: only then may anybody be told. */
enum cx_status audit__write_group(struct audit__group *g) CX_MUST_CHECK;

#endif
