/* SPDX-License-Identifier: MIT
 *
 * index: bringing entries into the index, a slice of them in a transaction. Whoever has the store's writer.
 */
#ifndef CORTEX_AUDIT_INDEX_H
#define CORTEX_AUDIT_INDEX_H

#include "audit/ledger.h"

#define AUDIT__SLICE_NS UINT64_C(15000000) /* other writers come in between */
#define AUDIT__SLICE_AGENTS 32

struct audit__slice { /* one transaction */
    struct cx_audit *a;
    struct cx_db *db;
    enum cx_status status;
    struct cx_err *err;
    size_t rows;
    uint64_t last;
    uint8_t head[CX_SHA256_BYTES];
    struct audit__totals totals;
    struct {
        struct cx_str name;
        int64_t entries;
    } agents[AUDIT__SLICE_AGENTS];
    size_t agent_count;
};

enum cx_status audit__slice_begin(struct cx_audit *a, struct audit__slice *s,
                                  struct cx_err *err) CX_MUST_CHECK;
/* The names of r must stay until the slice ends, or until its agents are flushed. */
void audit__slice_add(struct audit__slice *s, const struct audit__recent *r);
void audit__slice_flush_agents(struct audit__slice *s);
enum cx_status audit__slice_end(struct audit__slice *s) CX_MUST_CHECK;

/* catch_up.c: a slice of what was written before we started. */
enum cx_status audit__catch_up(struct cx_audit *a, bool *more, struct cx_err *err) CX_MUST_CHECK;

#endif
