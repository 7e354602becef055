/* SPDX-License-Identifier: MIT
 *
 * The roots, and opening what lies beneath one. A path is taken apart here only to find its root and
 * to look at its names; where it leads is the kernel's to say. What was opened is then judged once
 * more by the path that the kernel knows for it, since a link may have led to a name that is not to be
 * seen.
 *
 * Threads: a worker.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define RACES_MAX 16 /* the tree changed while a path was resolved: tried again */
#define PROC_FD_BYTES 40

void cx_files_new(const struct cx_root *roots, size_t count, struct cx_files **out)
{
    struct cx_files *files = cx_alloc(sizeof *files);
    files->roots = cx_alloc((count + 1) * sizeof *files->roots);
    files->count = count;
    for (size_t i = 0; i < count; i++) {
        struct files__root *root = &files->roots[i];
        size_t patterns = 0;
        while (roots[i].exclude != NULL && roots[i].exclude[patterns] != NULL) {
            patterns++;
        }
        root->name = cx_strdup(roots[i].name);
        root->path = cx_strdup(roots[i].path);
        root->hidden = roots[i].hidden;
        root->exclude = cx_alloc((patterns + 1) * sizeof *root->exclude);
        for (size_t k = 0; k < patterns; k++) {
            root->exclude[k] = cx_strdup(roots[i].exclude[k]);
        }
    }
    *out = files;
}

void cx_files_free(struct cx_files **files)
{
    if (*files == NULL) {
        return;
    }
    for (size_t i = 0; i < (*files)->count; i++) {
        struct files__root *root = &(*files)->roots[i];
        for (char **pattern = root->exclude; *pattern != NULL; pattern++) {
            free(*pattern);
        }
        free(root->exclude);
        free(root->name);
        free(root->path);
    }
    free((*files)->roots);
    free(*files);
    *files = NULL;
}

enum cx_status files__not_found(struct cx_err *err)
{
    return cx_err_set(err, CX_NOT_FOUND, "There is no such file or folder");
}

bool files__name_allowed(const struct files__root *root, const char *name)
{
    if (name[0] == '.' && !root->hidden) {
        return false;
    }
    for (char *const *pattern = root->exclude; *pattern != NULL; pattern++) {
        if (fnmatch(*pattern, name, 0) == 0) {
            return false;
        }
    }
    return true;
}

/* Every name of a relative path: none is "..", none may not be seen. "" and "." are nothing. */
static bool names_allowed(const struct files__root *root, const char *relative)
{
    while (*relative != '\0') {
        const size_t len = strcspn(relative, "/");
        char name[NAME_MAX + 1];
        if (len > NAME_MAX || (len == 2 && memcmp(relative, "..", 2) == 0)) {
            return false;
        }
        memcpy(name, relative, len);
        name[len] = '\0';
        if (len > 0 && strcmp(name, ".") != 0 && !files__name_allowed(root, name)) {
            return false;
        }
        relative += len + (relative[len] == '/' ? 1 : 0);
    }
    return true;
}

/* The path splits into its root and what lies beneath it, "." for the root itself. */
static const struct files__root *find_root(const struct cx_files *files, struct cx_str path,
                                           char relative[PATH_MAX])
{
    const char *slash = memchr(path.p, '/', path.len);
    const struct cx_str name = { path.p, slash != NULL ? (size_t)(slash - path.p) : path.len };
    const char *rest = slash != NULL ? slash + 1 : path.p + path.len;
    size_t len = path.len - (size_t)(rest - path.p);
    while (len > 0 && rest[0] == '/') { /* "ROOT//etc" is no absolute path */
        rest++;
        len--;
    }
    if (len >= PATH_MAX || memchr(rest, '\0', len) != NULL) {
        return NULL;
    }
    memcpy(relative, rest, len);
    relative[len] = '\0';
    if (len == 0) {
        memcpy(relative, ".", 2);
    }
    for (size_t i = 0; i < files->count; i++) {
        if (cx_str_eq(name, cx_str_of(files->roots[i].name))) {
            return &files->roots[i];
        }
    }
    return NULL;
}

static int open_beneath(int root_fd, const char *relative, int flags)
{
    const struct open_how how = { .flags = (unsigned)flags | O_CLOEXEC,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    long fd = -1;
    int races = 0;
    do {
        fd = syscall(SYS_openat2, root_fd, relative, &how, sizeof how);
    } while (fd < 0 && (errno == EAGAIN || errno == EINTR) && ++races < RACES_MAX);
    return (int)fd;
}

/* The kernel's own file systems answer with what is no file of anybody's. */
static bool on_disk(int fd)
{
    static const long kernels[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC,        DEBUGFS_MAGIC,
                                    TRACEFS_MAGIC,    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
                                    SECURITYFS_MAGIC, BPF_FS_MAGIC,       DEVPTS_SUPER_MAGIC };
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) {
        return false;
    }
    for (size_t i = 0; i < CX_ARRAY_LEN(kernels); i++) {
        if ((long)fs.f_type == kernels[i]) {
            return false;
        }
    }
    return true;
}

static bool real_path(int fd, char path[PATH_MAX])
{
    char link[PROC_FD_BYTES];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t len = readlink(link, path, PATH_MAX - 1);
    if (len <= 0 || len >= PATH_MAX - 1) {
        return false;
    }
    path[len] = '\0';
    return true;
}

/* What was opened, by the names that it really has. */
static bool real_names_allowed(const struct files__root *root, int root_fd, int fd)
{
    char top[PATH_MAX];
    char path[PATH_MAX];
    if (!real_path(root_fd, top) || !real_path(fd, path)) {
        return false;
    }
    const size_t len = strcmp(top, "/") == 0 ? 0 : strlen(top);
    return strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0') &&
           names_allowed(root, path + len);
}

enum cx_status files__open(const struct cx_files *files, struct cx_str path, int flags,
                           const struct files__root **out, int *fd, struct cx_err *err)
{
    char relative[PATH_MAX];
    const struct files__root *root = find_root(files, path, relative);
    if (root == NULL || !names_allowed(root, relative)) {
        return files__not_found(err);
    }
    const int root_fd = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        return files__not_found(err);
    }
    const int opened = open_beneath(root_fd, relative, flags);
    const int why = errno;
    const bool allowed =
        opened >= 0 && on_disk(opened) && real_names_allowed(root, root_fd, opened);
    (void)close(root_fd);
    if (opened >= 0 && !allowed) {
        (void)close(opened);
    }
    if (opened < 0 && (why == ENOSYS || why == EMFILE || why == ENFILE || why == ENOMEM)) {
        return cx_err_set(err, why == ENOSYS ? CX_NOT_CONFIGURED : CX_OVERLOADED, "%s",
                          why == ENOSYS ? "This kernel cannot confine paths to a folder"
                                        : cx_status_text(CX_OVERLOADED));
    }
    if (!allowed) {
        return files__not_found(err);
    }
    *out = root;
    *fd = opened;
    return CX_OK;
}
