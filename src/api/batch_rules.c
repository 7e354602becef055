/* SPDX-License-Identifier: MIT
 *
 * What a document of a batch may be refused for beside the shape of its members. Any thread, as
 * api__batch_read.
 */
#include "api/batch.h"

/* ---- Metadata ---- */

static void count_values(const json_t *value, size_t *count, size_t most);

bool api__batch_admit_metadata(struct api__batch *b, struct cx_reader *r, const json_t *metadata)
{
    size_t count = 0;
    count_values(metadata, &count, API_METADATA_VALUES_MAX + 1);
    if (count > API_METADATA_VALUES_MAX) {
        cx_read_fault(r, "metadata", "length",
                      "must have at most %zu members and elements, those within them counted too",
                      API_METADATA_VALUES_MAX);
        return false;
    }
    b->values += count;
    b->too_many_values = b->values > API_METADATA_BATCH_VALUES_MAX;
    return true;
}

/* No further than `most`. How deep is bounded by the parser. */
static void count_values(const json_t *value, size_t *count, size_t most)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        if (++*count >= most) {
            return;
        }
        count_values(member, count, most);
    }
    const size_t elements = json_array_size(value);
    for (size_t i = 0; i < elements && *count < most; i++) {
        ++*count;
        count_values(json_array_get(value, i), count, most);
    }
}

/* ---- Ids ---- */

bool api__batch_admit_id(struct api__batch *b, struct cx_reader *r, struct cx_str id,
                         struct cx_str owner)
{
    b->owners = b->owners != NULL ? b->owners : json_object();
    const json_t *other = json_object_getn(b->owners, id.p, id.len);
    if (other != NULL &&
        !cx_str_eq((struct cx_str){ json_string_value(other), json_string_length(other) }, owner)) {
        cx_read_fault(r, "doc_id", "value",
                      cx_str_eq(id, owner)
                          ? "is the id of a passage of another document here"
                          : "makes a passage with the id of another document here");
        return false;
    }
    if (other == NULL &&
        json_object_setn_new(b->owners, id.p, id.len, json_stringn(owner.p, owner.len)) != 0) {
        b->out_of_memory = true;
        return false;
    }
    return true;
}
