/* SPDX-License-Identifier: MIT
 *
 * embed: texts → vectors. A provider turns them; what it is made of is its own affair.
 *
 * Threads: cx_embedder_start on the loop; a local provider's blocking half (cx_embed_now) on a
 * worker or at start-up.
 */
#ifndef CORTEX_EMBED_H
#define CORTEX_EMBED_H

#include "cortex/base.h"
#include "cortex/loop.h"
#include "cortex/store.h"

struct cx_embedder; /* a provider, ready */

struct cx_embedder_info {
    const char *provider; /* "builtin", "openai" … */
    const char *model;
    unsigned dimension; /* 0 = not known before the first answer */
    /* Hex digest over provider, model, the dimension that is asked for or known, parameters:
     * vectors of two fingerprints never mix. It stays the same when a dimension is learned. */
    char fingerprint[65];
    size_t memory_bytes; /* of a model that is held here; 0 = there is none */
};

struct cx_embed_openai_options {
    struct cx_fetch *fetch;
    /* "https://api.openai.com/v1", or "unix:/path": who listens there. May end in a slash, or in the
     * whole "/embeddings?…"; without a path it is /v1, of Azure the deployment called `model`. */
    const char *base_url;
    const char *api_key;     /* copied; NULL = no key is sent */
    bool azure;              /* the key goes as "api-key", not as "Authorization: Bearer" */
    const char *api_version; /* the query api-version=; NULL = none */
    const char *model;
    unsigned dimensions;         /* 0 = the model's own */
    struct cx_lane *lane;        /* where answers are decoded */
    uint64_t timeout_ms;         /* of one call; never longer than the request's own deadline */
    uint64_t connect_timeout_ms; /* of these three 0 = a default, for the rest of the call */
    uint64_t first_byte_timeout_ms;
    uint64_t low_speed_bytes; /* a second, the least that an answer may bring on its way … */
    uint64_t low_speed_ms;    /* … for so long; 0 = any pace */
};

/* The embedded default: hashed word stems and character 4-grams, weighted, 768 dimensions. No
 * network, no key, no download. */
void cx_embedder_builtin(struct cx_lane *cpu_lane, struct cx_embedder **out);
enum cx_status cx_embedder_openai(const struct cx_embed_openai_options *options,
                                  struct cx_embedder **out, struct cx_err *err) CX_MUST_CHECK;

/* ---- A model of the hub, run here ----------------------------------------------------------------
 * A sentence-transformers directory (BERT family, WordPiece): its safetensors, its tokenizer, its
 * pooling, its prompts. Nothing is downloaded. Several texts are computed at once, at most some 512
 * tokens in one job, queries before documents. */
enum cx_embed_precision {
    CX_EMBED_PRECISION_AUTO, /* the fastest that costs next to nothing on this processor */
    CX_EMBED_FLOAT32,
    CX_EMBED_BFLOAT16,
    CX_EMBED_INT8
};
struct cx_embed_huggingface_options {
    const char *directory;
    const char *model; /* its name, for info and fingerprint */
    enum cx_embed_precision precision;
    const char *kernel;       /* NULL = the best; else one of a name, for tests */
    const char *query_prompt; /* what is put in front of a text; NULL = what the model says */
    const char *document_prompt;
    struct cx_loop *loop;
    struct cx_lane *lane;
    unsigned parallel; /* jobs of one kind that may wait or run at once: the lane's threads */
};
/* Blocking, a fraction of a second: at start-up. Loads the model and embeds a first text. NOT_FOUND
 * (with what belongs where), INVALID (with file and tensor), NOT_CONFIGURED (no such kernel, or not for
 * this precision). */
enum cx_status cx_embedder_huggingface(const struct cx_embed_huggingface_options *options,
                                       struct cx_embedder **out, struct cx_err *err) CX_MUST_CHECK;

/* Needs that nothing is under way. */
void cx_embedder_free(struct cx_embedder **e);
void cx_embedder_info(const struct cx_embedder *e, struct cx_embedder_info *out);

