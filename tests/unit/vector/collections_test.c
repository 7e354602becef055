/* SPDX-License-Identifier: MIT
 *
 * Several collections in one store: each with documents, words and vectors of its own; made by the first
 * document, deleted whole, swept from the disk a little at a time; who holds one while it goes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

static const float X[DIMENSION] = { 1 };
static const float Y[DIMENSION] = { 0, 1 };

static struct cx_vector *made(struct fixture *f, const char *name)
{
    struct cx_vector *v = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(cx_vector_find_or_new(f->vectors, cx_str_of(name), &v, &err), CX_OK);
    return v;
}

static bool is_there(struct fixture *f, const char *name)
{
    struct cx_vector *v = NULL;
    struct cx_err err = { "" };
    const enum cx_status status = cx_vector_find(f->vectors, cx_str_of(name), &v, &err);
    EXPECT(status == CX_OK || status == CX_NOT_FOUND);
    cx_vector_release(&v);
    return status == CX_OK;
}

static enum cx_status put_into(struct fixture *f, struct cx_vector *v, const char *id,
                               const char *content, const float *vector)
{
    const struct cx_document doc = document(id, content, "{}", vector);
    struct cx_vector_put figures;
    struct cx_err err = { "" };
    return cx_vector_put(v, f->db, &doc, 1, &figures, &err);
}

/* The ids that a search in this collection finds. */
static const char *found(struct fixture *f, struct cx_vector *v, enum cx_search_mode mode,
                         const char *query, char ids[1024])
{
    struct cx_vector *own = f->v;
    const struct cx_search search = {
        .query = cx_str_of(query), .vector = X, .dimension = DIMENSION, .top_k = 10, .mode = mode
    };
    f->v = v;
    search_ids(f, &search, ids);
    f->v = own;
    return ids;
}

static const char *names(struct fixture *f, char text[1024])
{
    struct cx_vector *v = NULL;
    char after[CX_COLLECTION_NAME_MAX + 1] = "";
    size_t len = 0;
    text[0] = '\0';
    while (cx_vector_next(f->vectors, after, &v)) {
        snprintf(after, sizeof after, "%s", cx_vector_name(v));
        len += (size_t)snprintf(text + len, 1024 - len, "%s%s", len > 0 ? " " : "", after);
        cx_vector_release(&v);
    }
    return text;
}

static size_t drop(struct fixture *f, struct cx_vector **v)
{
    struct cx_err err = { "" };
    size_t documents = 0;
    EXPECT_INT(cx_vector_drop(*v, f->db, &documents, &err), CX_OK);
    struct cx_vector *gone = cx_vector_release(v);
    EXPECT(gone != NULL);
    cx_vector_free(&gone);
    return documents;
}

