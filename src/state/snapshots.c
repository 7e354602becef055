/* SPDX-License-Identifier: MIT
 *
 * The list of the packs that are kept in the database. Blocking, any connection.
 */
#include "state.h"

#include <inttypes.h>
#include <stdio.h>

#include "cortex/json.h"

/* A page with the packs ends early where they are large. */
#define PAGE_BYTES ((size_t)8 * 1024 * 1024)

static enum cx_status read_listed(const struct cx_stmt *row, bool with_packs, json_t **out,
                                  struct cx_err *err);
static void set(json_t *object, const char *name, json_t *value);

enum cx_status cx_state_snapshots(struct cx_db *db, const struct cx_snapshot_query *query,
                                  json_t **out, struct cx_err *err)
{
    uint64_t before = INT64_MAX;
    if (query->cursor.p != NULL && (!cx_parse_u64(query->cursor, &before) || before > INT64_MAX)) {
        return cx_err_set(err, CX_INVALID, "cursor is not one of this list's");
    }
    CX_CHECK(query->limit >= 1 && query->limit <= 1000);
    struct cx_stmt *stmt = NULL;
    enum cx_status status = cx_db_prepare(
        db,
        query->session.p != NULL
            ? "SELECT id, session, generated_us, expires_us, version, key_id, body"
              " FROM state_snapshots WHERE id<?1 AND generated_us>?2 AND session=?4"
              " ORDER BY id DESC LIMIT ?3"
            : "SELECT id, session, generated_us, expires_us, version, key_id, body"
              " FROM state_snapshots WHERE id<?1 AND generated_us>?2 ORDER BY id DESC LIMIT ?3",
        &stmt, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(stmt, 1, (int64_t)before);
    cx_stmt_bind_int(stmt, 2, query->since_us);
    cx_stmt_bind_int(stmt, 3, query->limit + 1);
    if (query->session.p != NULL) {
        cx_stmt_bind_text(stmt, 4, query->session);
    }
    json_t *list = json_array();
    CX_CHECK(list != NULL);
    json_t *cursor = json_null();
    size_t bytes = 0;
    for (bool row = true; status == CX_OK && row;) {
        status = cx_stmt_step(stmt, &row, err);
        if (status != CX_OK || !row) {
            break;
        }
        bytes += query->with_packs ? cx_stmt_text(stmt, 6).len : 0;
        if ((int64_t)json_array_size(list) == query->limit ||
            (json_array_size(list) > 0 && bytes > PAGE_BYTES)) {
            const json_t *last = json_array_get(list, json_array_size(list) - 1);
            char text[24];
            (void)snprintf(text, sizeof text, "%" PRId64,
                           (int64_t)json_integer_value(json_object_get(last, "id")));
            cursor = state__string(cx_str_of(text));
            break;
        }
        json_t *listed = NULL;
        status = read_listed(stmt, query->with_packs, &listed, err);
        if (status == CX_OK) {
            CX_CHECK(json_array_append_new(list, listed) == 0);
        }
    }
    cx_stmt_reset(stmt);
    if (status != CX_OK) {
        json_decref(list);
        return status;
    }
    json_t *answer = json_object();
    CX_CHECK(answer != NULL);
    set(answer, "snapshots", list);
    set(answer, "cursor", cursor);
    *out = answer;
    return CX_OK;
}

static enum cx_status read_listed(const struct cx_stmt *row, bool with_packs, json_t **out,
                                  struct cx_err *err)
{
    const struct cx_str body = cx_stmt_text(row, 6);
    json_t *pack = NULL;
    if (with_packs && cx_json_parse(body, &pack, NULL) != CX_OK) {
        CX_LOG(CX_LOG_ERROR, "a kept snapshot is not JSON");
        return cx_err_set(err, CX_INTERNAL, "%s", cx_status_text(CX_INTERNAL));
    }
    json_t *listed = json_object();
    CX_CHECK(listed != NULL);
    set(listed, "id", json_integer(cx_stmt_int(row, 0)));
    set(listed, "session", state__string(cx_stmt_text(row, 1)));
    set(listed, "generated_at", state__time(cx_stmt_int(row, 2)));
    set(listed, "expires_at", state__time(cx_stmt_int(row, 3)));
    set(listed, "version", json_integer(cx_stmt_int(row, 4)));
    set(listed, "key_id", state__string(cx_stmt_text(row, 5)));
    set(listed, "size_bytes", json_integer((json_int_t)body.len));
    if (pack != NULL) {
        set(listed, "snapshot", pack);
    }
    *out = listed;
    return CX_OK;
}

static void set(json_t *object, const char *name, json_t *value)
{
    CX_CHECK(json_object_set_new(object, name, value) == 0);
}
