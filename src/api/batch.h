/* SPDX-License-Identifier: MIT
 *
 * batch: documents that are put together, all or none. Read one after the other, cut into passages
 * where that is asked for, compared with what is there, embedded where they must be, stored,
 * told of. ingest.c puts one batch, ingest_lines.c one after the other.
 *
 *   read     any      api__batch_read for each document as it was sent, then api__batch_read_done
 *   check    any      target->check
 *   compare  loop     api__batch_compare; waits
 *   embed    loop     api__batch_texts, the embedder, api__batch_embedded or _do_without
 *   store    loop     api__batch_store; waits
 *   tell     loop     api__batch_tell
 */
#ifndef CORTEX_API_BATCH_H
#define CORTEX_API_BATCH_H

#include "api/api_internal.h"

#define API_CHUNK_TOKENS_MAX 8192
struct api__chunk {
    size_t tokens; /* 0 = texts are stored whole */
    size_t overlap;
};
#define API_CHUNK_TOKENS_DEFAULT 256
#define API_CHUNK_OVERLAP_DEFAULT 32

/* Members and elements of metadata, at all depths: of a document, and of all that are put at once. Each
 * may be a facet of its own, which takes the write lane some microseconds. */
#define API_METADATA_VALUES_MAX ((size_t)10000)
#define API_METADATA_BATCH_VALUES_MAX ((size_t)500000)

#define API_COMPARES_MAX 2 /* again, after the first time */

/* One document as it was sent. */
struct api__sent {
    struct cx_str doc_id;
    size_t line;  /* of NDJSON */
    size_t first; /* of its rows */
    size_t count;
    bool replaced; /* a later one of the batch has the same id … */
    bool repeats;  /* … an earlier one */
};

struct api__batch;
/* Where batches go: the daemon's own store (batch_local.c) or a Chroma server (batch_chroma.c). */
struct api__batch_target {
    bool keeps_pending;    /* documents without a vector: they wait for it there */
    bool check_takes_long; /* it is a lane's */
    /* Loop. The collection, held until api__collection_release; *v stays NULL where nothing is held. */
    enum cx_status (*open)(struct cx_api *api, struct cx_str collection, struct cx_vector **v,
                           struct cx_err *err);
    /* What is refused, as things stand, of the first so many rows. Any thread. */
    enum cx_status (*check)(const struct api__batch *b, size_t row_count, struct cx_err *err);
    /* Loop. Begin what api__batch_done ends, later; another status: nothing has begun. */
    enum cx_status (*compare)(struct api__batch *b);
    enum cx_status (*store)(struct api__batch *b);
    void (*cancel)(struct api__batch *b); /* what has begun ends all the same, perhaps earlier */
    void (*release)(struct api__batch *b);
};
const struct api__batch_target *api__batch_target(const struct cx_api *api);
extern const struct api__batch_target api__batch_local, api__batch_chroma;

typedef void (*api__batch_done_fn)(void *ctx, enum cx_status status, const struct cx_err *err);

struct api__batch { /* owner: who ingests; zeroed, then api__batch_init */
    struct cx_api *api;
    const struct api__batch_target *target;
    struct cx_vector *v;      /* held by who ingests; NULL where the target holds none */
    struct cx_str collection; /* its name, borrowed */
    struct api__chunk chunk;
    bool whole;              /* all or nothing, or refused: a request's documents */
    bool others_before;      /* batches of the same stream were on their way when it was compared */
    uint64_t time_ms;        /* for each of comparing and storing, where that goes over a network */
    const char *traceparent; /* for these, or NULL; borrowed */
    struct {                 /* comparing or storing, under way */
        api__batch_done_fn on_done;
        void *ctx;
        struct cx_job *job;
        enum cx_status status; /* its worker's */
        struct cx_err err;
        uint64_t retry_after_ms; /* what has come of it: 0 = not known */
        bool full;               /* CX_OVERLOADED: a lane was full, nothing else */
    } op;
    struct api__chroma_batch *chroma; /* batch_chroma.c's */

