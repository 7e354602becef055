/* SPDX-License-Identifier: MIT
 *
 * The pack that a restart may go on with. One from the database is believed only after its
 * signature has been checked.
 */
#include "pack.h"

#include "cortex/json.h"

/* Newer ones that do not verify are passed over, but not without end. */
#define CANDIDATES_MAX 8

static struct cx_pack *revive(const struct cx_pack_options *options, const struct cx_stmt *row,
                              int64_t now_us);
static bool verify(struct pack__draft *draft, const struct cx_pack_options *options,
                   const json_t *body, int64_t *generated_us);
static bool same_frame(const json_t *body, const struct pack__draft *draft,
                       const struct cx_pack_options *options);
static bool live(struct cx_pack *pack, const struct cx_pack_options *options, int64_t now_us);

enum cx_status cx_pack_restore(struct cx_db *db, const struct cx_pack_options *options,
                               struct cx_pack **out, struct cx_err *err)
{
    const int64_t now_us = options->now_us != 0 ? options->now_us : cx_clock_wall_us();
    uint64_t version = 0;
    enum cx_status status = cx_state_version(db, &version, err);
    if (status != CX_OK) {
        return status;
    }
    char key_id[17];
    cx_key_id(options->signing_key, key_id);
    struct cx_stmt *stmt = NULL;
    status = cx_db_prepare(db,
                           "SELECT body, expires_us FROM state_snapshots"
                           " WHERE version=?1 AND key_id=?2 ORDER BY id DESC LIMIT ?3",
                           &stmt, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(stmt, 1, (int64_t)version);
    cx_stmt_bind_text(stmt, 2, cx_str_of(key_id));
    cx_stmt_bind_int(stmt, 3, CANDIDATES_MAX);
    struct cx_pack *pack = NULL;
    for (bool row = true; status == CX_OK && row && pack == NULL;) {
        status = cx_stmt_step(stmt, &row, err);
        if (status == CX_OK && row) {
            pack = revive(options, stmt, now_us);
        }
    }
    cx_stmt_reset(stmt);
    if (status != CX_OK) {
        return status;
    }
    if (pack != NULL) {
        pack->version = version;
    }
    *out = pack;
    return CX_OK;
}

/* NULL where it is not to be believed or not to be served any more. */
static struct cx_pack *revive(const struct cx_pack_options *options, const struct cx_stmt *row,
                              int64_t now_us)
{
    json_t *body = NULL;
    if (cx_json_parse(cx_stmt_text(row, 0), &body, NULL) != CX_OK) {
        return NULL;
    }
    struct pack__draft draft = { .content = NULL };
    struct cx_pack *pack = cx_alloc(sizeof *pack);
    pack->expires_us = cx_stmt_int(row, 1);
    pack->restored = true;
    const bool verified = verify(&draft, options, body, &pack->generated_us);
    if (!verified) {
        CX_LOG(CX_LOG_WARN, "a kept snapshot does not verify and is passed over");
    }
    if (!verified || !same_frame(body, &draft, options) || !live(pack, options, now_us) ||
        pack__render(&draft, options, pack, NULL) != CX_OK) {
        cx_pack_free(&pack);
    }
    pack__draft_free(&draft);
    json_decref(body);
    return pack;
}

/* The signature is over the five members as they stand in the body, whatever else stands beside
 * them. */
static bool verify(struct pack__draft *draft, const struct cx_pack_options *options,
                   const json_t *body, int64_t *generated_us)
{
    static const char *const members[] = { "generated_at", "ttl_seconds", "summary", "resources",
                                           "hot_facts" };
    json_t *content = json_object();
    CX_CHECK(content != NULL);
    for (size_t i = 0; i < CX_ARRAY_LEN(members); i++) {
        json_t *member = json_object_get(body, members[i]);
        if (member == NULL || json_object_set(content, members[i], member) != 0) {
            json_decref(content);
            return false;
        }
    }
    pack__draft_init(draft, content, options);
    const json_t *signature = json_object_get(body, "signature");
    return pack__sign(draft, options, NULL) == CX_OK && json_is_string(signature) &&
           json_string_length(signature) == sizeof draft->signature - 1 &&
           cx_equal_constant_time(json_string_value(signature), draft->signature,
                                  sizeof draft->signature - 1) &&
           cx_time_parse(cx_str_of(json_string_value(json_object_get(body, "generated_at"))),
                         generated_us);
}

/* What a pack built now would have: after a change of the configuration the old one is not gone
 * on with. */
static bool same_frame(const json_t *body, const struct pack__draft *draft,
                       const struct cx_pack_options *options)
{
    const size_t bytes = pack__body_bytes(draft, options);
    return json_integer_value(json_object_get(body, "ttl_seconds")) == options->ttl_seconds &&
           bytes > 0 && bytes <= options->size_cap;
}

/* What is left of its time goes by the wall clock across a restart, and from here on by the
 * monotonic one. When it was made is taken from what is signed; the column beside it can only
 * shorten its life. */
static bool live(struct cx_pack *pack, const struct cx_pack_options *options, int64_t now_us)
{
    const int64_t ttl_us = options->ttl_seconds * 1000000;
    int64_t whole_us = pack->expires_us - pack->generated_us;
    whole_us = whole_us < ttl_us ? whole_us : ttl_us;
    int64_t left_us = pack->generated_us + whole_us - now_us;
    /* A clock that was set back does not lengthen it. */
    left_us = left_us < whole_us ? left_us : whole_us;
    if (left_us <= 0) {
        return false;
    }
    pack->expires_us = now_us + left_us;
    pack->expires_mono_ns = cx_clock_mono_ns() + (uint64_t)left_us * UINT64_C(1000);
    return true;
}
