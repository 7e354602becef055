/* SPDX-License-Identifier: MIT
 *
 * Whose collection it is: vectors that clients bring beside those of an embedder, who comes first,
 * what is refused to whom, and that an empty collection is anybody's again.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"

static const float X[DIMENSION] = { 1 };
static const float Y[DIMENSION] = { 0, 1 };

/* One that brings its vector. */
static struct cx_document own(const char *id, const char *content, const float *vector,
                              unsigned dimension)
{
    struct cx_document doc = document(id, content, "{}", vector);
    doc.dimension = dimension;
    doc.own_vector = true;
    return doc;
}

static struct cx_document text(const char *id, const char *content)
{
    return document(id, content, "{}", X);
}

static void expect_owner(const struct fixture *f, enum cx_vector_owner owner, unsigned dimension,
                         const char *provider)
{
    struct cx_vector_figures figures;
    cx_vector_figures(f->v, &figures);
    EXPECT_INT(figures.owner, owner);
    EXPECT_INT(figures.dimension, dimension);
    EXPECT_STR(figures.provider, provider);
    EXPECT_STR(figures.model, owner == CX_OWNER_CLIENT ? "client" : "print-1");
}

static bool remove_one(struct fixture *f, const char *id)
{
    const struct cx_str gone = cx_str_of(id);
    size_t deleted = 0;
    struct cx_err err = { "" };
    return cx_vector_delete(f->v, f->db, &gone, 1, &deleted, &err) == CX_OK && deleted == 1;
}

static const char *found(struct fixture *f, enum cx_search_mode mode, const float *vector,
                         unsigned dimension, bool own_vector, char ids[1024])
{
    const struct cx_search search = {
        .query = mode == CX_SEARCH_SEMANTIC ? CX_STR("") : CX_STR("apple"),
        .vector = vector,
        .dimension = dimension,
        .own_vector = own_vector,
        .top_k = 10,
        .mode = mode,
    };
    return search_ids(f, &search, ids);
}

TEST(first_vector_of_a_client_claims_the_collection)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open(&f));
    expect_owner(&f, CX_OWNER_NONE, DIMENSION, "test");
    const struct cx_document docs[] = { own("a", "apple", X, 3), own("b", "bread", Y, 3) };
    REQUIRE(put(&f, docs, 2, NULL) == CX_OK);
    expect_owner(&f, CX_OWNER_CLIENT, 3, "client");

    char ids[1024];
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, Y, 3, true, ids), "b a");
    EXPECT_STR(found(&f, CX_SEARCH_HYBRID, Y, 3, true, ids), "a b");
    EXPECT_STR(found(&f, CX_SEARCH_KEYWORD, NULL, 0, false, ids), "a");
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, X, DIMENSION, true, ids), "!CONFLICT");
    /* Numbers of the embedder's say nothing here, not even where there are as many of them. */
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, X, 3, false, ids), "!CONFLICT");

    struct cx_document more = text("c", "cheese");
    EXPECT_INT(put(&f, &more, 1, NULL), CX_CONFLICT);
    more.dimension = 3;
    EXPECT_INT(put(&f, &more, 1, NULL), CX_CONFLICT);
    struct cx_vector_put figures;
    EXPECT_INT(cx_vector_put(f.v, f.db, &more, 1, &figures, &err), CX_CONFLICT);
    EXPECT(strstr(err.text, "clients bring") != NULL && strstr(err.text, "3 dim") != NULL);
    more = own("c", "cheese", X, 4);
    EXPECT_INT(put(&f, &more, 1, NULL), CX_CONFLICT);
    /* A text that is there, without its vector, is one without a vector. */
    more = text("a", "apple");
    more.vector = NULL;
    EXPECT_INT(put(&f, &more, 1, NULL), CX_CONFLICT);
    more = own("c", "cheese", X, 3);
    REQUIRE(put(&f, &more, 1, NULL) == CX_OK);
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, X, 3, true, ids), "a c b");
    fixture_close(&f);
}

TEST(collection_of_clients_opens_under_any_model)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open(&f));
    const struct cx_document doc = own("a", "apple", Y, 3);
    REQUIRE(put(&f, &doc, 1, NULL) == CX_OK);
    fixture_close(&f);
    static const struct {
        const char *fingerprint;
        unsigned dimension;
    } models[] = { { "print-1", DIMENSION }, { "print-2", 0 }, { "print-3", 3 } };
    for (size_t i = 0; i < CX_ARRAY_LEN(models); i++) {
        REQUIRE(fixture_open_with(&f, models[i].fingerprint, models[i].dimension, BYTES_MAX, &err));
        expect_owner(&f, CX_OWNER_CLIENT, 3, "client");
        char ids[1024];
        EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, Y, 3, true, ids), "a");
        struct cx_document more = text("b", "bread");
        more.dimension = 3;
        EXPECT_INT(put(&f, &more, 1, NULL), CX_CONFLICT);
        fixture_close(&f);
    }
}

