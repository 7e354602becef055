/* SPDX-License-Identifier: MIT
 *
 * Entries, the lines that chain them, and the names of the files that hold them (format.h).
 */
#include "audit/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/scan.h"

#define ENTRY_DOMAIN "cortex-ledger-entry-v1\n"

static const char *const kind_names[CX_AUDIT_KIND_COUNT] = {
    [CX_AUDIT_RUN] = "run",
    [CX_AUDIT_LABEL] = "label",
    [CX_AUDIT_DAMAGE] = "damage",
};

static void put_big_endian(uint64_t value, uint8_t out[8])
{
    for (int i = 7; i >= 0; i--) {
        out[i] = (uint8_t)value;
        value >>= 8;
    }
}

void audit__entry_hash(uint64_t sequence, const uint8_t previous[CX_SHA256_BYTES],
                       struct cx_str entry, uint8_t hash[CX_SHA256_BYTES])
{
    uint8_t number[8];
    uint8_t length[8];
    put_big_endian(sequence, number);
    put_big_endian(entry.len, length);
    const struct cx_str parts[] = {
        CX_STR(ENTRY_DOMAIN),
        { (const char *)number, sizeof number },
        { (const char *)previous, CX_SHA256_BYTES },
        { (const char *)length, sizeof length },
        entry,
    };
    cx_sha256_parts(parts, CX_ARRAY_LEN(parts), hash);
}

void audit__line_write(uint64_t sequence, const uint8_t previous[CX_SHA256_BYTES],
                       struct cx_str entry, struct cx_buf *out, uint8_t hash[CX_SHA256_BYTES])
{
    audit__entry_hash(sequence, previous, entry, hash);
    cx_buf_puts(out, "{\"sequence\":");
    cx_buf_put_u64(out, sequence);
    cx_buf_puts(out, ",\"previous_hash\":\"");
    audit__put_hex(out, previous, CX_SHA256_BYTES);
    cx_buf_puts(out, "\",\"hash\":\"");
    audit__put_hex(out, hash, CX_SHA256_BYTES);
    cx_buf_puts(out, "\",\"entry\":");
    cx_buf_put_str(out, entry);
    cx_buf_puts(out, "}\n");
}

bool audit__line_parse(struct cx_str line, struct audit__line *out)
{
    struct audit__scan s = { line, true };
    audit__take_literal(&s, "{\"sequence\":");
    out->sequence = audit__take_u64(&s);
    audit__take_literal(&s, ",\"previous_hash\":\"");
    audit__take_hex(&s, out->previous, sizeof out->previous);
    audit__take_literal(&s, "\",\"hash\":\"");
    audit__take_hex(&s, out->hash, sizeof out->hash);
    audit__take_literal(&s, "\",\"entry\":");
    if (!s.ok || s.left.len < 3 || s.left.p[s.left.len - 1] != '}') {
        return false;
    }
    out->entry = audit__take_bytes(&s, s.left.len - 1);
    uint8_t hash[CX_SHA256_BYTES];
    audit__entry_hash(out->sequence, out->previous, out->entry, hash);
    return memcmp(hash, out->hash, sizeof hash) == 0;
}

void audit__entry_write(int64_t recorded_us, enum cx_audit_kind kind, struct cx_str content,
                        struct cx_buf *out)
{
    cx_buf_puts(out, "{\"recorded_at\":\"");
    audit__put_time(out, recorded_us);
    cx_buf_puts(out, "\",\"kind\":\"");
    cx_buf_puts(out, kind_names[kind]);
    cx_buf_puts(out, "\",\"content\":");
    cx_buf_put_str(out, content);
    cx_buf_putc(out, '}');
}

bool audit__entry_parse(struct cx_str entry, struct audit__entry *out)
{
    struct audit__scan s = { entry, true };
    audit__take_literal(&s, "{\"recorded_at\":\"");
    out->recorded_us = audit__take_time(&s);
    audit__take_literal(&s, "\",\"kind\":\"");
    for (size_t i = 0; s.ok && i < CX_AUDIT_KIND_COUNT; i++) {
        struct audit__scan one = s;
        audit__take_literal(&one, kind_names[i]);
        audit__take_literal(&one, "\",\"content\":{");
        if (one.ok && one.left.len >= 2 && one.left.p[one.left.len - 1] == '}') {
            out->kind = (enum cx_audit_kind)i;
            out->content = (struct cx_str){ one.left.p - 1, one.left.len };
            return true;
        }
    }
    return false;
}

/* ---- Names ------------------------------------------------------------------------------------- */

char *audit__segment_name(uint32_t segment, bool packed, char name[AUDIT__SEGMENT_NAME_BYTES])
{
    const int len = snprintf(name, AUDIT__SEGMENT_NAME_BYTES, "segment-%08" PRIu32 ".jsonl%s",
                             segment, packed ? ".gz" : "");
    CX_CHECK(len > 0 && len < AUDIT__SEGMENT_NAME_BYTES);
    return name;
}

bool audit__segment_number(const char *name, uint32_t *segment, bool *packed)
{
    struct audit__scan s = { cx_str_of(name), true };
    audit__take_literal(&s, "segment-");
    const size_t digits = s.ok ? strspn(s.left.p, "0123456789") : 0;
    uint64_t number = 0;
    const struct cx_str text = audit__take_bytes(&s, digits);
    if (!s.ok || !cx_parse_u64(text, &number) || number == 0 || number > UINT32_MAX) {
        return false;
    }
    char again[AUDIT__SEGMENT_NAME_BYTES];
    for (int i = 0; i < 2; i++) {
        if (strcmp(audit__segment_name((uint32_t)number, i == 1, again), name) == 0) {
            *segment = (uint32_t)number;
            *packed = i == 1;
            return true;
        }
    }
    return false;
}
