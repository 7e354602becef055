/* SPDX-License-Identifier: MIT
 *
 * Looking into databases: what is told of them, whatever engine they have. Threads: a worker.
 */
#include "databases.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"
#include "cortex/json.h"

static char *copied(const char *text)
{
    return text != NULL ? cx_strdup(text) : NULL;
}

enum cx_status cx_databases_new(const struct cx_database_options *databases, size_t count,
                                struct cx_databases **out, struct cx_err *err)
{
    static const struct databases__engine *const engines[] = {
        [CX_DATABASE_SQLITE] = &databases__sqlite,
        [CX_DATABASE_POSTGRESQL] = &databases__postgresql,
    };
    struct cx_databases *all = cx_alloc(sizeof *all);
    all->items = cx_alloc((count + 1) * sizeof *all->items);
    for (size_t i = 0; i < count; i++) {
        struct databases__database *d = &all->items[all->count++];
        d->name = copied(databases[i].name);
        d->engine = engines[databases[i].engine];
        d->path = copied(databases[i].path);
        d->dsn = copied(databases[i].dsn);
        d->dsn_ref = copied(databases[i].dsn_ref);
        d->timeout_ms = databases[i].timeout_ms;
        if (d->engine->open == NULL) {
            const enum cx_status status =
                cx_err_set(err, CX_NOT_CONFIGURED, "database \"%s\": this build has no %s", d->name,
                           d->engine->name);
            cx_databases_free(&all);
            return status;
        }
    }
    *out = all;
    return CX_OK;
}

void cx_databases_free(struct cx_databases **databases)
{
    if (*databases == NULL) {
        return;
    }
    for (size_t i = 0; i < (*databases)->count; i++) {
        struct databases__database *d = &(*databases)->items[i];
        if (d->dsn != NULL) {
            cx_wipe(d->dsn, strlen(d->dsn));
        }
        free(d->name);
        free(d->path);
        free(d->dsn);
        free(d->dsn_ref);
    }
    free((*databases)->items);
    free(*databases);
    *databases = NULL;
}

/* ---- One look ---- */

struct look {
    const struct databases__database *database;
    struct databases__link *link;
    json_t *tables;
};

static enum cx_status look_begin(const struct databases__database *database, struct look *look,
                                 struct cx_err *err)
{
    CX_CHECK(database != NULL);
    *look = (struct look){ .database = database };
    const uint64_t deadline_ns = cx_clock_mono_ns() + database->timeout_ms * 1000000;
    enum cx_status status = database->engine->open(database, deadline_ns, &look->link, err);
    if (status == CX_OK) {
        status = database->engine->tables(look->link, &look->tables, err);
    }
    return status;
}

static void look_end(struct look *look)
{
    json_decref(look->tables);
    if (look->link != NULL) {
        look->database->engine->close(&look->link);
    }
}

static enum cx_status find(const struct cx_databases *databases, struct cx_str name,
                           const struct databases__database **out, struct cx_err *err)
{
    for (size_t i = 0; i < databases->count; i++) {
        if (cx_str_eq(name, cx_str_of(databases->items[i].name))) {
            *out = &databases->items[i];
            return CX_OK;
        }
    }
    return cx_err_set(err, CX_NOT_FOUND, "There is no such database");
}

/* Seeing that the schema took too long is a refusal: there is nothing to tell. */
static enum cx_status too_slow(enum cx_status status, struct cx_err *err)
{
    return status == CX_REQUEST_TIMEOUT
               ? cx_err_set(err, CX_OVERLOADED, "The database did not answer in time")
               : status;
}

static const char *member(const json_t *table, const char *name)
{
    const char *text = json_string_value(json_object_get(table, name));
    return text != NULL ? text : "";
}

/* null where the time was over, and of a view, which would have to be worked out. */
static json_t *row_count(struct look *look, const json_t *table)
{
    int64_t rows = 0;
    if (strcmp(member(table, "type"), "table") != 0 ||
        look->database->engine->count_rows(look->link, member(table, "name"), &rows, NULL) !=
            CX_OK) {
        return json_null();
    }
    return json_integer((json_int_t)rows);
}

/* ---- List ---- */

static json_t *summary_of(const struct databases__database *database);

