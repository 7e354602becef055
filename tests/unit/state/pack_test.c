/* SPDX-License-Identifier: MIT
 *
 * Packs: their members, signature, size, validity, and what a restart makes of them.
 */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <zlib.h>

#include "cortex/json.h"

static bool count_bytes(void *ctx, struct cx_str text, int64_t *out)
{
    (void)ctx;
    *out = (int64_t)text.len;
    return true;
}

static struct cx_pack *build(struct fixture *f)
{
    struct cx_pack *pack = NULL;
    EXPECT_INT(cx_pack_build(f->db, &f->options, CX_STR("tests"), &pack, NULL), CX_OK);
    return pack;
}

static struct cx_pack *restore(struct fixture *f)
{
    struct cx_pack *pack = NULL;
    EXPECT_INT(cx_pack_restore(f->db, &f->options, &pack, NULL), CX_OK);
    return pack;
}

static int64_t kept(struct fixture *f)
{
    struct cx_stmt *s = NULL;
    bool row = false;
    if (cx_db_prepare(f->db, "SELECT count(*) FROM state_snapshots", &s, NULL) != CX_OK ||
        cx_stmt_step(s, &row, NULL) != CX_OK || !row) {
        return -1;
    }
    const int64_t count = cx_stmt_int(s, 0);
    cx_stmt_reset(s);
    return count;
}

TEST(pack_has_its_members_in_their_order)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    f.options.count_tokens = count_bytes;
    EXPECT_INT(fixture_put(&f, "a", "{\"n\":1.50}"), CX_OK);
    EXPECT_INT(fixture_fact(&f, "second", 0, 0), CX_OK);
    EXPECT_INT(fixture_fact(&f, "first", 1, 0), CX_OK);
    struct cx_pack *pack = build(&f);
    REQUIRE(pack != NULL);
    static const char canonical[] =
        "{\"generated_at\":\"2026-02-08T10:00:00.123456Z\",\"hot_facts\":[\"first\",\"second\"],"
        "\"resources\":[{\"id\":\"a\",\"kind\":\"test\",\"metadata\":{\"n\":1.5},\"name\":\"a\","
        "\"uri\":\"test://\"}],\"summary\":\"1 resource registered.\",\"ttl_seconds\":120}";
    struct cx_hmac *hmac = NULL;
    uint8_t digest[CX_SHA256_BYTES];
    char signature[CX_SHA256_HEX_BYTES];
    char key_id[17];
    cx_hmac_new(f.options.signing_key, &hmac);
    cx_hmac_sign(hmac, CX_STR(canonical), digest);
    cx_hmac_free(&hmac);
    (void)cx_hex(digest, sizeof digest, signature);
    cx_key_id(f.options.signing_key, key_id);
    for (size_t i = 0; i < CX_FRESHNESS_COUNT; i++) {
        char want[1024];
        snprintf(want, sizeof want,
                 "{\"generated_at\":\"2026-02-08T10:00:00.123456Z\",\"ttl_seconds\":120,"
                 "\"summary\":\"1 resource registered.\",\"resources\":[{\"id\":\"a\","
                 "\"kind\":\"test\",\"name\":\"a\",\"uri\":\"test://\",\"metadata\":{\"n\":1.5}}],"
                 "\"hot_facts\":[\"first\",\"second\"],\"token_count\":%zu,\"freshness\":\"%s\","
                 "\"signature\":\"%s\",\"signature_algorithm\":\"hmac-sha256\",\"key_id\":\"%s\"}",
                 sizeof canonical - 1, cx_freshness_name((enum cx_freshness)i), signature, key_id);
        EXPECT_BYTES(pack->body[i].p, pack->body[i].len, want, strlen(want));
    }
    char etag[80];
    snprintf(etag, sizeof etag, "W/\"%s\"", signature);
    EXPECT_STR(pack->etag, etag);
    EXPECT(!pack->restored);
    EXPECT_INT(pack->version, fixture_version(&f));
    EXPECT_INT(pack->generated_us, FIXTURE_NOW_US);
    EXPECT_INT(pack->expires_us, FIXTURE_NOW_US + 120000000);
    cx_pack_free(&pack);

    f.options.count_tokens = NULL;
    pack = build(&f);
    REQUIRE(pack != NULL);
    EXPECT(strstr(pack->body[CX_FRESH].p, "token_count") == NULL);
    cx_pack_free(&pack);
    EXPECT(pack == NULL);
    fixture_close(&f);
}

