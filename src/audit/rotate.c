/* SPDX-License-Identifier: MIT
 *
 * Another signing key: its public half is put behind the others, signed by the one before it. No daemon runs.
 */
#include "audit/ledger.h"

#include <string.h>
#include <unistd.h>

enum cx_status cx_audit_has_key(const char *data_dir, const char *key_id, bool *has,
                                struct cx_err *err)
{
    const int dir = audit__open_folder(data_dir, true, err);
    struct audit__keys keys = { .count = 0 };
    if (dir < 0) {
        return CX_IO_ERROR;
    }
    const enum cx_status status = audit__keys_read(dir, &keys, err);
    *has = status == CX_OK && audit__keys_find(&keys, key_id) != NULL;
    audit__keys_free(&keys);
    (void)close(dir);
    return status == CX_NOT_FOUND ? CX_OK : status;
}

static enum cx_status add_key(int dir, const struct cx_signer *old_key,
                              const struct cx_signer *new_key, struct cx_err *err)
{
    struct audit__keys keys = { .count = 0 };
    enum cx_status status = audit__keys_read(dir, &keys, err);
    if (status != CX_OK) {
        return status;
    }
    struct cx_buf text;
    cx_buf_init(&text, (keys.count + 1) * (size_t)AUDIT__SMALL_MAX_BYTES);
    if (strcmp(keys.rows[keys.count - 1].key_id, cx_signer_key_id(old_key)) != 0) {
        status = cx_err_set(err, CX_CONFLICT, "the ledger was signed by the key %s, ours is %s",
                            keys.rows[keys.count - 1].key_id, cx_signer_key_id(old_key));
    } else if (keys.count == AUDIT__KEYS_MAX) {
        status = cx_err_set(err, CX_CONFLICT, "the ledger has had %d keys, as many as there may be",
                            AUDIT__KEYS_MAX);
    }
    if (status == CX_OK) {
        struct audit__key key = { .created_us = cx_clock_wall_us() };
        memcpy(key.public_key, cx_signer_public(new_key), sizeof key.public_key);
        audit__key_sign(&key, old_key);
        for (size_t i = 0; i < keys.count; i++) {
            audit__key_write(&keys.rows[i], &text);
        }
        audit__key_write(&key, &text);
        CX_CHECK(!text.failed);
        status = audit__write_file(&audit__system_files, dir, AUDIT__KEYS_FILE,
                                   (struct cx_str){ text.data, text.len }, err);
    }
    cx_buf_free(&text);
    audit__keys_free(&keys);
    return status;
}

enum cx_status cx_audit_add_key(const char *data_dir, const struct cx_signer *old_key,
                                const struct cx_signer *new_key, struct cx_err *err)
{
    const int dir = audit__open_folder(data_dir, false, err);
    if (dir < 0) {
        return CX_IO_ERROR;
    }
    const enum cx_status status = add_key(dir, old_key, new_key, err);
    (void)close(dir);
    return status;
}
