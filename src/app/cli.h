/* SPDX-License-Identifier: MIT
 *
 * cli: the command line of cortexd. Start-up only.
 */
#ifndef CORTEX_APP_CLI_H
#define CORTEX_APP_CLI_H

#include "app/config.h"

enum app__action {
    APP__ACTION_RUN,
    APP__ACTION_HELP,
    APP__ACTION_VERSION,
    APP__ACTION_CHECK_CONFIG,
    APP__ACTION_PRINT_CONFIG,
    APP__ACTION_PRINT_SAMPLE,
    APP__ACTION_PRINT_REFERENCE,
    APP__ACTION_HASH_TOKEN,
    APP__ACTION_REEMBED, /* runs, without listening, until the collections are embedded anew */
    APP__ACTION_VERIFY_LEDGER,
    APP__ACTION_ACCEPT_DAMAGE,
    APP__ACTION_ROTATE_KEY
};
#define APP__OVERRIDES_MAX APP__KEY_COUNT
struct app__override {
    enum app__key_id key;
    const char *value;
    const char *flag; /* as it was written, without the value: "--listen", "--set http.listen" */
};
struct app__cli { /* borrows from argv */
    enum app__action action;
    const char *config_path; /* NULL = none was named */
    const char
        *port_file; /* where to write the port, once there is one to be asked; NULL = nowhere */
    const char *ledger_dir;   /* --verify-ledger: its folder … */
    const char *receipt_file; /* … a receipt that it must hold … */
    const char *key_file;     /* … and a key to trust; NULL = none */
    struct app__override overrides[APP__OVERRIDES_MAX];
    const char *collection; /* APP__ACTION_REEMBED: the one that is meant; NULL = all */
    size_t override_count;
};

/* CX_BAD_REQUEST where the command line is wrong. */
enum cx_status app__cli_parse(int argc, char *const *argv, struct app__cli *out,
                              struct cx_err *err) CX_MUST_CHECK;
/* To run, rather than to be answered. */
bool app__cli_runs(const struct app__cli *cli);
/* Does what was asked for other than to run, on standard input, output and error; the exit code. */
int app__cli_answer(const struct app__cli *cli, char **environment);
void app__cli_help(struct cx_buf *out);

/* The exit code of sysexits.h that tells a failed start to service managers and scripts. */
int app__exit_code(enum cx_status status);

#endif
