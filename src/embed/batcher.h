/* SPDX-License-Identifier: MIT
 *
 * What the batcher's files share.
 *
 * A caller (one cx_embedder_start) asks for texts; a waiter ties one text of one caller to the text
 * that is really asked for, which several callers may share; a batch is one call of the provider.
 *
 *   caller  PREPARING --hashed and counted--> ASKING --all there, or the first failure--> DONE
 *               '--left meanwhile--> ENDING --the worker is back-----------------------> DONE
 *   text    LOOKING --not on disk, may be asked for--> READY --its window is over--> BATCHED --> gone
 *   batch   WAITING --due, a call is free--> FLYING --answer--> DELIVERING --> gone
 *              ^--------- tried again, or split -----'  '--nobody is left--> ABANDONED --> gone
 *
 * Nobody is told anything in the midst of this: who is DONE stands in a queue, which is emptied at the
 * end of what the loop calls (embed__batcher_flush), never within start or cancel.
 *
 *   batcher.c          set-up, the timer and what it leads to, the circuit as others see it
 *   batcher_callers.c  callers: start, prepare, cancel, end; their deadlines
 *   batcher_ask.c      callers' texts: remembered, under way, or new
 *   batcher_texts.c    texts: single flight, waiters, the caches
 *   batcher_calls.c    batches: when they go out, and how they come back
 *   batcher_answers.c  batches that were answered: the caches, and who gets what
 *   batcher_fail.c     batches that fail: try again, split, give up
 *
 * Threads: the loop, except prepare_work.
 */
#ifndef CORTEX_EMBED_BATCHER_H
#define CORTEX_EMBED_BATCHER_H

#include <stdatomic.h>

#include "cache.h"
#include "embed_internal.h"

struct embed__caller;
struct embed__text;
struct embed__batch;
struct embed__batcher;

enum embed__text_state { TEXT_LOOKING, TEXT_READY, TEXT_BATCHED };

struct embed__waiter {
    struct embed__caller *caller;
    struct embed__text *text; /* NULL = it waits for nothing */
    struct embed__waiter *previous;
    struct embed__waiter *next;
    uint8_t digest[CX_SHA256_BYTES];
};

struct embed__text {                 /* owner: the list that it is in, then its batch */
    uint8_t digest[CX_SHA256_BYTES]; /* of its kind and all of its bytes */
    struct embed__text *bucket_next;
    struct embed__text *previous;
    struct embed__text *next;
    struct embed__batch *batch;
    struct embed__waiter *waiters;
    enum cx_embed_kind kind;
    enum embed__text_state state;
    bool listed; /* in the table: who asks for the same joins it */
    bool asked;  /* LOOKING: its look-up is under way */
    bool truncated;
    bool remembered; /* its vector is in the cache in memory */
    uint64_t arrived_ms;
    size_t tokens;
    size_t len; /* what goes out */
    char bytes[];
};

enum embed__caller_state { CALLER_PREPARING, CALLER_ASKING, CALLER_ENDING, CALLER_DONE };

struct embed__caller { /* owner: the batcher, from start to embed__finish */
    struct cx_embed_call base;
    enum embed__caller_state state;
    struct embed__caller *previous; /* among all that are not done */
    struct embed__caller *next;     /* among these, or among the done */
    size_t heap_at;
    uint64_t deadline_ms;
    size_t remaining;              /* texts without a vector */
    unsigned dimension;            /* of the vectors that are there */
    struct embed__waiter *waiters; /* one a text */
    struct embed__text **made;     /* by prepare_work; one a text */
    size_t asked;                  /* so many of its texts … */
    uint64_t asked_ms;             /* … from when on; all count as of then */
    bool asking;                   /* the rest in a later turn: it is in the batcher's list */
    struct embed__caller *asking_next;
    struct cx_job *job;
    bool admitted;      /* its texts may be asked for, though the circuit was not closed */
    bool out_of_memory; /* says prepare_work */
    atomic_bool stop;   /* tells prepare_work */
    size_t reserved_texts;
    size_t reserved_bytes;
    char traceparent[64];
};

enum embed__batch_state {
    BATCH_GONE,
    BATCH_WAITING,
    BATCH_FLYING,
    BATCH_ABANDONED,
    BATCH_DELIVERING
};

/* What is spent on finding the refused texts of one call; shared by the pieces of that call. */
struct embed__split {
    size_t batches;
    size_t calls_left;
};

