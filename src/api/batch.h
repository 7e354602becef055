/* SPDX-License-Identifier: MIT
 *
 * batch: documents that are put together, all or none. Read one after the other, cut into passages
 * where that is asked for, compared with what is there, embedded where they must be, stored,
 * told of. ingest.c puts one batch, ingest_lines.c one after the other.
 *
 *   read     any      api__batch_read for each document as it was sent, then api__batch_read_done
 *   compare  worker   api__batch_compare
 *   embed    loop     api__batch_texts, the embedder, api__batch_embedded or _do_without
 *   store    worker   api__batch_store, write lane
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

/* One document as it was sent. */
struct api__sent {
    struct cx_str doc_id;
    size_t line;  /* of NDJSON */
    size_t first; /* of its rows */
    size_t count;
    bool replaced; /* a later one of the batch has the same id … */
    bool repeats;  /* … an earlier one */
};

struct api__batch { /* owner: who ingests; zeroed, then api__batch_init */
    struct cx_api *api;
    struct cx_vector *v;      /* held by who ingests */
    struct cx_str collection; /* its name, borrowed */
    struct api__chunk chunk;

    struct cx_arena arena;  /* ids and vectors */
    struct cx_buf metadata; /* the rows' metadata texts, one after the other */
    size_t *metadata_at;
    struct api__sent *sent;
    size_t sent_count;
    size_t sent_room;
    struct cx_document *rows; /* what is stored: documents, or their passages */
    size_t row_count;
    size_t row_room;
    bool out_of_memory;
    bool too_many;

    bool *unchanged;
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
/* What needs no embedding, because it is there. */
enum cx_status api__batch_compare(struct api__batch *b, struct cx_err *err) CX_MUST_CHECK;
/* Fills texts; false where there are none. */
bool api__batch_texts(struct api__batch *b);
void api__batch_embedded(struct api__batch *b, struct cx_embed_result *result);
void api__batch_do_without(struct api__batch *b);
/* As after read_done: what came of comparing and embedding is forgotten. */
void api__batch_again(struct api__batch *b);
enum cx_status api__batch_store(struct api__batch *b, struct cx_err *err) CX_MUST_CHECK;
/* [ids of what was sent] */
void api__batch_write_ids(const struct api__batch *b, struct cx_buf *out);
/* The rest of an answer: ,"indexed":…} */
void api__batch_write_figures(const struct api__batch *b, struct cx_buf *out);
/* Once, when it is on disk: the bus, and who embeds later. */
void api__batch_tell(struct api__batch *b, struct cx_exchange *x);

/* The member "chunk" of a body. */
void api__read_chunk(struct cx_reader *r, struct api__chunk *out);

#endif
