/* SPDX-License-Identifier: MIT
 *
 * What the tests of the store share: a small schema, opening it in the test's folder, counting.
 */
#ifndef CORTEX_TEST_STORE_FIXTURE_H
#define CORTEX_TEST_STORE_FIXTURE_H

#include "cortex/store.h"
#include "test.h"

extern const struct cx_migration fixture_migrations[2];

const char *fixture_path(void); /* of the database, in the running test's folder */
enum cx_status fixture_open(unsigned readers, struct cx_store **out, struct cx_err *err);
enum cx_status fixture_add(struct cx_db *db, int64_t id, const char *name);
/* Rows of `items`, -1 on an error. */
int64_t fixture_count(struct cx_db *db);

#endif
