/* SPDX-License-Identifier: MIT
 *
 * Verifying a ledger from its folder alone: the walk along the whole chain, the signatures, notes of
 * damage that was accepted, and a receipt. Any thread, one at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/ledger.h"
#include "audit/notes.h"
#include "cortex/json.h"

#define PINS_MAX 64
#define SHOWN_FINDINGS 16

struct receipt {
    bool given;
    struct audit__checkpoint checkpoint;
    uint64_t sequence;
    uint8_t hash[CX_SHA256_BYTES];
    size_t entry_mark;
    size_t checkpoint_mark;
    bool signed_well;
};
struct cx_audit_verify {
    struct audit__folder folder;
    struct audit__findings findings;
    struct audit__walk walk;
    struct audit__notes notes;
    struct receipt receipt;
    uint8_t pins[PINS_MAX][CX_ED25519_PUBLIC_BYTES];
    size_t pin_count;
    bool judged;
};

static enum cx_status read_receipt(struct cx_audit_verify *v, struct cx_str text,
                                   struct cx_err *err);
static enum cx_status read_pins(struct cx_audit_verify *v, struct cx_str text, struct cx_err *err);
static void on_entry(void *ctx, const struct audit__place *place, const struct audit__line *line)
{
    (void)place;
    audit__notes_take(&((struct cx_audit_verify *)ctx)->notes, line->entry);
}
static void judge(struct cx_audit_verify *v);

enum cx_status cx_audit_verify_new(const char *path, const struct cx_audit_verify_options *options,
                                   struct cx_audit_verify **out, struct cx_err *err)
{
    const int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return cx_err_set(err, errno == ENOENT || errno == ENOTDIR ? CX_NOT_FOUND : CX_IO_ERROR,
                          "%s: %s", path, strerror(errno));
    }
    struct cx_audit_verify *v = cx_alloc(sizeof *v);
    enum cx_status status = audit__folder_read(dir, &v->folder, &v->findings, err);
    if (status != CX_OK) {
        free(v);
        return status;
    }
    if (v->folder.empty) {
        (void)audit__find_add(&v->findings, "there is no ledger in this folder");
    }
    audit__walk_init(&v->walk, &v->folder, 0, &v->findings);
    v->walk.on_entry = on_entry;
    v->walk.ctx = v;
    audit__walk_mark_slots(&v->walk);
    if (options->receipt.p != NULL) {
        status = read_receipt(v, options->receipt, err);
    }
    if (status == CX_OK && options->key.p != NULL) {
        status = read_pins(v, options->key, err);
    }
    if (status != CX_OK) {
        cx_audit_verify_free(&v);
        return status;
    }
    *out = v;
    return CX_OK;
}

enum cx_status cx_audit_verify_open(const struct cx_audit *a, struct cx_audit_verify **out,
                                    struct cx_err *err)
{
    const struct cx_audit_verify_options none = { .receipt = { NULL, 0 } };
    char path[PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s/" CX_AUDIT_FOLDER, a->options.data_dir);
    CX_CHECK(len > 0 && (size_t)len < sizeof path);
    return cx_audit_verify_new(path, &none, out, err);
}

void cx_audit_verify_free(struct cx_audit_verify **at)
{
    struct cx_audit_verify *v = *at;
    if (v == NULL) {
        return;
    }
    *at = NULL;
    audit__walk_end(&v->walk);
    audit__folder_free(&v->folder);
    audit__notes_free(&v->notes);
    free(v);
}

enum cx_status cx_audit_verify_step(struct cx_audit_verify *v, unsigned milliseconds, bool *more,
                                    struct cx_err *err)
{
    const enum cx_status status =
        audit__walk_step(&v->walk, cx_clock_mono_ns() + milliseconds * UINT64_C(1000000), err);
    *more = status == CX_OK && !v->walk.ended;
    return status;
}

/* ---- What is given ----------------------------------------------------------------------------- */

static bool hex_member(const json_t *object, const char *name, uint8_t *out, size_t len)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) &&
           cx_unhex((struct cx_str){ json_string_value(value), json_string_length(value) }, out,
                    len);
}