enum cx_status cx_databases_list(const struct cx_databases *databases, json_t **out,
                                 struct cx_err *err)
{
    (void)err;
    json_t *list = json_array();
    for (size_t i = 0; i < databases->count; i++) {
        json_array_append_new(list, summary_of(&databases->items[i]));
    }
    *out = list;
    return CX_OK;
}

static json_t *summary_of(const struct databases__database *database)
{
    struct look look;
    json_t *rows = json_null();
    json_t *tables = json_null();
    json_t *migration = json_null();
    if (look_begin(database, &look, NULL) == CX_OK) {
        int64_t sum = 0;
        bool known = true;
        tables = json_integer(0);
        size_t index = 0;
        const json_t *table = NULL;
        json_array_foreach(look.tables, index, table)
        {
            if (strcmp(member(table, "type"), "table") != 0) {
                continue;
            }
            (void)json_integer_set(tables, json_integer_value(tables) + 1);
            json_t *count = known ? row_count(&look, table) : json_null();
            known = json_is_integer(count);
            sum += json_integer_value(count);
            json_decref(count);
        }
        if (known) {
            rows = json_integer((json_int_t)sum);
        }
        (void)database->engine->last_migration(look.link, look.tables, &migration, NULL);
    }
    look_end(&look);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "name", database->name, "engine",
                     database->engine->name, "dsn_ref", database->dsn_ref, "table_count", tables,
                     "row_count", rows, "last_migration", migration);
}

/* ---- Schema ---- */

static json_t *hash_of(const json_t *tables)
{
    uint8_t digest[32];
    char hex[65];
    struct cx_buf text;
    cx_buf_init(&text, (size_t)64 << 20);
    cx_json_write(tables, &text);
    cx_sha256((struct cx_str){ text.data, text.len }, digest);
    cx_buf_free(&text);
    cx_hex(digest, sizeof digest, hex);
    return json_string(hex);
}

enum cx_status cx_databases_schema(const struct cx_databases *databases, struct cx_str name,
                                   json_t **out, struct cx_err *err)
{
    const struct databases__database *database = NULL;
    struct look look = { .link = NULL };
    enum cx_status status = find(databases, name, &database, err);
    if (status != CX_OK) {
        return status;
    }
    status = too_slow(look_begin(database, &look, err), err);
    if (status == CX_OK) {
        char time[CX_TIME_TEXT_BYTES];
        size_t index = 0;
        json_t *table = NULL;
        json_array_foreach(look.tables, index, table)
        {
            json_object_del(table, "quoted"); /* an engine's own */
        }
        json_t *hash = hash_of(look.tables);
        json_array_foreach(look.tables, index, table)
        {
            json_object_set_new(table, "row_count", row_count(&look, table));
        }
        *out = json_pack("{s:O, s:o, s:s}", "tables", look.tables, "schema_hash", hash,
                         "computed_at", cx_time_format(cx_clock_wall_us(), time));
    }
    look_end(&look);
    return status;
}

/* ---- Sample ---- */

struct sample {
    json_t *rows;
    size_t limit;
    size_t bytes;
    size_t bytes_max;
    bool more;
};

static bool take(void *ctx, json_t *row)
{
    struct sample *s = ctx;
    struct cx_buf text;
    cx_buf_init(&text, s->bytes_max);
    cx_json_write(row, &text);
    const bool fits = !text.failed && s->bytes + text.len + 1 <= s->bytes_max;
    s->bytes += text.len + 1;
    cx_buf_free(&text);
    if (!fits || json_array_size(s->rows) == s->limit) {
        s->more = true;
        json_decref(row);
        return false;
    }
    json_array_append_new(s->rows, row);
    return true;
}

static const json_t *find_table(const json_t *tables, struct cx_str name)
{
    size_t index = 0;
    const json_t *table = NULL;
    json_array_foreach(tables, index, table)
    {
        if (cx_str_eq(name, cx_str_of(member(table, "name")))) {
            return table;
        }
    }
    return NULL;
}

static json_t *sample_json(const struct databases__database *database, const json_t *table,
                           size_t limit, json_t *rows, bool truncated)
{
    return json_pack("{s:s, s:s, s:I, s:O, s:b}", "database", database->name, "table",
                     member(table, "name"), "limit", (json_int_t)limit, "rows", rows, "truncated",
                     (int)truncated);
}

