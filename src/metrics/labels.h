/* SPDX-License-Identifier: MIT
 *
 * The grammar of a series' labels.
 */
#ifndef CORTEX_METRICS_LABELS_H
#define CORTEX_METRICS_LABELS_H

#include <stdbool.h>

/* True for "" and for name="value",name="value" with escaped values of valid UTF-8, up to 1 KiB. */
bool metrics__labels_valid(const char *labels);

#endif
