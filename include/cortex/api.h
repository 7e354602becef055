/* SPDX-License-Identifier: MIT
 *
 * api: the endpoints. The one room that knows both HTTP and the domain; routes.c is the map of it.
 *
 * Threads: the loop thread; the endpoints' work functions run on lanes.
 */
#ifndef CORTEX_API_H
#define CORTEX_API_H

#include "cortex/chroma.h"
#include "cortex/audit.h"
#include "cortex/embed.h"
#include "cortex/events.h"
#include "cortex/http.h"
#include "cortex/inspect.h"
#include "cortex/loop.h"
#include "cortex/state.h"
#include "cortex/store.h"
#include "cortex/vector.h"

/* What the endpoints work with; all of it is borrowed and outlives the api. */
struct cx_api_options {
    struct cx_loop *loop;
    struct cx_store *store;
    struct cx_events *events;
    struct cx_audit *audit;
    struct cx_embedder *embedder; /* NULL where there is no vector store */
    struct cx_chroma *chroma;     /* keeps documents and vectors; NULL = the local store does */
    struct cx_lane *write_lane;
    struct cx_lane *read_lane;
    struct cx_lane *cpu_lane;
    struct cx_lane *inspect_lane; /* looking into files and foreign databases */
    const struct cx_files *files;
    const struct cx_databases *databases;
    size_t inspect_payload_bytes; /* of a sample of a database */
    struct cx_services *services;
    struct cx_lane *ledger_lane;
    struct cx_pack_options pack;
    const char *vector_backend;      /* "local", "chroma", "none" */
    enum cx_search_mode search_mode; /* where a request names none */
    size_t body_bytes;               /* ceilings of bodies: in general … */
    size_t documents_body_bytes;     /* … and of POST /vector/documents, /context/optimize */
    size_t hot_entries;              /* of hot state: ceilings … */
    size_t hot_bytes;
    size_t hot_value_bytes;    /* … of one value */
    bool hot_persist;          /* it outlives the process */
    size_t event_followers;    /* streams and long polls at once */
    size_t token_cache_bytes;  /* of token counts */
    unsigned token_budget_max; /* that a request to pack may ask for */
    unsigned deadline_ms;
    uint64_t lag_degraded_ms;   /* the loop is not well when it came so late */
    uint64_t purge_interval_ms; /* how long what was deleted may stay in the files */
    size_t ingests_max;         /* of NDJSON, at once */
};
struct cx_api;

/* Reads the state's version and the last pack from the database: start-up, may block. */
enum cx_status cx_api_new(const struct cx_api_options *options, struct cx_api **out,
                          struct cx_err *err) CX_MUST_CHECK;
void cx_api_free(struct cx_api **api);
/* The map, for cx_http_new, whose context is the api. Lives as long as the api. */
const struct cx_route *cx_api_routes(const struct cx_api *api, size_t *count);

/* cx_http_options.on_tool, with the api as its context. */
void cx_api_tool_invoked(void *context, const struct cx_http_invocation *invocation);

/* The vector store is there (it is read while the daemon already answers). Borrowed. */
void cx_api_set_vector(struct cx_api *api, struct cx_vector_store *vector);

/* Embeds the collections of another model anew, or the one of this name alone; on_done comes when all
 * have their new vectors, or with the reason why that cannot be. A service that fails is waited for, but
 * not one that refuses our key.
 * After cx_api_set_vector, once. */
void cx_api_reembed(struct cx_api *api, const char *name,
                    void (*on_done)(void *ctx, enum cx_status status, const struct cx_err *err),
                    void *ctx);

enum cx_api_phase { CX_API_STARTING, CX_API_READY, CX_API_DRAINING };
void cx_api_set_phase(struct cx_api *api, enum cx_api_phase phase);
/* Something that health speaks of has changed: looks again now rather than in a while. */
void cx_api_check_health(struct cx_api *api);
/* Ends the background checks, so that the lanes can become empty. */
void cx_api_stop(struct cx_api *api);
/* True while nothing of the api is on a lane. */
bool cx_api_idle(const struct cx_api *api);

#endif
