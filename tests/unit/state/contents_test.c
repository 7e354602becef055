/* SPDX-License-Identifier: MIT
 *
 * Resources, facts, the summary and the version.
 */
#include "fixture.h"

#include <string.h>

#include "cortex/json.h"

static enum cx_status put_text(struct fixture *f, const char *text, bool *created)
{
    json_t *resource = NULL;
    EXPECT_INT(cx_json_parse(cx_str_of(text), &resource, NULL), CX_OK);
    const enum cx_status status = cx_state_put_resource(f->db, resource, created, NULL);
    json_decref(resource);
    return status;
}

static bool summary_is(struct fixture *f, const char *want, bool want_fixed)
{
    json_t *summary = NULL;
    bool fixed = !want_fixed;
    EXPECT_INT(cx_state_summary(f->db, &summary, &fixed, NULL), CX_OK);
    const bool same = fixed == want_fixed && strcmp(json_string_value(summary), want) == 0;
    json_decref(summary);
    return same;
}

TEST(resource_comes_back_exactly)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    static const char text[] =
        "{\"id\":\"db:main\",\"kind\":\"database\",\"name\":\"Main "
        "\\u00fc\",\"uri\":\"sqlite:///x\","
        "\"metadata\":{\"z\":1,\"a\":[true,null,0.1,1e21,-9007199254740991],\"n\":{\"k\":\"v\"}}}";
    bool created = false;
    EXPECT_INT(put_text(&f, text, &created), CX_OK);
    EXPECT(created);
    json_t *want = NULL;
    json_t *got = NULL;
    REQUIRE(cx_json_parse(cx_str_of(text), &want, NULL) == CX_OK);
    REQUIRE(cx_state_resource(f.db, CX_STR("db:main"), &got, NULL) == CX_OK);
    EXPECT(json_equal(got, want));
    EXPECT_INT(json_object_size(got), 5);
    json_decref(got);
    json_decref(want);
    EXPECT_INT(cx_state_resource(f.db, CX_STR("db:other"), &got, NULL), CX_NOT_FOUND);
    fixture_close(&f);
}

TEST(resources_are_listed_by_id_and_deleted)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT_INT(fixture_put(&f, "b", "{}"), CX_OK);
    EXPECT_INT(fixture_put(&f, "a", "{}"), CX_OK);
    EXPECT_INT(fixture_put(&f, "c", "{}"), CX_OK);
    EXPECT_INT(cx_state_delete_resource(f.db, CX_STR("b"), NULL), CX_OK);
    EXPECT_INT(cx_state_delete_resource(f.db, CX_STR("b"), NULL), CX_NOT_FOUND);
    json_t *list = NULL;
    REQUIRE(cx_state_resources(f.db, &list, NULL) == CX_OK);
    EXPECT_INT(json_array_size(list), 2);
    EXPECT_STR(json_string_value(json_object_get(json_array_get(list, 0), "id")), "a");
    EXPECT_STR(json_string_value(json_object_get(json_array_get(list, 1), "id")), "c");
    json_decref(list);
    fixture_close(&f);
}

TEST(resource_of_the_wrong_shape_is_refused)
{
    static const char *const texts[] = {
        "[]",
        "{}",
        "{\"id\":\"a\",\"kind\":\"k\",\"name\":\"n\",\"uri\":\"u\"}",
        "{\"id\":\"a\",\"kind\":\"k\",\"name\":\"n\",\"uri\":\"u\",\"metadata\":{},\"more\":1}",
        "{\"id\":\"a\",\"kind\":\"k\",\"name\":\"n\",\"url\":\"u\",\"metadata\":{}}",
        "{\"id\":\"\",\"kind\":\"k\",\"name\":\"n\",\"uri\":\"u\",\"metadata\":{}}",
        "{\"id\":1,\"kind\":\"k\",\"name\":\"n\",\"uri\":\"u\",\"metadata\":{}}",
        "{\"id\":\"a\",\"kind\":\"k\",\"name\":\"n\",\"uri\":\"u\",\"metadata\":[]}",
        ("{\"id\":\"a\",\"kind\":\"k\",\"name\":\"n\",\"uri\":\"u\","
         "\"metadata\":{\"n\":9007199254740992}}"),
        ("{\"id\":\"a\",\"kind\":\"k\",\"name\":\"n\",\"uri\":\"u\","
         "\"metadata\":{\"n\":[{\"m\":-9007199254740992}]}}"),
    };
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const uint64_t version = fixture_version(&f);
    for (size_t i = 0; i < CX_ARRAY_LEN(texts); i++) {
        bool created = false;
        EXPECT_INT(put_text(&f, texts[i], &created), CX_INVALID);
    }
    EXPECT_INT(fixture_version(&f), version);
    fixture_close(&f);
}

