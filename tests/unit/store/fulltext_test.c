/* SPDX-License-Identifier: MIT
 *
 * The door to FTS5: terms of a text, and the rows of a word with how often it stands in them.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static const char ROWS_SQL[] = "SELECT cx_rows(t, ?2) FROM t WHERE t MATCH ?1 LIMIT 1";

static void on_term(void *ctx, struct cx_str term)
{
    struct cx_buf *out = ctx;
    cx_buf_put_str(out, term);
    cx_buf_putc(out, '|');
}

static void on_row(void *ctx, int64_t rowid, uint32_t times)
{
    cx_buf_printf(ctx, "%lld:%u|", (long long)rowid, times);
}

static void expect_terms(struct cx_db *db, struct cx_str text, const char *want)
{
    struct cx_buf out;
    cx_buf_init(&out, 4096);
    EXPECT_INT(cx_db_terms(db, text, on_term, &out, NULL), CX_OK);
    EXPECT_STR(out.data != NULL ? out.data : "", want);
    cx_buf_free(&out);
}

static void expect_rows(struct cx_db *db, const char *word, const char *want)
{
    struct cx_buf out;
    cx_buf_init(&out, 4096);
    EXPECT_INT(cx_db_word_rows(db, ROWS_SQL, cx_str_of(word), on_row, &out, NULL), CX_OK);
    EXPECT_STR(out.data != NULL ? out.data : "", want);
    cx_buf_free(&out);
}

TEST(terms_are_those_of_fts5)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_reader(store);
    expect_terms(db, CX_STR(""), "");
    expect_terms(db, (struct cx_str){ NULL, 0 }, "");
    expect_terms(db, CX_STR("Running, runs; the caf\xc3\xa9s!"), "run|run|the|cafe|");
    expect_terms(db, CX_STR("a-b_c 3.14"), "a|b|c|3|14|");
    cx_store_return(store, db);
    cx_store_close(&store);
}

TEST(rows_of_a_word)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    REQUIRE(cx_db_exec(db,
                       "CREATE VIRTUAL TABLE t USING fts5 (a, b, tokenize='porter unicode61');"
                       "INSERT INTO t (rowid, a, b) VALUES (1, 'one two two', 'two'),"
                       " (5, 'two', ''), (7, 'none', 'here'), (9, 'TWO twos', 'x');"
                       "DELETE FROM t WHERE rowid = 5;",
                       NULL) == CX_OK);
    expect_rows(db, "two", "1:3|9:2|");
    expect_rows(db, "Twos", "1:3|9:2|");
    expect_rows(db, "never", "");
    struct cx_db *reader = cx_store_reader(store);
    expect_rows(reader, "here", "7:1|");
    /* Only the door has the pointer that the function wants. */
    EXPECT(cx_db_exec(reader, "SELECT cx_rows(t, 5) FROM t WHERE t MATCH 'two'", NULL) != CX_OK);
    EXPECT(cx_db_exec(reader, "SELECT cx_rows(t) FROM t WHERE t MATCH 'two'", NULL) != CX_OK);
    expect_rows(reader, "one", "1:1|");
    cx_store_return(store, reader);
    cx_store_close(&store);
}
