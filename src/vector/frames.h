/* SPDX-License-Identifier: MIT
 *
 * frames: a file of frames, each with its checksum (graph_file.h), written and read from its beginning.
 *
 * Threads: one owner.
 */
#ifndef CORTEX_VECTOR_FRAMES_H
#define CORTEX_VECTOR_FRAMES_H

#include "cortex/base.h"

#define VECTOR__FRAME_MAX ((size_t)1 << 20) /* bytes of a payload */

struct vector__frames {
    int fd;
    uint64_t number; /* of the next */
    uint8_t *payload;
    size_t len;
};

/* A new file, or one to be read. False where it cannot be opened. */
bool vector__frames_create(struct vector__frames *f, const char *path);
bool vector__frames_open(struct vector__frames *f, const char *path);
void vector__frames_close(struct vector__frames *f);
/* Appends to the frame under way. */
void vector__frames_put(struct vector__frames *f, const void *data, size_t len);
/* Ends it. False where it cannot be written. */
bool vector__frames_write(struct vector__frames *f);
/* The next frame, of exactly len bytes, into payload. False where it is not there or not whole. */
bool vector__frames_read(struct vector__frames *f, size_t len);
bool vector__frames_at_end(const struct vector__frames *f);

#endif