TEST(metadata_is_bounded_in_depth_and_size)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    for (int depth = 59; depth <= 62; depth++) {
        struct cx_buf text;
        cx_buf_init(&text, 4096);
        cx_buf_puts(&text, "{\"n\":");
        for (int i = 1; i < depth; i++) {
            cx_buf_puts(&text, "[");
        }
        for (int i = 1; i < depth; i++) {
            cx_buf_puts(&text, "]");
        }
        cx_buf_puts(&text, "}");
        EXPECT_INT(fixture_put(&f, "deep", text.data), depth <= 60 ? CX_OK : CX_INVALID);
        cx_buf_free(&text);
    }
    /* The deepest that is taken can be signed, kept and restored. */
    struct cx_pack *pack = NULL;
    REQUIRE(cx_pack_build(f.db, &f.options, CX_STR("s"), &pack, NULL) == CX_OK);
    cx_pack_free(&pack);
    REQUIRE(cx_pack_restore(f.db, &f.options, &pack, NULL) == CX_OK);
    EXPECT(pack != NULL);
    cx_pack_free(&pack);

    struct cx_buf text;
    cx_buf_init(&text, 1 << 20);
    cx_buf_puts(&text, "{\"n\":\"");
    for (int i = 0; i < CX_RESOURCE_MAX_BYTES; i++) {
        cx_buf_putc(&text, 'x');
    }
    cx_buf_puts(&text, "\"}");
    EXPECT_INT(fixture_put(&f, "large", text.data), CX_TOO_LARGE);
    cx_buf_free(&text);
    fixture_close(&f);
}

static int64_t counted(struct fixture *f, const char *sql)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    EXPECT_INT(cx_db_prepare(f->db, sql, &stmt, NULL), CX_OK);
    EXPECT_INT(cx_stmt_step(stmt, &row, NULL), CX_OK);
    EXPECT(row);
    const int64_t value = cx_stmt_int(stmt, 0);
    cx_stmt_reset(stmt);
    return value;
}

TEST(what_the_state_holds_is_counted_as_it_changes)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    static const char resources[] = "SELECT resource_count FROM state_meta";
    static const char resource_bytes[] = "SELECT resource_bytes FROM state_meta";
    static const char fact_bytes[] = "SELECT fact_count * 1000 + fact_bytes FROM state_meta";
    EXPECT_INT(fixture_put(&f, "a", "{}"), CX_OK);
    EXPECT_INT(counted(&f, resources), 1);
    EXPECT_INT(counted(&f, resource_bytes), 1 + 4 + 1 + 7 + 2);
    EXPECT_INT(fixture_put(&f, "a", "{\"k\":\"\u00fc\"}"), CX_OK);
    EXPECT_INT(counted(&f, resources), 1);
    EXPECT_INT(counted(&f, resource_bytes), 1 + 4 + 1 + 7 + 10);
    EXPECT_INT(fixture_put(&f, "b", "{}"), CX_OK);
    EXPECT_INT(cx_state_delete_resource(f.db, CX_STR("a"), NULL), CX_OK);
    EXPECT_INT(counted(&f, resources), 1);
    EXPECT_INT(counted(&f, resource_bytes), 1 + 4 + 1 + 7 + 2);

    EXPECT_INT(fixture_fact(&f, "soon gone", 0, FIXTURE_NOW_US + 1), CX_OK);
    EXPECT_INT(fixture_fact(&f, "four", 0, 0), CX_OK);
    EXPECT_INT(fixture_fact(&f, "four", 5, 0), CX_OK);
    EXPECT_INT(counted(&f, fact_bytes), 2000 + 9 + 4);
    json_t *fact = NULL;
    bool created = false;
    const struct cx_fact later = { .text = CX_STR("later") };
    EXPECT_INT(cx_state_add_fact(f.db, &later, FIXTURE_NOW_US + 2, &fact, &created, NULL), CX_OK);
    json_decref(fact);
    EXPECT_INT(counted(&f, fact_bytes), 2000 + 4 + 5);
    fixture_close(&f);
}

