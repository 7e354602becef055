/* SPDX-License-Identifier: MIT
 *
 * Sealed segments are packed and old ones removed; the chain stays whole, and runs are found as before.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/reader.h"

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
