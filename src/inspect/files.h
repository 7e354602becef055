/* SPDX-License-Identifier: MIT
 *
 * What listing and reading share: the roots, and the one way to open something beneath one.
 */
#ifndef CORTEX_INSPECT_FILES_H
#define CORTEX_INSPECT_FILES_H

#include "cortex/inspect.h"

struct files__root {
    char *name;
    char *path;
    bool hidden;
    char **exclude; /* ended by NULL */
};
struct cx_files {
    struct files__root *roots;
    size_t count;
};

/* Whether a name may be seen. */
bool files__name_allowed(const struct files__root *root, const char *name);
/* Opens what the path names, with these flags of open(2), and O_CLOEXEC; the caller closes *fd. The root
 * itself is "ROOT" or "ROOT/". CX_NOT_FOUND for all that may not be seen. */
enum cx_status files__open(const struct cx_files *files, struct cx_str path, int flags,
                           const struct files__root **root, int *fd,
                           struct cx_err *err) CX_MUST_CHECK;
enum cx_status files__not_found(struct cx_err *err);

#endif
