/* SPDX-License-Identifier: MIT
 *
 * Opening: migrations, files that are refused, permissions.
 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "wb");
    REQUIRE(file != NULL);
    EXPECT(fwrite(data, 1, len, file) == len);
    EXPECT_INT(fclose(file), 0);
}

static int64_t read_int(struct cx_db *db, const char *sql)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    if (cx_db_prepare(db, sql, &stmt, NULL) != CX_OK || cx_stmt_step(stmt, &row, NULL) != CX_OK ||
        !row) {
        return -1;
    }
    const int64_t value = cx_stmt_int(stmt, 0);
    cx_stmt_reset(stmt);
    return value;
}

TEST(open_creates_a_private_file_and_reopens_it)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    struct stat info;
    EXPECT_INT(stat(fixture_path(), &info), 0);
    EXPECT_INT(info.st_mode & 0777, 0600);
    EXPECT_INT(fixture_add(cx_store_writer(store), 1, "one"), CX_OK);
    char wal[600];
    snprintf(wal, sizeof wal, "%s-wal", fixture_path());
    EXPECT_INT(stat(wal, &info), 0);
    EXPECT_INT(info.st_mode & 0777, 0600);
    cx_store_close(&store);
    EXPECT(store == NULL);
    EXPECT(stat(wal, &info) != 0);

    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    EXPECT_INT(fixture_count(cx_store_writer(store)), 1);
    cx_store_close(&store);
}

TEST(open_closes_a_file_that_others_could_read)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    cx_store_close(&store);
    EXPECT_INT(chmod(fixture_path(), 0644), 0);
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct stat info;
    EXPECT_INT(stat(fixture_path(), &info), 0);
    EXPECT_INT(info.st_mode & 0777, 0600);
    cx_store_close(&store);
}

TEST(connection_is_durable_and_defensive)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    struct cx_db *writer = cx_store_writer(store);
    EXPECT_INT(read_int(writer, "PRAGMA synchronous"), 2);
    EXPECT_INT(read_int(writer, "PRAGMA foreign_keys"), 1);
    EXPECT_INT(read_int(writer, "PRAGMA trusted_schema"), 0);
    EXPECT_INT(read_int(writer, "PRAGMA cell_size_check"), 1);
    EXPECT_INT(read_int(writer, "PRAGMA temp_store"), 2);
    EXPECT_INT(read_int(writer, "PRAGMA auto_vacuum"), 2);
    EXPECT_INT(read_int(writer, "PRAGMA secure_delete"), 1);
    EXPECT_INT(read_int(writer, "PRAGMA application_id"), 0x43525458);
    /* Defensive: the schema cannot be written as if it were a table, whatever the pragma says. */
    EXPECT_INT(cx_db_exec(writer, "PRAGMA writable_schema=ON", NULL), CX_OK);
    EXPECT(cx_db_exec(writer, "UPDATE sqlite_schema SET sql='x'", NULL) != CX_OK);
    struct cx_db *reader = cx_store_reader(store);
    EXPECT_INT(read_int(reader, "PRAGMA query_only"), 1);
    EXPECT_INT(read_int(reader, "PRAGMA wal_autocheckpoint"), 0);
    cx_store_return(store, reader);
    EXPECT(!cx_store_failed(store));
    cx_store_close(&store);
}

TEST(migration_runs_once)
{
    struct cx_store *store = NULL;
    for (int i = 0; i < 3; i++) {
        REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
        EXPECT_INT(read_int(cx_store_writer(store), "SELECT count(*) FROM cortex_migrations"), 2);
        cx_store_close(&store);
    }
}

TEST(migration_added_later_is_applied)
{
    struct cx_store *store = NULL;
    struct cx_store_options options = { .path = fixture_path(),
                                        .migrations = fixture_migrations,
                                        .migration_count = 1 };
    REQUIRE(cx_store_open(&options, &store, NULL) == CX_OK);
    EXPECT_INT(fixture_add(cx_store_writer(store), 7, "kept"), CX_OK);
    cx_store_close(&store);
    options.migration_count = 2;
    REQUIRE(cx_store_open(&options, &store, NULL) == CX_OK);
    EXPECT_INT(read_int(cx_store_writer(store), "SELECT count(*) FROM items WHERE note IS NULL"),
               1);
    cx_store_close(&store);
}

