/* SPDX-License-Identifier: MIT
 *
 * Checks and copies what a caller asks of fetch. Nothing that could split a header line, name a
 * host that curl would look up by itself, or frame the message differently from how curl does gets
 * past here. The URL stays in curl's own parsed form: what is checked is what is connected to.
 */
#include "request.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 253 /* RFC 1035, in text */
#define UNIX_PATH_MAX 107

static enum cx_status copy_headers(const struct cx_fetch_request *from, struct loop__request *to,
                                   struct cx_err *err);
static enum cx_status add_header(struct loop__request *to, const char *line);
static bool is_token(struct cx_str s);
static enum cx_status read_host(CURLU *url, struct loop__peer *out, struct cx_err *err);

enum cx_status loop__request_copy(const struct cx_fetch_request *from, struct loop__request *to,
                                  struct cx_err *err)
{
    enum cx_status status = CX_OK;
    *to =
        (struct loop__request){ .connect_timeout_ms = from->connect_timeout_ms,
                                .first_byte_timeout_ms = from->first_byte_timeout_ms,
                                .low_speed_bytes = from->low_speed_bytes,
                                .low_speed_ms = from->low_speed_ms,
                                .timeout_ms = from->timeout_ms,
                                .response_max_bytes = from->response_max_bytes,
                                /* Without TLS nothing tells that a connection can be shared before
                                   * the first answer, and the others would wait for that. */
                                .http2 = from->http2 && strncasecmp(from->url, "https:", 6) == 0,
                                .has_body = from->body.p != NULL,
                                .body_len = from->body.p != NULL ? from->body.len : 0 };
    if (!is_token(cx_str_of(from->method))) {
        return cx_err_set(err, CX_INVALID, "The method of an outgoing request is not a word");
    }
    if (from->unix_socket != NULL &&
        (from->unix_socket[0] == '\0' || strlen(from->unix_socket) > UNIX_PATH_MAX)) {
        return cx_err_set(err, CX_INVALID, "The path of a socket has 1 to %d bytes", UNIX_PATH_MAX);
    }
    to->url = curl_url();
    if (to->url == NULL) {
        return CX_NO_MEMORY;
    }
    status = loop__peer_read(to->url, from->url, 0, &to->peer, err);
    if (status == CX_OK) {
        status = copy_headers(from, to, err);
    }
    if (status == CX_OK && from->body.p != NULL && from->body.len > 0) {
        to->body = malloc(from->body.len);
        if (to->body == NULL) {
            status = CX_NO_MEMORY;
        } else {
            memcpy(to->body, from->body.p, from->body.len);
        }
    }
    if (status != CX_OK) {
        loop__request_free(to);
        return status;
    }
    to->method = cx_strdup(from->method);
    to->unix_socket = from->unix_socket != NULL ? cx_strdup(from->unix_socket) : NULL;
    return CX_OK;
}

void loop__request_free(struct loop__request *request)
{
    curl_url_cleanup(request->url);
    curl_slist_free_all(request->headers);
    free(request->method);
    free(request->unix_socket);
    free(request->body);
    *request = (struct loop__request){ .url = NULL };
}

/* ---- Header lines ---------------------------------------------------------------------------- */

static enum cx_status copy_headers(const struct cx_fetch_request *from, struct loop__request *to,
                                   struct cx_err *err)
{
    bool has_type = false;
    for (const char *const *line = from->headers; line != NULL && *line != NULL; line++) {
        const char *colon = strchr(*line, ':');
        const struct cx_str name = { *line, colon != NULL ? (size_t)(colon - *line) : 0 };
        if (colon == NULL || !is_token(name)) {
            return cx_err_set(err, CX_INVALID, "A header of an outgoing request has no name");
        }
        for (const char *at = colon; *at != '\0'; at++) {
            if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f) {
                return cx_err_set(err, CX_INVALID, "The header %.*s has a control byte in it",
                                  (int)name.len, name.p);
            }
        }
        if (cx_str_eq_nocase(name, CX_STR("Content-Length")) ||
            cx_str_eq_nocase(name, CX_STR("Transfer-Encoding")) ||
            cx_str_eq_nocase(name, CX_STR("Expect"))) {
            return cx_err_set(err, CX_INVALID, "The header %.*s is not the caller's to set",
                              (int)name.len, name.p);
        }
        has_type = has_type || cx_str_eq_nocase(name, CX_STR("Content-Type"));
        const enum cx_status status = add_header(to, *line);
        if (status != CX_OK) {
            return status;
        }
    }
    /* A name without a value takes away what curl would add by itself: the wait for "100 Continue",
     * and the content type of a form. */
    enum cx_status status = add_header(to, "Expect:");
    if (status == CX_OK && !has_type) {
        status = add_header(to, "Content-Type:");
    }
    return status;
}