TEST(names_of_collections)
{
    static const char *const good[] = { "a", "A-b_c.9", "..", "default" };
    static const char *const bad[] = { "", "a b", "a/b", "\xc3\xa4", "a\n" };
    for (size_t i = 0; i < CX_ARRAY_LEN(good); i++) {
        EXPECT(cx_collection_name_valid(cx_str_of(good[i])));
    }
    for (size_t i = 0; i < CX_ARRAY_LEN(bad); i++) {
        EXPECT(!cx_collection_name_valid(cx_str_of(bad[i])));
    }
    char name[CX_COLLECTION_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    EXPECT(cx_collection_name_valid((struct cx_str){ name, CX_COLLECTION_NAME_MAX }));
    EXPECT(!cx_collection_name_valid((struct cx_str){ name, CX_COLLECTION_NAME_MAX + 1 }));
}

TEST(first_document_makes_a_collection)
{
    struct fixture f;
    struct cx_err err = { "" };
    char text[1024];
    REQUIRE(fixture_open(&f));
    EXPECT_STR(names(&f, text), "default");
    struct cx_vector *b = made(&f, "b");
    struct cx_vector *again = made(&f, "b");
    EXPECT(b == again);
    EXPECT(!is_there(&f, "b"));
    EXPECT_STR(names(&f, text), "default");
    /* What is refused leaves nothing behind. */
    EXPECT_INT(put_into(&f, b, "", "no id", X), CX_INVALID);
    EXPECT(!is_there(&f, "b"));
    EXPECT_INT(count_of(&f, "SELECT count(*) FROM collections"), 1);
    struct cx_document docs[] = { document("one", "apple", "{}", X),
                                  document("two", "bread", "{broken", X) };
    struct cx_vector_put figures;
    EXPECT(cx_vector_put(b, f.db, docs, 2, &figures, &err) != CX_OK);
    EXPECT(!is_there(&f, "b"));
    EXPECT_INT(count_of(&f, "SELECT count(*) FROM collections"), 1);
    EXPECT_INT(
        count_of(&f, "SELECT count(*) FROM sqlite_master WHERE name LIKE 'documents_fts_2%'"), 0);
    EXPECT_INT(put_into(&f, b, "one", "apple", X), CX_OK);
    EXPECT(is_there(&f, "b"));
    EXPECT(cx_vector_release(&b) == NULL);
    EXPECT(cx_vector_release(&again) == NULL);
    /* One that nobody puts anything into is gone when it is let go. */
    struct cx_vector *a = made(&f, "a");
    EXPECT(cx_vector_release(&a) == NULL);
    EXPECT_STR(names(&f, text), "b default");
    fixture_close(&f);

    REQUIRE(fixture_open_with(&f, "print-1", DIMENSION, BYTES_MAX, &err));
    EXPECT_STR(names(&f, text), "b default");
    b = made(&f, "b");
    EXPECT_STR(found(&f, b, CX_SEARCH_HYBRID, "apple", text), "one");
    cx_vector_release(&b);
    fixture_close(&f);
}

TEST(collections_know_nothing_of_each_other)
{
    struct fixture f;
    char ids[1024];
    REQUIRE(fixture_open(&f));
    struct cx_vector *b = made(&f, "b");
    REQUIRE(put_one(&f, "same", "apple apple", "{}", X));
    REQUIRE(put_one(&f, "only-a", "bread", "{}", Y));
    REQUIRE(put_into(&f, b, "same", "cheese", Y) == CX_OK);
    REQUIRE(put_into(&f, b, "only-b", "apple", X) == CX_OK);
    EXPECT_STR(found(&f, f.v, CX_SEARCH_KEYWORD, "apple", ids), "same");
    EXPECT_STR(found(&f, b, CX_SEARCH_KEYWORD, "apple", ids), "only-b");
    EXPECT_STR(found(&f, f.v, CX_SEARCH_SEMANTIC, "", ids), "same only-a");
    EXPECT_STR(found(&f, b, CX_SEARCH_SEMANTIC, "", ids), "only-b same");
    /* A word that makes two terms is FTS5's own to find. */
    EXPECT_STR(found(&f, b, CX_SEARCH_KEYWORD, "app-le apple", ids), "only-b");
    struct cx_err err = { "" };
    size_t deleted = 0;
    const struct cx_str id = CX_STR("same");
    EXPECT_INT(cx_vector_delete(b, f.db, &id, 1, &deleted, &err), CX_OK);
    EXPECT_INT(deleted, 1);
    EXPECT_STR(found(&f, f.v, CX_SEARCH_KEYWORD, "apple", ids), "same");
    struct cx_vector_store_figures figures;
    cx_vector_store_figures(f.vectors, &figures);
    EXPECT_INT(figures.documents, 3);
    EXPECT_INT(figures.collections, 2);
    cx_vector_release(&b);
    fixture_close(&f);
}

/* bm25 within a collection is what it is in a store that has no other. */
TEST(keyword_scores_do_not_depend_on_other_collections)
{
    static const char *const texts[] = { "apple bread", "apple", "cheese cheese bread", "dough",
                                         "apple dough dough egg" };
    double alone[CX_ARRAY_LEN(texts)] = { 0 };
    for (int crowded = 0; crowded < 2; crowded++) {
        struct fixture f;
        REQUIRE(fixture_open(&f));
        if (crowded == 1) {
            for (size_t i = 0; i < 50; i++) {
                char id[16];
                snprintf(id, sizeof id, "n%zu", i);
                REQUIRE(put_one(&f, id, "apple bread apple and many other words more", "{}", X));
            }
        }
        struct cx_vector *v = made(&f, "v");
        for (size_t i = 0; i < CX_ARRAY_LEN(texts); i++) {
            char id[16];
            snprintf(id, sizeof id, "d%zu", i);
            REQUIRE(put_into(&f, v, id, texts[i], X) == CX_OK);
        }
        /* By lists, by FTS5 itself ("app-le" makes two terms). */
        static const char *const queries[] = { "apple bread dough", "apple bread dough app-le" };
        for (size_t q = 0; q < CX_ARRAY_LEN(queries); q++) {
            const struct cx_search search = { .query = cx_str_of(queries[q]),
                                              .top_k = 10,
                                              .mode = CX_SEARCH_KEYWORD };
            struct cx_vector *own = f.v;
            f.v = v;
            json_t *hits = search_hits(&f, &search);
            f.v = own;
            EXPECT_INT(json_array_size(hits), 5);
            for (size_t i = 0; i < json_array_size(hits); i++) {
                const json_t *hit = json_array_get(hits, i);
                const size_t at =
                    (size_t)(json_string_value(json_object_get(hit, "doc_id"))[1] - '0');
                const double score = json_real_value(json_object_get(hit, "score"));
                if (crowded == 0 && q == 0) {
                    alone[at] = score;
                }
                EXPECT(score > alone[at] - 1e-12 && score < alone[at] + 1e-12);
            }
            json_decref(hits);
        }
        cx_vector_release(&v);
        fixture_close(&f);
    }
}

TEST(there_may_be_no_more)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open(&f));
    struct cx_vector *held[255];
    for (size_t i = 0; i < CX_ARRAY_LEN(held); i++) {
        char name[16];
        snprintf(name, sizeof name, "c%zu", i);
        held[i] = made(&f, name);
    }
    struct cx_vector *one_more = NULL;
    EXPECT_INT(cx_vector_find_or_new(f.vectors, CX_STR("more"), &one_more, &err), CX_CONFLICT);
    EXPECT_INT(cx_vector_find_or_new(f.vectors, CX_STR("c7"), &one_more, &err), CX_OK);
    cx_vector_release(&one_more);
    for (size_t i = 0; i < CX_ARRAY_LEN(held); i++) {
        cx_vector_release(&held[i]);
    }
    EXPECT_INT(cx_vector_find_or_new(f.vectors, CX_STR("more"), &one_more, &err), CX_OK);
    cx_vector_release(&one_more);
    fixture_close(&f);
}

