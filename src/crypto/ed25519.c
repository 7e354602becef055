/* SPDX-License-Identifier: MIT
 *
 * crypto: Ed25519 signatures (RFC 8032). A signer owns its private key; OpenSSL's key object is
 * shared by threads, each signature has a context of its own.
 */
#include "cortex/crypto.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

struct cx_signer {
    EVP_PKEY *key;
    uint8_t public_key[CX_ED25519_PUBLIC_BYTES];
    char key_id[CX_KEY_ID_BYTES];
};

void cx_signer_new(const uint8_t seed[CX_ED25519_SEED_BYTES], struct cx_signer **out)
{
    struct cx_signer *signer = cx_alloc(sizeof *signer);
    signer->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, CX_ED25519_SEED_BYTES);
    CX_CHECK(signer->key != NULL);
    size_t len = sizeof signer->public_key;
    CX_CHECK(EVP_PKEY_get_raw_public_key(signer->key, signer->public_key, &len) == 1);
    cx_ed25519_key_id(signer->public_key, signer->key_id);
    *out = signer;
}

void cx_signer_free(struct cx_signer **signer)
{
    if (*signer != NULL) {
        EVP_PKEY_free((*signer)->key);
        free(*signer);
        *signer = NULL;
    }
}

const uint8_t *cx_signer_public(const struct cx_signer *signer)
{
    return signer->public_key;
}

const char *cx_signer_key_id(const struct cx_signer *signer)
{
    return signer->key_id;
}

void cx_signer_sign(const struct cx_signer *signer, struct cx_str data,
                    uint8_t signature[CX_ED25519_SIGNATURE_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CX_CHECK(context != NULL);
    CX_CHECK(EVP_DigestSignInit(context, NULL, NULL, NULL, signer->key) == 1);
    size_t len = CX_ED25519_SIGNATURE_BYTES;
    CX_CHECK(EVP_DigestSign(context, signature, &len, (const unsigned char *)data.p, data.len) ==
             1);
    CX_CHECK(len == CX_ED25519_SIGNATURE_BYTES);
    EVP_MD_CTX_free(context);
}

bool cx_ed25519_verify(const uint8_t public_key[CX_ED25519_PUBLIC_BYTES], struct cx_str data,
                       const uint8_t signature[CX_ED25519_SIGNATURE_BYTES])
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, CX_ED25519_PUBLIC_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CX_CHECK(context != NULL);
    const bool good = key != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                      EVP_DigestVerify(context, signature, CX_ED25519_SIGNATURE_BYTES,
                                       (const unsigned char *)data.p, data.len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}

void cx_ed25519_key_id(const uint8_t public_key[CX_ED25519_PUBLIC_BYTES], char id[CX_KEY_ID_BYTES])
{
    const struct cx_str parts[] = { CX_STR("cortex-ed25519-key-id:"),
                                    { (const char *)public_key, CX_ED25519_PUBLIC_BYTES } };
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256_parts(parts, CX_ARRAY_LEN(parts), digest);
    (void)cx_hex(digest, 8, id);
}
