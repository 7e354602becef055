/* SPDX-License-Identifier: MIT
 *
 * Classes of characters, at the borders of everything.
 */
#include "context/unicode_class.h"

#include "test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned encode(uint32_t code, unsigned char out[4])
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

/* How many characters of each class Unicode 16.0 has. */
TEST(classes_have_their_sizes)
{
    size_t sizes[8] = { 0 };
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xD800 && code < 0xE000) {
            continue;
        }
        unsigned char bytes[4];
        const unsigned len = encode(code, bytes);
        const struct unit unit = unit_at(bytes, len);
        REQUIRE(unit.len == len);
        sizes[__builtin_ctz(unit.bit)]++;
    }
    EXPECT_INT(sizes[CLASS_SPACE] + sizes[CLASS_NEWLINE], 25);
    EXPECT_INT(sizes[CLASS_NEWLINE], 2);
    EXPECT_INT(sizes[CLASS_NUMBER], 1911);
    EXPECT_INT(sizes[CLASS_MARK], 2501);
    EXPECT_INT(sizes[CLASS_UPPER], 1858 + 31);
    EXPECT_INT(sizes[CLASS_LOWER], 2258);
    EXPECT_INT(sizes[CLASS_CASELESS], 404 + 136477);
}

TEST(single_characters_have_their_class)
{
    static const struct {
        uint32_t code;
        enum unicode_class class;
    } rows[] = {
        { 0x00, CLASS_OTHER },     { 0x09, CLASS_SPACE },      { 0x0A, CLASS_NEWLINE },
        { 0x0B, CLASS_SPACE },     { 0x0D, CLASS_NEWLINE },    { 0x1C, CLASS_OTHER },
        { 0x85, CLASS_SPACE },     { 0xA0, CLASS_SPACE },      { 0xAA, CLASS_CASELESS },
        { 0xB2, CLASS_NUMBER },    { 0xB5, CLASS_LOWER },      { 0xD7, CLASS_OTHER },
        { 0x1C5, CLASS_UPPER },    { 0x2B0, CLASS_CASELESS },  { 0x300, CLASS_MARK },
        { 0x378, CLASS_OTHER },    { 0x180E, CLASS_OTHER },    { 0x200B, CLASS_OTHER },
        { 0x2028, CLASS_SPACE },   { 0x2160, CLASS_NUMBER },   { 0x3000, CLASS_SPACE },
        { 0x3007, CLASS_NUMBER },  { 0x4E00, CLASS_CASELESS }, { 0xAC00, CLASS_CASELESS },
        { 0xFEFF, CLASS_OTHER },   { 0x10D50, CLASS_UPPER },   { 0x2EBF0, CLASS_CASELESS },
        { 0x1E6C0, CLASS_OTHER },  { 0xE0100, CLASS_MARK },    { 0xE01F0, CLASS_OTHER },
        { 0x10FFFF, CLASS_OTHER },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned char bytes[4];
        const unsigned len = encode(rows[i].code, bytes);
        const struct unit unit = unit_at(bytes, len);
        test_expect(unit.bit == CLASS_BIT(rows[i].class) && unit.len == len, __FILE__, __LINE__,
                    "U+%04X", (unsigned)rows[i].code);
    }
}

TEST(what_is_no_character_is_one_byte)
{
    static const struct {
        const char *bytes;
        unsigned len;
    } rows[] = {
        { "\x80", 1 },
        { "\xC0\xAF", 2 },
        { "\xC1\xBF", 2 },
        { "\xC3", 1 },
        { "\xC3\x28", 2 },
        { "\xE0\x9F\xBF", 3 },
        { "\xED\xA0\x80", 3 },
        { "\xE2\x82", 2 },
        { "\xFF", 1 },
        { "\xF0\x8F\xBF\xBF", 4 },
        { "\xF4\x90\x80\x80", 4 },
        { "\xF0\x9F\x98", 3 },
        { "\xF5\x80\x80\x80", 4 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct unit unit = unit_at((const unsigned char *)rows[i].bytes, rows[i].len);
        EXPECT_INT(unit.len, 1);
        EXPECT(unit.bit == CLASS_BIT(CLASS_OTHER));
    }
}
