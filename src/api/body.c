/* SPDX-License-Identifier: MIT
 *
 * What several endpoints read alike: vectors, pages of a list, times; and the ids of an event.
 */
#include "api/api_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"

#define DIMENSION_MAX 8192
#define UNIT_TOLERANCE 1e-5 /* of the square of a length, as the store has it */
#define EMBED_SPARE_MS 250
#define PAGE_DEFAULT 100
#define PAGE_MAX 1000
#define EVENT_IDS_BYTES ((size_t)8 * 1024)

static float *from_array(struct cx_reader *r, struct cx_arena *arena, const json_t *array,
                         unsigned *dimension);
static float *from_base64(struct cx_reader *r, struct cx_arena *arena, const json_t *text,
                          unsigned *dimension);
static bool scale_to_one(float *vector, unsigned dimension);

bool api__read_vector(struct cx_reader *r, struct cx_arena *arena, const float **vector,
                      unsigned *dimension)
{
    const json_t *value = json_object_get(r->object, "vector");
    if (value == NULL || json_is_null(value)) {
        return false;
    }
    float *made = NULL;
    unsigned count = 0;
    if (json_is_array(value)) {
        made = from_array(r, arena, value, &count);
    } else if (json_is_string(value)) {
        made = from_base64(r, arena, value, &count);
    } else {
        cx_read_fault(r, "vector", "type", "must be an array of numbers or base64");
    }
    if (made == NULL) {
        return false;
    }
    if (!scale_to_one(made, count)) {
        cx_read_fault(r, "vector", "value", "must be finite and not all zero");
        return false;
    }
    *vector = made;
    *dimension = count;
    return true;
}

static float *from_array(struct cx_reader *r, struct cx_arena *arena, const json_t *array,
                         unsigned *dimension)
{
    const size_t count = json_array_size(array);
    if (count < 1 || count > DIMENSION_MAX) {
        cx_read_fault(r, "vector", "length", "must have 1 to %d numbers", DIMENSION_MAX);
        return NULL;
    }
    float *made = cx_arena_alloc(arena, count * sizeof *made);
    if (made == NULL) {
        cx_read_fault(r, "vector", "length", "is more than one request can hold");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *number = json_array_get(array, i);
        if (!json_is_number(number)) {
            cx_read_fault(r, "vector", "type", "must hold numbers only");
            return NULL;
        }
        made[i] = (float)json_number_value(number);
    }
    *dimension = (unsigned)count;
    return made;
}

static float *from_base64(struct cx_reader *r, struct cx_arena *arena, const json_t *text,
                          unsigned *dimension)
{
    const struct cx_str coded = { json_string_value(text), json_string_length(text) };
    if (coded.len > ((size_t)DIMENSION_MAX * sizeof(float) + 2) / 3 * 4) {
        cx_read_fault(r, "vector", "length", "must have 1 to %d numbers", DIMENSION_MAX);
        return NULL;
    }
    const size_t room = coded.len / 4 * 3;
    unsigned char *bytes = cx_arena_alloc(arena, room + 1);
    if (bytes == NULL) {
        cx_read_fault(r, "vector", "length", "is more than one request can hold");
        return NULL;
    }
    size_t len = 0;
    if (!cx_base64_decode(coded, bytes, room, &len) || len == 0 || len % sizeof(float) != 0) {
        cx_read_fault(r, "vector", "value", "must be base64 of little-endian float32 numbers");
        return NULL;
    }
    *dimension = (unsigned)(len / sizeof(float));
    /* Arena memory is aligned for floats; the bytes are little-endian, as every machine we build
     * for. */
    return (float *)(void *)bytes;
}

/* What is of length 1 already, as far as float32 tells, stays as it is to the last bit: an exported vector
 * that is put again has not changed. */