struct embed__batch { /* owner: the batcher */
    struct embed__batcher *batcher;
    struct embed__batch *previous;
    struct embed__batch *next;
    enum cx_embed_kind kind;
    enum embed__batch_state state;
    bool held; /* is being worked on: not to be freed when its last waiter leaves */
    struct embed__text **texts; /* a place is NULL once its text is gone */
    struct cx_str *strings;
    size_t count;
    size_t live; /* texts that somebody waits for */
    struct cx_embed_call *call;
    uint64_t sent_ms;
    uint64_t epoch;    /* of the breaker */
    unsigned attempts; /* that failed */
    uint64_t due_ms;   /* WAITING */
    struct embed__split *split;
    float *vectors; /* DELIVERING */
    unsigned dimension;
    size_t delivered;
    uint64_t round;          /* of embed__deliver, when it last came by */
    struct embed__rows rows; /* for the cache on disk; without vectors yet */
};

struct embed__text_list {
    struct embed__text *first;
    struct embed__text *last;
    size_t count;
    size_t tokens;
};

struct embed__batcher { /* owner: who made it */
    struct cx_embedder base;
    struct cx_batcher_options options;
    struct cx_embedder *inner;
    struct cx_timer *timer;
    uint64_t armed_ms; /* when the timer fires; UINT64_MAX = it does not */
    bool flushing;
    struct cx_random random;
    uint8_t key[16];

    struct embed__caller *callers;
    struct embed__caller *done_first;
    struct embed__caller *done_last;
    struct embed__caller *asking_first; /* in the order of arrival */
    struct embed__caller **heap;        /* by deadline */
    size_t heap_count;
    size_t heap_cap;

    struct embed__text **table;
    size_t table_mask;
    struct embed__text_list looking[2]; /* by kind; in the order of arrival */
    struct embed__text_list ready[2];
    bool look_up[2]; /* a look-up is under way */
    size_t texts;    /* held in all, and reserved */
    size_t bytes;

    struct embed__batch *batches;
    unsigned calls; /* FLYING or ABANDONED */
    unsigned document_calls;
    size_t waiting; /* batches in these two states */
    size_t delivering;
    uint64_t round;
    uint64_t pause_until_ms; /* the service's own wish */

    struct cx_breaker breaker;
    enum cx_circuit shown;
    uint64_t opened_shown;
    uint64_t refused;
    struct cx_err last_err;
    struct cx_retry_budget budget;
    struct embed__memory *memory; /* NULL = none */
    struct embed__disk *disk;     /* NULL = none */

    struct cx_series *calls_ok;
    struct cx_series *calls_failed;
    struct cx_series *calls_refused;
    struct cx_series *calls_dropped;
    struct cx_series *call_texts;
    struct cx_series *calls_active;
    struct cx_series *retries_made;
    struct cx_series *retries_denied;
    struct cx_series *splits;
    struct cx_series *joined;
    struct cx_series *queue_texts;
    struct cx_series *queue_bytes;
    struct cx_series *shed_queue;
    struct cx_series *shed_circuit;
    struct cx_series *shed_rate_limit;
    struct cx_series *circuit;
    struct cx_series *circuit_opened;
    struct cx_series *cache_memory;
    struct cx_series *cache_disk;
    struct cx_series *cache_miss;
    struct cx_series *cache_bytes;
    struct cx_series *cache_evicted;
};

/* ---- batcher.c ---- */

uint64_t embed__batcher_now_ms(const struct embed__batcher *b);
/* What is left goes on in the loop's next iteration. Never under a clock of the test's own. */
bool embed__batcher_turn_over(const struct embed__batcher *b);
void embed__batcher_arm(struct embed__batcher *b); /* sets the timer to what is due next */
/* Sees to what is due: deadlines, the circuit, batches that may go out. */
void embed__batcher_settle(struct embed__batcher *b);
/* Tells those who are done, then sets the timer. At the end of what the loop calls. */
void embed__batcher_flush(struct embed__batcher *b);
/* What the timer does when it fires; for tests with a clock of their own. */
void embed__batcher_fire(struct cx_embedder *e);
void embed__batcher_metrics(struct embed__batcher *b); /* sets the series up */

/* ---- batcher_callers.c ---- */

enum cx_status embed__caller_start(struct cx_embed_call *base, struct cx_err *err);
void embed__caller_cancel(struct cx_embed_call *base);
void embed__caller_release(struct cx_embed_call *base);
/* What is left of its place in the queue; what it has asked for counts by itself. */
void embed__caller_unreserve(struct embed__batcher *b, struct embed__caller *c);
/* Ends a caller, unless it has ended: it leaves what it shares with others, and is told later. text
 * NULL = the status's own. */
void embed__caller_end(struct embed__batcher *b, struct embed__caller *c, enum cx_status status,
                       const char *text);

/* ---- batcher_ask.c ---- */

