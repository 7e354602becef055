/* SPDX-License-Identifier: MIT
 *
 * Times as text and back: RFC 3339 and IMF-fixdate, by the proleptic Gregorian calendar and without
 * libc's calendar, which asks for the time zone under a lock at every call. The conversion between
 * days and dates counts years from March, so that the leap day comes last (Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms").
 */
#include "cortex/base.h"

#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_SECOND)
/* 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: what four digits of a year can say. */
#define US_MIN (INT64_C(-719528) * US_PER_DAY)
#define US_MAX (INT64_C(2932897) * US_PER_DAY - 1)

struct civil {
    unsigned year;
    unsigned month; /* 1 to 12 */
    unsigned day;   /* 1 to 31 */
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned us;
    unsigned weekday; /* 0 = Sunday */
};

struct scan {
    const char *p;
    const char *end;
};

static struct civil civil_of(int64_t wall_us);
static int64_t days_of(int year, unsigned month, unsigned day);
static char *put_digits(char *at, unsigned value, int digits);
static bool scan_digits(struct scan *s, int digits, unsigned *out);
static bool scan_char(struct scan *s, const char *any_of);
static bool scan_fraction(struct scan *s, unsigned *us);
static bool scan_zone(struct scan *s, int64_t *offset_us);
static bool ends_a_month(int64_t us);
static unsigned days_in_month(unsigned year, unsigned month);

char *cx_time_format(int64_t wall_us, char text[CX_TIME_TEXT_BYTES])
{
    const struct civil c = civil_of(wall_us);
    char *at = put_digits(text, c.year, 4);
    *at++ = '-';
    at = put_digits(at, c.month, 2);
    *at++ = '-';
    at = put_digits(at, c.day, 2);
    *at++ = 'T';
    at = put_digits(at, c.hour, 2);
    *at++ = ':';
    at = put_digits(at, c.minute, 2);
    *at++ = ':';
    at = put_digits(at, c.second, 2);
    *at++ = '.';
    at = put_digits(at, c.us, 6);
    *at++ = 'Z';
    *at = '\0';
    return text;
}

char *cx_time_format_http(int64_t wall_us, char text[CX_TIME_TEXT_BYTES])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const struct civil c = civil_of(wall_us);
    char *at = text;
    memcpy(at, days + 3 * (size_t)c.weekday, 3);
    at[3] = ',';
    at[4] = ' ';
    at = put_digits(at + 5, c.day, 2);
    *at++ = ' ';
    memcpy(at, months + 3 * (size_t)(c.month - 1), 3);
    at += 3;
    *at++ = ' ';
    at = put_digits(at, c.year, 4);
    *at++ = ' ';
    at = put_digits(at, c.hour, 2);
    *at++ = ':';
    at = put_digits(at, c.minute, 2);
    *at++ = ':';
    at = put_digits(at, c.second, 2);
    memcpy(at, " GMT", 5);
    return text;
}

bool cx_time_parse(struct cx_str text, int64_t *wall_us)
{
    if (text.len == 0) {
        return false;
    }
    struct scan s = { text.p, text.p + text.len };
    struct civil c = { 0 };
    int64_t offset_us = 0;
    if (!scan_digits(&s, 4, &c.year) || !scan_char(&s, "-") || !scan_digits(&s, 2, &c.month) ||
        !scan_char(&s, "-") || !scan_digits(&s, 2, &c.day) || !scan_char(&s, "Tt ") ||
        !scan_digits(&s, 2, &c.hour) || !scan_char(&s, ":") || !scan_digits(&s, 2, &c.minute) ||
        !scan_char(&s, ":") || !scan_digits(&s, 2, &c.second) || !scan_fraction(&s, &c.us) ||
        !scan_zone(&s, &offset_us) || s.p != s.end) {
        return false;
    }
    if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > days_in_month(c.year, c.month) ||
        c.hour > 23 || c.minute > 59 || c.second > 60) {
        return false;
    }
    const bool leap_second = c.second == 60;
    /* Clamped to the last microsecond before it: later times still read as later. */
    if (leap_second) {
        c.second = 59;
        c.us = 999999;
    }
    int64_t us = days_of((int)c.year, c.month, c.day) * US_PER_DAY;
    us += (int64_t)(c.hour * 3600 + c.minute * 60 + c.second) * US_PER_SECOND + c.us;
    us -= offset_us;
    if (us < US_MIN || us > US_MAX) {
        return false;
    }
    if (leap_second && !ends_a_month(us)) {
        return false;
    }
    *wall_us = us;
    return true;
}

