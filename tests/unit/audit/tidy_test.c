/* SPDX-License-Identifier: MIT
 *
 * Sealed segments are packed and old ones removed; the chain stays whole, and runs are found as before.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/walk.h"

static bool is_there(const struct fixture *f, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", f->ledger, name);
    return access(path, F_OK) == 0;
}

static void tidy_all(struct fixture *f)
{
    for (bool more = true; more;) {
        EXPECT_INT(cx_audit_tidy(f->audit, &more, NULL), CX_OK);
    }
}

static bool fill(struct fixture *f)
{
    if (!fixture_open(f)) {
        return false;
    }
    fixture_stop(f);
    f->options.segment_bytes = 4096;
    f->options.pack = true;
    return fixture_start(f) == CX_OK && fixture_fill(f, 1, 40);
}

static void index_all(struct fixture *f)
{
    for (bool more = true; more;) {
        EXPECT_INT(cx_audit_index(f->audit, &more, NULL), CX_OK);
    }
}

static int64_t rows_in_the_index(struct fixture *f, const char *sql)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    int64_t count = -1;
    if (cx_db_prepare(cx_store_writer(f->store), sql, &stmt, NULL) == CX_OK &&
        cx_stmt_step(stmt, &row, NULL) == CX_OK && row) {
        count = cx_stmt_int(stmt, 0);
        cx_stmt_reset(stmt);
    }
    return count;
}

static void expect_whole(struct fixture *f)
{
    struct cx_buf out = { .data = NULL };
    (void)test_expect(fixture_verify(f->ledger, &out), __FILE__, __LINE__, "%s",
                      out.data != NULL ? out.data : "");
    cx_buf_free(&out);
}

TEST(sealed_segments_are_packed)
{
    struct fixture f;
    REQUIRE(fill(&f));
    tidy_all(&f);
    EXPECT(is_there(&f, "segment-00000001.jsonl.gz"));
    EXPECT(!is_there(&f, "segment-00000001.jsonl"));
    expect_whole(&f);
    for (int i = 1; i <= 40; i++) {
        char id[16];
        snprintf(id, sizeof id, "run-%d", i);
        EXPECT(fixture_found(&f, id));
    }
    fixture_stop(&f);
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(!fixture_is_damaged(&f));
    EXPECT(fixture_fill(&f, 41, 20)); /* the index is made from packed segments */
    tidy_all(&f);
    expect_whole(&f);
    EXPECT(fixture_found(&f, "run-1"));
    fixture_close(&f);
}

TEST(every_flipped_bit_of_a_packed_segment_is_found)
{
    struct fixture f;
    struct cx_buf out = { .data = NULL };
    REQUIRE(fill(&f));
    tidy_all(&f);
    fixture_stop(&f);
    size_t len = 0;
    char *data = file_read(f.ledger, "segment-00000002.jsonl.gz", &len);
    for (size_t bit = 0; bit<len * 8; bit += len * 8> 4000 ? 3 : 1) {
        data[bit / 8] = (char)(data[bit / 8] ^ (1 << bit % 8));
        file_write(f.ledger, "segment-00000002.jsonl.gz", data, len);
        (void)test_expect(!fixture_verify(f.ledger, &out), __FILE__, __LINE__, "bit %zu", bit);
        data[bit / 8] = (char)(data[bit / 8] ^ (1 << bit % 8));
    }
    file_write(f.ledger, "segment-00000002.jsonl.gz", data, len);
    EXPECT(fixture_verify(f.ledger, &out));
    cx_buf_free(&out);
    free(data);
    fixture_close(&f);
}

/* Until the packed file is whole and in its place the plain one stays. */
TEST(packing_that_fails_changes_nothing)
{
    struct fixture f;
    struct faults faults;
    REQUIRE(fill(&f));
    fixture_stop(&f);
    for (long n = 1; n < 30; n++) {
        faults_init(&faults);
        f.options.files = &faults.files;
        REQUIRE(fixture_start(&f) == CX_OK);
        faults.calls = 0;
        faults.fail_at = n;
        faults.error = n % 2 == 0 ? ENOSPC : EIO;
        bool more = true;
        enum cx_status status = CX_OK;
        while (more && status == CX_OK) {
            status = cx_audit_tidy(f.audit, &more, NULL);
        }
        EXPECT(!cx_audit_failed(f.audit));
        expect_whole(&f);
        fixture_stop(&f);
    }
    fixture_close(&f);
}