static bool read_checkpoint(const json_t *object, struct audit__checkpoint *out)
{
    const json_t *size = json_object_get(object, "size");
    const json_t *time = json_object_get(object, "time");
    const json_t *key_id = json_object_get(object, "key_id");
    char again[CX_TIME_TEXT_BYTES];
    if (!json_is_integer(size) || json_integer_value(size) < 0 || !json_is_string(time) ||
        !json_is_string(key_id) || json_string_length(key_id) != CX_KEY_ID_BYTES - 1 ||
        !hex_member(object, "head", out->head, sizeof out->head) ||
        !hex_member(object, "signature", out->signature, sizeof out->signature) ||
        !cx_time_parse(cx_str_of(json_string_value(time)), &out->time_us) ||
        strcmp(cx_time_format(out->time_us, again), json_string_value(time)) != 0) {
        return false;
    }
    out->size = (uint64_t)json_integer_value(size);
    memcpy(out->key_id, json_string_value(key_id), sizeof out->key_id);
    return true;
}

static enum cx_status read_receipt(struct cx_audit_verify *v, struct cx_str text,
                                   struct cx_err *err)
{
    struct receipt *r = &v->receipt;
    json_t *json = NULL;
    const json_t *sequence = NULL;
    bool good = cx_json_parse(text, &json, NULL) == CX_OK &&
                json_is_integer(sequence = json_object_get(json, "sequence")) &&
                json_integer_value(sequence) > 0 &&
                hex_member(json, "hash", r->hash, sizeof r->hash) &&
                read_checkpoint(json_object_get(json, "checkpoint"), &r->checkpoint);
    if (good) {
        r->given = true;
        r->sequence = (uint64_t)json_integer_value(sequence);
        r->signed_well = audit__keys_verify(&v->folder.keys, &r->checkpoint);
        r->entry_mark = audit__walk_mark(&v->walk, r->sequence);
        r->checkpoint_mark = audit__walk_mark(&v->walk, r->checkpoint.size);
    }
    json_decref(json);
    return good ? CX_OK : cx_err_set(err, CX_BAD_REQUEST, "this is no receipt");
}

static bool add_pin(struct cx_audit_verify *v, const json_t *key)
{
    return v->pin_count < PINS_MAX &&
           hex_member(key, "public_key", v->pins[v->pin_count], sizeof v->pins[0]) &&
           ++v->pin_count > 0;
}

