/* SPDX-License-Identifier: MIT
 *
 * The order in which requests are judged and what each refusal looks like; what an answer carries;
 * negotiation; the rate limit; counters.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "cortex/metrics.h"
#include "live_env.h"
#include "test.h"

#define HOST "Host: localhost\r\n"
#define ALL "Authorization: Bearer all-token\r\n"
#define STATE "Authorization: Bearer state-token\r\n"
#define JSON "Content-Type: application/json\r\n"

struct ask {
    const char *request;
    int status;
    const char *has[4];
    const char *lacks;
};

/* Each on a connection of its own. */
static void expect_answers(struct env *e, const struct ask *asks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct client c;
        client_open(e, &c);
        const int status = client_ask(e, &c, asks[i].request);
        test_expect(status == asks[i].status, __FILE__, __LINE__, "%zu \"%.60s\": got %d, want %d",
                    i, asks[i].request, status, asks[i].status);
        for (size_t n = 0; n < CX_ARRAY_LEN(asks[i].has) && asks[i].has[n] != NULL; n++) {
            test_expect(client_has(&c, asks[i].has[n]), __FILE__, __LINE__, "%zu: no \"%s\" in\n%s",
                        i, asks[i].has[n], c.got.data);
        }
        if (asks[i].lacks != NULL) {
            test_expect(!client_has(&c, asks[i].lacks), __FILE__, __LINE__, "%zu: \"%s\" in\n%s", i,
                        asks[i].lacks, c.got.data);
        }
        client_close(e, &c);
    }
}