/* What stands around the rows. */
static size_t frame_bytes(const struct databases__database *database, const json_t *table,
                          size_t limit, json_t *no_rows)
{
    struct cx_buf text;
    json_t *frame = sample_json(database, table, limit, no_rows, false);
    cx_buf_init(&text, (size_t)64 << 10);
    cx_json_write(frame, &text);
    const size_t bytes = text.len;
    cx_buf_free(&text);
    json_decref(frame);
    return bytes;
}

enum cx_status cx_databases_sample(const struct cx_databases *databases, struct cx_str name,
                                   struct cx_str table_name, size_t limit, size_t bytes_max,
                                   json_t **out, struct cx_err *err)
{
    const struct databases__database *database = NULL;
    struct look look = { .link = NULL };
    enum cx_status status = find(databases, name, &database, err);
    if (status != CX_OK) {
        return status;
    }
    status = too_slow(look_begin(database, &look, err), err);
    const json_t *table = status == CX_OK ? find_table(look.tables, table_name) : NULL;
    if (status == CX_OK && table == NULL) {
        status = cx_err_set(err, CX_NOT_FOUND, "There is no such table");
    }
    struct sample s = { .rows = json_array(), .limit = limit, .bytes_max = bytes_max };
    bool cut = false;
    if (status == CX_OK) {
        s.bytes = frame_bytes(database, table, limit, s.rows);
        status = database->engine->sample(look.link, table, limit, take, &s, &cut, err);
        if (status == CX_REQUEST_TIMEOUT) { /* what was found by then is answered */
            s.more = true;
            status = CX_OK;
        }
    }
    if (status == CX_OK) {
        *out = sample_json(database, table, limit, s.rows, s.more || cut);
    }
    json_decref(s.rows);
    look_end(&look);
    return status;
}

/* ---- Values ---- */

json_t *databases__text(struct cx_str text, bool *cut)
{
    const size_t len = cx_utf8_cut(text, DATABASES__VALUE_BYTES);
    json_t *value = json_stringn(text.p, len < text.len ? len : text.len);
    if (value == NULL || memchr(text.p, '\0', text.len) != NULL) {
        json_decref(value);
        return databases__blob(text, cut); /* not UTF-8, or with a NUL */
    }
    *cut = *cut || len < text.len;
    return value;
}

json_t *databases__blob(struct cx_str bytes, bool *cut)
{
    const size_t len = bytes.len < DATABASES__VALUE_BYTES ? bytes.len : DATABASES__VALUE_BYTES;
    struct cx_buf text;
    cx_buf_init(&text, 2 * DATABASES__VALUE_BYTES);
    cx_base64_encode(bytes.p, len, &text);
    *cut = *cut || len < bytes.len;
    json_t *value = json_pack("{s:s%, s:I}", "base64", text.data != NULL ? text.data : "", text.len,
                              "bytes", (json_int_t)bytes.len);
    cx_buf_free(&text);
    return value;
}

const char *databases__migration_query(const json_t *tables)
{
    static const struct {
        const char *table;
        const char *query;
    } known[] = {
        { "alembic_version", "SELECT version_num FROM alembic_version LIMIT 1" },
        { "django_migrations", "SELECT name FROM django_migrations ORDER BY id DESC LIMIT 1" },
        { "flyway_schema_history",
          "SELECT version FROM flyway_schema_history ORDER BY installed_rank DESC LIMIT 1" },
        { "knex_migrations", "SELECT name FROM knex_migrations ORDER BY id DESC LIMIT 1" },
        { "_prisma_migrations",
          "SELECT migration_name FROM _prisma_migrations ORDER BY finished_at DESC LIMIT 1" },
        { "schema_migrations", "SELECT max(version) FROM schema_migrations" },
        { "cortex_migrations",
          "SELECT room || ' ' || version FROM cortex_migrations ORDER BY applied_at DESC LIMIT 1" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(known); i++) {
        if (find_table(tables, cx_str_of(known[i].table)) != NULL) {
            return known[i].query;
        }
    }
    return NULL;
}
