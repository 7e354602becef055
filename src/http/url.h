/* SPDX-License-Identifier: MIT
 *
 * Percent-decoding and query strings (RFC 3986), strictly: what is not well formed is refused,
 * never guessed. Pure functions; any thread.
 */
#ifndef CORTEX_HTTP_URL_H
#define CORTEX_HTTP_URL_H

#include "cortex/base.h"

/* Every '%' starts a pair of hex digits, none of them spells NUL, and what comes out is UTF-8. */
bool url__valid(struct cx_str raw);
/* Decodes into out (raw.len + 1 bytes), ends it with a NUL, returns its length. raw is valid. */
size_t url__decode(struct cx_str raw, bool plus_is_space, char *out);
/* The next name=value of a query, undecoded; false at the end. *rest shrinks. */
bool url__next_pair(struct cx_str *rest, struct cx_str *name, struct cx_str *value);

#endif
