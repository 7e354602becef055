/* SPDX-License-Identifier: MIT
 *
 * Notes of damage (notes.h). Any thread.
 */
#include "audit/notes.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

struct audit__noted {
    uint64_t first;
    uint64_t last;
    uint8_t before[CX_SHA256_BYTES];
    uint8_t after[CX_SHA256_BYTES];
};

static bool read_hash(const json_t *range, const char *name, uint8_t out[CX_SHA256_BYTES])
{
    const json_t *value = json_object_get(range, name);
    return json_is_string(value) &&
           cx_unhex((struct cx_str){ json_string_value(value), json_string_length(value) }, out,
                    CX_SHA256_BYTES);
}

void audit__notes_take(struct audit__notes *n, struct cx_str text)
{
    struct audit__entry entry;
    json_t *content = NULL;
    if (!audit__entry_parse(text, &entry) || entry.kind != CX_AUDIT_DAMAGE ||
        cx_json_parse(entry.content, &content, NULL) != CX_OK) {
        return;
    }
    const json_t *ranges = json_object_get(content, "ranges");
    for (size_t i = 0; i < json_array_size(ranges) && n->count < AUDIT__NOTES_MAX; i++) {
        const json_t *range = json_array_get(ranges, i);
        struct audit__noted row = {
            .first = (uint64_t)json_integer_value(json_object_get(range, "first")),
            .last = (uint64_t)json_integer_value(json_object_get(range, "last")),
        };
        if (read_hash(range, "before", row.before) && read_hash(range, "after", row.after)) {
            n->rows = cx_realloc_array(n->rows, n->count + 1, sizeof row);
            n->rows[n->count++] = row;
        }
    }
    json_decref(content);
}

void audit__notes_match(const struct audit__notes *n, struct audit__findings *findings)
{
    for (size_t i = 0; i < findings->count && i < AUDIT__FINDINGS_MAX; i++) {
        struct audit__finding *f = &findings->rows[i];
        for (size_t k = 0; k < n->count && f->loss && !f->noted; k++) {
            const struct audit__noted *row = &n->rows[k];
            f->noted = row->first == f->first && row->last == f->last &&
                       memcmp(row->before, f->before, sizeof f->before) == 0 &&
                       memcmp(row->after, f->after, sizeof f->after) == 0;
        }
    }
}

void audit__notes_free(struct audit__notes *n)
{
    free(n->rows);
    *n = (struct audit__notes){ .count = 0 };
}
