/* SPDX-License-Identifier: MIT
 *
 * Resources: what the service knows of, listed and signed with every pack. Blocking; changes belong
 * to the write lane.
 */
#include "state.h"

#include "cortex/json.h"

/* Beyond it a double, and so a client that verifies in JavaScript, cannot tell neighbours apart. */
#define INTEGER_MAX 9007199254740991
/* A pack puts the metadata three levels deeper, and must still be read back. */
#define METADATA_DEPTH_MAX (CX_JSON_DEPTH_MAX - 4)

static enum cx_status check_resource(const json_t *resource, struct cx_err *err);
static enum cx_status check_value(const json_t *value, int depth, struct cx_err *err);
static enum cx_status upsert(struct cx_db *db, const json_t *resource, struct cx_str metadata,
                             bool *created, bool *changed, struct cx_err *err);
static struct cx_str member(const json_t *resource, const char *name);

enum cx_status cx_state_resources(struct cx_db *db, json_t **out, struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    enum cx_status status = cx_db_prepare(
        db, "SELECT " STATE__RESOURCE_COLUMNS " FROM state_resources ORDER BY id", &stmt, err);
    if (status != CX_OK) {
        return status;
    }
    json_t *list = json_array();
    CX_CHECK(list != NULL);
    for (bool row = true; status == CX_OK && row;) {
        status = cx_stmt_step(stmt, &row, err);
        json_t *resource = NULL;
        if (status == CX_OK && row) {
            status = state__read_resource(stmt, &resource, err);
        }
        if (resource != NULL) {
            CX_CHECK(json_array_append_new(list, resource) == 0);
        }
    }
    cx_stmt_reset(stmt);
    if (status != CX_OK) {
        json_decref(list);
        return status;
    }
    *out = list;
    return CX_OK;
}

enum cx_status cx_state_resource(struct cx_db *db, struct cx_str id, json_t **out,
                                 struct cx_err *err)
{
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(
        db, "SELECT " STATE__RESOURCE_COLUMNS " FROM state_resources WHERE id=?1", &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_text(stmt, 1, id);
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status != CX_OK) {
        return status;
    }
    status = row ? state__read_resource(stmt, out, err)
                 : cx_err_set(err, CX_NOT_FOUND, "No such resource");
    cx_stmt_reset(stmt);
    return status;
}

enum cx_status cx_state_put_resource(struct cx_db *db, const json_t *resource, bool *created,
                                     struct cx_err *err)
{
    enum cx_status status = check_resource(resource, err);
    if (status != CX_OK) {
        return status;
    }
    struct cx_buf metadata;
    cx_buf_init(&metadata, CX_RESOURCE_MAX_BYTES);
    cx_json_write(json_object_get(resource, "metadata"), &metadata);
    if (metadata.failed) {
        cx_buf_free(&metadata);
        return cx_err_set(err, CX_TOO_LARGE, "metadata must be at most %d bytes of JSON",
                          CX_RESOURCE_MAX_BYTES);
    }
    bool is_new = false;
    bool changed = false;
    status = cx_db_begin(db, err);
    if (status == CX_OK) {
        status = upsert(db, resource, (struct cx_str){ metadata.data, metadata.len }, &is_new,
                        &changed, err);
        if (status == CX_OK && changed) {
            status = state__check_room(db, "SELECT resource_count, resource_bytes FROM state_meta",
                                       "resources", CX_STATE_MAX_COUNT, CX_STATE_MAX_BYTES, err);
        }
        status = state__end(db, status, changed, err);
    }
    cx_buf_free(&metadata);
    if (status == CX_OK) {
        *created = is_new;
    }
    return status;
}

enum cx_status cx_state_delete_resource(struct cx_db *db, struct cx_str id, struct cx_err *err)
{
    enum cx_status status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    struct cx_stmt *stmt = NULL;
    status = cx_db_prepare(db, "DELETE FROM state_resources WHERE id=?1", &stmt, err);
    if (status == CX_OK) {
        cx_stmt_bind_text(stmt, 1, id);
        status = cx_stmt_run(stmt, err);
    }
    if (status == CX_OK && cx_db_changes(db) == 0) {
        status = cx_err_set(err, CX_NOT_FOUND, "No such resource");
    }
    return state__end(db, status, true, err);
}

enum cx_status state__read_resource(const struct cx_stmt *row, json_t **out, struct cx_err *err)
{
    json_t *metadata = NULL;
    enum cx_status status = cx_json_parse(cx_stmt_text(row, 4), &metadata, NULL);
    if (status != CX_OK || !json_is_object(metadata)) {
        json_decref(metadata);
        CX_LOG(CX_LOG_ERROR, "resource's metadata in the database is no JSON object");
        return cx_err_set(err, CX_INTERNAL, "%s", cx_status_text(CX_INTERNAL));
    }
    static const char *const names[] = { "id", "kind", "name", "uri" };
    json_t *resource = json_object();
    CX_CHECK(resource != NULL);
    for (int i = 0; i < (int)CX_ARRAY_LEN(names); i++) {
        CX_CHECK(json_object_set_new(resource, names[i], state__string(cx_stmt_text(row, i))) == 0);
    }
    CX_CHECK(json_object_set_new(resource, "metadata", metadata) == 0);
    *out = resource;
    return CX_OK;
}

