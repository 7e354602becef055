/* SPDX-License-Identifier: MIT
 *
 * SQLite as an engine of databases.h, over the fenced connections of store. Names of tables come from
 * the schema itself, and are quoted where they stand in a statement.
 */
#include <stdlib.h>
#include <string.h>

#include "cortex/store.h"
#include "databases.h"

#define SQL_BYTES ((size_t)16 * 1024)
#define TABLES_MAX 10000

struct databases__link {
    struct cx_foreign *foreign;
};

static enum cx_status open_file(const struct databases__database *database, uint64_t deadline_ns,
                                struct databases__link **out, struct cx_err *err)
{
    struct cx_foreign *foreign = NULL;
    const enum cx_status status = cx_foreign_open(database->path, deadline_ns, &foreign, err);
    if (status == CX_OK) {
        *out = cx_alloc(sizeof **out);
        (*out)->foreign = foreign;
    }
    return status;
}

static void close_file(struct databases__link **link)
{
    cx_foreign_close(&(*link)->foreign);
    free(*link);
    *link = NULL;
}

static json_t *text_of(const struct cx_foreign_row *row, size_t column)
{
    bool cut = false;
    return cx_foreign_type(row, column) == CX_FOREIGN_NULL
               ? json_null()
               : databases__text(cx_foreign_bytes(row, column), &cut);
}

/* ---- The schema ---- */

static const char *name_of(const json_t *table)
{
    return json_string_value(json_object_get(table, "name"));
}

static bool on_table(void *ctx, const struct cx_foreign_row *row)
{
    json_t *tables = ctx;
    const bool view = cx_str_eq(cx_foreign_bytes(row, 1), CX_STR("view"));
    json_t *name = text_of(row, 0);
    if (!json_is_string(name)) { /* cannot be asked for */
        json_decref(name);
        return true;
    }
    json_array_append_new(tables,
                          json_pack("{s:o, s:s, s:[], s:[], s:[]}", "name", name, "type",
                                    view ? "view" : "table", "columns", "indexes", "foreign_keys"));
    return json_array_size(tables) < TABLES_MAX;
}

static bool on_column(void *ctx, const struct cx_foreign_row *row)
{
    json_array_append_new(ctx,
                          json_pack("{s:o, s:o, s:b, s:b, s:o}", "name", text_of(row, 0), "type",
                                    text_of(row, 1), "nullable", (int)(cx_foreign_int(row, 2) == 0),
                                    "primary_key", (int)(cx_foreign_int(row, 3) != 0), "default",
                                    text_of(row, 4)));
    return true;
}

/* Rows come column by column; those of one index, or key, follow each other. */
static json_t *group_of(json_t *groups, const char *key, json_t *value)
{
    json_t *last = json_array_get(groups, json_array_size(groups) - 1);
    if (last != NULL && json_equal(json_object_get(last, key), value)) {
        json_decref(value);
        return last;
    }
    json_t *group = json_pack("{s:o, s:[]}", key, value, "columns");
    json_array_append_new(groups, group);
    return group;
}

static bool on_index(void *ctx, const struct cx_foreign_row *row)
{
    json_t *group = group_of(ctx, "name", text_of(row, 0));
    json_object_set_new(group, "unique", json_boolean(cx_foreign_int(row, 1) != 0));
    json_array_append_new(json_object_get(group, "columns"), text_of(row, 2));
    return true;
}

static bool on_foreign_key(void *ctx, const struct cx_foreign_row *row)
{
    json_t *group = group_of(ctx, "id", json_integer((json_int_t)cx_foreign_int(row, 0)));
    json_object_set_new(group, "table", text_of(row, 1));
    json_array_append_new(json_object_get(group, "columns"), text_of(row, 2));
    if (json_object_get(group, "references") == NULL) {
        json_object_set_new(group, "references", json_array());
    }
    json_array_append_new(json_object_get(group, "references"), text_of(row, 3));
    return true;
}

static enum cx_status describe(struct cx_foreign *f, json_t *table, struct cx_err *err)
{
    static const struct {
        const char *member;
        const char *sql;
        cx_foreign_row_fn on_row;
    } parts[] = {
        { "columns",
          "SELECT name, type, \"notnull\", pk, dflt_value FROM pragma_table_xinfo(?1)"
          " WHERE hidden <> 1 ORDER BY cid",
          on_column },
        { "indexes",
          "SELECT l.name, l.\"unique\", i.name FROM pragma_index_list(?1) l,"
          " pragma_index_info(l.name) i ORDER BY l.name, i.seqno",
          on_index },
        { "foreign_keys",
          "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?1)"
          " ORDER BY id, seq",
          on_foreign_key },
    };
    const struct cx_str name = cx_str_of(name_of(table));
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < CX_ARRAY_LEN(parts) && status == CX_OK; i++) {
        status = cx_foreign_query(f, parts[i].sql, &name, 1, parts[i].on_row,
                                  json_object_get(table, parts[i].member), err);
    }
    size_t index = 0;
    json_t *key = NULL;
    json_array_foreach(json_object_get(table, "foreign_keys"), index, key)
    {
        json_object_del(key, "id");
    }
    return status;
}

