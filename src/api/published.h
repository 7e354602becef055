/* SPDX-License-Identifier: MIT
 *
 * Inside the api room: what the daemon publishes about itself, as bytes that the build has made of
 * docs/openapi.yaml and src/api/page (page/publish.py).
 */
#ifndef CORTEX_API_PUBLISHED_H
#define CORTEX_API_PUBLISHED_H

#include "cortex/base.h"

struct api__published {
    const char *content_type;
    const char *etag;
    const char *policy; /* Content-Security-Policy; NULL = it is no page */
    struct cx_str body;
    struct cx_str gzip; /* the same, compressed */
};
extern const struct api__published api__published_openapi, api__published_docs;

#endif