TEST(state_holds_so_much_and_no_more)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT_INT(fixture_put(&f, "there", "{}"), CX_OK);
    EXPECT_INT(fixture_fact(&f, "there", 0, 0), CX_OK);
    REQUIRE(cx_db_exec(f.db, "UPDATE state_meta SET resource_count=10000, fact_count=10000",
                       NULL) == CX_OK);
    const uint64_t version = fixture_version(&f);
    json_t *fact = NULL;
    bool created = false;
    struct cx_err err = { "" };
    const struct cx_fact more = { .text = CX_STR("more") };
    EXPECT_INT(cx_state_add_fact(f.db, &more, FIXTURE_NOW_US, &fact, &created, &err), CX_CONFLICT);
    EXPECT_STR(err.text, "There are 10000 facts, as many as there may be: remove one first");
    EXPECT_INT(fixture_put(&f, "more", "{}"), CX_CONFLICT);
    EXPECT_INT(fixture_version(&f), (int64_t)version);
    /* What is there may change, and go. */
    EXPECT_INT(fixture_put(&f, "there", "{\"a\":1}"), CX_OK);
    EXPECT_INT(fixture_fact(&f, "there", 1, 0), CX_OK);
    EXPECT_INT(cx_state_delete_resource(f.db, CX_STR("there"), NULL), CX_OK);
    EXPECT_INT(fixture_put(&f, "more", "{}"), CX_OK);

    REQUIRE(cx_db_exec(f.db, "UPDATE state_meta SET resource_bytes=8388600, fact_count=1", NULL) ==
            CX_OK);
    EXPECT_INT(fixture_put(&f, "too much", "{}"), CX_CONFLICT);
    EXPECT_INT(fixture_put(&f, "more", "{\"grown\":true}"), CX_CONFLICT);
    EXPECT_INT(cx_state_delete_resource(f.db, CX_STR("more"), NULL), CX_OK);
    EXPECT_INT(fixture_put(&f, "small", "{}"), CX_OK);
    REQUIRE(cx_db_exec(f.db, "UPDATE state_meta SET fact_bytes=8388605", NULL) == CX_OK);
    EXPECT_INT(cx_state_add_fact(f.db, &more, FIXTURE_NOW_US, &fact, &created, &err), CX_CONFLICT);
    EXPECT_STR(err.text, "All facts together may have 8388608 bytes: remove some first");
    fixture_close(&f);
}

