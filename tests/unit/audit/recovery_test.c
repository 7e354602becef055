/* SPDX-License-Identifier: MIT
 *
 * What a start makes of a ledger that was cut, torn, or changed.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/format.h"

#define SEGMENT "segment-00000001.jsonl"
#define CHECKPOINT "checkpoint"

/* The ledger as it was after `entries` acknowledged ones, with the segment cut anywhere behind: what a
 * power cut can leave. Every place is tried. */
TEST(every_cut_behind_the_checkpoint_is_cut_off)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 3));
    size_t slots_len = 0;
    size_t before_len = 0;
    size_t after_len = 0;
    char *slots = file_read(f.ledger, CHECKPOINT, &slots_len);
    free(file_read(f.ledger, SEGMENT, &before_len));
    EXPECT(fixture_fill(&f, 4, 2));
    char *after = file_read(f.ledger, SEGMENT, &after_len);
    fixture_stop(&f);
    for (size_t cut = before_len; cut <= after_len; cut++) {
        file_write(f.ledger, SEGMENT, after, cut);
        file_write(f.ledger, CHECKPOINT, slots, slots_len);
        REQUIRE(fixture_start(&f) == CX_OK);
        EXPECT(!fixture_is_damaged(&f));
        size_t len = 0;
        free(file_read(f.ledger, SEGMENT, &len));
        EXPECT_INT(len, before_len);
        struct cx_audit_figures figures;
        cx_audit_figures(f.audit, &figures);
        EXPECT_INT(figures.size, 3);
        fixture_stop(&f);
    }
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(fixture_fill(&f, 4, 1)); /* and it goes on */
    struct cx_buf out = { .data = NULL };
    EXPECT(fixture_verify(f.ledger, &out));
    cx_buf_free(&out);
    free(slots);
    free(after);
    fixture_close(&f);
}

/* Cut before the end of what was acknowledged: refused at every place, whatever is left. */
TEST(every_cut_before_the_checkpoint_is_damage)
{
    struct fixture f;
    struct cx_buf out = { .data = NULL };
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 4));
    size_t len = 0;
    char *segment = file_read(f.ledger, SEGMENT, &len);
    fixture_stop(&f);
    for (size_t cut = 0; cut < len; cut++) {
        file_write(f.ledger, SEGMENT, segment, cut);
        REQUIRE(fixture_start(&f) == CX_OK);
        EXPECT(fixture_is_damaged(&f));
        struct run run;
        run_make(&run, "new", "out");
        EXPECT_INT(fixture_record(&f, &run), CX_LEDGER_DAMAGED);
        fixture_stop(&f);
        EXPECT(!fixture_verify(f.ledger, &out));
    }
    file_write(f.ledger, SEGMENT, segment, len);
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(!fixture_is_damaged(&f));
    EXPECT(fixture_verify(f.ledger, &out));
    cx_buf_free(&out);
    free(segment);
    fixture_close(&f);
}

TEST(every_flipped_bit_is_found)
{
    static const char *const names[] = { SEGMENT, CHECKPOINT, "keys.jsonl" };
    struct fixture f;
    struct cx_buf out = { .data = NULL };
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 3));
    fixture_stop(&f);
    for (size_t i = 0; i < CX_ARRAY_LEN(names); i++) {
        size_t len = 0;
        char *data = file_read(f.ledger, names[i], &len);
        for (size_t at = 0; at < len; at += (len > 4000 ? 13 : 1)) {
            data[at] = (char)(data[at] ^ (1 << at % 8));
            file_write(f.ledger, names[i], data, len);
            EXPECT(!fixture_verify(f.ledger, &out));
            data[at] = (char)(data[at] ^ (1 << at % 8));
        }
        file_write(f.ledger, names[i], data, len);
        free(data);
    }
    EXPECT(fixture_verify(f.ledger, &out));
    cx_buf_free(&out);
    fixture_close(&f);
}

