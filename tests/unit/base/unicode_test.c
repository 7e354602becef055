/* SPDX-License-Identifier: MIT
 *
 * Single code points: UTF-8 both ways, and what utf8proc says of them.
 */
#include "test.h"

#include "cortex/base.h"

TEST(utf8_of_every_scalar_value_reads_back)
{
    size_t wrong = 0;
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xD800 && code < 0xE000) {
            continue;
        }
        char bytes[CX_UTF8_BYTES_MAX + 1];
        const size_t len = cx_utf8_encode(code, bytes);
        bytes[len] = 'x';
        uint32_t back = 0;
        wrong += cx_utf8_decode((struct cx_str){ bytes, len + 1 }, &back) != len || back != code;
        wrong += cx_utf8_decode((struct cx_str){ bytes, len - 1 }, &back) == len;
    }
    EXPECT_INT(wrong, 0);
}

TEST(utf8_that_is_none_decodes_to_nothing)
{
    uint32_t code = 7;
    EXPECT_INT(cx_utf8_decode(CX_STR(""), &code), 0);
    EXPECT_INT(cx_utf8_decode(CX_STR("\x80"), &code), 0);
    EXPECT_INT(cx_utf8_decode(CX_STR("\xed\xa0\x80"), &code), 0);
    EXPECT_INT(cx_utf8_decode(CX_STR("\xc3"), &code), 0);
    EXPECT_INT(code, 7);
}

TEST(unicode_decomposes_in_full)
{
    uint32_t out[CX_DECOMPOSED_MAX] = { 0 };
    EXPECT_INT(cx_unicode_decompose('a', out), 1);
    EXPECT_INT(out[0], 'a');
    EXPECT_INT(cx_unicode_decompose(0x1F82, out), 4); /* alpha with psili, varia, ypogegrammeni */
    EXPECT_INT(out[0], 0x3B1);
    EXPECT_INT(out[1], 0x313);
    EXPECT_INT(out[2], 0x300);
    EXPECT_INT(out[3], 0x345);
    EXPECT_INT(cx_unicode_decompose(0xAC01, out), 3); /* Hangul, by the algorithm */
    EXPECT_INT(out[0], 0x1100);
    EXPECT_INT(out[1], 0x1161);
    EXPECT_INT(out[2], 0x11A8);
    EXPECT_INT(cx_unicode_decompose(0xFB01, out), 1); /* compatibility only: fi stays one */
    EXPECT_INT(out[0], 0xFB01);
    EXPECT_INT(cx_unicode_decompose(0x2F868, out), 1); /* a singleton */
    EXPECT_INT(out[0], 0x36FC);
}

TEST(unicode_classes_and_case)
{
    EXPECT_INT(cx_unicode_combining_class('a'), 0);
    EXPECT_INT(cx_unicode_combining_class(0x301), 230);
    EXPECT_INT(cx_unicode_combining_class(0x327), 202);
    EXPECT_INT(cx_unicode_lower('A'), 'a');
    EXPECT_INT(cx_unicode_lower(0x3A3), 0x3C3);
    EXPECT_INT(cx_unicode_lower(0x1E9E), 0xDF);
    EXPECT_INT(cx_unicode_lower(0x4E2D), 0x4E2D);
    EXPECT(cx_unicode_is_word('_'));
    EXPECT(cx_unicode_is_word(0x4E2D));
    EXPECT(cx_unicode_is_word(0x301));
    EXPECT(cx_unicode_is_word(0x24D0));
    EXPECT(!cx_unicode_is_word('-'));
    EXPECT(!cx_unicode_is_word(0x2603));
    EXPECT(!cx_unicode_is_word(' '));
}
