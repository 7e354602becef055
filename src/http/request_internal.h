/* SPDX-License-Identifier: MIT
 *
 * What the three parts of reading a request share: request.c the head, request_rules.c what it may
 * say, request_body.c the body.
 */
#ifndef CORTEX_HTTP_REQUEST_INTERNAL_H
#define CORTEX_HTTP_REQUEST_INTERNAL_H

#include "http/request.h"

/* False. The first reason stays. */
bool request__refuse(struct http_request *r, enum cx_status status, const char *text);
bool request__read_target(struct http_request *r, struct cx_str target);
bool request__read_host(struct http_request *r);
bool request__read_framing(struct http_request *r);

/* Of the parser. Extensions and trailers are bounded and forgotten. */
int request__on_chunk_extension(llhttp_t *parser, const char *at, size_t len);
int request__on_body(llhttp_t *parser, const char *at, size_t len);
int request__on_message_complete(llhttp_t *parser);

#endif
