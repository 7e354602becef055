/* SPDX-License-Identifier: MIT
 *
 * Clocks, and times as text. libc's calendar is the second opinion.
 */
#include "test.h"

#include "cortex/base.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_MIN INT64_C(-62167219200000000)
#define US_MAX INT64_C(253402300799999999)

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static bool parses_to(const char *text, int64_t want)
{
    int64_t us = 1;
    const bool ok = cx_time_parse(cx_str_of(text), &us);
    return test_expect(ok && us == want, __FILE__, __LINE__, "\"%s\": %s, %lld, want %lld", text,
                       ok ? "read" : "refused", (long long)us, (long long)want);
}

static void refused(const char *text)
{
    int64_t us = 1;
    const bool ok = cx_time_parse(cx_str_of(text), &us);
    (void)test_expect(!ok && us == 1, __FILE__, __LINE__, "\"%s\" was read as %lld", text,
                      (long long)us);
}

TEST(clocks_go_forward)
{
    uint64_t before = cx_clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        const uint64_t now = cx_clock_mono_ns();
        EXPECT(now >= before);
        before = now;
    }
    EXPECT(cx_clock_wall_us() > INT64_C(1700000000000000));
}

TEST(time_format_known_times)
{
    char text[CX_TIME_TEXT_BYTES];
    EXPECT_STR(cx_time_format(0, text), "1970-01-01T00:00:00.000000Z");
    EXPECT_STR(cx_time_format(-1, text), "1969-12-31T23:59:59.999999Z");
    EXPECT_STR(cx_time_format(INT64_C(1770544800123456), text), "2026-02-08T10:00:00.123456Z");
    EXPECT_STR(cx_time_format(INT64_C(951782400000000), text), "2000-02-29T00:00:00.000000Z");
    EXPECT_STR(cx_time_format(US_MIN, text), "0000-01-01T00:00:00.000000Z");
    EXPECT_STR(cx_time_format(US_MAX, text), "9999-12-31T23:59:59.999999Z");
    EXPECT_STR(cx_time_format(INT64_MIN, text), "0000-01-01T00:00:00.000000Z");
    EXPECT_STR(cx_time_format(INT64_MAX, text), "9999-12-31T23:59:59.999999Z");
    EXPECT_STR(cx_time_format_http(INT64_C(1770544800123456), text),
               "Sun, 08 Feb 2026 10:00:00 GMT");
    EXPECT_STR(cx_time_format_http(INT64_C(784111777000000), text),
               "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void agrees_with_libc(int64_t us)
{
    int64_t seconds = us / 1000000;
    int64_t rest = us % 1000000;
    if (rest < 0) {
        rest += 1000000;
        seconds--;
    }
    const time_t when = (time_t)seconds;
    struct tm tm;
    char start[CX_TIME_TEXT_BYTES];
    char want[2 * CX_TIME_TEXT_BYTES];
    char got[CX_TIME_TEXT_BYTES];
    (void)gmtime_r(&when, &tm);
    (void)snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)rest);
    EXPECT_STR(cx_time_format(us, got), want);
    parses_to(got, us);
    (void)strftime(start, sizeof start, "%a, %d %b", &tm);
    (void)snprintf(want, sizeof want, "%s %04d %02d:%02d:%02d GMT", start, tm.tm_year + 1900,
                   tm.tm_hour, tm.tm_min, tm.tm_sec);
    EXPECT_STR(cx_time_format_http(us, got), want);
}

TEST(time_round_trip_over_random_times)
{
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < 50000; i++) {
        agrees_with_libc(US_MIN + (int64_t)(next_random(&state) % (uint64_t)(US_MAX - US_MIN + 1)));
    }
}

TEST(time_round_trip_around_every_new_year_and_march)
{
    for (int year = 0; year <= 9999; year++) {
        struct tm tm = { .tm_year = year - 1900, .tm_mday = 1 };
        const int64_t new_year = (int64_t)timegm(&tm) * 1000000;
        agrees_with_libc(new_year);
        if (year > 0) {
            agrees_with_libc(new_year - 1);
        }
        tm = (struct tm){ .tm_year = year - 1900, .tm_mon = 2, .tm_mday = 1 };
        agrees_with_libc((int64_t)timegm(&tm) * 1000000 - 1);
        agrees_with_libc((int64_t)timegm(&tm) * 1000000);
    }
}

