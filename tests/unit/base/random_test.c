/* SPDX-License-Identifier: MIT
 *
 * Random bytes, identifiers, SipHash, gzip.
 */
#include "test.h"

#include "cortex/base.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

TEST(random_fill_is_not_constant)
{
    struct cx_random r;
    cx_random_init(&r);
    unsigned char a[64] = { 0 };
    unsigned char b[64] = { 0 };
    for (int i = 0; i < 100; i++) {
        cx_random_fill(&r, a, sizeof a);
        EXPECT(memcmp(a, b, sizeof a) != 0);
        memcpy(b, a, sizeof a);
    }
    unsigned char large[5000];
    memset(large, 0, sizeof large);
    cx_random_fill(&r, large, sizeof large);
    EXPECT(memcmp(large, large + 2500, 2500) != 0);
    cx_random_fill(&r, large, 0);
    cx_random_bytes(large, sizeof large);
    EXPECT(memcmp(large, large + 2500, 2500) != 0);
}

TEST(random_pool_forgets_what_it_gave)
{
    struct cx_random r;
    cx_random_init(&r);
    unsigned char given[32];
    for (int i = 0; i < 100; i++) {
        cx_random_fill(&r, given, sizeof given);
        EXPECT(memmem(r.bytes, sizeof r.bytes, given, sizeof given) == NULL);
    }
}

static int compare_texts(const void *a, const void *b)
{
    return memcmp(a, b, CX_UUID_TEXT_BYTES);
}

TEST(uuid4_has_its_form_and_does_not_repeat)
{
    enum { COUNT = 20000 };
    struct cx_random r;
    cx_random_init(&r);
    char(*texts)[CX_UUID_TEXT_BYTES] = malloc(COUNT * sizeof *texts);
    REQUIRE(texts != NULL);
    int wrong = 0;
    unsigned seen_variants = 0;
    for (int i = 0; i < COUNT; i++) {
        wrong += cx_uuid4(&r, texts[i]) != texts[i];
        wrong += strlen(texts[i]) != 36 || strspn(texts[i], "0123456789abcdef-") != 36;
        wrong += texts[i][8] != '-' || texts[i][13] != '-' || texts[i][18] != '-';
        wrong += texts[i][23] != '-' || texts[i][14] != '4';
        const char *variant = strchr("89ab", texts[i][19]);
        wrong += variant == NULL;
        seen_variants |= 1u << (texts[i][19] & 7);
    }
    EXPECT_INT(wrong, 0);
    EXPECT(seen_variants == (1u << 0 | 1u << 1 | 1u << ('a' & 7) | 1u << ('b' & 7)));
    qsort(texts, COUNT, sizeof *texts, compare_texts);
    for (int i = 1; i < COUNT; i++) {
        wrong += memcmp(texts[i - 1], texts[i], CX_UUID_TEXT_BYTES) == 0;
    }
    EXPECT_INT(wrong, 0);
    free(texts);
}

/* The reference vectors of SipHash-2-4: key 00 01 … 0f, data 00 01 … of 0 to 63 bytes. */
TEST(siphash_reference_vectors)
{
    static const uint64_t want[64] = {
        UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
        UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
        UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
        UINT64_C(0x9e0082df0ba9e4b0), UINT64_C(0x7a5dbbc594ddb9f3), UINT64_C(0xf4b32f46226bada7),
        UINT64_C(0x751e8fbc860ee5fb), UINT64_C(0x14ea5627c0843d90), UINT64_C(0xf723ca908e7af2ee),
        UINT64_C(0xa129ca6149be45e5), UINT64_C(0x3f2acc7f57c29bdb), UINT64_C(0x699ae9f52cbe4794),
        UINT64_C(0x4bc1b3f0968dd39c), UINT64_C(0xbb6dc91da77961bd), UINT64_C(0xbed65cf21aa2ee98),
        UINT64_C(0xd0f2cbb02e3b67c7), UINT64_C(0x93536795e3a33e88), UINT64_C(0xa80c038ccd5ccec8),
        UINT64_C(0xb8ad50c6f649af94), UINT64_C(0xbce192de8a85b8ea), UINT64_C(0x17d835b85bbb15f3),
        UINT64_C(0x2f2e6163076bcfad), UINT64_C(0xde4daaaca71dc9a5), UINT64_C(0xa6a2506687956571),
        UINT64_C(0xad87a3535c49ef28), UINT64_C(0x32d892fad841c342), UINT64_C(0x7127512f72f27cce),
        UINT64_C(0xa7f32346f95978e3), UINT64_C(0x12e0b01abb051238), UINT64_C(0x15e034d40fa197ae),
        UINT64_C(0x314dffbe0815a3b4), UINT64_C(0x027990f029623981), UINT64_C(0xcadcd4e59ef40c4d),
        UINT64_C(0x9abfd8766a33735c), UINT64_C(0x0e3ea96b5304a7d0), UINT64_C(0xad0c42d6fc585992),
        UINT64_C(0x187306c89bc215a9), UINT64_C(0xd4a60abcf3792b95), UINT64_C(0xf935451de4f21df2),
        UINT64_C(0xa9538f0419755787), UINT64_C(0xdb9acddff56ca510), UINT64_C(0xd06c98cd5c0975eb),
        UINT64_C(0xe612a3cb9ecba951), UINT64_C(0xc766e62cfcadaf96), UINT64_C(0xee64435a9752fe72),
        UINT64_C(0xa192d576b245165a), UINT64_C(0x0a8787bf8ecb74b2), UINT64_C(0x81b3e73d20b49b6f),
        UINT64_C(0x7fa8220ba3b2ecea), UINT64_C(0x245731c13ca42499), UINT64_C(0xb78dbfaf3a8d83bd),
        UINT64_C(0xea1ad565322a1a0b), UINT64_C(0x60e61c23a3795013), UINT64_C(0x6606d7e446282b93),
        UINT64_C(0x6ca4ecb15c5f91e1), UINT64_C(0x9f626da15c9625f3), UINT64_C(0xe51b38608ef25f57),
        UINT64_C(0x958a324ceb064572),
    };
    uint8_t key[16];
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (uint8_t)i;
    }
    uint8_t data[65];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)i;
    }
    uint8_t shifted[65];
    memcpy(shifted + 1, data, 64);
    for (size_t len = 0; len < 64; len++) {
        EXPECT(cx_siphash(key, data, len) == want[len]);
        EXPECT(cx_siphash(key, shifted + 1, len) == want[len]);
    }
    key[0] ^= 1;
    EXPECT(cx_siphash(key, data, 15) != want[15]);
    EXPECT(cx_siphash(key, NULL, 0) != want[0]);
}

