/* SPDX-License-Identifier: MIT
 *
 * Decoding of UTF-8 shared by the validator and the log.
 */
#ifndef CORTEX_BASE_UTF8_H
#define CORTEX_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes (1 to 4) of the well-formed sequence at p[0..len), len > 0, or 0 if there is none; *code is
 * its code point. */
size_t base__utf8_decode(const unsigned char *p, size_t len, uint32_t *code);

#endif
