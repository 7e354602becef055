/* SPDX-License-Identifier: MIT
 *
 * Inside the way of a batch to a Chroma server: its phases are batch_chroma.c's; what each asks, and what it
 * learns from the answer, is batch_chroma_ops.c's.
 */
#ifndef CORTEX_API_BATCH_CHROMA_H
#define CORTEX_API_BATCH_CHROMA_H

#include "api/batch.h"

#define API_CHROMA_PARENTS_MAX ((size_t)256) /* in one operation */

enum chroma_phase { FLATTEN, LOOK, LOOK_AGAIN, FIND_WHOLE, FIND_PASSAGES, PUT, REMOVE };

struct api__chroma_batch { /* owner: its batch */
    enum chroma_phase phase;
    bool cancelled;
    bool absent; /* the collection, when it was looked at */
    bool has_passages;
    bool of_clients; /* every row brings its vector */
    unsigned dimension;
    struct cx_chroma_document *docs; /* a row each */
    json_t *rows;                    /* id of each → true */
    json_t *parents; /* id of each text that was sent → how many passages it has */
    struct cx_str *parent_ids;
    size_t parent_count;
    size_t parents_max; /* in one operation */
    uint64_t until_ms;  /* of a request's documents */
    size_t at;          /* what the operation under way begins with … */
    size_t some;        /* … and how many it is of: rows, parents, ids that go */
    json_t *where;
    struct cx_str *gone; /* what is to go; texts of its own */
    size_t gone_count;
    struct cx_chroma_op op;
};

/* The operation of this phase that begins at `at`, into op; false where there is none. */
bool api__chroma_batch_make(struct api__batch *b);
/* What has come of it: moves `at` on. Another status ends it. */
enum cx_status api__chroma_batch_take(struct api__batch *b);
void api__chroma_batch_forget_gone(struct api__chroma_batch *c);

#endif
