/* SPDX-License-Identifier: MIT
 *
 * The tables of vector. `content` comes last in its row, so that reading the rest of a long document
 * touches no overflow page. The keyword index holds no second copy of the text (external content):
 * whoever changes a document tells it the old text and the new. Later collections have tables of their
 * own (fulltext.c).
 */
#include "cortex/vector.h"

const struct cx_migration cx_vector_migrations[] = {
    { "vector", 1,
      "CREATE TABLE collections ("
      " id INTEGER PRIMARY KEY,"
      " name TEXT NOT NULL UNIQUE,"
      " provider TEXT,"
      " model TEXT,"
      " fingerprint TEXT,"
      " dimension INTEGER NOT NULL DEFAULT 0);"
      "INSERT INTO collections (id, name) VALUES (1, 'default');"
      "CREATE TABLE documents ("
      " id INTEGER PRIMARY KEY AUTOINCREMENT,"
      " collection INTEGER NOT NULL REFERENCES collections (id),"
      " doc_id TEXT NOT NULL,"
      " uri TEXT NOT NULL,"
      " summary TEXT,"
      " metadata TEXT NOT NULL,"
      " content_hash BLOB NOT NULL,"
      " created_at_us INTEGER NOT NULL,"
      " updated_at_us INTEGER NOT NULL,"
      " content TEXT NOT NULL,"
      " UNIQUE (collection, doc_id));"
      "CREATE TABLE vectors ("
      " id INTEGER PRIMARY KEY REFERENCES documents (id),"
      " vector BLOB NOT NULL);"
      "CREATE VIRTUAL TABLE documents_fts USING fts5 ("
      " content, content='documents', content_rowid='id', tokenize='porter unicode61');" },
    /* Vectors of two models for one collection: `side` says which table holds those that count, the
     * other one takes those of the next model; `stale`: what is in the other one is to go. */
    { "vector", 2,
      "ALTER TABLE collections ADD COLUMN side INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE collections ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE collections ADD COLUMN next_provider TEXT;"
      "ALTER TABLE collections ADD COLUMN next_model TEXT;"
      "ALTER TABLE collections ADD COLUMN next_fingerprint TEXT;"
      "ALTER TABLE collections ADD COLUMN next_dimension INTEGER NOT NULL DEFAULT 0;"
      "CREATE TABLE vectors_beside ("
      " id INTEGER PRIMARY KEY REFERENCES documents (id),"
      " vector BLOB NOT NULL);" },
    /* Its one row: texts have gone whose words the keyword indexes, or the WAL, may still hold. */
    { "vector", 3,
      "CREATE TABLE purge ("
      " id INTEGER PRIMARY KEY CHECK (id = 1),"
      " generation INTEGER NOT NULL);" },
};
const size_t cx_vector_migration_count = CX_ARRAY_LEN(cx_vector_migrations);
