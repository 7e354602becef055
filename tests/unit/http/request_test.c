/* SPDX-License-Identifier: MIT
 *
 * What the request parser understands and what it refuses, with the input whole, byte by byte, and
 * cut in two at every place.
 */
#include "request_driver.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

struct sample {
    const char *bytes;
    size_t len;
    const char *account;
};
#define SAMPLE(bytes, account)                                                                     \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, account                                                          \
    }
#define HOST "Host: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_TOLD "POST / host=a Transfer-Encoding=chunked"

static void expect_account(const struct sample *s, size_t cut, const char *how)
{
    struct driver d;
    driver_open(&d);
    if (cut == 0) {
        for (size_t i = 0; i < s->len; i++) {
            driver_feed(&d, s->bytes + i, 1);
        }
    } else {
        driver_feed(&d, s->bytes, cut);
        driver_feed(&d, s->bytes + cut, s->len - cut);
    }
    const char *got = d.account.data != NULL ? d.account.data : "";
    test_expect(strcmp(got, s->account) == 0, __FILE__, __LINE__,
                "%s %zu: \"%.60s\"\n    got  \"%s\"\n    want \"%s\"", how, cut, s->bytes, got,
                s->account);
    driver_close(&d);
}

static void expect_accounts(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        expect_account(&samples[i], samples[i].len, "whole");
        expect_account(&samples[i], 0, "bytewise");
        for (size_t cut = 1; cut < samples[i].len; cut++) {
            expect_account(&samples[i], cut, "cut at");
        }
    }
}

TEST(request_understands_what_is_well_formed)
{
    static const struct sample samples[] = {
        SAMPLE("GET / HTTP/1.1\r\n" HOST "\r\n", "GET / host=a keep; "),
        SAMPLE("GET / HTTP/1.0\r\n\r\n", "GET / host= close; "),
        SAMPLE("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
               "GET / host= Connection=keep-alive keep; "),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "Connection: x, close\r\n\r\n",
               "GET / host=a Connection=x, close close; "),
        SAMPLE("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
               "GET / host= Connection=keep-alive, close close; "),
        SAMPLE("GET /a/b?c=d&e HTTP/1.1\r\nhOST:\t a:80 \t\r\nX-Y:\r\nZ: \r\n\r\n",
               "GET /a/b?c=d&e host=a:80 X-Y= Z= keep; "),
        SAMPLE("GET http://A:80/p?q HTTP/1.1\r\nHost: a:80\r\n\r\n", "GET /p?q host=A:80 keep; "),
        SAMPLE("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=a keep; "),
        SAMPLE("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q host=a keep; "),
        SAMPLE("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS * host=a keep; "),
        SAMPLE("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
               "POST / host=a Content-Length=5 body=hello keep; "),
        SAMPLE("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
               "POST / host=a Content-Length=0 keep; "),
        SAMPLE(CHUNKED "5\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\n\r\n",
               CHUNKED_TOLD " body=hello 0123456789 keep; "),
        SAMPLE(CHUNKED "5;a=b\r\nhello\r\n0\r\n\r\n", CHUNKED_TOLD " body=hello keep; "),
        SAMPLE(CHUNKED "5\r\nhello\r\n0\r\nX-T: v\r\n\r\n", CHUNKED_TOLD " body=hello keep; "),
        SAMPLE("POST / HTTP/1.1\r\n" HOST "transfer-encoding: Chunked\r\n\r\n0\r\n\r\n",
               "POST / host=a transfer-encoding=Chunked body= keep; "),
        /* An offer to upgrade is passed over. */
        SAMPLE("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
               "GET / host=a Connection=Upgrade Upgrade=h2c keep; "),
        SAMPLE("POST / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: "
               "2\r\n\r\nabGET /2 HTTP/1.1\r\n" HOST "\r\n",
               "POST / host=a Connection=Upgrade Upgrade=h2c Content-Length=2 body=ab keep; "
               "GET /2 host=a keep; "),
        /* Pipelined, with and without bodies. */
        SAMPLE("GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST
               "Content-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\n" HOST "\r\n" CHUNKED
               "1\r\nx\r\n0\r\n\r\nGET /5 HTTP/1.1\r\n" HOST "\r\n",
               "GET /1 host=a keep; POST /2 host=a Content-Length=3 body=abc keep; "
               "GET /3 host=a keep; " CHUNKED_TOLD " body=x keep; GET /5 host=a keep; "),
        SAMPLE("M-SEARCH /1 HTTP/1.1\r\n" HOST "\r\n", "M-SEARCH /1 host=a keep; "),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X: caf\xc3\xa9\r\n\r\n",
               "GET / host=a X=caf\xc3\xa9 keep; "),
        /* Unfinished: nothing is told yet. */
        SAMPLE("GET / HTTP/1.1\r\nHost: a\r\n", ""),
        SAMPLE("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhell",
               "POST / host=a Content-Length=5"),
    };
    expect_accounts(samples, CX_ARRAY_LEN(samples));
}

