/* SPDX-License-Identifier: MIT
 *
 * database: the daemon's database with the tables of every room. Blocking; at start-up.
 */
#ifndef CORTEX_APP_DATABASE_H
#define CORTEX_APP_DATABASE_H

#include "app/config.h"
#include "cortex/store.h"

/* Makes it, or brings its tables up to date. */
enum cx_status app__open_store(const struct cx_config *config, struct cx_store **out,
                               struct cx_err *err) CX_MUST_CHECK;

#endif
