/* SPDX-License-Identifier: MIT
 *
 * folder: what lies in a ledger's folder beside the entries: keys, checkpoint, stub, which segments
 * there are; and the list of what is wrong with a ledger.
 */
#ifndef CORTEX_AUDIT_FOLDER_H
#define CORTEX_AUDIT_FOLDER_H

#include "audit/format.h"

#define AUDIT__KEYS_FILE "keys.jsonl"
#define AUDIT__CHECKPOINT_FILE "checkpoint"
#define AUDIT__STUB_FILE "stub.json"
#define AUDIT__KEYS_MAX 1024
#define AUDIT__FINDINGS_MAX 64

/* Something that is wrong. A loss has the entries first to last missing or unreadable (none where last
 * is first - 1), between two hashes that the chain needs there. */
struct audit__finding {
    bool loss;
    bool noted;   /* a signed note in the ledger says the same */
    uint64_t bad; /* the first entry that is wrong or missing */
    uint64_t first;
    uint64_t last;
    uint8_t before[CX_SHA256_BYTES];
    uint8_t after[CX_SHA256_BYTES];
    uint32_t segment; /* 0 = not of one */
    char text[256];
};
struct audit__findings {
    struct audit__finding rows[AUDIT__FINDINGS_MAX];
    size_t count; /* of all; the rows hold the first ones */
};
/* NULL where there are as many as are kept: it is counted all the same. */
struct audit__finding *audit__find_add(struct audit__findings *f, const char *format, ...)
    CX_PRINTF(2, 3);

struct audit__keys {
    struct audit__key *rows;
    size_t count;
};
/* Reads and judges keys.jsonl. CX_NOT_FOUND; CX_INVALID with what is wrong. */
enum cx_status audit__keys_read(int dir, struct audit__keys *out, struct cx_err *err) CX_MUST_CHECK;
const struct audit__key *audit__keys_find(const struct audit__keys *keys, const char *key_id);
void audit__keys_free(struct audit__keys *keys);
bool audit__keys_verify(const struct audit__keys *keys, const struct audit__checkpoint *c);

struct audit__segment {
    uint32_t number;
    bool plain;
    bool packed;
};
struct audit__folder {
    int dir;
    struct audit__keys keys;
    bool has_checkpoint; /* at least one good slot */
    unsigned newest;     /* slot */
    bool slot_good[2];
    struct audit__checkpoint slots[2];
    bool has_stub;
    struct audit__stub stub;
    struct audit__segment *segments; /* ascending */
    size_t segment_count;
    bool empty; /* neither checkpoint, stub nor segments with more than a header: never used */
};
/* Reads all of it; what is wrong goes into findings. Takes dir over. */
enum cx_status audit__folder_read(int dir, struct audit__folder *out,
                                  struct audit__findings *findings,
                                  struct cx_err *err) CX_MUST_CHECK;
void audit__folder_free(struct audit__folder *f);
const struct audit__checkpoint *audit__newest(const struct audit__folder *f); /* NULL = none */

#endif
