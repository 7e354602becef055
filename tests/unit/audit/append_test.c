/* SPDX-License-Identifier: MIT
 *
 * Appending and looking up: groups, receipts, runs that come twice, segments, the index.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/ledger.h"

#define FIRST "segment-00000001.jsonl"

static const uint8_t *no_hash(void)
{
    static const uint8_t none[CX_SHA256_BYTES];
    return none;
}

TEST(a_run_is_written_and_found)
{
    struct fixture f;
    struct run run;
    REQUIRE(fixture_open(&f));
    run_make(&run, "r1", "out");
    EXPECT_INT(fixture_record(&f, &run), CX_OK);
    EXPECT_INT(run.record.sequence, 1);
    EXPECT(!run.record.known);
    EXPECT(memcmp(run.record.hash, no_hash(), CX_SHA256_BYTES) != 0);
    EXPECT(fixture_found(&f, "r1")); /* from memory */
    bool more = true;
    EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK);
    EXPECT(!more);
    struct cx_audit_figures figures;
    cx_audit_figures(f.audit, &figures);
    EXPECT_INT(figures.unindexed, 0);
    EXPECT_INT(figures.size, 1);
    EXPECT(fixture_found(&f, "r1")); /* from the index */
    EXPECT(!fixture_found(&f, "r2"));
    struct cx_buf out = { .data = NULL };
    EXPECT(fixture_verify(f.ledger, &out));
    cx_buf_free(&out);
    fixture_close(&f);
}

TEST(a_group_shares_one_checkpoint)
{
    struct fixture f;
    struct run runs[5];
    REQUIRE(fixture_open(&f));
    for (int i = 0; i < 5; i++) {
        char id[16];
        snprintf(id, sizeof id, "g%d", i);
        run_make(&runs[i], id, "out");
    }
    fixture_group(&f, runs, 5);
    for (int i = 0; i < 5; i++) {
        EXPECT_INT(runs[i].record.status, CX_OK);
        EXPECT_INT(runs[i].record.sequence, i + 1);
        EXPECT_STR(runs[i].record.checkpoint, runs[0].record.checkpoint);
    }
    struct audit__checkpoint c;
    REQUIRE(audit__checkpoint_parse(cx_str_of(runs[0].record.checkpoint), &c));
    EXPECT_INT(c.size, 5);
    EXPECT_BYTES(c.head, sizeof c.head, runs[4].record.hash, sizeof runs[4].record.hash);
    EXPECT(audit__checkpoint_verify(&c, cx_signer_public(f.signer)));
    fixture_close(&f);
}

static void expect_twice(struct fixture *f, const char *first_id)
{
    struct run again;
    struct run other;
    run_make(&again, first_id, "out");
    run_make(&other, first_id, "another output");
    EXPECT_INT(fixture_record(f, &again), CX_OK);
    EXPECT(again.record.known);
    EXPECT_INT(again.record.sequence, 1);
    EXPECT_INT(fixture_record(f, &other), CX_CONFLICT);
}

TEST(a_run_that_comes_twice)
{
    struct fixture f;
    struct run runs[3];
    REQUIRE(fixture_open(&f));
    run_make(&runs[0], "r1", "out");
    run_make(&runs[1], "r1", "out");
    run_make(&runs[2], "r1", "not the same");
    fixture_group(&f, runs, 3); /* in one group */
    EXPECT_INT(runs[0].record.status, CX_OK);
    EXPECT(!runs[0].record.known);
    EXPECT_INT(runs[1].record.status, CX_OK);
    EXPECT(runs[1].record.known);
    EXPECT_INT(runs[1].record.sequence, 1);
    EXPECT_INT(runs[2].record.status, CX_CONFLICT);
    expect_twice(&f, "r1"); /* in memory */
    bool more = true;
    EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK);
    expect_twice(&f, "r1"); /* in the index */
    fixture_stop(&f);
    REQUIRE(fixture_start(&f) == CX_OK);
    expect_twice(&f, "r1"); /* after a restart */
    struct run turned;      /* the order of members does not count */
    run_make(&turned, "r1", "out");
    static const char text[] = "{\"raw_output\":\"out\",\"latency_ms\":5,\"prompt\":\"p\","
                               "\"method_name\":\"m\",\"agent_name\":\"tester\",\"run_id\":\"r1\"}";
    turned.record.content = CX_STR(text);
    EXPECT_INT(fixture_record(&f, &turned), CX_OK);
    EXPECT(turned.record.known);
    struct cx_audit_figures figures;
    cx_audit_figures(f.audit, &figures);
    EXPECT_INT(figures.size, 1);
    fixture_close(&f);
}

