/* SPDX-License-Identifier: MIT
 *
 * Typed getters: what they give, what they leave alone, and the exact words of each fault.
 */
#include "test.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    struct cx_err err = { "" };
    const enum cx_status status = cx_json_parse(cx_str_of(text), &value, &err);
    (void)test_expect(status == CX_OK, __FILE__, __LINE__, "%s: %s", text, err.text);
    return value;
}

/* One object and its reader. */
struct desk {
    json_t *body;
    struct cx_faults faults;
    struct cx_reader reader;
};

static void open_desk(struct desk *d, const char *text)
{
    d->body = parse(text);
    cx_faults_init(&d->faults);
    cx_reader_init(&d->reader, d->body, &d->faults, "body");
}

static void close_desk(struct desk *d)
{
    cx_reader_free(&d->reader);
    cx_faults_free(&d->faults);
    EXPECT(d->faults.list == NULL && d->faults.count == 0);
    json_decref(d->body);
}

/* The faults as one JSON text, which shows all of them. */
static void expect_faults(const struct desk *d, const char *want, int line)
{
    struct cx_buf b;
    cx_buf_init(&b, 1 << 16);
    cx_buf_puts(&b, "");
    if (d->faults.list != NULL) {
        cx_json_write(d->faults.list, &b);
    }
    (void)test_expect_str(b.data, want, __FILE__, line);
    cx_buf_free(&b);
}
#define EXPECT_FAULTS(desk, want) expect_faults((desk), (want), __LINE__)

/* Only the messages, joined by '|'. */
static void expect_messages(const struct desk *d, const char *want, int line)
{
    struct cx_buf b;
    cx_buf_init(&b, 1 << 16);
    cx_buf_puts(&b, "");
    for (size_t i = 0; i < json_array_size(d->faults.list); i++) {
        const json_t *fault = json_array_get(d->faults.list, i);
        cx_buf_puts(&b, i > 0 ? "|" : "");
        cx_buf_puts(&b, json_string_value(json_object_get(fault, "msg")));
    }
    (void)test_expect_str(b.data, want, __FILE__, line);
    (void)test_expect_int((long long)d->faults.count, (long long)json_array_size(d->faults.list),
                          "count", __FILE__, line);
    cx_buf_free(&b);
}
#define EXPECT_MESSAGES(desk, want) expect_messages((desk), (want), __LINE__)

static const char *const modes[] = { "hybrid", "keyword", "semantic", NULL };

TEST(reader_gives_what_is_there)
{
    struct desk d;
    open_desk(&d,
              "{\"s\":\"tëxt\",\"i\":7,\"whole\":5.0,\"r\":0.25,\"ri\":3,\"t\":true,\"f\":false,"
              "\"o\":{\"x\":1},\"a\":[1,2],\"w\":\"keyword\"}");
    struct cx_str s = { NULL, 0 };
    EXPECT(cx_read_string(&d.reader, "s", CX_REQUIRED, 4, 4, &s));
    EXPECT_BYTES(s.p, s.len, "tëxt", 5);
    int64_t i = 0;
    EXPECT(cx_read_int(&d.reader, "i", CX_REQUIRED, 7, 7, &i));
    EXPECT_INT(i, 7);
    EXPECT(cx_read_int(&d.reader, "whole", CX_REQUIRED, 1, 100, &i));
    EXPECT_INT(i, 5);
    double r = 0;
    EXPECT(cx_read_real(&d.reader, "r", CX_REQUIRED, 0, 0.25, &r));
    EXPECT(r == 0.25);
    EXPECT(cx_read_real(&d.reader, "ri", CX_REQUIRED, -INFINITY, INFINITY, &r));
    EXPECT(r == 3.0);
    bool b = false;
    EXPECT(cx_read_bool(&d.reader, "t", CX_REQUIRED, &b));
    EXPECT(b);
    EXPECT(cx_read_bool(&d.reader, "f", CX_REQUIRED, &b));
    EXPECT(!b);
    const json_t *value = NULL;
    EXPECT(cx_read_object(&d.reader, "o", CX_REQUIRED, &value));
    EXPECT_INT(json_object_size(value), 1);
    EXPECT(cx_read_array(&d.reader, "a", CX_REQUIRED, 2, 2, &value));
    EXPECT_INT(json_array_size(value), 2);
    size_t word = 9;
    EXPECT(cx_read_word(&d.reader, "w", CX_REQUIRED, modes, &word));
    EXPECT_INT(word, 1);
    EXPECT_INT(d.faults.count, 0);
    EXPECT(d.faults.list == NULL);
    close_desk(&d);
}

