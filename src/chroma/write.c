/* SPDX-License-Identifier: MIT
 *
 * The bodies of requests to Chroma (REST API v2, https://docs.trychroma.com/reference). Beside a
 * document's own pairs stand ours, which begin with "cortex:": its metadata as they were sent, its
 * summary, its times, its part, and a hash of it all. Worker.
 */
#include "chroma_internal.h"

#include <string.h>

#include "cortex/crypto.h"
#include "cortex/json.h"

static void write_ids(const struct cx_chroma_op *op, struct cx_buf *out);
static void write_look(struct cx_chroma_op *op, struct cx_buf *out);
static void write_put(const struct cx_chroma_op *op, struct cx_buf *out);
static void write_query(const struct cx_chroma_op *op, struct cx_buf *out);
static void write_include(const struct cx_chroma_op *op, struct cx_buf *out);
static void write_vector(const float *vector, unsigned dimension, struct cx_buf *out);
static void write_pairs(const struct cx_chroma_document *doc, int64_t now_us, struct cx_buf *out);
static void hash_document(struct cx_chroma_document *doc, unsigned dimension);

void chroma__write_body(struct cx_chroma_op *op, struct cx_buf *out)
{
    switch (op->verb) {
    case CX_CHROMA_LOOK:
        write_look(op, out);
        return;
    case CX_CHROMA_PUT:
        write_put(op, out);
        return;
    case CX_CHROMA_GET:
        cx_buf_puts(out, "{\"ids\":");
        write_ids(op, out);
        cx_buf_puts(out, ",\"include\":[\"metadatas\",\"uris\"");
        write_include(op, out);
        return;
    case CX_CHROMA_WALK:
        cx_buf_printf(out, "{\"limit\":%zu,\"include\":[],\"where\":{\"cortex:part\":{\"$in\":[",
                      op->limit);
        for (unsigned i = 0; i < op->parts; i++) {
            cx_buf_printf(out, "%s%u", i > 0 ? "," : "", op->part + i);
        }
        cx_buf_puts(out, "]}}}");
        return;
    case CX_CHROMA_IDS:
        cx_buf_printf(out, "{\"limit\":%zu,\"include\":[]", op->limit);
        if (op->ids != NULL) {
            cx_buf_puts(out, ",\"ids\":");
            write_ids(op, out);
        }
        if (op->where != NULL) {
            cx_buf_puts(out, ",\"where\":");
            cx_json_write(op->where, out);
        }
        cx_buf_putc(out, '}');
        return;
    case CX_CHROMA_DELETE:
        cx_buf_puts(out, "{\"ids\":");
        write_ids(op, out);
        cx_buf_putc(out, '}');
        return;
    case CX_CHROMA_QUERY:
        write_query(op, out);
        return;
    case CX_CHROMA_COUNT:
    case CX_CHROMA_LIST:
    case CX_CHROMA_DROP:
        return;
    }
}

static void write_ids(const struct cx_chroma_op *op, struct cx_buf *out)
{
    cx_buf_putc(out, '[');
    for (size_t i = 0; i < op->id_count; i++) {
        cx_buf_puts(out, i > 0 ? "," : "");
        cx_json_write_string(op->ids[i], out);
    }
    cx_buf_putc(out, ']');
}

static void write_look(struct cx_chroma_op *op, struct cx_buf *out)
{
    cx_buf_puts(out, "{\"ids\":[");
    for (size_t i = 0; i < op->doc_count; i++) {
        hash_document(&op->docs[i], op->dimension);
        cx_buf_puts(out, i > 0 ? "," : "");
        cx_json_write_string(op->docs[i].doc_id, out);
    }
    cx_buf_puts(out, "],\"include\":[\"metadatas\"]}");
}

/* A vector that is there already is the client's, and belongs to what is stored. */
static void hash_document(struct cx_chroma_document *doc, unsigned dimension)
{
    const struct cx_str texts[] = { doc->content, doc->uri, doc->summary, doc->metadata };
    const uint64_t lengths[] = { doc->content.len, doc->uri.len, doc->summary.len,
                                 doc->summary.p != NULL, doc->vector != NULL ? dimension : 0 };
    const struct cx_str parts[] = {
        { (const char *)lengths, sizeof lengths },
        texts[0],
        texts[1],
        texts[2],
        texts[3],
        { (const char *)doc->vector, doc->vector != NULL ? dimension * sizeof(float) : 0 },
    };
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256_parts(parts, CX_ARRAY_LEN(parts), digest);
    (void)cx_hex(digest, sizeof digest, doc->hash);
}

enum column { IDS, EMBEDDINGS, DOCUMENTS, URIS, METADATAS };