TEST(segments_are_sealed_by_size_and_the_chain_goes_on)
{
    struct fixture f;
    struct cx_buf out = { .data = NULL };
    REQUIRE(fixture_open(&f));
    fixture_stop(&f);
    f.options.segment_bytes = 4096;
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(fixture_fill(&f, 1, 60));
    struct cx_audit_figures figures;
    cx_audit_figures(f.audit, &figures);
    EXPECT_INT(figures.size, 60);
    EXPECT(figures.segment >= 5);
    EXPECT(fixture_verify(f.ledger, &out));
    EXPECT(strstr(out.data, "\"entries\":60,") != NULL);
    fixture_stop(&f);
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(!fixture_is_damaged(&f));
    EXPECT(fixture_fill(&f, 61, 20));
    EXPECT(fixture_verify(f.ledger, &out));
    for (int i = 1; i <= 80; i++) {
        char id[16];
        snprintf(id, sizeof id, "run-%d", i);
        EXPECT(fixture_found(&f, id));
    }
    cx_buf_free(&out);
    fixture_close(&f);
}

TEST(the_index_is_made_again_when_it_is_gone)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    f.options.segment_bytes = 4096;
    EXPECT(fixture_fill(&f, 1, 30));
    fixture_stop(&f); /* nothing was indexed */
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT(cx_audit_indexed(f.audit));
    EXPECT(fixture_found(&f, "run-1"));
    EXPECT(fixture_found(&f, "run-30"));
    struct cx_buf out;
    cx_buf_init(&out, 1 << 20);
    cx_audit_stats(f.audit, &out);
    EXPECT(strstr(out.data, "\"total_entries\":30,\"agents\":{\"tester\":30}") != NULL);
    EXPECT(strstr(out.data, "\"avg_latency_ms\":5.000") != NULL);
    cx_buf_free(&out);
    fixture_close(&f);
}

static void list(struct fixture *f, const struct cx_audit_query *query, struct cx_buf *out)
{
    cx_buf_free(out);
    cx_buf_init(out, 1 << 20);
    EXPECT_INT(cx_audit_list(f->audit, query, out, NULL), CX_OK);
}

TEST(pages_go_from_memory_to_the_index)
{
    struct fixture f;
    struct cx_buf out = { .data = NULL };
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 10));
    bool more = true;
    EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK);
    EXPECT(fixture_fill(&f, 11, 10)); /* these stay in memory */
    struct cx_audit_query query = { .limit = 7 };
    char cursor[32];
    int seen = 0;
    for (int page = 0; page < 5; page++) {
        list(&f, &query, &out);
        for (const char *at = out.data; (at = strstr(at, "\"sequence\":")) != NULL; at++) {
            EXPECT_INT(strtol(at + 11, NULL, 10), 20 - seen);
            seen++;
        }
        const char *next = strstr(out.data, "\"cursor\":\"");
        if (next == NULL) {
            break;
        }
        snprintf(cursor, sizeof cursor, "%ld", strtol(next + 10, NULL, 10));
        query.cursor = cx_str_of(cursor);
    }
    EXPECT_INT(seen, 20);
    query = (struct cx_audit_query){ .limit = 7, .agent = CX_STR("nobody") };
    list(&f, &query, &out);
    EXPECT_STR(out.data, "{\"entries\":[],\"cursor\":null}");
    query = (struct cx_audit_query){ .limit = 7, .cursor = CX_STR("x") };
    EXPECT_INT(cx_audit_list(f.audit, &query, &out, NULL), CX_INVALID);
    cx_buf_free(&out);
    fixture_close(&f);
}

static size_t listed_since(struct fixture *f, int64_t since_us)
{
    struct cx_buf out = { .data = NULL };
    const struct cx_audit_query query = { .limit = 100, .since_us = since_us };
    size_t count = 0;
    list(f, &query, &out);
    for (const char *at = out.data; (at = strstr(at, "\"sequence\":")) != NULL; at++) {
        count++;
    }
    cx_buf_free(&out);
    return count;
}

