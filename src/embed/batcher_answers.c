/* SPDX-License-Identifier: MIT
 *
 * The batcher's answers: what is kept of one for the caches, and how its vectors are given out, a slice
 * at a time (batcher.h).
 */
#include "batcher.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

#define SLICE_BYTES ((size_t)32 * 1024) /* of vectors, copied before another answer has its turn */
#define WAITER_BYTES 256                /* what each counts for, beside its vector */
#define MEMORY_TEXTS 256 /* a larger batch of documents passes the cache in memory by */
#define COPY_TEXTS 32    /* are copied without a thought */

static void mark_truncated(struct embed__batch *batch, const struct cx_embed_result *result);
static int by_length(const void *a, const void *b);
static void note_rows(struct embed__batch *batch);
static void keep_rows(struct embed__batch *batch, float *vectors);
static bool hand_over(struct embed__batch *batch);
static struct embed__batch *next_delivery(const struct embed__batcher *b);
static void deliver_slice(struct embed__batch *batch);
static size_t deliver_text(struct embed__batch *batch, size_t room);

void embed__batch_answered(struct embed__batch *batch, struct cx_embed_result *result)
{
    struct embed__batcher *b = batch->batcher;
    cx_counter_add(b->calls_ok, 1);
    cx_breaker_success(&b->breaker, batch->epoch);
    embed__pause(b, result->retry_after_ms);
    embed__batcher_learn(b, result->dimension);
    batch->vectors = result->vectors;
    batch->dimension = result->dimension;
    embed__batch_move(batch, BATCH_DELIVERING);
    batch->held = true;
    mark_truncated(batch, result);
    if (b->disk != NULL) {
        note_rows(batch);
    }
    if (hand_over(batch)) {
        embed__batch_free(batch);
    } else if (b->delivering == 1) {
        deliver_slice(batch); /* else it takes its turn with the others */
    }
}

/* A provider that says how many texts it cut and not which: it must have been the longest. */
static void mark_truncated(struct embed__batch *batch, const struct cx_embed_result *result)
{
    if (result->truncated == 0) {
        return;
    }
    for (size_t i = 0; result->cut != NULL && i < batch->count; i++) {
        batch->texts[i]->truncated = batch->texts[i]->truncated || result->cut[i];
    }
    if (result->cut != NULL) {
        return;
    }
    struct embed__text **sorted =
        cx_realloc_array(NULL, batch->count, sizeof(struct embed__text *));
    memcpy(sorted, batch->texts, batch->count * sizeof(struct embed__text *));
    qsort(sorted, batch->count, sizeof(struct embed__text *), by_length);
    for (size_t i = 0; i < batch->count && i < result->truncated; i++) {
        sorted[i]->truncated = true;
    }
    free(sorted);
}

