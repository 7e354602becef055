/* SPDX-License-Identifier: MIT
 *
 * The pure parts of the server: decoding, negotiation, Host and Origin, routes, tokens, the rate
 * limit, the bodies of refusals.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"
#include "http/auth.h"
#include "http/guard.h"
#include "http/http_internal.h"
#include "http/negotiate.h"
#include "http/ratelimit.h"
#include "http/router.h"
#include "http/text.h"
#include "http/url.h"
#include "test.h"

/* Each byte, at each place of texts around whole and broken eights. */
TEST(text_sees_a_control_byte_wherever_it_stands)
{
    char text[40];
    for (size_t len = 0; len <= 33; len++) {
        memset(text, 'a', sizeof text);
        memset(text + len, '\r', sizeof text - len); /* what follows does not count */
        bool right = !text__has_control((struct cx_str){ text, len });
        for (size_t at = 0; at < len; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                text[at] = (char)byte;
                const bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
                right = right && text__has_control((struct cx_str){ text, len }) == control;
            }
            text[at] = at % 2 == 0 ? '\t' : 'a';
        }
        test_expect(right, __FILE__, __LINE__, "%zu bytes", len);
    }
}

TEST(url_valid_is_strict)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        { "", true },        { "abc", true },        { "a%20b", true },        { "%41%5a", true },
        { "%2F", true },     { "%c3%a9", true },     { "%f0%9f%98%80", true }, { "%", false },
        { "a%", false },     { "a%2", false },       { "%zz", false },         { "%0", false },
        { "%00", false },    { "a%00b", false },     { "%c3", false },         { "%c3a", false },
        { "%c0%af", false }, { "%ed%a0%80", false }, { "%ff", false },         { "%a9", false },
        { "%u0041", false },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(cases); i++) {
        test_expect(url__valid(cx_str_of(cases[i].text)) == cases[i].valid, __FILE__, __LINE__,
                    "%s", cases[i].text);
    }
}

TEST(url_valid_sees_through_long_runs)
{
    /* Runs longer than the piece that is judged at once, of sequences of 2, 3 and 4 bytes, at all
     * alignments. */
    static const char *const sequences[] = { "%c3%a9", "%e2%82%ac", "%f0%9f%98%80" };
    for (size_t s = 0; s < CX_ARRAY_LEN(sequences); s++) {
        struct cx_buf text;
        cx_buf_init(&text, (size_t)1024 * 1024);
        for (size_t i = 0; i < 600; i++) {
            cx_buf_puts(&text, sequences[(s + (i % 7 == 3 ? 1 : 0)) % 3]);
        }
        EXPECT(url__valid((struct cx_str){ text.data, text.len }));
        EXPECT(!url__valid((struct cx_str){ text.data, text.len - 3 }));
        cx_buf_puts(&text, "%a9");
        EXPECT(!url__valid((struct cx_str){ text.data, text.len }));
        cx_buf_free(&text);
    }
    struct cx_buf stray;
    cx_buf_init(&stray, (size_t)1024 * 1024);
    for (size_t i = 0; i < 400; i++) {
        cx_buf_puts(&stray, "%a9");
    }
    EXPECT(!url__valid((struct cx_str){ stray.data, stray.len }));
    cx_buf_free(&stray);
}

TEST(url_decode_knows_plus_only_in_queries)
{
    char out[32];
    EXPECT_INT(url__decode(CX_STR("a%20b+c%2B"), true, out), 6);
    EXPECT_STR(out, "a b c+");
    EXPECT_INT(url__decode(CX_STR("a%2Fb+c"), false, out), 5);
    EXPECT_STR(out, "a/b+c");
}

TEST(url_pairs)
{
    struct cx_str rest = CX_STR("&a=1&&b&c=&=d&e=f=g");
    static const char *const want[][2] = {
        { "a", "1" }, { "b", "" }, { "c", "" }, { "", "d" }, { "e", "f=g" }
    };
    struct cx_str name;
    struct cx_str value;
    for (size_t i = 0; i < CX_ARRAY_LEN(want); i++) {
        REQUIRE(url__next_pair(&rest, &name, &value));
        EXPECT_BYTES(name.p, name.len, want[i][0], strlen(want[i][0]));
        EXPECT_BYTES(value.p, value.len, want[i][1], strlen(want[i][1]));
    }
    EXPECT(!url__next_pair(&rest, &name, &value));
}

