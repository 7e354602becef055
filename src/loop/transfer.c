/* SPDX-License-Identifier: MIT
 *
 * One curl easy handle: what it may do, where its bytes go, and what its end means. Owns the easy
 * handle and what has come of the response. Loop thread only; curl's callbacks here never call
 * anybody else.
 */
#include "fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#define HEADERS_MAX (64 * 1024)
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 15
#define TURN_BYTES ((size_t)256 * 1024) /* some 0.3 ms, first touch of their memory included */
#define RESOLVE_BYTES (LOOP__HOST_BYTES + 8 + LOOP__ADDRESSES_BYTES)

static CURLcode set_fixed(CURL *easy);
static CURLcode set_request(CURL *easy, const struct loop__request *request);
static CURLcode set_route(struct loop__transfer *t, const struct loop__request *request,
                          const struct loop__transfer_options *options,
                          const struct loop__peer *via, const char *addresses);
static CURLcode set_addresses(struct loop__transfer *t, const struct loop__peer *via,
                              const char *addresses);
static CURLcode set_sinks(struct loop__transfer *t, void *ctx);
static size_t on_header(char *data, size_t size, size_t count, void *ctx);
static size_t on_body(char *data, size_t size, size_t count, void *ctx);
static bool is_paced(const struct loop__transfer *t);
static void on_resumption(void *ctx);
static void on_renewal(void *ctx);
static int on_resolver_start(void *resolver, void *reserved, void *ctx);
static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address);
static enum cx_fetch_outcome outcome_of(const struct loop__transfer *t, CURLcode code);
static void write_reason(const struct loop__transfer *t, CURLcode code,
                         struct cx_fetch_response *out);
static bool names_host(const char *text, const char *host);
static bool wants_body(const struct loop__request *request);

enum cx_status loop__transfer_new(struct loop__transfer *t, const struct loop__request *request,
                                  const struct loop__transfer_options *options,
                                  const struct loop__peer *via, const char *addresses, void *ctx)
{
    *t = (struct loop__transfer){ .request = request,
                                  .easy = curl_easy_init(),
                                  .turn = options->turn,
                                  .resumption = { .run = on_resumption, .ctx = t } };
    cx_buf_init(&t->headers, HEADERS_MAX);
    cx_buf_init(&t->body, request->response_max_bytes);
    CURLcode code = t->easy != NULL ? set_fixed(t->easy) : CURLE_OUT_OF_MEMORY;
    if (code == CURLE_OK) {
        code = set_request(t->easy, request);
    }
    if (code == CURLE_OK) {
        code = set_route(t, request, options, via, addresses);
    }
    if (code == CURLE_OK) {
        code = set_sinks(t, ctx);
    }
    if (code == CURLE_OK) {
        return CX_OK;
    }
    loop__transfer_free(t);
    CX_CHECK(code == CURLE_OUT_OF_MEMORY); /* this libcurl knows all that we set */
    return CX_NO_MEMORY;
}

void *loop__transfer_ctx(CURL *easy)
{
    char *ctx = NULL;
    CX_CHECK(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &ctx) == CURLE_OK);
    return ctx;
}

void loop__transfer_close(struct loop__transfer *t)
{
    loop__defer_cancel(&t->resumption);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
    if (t->names != NULL) {
        CX_CHECK(curl_share_cleanup(t->names) == CURLSHE_OK);
        t->names = NULL;
    }
    curl_slist_free_all(t->resolve);
    t->resolve = NULL;
}

void loop__transfer_free(struct loop__transfer *t)
{
    loop__transfer_close(t);
    cx_buf_free(&t->headers);
    cx_buf_free(&t->body);
}

/* ---- What the handle may do ------------------------------------------------------------------ */