TEST(judge_order)
{
    /* Each request is wrong in everything that comes later too. */
    static const struct ask asks[] = {
        { "POST /v1/x HTTP/1.1\r\nHost: evil\r\nOrigin: http://evil\r\nContent-Length: +1\r\n\r\n",
          400,
          { "\"reason\":\"bad_request\"", "Connection: close" },
          NULL },
        { "POST /%zz HTTP/1.1\r\nHost: evil\r\n\r\n", 400, { "bad_request" }, NULL },
        { "POST /echo?a=%00 HTTP/1.1\r\n" HOST "\r\n", 400, { "bad_request" }, NULL },
        { "PUT /nothing HTTP/1.1\r\nHost: evil\r\nOrigin: http://evil.example\r\n\r\n",
          421,
          { "\"reason\":\"misdirected\"" },
          NULL },
        { "PUT /nothing HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n",
          403,
          { "\"reason\":\"forbidden_origin\"" },
          "Access-Control" },
        { "PUT /nothing HTTP/1.1\r\n" HOST "\r\n", 404, { "\"reason\":\"not_found\"" }, NULL },
        { "PUT /secret HTTP/1.1\r\n" HOST "\r\n",
          405,
          { "\r\nAllow: GET, HEAD, OPTIONS\r\n", "\"reason\":\"method_not_allowed\"" },
          NULL },
        { "GET /secret HTTP/1.1\r\n" HOST "\r\n",
          401,
          { "\r\nWWW-Authenticate: Bearer\r\n", "\"detail\":\"Missing bearer token\"",
            "\"reason\":\"unauthorized\"" },
          NULL },
        { "GET /secret HTTP/1.1\r\n" HOST "Authorization: Bearer x\r\n\r\n",
          401,
          { "\"detail\":\"Invalid token\"", "WWW-Authenticate: Bearer" },
          NULL },
        { "GET /secret HTTP/1.1\r\n" HOST "Authorization: Basic all-token\r\n\r\n",
          401,
          { "Invalid token" },
          NULL },
        { "GET /secret HTTP/1.1\r\n" HOST "Authorization: Bearer old-token\r\n\r\n",
          401,
          { "\"detail\":\"Token expired\"", "WWW-Authenticate: Bearer" },
          NULL },
        { "GET /secret HTTP/1.1\r\n" HOST STATE "\r\n",
          403,
          { "\"detail\":\"Insufficient scope: requires 'vector'\"", "insufficient_scope" },
          NULL },
        { "GET /secret HTTP/1.1\r\n" HOST ALL "\r\n", 200, { "\"token\":\"all\"" }, NULL },
        { "GET /secret?token=all-token HTTP/1.1\r\n" HOST "\r\n",
          200,
          { "\"token\":\"all\"" },
          NULL },
        { "GET /secret?token=%61ll-token HTTP/1.1\r\n" HOST "\r\n", 200, { "all" }, NULL },
        /* The header wins. */
        { "GET /secret?token=all-token HTTP/1.1\r\n" HOST STATE "\r\n", 403, { "vector" }, NULL },
        { "POST /echo HTTP/1.1\r\n" HOST "\r\n", 411, { "\"reason\":\"length_required\"" }, NULL },
        { "POST /echo HTTP/1.1\r\n" HOST
          "Content-Type: text/plain\r\nContent-Length: 1048577\r\n\r\n",
          413,
          { "\"reason\":\"too_large\"", "Connection: close" },
          NULL },
        { "POST /echo HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
          415,
          { "\"reason\":\"unsupported_media_type\"" },
          "Connection: close" },
        { "POST /echo HTTP/1.1\r\n" HOST
          "Content-Type: application/x-ndjson\r\nContent-Length: 1\r\n\r\nx",
          415,
          { NULL },
          NULL },
        { "POST /lines HTTP/1.1\r\n" HOST
          "Content-Type: application/x-ndjson\r\nContent-Length: 1\r\n\r\n1",
          200,
          { "\r\nTransfer-Encoding: chunked\r\n" },
          NULL },
        { "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1", 200, { "\r\n\r\n1" }, NULL },
        { "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 0\r\n\r\n", 200, { NULL }, NULL },
        { "POST /maybe HTTP/1.1\r\n" HOST "\r\n", 200, { "Content-Length: 0" }, NULL },
        { "POST /maybe HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}", 200, { "{}" }, NULL },
        { "POST /maybe HTTP/1.1\r\n" HOST JSON "Content-Length: 65\r\n\r\n", 413, { NULL }, NULL },
        /* A body where none is taken is read off. */
        { "GET /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 200, { "now" }, NULL },
        { "GET /now HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", 413, { NULL }, NULL },
    };
    struct env e;
    env_open(&e);
    env_start(&e);
    expect_answers(&e, asks, CX_ARRAY_LEN(asks));
    env_close(&e);
}

TEST(judge_openai_shape)
{
    static const struct ask asks[] = {
        { "POST /v1/x HTTP/1.1\r\nHost: evil\r\n\r\n",
          421,
          { "{\"error\":{\"message\":", "misdirected" },
          "problem+json" },
        { "POST /v1/x HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n",
          403,
          { "{\"error\":{" },
          NULL },
        { "POST /v1/nothing HTTP/1.1\r\n" HOST "\r\n", 404, { "{\"error\":{" }, NULL },
        { "GET /v1/x HTTP/1.1\r\n" HOST "\r\n",
          405,
          { "{\"error\":{", "Allow: POST, OPTIONS" },
          NULL },
        { "POST /v1/x HTTP/1.1\r\n" HOST "\r\n",
          401,
          { "{\"error\":{\"message\":\"Missing bearer token\",\"type\":\"authentication_error\"" },
          NULL },
        { "POST /v1/x HTTP/1.1\r\n" HOST STATE "\r\n", 403, { "permission_error" }, NULL },
        { "POST /v1/x HTTP/1.1\r\n" HOST ALL "\r\n", 411, { "invalid_request_error" }, NULL },
    };
    struct env e;
    env_open(&e);
    env_start(&e);
    expect_answers(&e, asks, CX_ARRAY_LEN(asks));
    env_close(&e);
}

TEST(judge_options_and_cors)
{
    static const struct ask asks[] = {
        { "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 204, { "Allow: GET" }, "Content-Length" },
        { "OPTIONS /item/1 HTTP/1.1\r\n" HOST "\r\n",
          204,
          { "Allow: GET, HEAD, DELETE, OPTIONS" },
          "Access-Control" },
        { "OPTIONS /nothing HTTP/1.1\r\n" HOST "\r\n", 404, { NULL }, NULL },
        { "OPTIONS /item/1 HTTP/1.1\r\n" HOST
          "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: DELETE\r\n"
          "Access-Control-Request-Headers: authorization,x-y\r\n\r\n",
          204,
          { "\r\nAccess-Control-Allow-Origin: http://localhost:3000\r\n",
            "\r\nAccess-Control-Allow-Methods: GET, HEAD, DELETE, OPTIONS\r\n",
            "\r\nAccess-Control-Allow-Headers: authorization,x-y\r\n", "\r\nVary: Origin\r\n" },
          NULL },
        { "OPTIONS /item/1 HTTP/1.1\r\n" HOST
          "Origin: http://evil.example\r\nAccess-Control-Request-Method: DELETE\r\n\r\n",
          403,
          { NULL },
          "Access-Control" },
        { "GET /item/1 HTTP/1.1\r\n" HOST "Origin: https://app.example\r\n\r\n",
          200,
          { "\r\nAccess-Control-Allow-Origin: https://app.example\r\n",
            "\r\nAccess-Control-Expose-Headers: X-Correlation-ID, X-Request-ID, ETag",
            "\r\nVary: Origin\r\n" },
          NULL },
        { "GET /nothing HTTP/1.1\r\n" HOST "Origin: https://app.example\r\n\r\n",
          404,
          { "\r\nAccess-Control-Allow-Origin: https://app.example\r\n" },
          NULL },
        { "GET /item/1 HTTP/1.1\r\nHost: memory.example\r\nOrigin: http://memory.example\r\n\r\n",
          200,
          { "Access-Control-Allow-Origin" },
          NULL },
        { "GET /item/1 HTTP/1.1\r\nHost: memory.example:99999\r\n\r\n", 421, { NULL }, NULL },
        { "GET /item/1 HTTP/1.0\r\n\r\n", 200, { NULL }, NULL },
        { "GET http://memory.example/item/1 HTTP/1.1\r\nHost: memory.example\r\n\r\n",
          200,
          { NULL },
          NULL },
        { "GET http://evil/item/1 HTTP/1.1\r\nHost: evil\r\n\r\n", 421, { NULL }, NULL },
    };
    static const char *const names[] = { "memory.example", NULL };
    static const char *const origins[] = { "https://app.example", NULL };
    struct env e;
    env_open(&e);
    e.options.server_names = names;
    e.options.allowed_origins = origins;
    env_start(&e);
    expect_answers(&e, asks, CX_ARRAY_LEN(asks));
    env_close(&e);
}

TEST(answer_ids)
{
    static const struct ask asks[] = {
        { "GET /now HTTP/1.1\r\n" HOST "X-Correlation-ID: my id~1\r\n\r\n",
          200,
          { "\r\nX-Correlation-ID: my id~1\r\n" },
          NULL },
        { "GET /nothing HTTP/1.1\r\n" HOST "X-Correlation-ID: my-id\r\n\r\n",
          404,
          { "\r\nX-Correlation-ID: my-id\r\n", "\"correlation_id\":\"my-id\"" },
          NULL },
        { "GET /now HTTP/1.1\r\n" HOST "X-Correlation-ID: caf\xc3\xa9\r\n\r\n",
          200,
          { "\r\nX-Correlation-ID: " },
          "caf\xc3" },
        { "BAD\r\n\r\n",
          400,
          { "\r\nX-Correlation-ID: ", "\r\nX-Request-ID: ", "\"correlation_id\":\"",
            "\r\nContent-Type: application/problem+json\r\n" },
          NULL },
    };
    struct env e;
    env_open(&e);
    env_start(&e);
    expect_answers(&e, asks, CX_ARRAY_LEN(asks));
    struct client c;
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, "GET /now HTTP/1.1\r\n" HOST "\r\n"), 200);
    const char *id = strstr(c.got.data, "\r\nX-Request-ID: ");
    REQUIRE(id != NULL);
    EXPECT_INT(strspn(id + 16, "0123456789abcdef"), 8);
    EXPECT_INT(id[24], '\r');
    const char *correlation = strstr(c.got.data, "\r\nX-Correlation-ID: ");
    REQUIRE(correlation != NULL);
    EXPECT_INT(strspn(correlation + 20, "0123456789abcdef-"), 36);
    env_close(&e);
}

