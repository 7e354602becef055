/* SPDX-License-Identifier: MIT
 *
 * Files: what may be seen, what may not by whatever path, pages of a folder, cuts of a text; and a tree
 * that somebody keeps exchanging for a link that leads out of it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cortex/inspect.h"
#include "test.h"

#define SECRET "do not read me"
#define RACE_READS 20000 /* CORTEX_RACE_READS says another number */

static char top[512]; /* the root; beside it lies what is not in it */

static void put(const char *path, const char *text, size_t len)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", test_dir(), path);
    FILE *f = fopen(full, "wb");
    EXPECT(f != NULL && fwrite(text, 1, len, f) == len);
    EXPECT(f != NULL && fclose(f) == 0);
}

static void put_text(const char *path, const char *text)
{
    put(path, text, strlen(text));
}

static void folder(const char *path)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", test_dir(), path);
    EXPECT(mkdir(full, 0755) == 0);
}

static void link_to(const char *target, const char *path)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", test_dir(), path);
    EXPECT(symlink(target, full) == 0);
}

static struct cx_files *tree(bool hidden)
{
    static const char *const exclude[] = { "*.key", "private", NULL };
    snprintf(top, sizeof top, "%s/root", test_dir());
    folder("root");
    folder("root/sub");
    folder("root/private");
    folder("outside");
    put_text("root/a.txt", "alpha");
    put_text("root/sub/b.txt", "beta");
    put_text("root/.hidden", SECRET);
    put_text("root/server.key", SECRET);
    put_text("root/private/c.txt", SECRET);
    put_text("outside/secret.txt", SECRET);
    link_to("sub/b.txt", "root/inside");
    link_to("../outside/secret.txt", "root/out");
    link_to("../outside", "root/outdir");
    link_to("/etc/passwd", "root/absolute");
    link_to(".hidden", "root/to_hidden");
    link_to("server.key", "root/to_key");
    link_to("private", "root/to_private");
    link_to("loop", "root/loop");
    char fifo[1024];
    snprintf(fifo, sizeof fifo, "%s/fifo", top);
    EXPECT(mkfifo(fifo, 0644) == 0);
    const struct cx_root roots[] = {
        { .name = "docs", .path = top, .hidden = hidden, .exclude = exclude },
        { .name = "proc", .path = "/proc" },
        { .name = "gone", .path = "/nowhere" },
    };
    struct cx_files *files = NULL;
    cx_files_new(roots, 3, &files);
    return files;
}

static enum cx_status read_text(const struct cx_files *files, const char *path, json_t **out)
{
    *out = NULL;
    return cx_files_read(files, cx_str_of(path), 0, 256, out, NULL);
}

static void expect_text(const struct cx_files *files, const char *path, const char *text)
{
    json_t *found = NULL;
    EXPECT(read_text(files, path, &found) == CX_OK);
    EXPECT_STR(json_string_value(json_object_get(found, "text")), text);
    EXPECT(json_is_false(json_object_get(found, "truncated")));
    json_decref(found);
}

TEST(files_of_a_root_are_read)
{
    struct cx_files *files = tree(false);
    expect_text(files, "docs/a.txt", "alpha");
    expect_text(files, "docs/sub/b.txt", "beta");
    expect_text(files, "docs//sub/./b.txt", "beta");
    expect_text(files, "docs/inside", "beta");
    cx_files_free(&files);
    EXPECT(files == NULL);
}

TEST(what_may_not_be_seen_is_not_there)
{
    static const char *const paths[] = {
        "",
        "docs",
        "docs/",
        "nobody/a.txt",
        "DOCS/a.txt",
        "docs/nothing",
        "docs/a.txt/",
        "docs/../root/a.txt",
        "docs/sub/../a.txt",
        "docs/..",
        "docs/../outside/secret.txt",
        "docs/sub/../../outside/secret.txt",
        "docs//etc/passwd",
        "/etc/passwd",
        "../etc/passwd",
        "docs/%2e%2e/outside/secret.txt",
        "docs/out",
        "docs/outdir/secret.txt",
        "docs/absolute",
        "docs/.hidden",
        "docs/./.hidden",
        "docs/to_hidden",
        "docs/server.key",
        "docs/to_key",
        "docs/private/c.txt",
        "docs/to_private/c.txt",
        "docs/loop",
        "docs/fifo",
        "docs/sub",
        "proc/self/environ",
        "proc/1/status",
        "proc/self/root/etc/passwd",
        "gone/a.txt",
    };
    struct cx_files *files = tree(false);
    for (size_t i = 0; i < CX_ARRAY_LEN(paths); i++) {
        json_t *found = NULL;
        const enum cx_status status = read_text(files, paths[i], &found);
        if (status != CX_NOT_FOUND) {
            test_expect(false, __FILE__, __LINE__, "%s: %s", paths[i], cx_status_name(status));
        }
        json_decref(found);
    }
    json_t *found = NULL;
    const struct cx_str nul = { "docs/a.txt\0.png", 15 };
    EXPECT(cx_files_read(files, nul, 0, 256, &found, NULL) == CX_NOT_FOUND);
    char longest[5000];
    memset(longest, 'a', sizeof longest - 1);
    memcpy(longest, "docs/", 5);
    longest[sizeof longest - 1] = '\0';
    EXPECT(read_text(files, longest, &found) == CX_NOT_FOUND);
    longest[300] = '\0'; /* a name that is too long */
    EXPECT(read_text(files, longest, &found) == CX_NOT_FOUND);
    cx_files_free(&files);
}