TEST(an_empty_collection_takes_vectors_or_texts)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open(&f));
    struct cx_document docs[] = { own("a", "apple", X, DIMENSION), text("b", "bread") };
    EXPECT_INT(cx_vector_check(f.v, docs, 2, &err), CX_CONFLICT);
    EXPECT(strstr(err.text, "document 2") != NULL);
    EXPECT_INT(put(&f, docs, 2, NULL), CX_CONFLICT);
    docs[1] = own("b", "bread", X, 3);
    EXPECT_INT(cx_vector_check(f.v, docs, 2, &err), CX_CONFLICT);
    EXPECT_INT(put(&f, docs, 2, NULL), CX_CONFLICT);
    expect_owner(&f, CX_OWNER_NONE, DIMENSION, "test");

    /* The first one comes from the embedder: others may bring what compares with it. */
    docs[0] = text("a", "apple");
    EXPECT_INT(cx_vector_check(f.v, docs, 2, &err), CX_CONFLICT);
    EXPECT_INT(put(&f, docs, 2, NULL), CX_CONFLICT);
    docs[1] = own("b", "bread", Y, DIMENSION);
    docs[0].vector = NULL; /* still to be made */
    EXPECT_INT(cx_vector_check(f.v, docs, 2, &err), CX_OK);
    docs[0].vector = X;
    REQUIRE(put(&f, docs, 2, NULL) == CX_OK);
    expect_owner(&f, CX_OWNER_EMBEDDER, DIMENSION, "test");
    docs[0] = own("c", "cheese", X, DIMENSION);
    REQUIRE(put(&f, docs, 1, NULL) == CX_OK);
    docs[0] = own("d", "dates", X, 3);
    EXPECT_INT(cx_vector_check(f.v, docs, 1, &err), CX_CONFLICT);
    EXPECT_INT(put(&f, docs, 1, NULL), CX_CONFLICT);
    char ids[1024];
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, X, DIMENSION, false, ids), "a c b");
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, X, DIMENSION, true, ids), "a c b");
    fixture_close(&f);
    REQUIRE(fixture_open(&f));
    expect_owner(&f, CX_OWNER_EMBEDDER, DIMENSION, "test");
    fixture_close(&f);
}

TEST(an_emptied_collection_is_anybodys)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open(&f));
    char ids[1024];
    const struct cx_document of_client = own("a", "apple", Y, 3);
    const struct cx_document wide = own("a", "apple", Y, 7);
    const struct cx_document of_embedder = text("a", "apple");
    REQUIRE(put(&f, &of_client, 1, NULL) == CX_OK);
    REQUIRE(remove_one(&f, "a"));
    expect_owner(&f, CX_OWNER_NONE, DIMENSION, "test");
    /* Nothing is there to be compared with: any query finds nothing. */
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, Y, 3, true, ids), "");
    EXPECT_STR(found(&f, CX_SEARCH_HYBRID, Y, DIMENSION, false, ids), "");
    EXPECT_STR(found(&f, CX_SEARCH_KEYWORD, NULL, 0, false, ids), "");
    REQUIRE(put(&f, &of_embedder, 1, NULL) == CX_OK);
    expect_owner(&f, CX_OWNER_EMBEDDER, DIMENSION, "test");
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, X, DIMENSION, false, ids), "a");
    REQUIRE(remove_one(&f, "a"));
    REQUIRE(put(&f, &wide, 1, NULL) == CX_OK);
    expect_owner(&f, CX_OWNER_CLIENT, 7, "client");
    REQUIRE(remove_one(&f, "a"));
    fixture_close(&f);

    /* After a restart too, whatever the row of the collection last said. */
    REQUIRE(fixture_open(&f));
    expect_owner(&f, CX_OWNER_NONE, DIMENSION, "test");
    REQUIRE(put(&f, &of_embedder, 1, NULL) == CX_OK);
    fixture_close(&f);
    EXPECT(is_of_another_model(&f, "print-2", 0));
    REQUIRE(fixture_open(&f));
    expect_owner(&f, CX_OWNER_EMBEDDER, DIMENSION, "test");
    REQUIRE(remove_one(&f, "a"));
    REQUIRE(put(&f, &of_client, 1, NULL) == CX_OK);
    fixture_close(&f);
    REQUIRE(fixture_open_with(&f, "print-2", 0, BYTES_MAX, &err));
    EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, Y, 3, true, ids), "a");
    REQUIRE(remove_one(&f, "a"));
    struct cx_vector_figures figures;
    cx_vector_figures(f.v, &figures);
    EXPECT_INT(figures.dimension, 0);
    REQUIRE(put(&f, &of_embedder, 1, NULL) == CX_OK);
    fixture_close(&f);
}

