/* SPDX-License-Identifier: MIT
 *
 * Inside the api room: what the endpoint files share.
 */
#ifndef CORTEX_API_INTERNAL_H
#define CORTEX_API_INTERNAL_H

#include "cortex/api.h"

/* How a request is answered; where and for whom is the route's affair (routes.c). */
struct api__endpoint {
    const struct cx_step *steps;
    size_t step_count;
    size_t state_bytes;
    const char *tool; /* its name in the log of tool invocations; NULL = it is no tool of agents */
};
#define API_ENDPOINT(name, step_array, state_size) API_TOOL(name, NULL, step_array, state_size)
#define API_TOOL(name, tool_name, step_array, state_size)                                          \
    const struct api__endpoint name = { (step_array), CX_ARRAY_LEN(step_array), (state_size),      \
                                        (tool_name) }

/* health.c: a lane that has work and completes none; a disk that hangs shows in nothing else. */
struct api__lane_watch {
    uint64_t completed; /* at the last look */
    unsigned looks;     /* at which it had work and had completed none since the one before */
};

/* health.c: what the background checks last found, and the body made from it. */
struct api__health {
    struct cx_timer *timer;
    struct cx_job *job;     /* the check under way, or NULL */
    struct cx_timer *watch; /* of lanes */
    struct api__lane_watch write, read, ledger;
    enum cx_status database; /* as last found */
    enum cx_status found;    /* written by the check's worker */
    bool degraded;           /* as last told by an event */
    uint64_t rendered_ms;    /* when body was made */
    struct cx_buf body;
};

/* snapshot.c: the pack that is served, and the one build that may be under way. */
struct api__snapshot_waiter;
struct api__snapshots {
    struct cx_pack *current; /* NULL before the first */
    struct api__snapshot_build *build;
    uint64_t state_version; /* of the last change that was acknowledged */
    uint64_t max_age_s;     /* that cache_control says */
    char cache_control[40];
    struct cx_series *served[CX_FRESHNESS_COUNT];
};

struct api__pending;
struct api__purge;
struct api__sweep;
struct api__reembed_all;

struct api__event_hub; /* event_hub.h */
struct api__tend;

/* tool_log.c */
struct api__tool_entry;
struct api__tool_log {
    struct api__tool_entry *entries; /* a ring; NULL before the first */
    uint64_t count;                  /* of all there have ever been */
};

/* hot.h */
struct api__hot_gone;
struct api__hot {
    struct cx_hot *hot;
    bool persist;
    struct cx_timer *timer;
    struct api__hot_gone *gone; /* persist: entries gone from memory, whose rows are to be erased */
    size_t gone_count;
    struct api__hot_gone *erasing; /* by the job under way */
    size_t erasing_count;
    struct cx_store *store; /* what the job writes to */
    struct cx_job *job;
    struct cx_series *left;
};

/* audit_append.c */
struct api__audit {
    struct cx_timer *timer; /* of the index; NULL = draining */
    bool waking;            /* it is started */
    bool index_busy;        /* many entries waited for the index when it was last brought forward */
    struct cx_job *job;     /* of the index */
    bool index_more;        /* its worker's */
    enum cx_status index_status;
    struct cx_timer *tidy_timer;
    struct cx_job *tidy_job;
    bool tidy_more;           /* its worker's */
    uint32_t segment;         /* that was written to when it was last tidied */
    unsigned commits;         /* on the ledger lane */
    unsigned walks;           /* audit_verify.c: under way */
    struct cx_buf scratch[2]; /* where receipts and events are written */
};

struct cx_token_cache;

struct cx_api {
    struct cx_api_options options;
    struct cx_route *routes;
    size_t route_count;
    struct cx_vector_store *vector; /* NULL before it is read */
    enum cx_api_phase phase;
    int64_t started_us;
    uint64_t started_ns;
    struct api__health health;
    struct api__snapshots snapshots;
    struct api__hot hot;
    struct api__tool_log tool_log;
    struct api__audit audit;
    struct api__event_hub *event_hub;
    struct api__pending *pending;         /* NULL without a vector store */
    struct api__purge *purge;             /* the same */
    struct api__sweep *sweep;             /* the same */
    struct api__reembed_all *reembed_all; /* NULL = nobody waits for it */
    struct api__tend *tend;               /* NULL without a vector store */
    struct cx_token_cache *token_cache;
    char model_fingerprint[65]; /* of the configured embedder; "" without */
    size_t ingests;             /* ingest_lines.c: that are under way */
    size_t answers_bytes;       /* openai_compat.c: of the answers under way */
    struct cx_series *answers_gauge;
};

static inline struct cx_api *api__of(struct cx_exchange *x)
{
    return cx_exchange_context(x);
}

/* routes.c */
void api__routes_make(struct cx_api *api);

/* health.c */
void api__health_start(struct cx_api *api);
void api__health_stop(struct cx_api *api);
void api__health_free(struct cx_api *api);
/* As /healthz says it. */
bool api__health_well(const struct cx_api *api);
extern const struct api__endpoint api__healthz, api__ready, api__metrics;

