/* SPDX-License-Identifier: MIT
 *
 * The first step of an encoding: text into pieces, each of which is encoded by itself.
 */
#ifndef CONTEXT_SPLIT_H
#define CONTEXT_SPLIT_H

#include <stddef.h>

/* Bytes of the piece that text begins with; len > 0 bytes of it are left until its end. */
typedef size_t (*split_fn)(const unsigned char *text, size_t len);

size_t context__split_cl100k(const unsigned char *text, size_t len);
size_t context__split_o200k(const unsigned char *text, size_t len);

#endif
