/* SPDX-License-Identifier: MIT
 *
 * Float32 rows of the index: written, read, overwritten, wiped; and a file that refuses them.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fixture.h"
#include "vector/index.h"

#define COUNT 1500 /* more than a block */
#define WIDE 20    /* dimension; padded to 32 floats */

struct rows {
    struct vector__index index;
    float (*truth)[WIDE];
};

static void rows_init(struct rows *r)
{
    static char beside[4096]; /* borrowed */
    snprintf(beside, sizeof beside, "%s/rows.db", test_dir());
    vector__index_init(&r->index);
    vector__index_use_file(&r->index, beside);
    vector__index_set_dimension(&r->index, WIDE);
    r->truth = calloc(COUNT, sizeof *r->truth);
    struct cx_err err = { "" };
    REQUIRE(vector__index_reserve(&r->index, COUNT, &err) == CX_OK);
}

static void rows_free(struct rows *r)
{
    vector__index_free(&r->index);
    free(r->truth);
}

static void put_row(struct rows *r, size_t at, uint64_t *state)
{
    struct vector__entry entry = { .rowid = (int64_t)at + 1,
                                   .doc_id = cx_strdup("x"),
                                   .vector = cx_alloc(sizeof r->truth[at]) };
    draw_unit(state, r->truth[at], WIDE);
    memcpy(entry.vector, r->truth[at], sizeof r->truth[at]);
    vector__index_set(&r->index, &entry);
}

static void expect_rows(const struct rows *r)
{
    static _Alignas(64) float row[32];
    static const float zeros[32 - WIDE];
    for (size_t i = 0; i < COUNT; i++) {
        const size_t slot = vector__index_find(&r->index, (int64_t)i + 1);
        if (slot != VECTOR__NO_SLOT) {
            REQUIRE(vector__index_read(&r->index, slot, row));
            EXPECT(memcmp(row, r->truth[i], sizeof r->truth[i]) == 0);
            EXPECT(memcmp(row + WIDE, zeros, sizeof zeros) == 0);
        }
    }
}

/* What the file holds in a slot's place, without the index. */
static bool in_file(const struct rows *r, size_t slot, const float *vector)
{
    float row[32] = { 0 };
    (void)!pread(r->index.file.fd, row, sizeof row, (off_t)(slot * sizeof row));
    return memcmp(row, vector, WIDE * sizeof *vector) == 0;
}

TEST(rows_come_and_go)
{
    struct rows r;
    rows_init(&r);
    uint64_t state = 4;
    for (size_t i = 0; i < COUNT; i++) {
        put_row(&r, i, &state);
    }
    expect_rows(&r);
    EXPECT_INT(r.index.fresh_count, COUNT);
    const size_t bytes_before = vector__index_bytes_with(&r.index, 0);
    vector__index_flush(&r.index);
    EXPECT_INT(r.index.fresh_count, 0);
    EXPECT_INT(bytes_before - vector__index_bytes_with(&r.index, 0), COUNT * 32 * sizeof(float));
    expect_rows(&r);
    static const float zeros[WIDE];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 100; i++) {
            put_row(&r, draw(&state) % COUNT, &state);
            vector__index_remove(&r.index, (int64_t)(draw(&state) % COUNT) + 1);
        }
        expect_rows(&r);
        vector__index_flush(&r.index);
        expect_rows(&r);
    }
    /* What was deleted is wiped, what is there is there. */
    for (size_t slot = 0; slot < r.index.slot_end; slot++) {
        const int64_t rowid = vector__index_slot(&r.index, slot)->rowid;
        EXPECT(in_file(&r, slot, rowid == 0 ? zeros : r.truth[rowid - 1]));
    }
    rows_free(&r);
}

TEST(a_row_that_cannot_be_written_stays)
{
    struct rows r;
    rows_init(&r);
    uint64_t state = 5;
    put_row(&r, 0, &state);
    vector__index_flush(&r.index);
    const int good = dup(r.index.file.fd);
    const int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    REQUIRE(good >= 0 && full >= 0 && dup2(full, r.index.file.fd) >= 0);
    put_row(&r, 1, &state);
    put_row(&r, 2, &state);
    vector__index_flush(&r.index);
    EXPECT_INT(r.index.fresh_count, 2);
    REQUIRE(dup2(good, r.index.file.fd) >= 0);
    expect_rows(&r);
    vector__index_flush(&r.index);
    EXPECT_INT(r.index.fresh_count, 0);
    expect_rows(&r);
    /* A file that has lost its end is an error, never a wrong number. */
    REQUIRE(ftruncate(r.index.file.fd, 10) == 0);
    static _Alignas(64) float row[32];
    EXPECT(!vector__index_read(&r.index, vector__index_find(&r.index, 1), row));
    (void)close(good);
    (void)close(full);
    rows_free(&r);
}

/* Where the disk is full after some rows, those are in the file, and the others stay as they were. */
TEST(rows_that_find_no_room_stay)
{
    struct rows r;
    rows_init(&r);
    uint64_t state = 7;
    for (size_t i = 0; i < COUNT; i++) {
        put_row(&r, i, &state);
    }
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    const struct rlimit three_rows = { .rlim_cur = 3 * 32 * sizeof(float),
                                       .rlim_max = before.rlim_max };
    REQUIRE(setrlimit(RLIMIT_FSIZE, &three_rows) == 0);
    vector__index_flush(&r.index);
    (void)setrlimit(RLIMIT_FSIZE, &before);
    (void)signal(SIGXFSZ, handler);
    EXPECT_INT(r.index.fresh_count, COUNT - 3);
    expect_rows(&r);
    vector__index_flush(&r.index);
    EXPECT_INT(r.index.fresh_count, 0);
    expect_rows(&r);
    rows_free(&r);
}

TEST(another_dimension_begins_anew)
{
    struct rows r;
    rows_init(&r);
    uint64_t state = 6;
    put_row(&r, 0, &state);
    vector__index_flush(&r.index);
    vector__index_remove(&r.index, 1);
    vector__index_set_dimension(&r.index, WIDE);
    struct cx_err err = { "" };
    REQUIRE(vector__index_reserve(&r.index, 1, &err) == CX_OK);
    put_row(&r, 1, &state);
    expect_rows(&r);
    vector__index_flush(&r.index);
    expect_rows(&r);
    EXPECT_INT(r.index.fresh_count, 0);
    rows_free(&r);
}
