/* SPDX-License-Identifier: MIT
 *
 * json: the double nearest to a decimal, exactly, without libc for the exponents that occur (an
 * embedding answer is a few hundred thousand of them). Owns nothing, any thread.
 *
 * Up to 2^53 digits and a power of ten up to 10^22 are both exact doubles, so that one
 * multiplication or division rounds once (W. D. Clinger, "How to Read Floating Point Numbers
 * Accurately", 1990). Beyond that, up to 5^27, the value is an exact quotient or product of 128
 * bits that is rounded here.
 */
#include "number.h"

#include <math.h>

static double round_to_double(json__u128 value, int exponent, bool more);

const uint64_t json__power_5[JSON__POWER_5_MAX + 1] = {
    UINT64_C(1),
    UINT64_C(5),
    UINT64_C(25),
    UINT64_C(125),
    UINT64_C(625),
    UINT64_C(3125),
    UINT64_C(15625),
    UINT64_C(78125),
    UINT64_C(390625),
    UINT64_C(1953125),
    UINT64_C(9765625),
    UINT64_C(48828125),
    UINT64_C(244140625),
    UINT64_C(1220703125),
    UINT64_C(6103515625),
    UINT64_C(30517578125),
    UINT64_C(152587890625),
    UINT64_C(762939453125),
    UINT64_C(3814697265625),
    UINT64_C(19073486328125),
    UINT64_C(95367431640625),
    UINT64_C(476837158203125),
    UINT64_C(2384185791015625),
    UINT64_C(11920928955078125),
    UINT64_C(59604644775390625),
    UINT64_C(298023223876953125),
    UINT64_C(1490116119384765625),
    UINT64_C(7450580596923828125),
};

bool json__double_of(uint64_t digits, int64_t exponent, double *out)
{
    static const double power_10[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (exponent < -JSON__POWER_5_MAX || exponent > JSON__POWER_5_MAX) {
        return false;
    }
    const int places = (int)(exponent < 0 ? -exponent : exponent);
    if (digits <= UINT64_C(1) << 53 && places <= 22) {
        *out = exponent < 0 ? (double)digits / power_10[places] : (double)digits * power_10[places];
        return true;
    }
    if (exponent >= 0) {
        *out = round_to_double((json__u128)digits * json__power_5[places], places, false);
        return true;
    }
    /* digits / 5^places with at least 63 bits of quotient. */
    const int lead = __builtin_clzll(digits);
    const json__u128 dividend = (json__u128)(digits << lead) << 63;
    const json__u128 quotient = dividend / json__power_5[places];
    const bool more = quotient * json__power_5[places] != dividend;
    *out = round_to_double(quotient, -(63 + lead + places), more);
    return true;
}

/* value × 2^exponent to nearest, ties to even; more: the true value is a little above. Far from the
 * ends of the range of doubles, and with more, value has over 54 bits. */
static double round_to_double(json__u128 value, int exponent, bool more)
{
    const uint64_t high = (uint64_t)(value >> 64);
    const int bits =
        high != 0 ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll((uint64_t)value);
    const int dropped = bits - 53;
    if (dropped <= 0) {
        return ldexp((double)(uint64_t)value, exponent);
    }
    uint64_t kept = (uint64_t)(value >> dropped);
    const json__u128 half = (json__u128)1 << (dropped - 1);
    const json__u128 rest = value & ((half << 1) - 1);
    if (rest > half || (rest == half && (more || (kept & 1) != 0))) {
        kept++;
    }
    return ldexp((double)kept, exponent + dropped);
}
