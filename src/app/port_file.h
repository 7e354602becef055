/* SPDX-License-Identifier: MIT
 *
 * port_file: tells whoever started us with port 0 which port it became.
 */
#ifndef CORTEX_APP_PORT_FILE_H
#define CORTEX_APP_PORT_FILE_H

#include "cortex/base.h"

/* Writes "PORT\n" to path, whole or not at all: beside it first, then renamed. Blocks: a worker. */
enum cx_status app__port_file_write(const char *path, int port, struct cx_err *err) CX_MUST_CHECK;

#endif