TEST(old_segments_go_behind_a_signed_stub)
{
    struct fixture f;
    REQUIRE(fill(&f));
    tidy_all(&f);
    bool more = true;
    while (more) {
        EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK);
    }
    fixture_stop(&f);
    f.options.keep_bytes = 6000;
    REQUIRE(fixture_start(&f) == CX_OK);
    tidy_all(&f);
    EXPECT(is_there(&f, "stub.json"));
    EXPECT(!is_there(&f, "segment-00000001.jsonl.gz"));
    expect_whole(&f);
    EXPECT(!fixture_found(&f, "run-1"));
    EXPECT(fixture_found(&f, "run-40"));
    for (more = true; more;) {
        EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK);
    }
    EXPECT(!fixture_found(&f, "run-1"));
    fixture_stop(&f);
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(!fixture_is_damaged(&f));
    EXPECT(fixture_fill(&f, 41, 5));
    expect_whole(&f);
    fixture_stop(&f);
    /* A stub that was changed, or is missing, is found. */
    struct cx_buf out = { .data = NULL };
    size_t len = 0;
    char *data = file_read(f.ledger, "stub.json", &len);
    for (size_t at = 0; at < len; at++) {
        data[at] ^= 1;
        file_write(f.ledger, "stub.json", data, len);
        EXPECT(!fixture_verify(f.ledger, &out));
        data[at] ^= 1;
    }
    file_write(f.ledger, "stub.json", data, len);
    EXPECT(fixture_verify(f.ledger, &out));
    char path[700];
    snprintf(path, sizeof path, "%s/stub.json", f.ledger);
    EXPECT_INT(unlink(path), 0);
    EXPECT(!fixture_verify(f.ledger, &out));
    cx_buf_free(&out);
    free(data);
    fixture_close(&f);
}

TEST(old_is_a_matter_of_when_it_was_sealed)
{
    struct fixture f;
    REQUIRE(fill(&f));
    fixture_stop(&f);
    f.options.keep_us = INT64_C(3600) * 1000000;
    REQUIRE(fixture_start(&f) == CX_OK);
    tidy_all(&f);
    EXPECT(!is_there(&f, "stub.json"));
    fixture_stop(&f);
    f.options.keep_us = 1;
    REQUIRE(fixture_start(&f) == CX_OK);
    tidy_all(&f);
    EXPECT(is_there(&f, "stub.json"));
    expect_whole(&f);
    EXPECT(fixture_found(&f, "run-40"));
    fixture_close(&f);
}

static void export_all(struct fixture *f, struct cx_buf *out)
{
    struct cx_audit_export e = { .after = 0 };
    cx_buf_init(out, 1 << 20);
    for (bool more = true; more;) {
        EXPECT_INT(cx_audit_export_some(f->audit, &e, out, &more, NULL), CX_OK);
    }
}

TEST(an_export_is_the_same_of_packed_segments)
{
    struct fixture f;
    struct cx_buf plain;
    struct cx_buf packed;
    REQUIRE(fill(&f));
    for (unsigned i = 1; i <= 40; i += 3) { /* labels stand in other segments than their runs */
        struct run label;
        char id[16];
        snprintf(id, sizeof id, "run-%u", i);
        run_make(&label, id, "a judgement");
        label.record.kind = CX_AUDIT_LABEL;
        EXPECT_INT(fixture_record(&f, &label), CX_OK);
    }
    export_all(&f, &plain);
    tidy_all(&f);
    EXPECT(is_there(&f, "segment-00000003.jsonl.gz"));
    export_all(&f, &packed);
    EXPECT_BYTES(packed.data, packed.len, plain.data, plain.len);
    EXPECT(plain.len > 40 * (size_t)300);
    cx_buf_free(&plain);
    cx_buf_free(&packed);
    fixture_close(&f);
}

