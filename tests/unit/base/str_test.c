/* SPDX-License-Identifier: MIT
 *
 * Slices and UTF-8.
 */
#include "test.h"

#include "cortex/base.h"

#include <string.h>

TEST(str_of_and_equality)
{
    EXPECT_INT(cx_str_of(NULL).len, 0);
    EXPECT(cx_str_of(NULL).p == NULL);
    EXPECT(cx_str_eq(cx_str_of("abc"), CX_STR("abc")));
    EXPECT(cx_str_eq(cx_str_of(NULL), CX_STR("")));
    EXPECT(!cx_str_eq(CX_STR("abc"), CX_STR("abd")));
    EXPECT(!cx_str_eq(CX_STR("abc"), CX_STR("ab")));
    EXPECT(cx_str_eq_nocase(CX_STR("Content-LENGTH"), CX_STR("content-length")));
    EXPECT(!cx_str_eq_nocase(CX_STR("a["), CX_STR("a{")));
    EXPECT(!cx_str_eq_nocase(CX_STR("\xC3\x84"), CX_STR("\xC3\xA4")));
}

TEST(str_trim_takes_spaces_and_tabs)
{
    EXPECT(cx_str_eq(cx_str_trim(CX_STR(" \t a b\t ")), CX_STR("a b")));
    EXPECT_INT(cx_str_trim(CX_STR(" \t ")).len, 0);
    EXPECT_INT(cx_str_trim(cx_str_of(NULL)).len, 0);
    EXPECT(cx_str_eq(cx_str_trim(CX_STR("\na\r")), CX_STR("\na\r")));
}

TEST(parse_u64_is_strict)
{
    uint64_t value = 7;
    EXPECT(cx_parse_u64(CX_STR("0"), &value) && value == 0);
    EXPECT(cx_parse_u64(CX_STR("18446744073709551615"), &value) && value == UINT64_MAX);
    EXPECT(cx_parse_u64(CX_STR("0042"), &value) && value == 42);
    value = 7;
    static const char *const bad[] = { "",
                                       "18446744073709551616",
                                       "99999999999999999999",
                                       "-1",
                                       "+1",
                                       " 1",
                                       "1 ",
                                       "0x1",
                                       "1.0",
                                       "1e3",
                                       "\xC2\xB2" };
    for (size_t i = 0; i < CX_ARRAY_LEN(bad); i++) {
        (void)test_expect(!cx_parse_u64(cx_str_of(bad[i]), &value), __FILE__, __LINE__, "\"%s\"",
                          bad[i]);
    }
    EXPECT(!cx_parse_u64((struct cx_str){ "1\0002", 3 }, &value));
    EXPECT(!cx_parse_u64(cx_str_of(NULL), &value));
    EXPECT_INT(value, 7);
}

/* What UTF-8 is, said the other way round: encode every code point there is. */
static size_t encode(uint32_t code, unsigned char *out)
{
    if (code < 0x80) {
        out[0] = (unsigned char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (unsigned char)(0xC0 | code >> 6);
        out[1] = (unsigned char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (unsigned char)(0xE0 | code >> 12);
        out[1] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (unsigned char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (unsigned char)(0xF0 | code >> 18);
    out[1] = (unsigned char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (unsigned char)(0x80 | (code & 0x3F));
    return 4;
}

static bool valid(const void *bytes, size_t len)
{
    return cx_utf8_valid((struct cx_str){ bytes, len });
}

TEST(utf8_accepts_every_code_point_and_no_surrogate)
{
    unsigned char bytes[4];
    int wrong = 0;
    for (uint32_t code = 0; code <= 0x110000 + 0xFFFF; code++) {
        const bool want = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        wrong += valid(bytes, encode(code, bytes)) != want;
    }
    EXPECT_INT(wrong, 0);
}

TEST(utf8_refuses_all_else_of_one_and_two_bytes)
{
    int wrong = 0;
    for (unsigned a = 0; a < 256; a++) {
        const unsigned char one = (unsigned char)a;
        wrong += valid(&one, 1) != (a < 0x80);
        for (unsigned b = 0; b < 256; b++) {
            const unsigned char two[2] = { (unsigned char)a, (unsigned char)b };
            const bool pair = a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF;
            wrong += valid(two, 2) != (pair || (a < 0x80 && b < 0x80));
        }
    }
    EXPECT_INT(wrong, 0);
}

TEST(utf8_refuses_overlong_and_cut_sequences)
{
    unsigned char bytes[8];
    int wrong = 0;
    /* Three bytes for what fits in two, four for what fits in three. */
    for (uint32_t code = 0; code < 0x10000; code++) {
        bytes[0] = 0xF0;
        bytes[1] = (unsigned char)(0x80 | code >> 12);
        bytes[2] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
        bytes[3] = (unsigned char)(0x80 | (code & 0x3F));
        wrong += valid(bytes, 4);
        if (code < 0x800) {
            bytes[1] = (unsigned char)(0xE0);
            wrong += valid(bytes + 1, 3);
        }
    }
    /* Each sequence without its end, or with one byte of it that is none of a sequence. */
    static const uint32_t codes[] = {
        0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(codes); i++) {
        const size_t len = encode(codes[i], bytes);
        for (size_t cut = 1; cut < len; cut++) {
            wrong += valid(bytes, cut);
            wrong += valid(bytes + cut, len - cut);
            for (unsigned other = 0; other < 256; other += other == 0x7F ? 0x41 : 1) {
                const unsigned char kept = bytes[cut];
                bytes[cut] = (unsigned char)other;
                wrong += valid(bytes, len);
                bytes[cut] = kept;
            }
        }
    }
    EXPECT_INT(wrong, 0);
}

TEST(utf8_finds_a_bad_byte_at_any_place)
{
    char text[64];
    int wrong = 0;
    for (size_t len = 0; len <= sizeof text; len++) {
        memset(text, 'a', sizeof text);
        wrong += !valid(text, len);
        for (size_t at = 0; at < len; at++) {
            text[at] = (char)0x80;
            wrong += valid(text, len);
            text[at] = 'a';
        }
    }
    EXPECT_INT(wrong, 0);
    EXPECT(valid(NULL, 0));
    EXPECT(valid("a\0b", 3));
}

TEST(utf8_length_counts_code_points)
{
    EXPECT_INT(cx_utf8_length(cx_str_of(NULL)), 0);
    EXPECT_INT(cx_utf8_length(CX_STR("h\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80!")), 5);
}

TEST(utf8_cut_keeps_characters_whole)
{
    const struct cx_str s = CX_STR("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10, 10 };
    for (size_t max = 0; max < CX_ARRAY_LEN(want); max++) {
        EXPECT_INT(cx_utf8_cut(s, max), want[max]);
    }
    EXPECT_INT(cx_utf8_cut(CX_STR("\x80\x80\x80\x80\x80\x80"), 5), 5);
    EXPECT_INT(cx_utf8_cut(cx_str_of(NULL), 5), 0);
}
