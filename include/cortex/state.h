/* SPDX-License-Identifier: MIT
 *
 * state: resources, hot facts, the summary, and the signed snapshot (context pack) made of them; hot
 * state, which is values in memory with a time to live.
 *
 * Threads: functions that take a cx_db are blocking code for a lane (those that change something:
 * the write lane, which also builds packs); a pack is immutable; hot state belongs to the loop.
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
    struct cx_str signing_key;      /* its bytes as configured */
    const struct cx_signer *signer; /* signs beside it, for those who cannot; NULL = nobody does */
    int64_t ttl_seconds;            /* 120 */
    size_t size_cap;                /* 30 KiB, of the body */
    size_t keep;                    /* packs kept in the database; the oldest go beyond it */
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

/* ---- Hot state ---------------------------------------------------------------------------------
 * Values in memory by namespace and key, each with a time to live, under a ceiling of entries and
 * of bytes: what was used least recently goes first. Loop thread. Whatever may touch many entries
 * takes `steps`, at most so many of them at a time, and is to be called again.
 */
#define CX_HOT_NAMESPACE_MAX_BYTES 128
#define CX_HOT_KEY_MAX_BYTES 512
struct cx_hot;
struct cx_hot_options {
    size_t entries_max;
    size_t
        bytes_max; /* of keys, values and what holds them; the largest value fits several times */
    /* An entry has expired or was evicted (not: removed or replaced). NULL = nobody cares. */
    void (*on_gone)(void *ctx, struct cx_str space, struct cx_str key, uint64_t stamp);
    void *ctx;
};
void cx_hot_new(const struct cx_hot_options *options, struct cx_hot **out);
void cx_hot_free(struct cx_hot **hot);

struct cx_hot_entry {
    struct cx_str space;
    struct cx_str key;
    struct cx_str value; /* a JSON text */
    uint64_t expires_ms; /* monotonic; 0 = never */
    int64_t expires_us;  /* wall clock, told to people; 0 = never */
    uint64_t stamp;      /* names this value of the key: see cx_hot_stamp */
};
/* A new stamp, higher than all before. */
uint64_t cx_hot_stamp(struct cx_hot *hot);
/* False where it is not there, or has expired. *out borrows until the next change. Counts as use. */
bool cx_hot_get(struct cx_hot *hot, struct cx_str space, struct cx_str key, uint64_t now_ms,
                struct cx_hot_entry *out);
/* Makes room for such an entry by letting others go; true when there is. */
bool cx_hot_make_room(struct cx_hot *hot, const struct cx_hot_entry *entry, uint64_t now_ms,
                      size_t steps);
/* Copies. Needs room. A value with a higher stamp stays. *created: the key was not there. */
void cx_hot_put(struct cx_hot *hot, const struct cx_hot_entry *entry, uint64_t now_ms,
                bool *created);
/* False where it is not there, has expired, or has a stamp above. */
bool cx_hot_remove(struct cx_hot *hot, struct cx_str space, struct cx_str key, uint64_t stamp,
                   uint64_t now_ms);
/* Empties a namespace of all values with stamps up to that one; what comes meanwhile stays. */
struct cx_hot_sweep {
    struct cx_str space; /* these two are the caller's, the rest begins as zero */
    uint64_t stamp;
    size_t removed;
    char after[CX_HOT_KEY_MAX_BYTES];
    size_t after_len;
};
/* True when it has come to the end. */
bool cx_hot_sweep(struct cx_hot *hot, struct cx_hot_sweep *sweep, size_t steps);
/* Lets go what has expired; true when all has. */
bool cx_hot_expire(struct cx_hot *hot, uint64_t now_ms, size_t steps);
/* Appends {"keys": [{"key","expires_at"}], "cursor": string|null}, in the order of keys. after: the
 * cursor of the page before, or p NULL. */
void cx_hot_list(const struct cx_hot *hot, struct cx_str space, struct cx_str after, size_t limit,
                 uint64_t now_ms, struct cx_buf *out);
/* Appends {"entries", "bytes", "entries_max", "bytes_max", "hits", "misses", "expired", "evicted",
 * "namespaces": [{"name","entries","bytes"}], "cursor"}: the namespaces in order, paged likewise. */
void cx_hot_stats(const struct cx_hot *hot, struct cx_str after, size_t limit, struct cx_buf *out);

/* The same on disk, for those who want it to outlive the process. Blocking; writing: write lane. */
enum cx_status cx_hot_save(struct cx_db *db, const struct cx_hot_entry *entry,
                           struct cx_err *err) CX_MUST_CHECK;
/* Of each only the value with that stamp, or an older one. One transaction. */
enum cx_status cx_hot_erase(struct cx_db *db, const struct cx_hot_entry *entries, size_t count,
                            struct cx_err *err) CX_MUST_CHECK;
/* At most `limit` rows of the namespace with stamps up to that one; *left: there are more. */
enum cx_status cx_hot_erase_all(struct cx_db *db, struct cx_str space, uint64_t stamp, size_t limit,
                                bool *left, struct cx_err *err) CX_MUST_CHECK;
/* At start: the newest of what has not expired, as much as there is room for, becomes the content of
 * `hot`, which is empty; the rest is deleted. */
enum cx_status cx_hot_load(struct cx_hot *hot, struct cx_db *db, uint64_t now_ms, int64_t now_us,
                           struct cx_err *err) CX_MUST_CHECK;

#endif
