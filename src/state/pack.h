/* SPDX-License-Identifier: MIT
 *
 * A pack on its way to its bytes: what is signed, and what stands beside it.
 */
#ifndef CORTEX_STATE_PACK_H
#define CORTEX_STATE_PACK_H

#include "state.h"

#define PACK__SIGNATURE_ALGORITHM "hmac-sha256"

struct pack__draft {
    json_t *content;   /* owned: exactly the five members that are signed */
    json_t *resources; /* borrowed from content */
    json_t *facts;
    bool counted;
    int64_t token_count;
    char signature[CX_SHA256_HEX_BYTES];
    char key_id[17];
    const struct cx_signer *signer; /* borrowed; NULL = none */
    char public_signature[2 * CX_ED25519_SIGNATURE_BYTES + 1];
};

/* content: a fresh object with the five members, taken over. */
void pack__draft_init(struct pack__draft *draft, json_t *content,
                      const struct cx_pack_options *options);
void pack__draft_free(struct pack__draft *draft);
/* Signs the content and counts its tokens. */
enum cx_status pack__sign(struct pack__draft *draft, const struct cx_pack_options *options,
                          struct cx_err *err) CX_MUST_CHECK;
/* Bytes of the body in its longest form, as the draft stands. 0 = beyond all bounds. */
size_t pack__body_bytes(const struct pack__draft *draft, const struct cx_pack_options *options);
/* The bodies and their gzip forms, and the etag. */
enum cx_status pack__render(const struct pack__draft *draft, const struct cx_pack_options *options,
                            struct cx_pack *pack, struct cx_err *err) CX_MUST_CHECK;

#endif
