/* SPDX-License-Identifier: MIT
 *
 * format: the ledger's bytes (docs/FORMATS.md): lines of entries, their hashes, signed checkpoints,
 * headers of segments, stubs, keys. Everything has exactly one spelling: what is read is written again
 * and compared. Any thread.
 */
#ifndef CORTEX_AUDIT_FORMAT_H
#define CORTEX_AUDIT_FORMAT_H

#include "cortex/audit.h"

#define AUDIT__SLOT_BYTES 4096       /* of the file `checkpoint`, which has two */
#define AUDIT__SMALL_MAX_BYTES 1024  /* a checkpoint, header, stub or key as text */
#define AUDIT__LINE_FRAME_BYTES 256  /* around an entry, at most */
#define AUDIT__ENTRY_FRAME_BYTES 128 /* around its content, at most */
#define AUDIT__LINE_MAX_BYTES                                                                      \
    (CX_AUDIT_ENTRY_MAX_BYTES + AUDIT__LINE_FRAME_BYTES + AUDIT__ENTRY_FRAME_BYTES)

struct audit__checkpoint {
    uint64_t size;
    uint8_t head[CX_SHA256_BYTES];
    int64_t time_us;
    char key_id[CX_KEY_ID_BYTES];
    uint8_t signature[CX_ED25519_SIGNATURE_BYTES];
};
struct audit__stub { /* what is left of the segments before first_segment */
    uint32_t first_segment;
    struct audit__checkpoint end; /* of them; signed as a stub */
};
struct audit__key {
    char key_id[CX_KEY_ID_BYTES];
    uint8_t public_key[CX_ED25519_PUBLIC_BYTES];
    int64_t created_us;
    char signed_by[CX_KEY_ID_BYTES]; /* the key before it; the first one signs itself */
    uint8_t signature[CX_ED25519_SIGNATURE_BYTES];
};
struct audit__line { /* borrows from the line */
    uint64_t sequence;
    uint8_t previous[CX_SHA256_BYTES];
    uint8_t hash[CX_SHA256_BYTES];
    struct cx_str entry;
};
struct audit__entry { /* borrows from the entry */
    int64_t recorded_us;
    enum cx_audit_kind kind;
    struct cx_str content;
};

void audit__checkpoint_sign(struct audit__checkpoint *c, const struct cx_signer *signer);
void audit__checkpoint_write(const struct audit__checkpoint *c, struct cx_buf *out);
bool audit__checkpoint_parse(struct cx_str text, struct audit__checkpoint *out);
bool audit__checkpoint_verify(const struct audit__checkpoint *c,
                              const uint8_t public_key[CX_ED25519_PUBLIC_BYTES]);
/* The checkpoint, padded to a slot. */
void audit__slot_write(const struct audit__checkpoint *c, char slot[AUDIT__SLOT_BYTES]);
bool audit__slot_parse(struct cx_str slot, struct audit__checkpoint *out);

/* The first line of a segment, with its newline; parsed without. */
void audit__header_write(uint32_t segment, const struct audit__checkpoint *before,
                         struct cx_buf *out);
bool audit__header_parse(struct cx_str line, uint32_t *segment, struct audit__checkpoint *before);

void audit__stub_sign(struct audit__stub *s, const struct cx_signer *signer);
void audit__stub_write(const struct audit__stub *s, struct cx_buf *out);
bool audit__stub_parse(struct cx_str text, struct audit__stub *out);
bool audit__stub_verify(const struct audit__stub *s,
                        const uint8_t public_key[CX_ED25519_PUBLIC_BYTES]);

/* key_id and signature of a key that `signer` vouches for; the first key's is its own. */
void audit__key_sign(struct audit__key *k, const struct cx_signer *signer);
void audit__key_write(const struct audit__key *k, struct cx_buf *out);
bool audit__key_parse(struct cx_str line, struct audit__key *out);
bool audit__key_verify(const struct audit__key *k,
                       const uint8_t public_key[CX_ED25519_PUBLIC_BYTES]);

void audit__entry_hash(uint64_t sequence, const uint8_t previous[CX_SHA256_BYTES],
                       struct cx_str entry, uint8_t hash[CX_SHA256_BYTES]);
/* A line with its newline; parsed without. */
void audit__line_write(uint64_t sequence, const uint8_t previous[CX_SHA256_BYTES],
                       struct cx_str entry, struct cx_buf *out, uint8_t hash[CX_SHA256_BYTES]);
/* True where it is spelled as it must be and its hash is that of its bytes. */
bool audit__line_parse(struct cx_str line, struct audit__line *out);

void audit__entry_write(int64_t recorded_us, enum cx_audit_kind kind, struct cx_str content,
                        struct cx_buf *out);
bool audit__entry_parse(struct cx_str entry, struct audit__entry *out);

#define AUDIT__SEGMENT_NAME_BYTES 40
/* "segment-00000001.jsonl" or with ".gz" behind. */
char *audit__segment_name(uint32_t segment, bool packed, char name[AUDIT__SEGMENT_NAME_BYTES]);
bool audit__segment_number(const char *name, uint32_t *segment, bool *packed);

#endif
