/* SPDX-License-Identifier: MIT
 *
 * PostgreSQL as an engine of databases.h, through libpq. A look is one transaction that may only read,
 * under a statement_timeout of what is left of its time; it is always rolled back. Built where libpq is.
 * https://www.postgresql.org/docs/current/libpq.html
 *
 * Threads: a worker; libpq blocks it for as long as connecting may take, which is a look's time.
 */
#include "databases.h"

#ifndef CORTEX_WITH_POSTGRESQL

const struct databases__engine databases__postgresql = { .name = "postgresql" };

#else

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL_BYTES ((size_t)16 * 1024)

struct databases__link {
    PGconn *connection;
    uint64_t deadline_ns;
};

/* What libpq says may hold the address and the user: none of it is told. */
static enum cx_status failed(const PGresult *result, struct cx_err *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state != NULL && strcmp(state, "57014") == 0) { /* query_canceled: statement_timeout */
        return cx_err_set(err, CX_REQUEST_TIMEOUT, "The look took too long");
    }
    if (state != NULL && strncmp(state, "42501", 5) == 0) {
        return cx_err_set(err, CX_NOT_FOUND, "The table may not be read");
    }
    return cx_err_set(err, CX_CONFLICT, "The database cannot answer this");
}

static unsigned left_ms(const struct databases__link *link)
{
    const uint64_t now_ns = cx_clock_mono_ns();
    return link->deadline_ns > now_ns ? (unsigned)((link->deadline_ns - now_ns) / 1000000) : 0;
}

/* One statement under what is left of the time. *out: the caller clears. */
static enum cx_status query(struct databases__link *link, const char *sql, const char *param,
                            PGresult **out, struct cx_err *err)
{
    char limit[64];
    const unsigned ms = left_ms(link);
    if (ms == 0) {
        return cx_err_set(err, CX_REQUEST_TIMEOUT, "The look took too long");
    }
    snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = %u", ms);
    PQclear(PQexec(link->connection, limit));
    PGresult *result = PQexecParams(link->connection, sql, param != NULL ? 1 : 0, NULL,
                                    param != NULL ? &param : NULL, NULL, NULL, 0);
    const ExecStatusType state = PQresultStatus(result);
    if (state != PGRES_TUPLES_OK && state != PGRES_COMMAND_OK) {
        const enum cx_status status = failed(result, err);
        PQclear(result);
        PQclear(PQexec(link->connection, "ROLLBACK TO SAVEPOINT look"));
        return status;
    }
    *out = result;
    return CX_OK;
}

static void close_connection(struct databases__link **link)
{
    PQfinish((*link)->connection); /* which rolls back */
    free(*link);
    *link = NULL;
}

static enum cx_status open_connection(const struct databases__database *database,
                                      uint64_t deadline_ns, struct databases__link **out,
                                      struct cx_err *err)
{
    char seconds[24];
    char silence_ms[24];
    /* libpq knows whole ones, and takes at least two. */
    snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)database->timeout_ms / 1000 + 1);
    snprintf(silence_ms, sizeof silence_ms, "%llu",
             (unsigned long long)database->timeout_ms + 1000);
    const char *const names[] = { "dbname",          "connect_timeout",  "application_name",
                                  "client_encoding", "tcp_user_timeout", NULL };
    const char *const values[] = { database->dsn, seconds, "cortex", "UTF8", silence_ms, NULL };
    struct databases__link *link = cx_alloc(sizeof *link);
    link->deadline_ns = deadline_ns;
    link->connection = PQconnectdbParams(names, values, 1);
    if (PQstatus(link->connection) != CONNECTION_OK) {
        close_connection(&link);
        return cx_err_set(err, CX_OVERLOADED, "The database cannot be reached");
    }
    PGresult *begun =
        PQexec(link->connection, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                                 " SAVEPOINT look");
    const bool good = PQresultStatus(begun) == PGRES_COMMAND_OK;
    PQclear(begun);
    if (!good) {
        close_connection(&link);
        return cx_err_set(err, CX_OVERLOADED, "The database cannot be asked");
    }
    *out = link;
    return CX_OK;
}

static struct cx_str cell(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column)) {
        return (struct cx_str){ NULL, 0 };
    }
    return (struct cx_str){ PQgetvalue(result, row, column),
                            (size_t)PQgetlength(result, row, column) };
}

