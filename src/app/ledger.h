/* SPDX-License-Identifier: MIT
 *
 * ledger: the ledger as the daemon has it, its signing key, and what the command line does to a ledger
 * without a daemon. Blocking; at start-up.
 */
#ifndef CORTEX_APP_LEDGER_H
#define CORTEX_APP_LEDGER_H

#include "app/cli.h"
#include "cortex/audit.h"

#define APP__LEDGER_KEY_FILE "ed25519_key"

/* The Ed25519 key in DIR/ed25519_key (64 hex digits, mode 0600), which is made if it is not there. */
enum cx_status app__ledger_key(const char *dir, struct cx_signer **out,
                               struct cx_err *err) CX_MUST_CHECK;
struct cx_audit_options app__audit_options(const struct cx_config *config, struct cx_store *store,
                                           const struct cx_signer *signer);

/* --verify-ledger: 0 whole, 65 damaged, 64 usage; says on standard output what was found. */
int app__verify_ledger(const struct app__cli *cli);
/* --rotate-ledger-key and --accept-ledger-damage, with the data directory's lock. */
int app__rotate_ledger_key(const struct cx_config *config);
int app__accept_ledger_damage(const struct cx_config *config);

#endif
