/* SPDX-License-Identifier: MIT
 *
 * Hexadecimal and base64, as RFC 4648 has them and refused wherever it does not.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"

TEST(hex_of_every_byte_and_back)
{
    uint8_t bytes[256];
    uint8_t back[256];
    char text[513];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    EXPECT(cx_hex(bytes, sizeof bytes, text) == text);
    EXPECT_INT(strlen(text), 512);
    EXPECT(strncmp(text, "000102030405060708090a0b0c0d0e0f10", 34) == 0);
    EXPECT_STR(text + 504, "fcfdfeff");
    REQUIRE(cx_unhex((struct cx_str){ text, 512 }, back, sizeof back));
    EXPECT_BYTES(back, sizeof back, bytes, sizeof bytes);
    EXPECT_STR(cx_hex(NULL, 0, text), "");
}

TEST(unhex_is_strict)
{
    uint8_t out[2] = { 7, 7 };
    EXPECT(cx_unhex(CX_STR("aBCd"), out, 2));
    EXPECT(out[0] == 0xab && out[1] == 0xcd);
    static const char *const wrong[] = { "",     "abc",  "abcde", "abcdef", "ab",
                                         "abcg", "ab c", "0xab",  "ab\xe9z" };
    out[0] = out[1] = 7;
    for (size_t i = 0; i < CX_ARRAY_LEN(wrong); i++) {
        EXPECT(!cx_unhex(cx_str_of(wrong[i]), out, 2));
    }
    EXPECT(!cx_unhex((struct cx_str){ "ab\0d", 4 }, out, 2));
    EXPECT(out[0] == 7 && out[1] == 7);
    EXPECT(cx_unhex(CX_STR(""), out, 0));
}

static const struct pair {
    const char *plain;
    const char *base64;
    const char *base64url;
} pairs[] = {
    { "", "", "" },
    { "f", "Zg==", "Zg" },
    { "fo", "Zm8=", "Zm8" },
    { "foo", "Zm9v", "Zm9v" },
    { "foob", "Zm9vYg==", "Zm9vYg" },
    { "fooba", "Zm9vYmE=", "Zm9vYmE" },
    { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
    { "\xfb\xff\xbf\xfe", "+/+//g==", "-_-__g" },
};

TEST(base64_rfc_4648)
{
    struct cx_buf b;
    cx_buf_init(&b, 64);
    for (size_t i = 0; i < CX_ARRAY_LEN(pairs); i++) {
        const size_t len = strlen(pairs[i].plain);
        cx_buf_clear(&b);
        cx_buf_puts(&b, "|");
        cx_base64_encode(pairs[i].plain, len, &b);
        EXPECT_STR(b.data + 1, pairs[i].base64);
        cx_buf_clear(&b);
        cx_buf_puts(&b, "|");
        cx_base64url_encode(pairs[i].plain, len, &b);
        EXPECT_STR(b.data + 1, pairs[i].base64url);

        uint8_t out[16];
        size_t out_len = 99;
        REQUIRE(cx_base64_decode(cx_str_of(pairs[i].base64), out, len, &out_len));
        EXPECT_BYTES(out, out_len, pairs[i].plain, len);
        if (len > 0) {
            out_len = 99;
            EXPECT(!cx_base64_decode(cx_str_of(pairs[i].base64), out, len - 1, &out_len));
            EXPECT_INT(out_len, 99);
        }
    }
    cx_buf_free(&b);
}

TEST(base64_decoding_is_strict)
{
    static const char *const wrong[] = {
        "Zg",       "Zg=",      "Zg===",
        "Z",        "=",        "==",
        "===",      "====",     "Z===",
        "Zh==",     "Zm9=",     "Zm8",
        "Zm8=\n",   "Zm9v\n",   "Zm\n9v",
        " Zm9v",    "Zm9v ",    "Zm-v",
        "Zm_v",     "Zg==Zg==", "Zm=v",
        "Z=9v",     "=m9v",     "Zm9vYg=a",
        "Zm9v====", "Zm9\x80",  "\xff\xff\xff\xff",
        "Zm8=====", "AAA%",     "A-==",
        "A B=",     "AAAAA",
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(wrong); i++) {
        uint8_t out[32];
        size_t out_len = 99;
        const bool ok = cx_base64_decode(cx_str_of(wrong[i]), out, sizeof out, &out_len);
        (void)test_expect(!ok, __FILE__, __LINE__, "taken: \"%s\"", wrong[i]);
        EXPECT_INT(out_len, 99);
    }
    uint8_t out[32];
    size_t out_len = 99;
    EXPECT(!cx_base64_decode((struct cx_str){ "AA\0A", 4 }, out, sizeof out, &out_len));
}

/* Each text of four characters that decodes is the one that encoding its bytes gives. */
TEST(base64_has_one_text_for_each_value)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_ ";
    struct cx_buf b;
    cx_buf_init(&b, 64);
    size_t taken = 0;
    for (size_t i = 0; i < sizeof letters; i++) {
        for (size_t j = 0; j < sizeof letters; j++) {
            for (size_t k = 0; k < sizeof letters; k++) {
                const char text[4] = { 'Q', letters[i], letters[j], letters[k] };
                uint8_t out[3];
                size_t len = 0;
                if (!cx_base64_decode((struct cx_str){ text, 4 }, out, sizeof out, &len)) {
                    continue;
                }
                taken++;
                cx_buf_clear(&b);
                cx_base64_encode(out, len, &b);
                if (!test_expect(b.len == 4 && memcmp(b.data, text, 4) == 0, __FILE__, __LINE__,
                                 "%.4s comes back as %s", text, b.data)) {
                    cx_buf_free(&b);
                    return;
                }
            }
        }
    }
    EXPECT_INT(taken, 64 * 64 * 64 + 64 * 16 + 4);
    cx_buf_free(&b);
}

TEST(base64_round_trip_of_every_length)
{
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 167 + 13);
    }
    struct cx_buf b;
    cx_buf_init(&b, 1000);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        cx_buf_clear(&b);
        cx_base64_encode(bytes, len, &b);
        EXPECT_INT(b.len, (len + 2) / 3 * 4);
        uint8_t out[300];
        size_t out_len = 0;
        REQUIRE(cx_base64_decode((struct cx_str){ b.data, b.len }, out, sizeof out, &out_len));
        EXPECT_BYTES(out, out_len, bytes, len);
    }
    cx_buf_free(&b);
}

TEST(base64_keeps_to_the_ceiling)
{
    struct cx_buf b;
    cx_buf_init(&b, 8);
    cx_base64_encode("foobar", 6, &b);
    EXPECT(!b.failed);
    EXPECT_STR(b.data, "Zm9vYmFy");
    cx_base64_encode("f", 1, &b);
    EXPECT(b.failed);
    EXPECT_INT(b.len, 8);
    cx_buf_free(&b);
}