static bool gunzips_to(const struct cx_buf *packed, struct cx_str want)
{
    unsigned char *out = malloc(want.len + 1);
    z_stream z = { .next_in = (Bytef *)packed->data,
                   .avail_in = (uInt)packed->len,
                   .next_out = out,
                   .avail_out = (uInt)want.len + 1 };
    bool ok = out != NULL && inflateInit2(&z, 15 + 16) == Z_OK;
    ok = ok && inflate(&z, Z_FINISH) == Z_STREAM_END;
    ok = ok && z.total_out == want.len && z.avail_in == 0;
    ok = ok && (want.len == 0 || memcmp(out, want.p, want.len) == 0);
    (void)inflateEnd(&z);
    free(out);
    return ok;
}

TEST(gzip_round_trip)
{
    static const size_t sizes[] = { 0, 1, 2, 100, 511, 512, 513, 4096, 65536, 300000 };
    unsigned char *data = malloc(300000);
    REQUIRE(data != NULL);
    struct cx_buf packed;
    cx_buf_init(&packed, 1 << 20);
    for (int kind = 0; kind < 3; kind++) {
        cx_random_bytes(data, 300000); /* kind 0: does not shrink */
        for (size_t i = 0; kind > 0 && i < 300000; i++) {
            data[i] = (unsigned char)(kind == 1 ? 'a' + data[i] % 8 : 'x');
        }
        for (size_t i = 0; i < CX_ARRAY_LEN(sizes); i++) {
            for (int level = 1; level <= 9; level += 4) {
                const struct cx_str plain = { (const char *)data, sizes[i] };
                cx_buf_clear(&packed);
                EXPECT(cx_gzip(plain, level, &packed));
                EXPECT(gunzips_to(&packed, plain));
                EXPECT_INT(packed.data[packed.len], 0);
            }
        }
    }
    cx_buf_free(&packed);
    free(data);
}

TEST(gzip_appends_plain_header)
{
    struct cx_buf out;
    cx_buf_init(&out, 1000);
    cx_buf_puts(&out, "before");
    EXPECT(cx_gzip(CX_STR("hello hello hello"), 6, &out));
    EXPECT_BYTES(out.data, 6, "before", 6);
    /* Magic, deflate, no flags, no time. */
    EXPECT_BYTES(out.data + 6, 8, "\x1F\x8B\x08\0\0\0\0\0", 8);
    cx_buf_consume(&out, 6);
    EXPECT(gunzips_to(&out, CX_STR("hello hello hello")));
    cx_buf_free(&out);
}

TEST(gzip_keeps_the_ceiling_and_fits_exactly)
{
    unsigned char noise[2000];
    cx_random_bytes(noise, sizeof noise);
    const struct cx_str plain = { (const char *)noise, sizeof noise };
    struct cx_buf out;
    cx_buf_init(&out, 10000);
    REQUIRE(cx_gzip(plain, 6, &out));
    const size_t packed = out.len;
    cx_buf_free(&out);

    cx_buf_init(&out, packed + 3);
    cx_buf_puts(&out, "abc");
    EXPECT(cx_gzip(plain, 6, &out));
    EXPECT_INT(out.len, packed + 3);
    cx_buf_free(&out);

    cx_buf_init(&out, packed + 2);
    cx_buf_puts(&out, "abc");
    EXPECT(!cx_gzip(plain, 6, &out));
    EXPECT(out.failed);
    EXPECT_STR(out.data, "abc");
    EXPECT_INT(out.len, 3);
    EXPECT(!cx_gzip(CX_STR(""), 6, &out));
    cx_buf_free(&out);
}
