/* SPDX-License-Identifier: MIT
 *
 * A ledger in a folder of the test's own, and a table of file calls that can let the Nth one fail.
 */
#ifndef CORTEX_AUDIT_TEST_FIXTURE_H
#define CORTEX_AUDIT_TEST_FIXTURE_H

#include "test.h"

#include "audit/files.h"
#include "cortex/audit.h"

struct faults {
    struct cx_audit_files files;
    long calls;    /* so far, of those that are counted */
    long fail_at;  /* this one fails; 0 = none */
    bool for_ever; /* and all after it */
    int error;
    bool writes_only; /* count no others than write */
    size_t short_by;  /* a failing write has written all but so many bytes */
};
void faults_init(struct faults *f);

struct fixture {
    char dir[512];
    char ledger[600];
    struct cx_signer *signer;
    struct cx_store *store;
    struct cx_audit_options options;
    struct cx_audit *audit;
    struct faults no_faults;
};
bool fixture_open(struct fixture *f);
/* Without a ledger yet, in a folder below the test's own. */
bool fixture_prepare(struct fixture *f, const char *folder);
/* The same once more, in another folder; the database is emptied, which is faster than a new one. */
void fixture_again(struct fixture *f, const char *folder);
enum cx_status fixture_start(struct fixture *f); /* the ledger alone, index caught up */
void fixture_stop(struct fixture *f);
void fixture_close(struct fixture *f);

/* One run in a group of its own, or a whole group. Outcomes are in the records. */
struct run {
    char id[64];
    char content[512];
    struct cx_audit_record record;
};
void run_make(struct run *run, const char *id, const char *output);
enum cx_status fixture_record(struct fixture *f, struct run *run);
void fixture_group(struct fixture *f, struct run *runs, size_t count);
/* run-1 … run-count, each in a group of its own; false where one was not written. */
bool fixture_fill(struct fixture *f, unsigned first, unsigned count);
bool fixture_found(struct fixture *f, const char *id);
/* The JSON of a verification of the folder; frees what it gave before. */
bool fixture_verify(const char *ledger, struct cx_buf *out);
bool fixture_is_damaged(struct fixture *f);

/* Files of the ledger's folder. */
char *file_read(const char *folder, const char *name, size_t *len); /* to be freed */
void file_write(const char *folder, const char *name, const char *data, size_t len);
void folder_copy(const char *from, const char *to);

#endif