/* Reads one of each under the same need, into values that must not change. */
static void read_all(struct desk *d, enum cx_need need)
{
    struct cx_str s = CX_STR("before");
    int64_t i = 41;
    double r = 4.5;
    bool b = true;
    const json_t *value = d->body;
    size_t word = 43;
    EXPECT(!cx_read_string(&d->reader, "s", need, 1, 10, &s));
    EXPECT(!cx_read_int(&d->reader, "i", need, 1, 100, &i));
    EXPECT(!cx_read_real(&d->reader, "r", need, 0, 1, &r));
    EXPECT(!cx_read_bool(&d->reader, "b", need, &b));
    EXPECT(!cx_read_object(&d->reader, "o", need, &value));
    EXPECT(!cx_read_array(&d->reader, "a", need, 1, 5, &value));
    EXPECT(!cx_read_word(&d->reader, "w", need, modes, &word));
    EXPECT(cx_str_eq(s, CX_STR("before")) && i == 41 && r == 4.5 && b && value == d->body &&
           word == 43);
}

TEST(reader_of_what_is_missing_or_null)
{
    static const char *const texts[] = { "{}",
                                         "{\"s\":null,\"i\":null,\"r\":null,\"b\":null,\"o\":null,"
                                         "\"a\":null,\"w\":null}" };
    for (size_t i = 0; i < CX_ARRAY_LEN(texts); i++) {
        struct desk d;
        open_desk(&d, texts[i]);
        read_all(&d, CX_OPTIONAL);
        EXPECT_INT(d.faults.count, 0);
        read_all(&d, CX_REQUIRED);
        EXPECT_MESSAGES(&d,
                        "is required|is required|is required|is required|is required|is required|"
                        "is required");
        close_desk(&d);
    }
}

TEST(reader_of_other_types)
{
    struct desk d;
    open_desk(&d, "{\"s\":1,\"i\":\"1\",\"r\":true,\"b\":0,\"o\":[],\"a\":{},\"w\":7}");
    read_all(&d, CX_OPTIONAL);
    EXPECT_FAULTS(&d,
                  "[{\"loc\":[\"body\",\"s\"],\"msg\":\"must be a string\",\"type\":\"type\"},"
                  "{\"loc\":[\"body\",\"i\"],\"msg\":\"must be an integer\",\"type\":\"type\"},"
                  "{\"loc\":[\"body\",\"r\"],\"msg\":\"must be a number\",\"type\":\"type\"},"
                  "{\"loc\":[\"body\",\"b\"],\"msg\":\"must be true or false\",\"type\":\"type\"},"
                  "{\"loc\":[\"body\",\"o\"],\"msg\":\"must be an object\",\"type\":\"type\"},"
                  "{\"loc\":[\"body\",\"a\"],\"msg\":\"must be an array\",\"type\":\"type\"},"
                  "{\"loc\":[\"body\",\"w\"],\"msg\":\"must be a string\",\"type\":\"type\"}]");
    close_desk(&d);
}

TEST(reader_of_what_is_out_of_range)
{
    struct desk d;
    open_desk(&d, "{\"s\":\"12345678901\",\"i\":101,\"r\":1.5,\"b\":1,\"o\":1,\"a\":[],"
                  "\"w\":\"fuzzy\"}");
    read_all(&d, CX_REQUIRED);
    EXPECT_MESSAGES(&d,
                    "must be 1 to 10 characters long|must be between 1 and 100|must be between 0 "
                    "and 1|must be true or false|must be an object|must have 1 to 5 items|must be "
                    "one of hybrid, keyword, semantic");
    EXPECT_STR(json_string_value(json_object_get(json_array_get(d.faults.list, 0), "type")),
               "length");
    EXPECT_STR(json_string_value(json_object_get(json_array_get(d.faults.list, 1), "type")),
               "range");
    EXPECT_STR(json_string_value(json_object_get(json_array_get(d.faults.list, 2), "type")),
               "range");
    EXPECT_STR(json_string_value(json_object_get(json_array_get(d.faults.list, 5), "type")),
               "length");
    EXPECT_STR(json_string_value(json_object_get(json_array_get(d.faults.list, 6), "type")),
               "value");
    close_desk(&d);
}

