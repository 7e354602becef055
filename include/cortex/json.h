/* SPDX-License-Identifier: MIT
 *
 * json: strict parsing, typed getters that note every fault of an input at once, compact and
 * canonical (RFC 8785) bytes. jansson's json_t is the one currency that crosses rooms.
 *
 * Threads: any; a json_t belongs to one thread at a time.
 */
#ifndef CORTEX_JSON_H
#define CORTEX_JSON_H

#include <jansson.h>

#include "cortex/base.h"

#define CX_JSON_DEPTH_MAX 64
/* Arrays and objects of one text. An empty one takes 2 bytes as text and some 200 in memory, so
 * that the length of a text alone does not bound what it costs. */
#define CX_JSON_CONTAINERS_MAX 1000000

/* Parses exactly one JSON text (RFC 8259, UTF-8, no BOM, any type at the top). Refused as
 * CX_BAD_REQUEST with the byte offset in err, counted from 0 ("byte 17: ',' or ']' is expected"),
 * and none of the text: depth over CX_JSON_DEPTH_MAX, more than CX_JSON_CONTAINERS_MAX, duplicate
 * keys, \u0000, a raw NUL, bytes after the end, lone surrogates, integers beyond 64 bits, real
 * numbers that overflow. CX_NO_MEMORY without memory. Time and memory linear in len. The process
 * must keep the "C" locale. */
enum cx_status cx_json_parse(struct cx_str text, json_t **out, struct cx_err *err) CX_MUST_CHECK;
/* The same for files that other programs wrote: an integer beyond 64 bits (Python's have no end)
 * becomes a real number. */
enum cx_status cx_json_parse_file(struct cx_str text, json_t **out,
                                  struct cx_err *err) CX_MUST_CHECK;

/* Appends the text without white space, keys in insertion order, all but control characters, '"'
 * and '\' raw; real numbers as the shortest digits that read back the same, with ".0" where they
 * would read as an integer. Nothing is appended any more once out has failed. */
void cx_json_write(const json_t *value, struct cx_buf *out);
/* Appends the canonical form of RFC 8785 (JCS): keys by UTF-16 code units, ECMAScript numbers.
 * CX_INVALID where an integer is beyond ±(2^53−1), CX_TOO_LARGE where it passes out's ceiling,
 * CX_NO_MEMORY; out then holds what it held. (json_real makes no number that is not finite: it
 * returns NULL.) */
enum cx_status cx_json_write_canonical(const json_t *value, struct cx_buf *out,
                                       struct cx_err *err) CX_MUST_CHECK;
/* Appends s as a JSON string with its quotes. s must be valid UTF-8. */
void cx_json_write_string(struct cx_str s, struct cx_buf *out);
/* Appends a finite number as cx_json_write does a real one. */
void cx_json_write_real(double value, struct cx_buf *out);
/* ECMAScript's Number::toString of a finite double: the shortest digits, as in RFC 8785 3.2.2.3. */
#define CX_NUMBER_TEXT_BYTES 32
size_t cx_json_format_number(double value, char text[CX_NUMBER_TEXT_BYTES]);

/* ---- Faults of an input ------------------------------------------------------------------------
 * A list of what is wrong with a request, all of it, for the `errors` of a 422.
 * loc is a path such as ["body", "documents", 3, "content"].
 */
struct cx_faults {
    json_t *list; /* array of {"loc", "msg", "type"}, at most 100; NULL while there is none */
    size_t count; /* of all that were noted */
};
void cx_faults_init(struct cx_faults *f); /* allocates nothing */
void cx_faults_free(struct cx_faults *f);
/* msg: "must be between 1 and 100"; type: a word such as "range", "type", "missing", "length",
 * "value". */
void cx_faults_add(struct cx_faults *f, const json_t *loc, const char *type, const char *format,
                   ...) CX_PRINTF(4, 5);
/* "top_k must be between 1 and 100 (and 2 more)": the first fault, a path such as
 * documents[3].content for what lies deeper. Leaves err alone while there is no fault. */
void cx_faults_sentence(const struct cx_faults *f, struct cx_err *err);

/* ---- Reading an object -------------------------------------------------------------------------
 * A reader looks at one object; each getter returns true when the member is there with the right
 * type and range, and otherwise leaves *out alone: what is missing (or null) and optional is no
 * fault, all else is noted. Pointers that come out are borrowed from the json_t.
 */
struct cx_reader {
    const json_t *object;
    struct cx_faults *faults;
    json_t *loc; /* owned path to this object */
};
/* Notes a fault if value is no object; the getters then find nothing and note nothing more. */
void cx_reader_init(struct cx_reader *r, const json_t *value, struct cx_faults *f,
                    const char *root);
/* For element `index` of the array member `name` of parent. */
void cx_reader_init_element(struct cx_reader *r, const struct cx_reader *parent, const char *name,
                            size_t index, const json_t *value);
void cx_reader_free(struct cx_reader *r);
enum cx_need { CX_OPTIONAL, CX_REQUIRED };
/* Lengths in Unicode code points. No bound: 0 and SIZE_MAX of lengths, INT64_MIN and INT64_MAX of
 * integers, ±DBL_MAX or ±INFINITY of real numbers. */
bool cx_read_string(struct cx_reader *r, const char *name, enum cx_need need, size_t min,
                    size_t max, struct cx_str *out);
bool cx_read_int(struct cx_reader *r, const char *name, enum cx_need need, int64_t min, int64_t max,
                 int64_t *out); /* 5.0 is an integer */
bool cx_read_real(struct cx_reader *r, const char *name, enum cx_need need, double min, double max,
                  double *out);
bool cx_read_bool(struct cx_reader *r, const char *name, enum cx_need need, bool *out);
bool cx_read_object(struct cx_reader *r, const char *name, enum cx_need need, const json_t **out);
bool cx_read_array(struct cx_reader *r, const char *name, enum cx_need need, size_t min, size_t max,
                   const json_t **out);
/* One of words (ended by NULL); *out is its index. */
bool cx_read_word(struct cx_reader *r, const char *name, enum cx_need need,
                  const char *const *words, size_t *out);
/* A fault of a member that a getter cannot see, at this reader's path plus name (NULL: of the
 * object itself). */
void cx_read_fault(struct cx_reader *r, const char *name, const char *type, const char *format, ...)
    CX_PRINTF(4, 5);

#endif