/* More than one block of rows goes, and comes again under another width. */
TEST(many_rows_change_their_width)
{
    enum { MANY = 2500 };
    struct fixture f;
    REQUIRE(fixture_open(&f));
    for (unsigned dimension = 3; dimension < 40; dimension += 18) {
        static char names[MANY][8];
        static struct cx_document docs[MANY];
        static struct cx_str ids[MANY];
        float vector[40] = { 0, 1 };
        for (size_t i = 0; i < MANY; i++) {
            snprintf(names[i], sizeof names[i], "d%04zu", i);
            docs[i] = own(names[i], "apple", vector, dimension);
            ids[i] = docs[i].doc_id;
        }
        REQUIRE(put(&f, docs, MANY, NULL) == CX_OK);
        expect_owner(&f, CX_OWNER_CLIENT, dimension, "client");
        char text_of_ids[1024];
        EXPECT_STR(found(&f, CX_SEARCH_SEMANTIC, vector, dimension, true, text_of_ids),
                   "d0000 d0001 d0002 d0003 d0004 d0005 d0006 d0007 d0008 d0009");
        size_t deleted = 0;
        struct cx_err err = { "" };
        REQUIRE(cx_vector_delete(f.v, f.db, ids, MANY, &deleted, &err) == CX_OK);
        EXPECT_INT(deleted, MANY);
        struct cx_vector_figures figures;
        cx_vector_figures(f.v, &figures);
        EXPECT_INT(figures.index_bytes, 0);
    }
    fixture_close(&f);
}

TEST(a_claim_that_fails_is_none)
{
    struct fixture f;
    struct cx_err err = { "" };
    REQUIRE(fixture_open_with(&f, "print-1", DIMENSION, 1024, &err));
    static const float WIDE[1000] = { 1 };
    struct cx_document doc = own("a", "apple", WIDE, 1000);
    EXPECT_INT(put(&f, &doc, 1, NULL), CX_OVERLOADED);
    expect_owner(&f, CX_OWNER_NONE, DIMENSION, "test");
    doc = own("a", "apple", X, 3);
    doc.metadata = CX_STR("{broken");
    EXPECT(put(&f, &doc, 1, NULL) != CX_OK);
    expect_owner(&f, CX_OWNER_NONE, DIMENSION, "test");
    doc = text("a", "apple");
    REQUIRE(put(&f, &doc, 1, NULL) == CX_OK);
    fixture_close(&f);
    REQUIRE(fixture_open(&f));
    expect_owner(&f, CX_OWNER_EMBEDDER, DIMENSION, "test");
    fixture_close(&f);
}

/* ---- While the collection goes from hand to hand ---- */

#define ROUNDS 200

struct shared {
    struct fixture f;
    atomic_bool done;
    atomic_int failures;
};

/* All that is ever found by a vector was stored by who asks: their documents bear their names. */
static void *search_work(void *arg)
{
    struct shared *s = arg;
    struct cx_db *reader = cx_store_reader(s->f.store);
    uint64_t state = (uint64_t)(uintptr_t)&state;
    do {
        const bool is_client = draw(&state) % 2 == 0;
        const struct cx_search search = { .vector = X,
                                          .dimension = is_client ? 3 : DIMENSION,
                                          .own_vector = is_client,
                                          .top_k = 5,
                                          .mode = CX_SEARCH_SEMANTIC };
        struct cx_err err = { "" };
        json_t *hits = NULL;
        const enum cx_status status = cx_vector_search(s->f.v, reader, &search, &hits, &err);
        if (status != CX_OK && status != CX_CONFLICT) {
            atomic_fetch_add(&s->failures, 1);
        }
        for (size_t i = 0; i < json_array_size(hits); i++) {
            const json_t *id = json_object_get(json_array_get(hits, i), "doc_id");
            if (strcmp(json_string_value(id), is_client ? "client" : "embedder") != 0) {
                atomic_fetch_add(&s->failures, 1);
            }
        }
        json_decref(hits);
        struct cx_vector_figures figures;
        cx_vector_figures(s->f.v, &figures);
        const unsigned wanted = figures.owner == CX_OWNER_CLIENT ? 3 : DIMENSION;
        if (figures.dimension != wanted) {
            atomic_fetch_add(&s->failures, 1);
        }
    } while (!atomic_load(&s->done));
    cx_store_return(s->f.store, reader);
    return NULL;
}

TEST(searches_while_the_owner_changes)
{
    struct shared s;
    memset(&s, 0, sizeof s);
    REQUIRE(fixture_open(&s.f));
    pthread_t threads[3];
    for (size_t i = 0; i < CX_ARRAY_LEN(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, search_work, &s) == 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        const struct cx_document doc =
            round % 2 == 0 ? own("client", "apple", X, 3) : text("embedder", "apple");
        EXPECT_INT(put(&s.f, &doc, 1, NULL), CX_OK);
        EXPECT(remove_one(&s.f, doc.doc_id.p));
    }
    const struct cx_document last = text("embedder", "apple");
    EXPECT_INT(put(&s.f, &last, 1, NULL), CX_OK);
    atomic_store(&s.done, true);
    for (size_t i = 0; i < CX_ARRAY_LEN(threads); i++) {
        (void)pthread_join(threads[i], NULL);
    }
    EXPECT_INT(atomic_load(&s.failures), 0);
    fixture_close(&s.f);
}
