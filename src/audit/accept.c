/* SPDX-License-Identifier: MIT
 *
 * Accepting damage: a note of everything that is missing or wrong is appended, signed, in a segment of
 * its own, and the ledger goes on behind what it had promised: no sequence is given twice. What is
 * there is left as it is, but for a tail that was never acknowledged. No daemon runs.
 */
#include "audit/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/notes.h"
#include "cortex/json.h"

struct repair {
    const struct cx_audit_options *options;
    const struct cx_audit_files *files;
    struct audit__folder folder;
    struct audit__findings findings;
    struct audit__walk walk;
    struct audit__notes notes;
    size_t base_mark;
    uint64_t indexed_to;
    uint8_t indexed_head[CX_SHA256_BYTES];
    struct audit__checkpoint base; /* the most that was ever promised */
    int64_t last_us;               /* of all entries: time does not go back in a ledger */
};

static enum cx_status look(struct repair *r, struct cx_err *err);
static size_t forget_noted(struct repair *r);
static enum cx_status repair_all(struct repair *r, struct cx_err *err);

enum cx_status cx_audit_accept_damage(const struct cx_audit_options *options, size_t *ranges,
                                      struct cx_err *err)
{
    struct repair *r = cx_alloc(sizeof *r);
    r->options = options;
    r->files = options->files != NULL ? options->files : &audit__system_files;
    r->folder.dir = -1;
    enum cx_status status = look(r, err);
    const size_t damages = status == CX_OK ? forget_noted(r) : 0;
    if (damages > 0) {
        status = repair_all(r, err);
    }
    if (status == CX_OK) {
        *ranges = damages;
    }
    audit__notes_free(&r->notes);
    audit__folder_free(&r->folder);
    free(r);
    return status;
}

/* What an earlier note names is no damage any more. */
static size_t forget_noted(struct repair *r)
{
    struct audit__findings *f = &r->findings;
    size_t kept = 0;
    audit__notes_match(&r->notes, f);
    for (size_t i = 0; i < f->count && i < AUDIT__FINDINGS_MAX; i++) {
        if (!f->rows[i].noted) {
            f->rows[kept++] = f->rows[i];
        }
    }
    f->count = f->count > AUDIT__FINDINGS_MAX ? f->count : kept;
    return f->count;
}

/* ---- Looking ----------------------------------------------------------------------------------- */

static enum cx_status ask_index(struct repair *r, struct cx_err *err);
static enum cx_status read_folder(struct repair *r, struct cx_err *err);
static enum cx_status walk_all(struct repair *r, struct cx_err *err);
static void promise(struct repair *r, uint64_t size, const uint8_t head[CX_SHA256_BYTES]);

static enum cx_status look(struct repair *r, struct cx_err *err)
{
    enum cx_status status = ask_index(r, err);
    if (status == CX_OK) {
        status = read_folder(r, err);
    }
    if (status == CX_OK && r->folder.empty && r->indexed_to == 0) {
        r->findings.count = 0;
        return CX_OK;
    }
    if (status == CX_OK) {
        status = walk_all(r, err);
    }
    if (status != CX_OK) {
        return status;
    }
    audit__walk_judge_slots(&r->walk);
    const struct audit__keys *keys = &r->folder.keys;
    if (keys->count > 0 &&
        strcmp(keys->rows[keys->count - 1].key_id, cx_signer_key_id(r->options->signer)) != 0) {
        (void)audit__find_add(&r->findings, "the ledger was signed by the key %s, ours is %s",
                              keys->rows[keys->count - 1].key_id,
                              cx_signer_key_id(r->options->signer));
    }
    const struct audit__checkpoint *newest = audit__newest(&r->folder);
    if (newest != NULL) {
        promise(r, newest->size, newest->head);
    }
    if (r->walk.has_header) {
        promise(r, r->walk.header.size, r->walk.header.head);
    }
    if (newest == NULL) {
        promise(r, r->walk.size, r->walk.head);
    }
    if (r->indexed_to > r->base.size) {
        (void)audit__find_add(&r->findings,
                              "the ledger has %" PRIu64 " entries, but the database knows of entry "
                              "%" PRIu64,
                              r->base.size, r->indexed_to);
        promise(r, r->indexed_to, r->indexed_head);
    }
    return CX_OK;
}

static void promise(struct repair *r, uint64_t size, const uint8_t head[CX_SHA256_BYTES])
{
    if (size >= r->base.size) {
        r->base.size = size;
        memcpy(r->base.head, head, sizeof r->base.head);
    }
}

