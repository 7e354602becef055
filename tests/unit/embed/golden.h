/* SPDX-License-Identifier: MIT
 *
 * Files of tests/golden.
 */
#ifndef CORTEX_TEST_EMBED_GOLDEN_H
#define CORTEX_TEST_EMBED_GOLDEN_H

#include <jansson.h>
#include <stdio.h>

#include "cortex/base.h"

static inline json_t *golden_json(const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tests/golden/%s", CORTEX_SOURCE_DIR, name);
    json_t *json = json_load_file(path, 0, NULL);
    CX_CHECK(json != NULL);
    return json;
}

#endif