static size_t exported_until(struct fixture *f, int64_t until_us)
{
    struct cx_buf out;
    struct cx_audit_export e = { .until_us = until_us };
    size_t count = 0;
    cx_buf_init(&out, 1 << 20);
    for (bool more = true; more;) {
        EXPECT_INT(cx_audit_export_some(f->audit, &e, &out, &more, NULL), CX_OK);
    }
    for (const char *at = out.data; at != NULL && (at = strstr(at, "\"sequence\":")) != NULL;
         at++) {
        count++;
    }
    cx_buf_free(&out);
    return count;
}

/* By every time at which a run was recorded, whether the runs are in memory or in the index. */
TEST(a_time_bounds_what_is_listed)
{
    enum { RUNS = 40 };
    struct fixture f;
    int64_t times[RUNS];
    REQUIRE(fixture_open(&f));
    for (size_t i = 0; i < RUNS; i++) {
        struct run run;
        char id[16];
        snprintf(id, sizeof id, "run-%zu", i);
        run_make(&run, id, "out");
        EXPECT_INT(fixture_record(&f, &run), CX_OK);
        times[i] = run.record.recorded_us;
        if (i == RUNS / 2) {
            bool more = true;
            EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK);
        }
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < RUNS; i++) {
            for (int64_t beside = -1; beside <= 1; beside++) {
                size_t later = 0;
                for (size_t k = 0; k < RUNS; k++) {
                    later += times[k] > times[i] + beside ? 1 : 0;
                }
                EXPECT_INT(listed_since(&f, times[i] + beside), later);
                EXPECT_INT(exported_until(&f, times[i] + beside), RUNS - later);
            }
        }
        bool more = true;
        EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK); /* the second round: all of them */
    }
    fixture_close(&f);
}

static enum cx_status record_label(struct fixture *f, const char *run_id, int number)
{
    struct run label;
    run_make(&label, run_id, "");
    label.record.kind = CX_AUDIT_LABEL;
    const int len = snprintf(label.content, sizeof label.content,
                             "{\"run_id\":\"%s\",\"label\":\"n%d.\"}", run_id, number);
    label.record.content.len = (size_t)len;
    return fixture_record(f, &label);
}

TEST(the_newest_labels_of_many_are_shown)
{
    struct fixture f;
    struct cx_buf out;
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 1));
    for (int i = 1; i <= 250; i++) {
        EXPECT_INT(record_label(&f, "run-1", i), CX_OK);
        if (i == 180) {
            bool more = true;
            EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK);
        }
    }
    for (int round = 0; round < 2; round++) {
        cx_buf_init(&out, 1 << 20);
        EXPECT_INT(cx_audit_find(f.audit, CX_STR("run-1"), &out, NULL), CX_OK);
        int next = 151;
        for (const char *at = out.data; (at = strstr(at, "\"label\":\"n")) != NULL; at++) {
            EXPECT_INT(strtol(at + 10, NULL, 10), next++);
        }
        EXPECT_INT(next, 251);
        cx_buf_free(&out);
        bool more = true;
        EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK); /* the second round: all of them */
    }
    fixture_close(&f);
}

TEST(a_damaged_label_hides_itself_alone)
{
    struct fixture f;
    struct cx_buf out;
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, 1));
    EXPECT_INT(record_label(&f, "run-1", 1), CX_OK);
    EXPECT_INT(record_label(&f, "run-1", 2), CX_OK);
    size_t len = 0;
    char *data = file_read(f.ledger, FIRST, &len);
    char *at = memmem(data, len, "n1.", 3);
    REQUIRE(at != NULL);
    *at = 'm';
    file_write(f.ledger, FIRST, data, len);
    free(data);
    cx_buf_init(&out, 1 << 20);
    EXPECT_INT(cx_audit_find(f.audit, CX_STR("run-1"), &out, NULL), CX_OK);
    EXPECT(strstr(out.data, "\"labels\":[{\"run_id\":\"run-1\",\"label\":\"n2.\"") != NULL);
    cx_buf_clear(&out);
    struct cx_audit_export e = { .labelled = true };
    bool more = true;
    EXPECT_INT(cx_audit_export_some(f.audit, &e, &out, &more, NULL), CX_OK);
    EXPECT(strstr(out.data, "\"label\":\"n2.\"") != NULL);
    cx_buf_free(&out);
    fixture_close(&f);
}