TEST(gzip_form_is_the_same_body)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT_INT(fixture_fact(&f, "some fact that is told, and told, and told", 0, 0), CX_OK);
    struct cx_pack *pack = build(&f);
    REQUIRE(pack != NULL);
    for (size_t i = 0; i < CX_FRESHNESS_COUNT; i++) {
        char text[4096];
        z_stream z = { .next_in = (Bytef *)pack->gzip[i].p,
                       .avail_in = (uInt)pack->gzip[i].len,
                       .next_out = (Bytef *)text,
                       .avail_out = sizeof text };
        REQUIRE(inflateInit2(&z, 16 + MAX_WBITS) == Z_OK);
        EXPECT_INT(inflate(&z, Z_FINISH), Z_STREAM_END);
        EXPECT_BYTES(text, z.total_out, pack->body[i].p, pack->body[i].len);
        (void)inflateEnd(&z);
    }
    cx_pack_free(&pack);
    fixture_close(&f);
}

TEST(fact_that_expires_ends_the_pack_that_shows_it)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT_INT(fixture_fact(&f, "for ever", 0, 0), CX_OK);
    EXPECT_INT(fixture_fact(&f, "later than the pack", 0, FIXTURE_NOW_US + 500000000), CX_OK);
    EXPECT_INT(fixture_fact(&f, "thirty seconds", 0, FIXTURE_NOW_US + 30000000), CX_OK);
    const uint64_t before_ns = cx_clock_mono_ns();
    struct cx_pack *pack = build(&f);
    REQUIRE(pack != NULL);
    EXPECT_INT(pack->expires_us, FIXTURE_NOW_US + 30000000);
    EXPECT(pack->expires_mono_ns >= before_ns + UINT64_C(30000000000) &&
           pack->expires_mono_ns <= cx_clock_mono_ns() + UINT64_C(30000000000));
    cx_pack_free(&pack);
    f.options.now_us = FIXTURE_NOW_US + 30000000;
    pack = build(&f);
    REQUIRE(pack != NULL);
    EXPECT_INT(pack->expires_us, f.options.now_us + 120000000);
    EXPECT(strstr(pack->body[CX_FRESH].p, "thirty seconds") == NULL);
    EXPECT(strstr(pack->body[CX_FRESH].p, "for ever") != NULL);
    cx_pack_free(&pack);
    fixture_close(&f);
}

/* The largest body over all freshness variants. */
static size_t largest(const struct cx_pack *pack)
{
    size_t bytes = 0;
    for (size_t i = 0; i < CX_FRESHNESS_COUNT; i++) {
        bytes = pack->body[i].len > bytes ? pack->body[i].len : bytes;
    }
    return bytes;
}

TEST(pack_over_its_cap_loses_facts_and_then_resources)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    f.options.count_tokens = count_bytes;
    enum { RESOURCES = 20, FACTS = 30 };
    char text[64];
    for (int i = 0; i < RESOURCES; i++) {
        snprintf(text, sizeof text, "r%02d", i);
        EXPECT_INT(fixture_put(&f, text, "{\"about\":\"something\"}"), CX_OK);
    }
    for (int i = 0; i < FACTS; i++) {
        snprintf(text, sizeof text, "fact number %02d \"quoted\"", i);
        EXPECT_INT(fixture_fact(&f, text, 100 - i, 0), CX_OK);
    }
    f.options.size_cap = 1 << 20;
    struct cx_pack *pack = build(&f);
    REQUIRE(pack != NULL);
    size_t size = largest(pack);
    size_t resources = RESOURCES;
    size_t facts = FACTS;
    cx_pack_free(&pack);
    /* One byte less than what just fitted takes exactly one part away, until none is left. */
    for (;;) {
        f.options.size_cap = size - 1;
        enum cx_status status = cx_pack_build(f.db, &f.options, CX_STR("tests"), &pack, NULL);
        if (resources == 0 && facts == 0) {
            EXPECT_INT(status, CX_TOO_LARGE);
            EXPECT(pack == NULL);
            break;
        }
        REQUIRE(status == CX_OK);
        if (facts > 0) {
            facts--;
        } else {
            resources--;
        }
        json_t *body = fixture_body(pack, CX_FRESH);
        EXPECT_INT(json_array_size(json_object_get(body, "hot_facts")), facts);
        EXPECT_INT(json_array_size(json_object_get(body, "resources")), resources);
        EXPECT_STR(json_string_value(json_object_get(body, "summary")), "20 resources registered.");
        json_decref(body);
        EXPECT(largest(pack) < size);
        size = largest(pack);
        cx_pack_free(&pack);
    }
    fixture_close(&f);
}

