/* SPDX-License-Identifier: MIT
 *
 * The ledger's signing key and options, and the command line's ways with a ledger (ledger.h).
 */
#include "app/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "app/database.h"
#include "app/lock.h"
#include "app/secret_file.h"

#define NEXT_KEY_FILE APP__LEDGER_KEY_FILE ".next"
#define STEP_MS 1000
#define RESULT_MAX_BYTES ((size_t)1 << 20)
#define INPUT_MAX_BYTES ((size_t)1 << 20)

static enum cx_status key_path(const char *dir, const char *name, char path[PATH_MAX],
                               struct cx_err *err)
{
    const int len = snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return len > 0 && len < PATH_MAX
               ? CX_OK
               : cx_err_set(err, CX_INVALID, "the data directory's path is too long");
}

static enum cx_status make_key(const char *dir, const char *name, struct cx_signer **out,
                               struct cx_err *err)
{
    uint8_t seed[CX_ED25519_SEED_BYTES];
    char text[2 * CX_ED25519_SEED_BYTES + 1];
    cx_random_bytes(seed, sizeof seed);
    const enum cx_status status =
        app__secret_write(dir, name, cx_hex(seed, sizeof seed, text), err);
    if (status == CX_OK) {
        cx_signer_new(seed, out);
    }
    cx_wipe(text, sizeof text);
    cx_wipe(seed, sizeof seed);
    return status;
}

static enum cx_status read_key(const char *path, struct cx_signer **out, struct cx_err *err)
{
    struct cx_arena arena;
    uint8_t seed[CX_ED25519_SEED_BYTES];
    const char *text = NULL;
    bool others = false;
    cx_arena_init(&arena, 2 * (size_t)APP__SECRET_MAX_BYTES);
    enum cx_status status = app__secret_read(path, &arena, &text, &others, err);
    if (status == CX_OK && !cx_unhex(cx_str_of(text), seed, sizeof seed)) {
        status = cx_err_set(err, CX_INVALID, "%s: a key is 64 hexadecimal digits", path);
    }
    if (text != NULL) {
        cx_wipe((char *)text, strlen(text));
    }
    if (status == CX_OK && others) {
        CX_LOG(CX_LOG_WARN, "the key that signs the ledger can be read by others",
               CX_S("path", path));
    }
    if (status == CX_OK) {
        cx_signer_new(seed, out);
    }
    cx_arena_free(&arena);
    cx_wipe(seed, sizeof seed);
    return status;
}