static json_t *text_cell(const PGresult *result, int row, int column)
{
    bool cut = false;
    const struct cx_str text = cell(result, row, column);
    return text.p != NULL ? databases__text(text, &cut) : json_null();
}

static bool true_cell(const PGresult *result, int row, int column)
{
    return cx_str_eq(cell(result, row, column), CX_STR("t"));
}

/* ---- The schema ----
 * Of what the user may see in the schemas of the search path; a table in another than the first has its
 * schema in front of its name.
 */

#define NAME_OF(relation) /* as a client says it */                                                \
    "CASE WHEN n.nspname = current_schema() THEN " relation ".relname"                             \
    " ELSE n.nspname || '.' || " relation ".relname END"
#define VISIBLE                                                                                    \
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"                               \
    " WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"                             \
    " AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"           \
    " AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"

/* Rows come in the order of the tables, so that the search for the next one goes on where the last
 * one was found. */
static json_t *find_from(const json_t *tables, struct cx_str name, size_t *from)
{
    for (size_t i = *from; i < json_array_size(tables); i++) {
        json_t *table = json_array_get(tables, i);
        if (cx_str_eq(cx_str_of(json_string_value(json_object_get(table, "name"))), name)) {
            *from = i;
            return table;
        }
    }
    return NULL;
}

static enum cx_status add_tables(struct databases__link *link, json_t *tables, struct cx_err *err)
{
    PGresult *rows = NULL;
    const enum cx_status status = query(
        link,
        "SELECT " NAME_OF("c") ", CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END,"
                               " quote_ident(n.nspname) || '.' || quote_ident(c.relname)" VISIBLE
                               " ORDER BY 1 LIMIT 10000",
        NULL, &rows, err);
    if (status != CX_OK) {
        return status;
    }
    for (int i = 0; i < PQntuples(rows); i++) {
        json_array_append_new(tables, json_pack("{s:o, s:o, s:[], s:[], s:[], s:o}", "name",
                                                text_cell(rows, i, 0), "type",
                                                text_cell(rows, i, 1), "columns", "indexes",
                                                "foreign_keys", "quoted", text_cell(rows, i, 2)));
    }
    PQclear(rows);
    return CX_OK;
}

static enum cx_status add_columns(struct databases__link *link, json_t *tables, struct cx_err *err)
{
    PGresult *rows = NULL;
    const enum cx_status status =
        query(link,
              "SELECT t.name, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,"
              " EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary"
              "  AND a.attnum = ANY (i.indkey)), pg_get_expr(d.adbin, d.adrelid)"
              " FROM (SELECT c.oid, " NAME_OF(
                  "c") " AS name" VISIBLE ") t"
                       " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT "
                       "a.attisdropped"
                       " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
                       " ORDER BY t.name, a.attnum",
              NULL, &rows, err);
    if (status != CX_OK) {
        return status;
    }
    size_t from = 0;
    for (int i = 0; i < PQntuples(rows); i++) {
        const json_t *table = find_from(tables, cell(rows, i, 0), &from);
        json_array_append_new(
            json_object_get(table, "columns"),
            json_pack("{s:o, s:o, s:b, s:b, s:o}", "name", text_cell(rows, i, 1), "type",
                      text_cell(rows, i, 2), "nullable", (int)true_cell(rows, i, 3), "primary_key",
                      (int)true_cell(rows, i, 4), "default", text_cell(rows, i, 5)));
    }
    PQclear(rows);
    return CX_OK;
}

static enum cx_status add_indexes(struct databases__link *link, json_t *tables, struct cx_err *err)
{
    PGresult *rows = NULL;
    const enum cx_status status = query(
        link,
        "SELECT t.name, x.relname, i.indisunique,"
        " (SELECT json_agg(pg_get_indexdef(i.indexrelid, k, true) ORDER BY k)"
        "  FROM generate_series(1, i.indnkeyatts) k)"
        " FROM (SELECT c.oid, " NAME_OF(
            "c") " AS name" VISIBLE ") t"
                 " JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class x ON x.oid = i.indexrelid"
                 " ORDER BY t.name, x.relname",
        NULL, &rows, err);
    if (status != CX_OK) {
        return status;
    }
    size_t from = 0;
    for (int i = 0; i < PQntuples(rows); i++) {
        const json_t *table = find_from(tables, cell(rows, i, 0), &from);
        const struct cx_str columns = cell(rows, i, 3);
        json_t *list = columns.p != NULL ? json_loadb(columns.p, columns.len, 0, NULL) : NULL;
        json_array_append_new(json_object_get(table, "indexes"),
                              json_pack("{s:o, s:b, s:o}", "name", text_cell(rows, i, 1), "unique",
                                        (int)true_cell(rows, i, 2), "columns",
                                        list != NULL ? list : json_array()));
    }
    PQclear(rows);
    return CX_OK;
}

