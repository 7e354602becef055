/* SPDX-License-Identifier: MIT
 *
 * Failing allocations.
 */
#include "memory_faults.h"

#include <stdatomic.h>
#include <stddef.h>

#include "cortex/base.h"

static atomic_long left;
static atomic_bool failed;
static _Thread_local unsigned spared; /* depth of calls that abort instead */

void *__real_malloc(size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_cx_realloc_array(void *array, size_t count, size_t item_size);
char *__real_cx_strdup(const char *text);
char *__real_cx_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_cx_realloc_array(void *array, size_t count, size_t item_size);
char *__wrap_cx_strdup(const char *text);
char *__wrap_cx_strndup(const char *text, size_t len);

void memory_faults_arm(long nth)
{
    atomic_store(&failed, false);
    atomic_store(&left, nth);
}

void memory_faults_spare(bool spare)
{
    spared = spare ? spared + 1 : spared - 1;
}

bool memory_faults_disarm(void)
{
    atomic_store(&left, 0);
    return atomic_load(&failed);
}

static bool fails_now(void)
{
    if (spared > 0 || atomic_load(&left) <= 0 || atomic_fetch_sub(&left, 1) != 1) {
        return false;
    }
    atomic_store(&failed, true);
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails_now() ? NULL : __real_realloc(memory, size);
}

void *__wrap_cx_realloc_array(void *array, size_t count, size_t item_size)
{
    spared++;
    void *made = __real_cx_realloc_array(array, count, item_size);
    spared--;
    return made;
}

char *__wrap_cx_strdup(const char *text)
{
    spared++;
    char *made = __real_cx_strdup(text);
    spared--;
    return made;
}

char *__wrap_cx_strndup(const char *text, size_t len)
{
    spared++;
    char *made = __real_cx_strndup(text, len);
    spared--;
    return made;
}
