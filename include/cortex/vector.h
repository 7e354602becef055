/* SPDX-License-Identifier: MIT
 *
 * vector: documents, their keyword index (FTS5) and their vectors; search over both. SQLite holds
 * the truth, the index in memory is a cache of it that is rebuilt at start.
 *
 * Threads: blocking code for lanes. Functions that change take the writer (write lane); searching
 * takes a reader. The index guards itself by a reader-writer lock, held by workers only.
 */
#ifndef CORTEX_VECTOR_H
#define CORTEX_VECTOR_H

#include <jansson.h>

#include "cortex/base.h"
#include "cortex/json.h"
#include "cortex/store.h"

extern const struct cx_migration cx_vector_migrations[];
extern const size_t cx_vector_migration_count;

struct cx_vector_store; /* the collections of one database */
struct cx_vector_ask;   /* a search that waits for a worker */
struct cx_vector;       /* one collection: its documents, their words, their vectors */

/* Told of each text that goes, as a part of the transaction in which it does. */
typedef enum cx_status (*cx_gone_fn)(struct cx_db *db, struct cx_str content, struct cx_err *err);
struct cx_vector_options {
    const char *provider; /* of the embedder that is configured */
    const char *model;
    const char *fingerprint;
    unsigned dimension;     /* 0 = learned from the first vector */
    size_t index_bytes_max; /* ceiling of all indexes: CX_OVERLOADED beyond, nothing stored */
    size_t collections_max; /* 0 = 256 */
    size_t
        graph_above; /* a collection of more vectors gets a graph (cx_vector_tend); 0 = none does */
    size_t graph_breadth; /* how many rows a search through it keeps in view */
    cx_gone_fn on_gone;   /* NULL = nobody cares */
};
/* Reads every vector into memory, but of collections that belong to another model (CX_VECTOR_OTHER_MODEL).
 * One whose vectors clients bring is opened whatever model is configured. */
enum cx_status cx_vector_store_open(struct cx_db *db, const struct cx_vector_options *options,
                                    struct cx_vector_store **out, struct cx_err *err) CX_MUST_CHECK;
void cx_vector_store_free(struct cx_vector_store **store); /* all have been released */

/* ---- Collections -------------------------------------------------------------------------------
 * Each has documents, an index and a ranking of its own: a search in one reads nothing of another.
 * "default" is always there. Who works with a collection holds it: it stays what it is until it is
 * released, deleted or not. Any thread.
 */
#define CX_COLLECTION_NAME_MAX 128 /* bytes */
/* 1 to 128 bytes of letters, digits, '.', '_' and '-'. */
bool cx_collection_name_valid(struct cx_str name);
/* CX_NOT_FOUND where there is none. */
enum cx_status cx_vector_find(struct cx_vector_store *store, struct cx_str name,
                              struct cx_vector **out, struct cx_err *err) CX_MUST_CHECK;
/* One that is to be put into. Where there is none of that name (which is valid) the first cx_vector_put
 * makes it. CX_CONFLICT where there may be no more. */
enum cx_status cx_vector_find_or_new(struct cx_vector_store *store, struct cx_str name,
                                     struct cx_vector **out, struct cx_err *err) CX_MUST_CHECK;
/* The first by name after this one ("" = of all). False after the last. */
bool cx_vector_next(struct cx_vector_store *store, const char *after, struct cx_vector **out);
/* *v becomes NULL. Returns the collection where it was deleted meanwhile and nobody holds it any more:
 * it is the caller's to free, on a worker. */
struct cx_vector *cx_vector_release(struct cx_vector **v);
void cx_vector_free(struct cx_vector **v);
const char *cx_vector_name(const struct cx_vector *v);
/* With all its documents, whose number is written to *documents: nobody finds it any more, and after a
 * crash neither. "default" is there again, empty. The caller holds it. What it has on the disk is
 * cx_vector_sweep's to remove. Write lane. */
enum cx_status cx_vector_drop(struct cx_vector *v, struct cx_db *db, size_t *documents,
                              struct cx_err *err) CX_MUST_CHECK;
/* One transaction of some ten milliseconds: removes a part of what deleted collections that nobody
 * holds have left on the disk, and of vectors that count no more. *more: call again. Write lane. */
enum cx_status cx_vector_sweep(struct cx_vector_store *store, struct cx_db *db, bool *more,
                               struct cx_err *err) CX_MUST_CHECK;

