/* SPDX-License-Identifier: MIT
 *
 * Metadata and filters drawn from a small generator (fixture.h): few keys and values, so that they often
 * meet, of every kind and with every operator.
 */
#ifndef CORTEX_TEST_VECTOR_DRAWN_H
#define CORTEX_TEST_VECTOR_DRAWN_H

#include <jansson.h>
#include <stdint.h>

json_t *draw_metadata(uint64_t *state);
/* depth: of what joins. One that says nothing is drawn too. */
json_t *draw_filter(uint64_t *state, int depth);

#endif
