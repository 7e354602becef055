/* SPDX-License-Identifier: MIT
 *
 * The arena: a list of chunks, the newest of which is handed out front to back. What is too big for
 * a chunk gets one of its own behind the newest, so that the newest's rest is not lost.
 */
#include "cortex/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_ALIGN = 16, ARENA_CHUNK_MIN = 4096, ARENA_CHUNK_MAX = 64 * 1024 };

struct cx_arena_chunk {
    struct cx_arena_chunk *next;
    size_t used;
    size_t size; /* of bytes */
    _Alignas(ARENA_ALIGN) unsigned char bytes[];
};

static void *take(struct cx_arena *a, size_t size);
static struct cx_arena_chunk *add_chunk(struct cx_arena *a, size_t need);

void cx_arena_init(struct cx_arena *a, size_t ceiling)
{
    *a = (struct cx_arena){ .ceiling = ceiling };
}

void cx_arena_free(struct cx_arena *a)
{
    while (a->chunks != NULL) {
        struct cx_arena_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        free(chunk);
    }
    a->used = 0;
}

void cx_arena_reset(struct cx_arena *a)
{
    struct cx_arena_chunk *kept = NULL;
    while (a->chunks != NULL) {
        struct cx_arena_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        if (kept == NULL && chunk->size <= ARENA_CHUNK_MIN) {
            kept = chunk;
        } else {
            free(chunk);
        }
    }
    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
    }
    a->chunks = kept;
    a->used = 0;
}

void *cx_arena_alloc(struct cx_arena *a, size_t size)
{
    void *memory = take(a, size);
    return memory != NULL ? memset(memory, 0, size) : NULL;
}

static void *take(struct cx_arena *a, size_t size)
{
    if (size > a->ceiling) {
        return NULL;
    }
    size_t need = size > 0 ? size : 1;
    if (__builtin_add_overflow(need, (size_t)ARENA_ALIGN - 1, &need)) {
        return NULL;
    }
    need &= ~((size_t)ARENA_ALIGN - 1);
    if (need > a->ceiling || a->used > a->ceiling - need) {
        return NULL;
    }
    struct cx_arena_chunk *chunk = a->chunks;
    if (chunk == NULL || chunk->size - chunk->used < need) {
        chunk = add_chunk(a, need);
        if (chunk == NULL) {
            return NULL;
        }
    }
    void *memory = chunk->bytes + chunk->used;
    chunk->used += need;
    a->used += need;
    return memory;
}

char *cx_arena_strdup(struct cx_arena *a, const char *text)
{
    return cx_arena_strndup(a, text, strlen(text));
}

char *cx_arena_strndup(struct cx_arena *a, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? take(a, len + 1) : NULL;
    if (copy != NULL) {
        if (len > 0) {
            memcpy(copy, text, len);
        }
        copy[len] = '\0';
    }
    return copy;
}

char *cx_arena_printf(struct cx_arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len >= 0 ? cx_arena_alloc(a, (size_t)len + 1) : NULL;
    if (text != NULL) {
        va_start(args, format);
        (void)vsnprintf(text, (size_t)len + 1, format, args);
        va_end(args);
    }
    return text;
}

static struct cx_arena_chunk *add_chunk(struct cx_arena *a, size_t need)
{
    const size_t head = sizeof(struct cx_arena_chunk);
    size_t total = ARENA_CHUNK_MIN;
    if (a->chunks != NULL) {
        /* Each chunk as large as all before it together: few chunks, at most half of them empty. */
        while (total < a->used && total < ARENA_CHUNK_MAX) {
            total *= 2;
        }
    }
    const bool own = need > (total - head) / 2 && a->chunks != NULL;
    if (own || need > total - head) {
        if (__builtin_add_overflow(need, head, &total)) {
            return NULL;
        }
    }
    struct cx_arena_chunk *chunk = malloc(total);
    if (chunk == NULL) {
        return NULL;
    }
    *chunk = (struct cx_arena_chunk){ .size = total - head };
    if (own) {
        chunk->next = a->chunks->next;
        a->chunks->next = chunk;
    } else {
        chunk->next = a->chunks;
        a->chunks = chunk;
    }
    return chunk;
}
