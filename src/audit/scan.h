/* SPDX-License-Identifier: MIT
 *
 * scan: the parts that the ledger's lines are spelled of, written and taken off again. There is one spelling of
 * each, and a scan that has met another takes nothing more. Any thread.
 */
#ifndef CORTEX_AUDIT_SCAN_H
#define CORTEX_AUDIT_SCAN_H

#include "cortex/audit.h"

struct audit__scan {
    struct cx_str left;
    bool ok;
};
void audit__take_literal(struct audit__scan *s, const char *literal);
struct cx_str audit__take_bytes(struct audit__scan *s, size_t len);
uint64_t audit__take_u64(struct audit__scan *s);
void audit__take_hex(struct audit__scan *s, uint8_t *out, size_t out_len); /* lower case alone */
void audit__take_key_id(struct audit__scan *s, char out[CX_KEY_ID_BYTES]);
int64_t audit__take_time(struct audit__scan *s);
bool audit__scan_ended(
    const struct audit__scan *s); /* all was as it must be, and nothing is left */

void audit__put_hex(struct cx_buf *out, const void *data, size_t len);
void audit__put_time(struct cx_buf *out, int64_t time_us);

#endif
