/* SPDX-License-Identifier: MIT
 *
 * json: the state of one parse, shared by the parts of the parser: values (parse.c), strings
 * (parse_string.c) and numbers (parse_number.c).
 */
#ifndef CORTEX_JSON_PARSER_H
#define CORTEX_JSON_PARSER_H

#include "cortex/json.h"

struct json__parser {
    const char *at;
    const char *start;
    const char *end;
    int depth;
    size_t containers;
    bool wide;             /* integers beyond 64 bits are real numbers */
    struct cx_buf scratch; /* decoded strings, those of the open objects' names first */
    struct cx_err *err;
    enum cx_status status; /* why there is no value */
};

/* A decoded string: in the text itself, or in scratch from offset where raw is NULL. */
struct json__decoded {
    const char *raw;
    size_t offset;
    size_t len;
};

/* From the opening quote to behind the closing one. */
bool json__decode_string(struct json__parser *p, struct json__decoded *out);
/* At a digit or a minus. */
json_t *json__parse_number(struct json__parser *p);

/* Note why there is no value, at a byte of the text or at the one that was reached; they return
 * false. */
bool json__refuse(struct json__parser *p, const char *at, const char *why);
bool json__refuse_expected(struct json__parser *p, const char *what);
/* A value that jansson made; where it found no memory (NULL) that is noted. */
json_t *json__made(struct json__parser *p, json_t *value);

#endif
