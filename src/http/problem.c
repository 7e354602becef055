/* SPDX-License-Identifier: MIT
 *
 * The bodies of refusals: application/problem+json (RFC 9457), or OpenAI's shape. Pure; any thread.
 */
#include <stdio.h>

#include "http/http_internal.h"

static const char *openai_type(int http_status);

void problem__write(const struct problem *p, struct cx_buf *out)
{
    if (p->openai) {
        cx_buf_puts(out, "{\"error\":{\"message\":");
        cx_json_write_string(cx_str_of(p->detail), out);
        cx_buf_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}",
                      openai_type(p->http_status), p->reason);
        return;
    }
    cx_buf_puts(out, "{\"type\":\"about:blank\",\"title\":");
    cx_json_write_string(cx_str_of(reply__phrase(p->http_status)), out);
    cx_buf_printf(out, ",\"status\":%d,\"detail\":", p->http_status);
    cx_json_write_string(cx_str_of(p->detail), out);
    cx_buf_printf(out, ",\"reason\":\"%s\"", p->reason);
    if (p->errors != NULL) {
        cx_buf_puts(out, ",\"errors\":");
        cx_json_write(p->errors, out);
    }
    cx_buf_puts(out, ",\"correlation_id\":");
    cx_json_write_string(cx_str_of(p->correlation_id), out);
    cx_buf_putc(out, '}');
}

struct cx_str problem__brief(const struct problem *p, char text[PROBLEM_BRIEF_BYTES])
{
    const char *title = reply__phrase(p->http_status);
    if (p->openai) {
        (void)snprintf(text, PROBLEM_BRIEF_BYTES,
                       "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,"
                       "\"code\":\"%s\"}}",
                       title, openai_type(p->http_status), p->reason);
    } else {
        (void)snprintf(text, PROBLEM_BRIEF_BYTES,
                       "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,"
                       "\"detail\":\"%s\",\"reason\":\"%s\"}",
                       title, p->http_status, title, p->reason);
    }
    return cx_str_of(text);
}

static const char *openai_type(int http_status)
{
    switch (http_status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return http_status >= 500 ? "server_error" : "invalid_request_error";
    }
}
