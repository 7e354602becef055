/* SPDX-License-Identifier: MIT
 *
 * What FTS5 knows and has no SQL for: its tokenizer, and how often a word stands in each row. Both
 * are had by its extension interface (https://www.sqlite.org/fts5.html#extending_fts5). On the
 * connection's thread.
 */
#include "db.h"

#define POINTER_TYPE "cx_word_rows"

/* Who has asked for the rows of a word. */
struct word_rows {
    cx_word_row_fn on_row;
    void *ctx;
};
/* Who has asked for the terms of a text. */
struct terms {
    cx_term_fn on_term;
    void *ctx;
};

static int find_api(sqlite3 *handle, fts5_api **out);
static void on_rows_function(const Fts5ExtensionApi *api, Fts5Context *fts,
                             sqlite3_context *context, int count, sqlite3_value **values);
static int on_phrase_row(const Fts5ExtensionApi *api, Fts5Context *fts, void *ctx);
static int on_token(void *ctx, int flags, const char *token, int len, int start, int end);

enum cx_status fulltext__open(struct cx_db *db, struct cx_err *err)
{
    fts5_api *api = NULL;
    int rc = find_api(db->handle, &api);
    void *made_by = NULL;
    if (rc == SQLITE_OK) {
        rc = api->xFindTokenizer(api, "porter", &made_by, &db->tokenizer_methods);
    }
    if (rc == SQLITE_OK) {
        const char *around[] = { "unicode61" };
        rc = db->tokenizer_methods.xCreate(made_by, around, 1, &db->tokenizer);
    }
    if (rc == SQLITE_OK) {
        rc = api->xCreateFunction(api, "cx_rows", NULL, on_rows_function, NULL);
    }
    return rc == SQLITE_OK ? CX_OK : db__fault(db, rc, err);
}

void fulltext__close(struct cx_db *db)
{
    if (db->tokenizer != NULL) {
        db->tokenizer_methods.xDelete(db->tokenizer);
        db->tokenizer = NULL;
    }
}

enum cx_status cx_db_terms(struct cx_db *db, struct cx_str text, cx_term_fn on_term, void *ctx,
                           struct cx_err *err)
{
    struct terms terms = { on_term, ctx };
    if (text.len > INT32_MAX) {
        return cx_err_set(err, CX_TOO_LARGE, "a text of %zu bytes has too many words", text.len);
    }
    const int rc =
        db->tokenizer_methods.xTokenize(db->tokenizer, &terms, FTS5_TOKENIZE_DOCUMENT,
                                        text.p != NULL ? text.p : "", (int)text.len, on_token);
    return rc == SQLITE_OK ? CX_OK : db__fault(db, rc, err);
}

enum cx_status cx_db_word_rows(struct cx_db *db, const char *sql, struct cx_str word,
                               cx_word_row_fn on_row, void *ctx, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(db, sql, &s, err);
    if (status != CX_OK) {
        return status;
    }
    struct cx_buf match;
    cx_buf_init(&match, word.len + 3);
    cx_buf_putc(&match, '"');
    cx_buf_put_str(&match, word);
    cx_buf_putc(&match, '"');
    CX_CHECK(!match.failed);
    struct word_rows rows = { on_row, ctx };
    cx_stmt_bind_text(s, 1, (struct cx_str){ match.data, match.len });
    const int rc = sqlite3_bind_pointer(s->handle, 2, &rows, POINTER_TYPE, NULL);
    status = rc == SQLITE_OK ? cx_stmt_run(s, err) : db__fault(db, rc, err);
    cx_buf_free(&match);
    return status;
}

static int find_api(sqlite3 *handle, fts5_api **out)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(handle, "SELECT fts5(?1)", -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_pointer(statement, 1, (void *)out, "fts5_api_ptr", NULL);
    }
    if (rc == SQLITE_OK) {
        (void)sqlite3_step(statement);
        rc = sqlite3_reset(statement);
    }
    (void)sqlite3_finalize(statement);
    return rc != SQLITE_OK ? rc : *out != NULL ? SQLITE_OK : SQLITE_ERROR;
}

/* SQL: cx_rows(T, ?) for the first row of a match; walks through all of them. */
static void on_rows_function(const Fts5ExtensionApi *api, Fts5Context *fts,
                             sqlite3_context *context, int count, sqlite3_value **values)
{
    struct word_rows *rows = count == 1 ? sqlite3_value_pointer(values[0], POINTER_TYPE) : NULL;
    const int rc = rows != NULL && api->xPhraseCount(fts) == 1
                       ? api->xQueryPhrase(fts, 0, rows, on_phrase_row)
                       : SQLITE_MISUSE;
    if (rc != SQLITE_OK) {
        sqlite3_result_error_code(context, rc);
    }
}

static int on_phrase_row(const Fts5ExtensionApi *api, Fts5Context *fts, void *ctx)
{
    const struct word_rows *rows = ctx;
    Fts5PhraseIter iter;
    int column = 0;
    int offset = 0;
    uint32_t times = 0;
    int rc = api->xPhraseFirst(fts, 0, &iter, &column, &offset);
    if (rc == SQLITE_OK) {
        while (column >= 0) {
            times++;
            api->xPhraseNext(fts, &iter, &column, &offset);
        }
        rows->on_row(rows->ctx, api->xRowid(fts), times);
    }
    return rc;
}

static int on_token(void *ctx, int flags, const char *token, int len, int start, int end)
{
    (void)flags;
    (void)start;
    (void)end;
    const struct terms *terms = ctx;
    terms->on_term(terms->ctx, (struct cx_str){ token, (size_t)len });
    return SQLITE_OK;
}