/* Also where the process that removed it ended before the index could follow. */
TEST(a_run_that_was_removed_is_new_again)
{
    struct fixture f;
    struct run run;
    REQUIRE(fill(&f));
    index_all(&f);
    tidy_all(&f);
    fixture_stop(&f);
    f.options.keep_bytes = 6000;
    REQUIRE(fixture_start(&f) == CX_OK);
    tidy_all(&f);
    EXPECT(!fixture_found(&f, "run-1"));
    run_make(&run, "run-1", "what it says now");
    EXPECT_INT(fixture_record(&f, &run), CX_OK); /* the index still has the old one */
    EXPECT(!run.record.known);
    EXPECT(fixture_found(&f, "run-1"));
    fixture_stop(&f);
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT_INT(rows_in_the_index(&f, "SELECT count(*) FROM audit_entries WHERE run_id = 'run-2'"),
               1);
    run_make(&run, "run-2", "what it says now");
    EXPECT_INT(fixture_record(&f, &run), CX_OK);
    EXPECT(!run.record.known);
    index_all(&f);
    EXPECT_INT(rows_in_the_index(&f, "SELECT count(*) FROM audit_entries WHERE run_id = 'run-1'"),
               1);
    EXPECT_INT(rows_in_the_index(&f, "SELECT count(*) FROM audit_entries WHERE run_id = 'run-2'"),
               1);
    EXPECT_INT(rows_in_the_index(&f, "SELECT count(*) FROM audit_entries WHERE run_id = 'run-3'"),
               0);
    EXPECT(fixture_found(&f, "run-1"));
    EXPECT(fixture_found(&f, "run-2"));
    fixture_close(&f);
}

TEST(packing_that_is_given_up_leaves_nothing_behind)
{
    struct fixture f;
    REQUIRE(fill(&f));
    for (int steps = 1; steps < 6; steps++) { /* begun, written, compared … */
        bool more = true;
        for (int i = 0; i < steps && more; i++) {
            EXPECT_INT(cx_audit_tidy(f.audit, &more, NULL), CX_OK);
        }
        fixture_stop(&f);
        EXPECT(!is_there(&f, ".packing.new"));
        REQUIRE(fixture_start(&f) == CX_OK);
    }
    fixture_close(&f);
}

struct writer {
    struct fixture *f;
    _Atomic bool done;
    bool well;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    w->well = true;
    for (unsigned i = 1; w->well && i < 801; i++) {
        w->well = fixture_fill(w->f, i, 1);
    }
    w->done = true;
    return NULL;
}

/* True where the last segment that is listed holds the place of the newest checkpoint. */
static bool reaches_the_checkpoint(const struct fixture *f, struct audit__findings *findings)
{
    struct audit__folder folder;
    struct audit__walk w;
    enum cx_status status = CX_CONFLICT;
    while (status == CX_CONFLICT) {
        const int dir = open(f->ledger, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        findings->count = 0;
        status = audit__folder_read(dir, &folder, findings, NULL);
    }
    if (!test_expect(status == CX_OK && findings->count == 0, __FILE__, __LINE__, "%d", status)) {
        return false;
    }
    audit__walk_init(&w, &folder, folder.segments[folder.segment_count - 1].number, findings);
    const size_t mark = audit__walk_mark(&w, audit__newest(&folder)->size);
    while (status == CX_OK && !w.ended) {
        status = audit__walk_step(&w, UINT64_MAX, NULL);
    }
    audit__walk_end(&w);
    audit__folder_free(&folder);
    return status == CX_OK && w.marks[mark].seen;
}

/* Segments are begun all the time: a checkpoint of one that the list has not would be an accusation. */
TEST(a_ledger_that_is_written_to_is_not_accused)
{
    struct fixture f;
    struct audit__findings *findings = cx_alloc(sizeof *findings);
    REQUIRE(fixture_open(&f));
    fixture_stop(&f);
    f.options.segment_bytes = 1100;
    REQUIRE(fixture_start(&f) == CX_OK);
    struct writer w = { .f = &f };
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, write_on, &w) == 0);
    for (bool last = false; !last;) {
        last = w.done;
        EXPECT(reaches_the_checkpoint(&f, findings));
    }
    EXPECT_INT(pthread_join(thread, NULL), 0);
    EXPECT(w.well);
    free(findings);
    fixture_close(&f);
}
