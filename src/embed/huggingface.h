/* SPDX-License-Identifier: MIT
 *
 * What the files of the huggingface provider share.
 *
 * A call is a queue of texts; a slice is a job on the lane that takes some texts of one kind, of
 * whichever calls have them, some SLICE_TOKENS in all. Slices are made one by one as others end, so
 * that what came meanwhile goes into the next one together, and so few at once that a query never
 * stands behind more than one slice of documents on each worker.
 *
 *   call   WAITING --its last text is in a slice--> TAKEN --that slice is back--> ENDED
 *             '--cancelled, or its time is over-----------> ENDING --none is out--> ENDED
 *
 *   huggingface.c         loads the model, makes the provider, counts tokens
 *   huggingface_calls.c   calls, slices, and their end
 *   huggingface_work.c    what a worker does with a slice
 *
 * Threads: the loop, except the work; what both touch is said where it stands.
 */
#ifndef CORTEX_EMBED_HUGGINGFACE_H
#define CORTEX_EMBED_HUGGINGFACE_H

#include <pthread.h>
#include <stdatomic.h>

#include "embed_internal.h"
#include "encoder.h"
#include "model.h"

#define EMBED__SLICE_TOKENS 512 /* that are computed at once: some 20 to 50 ms of MiniLM */
#define EMBED__SLICE_TEXTS 64

enum embed__hf_state { HF_WAITING, HF_TAKEN, HF_ENDING, HF_ENDED };

struct embed__hf_call {
    struct cx_embed_call base;
    enum embed__hf_state state;
    struct embed__hf_call *next; /* of its kind, while WAITING; among the ended */
    size_t taken;                /* texts that are in a slice, or were */
    size_t out;                  /* of them, those that are not back */
    enum cx_status status;       /* of the first failure */
    const char *why;             /* static; NULL = the status's own words */
    atomic_bool stop;            /* tells the workers that nobody waits any more */
};

/* What one worker works in. */
struct embed__bench { /* owner: the provider; one slice's at a time */
    struct embed__bench *next;
    struct embed__scratch *scratch;
    struct embed__tokens tokens;
    struct cx_buf prompted; /* a prompt and a text behind it */
    float *vectors;         /* EMBED__SLICE_TEXTS of them */
};

struct embed__slice { /* owner: the provider; the worker's while it runs */
    struct embed__hf *provider;
    struct embed__slice *next; /* among the spare */
    struct cx_job *job;
    enum cx_embed_kind kind;
    struct embed__hf_call *calls[EMBED__SLICE_TEXTS];
    size_t indices[EMBED__SLICE_TEXTS]; /* of the texts in their calls */
    size_t count;
    enum cx_status status; /* by the worker */
};

struct embed__hf { /* owner: who made it */
    struct cx_embedder base;
    struct embed__model *model;
    struct embed__encoder *encoder;
    struct cx_lane *lane;
    struct cx_timer *timer; /* ends calls that nothing else would */
    unsigned parallel;      /* slices of one kind at once */
    struct {
        struct embed__hf_call *first; /* WAITING */
        struct embed__hf_call *last;
        unsigned running; /* slices */
    } kinds[2];
    bool refused;                       /* by the lane, since the timer last fired */
    struct embed__hf_call *ended_first; /* to be told */
    struct embed__hf_call *ended_last;
    struct embed__slice *spare;
    pthread_mutex_t lock; /* over the benches */
    struct embed__bench *benches;
    size_t bench_bytes; /* of all there are */
    struct cx_series *memory_gauge;
    struct cx_series *tokens_counter;
    struct cx_series *truncated_counter;
};

/* ---- huggingface_calls.c ---- */
enum cx_status embed__hf_start(struct cx_embed_call *base, struct cx_err *err);
void embed__hf_cancel(struct cx_embed_call *base);
void embed__hf_on_time(void *provider);
void embed__hf_free_slices(struct embed__hf *e);

/* ---- huggingface_work.c ---- */
void embed__slice_work(void *slice);
/* One text's ids behind what tokens holds; a prompt of the kind in front of it. */
enum cx_status embed__hf_tokenize(const struct embed__hf *e, enum cx_embed_kind kind,
                                  struct cx_str text, struct embed__bench *bench, bool *truncated);
struct embed__bench *embed__bench_take(struct embed__hf *e);
void embed__bench_return(struct embed__hf *e, struct embed__bench *bench);
void embed__bench_free(struct embed__bench *bench);
size_t embed__hf_memory(struct embed__hf *e);

#endif
