/* SPDX-License-Identifier: MIT
 *
 * ini: a strict parser for the configuration file.
 *
 *   # a comment, alone on its line (also with ;)
 *   [section]
 *   [section "name"]
 *   key = value up to the end of the line, without the blanks around it
 *   key = "value with \"quotes\", a \\ or blanks at its ends"
 *
 * UTF-8 without control characters, lines of at most 8 KiB, files of at most 1 MiB. Section and key
 * names are [a-z][a-z0-9_]*. A key is given once in a section; an unnamed section may be opened again,
 * a named one may not. Plain code for any thread; keeps nothing after it has returned.
 */
#ifndef CORTEX_APP_INI_H
#define CORTEX_APP_INI_H

#include "cortex/base.h"

#define APP__INI_FILE_MAX_BYTES ((size_t)1 << 20)
#define APP__INI_LINE_MAX_BYTES ((size_t)8 << 10)
#define APP__INI_NAME_MAX_BYTES 64
#define APP__INI_ENTRIES_MAX 4096 /* section headers included */

/* Lives for the time of the callback. */
struct app__ini_entry {
    const char *file;
    const char *section;
    const char *name;  /* of [section "name"]; NULL without one */
    const char *key;   /* NULL: this is the section's header */
    const char *value; /* NUL-terminated, quotes taken off; NULL with a header */
    unsigned line;     /* from 1 */
    unsigned column;   /* of the key (or of the section's name), in bytes from 1 */
    unsigned value_column;
    bool quoted; /* the value */
};
/* What it returns other than CX_OK ends the parsing and is its result. */
typedef enum cx_status (*app__ini_fn)(void *ctx, const struct app__ini_entry *entry,
                                      struct cx_err *err);
/* Every error is CX_INVALID and reads "FILE:LINE:COLUMN: what is wrong"; no error repeats a value. */
enum cx_status app__ini_parse(const char *file, struct cx_str text, app__ini_fn on_entry, void *ctx,
                              struct cx_err *err) CX_MUST_CHECK;
/* For callbacks: CX_INVALID with the entry's place in front of the sentence. */
enum cx_status app__ini_fail(const struct app__ini_entry *entry, unsigned column,
                             struct cx_err *err, const char *format, ...) CX_PRINTF(4, 5);

#endif