/* What a deleted text leaves in the keyword indexes goes when their parts are merged. One slice of that,
 * of some ten milliseconds; progress is zeroed before the first. When it is done, and the free pages and the
 * WAL have been dealt with, cx_vector_purged says so. Write lane. */
struct cx_vector_purge {
    int64_t generation; /* of what has gone; 0: nothing has */
    int64_t collection; /* the last that was dealt with */
    bool done;
};
enum cx_status cx_vector_purge(struct cx_vector_store *store, struct cx_db *db,
                               struct cx_vector_purge *progress, struct cx_err *err) CX_MUST_CHECK;
/* *clean: nothing has gone since the purge began. */
enum cx_status cx_vector_purged(struct cx_db *db, const struct cx_vector_purge *progress,
                                bool *clean, struct cx_err *err) CX_MUST_CHECK;

/* Of all collections, for health and metrics. Any thread, without a database. */
struct cx_vector_store_figures {
    size_t collections;
    size_t documents;
    size_t pending; /* of these */
    size_t index_bytes;
    size_t unready; /* collections whose status is not CX_VECTOR_READY */
};
void cx_vector_store_figures(struct cx_vector_store *store, struct cx_vector_store_figures *out);

/* ---- Filters -----------------------------------------------------------------------------------
 * Which documents are meant, by their metadata: {"type": "a", "year": {"$gte": 2020}}. Operators $eq, $ne,
 * $gt, $gte, $lt, $lte, $in, $nin, $exists and $not beneath a key, $and, $or and $not beside keys. "a.b"
 * reaches into objects; an array matches where an element does; null equals null and a missing key,
 * which makes $ne, $nin and $not true and all else false.
 */
struct cx_vector_filter; /* read only once it is made, by any thread */
/* json is borrowed as long as the filter lives. False where it is not understood: then every fault of it
 * is noted, at loc (["body", "filter"]) and the place within. */
bool cx_vector_filter_parse(const json_t *json, const json_t *loc, struct cx_faults *faults,
                            struct cx_vector_filter **out) CX_MUST_CHECK;
void cx_vector_filter_free(struct cx_vector_filter **filter);
/* Whether it says nothing, so that every document passes. */
bool cx_vector_filter_is_empty(const struct cx_vector_filter *filter);

/* ---- Flat metadata -----------------------------------------------------------------------------
 * For a store that knows pairs of a key and a scalar only (cortex/chroma.h). Any thread.
 */
#define CX_FLAT_KEYS_MAX 1024
/* {"a": {"b": 1}} becomes {"a.b": 1}; each value of an array a key of its own. CX_INVALID where there are
 * too many, or one is called "cortex:…" or "chroma:…". */
enum cx_status cx_vector_flatten(const json_t *metadata, json_t **flat,
                                 struct cx_err *err) CX_MUST_CHECK;
/* A filter as Chroma's `where` over what cx_vector_flatten has made, $not pushed inwards; *where NULL where
 * all documents pass. False where it cannot be said so: then what cannot is noted, each operator by name,
 * at loc and its key. Means what the filter means, but that an order ($gt …) is not asked of arrays of
 * several values. */
bool cx_vector_filter_flat(const struct cx_vector_filter *filter, const json_t *loc,
                           struct cx_faults *faults, json_t **where) CX_MUST_CHECK;

/* ---- Another model -----------------------------------------------------------------------------
 * A collection belongs to the model that its first vectors were made by. Under another one it is found
 * by keyword alone: a semantic search and a put are CX_CONFLICT. Deleting is not.
 *
 * Embedding it anew makes vectors beside the old ones, from the stored texts: every document is pending
 * then, and those who fill pending documents do it. Documents may come, go and change meanwhile; when
 * none is left that waits, one small transaction makes the new vectors those that count. Killed in
 * between it goes on where it was, as long as that model is configured; under the old one the old
 * vectors count as ever.
 */
enum cx_vector_status {
    CX_VECTOR_READY,       /* of the configured model, of clients, or empty */
    CX_VECTOR_OTHER_MODEL, /* by keyword only, and nothing can be put */
    CX_VECTOR_PREPARING,   /* to be embedded anew: the same, until cx_vector_sweep has made room */
    CX_VECTOR_REEMBEDDING, /* by keyword only; takes documents */
};
const char *cx_vector_status_name(enum cx_vector_status status); /* "ready", "other_model" … */
/* Embed it anew by the configured model: from CX_VECTOR_OTHER_MODEL to CX_VECTOR_PREPARING; in any other
 * state nothing is to be done. CX_CONFLICT where clients bring the vectors. Write lane. */