/* docs.c */
extern const struct api__endpoint api__openapi, api__docs;

/* snapshot.c */
enum cx_status api__snapshots_open(struct cx_api *api, struct cx_err *err);
void api__snapshots_free(struct cx_api *api);
/* A change of the state is on disk; 0 = it is not known which version that made. False if it is
 * known already, so that nothing has changed. */
bool api__state_changed(struct cx_api *api, uint64_t version);
extern const struct api__endpoint api__snapshot;

/* snapshot_list.c */
extern const struct api__endpoint api__snapshots;

/* resources.c */
extern const struct api__endpoint api__discover, api__resource_get, api__resource_put,
    api__resource_delete;

/* facts.c */
extern const struct api__endpoint api__facts_get, api__fact_add, api__fact_delete, api__summary_get,
    api__summary_put;

/* hot_upkeep.c: at start-up it may read what was persisted. */
enum cx_status api__hot_open(struct cx_api *api, struct cx_err *err);
void api__hot_stop(struct cx_api *api);
bool api__hot_idle(const struct cx_api *api);
void api__hot_free(struct cx_api *api);

/* hot.c */
extern const struct api__endpoint api__hot_get, api__hot_put, api__hot_delete;

/* hot_space.c */
extern const struct api__endpoint api__hot_stats, api__hot_keys, api__hot_empty;

/* db.c */
extern const struct api__endpoint api__db_list, api__db_schema, api__db_sample;

/* svc.c */
void api__services_start(struct cx_api *api);
extern const struct api__endpoint api__svc_list, api__svc_health;

/* fs.c */
extern const struct api__endpoint api__fs_list, api__fs_read;

/* event_hub.c */
void api__event_hub_open(struct cx_api *api);
void api__event_hub_stop(struct cx_api *api);
void api__event_hub_free(struct cx_api *api);

/* event_stream.c, event_poll.c */
extern const struct api__endpoint api__event_stream, api__event_poll;

/* tool_log.c */
void api__tool_log_free(struct cx_api *api);
extern const struct api__endpoint api__tool_log_get;

/* audit_append.c: the index is kept up from start to stop. */
void api__audit_start(struct cx_api *api);
void api__audit_stop(struct cx_api *api);
void api__audit_free(struct cx_api *api);
bool api__audit_idle(const struct cx_api *api);
void api__audit_index_wake(struct cx_api *api);

/* audit_record.c, audit_entries.c, audit_verify.c */
extern const struct api__endpoint api__audit_record, api__audit_entries, api__audit_entry,
    api__audit_stats, api__audit_verify, api__audit_label, api__audit_export, api__keys;

/* ingest.c, ingest_lines.c */
extern const struct api__endpoint api__documents_put, api__documents_stream;

/* pending.c: from when the vector store is there until the drain. */
void api__pending_start(struct cx_api *api);
void api__pending_stop(struct cx_api *api); /* then wait until it is idle */
bool api__pending_idle(const struct cx_api *api);
void api__pending_free(struct cx_api *api);
/* Documents have been stored without vectors. */
void api__pending_wake(struct cx_api *api);
/* The same, and the service is not known to fail. */
void api__pending_hurry(struct cx_api *api);
/* The embedding service answers: what waits for it need not wait longer. */
void api__pending_service_answers(struct cx_api *api);
/* The embedding service is to blame: what does without it goes on. */
bool api__embedding_failed(enum cx_status status);

/* documents.c */
extern const struct api__endpoint api__documents_list, api__document_get, api__document_delete,
    api__documents_delete;

/* export.c */
extern const struct api__endpoint api__export;

/* collection.c: which collection a request means. Who has found one lets go of it with
 * api__collection_release, on the loop. */
/* CX_STEP_NEXT, or the end of the step: 404. */
enum cx_step_result api__collection_find(struct cx_exchange *x, struct cx_str name,
                                         struct cx_vector **out);
/* The query parameter `collection`; "default" where there is none. */
struct cx_str api__collection_query(struct cx_exchange *x);
/* The member `collection` of a body, likewise; *name stays as it is where there is none. */
void api__read_collection(struct cx_reader *r, struct cx_str *name);
/* documents.c: what a deletion names, for both stores: at most `most` ids (an array in the arena, its
 * texts in the body) or a filter; the other is left as it was. False where memory is out. */
bool api__read_selection(struct cx_reader *r, struct cx_arena *arena, size_t most,
                         const struct cx_str **ids, size_t *count, const json_t **filter);
/* A deleted one is freed on a lane when the last lets go. */
void api__collection_release(struct cx_api *api, struct cx_vector **v);

#define API_COLLECTION_SENTENCE                                                                    \
    "must have 1 to 128 letters, digits, '.', '_' or '-'" /* CX_COLLECTION_NAME_MAX */

/* collections.c */
extern const struct api__endpoint api__collections_list, api__collection_delete, api__vector_stats;

/* reembed.c */
extern const struct api__endpoint api__collection_reembed;
/* A collection's new vectors count from now on. */
void api__reembed_told(struct cx_api *api, const struct cx_vector *v);
/* Nothing is being embedded anew, or something is: tells who waits for the end of it. */
void api__reembed_look(struct cx_api *api);
/* It will not get better by waiting: who waits for the end of it is told so. */
void api__reembed_give_up(struct cx_api *api, enum cx_status status, const struct cx_err *err);
void api__reembed_free(struct cx_api *api);

