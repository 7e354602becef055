/* SPDX-License-Identifier: MIT
 *
 * What is written and not yet in the index, found by run, and the running figures. Under the ledger's
 * lock.
 */
#include "audit/group.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int64_t audit__run_hash(struct cx_str run_id)
{
    uint8_t digest[CX_SHA256_BYTES];
    uint64_t value = 0;
    cx_sha256(run_id, digest);
    for (size_t i = 0; i < sizeof value; i++) {
        value = value << 8 | digest[i];
    }
    return (int64_t)value;
}

/* What a group has made is freed together, when the last of it has come into the index. */
struct audit__recent_block {
    size_t live;
};

static size_t recent_bytes(const struct cx_audit_record *r)
{
    const size_t bytes =
        sizeof(struct audit__recent) + r->run_id.len + r->agent.len + r->correlation.len;
    const size_t step = _Alignof(max_align_t);
    return (bytes + step - 1) / step * step;
}

static struct audit__recent *recent_at(char *at, const struct audit__fresh *fresh);

struct audit__recent *audit__recent_make(const struct audit__group *g)
{
    const size_t step = _Alignof(max_align_t);
    size_t bytes = (sizeof(struct audit__recent_block) + step - 1) / step * step;
    const size_t first_at = bytes;
    for (size_t i = 0; i < g->fresh_count; i++) {
        bytes += recent_bytes(g->fresh[i].record);
    }
    char *memory = cx_realloc_array(NULL, bytes, 1);
    struct audit__recent_block *block = (struct audit__recent_block *)(void *)memory;
    struct audit__recent *first = NULL;
    struct audit__recent **end = &first;
    block->live = g->fresh_count;
    char *at = memory + first_at;
    for (size_t i = 0; i < g->fresh_count; i++) {
        struct audit__recent *r = recent_at(at, &g->fresh[i]);
        r->block = block;
        *end = r;
        end = &r->next;
        at += recent_bytes(g->fresh[i].record);
    }
    return first;
}

static struct audit__recent *recent_at(char *at, const struct audit__fresh *fresh)
{
    const struct cx_audit_record *record = fresh->record;
    struct audit__recent *r = (struct audit__recent *)(void *)at;
    *r = (struct audit__recent){ .sequence = record->sequence,
                                 .run_hash = fresh->run_hash,
                                 .recorded_us = record->recorded_us,
                                 .kind = record->kind,
                                 .parse_ok = record->parse_ok,
                                 .latency_ms = record->latency_ms,
                                 .place = fresh->place };
    memcpy(r->hash, record->hash, sizeof r->hash);
    at = (char *)(r + 1);
    const struct cx_str *const from[] = { &record->run_id, &record->agent, &record->correlation };
    struct cx_str *const to[] = { &r->run_id, &r->agent, &r->correlation };
    for (size_t i = 0; i < CX_ARRAY_LEN(from); i++) {
        if (from[i]->len > 0) {
            memcpy(at, from[i]->p, from[i]->len);
        }
        *to[i] = (struct cx_str){ from[i]->p != NULL ? at : NULL, from[i]->len };
        at += from[i]->len;
    }
    return r;
}

static struct audit__recent **bucket_of(const struct cx_audit *a, int64_t run_hash)
{
    return &a->buckets[(uint64_t)run_hash & (a->bucket_count - 1)];
}

void audit__recent_add(struct cx_audit *a, struct audit__recent *chain)
{
    if (a->last_recent != NULL) {
        a->last_recent->next = chain;
    } else {
        a->first_recent = chain;
    }
    for (struct audit__recent *r = chain; r != NULL; r = r->next) {
        struct audit__recent **bucket = bucket_of(a, r->run_hash);
        r->next_in_bucket = *bucket;
        *bucket = r;
        a->last_recent = r;
        a->recent_count++;
    }
    cx_gauge_set(a->unindexed_gauge, (double)a->recent_count);
}

const struct audit__recent *audit__recent_find(const struct cx_audit *a, int64_t run_hash,
                                               struct cx_str run_id, enum cx_audit_kind kind)
{
    for (const struct audit__recent *r = *bucket_of(a, run_hash); r != NULL;
         r = r->next_in_bucket) {
        if (r->run_hash == run_hash && r->kind == kind && cx_str_eq(r->run_id, run_id)) {
            return r;
        }
    }
    return NULL;
}

void audit__recent_drop_first(struct cx_audit *a)
{
    struct audit__recent *r = a->first_recent;
    struct audit__recent **at = bucket_of(a, r->run_hash);
    while (*at != r) {
        at = &(*at)->next_in_bucket;
    }
    *at = r->next_in_bucket;
    a->first_recent = r->next;
    if (a->first_recent == NULL) {
        a->last_recent = NULL;
    }
    a->recent_count--;
    cx_gauge_set(a->unindexed_gauge, (double)a->recent_count);
    if (--r->block->live == 0) {
        free(r->block);
    }
}

/* ---- Figures ----------------------------------------------------------------------------------- */

void audit__totals_add(struct cx_audit *a, struct cx_str agent, enum cx_audit_flag parse_ok,
                       double latency_ms)
{
    a->totals.runs++;
    a->totals.judged += parse_ok != CX_AUDIT_UNSAID ? 1 : 0;
    a->totals.parsed += parse_ok == CX_AUDIT_YES ? 1 : 0;
    if (latency_ms >= 0.0) {
        a->totals.timed++;
        a->totals.latency_ms += latency_ms;
    }
    audit__agent_add(a, agent, 1);
}

void audit__agent_add(struct cx_audit *a, struct cx_str agent, uint64_t entries)
{
    static const uint8_t key[16] = { 0 };
    struct audit__agent **at =
        &a->agents[cx_siphash(key, agent.p, agent.len) % AUDIT__AGENT_BUCKETS];
    for (; *at != NULL; at = &(*at)->next) {
        if (cx_str_eq(agent, (struct cx_str){ (*at)->name, (*at)->len })) {
            (*at)->entries += entries;
            return;
        }
    }
    if (a->agent_count == AUDIT__AGENTS_MAX) {
        a->other_agents += entries;
        return;
    }
    struct audit__agent *made = cx_alloc(sizeof *made + agent.len + 1);
    made->entries = entries;
    made->len = agent.len;
    if (agent.len > 0) {
        memcpy(made->name, agent.p, agent.len);
    }
    *at = made;
    a->agent_count++;
}

void audit__agents_free(struct cx_audit *a)
{
    for (size_t i = 0; i < AUDIT__AGENT_BUCKETS; i++) {
        while (a->agents[i] != NULL) {
            struct audit__agent *gone = a->agents[i];
            a->agents[i] = gone->next;
            free(gone);
        }
    }
    a->agent_count = 0;
    a->other_agents = 0;
}
