/* SPDX-License-Identifier: MIT
 *
 * The batcher's texts: asked for once by whoever wants them, answered from the cache or a batch
 * (batcher.h).
 */
#include "batcher.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

#define BYTES_A_TOKEN 3 /* where nobody counts */
#define LOOK_UP_TEXTS                                                                              \
    128 /* at most EMBED__LOOKUP_TEXTS: all that are found are given out at once */

static void leave_text(struct embed__batcher *b, struct embed__text *t, bool in_vain);
static struct embed__text **bucket_of(const struct embed__batcher *b,
                                      const uint8_t digest[CX_SHA256_BYTES]);
static void look_up_kind(struct embed__batcher *b, enum cx_embed_kind kind);
static void on_queries_found(void *ctx, struct embed__found *found, size_t count);
static void on_documents_found(void *ctx, struct embed__found *found, size_t count);
static void take_found(struct embed__batcher *b, struct embed__found *found, size_t count);

/* A model may treat a query and a document differently, so that equal bytes of two kinds are two
 * texts. */
void embed__digest(enum cx_embed_kind kind, struct cx_str bytes, uint8_t digest[CX_SHA256_BYTES])
{
    const struct cx_str parts[] = {
        kind == CX_EMBED_QUERY ? CX_STR("query\n") : CX_STR("document\n"),
        bytes,
    };
    cx_sha256_parts(parts, CX_ARRAY_LEN(parts), digest);
}

struct embed__text *embed__text_new(const struct cx_batcher_options *o, enum cx_embed_kind kind,
                                    struct cx_str bytes, const uint8_t digest[CX_SHA256_BYTES])
{
    size_t tokens = o->count_tokens != NULL ? o->count_tokens(o->tokens_ctx, bytes)
                                            : (bytes.len + BYTES_A_TOKEN - 1) / BYTES_A_TOKEN;
    size_t len = bytes.len;
    if (tokens > o->input_tokens_max) {
        tokens = o->input_tokens_max;
        len = o->cut_tokens != NULL ? o->cut_tokens(o->tokens_ctx, bytes, tokens)
                                    : cx_utf8_cut(bytes, tokens * BYTES_A_TOKEN);
        len = len < bytes.len ? len : bytes.len;
    }
    if (len == 0) {
        len = bytes.len; /* nothing may go out empty: let the service say no */
    }
    struct embed__text *t = malloc(sizeof *t + len);
    if (t == NULL) {
        return NULL;
    }
    *t = (struct embed__text){
        .kind = kind, .truncated = len < bytes.len, .tokens = tokens, .len = len
    };
    memcpy(t->digest, digest, CX_SHA256_BYTES);
    memcpy(t->bytes, bytes.p, len);
    return t;
}

struct embed__text *embed__text_find(const struct embed__batcher *b,
                                     const uint8_t digest[CX_SHA256_BYTES])
{
    struct embed__text *t = *bucket_of(b, digest);
    while (t != NULL && memcmp(t->digest, digest, CX_SHA256_BYTES) != 0) {
        t = t->bucket_next;
    }
    return t;
}

void embed__waiter_place(struct embed__batcher *b, struct embed__waiter *w, const float *vector,
                         unsigned dimension, bool truncated)
{
    struct embed__caller *c = w->caller;
    struct cx_embed_result *result = &c->base.result;
    if (result->vectors == NULL) {
        c->dimension = dimension;
        result->vectors = malloc(c->base.count * dimension * sizeof(float));
        if (result->vectors == NULL) {
            embed__caller_end(b, c, CX_NO_MEMORY, NULL);
            return;
        }
    }
    if (c->dimension != dimension) {
        embed__caller_end(b, c, CX_EMBEDDING_UPSTREAM,
                          "the embedding service changed the dimension of its vectors");
        return;
    }
    const size_t index = (size_t)(w - c->waiters);
    memcpy(result->vectors + index * dimension, vector, dimension * sizeof(float));
    result->truncated += truncated ? 1 : 0;
    c->remaining--;
}

