/* SPDX-License-Identifier: MIT
 *
 * What must hold when things go wrong: a killed process, a full disk, failed writes and syncs.
 */
#include "fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cortex/metrics.h"
#include "faults.h"

/* Commits rows 1, 2, 3 … and says each on the pipe after its commit, until it is killed. */
static void commit_for_ever(int out)
{
    struct cx_store *store = NULL;
    if (fixture_open(0, &store, NULL) != CX_OK) {
        _exit(2);
    }
    struct cx_db *db = cx_store_writer(store);
    for (int64_t id = 1;; id++) {
        char name[32];
        snprintf(name, sizeof name, "row %lld", (long long)id);
        if (cx_db_begin(db, NULL) != CX_OK || fixture_add(db, id, name) != CX_OK ||
            cx_db_commit(db, NULL) != CX_OK || write(out, "c", 1) != 1) {
            _exit(3);
        }
    }
}

TEST(committed_rows_survive_a_kill)
{
    REQUIRE(fixture_path() != NULL);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        commit_for_ever(ends[1]);
    }
    (void)close(ends[1]);
    int64_t told = 0;
    char byte;
    while (told < 200 && read(ends[0], &byte, 1) == 1) {
        told++;
    }
    EXPECT_INT(kill(child, SIGKILL), 0);
    int status = 0;
    EXPECT_INT(waitpid(child, &status, 0), child);
    EXPECT(WIFSIGNALED(status));
    while (read(ends[0], &byte, 1) == 1) {
        told++;
    }
    (void)close(ends[0]);
    EXPECT(told >= 200);

    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    const int64_t count = fixture_count(cx_store_writer(store));
    EXPECT(count == told || count == told + 1);
    cx_store_close(&store);
}

/* Inserts rows of 1,000 bytes, each in a transaction, until one is refused. */
static enum cx_status fill(struct cx_db *db, int64_t first, int64_t limit, int64_t *committed)
{
    char name[1001];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int64_t id = first; id < first + limit; id++) {
        (void)snprintf(name, 24, "%020lld", (long long)id);
        name[20] = ' ';
        enum cx_status status = cx_db_begin(db, NULL);
        if (status == CX_OK) {
            status = fixture_add(db, id, name);
            if (status != CX_OK) {
                cx_db_rollback(db);
            }
        }
        if (status == CX_OK) {
            status = cx_db_commit(db, NULL);
        }
        if (status != CX_OK) {
            return status;
        }
        ++*committed;
    }
    return CX_OK;
}

TEST(limit_on_the_size_of_files_is_a_full_disk)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = { .rlim_cur = 300000, .rlim_max = before.rlim_max };
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    int64_t committed = 0;
    EXPECT_INT(fill(db, 1, 1000, &committed), CX_STORAGE_FULL);
    EXPECT(committed > 0);
    EXPECT(!cx_store_failed(store));
    struct cx_db *reader = cx_store_reader(store);
    EXPECT_INT(fixture_count(reader), committed);
    cx_store_return(store, reader);
    EXPECT_INT(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_INT(fill(db, 2000, 50, &committed), CX_OK);
    EXPECT_INT(fixture_count(db), committed);
    (void)signal(SIGXFSZ, handler);
    cx_store_close(&store);
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    EXPECT_INT(fixture_count(cx_store_writer(store)), committed);
    cx_store_close(&store);
}

/* In a child with a mount namespace of its own. Exit: 0 as it should be, 77 no mount here, else
 * the line. */
static int fill_a_small_disk(const char *folder)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=1m,mode=700") != 0) {
        return 77;
    }
    char ballast[600];
    char path[600];
    snprintf(ballast, sizeof ballast, "%s/ballast", folder);
    snprintf(path, sizeof path, "%s/test.db", folder);
    char zeros[1024] = { 0 };
    FILE *file = fopen(ballast, "wb");
    for (int i = 0; file != NULL && i < 500; i++) {
        (void)fwrite(zeros, 1, sizeof zeros, file);
    }
    if (file == NULL || fclose(file) != 0) {
        return 1;
    }
    const struct cx_store_options options = {
        .path = path, .readers = 1, .migrations = fixture_migrations, .migration_count = 2
    };
    struct cx_store *store = NULL;
    if (cx_store_open(&options, &store, NULL) != CX_OK) {
        return 2;
    }
    struct cx_db *db = cx_store_writer(store);
    int64_t committed = 0;
    if (fill(db, 1, 2000, &committed) != CX_STORAGE_FULL || committed == 0) {
        return 3;
    }
    if (cx_store_failed(store) || fixture_count(db) != committed) {
        return 4;
    }
    if (unlink(ballast) != 0 || fill(db, 5000, 20, &committed) != CX_OK) {
        return 5;
    }
    if (fill(db, 10000, 2000, &committed) != CX_STORAGE_FULL) {
        return 6;
    }
    cx_store_close(&store);
    if (cx_store_open(&options, &store, NULL) != CX_OK) {
        return 7;
    }
    const int64_t found = fixture_count(cx_store_writer(store));
    cx_store_close(&store);
    return found == committed ? 0 : 8;
}

