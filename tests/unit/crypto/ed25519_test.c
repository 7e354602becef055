/* SPDX-License-Identifier: MIT
 *
 * Ed25519 against the vectors of RFC 8032, section 7.1.
 */
#include "test.h"

#include <string.h>

#include "cortex/crypto.h"

struct vector {
    const char *seed;
    const char *public_key;
    const char *message;
    const char *signature;
};
static const struct vector vectors[] = {
    { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
      "b46b"
      "d25bf5f0595bbe24655141438e7a100b" },
    { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
      "1d8c"
      "387b2eaeb4302aeeb00d291612bb0c00" },
    { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
      "c659"
      "4a7c15e9716ed28dc027beceea1ec40a" },
};

TEST(ed25519_vectors)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(vectors); i++) {
        const struct vector *v = &vectors[i];
        uint8_t seed[CX_ED25519_SEED_BYTES];
        uint8_t message[8];
        uint8_t signature[CX_ED25519_SIGNATURE_BYTES];
        char hex[2 * CX_ED25519_SIGNATURE_BYTES + 1];
        const struct cx_str data = { (const char *)message, strlen(v->message) / 2 };
        struct cx_signer *signer = NULL;
        REQUIRE(cx_unhex(cx_str_of(v->seed), seed, sizeof seed));
        REQUIRE(cx_unhex(cx_str_of(v->message), message, data.len));
        cx_signer_new(seed, &signer);
        EXPECT_STR(cx_hex(cx_signer_public(signer), CX_ED25519_PUBLIC_BYTES, hex), v->public_key);
        cx_signer_sign(signer, data, signature);
        EXPECT_STR(cx_hex(signature, sizeof signature, hex), v->signature);
        EXPECT(cx_ed25519_verify(cx_signer_public(signer), data, signature));
        for (size_t bit = 0; bit < 8 * sizeof signature; bit++) {
            signature[bit / 8] = (uint8_t)(signature[bit / 8] ^ (1 << bit % 8));
            EXPECT(!cx_ed25519_verify(cx_signer_public(signer), data, signature));
            signature[bit / 8] = (uint8_t)(signature[bit / 8] ^ (1 << bit % 8));
        }
        cx_signer_free(&signer);
    }
}

TEST(a_key_id_names_a_key)
{
    uint8_t key[CX_ED25519_PUBLIC_BYTES] = { 1, 2, 3 };
    char a[CX_KEY_ID_BYTES];
    char b[CX_KEY_ID_BYTES];
    cx_ed25519_key_id(key, a);
    key[31] ^= 1;
    cx_ed25519_key_id(key, b);
    EXPECT_INT(strlen(a), 16);
    EXPECT(strcmp(a, b) != 0);
}