TEST(large_state_does_not_make_a_large_pack)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    REQUIRE(cx_db_begin(f.db, NULL) == CX_OK);
    EXPECT_INT(
        cx_db_exec(f.db,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)"
                   " INSERT INTO state_facts(id, text, priority, expires_us, created_us)"
                   " SELECT i, 'fact ' || i || hex(zeroblob(400)), i, 0, 0 FROM n",
                   NULL),
        CX_OK);
    REQUIRE(cx_db_commit(f.db, NULL) == CX_OK);
    struct cx_pack *pack = build(&f);
    REQUIRE(pack != NULL);
    EXPECT(largest(pack) <= 30 * 1024 && largest(pack) > 29 * 1024);
    EXPECT(strstr(pack->body[CX_FRESH].p, "fact 20000") != NULL);
    cx_pack_free(&pack);
    fixture_close(&f);
}

TEST(only_the_newest_packs_are_kept)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    f.options.keep = 5;
    for (int i = 0; i < 12; i++) {
        f.options.now_us = FIXTURE_NOW_US + i;
        struct cx_pack *pack = build(&f);
        cx_pack_free(&pack);
    }
    EXPECT_INT(kept(&f), 5);
    struct cx_pack *pack = restore(&f);
    REQUIRE(pack != NULL);
    EXPECT_INT(pack->generated_us, FIXTURE_NOW_US + 11);
    cx_pack_free(&pack);
    fixture_close(&f);
}

TEST(pack_is_restored_byte_by_byte_after_a_restart)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    f.options.count_tokens = count_bytes;
    EXPECT_INT(fixture_put(&f, "a", "{\"x\":[0.1,1e-7,1e21,\"\\ud83d\\ude00\",null]}"), CX_OK);
    EXPECT_INT(fixture_fact(&f, "short", 0, FIXTURE_NOW_US + 90000000), CX_OK);
    struct cx_pack *built = build(&f);
    REQUIRE(built != NULL);
    fixture_reopen(&f);
    f.options.now_us = FIXTURE_NOW_US + 50000000;
    const uint64_t before_ns = cx_clock_mono_ns();
    struct cx_pack *pack = restore(&f);
    REQUIRE(pack != NULL);
    EXPECT(pack->restored);
    EXPECT_STR(pack->etag, built->etag);
    EXPECT_INT(pack->version, built->version);
    EXPECT_INT(pack->generated_us, built->generated_us);
    EXPECT_INT(pack->expires_us, built->expires_us);
    EXPECT(pack->expires_mono_ns >= before_ns + UINT64_C(40000000000) &&
           pack->expires_mono_ns <= cx_clock_mono_ns() + UINT64_C(40000000000));
    for (size_t i = 0; i < CX_FRESHNESS_COUNT; i++) {
        EXPECT_BYTES(pack->body[i].p, pack->body[i].len, built->body[i].p, built->body[i].len);
        EXPECT_BYTES(pack->gzip[i].p, pack->gzip[i].len, built->gzip[i].p, built->gzip[i].len);
    }
    cx_pack_free(&pack);
    cx_pack_free(&built);

    /* Its time is over, to the microsecond. */
    f.options.now_us = FIXTURE_NOW_US + 90000000;
    EXPECT(restore(&f) == NULL);
    f.options.now_us--;
    pack = restore(&f);
    EXPECT(pack != NULL);
    cx_pack_free(&pack);
    /* A clock that was set back lengthens nothing. */
    f.options.now_us = FIXTURE_NOW_US - INT64_C(86400000000);
    pack = restore(&f);
    REQUIRE(pack != NULL);
    EXPECT(pack->expires_mono_ns <= cx_clock_mono_ns() + UINT64_C(90000000000));
    cx_pack_free(&pack);
    fixture_close(&f);
}

static void exec(struct fixture *f, const char *sql)
{
    EXPECT_INT(cx_db_exec(f->db, sql, NULL), CX_OK);
}

TEST(pack_that_is_out_of_date_or_not_ours_is_not_restored)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT_INT(fixture_fact(&f, "told", 0, 0), CX_OK);
    struct cx_pack *pack = build(&f);
    cx_pack_free(&pack);
    pack = restore(&f);
    REQUIRE(pack != NULL);
    cx_pack_free(&pack);

    const struct cx_pack_options good = f.options;
    f.options.signing_key = CX_STR("another key");
    EXPECT(restore(&f) == NULL);
    f.options = good;
    f.options.ttl_seconds = 60;
    EXPECT(restore(&f) == NULL);
    f.options = good;
    f.options.size_cap = 100;
    EXPECT(restore(&f) == NULL);
    f.options = good;

    exec(&f, "UPDATE state_snapshots SET body=replace(body, 'told', 'tolD')");
    EXPECT(restore(&f) == NULL);
    exec(&f, "UPDATE state_snapshots SET body=replace(body, 'tolD', 'told')");
    pack = restore(&f);
    EXPECT(pack != NULL);
    cx_pack_free(&pack);
    /* An old pack is not brought back to life by the columns beside it. */
    exec(&f, "UPDATE state_snapshots SET generated_us=generated_us+900000000,"
             " expires_us=expires_us+900000000");
    f.options.now_us = FIXTURE_NOW_US + 900000000;
    EXPECT(restore(&f) == NULL);
    f.options = good;
    exec(&f, "UPDATE state_snapshots SET body='{'");
    EXPECT(restore(&f) == NULL);
    exec(&f, "UPDATE state_snapshots SET body='{\"signature\":3}'");
    EXPECT(restore(&f) == NULL);

    pack = build(&f);
    cx_pack_free(&pack);
    pack = restore(&f);
    EXPECT(pack != NULL);
    cx_pack_free(&pack);
    EXPECT_INT(fixture_fact(&f, "new", 0, 0), CX_OK);
    EXPECT(restore(&f) == NULL);
    fixture_close(&f);
}

