/* SPDX-License-Identifier: MIT
 *
 * What the files of this room share: transactions that raise the version, and reading a resource.
 */
#ifndef CORTEX_STATE_STATE_H
#define CORTEX_STATE_STATE_H

#include "cortex/state.h"

/* Ends the transaction that a change has begun: raises the version and commits if status is
 * CX_OK and changed, rolls back otherwise. Returns how it ended. */
enum cx_status state__end(struct cx_db *db, enum cx_status status, bool changed,
                          struct cx_err *err) CX_MUST_CHECK;

/* Within a change, after it: CX_CONFLICT where the state would hold more than it may. sql: a literal
 * that gives count and bytes; what: "facts". */
enum cx_status state__check_room(struct cx_db *db, const char *sql, const char *what,
                                 int64_t count_max, int64_t bytes_max,
                                 struct cx_err *err) CX_MUST_CHECK;

#define STATE__RESOURCE_COLUMNS "id, kind, name, uri, metadata"
/* The Resource in a row that begins with STATE__RESOURCE_COLUMNS. */
enum cx_status state__read_resource(const struct cx_stmt *row, json_t **out,
                                    struct cx_err *err) CX_MUST_CHECK;

/* Live facts, as they stand in a pack: by priority, then by age. Columns: text, expires_us. */
extern const char state__live_facts_sql[]; /* ?1 = now */

json_t *state__string(struct cx_str text);
/* RFC 3339; null where it is 0. */
json_t *state__time(int64_t wall_us);

#endif
