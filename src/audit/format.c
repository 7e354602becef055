/* SPDX-License-Identifier: MIT
 *
 * What is signed (format.h): checkpoints, the headers and stubs that hold one, keys. A reader scans what is
 * fixed and has no second spelling of anything, so that a change of any byte shows.
 */
#include "audit/format.h"

#include <inttypes.h>
#include <string.h>

#include "audit/scan.h"

#define CHECKPOINT_DOMAIN "cortex-ledger-checkpoint-v1\n"
#define STUB_DOMAIN "cortex-ledger-stub-v1\n"
#define KEY_DOMAIN "cortex-ledger-key-v1\n"

/* size, head, time and key, each on a line: what a signature is over, after its domain. */
static void put_signed_lines(const struct audit__checkpoint *c, struct cx_buf *out)
{
    cx_buf_put_u64(out, c->size);
    cx_buf_putc(out, '\n');
    audit__put_hex(out, c->head, sizeof c->head);
    cx_buf_putc(out, '\n');
    audit__put_time(out, c->time_us);
    cx_buf_putc(out, '\n');
    cx_buf_puts(out, c->key_id);
    cx_buf_putc(out, '\n');
}

static void put_members(const struct audit__checkpoint *c, struct cx_buf *out)
{
    cx_buf_puts(out, "\"size\":");
    cx_buf_put_u64(out, c->size);
    cx_buf_puts(out, ",\"head\":\"");
    audit__put_hex(out, c->head, sizeof c->head);
    cx_buf_puts(out, "\",\"time\":\"");
    audit__put_time(out, c->time_us);
    cx_buf_puts(out, "\",\"key_id\":\"");
    cx_buf_puts(out, c->key_id);
    cx_buf_puts(out, "\",\"signature\":\"");
    audit__put_hex(out, c->signature, sizeof c->signature);
    cx_buf_puts(out, "\"}");
}

static void take_members(struct audit__scan *s, struct audit__checkpoint *c)
{
    audit__take_literal(s, "\"size\":");
    c->size = audit__take_u64(s);
    audit__take_literal(s, ",\"head\":\"");
    audit__take_hex(s, c->head, sizeof c->head);
    audit__take_literal(s, "\",\"time\":\"");
    c->time_us = audit__take_time(s);
    audit__take_literal(s, "\",\"key_id\":\"");
    audit__take_key_id(s, c->key_id);
    audit__take_literal(s, "\",\"signature\":\"");
    audit__take_hex(s, c->signature, sizeof c->signature);
    audit__take_literal(s, "\"}");
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
    struct audit__scan s = { text, true };
    audit__take_literal(&s, "{");
    take_members(&s, out);
    return audit__scan_ended(&s);
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
    struct audit__scan s = { line, true };
    audit__take_literal(&s, "{\"segment\":");
    const uint64_t number = audit__take_u64(&s);
    audit__take_literal(&s, ",\"checkpoint\":{");
    take_members(&s, before);
    audit__take_literal(&s, "}");
    if (!audit__scan_ended(&s) || number == 0 || number > UINT32_MAX) {
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
    struct audit__scan s = { text, true };
    audit__take_literal(&s, "{\"first_segment\":");
    const uint64_t number = audit__take_u64(&s);
    audit__take_literal(&s, ",");
    take_members(&s, &out->end);
    audit__take_literal(&s, "\n");
    if (!audit__scan_ended(&s) || number == 0 || number > UINT32_MAX) {
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
    audit__put_hex(out, k->public_key, sizeof k->public_key);
    cx_buf_putc(out, '\n');
    audit__put_time(out, k->created_us);
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
    audit__put_hex(out, k->public_key, sizeof k->public_key);
    cx_buf_puts(out, "\",\"created_at\":\"");
    audit__put_time(out, k->created_us);
    cx_buf_printf(out, "\",\"signed_by\":\"%s\",\"signature\":\"", k->signed_by);
    audit__put_hex(out, k->signature, sizeof k->signature);
    cx_buf_puts(out, "\"}\n");
}

bool audit__key_parse(struct cx_str line, struct audit__key *out)
{
    struct audit__scan s = { line, true };
    audit__take_literal(&s, "{\"key_id\":\"");
    audit__take_key_id(&s, out->key_id);
    audit__take_literal(&s, "\",\"algorithm\":\"ed25519\",\"public_key\":\"");
    audit__take_hex(&s, out->public_key, sizeof out->public_key);
    audit__take_literal(&s, "\",\"created_at\":\"");
    out->created_us = audit__take_time(&s);
    audit__take_literal(&s, "\",\"signed_by\":\"");
    audit__take_key_id(&s, out->signed_by);
    audit__take_literal(&s, "\",\"signature\":\"");
    audit__take_hex(&s, out->signature, sizeof out->signature);
    audit__take_literal(&s, "\"}");
    return audit__scan_ended(&s);
}
