/* SPDX-License-Identifier: MIT
 *
 * The tokenizer: beside the reference's ids (tests/golden/tiny_tokens.json, made by
 * make_tiny_vectors.py), what is refused, and that nothing takes long.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed/model_file.h"
#include "embed/tokenizer.h"
#include "golden.h"

static json_t *tokenizer_json(void)
{
    json_t *json = NULL;
    CX_CHECK(embed__file_read_json(CORTEX_TINY_MODELS "/0", "tokenizer.json", &json, NULL) ==
             CX_OK);
    return json;
}

/* json is taken over. */
static enum cx_status make(json_t *json, struct embed__tokenizer **out, struct cx_err *err)
{
    char *text = json_dumps(json, 0);
    json_decref(json);
    const enum cx_status status = embed__tokenizer_parse(cx_str_of(text), "t.json", out, err);
    free(text);
    return status;
}

static struct embed__tokenizer *tiny(bool cased)
{
    json_t *json = tokenizer_json();
    struct embed__tokenizer *tokenizer = NULL;
    json_object_set_new(json_object_get(json, "normalizer"), "lowercase", json_boolean(!cased));
    CX_CHECK(make(json, &tokenizer, NULL) == CX_OK);
    return tokenizer;
}

static bool same_ids(const struct embed__tokens *tokens, const json_t *want)
{
    bool same = tokens->count == json_array_size(want);
    for (size_t i = 0; same && i < tokens->count; i++) {
        same = tokens->ids[i] == json_integer_value(json_array_get(want, i));
    }
    return same;
}

TEST(tokenizer_gives_the_references_ids)
{
    json_t *golden = golden_json("tiny_tokens.json");
    const json_t *rows = json_object_get(golden, "texts");
    struct embed__tokenizer *tokenizers[2] = { tiny(false), tiny(true) };
    struct embed__tokens tokens = { 0 };
    EXPECT(json_array_size(rows) > 300);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *text = json_object_get(row, "text");
        struct embed__tokenizer *t = tokenizers[json_is_true(json_object_get(row, "cased"))];
        bool truncated = true;
        tokens.count = 0;
        t->tokens_max = 100000;
        REQUIRE(embed__tokenizer_encode(
                    t, (struct cx_str){ json_string_value(text), json_string_length(text) },
                    &tokens, &truncated) == CX_OK);
        if (!same_ids(&tokens, json_object_get(row, "ids")) || truncated) {
            (void)fprintf(stderr, "text %zu: %s\n", i, json_string_value(text));
            EXPECT(same_ids(&tokens, json_object_get(row, "ids")));
        }
    }
    embed__tokens_free(&tokens);
    embed__tokenizer_free(&tokenizers[0]);
    embed__tokenizer_free(&tokenizers[1]);
    json_decref(golden);
}

/* Tokens that take spaces in, stand alone, or are looked for in the normalized text. */
TEST(tokenizer_finds_added_tokens_as_the_reference_does)
{
    json_t *golden = golden_json("tiny_tokens.json");
    const json_t *added = json_object_get(golden, "added");
    const json_t *rows = json_object_get(added, "texts");
    json_t *json = tokenizer_json();
    json_object_set(json, "added_tokens", json_object_get(added, "added_tokens"));
    struct embed__tokenizer *t = NULL;
    REQUIRE(make(json, &t, NULL) == CX_OK);
    t->tokens_max = 100000;
    struct embed__tokens tokens = { 0 };
    EXPECT(json_array_size(rows) > 100);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *text = json_object_get(json_array_get(rows, i), "text");
        bool truncated = false;
        tokens.count = 0;
        REQUIRE(embed__tokenizer_encode(
                    t, (struct cx_str){ json_string_value(text), json_string_length(text) },
                    &tokens, &truncated) == CX_OK);
        if (!same_ids(&tokens, json_object_get(json_array_get(rows, i), "ids"))) {
            EXPECT_STR(json_string_value(text), "the reference's ids");
        }
    }
    embed__tokens_free(&tokens);
    embed__tokenizer_free(&t);
    json_decref(golden);
}

struct hash {
    uint64_t value;
};

static void hash_bytes(struct hash *h, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        h->value = (h->value ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001B3);
    }
}

static void on_code(void *ctx, uint32_t code)
{
    char bytes[CX_UTF8_BYTES_MAX];
    hash_bytes(ctx, bytes, cx_utf8_encode(code, bytes));
}