TEST(time_parse_reads_rfc_3339)
{
    const int64_t at = INT64_C(1770544800000000);
    parses_to("2026-02-08T10:00:00Z", at);
    parses_to("2026-02-08t10:00:00z", at);
    parses_to("2026-02-08 10:00:00Z", at);
    parses_to("2026-02-08T10:00:00", at);
    parses_to("2026-02-08T10:00:00+00:00", at);
    parses_to("2026-02-08T10:00:00-00:00", at);
    parses_to("2026-02-08T12:30:00+02:30", at);
    parses_to("2026-02-08T12:30:00 02:30", at);
    parses_to("2026-02-08T02:00:00-08:00", at);
    parses_to("2026-02-09T09:59:00+23:59", at);
    parses_to("2026-02-08T10:00:00.5Z", at + 500000);
    parses_to("2026-02-08T10:00:00.000001Z", at + 1);
    parses_to("2026-02-08T10:00:00.123456789Z", at + 123456);
    parses_to("2026-02-08T10:00:00.9999999", at + 999999);
    parses_to("2026-02-08T10:00:00.25 02:00", at + 250000 - INT64_C(7200000000));
    parses_to("1969-12-31T23:59:59.999999Z", -1);
    parses_to("2000-02-29T00:00:00Z", INT64_C(951782400000000));
    parses_to("0000-02-29T00:00:00Z", US_MIN + 59 * INT64_C(86400000000));
}

TEST(time_parse_refuses_what_is_no_time)
{
    static const char *const bad[] = {
        "",
        "now",
        "2026",
        "2026-02-08",
        "20260208T100000Z",
        "2026-02-08T10:00Z",
        "2026-02-08T10:00:00.Z",
        "2026-02-08T10:00:00.",
        "2026-02-08T10:00:00,5Z",
        "2026-02-08T10:00:00.1234567890Z",
        "2026-02-08T10:00:00ZZ",
        "2026-02-08T10:00:00Z ",
        " 2026-02-08T10:00:00Z",
        "2026-2-8T10:00:00Z",
        "2026-02-08T1:00:00Z",
        "2026/02/08T10:00:00Z",
        "2026-02-08_10:00:00Z",
        "2026-02-08T10-00-00Z",
        "2026-02-08T10:00:00+0200",
        "2026-02-08T10:00:00+02",
        "2026-02-08T10:00:00+02:0",
        "2026-02-08T10:00:00+24:00",
        "2026-02-08T10:00:00+02:60",
        "2026-02-08T10:00:00+02:00Z",
        "2026-02-08T10:00:00 ",
        "2026-02-08T24:00:00Z",
        "2026-02-08T10:60:00Z",
        "2026-02-08T10:00:61Z",
        "2026-00-08T10:00:00Z",
        "2026-13-08T10:00:00Z",
        "2026-02-00T10:00:00Z",
        "2026-02-29T10:00:00Z",
        "2024-02-30T10:00:00Z",
        "1900-02-29T10:00:00Z",
        "2026-04-31T10:00:00Z",
        "2026-06-31T10:00:00Z",
        "2026-01-32T10:00:00Z",
        "-026-02-08T10:00:00Z",
        "+2026-02-08T10:00:00Z",
        "2026-02-08T+1:00:00Z",
        "12026-02-08T10:00:00Z",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-02-08T10:00:00\xC2\xA0Z",
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(bad); i++) {
        refused(bad[i]);
    }
    int64_t us = 1;
    EXPECT(!cx_time_parse((struct cx_str){ "2026-02-08T10:00:00Z\0", 21 }, &us));
    EXPECT(!cx_time_parse((struct cx_str){ "2026-02-08\00010:00:00Z", 20 }, &us));
    EXPECT(!cx_time_parse(cx_str_of(NULL), &us));
}

TEST(time_parse_every_prefix_is_safe)
{
    const char *const text = "2026-02-08T10:00:00.123456+02:30";
    for (size_t len = 0; len <= strlen(text); len++) {
        int64_t us = 1;
        const bool whole = len == strlen(text) || len == 19 || (len >= 21 && len <= 26);
        EXPECT(cx_time_parse((struct cx_str){ text, len }, &us) == whole);
    }
}

TEST(time_parse_clamps_leap_seconds)
{
    parses_to("2016-12-31T23:59:60Z", INT64_C(1483228799999999));
    parses_to("2016-12-31T23:59:60.5Z", INT64_C(1483228799999999));
    parses_to("2017-01-01T00:59:60+01:00", INT64_C(1483228799999999));
    parses_to("2015-06-30T16:59:60-07:00", INT64_C(1435708799999999));
    parses_to("9999-12-31T23:59:60Z", US_MAX);
    refused("2016-12-30T23:59:60Z");
    refused("2016-12-31T23:58:60Z");
    refused("2016-12-31T22:59:60Z");
    refused("2016-12-31T23:59:60+01:00");
    refused("2016-12-31T23:59:60+00:30");
}
