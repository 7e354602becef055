/* SPDX-License-Identifier: MIT
 *
 * SHA-256 against FIPS 180-4's and NIST's own vectors, HMAC against RFC 4231, comparison.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"

static const char *sha256_hex(const struct cx_str *parts, size_t count,
                              char text[CX_SHA256_HEX_BYTES])
{
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256_parts(parts, count, digest);
    return cx_hex(digest, sizeof digest, text);
}

static void expect_sha256(struct cx_str data, const char *want)
{
    char text[CX_SHA256_HEX_BYTES];
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256(data, digest);
    EXPECT_STR(cx_hex(digest, sizeof digest, text), want);
}

TEST(sha256_vectors)
{
    expect_sha256(CX_STR(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sha256((struct cx_str){ NULL, 0 },
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sha256(CX_STR("abc"),
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_sha256(CX_STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect_sha256(CX_STR("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
                         "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"),
                  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

TEST(sha256_of_a_million_letters)
{
    char *letters = cx_alloc(1000000);
    memset(letters, 'a', 1000000);
    expect_sha256((struct cx_str){ letters, 1000000 },
                  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(letters);
}

TEST(sha256_does_not_see_where_parts_end)
{
    char text[CX_SHA256_HEX_BYTES];
    const struct cx_str parts[] = { CX_STR("a"), { NULL, 0 }, CX_STR(""), CX_STR("bc") };
    EXPECT_STR(sha256_hex(parts, CX_ARRAY_LEN(parts), text),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_STR(sha256_hex(NULL, 0, text),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231, without case 5, whose output is truncated. */
static const struct hmac_vector {
    const char *key_hex;
    const char *data_hex;
    const char *want;
} hmac_vectors[] = {
    { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
      "dddddddddddddddddddddddddddddddddddd",
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    { "0102030405060708090a0b0c0d0e0f10111213141516171819",
      "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
      "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
};

static size_t unhex_any(const char *hex, uint8_t *out, size_t cap)
{
    const size_t len = strlen(hex) / 2;
    CX_CHECK(len <= cap && cx_unhex(cx_str_of(hex), out, len));
    return len;
}

TEST(hmac_rfc_4231)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(hmac_vectors); i++) {
        uint8_t key[64];
        uint8_t data[128];
        const size_t key_len = unhex_any(hmac_vectors[i].key_hex, key, sizeof key);
        const size_t data_len = unhex_any(hmac_vectors[i].data_hex, data, sizeof data);
        struct cx_hmac *hmac = NULL;
        cx_hmac_new((struct cx_str){ (const char *)key, key_len }, &hmac);
        for (int again = 0; again < 3; again++) {
            uint8_t digest[CX_SHA256_BYTES];
            char text[CX_SHA256_HEX_BYTES];
            cx_hmac_sign(hmac, (struct cx_str){ (const char *)data, data_len }, digest);
            EXPECT_STR(cx_hex(digest, sizeof digest, text), hmac_vectors[i].want);
        }
        cx_hmac_free(&hmac);
        EXPECT(hmac == NULL);
    }
}

TEST(hmac_rfc_4231_keys_longer_than_a_block)
{
    char key[131];
    memset(key, 0xaa, sizeof key);
    struct cx_hmac *hmac = NULL;
    cx_hmac_new((struct cx_str){ key, sizeof key }, &hmac);
    memset(key, 0, sizeof key); /* the key was taken in */
    uint8_t digest[CX_SHA256_BYTES];
    char text[CX_SHA256_HEX_BYTES];
    cx_hmac_sign(hmac, CX_STR("Test Using Larger Than Block-Size Key - Hash Key First"), digest);
    EXPECT_STR(cx_hex(digest, sizeof digest, text),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    cx_hmac_sign(hmac,
                 CX_STR("This is a test using a larger than block-size key and a larger than "
                        "block-size data. The key needs to be hashed before being used by the HMAC "
                        "algorithm."),
                 digest);
    EXPECT_STR(cx_hex(digest, sizeof digest, text),
               "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
    cx_hmac_free(&hmac);
}

TEST(hmac_of_nothing_under_no_key)
{
    struct cx_hmac *hmac = NULL;
    uint8_t digest[CX_SHA256_BYTES];
    char text[CX_SHA256_HEX_BYTES];
    cx_hmac_new((struct cx_str){ NULL, 0 }, &hmac);
    cx_hmac_sign(hmac, (struct cx_str){ NULL, 0 }, digest);
    EXPECT_STR(cx_hex(digest, sizeof digest, text),
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    cx_hmac_free(&hmac);
    cx_hmac_free(&hmac);
}

TEST(hmac_keys_live_side_by_side)
{
    struct cx_hmac *one = NULL;
    struct cx_hmac *two = NULL;
    uint8_t a[CX_SHA256_BYTES];
    uint8_t b[CX_SHA256_BYTES];
    uint8_t again[CX_SHA256_BYTES];
    cx_hmac_new(CX_STR("one"), &one);
    cx_hmac_new(CX_STR("two"), &two);
    cx_hmac_sign(one, CX_STR("text"), a);
    cx_hmac_sign(two, CX_STR("text"), b);
    cx_hmac_sign(one, CX_STR("text"), again);
    EXPECT(memcmp(a, b, sizeof a) != 0);
    EXPECT_BYTES(again, sizeof again, a, sizeof a);
    cx_hmac_free(&one);
    cx_hmac_free(&two);
}

TEST(equal_in_constant_time_sees_every_bit)
{
    uint8_t a[CX_SHA256_BYTES] = { 0 };
    uint8_t b[CX_SHA256_BYTES] = { 0 };
    EXPECT(cx_equal_constant_time(a, b, sizeof a));
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        b[bit / 8] = (uint8_t)(1u << bit % 8);
        EXPECT(!cx_equal_constant_time(a, b, sizeof a));
        EXPECT(!cx_equal_constant_time(b, a, sizeof a));
        b[bit / 8] = 0;
    }
    EXPECT(cx_equal_constant_time(NULL, NULL, 0));
    b[31] = 1;
    EXPECT(cx_equal_constant_time(a, b, 31));
}
