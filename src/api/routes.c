/* SPDX-License-Identifier: MIT
 *
 * THE map: every endpoint is one line that says where it is, who may ask, how large a body it
 * takes and how long it may take. What an endpoint does stands in its own file as a table of
 * steps.
 */
#include "api/api_internal.h"

enum body_limit { NO_BODY, GENERAL, DOCUMENTS, HOT };

struct row {
    const char *method;
    const char *path;
    unsigned scope;
    unsigned flags;
    enum body_limit body;
    const struct api__endpoint *endpoint;
};

#define PROBE (CX_ROUTE_UNLIMITED | CX_ROUTE_WHILE_DRAINING)
#define HEALTH (PROBE | CX_ROUTE_PROMPT)
#define BODY CX_ROUTE_BODY
#define OPENAI CX_ROUTE_OPENAI_ERRORS
/* Of this file alone: the request may wait for a minute beside what it takes. */
#define LONG_POLL (1U << 16)
#define LONG_POLL_MS 60000
#define NDJSON (CX_ROUTE_BODY | CX_ROUTE_NDJSON)

/* clang-format off */
static const struct row map[] = {
    { "GET",    "/healthz",                   CX_SCOPE_NONE,    HEALTH, NO_BODY,  &api__healthz },
    { "GET",    "/ready",                     CX_SCOPE_NONE,    HEALTH, NO_BODY,  &api__ready },
    { "GET",    "/metrics",                   CX_SCOPE_NONE,    PROBE, NO_BODY,   &api__metrics },

    { "GET",    "/openapi.json",              CX_SCOPE_NONE,    0,     NO_BODY,   &api__openapi },
    { "GET",    "/docs",                      CX_SCOPE_NONE,    0,     NO_BODY,   &api__docs },

    { "GET",    "/state/snapshot",            CX_SCOPE_CONTEXT, 0,     NO_BODY,   &api__snapshot },
    { "GET",    "/state/snapshots",           CX_SCOPE_CONTEXT, 0,     NO_BODY,   &api__snapshots },
    { "GET",    "/state/discover",            CX_SCOPE_STATE,   0,     NO_BODY,   &api__discover },
    { "GET",    "/state/resources/{id}",      CX_SCOPE_STATE,   0,     NO_BODY,   &api__resource_get },
    { "PUT",    "/state/resources/{id}",      CX_SCOPE_STATE,   BODY,  GENERAL,   &api__resource_put },
    { "DELETE", "/state/resources/{id}",      CX_SCOPE_STATE,   0,     NO_BODY,   &api__resource_delete },
    { "GET",    "/state/facts",               CX_SCOPE_STATE,   0,     NO_BODY,   &api__facts_get },
    { "POST",   "/state/facts",               CX_SCOPE_STATE,   BODY,  GENERAL,   &api__fact_add },
    { "DELETE", "/state/facts/{id}",          CX_SCOPE_STATE,   0,     NO_BODY,   &api__fact_delete },
    { "GET",    "/state/summary",             CX_SCOPE_STATE,   0,     NO_BODY,   &api__summary_get },
    { "PUT",    "/state/summary",             CX_SCOPE_STATE,   BODY,  GENERAL,   &api__summary_put },

    { "GET",    "/hot",                       CX_SCOPE_STATE,   0,     NO_BODY,   &api__hot_stats },
    { "GET",    "/hot/{namespace}",           CX_SCOPE_STATE,   0,     NO_BODY,   &api__hot_keys },
    { "DELETE", "/hot/{namespace}",           CX_SCOPE_STATE,   0,     NO_BODY,   &api__hot_empty },
    { "GET",    "/hot/{namespace}/{key}",     CX_SCOPE_STATE,   0,     NO_BODY,   &api__hot_get },
    { "PUT",    "/hot/{namespace}/{key}",     CX_SCOPE_STATE,   BODY,  HOT,       &api__hot_put },
    { "DELETE", "/hot/{namespace}/{key}",     CX_SCOPE_STATE,   0,     NO_BODY,   &api__hot_delete },

    { "POST",   "/vector/search",             CX_SCOPE_VECTOR,  BODY,  GENERAL,   &api__search },
    { "GET",    "/vector/documents",          CX_SCOPE_VECTOR,  0,     NO_BODY,   &api__documents_list },
    { "POST",   "/vector/documents",          CX_SCOPE_VECTOR,  BODY,  DOCUMENTS, &api__documents_put },
    { "POST",   "/vector/documents",          CX_SCOPE_VECTOR,  NDJSON, NO_BODY,  &api__documents_stream },
    { "GET",    "/vector/documents/{doc_id}", CX_SCOPE_VECTOR,  0,     NO_BODY,   &api__document_get },
    { "DELETE", "/vector/documents/{doc_id}", CX_SCOPE_VECTOR,  0,     NO_BODY,   &api__document_delete },
    { "GET",    "/vector/export",             CX_SCOPE_VECTOR,  0,     NO_BODY,   &api__export },
    { "POST",   "/vector/delete",             CX_SCOPE_VECTOR,  BODY,  GENERAL,   &api__documents_delete },
    { "GET",    "/vector/collections",        CX_SCOPE_VECTOR,  0,     NO_BODY,   &api__collections_list },
    { "DELETE", "/vector/collections/{name}", CX_SCOPE_VECTOR,  0,     NO_BODY,   &api__collection_delete },
    { "POST",   "/vector/collections/{name}/reembed", CX_SCOPE_VECTOR, 0, NO_BODY, &api__collection_reembed },
    { "GET",    "/vector/stats",              CX_SCOPE_VECTOR,  0,     NO_BODY,   &api__vector_stats },

    { "GET",    "/db/list",                   CX_SCOPE_DATABASE, 0,    NO_BODY,   &api__db_list },
    { "GET",    "/db/schema/{name}",          CX_SCOPE_DATABASE, 0,    NO_BODY,   &api__db_schema },
    { "GET",    "/db/sample",                 CX_SCOPE_DATABASE, 0,    NO_BODY,   &api__db_sample },
    { "GET",    "/svc/list",                  CX_SCOPE_SERVICES, 0,    NO_BODY,   &api__svc_list },
    { "GET",    "/svc/health",                CX_SCOPE_SERVICES, 0,    NO_BODY,   &api__svc_health },
    { "GET",    "/fs/list",                   CX_SCOPE_FILESYSTEM, 0,  NO_BODY,   &api__fs_list },
    { "GET",    "/fs/read_text",              CX_SCOPE_FILESYSTEM, 0,  NO_BODY,   &api__fs_read },

    { "GET",    "/events/stream",             CX_SCOPE_STATE,   0,     NO_BODY,   &api__event_stream },
    { "GET",    "/events",                    CX_SCOPE_STATE,   LONG_POLL, NO_BODY,   &api__event_poll },

    { "GET",    "/keys",                      CX_SCOPE_NONE,    0,     NO_BODY,   &api__keys },
    { "POST",   "/audit/record",              CX_SCOPE_AUDIT,   BODY,  GENERAL,   &api__audit_record },
    { "GET",    "/audit/entries",             CX_SCOPE_AUDIT,   0,     NO_BODY,   &api__audit_entries },
    { "GET",    "/audit/entries/{run_id}",    CX_SCOPE_AUDIT,   0,     NO_BODY,   &api__audit_entry },
    { "POST",   "/audit/entries/{run_id}/label", CX_SCOPE_AUDIT, BODY, GENERAL,   &api__audit_label },
    { "GET",    "/audit/export",              CX_SCOPE_AUDIT,   0,     NO_BODY,   &api__audit_export },
    { "GET",    "/audit/stats",               CX_SCOPE_AUDIT,   0,     NO_BODY,   &api__audit_stats },
    { "GET",    "/audit/verify",              CX_SCOPE_AUDIT,   0,     NO_BODY,   &api__audit_verify },
    { "GET",    "/audit/log",                 CX_SCOPE_STATE,   0,     NO_BODY,   &api__tool_log_get },

    { "POST",   "/context/optimize",          CX_SCOPE_CONTEXT, BODY,  DOCUMENTS, &api__optimize },
    { "POST",   "/context/count",             CX_SCOPE_CONTEXT, BODY,  GENERAL,   &api__context_count },

    { "POST",   "/v1/embeddings",             CX_SCOPE_VECTOR,  BODY | OPENAI, GENERAL, &api__embeddings },
    { "GET",    "/v1/models",                 CX_SCOPE_VECTOR,  OPENAI, NO_BODY,  &api__models },
    { "GET",    "/v1/models/{model}",         CX_SCOPE_VECTOR,  OPENAI, NO_BODY,  &api__model },
    { "GET",    "/v1/models/{owner}/{model}", CX_SCOPE_VECTOR,  OPENAI, NO_BODY,  &api__model },
};
/* clang-format on */