TEST(negotiate_gzip_reads_qualities)
{
    static const struct {
        const char *value;
        bool gzip;
    } cases[] = {
        { "gzip", true },
        { "GZIP", true },
        { "x-gzip", true },
        { "deflate, gzip;q=0.5", true },
        { "gzip;q=0", false },
        { "gzip;q=0.0", false },
        { "gzip; q=0.001", true },
        { "gzip;q=1.5", false },
        { "gzip;q=", false },
        { "gzip;q=x", false },
        { "*", true },
        { "*;q=0", false },
        { "gzip;q=0, *", false },
        { "identity", false },
        { "", false },
        { "br", false },
        { "gzip;q=0.5, identity", false },
        { "gzip, identity;q=0.5", true },
        { "notgzip", false },
        { " , ,gzip ; q=1.000 ", true },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(cases); i++) {
        test_expect(negotiate__gzip(cx_str_of(cases[i].value)) == cases[i].gzip, __FILE__, __LINE__,
                    "%s", cases[i].value);
    }
}

TEST(negotiate_etags_compare_weakly)
{
    EXPECT(negotiate__etag_matches(CX_STR("\"a\""), CX_STR("\"a\"")));
    EXPECT(negotiate__etag_matches(CX_STR("W/\"a\""), CX_STR("\"a\"")));
    EXPECT(negotiate__etag_matches(CX_STR("\"a\""), CX_STR("W/\"a\"")));
    EXPECT(negotiate__etag_matches(CX_STR("\"x,y\", W/\"a\""), CX_STR("W/\"a\"")));
    EXPECT(negotiate__etag_matches(CX_STR("\"x,y\""), CX_STR("\"x,y\"")));
    EXPECT(negotiate__etag_matches(CX_STR("*"), CX_STR("\"a\"")));
    EXPECT(!negotiate__etag_matches(CX_STR("\"b\""), CX_STR("\"a\"")));
    EXPECT(!negotiate__etag_matches(CX_STR("a"), CX_STR("\"a\"")));
    EXPECT(!negotiate__etag_matches(CX_STR("\"a"), CX_STR("\"a\"")));
    EXPECT(!negotiate__etag_matches(CX_STR(""), CX_STR("\"a\"")));
    EXPECT(!negotiate__etag_matches(CX_STR("\"\", \"b\""), CX_STR("\"a\"")));
}

TEST(negotiate_types_and_ids)
{
    EXPECT(negotiate__is_json(CX_STR("application/json")));
    EXPECT(negotiate__is_json(CX_STR("Application/JSON ; charset=utf-8")));
    EXPECT(negotiate__is_json(CX_STR("application/vnd.x+json")));
    EXPECT(!negotiate__is_json(CX_STR("text/json")));
    EXPECT(!negotiate__is_json(CX_STR("application/jsonx")));
    EXPECT(!negotiate__is_json(CX_STR("text/plain; application/json")));
    EXPECT(negotiate__is_ndjson(CX_STR("application/x-ndjson")));
    EXPECT(negotiate__compressible(CX_STR("text/html; charset=utf-8")));
    EXPECT(!negotiate__compressible(CX_STR("text/event-stream")));
    EXPECT(!negotiate__compressible(CX_STR("image/png")));
    EXPECT(negotiate__correlation_id_valid(CX_STR("a b~!")));
    EXPECT(!negotiate__correlation_id_valid(CX_STR("")));
    EXPECT(!negotiate__correlation_id_valid(CX_STR("a\tb")));
    EXPECT(!negotiate__correlation_id_valid(CX_STR("caf\xc3\xa9")));
    char long_id[130];
    memset(long_id, 'x', sizeof long_id);
    EXPECT(negotiate__correlation_id_valid((struct cx_str){ long_id, 128 }));
    EXPECT(!negotiate__correlation_id_valid((struct cx_str){ long_id, 129 }));
#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"
    EXPECT(negotiate__traceparent_valid(CX_STR("00-" TRACE "-" PARENT "-01")));
    EXPECT(negotiate__traceparent_valid(CX_STR("01-" TRACE "-" PARENT "-01-more")));
    EXPECT(!negotiate__traceparent_valid(CX_STR("00-" TRACE "-" PARENT "-01-more")));
    EXPECT(!negotiate__traceparent_valid(CX_STR("ff-" TRACE "-" PARENT "-01")));
    EXPECT(!negotiate__traceparent_valid(CX_STR("00-" TRACE "-" PARENT "-0")));
    EXPECT(!negotiate__traceparent_valid(CX_STR("00-" TRACE "-0000000000000000-01")));
    EXPECT(
        !negotiate__traceparent_valid(CX_STR("00-00000000000000000000000000000000-" PARENT "-01")));
    EXPECT(!negotiate__traceparent_valid(CX_STR("00-" TRACE "-" PARENT "-0G")));
    EXPECT(!negotiate__traceparent_valid(CX_STR("")));
}

