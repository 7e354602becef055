/* SPDX-License-Identifier: MIT
 *
 * The text of a double: a table of what node writes, and properties over random ones.
 */
#include "test.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

static const struct sample {
    uint64_t bits;
    const char *text;
} samples[] = {
#include "numbers.inc"
};

static double of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

TEST(number_as_node_writes_it)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(samples); i++) {
        char text[CX_NUMBER_TEXT_BYTES];
        const size_t len = cx_json_format_number(of_bits(samples[i].bits), text);
        EXPECT_STR(text, samples[i].text);
        EXPECT_INT(len, strlen(samples[i].text));
    }
}

static int count_significant(const char *text)
{
    char digits[CX_NUMBER_TEXT_BYTES];
    int count = 0;
    for (const char *at = text; *at != '\0' && *at != 'e'; at++) {
        if (*at >= '0' && *at <= '9' && (count > 0 || *at != '0')) {
            digits[count++] = *at;
        }
    }
    while (count > 0 && digits[count - 1] == '0') {
        count--;
    }
    return count;
}

/* Reads back the same, with no more digits than the fewest that printf finds, and no decimal of as
 * many digits that reads back is nearer. */
static bool is_shortest(double value)
{
    char text[CX_NUMBER_TEXT_BYTES];
    const size_t len = cx_json_format_number(value, text);
    const int count = count_significant(text);
    if (len != strlen(text) || len >= 26 || strtod(text, NULL) != value || count > 17) {
        return false;
    }
    for (int n = 1; n < count; n++) {
        char shorter[64];
        (void)snprintf(shorter, sizeof shorter, "%.*e", n - 1, value);
        if (strtod(shorter, NULL) == value) {
            return false;
        }
    }
    char nearest[64];
    (void)snprintf(nearest, sizeof nearest, "%.*e", count - 1, value);
    if (strtod(nearest, NULL) != value) {
        return true; /* the nearest does not read back: another one had to be taken */
    }
    char again[64];
    (void)snprintf(again, sizeof again, "%.*e", count - 1, strtod(nearest, NULL));
    /* Both texts name the same decimal. */
    char ours[64];
    (void)snprintf(ours, sizeof ours, "%.*Le", count - 1, strtold(text, NULL));
    return strcmp(ours, again) == 0;
}

TEST(number_is_shortest_and_nearest)
{
    struct cx_random random;
    cx_random_init(&random);
    for (int i = 0; i < 60000; i++) {
        uint64_t bits;
        cx_random_fill(&random, &bits, sizeof bits);
        double value = of_bits(bits);
        switch (i % 4) {
        case 0:
            break;
        case 1:
            value = (double)(bits >> 11) * 0x1p-53;
            break;
        case 2:
            value = (float)((double)(int64_t)bits * 0x1p-63);
            break;
        default:
            value = ldexp((double)(bits >> 11), (int)(bits % 100) - 90);
            break;
        }
        if (!isfinite(value) || value == 0.0) {
            continue;
        }
        char text[CX_NUMBER_TEXT_BYTES];
        (void)cx_json_format_number(value, text);
        REQUIRE(test_expect(is_shortest(value), __FILE__, __LINE__, "%a as %s", value, text));
    }
    for (int e = -1074; e <= 1023; e++) {
        const double power = ldexp(1.0, e);
        REQUIRE(test_expect(is_shortest(power), __FILE__, __LINE__, "2^%d", e));
        REQUIRE(
            test_expect(is_shortest(nextafter(power, INFINITY)), __FILE__, __LINE__, "2^%d+", e));
        if (e > -1074) {
            REQUIRE(test_expect(is_shortest(nextafter(power, 0)), __FILE__, __LINE__, "2^%d-", e));
        }
    }
}

TEST(number_of_every_small_integer_and_hundredth)
{
    for (int i = 1; i < 20000; i++) {
        char text[CX_NUMBER_TEXT_BYTES];
        char want[CX_NUMBER_TEXT_BYTES];
        (void)cx_json_format_number(i, text);
        (void)snprintf(want, sizeof want, "%d", i);
        EXPECT_STR(text, want);
        (void)cx_json_format_number(i / 100.0, text);
        (void)snprintf(want, sizeof want, "%d.%02d", i / 100, i % 100);
        size_t len = strlen(want);
        while (want[len - 1] == '0') {
            want[--len] = '\0';
        }
        if (want[len - 1] == '.') {
            want[--len] = '\0';
        }
        EXPECT_STR(text, want);
    }
}