static enum cx_status add_foreign_keys(struct databases__link *link, json_t *tables,
                                       struct cx_err *err)
{
    PGresult *rows = NULL;
    const enum cx_status status = query(
        link,
        "SELECT t.name, k.confrelid::regclass::text,"
        " (SELECT json_agg(a.attname ORDER BY u.n) FROM unnest(k.conkey) WITH ORDINALITY u(num, n)"
        "  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num),"
        " (SELECT json_agg(a.attname ORDER BY u.n) FROM unnest(k.confkey) WITH ORDINALITY u(num, n)"
        "  JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num)"
        " FROM (SELECT c.oid, " NAME_OF("c") " AS name" VISIBLE ") t"
                                             " JOIN pg_constraint k ON k.conrelid = t.oid AND "
                                             "k.contype = 'f' ORDER BY t.name, k.conname",
        NULL, &rows, err);
    if (status != CX_OK) {
        return status;
    }
    size_t from = 0;
    for (int i = 0; i < PQntuples(rows); i++) {
        const json_t *table = find_from(tables, cell(rows, i, 0), &from);
        const struct cx_str own = cell(rows, i, 2);
        const struct cx_str to = cell(rows, i, 3);
        json_t *columns = own.p != NULL ? json_loadb(own.p, own.len, 0, NULL) : NULL;
        json_t *references = to.p != NULL ? json_loadb(to.p, to.len, 0, NULL) : NULL;
        json_array_append_new(json_object_get(table, "foreign_keys"),
                              json_pack("{s:o, s:o, s:o}", "columns",
                                        columns != NULL ? columns : json_array(), "table",
                                        text_cell(rows, i, 1), "references",
                                        references != NULL ? references : json_array()));
    }
    PQclear(rows);
    return CX_OK;
}

static enum cx_status tables_of(struct databases__link *link, json_t **out, struct cx_err *err)
{
    static enum cx_status (*const parts[])(struct databases__link *, json_t *,
                                           struct cx_err *) = { add_tables, add_columns,
                                                                add_indexes, add_foreign_keys };
    json_t *tables = json_array();
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < CX_ARRAY_LEN(parts) && status == CX_OK; i++) {
        status = parts[i](link, tables, err);
    }
    if (status != CX_OK) {
        json_decref(tables);
        return status;
    }
    *out = tables;
    return CX_OK;
}

/* ---- Rows ---- */

/* The name in front of a statement's end; table as a client says it, found in the schema before. */
static enum cx_status ask(struct databases__link *link, const char *before, const char *quoted,
                          const char *after, PGresult **out, struct cx_err *err)
{
    struct cx_buf sql;
    cx_buf_init(&sql, SQL_BYTES);
    cx_buf_printf(&sql, "%s%s%s", before, quoted, after);
    const enum cx_status status = sql.failed
                                      ? cx_err_set(err, CX_CONFLICT, "The table's name is too long")
                                      : query(link, sql.data, NULL, out, err);
    cx_buf_free(&sql);
    return status;
}

/* What the planner believes: counting a large table takes too long for a look. */
static enum cx_status count_rows(struct databases__link *link, const char *table, int64_t *rows,
                                 struct cx_err *err)
{
    PGresult *found = NULL;
    enum cx_status status =
        query(link,
              "SELECT CASE WHEN c.reltuples >= 10000 THEN c.reltuples::bigint END,"
              " quote_ident(n.nspname) || '.' || quote_ident(c.relname)" VISIBLE
              " AND " NAME_OF("c") " = $1",
              table, &found, err);
    if (status != CX_OK) {
        return status;
    }
    const bool known = PQntuples(found) == 1;
    if (known && !PQgetisnull(found, 0, 0)) {
        *rows = strtoll(PQgetvalue(found, 0, 0), NULL, 10);
    } else if (known) {
        PGresult *counted = NULL;
        status = ask(link, "SELECT count(*) FROM ", PQgetvalue(found, 0, 1), "", &counted, err);
        if (status == CX_OK) {
            *rows = strtoll(PQgetvalue(counted, 0, 0), NULL, 10);
            PQclear(counted);
        }
    }
    PQclear(found);
    return known ? status : cx_err_set(err, CX_NOT_FOUND, "There is no such table");
}

