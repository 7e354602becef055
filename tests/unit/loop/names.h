/* SPDX-License-Identifier: MIT
 *
 * A scripted getaddrinfo for the tests of fetch. The test program's own getaddrinfo stands in front
 * of libc's for libuv and libcurl too, so that a test can hold a look-up, and would see one that
 * libcurl does by itself.
 *   slow….test   waits at the gate, then 127.0.0.1      quick….test   127.0.0.1
 *   twice.test   an address that refuses (127.0.0.2), then 127.0.0.1      gone.test   not found
 * All other names go to libc.
 */
#ifndef CORTEX_LOOP_NAMES_H
#define CORTEX_LOOP_NAMES_H

#include "loop_env.h"

void names_reset(void);             /* counts to zero, the gate shut; nobody may wait at it */
void names_release(void);           /* opens the gate */
void names_await(unsigned slow);    /* waits until so many are at the gate, or have passed it */
unsigned names_asked(void);         /* look-ups begun, of any name */
unsigned names_at_once_worst(void); /* most look-ups beside each other */
bool names_asked_on_loop_thread(void);

#endif