TEST(answer_inputs_are_decoded)
{
    static const struct ask asks[] = {
        { "GET /item/a%2Fb%20c?q=1+2%2B&q=3 HTTP/1.1\r\n" HOST "X-H: 1\r\nx-h: 2\r\n\r\n",
          200,
          { "\"id\":\"a/b c\"", "\"q\":\"1 2+\"", "\"h\":\"1, 2\"" },
          NULL },
        { "GET /item/x?Q=1 HTTP/1.1\r\n" HOST "\r\n", 200, { "\"q\":null" }, NULL },
        { "GET /item/caf%c3%a9 HTTP/1.1\r\n" HOST "\r\n", 200, { "caf\xc3\xa9" }, NULL },
        { "GET /item/%ff HTTP/1.1\r\n" HOST "\r\n", 400, { NULL }, NULL },
        { "GET /item/ HTTP/1.1\r\n" HOST "\r\n", 404, { NULL }, NULL },
        { "DELETE /item/x HTTP/1.1\r\n" HOST "\r\n", 204, { "X-Request-ID" }, "Content-Length" },
    };
    struct env e;
    env_open(&e);
    env_start(&e);
    expect_answers(&e, asks, CX_ARRAY_LEN(asks));
    env_close(&e);
}

TEST(answer_conditional)
{
    static const struct ask asks[] = {
        { "GET /tagged HTTP/1.1\r\n" HOST "\r\n",
          200,
          { "\r\nETag: W/\"v1\"\r\n", "\r\nCache-Control: private, max-age=5\r\n",
            "\r\nX-Extra: 1\r\n" },
          "Set-Cookie" },
        { "GET /tagged HTTP/1.1\r\n" HOST "If-None-Match: \"v1\"\r\n\r\n",
          304,
          { "\r\nETag: W/\"v1\"\r\n", "\r\nCache-Control: private, max-age=5\r\n" },
          "Content-Length" },
        { "GET /tagged HTTP/1.1\r\n" HOST
          "If-None-Match: \"v0\"\r\nIf-None-Match: W/\"v1\"\r\n\r\n",
          304,
          { NULL },
          "tagged\n" },
        { "HEAD /tagged HTTP/1.1\r\n" HOST "If-None-Match: *\r\n\r\n", 304, { NULL }, NULL },
        { "GET /tagged HTTP/1.1\r\n" HOST "If-None-Match: \"v2\"\r\n\r\n",
          200,
          { "tagged" },
          NULL },
    };
    struct env e;
    env_open(&e);
    env_start(&e);
    expect_answers(&e, asks, CX_ARRAY_LEN(asks));
    env_close(&e);
}

