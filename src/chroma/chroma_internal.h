/* SPDX-License-Identifier: MIT
 *
 * Inside chroma: the store, a call with its phases, and what is written and read.
 */
#ifndef CORTEX_CHROMA_INTERNAL_H
#define CORTEX_CHROMA_INTERNAL_H

#include "cortex/chroma.h"
#include "cortex/metrics.h"

#define CHROMA__NAME_BYTES 512
#define CHROMA__ID_BYTES 64
#define CHROMA__COLLECTIONS_MAX 1024 /* that are known by their ids; then all are asked for again */

/* What a collection's metadata say of its vectors. */
struct chroma__collection {
    char name[CHROMA__NAME_BYTES + 1]; /* as Chroma has it */
    char id[CHROMA__ID_BYTES + 1];
    bool ours;      /* Cortex has made it */
    bool of_client; /* clients bring its vectors */
    char fingerprint[65];
    char provider[65];
    char model[257];
    unsigned dimension;
};

struct cx_chroma {
    struct cx_chroma_options options;
    char *base; /* …/collections */
    char *prefix;
    char *token_header;
    char *provider;
    char *model;
    char *fingerprint;
    struct chroma__collection *known;
    size_t known_count;
    struct cx_breaker breaker;
    struct cx_retry_budget budget;
    struct cx_random random;
    size_t active;
    struct cx_series *ok;
    struct cx_series *failed;
    struct cx_series *refused;
    struct cx_series *retries;
    struct cx_series *circuit;
    struct cx_series *seconds;
};

/* chroma.c */
struct chroma__collection *chroma__known(struct cx_chroma *c, const char *name);
void chroma__remember(struct cx_chroma *c, const struct chroma__collection *collection);
void chroma__forget(struct cx_chroma *c, const char *name);
/* CX_INVALID where Chroma could not call it so. */
enum cx_status chroma__name_of(const struct cx_chroma *c, struct cx_str collection,
                               char name[CHROMA__NAME_BYTES + 1], struct cx_err *err) CX_MUST_CHECK;
bool chroma__name_valid(const char *name);
void chroma__circuit_told(struct cx_chroma *c, enum cx_circuit before);

/* write.c: the bodies of requests. Worker. */
void chroma__write_body(struct cx_chroma_op *op, struct cx_buf *out);
void chroma__write_collection(const struct cx_chroma *c, const char *name,
                              const struct cx_chroma_op *op, struct cx_buf *out);

/* read.c: what answers say. CX_VECTOR_UPSTREAM where it is not what Chroma answers. */
enum cx_status chroma__read_answer(const struct cx_chroma *c, struct cx_chroma_op *op,
                                   struct cx_str body, struct cx_err *err) CX_MUST_CHECK;
bool chroma__read_collection(const json_t *json, struct chroma__collection *out);
enum cx_status chroma__parse(struct cx_str body, json_t **out, struct cx_err *err) CX_MUST_CHECK;

#endif
