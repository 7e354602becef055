/* SPDX-License-Identifier: MIT
 *
 * Opening the daemon's database (database.h): the migrations of all rooms in one list.
 */
#include "app/database.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/audit.h"
#include "cortex/embed.h"
#include "cortex/state.h"
#include "cortex/vector.h"

enum cx_status app__open_store(const struct cx_config *config, struct cx_store **out,
                               struct cx_err *err)
{
    const struct {
        const struct cx_migration *rows;
        size_t count;
    } rooms[] = { { cx_state_migrations, cx_state_migration_count },
                  { cx_vector_migrations, cx_vector_migration_count },
                  { cx_embed_migrations, cx_embed_migration_count },
                  { cx_audit_migrations, cx_audit_migration_count } };
    struct cx_migration *migrations = NULL;
    size_t count = 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(rooms); i++) {
        migrations = cx_realloc_array(migrations, count + rooms[i].count, sizeof *migrations);
        memcpy(migrations + count, rooms[i].rows, rooms[i].count * sizeof *migrations);
        count += rooms[i].count;
    }
    /* Searches read on the cpu lane, the ledger on its own: with a connection for each thread of the
     * three nobody waits for one. */
    const struct cx_store_options options = {
        .path = config->data_database,
        .readers = config->lanes_read_threads + app__cpu_threads(config) + 1,
        .migrations = migrations,
        .migration_count = count,
    };
    const enum cx_status status = cx_store_open(&options, out, err);
    free(migrations);
    return status;
}