TEST(guard_hosts)
{
    static const char *const names[] = { "memory.example", NULL };
    static const struct {
        const char *host;
        bool allowed;
    } cases[] = {
        { "localhost", true },
        { "LOCALHOST:4949", true },
        { "localhost.", true },
        { "127.0.0.1", true },
        { "127.0.0.1:80", true },
        { "10.1.2.3", true },
        { "[::1]", true },
        { "[::1]:4949", true },
        { "[2001:db8::1]", true },
        { "memory.example", true },
        { "Memory.Example:1", true },
        { "evil.example", false },
        { "localhost.evil", false },
        { "127.0.0.1.evil", false },
        { "", false },
        { ":80", false },
        { "[::1", false },
        { "[evil]", false },
        { "[::1]x", false },
        { "localhost:", false },
        { "localhost:x", false },
        { "localhost:0", false },
        { "localhost:65536", false },
        { "::1", false },
        { "127.1", false },
        { "0x7f000001", false },
        { "xmemory.example", false },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(cases); i++) {
        test_expect(guard__host_allowed(cx_str_of(cases[i].host), names) == cases[i].allowed,
                    __FILE__, __LINE__, "%s", cases[i].host);
    }
    static const char *const any[] = { "*", NULL };
    EXPECT(guard__host_allowed(CX_STR("evil.example"), any));
    EXPECT(!guard__host_allowed(CX_STR("evil.example"), NULL));
}

TEST(guard_origins)
{
    static const char *const allowed[] = { "https://app.example", "https://slash.example/", NULL };
    static const struct {
        const char *origin;
        const char *host;
        bool allowed;
    } cases[] = {
        { "https://app.example", "localhost", true },
        { "https://APP.example", "localhost", true },
        { "https://slash.example", "localhost", true },
        { "http://app.example", "localhost", false },
        { "https://app.example:8443", "localhost", false },
        { "https://app.example.evil", "localhost", false },
        { "http://localhost:3000", "127.0.0.1:4949", true },
        { "https://localhost", "x", true },
        { "http://127.0.0.1:1", "x", true },
        { "http://127.9.9.9", "x", true },
        { "http://[::1]:3000", "x", true },
        { "http://localhost.evil", "x", false },
        { "http://10.0.0.1", "x", false },
        { "http://10.0.0.1:4949", "10.0.0.1:4949", true },
        { "http://10.0.0.1:4949", "10.0.0.1:4950", false },
        { "http://own.example", "own.example:80", true },
        { "https://own.example", "own.example", true },
        { "https://own.example", "own.example:80", false },
        { "null", "localhost", false },
        { "", "localhost", false },
        { "chrome-extension://abc", "abc", false },
        { "http://", "localhost", false },
        { "http://localhost:99999", "localhost", false },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(cases); i++) {
        test_expect(guard__origin_allowed(cx_str_of(cases[i].origin), cx_str_of(cases[i].host),
                                          allowed) == cases[i].allowed,
                    __FILE__, __LINE__, "%s for %s", cases[i].origin, cases[i].host);
    }
    static const char *const any[] = { "*", NULL };
    EXPECT(guard__origin_allowed(CX_STR("null"), CX_STR("x"), any));
}

