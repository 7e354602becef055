/* SPDX-License-Identifier: MIT
 *
 * The ledger's bytes (format.h). A reader scans what is fixed and lets the writer spell it again:
 * there is no second spelling of anything, so that a change of any byte shows.
 */
#include "audit/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHECKPOINT_DOMAIN "cortex-ledger-checkpoint-v1\n"
#define STUB_DOMAIN "cortex-ledger-stub-v1\n"
#define KEY_DOMAIN "cortex-ledger-key-v1\n"
#define ENTRY_DOMAIN "cortex-ledger-entry-v1\n"

static const char *const kind_names[CX_AUDIT_KIND_COUNT] = {
    [CX_AUDIT_RUN] = "run",
    [CX_AUDIT_LABEL] = "label",
    [CX_AUDIT_DAMAGE] = "damage",
};

/* ---- Scanning ---------------------------------------------------------------------------------- */

struct scan {
    struct cx_str left;
    bool ok;
};

static void take_literal(struct scan *s, const char *literal)
{
    const size_t len = strlen(literal);
    if (!s->ok || s->left.len < len || memcmp(s->left.p, literal, len) != 0) {
        s->ok = false;
        return;
    }
    s->left.p += len;
    s->left.len -= len;
}

static struct cx_str take_bytes(struct scan *s, size_t len)
{
    if (!s->ok || s->left.len < len) {
        s->ok = false;
        return (struct cx_str){ NULL, 0 };
    }
    const struct cx_str taken = { s->left.p, len };
    s->left.p += len;
    s->left.len -= len;
    return taken;
}

static uint64_t take_u64(struct scan *s)
{
    size_t len = 0;
    while (s->ok && len < s->left.len && s->left.p[len] >= '0' && s->left.p[len] <= '9') {
        len++;
    }
    const struct cx_str digits = take_bytes(s, len);
    uint64_t value = 0;
    if (s->ok && (!cx_parse_u64(digits, &value) || (digits.len > 1 && digits.p[0] == '0'))) {
        s->ok = false;
    }
    return value;
}

/* Lower case alone: there is one spelling. */
static void take_hex(struct scan *s, uint8_t *out, size_t out_len)
{
    const struct cx_str text = take_bytes(s, 2 * out_len);
    for (size_t i = 0; s->ok && i < text.len; i++) {
        s->ok = (text.p[i] >= '0' && text.p[i] <= '9') || (text.p[i] >= 'a' && text.p[i] <= 'f');
    }
    if (s->ok) {
        s->ok = cx_unhex(text, out, out_len);
    }
}

static void take_key_id(struct scan *s, char out[CX_KEY_ID_BYTES])
{
    uint8_t bytes[(CX_KEY_ID_BYTES - 1) / 2];
    take_hex(s, bytes, sizeof bytes);
    if (s->ok) {
        (void)cx_hex(bytes, sizeof bytes, out);
    }
}

static int64_t take_time(struct scan *s)
{
    char again[CX_TIME_TEXT_BYTES];
    int64_t time_us = 0;
    const struct cx_str text = take_bytes(s, sizeof "2026-02-08T10:00:00.123456Z" - 1);
    if (s->ok && (!cx_time_parse(text, &time_us) ||
                  !cx_str_eq(text, cx_str_of(cx_time_format(time_us, again))))) {
        s->ok = false;
    }
    return time_us;
}

/* ---- Writing parts ----------------------------------------------------------------------------- */

static void put_hex(struct cx_buf *out, const void *data, size_t len)
{
    char text[2 * CX_ED25519_SIGNATURE_BYTES + 1];
    CX_CHECK(2 * len < sizeof text);
    cx_buf_puts(out, cx_hex(data, len, text));
}

static void put_time(struct cx_buf *out, int64_t time_us)
{
    char text[CX_TIME_TEXT_BYTES];
    cx_buf_puts(out, cx_time_format(time_us, text));
}