void embed__text_list(struct embed__batcher *b, struct embed__text *t, uint64_t now_ms)
{
    struct embed__text **bucket = bucket_of(b, t->digest);
    t->bucket_next = *bucket;
    *bucket = t;
    t->listed = true;
    t->arrived_ms = now_ms;
    t->state = b->disk != NULL ? TEXT_LOOKING : TEXT_READY;
    embed__list_append(b->disk != NULL ? &b->looking[t->kind] : &b->ready[t->kind], t);
    b->texts++;
    b->bytes += t->len;
}

static struct embed__text **bucket_of(const struct embed__batcher *b,
                                      const uint8_t digest[CX_SHA256_BYTES])
{
    return &b->table[cx_siphash(b->key, digest, CX_SHA256_BYTES) & b->table_mask];
}

/* ---- Answering and leaving ---- */

void embed__text_remember(struct embed__batcher *b, struct embed__text *t, const float *vector,
                          unsigned dimension)
{
    t->remembered = true;
    if (b->memory != NULL) {
        const size_t evicted = embed__memory_put(b->memory, t->digest, vector, dimension,
                                                 t->truncated, embed__now_s());
        cx_counter_add(b->cache_evicted, evicted);
    }
}

size_t embed__text_answer(struct embed__batcher *b, struct embed__text *t, const float *vector,
                          unsigned dimension, size_t most)
{
    const bool truncated = t->truncated;
    size_t given = 0;
    struct embed__waiter *first = t->waiters;
    struct embed__waiter *rest = first;
    for (; rest != NULL && given < most; rest = rest->next) {
        rest->text = NULL; /* a caller that ends meanwhile leaves this chain alone */
        given++;
    }
    t->waiters = rest;
    if (rest != NULL) {
        rest->previous = NULL;
    } else if (first != NULL) {
        leave_text(b, t, false);
    }
    for (struct embed__waiter *w = first; w != rest; w = w->next) {
        struct embed__caller *c = w->caller;
        if (c->state == CALLER_ASKING) {
            embed__waiter_place(b, w, vector, dimension, truncated);
        }
        if (c->remaining == 0) {
            embed__caller_end(b, c, CX_OK, NULL);
        }
    }
    return given;
}

void embed__waiter_leave(struct embed__batcher *b, struct embed__waiter *w, bool in_vain)
{
    struct embed__text *t = w->text;
    w->text = NULL;
    if (w->previous != NULL) {
        w->previous->next = w->next;
    } else {
        t->waiters = w->next;
    }
    if (w->next != NULL) {
        w->next->previous = w->previous;
    }
    if (t->waiters == NULL) {
        leave_text(b, t, in_vain);
    }
}

/* The last waiter has left. */
static void leave_text(struct embed__batcher *b, struct embed__text *t, bool in_vain)
{
    if (t->state != TEXT_BATCHED) {
        embed__list_remove(t->state == TEXT_LOOKING ? &b->looking[t->kind] : &b->ready[t->kind], t);
        embed__text_free(b, t);
        return;
    }
    struct embed__batch *batch = t->batch;
    batch->live--;
    if (batch->live == 0 && !batch->held) {
        embed__batch_abandon(batch, in_vain);
    }
}

void embed__text_free(struct embed__batcher *b, struct embed__text *t)
{
    embed__text_unlist(b, t);
    b->texts--;
    b->bytes -= t->len;
    free(t);
}

void embed__text_unlist(struct embed__batcher *b, struct embed__text *t)
{
    if (!t->listed) {
        return;
    }
    struct embed__text **at = bucket_of(b, t->digest);
    while (*at != t) {
        at = &(*at)->bucket_next;
    }
    *at = t->bucket_next;
    t->listed = false;
}

void embed__list_append(struct embed__text_list *list, struct embed__text *t)
{
    t->next = NULL;
    t->previous = list->last;
    if (list->last != NULL) {
        list->last->next = t;
    } else {
        list->first = t;
    }
    list->last = t;
    list->count++;
    list->tokens += t->tokens;
}

