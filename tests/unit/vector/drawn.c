/* SPDX-License-Identifier: MIT */
#include "drawn.h"

#include <string.h>

#include "fixture.h"

static json_t *draw_value(uint64_t *state, int depth)
{
    static const char *const WORDS[] = { "a", "b", "a.b", "" };
    json_t *value = NULL;
    switch (draw(state) % (depth > 0 ? 8 : 6)) {
    case 0:
        return json_null();
    case 1:
        return json_integer((json_int_t)(draw(state) % 3));
    case 2:
        return json_real((double)(draw(state) % 4) / 2);
    case 3:
        return json_string(WORDS[draw(state) % 4]);
    case 4:
        return json_boolean(draw(state) % 2 == 0);
    case 5:
        return json_integer(1);
    case 6:
        value = json_array();
        for (uint64_t i = draw(state) % 4; i > 0; i--) {
            (void)json_array_append_new(value, draw_value(state, depth - 1));
        }
        return value;
    default:
        value = json_object();
        for (uint64_t i = draw(state) % 4; i > 0; i--) {
            (void)json_object_set_new(value, WORDS[draw(state) % 4], draw_value(state, depth - 1));
        }
        return value;
    }
}

static const char *const PATHS[] = { "a", "b", "a.b", "a.b.a", "", ".a", "b.a" };

static json_t *draw_array(uint64_t *state, int depth)
{
    json_t *array = json_array();
    for (uint64_t i = draw(state) % 4; i > 0; i--) {
        json_array_append_new(array, draw_value(state, depth));
    }
    return array;
}

static json_t *draw_operators(uint64_t *state, int depth)
{
    static const char *const WORDS[] = { "$eq", "$ne",  "$gt",     "$gte", "$lt",
                                         "$in", "$nin", "$exists", "$lte", "$not" };
    json_t *object = json_object();
    for (uint64_t n = 1 + draw(state) % 2; n > 0; n--) {
        const char *word = WORDS[draw(state) % (depth > 0 ? 10 : 9)];
        json_t *operand = NULL;
        if (strcmp(word, "$not") == 0) {
            operand = draw_operators(state, depth - 1);
        } else if (strcmp(word, "$exists") == 0) {
            operand = json_boolean(draw(state) % 2 == 0);
        } else if (strstr(word, "in") != NULL) {
            operand = draw_array(state, 1);
        } else if (word[1] == 'g' || word[1] == 'l') {
            do {
                json_decref(operand);
                operand = draw_value(state, 0);
            } while (json_is_null(operand));
        } else {
            operand = draw_value(state, 2);
        }
        json_object_set_new(object, word, operand);
    }
    return object;
}

json_t *draw_filter(uint64_t *state, int depth)
{
    json_t *filter = json_object();
    for (uint64_t n = draw(state) % 3 + (depth < 3 ? 1 : 0); n > 0; n--) {
        const uint64_t what = draw(state) % (depth > 0 ? 9 : 6);
        if (what < 2) {
            json_object_set_new(filter, PATHS[draw(state) % CX_ARRAY_LEN(PATHS)],
                                draw_value(state, 2));
        } else if (what < 6) {
            json_object_set_new(filter, PATHS[draw(state) % CX_ARRAY_LEN(PATHS)],
                                draw_operators(state, 2));
        } else if (what == 6) {
            json_object_set_new(filter, "$not", draw_filter(state, depth - 1));
        } else {
            json_t *list = json_array();
            for (uint64_t k = 1 + draw(state) % 3; k > 0; k--) {
                json_array_append_new(list, draw_filter(state, depth - 1));
            }
            json_object_set_new(filter, what == 7 ? "$and" : "$or", list);
        }
    }
    return filter;
}

json_t *draw_metadata(uint64_t *state)
{
    json_t *metadata = json_object();
    static const char *const WORDS[] = { "a", "b", "a.b", "" };
    for (uint64_t i = draw(state) % 4; i > 0; i--) {
        json_object_set_new(metadata, WORDS[draw(state) % 4], draw_value(state, 3));
    }
    return metadata;
}
