/* SPDX-License-Identifier: MIT
 *
 * Building a pack from what the state holds: as many resources, then as many facts as fit, signed
 * and kept in the database. The write lane.
 */
#include "pack.h"

#include <stdlib.h>

#include "cortex/json.h"
#include "cortex/metrics.h"

/* The facts that a draft shows, and when each expires. */
struct shown {
    int64_t *expires_us;
    size_t count;
    size_t cap;
};

static enum cx_status gather(struct cx_db *db, const struct cx_pack_options *options,
                             int64_t now_us, struct pack__draft *draft, struct shown *shown,
                             struct cx_err *err);
static enum cx_status add_resources(struct cx_db *db, json_t *list, size_t cap, size_t *bytes,
                                    bool *all, struct cx_err *err);
static enum cx_status add_facts(struct cx_db *db, int64_t now_us, json_t *list, size_t cap,
                                size_t *bytes, struct shown *shown, struct cx_err *err);
static size_t element_bytes(const json_t *value, size_t index, size_t cap);
static void show(struct shown *shown, int64_t expires_us);
static enum cx_status finish(struct pack__draft *draft, const struct cx_pack_options *options,
                             struct shown *shown, struct cx_err *err);
static void set_validity(struct cx_pack *pack, const struct cx_pack_options *options,
                         int64_t now_us, const struct shown *shown);
static enum cx_status keep_pack(struct cx_db *db, const struct cx_pack_options *options,
                                struct cx_str session, const struct pack__draft *draft,
                                const struct cx_pack *pack, struct cx_err *err);
static enum cx_status too_large(struct cx_err *err);

enum cx_status cx_pack_build(struct cx_db *db, const struct cx_pack_options *options,
                             struct cx_str session, struct cx_pack **out, struct cx_err *err)
{
    const uint64_t started = cx_clock_mono_ns();
    const int64_t now_us = options->now_us != 0 ? options->now_us : cx_clock_wall_us();
    enum cx_status status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    struct cx_pack *pack = cx_alloc(sizeof *pack);
    struct pack__draft draft = { .content = NULL };
    struct shown shown = { .count = 0 };
    status = cx_state_version(db, &pack->version, err);
    if (status == CX_OK) {
        status = gather(db, options, now_us, &draft, &shown, err);
    }
    if (status == CX_OK) {
        status = finish(&draft, options, &shown, err);
    }
    if (status == CX_OK) {
        status = pack__render(&draft, options, pack, err);
    }
    if (status == CX_OK) {
        set_validity(pack, options, now_us, &shown);
        status = keep_pack(db, options, session, &draft, pack, err);
    }
    cx_db_rollback(db);
    pack__draft_free(&draft);
    free(shown.expires_us);
    if (status != CX_OK) {
        cx_pack_free(&pack);
        return status;
    }
    cx_histogram_observe(cx_metrics_series(CX_M_SNAPSHOT_BUILD, ""),
                         (double)(cx_clock_mono_ns() - started) / 1e9);
    *out = pack;
    return CX_OK;
}

/* Takes the longest run of resources, and of facts after all resources, that fits: what dropping
 * facts and then resources from the end until it fits would leave, without reading what would be
 * dropped. */
static enum cx_status gather(struct cx_db *db, const struct cx_pack_options *options,
                             int64_t now_us, struct pack__draft *draft, struct shown *shown,
                             struct cx_err *err)
{
    json_t *summary = NULL;
    bool fixed = false;
    enum cx_status status = cx_state_summary(db, &summary, &fixed, err);
    if (status != CX_OK) {
        return status;
    }
    json_t *content = json_object();
    CX_CHECK(content != NULL);
    CX_CHECK(json_object_set_new(content, "generated_at", state__time(now_us)) == 0);
    CX_CHECK(json_object_set_new(content, "ttl_seconds", json_integer(options->ttl_seconds)) == 0);
    CX_CHECK(json_object_set_new(content, "summary", summary) == 0);
    CX_CHECK(json_object_set_new(content, "resources", json_array()) == 0);
    CX_CHECK(json_object_set_new(content, "hot_facts", json_array()) == 0);
    pack__draft_init(draft, content, options);
    size_t bytes = pack__body_bytes(draft, options);
    if (bytes == 0 || bytes > options->size_cap) {
        return too_large(err);
    }
    bool all = false;
    status = add_resources(db, draft->resources, options->size_cap, &bytes, &all, err);
    if (status == CX_OK && all) {
        status = add_facts(db, now_us, draft->facts, options->size_cap, &bytes, shown, err);
    }
    return status;
}

static enum cx_status add_resources(struct cx_db *db, json_t *list, size_t cap, size_t *bytes,
                                    bool *all, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status = cx_db_prepare(
        db, "SELECT " STATE__RESOURCE_COLUMNS " FROM state_resources ORDER BY id", &stmt, err);
    if (status != CX_OK) {
        return status;
    }
    bool row = true;
    bool fits = true;
    while (status == CX_OK && row && fits) {
        status = cx_stmt_step(stmt, &row, err);
        json_t *resource = NULL;
        if (status == CX_OK && row) {
            status = state__read_resource(stmt, &resource, err);
        }
        if (resource != NULL) {
            *bytes += element_bytes(resource, json_array_size(list), cap);
            fits = *bytes <= cap;
            if (fits) {
                CX_CHECK(json_array_append_new(list, resource) == 0);
            } else {
                json_decref(resource);
            }
        }
    }
    cx_stmt_reset(stmt);
    *all = fits;
    return status;
}