static enum cx_status tables_of(struct databases__link *link, json_t **out, struct cx_err *err)
{
    json_t *tables = json_array();
    enum cx_status status =
        cx_foreign_query(link->foreign,
                         "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view')"
                         " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
                         NULL, 0, on_table, tables, err);
    size_t index = 0;
    json_t *table = NULL;
    json_array_foreach(tables, index, table)
    {
        enum cx_status described = status == CX_OK ? describe(link->foreign, table, err) : status;
        /* A view whose tables are gone has no columns; all else can be told all the same. */
        status = described == CX_CONFLICT ? CX_OK : described;
    }
    if (status != CX_OK) {
        json_decref(tables);
        return status;
    }
    *out = tables;
    return CX_OK;
}

/* ---- Rows ---- */

static bool on_count(void *ctx, const struct cx_foreign_row *row)
{
    *(int64_t *)ctx = cx_foreign_int(row, 0);
    return false;
}

static enum cx_status ask(struct databases__link *link, const char *before, const char *table,
                          const char *after, cx_foreign_row_fn on_row, void *ctx,
                          struct cx_err *err)
{
    struct cx_buf sql;
    cx_buf_init(&sql, SQL_BYTES);
    cx_buf_puts(&sql, before);
    cx_foreign_quote(cx_str_of(table), &sql);
    cx_buf_puts(&sql, after);
    const enum cx_status status =
        sql.failed ? cx_err_set(err, CX_CONFLICT, "The table's name is too long")
                   : cx_foreign_query(link->foreign, sql.data, NULL, 0, on_row, ctx, err);
    cx_buf_free(&sql);
    return status;
}

static enum cx_status count_rows(struct databases__link *link, const char *table, int64_t *rows,
                                 struct cx_err *err)
{
    return ask(link, "SELECT count(*) FROM ", table, "", on_count, rows, err);
}

static bool on_migration(void *ctx, const struct cx_foreign_row *row)
{
    json_t **found = ctx;
    json_decref(*found);
    *found = text_of(row, 0);
    return false;
}

/* Without a table of migrations, the number that SQLite keeps for its users. */
static enum cx_status last_migration(struct databases__link *link, const json_t *tables,
                                     json_t **out, struct cx_err *err)
{
    const char *query = databases__migration_query(tables);
    if (query == NULL) {
        query = "SELECT 'user_version ' || user_version FROM pragma_user_version"
                " WHERE user_version <> 0";
    }
    return cx_foreign_query(link->foreign, query, NULL, 0, on_migration, out, err);
}

struct sample {
    bool (*take)(void *ctx, json_t *steals);
    void *ctx;
    bool *cut;
};

static json_t *value_of(const struct cx_foreign_row *row, size_t column, bool *cut)
{
    json_t *value = NULL;
    switch (cx_foreign_type(row, column)) {
    case CX_FOREIGN_NULL:
        return json_null();
    case CX_FOREIGN_INT:
        return json_integer((json_int_t)cx_foreign_int(row, column));
    case CX_FOREIGN_REAL:
        value = json_real(cx_foreign_real(row, column)); /* NULL where it is infinite */
        return value != NULL ? value : json_null();
    case CX_FOREIGN_TEXT:
        return databases__text(cx_foreign_bytes(row, column), cut);
    case CX_FOREIGN_BLOB:
        return databases__blob(cx_foreign_bytes(row, column), cut);
    }
    return json_null();
}

static bool on_sample(void *ctx, const struct cx_foreign_row *row)
{
    const struct sample *s = ctx;
    json_t *object = json_object();
    for (size_t i = 0; i < cx_foreign_columns(row); i++) {
        const struct cx_str name = cx_foreign_name(row, i);
        if (cx_utf8_valid(name)) {
            json_object_set_new(object, name.p, value_of(row, i, s->cut));
        }
    }
    return s->take(s->ctx, object);
}

/* By rowid where there is one: a view has none, nor has a table WITHOUT ROWID, which is read in the order of
 * its primary key. */
static enum cx_status sample(struct databases__link *link, const json_t *table, size_t limit,
                             bool (*take)(void *ctx, json_t *steals), void *ctx, bool *cut,
                             struct cx_err *err)
{
    struct sample s = { .take = take, .ctx = ctx, .cut = cut };
    struct cx_buf after;
    cx_buf_init(&after, 64);
    const char *type = json_string_value(json_object_get(table, "type"));
    int64_t has_rowid = 0;
    const struct cx_str name = cx_str_of(name_of(table));
    enum cx_status status =
        cx_foreign_query(link->foreign,
                         "SELECT wr = 0 AND type <> 'view' FROM pragma_table_list"
                         " WHERE schema = 'main' AND name = ?1",
                         &name, 1, on_count, &has_rowid, err);
    const bool ordered = has_rowid != 0 && type != NULL && strcmp(type, "table") == 0;
    cx_buf_printf(&after, "%s LIMIT %zu", ordered ? " ORDER BY rowid" : "", limit + 1);
    if (status == CX_OK) {
        status = ask(link, "SELECT * FROM ", name.p, after.data, on_sample, &s, err);
    }
    cx_buf_free(&after);
    return status;
}

const struct databases__engine databases__sqlite = {
    .name = "sqlite",
    .open = open_file,
    .close = close_file,
    .tables = tables_of,
    .count_rows = count_rows,
    .last_migration = last_migration,
    .sample = sample,
};
