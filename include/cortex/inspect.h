/* SPDX-License-Identifier: MIT
 *
 * inspect: looking into files, databases and services that the configuration names, and into nothing
 * else.
 *
 * Threads: files and databases are blocking code for a lane; services belong to the loop.
 */
#ifndef CORTEX_INSPECT_H
#define CORTEX_INSPECT_H

#include <jansson.h>

#include "cortex/base.h"
#include "cortex/loop.h"

/* ---- Files ---------------------------------------------------------------------------------------
 * A path is ROOT/relative/path, ROOT being the name of a configured root. The kernel resolves it
 * (openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS), so that neither "..", nor a link, nor
 * a race with who changes the tree leads out of its root. Where a link leads within it, what it leads
 * to is judged by its own name. Every refusal is the same CX_NOT_FOUND: what may not be seen is not
 * there. File systems of the kernel itself (/proc, /sys …) are not there either.
 */
struct cx_root {
    const char *name;
    const char *path;           /* absolute */
    bool hidden;                /* names that begin with a dot are there */
    const char *const *exclude; /* fnmatch(3) patterns of names, ended by NULL */
};
struct cx_files;
/* Copies. */
void cx_files_new(const struct cx_root *roots, size_t count, struct cx_files **out);
void cx_files_free(struct cx_files **files);

#define CX_FILES_ENTRIES_MAX 1000000 /* of a folder that is listed: beyond it CX_TOO_LARGE */
/* [{"path","type","size","modified_at"}], by the bytes of their names; type: file, directory, symlink,
 * other. path p NULL or empty: the roots. after: the name of the last one of the page before, or p
 * NULL. *next: the name for the next page, "" = this is the last; 256 bytes. A file that is listed as a
 * folder is CX_NOT_FOUND. */
#define CX_FILES_NAME_BYTES 256
enum cx_status cx_files_list(const struct cx_files *files, struct cx_str path, struct cx_str after,
                             size_t limit, json_t **out, char next[CX_FILES_NAME_BYTES],
                             struct cx_err *err) CX_MUST_CHECK;
/* {"path","bytes_returned","text","truncated"}: at most num_bytes of a regular file from that offset
 * on, cut at whole characters; truncated: there is more. CX_UNSUPPORTED_MEDIA_TYPE where they are no
 * UTF-8 text. */
enum cx_status cx_files_read(const struct cx_files *files, struct cx_str path, uint64_t offset,
                             size_t num_bytes, json_t **out, struct cx_err *err) CX_MUST_CHECK;

/* ---- Databases -----------------------------------------------------------------------------------
 * Databases that the configuration names, only ever read. Names of tables that a client brings are looked up
 * in the schema; what is not there is CX_NOT_FOUND. Blocking: each call opens the database, looks, and
 * closes it, within its timeout.
 */
enum cx_database_engine { CX_DATABASE_SQLITE, CX_DATABASE_POSTGRESQL };
struct cx_database_options {
    const char *name;
    enum cx_database_engine engine;
    const char *path;    /* SQLite */
    const char *dsn;     /* PostgreSQL: how to connect, a secret */
    const char *dsn_ref; /* what is told of it: "env:ORDERS_DSN" */
    uint64_t timeout_ms;
};
struct cx_databases;
/* Copies; wipes its copies of secrets in the end. CX_NOT_CONFIGURED: an engine that this build has not. */
enum cx_status cx_databases_new(const struct cx_database_options *databases, size_t count,
                                struct cx_databases **out, struct cx_err *err) CX_MUST_CHECK;
void cx_databases_free(struct cx_databases **databases);
/* [{"name","engine","dsn_ref","table_count","row_count","last_migration"}] in the order given; null what could
 * not be found out in time. */
enum cx_status cx_databases_list(const struct cx_databases *databases, json_t **out,
                                 struct cx_err *err) CX_MUST_CHECK;
/* {"tables": [{"name","type","columns","indexes","foreign_keys","row_count"}], "schema_hash", "computed_at"},
 * tables and views by name. schema_hash: SHA-256 of what is told of the tables, without their row counts. */
enum cx_status cx_databases_schema(const struct cx_databases *databases, struct cx_str name,
                                   json_t **out, struct cx_err *err) CX_MUST_CHECK;
/* {"database","table","limit","rows": [{column: value}],"truncated"}. Rows in the order of their keys where
 * they have one; what is binary as {"base64","bytes"}; a text or blob over 8 KiB is cut. truncated: there are
 * more rows, or all this as JSON does not fit into bytes_max, or the time was over, or a value was cut. */
enum cx_status cx_databases_sample(const struct cx_databases *databases, struct cx_str name,
                                   struct cx_str table, size_t limit, size_t bytes_max,
                                   json_t **out, struct cx_err *err) CX_MUST_CHECK;

/* ---- Services ------------------------------------------------------------------------------------
 * Configured services, each asked by GET every interval in the background: answering about them touches
 * no network. healthy: the expected status came in time; degraded: another one below 500; unhealthy: one
 * of 500 and above, or none. Loop thread.
 */
struct cx_service_options {
    const char *name;
    const char *kind;
    const char *url;
    uint64_t interval_ms;
    uint64_t timeout_ms;
    int expect;
    const char *version; /* these three are told as they are; NULL = null */
    const char *git_sha;
    const char *deployed_at;
};
enum cx_service_status { CX_SERVICE_HEALTHY, CX_SERVICE_DEGRADED, CX_SERVICE_UNHEALTHY };
const char *cx_service_status_name(enum cx_service_status status); /* "healthy" … */
struct cx_service_state {
    enum cx_service_status status;
    uint64_t latency_ms;
    int64_t checked_us; /* wall clock; 0 = not asked yet, and unhealthy until then */
};
struct cx_services;
/* Copies; probes begin at once, spread over a second. on_change: a service's status is another one than
 * before, or was found for the first time and is not healthy. */
enum cx_status cx_services_new(struct cx_loop *loop, struct cx_fetch *fetch,
                               const struct cx_service_options *services, size_t count,
                               struct cx_services **out, struct cx_err *err) CX_MUST_CHECK;
void cx_services_on_change(struct cx_services *services,
                           void (*on_change)(void *ctx, const struct cx_service_options *service,
                                             const struct cx_service_state *state),
                           void *ctx);
/* Begins no more probes and cancels those under way; they end later, on the loop. */
void cx_services_stop(struct cx_services *services);
/* Needs that no probe is under way. */
void cx_services_free(struct cx_services **services);
size_t cx_services_count(const struct cx_services *services);
void cx_services_get(const struct cx_services *services, size_t index,
                     const struct cx_service_options **service, struct cx_service_state *state);

#endif