/* Between combining characters of three classes: what is sorted wrongly shows. */
TEST(normalizer_does_the_same_with_every_code_point)
{
    json_t *golden = golden_json("tiny_tokens.json");
    const json_t *rows = json_object_get(golden, "code_points");
    EXPECT_INT(json_array_size(rows), 4);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        struct hash h = { UINT64_C(0xCBF29CE484222325) };
        struct embed__normalizer n = {
            .options = { .clean = json_is_true(json_object_get(row, "clean")),
                         .space_ideographs = json_is_true(json_object_get(row, "ideographs")),
                         .strip_accents = json_is_true(json_object_get(row, "strip")),
                         .lowercase = json_is_true(json_object_get(row, "lower")) },
            .emit = on_code,
            .ctx = &h,
        };
        for (uint32_t code = 0; code < 0x110000; code++) {
            const uint32_t text[] = { 'a', 0x323, 0x302E, code, 0x302A, 0x302F, 'b' };
            for (size_t k = 0; k < CX_ARRAY_LEN(text) && (code < 0xD800 || code > 0xDFFF); k++) {
                embed__normalize(&n, text[k]);
            }
            if (code < 0xD800 || code > 0xDFFF) {
                embed__normalize_end(&n);
                hash_bytes(&h, "\n", 1);
            }
        }
        embed__normalizer_free(&n);
        char got[17];
        (void)snprintf(got, sizeof got, "%016llx", (unsigned long long)h.value);
        EXPECT_STR(got, json_string_value(json_object_get(row, "fnv")));
    }
    json_decref(golden);
}

static size_t count_of(const struct embed__tokenizer *t, struct cx_str text, bool *truncated)
{
    struct embed__tokens tokens = { 0 };
    CX_CHECK(embed__tokenizer_encode(t, text, &tokens, truncated) == CX_OK);
    const size_t count = tokens.count;
    embed__tokens_free(&tokens);
    return count;
}

TEST(tokenizer_says_when_a_text_was_cut)
{
    struct embed__tokenizer *t = tiny(false);
    bool truncated = false;
    EXPECT_INT(t->tokens_max, 8); /* its own word, which a model's other files overrule */
    EXPECT_INT(count_of(t, CX_STR("the cat sat on the mat"), &truncated), 8);
    EXPECT(!truncated);
    EXPECT_INT(count_of(t, CX_STR("the cat sat on the mat."), &truncated), 8);
    EXPECT(truncated);
    EXPECT_INT(count_of(t, CX_STR("the cat sat on the mat  \n "), &truncated), 8);
    EXPECT(!truncated);
    EXPECT_INT(count_of(t, CX_STR(""), &truncated), 2);
    EXPECT(!truncated);
    embed__tokenizer_free(&t);
}

TEST(tokenizer_appends)
{
    struct embed__tokenizer *t = tiny(false);
    struct embed__tokens tokens = { 0 };
    bool truncated = false;
    REQUIRE(embed__tokenizer_encode(t, CX_STR("cat"), &tokens, &truncated) == CX_OK);
    REQUIRE(embed__tokenizer_encode(t, CX_STR("the [UNK]"), &tokens, &truncated) == CX_OK);
    EXPECT_INT(tokens.count, 7);
    EXPECT_INT(tokens.ids[5], 1);
    EXPECT_INT(tokens.ids[6], 3);
    embed__tokens_free(&tokens);
    embed__tokenizer_free(&t);
}

/* Megabytes that would show a step that looks back or ahead over all of the text; the limit of the
 * suite's time is the claim. */
TEST(tokenizer_takes_long_texts_in_its_stride)
{
    static const char *const units[] = { "a",
                                         " ",
                                         "\xCC\x81",
                                         "\xE0\xBD\xB1\xE0\xBD\xB4",
                                         "[SEP",
                                         "[",
                                         "[SEP]",
                                         "\xE4\xB8\xAD",
                                         "\xE3\x80\xAE\xE3\x80\xAF",
                                         "a ",
                                         "\xED\x95\x9C\xCC\xA3" };
    json_t *json = tokenizer_json();
    json_object_set_new(json_object_get(json, "model"), "max_input_chars_per_word",
                        json_integer(INT64_MAX));
    json_array_append_new(json_object_get(json, "added_tokens"),
                          json_pack("{s:i, s:s, s:b, s:b, s:b}", "id", 500, "content", "[",
                                    "lstrip", 1, "rstrip", 1, "normalized", 1));
    struct embed__tokenizer *t = NULL;
    REQUIRE(make(json, &t, NULL) == CX_OK);
    t->tokens_max = SIZE_MAX;
    const size_t size = (size_t)2 << 20;
    char *text = malloc(size);
    REQUIRE(text != NULL);
    for (size_t i = 0; i < CX_ARRAY_LEN(units); i++) {
        const size_t len = strlen(units[i]);
        for (size_t at = 0; at + len <= size; at += len) {
            memcpy(text + at, units[i], len);
        }
        bool truncated = false;
        EXPECT(count_of(t, (struct cx_str){ text, size / len * len }, &truncated) >= 2);
        EXPECT(!truncated);
    }
    free(text);
    embed__tokenizer_free(&t);
}

/* ---- What is refused ---- */

static void expect_refused(json_t *json, const char *words)
{
    struct embed__tokenizer *t = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(make(json, &t, &err), CX_INVALID);
    EXPECT(strncmp(err.text, "t.json: ", 8) == 0);
    if (strstr(err.text, words) == NULL) {
        EXPECT_STR(err.text, words);
    }
}

