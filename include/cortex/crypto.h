/* SPDX-License-Identifier: MIT
 *
 * crypto: digests, signatures by a shared key, constant-time comparison, text encodings of bytes.
 * The only room that includes OpenSSL.
 *
 * Threads: any, but a cx_hmac belongs to one thread at a time.
 */
#ifndef CORTEX_CRYPTO_H
#define CORTEX_CRYPTO_H

#include "cortex/base.h"

#define CX_SHA256_BYTES 32
#define CX_SHA256_HEX_BYTES 65 /* with the NUL */

void cx_sha256(struct cx_str data, uint8_t digest[CX_SHA256_BYTES]);
/* The same over several pieces, one after the other. */
void cx_sha256_parts(const struct cx_str *parts, size_t count, uint8_t digest[CX_SHA256_BYTES]);

/* HMAC-SHA256 (RFC 2104) under one key, which is taken in once. */
struct cx_hmac;
void cx_hmac_new(struct cx_str key, struct cx_hmac **out);
void cx_hmac_free(struct cx_hmac **hmac); /* wipes; NULL is nothing */
void cx_hmac_sign(struct cx_hmac *hmac, struct cx_str data, uint8_t digest[CX_SHA256_BYTES]);

/* Ed25519 (RFC 8032): whoever has the public key can verify and not sign. A signer may be used by
 * any threads at once. */
#define CX_ED25519_SEED_BYTES 32
#define CX_ED25519_PUBLIC_BYTES 32
#define CX_ED25519_SIGNATURE_BYTES 64
#define CX_KEY_ID_BYTES 17 /* 16 hex digits and the NUL */
struct cx_signer;
void cx_signer_new(const uint8_t seed[CX_ED25519_SEED_BYTES], struct cx_signer **out);
void cx_signer_free(struct cx_signer **signer); /* wipes; NULL is nothing */
const uint8_t *cx_signer_public(const struct cx_signer *signer);
const char *cx_signer_key_id(const struct cx_signer *signer);
void cx_signer_sign(const struct cx_signer *signer, struct cx_str data,
                    uint8_t signature[CX_ED25519_SIGNATURE_BYTES]);
bool cx_ed25519_verify(const uint8_t public_key[CX_ED25519_PUBLIC_BYTES], struct cx_str data,
                       const uint8_t signature[CX_ED25519_SIGNATURE_BYTES]);
/* First 16 hex digits of SHA-256 over "cortex-ed25519-key-id:" and the 32 bytes of the public key. */
void cx_ed25519_key_id(const uint8_t public_key[CX_ED25519_PUBLIC_BYTES], char id[CX_KEY_ID_BYTES]);

/* Takes the same time whatever differs. Only for what both sides know the length of. */
bool cx_equal_constant_time(const void *a, const void *b, size_t len);

char *cx_hex(const void *data, size_t len, char *text); /* text: 2 * len + 1, lower case */
/* Exactly out_len bytes, from digits of either case; else false, and out is untouched. */
bool cx_unhex(struct cx_str text, uint8_t *out, size_t out_len);

/* RFC 4648 with padding. Encoding appends to out. */
void cx_base64_encode(const void *data, size_t len, struct cx_buf *out);
/* URL-safe, without padding: for tokens. */
void cx_base64url_encode(const void *data, size_t len, struct cx_buf *out);
/* Strict: padding required, no line breaks, no stray bits. False if it is none or out is too small;
 * what out then holds means nothing. */
bool cx_base64_decode(struct cx_str text, void *out, size_t out_cap, size_t *out_len);

#endif