static struct civil civil_of(int64_t wall_us)
{
    if (wall_us < US_MIN) {
        wall_us = US_MIN;
    } else if (wall_us > US_MAX) {
        wall_us = US_MAX;
    }
    const int64_t from_min = wall_us - US_MIN;
    const unsigned day = (unsigned)(from_min / US_PER_DAY);
    const uint64_t us = (uint64_t)(from_min % US_PER_DAY);
    const unsigned second = (unsigned)(us / (uint64_t)US_PER_SECOND);

    /* Days since 1 March of the year −400, which is what the eras of 400 years are counted from. */
    const unsigned days = day + 146097 - 60;
    const unsigned era = days / 146097;
    const unsigned day_of_era = days % 146097;
    const unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const unsigned day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned march_month = (5 * day_of_year + 2) / 153;
    const unsigned month = march_month < 10 ? march_month + 3 : march_month - 9;
    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2) - 400,
        .month = month,
        .day = day_of_year - (153 * march_month + 2) / 5 + 1,
        .hour = second / 3600,
        .minute = second / 60 % 60,
        .second = second % 60,
        .us = (unsigned)(us % (uint64_t)US_PER_SECOND),
        .weekday = (day + 6) % 7, /* 0000-01-01 was a Saturday */
    };
}

/* Days since 1970-01-01; the year is 0 to 9999. */
static int64_t days_of(int year, unsigned month, unsigned day)
{
    const unsigned march_year = (unsigned)(year + 400 - (month <= 2));
    const unsigned era = march_year / 400;
    const unsigned year_of_era = march_year % 400;
    const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const unsigned day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * 146097 + (int64_t)day_of_era - 719468 - 146097;
}

static char *put_digits(char *at, unsigned value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

static bool scan_digits(struct scan *s, int digits, unsigned *out)
{
    if (s->end - s->p < digits) {
        return false;
    }
    unsigned value = 0;
    for (int i = 0; i < digits; i++) {
        const unsigned digit = (unsigned)(unsigned char)s->p[i] - '0';
        if (digit > 9) {
            return false;
        }
        value = value * 10 + digit;
    }
    s->p += digits;
    *out = value;
    return true;
}

static bool scan_char(struct scan *s, const char *any_of)
{
    if (s->p == s->end || *s->p == '\0' || strchr(any_of, *s->p) == NULL) {
        return false;
    }
    s->p++;
    return true;
}

/* Nothing, or a dot and 1 to 9 digits; what is finer than a microsecond is cut off. */
static bool scan_fraction(struct scan *s, unsigned *us)
{
    if (!scan_char(s, ".")) {
        return true;
    }
    unsigned value = 0;
    unsigned digit = 0;
    int digits = 0;
    while (scan_digits(s, 1, &digit)) {
        digits++;
        if (digits > 9) {
            return false;
        }
        if (digits <= 6) {
            value = value * 10 + digit;
        }
    }
    if (digits == 0) {
        return false;
    }
    for (int i = digits; i < 6; i++) {
        value *= 10;
    }
    *us = value;
    return true;
}

static bool scan_zone(struct scan *s, int64_t *offset_us)
{
    if (s->p == s->end || scan_char(s, "Zz")) {
        return true;
    }
    const bool west = *s->p == '-';
    unsigned hours = 0;
    unsigned minutes = 0;
    if (!scan_char(s, "+- ") || !scan_digits(s, 2, &hours) || !scan_char(s, ":") ||
        !scan_digits(s, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    const int64_t offset = (int64_t)(hours * 60 + minutes) * 60 * US_PER_SECOND;
    *offset_us = west ? -offset : offset;
    return true;
}

/* A leap second exists only as 23:59:60 UTC on the last day of a month. */
static bool ends_a_month(int64_t us)
{
    return (us + 1) % US_PER_DAY == 0 && (us == US_MAX || civil_of(us + 1).day == 1);
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}