static bool scale_to_one(float *vector, unsigned dimension)
{
    double sum = 0.0;
    for (unsigned i = 0; i < dimension; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    if (!isfinite(sum) || sum <= 0.0) {
        return false;
    }
    const double scale = 1.0 / sqrt(sum);
    if (!isfinite(scale)) {
        return false;
    }
    if (fabs(sum - 1.0) <= UNIT_TOLERANCE) {
        return true;
    }
    for (unsigned i = 0; i < dimension; i++) {
        vector[i] = (float)(vector[i] * scale);
    }
    return true;
}

void api__read_page(struct cx_exchange *x, struct cx_faults *faults, size_t *limit,
                    struct cx_str *cursor)
{
    *limit = PAGE_DEFAULT;
    *cursor = cx_str_of(cx_exchange_query(x, "cursor"));
    if (cursor->len == 0) {
        cursor->p = NULL;
    }
    const char *text = cx_exchange_query(x, "limit");
    uint64_t value = 0;
    if (text == NULL) {
        return;
    }
    if (!cx_parse_u64(cx_str_of(text), &value) || value < 1 || value > PAGE_MAX) {
        api__query_fault(faults, "limit", "range", "must be between 1 and 1000");
        return;
    }
    *limit = (size_t)value;
}

bool api__read_time(struct cx_exchange *x, struct cx_faults *faults, const char *name,
                    int64_t *wall_us)
{
    const char *text = cx_exchange_query(x, name);
    if (text == NULL) {
        return false;
    }
    if (!cx_time_parse(cx_str_of(text), wall_us)) {
        api__query_fault(faults, name, "value", "must be an RFC 3339 time");
        return false;
    }
    return true;
}

void api__query_fault(struct cx_faults *faults, const char *name, const char *type,
                      const char *sentence)
{
    json_t *loc = json_pack("[ss]", "query", name);
    cx_faults_add(faults, loc, type, "%s", sentence);
    json_decref(loc);
}

uint64_t api__embed_ms(struct cx_exchange *x)
{
    const uint64_t left_ms = cx_exchange_left_ms(x);
    return left_ms - (left_ms / 8 < EMBED_SPARE_MS ? left_ms / 8 : EMBED_SPARE_MS);
}

void api__say_when(struct cx_exchange *x, enum cx_status status, uint64_t retry_after_ms)
{
    if (retry_after_ms > 0 &&
        (status == CX_VECTOR_RATE_LIMITED || status == CX_VECTOR_CIRCUIT_OPEN)) {
        cx_exchange_set_retry_after(x, (unsigned)((retry_after_ms + 999) / 1000));
    }
}

enum cx_step_result api__need_vector(struct cx_exchange *x)
{
    const struct cx_api *api = api__of(x);
    if (api->options.embedder == NULL) {
        return cx_exchange_fail(x, CX_NOT_CONFIGURED, "Vector store not configured");
    }
    if (api->options.chroma != NULL) {
        return cx_exchange_fail(
            x, CX_NOT_CONFIGURED,
            "The Chroma store does not do this: it takes vector.backend = local");
    }
    if (api->vector == NULL) {
        cx_exchange_set_retry_after(x, 1);
        return cx_exchange_fail(x, CX_OVERLOADED, "The vector store is still being read");
    }
    return CX_STEP_NEXT;
}

enum cx_step_result api__need_store(struct cx_exchange *x)
{
    return api__of(x)->options.chroma != NULL ? CX_STEP_NEXT : api__need_vector(x);
}

bool api__read_filter(struct cx_reader *r, const char *name, const json_t *json,
                      struct cx_vector_filter **out)
{
    bool read = false;
    if (json != NULL) {
        json_t *loc = json_copy(r->loc);
        CX_CHECK(json_array_append_new(loc, json_string(name)) == 0);
        read = cx_vector_filter_parse(json, loc, r->faults, out);
        json_decref(loc);
    }
    return read;
}

json_t *api__event_ids(const struct cx_str *ids, size_t count)
{
    json_t *list = json_array();
    size_t bytes = 0;
    for (size_t i = 0; i < count && bytes < EVENT_IDS_BYTES; i++) {
        bytes += ids[i].len;
        json_array_append_new(list, json_stringn(ids[i].p, ids[i].len));
    }
    return list;
}