/* The memory of all indexes has one ceiling. */
TEST(collections_share_the_memory)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", DIMENSION, 4096, &err));
    struct cx_vector *b = made(&f, "b");
    size_t stored = 0;
    enum cx_status status = CX_OK;
    while (status == CX_OK && stored < 1000) {
        char id[16];
        snprintf(id, sizeof id, "d%zu", stored);
        status = put_into(&f, stored % 2 == 0 ? f.v : b, id, "word", X);
        stored += status == CX_OK ? 1 : 0;
    }
    EXPECT_INT(status, CX_OVERLOADED);
    struct cx_vector_store_figures figures;
    cx_vector_store_figures(f.vectors, &figures);
    EXPECT(figures.index_bytes <= 4096 && figures.documents == stored);
    /* What one gives back the other may take. */
    EXPECT_INT((int)drop(&f, &b), (int)(stored / 2));
    EXPECT_INT(put_into(&f, f.v, "more", "word", X), CX_OK);
    fixture_close(&f);
}

TEST(deleted_collection_is_gone_at_once_and_swept_later)
{
    struct fixture f;
    struct cx_err err = { "" };
    char text[1024];
    REQUIRE(fixture_open(&f));
    REQUIRE(put_one(&f, "kept", "apple", "{}", X));
    struct cx_vector *b = made(&f, "b");
    for (size_t i = 0; i < 3000; i++) {
        char id[16];
        snprintf(id, sizeof id, "d%zu", i);
        REQUIRE(put_into(&f, b, id, "some words that are soon gone", X) == CX_OK);
    }
    struct cx_vector *reader = made(&f, "b");
    size_t documents = 0;
    REQUIRE(cx_vector_drop(b, f.db, &documents, &err) == CX_OK);
    EXPECT_INT(documents, 3000);
    EXPECT(!is_there(&f, "b"));
    EXPECT_STR(names(&f, text), "default");
    EXPECT_INT(cx_vector_drop(b, f.db, &documents, &err), CX_NOT_FOUND);
    EXPECT_INT(put_into(&f, b, "late", "too late", X), CX_CONFLICT);
    /* A new one of that name has nothing to do with it. */
    struct cx_vector *fresh = made(&f, "b");
    EXPECT(fresh != b);
    REQUIRE(put_into(&f, fresh, "new", "apple", X) == CX_OK);
    /* While somebody holds it nothing is removed. */
    EXPECT(cx_vector_release(&b) == NULL);
    EXPECT_INT((int)sweep_all(&f), 1);
    EXPECT_INT(count_of(&f, "SELECT count(*) FROM documents"), 3002);
    EXPECT_STR(found(&f, reader, CX_SEARCH_KEYWORD, "nothing", text), "");
    struct cx_vector *gone = cx_vector_release(&reader);
    EXPECT(gone != NULL);
    cx_vector_free(&gone);
    /* A crash in the middle: the next start goes on. */
    bool more = false;
    REQUIRE(cx_vector_sweep(f.vectors, f.db, &more, &err) == CX_OK);
    EXPECT(more);
    const int64_t left = count_of(&f, "SELECT count(*) FROM documents");
    EXPECT(left > 2 && left < 3002);
    cx_vector_release(&fresh);
    fixture_close(&f);
    REQUIRE(fixture_open(&f));
    EXPECT_STR(names(&f, text), "b default");
    EXPECT(sweep_all(&f) > 1);
    EXPECT_INT(count_of(&f, "SELECT count(*) FROM documents"), 2);
    EXPECT_INT(count_of(&f, "SELECT count(*) FROM vectors"), 2);
    EXPECT_INT(count_of(&f, "SELECT count(*) FROM collections"), 2);
    EXPECT_INT(
        count_of(&f, "SELECT count(*) FROM sqlite_master WHERE name LIKE 'documents_fts%_docsize'"),
        2);
    fresh = made(&f, "b");
    EXPECT_STR(found(&f, fresh, CX_SEARCH_HYBRID, "apple", text), "new");
    cx_vector_release(&fresh);
    fixture_close(&f);
}

