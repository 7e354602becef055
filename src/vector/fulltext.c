/* SPDX-License-Identifier: MIT
 *
 * The statements of fulltext.h. A table holds no copy of the texts: whoever changes a document tells it
 * the old text and the new.
 */
#include "fulltext.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIRST_COLLECTION 1

static void set(char sql[VECTOR__SQL_BYTES], const char *text, const char *table);

void vector__fulltext_init(struct vector__fulltext *fulltext, int64_t collection)
{
    char table[64] = "documents_fts";
    if (collection != FIRST_COLLECTION) {
        (void)snprintf(table, sizeof table, "documents_fts_%" PRId64, collection);
    }
    set(fulltext->create,
        "CREATE VIRTUAL TABLE @ USING fts5 (content, content='', tokenize='porter unicode61')",
        table);
    set(fulltext->drop, "DROP TABLE IF EXISTS @", table);
    set(fulltext->add, "INSERT INTO @ (rowid, content) VALUES (?1, ?2)", table);
    set(fulltext->remove,
        "INSERT INTO @ (@, rowid, content)"
        " SELECT 'delete', id, content FROM documents WHERE id = ?1",
        table);
    set(fulltext->merge, "INSERT INTO @ (@, rank) VALUES ('merge', ?1)", table);
    set(fulltext->parts,
        "SELECT (SELECT block FROM @_data WHERE id = 10),"
        " (SELECT count(*) FROM (SELECT 1 FROM @_data LIMIT ?1))",
        table);
    set(fulltext->lengths, "SELECT id, sz FROM @_docsize", table);
    set(fulltext->word_rows, "SELECT cx_rows(@, ?2) FROM @ WHERE @ MATCH ?1 LIMIT 1", table);
    set(fulltext->rank, "SELECT rowid, bm25(@) FROM @ WHERE @ MATCH ?1", table);
}

/* Every @ of the text is the table's name. */
static void set(char sql[VECTOR__SQL_BYTES], const char *text, const char *table)
{
    size_t len = 0;
    for (const char *at = text; *at != '\0'; at++) {
        const char one[] = { *at, '\0' };
        const char *piece = *at == '@' ? table : one;
        const size_t piece_len = strlen(piece);
        CX_CHECK(len + piece_len < VECTOR__SQL_BYTES);
        memcpy(sql + len, piece, piece_len);
        len += piece_len;
    }
    sql[len] = '\0';
}
