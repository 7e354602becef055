/* SPDX-License-Identifier: MIT
 *
 * Databases of others: what the fences let through and what not, deadlines, files that are none.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cortex/store.h"
#include "test.h"

static const char *path_of(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

static void make(const char *name, const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    EXPECT(sqlite3_open(path_of(name), &db) == SQLITE_OK);
    EXPECT(sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK);
    EXPECT_STR(why != NULL ? why : "", "");
    sqlite3_free(why);
    EXPECT(sqlite3_close(db) == SQLITE_OK);
}

static struct cx_foreign *open_it(const char *name, uint64_t ms)
{
    struct cx_foreign *f = NULL;
    struct cx_err err = { "" };
    EXPECT(cx_foreign_open(path_of(name), cx_clock_mono_ns() + ms * 1000000, &f, &err) == CX_OK);
    EXPECT_STR(err.text, "");
    return f;
}

static bool on_row(void *ctx, const struct cx_foreign_row *row)
{
    struct cx_buf *out = ctx;
    for (size_t i = 0; i < cx_foreign_columns(row); i++) {
        cx_buf_put_str(out, cx_foreign_name(row, i));
        cx_buf_putc(out, '=');
        switch (cx_foreign_type(row, i)) {
        case CX_FOREIGN_NULL:
            cx_buf_puts(out, "null");
            break;
        case CX_FOREIGN_INT:
            cx_buf_put_i64(out, cx_foreign_int(row, i));
            break;
        case CX_FOREIGN_REAL:
            cx_buf_printf(out, "%g", cx_foreign_real(row, i));
            break;
        case CX_FOREIGN_TEXT:
        case CX_FOREIGN_BLOB:
            cx_buf_put_str(out, cx_foreign_bytes(row, i));
            break;
        }
        cx_buf_putc(out, ' ');
    }
    return out->len < 1000;
}

static enum cx_status ask(struct cx_foreign *f, const char *sql, const char *param,
                          const char **got)
{
    static struct cx_buf out;
    const struct cx_str text = cx_str_of(param);
    cx_buf_free(&out);
    cx_buf_init(&out, 4096);
    const enum cx_status status =
        cx_foreign_query(f, sql, &text, param != NULL ? 1 : 0, on_row, &out, NULL);
    *got = out.data != NULL ? out.data : "";
    return status;
}

TEST(rows_come_with_names_and_types)
{
    make("a.db", "CREATE TABLE t (i, r, s, b, n); INSERT INTO t VALUES (1, 2.5, 'x', x'79', NULL)");
    struct cx_foreign *f = open_it("a.db", 5000);
    REQUIRE(f != NULL);
    const char *got = NULL;
    EXPECT(ask(f, "SELECT * FROM t WHERE s = ?1", "x", &got) == CX_OK);
    EXPECT_STR(got, "i=1 r=2.5 s=x b=y n=null ");
    EXPECT(ask(f, "SELECT name FROM pragma_table_xinfo(?1) WHERE cid < 2", "t", &got) == CX_OK);
    EXPECT_STR(got, "name=i name=r ");
    cx_foreign_close(&f);
    EXPECT(f == NULL);
}

TEST(nothing_but_looking_is_let_through)
{
    static const char *const refused[] = {
        "INSERT INTO t VALUES (1)",
        "DELETE FROM t",
        "DROP TABLE t",
        "CREATE TABLE u (x)",
        "CREATE TEMP TABLE u (x)",
        "UPDATE sqlite_schema SET sql = ''",
        "ATTACH '/tmp/other.db' AS o",
        "VACUUM INTO '/tmp/copy.db'",
        "PRAGMA writable_schema = 1",
        "PRAGMA user_version = 4",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA temp_store_directory = '/'",
        "SELECT load_extension('x.so')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT 1; SELECT 2",
        "BEGIN",
        "",
        "-- nothing",
        "SELECT nonsense",
        "not SQL",
    };
    make("a.db", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    struct cx_foreign *f = open_it("a.db", 5000);
    REQUIRE(f != NULL);
    const char *got = NULL;
    for (size_t i = 0; i < CX_ARRAY_LEN(refused); i++) {
        if (ask(f, refused[i], NULL, &got) != CX_CONFLICT) {
            test_expect(false, __FILE__, __LINE__, "was let through: %s", refused[i]);
        }
    }
    EXPECT(ask(f, "SELECT count(*) AS n FROM t", NULL, &got) == CX_OK);
    EXPECT_STR(got, "n=1 ");
    cx_foreign_close(&f);
}

TEST(a_look_ends_at_its_deadline)
{
    make("a.db",
         "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
         " SELECT i FROM n WHERE i < 3 OR i < 0");
    /* A busy machine may not have come to the rows in so short a time: then again, with more. */
    const char *got = "";
    for (uint64_t ms = 50; ms < 60000 && strcmp(got, "i=1 i=2 ") != 0; ms *= 4) {
        struct cx_foreign *f = NULL;
        const uint64_t deadline_ns = cx_clock_mono_ns() + ms * 1000000;
        if (cx_foreign_open(path_of("a.db"), deadline_ns, &f, NULL) == CX_OK) {
            EXPECT(ask(f, "SELECT * FROM endless", NULL, &got) == CX_REQUEST_TIMEOUT);
            cx_foreign_close(&f);
        }
    }
    EXPECT_STR(got, "i=1 i=2 ");
}

