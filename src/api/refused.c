/* SPDX-License-Identifier: MIT
 *
 * Documents that were refused (refused.h).
 */
#include "api/refused.h"

#include <string.h>

#define REFUSED_MAX 4096

static bool was_refused(const struct api__refused *refused, const struct cx_vector_waiting *item);

void api__refused_add(struct api__refused *refused, const struct cx_vector_waiting *item)
{
    if (refused->count == REFUSED_MAX) {
        refused->count--;
        memmove(refused->items, refused->items + 1, refused->count * sizeof *refused->items);
    }
    refused->items = cx_realloc_array(refused->items, refused->count + 1, sizeof *refused->items);
    struct api__refused_item *entry = &refused->items[refused->count++];
    entry->id = item->id;
    memcpy(entry->content_hash, item->content_hash, sizeof entry->content_hash);
}

void api__refused_forget(struct api__refused *refused, size_t last)
{
    refused->count -= last < refused->count ? last : refused->count;
}

void api__refused_skip(const struct api__refused *refused, struct cx_vector_pending *slice)
{
    size_t kept = 0;
    for (size_t i = 0; i < slice->count; i++) {
        if (!was_refused(refused, &slice->items[i])) {
            slice->items[kept++] = slice->items[i];
        }
    }
    slice->count = kept;
}

static bool was_refused(const struct api__refused *refused, const struct cx_vector_waiting *item)
{
    for (size_t i = 0; i < refused->count; i++) {
        if (refused->items[i].id == item->id &&
            memcmp(refused->items[i].content_hash, item->content_hash, sizeof item->content_hash) ==
                0) {
            return true;
        }
    }
    return false;
}