static enum cx_status check_resource(const json_t *resource, struct cx_err *err)
{
    static const char *const names[] = { "id", "kind", "name", "uri" };
    if (!json_is_object(resource) || json_object_size(resource) != CX_ARRAY_LEN(names) + 1) {
        return cx_err_set(err, CX_INVALID,
                          "a resource has exactly id, kind, name, uri and metadata");
    }
    size_t bytes = 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(names); i++) {
        if (!json_is_string(json_object_get(resource, names[i]))) {
            return cx_err_set(err, CX_INVALID, "%s must be a string", names[i]);
        }
        bytes += member(resource, names[i]).len;
    }
    if (member(resource, "id").len == 0) {
        return cx_err_set(err, CX_INVALID, "id must not be empty");
    }
    if (bytes > CX_RESOURCE_MAX_BYTES) {
        return cx_err_set(err, CX_TOO_LARGE, "a resource must be at most %d bytes",
                          CX_RESOURCE_MAX_BYTES);
    }
    const json_t *metadata = json_object_get(resource, "metadata");
    if (!json_is_object(metadata)) {
        return cx_err_set(err, CX_INVALID, "metadata must be an object");
    }
    return check_value(metadata, 1, err);
}

static enum cx_status check_value(const json_t *value, int depth, struct cx_err *err)
{
    if (depth > METADATA_DEPTH_MAX) {
        return cx_err_set(err, CX_INVALID, "metadata is nested deeper than %d levels",
                          METADATA_DEPTH_MAX);
    }
    if (json_is_integer(value)) {
        const json_int_t number = json_integer_value(value);
        if (number > INTEGER_MAX || number < -INTEGER_MAX) {
            return cx_err_set(err, CX_INVALID,
                              "an integer in metadata must be between -9007199254740991 and"
                              " 9007199254740991");
        }
        return CX_OK;
    }
    enum cx_status status = CX_OK;
    if (json_is_array(value)) {
        for (size_t i = 0; status == CX_OK && i < json_array_size(value); i++) {
            status = check_value(json_array_get(value, i), depth + 1, err);
        }
    } else if (json_is_object(value)) {
        /* jansson's iterators are not const, though they only look. */
        json_t *object = (json_t *)value;
        for (void *at = json_object_iter(object); status == CX_OK && at != NULL;
             at = json_object_iter_next(object, at)) {
            status = check_value(json_object_iter_value(at), depth + 1, err);
        }
    }
    return status;
}

/* The same again is no change, and does not put packs out of date. */
static enum cx_status upsert(struct cx_db *db, const json_t *resource, struct cx_str metadata,
                             bool *created, bool *changed, struct cx_err *err)
{
    static const char *const names[] = { "id", "kind", "name", "uri" };
    struct cx_stmt *stmt = NULL;
    bool row = false;
    enum cx_status status = cx_db_prepare(
        db,
        "SELECT kind=?2 AND name=?3 AND uri=?4 AND metadata=?5 FROM state_resources WHERE id=?1",
        &stmt, err);
    if (status == CX_OK) {
        for (int i = 0; i < (int)CX_ARRAY_LEN(names); i++) {
            cx_stmt_bind_text(stmt, i + 1, member(resource, names[i]));
        }
        cx_stmt_bind_text(stmt, 5, metadata);
        status = cx_stmt_step(stmt, &row, err);
    }
    if (status != CX_OK) {
        return status;
    }
    *created = !row;
    *changed = !row || cx_stmt_int(stmt, 0) == 0;
    cx_stmt_reset(stmt);
    if (!*changed) {
        return CX_OK;
    }
    status = cx_db_prepare(db,
                           "INSERT INTO state_resources(" STATE__RESOURCE_COLUMNS ")"
                           " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO UPDATE SET"
                           " kind=excluded.kind, name=excluded.name, uri=excluded.uri,"
                           " metadata=excluded.metadata",
                           &stmt, err);
    if (status != CX_OK) {
        return status;
    }
    for (int i = 0; i < (int)CX_ARRAY_LEN(names); i++) {
        cx_stmt_bind_text(stmt, i + 1, member(resource, names[i]));
    }
    cx_stmt_bind_text(stmt, 5, metadata);
    return cx_stmt_run(stmt, err);
}

static struct cx_str member(const json_t *resource, const char *name)
{
    const json_t *value = json_object_get(resource, name);
    return (struct cx_str){ json_string_value(value), json_string_length(value) };
}
