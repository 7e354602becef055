/* SPDX-License-Identifier: MIT
 *
 * export: what the exports of both stores share: what the query asks for, the stream, and writing a page of
 * lines as fast as the client reads. Loop thread.
 */
#ifndef CORTEX_API_EXPORT_H
#define CORTEX_API_EXPORT_H

#include "api/api_internal.h"

struct api__export_page { /* owner: the exchange's state; cx_buf_free(&lines) */
    struct cx_buf lines;  /* written by a worker */
    size_t sent;          /* of them */
};
/* The end of a step, and *vectors. */
enum cx_step_result api__export_query(struct cx_exchange *x, bool *vectors);
enum cx_step_result api__export_open(struct cx_exchange *x, struct api__export_page *page);
/* The end of the step `write`, which runs again until all of the page is written; then `read` does, or the stream
 * ends. */
enum cx_step_result api__export_write(struct cx_exchange *x, struct api__export_page *page,
                                      bool ended,
                                      enum cx_step_result (*write)(struct cx_exchange *x),
                                      enum cx_step_result (*read)(struct cx_exchange *x));

#endif
