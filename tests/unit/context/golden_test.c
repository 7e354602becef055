/* SPDX-License-Identifier: MIT
 *
 * Counts and tokens are tiktoken's: tests/golden/tokens.json, which make_tokens.py beside it made.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cortex/context.h"
#include "test.h"

static void fnv_text(const uint32_t *ids, size_t count, char text[17])
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < count; i++) {
        for (unsigned shift = 0; shift < 32; shift += 8) {
            hash = (hash ^ (ids[i] >> shift & 0xFF)) * UINT64_C(0x100000001B3);
        }
    }
    snprintf(text, 17, "%016" PRIx64, hash);
}

static void expect_encoding(enum cx_encoding encoding, struct cx_str text, const json_t *want)
{
    const json_int_t want_count = json_integer_value(json_array_get(want, 0));
    const char *want_hash = json_string_value(json_array_get(want, 1));
    uint32_t *ids = cx_alloc((text.len + 1) * sizeof *ids);
    size_t count = 0;
    EXPECT(cx_bpe_encode(encoding, text, ids, text.len, &count) == CX_OK);
    char hash[17];
    fnv_text(ids, count, hash);
    if (!test_expect((json_int_t)count == want_count, __FILE__, __LINE__, "%zu tokens, not %lld",
                     count, (long long)want_count) ||
        !test_expect_str(hash, want_hash, __FILE__, __LINE__)) {
        fprintf(stderr, "  %s of \"%.*s\"\n", cx_encoding_name(encoding), (int)text.len, text.p);
    }
    size_t counted = 0;
    EXPECT(cx_bpe_count(encoding, text, &counted) == CX_OK);
    EXPECT_INT(counted, count);
    free(ids);
}

TEST(tokens_are_those_of_tiktoken)
{
    json_error_t fault;
    json_t *golden =
        json_load_file(CORTEX_SOURCE_DIR "/tests/golden/tokens.json", JSON_ALLOW_NUL, &fault);
    REQUIRE(golden != NULL);
    const json_t *texts = json_object_get(golden, "texts");
    EXPECT(json_array_size(texts) > 500);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *row = json_array_get(texts, i);
        const json_t *text = json_object_get(row, "text");
        const struct cx_str bytes = { json_string_value(text), json_string_length(text) };
        for (int encoding = 0; encoding < CX_ENCODING_COUNT; encoding++) {
            const char *name = cx_encoding_name((enum cx_encoding)encoding);
            expect_encoding((enum cx_encoding)encoding, bytes, json_object_get(row, name));
        }
    }
    json_decref(golden);
}
