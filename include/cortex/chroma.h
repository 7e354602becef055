/* SPDX-License-Identifier: MIT
 *
 * chroma: documents and vectors kept by a Chroma server, by its REST API v2. An operation is a struct
 * that says what is to be done and takes in what came of it. It goes over cx_fetch, within its time, is
 * tried again where that can help, and is refused at once while the server fails (circuit breaker).
 * Several daemons may work on one server: nothing is kept here but which collection has which id.
 *
 * Threads: the loop. Bodies are written and answers read on the lane; what an operation points to is
 * therefore the lane's until its end.
 */
#ifndef CORTEX_CHROMA_H
#define CORTEX_CHROMA_H

#include <jansson.h>

#include "cortex/base.h"
#include "cortex/loop.h"

struct cx_chroma;
struct cx_chroma_options {
    struct cx_loop *loop;
    struct cx_fetch *fetch;
    struct cx_lane *lane; /* for computing */
    const char *url;      /* http:// or https://, of the server; a path is kept */
    const char *tenant;
    const char *database;
    const char *collection; /* what "default" is called there; others are COLLECTION.NAME */
    const char *token;      /* NULL = none is sent */
    bool bearer;            /* as Authorization: Bearer; else as X-Chroma-Token */
    uint64_t timeout_ms;    /* of one try */
    uint64_t connect_timeout_ms;
    unsigned attempts_max;
    unsigned breaker_failures; /* 0 = never opens */
    uint64_t breaker_open_ms;
    const char *provider; /* of the embedder that is configured */
    const char *model;
    const char *fingerprint;
    void (*on_circuit)(void *ctx, enum cx_circuit state); /* or NULL */
    void *circuit_ctx;
};
/* CX_INVALID where a setting is none. Strings are copied. */
enum cx_status cx_chroma_new(const struct cx_chroma_options *options, struct cx_chroma **out,
                             struct cx_err *err) CX_MUST_CHECK;
/* Needs that no operation is under way (CX_CHECK). */
void cx_chroma_free(struct cx_chroma **chroma);
size_t cx_chroma_active(const struct cx_chroma *chroma);
/* CX_INVALID where Chroma could not call a collection so. */
enum cx_status cx_chroma_check_name(const struct cx_chroma *chroma, struct cx_str collection,
                                    struct cx_err *err) CX_MUST_CHECK;
enum cx_circuit cx_chroma_circuit(const struct cx_chroma *chroma);

#define CX_CHROMA_DOCUMENTS_MAX 5000 /* in one operation */

/* To be stored. */
struct cx_chroma_document {
    struct cx_str doc_id;
    struct cx_str content;
    struct cx_str uri;
    struct cx_str summary;  /* p NULL = none */
    struct cx_str metadata; /* JSON text of an object */
    json_t *flat;           /* the same as pairs of key and scalar; the caller's */
    const float *vector;
    /* CX_CHROMA_LOOK finds out, CX_CHROMA_PUT needs it: */
    bool there;
    bool unchanged; /* all of it */
    char hash[65];  /* of all that is stored of it */
    json_t *before; /* the pairs that are stored; the caller's to free */
};

enum cx_chroma_verb {
    CX_CHROMA_LOOK, /* docs: which of them are stored, and as they are now? */
    CX_CHROMA_PUT,  /* docs, but unchanged ones: upsert; makes the collection */
    CX_CHROMA_GET,  /* ids → answer: [document as GET /vector/documents/{doc_id} shows it] */
    CX_CHROMA_IDS, /* ids, or where → answer: [doc_id] of those that are wanted; count of those that
                         came, at most limit */
    CX_CHROMA_WALK, /* part, parts → answer: [doc_id] of these, but up to `after`, in the order of parts and
                         within each by doc_id; count of those that came, at most limit */
    CX_CHROMA_DELETE, /* ids */
    CX_CHROMA_COUNT,  /* → count */
    CX_CHROMA_QUERY,  /* query, where, limit → answer: [Hit], by score, ties by doc_id */
    CX_CHROMA_LIST, /* from offset, at most limit → answer: [{"name","status","provider","model","dimension"}], count
                         of all that were looked at */
    CX_CHROMA_DROP /* the collection with all that is in it */
};
/* Whose vectors an operation brings: they must be those that the collection holds. */
enum cx_chroma_vectors { CX_CHROMA_NO_VECTORS, CX_CHROMA_OURS, CX_CHROMA_CLIENTS };
enum cx_chroma_include {
    CX_CHROMA_WITH_CONTENT = 1, /* and its times, of CX_CHROMA_GET */
    CX_CHROMA_WITH_VECTOR = 2   /* as an array of numbers */
};

/* Every document is in one of so many parts, by its id: all of a collection are walked through part by part,
 * which misses none whatever comes and goes meanwhile, as counting places would. */
#define CX_CHROMA_PARTS 4096
unsigned cx_chroma_part(struct cx_str doc_id);

struct cx_chroma_call;
struct cx_chroma_op {
    enum cx_chroma_verb verb;
    struct cx_str collection; /* all names and pointers live until the end */
    enum cx_chroma_vectors vectors;
    unsigned dimension; /* of them */
    struct cx_chroma_document *docs;
    size_t doc_count;
    const struct cx_str *ids;
    size_t id_count;
    const json_t *where;
    const float *query;
    unsigned include;
    size_t limit;
    size_t offset;
    unsigned part;
    unsigned parts;
    struct cx_str after;                         /* p NULL = none */
    size_t answer_bytes_max;                     /* CX_TOO_LARGE beyond; 0 = 128 MiB */
    bool (*wanted)(void *ctx, struct cx_str id); /* CX_CHROMA_IDS; or NULL: all. On the lane */
    void *wanted_ctx;
    uint64_t time_ms;        /* for all of it */
    const char *traceparent; /* or NULL; copied */

    enum cx_status status;
    struct cx_err err;
    uint64_t retry_after_ms;      /* 0 = not known */
    enum cx_chroma_vectors holds; /* the collection; CX_CHROMA_NO_VECTORS: another model's */
    bool absent;                  /* "default" is not there yet: nothing is in it */
    json_t *answer;               /* freed by cx_chroma_op_end, or taken */
    size_t answer_bytes;          /* of the text it was read from */
    size_t count;

    struct cx_chroma_call *call; /* while it is under way */
};
/* on_done comes on the loop, exactly once, never before this has returned. Another status: it does not
 * come, and op->status is not set. CX_VECTOR_CIRCUIT_OPEN, CX_OVERLOADED, CX_INVALID (a name that Chroma
 * cannot have). */
enum cx_status cx_chroma_start(struct cx_chroma *chroma, struct cx_chroma_op *op,
                               void (*on_done)(void *ctx), void *ctx,
                               struct cx_err *err) CX_MUST_CHECK;
/* on_done comes later, with CX_CANCELLED or with what has come by then. */
void cx_chroma_cancel(struct cx_chroma_op *op);
/* Frees what came of it; the struct may then be zeroed and used again. */
void cx_chroma_op_end(struct cx_chroma_op *op);

#endif