static enum cx_step_result no_step(struct cx_exchange *x)
{
    (void)x;
    return CX_STEP_NEXT;
}
static const struct cx_step no_steps[] = { { "none", no_step, false } };
#define ROUTE(verb, template)                                                                      \
    {                                                                                              \
        .method = verb, .path = template, .steps = no_steps, .step_count = 1                       \
    }

TEST(router_prefers_literals_and_walks_back)
{
    static const struct cx_route routes[] = {
        ROUTE("GET", "/"),
        ROUTE("GET", "/a"),
        ROUTE("GET", "/a/{x}"),
        ROUTE("POST", "/a/{x}"),
        ROUTE("GET", "/a/b"),
        ROUTE("GET", "/a/b/c"),
        ROUTE("GET", "/a/{x}/d"),
        ROUTE("DELETE", "/h/{ns}/{key}"),
        { .method = "POST",
          .path = "/v1/e",
          .flags = CX_ROUTE_OPENAI_ERRORS,
          .steps = no_steps,
          .step_count = 1 },
    };
    static const struct {
        const char *method;
        const char *path;
        int route; /* -1: no such path, -2: no such method */
        const char *first;
        const char *allow;
    } cases[] = {
        { "GET", "/", 0, NULL, "GET, HEAD, OPTIONS" },
        { "HEAD", "/", 0, NULL, NULL },
        { "GET", "/a", 1, NULL, NULL },
        { "GET", "/a/", -1, NULL, NULL },
        { "GET", "//", -1, NULL, NULL },
        { "GET", "/a//d", -1, NULL, NULL },
        { "GET", "/a/q", 2, "q", "GET, HEAD, POST, OPTIONS" },
        { "POST", "/a/q", 3, "q", NULL },
        { "PUT", "/a/q", -2, NULL, "GET, HEAD, POST, OPTIONS" },
        { "GET", "/a/b", 4, NULL, NULL },
        { "POST", "/a/b", -2, NULL, "GET, HEAD, OPTIONS" },
        { "GET", "/a/b/c", 5, NULL, NULL },
        { "GET", "/a/b/d", 6, "b", NULL }, /* the literal b leads nowhere */
        { "GET", "/a/b/e", -1, NULL, NULL },
        { "DELETE", "/h/%2F/k", 7, "%2F", NULL },
        { "DELETE", "/h/n", -1, NULL, NULL },
        { "get", "/a", -2, NULL, NULL },
        { "GET", "*", -1, NULL, NULL },
        { "GET", "", -1, NULL, NULL },
        { "GET", "/A", -1, NULL, NULL },
    };
    struct router *router = NULL;
    struct cx_err err;
    REQUIRE(router__new(routes, CX_ARRAY_LEN(routes), &router, &err) == CX_OK);
    for (size_t i = 0; i < CX_ARRAY_LEN(cases); i++) {
        struct router_match match;
        const bool found =
            router__find(router, cx_str_of(cases[i].method), cx_str_of(cases[i].path), &match);
        const int got = !found ? -1 : match.route == NULL ? -2 : (int)(match.route - routes);
        test_expect(got == cases[i].route, __FILE__, __LINE__, "%s %s: got %d, want %d",
                    cases[i].method, cases[i].path, got, cases[i].route);
        if (cases[i].first != NULL) {
            REQUIRE(match.value_count > 0);
            EXPECT_BYTES(match.values[0].p, match.values[0].len, cases[i].first,
                         strlen(cases[i].first));
        } else if (got >= 0) {
            EXPECT_INT(match.value_count, 0);
        }
        if (cases[i].allow != NULL) {
            EXPECT_STR(match.allow, cases[i].allow);
        }
    }
    struct router_match match;
    (void)router__find(router, CX_STR("GET"), CX_STR("/v1/unknown"), &match);
    EXPECT(match.openai);
    (void)router__find(router, CX_STR("GET"), CX_STR("/a/q"), &match);
    EXPECT(!match.openai);
    EXPECT_BYTES(router__param_name(&routes[7], 1).p, router__param_name(&routes[7], 1).len, "key",
                 3);
    EXPECT(router__param_name(&routes[7], 2).p == NULL);
    router__free(&router);
    EXPECT(router == NULL);
}

