/* SPDX-License-Identifier: MIT
 *
 * Small allocations that abort when memory is out: the caller has nothing better to do.
 */
#include "cortex/base.h"

#include <stdlib.h>
#include <string.h>

void *cx_alloc(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    CX_CHECK(memory != NULL);
    return memory;
}

void *cx_realloc_array(void *array, size_t count, size_t item_size)
{
    size_t size = 0;
    CX_CHECK(!__builtin_mul_overflow(count, item_size, &size));
    void *memory = realloc(array, size > 0 ? size : 1);
    CX_CHECK(memory != NULL);
    return memory;
}

char *cx_strdup(const char *text)
{
    return cx_strndup(text, strlen(text));
}

char *cx_strndup(const char *text, size_t len)
{
    CX_CHECK(len < SIZE_MAX);
    char *copy = malloc(len + 1);
    CX_CHECK(copy != NULL);
    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = '\0';
    return copy;
}

void cx_wipe(void *data, size_t len)
{
    if (len > 0) {
        explicit_bzero(data, len);
    }
}
