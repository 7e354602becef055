/* SPDX-License-Identifier: MIT
 *
 * lock: one daemon a data directory. The lock is the kernel's, on the open file DIR/lock, so it is gone
 * with its process, however that ends; the file's text, a process id, is only for people.
 */
#ifndef CORTEX_APP_LOCK_H
#define CORTEX_APP_LOCK_H

#include "cortex/base.h"

struct app__lock;
/* CX_CONFLICT: another process holds it, and err names its id. */
enum cx_status app__lock_take(const char *data_dir, struct app__lock **out,
                              struct cx_err *err) CX_MUST_CHECK;
void app__lock_release(struct app__lock **lock); /* NULL is nothing */

#endif