TEST(answer_failures)
{
    static const struct ask asks[] = {
        { "GET /fail?status=CONFLICT HTTP/1.1\r\n" HOST "\r\n",
          409,
          { "\"detail\":\"said so 5\"" },
          NULL },
        { "GET /fail?status=INTERNAL HTTP/1.1\r\n" HOST "\r\n",
          500,
          { "\"detail\":\"Internal error\"" },
          "said so" },
        { "GET /fail?status=IO_ERROR HTTP/1.1\r\n" HOST "\r\n",
          500,
          { "\"reason\":\"internal\"" },
          "said so" },
        { "GET /fail?status=SHUTTING_DOWN HTTP/1.1\r\n" HOST "\r\n",
          503,
          { "Retry-After: 1" },
          NULL },
        { "GET /fail?status=STORAGE_FULL HTTP/1.1\r\n" HOST "\r\n",
          507,
          { "insufficient_storage" },
          NULL },
        { "GET /faults HTTP/1.1\r\n" HOST "\r\n",
          422,
          { "\"detail\":\"top_k must be between 1 and 100\"",
            "\"errors\":[{\"loc\":[\"body\",\"top_k\"],\"msg\":\"must be between 1 and "
            "100\",\"type\":"
            "\"range\"}]" },
          NULL },
    };
    struct env e;
    env_open(&e);
    env_start(&e);
    expect_answers(&e, asks, CX_ARRAY_LEN(asks));
    env_close(&e);
}

