/* SPDX-License-Identifier: MIT
 *
 * Which bytes may stand where in a head. Pure; any thread.
 */
#ifndef CORTEX_HTTP_TEXT_H
#define CORTEX_HTTP_TEXT_H

#include "cortex/base.h"

/* Control bytes other than HTAB (RFC 9110 5.5). */
bool text__has_control(struct cx_str text);
/* Letters, digits and what else names, addresses and ports are made of (RFC 3986 3.2.2). */
bool text__is_host(struct cx_str text);

#endif