enum cx_embed_kind { CX_EMBED_QUERY, CX_EMBED_DOCUMENT };
struct cx_embed_result {
    enum cx_status status;
    struct cx_err err;
    unsigned dimension;
    size_t count;
    /* count × dimension, row after row, each of length 1 (or all zero); the receiver's to free().
     * NULL unless status is CX_OK. */
    float *vectors;
    size_t truncated; /* texts that were longer than the model takes */
    bool *cut;        /* … and which, one a text; NULL = not known. Lent until on_done returns */
    uint64_t elapsed_ns;
    /* With a failure: not before this the service wants to be asked again; with CX_OK: the same, as
     * its limit is used up. 0 = nothing said. */
    uint64_t retry_after_ms;
    bool input_refused; /* the service answered, and refused what it was asked (400, 413, 422) */
};
typedef void (*cx_embed_fn)(void *ctx, struct cx_embed_result *result);
struct cx_embed_call;
/* texts (the array and the bytes, valid UTF-8) live until on_done, which comes exactly once, on
 * the loop, never within this call. timeout_ms: what is left of the request. traceparent may be
 * NULL; it is copied. A refusal (CX_OVERLOADED, CX_TOO_LARGE for over 32,768 texts …) is returned
 * and on_done does not come. */
enum cx_status cx_embedder_start(struct cx_embedder *e, enum cx_embed_kind kind,
                                 const struct cx_str *texts, size_t count, uint64_t timeout_ms,
                                 const char *traceparent, cx_embed_fn on_done, void *ctx,
                                 struct cx_embed_call **out, struct cx_err *err) CX_MUST_CHECK;
void cx_embed_call_cancel(struct cx_embed_call *call); /* on_done comes all the same */

/* The tokens that a model of this machine makes of texts, as far as it reads them; false for a
 * provider that does not count itself. Any thread. */
bool cx_embedder_count_tokens(const struct cx_embedder *e, enum cx_embed_kind kind,
                              const struct cx_str *texts, size_t count, size_t *out);

/* Blocking, of a local provider; vectors: dimension floats, of length 1 (or all zero for a text
 * with no features). Worker. */
void cx_embed_builtin_text(struct cx_str text, float *vector);
#define CX_EMBED_BUILTIN_DIMENSION 768

/* ---- In front of a provider -----------------------------------------------------------------------
 * cx_embedder_batched wraps a provider in another one, with the same contract: what callers ask
 * for at about the same time goes out as one call; equal texts (of one kind) that are under way
 * are asked for once; what is known is taken from a cache by model fingerprint and SHA-256 of the
 * text, in memory, then in SQLite; a failure is tried again where that can help and the callers
 * have the time; a provider that fails goes unasked for a while (circuit breaker).
 *
 * To each caller its own fate: CX_EMBEDDING_TIMEOUT when its time is over, though the call goes on
 * for the others; CX_INVALID when a text of its own was refused, the others get theirs. Returned
 * by start: CX_INVALID (an empty text), CX_OVERLOADED (too much is waiting), CX_TOO_LARGE (more
 * than may ever wait). Everything else comes by on_done: CX_EMBEDDING_CIRCUIT_OPEN in the loop's
 * next iteration, CX_EMBEDDING_RATE_LIMITED as soon as it is clear that the service's pause
 * outlasts the caller.
 *
 * Breaker: failures are calls that ended as CX_EMBEDDING_UPSTREAM, _TIMEOUT or _UNAUTHORIZED
 * (which is never tried again: the key will not get better within a request), and calls that
 * everybody waited for in vain. A refused text and a rate limit are answers: the service is there.
 * What happens in this process (CX_OVERLOADED …) says nothing of it.
 */
struct cx_circuit_info {
    enum cx_circuit state;
    unsigned failures;      /* in a row, while closed */
    uint64_t retry_in_ms;   /* until a call may go out: of an open circuit, or of a rate limit */
    uint64_t opened;        /* how often it has opened */
    uint64_t refused;       /* callers that an open circuit turned away */
    struct cx_err last_err; /* of the last failure; "" = none yet */
};

