/* SPDX-License-Identifier: MIT
 *
 * tidy: packing of a sealed segment that is under way.
 */
#ifndef CORTEX_AUDIT_TIDY_H
#define CORTEX_AUDIT_TIDY_H

#include "audit/ledger.h"

struct audit__tidy { /* owner: the ledger */
    uint32_t segment;
    struct audit__reader plain;
    struct audit__reader packed; /* while comparing; owns the file then */
    int fd;                      /* while writing */
    bool made;                   /* the temporary file is there */
    uint64_t written;
    bool comparing;
    struct cx_buf lines;
    struct cx_buf member;
};

#endif