TEST(what_is_no_database_is_told_so)
{
    struct cx_foreign *f = NULL;
    const uint64_t later = cx_clock_mono_ns() + 5000000000ULL;
    EXPECT(cx_foreign_open(path_of("nowhere.db"), later, &f, NULL) == CX_NOT_FOUND);
    EXPECT(cx_foreign_open(test_dir(), later, &f, NULL) == CX_NOT_FOUND);
    EXPECT(mkfifo(path_of("fifo"), 0600) == 0);
    EXPECT(cx_foreign_open(path_of("fifo"), later, &f, NULL) == CX_NOT_FOUND);
    FILE *text = fopen(path_of("text"), "w");
    for (int i = 0; i < 200; i++) {
        fputs("this is no database\n", text);
    }
    EXPECT(fclose(text) == 0);
    EXPECT(cx_foreign_open(path_of("text"), later, &f, NULL) == CX_CONFLICT);
    EXPECT(access(path_of("nowhere.db"), F_OK) != 0);
}

/* Who may not write there at all: nobody, where we are root. 77 where that cannot be tried. */
static int read_as_nobody(void)
{
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
        return 77;
    }
    if (access(path_of("ro"), R_OK | X_OK) != 0) {
        return 77; /* a folder above is not open to all */
    }
    struct cx_foreign *f = NULL;
    const char *got = NULL;
    const enum cx_status status =
        cx_foreign_open(path_of("ro/a b#?.db"), cx_clock_mono_ns() + 5000000000ULL, &f, NULL);
    if (status != CX_OK || ask(f, "SELECT x FROM t", NULL, &got) != CX_OK) {
        return 3;
    }
    return strcmp(got, "x=7 ") == 0 ? 0 : 4;
}

TEST(a_database_in_wal_mode_is_read_from_a_folder_that_is_not_to_be_written_to)
{
    EXPECT(mkdir(path_of("ro"), 0755) == 0);
    make("ro/a b#?.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (7)");
    EXPECT(access(path_of("ro/a b#?.db-wal"), F_OK) != 0);
    EXPECT(chmod(path_of("ro/a b#?.db"), 0444) == 0);
    EXPECT(chmod(path_of("ro"), 0555) == 0);
    EXPECT(chmod(test_dir(), 0755) == 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        _exit(read_as_nobody());
    }
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status));
    EXPECT_INT(WEXITSTATUS(status) == 77 ? 0 : WEXITSTATUS(status), 0);
    EXPECT(chmod(path_of("ro"), 0755) == 0);
}

/* Who is killed in the middle of a transaction that did not fit into its cache. */
static void die_in_a_transaction(void)
{
    sqlite3 *db = NULL;
    if (sqlite3_open(path_of("torn.db"), &db) == SQLITE_OK &&
        sqlite3_exec(db,
                     "PRAGMA cache_size = 2; BEGIN;"
                     "UPDATE t SET x = replace(x, 'a', 'b') || 'longer'",
                     NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_db_cacheflush(db) == SQLITE_OK) {
        _exit(0);
    }
    _exit(1);
}

TEST(what_a_broken_off_transaction_left_behind_is_not_told)
{
    make("torn.db", "PRAGMA journal_mode = DELETE; CREATE TABLE t (x);"
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500)"
                    " INSERT INTO t SELECT printf('%0500d', 0) || 'a' FROM n");
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        die_in_a_transaction();
    }
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct stat journal;
    EXPECT(stat(path_of("torn.db-journal"), &journal) == 0 && journal.st_size > 0);
    struct cx_foreign *f = NULL;
    EXPECT(cx_foreign_open(path_of("torn.db"), cx_clock_mono_ns() + 5000000000ULL, &f, NULL) ==
           CX_CONFLICT);
    EXPECT(f == NULL);
    make("torn.db", "SELECT count(*) FROM t"); /* rolls it back */
    f = open_it("torn.db", 5000);
    REQUIRE(f != NULL);
    const char *got = NULL;
    EXPECT(ask(f, "SELECT count(*) AS n FROM t WHERE x LIKE '%a'", NULL, &got) == CX_OK);
    EXPECT_STR(got, "n=500 ");
    cx_foreign_close(&f);
}

TEST(names_are_quoted)
{
    struct cx_buf out;
    cx_buf_init(&out, 64);
    cx_foreign_quote(CX_STR("we\"ird"), &out);
    EXPECT_STR(out.data, "\"we\"\"ird\"");
    cx_buf_free(&out);
}
