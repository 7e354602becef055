/* SPDX-License-Identifier: MIT
 *
 * The file of a graph: a start that need not build it anew, and a file that is cut, flipped, somebody
 * else's or older than the documents.
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "vector/graph_file.h"
#include "vector/vector_internal.h"

#define ABOVE 1000
#define COUNT 2500
#define DAMAGES 200

static void put_drawn(struct fixture *f, uint64_t *state, size_t first, size_t count)
{
    static float vectors[COUNT][DIMENSION];
    static char ids[COUNT][16];
    static struct cx_document docs[COUNT];
    for (size_t i = 0; i < count; i++) {
        draw_unit(state, vectors[i], DIMENSION);
        snprintf(ids[i], sizeof ids[i], "d%zu", first + i);
        docs[i] = document(ids[i], "text", "{}", vectors[i]);
    }
    struct cx_vector_put figures;
    REQUIRE(put(f, docs, count, &figures) == CX_OK);
}

/* The graph comes with one slice, however short, where the file is good. */
static void tend_once(struct fixture *f)
{
    bool more = true;
    cx_vector_tend(f->vectors, 0, &more);
}

static const char *path_of(const struct fixture *f)
{
    static char path[600];
    snprintf(path, sizeof path, "%s-graph-%lld", f->path, (long long)f->v->id);
    return path;
}

static size_t linked(const struct fixture *f)
{
    return f->v->index.graph != NULL ? f->v->index.graph->linked : 0;
}

static void *read_file(const char *path, size_t *len)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info = { 0 };
    CX_CHECK(fd >= 0 && fstat(fd, &info) == 0);
    *len = (size_t)info.st_size;
    char *data = cx_alloc(*len + 1);
    CX_CHECK(read(fd, data, *len) == info.st_size);
    (void)close(fd);
    return data;
}

static void write_file(const char *path, const void *data, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CX_CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    (void)close(fd);
}

/* Into a new graph, in place of the one that is there. */
static bool load(struct fixture *f, const char *path)
{
    struct vector__index *index = &f->v->index;
    struct vector__graph *graph = cx_alloc(sizeof *graph);
    vector__graph_init(graph);
    vector__index_set_graph(index, graph);
    vector__graph_note_all(graph, index);
    return vector__graph_load(index, graph, path);
}

static double recall(struct fixture *f, uint64_t *state)
{
    size_t common = 0;
    for (size_t i = 0; i < 40; i++) {
        float query[DIMENSION];
        char exact[1024];
        char found[1024];
        draw_unit(state, query, DIMENSION);
        struct cx_search search = { .vector = query,
                                    .dimension = DIMENSION,
                                    .top_k = 1,
                                    .mode = CX_SEARCH_SEMANTIC,
                                    .exact = true };
        (void)search_ids(f, &search, exact);
        search.exact = false;
        (void)search_ids(f, &search, found);
        common += strcmp(exact, found) == 0 ? 1 : 0;
    }
    return (double)common / 40;
}

TEST(a_graph_is_there_again)
{
    struct fixture f;
    REQUIRE(fixture_open_graph(&f, DIMENSION, ABOVE));
    uint64_t state = 1;
    put_drawn(&f, &state, 0, COUNT);
    tend_once(&f);
    EXPECT(linked(&f) < COUNT);
    tend_all(&f);
    EXPECT_INT(linked(&f), COUNT);
    EXPECT(access(path_of(&f), R_OK) == 0);
    /* What changes after it was saved is saved at the end. */
    put_drawn(&f, &state, COUNT, 50);
    struct cx_err err = { "" };
    size_t deleted = 0;
    const struct cx_str gone[] = { CX_STR("d3"), CX_STR("d4") };
    REQUIRE(cx_vector_delete(f.v, f.db, gone, 2, &deleted, &err) == CX_OK);
    tend_all(&f);
    fixture_close(&f);
    REQUIRE(fixture_open_graph(&f, DIMENSION, ABOVE));
    tend_once(&f);
    EXPECT_INT(linked(&f), COUNT + 48);
    EXPECT(f.v->index.graph->level_count >= 2);
    EXPECT(recall(&f, &state) >= 0.9);
    fixture_close(&f);
}