enum cx_status cx_vector_reembed(struct cx_vector *v, struct cx_db *db,
                                 struct cx_err *err) CX_MUST_CHECK;
/* From CX_VECTOR_REEMBEDDING to CX_VECTOR_READY; in any other state nothing is to be done. Documents that
 * are still pending stay so. CX_CONFLICT where all of them are. Write lane. */
enum cx_status cx_vector_reembedded(struct cx_vector *v, struct cx_db *db,
                                    struct cx_err *err) CX_MUST_CHECK;

/* ---- Documents --------------------------------------------------------------------------------- */
struct cx_document {
    struct cx_str doc_id; /* 1 to 512 bytes; cx_document_make_id where the client gave none */
    struct cx_str content;
    struct cx_str uri;
    struct cx_str summary;  /* p NULL = none */
    struct cx_str metadata; /* JSON object text, compact */
    const float *vector;    /* dimension floats, length 1; NULL: see pending */
    unsigned dimension;
    bool own_vector; /* the client brought it; else the embedder made it */
    /* This is one passage of a longer text: doc_id is made by cx_document_passage_id, metadata have
     * the member `parent` with this value. All passages of a parent are put together, in their
     * order. p NULL = it is a text of its own. */
    struct cx_str parent;
    /* Without a vector: it may be stored all the same, and waits for one. Else only an unchanged
     * document has none. */
    bool pending;
};
/* Hash of collection, uri and content: the same document sent twice is one. id: 32 hex digits +
 * NUL. */
void cx_document_make_id(struct cx_str collection, struct cx_str uri, struct cx_str content,
                         char id[33]);
/* PARENT#0001 for the first. id: CX_DOC_ID_MAX + 1 bytes; false where it would be longer. */
#define CX_DOC_ID_MAX 512
bool cx_document_passage_id(struct cx_str parent, size_t number, char *id);
/* Its number, and the parent within doc_id; 0 where it is no such id. */
size_t cx_document_passage_number(struct cx_str doc_id, struct cx_str *parent);
/* Whether metadata name this parent. */
bool cx_document_is_passage(const json_t *metadata, struct cx_str parent);
/* CX_CONFLICT where doc_id has the form of a passage's and, of what is stored under it (was) and what is
 * to take its place, one is a passage and the other is not. */
enum cx_status cx_document_passage_check(struct cx_str doc_id, bool was, const json_t *metadata,
                                         struct cx_err *err) CX_MUST_CHECK;
/* For each document whether its stored content is the same, with a vector of the same model, and so
 * needs no embedding. Reader or writer. */
enum cx_status cx_vector_unchanged(struct cx_vector *v, struct cx_db *db,
                                   const struct cx_document *docs, size_t count, bool *unchanged,
                                   struct cx_err *err) CX_MUST_CHECK;
/* Whose vectors the collection holds. Its first document decides; with the last one it is free
 * again. */
enum cx_vector_owner {
    CX_OWNER_NONE,     /* no documents: the next one decides */
    CX_OWNER_EMBEDDER, /* the configured one's; a client's are taken where they have its dimension */
    CX_OWNER_CLIENT,   /* those that clients bring: each document brings one, and each query */
};
/* What cx_vector_put would refuse of these documents as things stand (CX_CONFLICT, CX_INVALID),
 * vector being NULL where it is still to be made. A hint, before work is spent on them: put
 * decides. Any thread, without a database. */
enum cx_status cx_vector_check(const struct cx_vector *v, const struct cx_document *docs,
                               size_t count, struct cx_err *err) CX_MUST_CHECK;
struct cx_vector_put {
    size_t indexed;   /* new */
    size_t updated;   /* replaced content, or new uri, summary or metadata */
    size_t unchanged; /* what it lacked, its vector, may have come all the same */
    size_t pending;   /* of all of these: those that have no vector now */
    size_t removed;   /* passages, or the whole, that others have taken the place of */
};
/* One transaction: all or nothing. A document takes the place of all that was stored under its id:
 * passages of the text before, the whole where there are passages now. Then the index has them too.
 * Into an empty collection all documents bring a vector of their own if the first one does: the
 * collection is then theirs. CX_CONFLICT where the collection was deleted meanwhile. */
