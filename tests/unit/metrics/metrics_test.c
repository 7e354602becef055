/* SPDX-License-Identifier: MIT
 *
 * Metrics: counting from several threads, and the text that Prometheus reads. The registry is the
 * program's own, so each test keeps to families that no other one touches.
 */
#include "test.h"

#include "cortex/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cx_buf scrape(void)
{
    struct cx_buf text;
    cx_buf_init(&text, 8 << 20);
    cx_metrics_write(&text);
    cx_buf_putc(&text, '\0');
    return text;
}

static bool scrape_has(const char *part)
{
    struct cx_buf text = scrape();
    const bool has = strstr(text.data, part) != NULL;
    cx_buf_free(&text);
    return has;
}

static void expect_scrape(const char *part)
{
    (void)test_expect(scrape_has(part), __FILE__, __LINE__, "not in the scrape: %s", part);
}

TEST(counter_counts)
{
    struct cx_series *s = cx_metrics_series(CX_M_HTTP_ACCEPTED, "");
    EXPECT_INT(cx_series_value(s), 0);
    cx_counter_add(s, 1);
    cx_counter_add(s, 41);
    EXPECT_INT(cx_series_value(s), 42);
    expect_scrape("# HELP cortex_http_connections_accepted_total Client connections accepted.\n"
                  "# TYPE cortex_http_connections_accepted_total counter\n"
                  "cortex_http_connections_accepted_total 42\n");
}

TEST(gauge_is_set_and_moved)
{
    struct cx_series *s = cx_metrics_series(CX_M_LOOP_LAG, "");
    cx_gauge_set(s, 0.1);
    expect_scrape("# TYPE cortex_loop_lag_seconds gauge\ncortex_loop_lag_seconds 0.1\n");
    cx_gauge_add(s, -2.1);
    EXPECT(cx_series_value(s) == 0.1 - 2.1);
    expect_scrape("\ncortex_loop_lag_seconds -2\n");
    cx_gauge_set(s, 1.0 / 3);
    expect_scrape("\ncortex_loop_lag_seconds 0.33333333333333331\n");
    cx_gauge_set(s, 1770544800);
    expect_scrape("\ncortex_loop_lag_seconds 1770544800\n");
    cx_gauge_set(s, (double)INFINITY);
    expect_scrape("\ncortex_loop_lag_seconds +Inf\n");
    cx_gauge_set(s, -(double)INFINITY);
    expect_scrape("\ncortex_loop_lag_seconds -Inf\n");
    cx_gauge_set(s, (double)NAN);
    expect_scrape("\ncortex_loop_lag_seconds NaN\n");
}

TEST(histogram_has_cumulative_buckets)
{
    struct cx_series *s = cx_metrics_series(CX_M_HTTP_SECONDS, "route=\"/a\"");
    cx_histogram_observe(s, 0.001); /* a bound belongs to its bucket */
    cx_histogram_observe(s, 0.0011);
    cx_histogram_observe(s, 1.5);
    cx_histogram_observe(s, 60);
    cx_histogram_observe(s, 61);
    cx_histogram_observe(s, 0);
    cx_histogram_observe(s, (double)NAN); /* is left out */
    EXPECT_INT(cx_series_value(s), 6);
    expect_scrape("# TYPE cortex_http_request_seconds histogram\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"0.001\"} 2\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"0.0025\"} 3\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"0.005\"} 3\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"0.01\"} 3\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"0.025\"} 3\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"0.05\"} 3\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"0.1\"} 3\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"0.25\"} 3\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"0.5\"} 3\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"1\"} 3\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"2.5\"} 4\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"5\"} 4\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"10\"} 4\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"25\"} 4\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"60\"} 5\n"
                  "cortex_http_request_seconds_bucket{route=\"/a\",le=\"+Inf\"} 6\n"
                  "cortex_http_request_seconds_sum{route=\"/a\"} 122.5021\n"
                  "cortex_http_request_seconds_count{route=\"/a\"} 6\n");
}

TEST(histogram_fast_without_labels)
{
    struct cx_series *s = cx_metrics_series(CX_M_VECTOR_SCAN, "");
    cx_histogram_observe(s, 0.00001);
    cx_histogram_observe(s, 2);
    expect_scrape("# TYPE cortex_vector_scan_seconds histogram\n"
                  "cortex_vector_scan_seconds_bucket{le=\"0.00001\"} 1\n"
                  "cortex_vector_scan_seconds_bucket{le=\"0.000025\"} 1\n");
    expect_scrape("cortex_vector_scan_seconds_bucket{le=\"1\"} 1\n"
                  "cortex_vector_scan_seconds_bucket{le=\"+Inf\"} 2\n"
                  "cortex_vector_scan_seconds_sum 2.00001\n"
                  "cortex_vector_scan_seconds_count 2\n");
}

