/* SPDX-License-Identifier: MIT
 *
 * tokens: the token and the signing key that a first start makes for itself, and the digest of a token
 * for the configuration file. Blocking; at start-up.
 */
#ifndef CORTEX_APP_TOKENS_H
#define CORTEX_APP_TOKENS_H

#include "app/config.h"

/* Makes the data directory and those above it (mode 0700) where they are missing; it must be a
 * directory that we can write to. CX_UNAUTHORIZED, CX_STORAGE_FULL, CX_IO_ERROR. */
enum cx_status app__prepare_data_dir(const char *dir, struct cx_err *err) CX_MUST_CHECK;

/* Needs the data directory's lock. Where the configuration has no tokens, adds the one in DIR/token,
 * which is made if it is not there; the same with the signing key in DIR/signing_key. Logs the paths. */
enum cx_status app__first_start(struct cx_config *config, struct cx_err *err) CX_MUST_CHECK;

/* The two halves of it. DIR/token: "cx_" and 43 characters of base64url, all scopes. A file that is
 * there and holds something else is refused, not replaced. */
enum cx_status app__ensure_token(const char *dir, uint8_t sha256[32], bool *created,
                                 struct cx_err *err) CX_MUST_CHECK;
enum cx_status app__ensure_signing_key(const char *dir, struct cx_arena *arena, const char **key,
                                       bool *created, struct cx_err *err) CX_MUST_CHECK;

/* Reads one token (a line) from in; where that is a terminal, asks on prompt and shows nothing of what
 * is typed. Appends "sha256 = HEX\n" to out. CX_INVALID: no token; CX_CANCELLED: interrupted. */
enum cx_status app__hash_token(int in, int prompt, struct cx_buf *out,
                               struct cx_err *err) CX_MUST_CHECK;

#endif