TEST(migration_of_a_newer_program_is_refused)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    cx_store_close(&store);
    const struct cx_store_options older = { .path = fixture_path(),
                                            .migrations = fixture_migrations,
                                            .migration_count = 1 };
    struct cx_err err = { "" };
    EXPECT_INT(cx_store_open(&older, &store, &err), CX_CONFLICT);
    EXPECT_STR(err.text, "The database was made by a newer version (test 2)");
    EXPECT(store == NULL);
    /* And it is still whole for the newer one. */
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    cx_store_close(&store);
}

TEST(migration_that_fails_leaves_nothing_of_itself)
{
    const struct cx_migration broken[] = {
        { "test", 1, "CREATE TABLE half(a); CREATE TABLE half(a)" },
    };
    const struct cx_store_options options = { .path = fixture_path(),
                                              .migrations = broken,
                                              .migration_count = 1 };
    struct cx_store *store = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(cx_store_open(&options, &store, &err), CX_INTERNAL);
    EXPECT(strstr(err.text, "half") == NULL);
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    EXPECT_INT(
        read_int(cx_store_writer(store), "SELECT count(*) FROM sqlite_schema WHERE name='half'"),
        0);
    cx_store_close(&store);
}

TEST(garbage_file_is_refused)
{
    char garbage[8192];
    memset(garbage, 'g', sizeof garbage);
    write_file(fixture_path(), garbage, sizeof garbage);
    struct cx_store *store = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(fixture_open(1, &store, &err), CX_IO_ERROR);
    EXPECT_STR(err.text, "The file is not a database");
    EXPECT(store == NULL);
}

TEST(database_of_another_program_is_refused_and_left_alone)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    EXPECT_INT(cx_db_exec(cx_store_writer(store), "PRAGMA application_id=0", NULL), CX_OK);
    cx_store_close(&store);
    struct cx_err err = { "" };
    EXPECT_INT(fixture_open(0, &store, &err), CX_CONFLICT);
    EXPECT_STR(err.text, "The database belongs to another program");
}

TEST(damaged_file_is_refused)
{
    struct cx_store *store = NULL;
    REQUIRE(fixture_open(0, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    REQUIRE(cx_db_begin(db, NULL) == CX_OK);
    for (int i = 0; i < 2000; i++) {
        char name[64];
        snprintf(name, sizeof name, "a name that takes some room %d", i);
        REQUIRE(fixture_add(db, i, name) == CX_OK);
    }
    REQUIRE(cx_db_commit(db, NULL) == CX_OK);
    cx_store_close(&store);

    /* The header stays whole, the pages of the tree do not. */
    const int fd = open(fixture_path(), O_RDWR);
    REQUIRE(fd >= 0);
    struct stat info;
    EXPECT_INT(fstat(fd, &info), 0);
    char ones[512];
    memset(ones, 0xff, sizeof ones);
    for (off_t at = 5 * 4096; at < info.st_size; at += 4096) {
        EXPECT(pwrite(fd, ones, sizeof ones, at) == (ssize_t)sizeof ones);
    }
    EXPECT_INT(close(fd), 0);
    struct cx_err err = { "" };
    EXPECT_INT(fixture_open(2, &store, &err), CX_IO_ERROR);
    EXPECT_STR(err.text, "The database is damaged");
}

TEST(folder_must_be_there_and_the_path_a_file)
{
    char path[600];
    snprintf(path, sizeof path, "%s/none/x.db", test_dir());
    struct cx_store_options options = { .path = path };
    struct cx_store *store = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(cx_store_open(&options, &store, &err), CX_IO_ERROR);
    EXPECT(strstr(err.text, "none") == NULL);
    EXPECT(err.text[0] != '\0');
    options.path = test_dir();
    EXPECT_INT(cx_store_open(&options, &store, &err), CX_IO_ERROR);
    EXPECT(store == NULL);
}

TEST(special_names_are_plain_files)
{
    char *before = getcwd(NULL, 0);
    REQUIRE(before != NULL && chdir(test_dir()) == 0);
    const struct cx_store_options options = {
        .path = ":memory:", .migrations = fixture_migrations, .migration_count = 2
    };
    struct cx_store *store = NULL;
    EXPECT_INT(cx_store_open(&options, &store, NULL), CX_OK);
    cx_store_close(&store);
    EXPECT_INT(access(":memory:", F_OK), 0);
    EXPECT_INT(chdir(before), 0);
    free(before);
}