struct cx_batcher_options { /* cx_batcher_defaults first, then what is to differ */
    struct cx_loop *loop;
    struct cx_embedder *inner; /* taken over when CX_OK is returned */
    struct cx_lane *cpu_lane;  /* where long texts are hashed and counted; NULL = on the loop */
    struct cx_store *store;    /* with cx_embed_migrations; NULL = nothing is kept on disk */
    struct cx_lane *read_lane;
    struct cx_lane *write_lane;

    uint64_t window_ms; /* how long a text waits for company; 0 = not */
    unsigned calls_max; /* of the provider, at once; at least 2 */
    /* Of these for documents: fewer than calls_max, so that a query always finds one. */
    unsigned document_calls_max;
    size_t inputs_max;       /* a call */
    size_t tokens_max;       /* a call */
    size_t input_tokens_max; /* a text; what is longer is cut and counted as truncated */
    size_t queue_texts_max;  /* held in all, those under way included */
    size_t queue_bytes_max;

    size_t cache_memory_bytes; /* 0 = none */
    size_t cache_disk_rows;    /* 0 = none */
    size_t cache_disk_bytes;   /* of vectors */

    unsigned attempts_max;      /* calls for one batch; 1 = nothing is tried again */
    uint64_t retry_base_ms;     /* full jitter: 0 to base · 2^n … */
    uint64_t retry_cap_ms;      /* … but at most this */
    unsigned retry_percent;     /* of calls that may be second tries … */
    unsigned retry_reserve;     /* … and so many more a minute */
    uint64_t pause_max_ms;      /* the longest Retry-After that is believed */
    unsigned breaker_failures;  /* in a row, to open; 0 = no breaker */
    unsigned breaker_successes; /* in a row, to close */
    uint64_t breaker_open_ms;
    /* A call that everybody waited for in vain, for at least so long, is a failure. */
    uint64_t breaker_slow_ms;

    /* Any thread. NULL = a third of the bytes. cut: bytes of the longest prefix, of whole
     * characters, of at most max_tokens; NULL = by bytes. */
    size_t (*count_tokens)(void *ctx, struct cx_str text);
    size_t (*cut_tokens)(void *ctx, struct cx_str text, size_t max_tokens);
    void *tokens_ctx;
    /* After each change; must not call the embedder. NULL = nobody listens. */
    void (*on_circuit)(void *ctx, enum cx_circuit state);
    void *circuit_ctx;
    /* Monotonic; NULL = the clock. Where it is given, the timer fires for what is due already
     * only. */
    uint64_t (*now_ms)(void *ctx);
    void *now_ctx;
};
/* remote: a service that costs time and money. Else one on this machine: no window, no retries, no
 * breaker, nothing on disk, limits that do not show. */
void cx_batcher_defaults(bool remote, struct cx_batcher_options *out);
enum cx_status cx_embedder_batched(const struct cx_batcher_options *options,
                                   struct cx_embedder **out, struct cx_err *err) CX_MUST_CHECK;
/* Always closed for a provider that has no breaker. */
void cx_embedder_circuit(const struct cx_embedder *e, struct cx_circuit_info *out);
/* Nothing is under way, neither calls nor what follows them (cancelled calls, writes of the
 * cache): it may be freed. */
bool cx_embedder_idle(const struct cx_embedder *e);

/* What the cache on disk has been given up to now, and whether all of it has been written, or given up. */
uint64_t cx_embedder_cache_mark(const struct cx_embedder *e);
bool cx_embedder_cache_written(const struct cx_embedder *e, uint64_t mark);

/* A text was deleted: a part of the caller's transaction. */
enum cx_status cx_embed_note_gone(struct cx_db *db, struct cx_str content,
                                  struct cx_err *err) CX_MUST_CHECK;
/* Removes what the cache on disk has of such texts, some of them. *more: call again. Write lane. */
enum cx_status cx_embed_forget_gone(struct cx_db *db, bool *more, struct cx_err *err) CX_MUST_CHECK;

extern const struct cx_migration cx_embed_migrations[];
extern const size_t cx_embed_migration_count;

#endif
