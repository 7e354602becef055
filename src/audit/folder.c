/* SPDX-License-Identifier: MIT
 *
 * Reading what lies around the entries (folder.h). Blocking, any thread.
 */
#include "audit/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/files.h"

#define KEYS_MAX_BYTES ((size_t)AUDIT__KEYS_MAX * AUDIT__SMALL_MAX_BYTES)
#define MOVING_READS 20
#define TORN_READS 5 /* of a slot that is being written while it is read */

struct audit__finding *audit__find_add(struct audit__findings *f, const char *format, ...)
{
    if (f->count++ >= AUDIT__FINDINGS_MAX) {
        return NULL;
    }
    struct audit__finding *row = &f->rows[f->count - 1];
    *row = (struct audit__finding){ .loss = false };
    va_list args;
    va_start(args, format);
    (void)vsnprintf(row->text, sizeof row->text, format, args);
    va_end(args);
    return row;
}

/* ---- Keys -------------------------------------------------------------------------------------- */

static bool read_key(struct audit__keys *keys, struct cx_str line);

enum cx_status audit__keys_read(int dir, struct audit__keys *out, struct cx_err *err)
{
    struct cx_buf text;
    cx_buf_init(&text, KEYS_MAX_BYTES + 2);
    enum cx_status status = audit__read_file(dir, AUDIT__KEYS_FILE, KEYS_MAX_BYTES, &text, err);
    struct audit__keys keys = { .count = 0 };
    size_t at = 0;
    while (status == CX_OK && at < text.len) {
        const char *end = memchr(text.data + at, '\n', text.len - at);
        const size_t len = end != NULL ? (size_t)(end - text.data) - at : 0;
        if (end == NULL || !read_key(&keys, (struct cx_str){ text.data + at, len })) {
            status = cx_err_set(err, CX_INVALID, AUDIT__KEYS_FILE ": line %zu is no good key",
                                keys.count + 1);
        }
        at += len + 1;
    }
    if (status == CX_OK && keys.count == 0) {
        status = cx_err_set(err, CX_INVALID, AUDIT__KEYS_FILE " holds no key");
    }
    cx_buf_free(&text);
    if (status != CX_OK) {
        audit__keys_free(&keys);
        return status;
    }
    *out = keys;
    return CX_OK;
}

/* The first key vouches for itself, each later one is vouched for by the one before it. */
static bool read_key(struct audit__keys *keys, struct cx_str line)
{
    struct audit__key key;
    if (keys->count == AUDIT__KEYS_MAX || !audit__key_parse(line, &key)) {
        return false;
    }
    const struct audit__key *signer = keys->count == 0 ? &key : &keys->rows[keys->count - 1];
    if (strcmp(key.signed_by, signer->key_id) != 0 ||
        !audit__key_verify(&key, signer->public_key) ||
        audit__keys_find(keys, key.key_id) != NULL) {
        return false;
    }
    keys->rows = cx_realloc_array(keys->rows, keys->count + 1, sizeof *keys->rows);
    keys->rows[keys->count++] = key;
    return true;
}

const struct audit__key *audit__keys_find(const struct audit__keys *keys, const char *key_id)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (strcmp(keys->rows[i].key_id, key_id) == 0) {
            return &keys->rows[i];
        }
    }
    return NULL;
}

void audit__keys_free(struct audit__keys *keys)
{
    free(keys->rows);
    *keys = (struct audit__keys){ .count = 0 };
}

bool audit__keys_verify(const struct audit__keys *keys, const struct audit__checkpoint *c)
{
    const struct audit__key *key = audit__keys_find(keys, c->key_id);
    return key != NULL && audit__checkpoint_verify(c, key->public_key);
}

/* ---- The folder -------------------------------------------------------------------------------- */

static enum cx_status read_slots(struct audit__folder *f, struct audit__findings *findings,
                                 bool *there, struct cx_err *err);
static enum cx_status read_stub(struct audit__folder *f, struct audit__findings *findings,
                                struct cx_err *err);
static enum cx_status list_segments(struct audit__folder *f, struct cx_err *err);
static bool is_stale(const struct audit__folder *f);
static void judge_segments(const struct audit__folder *f, struct audit__findings *findings);
static bool is_unused(const struct audit__folder *f);

