/* SPDX-License-Identifier: MIT
 *
 * One writer, three searchers: every hit is a document that was there, whole, and a search never
 * comes back with less than it should. ThreadSanitizer watches.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"

#define STEADY 60 /* documents that stay */
#define ROUNDS 120

struct shared {
    struct fixture f;
    const struct cx_vector_filter *steady; /* all of those that stay */
    atomic_bool done;
    atomic_int failures;
    atomic_int searches;
};

static void *search_work(void *arg)
{
    struct shared *s = arg;
    uint64_t state = (uint64_t)(uintptr_t)&state;
    struct cx_db *reader = cx_store_reader(s->f.store);
    do {
        float query[DIMENSION];
        draw_unit(&state, query, DIMENSION);
        const struct cx_search search = { .query = CX_STR("steady passing"),
                                          .vector = query,
                                          .dimension = DIMENSION,
                                          .top_k = 20,
                                          .mode = (enum cx_search_mode)(draw(&state) % 3),
                                          .filter = draw(&state) % 2 ? s->steady : NULL };
        struct cx_err err = { "" };
        json_t *hits = NULL;
        if (cx_vector_search(s->f.v, reader, &search, &hits, &err) != CX_OK ||
            json_array_size(hits) != 20) {
            atomic_fetch_add(&s->failures, 1);
        }
        for (size_t i = 0; hits != NULL && i < json_array_size(hits); i++) {
            const json_t *hit = json_array_get(hits, i);
            if (json_object_size(hit) != 5 || json_object_get(hit, "doc_id") == NULL) {
                atomic_fetch_add(&s->failures, 1);
            }
        }
        json_decref(hits);
        atomic_fetch_add(&s->searches, 1);
    } while (!atomic_load(&s->done));
    cx_store_return(s->f.store, reader);
    return NULL;
}

TEST(a_writer_and_searchers)
{
    struct shared s;
    memset(&s, 0, sizeof s);
    REQUIRE(fixture_open(&s.f));
    uint64_t state = 11;
    float vector[DIMENSION];
    for (int i = 0; i < STEADY; i++) {
        char id[16];
        snprintf(id, sizeof id, "steady%d", i);
        draw_unit(&state, vector, DIMENSION);
        REQUIRE(put_one(&s.f, id, "steady words", "{\"k\":1}", vector));
    }
    s.steady = filter(&s.f, "{\"k\":{\"$gte\":0,\"$lt\":2},\"j\":{\"$ne\":2}}");
    pthread_t threads[3];
    for (size_t i = 0; i < CX_ARRAY_LEN(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, search_work, &s) == 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct cx_document docs[8];
        float vectors[8][DIMENSION];
        static const char *const IDS[8] = { "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7" };
        struct cx_str ids[8];
        for (size_t i = 0; i < 8; i++) {
            draw_unit(&state, vectors[i], DIMENSION);
            docs[i] = document(IDS[i], round % 2 == 0 ? "passing" : "passing steady", "{\"k\":2}",
                               vectors[i]);
            ids[i] = docs[i].doc_id;
        }
        EXPECT_INT(put(&s.f, docs, 8, NULL), CX_OK);
        if (round % 3 == 0) {
            size_t deleted = 0;
            struct cx_err err = { "" };
            EXPECT_INT(cx_vector_delete(s.f.v, s.f.db, ids, 8, &deleted, &err), CX_OK);
            EXPECT_INT(deleted, 8);
        }
    }
    atomic_store(&s.done, true);
    for (size_t i = 0; i < CX_ARRAY_LEN(threads); i++) {
        (void)pthread_join(threads[i], NULL);
    }
    EXPECT_INT(atomic_load(&s.failures), 0);
    EXPECT(atomic_load(&s.searches) >= 3);
    fixture_close(&s.f);
}