TEST(a_ledger_older_than_the_database_is_damage)
{
    struct fixture f;
    char copy[700];
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 5));
    fixture_stop(&f);
    snprintf(copy, sizeof copy, "%s/copy", f.dir);
    folder_copy(f.ledger, copy);
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(fixture_fill(&f, 6, 5));
    bool more = true;
    EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK);
    fixture_stop(&f);
    folder_copy(copy, f.ledger);
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(fixture_is_damaged(&f));
    fixture_stop(&f);
    size_t ranges = 0;
    EXPECT_INT(cx_audit_accept_damage(&f.options, &ranges, NULL), CX_OK);
    EXPECT(ranges > 0);
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(!fixture_is_damaged(&f));
    struct run run;
    run_make(&run, "after", "out");
    EXPECT_INT(fixture_record(&f, &run), CX_OK);
    EXPECT_INT(run.record.sequence, 12); /* 10 were promised, the note is the 11th */
    fixture_close(&f);
}

/* Damage of one kind after the other, accepted, and verified again. */
static void expect_accepted(struct fixture *f, const char *what)
{
    struct cx_buf out = { .data = NULL };
    size_t ranges = 0;
    (void)test_expect(!fixture_verify(f->ledger, &out), __FILE__, __LINE__, "found: %s", what);
    (void)test_expect(cx_audit_accept_damage(&f->options, &ranges, NULL) == CX_OK && ranges > 0,
                      __FILE__, __LINE__, "accepted: %s", what);
    (void)test_expect(fixture_verify(f->ledger, &out), __FILE__, __LINE__, "whole: %s: %s", what,
                      out.data);
    EXPECT(out.data != NULL && strstr(out.data, "\"accepted\":[{") != NULL);
    EXPECT_INT(cx_audit_accept_damage(&f->options, &ranges, NULL), CX_OK);
    EXPECT_INT(ranges, 0);
    if (fixture_start(f) == CX_OK) {
        EXPECT(!fixture_is_damaged(f));
        EXPECT(fixture_fill(f, 1000, 3));
        fixture_stop(f);
        (void)test_expect(fixture_verify(f->ledger, &out), __FILE__, __LINE__, "goes on: %s: %s",
                          what, out.data);
    }
    cx_buf_free(&out);
}

static bool fill_segments(struct fixture *f)
{
    if (!fixture_open(f)) {
        return false;
    }
    fixture_stop(f);
    f->options.segment_bytes = 2048;
    if (fixture_start(f) != CX_OK || !fixture_fill(f, 1, 20)) {
        return false;
    }
    fixture_stop(f);
    return true;
}

static void change_file(struct fixture *f, const char *name,
                        void (*change)(char *data, size_t *len))
{
    size_t len = 0;
    char *data = file_read(f->ledger, name, &len);
    change(data, &len);
    file_write(f->ledger, name, data, len);
    free(data);
}

static void flip_in_the_middle(char *data, size_t *len)
{
    data[*len / 2] ^= 1;
}

static void cut_in_the_middle(char *data, size_t *len)
{
    (void)data;
    *len /= 2;
}

TEST(an_accepted_flip)
{
    struct fixture f;
    REQUIRE(fill_segments(&f));
    change_file(&f, "segment-00000002.jsonl", flip_in_the_middle);
    expect_accepted(&f, "a flipped bit");
    fixture_close(&f);
}

TEST(an_accepted_cut)
{
    struct fixture f;
    REQUIRE(fill_segments(&f));
    change_file(&f, "segment-00000002.jsonl", cut_in_the_middle);
    expect_accepted(&f, "a segment cut in the middle of the ledger");
    fixture_close(&f);
}

static void remove_file(const struct fixture *f, const char *name)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", f->ledger, name);
    EXPECT_INT(unlink(path), 0);
}

TEST(an_accepted_loss_of_segments)
{
    struct fixture f;
    REQUIRE(fill_segments(&f));
    remove_file(&f, "segment-00000001.jsonl");
    remove_file(&f, "segment-00000002.jsonl");
    expect_accepted(&f, "the first segments");
    fixture_close(&f);
}

