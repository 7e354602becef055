/* SPDX-License-Identifier: MIT
 *
 * notes: the signed notes of damage that a walk comes by, and which losses they name.
 */
#ifndef CORTEX_AUDIT_NOTES_H
#define CORTEX_AUDIT_NOTES_H

#include "audit/folder.h"

#define AUDIT__NOTES_MAX 4096 /* ranges */

struct audit__noted;
struct audit__notes {
    struct audit__noted *rows;
    size_t count;
};
/* Takes what an entry notes, if it is a note. */
void audit__notes_take(struct audit__notes *n, struct cx_str entry);
/* A loss that a note names is known to whoever has accepted it. */
void audit__notes_match(const struct audit__notes *n, struct audit__findings *findings);
void audit__notes_free(struct audit__notes *n);

#endif