static enum cx_status last_migration(struct databases__link *link, const json_t *tables,
                                     json_t **out, struct cx_err *err)
{
    const char *sql = databases__migration_query(tables);
    PGresult *found = NULL;
    const enum cx_status status = sql != NULL ? query(link, sql, NULL, &found, err) : CX_OK;
    if (found != NULL) {
        json_decref(*out);
        *out = PQntuples(found) > 0 ? text_cell(found, 0, 0) : json_null();
        PQclear(found);
    }
    return status;
}

/* Numbers and booleans by their types (pg_type.dat); all else as the text that PostgreSQL makes of it. */
static json_t *value_of(const PGresult *rows, int row, int column, bool *cut)
{
    enum { BOOL = 16, BYTEA = 17, INT8 = 20, INT2 = 21, INT4 = 23, FLOAT4 = 700, FLOAT8 = 701 };
    const struct cx_str text = cell(rows, row, column);
    if (text.p == NULL) {
        return json_null();
    }
    json_t *value = NULL;
    switch (PQftype(rows, column)) {
    case BOOL:
        return json_boolean(text.p[0] == 't');
    case INT2:
    case INT4:
    case INT8:
        return json_integer(strtoll(text.p, NULL, 10));
    case FLOAT4:
    case FLOAT8:
        value = json_real(strtod(text.p, NULL)); /* NULL where it is NaN or infinite */
        return value != NULL ? value : databases__text(text, cut);
    case BYTEA: {
        size_t len = 0;
        unsigned char *bytes = PQunescapeBytea((const unsigned char *)text.p, &len);
        value =
            databases__blob((struct cx_str){ (const char *)bytes, bytes != NULL ? len : 0 }, cut);
        PQfreemem(bytes);
        return value;
    }
    default:
        return databases__text(text, cut);
    }
}

/* Row by row, so that no more is fetched than is told; what is still coming goes with the connection. */
static enum cx_status sample(struct databases__link *link, const json_t *table, size_t limit,
                             bool (*take)(void *ctx, json_t *steals), void *ctx, bool *cut,
                             struct cx_err *err)
{
    struct cx_buf sql;
    cx_buf_init(&sql, SQL_BYTES);
    cx_buf_printf(&sql, "SELECT * FROM %s LIMIT %zu",
                  json_string_value(json_object_get(table, "quoted")), limit + 1);
    PGresult *limited = NULL;
    enum cx_status status = query(link, "SELECT 1", NULL, &limited, err); /* sets the time limit */
    PQclear(limited);
    const bool sent = status == CX_OK && !sql.failed &&
                      PQsendQuery(link->connection, sql.data) == 1 &&
                      PQsetSingleRowMode(link->connection) == 1;
    cx_buf_free(&sql);
    if (status == CX_OK && !sent) {
        status = cx_err_set(err, CX_CONFLICT, "The database cannot answer this");
    }
    bool more = status == CX_OK;
    while (more) {
        PGresult *row = PQgetResult(link->connection);
        if (row == NULL || PQresultStatus(row) == PGRES_TUPLES_OK) {
            more = false;
        } else if (PQresultStatus(row) == PGRES_SINGLE_TUPLE) {
            json_t *object = json_object();
            for (int k = 0; k < PQnfields(row); k++) {
                json_object_set_new(object, PQfname(row, k), value_of(row, 0, k, cut));
            }
            more = take(ctx, object);
        } else {
            status = failed(row, err);
            more = false;
        }
        PQclear(row);
    }
    return status;
}

const struct databases__engine databases__postgresql = {
    .name = "postgresql",
    .open = open_connection,
    .close = close_connection,
    .tables = tables_of,
    .count_rows = count_rows,
    .last_migration = last_migration,
    .sample = sample,
};

#endif
