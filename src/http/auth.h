/* SPDX-License-Identifier: MIT
 *
 * Bearer tokens (RFC 6750): a set of digests, and the judgement of a presented token.
 * A set is immutable once the server has it; any thread.
 */
#ifndef CORTEX_HTTP_AUTH_H
#define CORTEX_HTTP_AUTH_H

#include "cortex/http.h"

enum auth_verdict { AUTH_OK, AUTH_MISSING, AUTH_INVALID, AUTH_EXPIRED };
/* The token of an Authorization value; { NULL, 0 } if the scheme is another. */
struct cx_str auth__bearer(struct cx_str authorization);
/* presented.p NULL = none was. *out (also of an expired token) is borrowed from the set. */
enum auth_verdict auth__check(const struct cx_tokens *tokens, struct cx_str presented,
                              int64_t now_us, const struct cx_token **out);

#endif
