/* SPDX-License-Identifier: MIT
 *
 * What a first start makes for itself (tokens.h).
 */
#include "app/tokens.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config_table.h"
#include "cortex/crypto.h"
#include "app/secret_file.h"

#define TOKEN_FILE "token"
#define TOKEN_PREFIX "cx_"
#define SIGNING_KEY_FILE "signing_key"
#define KEY_BYTES 32
#define KEY_TEXT_BYTES 43 /* of base64url without padding */

static enum cx_status make_dirs(char *path, struct cx_err *err);
static enum cx_status dir_error(const char *path, int code, struct cx_err *err);
static enum cx_status ensure_secret(const char *dir, const char *name, const char *prefix,
                                    struct cx_arena *arena, const char **out, bool *created,
                                    struct cx_err *err);
static void make_secret(const char *prefix, struct cx_buf *out);
static void log_secret(const char *message, const char *dir, const char *name);

enum cx_status app__prepare_data_dir(const char *dir, struct cx_err *err)
{
    char path[PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s", dir);
    if (len <= 0 || (size_t)len >= sizeof path) {
        return cx_err_set(err, CX_INVALID, "the data directory's path is too long");
    }
    const enum cx_status status = make_dirs(path, err);
    if (status != CX_OK) {
        return status;
    }
    struct stat info;
    if (stat(dir, &info) != 0) {
        return dir_error(dir, errno, err);
    }
    if (!S_ISDIR(info.st_mode)) {
        return dir_error(dir, ENOTDIR, err);
    }
    if (access(dir, R_OK | W_OK | X_OK) != 0) {
        return dir_error(dir, errno, err);
    }
    if ((info.st_mode & S_IWOTH) != 0) {
        CX_LOG(CX_LOG_WARN, "everybody may write to the data directory", CX_S("path", dir));
    }
    return CX_OK;
}

static enum cx_status make_dirs(char *path, struct cx_err *err)
{
    for (char *slash = path + 1;; slash++) {
        slash += strcspn(slash, "/");
        const char was = *slash;
        *slash = '\0';
        struct stat info;
        if (mkdir(path, S_IRWXU) != 0 && errno != EEXIST) {
            /* A parent on a read-only or foreign file system is no fault as long as it is there. */
            const int code = errno;
            if (stat(path, &info) != 0) {
                return dir_error(path, code, err);
            }
        }
        if (was == '\0') {
            return CX_OK;
        }
        *slash = was;
    }
}

static enum cx_status dir_error(const char *path, int code, struct cx_err *err)
{
    const enum cx_status status = code == EACCES || code == EPERM || code == EROFS ? CX_UNAUTHORIZED
                                  : code == ENOSPC || code == EDQUOT               ? CX_STORAGE_FULL
                                                                                   : CX_IO_ERROR;
    return cx_err_set(err, status, "data directory: %s: %s", path, strerror(code));
}

enum cx_status app__first_start(struct cx_config *config, struct cx_err *err)
{
    bool created = false;
    if (config->token_count == 0) {
        struct app__token token = {
            .name = "first-start",
            .scopes = CX_SCOPE_ALL,
            .origin = { .kind = APP__FROM_FIRST_START },
        };
        enum cx_status status = app__ensure_token(config->data_dir, token.sha256, &created, err);
        if (status == CX_OK) {
            log_secret(created ? "no token is configured: made one"
                               : "no token is configured: using the one made at the first start",
                       config->data_dir, TOKEN_FILE);
            status = app__config_add_token(config, &token, err);
        }
        if (status != CX_OK) {
            return status;
        }
    }
    if (config->state_signing_key == NULL) {
        const enum cx_status status = app__ensure_signing_key(
            config->data_dir, &config->arena, &config->state_signing_key, &created, err);
        if (status != CX_OK) {
            return status;
        }
        config->origins[APP__KEY_state_signing_key] =
            (struct app__origin){ .kind = APP__FROM_FIRST_START };
        log_secret(created ? "no signing key is configured: made one"
                           : "no signing key is configured: using the one made at the first start",
                   config->data_dir, SIGNING_KEY_FILE);
    }
    return CX_OK;
}

enum cx_status app__ensure_token(const char *dir, uint8_t sha256[32], bool *created,
                                 struct cx_err *err)
{
    struct cx_arena arena;
    const char *token = NULL;
    cx_arena_init(&arena, 2 * (size_t)APP__SECRET_MAX_BYTES);
    const enum cx_status status =
        ensure_secret(dir, TOKEN_FILE, TOKEN_PREFIX, &arena, &token, created, err);
    if (status == CX_OK) {
        CX_CHECK(token != NULL);
        cx_sha256(cx_str_of(token), sha256);
        cx_wipe((char *)token, strlen(token));
    }
    cx_arena_free(&arena);
    return status;
}

enum cx_status app__ensure_signing_key(const char *dir, struct cx_arena *arena, const char **key,
                                       bool *created, struct cx_err *err)
{
    return ensure_secret(dir, SIGNING_KEY_FILE, "", arena, key, created, err);
}

static enum cx_status ensure_secret(const char *dir, const char *name, const char *prefix,
                                    struct cx_arena *arena, const char **out, bool *created,
                                    struct cx_err *err)
{
    char path[PATH_MAX];
    const int path_len = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (path_len <= 0 || (size_t)path_len >= sizeof path) {
        return cx_err_set(err, CX_INVALID, "the data directory's path is too long");
    }
    const bool missing = !app__file_is_there(path);
    if (missing) {
        struct cx_buf text;
        cx_buf_init(&text, 128);
        make_secret(prefix, &text);
        const enum cx_status status = app__secret_write(dir, name, text.data, err);
        cx_wipe(text.data, text.len);
        cx_buf_free(&text);
        if (status != CX_OK) {
            return status;
        }
    }
    /* Read back what is on disk, so that the first start and every later one use the same. */
    const char *secret = NULL;
    bool others = false;
    const enum cx_status status = app__secret_read(path, arena, &secret, &others, err);
    if (status != CX_OK) {
        return status == CX_NOT_FOUND ? CX_IO_ERROR : status;
    }
    const size_t prefix_len = strlen(prefix);
    if (strncmp(secret, prefix, prefix_len) != 0 || strlen(secret) != prefix_len + KEY_TEXT_BYTES) {
        return cx_err_set(err, CX_INVALID,
                          "%s: this is not what a first start writes; remove it to have "
                          "it made again",
                          path);
    }
    if (others) {
        CX_LOG(CX_LOG_WARN, "others than its owner may read this secret", CX_S("path", path));
    }
    *out = secret;
    *created = missing;
    return CX_OK;
}

static void make_secret(const char *prefix, struct cx_buf *out)
{
    uint8_t key[KEY_BYTES];
    cx_random_bytes(key, sizeof key);
    cx_buf_puts(out, prefix);
    cx_base64url_encode(key, sizeof key, out);
    cx_wipe(key, sizeof key);
    CX_CHECK(!out->failed && out->len == strlen(prefix) + KEY_TEXT_BYTES);
}

static void log_secret(const char *message, const char *dir, const char *name)
{
    char path[PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (len > 0 && (size_t)len < sizeof path) {
        CX_LOG(CX_LOG_INFO, message, CX_S("path", path));
    }
}