TEST(default_is_emptied_and_stays)
{
    struct fixture f;
    char text[1024];
    REQUIRE(fixture_open(&f));
    for (int round = 0; round < 2; round++) {
        REQUIRE(put_one(&f, "a", "apple", "{}", X));
        EXPECT_INT((int)drop(&f, &f.v), 1);
        EXPECT(is_there(&f, "default"));
        f.v = made(&f, "default");
        EXPECT_STR(found(&f, f.v, CX_SEARCH_HYBRID, "apple", text), "");
        if (round == 0) {
            EXPECT(sweep_all(&f) >= 1);
        }
    }
    fixture_close(&f);
    REQUIRE(fixture_open(&f));
    EXPECT_STR(names(&f, text), "default");
    EXPECT(sweep_all(&f) >= 1);
    EXPECT_INT(count_of(&f, "SELECT count(*) FROM collections"), 1);
    REQUIRE(put_one(&f, "a", "apple", "{}", X));
    EXPECT_STR(found(&f, f.v, CX_SEARCH_HYBRID, "apple", text), "a");
    fixture_close(&f);
}

struct churn {
    struct fixture *f;
    atomic_bool stop;
};

static void *search_all_the_time(void *arg)
{
    struct churn *c = arg;
    const struct cx_search search = { .query = CX_STR("apple"),
                                      .vector = X,
                                      .dimension = DIMENSION,
                                      .top_k = 3,
                                      .mode = CX_SEARCH_HYBRID };
    while (!atomic_load(&c->stop)) {
        struct cx_vector *v = NULL;
        struct cx_err err = { "" };
        if (cx_vector_find(c->f->vectors, CX_STR("b"), &v, &err) != CX_OK) {
            continue;
        }
        struct cx_db *reader = cx_store_reader(c->f->store);
        json_t *hits = NULL;
        const enum cx_status status = cx_vector_search(v, reader, &search, &hits, &err);
        (void)test_expect(status == CX_OK, __FILE__, __LINE__, "search: %s", err.text);
        json_decref(hits);
        cx_store_return(c->f->store, reader);
        struct cx_vector *gone = cx_vector_release(&v);
        cx_vector_free(&gone);
    }
    return NULL;
}