    struct cx_arena arena;  /* ids and vectors */
    struct cx_buf metadata; /* the rows' metadata texts, one after the other */
    size_t *metadata_at;
    struct api__sent *sent;
    size_t sent_count;
    size_t sent_room;
    struct cx_document *rows; /* what is stored: documents, or their passages */
    size_t row_count;
    size_t row_room;
    size_t values;  /* in the metadata of all that were sent */
    json_t *owners; /* with chunk: id of each row → the document that makes it */
    bool out_of_memory;
    bool too_many;
    bool too_many_values;

    bool *unchanged;
    unsigned attempts;    /* to store it, that were in vain */
    struct cx_str *texts; /* of the rows that need a vector */
    size_t *text_owner;   /* the index of each text's row */
    size_t text_count;
    float *embedded; /* the provider's */
    size_t truncated;
    uint64_t embed_ns;
    struct cx_vector_put done; /* what is on disk … */
    bool told;                 /* … and whether the bus knows */
};

/* ceiling: of what it holds beside the JSON. */
void api__batch_init(struct api__batch *b, struct cx_api *api, size_t ceiling);
void api__batch_free(struct api__batch *b);

/* One document; faults are noted at r. Its JSON lives as long as the batch. */
void api__batch_read(struct api__batch *b, struct cx_reader *r, size_t line);
/* Only the first so many documents stay. Before read_done. */
void api__batch_cut(struct api__batch *b, size_t sent_count);
/* After the last. Of documents with the same id the last one stays. */
enum cx_status api__batch_read_done(struct api__batch *b, struct cx_err *err) CX_MUST_CHECK;
/* A row's metadata, before read_done too. */
struct cx_str api__batch_metadata(const struct api__batch *b, size_t row);
/* Finds out what needs no embedding, because it is there. on_done comes later, on the loop, exactly once;
 * another status: it does not come, and CX_OVERLOADED is a full lane. */
enum cx_status api__batch_compare(struct api__batch *b, api__batch_done_fn on_done,
                                  void *ctx) CX_MUST_CHECK;
/* The same. CX_CONFLICT: perhaps what it was compared with has changed. */
enum cx_status api__batch_store(struct api__batch *b, api__batch_done_fn on_done,
                                void *ctx) CX_MUST_CHECK;
void api__batch_cancel(struct api__batch *b);
/* Of a target: what compare or store has begun is over. */
void api__batch_done(struct api__batch *b, enum cx_status status);
/* Fills texts; false where there are none. */
bool api__batch_texts(struct api__batch *b);
void api__batch_embedded(struct api__batch *b, struct cx_embed_result *result);
void api__batch_do_without(struct api__batch *b);
/* Storing has met a conflict. True where that may be because a document that was found unchanged, and so has no
 * vector here, was changed meanwhile: all is then as after read_done, to be compared again. At last comparing
 * takes all for changed where it can, so that no other request can be in the way for ever. */
bool api__batch_again(struct api__batch *b);
/* [ids of what was sent] */
void api__batch_write_ids(const struct api__batch *b, struct cx_buf *out);
/* The rest of an answer: ,"indexed":…} */
void api__batch_write_figures(const struct api__batch *b, struct cx_buf *out);
/* Once, when it is on disk: the bus, and who embeds later. */
void api__batch_tell(struct api__batch *b, struct cx_exchange *x);

/* ---- batch_rules.c: what a document may be refused for, noted at r ---- */

/* It has more members and elements, at all depths, than one document's may. */
bool api__batch_admit_metadata(struct api__batch *b, struct cx_reader *r, const json_t *metadata);
/* With chunk: a passage and another document of the batch would have the same id. */
bool api__batch_admit_id(struct api__batch *b, struct cx_reader *r, struct cx_str id,
                         struct cx_str owner);

/* The member "chunk" of a body. */
void api__read_chunk(struct cx_reader *r, struct api__chunk *out);

#endif