/* Hex, a key as keys.jsonl has it, or the answer of GET /keys. */
static enum cx_status read_pins(struct cx_audit_verify *v, struct cx_str text, struct cx_err *err)
{
    while (text.len > 0 && (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\r')) {
        text.len--;
    }
    json_t *json = NULL;
    bool good = true;
    if (cx_unhex(text, v->pins[0], sizeof v->pins[0])) {
        v->pin_count = 1;
    } else if (cx_json_parse(text, &json, NULL) == CX_OK) {
        const json_t *list = json_object_get(json, "keys");
        good = json_is_array(list) || add_pin(v, json);
        for (size_t i = 0; i < json_array_size(list); i++) {
            good = good && add_pin(v, json_array_get(list, i));
        }
    }
    json_decref(json);
    return good && v->pin_count > 0 ? CX_OK
                                    : cx_err_set(err, CX_BAD_REQUEST, "this is no public key");
}

/* ---- Judging ----------------------------------------------------------------------------------- */

static void judge_receipt(struct cx_audit_verify *v);
static void judge_pins(struct cx_audit_verify *v);

static void judge(struct cx_audit_verify *v)
{
    if (v->judged) {
        return;
    }
    v->judged = true;
    audit__walk_judge_slots(&v->walk);
    audit__notes_match(&v->notes, &v->findings);
    if (v->receipt.given) {
        judge_receipt(v);
    }
    if (v->pin_count > 0) {
        judge_pins(v);
    }
}

static void judge_receipt(struct cx_audit_verify *v)
{
    const struct receipt *r = &v->receipt;
    const struct audit__mark *entry = &v->walk.marks[r->entry_mark];
    const struct audit__mark *size = &v->walk.marks[r->checkpoint_mark];
    const uint64_t removed = v->folder.has_stub ? v->folder.stub.end.size : 0;
    const char *what = NULL;
    if (!r->signed_well || r->checkpoint.size < r->sequence) {
        what = "the receipt was not signed by a key of this ledger";
    } else if (r->checkpoint.size > removed &&
               (!size->seen || memcmp(size->head, r->checkpoint.head, sizeof size->head) != 0)) {
        what = r->checkpoint.size > v->walk.size
                   ? "the receipt is newer than the ledger, which was put back or cut"
                   : "the ledger is not the one that the receipt was given for";
    } else if (r->sequence > removed &&
               (!entry->seen || memcmp(entry->head, r->hash, sizeof r->hash) != 0)) {
        what = "the receipt's entry is not in the ledger";
    }
    if (what != NULL) {
        struct audit__finding *row = audit__find_add(&v->findings, "%s", what);
        if (row != NULL) {
            row->bad = r->sequence;
        }
    }
}

/* The newest checkpoint was signed by a key that we were told of, or one that came after it: each key
 * is vouched for by the one before. */
static void judge_pins(struct cx_audit_verify *v)
{
    const struct audit__checkpoint *newest = audit__newest(&v->folder);
    bool trusted = false;
    for (size_t i = 0; i < v->folder.keys.count && newest != NULL; i++) {
        const struct audit__key *key = &v->folder.keys.rows[i];
        for (size_t k = 0; k < v->pin_count; k++) {
            trusted = trusted || memcmp(key->public_key, v->pins[k], sizeof v->pins[k]) == 0;
        }
        if (strcmp(key->key_id, newest->key_id) == 0) {
            break;
        }
    }
    if (!trusted) {
        (void)audit__find_add(&v->findings,
                              "the ledger was not signed by the key that was to be trusted");
    }
}

/* ---- The result -------------------------------------------------------------------------------- */

static void put_findings(const struct cx_audit_verify *v, bool noted, struct cx_buf *out);

bool cx_audit_verify_result(struct cx_audit_verify *v, struct cx_buf *out)
{
    CX_CHECK(v->walk.ended);
    judge(v);
    size_t wrong = v->findings.count > AUDIT__FINDINGS_MAX ? 1 : 0;
    uint64_t first_bad = 0;
    for (size_t i = 0; i < v->findings.count && i < AUDIT__FINDINGS_MAX; i++) {
        const struct audit__finding *row = &v->findings.rows[i];
        if (!row->noted) {
            wrong++;
            first_bad =
                row->bad > 0 && (first_bad == 0 || row->bad < first_bad) ? row->bad : first_bad;
        }
    }
    const struct audit__checkpoint *newest = audit__newest(&v->folder);
    const uint64_t size = newest != NULL ? newest->size : 0;
    char text[CX_SHA256_HEX_BYTES];
    cx_buf_printf(out, "{\"ok\":%s,\"entries\":%" PRIu64, wrong == 0 ? "true" : "false", size);
    if (newest != NULL) {
        cx_buf_printf(out, ",\"head\":\"%s\"", cx_hex(newest->head, sizeof newest->head, text));
    } else {
        cx_buf_puts(out, ",\"head\":null");
    }
    if (first_bad > 0) {
        cx_buf_printf(out, ",\"first_bad\":%" PRIu64, first_bad);
    } else {
        cx_buf_puts(out, ",\"first_bad\":null");
    }
    cx_buf_printf(out, ",\"first_entry\":%" PRIu64 ",\"segments\":%zu,\"keys\":%zu",
                  v->folder.has_stub ? v->folder.stub.end.size + 1 : 1, v->folder.segment_count,
                  v->folder.keys.count);
    cx_buf_printf(out, ",\"unacknowledged\":{\"entries\":%" PRIu64 ",\"bytes\":%" PRIu64 "}",
                  v->walk.size > size ? v->walk.size - size : 0, v->walk.torn_bytes);
    cx_buf_puts(out, ",\"findings\":");
    put_findings(v, false, out);
    cx_buf_puts(out, ",\"accepted\":");
    put_findings(v, true, out);
    cx_buf_putc(out, '}');
    return wrong == 0;
}

static void put_findings(const struct cx_audit_verify *v, bool noted, struct cx_buf *out)
{
    size_t put = 0;
    cx_buf_putc(out, '[');
    for (size_t i = 0; i < v->findings.count && i < AUDIT__FINDINGS_MAX && put < SHOWN_FINDINGS;
         i++) {
        const struct audit__finding *row = &v->findings.rows[i];
        if (row->noted != noted) {
            continue;
        }
        cx_buf_puts(out, put++ > 0 ? ",{\"what\":" : "{\"what\":");
        cx_json_write_string(cx_str_of(row->text), out);
        if (row->bad > 0) {
            cx_buf_printf(out, ",\"entry\":%" PRIu64, row->bad);
        }
        if (row->segment > 0) {
            cx_buf_printf(out, ",\"segment\":%" PRIu32, row->segment);
        }
        if (row->loss && row->last >= row->first) {
            cx_buf_printf(out, ",\"missing\":[%" PRIu64 ",%" PRIu64 "]", row->first, row->last);
        }
        cx_buf_putc(out, '}');
    }
    cx_buf_putc(out, ']');
}