TEST(reader_counts_code_points)
{
    struct desk d;
    open_desk(&d, "{\"four\":\"é€😀x\",\"one\":\"😀\",\"none\":\"\"}");
    struct cx_str s;
    EXPECT(cx_read_string(&d.reader, "four", CX_REQUIRED, 4, 4, &s));
    EXPECT(cx_read_string(&d.reader, "one", CX_REQUIRED, 1, 1, &s));
    EXPECT(cx_read_string(&d.reader, "none", CX_REQUIRED, 0, 1, &s));
    EXPECT(s.p != NULL && s.len == 0);
    EXPECT_INT(d.faults.count, 0);
    EXPECT(!cx_read_string(&d.reader, "four", CX_REQUIRED, 5, SIZE_MAX, &s));
    EXPECT(!cx_read_string(&d.reader, "four", CX_REQUIRED, 0, 3, &s));
    EXPECT(!cx_read_string(&d.reader, "one", CX_REQUIRED, 2, 2, &s));
    EXPECT(!cx_read_string(&d.reader, "none", CX_REQUIRED, 1, SIZE_MAX, &s));
    EXPECT(!cx_read_string(&d.reader, "four", CX_REQUIRED, 0, 1, &s));
    EXPECT_MESSAGES(&d,
                    "must be at least 5 characters long|must be at most 3 characters long|must be "
                    "exactly 2 characters long|must be at least 1 character long|must be at most 1 "
                    "character long");
    close_desk(&d);
}

TEST(reader_of_integers_at_the_ends)
{
    struct desk d;
    open_desk(&d, "{\"half\":1.5,\"huge\":1e300,\"edge\":9223372036854775808.0,\"low\":"
                  "-9223372036854775808.0,\"max\":9223372036854775807,\"neg\":-1}");
    int64_t i = 0;
    EXPECT(cx_read_int(&d.reader, "low", CX_REQUIRED, INT64_MIN, INT64_MAX, &i));
    EXPECT(i == INT64_MIN);
    EXPECT(cx_read_int(&d.reader, "max", CX_REQUIRED, INT64_MIN, INT64_MAX, &i));
    EXPECT(i == INT64_MAX);
    EXPECT(!cx_read_int(&d.reader, "half", CX_REQUIRED, 1, 2, &i));
    EXPECT(!cx_read_int(&d.reader, "huge", CX_REQUIRED, 0, INT64_MAX, &i));
    EXPECT(!cx_read_int(&d.reader, "edge", CX_REQUIRED, INT64_MIN, 5, &i));
    EXPECT(!cx_read_int(&d.reader, "neg", CX_REQUIRED, 0, INT64_MAX, &i));
    EXPECT(i == INT64_MAX);
    EXPECT_MESSAGES(&d,
                    "must be an integer|must be at least 0|must be at most 5|must be at least 0");
    close_desk(&d);
}

TEST(reader_of_reals_at_the_ends)
{
    struct desk d;
    open_desk(&d, "{\"x\":2,\"y\":-1e308}");
    double r = 0;
    EXPECT(!cx_read_real(&d.reader, "x", CX_REQUIRED, 0, 0.05, &r));
    EXPECT(!cx_read_real(&d.reader, "x", CX_REQUIRED, 2.5, DBL_MAX, &r));
    EXPECT(!cx_read_real(&d.reader, "x", CX_REQUIRED, -INFINITY, 1e-7, &r));
    EXPECT(!cx_read_real(&d.reader, "y", CX_REQUIRED, 0, INFINITY, &r));
    EXPECT(r == 0);
    EXPECT_MESSAGES(
        &d, "must be between 0 and 0.05|must be at least 2.5|must be at most 1e-7|must be at "
            "least 0");
    close_desk(&d);
}

TEST(reader_of_what_is_no_object_notes_it_once)
{
    static const char *const texts[] = { "[]", "null", "\"x\"", "5" };
    for (size_t i = 0; i < CX_ARRAY_LEN(texts); i++) {
        struct desk d;
        open_desk(&d, texts[i]);
        read_all(&d, CX_REQUIRED);
        EXPECT_FAULTS(&d, "[{\"loc\":[\"body\"],\"msg\":\"must be an object\",\"type\":\"type\"}]");
        struct cx_err err = { "" };
        cx_faults_sentence(&d.faults, &err);
        EXPECT_STR(err.text, "body must be an object");
        close_desk(&d);
    }
    struct cx_faults faults;
    struct cx_reader reader;
    cx_faults_init(&faults);
    cx_reader_init(&reader, NULL, &faults, "body");
    EXPECT_INT(faults.count, 1);
    cx_reader_free(&reader);
    cx_faults_free(&faults);
}

