/* SPDX-License-Identifier: MIT
 *
 * app: the composition root. Makes the rooms in order, lets them run, ends them in reverse.
 */
#ifndef CORTEX_APP_H
#define CORTEX_APP_H

/* The whole of cortexd: command line, configuration, run, end. Returns the exit code (sysexits.h). */
int cx_app_main(int argc, char **argv);

#endif