/* size, head, time and key, each on a line: what a signature is over, after its domain. */
static void put_signed_lines(const struct audit__checkpoint *c, struct cx_buf *out)
{
    cx_buf_put_u64(out, c->size);
    cx_buf_putc(out, '\n');
    put_hex(out, c->head, sizeof c->head);
    cx_buf_putc(out, '\n');
    put_time(out, c->time_us);
    cx_buf_putc(out, '\n');
    cx_buf_puts(out, c->key_id);
    cx_buf_putc(out, '\n');
}

static void put_members(const struct audit__checkpoint *c, struct cx_buf *out)
{
    cx_buf_puts(out, "\"size\":");
    cx_buf_put_u64(out, c->size);
    cx_buf_puts(out, ",\"head\":\"");
    put_hex(out, c->head, sizeof c->head);
    cx_buf_puts(out, "\",\"time\":\"");
    put_time(out, c->time_us);
    cx_buf_puts(out, "\",\"key_id\":\"");
    cx_buf_puts(out, c->key_id);
    cx_buf_puts(out, "\",\"signature\":\"");
    put_hex(out, c->signature, sizeof c->signature);
    cx_buf_puts(out, "\"}");
}

static void take_members(struct scan *s, struct audit__checkpoint *c)
{
    take_literal(s, "\"size\":");
    c->size = take_u64(s);
    take_literal(s, ",\"head\":\"");
    take_hex(s, c->head, sizeof c->head);
    take_literal(s, "\",\"time\":\"");
    c->time_us = take_time(s);
    take_literal(s, "\",\"key_id\":\"");
    take_key_id(s, c->key_id);
    take_literal(s, "\",\"signature\":\"");
    take_hex(s, c->signature, sizeof c->signature);
    take_literal(s, "\"}");
}

static bool ended(const struct scan *s)
{
    return s->ok && s->left.len == 0;
}

static struct cx_str text_of(const struct cx_buf *b)
{
    CX_CHECK(!b->failed);
    return (struct cx_str){ b->data, b->len };
}

/* ---- Checkpoints ------------------------------------------------------------------------------- */

static void checkpoint_message(const struct audit__checkpoint *c, struct cx_buf *out)
{
    cx_buf_init(out, AUDIT__SMALL_MAX_BYTES);
    cx_buf_puts(out, CHECKPOINT_DOMAIN);
    put_signed_lines(c, out);
}

void audit__checkpoint_sign(struct audit__checkpoint *c, const struct cx_signer *signer)
{
    struct cx_buf message;
    memcpy(c->key_id, cx_signer_key_id(signer), sizeof c->key_id);
    checkpoint_message(c, &message);
    cx_signer_sign(signer, text_of(&message), c->signature);
    cx_buf_free(&message);
}

bool audit__checkpoint_verify(const struct audit__checkpoint *c,
                              const uint8_t public_key[CX_ED25519_PUBLIC_BYTES])
{
    struct cx_buf message;
    checkpoint_message(c, &message);
    const bool good = cx_ed25519_verify(public_key, text_of(&message), c->signature);
    cx_buf_free(&message);
    return good;
}

void audit__checkpoint_write(const struct audit__checkpoint *c, struct cx_buf *out)
{
    cx_buf_putc(out, '{');
    put_members(c, out);
}

bool audit__checkpoint_parse(struct cx_str text, struct audit__checkpoint *out)
{
    struct scan s = { text, true };
    take_literal(&s, "{");
    take_members(&s, out);
    return ended(&s);
}

void audit__slot_write(const struct audit__checkpoint *c, char slot[AUDIT__SLOT_BYTES])
{
    struct cx_buf text;
    cx_buf_init(&text, AUDIT__SMALL_MAX_BYTES);
    audit__checkpoint_write(c, &text);
    CX_CHECK(!text.failed);
    memset(slot, ' ', AUDIT__SLOT_BYTES);
    memcpy(slot, text.data, text.len);
    slot[AUDIT__SLOT_BYTES - 1] = '\n';
    cx_buf_free(&text);
}

bool audit__slot_parse(struct cx_str slot, struct audit__checkpoint *out)
{
    if (slot.len != AUDIT__SLOT_BYTES || slot.p[AUDIT__SLOT_BYTES - 1] != '\n') {
        return false;
    }
    size_t len = AUDIT__SLOT_BYTES - 1;
    while (len > 0 && slot.p[len - 1] == ' ') {
        len--;
    }
    return audit__checkpoint_parse((struct cx_str){ slot.p, len }, out);
}

