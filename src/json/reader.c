/* SPDX-License-Identifier: MIT
 *
 * json: typed getters over one object, which note every fault instead of stopping at the first.
 * Owns the path of each reader, one thread.
 */
#include "cortex/json.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "fault.h"

static void init_at(struct cx_reader *r, const json_t *value, struct cx_faults *f, json_t *loc);
static const json_t *find(struct cx_reader *r, const char *name, enum cx_need need);
static void fault_length(struct cx_reader *r, const char *name, size_t min, size_t max,
                         const char *unit, const char *verb);
static void fault_int_range(struct cx_reader *r, const char *name, int64_t min, int64_t max);
static void fault_real_range(struct cx_reader *r, const char *name, double min, double max);
static void fault_words(struct cx_reader *r, const char *name, const char *const *words);

void cx_reader_init(struct cx_reader *r, const json_t *value, struct cx_faults *f, const char *root)
{
    json_t *loc = json_array();
    CX_CHECK(json_array_append_new(loc, json_string(root)) == 0);
    init_at(r, value, f, loc);
}

void cx_reader_init_element(struct cx_reader *r, const struct cx_reader *parent, const char *name,
                            size_t index, const json_t *value)
{
    json_t *loc = json_copy(parent->loc);
    CX_CHECK(json_array_append_new(loc, json_string(name)) == 0);
    CX_CHECK(json_array_append_new(loc, json_integer((json_int_t)index)) == 0);
    init_at(r, value, parent->faults, loc);
}

static void init_at(struct cx_reader *r, const json_t *value, struct cx_faults *f, json_t *loc)
{
    *r = (struct cx_reader){ .object = value, .faults = f, .loc = loc };
    if (!json_is_object(value)) {
        cx_faults_add(f, loc, "type", "must be an object");
        r->object = NULL;
    }
}

void cx_reader_free(struct cx_reader *r)
{
    json_decref(r->loc);
    *r = (struct cx_reader){ .object = NULL };
}

bool cx_read_string(struct cx_reader *r, const char *name, enum cx_need need, size_t min,
                    size_t max, struct cx_str *out)
{
    const json_t *value = find(r, name, need);
    if (value == NULL) {
        return false;
    }
    if (!json_is_string(value)) {
        cx_read_fault(r, name, "type", "must be a string");
        return false;
    }
    const struct cx_str s = { json_string_value(value), json_string_length(value) };
    /* A character has 1 to 4 bytes: often the bytes alone tell. */
    if (s.len > max || s.len / 4 < min) {
        const size_t length = cx_utf8_length(s);
        if (length < min || length > max) {
            fault_length(r, name, min, max, "character", "be");
            return false;
        }
    }
    *out = s;
    return true;
}

bool cx_read_int(struct cx_reader *r, const char *name, enum cx_need need, int64_t min, int64_t max,
                 int64_t *out)
{
    const json_t *value = find(r, name, need);
    if (value == NULL) {
        return false;
    }
    int64_t number = 0;
    bool fits = true;
    if (json_is_integer(value)) {
        number = json_integer_value(value);
    } else if (json_is_real(value) && trunc(json_real_value(value)) == json_real_value(value)) {
        const double real = json_real_value(value);
        fits = real >= -0x1p63 && real < 0x1p63;
        number = fits ? (int64_t)real : 0;
    } else {
        cx_read_fault(r, name, "type", "must be an integer");
        return false;
    }
    if (!fits || number < min || number > max) {
        fault_int_range(r, name, min, max);
        return false;
    }
    *out = number;
    return true;
}

bool cx_read_real(struct cx_reader *r, const char *name, enum cx_need need, double min, double max,
                  double *out)
{
    const json_t *value = find(r, name, need);
    if (value == NULL) {
        return false;
    }
    if (!json_is_number(value)) {
        cx_read_fault(r, name, "type", "must be a number");
        return false;
    }
    const double number = json_number_value(value);
    if (!(number >= min && number <= max)) {
        fault_real_range(r, name, min, max);
        return false;
    }
    *out = number;
    return true;
}

bool cx_read_bool(struct cx_reader *r, const char *name, enum cx_need need, bool *out)
{
    const json_t *value = find(r, name, need);
    if (value == NULL) {
        return false;
    }
    if (!json_is_boolean(value)) {
        cx_read_fault(r, name, "type", "must be true or false");
        return false;
    }
    *out = json_is_true(value);
    return true;
}

bool cx_read_object(struct cx_reader *r, const char *name, enum cx_need need, const json_t **out)
{
    const json_t *value = find(r, name, need);
    if (value == NULL) {
        return false;
    }
    if (!json_is_object(value)) {
        cx_read_fault(r, name, "type", "must be an object");
        return false;
    }
    *out = value;
    return true;
}

