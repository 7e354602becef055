/* SPDX-License-Identifier: MIT
 *
 * json: a double as ECMAScript's Number::toString writes it (ECMA-262, 6.1.6.1.20; RFC 8785
 * 3.2.2.3): of the decimals that read back as the same double those with the fewest digits, of
 * these the nearest, of two as near the one whose last digit is even. Owns nothing, any thread.
 *
 * Two ways to the digits, both exact. From 2^-33 to 2^54 the interval of decimals that read
 * back fits into integers of 128 bits, and the digits are found in it by trying powers of ten. The
 * rest of the range, which is rare, asks printf for n digits rounded correctly and strtod whether
 * they read back (the process keeps the "C" locale, where both write a point).
 */
#include "cortex/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

/* 0.d1d2…dk × 10^point; digits has no trailing zero. */
struct decimal {
    uint64_t digits;
    int count;
    int point;
};

static bool shortest_in_integers(double value, struct decimal *out);
static void shortest_by_libc(double value, struct decimal *out);
static size_t lay_out(const struct decimal *d, char *text);

size_t cx_json_format_number(double value, char text[CX_NUMBER_TEXT_BYTES])
{
    CX_CHECK(isfinite(value));
    if (value == 0.0) {
        memcpy(text, "0", 2); /* of -0 too */
        return 1;
    }
    size_t at = 0;
    if (value < 0.0) {
        text[at++] = '-';
        value = -value;
    }
    struct decimal d;
    if (!shortest_in_integers(value, &d)) {
        shortest_by_libc(value, &d);
    }
    at += lay_out(&d, text + at);
    text[at] = '\0';
    return at;
}

static int count_digits(uint64_t n)
{
    int count = 1;
    while (n >= 10) {
        n /= 10;
        count++;
    }
    return count;
}

static bool shortest_in_integers(double value, struct decimal *out)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    const int e = (int)(bits >> 52) - 1023; /* 2^e <= value < 2^(e + 1) */
    if (e < -33 || e > 53) {
        return false;
    }
    /* places puts 17 or 18 digits before the point: value × 10^places = mid / 2^shift, and the
     * doubles next to it are half as far below as above where the fraction is 0. 78913 / 2^18 is
     * log10(2). */
    const int places = 16 - (e >= 0 ? (e * 78913) >> 18 : -((-e * 78913 + (1 << 18) - 1) >> 18));
    const int shift = 54 - e - places;
    CX_CHECK(places >= 0 && places <= JSON__POWER_5_MAX && shift >= 0 && shift < 64);
    const uint64_t mantissa = fraction | UINT64_C(1) << 52;
    const json__u128 scale = json__power_5[places];
    const json__u128 mid = scale * (mantissa * 4);
    const json__u128 low = mid - scale * (fraction == 0 ? 1 : 2);
    const json__u128 high = mid + scale * 2;
    const json__u128 below_one = ((json__u128)1 << shift) - 1;

    /* The whole numbers least..most read back; an end of the interval does where ties go to this
     * double. */
    const bool ends_count = (mantissa & 1) == 0;
    uint64_t least = (uint64_t)((low + below_one) >> shift);
    uint64_t most = (uint64_t)(high >> shift);
    if (!ends_count && (low & below_one) == 0) {
        least++;
    }
    if (!ends_count && (high & below_one) == 0) {
        most--;
    }

    /* The largest power of ten of which a multiple lies between them: what is left of that are the
     * digits. */
    uint64_t unit = 1;
    int zeros = 0;
    for (uint64_t from = least, to = most; (from + 9) / 10 <= to / 10; zeros++) {
        from = (from + 9) / 10;
        to /= 10;
        unit *= 10;
    }
    const uint64_t down = (uint64_t)(mid >> shift) / unit * unit;
    const uint64_t up = down + unit;
    const json__u128 middle = ((json__u128)down + up) << shift;
    const bool tie = 2 * mid == middle;
    bool take_down = tie ? down / unit % 2 == 0 : 2 * mid < middle;
    if (take_down ? down < least : up > most) {
        take_down = !take_down;
    }
    const uint64_t whole = take_down ? down : up;
    out->digits = whole / unit;
    out->count = count_digits(out->digits);
    out->point = out->count + zeros - places;
    return true;
}

static double read_decimal(uint64_t digits, int exponent)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%llue%d", (unsigned long long)digits, exponent);
    return strtod(text, NULL);
}

/* The n digits nearest to value if they read back; else the neighbour on the other side of value,
 * which may where the interval is wider there (below a power of two it is half as wide). */
static bool try_digits(double value, int n, uint64_t *digits, int *exponent)
{
    char text[48];
    (void)snprintf(text, sizeof text, "%.*e", n - 1, value);
    char *e = strchr(text, 'e');
    CX_CHECK(e != NULL);
    *exponent = (int)strtol(e + 1, NULL, 10) - (n - 1);
    *e = '\0';
    if (n > 1) {
        memmove(text + 1, text + 2, strlen(text + 2) + 1); /* the point */
    }
    *digits = strtoull(text, NULL, 10);

    const double back = read_decimal(*digits, *exponent);
    if (back == value) {
        return true;
    }
    uint64_t power = 1; /* 10^(n - 1), the least number of n digits */
    for (int i = 1; i < n; i++) {
        power *= 10;
    }
    if (back < value) {
        *digits += 1;
    } else if (*digits == power) {
        *digits = power * 10 - 1;
        *exponent -= 1;
    } else {
        *digits -= 1;
    }
    return read_decimal(*digits, *exponent) == value;
}

static void shortest_by_libc(double value, struct decimal *out)
{
    /* Where 15 digits read back, they are the fewest with zeros behind them, as every decimal of 15
     * digits survives a double: but not among the subnormals, which hold less. */
    int n = value < 0x1p-1021 ? 1 : 15;
    int exponent = 0;
    while (!try_digits(value, n, &out->digits, &exponent)) {
        n++;
        CX_CHECK(n <= 17);
    }
    while (out->digits % 10 == 0) {
        out->digits /= 10;
        exponent++;
    }
    out->count = count_digits(out->digits);
    out->point = out->count + exponent;
}

static size_t put(char *text, size_t at, const char *from, size_t len)
{
    memcpy(text + at, from, len);
    return at + len;
}

static size_t lay_out(const struct decimal *d, char *text)
{
    static const char zeros[] = "000000000000000000000";
    char digits[20];
    uint64_t rest = d->digits;
    for (int i = d->count - 1; i >= 0; i--) {
        digits[i] = (char)('0' + rest % 10);
        rest /= 10;
    }
    const size_t count = (size_t)d->count;
    size_t at = 0;
    if (d->point >= d->count && d->point <= 21) {
        at = put(text, at, digits, count);
        return put(text, at, zeros, (size_t)d->point - count);
    }
    if (d->point > 0 && d->point <= 21) {
        const size_t whole = (size_t)d->point;
        at = put(text, at, digits, whole);
        at = put(text, at, ".", 1);
        return put(text, at, digits + whole, count - whole);
    }
    if (d->point > -6 && d->point <= 0) {
        at = put(text, at, "0.", 2);
        at = put(text, at, zeros, (size_t)-d->point);
        return put(text, at, digits, count);
    }
    at = put(text, at, digits, 1);
    if (count > 1) {
        at = put(text, at, ".", 1);
        at = put(text, at, digits + 1, count - 1);
    }
    const int exponent = d->point - 1;
    const int written = snprintf(text + at, 6, "e%c%d", exponent < 0 ? '-' : '+', abs(exponent));
    return at + (size_t)written;
}
