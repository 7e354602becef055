/* SPDX-License-Identifier: MIT
 *
 * Which runs may be known: a Bloom filter in blocks of a cache line. Nearly every run is new, and then the
 * index need not be asked. Made when the index has caught up, from then on the ledger lane's.
 */
#include "audit/ledger.h"

#include <stdlib.h>

#define BLOCK_WORDS 8
#define PROBES 6
#define BITS_PER_RUN 16
#define SPARE_RUNS 1000000           /* beside twice those that are there */
#define BLOCKS_MAX ((size_t)1 << 20) /* of 64 bytes: 64 MiB */

struct audit__filter {
    size_t blocks; /* a power of two */
    uint64_t words[];
};

static uint64_t *block_of(struct audit__filter *f, int64_t run_hash)
{
    return &f->words[((uint64_t)run_hash & (f->blocks - 1)) * BLOCK_WORDS];
}

/* The hash is cut from a SHA-256: its parts are independent. */
static uint64_t spread(int64_t run_hash)
{
    return ((uint64_t)run_hash >> 20) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool add(struct audit__filter *f, int64_t run_hash)
{
    uint64_t *block = block_of(f, run_hash);
    uint64_t bits = spread(run_hash);
    bool all = true;
    for (int i = 0; i < PROBES; i++, bits >>= 9) {
        const uint64_t bit = UINT64_C(1) << (bits & 63);
        all = all && (block[(bits & 511) / 64] & bit) != 0;
        block[(bits & 511) / 64] |= bit;
    }
    return all;
}

bool audit__filter_may_know(struct cx_audit *a, int64_t run_hash)
{
    return a->filter == NULL || add(a->filter, run_hash);
}

enum cx_status audit__filter_make(struct cx_audit *a, struct cx_db *db, struct cx_err *err)
{
    const uint64_t bits = (2 * a->totals.runs + SPARE_RUNS) * BITS_PER_RUN;
    size_t blocks = 1;
    while (blocks < BLOCKS_MAX && blocks * BLOCK_WORDS * 64 < bits) {
        blocks *= 2;
    }
    struct audit__filter *f = calloc(1, sizeof *f + blocks * BLOCK_WORDS * sizeof(uint64_t));
    if (f == NULL) {
        return CX_OK; /* then the index is asked */
    }
    f->blocks = blocks;
    struct cx_stmt *stmt = NULL;
    enum cx_status status =
        cx_db_prepare(db, "SELECT run_hash FROM audit_entries WHERE kind = 0", &stmt, err);
    for (bool row = true; status == CX_OK && row;) {
        status = cx_stmt_step(stmt, &row, err);
        if (status == CX_OK && row) {
            (void)add(f, cx_stmt_int(stmt, 0));
        }
    }
    if (status != CX_OK) {
        free(f);
        return status;
    }
    a->filter = f;
    return CX_OK;
}

void audit__filter_free(struct cx_audit *a)
{
    free(a->filter);
    a->filter = NULL;
}