/* Made, filled, deleted and swept under the eyes of others. */
TEST(collections_come_and_go_while_others_search)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    struct churn churn = { .f = &f };
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, search_all_the_time, &churn) == 0);
    }
    for (size_t round = 0; round < 30; round++) {
        struct cx_vector *v = made(&f, "b");
        for (size_t i = 0; i < 5; i++) {
            char id[16];
            snprintf(id, sizeof id, "d%zu", i);
            EXPECT_INT(put_into(&f, v, id, "apple pie", X), CX_OK);
        }
        size_t documents = 0;
        struct cx_err err = { "" };
        EXPECT_INT(cx_vector_drop(v, f.db, &documents, &err), CX_OK);
        EXPECT_INT(documents, 5);
        struct cx_vector *gone = cx_vector_release(&v);
        cx_vector_free(&gone);
        sweep_all(&f);
    }
    atomic_store(&churn.stop, true);
    for (size_t i = 0; i < 2; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
    sweep_all(&f);
    EXPECT_INT(count_of(&f, "SELECT count(*) FROM documents"), 0);
    fixture_close(&f);
}

struct tending {
    struct fixture *f;
    atomic_bool stop;
    size_t freed;
};

static void *tend_all_the_time(void *arg)
{
    struct tending *t = arg;
    bool more = false;
    while (!atomic_load(&t->stop)) {
        t->freed += cx_vector_tend(t->f->vectors, 0, &more) ? 1 : 0;
    }
    return NULL;
}

/* A deleted collection is freed once, and whoever does it says so: its rows are free to go then. */
TEST(deleted_collection_has_one_last_holder)
{
    enum { ROUNDS = 60 };
    struct fixture f;
    REQUIRE(fixture_open(&f));
    struct tending tending = { .f = &f };
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, tend_all_the_time, &tending) == 0);
    size_t freed = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct cx_vector *v = made(&f, "b");
        EXPECT_INT(put_into(&f, v, "a", "apple pie", X), CX_OK);
        size_t documents = 0;
        struct cx_err err = { "" };
        EXPECT_INT(cx_vector_drop(v, f.db, &documents, &err), CX_OK);
        struct cx_vector *gone = cx_vector_release(&v);
        freed += gone != NULL ? 1 : 0;
        cx_vector_free(&gone);
    }
    atomic_store(&tending.stop, true);
    REQUIRE(pthread_join(thread, NULL) == 0);
    EXPECT_INT(freed + tending.freed, ROUNDS);
    sweep_all(&f);
    EXPECT_INT(count_of(&f, "SELECT count(*) FROM documents"), 0);
    fixture_close(&f);
}