TEST(reader_of_elements_knows_its_path)
{
    struct desk d;
    open_desk(&d,
              "{\"documents\":[{\"content\":\"a\"},7,{\"content\":\"\"},{\"meta\":[{\"k\":0}]}]}");
    const json_t *documents = NULL;
    REQUIRE(cx_read_array(&d.reader, "documents", CX_REQUIRED, 1, 10, &documents));
    for (size_t i = 0; i < json_array_size(documents); i++) {
        struct cx_reader each;
        cx_reader_init_element(&each, &d.reader, "documents", i, json_array_get(documents, i));
        struct cx_str content;
        (void)cx_read_string(&each, "content", CX_REQUIRED, 1, 10000, &content);
        if (i == 3) {
            struct cx_reader deeper;
            cx_reader_init_element(&deeper, &each, "meta", 0,
                                   json_array_get(json_object_get(each.object, "meta"), 0));
            cx_read_fault(&deeper, "k", "value", "must not be %d", 0);
            cx_read_fault(&deeper, NULL, "value", "is odd");
            cx_reader_free(&deeper);
        }
        cx_reader_free(&each);
    }
    EXPECT_FAULTS(
        &d,
        "[{\"loc\":[\"body\",\"documents\",1],\"msg\":\"must be an object\",\"type\":\"type\"},"
        "{\"loc\":[\"body\",\"documents\",2,\"content\"],\"msg\":\"must be 1 to 10000 characters "
        "long\",\"type\":\"length\"},{\"loc\":[\"body\",\"documents\",3,\"content\"],\"msg\":\"is "
        "required\",\"type\":\"missing\"},{\"loc\":[\"body\",\"documents\",3,\"meta\",0,\"k\"],"
        "\"msg\":\"must not be 0\",\"type\":\"value\"},{\"loc\":[\"body\",\"documents\",3,\"meta\","
        "0],\"msg\":\"is odd\",\"type\":\"value\"}]");
    struct cx_err err = { "" };
    cx_faults_sentence(&d.faults, &err);
    EXPECT_STR(err.text, "documents[1] must be an object (and 4 more)");
    close_desk(&d);
}

TEST(faults_sentence)
{
    struct cx_faults f;
    struct cx_err err = { "unchanged" };
    cx_faults_init(&f);
    cx_faults_sentence(&f, &err);
    EXPECT_STR(err.text, "unchanged");
    json_t *loc = json_pack("[s,s]", "body", "top_k");
    cx_faults_add(&f, loc, "range", "must be between %d and %d", 1, 100);
    cx_faults_sentence(&f, &err);
    EXPECT_STR(err.text, "top_k must be between 1 and 100");
    cx_faults_add(&f, loc, "range", "x");
    cx_faults_add(&f, loc, "range", "y");
    cx_faults_sentence(&f, &err);
    EXPECT_STR(err.text, "top_k must be between 1 and 100 (and 2 more)");
    cx_faults_sentence(&f, NULL);
    json_decref(loc);
    cx_faults_free(&f);

    loc = json_pack("[s,s,i,s,s]", "body", "documents", 3, "content", "x");
    cx_faults_add(&f, loc, "missing", "is required");
    cx_faults_sentence(&f, &err);
    EXPECT_STR(err.text, "documents[3].content.x is required");
    json_decref(loc);
    cx_faults_free(&f);
}

TEST(faults_keep_a_hundred_and_count_all)
{
    struct cx_faults f;
    cx_faults_init(&f);
    json_t *loc = json_pack("[s,s]", "body", "x");
    for (int i = 0; i < 250; i++) {
        cx_faults_add(&f, loc, "value", "is wrong in way %d", i);
    }
    EXPECT_INT(f.count, 250);
    EXPECT_INT(json_array_size(f.list), 100);
    struct cx_err err = { "" };
    cx_faults_sentence(&f, &err);
    EXPECT_STR(err.text, "x is wrong in way 0 (and 249 more)");
    json_decref(loc);
    cx_faults_free(&f);
}

/* Names that a client chose may be long, and no character is cut in two. */
TEST(faults_with_long_names_and_messages)
{
    char name[2001];
    char message[1501];
    for (size_t i = 0; i < 1000; i++) {
        memcpy(name + 2 * i, "é", 2);
    }
    name[2000] = '\0';
    for (size_t i = 0; i < 500; i++) {
        memcpy(message + 3 * i, "€", 3);
    }
    message[1500] = '\0';
    struct cx_faults f;
    cx_faults_init(&f);
    json_t *loc = json_pack("[s,s]", "body", name);
    cx_faults_add(&f, loc, "value", "%s", message);
    cx_faults_add(&f, loc, "value", "second");
    const json_t *kept = json_object_get(json_array_get(f.list, 0), "msg");
    EXPECT(json_string_length(kept) > 300 && json_string_length(kept) < 500);
    struct cx_err err = { "" };
    cx_faults_sentence(&f, &err);
    const struct cx_str sentence = cx_str_of(err.text);
    EXPECT(sentence.len < sizeof err.text && sentence.len > 400);
    EXPECT(cx_utf8_valid(sentence));
    EXPECT(strstr(err.text, "…") != NULL);
    EXPECT(strcmp(err.text + sentence.len - strlen(" (and 1 more)"), " (and 1 more)") == 0);
    json_decref(loc);
    cx_faults_free(&f);
}