static enum cx_status add_facts(struct cx_db *db, int64_t now_us, json_t *list, size_t cap,
                                size_t *bytes, struct shown *shown, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status = cx_db_prepare(db, state__live_facts_sql, &stmt, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(stmt, 1, now_us);
    bool row = true;
    bool fits = true;
    while (status == CX_OK && row && fits) {
        status = cx_stmt_step(stmt, &row, err);
        if (status != CX_OK || !row) {
            break;
        }
        json_t *text = state__string(cx_stmt_text(stmt, 0));
        *bytes += element_bytes(text, json_array_size(list), cap);
        fits = *bytes <= cap;
        if (fits) {
            show(shown, cx_stmt_int(stmt, 1));
            CX_CHECK(json_array_append(list, text) == 0);
        }
        json_decref(text);
    }
    cx_stmt_reset(stmt);
    return status;
}

/* With its comma; more than the cap where it cannot fit anyhow. */
static size_t element_bytes(const json_t *value, size_t index, size_t cap)
{
    struct cx_buf text;
    cx_buf_init(&text, cap + 1);
    cx_json_write(value, &text);
    const size_t bytes = text.failed ? cap + 1 : text.len + (index > 0 ? 1 : 0);
    cx_buf_free(&text);
    return bytes;
}

static void show(struct shown *shown, int64_t expires_us)
{
    if (shown->count == shown->cap) {
        shown->cap = shown->cap == 0 ? 64 : shown->cap * 2;
        shown->expires_us = cx_realloc_array(shown->expires_us, shown->cap, sizeof(int64_t));
    }
    shown->expires_us[shown->count++] = expires_us;
}

/* Signs. How many digits the token count has is known only then: where they do not fit, one more
 * part goes. */
static enum cx_status finish(struct pack__draft *draft, const struct cx_pack_options *options,
                             struct shown *shown, struct cx_err *err)
{
    for (;;) {
        enum cx_status status = pack__sign(draft, options, err);
        if (status != CX_OK) {
            return status;
        }
        const size_t bytes = pack__body_bytes(draft, options);
        if (bytes > 0 && bytes <= options->size_cap) {
            return CX_OK;
        }
        if (shown->count > 0) {
            shown->count--;
            (void)json_array_remove(draft->facts, shown->count);
        } else if (json_array_size(draft->resources) > 0) {
            (void)json_array_remove(draft->resources, json_array_size(draft->resources) - 1);
        } else {
            return too_large(err);
        }
    }
}

static void set_validity(struct cx_pack *pack, const struct cx_pack_options *options,
                         int64_t now_us, const struct shown *shown)
{
    pack->generated_us = now_us;
    pack->expires_us = now_us + options->ttl_seconds * 1000000;
    for (size_t i = 0; i < shown->count; i++) {
        if (shown->expires_us[i] != 0 && shown->expires_us[i] < pack->expires_us) {
            pack->expires_us = shown->expires_us[i];
        }
    }
    pack->expires_mono_ns =
        cx_clock_mono_ns() + (uint64_t)(pack->expires_us - now_us) * UINT64_C(1000);
}

/* A full disk keeps a pack from being kept, not from being served: reading goes on. */
static enum cx_status keep_pack(struct cx_db *db, const struct cx_pack_options *options,
                                struct cx_str session, const struct pack__draft *draft,
                                const struct cx_pack *pack, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status = cx_db_prepare(
        db,
        "INSERT INTO state_snapshots(session, version, generated_us, expires_us, key_id, body)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
        &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_text(stmt, 1, session.p != NULL ? session : CX_STR(""));
        cx_stmt_bind_int(stmt, 2, (int64_t)pack->version);
        cx_stmt_bind_int(stmt, 3, pack->generated_us);
        cx_stmt_bind_int(stmt, 4, pack->expires_us);
        cx_stmt_bind_text(stmt, 5, cx_str_of(draft->key_id));
        cx_stmt_bind_text(stmt, 6, pack->body[CX_FRESH]);
        status = cx_stmt_run(stmt, err);
    }
    if (status == CX_OK) {
        status = cx_db_prepare(db,
                               "DELETE FROM state_snapshots WHERE id <= (SELECT id FROM"
                               " state_snapshots ORDER BY id DESC LIMIT 1 OFFSET ?1)",
                               &stmt, err);
    }
    if (status == CX_OK) {
        cx_stmt_bind_int(stmt, 1, options->keep > 0 ? (int64_t)options->keep : 1);
        status = cx_stmt_run(stmt, err);
    }
    if (status == CX_OK) {
        status = cx_db_commit(db, err);
    }
    if (status == CX_STORAGE_FULL) {
        CX_LOG(CX_LOG_WARN, "snapshot served but not kept: the disk is full");
        return CX_OK;
    }
    return status;
}

static enum cx_status too_large(struct cx_err *err)
{
    return cx_err_set(err, CX_TOO_LARGE, "The snapshot does not fit into its size limit");
}
