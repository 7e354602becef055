/* SPDX-License-Identifier: MIT
 *
 * json: noting a fault at a member of the object that a path leads to; shared by faults and reader.
 */
#ifndef CORTEX_JSON_FAULT_H
#define CORTEX_JSON_FAULT_H

#include "cortex/json.h"

/* As cx_faults_add, at loc with name behind it (NULL: at loc itself). */
void json__fault_add(struct cx_faults *f, const json_t *loc, const char *name, const char *type,
                     const char *format, va_list args) __attribute__((format(printf, 5, 0)));

#endif
