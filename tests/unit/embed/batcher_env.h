/* SPDX-License-Identifier: MIT
 *
 * What the tests of the batcher share: a provider that does nothing by itself and says what it was
 * asked, a clock that stands still until the test moves it, and callers that remember how they ended.
 * Nothing here runs the loop: the test plays the timer's and the provider's part.
 */
#ifndef CORTEX_TEST_BATCHER_ENV_H
#define CORTEX_TEST_BATCHER_ENV_H

#include "embed/batcher.h"
#include "test.h"

#define BENCH_DIMENSION 8

/* The vector that the scripted provider gives for a text. */
void vector_of(enum cx_embed_kind kind, struct cx_str text, float vector[BENCH_DIMENSION]);

struct scripted_call {
    struct cx_embed_call base;
    struct scripted_call *next;
    bool cancelled;
    size_t number; /* from 1, in the order of their start */
    uint64_t timeout_ms;
};
struct scripted { /* the provider */
    struct cx_embedder base;
    struct scripted_call *calls; /* in flight, oldest first */
    size_t in_flight;
    size_t started;
    size_t cancelled;
    size_t texts;                /* asked in all */
    enum cx_status refuse_start; /* CX_OK = not */
    void (*on_start)(void *ctx, struct scripted_call *call);
    void *ctx;
};
void scripted_new(struct scripted **out);
struct scripted_call *scripted_find(struct scripted *s, size_t number); /* NULL = not in flight */
void scripted_answer(struct scripted *s, size_t number);
struct failure {
    enum cx_status status;
    uint64_t retry_after_ms;
    bool input_refused;
    const char *text;
};
void scripted_fail(struct scripted *s, size_t number, struct failure how);
/* Whether call `number` asks for exactly these texts, in this order; "a,b,c". */
bool scripted_asks(struct scripted *s, size_t number, const char *texts);

struct bench {
    struct cx_loop *loop;
    struct scripted *inner;
    struct cx_embedder *e;
    uint64_t now_ms;
    enum cx_circuit circuits[16]; /* what on_circuit was told */
    size_t circuit_count;
};
/* The defaults of a remote provider, but no cache and nothing of chance: no jitter. */
void bench_options(struct bench *b, struct cx_batcher_options *o);
void bench_open(struct bench *b, const struct cx_batcher_options *o); /* after bench_options */
void bench_close(struct bench *b);             /* checks that nothing is left */
void bench_pass(struct bench *b, uint64_t ms); /* moves the clock, then fires */

struct ask {
    struct bench *bench;
    struct cx_embed_call *call;
    char texts[256]; /* "a,b,c", cut in place */
    struct cx_str strings[16];
    size_t count;
    enum cx_embed_kind kind;
    unsigned completions;
    bool starting;
    struct cx_embed_result result;
};
enum cx_status ask_start(struct bench *b, struct ask *a, enum cx_embed_kind kind, const char *texts,
                         uint64_t timeout_ms);
void ask_cancel(struct ask *a);
/* It has ended once, with this status; with CX_OK its vectors are those of its texts. */
void ask_expect(struct ask *a, enum cx_status status);
bool ask_waits(const struct ask *a);
void ask_free(struct ask *a);

#endif