static void write_column(const struct cx_chroma_op *op, enum column column, int64_t now_us,
                         struct cx_buf *out)
{
    bool first = true;
    for (size_t i = 0; i < op->doc_count; i++) {
        const struct cx_chroma_document *doc = &op->docs[i];
        if (doc->unchanged) {
            continue;
        }
        cx_buf_puts(out, first ? "" : ",");
        first = false;
        switch (column) {
        case IDS:
            cx_json_write_string(doc->doc_id, out);
            break;
        case EMBEDDINGS:
            write_vector(doc->vector, op->dimension, out);
            break;
        case DOCUMENTS:
            cx_json_write_string(doc->content, out);
            break;
        case URIS:
            cx_json_write_string(doc->uri, out);
            break;
        case METADATAS:
            write_pairs(doc, now_us, out);
            break;
        }
    }
}

static void write_put(const struct cx_chroma_op *op, struct cx_buf *out)
{
    const int64_t now_us = cx_clock_wall_us();
    cx_buf_puts(out, "{\"ids\":[");
    write_column(op, IDS, now_us, out);
    cx_buf_puts(out, "],\"embeddings\":[");
    write_column(op, EMBEDDINGS, now_us, out);
    cx_buf_puts(out, "],\"documents\":[");
    write_column(op, DOCUMENTS, now_us, out);
    cx_buf_puts(out, "],\"uris\":[");
    write_column(op, URIS, now_us, out);
    cx_buf_puts(out, "],\"metadatas\":[");
    write_column(op, METADATAS, now_us, out);
    cx_buf_puts(out, "]}");
}

/* An upsert adds to the pairs that are stored; what is to go is said to be null. */
static void write_pairs(const struct cx_chroma_document *doc, int64_t now_us, struct cx_buf *out)
{
    const json_t *created = json_object_get(doc->before, "cortex:created_at");
    json_t *pairs = json_copy(doc->flat);
    const char *key;
    json_t *value;
    json_object_foreach(doc->before, key, value)
    {
        if (json_object_get(pairs, key) == NULL) {
            (void)json_object_set_new(pairs, key, json_null());
        }
    }
    (void)json_object_set_new(pairs, "cortex:metadata",
                              json_stringn(doc->metadata.p, doc->metadata.len));
    if (doc->summary.p != NULL) {
        (void)json_object_set_new(pairs, "cortex:summary",
                                  json_stringn(doc->summary.p, doc->summary.len));
    }
    (void)json_object_set_new(
        pairs, "cortex:created_at",
        json_integer(json_is_integer(created) ? json_integer_value(created) : (json_int_t)now_us));
    (void)json_object_set_new(pairs, "cortex:updated_at", json_integer((json_int_t)now_us));
    (void)json_object_set_new(pairs, "cortex:hash", json_string(doc->hash));
    (void)json_object_set_new(pairs, "cortex:part",
                              json_integer((json_int_t)cx_chroma_part(doc->doc_id)));
    cx_json_write(pairs, out);
    json_decref(pairs);
}

static void write_vector(const float *vector, unsigned dimension, struct cx_buf *out)
{
    cx_buf_putc(out, '[');
    for (unsigned i = 0; i < dimension; i++) {
        cx_buf_printf(out, "%s%.9g", i > 0 ? "," : "", (double)vector[i]);
    }
    cx_buf_putc(out, ']');
}

static void write_query(const struct cx_chroma_op *op, struct cx_buf *out)
{
    cx_buf_puts(out, "{\"query_embeddings\":[");
    write_vector(op->query, op->dimension, out);
    cx_buf_printf(out, "],\"n_results\":%zu", op->limit);
    if (op->where != NULL) {
        cx_buf_puts(out, ",\"where\":");
        cx_json_write(op->where, out);
    }
    cx_buf_puts(out, ",\"include\":[\"distances\",\"metadatas\",\"uris\"");
    write_include(op, out);
}

static void write_include(const struct cx_chroma_op *op, struct cx_buf *out)
{
    cx_buf_puts(out, (op->include & CX_CHROMA_WITH_CONTENT) != 0 ? ",\"documents\"" : "");
    cx_buf_puts(out, (op->include & CX_CHROMA_WITH_VECTOR) != 0 ? ",\"embeddings\"" : "");
    cx_buf_puts(out, "]}");
}

/* Whose vectors it holds is decided by who makes it: where two daemons do so at once Chroma tells the
 * second what the first has said. */
void chroma__write_collection(const struct cx_chroma *c, const char *name,
                              const struct cx_chroma_op *op, struct cx_buf *out)
{
    const bool of_client = op->vectors == CX_CHROMA_CLIENTS;
    json_t *body = json_pack(
        "{s:s,s:b,s:{s:{s:s}},s:{s:s,s:s,s:s,s:s,s:I}}", "name", name, "get_or_create", 1,
        "configuration", "hnsw", "space", "cosine", "metadata", "cortex:owner",
        of_client ? "client" : "embedder", "cortex:provider", of_client ? "client" : c->provider,
        "cortex:model", of_client ? "client" : c->model, "cortex:fingerprint",
        of_client ? "" : c->fingerprint, "cortex:dimension", (json_int_t)op->dimension);
    CX_CHECK(body != NULL);
    cx_json_write(body, out);
    json_decref(body);
}