void embed__list_remove(struct embed__text_list *list, struct embed__text *t)
{
    if (t->previous != NULL) {
        t->previous->next = t->next;
    } else {
        list->first = t->next;
    }
    if (t->next != NULL) {
        t->next->previous = t->previous;
    } else {
        list->last = t->previous;
    }
    list->count--;
    list->tokens -= t->tokens;
    t->previous = t->next = NULL;
}

/* ---- The cache on disk ---- */

void embed__look_up(struct embed__batcher *b)
{
    if (b->disk != NULL) {
        look_up_kind(b, CX_EMBED_QUERY);
        look_up_kind(b, CX_EMBED_DOCUMENT);
    }
}

/* One look-up of a kind at a time: what comes meanwhile makes up the next. */
static void look_up_kind(struct embed__batcher *b, enum cx_embed_kind kind)
{
    struct embed__text_list *looking = &b->looking[kind];
    if (b->look_up[kind] || looking->last == NULL || looking->last->asked) {
        return;
    }
    const size_t most = looking->count < LOOK_UP_TEXTS ? looking->count : LOOK_UP_TEXTS;
    struct embed__found *found = calloc(most, sizeof *found);
    size_t count = 0;
    struct embed__text *t = looking->first;
    for (; found != NULL && t != NULL && count < most; t = t->next) {
        if (!t->asked) {
            t->asked = true;
            memcpy(found[count++].digest, t->digest, CX_SHA256_BYTES);
        }
    }
    const bool query = kind == CX_EMBED_QUERY;
    b->look_up[kind] =
        found != NULL &&
        embed__disk_find(b->disk, query ? CX_PRIORITY_HIGH : CX_PRIORITY_NORMAL, found, count,
                         embed__now_s(), query ? on_queries_found : on_documents_found, b) == CX_OK;
    while (!b->look_up[kind] && looking->first != NULL) {
        embed__text_make_ready(b, looking->first); /* a lane that is full is a miss */
    }
}

static void on_queries_found(void *ctx, struct embed__found *found, size_t count)
{
    struct embed__batcher *b = ctx;
    b->look_up[CX_EMBED_QUERY] = false;
    take_found(b, found, count);
}

static void on_documents_found(void *ctx, struct embed__found *found, size_t count)
{
    struct embed__batcher *b = ctx;
    b->look_up[CX_EMBED_DOCUMENT] = false;
    take_found(b, found, count);
}

/* Texts may have gone meanwhile, or have lost patience and gone out. */
static void take_found(struct embed__batcher *b, struct embed__found *found, size_t count)
{
    size_t hits = 0;
    for (size_t i = 0; i < count; i++) {
        struct embed__text *t = embed__text_find(b, found[i].digest);
        const bool usable = found[i].vector != NULL &&
                            (b->base.dimension == 0 || b->base.dimension == found[i].dimension);
        if (t != NULL && t->state != TEXT_BATCHED && usable) {
            hits++;
            t->truncated = found[i].truncated;
            embed__batcher_learn(b, found[i].dimension);
            embed__text_remember(b, t, found[i].vector, found[i].dimension);
            (void)embed__text_answer(b, t, found[i].vector, found[i].dimension, SIZE_MAX);
        } else if (t != NULL && t->state == TEXT_LOOKING && t->asked) {
            embed__text_make_ready(b, t);
        }
        free(found[i].vector);
    }
    cx_counter_add(b->cache_disk, hits);
    cx_counter_add(b->cache_miss, count - hits);
    embed__batcher_settle(b);
    embed__batcher_flush(b);
}

void embed__text_make_ready(struct embed__batcher *b, struct embed__text *t)
{
    embed__list_remove(&b->looking[t->kind], t);
    t->state = TEXT_READY;
    embed__list_append(&b->ready[t->kind], t);
    embed__text_judge(b, t);
}

void embed__batcher_learn(struct embed__batcher *b, unsigned dimension)
{
    if (b->base.dimension != dimension && b->base.dimension != 0 && b->memory != NULL) {
        embed__memory_clear(b->memory);
    }
    b->base.dimension = dimension;
}

int64_t embed__now_s(void)
{
    return cx_clock_wall_us() / 1000000;
}