/* Reading goes on when the disk is full: the pack is served, only not kept. */
TEST(full_disk_does_not_keep_a_pack_from_being_built)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT_INT(fixture_fact(&f, "told", 0, 0), CX_OK);
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = { .rlim_cur = 1, .rlim_max = before.rlim_max };
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    struct cx_pack *pack = NULL;
    const enum cx_status built = cx_pack_build(f.db, &f.options, CX_STR("s"), &pack, NULL);
    const enum cx_status put = fixture_put(&f, "a", "{}");
    (void)setrlimit(RLIMIT_FSIZE, &before);
    (void)signal(SIGXFSZ, handler);
    EXPECT_INT(built, CX_OK);
    EXPECT_INT(put, CX_STORAGE_FULL);
    REQUIRE(pack != NULL);
    EXPECT(strstr(pack->body[CX_FRESH].p, "\"told\"") != NULL);
    cx_pack_free(&pack);
    EXPECT_INT(kept(&f), 0);
    EXPECT(!cx_store_failed(f.store));
    pack = build(&f);
    cx_pack_free(&pack);
    EXPECT_INT(kept(&f), 1);
    EXPECT_INT(fixture_put(&f, "a", "{}"), CX_OK);
    fixture_close(&f);
}

TEST(kept_packs_are_listed_by_pages)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    for (int i = 0; i < 7; i++) {
        f.options.now_us = FIXTURE_NOW_US + i * 1000000;
        struct cx_pack *pack = NULL;
        EXPECT_INT(cx_pack_build(f.db, &f.options, i % 2 == 0 ? CX_STR("even") : CX_STR("odd"),
                                 &pack, NULL),
                   CX_OK);
        cx_pack_free(&pack);
    }
    struct cx_snapshot_query query = { .limit = 3, .session = CX_STR("even") };
    json_t *page = NULL;
    REQUIRE(cx_state_snapshots(f.db, &query, &page, NULL) == CX_OK);
    EXPECT_INT(json_array_size(json_object_get(page, "snapshots")), 3);
    const json_t *first = json_array_get(json_object_get(page, "snapshots"), 0);
    EXPECT_STR(json_string_value(json_object_get(first, "session")), "even");
    EXPECT_STR(json_string_value(json_object_get(first, "generated_at")),
               "2026-02-08T10:00:06.123456Z");
    EXPECT(json_object_get(first, "snapshot") == NULL);
    char cursor[32];
    snprintf(cursor, sizeof cursor, "%s", json_string_value(json_object_get(page, "cursor")));
    json_decref(page);
    query.cursor = cx_str_of(cursor);
    query.with_packs = true;
    REQUIRE(cx_state_snapshots(f.db, &query, &page, NULL) == CX_OK);
    EXPECT_INT(json_array_size(json_object_get(page, "snapshots")), 1);
    EXPECT(json_is_null(json_object_get(page, "cursor")));
    first = json_array_get(json_object_get(page, "snapshots"), 0);
    EXPECT_STR(
        json_string_value(json_object_get(json_object_get(first, "snapshot"), "generated_at")),
        "2026-02-08T10:00:00.123456Z");
    json_decref(page);

    const struct cx_snapshot_query since = { .limit = 100, .since_us = FIXTURE_NOW_US + 4000000 };
    REQUIRE(cx_state_snapshots(f.db, &since, &page, NULL) == CX_OK);
    EXPECT_INT(json_array_size(json_object_get(page, "snapshots")), 2);
    json_decref(page);
    query.cursor = CX_STR("x");
    EXPECT_INT(cx_state_snapshots(f.db, &query, &page, NULL), CX_INVALID);
    fixture_close(&f);
}

TEST(key_id_names_the_key)
{
    char id[17];
    char other[17];
    cx_key_id(CX_STR("secret"), id);
    /* printf 'cortex-key-id:secret' | sha256sum */
    EXPECT_STR(id, "910d24e4a4e7e4a4");
    cx_key_id(CX_STR("secreT"), other);
    EXPECT(strcmp(id, other) != 0);
}
