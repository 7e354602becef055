/* SPDX-License-Identifier: MIT
 *
 * Every call that changes a file fails once: after an I/O error nothing is acknowledged any more, and
 * what was acknowledged is there after the next start. A full disk is cut back and goes by.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>

#define CALLS 200
#define RUNS 60

/* A scripted life under faults. Returns how many runs were acknowledged; the ledger is closed after. */
static unsigned live(struct fixture *f, struct faults *faults, bool *asked_after_failure)
{
    unsigned acknowledged = 0;
    f->options.files = &faults->files;
    *asked_after_failure = false;
    if (fixture_start(f) != CX_OK) {
        cx_audit_close(&f->audit);
        return 0;
    }
    for (unsigned i = 1; i <= RUNS; i++) {
        struct run run;
        char id[32];
        snprintf(id, sizeof id, "run-%u", i);
        run_make(&run, id, "some output of an agent");
        const bool failed = cx_audit_failed(f->audit);
        const enum cx_status status = fixture_record(f, &run);
        if (failed) {
            EXPECT_INT(status, CX_LEDGER_FAILED);
            *asked_after_failure = true;
        } else if (status == CX_OK) {
            EXPECT_INT(run.record.sequence, acknowledged + 1);
            acknowledged++;
        } else {
            EXPECT(cx_audit_failed(f->audit));
            EXPECT(status == CX_LEDGER_FAILED || status == CX_OUTCOME_UNKNOWN);
        }
    }
    fixture_stop(f);
    return acknowledged;
}

static void expect_kept(struct fixture *f, unsigned acknowledged, long n)
{
    struct cx_buf out = { .data = NULL };
    f->options.files = &f->no_faults.files;
    if (!test_expect(fixture_start(f) == CX_OK, __FILE__, __LINE__, "start after call %ld", n)) {
        return;
    }
    (void)test_expect(!fixture_is_damaged(f), __FILE__, __LINE__, "whole after call %ld", n);
    struct cx_audit_figures figures;
    cx_audit_figures(f->audit, &figures);
    /* One whose outcome was unknown may be there too. */
    (void)test_expect(figures.size >= acknowledged && figures.size <= acknowledged + 1, __FILE__,
                      __LINE__, "call %ld: %u acknowledged, %lu there", n, acknowledged,
                      (unsigned long)figures.size);
    for (unsigned i = 1; i <= acknowledged; i++) {
        char id[32];
        snprintf(id, sizeof id, "run-%u", i);
        EXPECT(fixture_found(f, id));
    }
    EXPECT(fixture_fill(f, 1, RUNS)); /* asking again settles what is unknown */
    cx_audit_figures(f->audit, &figures);
    EXPECT_INT(figures.size, RUNS);
    (void)test_expect(fixture_verify(f->ledger, &out), __FILE__, __LINE__, "call %ld: %s", n,
                      out.data != NULL ? out.data : "");
    cx_buf_free(&out);
}

TEST(an_io_error_at_each_call)
{
    struct fixture f;
    REQUIRE(fixture_prepare(&f, "."));
    for (long n = 1; n <= CALLS; n++) {
        struct faults faults;
        char folder[32];
        snprintf(folder, sizeof folder, "call-%ld", n);
        fixture_again(&f, folder);
        faults_init(&faults);
        faults.fail_at = n;
        faults.short_by = n % 2 == 0 ? 7 : 0; /* half of the writes leave a part behind */
        f.options.segment_bytes = 4096;
        bool asked = false;
        const unsigned acknowledged = live(&f, &faults, &asked);
        EXPECT(faults.calls >= n); /* the script is long enough for all of them */
        EXPECT(acknowledged < RUNS);
        EXPECT(asked || acknowledged >= RUNS - 1 || acknowledged == 0);
        expect_kept(&f, acknowledged, n);
        fixture_stop(&f);
    }
    fixture_close(&f);
}

TEST(a_full_disk_at_each_write)
{
    struct fixture f;
    REQUIRE(fixture_prepare(&f, "."));
    for (long n = 1; n <= CALLS; n++) {
        struct faults faults;
        char folder[32];
        snprintf(folder, sizeof folder, "call-%ld", n);
        fixture_again(&f, folder);
        faults_init(&faults);
        faults.fail_at = n;
        faults.error = ENOSPC;
        faults.writes_only = true;
        faults.short_by = n % 2 == 0 ? 100 : 0;
        f.options.segment_bytes = 4096;
        f.options.files = &faults.files;
        enum cx_status status = fixture_start(&f);
        if (status != CX_OK) {
            EXPECT_INT(status, CX_STORAGE_FULL);
            cx_audit_close(&f.audit);
            status = fixture_start(&f); /* there is room again */
        }
        REQUIRE(status == CX_OK);
        unsigned full = 0;
        for (unsigned i = 1; i <= RUNS; i++) {
            struct run run;
            char id[32];
            snprintf(id, sizeof id, "run-%u", i);
            run_make(&run, id, "some output of an agent");
            status = fixture_record(&f, &run);
            if (status == CX_STORAGE_FULL) {
                full++;
                EXPECT(!fixture_found(&f, id));
                run_make(&run, id, "some output of an agent");
                status = fixture_record(&f, &run);
            }
            EXPECT_INT(status, CX_OK);
        }
        EXPECT(full <= 1);
        EXPECT(!cx_audit_failed(f.audit));
        fixture_stop(&f);
        expect_kept(&f, RUNS, n);
        const bool clean = faults.calls < n;
        fixture_stop(&f);
        if (clean) {
            EXPECT(n > 2 * RUNS);
            break;
        }
    }
    fixture_close(&f);
}

/* Also what was written long before: who has failed cannot say of anything that it is there. */
TEST(after_a_failure_a_known_run_is_not_acknowledged)
{
    struct fixture f;
    struct faults faults;
    struct run runs[2];
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 1));
    fixture_stop(&f);
    for (long n = 1; n <= 4; n++) { /* two writes, two syncs */
        faults_init(&faults);
        f.options.files = &faults.files;
        REQUIRE(fixture_start(&f) == CX_OK);
        faults.calls = 0;
        faults.fail_at = n;
        run_make(&runs[0], "run-1", "some output of an agent");
        run_make(&runs[1], "new", "out");
        fixture_group(&f, runs, 2);
        EXPECT(cx_audit_failed(f.audit));
        EXPECT_INT(runs[0].record.status, CX_LEDGER_FAILED);
        EXPECT(runs[1].record.status == CX_LEDGER_FAILED ||
               runs[1].record.status == CX_OUTCOME_UNKNOWN);
        fixture_stop(&f);
    }
    fixture_close(&f);
}
