/* SPDX-License-Identifier: MIT
 *
 * The index of the ledger in the database. It can be made again from the segments at any time.
 * Sequence is the rowid, so that every index is in the order of the ledger.
 */
#include "cortex/audit.h"

const struct cx_migration cx_audit_migrations[] = {
    { "audit", 1,
      "CREATE TABLE audit_meta("
      " one INTEGER PRIMARY KEY CHECK(one = 1), indexed_to INTEGER NOT NULL, head BLOB NOT NULL,"
      " runs INTEGER NOT NULL, judged INTEGER NOT NULL, parsed INTEGER NOT NULL,"
      " timed INTEGER NOT NULL, latency_ms REAL NOT NULL) STRICT;"
      "INSERT INTO audit_meta VALUES(1, 0, x'', 0, 0, 0, 0, 0.0);"
      "CREATE TABLE audit_agents(name TEXT PRIMARY KEY, entries INTEGER NOT NULL)"
      " STRICT, WITHOUT ROWID;"
      "CREATE TABLE audit_entries("
      " sequence INTEGER PRIMARY KEY, kind INTEGER NOT NULL, run_hash INTEGER NOT NULL,"
      " run_id TEXT NOT NULL, agent TEXT, correlation_id TEXT, recorded_us INTEGER NOT NULL,"
      " segment INTEGER NOT NULL, offset INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;"
      "CREATE INDEX audit_entries_run ON audit_entries(run_hash, kind);"
      "CREATE INDEX audit_entries_agent ON audit_entries(agent) WHERE kind = 0;"
      "CREATE INDEX audit_entries_correlation ON audit_entries(correlation_id)"
      " WHERE correlation_id IS NOT NULL AND kind = 0" },
};
const size_t cx_audit_migration_count = CX_ARRAY_LEN(cx_audit_migrations);