TEST(hidden_files_are_there_where_that_is_asked_for)
{
    struct cx_files *files = tree(true);
    expect_text(files, "docs/.hidden", SECRET);
    expect_text(files, "docs/to_hidden", SECRET);
    json_t *found = NULL;
    EXPECT(read_text(files, "docs/to_key", &found) == CX_NOT_FOUND);
    cx_files_free(&files);
}

static json_t *list(const struct cx_files *files, const char *path, const char *after, size_t limit,
                    char next[CX_FILES_NAME_BYTES])
{
    json_t *found = NULL;
    EXPECT(cx_files_list(files, cx_str_of(path), cx_str_of(after), limit, &found, next, NULL) ==
           CX_OK);
    return found;
}

static const char *member(const json_t *entries, size_t index, const char *name)
{
    const char *text = json_string_value(json_object_get(json_array_get(entries, index), name));
    return text != NULL ? text : "";
}

TEST(a_folder_is_listed_by_name_with_what_may_be_seen)
{
    struct cx_files *files = tree(false);
    char next[CX_FILES_NAME_BYTES];
    json_t *found = list(files, "docs/", NULL, 100, next);
    static const char *const wanted[][2] = {
        { "docs/a.txt", "file" },         { "docs/absolute", "symlink" },
        { "docs/fifo", "other" },         { "docs/inside", "symlink" },
        { "docs/loop", "symlink" },       { "docs/out", "symlink" },
        { "docs/outdir", "symlink" },     { "docs/sub", "directory" },
        { "docs/to_hidden", "symlink" },  { "docs/to_key", "symlink" },
        { "docs/to_private", "symlink" },
    };
    EXPECT_INT(json_array_size(found), CX_ARRAY_LEN(wanted));
    for (size_t i = 0; i < CX_ARRAY_LEN(wanted); i++) {
        EXPECT_STR(member(found, i, "path"), wanted[i][0]);
        EXPECT_STR(member(found, i, "type"), wanted[i][1]);
    }
    EXPECT_INT(json_integer_value(json_object_get(json_array_get(found, 0), "size")), 5);
    EXPECT_STR(next, "");
    json_decref(found);
    found = list(files, "", NULL, 100, next);
    EXPECT_INT(json_array_size(found), 2);
    EXPECT_STR(member(found, 0, "path"), "docs");
    json_decref(found);
    found = NULL;
    EXPECT(cx_files_list(files, CX_STR("docs/a.txt"), CX_STR(""), 9, &found, next, NULL) ==
           CX_NOT_FOUND);
    EXPECT(cx_files_list(files, CX_STR("docs/outdir"), CX_STR(""), 9, &found, next, NULL) ==
           CX_NOT_FOUND);
    EXPECT(cx_files_list(files, CX_STR("proc"), CX_STR(""), 9, &found, next, NULL) == CX_NOT_FOUND);
    cx_files_free(&files);
}

TEST(a_large_folder_comes_page_by_page)
{
    struct cx_files *files = tree(false);
    folder("root/many");
    for (int i = 0; i < 500; i++) {
        char path[64];
        snprintf(path, sizeof path, "root/many/f%03d", (i * 337) % 500);
        put_text(path, "");
    }
    char next[CX_FILES_NAME_BYTES] = "";
    int seen = 0;
    do {
        char after[CX_FILES_NAME_BYTES];
        memcpy(after, next, sizeof after);
        json_t *found = list(files, "docs/many", after, 37, next);
        for (size_t i = 0; i < json_array_size(found); i++) {
            char wanted[64];
            snprintf(wanted, sizeof wanted, "docs/many/f%03d", seen++);
            EXPECT_STR(member(found, i, "path"), wanted);
        }
        json_decref(found);
    } while (next[0] != '\0');
    EXPECT_INT(seen, 500);
    json_t *exact = list(files, "docs/many", "f496", 3, next);
    EXPECT_INT(json_array_size(exact), 3);
    EXPECT_STR(next, "");
    json_decref(exact);
    cx_files_free(&files);
}

