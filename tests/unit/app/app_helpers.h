/* SPDX-License-Identifier: MIT
 *
 * For the app room's tests: files in the test's folder, and a configuration loaded from texts.
 */
#ifndef CORTEX_APP_HELPERS_H
#define CORTEX_APP_HELPERS_H

#include "app/config.h"

/* DIR/NAME of the test's folder, in memory that lives until the process ends. */
const char *in_dir(const char *name);
/* Writes DIR/NAME and gives its path. */
const char *put_file(const char *name, const char *text);
void read_back(const char *path, char *text, size_t size);

struct loaded {
    enum cx_status status;
    struct cx_config *config; /* NULL where it failed */
    struct cx_err err;
    char **env; /* as loading left it */
};
/* file: text of DIR/cortex.conf, NULL = none; env and args end with NULL, or are NULL. HOME is the
 * test's folder. Freed by unload. */
struct loaded load(const char *file, const char *const *env, const char *const *args);
struct loaded reload(const struct cx_config *running, const char *file, const char *const *env,
                     const char *const *args);
void unload(struct loaded *l);
/* The sentence of a failed load without the test's folder; "" where it did not fail. */
const char *sentence(const struct loaded *l);

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

#endif
