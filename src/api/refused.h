/* SPDX-License-Identifier: MIT
 *
 * refused: the documents that the embedding service would not take, so that they are passed over until
 * they have another content. Remembered until the daemon ends; of very many the oldest are forgotten.
 *
 * Threads: loop; while a worker asks api__refused_skip nothing is changed.
 */
#ifndef CORTEX_API_REFUSED_H
#define CORTEX_API_REFUSED_H

#include "api/api_internal.h"

struct api__refused_item {
    int64_t id;
    uint8_t content_hash[32];
};
struct api__refused {
    struct api__refused_item *items;
    size_t count;
};
void api__refused_add(struct api__refused *refused, const struct cx_vector_waiting *item);
/* The last ones get another chance. */
void api__refused_forget(struct api__refused *refused, size_t last);
/* Takes those that were refused out of the slice. */
void api__refused_skip(const struct api__refused *refused, struct cx_vector_pending *slice);

#endif