static const struct {
    CURLoption option;
    long value;
} fixed_options[] = {
    { CURLOPT_NOSIGNAL, 1 },
    { CURLOPT_QUICK_EXIT, 1 }, /* should a resolver thread ever be there: do not wait for it */
    { CURLOPT_FOLLOWLOCATION, 0 },
    { CURLOPT_HTTP09_ALLOWED, 0 },
    { CURLOPT_TCP_NODELAY, 1 },
    { CURLOPT_TCP_KEEPALIVE, 1 },
    { CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
    { CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
    { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
    { CURLOPT_UPLOAD_BUFFERSIZE, 16 * 1024 },
    { CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
    { CURLOPT_CA_CACHE_TIMEOUT, -1 }, /* else read again, on the loop, once a day */
};

static CURLcode set_fixed(CURL *easy)
{
    CURLcode code = CURLE_OK;
    for (size_t i = 0; i < CX_ARRAY_LEN(fixed_options) && code == CURLE_OK; i++) {
        code = curl_easy_setopt(easy, fixed_options[i].option, fixed_options[i].value);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    }
    /* Debian's curl names a folder of certificates, and does not cache its store while there is
     * one: every new connection would block the loop for some 20 ms. */
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
    }
    return code;
}

static CURLcode set_request(CURL *easy, const struct loop__request *request)
{
    const bool head = strcmp(request->method, "HEAD") == 0;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_CURLU, request->url);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
    }
    if (code == CURLE_OK && request->http2) {
        code = curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
        if (code == CURLE_OK) {
            /* Rather wait until it is clear that a connection can be shared than open one each. */
            code = curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
        }
    } else if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    }
    if (code == CURLE_OK && request->connect_timeout_ms > 0) {
        const uint64_t ms =
            request->connect_timeout_ms < INT32_MAX ? request->connect_timeout_ms : INT32_MAX;
        code = curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)ms);
    }
    if (code == CURLE_OK && !head && request->response_max_bytes > 0) {
        const uint64_t max =
            request->response_max_bytes < INT64_MAX ? request->response_max_bytes : INT64_MAX;
        code = curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)max);
    }
    if (code == CURLE_OK && head) {
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    /* POST is what makes curl send a body; the word that is sent comes after it. */
    if (code == CURLE_OK && wants_body(request)) {
        code = curl_easy_setopt(easy, CURLOPT_POST, 1L);
        if (code == CURLE_OK) {
            code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                                    request->body != NULL ? request->body : "");
        }
        if (code == CURLE_OK) {
            code =
                curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        }
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
    return code;
}

/* These methods say how long their body is even when there is none (RFC 9110 8.6). */
static bool wants_body(const struct loop__request *request)
{
    return request->has_body || strcmp(request->method, "POST") == 0 ||
           strcmp(request->method, "PUT") == 0 || strcmp(request->method, "PATCH") == 0;
}

/* An empty proxy and an explicit list keep curl from reading http_proxy, ALL_PROXY and no_proxy. */
static CURLcode set_route(struct loop__transfer *t, const struct loop__request *request,
                          const struct loop__transfer_options *options,
                          const struct loop__peer *via, const char *addresses)
{
    const bool proxied = via != &request->peer;
    CURLcode code = curl_easy_setopt(t->easy, CURLOPT_PROXY, proxied ? options->proxy : "");
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_NOPROXY, proxied ? "" : "*");
    }
    if (code == CURLE_OK && options->user_agent != NULL) {
        code = curl_easy_setopt(t->easy, CURLOPT_USERAGENT, options->user_agent);
    }
    if (code == CURLE_OK && options->ca_file != NULL) {
        code = curl_easy_setopt(t->easy, CURLOPT_CAINFO, options->ca_file);
        if (code == CURLE_OK) {
            code = curl_easy_setopt(t->easy, CURLOPT_PROXY_CAINFO, options->ca_file);
        }
    }
    if (code == CURLE_OK && request->unix_socket != NULL) {
        code = curl_easy_setopt(t->easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    }
    t->resolves = via->lookup[0] == '\0';
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_RESOLVER_START_FUNCTION, on_resolver_start);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_RESOLVER_START_DATA, t);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    }
    if (code == CURLE_OK && addresses != NULL) {
        code = set_addresses(t, via, addresses);
    }
    return code;
}