static json_t *with(const char *member, const char *name, json_t *value)
{
    json_t *json = tokenizer_json();
    json_t *object = member != NULL ? json_object_get(json, member) : json;
    json_object_set_new(object, name, value);
    return json;
}

TEST(tokenizers_of_other_kinds_are_refused_by_name)
{
    expect_refused(with("model", "type", json_string("BPE")), "is BPE");
    expect_refused(with("model", "type", json_string("Unigram")), "is Unigram");
    expect_refused(with("normalizer", "type", json_string("NFKC")), "normalizer is NFKC");
    expect_refused(with("pre_tokenizer", "type", json_string("Whitespace")), "is Whitespace");
    expect_refused(with(NULL, "pre_tokenizer", json_null()), "is (none)");
    expect_refused(with("post_processor", "type", json_string("ByteLevel")), "is ByteLevel");
    expect_refused(with("truncation", "direction", json_string("Left")), "left");
}

TEST(broken_tokenizers_are_refused)
{
    struct embed__tokenizer *t = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(embed__tokenizer_parse(CX_STR("{\"a\": "), "t.json", &t, &err), CX_INVALID);
    EXPECT_STR(err.text, "t.json: byte 6: a value is expected, but the text ends");
    EXPECT_INT(embed__tokenizer_parse(CX_STR("[]"), "t.json", &t, &err), CX_INVALID);
    EXPECT_INT(embed__tokenizer_parse(CX_STR("{}"), "t.json", &t, &err), CX_INVALID);
    expect_refused(with("model", "vocab", json_array()), "model.vocab");
    expect_refused(with("model", "vocab", json_pack("{s:s}", "a", "b")), "\"a\" has no number");
    expect_refused(with("model", "vocab", json_pack("{s:i}", "a", -1)), "\"a\" has no number");
    expect_refused(with("model", "unk_token", json_string("[NO]")), "unk_token");
    expect_refused(with("model", "max_input_chars_per_word", json_integer(-1)), "whole number");
    expect_refused(with(NULL, "added_tokens", json_pack("[{s:s}]", "content", "x")),
                   "added_tokens[0]");
    expect_refused(with("post_processor", "single", json_array()), "text A once");
    expect_refused(with("post_processor", "single",
                        json_pack("[{s:{s:s,s:i}}]", "Sequence", "id", "A", "type_id", 1)),
                   "token types");
    expect_refused(with("post_processor", "special_tokens", json_object()), "has no ids");
}

TEST(vocabularies_in_lines_make_the_same_tokenizer)
{
    json_t *json = tokenizer_json();
    const json_t *vocabulary = json_object_get(json_object_get(json, "model"), "vocab");
    struct cx_buf lines;
    cx_buf_init(&lines, 1 << 20);
    for (size_t id = 0; id < json_object_size(vocabulary); id++) {
        const char *word = NULL;
        json_t *value = NULL;
        json_object_foreach((json_t *)(uintptr_t)vocabulary, word, value)
        {
            if (json_integer_value(value) == (json_int_t)id) {
                cx_buf_printf(&lines, "%s\n", word);
            }
        }
    }
    struct embed__tokenizer *a = NULL;
    struct embed__tokenizer *b = NULL;
    struct cx_err err = { "" };
    const struct cx_str text = { lines.data, lines.len };
    REQUIRE(make(json, &a, NULL) == CX_OK);
    REQUIRE(embed__tokenizer_parse_vocab(text, "v.txt", (struct cx_str){ NULL, 0 }, "c.json", &b,
                                         &err) == CX_OK);
    a->tokens_max = b->tokens_max;
    struct embed__tokens one = { 0 };
    struct embed__tokens two = { 0 };
    bool cut = false;
    const struct cx_str sample =
        CX_STR("The unaffable Caf\xC3\xA9 [MASK] \xE4\xB8\xAD\xE5\x9B\xBD zz9");
    REQUIRE(embed__tokenizer_encode(a, sample, &one, &cut) == CX_OK);
    REQUIRE(embed__tokenizer_encode(b, sample, &two, &cut) == CX_OK);
    EXPECT_BYTES(one.ids, one.count * sizeof *one.ids, two.ids, two.count * sizeof *two.ids);
    embed__tokens_free(&one);
    embed__tokens_free(&two);
    embed__tokenizer_free(&a);
    embed__tokenizer_free(&b);
    EXPECT_INT(embed__tokenizer_parse_vocab(CX_STR("[UNK]\n[CLS]\n"), "v.txt",
                                            (struct cx_str){ NULL, 0 }, "c.json", &b, &err),
               CX_INVALID);
    EXPECT_STR(err.text, "v.txt: sep_token (\"[SEP]\") is not in the vocabulary");
    EXPECT_INT(embed__tokenizer_parse_vocab(text, "v.txt",
                                            CX_STR("{\"tokenizer_class\": \"LlamaTokenizer\"}"),
                                            "c.json", &b, &err),
               CX_INVALID);
    EXPECT(strstr(err.text, "LlamaTokenizer") != NULL);
    cx_buf_free(&lines);
}