/* The body of what came, unpacked; its length, or -1. */
static long unzip(const struct client *c, char *out, size_t cap)
{
    const char *body = client_body(c);
    z_stream z = { .next_in = (unsigned char *)body,
                   .avail_in = (unsigned)(c->got.len - (size_t)(body - c->got.data)),
                   .next_out = (unsigned char *)out,
                   .avail_out = (unsigned)cap };
    if (inflateInit2(&z, 15 + 16) != Z_OK) {
        return -1;
    }
    const int end = inflate(&z, Z_FINISH);
    const long len = (long)z.total_out;
    (void)inflateEnd(&z);
    return end == Z_STREAM_END ? len : -1;
}

TEST(answer_gzip)
{
    static char plain[300000];
    static const size_t sizes[] = { 1024, 8192, 8193, 200000 };
    struct env e;
    struct client c;
    env_open(&e);
    env_start(&e);
    client_open(&e, &c);
    for (size_t i = 0; i < CX_ARRAY_LEN(sizes); i++) {
        for (int owned = 0; owned < 2; owned++) {
            char path[64];
            snprintf(path, sizeof path, "/bytes?n=%zu%s", sizes[i], owned == 1 ? "&owned=1" : "");
            EXPECT_INT(client_ask(&e, &c, get(path, "Accept-Encoding: br, gzip;q=0.9\r\n")), 200);
            EXPECT(client_has(&c, "\r\nContent-Encoding: gzip\r\n"));
            EXPECT(client_has(&c, "\r\nVary: Accept-Encoding\r\n"));
            EXPECT_INT(unzip(&c, plain, sizeof plain), sizes[i]);
            EXPECT(plain[0] == 'a' && plain[sizes[i] - 1] == (char)('a' + (sizes[i] - 1) % 26));
            /* HEAD tells the same length. */
            const char *length = strstr(c.got.data, "Content-Length: ");
            char want[64];
            snprintf(want, sizeof want, "%.*s", (int)strcspn(length, "\r"), length);
            char head[256];
            snprintf(head, sizeof head, "HEAD %s HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n\r\n",
                     path);
            EXPECT_INT(client_ask(&e, &c, head), 200);
            test_expect(client_has(&c, want), __FILE__, __LINE__, "%s: not %s in %s", path, want,
                        c.got.data);
        }
    }
    EXPECT_INT(client_ask(&e, &c, get("/bytes?n=1023", "Accept-Encoding: gzip\r\n")), 200);
    EXPECT(!client_has(&c, "gzip") && !client_has(&c, "Vary"));
    EXPECT_INT(client_ask(&e, &c, get("/bytes?n=5000", "Accept-Encoding: gzip;q=0\r\n")), 200);
    EXPECT(!client_has(&c, "gzip") && client_has(&c, "\r\nVary: Accept-Encoding\r\n"));
    EXPECT_INT(client_ask(&e, &c, get("/bytes?n=200000", "")), 200);
    EXPECT_INT(strlen(client_body(&c)), 200000);
    env_close(&e);
}

TEST(answer_gzip_yields_to_a_full_lane)
{
    struct env e;
    struct client workers[3];
    struct client c;
    env_open(&e);
    e.hold_work = true;
    env_start(&e);
    for (int i = 0; i < 3; i++) {
        client_open(&e, &workers[i]);
        client_send(&e, &workers[i], get("/work", ""));
        ENV_UNTIL(&e, e.works == (unsigned)i + 1);
    }
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, get("/bytes?n=100000", "Accept-Encoding: gzip\r\n")), 200);
    EXPECT(!client_has(&c, "Content-Encoding"));
    EXPECT_INT(strlen(client_body(&c)), 100000);
    EXPECT_INT(client_ask(&e, &c, get("/bytes?n=100000&owned=1", "Accept-Encoding: gzip\r\n")),
               200);
    EXPECT_INT(strlen(client_body(&c)), 100000);
    env_close(&e);
}

TEST(answer_gzip_for_a_client_that_leaves)
{
    struct env e;
    struct client worker;
    struct client c;
    env_open(&e);
    e.hold_work = true;
    env_start(&e);
    client_open(&e, &worker);
    client_send(&e, &worker, get("/work", ""));
    ENV_UNTIL(&e, e.works == 1);
    client_open(&e, &c);
    client_send(&e, &c, get("/bytes?n=100000", "Accept-Encoding: gzip\r\n"));
    ENV_UNTIL(&e, cx_lane_waiting(e.lane) == 1);
    client_reset(&e, &c);
    ENV_UNTIL(&e, cx_http_exchanges(e.http) == 1);
    env_close(&e);
}

