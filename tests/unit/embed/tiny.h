/* SPDX-License-Identifier: MIT
 *
 * The small models that tests/golden/tiny_model.py wrote into the build directory: one for each
 * variant of tests/golden/tiny_vectors.json, and copies to be spoiled.
 */
#ifndef CORTEX_TEST_EMBED_TINY_H
#define CORTEX_TEST_EMBED_TINY_H

#include <jansson.h>

#include "cortex/base.h"

#define TINY CORTEX_TINY_MODELS "/0"
#define TINY_DIMENSION 32

/* A copy of TINY in the test's folder; its path, until the test ends. */
const char *tiny_copy(void);
/* Of a copy: the path of a file of it. */
const char *tiny_path(const char *name);
void tiny_remove(const char *name);
void tiny_cut(const char *name, long bytes); /* from its end */
void tiny_put(const char *name, const char *text);
/* Sets one member of a JSON file of it (value is taken over; NULL removes it). path: "a.b" or "0.b". */
void tiny_set(const char *name, const char *path, json_t *value);

#endif
