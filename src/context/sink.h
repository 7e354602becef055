/* SPDX-License-Identifier: MIT
 *
 * Where tokens go as they are found: counted, kept in an array, and followed along the text so that
 * a cut can be found. A copy of a sink taken earlier undoes what was emitted since.
 */
#ifndef CONTEXT_SINK_H
#define CONTEXT_SINK_H

#include <stddef.h>
#include <stdint.h>

struct sink {
    uint32_t *ids; /* NULL = not wanted */
    size_t capacity;
    size_t count;
    size_t limit; /* tokens that a cut may have; 0 = no cut wanted */
    size_t bytes; /* up to the last token within the limit … */
    size_t whole; /* … and to the last that ends with a character */
    const unsigned char *text;
    size_t len;
};

static inline void sink_emit(struct sink *sink, uint32_t id, size_t len)
{
    if (sink->count < sink->capacity) {
        sink->ids[sink->count] = id;
    }
    if (sink->count < sink->limit) {
        sink->bytes += len;
        if (sink->bytes == sink->len || (sink->text[sink->bytes] & 0xC0) != 0x80) {
            sink->whole = sink->bytes;
        }
    }
    sink->count++;
}

#endif