/* ---- The rate limit -------------------------------------------------------------------------- */

TEST(rate_is_limited_by_token_or_address)
{
    static const char *const proxies[] = { "127.0.0.1", "10.0.0.1", NULL };
    struct env e;
    struct client c;
    env_open(&e);
    e.options.rate = (struct cx_http_rate){ .per_second = 0.001, .burst = 2, .buckets_max = 100 };
    e.options.trusted_proxies = proxies;
    env_start(&e);
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, get("/limited", "")), 200);
    EXPECT(client_has(&c, "\r\nX-RateLimit-Limit: 2\r\n"));
    EXPECT(client_has(&c, "\r\nX-RateLimit-Remaining: 1\r\n"));
    EXPECT(client_has(&c, "\r\nX-RateLimit-Reset: "));
    EXPECT_INT(client_ask(&e, &c, get("/limited", "")), 200);
    EXPECT_INT(client_ask(&e, &c, get("/limited", "")), 429);
    EXPECT(client_has(&c, "\r\nRetry-After: 1000\r\n") ||
           client_has(&c, "\r\nRetry-After: 99")); /* some seconds later */
    EXPECT(client_has(&c, "\"reason\":\"rate_limited\""));
    EXPECT(client_has(&c, "\r\nX-RateLimit-Remaining: 0\r\n"));
    /* Not limited, and without these headers. */
    EXPECT_INT(client_ask(&e, &c, get("/now", "")), 200);
    EXPECT(!client_has(&c, "X-RateLimit"));
    /* A token has its own bucket, whatever the address. */
    EXPECT_INT(client_ask(&e, &c, get("/limited/secret", ALL)), 200);
    EXPECT_INT(client_ask(&e, &c, get("/limited/secret", ALL)), 200);
    EXPECT_INT(client_ask(&e, &c, get("/limited/secret", ALL)), 429);
    /* 401 comes before 429. */
    EXPECT_INT(client_ask(&e, &c, get("/limited/secret", "")), 401);
    /* We are a trusted proxy here: the address it names counts, read from the right, past trusted
     * ones. */
    EXPECT_INT(client_ask(&e, &c, get("/limited", "X-Forwarded-For: 1.2.3.4\r\n")), 200);
    EXPECT_INT(client_ask(&e, &c, get("/limited", "X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n")), 200);
    EXPECT_INT(client_ask(&e, &c,
                          get("/limited", "X-Forwarded-For: 7.7.7.7\r\n"
                                          "X-Forwarded-For: 1.2.3.4, 10.0.0.1\r\n")),
               429);
    /* Of an IPv6 address the network counts. */
    EXPECT_INT(client_ask(&e, &c, get("/limited", "X-Forwarded-For: 2001:db8:1:1::1\r\n")), 200);
    EXPECT_INT(client_ask(&e, &c, get("/limited", "X-Forwarded-For: 2001:db8:1:1::2\r\n")), 200);
    EXPECT_INT(client_ask(&e, &c, get("/limited", "X-Forwarded-For: 2001:db8:1:1::3\r\n")), 429);
    EXPECT_INT(client_ask(&e, &c, get("/limited", "X-Forwarded-For: 2001:db8:1:2::1\r\n")), 200);
    /* Garbage falls back to the peer, which has used its share. */
    EXPECT_INT(client_ask(&e, &c, get("/limited", "X-Forwarded-For: garbage\r\n")), 429);
    env_close(&e);
}

TEST(rate_does_not_believe_strangers)
{
    struct env e;
    struct client c;
    env_open(&e);
    e.options.rate = (struct cx_http_rate){ .per_second = 0.001, .burst = 1, .buckets_max = 100 };
    env_start(&e);
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, get("/limited", "X-Forwarded-For: 1.1.1.1\r\n")), 200);
    EXPECT_INT(client_ask(&e, &c, get("/limited", "X-Forwarded-For: 2.2.2.2\r\n")), 429);
    const struct cx_http_rate off = { .per_second = 0 };
    cx_http_set_rate(e.http, &off);
    EXPECT_INT(client_ask(&e, &c, get("/limited", "")), 200);
    EXPECT(!client_has(&c, "X-RateLimit"));
    env_close(&e);
}

