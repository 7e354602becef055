/* SPDX-License-Identifier: MIT
 *
 * What the engines of databases share. An engine opens a database for one look; what it tells has the
 * same shape for all of them.
 */
#ifndef CORTEX_INSPECT_DATABASES_H
#define CORTEX_INSPECT_DATABASES_H

#include "cortex/inspect.h"

struct databases__engine;
struct databases__database {
    char *name;
    const struct databases__engine *engine;
    char *path;
    char *dsn;
    char *dsn_ref;
    uint64_t timeout_ms;
};
struct cx_databases {
    struct databases__database *items;
    size_t count;
};

struct databases__link; /* one look: what an engine has opened */
struct databases__engine {
    const char *name;
    enum cx_status (*open)(const struct databases__database *database, uint64_t deadline_ns,
                           struct databases__link **out, struct cx_err *err);
    void (*close)(struct databases__link **link);
    /* [{"name","type","columns","indexes","foreign_keys"}] by name; a member "quoted" is its own */
    enum cx_status (*tables)(struct databases__link *link, json_t **out, struct cx_err *err);
    /* CX_REQUEST_TIMEOUT at the deadline */
    enum cx_status (*count_rows)(struct databases__link *link, const char *table, int64_t *rows,
                                 struct cx_err *err);
    /* *out: string, or null where there is no sign of migrations */
    enum cx_status (*last_migration)(struct databases__link *link, const json_t *tables,
                                     json_t **out, struct cx_err *err);
    /* Rows, as objects, to `take` until it says that it has enough; table is the name of one of tables. */
    enum cx_status (*sample)(struct databases__link *link, const json_t *table, size_t limit,
                             bool (*take)(void *ctx, json_t *steals), void *ctx, bool *cut,
                             struct cx_err *err);
};
extern const struct databases__engine databases__sqlite;
extern const struct databases__engine databases__postgresql; /* .open NULL: not in this build */

#define DATABASES__VALUE_BYTES ((size_t)8 * 1024)
/* A text or a blob as a value; *cut becomes true where it was too long. */
json_t *databases__text(struct cx_str text, bool *cut);
json_t *databases__blob(struct cx_str bytes, bool *cut);
/* The tables of migrations that are known: the query for the newest in "table"; NULL where there is none. */
const char *databases__migration_query(const json_t *tables);

#endif
