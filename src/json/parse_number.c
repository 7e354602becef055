/* SPDX-License-Identifier: MIT
 *
 * json: numbers (RFC 8259 section 6). Whole ones become integers of 64 bits or are refused, those
 * with a fraction or an exponent the nearest double. Owns nothing, any thread.
 */
#include "parser.h"

#include <math.h>
#include <stdlib.h>

#include "number.h"

/* The digits of a number with those before them: 0.00120 is 120 × 10^-5. */
struct digits {
    uint64_t value;   /* of the first 19 that count */
    int count;        /* that count: not the zeros in front */
    int64_t exponent; /* of the last digit */
};

static bool is_digit(const struct json__parser *p);
static void take_digits(struct json__parser *p, struct digits *d);
static bool take_exponent(struct json__parser *p, struct digits *d);
static json_t *make_integer(struct json__parser *p, const char *at, const struct digits *d,
                            bool negative);
static json_t *make_real(struct json__parser *p, const char *at, const struct digits *d,
                         bool negative);

json_t *json__parse_number(struct json__parser *p)
{
    const char *at = p->at;
    const bool negative = *p->at == '-';
    p->at += negative ? 1 : 0;
    if (!is_digit(p)) {
        (void)json__refuse_expected(p, "a digit is expected");
        return NULL;
    }
    struct digits d = { .value = 0 };
    if (*p->at == '0') {
        p->at++;
        if (is_digit(p)) {
            (void)json__refuse(p, at, "a number must not start with a superfluous zero");
            return NULL;
        }
    } else {
        take_digits(p, &d);
    }
    bool whole = true;
    if (p->at < p->end && *p->at == '.') {
        whole = false;
        const char *fraction = ++p->at;
        if (!is_digit(p)) {
            (void)json__refuse_expected(p, "a digit is expected");
            return NULL;
        }
        take_digits(p, &d);
        d.exponent = -(int64_t)(p->at - fraction);
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        whole = false;
        if (!take_exponent(p, &d)) {
            return NULL;
        }
    }
    return whole ? make_integer(p, at, &d, negative) : make_real(p, at, &d, negative);
}

static bool is_digit(const struct json__parser *p)
{
    return p->at < p->end && *p->at >= '0' && *p->at <= '9';
}

static void take_digits(struct json__parser *p, struct digits *d)
{
    for (; is_digit(p); p->at++) {
        if (d->count < 19) {
            d->value = d->value * 10 + (uint64_t)(*p->at - '0');
        }
        if (d->value != 0 && d->count < 20) {
            d->count++;
        }
    }
}

static bool take_exponent(struct json__parser *p, struct digits *d)
{
    p->at++;
    bool negative = false;
    if (p->at < p->end && (*p->at == '+' || *p->at == '-')) {
        negative = *p->at == '-';
        p->at++;
    }
    if (!is_digit(p)) {
        return json__refuse_expected(p, "a digit is expected");
    }
    int64_t exponent = 0;
    for (; is_digit(p); p->at++) {
        if (exponent <
            INT64_C(1000000000000000)) { /* more than the digits of any text make up for */
            exponent = exponent * 10 + (*p->at - '0');
        }
    }
    d->exponent += negative ? -exponent : exponent;
    return true;
}

static json_t *make_integer(struct json__parser *p, const char *at, const struct digits *d,
                            bool negative)
{
    const uint64_t most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (d->count > 19 || d->value > most) {
        if (p->wide) {
            return make_real(p, at, d, negative);
        }
        (void)json__refuse(p, at, "an integer does not fit into 64 bits");
        return NULL;
    }
    const int64_t value = negative ? (int64_t)(0 - d->value) : (int64_t)d->value;
    return json__made(p, json_integer(value));
}

static json_t *make_real(struct json__parser *p, const char *at, const struct digits *d,
                         bool negative)
{
    double value = 0.0;
    if (d->count > 19 || (d->value != 0 && !json__double_of(d->value, d->exponent, &value))) {
        struct cx_buf copy; /* strtod wants a NUL at the end */
        cx_buf_init(&copy, (size_t)(p->at - at));
        cx_buf_append(&copy, at, (size_t)(p->at - at));
        if (!copy.failed) {
            value = fabs(strtod(copy.data, NULL));
        }
        const bool failed = copy.failed;
        cx_buf_free(&copy);
        if (failed) {
            return json__made(p, NULL);
        }
    }
    if (isinf(value)) {
        (void)json__refuse(p, at, "a number is too large");
        return NULL;
    }
    return json__made(p, json_real(negative ? -value : value));
}
