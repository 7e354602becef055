/* SPDX-License-Identifier: MIT
 *
 * Hits as bytes: the same as values, with the ids beside them, and what becomes of too many.
 */
#include <string.h>

#include "fixture.h"

static const float NORTH[DIMENSION] = { 1 };

static void fill(struct fixture *f)
{
    static const float east[DIMENSION] = { 0, 1 };
    EXPECT(put_one(f, "plain", "apple", "{}", NORTH));
    EXPECT(put_one(f, "q\"\\\n\x01é", "apple \"pie\"\t", "{\"a\":{\"b\":[1,2.5,null]}}", east));
}

TEST(hits_are_written_as_they_are)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    fill(&f);
    const struct cx_search search = {
        .mode = CX_SEARCH_HYBRID,
        .query = CX_STR("apple"),
        .vector = NORTH,
        .dimension = DIMENSION,
        .top_k = 10,
        .include = CX_INCLUDE_CONTENT | CX_INCLUDE_VECTOR | CX_INCLUDE_SCORES,
    };
    struct cx_db *reader = cx_store_reader(f.store);
    struct cx_err err = { "" };
    struct cx_buf out;
    cx_buf_init(&out, 4096);
    cx_buf_puts(&out, "before ");
    json_t *ids = json_array();
    REQUIRE(cx_vector_search_write(f.v, reader, &search, &out, ids, &err) == CX_OK);
    cx_store_return(f.store, reader);
    EXPECT(strncmp(out.data, "before [{\"doc_id\":", 18) == 0);
    EXPECT(strstr(out.data, ",\"vector\":[1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0],") != NULL);
    EXPECT(strstr(out.data, ",\"metadata\":{\"a\":{\"b\":[1,2.5,null]}},") != NULL);
    EXPECT(strstr(out.data, "\"content\":\"apple \\\"pie\\\"\\t\"") != NULL);
    json_t *hits = search_hits(&f, &search);
    struct cx_buf again;
    cx_buf_init(&again, 4096);
    cx_json_write(hits, &again);
    EXPECT_STR(out.data + 7, again.data);
    REQUIRE(json_array_size(hits) == 2 && json_array_size(ids) == 2);
    EXPECT_STR(json_string_value(json_array_get(ids, 0)), "plain");
    EXPECT_STR(json_string_value(json_array_get(ids, 1)), "q\"\\\n\x01é");
    json_decref(hits);
    json_decref(ids);
    cx_buf_free(&again);
    cx_buf_free(&out);
    fixture_close(&f);
}

TEST(hits_that_find_no_room_are_refused)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    fill(&f);
    const struct cx_search search = {
        .mode = CX_SEARCH_SEMANTIC, .vector = NORTH, .dimension = DIMENSION, .top_k = 10
    };
    struct cx_buf whole;
    cx_buf_init(&whole, 4096);
    for (size_t room = 4096; room > 0; room = room == 4096 ? whole.len : room - 1) {
        struct cx_db *reader = cx_store_reader(f.store);
        struct cx_err err = { "" };
        struct cx_buf out;
        cx_buf_init(&out, room);
        const enum cx_status status =
            cx_vector_search_write(f.v, reader, &search, &out, NULL, &err);
        cx_store_return(f.store, reader);
        if (room == 4096) {
            REQUIRE(status == CX_OK);
            cx_buf_append(&whole, out.data, out.len);
        } else if (room >= whole.len) {
            EXPECT_STR(out.data, whole.data);
        } else {
            EXPECT_INT(status, CX_TOO_LARGE);
        }
        cx_buf_free(&out);
    }
    cx_buf_free(&whole);
    fixture_close(&f);
}
