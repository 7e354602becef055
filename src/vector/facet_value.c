/* SPDX-License-Identifier: MIT
 *
 * Values of metadata: kinds, digests, order (facet_value.h).
 */
#include "facet_value.h"

#include <math.h>
#include <string.h>

static void scalar_of(const json_t *json, struct vector__value *out);
static void number_of(const json_t *json, struct vector__value *out);
static struct vector__digest digest_bytes(const struct vector__facet_key *key, const void *bytes,
                                          size_t len);
static struct vector__digest digest_three(const struct vector__facet_key *key, char tag,
                                          struct vector__digest a, struct vector__digest b);
static int compare_text(struct cx_str a, struct cx_str b);
static int compare_numbers(const struct vector__value *a, const struct vector__value *b);
static int compare_integer_to_real(int64_t integer, double real);

void vector__value_of(const struct vector__facet_key *key, const json_t *json,
                      const struct vector__digest *members, struct vector__value *out)
{
    scalar_of(json, out);
    if (out->kind == VECTOR__STRING && out->text.len > VECTOR__STRING_BYTES) {
        out->kind = VECTOR__LONG_STRING;
        out->digest = digest_bytes(key, out->text.p, out->text.len);
        out->text.len = VECTOR__STRING_BYTES;
    } else if (out->kind == VECTOR__ARRAY || out->kind == VECTOR__OBJECT) {
        out->digest = *members;
    }
}

void vector__value_with_digest(const struct vector__facet_key *key, const json_t *json,
                               struct vector__value *out)
{
    struct vector__digest content = { { 0 } };
    if (json_is_array(json)) {
        vector__digest_begin(json, &content);
        for (size_t i = 0; i < json_array_size(json); i++) {
            vector__digest_element(key, vector__digest_of(key, json_array_get(json, i)), &content);
        }
    } else if (json_is_object(json)) {
        const char *name;
        json_t *member;
        vector__digest_begin(json, &content);
        json_object_foreach((json_t *)json, name, member)
        {
            vector__digest_member(key, name, vector__digest_of(key, member), &content);
        }
    }
    vector__value_of(key, json, &content, out);
}

struct vector__digest vector__digest_of(const struct vector__facet_key *key, const json_t *json)
{
    struct vector__value value;
    vector__value_with_digest(key, json, &value);
    return vector__value_digest(key, &value);
}

void vector__digest_begin(const json_t *container, struct vector__digest *content)
{
    const uint64_t size =
        json_is_array(container) ? json_array_size(container) : json_object_size(container);
    *content = (struct vector__digest){ { size, size } };
}

void vector__digest_element(const struct vector__facet_key *key, struct vector__digest element,
                            struct vector__digest *content)
{
    *content = digest_three(key, 'e', *content, element);
}

/* A sum does not depend on the order of the members. */
void vector__digest_member(const struct vector__facet_key *key, const char *name,
                           struct vector__digest member, struct vector__digest *content)
{
    const struct vector__digest one =
        digest_three(key, 'm', digest_bytes(key, name, strlen(name)), member);
    content->words[0] += one.words[0];
    content->words[1] += one.words[1];
}

struct vector__digest vector__value_digest(const struct vector__facet_key *key,
                                           const struct vector__value *value)
{
    struct vector__digest what = value->digest;
    if (value->kind == VECTOR__STRING) {
        what = digest_bytes(key, value->text.p, value->text.len);
    } else if (value->kind == VECTOR__INTEGER) {
        what.words[0] = (uint64_t)value->number.integer;
    } else if (value->kind == VECTOR__REAL) {
        memcpy(&what.words[0], &value->number.real, sizeof what.words[0]);
    }
    return digest_three(key, (char)value->kind, what, (struct vector__digest){ { 0 } });
}

bool vector__value_order(const struct vector__value *a, const struct vector__value *b, int *order)
{
    if (vector__value_group(a->kind) != vector__value_group(b->kind) || a->kind == VECTOR__NULL ||
        a->kind == VECTOR__ARRAY || a->kind == VECTOR__OBJECT) {
        return false;
    }
    if (a->kind == VECTOR__FALSE || a->kind == VECTOR__TRUE) {
        *order = (int)a->kind - (int)b->kind;
    } else if (a->kind == VECTOR__INTEGER || a->kind == VECTOR__REAL) {
        *order = compare_numbers(a, b);
    } else {
        /* Of two strings that are equal so far the long one is the longer one. */
        *order = compare_text(a->text, b->text);
        *order = *order != 0 ? *order : (int)a->kind - (int)b->kind;
    }
    return true;
}

