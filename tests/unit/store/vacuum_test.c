/* SPDX-License-Identifier: MIT
 *
 * Free pages go back to the file system, a little at a time, but for some that are kept.
 */
#include <sys/stat.h>

#include "fixture.h"

static int64_t size_of(const char *path)
{
    struct stat info = { 0 };
    EXPECT(stat(path, &info) == 0);
    return info.st_size;
}

TEST(vacuum_gives_back_what_is_free_but_for_a_part)
{
    struct cx_store *store = NULL;
    struct cx_err err = { "" };
    REQUIRE(fixture_open(1, &store, NULL) == CX_OK);
    struct cx_db *db = cx_store_writer(store);
    REQUIRE(cx_db_exec(db,
                       "CREATE TABLE large AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL"
                       " SELECT i + 1 FROM n WHERE i < 1000) SELECT i, zeroblob(8000) AS b FROM n",
                       &err) == CX_OK);
    bool more = true;
    EXPECT_INT(cx_store_vacuum(store, 16, &more, &err), CX_OK);
    EXPECT(!more); /* nothing is free */
    REQUIRE(cx_db_exec(db, "DELETE FROM large WHERE i > 100", &err) == CX_OK);
    REQUIRE(cx_store_checkpoint(store, true, &err) == CX_OK);
    const int64_t before = size_of(fixture_path());
    unsigned slices = 0;
    do {
        REQUIRE(cx_store_vacuum(store, 64, &more, &err) == CX_OK);
        slices++;
    } while (more && slices < 1000);
    EXPECT(slices > 10 && slices < 1000);
    REQUIRE(cx_store_checkpoint(store, true, &err) == CX_OK);
    const int64_t after = size_of(fixture_path());
    EXPECT(after < before / 5);
    EXPECT(after > before / 20); /* what is there, and a part that is free */
    cx_store_close(&store);
}
