/* SPDX-License-Identifier: MIT
 *
 * GET /openapi.json and GET /docs: the contract, and the page that shows it and can try it out. Both are
 * the build's, so that they fit this program, and need no token. Loop thread.
 */
#include "api/api_internal.h"
#include "api/published.h"

static enum cx_step_result openapi_reply(struct cx_exchange *x);
static enum cx_step_result docs_reply(struct cx_exchange *x);

static const struct cx_step openapi_steps[] = { { "reply", openapi_reply, false } };
static const struct cx_step docs_steps[] = { { "reply", docs_reply, false } };
API_ENDPOINT(api__openapi, openapi_steps, 0);
API_ENDPOINT(api__docs, docs_steps, 0);

static enum cx_step_result publish(struct cx_exchange *x, const struct api__published *what)
{
    cx_exchange_set_etag(x, what->etag);
    cx_exchange_set_cache_control(x, "no-cache");
    return cx_exchange_reply_bytes(x, 200, what->content_type, what->body, what->gzip);
}

static enum cx_step_result openapi_reply(struct cx_exchange *x)
{
    return publish(x, &api__published_openapi);
}

static enum cx_step_result docs_reply(struct cx_exchange *x)
{
    cx_exchange_set_header(x, "Content-Security-Policy", api__published_docs.policy);
    cx_exchange_set_header(x, "Cross-Origin-Opener-Policy", "same-origin");
    cx_exchange_set_header(x, "Referrer-Policy", "no-referrer");
    return publish(x, &api__published_docs);
}
