/* SPDX-License-Identifier: MIT
 *
 * The table of word weights: see idf_table.c, which third_party/idf/make_idf.py makes.
 */
#ifndef CORTEX_EMBED_IDF_TABLE_H
#define CORTEX_EMBED_IDF_TABLE_H

#include <stdint.h>

#define EMBED__IDF_COUNT 8192

extern const uint8_t embed__idf_unknown;                 /* of a stem that is not in the table */
extern const uint32_t embed__idf_keys[EMBED__IDF_COUNT]; /* high half of embed__hash, ascending */
extern const uint8_t embed__idf_weights[EMBED__IDF_COUNT];

#endif
