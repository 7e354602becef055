/* SPDX-License-Identifier: MIT
 *
 * GET /fs/list and /fs/read_text: files beneath the configured roots, looked at on the inspect lane.
 */
#include "api/api_internal.h"

#include <stdlib.h>

#define PATH_MAX_BYTES 4096
#define BYTES_MIN 256
#define BYTES_MAX 8192
#define BYTES_DEFAULT 4096

struct fs {
    struct cx_api *api;
    struct cx_str path;
    struct cx_str cursor;
    size_t limit;
    uint64_t offset;
    uint64_t num_bytes;
    struct cx_buf answer;
    char next[CX_FILES_NAME_BYTES];
};

static enum cx_step_result list_look(struct cx_exchange *x);
static enum cx_step_result read_look(struct cx_exchange *x);
static enum cx_step_result fs_reply(struct cx_exchange *x);

static const struct cx_step list_steps[] = {
    { "look", list_look, false }, /* waits: inspect lane */
    { "reply", fs_reply, false }, /* loop                */
};
static const struct cx_step read_steps[] = {
    { "look", read_look, false }, /* waits: inspect lane */
    { "reply", fs_reply, false }, /* loop                */
};
API_TOOL(api__fs_list, "fs.list", list_steps, sizeof(struct fs));
API_TOOL(api__fs_read, "fs.read_text", read_steps, sizeof(struct fs));

static void release_fs(void *arg)
{
    struct fs *f = arg;
    cx_buf_free(&f->answer);
}

static struct fs *begin(struct cx_exchange *x, struct cx_faults *faults)
{
    struct fs *f = cx_exchange_state(x);
    f->api = api__of(x);
    f->path = cx_str_of(cx_exchange_query(x, "path"));
    cx_faults_init(faults);
    cx_exchange_defer(x, release_fs, f);
    if (f->path.len > PATH_MAX_BYTES || !cx_utf8_valid(f->path)) {
        api__query_fault(faults, "path", "length", "must be at most 4096 bytes of UTF-8");
    } else if (f->path.len > 0) {
        cx_exchange_set_resources(x, json_pack("[s%]", f->path.p, f->path.len));
    }
    return f;
}

static void read_number(struct cx_exchange *x, struct cx_faults *faults, const char *name,
                        uint64_t min, uint64_t max, const char *sentence, uint64_t *out)
{
    const char *text = cx_exchange_query(x, name);
    if (text != NULL && (!cx_parse_u64(cx_str_of(text), out) || *out < min || *out > max)) {
        api__query_fault(faults, name, "range", sentence);
    }
}

/* ---- Listing ---- */

static enum cx_status list_work(void *arg, struct cx_err *err);

static enum cx_step_result list_look(struct cx_exchange *x)
{
    struct cx_faults faults;
    struct fs *f = begin(x, &faults);
    api__read_page(x, &faults, &f->limit, &f->cursor);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    return checked != CX_STEP_NEXT ? checked
                                   : cx_exchange_work(x, f->api->options.inspect_lane,
                                                      CX_PRIORITY_NORMAL, list_work, f);
}

static enum cx_status list_work(void *arg, struct cx_err *err)
{
    struct fs *f = arg;
    json_t *list = NULL;
    const enum cx_status status =
        cx_files_list(f->api->options.files, f->path, f->cursor, f->limit, &list, f->next, err);
    return status == CX_OK ? api__write_answer(list, &f->answer, err) : status;
}

/* ---- Reading ---- */

static enum cx_status read_work(void *arg, struct cx_err *err);

static enum cx_step_result read_look(struct cx_exchange *x)
{
    struct cx_faults faults;
    struct fs *f = begin(x, &faults);
    f->num_bytes = BYTES_DEFAULT;
    read_number(x, &faults, "num_bytes", BYTES_MIN, BYTES_MAX, "must be between 256 and 8192",
                &f->num_bytes);
    read_number(x, &faults, "offset", 0, INT64_MAX, "must be a number of bytes", &f->offset);
    if (f->path.len == 0) {
        api__query_fault(&faults, "path", "missing", "is required");
    }
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    return checked != CX_STEP_NEXT ? checked
                                   : cx_exchange_work(x, f->api->options.inspect_lane,
                                                      CX_PRIORITY_NORMAL, read_work, f);
}

static enum cx_status read_work(void *arg, struct cx_err *err)
{
    struct fs *f = arg;
    json_t *text = NULL;
    const enum cx_status status =
        cx_files_read(f->api->options.files, f->path, f->offset, (size_t)f->num_bytes, &text, err);
    return status == CX_OK ? api__write_answer(text, &f->answer, err) : status;
}

/* ---- reply ---- */

/* The next page's cursor is a header: the body is an array. Names hold any byte, so it is percent-encoded
 * as the query will be. */
static enum cx_step_result fs_reply(struct cx_exchange *x)
{
    struct fs *f = cx_exchange_state(x);
    if (f->next[0] != '\0') {
        static const char digits[] = "0123456789ABCDEF";
        char cursor[3 * CX_FILES_NAME_BYTES];
        char *to = cursor;
        for (const char *c = f->next; *c != '\0'; c++) {
            const unsigned char byte = (unsigned char)*c;
            *to++ = '%';
            *to++ = digits[byte >> 4];
            *to++ = digits[byte & 15];
        }
        *to = '\0';
        cx_exchange_set_header(x, "X-Next-Cursor", cursor);
    }
    return cx_exchange_reply_buf(x, 200, "application/json", &f->answer);
}