TEST(series_are_found_again)
{
    struct cx_series *a = cx_metrics_series(CX_M_EVENTS, "type=\"a\"");
    struct cx_series *b = cx_metrics_series(CX_M_EVENTS, "type=\"b\"");
    char copy[] = "type=\"a\"";
    EXPECT(a != b);
    EXPECT(cx_metrics_series(CX_M_EVENTS, copy) == a);
    EXPECT(cx_metrics_series(CX_M_SNAPSHOTS, "type=\"a\"") != a);
    cx_counter_add(b, 3);
    copy[0] = 'X'; /* the labels were copied */
    expect_scrape("\ncortex_events_total{type=\"a\"} 0\ncortex_events_total{type=\"b\"} 3\n");
}

TEST(families_without_series_are_left_out)
{
    EXPECT(!scrape_has("cortex_store_wal_bytes"));
    (void)cx_metrics_series(CX_M_STORE_WAL_BYTES, "");
    EXPECT(scrape_has("\ncortex_store_wal_bytes 0\n"));
}

TEST(series_beyond_the_limit_share_one)
{
    char labels[64];
    for (int i = 0; i < 1024; i++) {
        (void)snprintf(labels, sizeof labels, "kind=\"%d\"", i);
        (void)cx_metrics_series(CX_M_STORE_ERRORS, labels);
    }
    struct cx_series *more = cx_metrics_series(CX_M_STORE_ERRORS, "kind=\"1024\"");
    EXPECT(cx_metrics_series(CX_M_STORE_ERRORS, "kind=\"1025\"") == more);
    EXPECT(cx_metrics_series(CX_M_STORE_ERRORS, "kind=\"1023\"") != more);
    cx_counter_add(more, 5);
    expect_scrape("\ncortex_store_errors_total{overflow=\"true\"} 5\n");
    EXPECT(!scrape_has("kind=\"1024\""));
}

TEST(labels_are_escaped)
{
    struct cx_buf labels;
    cx_buf_init(&labels, 1000);
    cx_metrics_label(&labels, "a", "quote\" back\\slash new\nline");
    cx_metrics_label(&labels, "b", "");
    EXPECT_STR(labels.data, "a=\"quote\\\" back\\\\slash new\\nline\",b=\"\"");
    struct cx_series *s = cx_metrics_series(CX_M_FETCH_REQUESTS, labels.data);
    cx_counter_add(s, 1);
    expect_scrape(
        "\ncortex_fetch_requests_total{a=\"quote\\\" back\\\\slash new\\nline\",b=\"\"} 1\n");
    cx_buf_free(&labels);
}

TEST(labels_that_would_spoil_the_text_are_set_aside)
{
    char long_value[1200];
    memset(long_value, 'x', sizeof long_value);
    memcpy(long_value, "a=\"", 3);
    memcpy(long_value + sizeof long_value - 2, "\"", 2);
    const char *const bad[] = {
        "a",
        "a=",
        "a=b",
        "a=\"",
        "a=\"b",
        "a=\"b\",",
        "=\"b\"",
        "1a=\"b\"",
        "a=\"b\nc\"",
        "a=\"\\x\"",
        "a=\"\\",
        "a=\"b\"}",
        "{a=\"b\"}",
        "a=\"b\" ",
        "a=\"b\"b=\"c\"",
        "a=\"b\",,b=\"c\"",
        "a-b=\"c\"",
        "a=\"\xff\"",
        long_value,
    };
    struct cx_series *aside = cx_metrics_series(CX_M_HTTP_REQUESTS, "");
    for (size_t i = 0; i < CX_ARRAY_LEN(bad); i++) {
        struct cx_series *s = cx_metrics_series(CX_M_HTTP_REQUESTS, bad[i]);
        (void)test_expect(i == 0 ? s != aside : s == aside, __FILE__, __LINE__, "\"%s\"", bad[i]);
        aside = s;
    }
    expect_scrape("\ncortex_http_requests_total{malformed=\"true\"} 0\n");
    EXPECT(cx_metrics_series(CX_M_HTTP_REQUESTS, "a_1=\"b\",_c2d=\"\\\\\\\"\\n\xc3\xa9\"") !=
           aside);
}

