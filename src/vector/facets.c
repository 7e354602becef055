/* SPDX-License-Identifier: MIT
 *
 * Facets (facets.h). Depth is bounded by the parser that made the JSON.
 */
#include "facets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct collector {
    const struct vector__facet_key *key;
    struct cx_buf path;
    uint64_t at; /* hash of the path */
    uint64_t *facets;
    size_t count;
    size_t cap;
};

static void collect_members(struct collector *c, const json_t *object, bool nested);
static void collect_value(struct collector *c, const json_t *value);
static void add(struct collector *c, uint64_t facet);
static uint64_t hash_value(const struct vector__facet_key *key, const json_t *value);
static uint64_t hash_tagged(const struct vector__facet_key *key, char tag, uint64_t a, uint64_t b);
static int compare_facets(const void *a, const void *b);

uint64_t vector__facet(const struct vector__facet_key *key, const char *path, size_t path_len,
                       const json_t *value)
{
    const uint64_t at = cx_siphash(key->bytes, path, path_len);
    return value == NULL ? hash_tagged(key, 'e', at, 0)
                         : hash_tagged(key, 'f', at, hash_value(key, value));
}

void vector__facets_of(const json_t *metadata, const struct vector__facet_key *key, uint64_t **out,
                       size_t *count)
{
    struct collector c = { .key = key };
    cx_buf_init(&c.path, VECTOR__PATH_BYTES + 2);
    collect_members(&c, metadata, false);
    cx_buf_free(&c.path);
    if (c.count > 1) {
        qsort(c.facets, c.count, sizeof *c.facets, compare_facets);
    }
    size_t kept = 0;
    for (size_t i = 0; i < c.count; i++) {
        if (kept == 0 || c.facets[kept - 1] != c.facets[i]) {
            c.facets[kept++] = c.facets[i];
        }
    }
    *out = kept > 0 ? cx_realloc_array(c.facets, kept, sizeof *c.facets) : NULL;
    *count = kept;
}

bool vector__filter_facets(const struct vector__filter *filter, const uint64_t *facets,
                           size_t count)
{
    for (size_t i = 0; i < filter->count; i++) {
        const struct vector__condition *c = &filter->conditions[i];
        bool value = false;
        bool exists = false;
        for (size_t j = 0; j < count; j++) {
            value = value || facets[j] == c->facet;
            exists = exists || facets[j] == c->exists;
        }
        if (!value && (!json_is_null(c->value) || exists)) {
            return false;
        }
    }
    return true;
}

static void collect_members(struct collector *c, const json_t *object, bool nested)
{
    const char *name;
    json_t *member;
    const size_t before = c->path.len;
    const uint64_t at_before = c->at;
    json_object_foreach((json_t *)object, name, member)
    {
        const size_t len = strlen(name);
        if (before + 1 + len > VECTOR__PATH_BYTES) {
            continue;
        }
        if (nested) {
            cx_buf_putc(&c->path, '.');
        }
        cx_buf_append(&c->path, name, len);
        c->at = cx_siphash(c->key->bytes, c->path.data != NULL ? c->path.data : "", c->path.len);
        add(c, hash_tagged(c->key, 'e', c->at, 0));
        collect_value(c, member);
        c->path.len = before;
        c->at = at_before;
    }
}

static void collect_value(struct collector *c, const json_t *value)
{
    add(c, hash_tagged(c->key, 'f', c->at, hash_value(c->key, value)));
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            collect_value(c, json_array_get(value, i));
        }
    } else if (json_is_object(value)) {
        collect_members(c, value, true);
    }
}

static void add(struct collector *c, uint64_t facet)
{
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 16 : c->cap * 2;
        c->facets = cx_realloc_array(c->facets, c->cap, sizeof *c->facets);
    }
    c->facets[c->count++] = facet;
}

static uint64_t hash_value(const struct vector__facet_key *key, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return hash_tagged(key, 'n', 0, 0);
    case JSON_TRUE:
        return hash_tagged(key, 't', 0, 0);
    case JSON_FALSE:
        return hash_tagged(key, 't', 1, 0);
    case JSON_STRING:
        return hash_tagged(
            key, 's', cx_siphash(key->bytes, json_string_value(value), json_string_length(value)),
            0);
    case JSON_INTEGER:
    case JSON_REAL: {
        const struct vector__number number = vector__number_of(value);
        uint64_t bits = (uint64_t)number.integer;
        if (!number.is_integer) {
            memcpy(&bits, &number.real, sizeof bits);
        }
        return hash_tagged(key, number.is_integer ? 'i' : 'r', bits, 0);
    }
    case JSON_ARRAY: {
        uint64_t hash = json_array_size(value);
        for (size_t i = 0; i < json_array_size(value); i++) {
            hash = hash_tagged(key, 'a', hash, hash_value(key, json_array_get(value, i)));
        }
        return hash_tagged(key, 'A', hash, 0);
    }
    case JSON_OBJECT:
        break;
    }
    /* A sum does not depend on the order of the members. */
    uint64_t sum = 0;
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        sum += hash_tagged(key, 'm', cx_siphash(key->bytes, name, strlen(name)),
                           hash_value(key, member));
    }
    return hash_tagged(key, 'O', sum, json_object_size(value));
}

struct vector__number vector__number_of(const json_t *value)
{
    if (json_is_integer(value)) {
        return (struct vector__number){ .is_integer = true, .integer = json_integer_value(value) };
    }
    const double real = json_real_value(value);
    if (real >= -0x1p63 && real < 0x1p63 && real == floor(real)) {
        return (struct vector__number){ .is_integer = true, .integer = (int64_t)real };
    }
    return (struct vector__number){ .real = real };
}

static uint64_t hash_tagged(const struct vector__facet_key *key, char tag, uint64_t a, uint64_t b)
{
    struct {
        uint64_t tag;
        uint64_t a;
        uint64_t b;
    } bytes = { (unsigned char)tag, a, b };
    return cx_siphash(key->bytes, &bytes, sizeof bytes);
}

static int compare_facets(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}