bool cx_read_array(struct cx_reader *r, const char *name, enum cx_need need, size_t min, size_t max,
                   const json_t **out)
{
    const json_t *value = find(r, name, need);
    if (value == NULL) {
        return false;
    }
    if (!json_is_array(value)) {
        cx_read_fault(r, name, "type", "must be an array");
        return false;
    }
    if (json_array_size(value) < min || json_array_size(value) > max) {
        fault_length(r, name, min, max, "item", "have");
        return false;
    }
    *out = value;
    return true;
}

bool cx_read_word(struct cx_reader *r, const char *name, enum cx_need need,
                  const char *const *words, size_t *out)
{
    const json_t *value = find(r, name, need);
    if (value == NULL) {
        return false;
    }
    if (!json_is_string(value)) {
        cx_read_fault(r, name, "type", "must be a string");
        return false;
    }
    const struct cx_str s = { json_string_value(value), json_string_length(value) };
    for (size_t i = 0; words[i] != NULL; i++) {
        if (cx_str_eq(s, cx_str_of(words[i]))) {
            *out = i;
            return true;
        }
    }
    fault_words(r, name, words);
    return false;
}

void cx_read_fault(struct cx_reader *r, const char *name, const char *type, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    json__fault_add(r->faults, r->loc, name, type, format, args);
    va_end(args);
}

/* The member, or NULL where it is missing or null, which is a fault only if it is needed. */
static const json_t *find(struct cx_reader *r, const char *name, enum cx_need need)
{
    if (r->object == NULL) {
        return NULL;
    }
    const json_t *value = json_object_get(r->object, name);
    if (value != NULL && !json_is_null(value)) {
        return value;
    }
    if (need == CX_REQUIRED) {
        cx_read_fault(r, name, "missing", "is required");
    }
    return NULL;
}

/* "must be 1 to 200 characters long", "must have at most 5 items". */
static void fault_length(struct cx_reader *r, const char *name, size_t min, size_t max,
                         const char *unit, const char *verb)
{
    const char *tail = strcmp(verb, "be") == 0 ? " long" : "";
    if (max == SIZE_MAX) {
        cx_read_fault(r, name, "length", "must %s at least %zu %s%s%s", verb, min, unit,
                      min == 1 ? "" : "s", tail);
    } else if (min == max) {
        cx_read_fault(r, name, "length", "must %s exactly %zu %s%s%s", verb, max, unit,
                      max == 1 ? "" : "s", tail);
    } else if (min == 0) {
        cx_read_fault(r, name, "length", "must %s at most %zu %s%s%s", verb, max, unit,
                      max == 1 ? "" : "s", tail);
    } else {
        cx_read_fault(r, name, "length", "must %s %zu to %zu %ss%s", verb, min, max, unit, tail);
    }
}

static void fault_int_range(struct cx_reader *r, const char *name, int64_t min, int64_t max)
{
    if (min != INT64_MIN && max == INT64_MAX) {
        cx_read_fault(r, name, "range", "must be at least %lld", (long long)min);
    } else if (min == INT64_MIN && max != INT64_MAX) {
        cx_read_fault(r, name, "range", "must be at most %lld", (long long)max);
    } else {
        cx_read_fault(r, name, "range", "must be between %lld and %lld", (long long)min,
                      (long long)max);
    }
}

static void fault_real_range(struct cx_reader *r, const char *name, double min, double max)
{
    char least[CX_NUMBER_TEXT_BYTES] = "";
    char most[CX_NUMBER_TEXT_BYTES] = "";
    if (min >= -DBL_MAX) {
        (void)cx_json_format_number(min, least);
    }
    if (max <= DBL_MAX) {
        (void)cx_json_format_number(max, most);
    }
    if (min > -DBL_MAX && max >= DBL_MAX) {
        cx_read_fault(r, name, "range", "must be at least %s", least);
    } else if (min <= -DBL_MAX && max < DBL_MAX) {
        cx_read_fault(r, name, "range", "must be at most %s", most);
    } else {
        cx_read_fault(r, name, "range", "must be between %s and %s", least, most);
    }
}

static void fault_words(struct cx_reader *r, const char *name, const char *const *words)
{
    struct cx_buf list;
    cx_buf_init(&list, 1024);
    for (size_t i = 0; words[i] != NULL; i++) {
        cx_buf_puts(&list, i > 0 ? ", " : "");
        cx_buf_puts(&list, words[i]);
    }
    cx_read_fault(r, name, "value", "must be one of %s", list.data != NULL ? list.data : "");
    cx_buf_free(&list);
}