/* ---- Headers and stubs ------------------------------------------------------------------------- */

void audit__header_write(uint32_t segment, const struct audit__checkpoint *before,
                         struct cx_buf *out)
{
    cx_buf_printf(out, "{\"segment\":%" PRIu32 ",\"checkpoint\":", segment);
    audit__checkpoint_write(before, out);
    cx_buf_puts(out, "}\n");
}

bool audit__header_parse(struct cx_str line, uint32_t *segment, struct audit__checkpoint *before)
{
    struct scan s = { line, true };
    take_literal(&s, "{\"segment\":");
    const uint64_t number = take_u64(&s);
    take_literal(&s, ",\"checkpoint\":{");
    take_members(&s, before);
    take_literal(&s, "}");
    if (!ended(&s) || number == 0 || number > UINT32_MAX) {
        return false;
    }
    *segment = (uint32_t)number;
    return true;
}

static void stub_message(const struct audit__stub *s, struct cx_buf *out)
{
    cx_buf_init(out, AUDIT__SMALL_MAX_BYTES);
    cx_buf_puts(out, STUB_DOMAIN);
    cx_buf_printf(out, "%" PRIu32 "\n", s->first_segment);
    put_signed_lines(&s->end, out);
}

void audit__stub_sign(struct audit__stub *s, const struct cx_signer *signer)
{
    struct cx_buf message;
    memcpy(s->end.key_id, cx_signer_key_id(signer), sizeof s->end.key_id);
    stub_message(s, &message);
    cx_signer_sign(signer, text_of(&message), s->end.signature);
    cx_buf_free(&message);
}

bool audit__stub_verify(const struct audit__stub *s,
                        const uint8_t public_key[CX_ED25519_PUBLIC_BYTES])
{
    struct cx_buf message;
    stub_message(s, &message);
    const bool good = cx_ed25519_verify(public_key, text_of(&message), s->end.signature);
    cx_buf_free(&message);
    return good;
}

void audit__stub_write(const struct audit__stub *s, struct cx_buf *out)
{
    cx_buf_printf(out, "{\"first_segment\":%" PRIu32 ",", s->first_segment);
    put_members(&s->end, out);
    cx_buf_putc(out, '\n');
}

bool audit__stub_parse(struct cx_str text, struct audit__stub *out)
{
    struct scan s = { text, true };
    take_literal(&s, "{\"first_segment\":");
    const uint64_t number = take_u64(&s);
    take_literal(&s, ",");
    take_members(&s, &out->end);
    take_literal(&s, "\n");
    if (!ended(&s) || number == 0 || number > UINT32_MAX) {
        return false;
    }
    out->first_segment = (uint32_t)number;
    return true;
}

/* ---- Keys -------------------------------------------------------------------------------------- */

static void key_message(const struct audit__key *k, struct cx_buf *out)
{
    cx_buf_init(out, AUDIT__SMALL_MAX_BYTES);
    cx_buf_puts(out, KEY_DOMAIN);
    cx_buf_printf(out, "%s\n", k->key_id);
    put_hex(out, k->public_key, sizeof k->public_key);
    cx_buf_putc(out, '\n');
    put_time(out, k->created_us);
    cx_buf_printf(out, "\n%s\n", k->signed_by);
}

void audit__key_sign(struct audit__key *k, const struct cx_signer *signer)
{
    struct cx_buf message;
    cx_ed25519_key_id(k->public_key, k->key_id);
    memcpy(k->signed_by, cx_signer_key_id(signer), sizeof k->signed_by);
    key_message(k, &message);
    cx_signer_sign(signer, text_of(&message), k->signature);
    cx_buf_free(&message);
}

bool audit__key_verify(const struct audit__key *k,
                       const uint8_t public_key[CX_ED25519_PUBLIC_BYTES])
{
    struct cx_buf message;
    char key_id[CX_KEY_ID_BYTES];
    cx_ed25519_key_id(k->public_key, key_id);
    key_message(k, &message);
    const bool good = strcmp(key_id, k->key_id) == 0 &&
                      cx_ed25519_verify(public_key, text_of(&message), k->signature);
    cx_buf_free(&message);
    return good;
}