enum cx_status audit__folder_read(int dir, struct audit__folder *out,
                                  struct audit__findings *findings, struct cx_err *err)
{
    struct audit__folder f = { .dir = dir };
    struct cx_err why = { "" };
    bool there = false;
    const size_t findings_before = findings->count;
    enum cx_status keys = audit__keys_read(dir, &f.keys, &why);
    enum cx_status status = keys == CX_IO_ERROR ? keys : CX_OK;
    /* A segment that is begun in between is not in the list, and the checkpoint may be one of it: then once
     * more. What is removed in between was in the list, and the stub behind it says so. */
    bool again = status == CX_OK;
    for (int i = 0; again && i < MOVING_READS; i++) {
        findings->count = findings_before;
        status = list_segments(&f, err);
        if (status == CX_OK) {
            status = read_stub(&f, findings, err);
        }
        if (status == CX_OK) {
            status = read_slots(&f, findings, &there, err);
        }
        again = status == CX_OK && is_stale(&f);
    }
    if (again) {
        status = cx_err_set(err, CX_CONFLICT, "segments were begun while the ledger was looked at");
    }
    if (status == CX_OK) {
        f.empty = !there && !f.has_stub && findings->count == 0 && is_unused(&f);
    }
    if (status == CX_OK && !f.empty) {
        if (keys != CX_OK) {
            (void)audit__find_add(findings, "%s", why.text);
        }
        if (!there) {
            (void)audit__find_add(findings, "the file " AUDIT__CHECKPOINT_FILE " is missing");
        }
        judge_segments(&f, findings);
    }
    if (status != CX_OK) {
        audit__folder_free(&f);
        return status;
    }
    *out = f;
    return CX_OK;
}

void audit__folder_free(struct audit__folder *f)
{
    if (f->dir > 0) {
        (void)close(f->dir);
    }
    audit__keys_free(&f->keys);
    free(f->segments);
    *f = (struct audit__folder){ .dir = -1 };
}

const struct audit__checkpoint *audit__newest(const struct audit__folder *f)
{
    return f->has_checkpoint ? &f->slots[f->newest] : NULL;
}

static bool judge_slots(struct audit__folder *f, const struct cx_buf *text);

static enum cx_status read_slots(struct audit__folder *f, struct audit__findings *findings,
                                 bool *there, struct cx_err *err)
{
    struct cx_buf text;
    cx_buf_init(&text, 4 * AUDIT__SLOT_BYTES);
    enum cx_status status = CX_OK;
    bool good = false;
    for (int i = 0; i < TORN_READS && status == CX_OK && !good; i++) {
        cx_buf_clear(&text);
        status =
            audit__read_file(f->dir, AUDIT__CHECKPOINT_FILE, 3 * AUDIT__SLOT_BYTES, &text, err);
        good = status == CX_OK && judge_slots(f, &text);
    }
    if (status == CX_NOT_FOUND || status == CX_TOO_LARGE) {
        *there = status == CX_TOO_LARGE;
        status = CX_OK;
    } else {
        *there = status == CX_OK;
    }
    if (status == CX_OK && *there && !good) {
        (void)audit__find_add(findings, "the file " AUDIT__CHECKPOINT_FILE
                                        " does not hold two good checkpoints");
    }
    f->has_checkpoint = f->slot_good[0] || f->slot_good[1];
    if (f->has_checkpoint) {
        f->newest =
            f->slot_good[1] && (!f->slot_good[0] || f->slots[1].size > f->slots[0].size) ? 1 : 0;
    }
    cx_buf_free(&text);
    return status;
}

static bool judge_slots(struct audit__folder *f, const struct cx_buf *text)
{
    bool good = text->len == sizeof(char[2][AUDIT__SLOT_BYTES]);
    for (size_t i = 0; i < 2; i++) {
        const size_t at = i * AUDIT__SLOT_BYTES;
        const struct cx_str slot = { text->data + at, AUDIT__SLOT_BYTES };
        f->slot_good[i] = text->len >= at + AUDIT__SLOT_BYTES &&
                          audit__slot_parse(slot, &f->slots[i]) &&
                          audit__keys_verify(&f->keys, &f->slots[i]);
        good = good && f->slot_good[i];
    }
    return good;
}

