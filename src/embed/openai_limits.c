/* SPDX-License-Identifier: MIT
 *
 * What the headers of an answer say about when to come back: Retry-After (RFC 9110 10.2.3, the form in seconds),
 * retry-after-ms, and the x-ratelimit-… of a limit that is used up.
 */
#include "openai.h"

#include "cortex/loop.h"

#define PAUSE_MAX_MS 86400000.0

static double parse_number(struct cx_str *text);
static double parse_duration_ms(struct cx_str text);
static double used_up_ms(const struct cx_fetch_response *response, const char *remaining,
                         const char *reset);

uint64_t embed__openai_pause_ms(const struct cx_fetch_response *response)
{
    struct cx_str text = cx_fetch_header(response, "retry-after-ms");
    double pause_ms = text.len > 0 ? parse_number(&text) : -1;
    if (pause_ms < 0) {
        text = cx_fetch_header(response, "retry-after");
        const double seconds = text.len > 0 ? parse_number(&text) : -1;
        pause_ms = text.len == 0 ? seconds * 1000 : -1; /* a date leaves something over */
    }
    const double requests_ms =
        used_up_ms(response, "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests");
    const double tokens_ms =
        used_up_ms(response, "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens");
    pause_ms = requests_ms > pause_ms ? requests_ms : pause_ms;
    pause_ms = tokens_ms > pause_ms ? tokens_ms : pause_ms;
    pause_ms = pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS;
    return pause_ms > 0 ? (uint64_t)(pause_ms + 0.999) : 0;
}

static double used_up_ms(const struct cx_fetch_response *response, const char *remaining,
                         const char *reset)
{
    if (!cx_str_eq(cx_fetch_header(response, remaining), CX_STR("0"))) {
        return -1;
    }
    return parse_duration_ms(cx_fetch_header(response, reset));
}

/* "20ms", "1s", "6m0s", "1h2m3.5s"; -1 where it is none. */
static double parse_duration_ms(struct cx_str text)
{
    double total = text.len > 0 ? 0 : -1;
    while (text.len > 0 && total >= 0) {
        const double number = parse_number(&text);
        double unit_ms = 0;
        size_t unit_len = 1;
        if (text.len >= 2 && text.p[0] == 'm' && text.p[1] == 's') {
            unit_ms = 1;
            unit_len = 2;
        } else if (text.len >= 1) {
            unit_ms = text.p[0] == 's'   ? 1000
                      : text.p[0] == 'm' ? 60000
                      : text.p[0] == 'h' ? 3600000
                                         : 0;
        }
        if (number < 0 || unit_ms <= 0) {
            return -1;
        }
        total += number * unit_ms;
        text.p += unit_len;
        text.len -= unit_len;
    }
    return total;
}

/* Digits with at most one point, off the front of the text; -1 where there are none. */
static double parse_number(struct cx_str *text)
{
    double value = 0;
    double unit = 1;
    bool digits = false;
    bool point = false;
    while (text->len > 0) {
        const char c = text->p[0];
        if (c == '.' && !point) {
            point = true;
        } else if (c >= '0' && c <= '9') {
            digits = true;
            unit = point ? unit / 10 : unit;
            value = point ? value + (c - '0') * unit : value * 10 + (c - '0');
        } else {
            break;
        }
        text->p++;
        text->len--;
    }
    return digits ? value : -1;
}
