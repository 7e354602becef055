/* SPDX-License-Identifier: MIT
 *
 * facets: what the metadata of all documents says, in memory, by which documents say it. A field is a key
 * at its place: {"a": {"b": 1}} has a, and b in a. A facet is a value in a field, kept once, with
 * the set of slots whose metadata has it there; an array has its own facet and those of its elements. Of
 * each slot the list of its facets is kept too, so that it can be taken out again.
 *
 * All memory is counted: a value that is frequent takes some 6 bytes in each document that has it, one
 * that no other has some 55.
 *
 * Threads: as the index.
 */
#ifndef CORTEX_VECTOR_FACETS_H
#define CORTEX_VECTOR_FACETS_H

#include "facet_value.h"
#include "slot_set.h"

#define VECTOR__TOP_FIELD 0U /* the metadata itself */
#define VECTOR__NO_FIELD UINT32_MAX
#define VECTOR__NO_FACET 0U

struct vector__facet {
    unsigned field : 28;
    unsigned kind : 4;
    uint32_t hash; /* of a free facet, the next free one */
    union {
        int64_t integer;
        double real;
        struct vector__facet_text *text; /* of a string, an array, an object */
    } value;
    struct vector__slot_set slots;
};
struct vector__field {
    char *name;
    uint32_t parent; /* of a free field, the next free one */
    uint32_t hash;
    uint32_t children;
    struct vector__facet_run **runs; /* its facets, in order (facet_order.h) */
    uint32_t run_count;
    uint32_t run_room;
    size_t count;                  /* of its facets */
    size_t pairs;                  /* of slots and facets: no more than slots where each has one */
    struct vector__slot_set slots; /* that have something there */
};
/* Open addressing; id 0 = empty. */
struct vector__facet_table {
    uint32_t *ids;
    size_t room; /* a power of two */
    size_t count;
};
/* Lists of facets of a block of slots, one after the other. */
struct vector__facet_lists;

struct vector__facets {
    struct vector__facet_key key;
    struct vector__facet **chunks;
    size_t chunk_count;
    uint32_t facet_end;
    uint32_t facet_free; /* 0 = none */
    struct vector__facet_table facet_table;
    struct vector__field *fields; /* the first is the top */
    size_t field_room;
    uint32_t field_end;
    uint32_t field_free;
    struct vector__facet_table field_table;
    struct vector__facet_lists **lists;
    size_t list_blocks;
    uint64_t *present; /* a bit for every slot that has a document */
    size_t slot_end;   /* of those that ever had */
    size_t present_words;
    size_t bytes; /* of all of it */
};

void vector__facets_init(struct vector__facets *f);
void vector__facets_free(struct vector__facets *f);
/* The document of this slot has this metadata, an object; NULL: none. */
void vector__facets_set(struct vector__facets *f, uint32_t slot, const json_t *metadata);
void vector__facets_remove(struct vector__facets *f, uint32_t slot);
/* The document of slot i is now that of slot to[i]; to: slot_end of them. */
void vector__facets_renumber(struct vector__facets *f, const uint32_t *to);
/* What `to` held is freed, and `from` is empty. */
void vector__facets_move(struct vector__facets *to, struct vector__facets *from);
/* What a document of this metadata can add to `bytes` at most. */
size_t vector__facets_cost(const json_t *metadata);

/* VECTOR__NO_FIELD, VECTOR__NO_FACET where there is none. */
uint32_t vector__facets_field(const struct vector__facets *f, uint32_t parent, struct cx_str name);
uint32_t vector__facets_find(const struct vector__facets *f, uint32_t field,
                             const struct vector__value *value);
const struct vector__facet *vector__facets_at(const struct vector__facets *f, uint32_t facet);
void vector__facet_value(const struct vector__facet *facet, struct vector__value *out);

#endif