static enum cx_status add_header(struct loop__request *to, const char *line)
{
    struct curl_slist *longer = curl_slist_append(to->headers, line);
    if (longer == NULL) {
        return CX_NO_MEMORY;
    }
    to->headers = longer;
    return CX_OK;
}

/* RFC 9110 5.6.2 */
static bool is_token(struct cx_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.p[i];
        const bool word =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return s.len > 0;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

enum cx_status loop__peer_read(CURLU *url, const char *text, unsigned default_port,
                               struct loop__peer *out, struct cx_err *err)
{
    char *scheme = NULL;
    char *port = NULL;
    const CURLUcode code = curl_url_set(url, CURLUPART_URL, text, 0);
    if (code == CURLUE_OUT_OF_MEMORY) {
        return CX_NO_MEMORY;
    }
    if (code != CURLUE_OK || curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK) {
        return cx_err_set(err, CX_INVALID, "This is no address of a service: %s",
                          code != CURLUE_OK ? curl_url_strerror(code) : "it has no scheme");
    }
    const bool tls = strcmp(scheme, "https") == 0;
    const bool known = tls || strcmp(scheme, "http") == 0;
    curl_free(scheme);
    if (!known) {
        return cx_err_set(err, CX_INVALID,
                          "The address of a service begins with http:// or https://");
    }
    out->port = default_port != 0 ? default_port : tls ? 443 : 80;
    if (curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK) {
        uint64_t number = 0;
        const bool fits = cx_parse_u64(cx_str_of(port), &number) && number > 0 && number <= 65535;
        curl_free(port);
        if (!fits) {
            return cx_err_set(err, CX_INVALID, "The address of a service has a port of 1 to 65535");
        }
        out->port = (unsigned)number;
    }
    return read_host(url, out, err);
}

static bool is_literal(const char *host)
{
    struct in_addr four;
    return host[0] == '[' || inet_pton(AF_INET, host, &four) == 1;
}

/* Letters, digits, '-', '_' and '.' only: what else curl may let through has a meaning of its own
 * in CURLOPT_RESOLVE ('*', a leading '-' or '+'), or is not ASCII and would be turned into another
 * name on the way. */
static bool is_host_name(const char *host)
{
    const size_t len = strlen(host);
    if (len == 0 || len > HOST_MAX || host[0] == '-' || host[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        const char c = host[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.')) {
            return false;
        }
    }
    return true;
}

static enum cx_status read_host(CURLU *url, struct loop__peer *out, struct cx_err *err)
{
    char *text = NULL;
    if (curl_url_get(url, CURLUPART_HOST, &text, 0) != CURLUE_OK) {
        return cx_err_set(err, CX_INVALID, "The address of a service has no host");
    }
    const size_t len = strlen(text);
    if (len >= sizeof(out->host)) {
        curl_free(text);
        return cx_err_set(err, CX_INVALID, "The host of a service is too long");
    }
    for (size_t i = 0; i <= len; i++) {
        out->host[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
    }
    curl_free(text);
    out->lookup[0] = '\0';
    if (is_literal(out->host)) {
        return CX_OK;
    }
    if (!is_host_name(out->host)) {
        return cx_err_set(err, CX_INVALID,
                          "The host of a service is written in letters, digits, '-', '_' "
                          "and '.' (a name of another alphabet in its xn-- form)");
    }
    memcpy(out->lookup, out->host, len + 1);
    /* One form for the entry, the Host field and the certificate: an entry that curl does not find
     * by its name would send it to its own resolver. */
    if (out->host[len - 1] == '.') {
        out->host[len - 1] = '\0';
    }
    return curl_url_set(url, CURLUPART_HOST, out->host, 0) == CURLUE_OK ? CX_OK : CX_NO_MEMORY;
}

bool loop__peer_is_loopback(const struct loop__peer *peer)
{
    struct in_addr four;
    if (inet_pton(AF_INET, peer->host, &four) == 1) {
        return (ntohl(four.s_addr) >> 24) == 127;
    }
    const size_t len = strlen(peer->host);
    static const char suffix[] = ".localhost";
    const size_t tail = sizeof(suffix) - 1;
    return strcmp(peer->host, "localhost") == 0 || strcmp(peer->host, "[::1]") == 0 ||
           (len > tail && strcmp(peer->host + len - tail, suffix) == 0);
}