static enum cx_status ask_index(struct repair *r, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(cx_store_writer(r->options->store),
                                          "SELECT indexed_to, head FROM audit_meta", &stmt, err);
    if (status == CX_OK) {
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status == CX_OK && row) {
        const struct cx_str head = cx_stmt_blob(stmt, 1);
        if (head.len == sizeof r->indexed_head) {
            r->indexed_to = (uint64_t)cx_stmt_int(stmt, 0);
            memcpy(r->indexed_head, head.p, head.len);
        }
        cx_stmt_reset(stmt);
    }
    return status;
}

static enum cx_status read_folder(struct repair *r, struct cx_err *err)
{
    audit__folder_free(&r->folder);
    r->findings.count = 0;
    const int dir = audit__open_folder(r->options->data_dir, true, err);
    return dir < 0 ? CX_IO_ERROR : audit__folder_read(dir, &r->folder, &r->findings, err);
}

static void on_entry(void *ctx, const struct audit__place *place, const struct audit__line *line)
{
    struct repair *r = ctx;
    struct audit__entry entry;
    (void)place;
    audit__notes_take(&r->notes, line->entry);
    if (audit__entry_parse(line->entry, &entry) && entry.recorded_us > r->last_us) {
        r->last_us = entry.recorded_us;
    }
}

static enum cx_status walk_all(struct repair *r, struct cx_err *err)
{
    enum cx_status status = CX_OK;
    audit__notes_free(&r->notes);
    audit__walk_init(&r->walk, &r->folder, 0, &r->findings);
    r->walk.on_entry = on_entry;
    r->walk.ctx = r;
    audit__walk_mark_slots(&r->walk);
    r->base_mark = audit__walk_mark(&r->walk, r->base.size);
    while (status == CX_OK && !r->walk.ended) {
        status = audit__walk_step(&r->walk, UINT64_MAX, err);
    }
    audit__walk_end(&r->walk);
    return status;
}

/* ---- Repairing --------------------------------------------------------------------------------- */

static enum cx_status write_keys(struct repair *r, struct cx_err *err);
static enum cx_status cut_beyond(struct repair *r, struct cx_err *err);
static enum cx_status write_note(struct repair *r, const json_t *what, struct cx_err *err);

static enum cx_status repair_all(struct repair *r, struct cx_err *err)
{
    json_t *what = json_array();
    for (size_t i = 0; i < r->findings.count && i < AUDIT__FINDINGS_MAX; i++) {
        CX_CHECK(json_array_append_new(what, json_string(r->findings.rows[i].text)) == 0);
    }
    enum cx_status status = CX_OK;
    const struct audit__keys *keys = &r->folder.keys;
    if (keys->count == 0 ||
        strcmp(keys->rows[keys->count - 1].key_id, cx_signer_key_id(r->options->signer)) != 0) {
        status = write_keys(r, err);
    }
    if (status == CX_OK && !r->folder.has_stub &&
        r->files->rename(r->files->ctx, r->folder.dir, AUDIT__STUB_FILE,
                         AUDIT__STUB_FILE ".damaged") != 0 &&
        errno != ENOENT) {
        status = cx_err_set(err, CX_IO_ERROR, AUDIT__STUB_FILE ": %s", strerror(errno));
    }
    /* Once more, with what was promised as if it were the checkpoint: the losses are then the very
     * ones that a later walk meets. */
    if (status == CX_OK) {
        status = read_folder(r, err);
    }
    if (status == CX_OK) {
        r->folder.has_checkpoint = true;
        r->folder.newest = 0;
        r->folder.slots[0] = r->base;
        r->folder.slot_good[0] = r->folder.slot_good[1] = false;
        r->findings.count = 0;
        status = walk_all(r, err);
    }
    if (status == CX_OK) {
        (void)forget_noted(r);
    }
    if (status == CX_OK && r->findings.count > AUDIT__FINDINGS_MAX) {
        status = cx_err_set(err, CX_CONFLICT,
                            "more than %d losses: no note is made of so many; put a copy of the "
                            "ledger back",
                            AUDIT__FINDINGS_MAX);
    }
    if (status == CX_OK && r->walk.size > r->base.size) {
        status = cut_beyond(r, err);
    }
    if (status == CX_OK) {
        status = write_note(r, what, err);
    }
    if (status == CX_OK) {
        status = audit__index_clear(cx_store_writer(r->options->store), err);
    }
    json_decref(what);
    return status;
}

