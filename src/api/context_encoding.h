/* SPDX-License-Identifier: MIT
 *
 * What the endpoints under /context/ share: by which encoding tokens are counted.
 */
#ifndef CORTEX_API_CONTEXT_ENCODING_H
#define CORTEX_API_CONTEXT_ENCODING_H

#include "cortex/context.h"
#include "cortex/json.h"

/* `encoding` by its name, or `model` by OpenAI's; cl100k_base where there is neither. An unknown one,
 * and two that differ, are faults. Any thread. */
void api__read_encoding(struct cx_reader *r, enum cx_encoding *out);

#endif
