/* SPDX-License-Identifier: MIT
 *
 * One writer and several readers at once: a reader only ever sees whole transactions.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { ROUNDS = 300, READERS = 4 };

struct scene {
    struct cx_store *store;
    atomic_bool done;
    atomic_long wrong;
    atomic_long reads;
};

/* Each transaction adds a pair: the count is even in every view. */
static void *write_work(void *arg)
{
    struct scene *scene = arg;
    struct cx_db *db = cx_store_writer(scene->store);
    for (int64_t id = 0; id < ROUNDS; id++) {
        char first[32];
        char second[32];
        snprintf(first, sizeof first, "a%lld", (long long)id);
        snprintf(second, sizeof second, "b%lld", (long long)id);
        if (cx_db_begin(db, NULL) != CX_OK || fixture_add(db, id * 2, first) != CX_OK ||
            fixture_add(db, id * 2 + 1, second) != CX_OK || cx_db_commit(db, NULL) != CX_OK) {
            atomic_fetch_add(&scene->wrong, 1);
            break;
        }
        if (id % 50 == 49) {
            (void)!cx_store_checkpoint(scene->store, id % 100 == 99, NULL);
        }
    }
    atomic_store(&scene->done, true);
    return NULL;
}

static void *read_work(void *arg)
{
    struct scene *scene = arg;
    int64_t last = 0;
    bool done = false;
    while (!done) {
        done = atomic_load(&scene->done);
        struct cx_db *db = cx_store_reader(scene->store);
        const int64_t count = fixture_count(db);
        cx_store_return(scene->store, db);
        if (count < last || count % 2 != 0) {
            atomic_fetch_add(&scene->wrong, 1);
        }
        last = count;
        atomic_fetch_add(&scene->reads, 1);
    }
    if (last != ROUNDS * 2) {
        atomic_fetch_add(&scene->wrong, 1);
    }
    return NULL;
}

/* More threads than readers, so that some wait for one. */
TEST(readers_beside_a_writer_see_whole_transactions)
{
    struct scene scene = { 0 };
    REQUIRE(fixture_open(READERS - 1, &scene.store, NULL) == CX_OK);
    pthread_t writer;
    pthread_t readers[READERS];
    REQUIRE(pthread_create(&writer, NULL, write_work, &scene) == 0);
    for (int i = 0; i < READERS; i++) {
        REQUIRE(pthread_create(&readers[i], NULL, read_work, &scene) == 0);
    }
    EXPECT_INT(pthread_join(writer, NULL), 0);
    for (int i = 0; i < READERS; i++) {
        EXPECT_INT(pthread_join(readers[i], NULL), 0);
    }
    EXPECT_INT(atomic_load(&scene.wrong), 0);
    EXPECT(atomic_load(&scene.reads) >= READERS);
    EXPECT(!cx_store_failed(scene.store));
    cx_store_close(&scene.store);
}