/* A rotation that was cut off: the new key counts from when the ledger has its public half. */
static enum cx_status end_rotation(const char *dir, struct cx_err *err)
{
    char next[PATH_MAX];
    char path[PATH_MAX];
    enum cx_status status = key_path(dir, APP__LEDGER_KEY_FILE, path, err);
    if (status == CX_OK) {
        status = key_path(dir, NEXT_KEY_FILE, next, err);
    }
    if (status != CX_OK || !app__file_is_there(next)) {
        return status;
    }
    struct cx_signer *signer = NULL;
    bool has = false;
    status = read_key(next, &signer, err);
    if (status == CX_OK) {
        status = cx_audit_has_key(dir, cx_signer_key_id(signer), &has, err);
    }
    cx_signer_free(&signer);
    if (status != CX_OK) {
        return status;
    }
    if ((has ? rename(next, path) : unlink(next)) != 0) {
        return cx_err_set(err, CX_IO_ERROR, "%s: %s", next, strerror(errno));
    }
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        status = cx_err_set(err, CX_IO_ERROR, "%s: %s", dir, strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

enum cx_status app__ledger_key(const char *dir, struct cx_signer **out, struct cx_err *err)
{
    char path[PATH_MAX];
    enum cx_status status = key_path(dir, APP__LEDGER_KEY_FILE, path, err);
    if (status == CX_OK) {
        status = end_rotation(dir, err);
    }
    if (status != CX_OK || app__file_is_there(path)) {
        return status != CX_OK ? status : read_key(path, out, err);
    }
    status = make_key(dir, APP__LEDGER_KEY_FILE, out, err);
    if (status == CX_OK) {
        CX_LOG(CX_LOG_INFO, "made the key that signs the ledger", CX_S("path", path));
    }
    return status;
}

static enum cx_status rotate(const char *dir, char key_id[CX_KEY_ID_BYTES], struct cx_err *err)
{
    struct cx_signer *old_key = NULL;
    struct cx_signer *new_key = NULL;
    enum cx_status status = app__ledger_key(dir, &old_key, err);
    if (status == CX_OK) {
        status = make_key(dir, NEXT_KEY_FILE, &new_key, err);
    }
    if (status == CX_OK) {
        status = cx_audit_add_key(dir, old_key, new_key, err);
        (void)memcpy(key_id, cx_signer_key_id(new_key), CX_KEY_ID_BYTES);
        struct cx_err why = { "" };
        const enum cx_status ended = end_rotation(dir, &why);
        if (status == CX_OK && ended != CX_OK) {
            status = cx_err_set(err, ended, "%s", why.text);
        }
    }
    cx_signer_free(&old_key);
    cx_signer_free(&new_key);
    return status;
}

int app__rotate_ledger_key(const struct cx_config *config)
{
    struct cx_err err = { "" };
    struct app__lock *lock = NULL;
    char key_id[CX_KEY_ID_BYTES] = "";
    enum cx_status status = app__lock_take(config->data_dir, &lock, &err);
    if (status == CX_OK) {
        status = rotate(config->data_dir, key_id, &err);
    }
    app__lock_release(&lock);
    if (status != CX_OK) {
        fprintf(stderr, "cortexd: %s\n", err.text);
        return app__exit_code(status);
    }
    printf("The key %s signs from the next start on; the one before it has signed it.\n", key_id);
    return EX_OK;
}

struct cx_audit_options app__audit_options(const struct cx_config *config, struct cx_store *store,
                                           const struct cx_signer *signer)
{
    return (struct cx_audit_options){
        .data_dir = config->data_dir,
        .signer = signer,
        .store = store,
        .segment_bytes = config->ledger_segment_bytes,
        .segment_age_us = (int64_t)config->ledger_segment_age_ms * 1000,
        .waiting_max = config->ledger_waiting,
        .waiting_bytes_max = config->ledger_waiting_bytes,
        .unindexed_max = config->ledger_unindexed,
        .pack = config->ledger_compress,
        .keep_bytes = config->ledger_keep_bytes,
        .keep_us = (int64_t)config->ledger_keep_days * 86400 * 1000000,
    };
}

/* ---- Verifying --------------------------------------------------------------------------------- */

static enum cx_status read_input(const char *path, struct cx_buf *out, struct cx_err *err)
{
    bool others = false;
    cx_buf_init(out, INPUT_MAX_BYTES + 2);
    return path != NULL ? app__file_read(path, INPUT_MAX_BYTES, out, &others, err) : CX_OK;
}

static enum cx_status walk(const struct app__cli *cli, const struct cx_audit_verify_options *given,
                           struct cx_buf *result, bool *good, struct cx_err *err)
{
    struct cx_audit_verify *v = NULL;
    bool more = true;
    enum cx_status status = cx_audit_verify_new(cli->ledger_dir, given, &v, err);
    while (status == CX_OK && more) {
        status = cx_audit_verify_step(v, STEP_MS, &more, err);
    }
    if (status == CX_OK) {
        *good = cx_audit_verify_result(v, result);
    }
    cx_audit_verify_free(&v);
    return status;
}

int app__verify_ledger(const struct app__cli *cli)
{
    struct cx_err err = { "" };
    struct cx_buf receipt;
    struct cx_buf key;
    struct cx_buf result;
    bool good = false;
    cx_buf_init(&key, 1);
    cx_buf_init(&result, RESULT_MAX_BYTES);
    enum cx_status status = read_input(cli->receipt_file, &receipt, &err);
    if (status == CX_OK) {
        status = read_input(cli->key_file, &key, &err);
    }
    if (status == CX_OK) {
        const struct cx_audit_verify_options given = {
            .receipt = { cli->receipt_file != NULL ? receipt.data : NULL, receipt.len },
            .key = { cli->key_file != NULL ? key.data : NULL, key.len },
        };
        status = walk(cli, &given, &result, &good, &err);
    }
    if (status == CX_OK) {
        printf("%s\n", result.data);
        if (fflush(stdout) != 0) {
            status = cx_err_set(&err, CX_IO_ERROR, "standard output cannot be written to");
        }
    }
    if (status != CX_OK) {
        fprintf(stderr, "cortexd: %s\n", err.text);
    }
    cx_buf_free(&receipt);
    cx_buf_free(&key);
    cx_buf_free(&result);
    /* What was given, and cannot be used, is wrong usage. */
    return status == CX_BAD_REQUEST || status == CX_NOT_FOUND || status == CX_INVALID ? EX_USAGE
           : status != CX_OK ? app__exit_code(status)
           : good            ? EX_OK
                             : EX_DATAERR;
}

/* ---- Accepting damage -------------------------------------------------------------------------- */

static enum cx_status accept(const struct cx_config *config, size_t *ranges, struct cx_err *err)
{
    struct cx_signer *signer = NULL;
    struct cx_store *store = NULL;
    enum cx_status status = app__ledger_key(config->data_dir, &signer, err);
    if (status == CX_OK) {
        status = app__open_store(config, &store, err);
    }
    if (status == CX_OK) {
        const struct cx_audit_options options = app__audit_options(config, store, signer);
        status = cx_audit_accept_damage(&options, ranges, err);
    }
    if (store != NULL) {
        cx_store_close(&store);
    }
    cx_signer_free(&signer);
    return status;
}

int app__accept_ledger_damage(const struct cx_config *config)
{
    struct cx_err err = { "" };
    struct app__lock *lock = NULL;
    size_t ranges = 0;
    enum cx_status status = app__lock_take(config->data_dir, &lock, &err);
    if (status == CX_OK) {
        status = accept(config, &ranges, &err);
    }
    app__lock_release(&lock);
    if (status != CX_OK) {
        fprintf(stderr, "cortexd: %s\n", err.text);
        return app__exit_code(status);
    }
    if (ranges == 0) {
        printf("The ledger is not damaged; nothing was done.\n");
    } else {
        printf("A note of %zu damage%s was signed and appended; the ledger takes entries again.\n",
               ranges, ranges == 1 ? "" : "s");
    }
    return EX_OK;
}
