/* SPDX-License-Identifier: MIT
 *
 * What header values ask for: codings, entity tags, media types, identifiers. Pure; any thread.
 */
#ifndef CORTEX_HTTP_NEGOTIATE_H
#define CORTEX_HTTP_NEGOTIATE_H

#include "cortex/base.h"

/* Accept-Encoding (RFC 9110 12.5.3): gzip is acceptable, and not less welcome than identity. */
bool negotiate__gzip(struct cx_str accept_encoding);
/* If-None-Match holds etag by the weak comparison (RFC 9110 13.1.2), or is "*". */
bool negotiate__etag_matches(struct cx_str if_none_match, struct cx_str etag);
/* application/json or application/…+json, parameters aside. */
bool negotiate__is_json(struct cx_str content_type);
bool negotiate__is_ndjson(struct cx_str content_type);
/* Worth compressing: text, JSON and the like; never an event stream. */
bool negotiate__compressible(struct cx_str content_type);
/* 1 to 128 bytes of printable ASCII. */
bool negotiate__correlation_id_valid(struct cx_str text);
/* W3C Trace Context: version, 32, 16 and 2 hex digits, no id all zero. */
bool negotiate__traceparent_valid(struct cx_str text);

#endif