/* A slice that cannot be stored is read again: nothing is left out of the index, or counted twice. */
TEST(an_index_that_fails_on_the_way_is_made_whole)
{
    enum { RUNS = 200 };
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT(fixture_fill(&f, 1, RUNS));
    fixture_stop(&f);
    struct cx_db *db = cx_store_writer(f.store);
    EXPECT_INT(cx_db_exec(db,
                          "CREATE TRIGGER no BEFORE INSERT ON audit_entries WHEN NEW.sequence = 150"
                          " BEGIN SELECT RAISE(ABORT, 'no'); END",
                          NULL),
               CX_OK);
    EXPECT(fixture_start(&f) != CX_OK);
    REQUIRE(f.audit != NULL);
    bool more = true;
    EXPECT(cx_audit_index(f.audit, &more, NULL) != CX_OK);
    EXPECT(!cx_audit_indexed(f.audit));
    EXPECT_INT(cx_db_exec(db, "DROP TRIGGER no", NULL), CX_OK);
    for (more = true; more;) {
        EXPECT_INT(cx_audit_index(f.audit, &more, NULL), CX_OK);
    }
    EXPECT(cx_audit_indexed(f.audit));
    for (int i = 1; i <= RUNS; i++) {
        char id[16];
        snprintf(id, sizeof id, "run-%d", i);
        EXPECT(fixture_found(&f, id));
    }
    struct cx_buf out;
    cx_buf_init(&out, 1 << 20);
    cx_audit_stats(f.audit, &out);
    EXPECT(strstr(out.data, "\"total_entries\":200,\"agents\":{\"tester\":200}") != NULL);
    cx_buf_free(&out);
    fixture_close(&f);
}

/* It is as old as its first entry, however often the process is started. */
TEST(a_segment_does_not_grow_younger_over_a_restart)
{
    struct fixture f;
    struct run run;
    REQUIRE(fixture_open(&f));
    run_make(&run, "first", "out");
    EXPECT_INT(fixture_record(&f, &run), CX_OK);
    EXPECT(fixture_fill(&f, 1, 3));
    fixture_stop(&f);
    REQUIRE(fixture_start(&f) == CX_OK);
    EXPECT_INT(f.audit->segment_began_us, run.record.recorded_us);
    fixture_close(&f);
}

TEST(a_queue_has_a_ceiling)
{
    struct fixture f;
    struct run runs[4];
    REQUIRE(fixture_open(&f));
    fixture_stop(&f);
    f.options.waiting_max = 3;
    REQUIRE(fixture_start(&f) == CX_OK);
    for (int i = 0; i < 4; i++) {
        char id[16];
        bool commit = false;
        snprintf(id, sizeof id, "q%d", i);
        run_make(&runs[i], id, "out");
        EXPECT_INT(cx_audit_offer(f.audit, &runs[i].record, &commit, NULL),
                   i < 3 ? CX_OK : CX_OVERLOADED);
        EXPECT(commit == (i == 0));
    }
    bool more = true;
    EXPECT(cx_audit_commit(f.audit, &more) == &runs[0].record);
    EXPECT(!more);
    EXPECT_INT(runs[2].record.status, CX_OK);
    EXPECT(cx_audit_commit(f.audit, &more) == NULL);
    fixture_close(&f);
}

/* Every one of many runs is known after a restart, however that is looked up. */
TEST(no_run_is_forgotten_over_a_restart)
{
    enum { GROUPS = 10, GROUP = 200 };
    struct fixture f;
    struct run *runs = cx_realloc_array(NULL, GROUP, sizeof *runs);
    REQUIRE(fixture_open(&f));
    for (int pass = 0; pass < 3; pass++) {
        for (int group = 0; group < GROUPS; group++) {
            for (int i = 0; i < GROUP; i++) {
                char id[32];
                snprintf(id, sizeof id, "many-%d", group * GROUP + i);
                run_make(&runs[i], id, "out");
            }
            fixture_group(&f, runs, GROUP);
            for (int i = 0; i < GROUP; i++) {
                EXPECT_INT(runs[i].record.status, CX_OK);
                EXPECT_INT(runs[i].record.sequence, group * GROUP + i + 1);
                EXPECT(runs[i].record.known == (pass > 0));
            }
        }
        if (pass == 1) {
            fixture_stop(&f);
            REQUIRE(fixture_start(&f) == CX_OK);
        }
    }
    free(runs);
    fixture_close(&f);
}