TEST(an_accepted_loss_of_the_tail)
{
    struct fixture f;
    char name[64];
    REQUIRE(fill_segments(&f));
    struct cx_audit_figures figures;
    REQUIRE(fixture_start(&f) == CX_OK);
    cx_audit_figures(f.audit, &figures);
    fixture_stop(&f);
    snprintf(name, sizeof name, "segment-%08u.jsonl", figures.segment);
    remove_file(&f, name);
    expect_accepted(&f, "the last segment");
    fixture_close(&f);
}

/* How many ranges of entries were accepted. */
static size_t accept_loss_of(const char *name)
{
    struct fixture f;
    struct cx_buf out = { .data = NULL };
    size_t ranges = 0;
    if (!test_expect(fill_segments(&f), __FILE__, __LINE__, "%s", name)) {
        return 0;
    }
    remove_file(&f, name);
    EXPECT(!fixture_verify(f.ledger, &out));
    EXPECT_INT(cx_audit_accept_damage(&f.options, &ranges, NULL), CX_OK);
    EXPECT(fixture_verify(f.ledger, &out));
    cx_buf_free(&out);
    fixture_close(&f);
    return ranges;
}

TEST(an_accepted_loss_of_the_checkpoint)
{
    EXPECT(accept_loss_of("checkpoint") > 0);
}

TEST(an_accepted_loss_of_the_keys)
{
    (void)accept_loss_of("keys.jsonl"); /* the key is the same, and signs itself anew */
}

TEST(a_receipt_shows_that_an_old_copy_was_put_back)
{
    struct fixture f;
    char copy[700];
    struct run run;
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 5));
    snprintf(copy, sizeof copy, "%s/copy", f.dir);
    folder_copy(f.ledger, copy);
    run_make(&run, "kept", "out");
    EXPECT_INT(fixture_record(&f, &run), CX_OK);
    struct cx_buf receipt;
    cx_buf_init(&receipt, 4096);
    cx_audit_write_receipt(&run.record, &receipt);
    const struct cx_audit_verify_options options = { .receipt = { receipt.data, receipt.len } };
    const char *const folders[] = { f.ledger, copy };
    for (int i = 0; i < 2; i++) {
        struct cx_audit_verify *v = NULL;
        struct cx_buf out;
        bool more = true;
        cx_buf_init(&out, 1 << 20);
        REQUIRE(cx_audit_verify_new(folders[i], &options, &v, NULL) == CX_OK);
        EXPECT_INT(cx_audit_verify_step(v, 1000, &more, NULL), CX_OK);
        EXPECT(cx_audit_verify_result(v, &out) == (i == 0));
        cx_audit_verify_free(&v);
        cx_buf_free(&out);
    }
    cx_buf_free(&receipt);
    fixture_close(&f);
}

TEST(a_key_can_be_pinned)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 2));
    char hex[2 * CX_ED25519_PUBLIC_BYTES + 1];
    (void)cx_hex(cx_signer_public(f.signer), CX_ED25519_PUBLIC_BYTES, hex);
    for (int i = 0; i < 2; i++) {
        const struct cx_audit_verify_options options = { .key = cx_str_of(hex) };
        struct cx_audit_verify *v = NULL;
        struct cx_buf out;
        bool more = true;
        cx_buf_init(&out, 1 << 20);
        REQUIRE(cx_audit_verify_new(f.ledger, &options, &v, NULL) == CX_OK);
        EXPECT_INT(cx_audit_verify_step(v, 1000, &more, NULL), CX_OK);
        EXPECT(cx_audit_verify_result(v, &out) == (i == 0));
        cx_audit_verify_free(&v);
        cx_buf_free(&out);
        hex[0] = hex[0] == '0' ? '1' : '0';
    }
    fixture_close(&f);
}