static enum cx_status write_keys(struct repair *r, struct cx_err *err)
{
    struct audit__key key = { .created_us = cx_clock_wall_us() };
    memcpy(key.public_key, cx_signer_public(r->options->signer), sizeof key.public_key);
    audit__key_sign(&key, r->options->signer);
    struct cx_buf text;
    cx_buf_init(&text, AUDIT__SMALL_MAX_BYTES);
    audit__key_write(&key, &text);
    const enum cx_status status = audit__write_file(r->files, r->folder.dir, AUDIT__KEYS_FILE,
                                                    (struct cx_str){ text.data, text.len }, err);
    cx_buf_free(&text);
    return status;
}

static enum cx_status cut_beyond(struct repair *r, struct cx_err *err)
{
    const struct audit__mark *m = &r->walk.marks[r->base_mark];
    const struct audit__segment *last = &r->folder.segments[r->folder.segment_count - 1];
    char name[AUDIT__SEGMENT_NAME_BYTES];
    if (!m->seen || m->segment != last->number || !last->plain) {
        return cx_err_set(err, CX_CONFLICT,
                          "entries that nobody signed fill more than the last segment");
    }
    const int fd = openat(r->folder.dir, audit__segment_name(last->number, false, name),
                          O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    enum cx_status status = CX_OK;
    if (fd < 0 || r->files->truncate(r->files->ctx, fd, (off_t)m->end_offset) != 0 ||
        r->files->sync(r->files->ctx, fd, false) != 0) {
        status = cx_err_set(err, CX_IO_ERROR, "%s: %s", name, strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

static json_t *hex_json(const uint8_t hash[CX_SHA256_BYTES])
{
    char text[CX_SHA256_HEX_BYTES];
    return json_string(cx_hex(hash, CX_SHA256_BYTES, text));
}

static json_t *ranges_json(const struct audit__findings *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->count && i < AUDIT__FINDINGS_MAX; i++) {
        const struct audit__finding *row = &f->rows[i];
        if (!row->loss) {
            continue;
        }
        json_t *range =
            json_pack("{s:I, s:I, s:o, s:o, s:I, s:s}", "first", (json_int_t)row->first, "last",
                      (json_int_t)row->last, "before", hex_json(row->before), "after",
                      hex_json(row->after), "segment", (json_int_t)row->segment, "what", row->text);
        CX_CHECK(range != NULL && json_array_append_new(list, range) == 0);
    }
    return list;
}

/* The segment first: until the checkpoint says so too, the ledger stays damaged. */
static enum cx_status write_note(struct repair *r, const json_t *what, struct cx_err *err)
{
    const size_t count = r->folder.segment_count;
    const uint32_t segment = count > 0 ? r->folder.segments[count - 1].number + 1 : 1;
    json_t *note = json_pack("{s:O, s:o}", "what", what, "ranges", ranges_json(&r->findings));
    CX_CHECK(note != NULL);
    struct cx_buf content;
    struct cx_buf entry;
    struct cx_buf file;
    cx_buf_init(&content, AUDIT__LINE_MAX_BYTES);
    cx_buf_init(&entry, AUDIT__LINE_MAX_BYTES);
    cx_buf_init(&file, AUDIT__LINE_MAX_BYTES);
    cx_json_write(note, &content);
    json_decref(note);
    struct audit__checkpoint before = r->base;
    const int64_t now_us = cx_clock_wall_us();
    before.time_us = now_us > r->last_us ? now_us : r->last_us;
    audit__checkpoint_sign(&before, r->options->signer);
    struct audit__checkpoint after = { .size = before.size + 1, .time_us = before.time_us };
    audit__entry_write(before.time_us, CX_AUDIT_DAMAGE,
                       (struct cx_str){ content.data, content.len }, &entry);
    audit__header_write(segment, &before, &file);
    audit__line_write(after.size, before.head, (struct cx_str){ entry.data, entry.len }, &file,
                      after.head);
    audit__checkpoint_sign(&after, r->options->signer);
    char name[AUDIT__SEGMENT_NAME_BYTES];
    char slots[2][AUDIT__SLOT_BYTES];
    audit__slot_write(&after, slots[0]);
    audit__slot_write(&after, slots[1]);
    enum cx_status status = content.failed || entry.failed || file.failed
                                ? cx_err_set(err, CX_TOO_LARGE, "the note is too large")
                                : CX_OK;
    if (status == CX_OK) {
        status =
            audit__write_file(r->files, r->folder.dir, audit__segment_name(segment, false, name),
                              (struct cx_str){ file.data, file.len }, err);
    }
    if (status == CX_OK) {
        status = audit__write_file(r->files, r->folder.dir, AUDIT__CHECKPOINT_FILE,
                                   (struct cx_str){ slots[0], sizeof slots }, err);
    }
    cx_buf_free(&content);
    cx_buf_free(&entry);
    cx_buf_free(&file);
    return status;
}
