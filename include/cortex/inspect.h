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