static void expect_piece(const struct cx_files *files, uint64_t offset, size_t bytes,
                         const char *text, bool truncated)
{
    json_t *found = NULL;
    EXPECT(cx_files_read(files, CX_STR("docs/utf8"), offset, bytes, &found, NULL) == CX_OK);
    EXPECT_STR(json_string_value(json_object_get(found, "text")), text);
    EXPECT_INT(json_integer_value(json_object_get(found, "bytes_returned")), strlen(text));
    EXPECT_INT(json_is_true(json_object_get(found, "truncated")), truncated);
    json_decref(found);
}

TEST(text_is_cut_at_whole_characters)
{
    struct cx_files *files = tree(false);
    put_text("root/utf8", "a€😀b"); /* 1, 3, 4 and 1 bytes */
    expect_piece(files, 0, 100, "a€😀b", false);
    expect_piece(files, 0, 9, "a€😀b", false);
    expect_piece(files, 0, 8, "a€😀", true);
    expect_piece(files, 0, 7, "a€", true);
    expect_piece(files, 0, 4, "a€", true);
    expect_piece(files, 0, 3, "a", true);
    expect_piece(files, 1, 100, "€😀b", false);
    expect_piece(files, 2, 100, "😀b", false);
    expect_piece(files, 5, 100, "b", false);
    expect_piece(files, 9, 100, "", false);
    expect_piece(files, 1000, 100, "", false);
    expect_piece(files, UINT64_MAX, 100, "", false);
    cx_files_free(&files);
}

TEST(what_is_no_text_is_told_so)
{
    struct cx_files *files = tree(false);
    json_t *found = NULL;
    put("root/nul", "a\0b", 3);
    EXPECT(read_text(files, "docs/nul", &found) == CX_UNSUPPORTED_MEDIA_TYPE);
    put_text("root/latin", "caf\xe9 au lait");
    EXPECT(read_text(files, "docs/latin", &found) == CX_UNSUPPORTED_MEDIA_TYPE);
    put_text("root/tail", "good\xf0\x9f");
    EXPECT(read_text(files, "docs/tail", &found) == CX_UNSUPPORTED_MEDIA_TYPE);
    put_text("root/rest", "\x80\x80\x80\x80");
    EXPECT(read_text(files, "docs/rest", &found) == CX_UNSUPPORTED_MEDIA_TYPE);
    put_text("root/empty", "");
    expect_text(files, "docs/empty", "");
    cx_files_free(&files);
}

/* ---- A race ---- */

static atomic_bool swapping;

/* sub is a folder, then a link out of the root, and so on. */
static void *swap(void *arg)
{
    (void)arg;
    char sub[600];
    char kept[600];
    char link[600];
    snprintf(sub, sizeof sub, "%s/sub", top);
    snprintf(kept, sizeof kept, "%s/kept", top);
    snprintf(link, sizeof link, "%s/link", top);
    while (atomic_load(&swapping)) {
        if (rename(sub, kept) == 0 && symlink("../outside", sub) == 0) {
            (void)rename(sub, link);
            (void)unlink(link);
            (void)rename(kept, sub);
        }
    }
    return NULL;
}

TEST(a_tree_that_changes_under_a_read_never_lets_it_out)
{
    struct cx_files *files = tree(false);
    put_text("outside/b.txt", SECRET);
    pthread_t thread;
    atomic_store(&swapping, true);
    REQUIRE(pthread_create(&thread, NULL, swap, NULL) == 0);
    const char *asked = getenv("CORTEX_RACE_READS");
    const long reads = asked != NULL ? atol(asked) : RACE_READS;
    size_t read = 0;
    size_t escaped = 0;
    /* On a busy machine the other thread may be kept from going on while nothing is there. */
    for (long i = 0; i < reads || (read == 0 && i < 100 * reads); i++) {
        json_t *found = NULL;
        if (read_text(files, "docs/sub/b.txt", &found) == CX_OK) {
            read++;
            escaped +=
                strcmp(json_string_value(json_object_get(found, "text")), "beta") != 0 ? 1 : 0;
        }
        json_decref(found);
    }
    atomic_store(&swapping, false);
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT_INT(escaped, 0);
    EXPECT(read > 0);
    cx_files_free(&files);
}