TEST(router_refuses_impossible_routes)
{
    static const struct cx_route twice[] = { ROUTE("GET", "/a/{x}"), ROUTE("GET", "/a/{y}") };
    static const struct cx_route relative[] = { ROUTE("GET", "a") };
    static const struct cx_route greedy[] = { ROUTE("GET",
                                                    "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}") };
    static const struct cx_route idle[] = { { .method = "GET", .path = "/" } };
    struct router *router = NULL;
    struct cx_err err;
    EXPECT_INT(router__new(twice, 2, &router, &err), CX_INVALID);
    EXPECT(strstr(err.text, "/a/{y}") != NULL);
    EXPECT_INT(router__new(relative, 1, &router, &err), CX_INVALID);
    EXPECT_INT(router__new(greedy, 1, &router, &err), CX_INVALID);
    EXPECT_INT(router__new(idle, 1, &router, &err), CX_INVALID);
    EXPECT(router == NULL);
}

TEST(auth_judges_tokens)
{
    struct cx_tokens *tokens = NULL;
    cx_tokens_new(&tokens);
    struct cx_token token = { .name = "one", .scopes = CX_SCOPE_STATE };
    cx_sha256(CX_STR("secret-1"), token.sha256);
    cx_tokens_add(tokens, &token);
    token = (struct cx_token){ .name = "two", .scopes = CX_SCOPE_ALL, .expires_us = 1000 };
    cx_sha256(CX_STR("secret-2"), token.sha256);
    cx_tokens_add(tokens, &token);
    EXPECT_INT(cx_tokens_count(tokens), 2);
    const struct cx_token *found = NULL;
    EXPECT_INT(auth__check(tokens, CX_STR("secret-1"), 5000, &found), AUTH_OK);
    EXPECT_STR(found->name, "one");
    EXPECT_INT(auth__check(tokens, CX_STR("secret-2"), 999, &found), AUTH_OK);
    EXPECT_STR(found->name, "two");
    EXPECT_INT(auth__check(tokens, CX_STR("secret-2"), 1000, &found), AUTH_EXPIRED);
    EXPECT_INT(auth__check(tokens, CX_STR("secret-3"), 0, &found), AUTH_INVALID);
    EXPECT_INT(auth__check(tokens, CX_STR("secret-1 "), 0, &found), AUTH_INVALID);
    EXPECT_INT(auth__check(tokens, (struct cx_str){ NULL, 0 }, 0, &found), AUTH_MISSING);
    EXPECT_INT(auth__check(tokens, CX_STR(""), 0, &found), AUTH_MISSING);
    EXPECT_INT(auth__check(NULL, CX_STR("secret-1"), 0, &found), AUTH_INVALID);
    cx_tokens_free(&tokens);
    EXPECT(tokens == NULL);
    const struct cx_str bearer = auth__bearer(CX_STR("bEARER  abc "));
    EXPECT_BYTES(bearer.p, bearer.len, "abc", 3);
    EXPECT(auth__bearer(CX_STR("Basic abc")).p == NULL);
    EXPECT(auth__bearer(CX_STR("Bearer")).p == NULL);
}

TEST(auth_scope_words)
{
    static const char *const words[] = { "context",  "vector", "database", "filesystem",
                                         "services", "state",  "audit" };
    unsigned all = 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(words); i++) {
        unsigned scope = 0;
        REQUIRE(cx_scope_parse(cx_str_of(words[i]), &scope));
        EXPECT_STR(cx_scope_name((enum cx_scope)scope), words[i]);
        EXPECT_INT(all & scope, 0);
        all |= scope;
    }
    EXPECT_INT(all, CX_SCOPE_ALL);
    unsigned scope = 0;
    EXPECT(cx_scope_parse(CX_STR("*"), &scope) && scope == CX_SCOPE_ALL);
    EXPECT(!cx_scope_parse(CX_STR("Vector"), &scope));
    EXPECT(!cx_scope_parse(CX_STR(""), &scope));
}