enum cx_status cx_vector_put(struct cx_vector *v, struct cx_db *db, const struct cx_document *docs,
                             size_t count, struct cx_vector_put *out,
                             struct cx_err *err) CX_MUST_CHECK;
/* {"doc_id","content","uri","summary","metadata","created_at","updated_at"} */
enum cx_status cx_vector_get(struct cx_vector *v, struct cx_db *db, struct cx_str doc_id,
                             json_t **out, struct cx_err *err) CX_MUST_CHECK;
/* With their passages. *deleted: how many of the ids were there. */
enum cx_status cx_vector_delete(struct cx_vector *v, struct cx_db *db, const struct cx_str *ids,
                                size_t count, size_t *deleted, struct cx_err *err) CX_MUST_CHECK;
struct cx_vector_delete {
    int64_t last;    /* 0 at first: documents that come later stay */
    size_t deleted;  /* so far */
    bool more;       /* call again */
    json_t *doc_ids; /* an array, the caller's: some hundreds of them */
};
/* One transaction of some ten milliseconds: all or nothing. Write lane. */
enum cx_status cx_vector_delete_matching(struct cx_vector *v, struct cx_db *db,
                                         const struct cx_vector_filter *filter,
                                         struct cx_vector_delete *progress,
                                         struct cx_err *err) CX_MUST_CHECK;
/* {"documents": [{"doc_id","uri","summary","metadata"}], "cursor": string|null}, by doc_id. A page ends early at 4 MiB. */
enum cx_status cx_vector_list(struct cx_vector *v, struct cx_db *db, struct cx_str cursor,
                              size_t limit, json_t **out, struct cx_err *err) CX_MUST_CHECK;

/* ---- Export ------------------------------------------------------------------------------------ */
struct cx_vector_export { /* zeroed, then what is asked for */
    bool vectors;         /* base64 of float32; with the model's `fingerprint` where it made them */
    char after[CX_DOC_ID_MAX + 1]; /* the last that was exported */
    int64_t last;                  /* what comes later stays out */
    bool ended;
};
/* Appends further documents, a line of NDJSON each, in the order of doc_id, until out holds that many
 * bytes or more, or the end: {"doc_id","content","uri","summary"?,"metadata","vector"?,"fingerprint"?}.
 * Each page is of its own moment: a document that is changed meanwhile is in it once, old or new.
 * CX_TOO_LARGE where one passes out's ceiling. Reader. */
enum cx_status cx_vector_export(struct cx_vector *v, struct cx_db *db, struct cx_vector_export *at,
                                size_t bytes, struct cx_buf *out, struct cx_err *err) CX_MUST_CHECK;

/* ---- Pending documents -------------------------------------------------------------------------
 * In a collection of the embedder a document may be stored before it has a vector: it is found by
 * its words at once, in a hybrid search its vector leg counts 0, and a semantic search does not
 * know it. That its vector is missing is all that is kept of it: the queue is as durable as the
 * documents.
 */
struct cx_vector_waiting {
    int64_t id; /* in the order in which documents came; never used again */
    uint8_t content_hash[32];
    struct cx_str doc_id;
    struct cx_str content;
};
/* Owner: who has asked for it. */
struct cx_vector_pending {
    struct cx_vector_waiting *items; /* ascending by id; they borrow from text */
    size_t count;
    int64_t
        last; /* the last id that was looked at: `after` of the next call; 0 = the end is reached */
    char *text;
};
/* Pending documents with an id over `after`: at most `limit`, and only the first where they have
 * more than `bytes` of content together. Reader. */
enum cx_status cx_vector_pending(struct cx_vector *v, struct cx_db *db, int64_t after, size_t limit,
                                 size_t bytes, struct cx_vector_pending *out,
                                 struct cx_err *err) CX_MUST_CHECK;
void cx_vector_pending_free(struct cx_vector_pending *pending);
/* Their vectors, row after row, of length 1 (or zero). A document that is no longer pending, or
 * has another content by now, is skipped. One transaction: all or nothing. *filled: how many got
 * theirs. Write lane. */