int vector__value_total(const struct vector__value *a, const struct vector__value *b)
{
    const int groups = vector__value_group(a->kind) - vector__value_group(b->kind);
    int order = 0;
    if (groups != 0 || (vector__value_order(a, b, &order) && order != 0)) {
        return groups != 0 ? groups : order;
    }
    return memcmp(&a->digest, &b->digest, sizeof a->digest);
}

int vector__value_group(enum vector__kind kind)
{
    static const int GROUPS[] = {
        [VECTOR__NULL] = 0,        [VECTOR__FALSE] = 1, [VECTOR__TRUE] = 1,
        [VECTOR__INTEGER] = 2,     [VECTOR__REAL] = 2,  [VECTOR__STRING] = 3,
        [VECTOR__LONG_STRING] = 3, [VECTOR__ARRAY] = 4, [VECTOR__OBJECT] = 5,
    };
    return GROUPS[kind];
}

bool vector__json_order(const json_t *a, const json_t *b, int *order)
{
    struct vector__value x;
    struct vector__value y;
    scalar_of(a, &x);
    scalar_of(b, &y);
    return vector__value_order(&x, &y, order);
}

bool vector__order_holds(enum vector__filter_op op, int order)
{
    return op == VECTOR__GT    ? order > 0
           : op == VECTOR__GTE ? order >= 0
           : op == VECTOR__LT  ? order < 0
                               : order <= 0;
}

/* All but a digest. */
static void scalar_of(const json_t *json, struct vector__value *out)
{
    *out = (struct vector__value){ .kind = VECTOR__NULL };
    switch (json_typeof(json)) {
    case JSON_NULL:
        return;
    case JSON_FALSE:
        out->kind = VECTOR__FALSE;
        return;
    case JSON_TRUE:
        out->kind = VECTOR__TRUE;
        return;
    case JSON_INTEGER:
    case JSON_REAL:
        number_of(json, out);
        return;
    case JSON_STRING:
        out->kind = VECTOR__STRING;
        out->text = (struct cx_str){ json_string_value(json), json_string_length(json) };
        return;
    case JSON_ARRAY:
        out->kind = VECTOR__ARRAY;
        return;
    case JSON_OBJECT:
        out->kind = VECTOR__OBJECT;
        return;
    }
}

static void number_of(const json_t *json, struct vector__value *out)
{
    const double real = json_number_value(json);
    if (json_is_integer(json)) {
        out->kind = VECTOR__INTEGER;
        out->number.integer = json_integer_value(json);
    } else if (real >= -0x1p63 && real < 0x1p63 && real == floor(real)) {
        out->kind = VECTOR__INTEGER;
        out->number.integer = (int64_t)real;
    } else {
        out->kind = VECTOR__REAL;
        out->number.real = real;
    }
}

static struct vector__digest digest_bytes(const struct vector__facet_key *key, const void *bytes,
                                          size_t len)
{
    return (struct vector__digest){ { cx_siphash(key->bytes[0], bytes, len),
                                      cx_siphash(key->bytes[1], bytes, len) } };
}

static struct vector__digest digest_three(const struct vector__facet_key *key, char tag,
                                          struct vector__digest a, struct vector__digest b)
{
    const uint64_t words[] = { (uint64_t)(unsigned char)tag, a.words[0], a.words[1], b.words[0],
                               b.words[1] };
    return digest_bytes(key, words, sizeof words);
}

static int compare_text(struct cx_str a, struct cx_str b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    const int order = len > 0 ? memcmp(a.p, b.p, len) : 0;
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len ? 1 : 0;
}

static int compare_numbers(const struct vector__value *a, const struct vector__value *b)
{
    if (a->kind == VECTOR__INTEGER && b->kind == VECTOR__INTEGER) {
        return a->number.integer < b->number.integer   ? -1
               : a->number.integer > b->number.integer ? 1
                                                       : 0;
    }
    if (a->kind == VECTOR__INTEGER) {
        return compare_integer_to_real(a->number.integer, b->number.real);
    }
    if (b->kind == VECTOR__INTEGER) {
        return -compare_integer_to_real(b->number.integer, a->number.real);
    }
    return a->number.real < b->number.real ? -1 : a->number.real > b->number.real ? 1 : 0;
}

/* The real number is not whole or lies beyond all integers, so that they are never equal. */
static int compare_integer_to_real(int64_t integer, double real)
{
    if (real >= 0x1p63) {
        return -1;
    }
    if (real < -0x1p63) {
        return 1;
    }
    return integer <= (int64_t)floor(real) ? -1 : 1;
}