TEST(request_refuses_what_is_ambiguous)
{
    static const struct sample samples[] = {
        SAMPLE("\x16\x03\x01\x02", "400"), /* a TLS hello */
        SAMPLE("GET /\r\n", "400"),        /* HTTP/0.9 */
        SAMPLE("GET / HTTP/1.1\n" HOST "\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\nHost: a\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\nHost: a\r\n\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\r\n" HOST "\r\n", "400"),
        SAMPLE("GET  / HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET /  HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET / a HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET\t/ HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET / HTTP/1.1 \r\n" HOST "\r\n", "400"),
        SAMPLE("GET / HTTP/1.2\r\n" HOST "\r\n", "400"),
        SAMPLE("GET / HTTP/2.0\r\n" HOST "\r\n", "400"),
        SAMPLE("GET / http/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("SOURCE / ICE/1.0\r\n" HOST "\r\n", "400"),
        SAMPLE("DESCRIBE / RTSP/1.0\r\n" HOST "\r\n", "400"),
        SAMPLE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
        SAMPLE("PRI * HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("NONSENSE / HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("get / HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET foo HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET * HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET /#f HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET /\x80 HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET http://b/ HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n\r\n", "400"),                    /* no Host */
        SAMPLE("GET / HTTP/1.1\r\n" HOST HOST "\r\n", "400"),       /* two */
        SAMPLE("GET / HTTP/1.0\r\n" HOST "Host: b\r\n\r\n", "400"), /* two, in HTTP/1.0 too */
        SAMPLE("GET / HTTP/1.1\r\nHost:\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "Host : b\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X : b\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n: b\r\n" HOST "\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", "400"), /* folded */
        SAMPLE("GET / HTTP/1.1\r\n X: a\r\n" HOST "\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "Connection: a\x02\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X\x80: a\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "X(: a\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "Authorization: a\r\nAuthorization: b\r\n\r\n", "400"),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "\r\nX", "GET / host=a keep; "),
        SAMPLE("GET / HTTP/1.1\r\n" HOST "\r\nx", "GET / host=a keep; 400"),
    };
    expect_accounts(samples, CX_ARRAY_LEN(samples));
}

TEST(request_refuses_ambiguous_lengths)
{
#define LENGTH(value) "POST / HTTP/1.1\r\n" HOST "Content-Length: " value "\r\n\r\nhello"
    static const struct sample samples[] = {
        SAMPLE(LENGTH("010"), "400"),
        SAMPLE(LENGTH("+5"), "400"),
        SAMPLE(LENGTH("-5"), "400"),
        SAMPLE(LENGTH("0x5"), "400"),
        SAMPLE(LENGTH(""), "400"),
        SAMPLE(LENGTH("5 5"), "400"),
        SAMPLE(LENGTH("5,5"), "400"),
        SAMPLE(LENGTH("5, 5"), "400"),
        SAMPLE(LENGTH("5a"), "400"),
        SAMPLE(LENGTH("5.0"), "400"),
        SAMPLE(LENGTH("9223372036854775808"), "400"),
        SAMPLE(LENGTH("18446744073709551615"), "400"),
        SAMPLE(LENGTH("18446744073709551621"), "400"),
        SAMPLE(LENGTH("99999999999999999999999999"), "400"),
        SAMPLE(LENGTH("65"), "POST / host=a Content-Length=65413"),
        SAMPLE(LENGTH("9223372036854775807"),
               "POST / host=a Content-Length=9223372036854775807413"),
        SAMPLE(LENGTH("5\r\nContent-Length: 5"), "400"),
        SAMPLE(LENGTH("5\r\nContent-Length: 6"), "400"),
        SAMPLE(LENGTH("5\r\nTransfer-Encoding: chunked"), "400"),
        SAMPLE(LENGTH("5\r\nTransfer-Encoding: identity"), "400"),
        SAMPLE("POST / HTTP/1.1\r\n" HOST
               "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
               "400"),
#define CODING(value) "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: " value "\r\n\r\n0\r\n\r\n"
        SAMPLE(CODING("gzip"), "400"),
        SAMPLE(CODING("identity"), "400"),
        SAMPLE(CODING(""), "400"),
        SAMPLE(CODING("gzip, chunked"), "400"),
        SAMPLE(CODING("chunked, gzip"), "400"),
        SAMPLE(CODING(",chunked"), "400"),
        SAMPLE(CODING("chunked,"), "400"),
        SAMPLE(CODING("chunked;q=1"), "400"),
        SAMPLE(CODING("\"chunked\""), "400"),
        SAMPLE(CODING("xchunked"), "400"),
        SAMPLE(CODING("chunked\r\nTransfer-Encoding: chunked"), "400"),
        SAMPLE(CODING("\x0b"
                      "chunked"),
               "400"),
        SAMPLE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    };
    expect_accounts(samples, CX_ARRAY_LEN(samples));
}

TEST(request_refuses_broken_chunks)
{
    static const struct sample samples[] = {
        SAMPLE(CHUNKED "5\nhello\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "5\r\nhello\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "5 \r\nhello\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "5;\r\nhello\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "5;a\nb\r\nhello\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "5;a=\x01\r\nhello\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "-5\r\nhello\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "+5\r\nhello\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "\r\nhello\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "FFFFFFFFFFFFFFFFF\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "5\r\nhelloX\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "5\r\nhello\rX0\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "0\r\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "0\r\n\rX", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "0\r\nX: y\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED "0\r\nX y\r\n\r\n", CHUNKED_TOLD "400"),
        SAMPLE(CHUNKED
               "41\r\n00000000001111111111222222222233333333334444444444555555555566666\r\n",
               CHUNKED_TOLD "413"),
        SAMPLE(CHUNKED "FFFFFFFFFFFFFFF\r\n0", CHUNKED_TOLD),
    };
    expect_accounts(samples, CX_ARRAY_LEN(samples));
}

/* `prefix`, then `fill` repeated to `len` bytes, then `suffix`. */
static struct sample made(const char *prefix, const char *fill, size_t len, const char *suffix,
                          const char *account)
{
    const size_t fill_len = strlen(fill);
    const size_t total = strlen(prefix) + len + strlen(suffix);
    char *bytes = malloc(total + 1);
    char *p = bytes + snprintf(bytes, total + 1, "%s", prefix);
    for (size_t i = 0; i < len; i++) {
        *p++ = fill[i % fill_len];
    }
    memcpy(p, suffix, strlen(suffix) + 1);
    return (struct sample){ bytes, total, account };
}

TEST(request_limits_hold_to_the_byte)
{
    char target[128];
    snprintf(target, sizeof target, "GET /%063d host=a keep; ", 0);
    struct sample samples[] = {
        /* uri_bytes 64 */
        made("GET /", "0", 63, " HTTP/1.1\r\n" HOST "\r\n", target),
        made("GET /", "0", 64, " HTTP/1.1\r\n" HOST "\r\n", "414"),
        made("GET /", "0", 4000, "", "414"),
        made("GET /", "0", 4000, " HTTP/1.1\r\n" HOST "\r\n", "414"),
        /* header_count 8, Host among them */
        made("GET / HTTP/1.1\r\n" HOST, "B:\r\n", (size_t)4 * 7, "\r\n",
             "GET / host=a B= B= B= B= B= B= B= keep; "),
        made("GET / HTTP/1.1\r\n" HOST, "B:\r\n", (size_t)4 * 8, "\r\n", "431"),
        /* header_bytes 1024: 27 of them fixed; a head that ends with the last byte of the limit is
         * whole */
        made("GET / HTTP/1.1\r\n" HOST "B:", "c", 1100, "\r\n\r\n", "431"),
        made("GET / HTTP/1.1\r\n" HOST, "B:\r\n", (size_t)4 * 400, "\r\n", "431"),
        made("G", "E", 3000, "", "431"),
        /* Extensions and trailers: 4,096 bytes. */
        made(CHUNKED "1;a=", "b", 4095, "\r\nx\r\n0\r\n\r\n", CHUNKED_TOLD " body=x keep; "),
        made(CHUNKED "1;a=", "b", 4096, "\r\nx\r\n0\r\n\r\n", CHUNKED_TOLD "400"),
        made(CHUNKED "0\r\nT:", "b", 5000, "\r\n\r\n", CHUNKED_TOLD "400"),
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(samples); i++) {
        expect_account(&samples[i], samples[i].len, "whole");
        expect_account(&samples[i], 0, "bytewise");
        for (size_t cut = 1; cut < samples[i].len; cut += 1 + cut / 16) {
            expect_account(&samples[i], cut, "cut at");
        }
        free((char *)samples[i].bytes);
    }
}

TEST(request_header_joins_values)
{
    struct driver d;
    driver_open(&d);
    static const char head[] = "GET / HTTP/1.1\r\n" HOST "A: 1\r\nB: 2\r\na: 3\r\n\r\n";
    REQUIRE(
        request__parse(&d.request, (struct cx_str){ head, sizeof head - 1 }, &d.limits, &d.arena));
    EXPECT_STR(request__header(&d.request, "a", &d.arena), "1, 3");
    EXPECT_STR(request__header(&d.request, "B", &d.arena), "2");
    EXPECT(request__header(&d.request, "C", &d.arena) == NULL);
    driver_close(&d);
}

TEST(request_discards_a_body_without_keeping_it)
{
    struct driver d;
    driver_open(&d);
    static const char head[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\n";
    REQUIRE(
        request__parse(&d.request, (struct cx_str){ head, sizeof head - 1 }, &d.limits, &d.arena));
    REQUIRE(request__expect_body(&d.request, 64));
    size_t used = 0;
    EXPECT_INT(request__feed(&d.request, CX_STR("abc"), &used), FEED_MORE);
    EXPECT_INT(used, 3);
    request__discard_body(&d.request, 64);
    EXPECT_INT(request__feed(&d.request, CX_STR("defGET"), &used), FEED_COMPLETE);
    EXPECT_INT(used, 3);
    EXPECT_INT(d.request.body.len, 0);
    EXPECT(d.request.body.data == NULL);
    driver_close(&d);
}
