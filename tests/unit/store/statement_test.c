/* SPDX-License-Identifier: MIT
 *
 * Statements and transactions on one connection.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

TEST(values_come_back_as_they_were_bound)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    struct cx_stmt *s = NULL;
    REQUIRE(cx_db_prepare(db, "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7", &s, NULL) == CX_OK);
    cx_stmt_bind_int(s, 1, INT64_MIN);
    cx_stmt_bind_real(s, 2, 0.1);
    cx_stmt_bind_text(s, 3, CX_STR("gr\xc3\xbc\xc3\x9f"));
    cx_stmt_bind_blob(s, 4, "\0\x01\xff", 3);
    cx_stmt_bind_null(s, 5);
    cx_stmt_bind_text(s, 6, (struct cx_str){ NULL, 0 });
    cx_stmt_bind_text(s, 7, CX_STR(""));
    bool row = false;
    REQUIRE(cx_stmt_step(s, &row, NULL) == CX_OK && row);
    EXPECT(cx_stmt_int(s, 0) == INT64_MIN);
    EXPECT(cx_stmt_real(s, 1) == 0.1);
    EXPECT(cx_str_eq(cx_stmt_text(s, 2), CX_STR("gr\xc3\xbc\xc3\x9f")));
    EXPECT_BYTES(cx_stmt_blob(s, 3).p, cx_stmt_blob(s, 3).len, "\0\x01\xff", 3);
    EXPECT(cx_stmt_is_null(s, 4) && cx_stmt_is_null(s, 5) && !cx_stmt_is_null(s, 6));
    EXPECT(cx_stmt_text(s, 4).p == NULL && cx_stmt_text(s, 6).len == 0);
    REQUIRE(cx_stmt_step(s, &row, NULL) == CX_OK);
    EXPECT(!row);
    cx_store_close(&store);
}

TEST(prepare_gives_the_same_statement_reset_and_unbound)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    static const char sql[] = "SELECT ?1 UNION ALL SELECT 2";
    struct cx_stmt *first = NULL;
    struct cx_stmt *again = NULL;
    bool row = false;
    REQUIRE(cx_db_prepare(db, sql, &first, NULL) == CX_OK);
    cx_stmt_bind_int(first, 1, 41);
    REQUIRE(cx_stmt_step(first, &row, NULL) == CX_OK && row);
    REQUIRE(cx_db_prepare(db, sql, &again, NULL) == CX_OK);
    EXPECT(first == again);
    REQUIRE(cx_stmt_step(again, &row, NULL) == CX_OK && row);
    EXPECT(cx_stmt_is_null(again, 0));
    cx_stmt_reset(again);

    /* The same address with another text is another statement. */
    char buffer[32] = "SELECT 1";
    REQUIRE(cx_db_prepare(db, buffer, &first, NULL) == CX_OK);
    snprintf(buffer, sizeof buffer, "SELECT 2");
    REQUIRE(cx_db_prepare(db, buffer, &again, NULL) == CX_OK);
    EXPECT(first != again);
    REQUIRE(cx_stmt_step(again, &row, NULL) == CX_OK && row);
    EXPECT_INT(cx_stmt_int(again, 0), 2);
    cx_store_close(&store);
}

TEST(many_texts_do_not_grow_the_cache_without_bound)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    char sql[64];
    for (int i = 0; i < 3000; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", i);
        struct cx_stmt *s = NULL;
        bool row = false;
        REQUIRE(cx_db_prepare(db, sql, &s, NULL) == CX_OK);
        REQUIRE(cx_stmt_step(s, &row, NULL) == CX_OK && row);
        REQUIRE(cx_stmt_int(s, 0) == i);
        cx_stmt_reset(s);
    }
    cx_store_close(&store);
}

