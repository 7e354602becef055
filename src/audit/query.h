/* SPDX-License-Identifier: MIT
 *
 * query: what looking up and exporting share.
 */
#ifndef CORTEX_AUDIT_QUERY_H
#define CORTEX_AUDIT_QUERY_H

#include "audit/ledger.h"

/* A run's or a label's members, and where it stands in the chain: without its closing brace. */
void audit__put_entry(const struct audit__line *line, const struct audit__entry *entry,
                      struct cx_buf *out);
/* Oldest first; found has room for AUDIT__LABELS_MAX. */
enum cx_status audit__find_labels(struct cx_audit *a, struct cx_db *db, struct cx_str run_id,
                                  struct audit__found *found, size_t *count,
                                  struct cx_err *err) CX_MUST_CHECK;
enum cx_status audit__put_labels(struct cx_audit *a, const struct audit__found *found, size_t count,
                                 struct audit__unpacked *last, struct cx_buf *out,
                                 struct cx_err *err) CX_MUST_CHECK;

#endif