/* An entry without '+' never expires; one that did would send curl to its own resolver, which
 * blocks the loop. So that they do not pile up in the multi, each transfer has a table of its
 * own. */
static CURLcode set_addresses(struct loop__transfer *t, const struct loop__peer *via,
                              const char *addresses)
{
    char entry[RESOLVE_BYTES];
    (void)snprintf(entry, sizeof(entry), "%s:%u:%s", via->host, via->port, addresses);
    t->resolve = curl_slist_append(NULL, entry);
    t->names = curl_share_init();
    if (t->resolve == NULL || t->names == NULL ||
        curl_share_setopt(t->names, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK) {
        return CURLE_OUT_OF_MEMORY;
    }
    CURLcode code = curl_easy_setopt(t->easy, CURLOPT_SHARE, t->names);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->resolve);
    }
    return code;
}

static CURLcode set_sinks(struct loop__transfer *t, void *ctx)
{
    CURLcode code = curl_easy_setopt(t->easy, CURLOPT_PRIVATE, ctx);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    }
    return code;
}

/* ---- curl's callbacks, in the order in which they come --------------------------------------- */

/* Every name has its addresses before curl begins. Should one slip through, the call fails instead
 * of the loop standing still. */
static int on_resolver_start(void *resolver, void *reserved, void *ctx)
{
    (void)resolver;
    (void)reserved;
    const struct loop__transfer *t = ctx;
    return t->resolves ? 0 : 1;
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)ctx;
    (void)purpose;
    /* curl's own would be inherited by a child. */
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
    struct loop__transfer *t = ctx;
    const struct cx_str line = { data, size * count };
    const bool status_line = line.len >= 5 && memcmp(line.p, "HTTP/", 5) == 0;
    t->header_bytes += line.len;
    if (t->header_bytes > HEADERS_MAX) {
        t->too_large = true;
        return 0;
    }
    if (status_line) {
        cx_buf_clear(&t->headers);
        t->head_ended = false;
    }
    if (!t->head_ended) {
        cx_buf_put_str(&t->headers, line);
    }
    if (line.len > 0 && (line.p[0] == '\r' || line.p[0] == '\n')) {
        t->head_ended = true;
    }
    return t->headers.failed ? 0 : line.len;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct loop__transfer *t = ctx;
    const size_t len = size * count;
    if (t->turn->bytes >= TURN_BYTES && is_paced(t)) {
        loop__defer(t->turn->loop, &t->resumption);
        return CURL_WRITEFUNC_PAUSE; /* curl keeps these bytes and brings them again */
    }
    if (t->turn->bytes == 0) {
        loop__defer(t->turn->loop, &t->turn->renewal);
    }
    t->turn->bytes += len;
    cx_buf_append(&t->body, data, len);
    if (t->body.failed) {
        t->too_large = len > t->body.ceiling - t->body.len;
        return 0;
    }
    return len;
}

/* Pausing one stream of HTTP/2 could hold up the others of its connection, and what comes from far
 * away does not come so fast. */
static bool is_paced(const struct loop__transfer *t)
{
    long version = 0;
    return curl_easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version) == CURLE_OK &&
           version != CURL_HTTP_VERSION_2_0;
}