/* tend.c: builds the graphs of large collections, and has them follow what changes; from when the vector
 * store is there to the end. */
void api__tend_start(struct cx_api *api);
void api__tend_stop(struct cx_api *api); /* then wait until it is idle */
bool api__tend_idle(const struct cx_api *api);
void api__tend_free(struct cx_api *api);
/* purge.c: from when the vector store is there. */
void api__purge_start(struct cx_api *api);
/* Texts have gone. */
void api__purge_changed(struct cx_api *api);
void api__purge_drain(struct cx_api *api); /* at once; then wait until it is idle */
bool api__purge_idle(const struct cx_api *api);
void api__purge_free(struct cx_api *api);

/* sweep.c: removes what deleted collections have left on the disk; from when the vector store is there
 * until the drain. */
void api__sweep_start(struct cx_api *api);
void api__sweep_stop(struct cx_api *api); /* then wait until it is idle */
bool api__sweep_idle(const struct cx_api *api);
void api__sweep_free(struct cx_api *api);
/* There may be something to remove. */
void api__sweep_wake(struct cx_api *api);

/* chroma_*.c: in place of the endpoints above where a Chroma server keeps the documents. */
extern const struct api__endpoint api__chroma_get, api__chroma_delete_one, api__chroma_delete,
    api__chroma_collections, api__chroma_stats, api__chroma_drop, api__chroma_list,
    api__chroma_export, api__chroma_refused;

/* search.c */
extern const struct api__endpoint api__search;

/* context_count.c */
extern const struct api__endpoint api__context_count;

/* optimize.c */
extern const struct api__endpoint api__optimize;

/* openai_compat.c */
extern const struct api__endpoint api__embeddings;

/* openai_models.c */
extern const struct api__endpoint api__models, api__model;

/* answer.c: JSON over this is parsed and freed on a lane. */
#define API_INLINE_BODY_BYTES ((size_t)16 * 1024)
#define API_ANSWER_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct api__body {
    struct cx_api *api;
    struct cx_str text; /* the exchange's */
    json_t *json;       /* owned */
};
/* The end of a step: parses the exchange's body, here or on the cpu lane. The next step finds
 * body->json. It is the endpoint's to free when the exchange ends, after what borrows from it. */
enum cx_step_result api__body_parse(struct cx_exchange *x, struct api__body *body);
void api__body_free(struct api__body *body);
/* Worker: a value as the bytes of an answer, for cx_exchange_reply_buf; value is stolen and freed.
 * out is the caller's to free. CX_TOO_LARGE beyond API_ANSWER_MAX_BYTES. */
enum cx_status api__write_answer(json_t *value, struct cx_buf *out,
                                 struct cx_err *err) CX_MUST_CHECK;
/* Loop: frees what was made of so many bytes of text, where that takes long on the cpu lane. */
void api__discard(struct cx_api *api, json_t *json, size_t text_bytes);

/* body.c */
/* From the member of this name; json NULL: there is none. Faults are noted. */
bool api__read_filter(struct cx_reader *r, const char *name, const json_t *json,
                      struct cx_vector_filter **out);

#define API_DOCUMENTS_MAX 10000 /* in one request */

/* A vector of a request: an array of numbers, or base64 of little-endian float32. Scaled to length
 * 1 into arena memory. Notes what is wrong with it as a fault of r's member "vector". False if it
 * is absent or wrong. Any thread. */
bool api__read_vector(struct cx_reader *r, struct cx_arena *arena, const float **vector,
                      unsigned *dimension);
/* `limit` and `cursor` of a list; faults where they are wrong. No cursor, or an empty one: p NULL.
 */
void api__read_page(struct cx_exchange *x, struct cx_faults *faults, size_t *limit,
                    struct cx_str *cursor);
/* A time of the query; *wall_us stays as it is where there is none. */
bool api__read_time(struct cx_exchange *x, struct cx_faults *faults, const char *name,
                    int64_t *wall_us);
void api__query_fault(struct cx_faults *faults, const char *name, const char *type,
                      const char *sentence);
/* What embedding may take: a little less than the request has left, so that the client is told of
 * the service's silence rather than of the deadline, and there is time to do without. */
uint64_t api__embed_ms(struct cx_exchange *x);
/* When it is worth coming again, where status has such a time; 0 = not known. */
void api__say_when(struct cx_exchange *x, enum cx_status status, uint64_t retry_after_ms);
/* 501 without a vector store of our own, 503 while it is being read; else CX_STEP_NEXT. */
enum cx_step_result api__need_vector(struct cx_exchange *x);
/* The same, and CX_STEP_NEXT where a Chroma server keeps the documents. */
enum cx_step_result api__need_store(struct cx_exchange *x);
/* The resource_ids of an event: as many as fit into one, in any case the first ones. */
json_t *api__event_ids(const struct cx_str *ids, size_t count);

#endif
