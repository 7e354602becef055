/* SPDX-License-Identifier: MIT
 *
 * json: from decimal digits to doubles, for the parser; and what both directions share.
 */
#ifndef CORTEX_JSON_NUMBER_H
#define CORTEX_JSON_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* The double nearest to digits × 10^exponent (ties to even), for exponents of moderate size; false
 * where the exponent is beyond them. digits is not 0. */
bool json__double_of(uint64_t digits, int64_t exponent, double *out);

__extension__ typedef unsigned __int128 json__u128;

#define JSON__POWER_5_MAX 27 /* 5^27 < 2^63 */
extern const uint64_t json__power_5[JSON__POWER_5_MAX + 1];

#endif