/* ---- Threads ----------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 5000 };

static void *count_much(void *arg)
{
    char labels[32];
    const int number = *(const int *)arg;
    struct cx_series *counter = cx_metrics_series(CX_M_LANE_JOBS, "lane=\"x\"");
    struct cx_series *gauge = cx_metrics_series(CX_M_LANE_RUNNING, "lane=\"x\"");
    struct cx_series *histogram = cx_metrics_series(CX_M_LANE_WAIT, "lane=\"x\"");
    for (int i = 0; i < ROUNDS; i++) {
        cx_counter_add(counter, 2);
        cx_gauge_add(gauge, i % 2 == 0 ? 1.5 : -0.5);
        cx_histogram_observe(histogram, i % 2 == 0 ? 0.5 : 0.25);
        if (i % 100 == 0) {
            (void)snprintf(labels, sizeof labels, "lane=\"%d\"", (number + i / 100) % 64);
            cx_counter_add(cx_metrics_series(CX_M_LANE_REFUSED, labels), 1);
        }
    }
    return NULL;
}

static unsigned long long number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* In each scrape, though others count meanwhile. */
static bool histogram_agrees(const char *text)
{
    return number_after(text, "cortex_lane_wait_seconds_bucket{lane=\"x\",le=\"+Inf\"} ") ==
           number_after(text, "cortex_lane_wait_seconds_count{lane=\"x\"} ");
}

TEST(metrics_from_several_threads_lose_nothing)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        REQUIRE(pthread_create(&threads[i], NULL, count_much, &numbers[i]) == 0);
    }
    for (int i = 0; i < 50; i++) {
        struct cx_buf text = scrape();
        EXPECT(histogram_agrees(text.data));
        cx_buf_free(&text);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    EXPECT_INT(cx_series_value(cx_metrics_series(CX_M_LANE_JOBS, "lane=\"x\"")),
               THREADS * ROUNDS * 2);
    EXPECT_INT(cx_series_value(cx_metrics_series(CX_M_LANE_RUNNING, "lane=\"x\"")),
               THREADS * ROUNDS / 2);
    EXPECT_INT(cx_series_value(cx_metrics_series(CX_M_LANE_WAIT, "lane=\"x\"")), THREADS * ROUNDS);
    expect_scrape("\ncortex_lane_wait_seconds_sum{lane=\"x\"} 7500\n");
    uint64_t refused = 0;
    char labels[32];
    for (int i = 0; i < 64; i++) {
        (void)snprintf(labels, sizeof labels, "lane=\"%d\"", i);
        refused += (uint64_t)cx_series_value(cx_metrics_series(CX_M_LANE_REFUSED, labels));
    }
    EXPECT_INT(refused, THREADS * ROUNDS / 100);
}

/* ---- The text as a whole ----------------------------------------------------------------------- */

static bool line_is_well_formed(const char *line, size_t len)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz_";
    char text[4096];
    if (len >= sizeof text) {
        return false;
    }
    memcpy(text, line, len);
    text[len] = '\0';
    if (strncmp(text, "# HELP cortex_", 14) == 0 || strncmp(text, "# TYPE cortex_", 14) == 0) {
        return strchr(text + 7, ' ') != NULL;
    }
    const char *at = text + strspn(text, plain);
    if (strncmp(text, "cortex_", 7) != 0) {
        return false;
    }
    if (*at == '{') {
        at = strrchr(at, '}');
        if (at == NULL) {
            return false;
        }
        at++;
    }
    char *end = NULL;
    if (*at != ' ') {
        return false;
    }
    (void)strtod(at + 1, &end);
    return end != at + 1 && *end == '\0';
}

TEST(metrics_text_is_well_formed)
{
    for (unsigned id = 0; id < CX_METRIC_COUNT; id++) {
        (void)cx_metrics_series((enum cx_metric)id, "z=\"1\"");
    }
    struct cx_buf text = scrape();
    EXPECT(!text.failed);
    unsigned types = 0;
    for (const char *at = text.data; *at != '\0';) {
        const char *end = strchr(at, '\n');
        REQUIRE(end != NULL);
        (void)test_expect(line_is_well_formed(at, (size_t)(end - at)), __FILE__, __LINE__, "%.*s",
                          (int)(end - at), at);
        types += strncmp(at, "# TYPE ", 7) == 0;
        at = end + 1;
    }
    EXPECT_INT(types, CX_METRIC_COUNT);
    cx_buf_free(&text);
}

TEST(metrics_write_keeps_the_ceiling)
{
    struct cx_buf text;
    cx_buf_init(&text, 100);
    cx_metrics_write(&text);
    EXPECT(text.failed);
    EXPECT(text.len <= 100);
    cx_buf_free(&text);
}

TEST(log_drops_are_shown)
{
    char want[128];
    (void)snprintf(want, sizeof want, "\ncortex_log_lines_dropped_total %llu\n",
                   (unsigned long long)cx_log_dropped());
    expect_scrape(want);
}