enum cx_status cx_vector_fill(struct cx_vector *v, struct cx_db *db,
                              const struct cx_vector_waiting *items, size_t count,
                              const float *vectors, unsigned dimension, size_t *filled,
                              struct cx_err *err) CX_MUST_CHECK;

/* ---- Graphs ------------------------------------------------------------------------------------
 * In a collection of many vectors a graph spares a search most comparisons, and now and then misses a
 * neighbour. It is made, and follows what changes, in slices; until it has caught up searches compare
 * what is not in it one by one, or all.
 */
/* Works for about this long on the graphs of all collections. *more: there is more to be done. True where it
 * was the last that held a deleted collection: cx_vector_sweep has something to do. A cpu lane; one at a
 * time. */
bool cx_vector_tend(struct cx_vector_store *store, uint64_t budget_ms, bool *more);

/* ---- Search ------------------------------------------------------------------------------------ */
enum cx_search_mode { CX_SEARCH_SEMANTIC, CX_SEARCH_KEYWORD, CX_SEARCH_HYBRID };
enum cx_search_fusion { CX_FUSION_WEIGHTED, CX_FUSION_RRF };
enum cx_search_include { CX_INCLUDE_CONTENT = 1, CX_INCLUDE_VECTOR = 2, CX_INCLUDE_SCORES = 4 };
struct cx_search {
    struct cx_str query; /* may be empty where vector is given */
    const float *vector; /* of the query, length 1; NULL in keyword mode */
    unsigned dimension;
    bool
        own_vector; /* the client brought it: CX_CONFLICT without where the documents' are so too */
    size_t top_k;
    enum cx_search_mode mode;
    enum cx_search_fusion fusion; /* in hybrid mode */
    bool has_min_score;
    double min_score;
    unsigned include;
    struct cx_vector_ask *ask; /* that was left for it, or NULL */
    bool exact;                /* every vector is compared, whether there is a graph or not */
    const struct cx_vector_filter *filter; /* NULL passes all */
};
/* A search that is about to wait for a worker leaves word of it: a scan that begins meanwhile may do its
 * part too. NULL where that would be of no use. Any thread, in moments; freed by who has asked, before the
 * collection is released, whatever has become of the search. */
struct cx_vector_ask *cx_vector_ask(struct cx_vector *v, const struct cx_search *search);
void cx_vector_ask_free(struct cx_vector_ask **ask);
/* The candidates and their scores, exact over all documents that pass the filter; then the rows of
 * the best. *hits: array of Hit, best first, ties by doc_id. CX_TOO_LARGE where they hold more
 * than 64 MiB. hybrid = 0.6 · bm25/max + 0.4 · cos/max, a leg whose maximum is not positive
 * counting 0; or, as RRF, 1/(60 + place) in each leg, of the best 100 (or top_k). */
enum cx_status cx_vector_search(struct cx_vector *v, struct cx_db *db,
                                const struct cx_search *search, json_t **hits,
                                struct cx_err *err) CX_MUST_CHECK;
/* The same as bytes, appended to out, and the hits' doc_ids to the array ids (NULL = not wanted), which is
 * empty. CX_TOO_LARGE where out gets too large, too. On failure both hold nothing of use. */
enum cx_status cx_vector_search_write(struct cx_vector *v, struct cx_db *db,
                                      const struct cx_search *search, struct cx_buf *out,
                                      json_t *ids, struct cx_err *err) CX_MUST_CHECK;

/* Any thread, without a database: for health and metrics. */
struct cx_vector_figures {
    size_t documents;
    size_t pending; /* of these */
    size_t index_bytes;
    enum cx_vector_status status;
    enum cx_vector_owner owner;
    /* Of the vectors that count; without documents: of the configured model. 0 = not known yet */
    unsigned dimension;
    const char *provider; /* of the vectors: "client" where clients bring them; the collection's */
    const char *model;    /* both live as long as the collection is held */
};
void cx_vector_figures(const struct cx_vector *v, struct cx_vector_figures *out);
/* FTS5 query of a text: its words quoted, joined by OR, without stop words. Empty when no word is
 * left. */
void cx_vector_match_query(struct cx_str text, struct cx_buf *out);

/* The dot-product kernels, for tests and benchmarks; "avx512", "avx2", "plain"; best that runs
 * here. */
const char *cx_vector_kernel_name(void);

#endif