TEST(full_disk_is_told_and_outlived)
{
    const char *folder = test_dir();
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        _exit(fill_a_small_disk(folder));
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        fprintf(stderr, "full_disk_is_told_and_outlived: skipped, tmpfs cannot be mounted here\n");
        return;
    }
    EXPECT_INT(WEXITSTATUS(status), 0);
}

TEST(write_that_finds_no_room_is_cut_back)
{
    static const int errors[] = { ENOSPC, EDQUOT, EFBIG };
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    struct cx_series *full = cx_metrics_series(CX_M_STORE_ERRORS, "kind=\"full\"");
    for (size_t i = 0; i < CX_ARRAY_LEN(errors); i++) {
        const double before = cx_series_value(full);
        int64_t committed = 0;
        faults_of_write(errors[i], NULL);
        EXPECT_INT(fill(db, 1, 1, &committed), CX_STORAGE_FULL);
        /* Outside a transaction too. */
        EXPECT_INT(fixture_add(db, 1, "alone"), CX_STORAGE_FULL);
        faults_of_write(0, NULL);
        EXPECT(cx_series_value(full) > before);
        EXPECT(!cx_store_failed(store));
        EXPECT_INT(fixture_count(db), (int64_t)i);
        EXPECT_INT(fixture_add(db, 100 + (int64_t)i,
                               errors[i] == ENOSPC   ? "a"
                               : errors[i] == EDQUOT ? "b"
                                                     : "c"),
                   CX_OK);
    }
    cx_store_close(&store);
}

TEST(index_of_the_wal_that_cannot_grow_is_a_full_disk)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    EXPECT_INT(fixture_add(db, 1, "kept"), CX_OK);
    faults_of_write(ENOSPC, "-shm");
    REQUIRE(cx_db_begin(db, NULL) == CX_OK);
    /* More pages than one part of the index tells of. */
    static const char many[] = "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i+1 FROM n"
                               " WHERE i < 20000) INSERT INTO items(id, name)"
                               " SELECT i, i || hex(zeroblob(600)) FROM n";
    enum cx_status status = cx_db_exec(db, many, NULL);
    if (status == CX_OK) {
        status = cx_db_commit(db, NULL);
    }
    EXPECT_INT(status, CX_STORAGE_FULL);
    cx_db_rollback(db);
    faults_of_write(0, NULL);
    EXPECT(!cx_store_failed(store));
    EXPECT_INT(fixture_count(db), 1);
    EXPECT_INT(cx_db_exec(db, many, NULL), CX_OK);
    EXPECT_INT(fixture_count(db), 19992);
    cx_store_close(&store);
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    EXPECT_INT(fixture_count(cx_store_writer(store)), 19992);
    cx_store_close(&store);
}

TEST(transaction_that_sqlite_ended_commits_nothing_more)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    REQUIRE(cx_db_begin(db, NULL) == CX_OK);
    EXPECT_INT(fixture_add(db, 1, "one"), CX_OK);
    /* As SQLite does it after some errors. */
    EXPECT_INT(cx_db_exec(db, "ROLLBACK", NULL), CX_OK);
    EXPECT(fixture_add(db, 2, "two") != CX_OK);
    EXPECT(cx_db_commit(db, NULL) != CX_OK);
    EXPECT_INT(fixture_count(db), 0);
    EXPECT_INT(fixture_add(db, 3, "three"), CX_OK);
    cx_store_close(&store);
}

static void expect_failed(struct cx_store *store)
{
    struct cx_db *db = cx_store_writer(store);
    EXPECT(cx_store_failed(store));
    EXPECT_INT(cx_db_begin(db, NULL), CX_IO_ERROR);
    EXPECT_INT(fixture_add(db, 1000, "never"), CX_IO_ERROR);
    EXPECT_INT(cx_db_exec(db, "DELETE FROM items", NULL), CX_IO_ERROR);
    EXPECT_INT(cx_store_checkpoint(store, true, NULL), CX_IO_ERROR);
}