TEST(version_rises_with_every_change_and_with_nothing_else)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    uint64_t version = fixture_version(&f);
    EXPECT_INT(fixture_put(&f, "a", "{\"v\":1}"), CX_OK);
    EXPECT_INT(fixture_version(&f), ++version);
    EXPECT_INT(fixture_put(&f, "a", "{\"v\":1}"), CX_OK);
    EXPECT_INT(fixture_version(&f), version);
    EXPECT_INT(fixture_put(&f, "a", "{\"v\":2}"), CX_OK);
    EXPECT_INT(fixture_version(&f), ++version);
    EXPECT_INT(fixture_fact(&f, "one", 1, 0), CX_OK);
    EXPECT_INT(fixture_version(&f), ++version);
    EXPECT_INT(fixture_fact(&f, "one", 1, 0), CX_OK);
    EXPECT_INT(fixture_version(&f), version);
    EXPECT_INT(fixture_fact(&f, "one", 2, 0), CX_OK);
    EXPECT_INT(fixture_version(&f), ++version);
    EXPECT_INT(cx_state_set_summary(f.db, CX_STR("said"), NULL), CX_OK);
    EXPECT_INT(fixture_version(&f), ++version);
    EXPECT_INT(cx_state_set_summary(f.db, CX_STR("said"), NULL), CX_OK);
    EXPECT_INT(fixture_version(&f), version);
    EXPECT_INT(cx_state_delete_fact(f.db, CX_STR("none"), NULL), CX_NOT_FOUND);
    EXPECT_INT(cx_state_delete_resource(f.db, CX_STR("none"), NULL), CX_NOT_FOUND);
    struct cx_pack *pack = NULL;
    EXPECT_INT(cx_pack_build(f.db, &f.options, CX_STR(""), &pack, NULL), CX_OK);
    cx_pack_free(&pack);
    EXPECT_INT(fixture_version(&f), version);
    EXPECT_INT(cx_state_delete_resource(f.db, CX_STR("a"), NULL), CX_OK);
    EXPECT_INT(fixture_version(&f), ++version);
    fixture_reopen(&f);
    EXPECT_INT(fixture_version(&f), version);
    fixture_close(&f);
}

TEST(summary_counts_until_a_sentence_is_set)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT(summary_is(&f, "0 resources registered.", false));
    EXPECT_INT(fixture_put(&f, "a", "{}"), CX_OK);
    EXPECT(summary_is(&f, "1 resource registered.", false));
    EXPECT_INT(fixture_put(&f, "b", "{}"), CX_OK);
    EXPECT(summary_is(&f, "2 resources registered.", false));
    EXPECT_INT(cx_state_set_summary(f.db, CX_STR("Two of them."), NULL), CX_OK);
    EXPECT(summary_is(&f, "Two of them.", true));
    EXPECT_INT(cx_state_set_summary(f.db, CX_STR(""), NULL), CX_OK);
    EXPECT(summary_is(&f, "", true));
    EXPECT_INT(cx_state_set_summary(f.db, (struct cx_str){ NULL, 0 }, NULL), CX_OK);
    EXPECT(summary_is(&f, "2 resources registered.", false));
    EXPECT_INT(cx_state_set_summary(f.db, CX_STR("\xff"), NULL), CX_INVALID);
    char large[CX_SUMMARY_MAX_BYTES + 1];
    memset(large, 'x', sizeof large);
    EXPECT_INT(cx_state_set_summary(f.db, (struct cx_str){ large, sizeof large }, NULL),
               CX_INVALID);
    EXPECT_INT(cx_state_set_summary(f.db, (struct cx_str){ large, sizeof large - 1 }, NULL), CX_OK);
    fixture_close(&f);
}