TEST(faults_have_their_status_and_tell_no_sql)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    struct cx_stmt *s = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(cx_db_prepare(db, "SELECT secret FROM nowhere", &s, &err), CX_INTERNAL);
    EXPECT(strstr(err.text, "nowhere") == NULL && strstr(err.text, "secret") == NULL);

    EXPECT_INT(fixture_add(db, 1, "one"), CX_OK);
    EXPECT_INT(fixture_add(db, 2, "one"), CX_CONFLICT);
    EXPECT_INT(fixture_add(db, 1, "two"), CX_CONFLICT);

    /* A fault of binding shows in the step, and is gone after it. */
    REQUIRE(cx_db_prepare(db, "SELECT ?1", &s, NULL) == CX_OK);
    cx_stmt_bind_int(s, 2, 5);
    bool row = false;
    EXPECT_INT(cx_stmt_step(s, &row, NULL), CX_INTERNAL);
    cx_stmt_bind_int(s, 1, 5);
    EXPECT_INT(cx_stmt_step(s, &row, NULL), CX_OK);
    EXPECT(row);
    cx_stmt_reset(s);

    struct cx_db *reader = cx_store_reader(store);
    EXPECT(cx_db_exec(reader, "DELETE FROM items", NULL) != CX_OK);
    EXPECT(cx_db_exec(reader, "PRAGMA query_only=OFF; DELETE FROM items", NULL) != CX_OK);
    EXPECT_INT(fixture_count(reader), 1);
    cx_store_return(store, reader);
    EXPECT(!cx_store_failed(store));
    cx_store_close(&store);
}

TEST(transaction_is_all_or_nothing)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    REQUIRE(cx_db_begin(db, NULL) == CX_OK);
    EXPECT_INT(fixture_add(db, 1, "one"), CX_OK);
    EXPECT_INT(cx_db_last_rowid(db), 1);
    EXPECT_INT(cx_db_changes(db), 1);
    cx_db_rollback(db);
    cx_db_rollback(db);
    EXPECT_INT(fixture_count(db), 0);
    REQUIRE(cx_db_begin(db, NULL) == CX_OK);
    EXPECT_INT(fixture_add(db, 1, "one"), CX_OK);
    EXPECT_INT(fixture_add(db, 1, "one"), CX_CONFLICT);
    EXPECT_INT(fixture_add(db, 2, "two"), CX_OK);
    EXPECT_INT(cx_db_commit(db, NULL), CX_OK);
    EXPECT_INT(fixture_count(db), 2);
    cx_store_close(&store);
}

TEST(readers_see_what_is_committed_and_keep_their_view)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(2, &store, NULL) == CX_OK);
    struct cx_db *writer = cx_store_writer(store);
    struct cx_db *reader = cx_store_reader(store);
    struct cx_db *other = cx_store_reader(store);
    EXPECT(reader != other);
    REQUIRE(cx_db_begin(writer, NULL) == CX_OK);
    EXPECT_INT(fixture_add(writer, 1, "one"), CX_OK);
    EXPECT_INT(fixture_count(reader), 0);
    REQUIRE(cx_db_begin(other, NULL) == CX_OK);
    EXPECT_INT(fixture_count(other), 0);
    REQUIRE(cx_db_commit(writer, NULL) == CX_OK);
    EXPECT_INT(fixture_count(reader), 1);
    EXPECT_INT(fixture_count(other), 0);
    /* A reader in the way of emptying the WAL is told as such, and is no failure. */
    EXPECT_INT(cx_store_checkpoint(store, true, NULL), CX_OVERLOADED);
    EXPECT_INT(cx_store_checkpoint(store, false, NULL), CX_OK);
    EXPECT_INT(cx_db_commit(other, NULL), CX_OK);
    EXPECT_INT(fixture_count(other), 1);
    EXPECT_INT(cx_store_checkpoint(store, true, NULL), CX_OK);
    cx_store_return(store, reader);
    cx_store_return(store, other);
    EXPECT(!cx_store_failed(store));
    cx_store_close(&store);
}

TEST(return_ends_what_a_reader_left_open)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    struct cx_db *writer = cx_store_writer(store);
    EXPECT_INT(fixture_add(writer, 1, "one"), CX_OK);
    EXPECT_INT(fixture_add(writer, 2, "two"), CX_OK);
    struct cx_db *reader = cx_store_reader(store);
    struct cx_stmt *s = NULL;
    bool row = false;
    REQUIRE(cx_db_begin(reader, NULL) == CX_OK);
    REQUIRE(cx_db_prepare(reader, "SELECT id FROM items", &s, NULL) == CX_OK);
    REQUIRE(cx_stmt_step(s, &row, NULL) == CX_OK && row);
    cx_store_return(store, reader);
    EXPECT_INT(fixture_add(writer, 3, "three"), CX_OK);
    EXPECT_INT(cx_store_checkpoint(store, true, NULL), CX_OK);
    cx_store_close(&store);
}