TEST(ratelimit_buckets_fill_and_empty)
{
    const struct cx_http_rate rate = { .per_second = 2, .burst = 3, .buckets_max = 8 };
    struct ratelimit *l = NULL;
    ratelimit__new(&rate, &l);
    struct ratelimit_verdict v;
    for (uint64_t i = 0; i < 3; i++) {
        ratelimit__take(l, CX_STR("a"), 1000, &v);
        EXPECT(v.allowed);
        EXPECT_INT(v.limit, 3);
        EXPECT_INT(v.remaining, 2 - i);
        EXPECT_INT(v.full_in_s, (i + 2) / 2); /* ceil((i + 1) / 2) */
    }
    ratelimit__take(l, CX_STR("a"), 1000, &v);
    EXPECT(!v.allowed);
    EXPECT_INT(v.remaining, 0);
    EXPECT_INT(v.retry_after_s, 1);
    ratelimit__take(l, CX_STR("b"), 1000, &v);
    EXPECT(v.allowed);
    ratelimit__take(l, CX_STR("a"), 1499, &v);
    EXPECT(!v.allowed);
    ratelimit__take(l, CX_STR("a"), 1500, &v);
    EXPECT(v.allowed);
    ratelimit__take(l, CX_STR("a"), 1000, &v); /* a clock that goes back gives nothing */
    EXPECT(!v.allowed);
    ratelimit__take(l, CX_STR("a"), 1000000, &v);
    EXPECT_INT(v.remaining, 2); /* never more than the burst */
    ratelimit__free(&l);
    EXPECT(l == NULL);
}

TEST(ratelimit_forgets_the_least_recently_used)
{
    const struct cx_http_rate rate = { .per_second = 0.001, .burst = 1, .buckets_max = 100 };
    struct ratelimit *l = NULL;
    ratelimit__new(&rate, &l);
    struct ratelimit_verdict v;
    char key[16];
    ratelimit__take(l, CX_STR("kept"), 1, &v);
    for (int i = 0; i < 1000; i++) {
        const int len = snprintf(key, sizeof key, "key-%d", i);
        ratelimit__take(l, (struct cx_str){ key, (size_t)len }, 1, &v);
        EXPECT(v.allowed);
        ratelimit__take(l, CX_STR("kept"), 1, &v); /* used all the time: not evicted, still empty */
        EXPECT(!v.allowed);
        EXPECT(ratelimit__count(l) <= 100);
    }
    EXPECT_INT(ratelimit__count(l), 100);
    ratelimit__take(l, CX_STR("key-999"), 1, &v);
    EXPECT(!v.allowed);
    ratelimit__take(l, CX_STR("key-0"), 1, &v); /* forgotten: full again */
    EXPECT(v.allowed);
    EXPECT(v.retry_after_s >= 1);
    ratelimit__free(&l);
}

TEST(problem_bodies)
{
    struct cx_buf out;
    cx_buf_init(&out, 4096);
    struct problem p = { .http_status = 422,
                         .reason = "invalid_request",
                         .detail = "say \"top_k\"\n",
                         .correlation_id = "id" };
    problem__write(&p, &out);
    EXPECT_STR(out.data,
               "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
               "\"detail\":\"say \\\"top_k\\\"\\n\",\"reason\":\"invalid_request\","
               "\"correlation_id\":\"id\"}");
    cx_buf_clear(&out);
    json_t *errors =
        json_pack("[{s:[s,s],s:s,s:s}]", "loc", "body", "top_k", "msg", "m", "type", "range");
    p.errors = errors;
    problem__write(&p, &out);
    EXPECT(strstr(out.data,
                  "\"errors\":[{\"loc\":[\"body\",\"top_k\"],\"msg\":\"m\",\"type\":\"range\"}]") !=
           NULL);
    cx_buf_clear(&out);
    p.openai = true;
    p.http_status = 401;
    p.reason = "unauthorized";
    p.detail = "Invalid token";
    problem__write(&p, &out);
    EXPECT_STR(out.data,
               "{\"error\":{\"message\":\"Invalid token\",\"type\":\"authentication_error\","
               "\"param\":null,\"code\":\"unauthorized\"}}");
    json_decref(errors);
    cx_buf_free(&out);
}

TEST(every_status_has_a_phrase)
{
    for (int status = 0; status < CX_STATUS_COUNT; status++) {
        const int http_status = cx_status_http((enum cx_status)status);
        test_expect(strcmp(reply__phrase(http_status), "Unknown") != 0, __FILE__, __LINE__, "%d",
                    http_status);
    }
}