/* Who answers instead where the documents are kept by a Chroma server. */
static const struct {
    const struct api__endpoint *local;
    const struct api__endpoint *chroma;
} chroma_map[] = {
    { &api__document_get, &api__chroma_get },
    { &api__document_delete, &api__chroma_delete_one },
    { &api__documents_delete, &api__chroma_delete },
    { &api__collections_list, &api__chroma_collections },
    { &api__collection_delete, &api__chroma_drop },
    { &api__vector_stats, &api__chroma_stats },
    { &api__documents_list, &api__chroma_list },
    { &api__export, &api__chroma_export },
    { &api__collection_reembed, &api__chroma_refused },
};

static const struct api__endpoint *endpoint_of(const struct cx_api *api, const struct row *row)
{
    for (size_t i = 0; api->options.chroma != NULL && i < CX_ARRAY_LEN(chroma_map); i++) {
        if (chroma_map[i].local == row->endpoint) {
            return chroma_map[i].chroma;
        }
    }
    return row->endpoint;
}

void api__routes_make(struct cx_api *api)
{
    const size_t limits[] = {
        [NO_BODY] = 0,
        [GENERAL] = api->options.body_bytes,
        [DOCUMENTS] = api->options.documents_body_bytes,
        [HOT] = api->options.hot_value_bytes,
    };
    api->routes = cx_realloc_array(NULL, CX_ARRAY_LEN(map), sizeof *api->routes);
    api->route_count = CX_ARRAY_LEN(map);
    for (size_t i = 0; i < CX_ARRAY_LEN(map); i++) {
        const struct row *row = &map[i];
        const struct api__endpoint *endpoint = endpoint_of(api, row);
        api->routes[i] = (struct cx_route){
            .method = row->method,
            .path = row->path,
            .scope = row->scope,
            .flags = row->flags & ~LONG_POLL,
            .body_bytes = limits[row->body],
            .deadline_ms =
                api->options.deadline_ms + ((row->flags & LONG_POLL) != 0 ? LONG_POLL_MS : 0),
            .state_bytes = endpoint->state_bytes,
            .steps = endpoint->steps,
            .step_count = endpoint->step_count,
            .tool = endpoint->tool,
        };
    }
}