void audit__key_write(const struct audit__key *k, struct cx_buf *out)
{
    cx_buf_printf(out, "{\"key_id\":\"%s\",\"algorithm\":\"ed25519\",\"public_key\":\"", k->key_id);
    put_hex(out, k->public_key, sizeof k->public_key);
    cx_buf_puts(out, "\",\"created_at\":\"");
    put_time(out, k->created_us);
    cx_buf_printf(out, "\",\"signed_by\":\"%s\",\"signature\":\"", k->signed_by);
    put_hex(out, k->signature, sizeof k->signature);
    cx_buf_puts(out, "\"}\n");
}

bool audit__key_parse(struct cx_str line, struct audit__key *out)
{
    struct scan s = { line, true };
    take_literal(&s, "{\"key_id\":\"");
    take_key_id(&s, out->key_id);
    take_literal(&s, "\",\"algorithm\":\"ed25519\",\"public_key\":\"");
    take_hex(&s, out->public_key, sizeof out->public_key);
    take_literal(&s, "\",\"created_at\":\"");
    out->created_us = take_time(&s);
    take_literal(&s, "\",\"signed_by\":\"");
    take_key_id(&s, out->signed_by);
    take_literal(&s, "\",\"signature\":\"");
    take_hex(&s, out->signature, sizeof out->signature);
    take_literal(&s, "\"}");
    return ended(&s);
}

/* ---- Entries ----------------------------------------------------------------------------------- */

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
    put_hex(out, previous, CX_SHA256_BYTES);
    cx_buf_puts(out, "\",\"hash\":\"");
    put_hex(out, hash, CX_SHA256_BYTES);
    cx_buf_puts(out, "\",\"entry\":");
    cx_buf_put_str(out, entry);
    cx_buf_puts(out, "}\n");
}

bool audit__line_parse(struct cx_str line, struct audit__line *out)
{
    struct scan s = { line, true };
    take_literal(&s, "{\"sequence\":");
    out->sequence = take_u64(&s);
    take_literal(&s, ",\"previous_hash\":\"");
    take_hex(&s, out->previous, sizeof out->previous);
    take_literal(&s, "\",\"hash\":\"");
    take_hex(&s, out->hash, sizeof out->hash);
    take_literal(&s, "\",\"entry\":");
    if (!s.ok || s.left.len < 3 || s.left.p[s.left.len - 1] != '}') {
        return false;
    }
    out->entry = take_bytes(&s, s.left.len - 1);
    uint8_t hash[CX_SHA256_BYTES];
    audit__entry_hash(out->sequence, out->previous, out->entry, hash);
    return memcmp(hash, out->hash, sizeof hash) == 0;
}

void audit__entry_write(int64_t recorded_us, enum cx_audit_kind kind, struct cx_str content,
                        struct cx_buf *out)
{
    cx_buf_puts(out, "{\"recorded_at\":\"");
    put_time(out, recorded_us);
    cx_buf_puts(out, "\",\"kind\":\"");
    cx_buf_puts(out, kind_names[kind]);
    cx_buf_puts(out, "\",\"content\":");
    cx_buf_put_str(out, content);
    cx_buf_putc(out, '}');
}

bool audit__entry_parse(struct cx_str entry, struct audit__entry *out)
{
    struct scan s = { entry, true };
    take_literal(&s, "{\"recorded_at\":\"");
    out->recorded_us = take_time(&s);
    take_literal(&s, "\",\"kind\":\"");
    for (size_t i = 0; s.ok && i < CX_AUDIT_KIND_COUNT; i++) {
        struct scan one = s;
        take_literal(&one, kind_names[i]);
        take_literal(&one, "\",\"content\":{");
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
    struct scan s = { cx_str_of(name), true };
    take_literal(&s, "segment-");
    const size_t digits = s.ok ? strspn(s.left.p, "0123456789") : 0;
    uint64_t number = 0;
    const struct cx_str text = take_bytes(&s, digits);
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
