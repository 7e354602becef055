/* SPDX-License-Identifier: MIT
 *
 * Texts as keyword queries: what becomes of them, and that none is ever taken for syntax.
 */
#include <string.h>

#include "fixture.h"

static void expect_query(const char *text, const char *want)
{
    struct cx_buf out;
    cx_buf_init(&out, 1 << 20);
    cx_vector_match_query(cx_str_of(text), &out);
    EXPECT(!out.failed);
    EXPECT_STR(out.data != NULL ? out.data : "", want);
    cx_buf_free(&out);
}

TEST(match_query_table)
{
    expect_query("", "");
    expect_query("   ", "");
    expect_query("the and of", "");
    expect_query("Hello, World!", "\"Hello\" OR \"World\"");
    expect_query("a \"quoted\" thing", "\"quoted\" OR \"thing\"");
    expect_query("x AND y OR z NOT w NEAR(a b)",
                 "\"x\" OR \"y\" OR \"z\" OR \"w\" OR \"NEAR\" OR \"b\"");
    expect_query("content:secret* ^first {a b}:c -not", "\"content\" OR \"secret\" OR \"first\" OR "
                                                        "\"b\" OR \"c\"");
    expect_query("na\xC3\xAFve\xE2\x80\x94"
                 "caf\xC3\xA9",
                 "\"na\xC3\xAFve\" OR \"caf\xC3\xA9\"");
    expect_query("deep deep sea", "\"deep\" OR \"deep\" OR \"sea\"");
    expect_query("\xE6\x97\xA5\xE6\x9C\xAC\xE3\x80\x82", "\"\xE6\x97\xA5\xE6\x9C\xAC\"");
}

TEST(keyword_search_takes_any_text)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const float vector[DIMENSION] = { 1 };
    REQUIRE(put_one(&f, "d1", "near the sea, NOT far; content: fish \"and\" chips", "{}", vector));
    REQUIRE(put_one(&f, "d2", "mountains", "{}", vector));
    static const struct {
        const char *query;
        const char *want;
    } ROWS[] = {
        { "AND OR NOT * \" NEAR(", "d1" },
        { "\"", "" },
        { "*", "" },
        { "^", "" },
        { "sea*", "d1" },
        { "content : mountains", "d2 d1" },
        { "chips\" OR \"mountains", "d2 d1" },
        { "'; DROP TABLE documents; --", "" },
        { "NEAR(fish chips, 2)", "d1" },
        { "{content}: fish", "d1" },
        { "fish + chips", "d1" },
        { "\xFF\xFE\x80", "" },
        { "\xE2\x80\x94", "" },
        { "\xF0\x9F\x98\x80", "" },
        { "fishes", "d1" }, /* stemmed */
        { "FISH", "d1" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(ROWS); i++) {
        char text[1024];
        const struct cx_search search = { .query = cx_str_of(ROWS[i].query),
                                          .top_k = 5,
                                          .mode = CX_SEARCH_KEYWORD };
        EXPECT_STR(search_ids(&f, &search, text), ROWS[i].want);
    }
    fixture_close(&f);
}

TEST(keyword_search_takes_a_long_text)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    const float vector[DIMENSION] = { 1 };
    REQUIRE(put_one(&f, "d1", "needle", "{}", vector));
    struct cx_buf text;
    cx_buf_init(&text, 1 << 20);
    cx_buf_puts(&text, "needle");
    for (int i = 0; i < 3000; i++) {
        cx_buf_printf(&text, " w%d", i);
    }
    char ids[1024];
    const struct cx_search search = { .query = { text.data, text.len },
                                      .top_k = 5,
                                      .mode = CX_SEARCH_KEYWORD };
    EXPECT_STR(search_ids(&f, &search, ids), "d1");
    cx_buf_free(&text);
    fixture_close(&f);
}
