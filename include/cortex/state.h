/* SPDX-License-Identifier: MIT
 *
 * state: resources, hot facts, the summary, and the signed snapshot (context pack) made of them.
 *
 * Threads: functions that take a cx_db are blocking code for a lane (those that change something:
 * the write lane, which also builds packs); a pack is immutable.
 */
#ifndef CORTEX_STATE_H
#define CORTEX_STATE_H

#include <jansson.h>

#include "cortex/base.h"
#include "cortex/crypto.h"
#include "cortex/store.h"

extern const struct cx_migration cx_state_migrations[];
extern const size_t cx_state_migration_count;

/* ---- Contents (blocking) -----------------------------------------------------------------------
 * Every change raises the state's version, by which a pack knows that it is out of date; writing
 * again what is there is no change. A change is a transaction of its own: not to be called within
 * another.
 */
#define CX_FACT_MAX_BYTES 2048
#define CX_SUMMARY_MAX_BYTES 4096
#define CX_RESOURCE_MAX_BYTES 65536 /* of the metadata's JSON, and of the four strings together */
#define CX_STATE_MAX_COUNT 10000    /* resources; and facts */
#define CX_STATE_MAX_BYTES 8388608  /* of all resources; and of all facts. Beyond: CX_CONFLICT */

/* Resource: {"id","kind","name","uri","metadata"}, exactly these keys. *out: array, ordered by
 * id; the caller owns it. */
enum cx_status cx_state_resources(struct cx_db *db, json_t **out, struct cx_err *err) CX_MUST_CHECK;
enum cx_status cx_state_resource(struct cx_db *db, struct cx_str id, json_t **out,
                                 struct cx_err *err) CX_MUST_CHECK;
/* resource: a whole Resource; CX_INVALID where it is none, or where its metadata holds an
 * integer beyond ±(2^53−1) or nests too deeply to be signed; CX_TOO_LARGE. *created: it was not
 * there. */
enum cx_status cx_state_put_resource(struct cx_db *db, const json_t *resource, bool *created,
                                     struct cx_err *err) CX_MUST_CHECK;
enum cx_status cx_state_delete_resource(struct cx_db *db, struct cx_str id,
                                        struct cx_err *err) CX_MUST_CHECK;

struct cx_fact {
    struct cx_str text; /* at most CX_FACT_MAX_BYTES of UTF-8 */
    int64_t priority;   /* higher first; equal ones in the order they came */
    int64_t expires_us; /* wall clock; 0 = never */
};
/* {"id","text","priority","expires_at": time|null,"created_at"}; expired ones are left out. */
enum cx_status cx_state_facts(struct cx_db *db, int64_t now_us, json_t **out,
                              struct cx_err *err) CX_MUST_CHECK;
/* CX_INVALID: a text that is empty, too long or no UTF-8, an expiry that is past. A text that is
 * there already answers its id with *created false (and takes the new priority and expiry). */
enum cx_status cx_state_add_fact(struct cx_db *db, const struct cx_fact *fact, int64_t now_us,
                                 json_t **out, bool *created, struct cx_err *err) CX_MUST_CHECK;
enum cx_status cx_state_delete_fact(struct cx_db *db, struct cx_str id,
                                    struct cx_err *err) CX_MUST_CHECK;
/* *fixed: a sentence was set; otherwise it is the generated one ("2 resources registered.").
 * *out: JSON string. */
enum cx_status cx_state_summary(struct cx_db *db, json_t **out, bool *fixed,
                                struct cx_err *err) CX_MUST_CHECK;
/* text.p NULL = go back to the generated one. */
enum cx_status cx_state_set_summary(struct cx_db *db, struct cx_str text,
                                    struct cx_err *err) CX_MUST_CHECK;

/* ---- Packs ---------------------------------------------------------------------------------- */
struct cx_pack_options {
    struct cx_str signing_key; /* its bytes as configured */
    int64_t ttl_seconds;       /* 120 */
    size_t size_cap;           /* 30 KiB, of the body */
    size_t keep;               /* packs kept in the database; the oldest go beyond it */
    bool (*count_tokens)(void *ctx, struct cx_str text,
                         int64_t *out); /* NULL = token_count is left out */
    void *count_tokens_ctx;
    int64_t now_us; /* 0 = the wall clock; tests fix it */
};
enum cx_freshness { CX_FRESH, CX_CACHED, CX_RESTORED, CX_STALE, CX_FRESHNESS_COUNT };
const char *cx_freshness_name(enum cx_freshness f);

/* One signed pack: ready bytes for each freshness. Immutable; owned by whoever holds the
 * pointer. */
struct cx_pack {
    int64_t generated_us;
    int64_t expires_us;       /* wall clock, generated + ttl */
    uint64_t expires_mono_ns; /* the same on the monotonic clock: what decides */
    uint64_t version;         /* the state's version that it shows */
    bool restored;            /* came from the database after a restart */
    char etag[80];            /* weak, made from the signature: W/"…" */
    struct cx_str body[CX_FRESHNESS_COUNT];
    struct cx_str gzip[CX_FRESHNESS_COUNT];
};
/* Write lane: builds, signs, stores; the caller has looked at what it holds. session is kept
 * beside it. The pack's expiry is cut to the first expiry of a fact that it shows. Over the cap
 * it loses facts from the end, then resources from the end; CX_TOO_LARGE where that is not
 * enough. A full disk keeps it from being stored, not from being built. */
enum cx_status cx_pack_build(struct cx_db *db, const struct cx_pack_options *options,
                             struct cx_str session, struct cx_pack **out,
                             struct cx_err *err) CX_MUST_CHECK;
/* At start: the newest pack that is still within its TTL, shows the state's present version and
 * verifies under this key; *out is NULL where there is none. */
enum cx_status cx_pack_restore(struct cx_db *db, const struct cx_pack_options *options,
                               struct cx_pack **out, struct cx_err *err) CX_MUST_CHECK;
void cx_pack_free(struct cx_pack **pack);
/* First 16 hex digits of SHA-256 over "cortex-key-id:" and the key: names a key without showing
 * it. */
void cx_key_id(struct cx_str signing_key, char id[17]);
/* Packs in the database, newest first. {"snapshots": [{"id", "session", "generated_at",
 * "expires_at", "version", "key_id", "size_bytes", "snapshot": the pack as built, where asked
 * for}], "cursor": string|null}. A page with packs ends early at 8 MiB. Any connection. */
struct cx_snapshot_query {
    struct cx_str session; /* p NULL = of all */
    int64_t since_us;      /* made after that time; 0 = all */
    int64_t limit;         /* 1 to 1,000 */
    struct cx_str cursor;  /* of the page before, else CX_INVALID; p NULL = from the newest */
    bool with_packs;
};
enum cx_status cx_state_snapshots(struct cx_db *db, const struct cx_snapshot_query *query,
                                  json_t **out, struct cx_err *err) CX_MUST_CHECK;
/* The present version (any connection). */
enum cx_status cx_state_version(struct cx_db *db, uint64_t *out, struct cx_err *err) CX_MUST_CHECK;

#endif