/* ---- Options and tokens ---------------------------------------------------------------------- */

TEST(options_are_checked)
{
    static const char *const proxies[] = { "not an address", NULL };
    struct cx_loop *loop = NULL;
    struct cx_http *http = NULL;
    struct cx_err err;
    REQUIRE(cx_loop_new(4, &loop, &err) == CX_OK);
    struct cx_http_options options = { .trusted_proxies = proxies };
    EXPECT_INT(cx_http_new(loop, &options, NULL, 0, &http, &err), CX_INVALID);
    EXPECT(strstr(err.text, "not an address") != NULL);
    options.trusted_proxies = NULL;
    REQUIRE(cx_http_new(loop, &options, NULL, 0, &http, &err) == CX_OK);
    static const char *const wrong[] = { "",           "localhost:1",     "127.0.0.1",
                                         "127.0.0.1:", "127.0.0.1:65536", "[::1:80",
                                         "::1:80",     "300.0.0.1:80",    "[127.0.0.1]:80" };
    int port = 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(wrong); i++) {
        test_expect(cx_http_listen(http, wrong[i], &port, &err) == CX_INVALID, __FILE__, __LINE__,
                    "%s", wrong[i]);
    }
    /* An address in use leaves nothing behind. */
    const int taken = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t name_len = sizeof name;
    REQUIRE(bind(taken, (struct sockaddr *)&name, sizeof name) == 0 && listen(taken, 1) == 0);
    REQUIRE(getsockname(taken, (struct sockaddr *)&name, &name_len) == 0);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(name.sin_port));
    EXPECT_INT(cx_http_listen(http, address, &port, &err), CX_CONFLICT);
    EXPECT(strstr(err.text, address) != NULL);
    (void)close(taken);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    EXPECT_INT(cx_http_listen_fd(http, ends[0], &err), CX_INVALID); /* takes it over all the same */
    (void)close(ends[1]);
    cx_http_free(&http);
    EXPECT(http == NULL);
    cx_loop_free(&loop);
}

TEST(tokens_may_be_replaced_while_serving)
{
    struct env e;
    struct client c;
    env_open(&e);
    env_start(&e);
    client_open(&e, &c);
    EXPECT_INT(client_ask(&e, &c, get("/secret", ALL)), 200);
    struct cx_tokens *none = NULL;
    cx_tokens_new(&none);
    cx_http_set_tokens(e.http, none);
    EXPECT_INT(client_ask(&e, &c, get("/secret", ALL)), 401);
    env_close(&e);
}

TEST(metrics_name_templates_not_paths)
{
    struct cx_series *item =
        cx_metrics_series(CX_M_HTTP_REQUESTS, "route=\"/item/{id}\",method=\"GET\",status=\"200\"");
    struct cx_series *other =
        cx_metrics_series(CX_M_HTTP_REQUESTS, "route=\"other\",method=\"GET\",status=\"404\"");
    const double items = cx_series_value(item);
    const double others = cx_series_value(other);
    struct env e;
    struct client c;
    env_open(&e);
    env_start(&e);
    client_open(&e, &c);
    (void)client_ask(&e, &c, get("/item/1", ""));
    (void)client_ask(&e, &c, get("/item/2", ""));
    (void)client_ask(&e, &c, get("/no/such/1", ""));
    (void)client_ask(&e, &c, get("/no/such/2", ""));
    EXPECT_INT(cx_series_value(item) - items, 2);
    EXPECT_INT(cx_series_value(other) - others, 2);
    env_close(&e);
    struct cx_buf text;
    cx_buf_init(&text, (size_t)4 * 1024 * 1024);
    cx_metrics_write(&text);
    EXPECT(strstr(text.data, "/no/such") == NULL);
    EXPECT(strstr(text.data, "cortex_http_request_seconds_bucket{route=\"/item/{id}\",le=") !=
           NULL);
    cx_buf_free(&text);
}