static int by_length(const void *a, const void *b)
{
    const size_t x = (*(struct embed__text *const *)a)->len;
    const size_t y = (*(struct embed__text *const *)b)->len;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* What the cache on disk needs to know of texts that are gone by then. Without memory for it nothing
 * is kept. */
static void note_rows(struct embed__batch *batch)
{
    struct embed__rows *rows = &batch->rows;
    rows->count = batch->count;
    rows->dimension = batch->dimension;
    rows->digests = malloc(batch->count * sizeof *rows->digests);
    rows->truncated = malloc(batch->count * sizeof *rows->truncated);
    for (size_t i = 0; i < batch->count && rows->digests != NULL && rows->truncated != NULL; i++) {
        memcpy(rows->digests[i], batch->texts[i]->digest, CX_SHA256_BYTES);
        rows->truncated[i] = batch->texts[i]->truncated;
    }
}

/* vectors is taken over. */
static void keep_rows(struct embed__batch *batch, float *vectors)
{
    struct embed__rows *rows = &batch->rows;
    rows->vectors = vectors;
    if (vectors == NULL || rows->digests == NULL || rows->truncated == NULL) {
        embed__rows_free(rows);
    } else {
        embed__disk_put(batch->batcher->disk, rows, embed__now_s());
    }
}

/* One caller's call, the whole of it and nothing else: the vectors change hands, uncopied unless the
 * disk is to have them too. */
static bool hand_over(struct embed__batch *batch)
{
    struct embed__batcher *b = batch->batcher;
    struct embed__waiter *first = batch->texts[0]->waiters;
    struct embed__caller *c = first != NULL ? first->caller : NULL;
    if (c == NULL || c->base.count != batch->count || c->remaining != batch->count ||
        (b->disk != NULL && batch->count > COPY_TEXTS)) {
        return false;
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->texts[i]->waiters != &c->waiters[i] || c->waiters[i].next != NULL) {
            return false;
        }
    }
    const bool remember = batch->kind == CX_EMBED_QUERY || batch->count <= MEMORY_TEXTS;
    for (size_t i = 0; i < batch->count; i++) {
        struct embed__text *t = batch->texts[i];
        c->base.result.truncated += t->truncated ? 1 : 0;
        embed__waiter_leave(b, &c->waiters[i], false);
        if (remember) {
            embed__text_remember(b, t, batch->vectors + i * batch->dimension, batch->dimension);
        }
    }
    if (b->disk != NULL) {
        const size_t size = batch->count * batch->dimension * sizeof(float);
        float *copy = size > 0 ? malloc(size) : NULL;
        if (copy != NULL) {
            memcpy(copy, batch->vectors, size);
        }
        keep_rows(batch, copy);
    }
    c->base.result.vectors = batch->vectors;
    c->dimension = batch->dimension;
    c->remaining = 0;
    batch->vectors = NULL;
    embed__caller_end(b, c, CX_OK, NULL);
    return true;
}

/* Giving one out may end others: the list is looked at anew for each. A round that is too much for
 * once goes on the next time. */
void embed__deliver(struct embed__batcher *b)
{
    while (b->delivering > 0 && !embed__batcher_turn_over(b)) {
        struct embed__batch *batch = next_delivery(b);
        if (batch != NULL) {
            batch->round = b->round;
            deliver_slice(batch);
        } else {
            b->round++;
        }
    }
}

static struct embed__batch *next_delivery(const struct embed__batcher *b)
{
    struct embed__batch *batch = b->delivering > 0 ? b->batches : NULL;
    /* What is freed has left the list, which the analyzer does not see.
     * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    while (batch != NULL && (batch->state != BATCH_DELIVERING || batch->round == b->round)) {
        batch = batch->next;
    }
    return batch;
}

static void deliver_slice(struct embed__batch *batch)
{
    struct embed__batcher *b = batch->batcher;
    size_t bytes = 0;
    while (batch->delivered < batch->count && bytes < SLICE_BYTES) {
        bytes += deliver_text(batch, SLICE_BYTES - bytes);
    }
    if (batch->delivered == batch->count) {
        if (b->disk != NULL) {
            keep_rows(batch, batch->vectors);
            batch->vectors = NULL;
        }
        embed__batch_free(batch);
    }
}

/* One text, or as many of those who wait for it as there is room for. */
static size_t deliver_text(struct embed__batch *batch, size_t room)
{
    struct embed__batcher *b = batch->batcher;
    const size_t i = batch->delivered;
    struct embed__text *t = batch->texts[i];
    const float *vector = batch->vectors + i * batch->dimension;
    const size_t row_bytes = batch->dimension * sizeof(float);
    const size_t each = row_bytes + WAITER_BYTES;
    const bool remember = batch->kind == CX_EMBED_QUERY || batch->count <= MEMORY_TEXTS;
    if (remember && !t->remembered) {
        embed__text_remember(b, t, vector, batch->dimension);
    }
    const size_t given = embed__text_answer(b, t, vector, batch->dimension, room / each + 1);
    if (t->waiters == NULL) {
        embed__text_free(b, t);
        batch->texts[i] = NULL;
        batch->delivered++;
    }
    return given * each + (remember ? row_bytes : 0);
}