TEST(fact_has_its_shape_and_its_text_only_once)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const struct cx_fact fact = { .text = CX_STR("water boils"), .priority = 5 };
    json_t *first = NULL;
    bool created = false;
    REQUIRE(cx_state_add_fact(f.db, &fact, FIXTURE_NOW_US, &first, &created, NULL) == CX_OK);
    EXPECT(created);
    EXPECT_INT(json_object_size(first), 5);
    const char *id = json_string_value(json_object_get(first, "id"));
    EXPECT(id != NULL && strlen(id) == 16 && strspn(id, "0123456789abcdef") == 16);
    EXPECT_STR(json_string_value(json_object_get(first, "text")), "water boils");
    EXPECT_INT(json_integer_value(json_object_get(first, "priority")), 5);
    EXPECT(json_is_null(json_object_get(first, "expires_at")));
    EXPECT_STR(json_string_value(json_object_get(first, "created_at")),
               "2026-02-08T10:00:00.123456Z");

    const struct cx_fact again = { .text = CX_STR("water boils"),
                                   .priority = 7,
                                   .expires_us = FIXTURE_NOW_US + 60000000 };
    json_t *second = NULL;
    REQUIRE(cx_state_add_fact(f.db, &again, FIXTURE_NOW_US + 1, &second, &created, NULL) == CX_OK);
    EXPECT(!created);
    EXPECT_STR(json_string_value(json_object_get(second, "id")), id);
    EXPECT_INT(json_integer_value(json_object_get(second, "priority")), 7);
    EXPECT_STR(json_string_value(json_object_get(second, "expires_at")),
               "2026-02-08T10:01:00.123456Z");
    EXPECT_STR(json_string_value(json_object_get(second, "created_at")),
               "2026-02-08T10:00:00.123456Z");

    json_t *list = NULL;
    REQUIRE(cx_state_facts(f.db, FIXTURE_NOW_US, &list, NULL) == CX_OK);
    EXPECT_INT(json_array_size(list), 1);
    EXPECT(json_equal(json_array_get(list, 0), second));
    json_decref(list);
    EXPECT_INT(cx_state_delete_fact(f.db, cx_str_of(id), NULL), CX_OK);
    EXPECT_INT(cx_state_delete_fact(f.db, cx_str_of(id), NULL), CX_NOT_FOUND);
    json_decref(first);
    json_decref(second);
    fixture_close(&f);
}

TEST(facts_are_ordered_by_priority_and_then_by_age)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT_INT(fixture_fact(&f, "low", -1, 0), CX_OK);
    EXPECT_INT(fixture_fact(&f, "first", 0, 0), CX_OK);
    EXPECT_INT(fixture_fact(&f, "high", 9, 0), CX_OK);
    EXPECT_INT(fixture_fact(&f, "second", 0, 0), CX_OK);
    static const char *const want[] = { "high", "first", "second", "low" };
    json_t *list = NULL;
    REQUIRE(cx_state_facts(f.db, FIXTURE_NOW_US, &list, NULL) == CX_OK);
    REQUIRE(json_array_size(list) == CX_ARRAY_LEN(want));
    for (size_t i = 0; i < CX_ARRAY_LEN(want); i++) {
        EXPECT_STR(json_string_value(json_object_get(json_array_get(list, i), "text")), want[i]);
    }
    json_decref(list);
    fixture_close(&f);
}

TEST(fact_that_has_expired_is_gone_and_its_text_free)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    EXPECT_INT(fixture_fact(&f, "short", 0, FIXTURE_NOW_US + 1000), CX_OK);
    json_t *list = NULL;
    REQUIRE(cx_state_facts(f.db, FIXTURE_NOW_US + 999, &list, NULL) == CX_OK);
    EXPECT_INT(json_array_size(list), 1);
    json_decref(list);
    REQUIRE(cx_state_facts(f.db, FIXTURE_NOW_US + 1000, &list, NULL) == CX_OK);
    EXPECT_INT(json_array_size(list), 0);
    json_decref(list);
    const struct cx_fact again = { .text = CX_STR("short") };
    json_t *fact = NULL;
    bool created = false;
    REQUIRE(cx_state_add_fact(f.db, &again, FIXTURE_NOW_US + 1000, &fact, &created, NULL) == CX_OK);
    EXPECT(created);
    json_decref(fact);
    fixture_close(&f);
}

TEST(fact_that_cannot_be_is_refused)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    char large[CX_FACT_MAX_BYTES + 2];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    EXPECT_INT(fixture_fact(&f, large, 0, 0), CX_INVALID);
    EXPECT_INT(fixture_fact(&f, large + 1, 0, 0), CX_OK);
    EXPECT_INT(fixture_fact(&f, "", 0, 0), CX_INVALID);
    EXPECT_INT(fixture_fact(&f, "\xc3", 0, 0), CX_INVALID);
    EXPECT_INT(fixture_fact(&f, "past", 0, FIXTURE_NOW_US), CX_INVALID);
    fixture_close(&f);
}