static void on_resumption(void *ctx)
{
    struct loop__transfer *t = ctx;
    /* Brings what was kept; should it fail, the transfer runs into its deadline. */
    (void)curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

void loop__turn_init(struct loop__turn *turn, struct cx_loop *loop)
{
    *turn = (struct loop__turn){ .loop = loop, .renewal = { .run = on_renewal, .ctx = turn } };
}

/* Put off with the first bytes of a turn, so that it runs before what was paused in it goes on. */
static void on_renewal(void *ctx)
{
    struct loop__turn *turn = ctx;
    turn->bytes = 0;
}

/* ---- What its end means ---------------------------------------------------------------------- */

void loop__transfer_outcome(const struct loop__transfer *t, CURLcode code,
                            struct cx_fetch_response *out)
{
    long status = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    out->outcome = outcome_of(t, code);
    if (out->outcome == CX_FETCH_OK) {
        out->status = (int)status;
        out->body = (struct cx_str){ t->body.data, t->body.len };
        out->headers = (struct cx_str){ t->headers.data, t->headers.len };
    } else {
        write_reason(t, code, out);
    }
}

static enum cx_fetch_outcome outcome_of(const struct loop__transfer *t, CURLcode code)
{
    long tunnel = 0;
    if (t->too_large) {
        return CX_FETCH_TOO_LARGE;
    }
    if (code == CURLE_RECV_ERROR &&
        curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel) == CURLE_OK &&
        tunnel >= 300) {
        return CX_FETCH_CONNECT; /* the proxy answered, and said no */
    }
    switch ((int)code) {
    case CURLE_OK:
        return CX_FETCH_OK;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return CX_FETCH_RESOLVE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
    case CURLE_OPERATION_TIMEDOUT: /* the only time limit that curl has is that of connecting */
        return CX_FETCH_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
        return CX_FETCH_TLS;
    case CURLE_FILESIZE_EXCEEDED:
        return CX_FETCH_TOO_LARGE;
    default:
        return CX_FETCH_BROKEN;
    }
}

/* curl's own words, and its detail or the system's, unless that names the host: an address is the
 * configuration's affair and may be a secret. What a peer has sent may be in the detail. */
static void write_reason(const struct loop__transfer *t, CURLcode code,
                         struct cx_fetch_response *out)
{
    if (out->outcome == CX_FETCH_TOO_LARGE) {
        (void)snprintf(out->reason, sizeof(out->reason), "%s",
                       t->header_bytes > HEADERS_MAX
                           ? "the head of the answer is larger than 64 KiB"
                           : "the answer is larger than it may be");
        return;
    }
    char system_text[128] = "";
    const char *detail = t->error;
    long number = 0;
    if (out->outcome == CX_FETCH_CONNECT || names_host(detail, t->request->peer.host)) {
        /* Of the checks of a certificate only that of its names speaks of the host. */
        detail = code == CURLE_PEER_FAILED_VERIFICATION ? "it is for another host" : "";
    }
    if (code == CURLE_COULDNT_CONNECT &&
        curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &number) == CURLE_OK && number > 0) {
        detail =
            uv_strerror_r(uv_translate_sys_error((int)number), system_text, sizeof(system_text));
    }
    (void)snprintf(out->reason, sizeof(out->reason), "%s%s%s", curl_easy_strerror(code),
                   detail[0] != '\0' ? ": " : "", detail);
    for (char *at = out->reason; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f) {
            *at = '?';
        }
    }
}

static bool names_host(const char *text, const char *host)
{
    char bare[LOOP__HOST_BYTES];
    const size_t skip = host[0] == '[' ? 1 : 0;
    (void)snprintf(bare, sizeof(bare), "%s", host + skip);
    bare[strcspn(bare, "]")] = '\0';
    return strcasestr(text, bare) != NULL;
}

uint64_t loop__transfer_connected_ms(const struct loop__transfer *t)
{
    curl_off_t sent_us = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
    return sent_us > 0 ? (uint64_t)sent_us / 1000 + 1 : 0;
}

const char *loop__transfer_phase(const struct loop__transfer *t)
{
    curl_off_t sent_us = 0;
    curl_off_t answered_us = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
    (void)curl_easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T, &answered_us);
    if (sent_us == 0) {
        return "connecting";
    }
    return answered_us == 0 ? "waiting for the answer" : "reading the answer";
}