TEST(a_file_that_is_older_than_the_documents)
{
    struct fixture f;
    REQUIRE(fixture_open_graph(&f, DIMENSION, ABOVE));
    uint64_t state = 2;
    put_drawn(&f, &state, 0, COUNT);
    tend_all(&f);
    size_t len;
    void *old = read_file(path_of(&f), &len);
    put_drawn(&f, &state, 0, 300); /* other vectors */
    put_drawn(&f, &state, COUNT, 100);
    struct cx_err err = { "" };
    size_t deleted = 0;
    const struct cx_str gone[] = { CX_STR("d1003"), CX_STR("d1004") };
    REQUIRE(cx_vector_delete(f.v, f.db, gone, 2, &deleted, &err) == CX_OK);
    write_file(path_of(&f), old, len);
    EXPECT(load(&f, path_of(&f)));
    EXPECT_INT(linked(&f), COUNT - 300 - 2);
    EXPECT_INT(f.v->index.graph->waiting_count, 300 + 100);
    EXPECT(recall(&f, &state) >= 0.9);
    tend_all(&f);
    EXPECT_INT(linked(&f), COUNT + 100 - 2);
    EXPECT(recall(&f, &state) >= 0.9);
    /* Of documents that are nearly all others it is no use. */
    put_drawn(&f, &state, 0, COUNT - 100);
    write_file(path_of(&f), old, len);
    EXPECT(!load(&f, path_of(&f)));
    free(old);
    fixture_close(&f);
}

TEST(a_damaged_file_is_thrown_away)
{
    struct fixture f;
    REQUIRE(fixture_open_graph(&f, DIMENSION, ABOVE));
    uint64_t state = 3;
    put_drawn(&f, &state, 0, COUNT);
    tend_all(&f);
    size_t len;
    uint8_t *good = read_file(path_of(&f), &len);
    EXPECT(load(&f, path_of(&f)));
    for (size_t i = 0; i < DAMAGES; i++) {
        /* The first places of the file, its last, and any in between. */
        const size_t place = i < 20 ? i * 5 : i < 40 ? len - 1 - (i - 20) * 5 : draw(&state) % len;
        uint8_t *bad = cx_alloc(len + 1);
        memcpy(bad, good, len);
        const bool cut = i % 2 == 0;
        bad[place] ^= (uint8_t)(1U << draw(&state) % 8);
        write_file(path_of(&f), bad, cut ? place : len);
        free(bad);
        if (!test_expect(!load(&f, path_of(&f)), __FILE__, __LINE__, "%s at %zu of %zu",
                         cut ? "cut" : "flipped", place, len)) {
            break;
        }
        EXPECT_INT(linked(&f), 0);
        EXPECT_INT(f.v->index.graph->waiting_count, COUNT);
        if (i % 40 == 0) {
            /* The whole way: it goes, is made anew, and found. */
            vector__index_set_graph(&f.v->index, NULL);
            tend_once(&f);
            EXPECT(access(path_of(&f), F_OK) != 0);
            tend_all(&f);
            EXPECT_INT(linked(&f), COUNT);
            EXPECT(recall(&f, &state) >= 0.9);
        }
    }
    /* Longer than it should be, a folder, nothing. */
    good[len] = 0;
    write_file(path_of(&f), good, len + 1);
    EXPECT(!load(&f, path_of(&f)));
    EXPECT(unlink(path_of(&f)) == 0 && mkdir(path_of(&f), 0700) == 0);
    EXPECT(!load(&f, path_of(&f)));
    tend_all(&f);
    EXPECT_INT(linked(&f), COUNT);
    EXPECT(rmdir(path_of(&f)) == 0);
    write_file(path_of(&f), "", 0);
    EXPECT(!load(&f, path_of(&f)));
    free(good);
    fixture_close(&f);
}

TEST(a_file_goes_with_its_collection)
{
    struct fixture f;
    REQUIRE(fixture_open_graph(&f, DIMENSION, ABOVE));
    uint64_t state = 4;
    struct cx_err err = { "" };
    struct cx_vector *other = NULL;
    REQUIRE(cx_vector_find_or_new(f.vectors, CX_STR("other"), &other, &err) == CX_OK);
    struct cx_vector *kept = f.v;
    f.v = other;
    put_drawn(&f, &state, 0, ABOVE + 200);
    tend_all(&f);
    char path[600];
    snprintf(path, sizeof path, "%s", path_of(&f));
    EXPECT(access(path, R_OK) == 0);
    size_t documents = 0;
    EXPECT(cx_vector_drop(other, f.db, &documents, &err) == CX_OK);
    f.v = kept;
    struct cx_vector *gone = cx_vector_release(&other);
    EXPECT(gone != NULL);
    cx_vector_free(&gone);
    EXPECT(access(path, F_OK) != 0);
    fixture_close(&f);
}