static enum cx_status read_stub(struct audit__folder *f, struct audit__findings *findings,
                                struct cx_err *err)
{
    struct cx_buf text;
    cx_buf_init(&text, 2 * AUDIT__SMALL_MAX_BYTES);
    enum cx_status status =
        audit__read_file(f->dir, AUDIT__STUB_FILE, AUDIT__SMALL_MAX_BYTES, &text, err);
    if (status == CX_OK || status == CX_TOO_LARGE) {
        const struct audit__key *key = NULL;
        f->has_stub = status == CX_OK &&
                      audit__stub_parse((struct cx_str){ text.data, text.len }, &f->stub) &&
                      (key = audit__keys_find(&f->keys, f->stub.end.key_id)) != NULL &&
                      audit__stub_verify(&f->stub, key->public_key);
        if (!f->has_stub) {
            (void)audit__find_add(findings, "the file " AUDIT__STUB_FILE " holds no good stub");
        }
        status = CX_OK;
    } else if (status == CX_NOT_FOUND) {
        status = CX_OK;
    }
    cx_buf_free(&text);
    return status;
}

static int by_number(const void *a, const void *b)
{
    const struct audit__segment *x = a;
    const struct audit__segment *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static void note_segment(struct audit__folder *f, uint32_t number, bool packed);

static enum cx_status list_segments(struct audit__folder *f, struct cx_err *err)
{
    f->segment_count = 0;
    /* A descriptor of its own: the position of a directory is the descriptor's. */
    const int fd = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (list == NULL) {
        const int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return cx_err_set(err, CX_IO_ERROR, "the ledger's folder: %s", strerror(error));
    }
    for (const struct dirent *d = NULL; (d = readdir(list)) != NULL;) {
        uint32_t number = 0;
        bool packed = false;
        if (audit__segment_number(d->d_name, &number, &packed)) {
            note_segment(f, number, packed);
        }
    }
    (void)closedir(list);
    if (f->segment_count > 0) {
        qsort(f->segments, f->segment_count, sizeof *f->segments, by_number);
    }
    size_t kept = 0;
    for (size_t i = 0; i < f->segment_count; i++) {
        if (kept > 0 && f->segments[kept - 1].number == f->segments[i].number) {
            f->segments[kept - 1].plain |= f->segments[i].plain;
            f->segments[kept - 1].packed |= f->segments[i].packed;
        } else {
            f->segments[kept++] = f->segments[i];
        }
    }
    f->segment_count = kept;
    return CX_OK;
}

static void note_segment(struct audit__folder *f, uint32_t number, bool packed)
{
    if ((f->segment_count & (f->segment_count + 1)) == 0) { /* 0, 1, 3, 7 …: full */
        f->segments = cx_realloc_array(f->segments, 2 * f->segment_count + 1, sizeof *f->segments);
    }
    f->segments[f->segment_count++] =
        (struct audit__segment){ .number = number, .plain = !packed, .packed = packed };
}

static bool has_segment(const struct audit__folder *f, uint32_t number)
{
    char name[AUDIT__SEGMENT_NAME_BYTES];
    return faccessat(f->dir, audit__segment_name(number, false, name), F_OK, 0) == 0 ||
           faccessat(f->dir, audit__segment_name(number, true, name), F_OK, 0) == 0;
}

/* One is there that the list has not: begun behind it, or packed while it was made. */
static bool is_stale(const struct audit__folder *f)
{
    uint32_t last = f->segment_count > 0 ? f->segments[0].number : 0;
    for (size_t i = 1; i < f->segment_count; i++) {
        if (f->segments[i].number != last + 1 && has_segment(f, last + 1)) {
            return true;
        }
        last = f->segments[i].number;
    }
    return last < UINT32_MAX && has_segment(f, last + 1);
}

/* The walk finds what a gap has taken; here only what it cannot see. */
static void judge_segments(const struct audit__folder *f, struct audit__findings *findings)
{
    if (f->segment_count == 0) {
        (void)audit__find_add(findings, "there is no segment");
    }
}

/* A first start that was cut off has left at most one segment with its header alone. */
static bool is_unused(const struct audit__folder *f)
{
    if (f->segment_count == 0) {
        return true;
    }
    if (f->segment_count > 1 || f->segments[0].number != 1 || f->segments[0].packed) {
        return false;
    }
    char name[AUDIT__SEGMENT_NAME_BYTES];
    struct cx_buf text;
    cx_buf_init(&text, 2 * AUDIT__SMALL_MAX_BYTES);
    const enum cx_status status = audit__read_file(f->dir, audit__segment_name(1, false, name),
                                                   AUDIT__SMALL_MAX_BYTES, &text, NULL);
    const char *end = status == CX_OK ? memchr(text.data, '\n', text.len) : NULL;
    const bool unused = status == CX_OK && (end == NULL || end == text.data + text.len - 1);
    cx_buf_free(&text);
    return unused;
}
