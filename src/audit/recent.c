/* SPDX-License-Identifier: MIT
 *
 * What is written and not yet in the index, found by run, and the running figures. Under the ledger's
 * lock.
 */
#include "audit/ledger.h"

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

struct audit__recent *audit__recent_new(const struct cx_audit_record *record,
                                        const struct audit__place *place)
{
    const size_t len = record->run_id.len + record->agent.len + record->correlation.len;
    struct audit__recent *r = cx_alloc(sizeof *r + len + 1);
    char *at = (char *)(r + 1);
    r->sequence = record->sequence;
    r->run_hash = audit__run_hash(record->run_id);
    r->recorded_us = record->recorded_us;
    r->kind = record->kind;
    r->parse_ok = record->parse_ok;
    r->latency_ms = record->latency_ms;
    r->place = *place;
    memcpy(r->hash, record->hash, sizeof r->hash);
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

void audit__recent_add(struct cx_audit *a, struct audit__recent *recent)
{
    struct audit__recent **bucket = bucket_of(a, recent->run_hash);
    recent->next_in_bucket = *bucket;
    *bucket = recent;
    recent->next = NULL;
    if (a->last_recent != NULL) {
        a->last_recent->next = recent;
    } else {
        a->first_recent = recent;
    }
    a->last_recent = recent;
    a->recent_count++;
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
    free(r);
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
}
