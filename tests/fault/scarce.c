/* SPDX-License-Identifier: MIT
 *
 * Of cortexd_scarce: each SIGUSR2 says that an allocation is to fail, once: the first from now on after
 * the first signal, the second after the second, and so on. Not in the care of the ledger, which goes on
 * beside the requests and aborts without memory.
 */
#include <signal.h>

#include "cortex/audit.h"
#include "memory_faults.h"

enum cx_status __real_cx_audit_tidy(struct cx_audit *audit, bool *more, struct cx_err *err);
enum cx_status __wrap_cx_audit_tidy(struct cx_audit *audit, bool *more, struct cx_err *err);

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    signals = signals + 1;
    memory_faults_arm(signals);
}

__attribute__((constructor)) static void begin(void)
{
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    (void)sigaction(SIGUSR2, &action, NULL);
}

enum cx_status __wrap_cx_audit_tidy(struct cx_audit *audit, bool *more, struct cx_err *err)
{
    memory_faults_spare(true);
    const enum cx_status status = __real_cx_audit_tidy(audit, more, err);
    memory_faults_spare(false);
    return status;
}
