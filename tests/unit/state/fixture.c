/* SPDX-License-Identifier: MIT
 *
 * The fixture of the state's tests.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "cortex/json.h"

bool fixture_open(struct fixture *f)
{
    *f = (struct fixture){
        .options = { .signing_key = CX_STR("a key for tests only, 0123456789"),
                     .ttl_seconds = 120,
                     .size_cap = 30 * 1024,
                     .keep = 100,
                     .now_us = FIXTURE_NOW_US },
    };
    fixture_reopen(f);
    return f->store != NULL;
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    char path[512];
    snprintf(path, sizeof path, "%s/state.db", test_dir());
    const struct cx_store_options options = { .path = path,
                                              .migrations = cx_state_migrations,
                                              .migration_count = cx_state_migration_count };
    EXPECT_INT(cx_store_open(&options, &f->store, NULL), CX_OK);
    f->db = f->store != NULL ? cx_store_writer(f->store) : NULL;
}

void fixture_close(struct fixture *f)
{
    cx_store_close(&f->store);
    f->db = NULL;
}

uint64_t fixture_version(struct fixture *f)
{
    uint64_t version = 0;
    EXPECT_INT(cx_state_version(f->db, &version, NULL), CX_OK);
    return version;
}

enum cx_status fixture_put(struct fixture *f, const char *id, const char *metadata)
{
    json_t *parsed = NULL;
    EXPECT_INT(cx_json_parse(cx_str_of(metadata), &parsed, NULL), CX_OK);
    json_t *resource = json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", id, "kind", "test", "name", id,
                                 "uri", "test://", "metadata", parsed);
    bool created = false;
    const enum cx_status status = cx_state_put_resource(f->db, resource, &created, NULL);
    json_decref(resource);
    return status;
}

enum cx_status fixture_fact(struct fixture *f, const char *text, int64_t priority,
                            int64_t expires_us)
{
    const struct cx_fact fact = { .text = cx_str_of(text),
                                  .priority = priority,
                                  .expires_us = expires_us };
    json_t *out = NULL;
    bool created = false;
    const enum cx_status status =
        cx_state_add_fact(f->db, &fact, FIXTURE_NOW_US, &out, &created, NULL);
    if (status == CX_OK) {
        json_decref(out);
    }
    return status;
}

json_t *fixture_body(const struct cx_pack *pack, enum cx_freshness freshness)
{
    json_t *body = NULL;
    EXPECT_INT(cx_json_parse(pack->body[freshness], &body, NULL), CX_OK);
    return body;
}