TEST(nothing_is_acknowledged_after_a_failed_sync)
{
    static const int errors[] = { EIO, ENOSPC };
    for (size_t i = 0; i < CX_ARRAY_LEN(errors); i++) {
        struct cx_store *store = NULL;
        REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
        struct cx_db *db = cx_store_writer(store);
        const int64_t id = 1 + (int64_t)i * 2;
        EXPECT_INT(fixture_add(db, id, i == 0 ? "safe" : "safe too"), CX_OK);
        REQUIRE(cx_db_begin(db, NULL) == CX_OK);
        EXPECT_INT(fixture_add(db, id + 1, i == 0 ? "lost" : "lost too"), CX_OK);
        struct cx_err err = { "" };
        faults_of_sync(errors[i], false);
        EXPECT_INT(cx_db_commit(db, &err), CX_IO_ERROR);
        faults_of_sync(0, false);
        EXPECT(err.text[0] != '\0');
        expect_failed(store);
        cx_store_close(&store);

        /* The next start looks at what is there: the acknowledged row in any case. */
        REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
        EXPECT(!cx_store_failed(store));
        EXPECT(fixture_count(cx_store_writer(store)) >= 1 + (int64_t)i);
        cx_store_close(&store);
    }
}

TEST(failed_write_of_the_disk_ends_it)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    int64_t committed = 0;
    faults_of_write(EIO, NULL);
    EXPECT_INT(fill(cx_store_writer(store), 1, 1, &committed), CX_IO_ERROR);
    faults_of_write(0, NULL);
    expect_failed(store);
    cx_store_close(&store);
}

/* SQLite's own automatic checkpoint would keep this to itself. */
TEST(failed_sync_of_a_checkpoint_is_seen)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    faults_of_sync(EIO, true);
    int64_t committed = 0;
    EXPECT_INT(fill(db, 1, 5000, &committed), CX_IO_ERROR);
    faults_of_sync(0, false);
    EXPECT(committed > 100);
    expect_failed(store);
    cx_store_close(&store);
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    EXPECT_INT(fixture_count(cx_store_writer(store)), committed);
    cx_store_close(&store);
}

TEST(wal_is_moved_into_the_file_as_it_grows)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_series *count = cx_metrics_series(CX_M_STORE_CHECKPOINTS, "");
    const double before = cx_series_value(count);
    int64_t committed = 0;
    EXPECT_INT(fill(cx_store_writer(store), 1, 3000, &committed), CX_OK);
    EXPECT(cx_series_value(count) >= before + 3);
    char wal[600];
    snprintf(wal, sizeof wal, "%s-wal", fixture_path());
    struct stat info;
    EXPECT_INT(stat(wal, &info), 0);
    EXPECT(info.st_size < 8 << 20);
    EXPECT_INT(cx_store_checkpoint(store, true, NULL), CX_OK);
    EXPECT_INT(stat(wal, &info), 0);
    EXPECT_INT(info.st_size, 0);
    cx_store_close(&store);
}

static bool remove_beside(const char *suffix)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", fixture_path(), suffix);
    return unlink(path) == 0;
}

/* What is written into a file without a name is not there after a restart. */
TEST(files_that_were_removed_fail_the_store)
{
    static const char *const suffixes[] = { "", "-wal" };
    for (size_t i = 0; i < CX_ARRAY_LEN(suffixes); i++) {
        struct cx_store *store = NULL;
        REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
        EXPECT(cx_store_in_place(store));
        EXPECT_INT(cx_store_checkpoint(store, true, NULL), CX_OK);
        EXPECT(cx_store_in_place(store));
        EXPECT(!cx_store_failed(store));
        REQUIRE(remove_beside(suffixes[i]));
        EXPECT(!cx_store_in_place(store));
        EXPECT(cx_store_failed(store));
        struct cx_db *db = cx_store_writer(store);
        EXPECT_INT(cx_db_begin(db, NULL), CX_IO_ERROR);
        cx_store_close(&store);
        (void)remove_beside("");
        (void)remove_beside("-wal");
        (void)remove_beside("-shm");
    }
}

TEST(database_behind_a_link_is_in_place)
{
    char target[512];
    snprintf(target, sizeof target, "%s.real", fixture_path());
    REQUIRE(symlink(target, fixture_path()) == 0);
    FILE *file = fopen(target, "we");
    REQUIRE(file != NULL && fclose(file) == 0);
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    EXPECT(cx_store_in_place(store));
    cx_store_close(&store);
}
