/* SPDX-License-Identifier: MIT
 *
 * What the tests of the state share: a store with its tables, short ways to put things in, options.
 */
#ifndef CORTEX_TEST_STATE_FIXTURE_H
#define CORTEX_TEST_STATE_FIXTURE_H

#include "cortex/state.h"
#include "test.h"

#define FIXTURE_NOW_US INT64_C(1770544800123456) /* 2026-02-08T10:00:00.123456Z */

struct fixture {
    struct cx_store *store;
    struct cx_db *db;
    struct cx_pack_options options;
};
bool fixture_open(struct fixture *f);
void fixture_reopen(struct fixture *f);
void fixture_close(struct fixture *f);
uint64_t fixture_version(struct fixture *f);
/* Puts {"id", "kind": "test", "name": id, "uri": "test://", "metadata": that JSON text}. */
enum cx_status fixture_put(struct fixture *f, const char *id, const char *metadata);
enum cx_status fixture_fact(struct fixture *f, const char *text, int64_t priority,
                            int64_t expires_us);
/* The body of that freshness, parsed; the caller drops it. */
json_t *fixture_body(const struct cx_pack *pack, enum cx_freshness freshness);

#endif
