/* SPDX-License-Identifier: MIT
 *
 * Listing a folder. Its names are read to the end, but only a page of them is kept: the smallest that
 * come after the cursor. Threads: a worker.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

struct page {
    char **names; /* a heap, the largest first */
    size_t count;
    size_t limit; /* one more than is asked for, which tells whether there are more */
};

static void add_name(struct page *page, const char *name);
static enum cx_status read_names(DIR *dir, const struct files__root *root, struct cx_str after,
                                 struct page *page, struct cx_err *err);
static json_t *entry_of(int fd, struct cx_str folder, const char *name);
static json_t *list_roots(const struct cx_files *files);

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum cx_status cx_files_list(const struct cx_files *files, struct cx_str path, struct cx_str after,
                             size_t limit, json_t **out, char next[CX_FILES_NAME_BYTES],
                             struct cx_err *err)
{
    next[0] = '\0';
    if (path.len == 0) {
        *out = list_roots(files);
        return CX_OK;
    }
    const struct files__root *root = NULL;
    int fd = -1;
    enum cx_status status = files__open(files, path, O_RDONLY | O_DIRECTORY, &root, &fd, err);
    if (status != CX_OK) {
        return status;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    struct page page = { .limit = limit + 1 };
    page.names = cx_alloc(page.limit * sizeof(char *));
    status = read_names(dir, root, after, &page, err);
    qsort(page.names, page.count, sizeof(char *), by_name);
    json_t *list = json_array();
    while (path.len > 0 && path.p[path.len - 1] == '/') {
        path.len--;
    }
    for (size_t i = 0; i < page.count && i < limit && status == CX_OK; i++) {
        json_t *entry = entry_of(dirfd(dir), path, page.names[i]);
        if (entry != NULL) {
            json_array_append_new(list, entry);
        }
    }
    if (page.count > limit && status == CX_OK) {
        snprintf(next, CX_FILES_NAME_BYTES, "%s", page.names[limit - 1]);
    }
    for (size_t i = 0; i < page.count; i++) {
        free(page.names[i]);
    }
    free(page.names);
    (void)closedir(dir);
    if (status != CX_OK) {
        json_decref(list);
        return status;
    }
    *out = list;
    return CX_OK;
}

/* A name that is no UTF-8 cannot be told, nor asked for: it is not there. */
static enum cx_status read_names(DIR *dir, const struct files__root *root, struct cx_str after,
                                 struct page *page, struct cx_err *err)
{
    size_t seen = 0;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (++seen > CX_FILES_ENTRIES_MAX) {
            return cx_err_set(err, CX_TOO_LARGE, "The folder has more than %d entries",
                              CX_FILES_ENTRIES_MAX);
        }
        const struct cx_str name = cx_str_of(e->d_name);
        const bool dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        char bound[CX_FILES_NAME_BYTES];
        const size_t len = after.len < sizeof bound - 1 ? after.len : sizeof bound - 1;
        memcpy(bound, after.len > 0 ? after.p : "", len);
        bound[len] = '\0';
        if (!dots && strcmp(e->d_name, bound) > 0 && files__name_allowed(root, e->d_name) &&
            cx_utf8_valid(name)) {
            add_name(page, e->d_name);
        }
    }
    return CX_OK;
}

static void sink(struct page *page, size_t at)
{
    for (size_t child = 2 * at + 1; child < page->count; child = 2 * at + 1) {
        if (child + 1 < page->count && strcmp(page->names[child + 1], page->names[child]) > 0) {
            child++;
        }
        if (strcmp(page->names[child], page->names[at]) <= 0) {
            return;
        }
        char *name = page->names[at];
        page->names[at] = page->names[child];
        page->names[child] = name;
        at = child;
    }
}

static void add_name(struct page *page, const char *name)
{
    if (page->count == page->limit) {
        if (strcmp(name, page->names[0]) < 0) {
            free(page->names[0]);
            page->names[0] = cx_strdup(name);
            sink(page, 0);
        }
        return;
    }
    page->names[page->count++] = cx_strdup(name);
    if (page->count == page->limit) {
        for (size_t i = page->count / 2; i-- > 0;) {
            sink(page, i);
        }
    }
}

static const char *type_of(mode_t mode)
{
    return S_ISREG(mode)   ? "file"
           : S_ISDIR(mode) ? "directory"
           : S_ISLNK(mode) ? "symlink"
                           : "other";
}

static json_t *entry_json(json_t *path, const struct stat *st)
{
    char time[CX_TIME_TEXT_BYTES];
    const int64_t modified_us =
        (int64_t)st->st_mtim.tv_sec * 1000000 + (int64_t)st->st_mtim.tv_nsec / 1000;
    return json_pack("{s:o, s:s, s:I, s:s}", "path", path, "type", type_of(st->st_mode), "size",
                     (json_int_t)st->st_size, "modified_at", cx_time_format(modified_us, time));
}

/* NULL: it has gone meanwhile. */
static json_t *entry_of(int fd, struct cx_str folder, const char *name)
{
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return NULL;
    }
    return entry_json(json_sprintf("%.*s/%s", (int)folder.len, folder.p, name), &st);
}

static json_t *list_roots(const struct cx_files *files)
{
    json_t *list = json_array();
    for (size_t i = 0; i < files->count; i++) {
        struct stat st;
        if (stat(files->roots[i].path, &st) == 0 && S_ISDIR(st.st_mode)) {
            json_array_append_new(list, entry_json(json_string(files->roots[i].name), &st));
        }
    }
    return list;
}