/* Each text of the caller from the cache, from an equal one under way, or as a new one. What a turn of the
 * loop has no time for goes on with embed__ask_on. */
void embed__caller_ask(struct embed__batcher *b, struct embed__caller *c);
void embed__ask_on(struct embed__batcher *b);
void embed__ask_no_more(struct embed__batcher *b, struct embed__caller *c);

/* ---- batcher_texts.c ---- */

void embed__digest(enum cx_embed_kind kind, struct cx_str bytes, uint8_t digest[CX_SHA256_BYTES]);
/* Cut to what the model takes; NULL when memory is out. Any thread. */
struct embed__text *embed__text_new(const struct cx_batcher_options *options,
                                    enum cx_embed_kind kind, struct cx_str bytes,
                                    const uint8_t digest[CX_SHA256_BYTES]);
struct embed__text *embed__text_find(const struct embed__batcher *b,
                                     const uint8_t digest[CX_SHA256_BYTES]);
/* A new one: into the table and the list that it belongs to. */
void embed__text_list(struct embed__batcher *b, struct embed__text *t, uint64_t now_ms);
/* Gives one text's vector to one caller, who is done with the last of them. */
void embed__waiter_place(struct embed__batcher *b, struct embed__waiter *w, const float *vector,
                         unsigned dimension, bool truncated);
/* One text has its vector: for the cache in memory … */
void embed__text_remember(struct embed__batcher *b, struct embed__text *t, const float *vector,
                          unsigned dimension);
/* … and for those who wait, so many of them at most: how many got it. With the last of them a text
 * that is in no batch is freed. */
size_t embed__text_answer(struct embed__batcher *b, struct embed__text *t, const float *vector,
                          unsigned dimension, size_t most);
/* A waiter leaves its text; what nobody waits for any more goes. in_vain: its time was over. */
void embed__waiter_leave(struct embed__batcher *b, struct embed__waiter *w, bool in_vain);
void embed__text_free(struct embed__batcher *b, struct embed__text *t);   /* of no list */
void embed__text_unlist(struct embed__batcher *b, struct embed__text *t); /* from the table */
void embed__list_append(struct embed__text_list *list, struct embed__text *t);
void embed__list_remove(struct embed__text_list *list, struct embed__text *t);
void embed__look_up(struct embed__batcher *b); /* starts the next look-ups */
/* It is not on disk, or that would take too long. */
void embed__text_make_ready(struct embed__batcher *b, struct embed__text *t);
/* The dimension of what comes now; when it is another, what is remembered is forgotten. */
void embed__batcher_learn(struct embed__batcher *b, unsigned dimension);
int64_t embed__now_s(void);

/* ---- batcher_calls.c ---- */

void embed__dispatch(struct embed__batcher *b); /* sends all that may go out now */
/* When embed__dispatch has something to do next; UINT64_MAX = not by time. */
uint64_t embed__dispatch_due_ms(const struct embed__batcher *b);
struct embed__batch *embed__batch_new(struct embed__batcher *b, enum cx_embed_kind kind,
                                      size_t room);
void embed__batch_move(struct embed__batch *batch, enum embed__batch_state state);
void embed__batch_free(struct embed__batch *batch); /* with the texts that are left in it */
void embed__batch_abandon(struct embed__batch *batch, bool in_vain);
void embed__batch_trim(struct embed__batch *batch); /* of texts that nobody waits for */

/* ---- batcher_answers.c ---- */

/* The call succeeded; batch is FLYING, its call is back. */
void embed__batch_answered(struct embed__batch *batch, struct cx_embed_result *result);
/* Slices of the answers that are not given out yet, for as long as the turn lasts. */
void embed__deliver(struct embed__batcher *b);

/* ---- batcher_fail.c ---- */

/* The call failed; batch is FLYING, its call is back. */
void embed__batch_failed(struct embed__batch *batch, const struct cx_embed_result *result);
void embed__pause(struct embed__batcher *b, uint64_t ms);
/* The circuit has opened: who is not in a call already is told. */
void embed__fail_waiting(struct embed__batcher *b);
/* For something that is in no call; what is still looked up on disk may come from there. */
bool embed__caller_waits(const struct embed__caller *c);
/* This text is not on disk and has become READY: ends those who may not ask the provider for it, perhaps
 * with it and others. While the circuit is not closed, who comes first probes, and others do not wait for
 * the outcome. */
void embed__text_judge(struct embed__batcher *b, struct embed__text *t);
void embed__caller_end_circuit(struct embed__batcher *b, struct embed__caller *c);
void embed__caller_end_paused(struct embed__batcher *b, struct embed__caller *c);

#endif
