/* SPDX-License-Identifier: MIT
 *
 * The head of a request: llhttp in its strict mode, and in front of it what llhttp lets pass and RFC
 * 9112 does not, or what two readers could understand in two ways. The head is parsed only when it is
 * whole, so a split cannot change how it is read.
 */
#include <string.h>

#include "http/request_internal.h"
#include "http/text.h"

static bool check_lines(struct http_request *r, struct cx_str head, size_t *field_lines);
static bool run_parser(struct http_request *r, struct cx_str head);
static enum http_known known_name(struct cx_str name);

static int on_header_field(llhttp_t *parser, const char *at, size_t len);
static int on_header_value(llhttp_t *parser, const char *at, size_t len);
static int on_headers_complete(llhttp_t *parser);

static const llhttp_settings_t parser_settings = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_extension_name = request__on_chunk_extension,
    .on_chunk_extension_value = request__on_chunk_extension,
    .on_body = request__on_body,
    .on_message_complete = request__on_message_complete,
};

bool request__parse(struct http_request *r, struct cx_str head, const struct cx_http_limits *limits,
                    struct cx_arena *arena)
{
    *r = (struct http_request){ .keep_alive = false };
    char *copy = cx_arena_strndup(arena, head.p, head.len);
    size_t field_lines = 0;
    if (copy == NULL) {
        return request__refuse(r, CX_NO_MEMORY, "There is no memory for this request");
    }
    head.p = copy;
    if (!check_lines(r, head, &field_lines)) {
        return false;
    }
    const char *space = memchr(head.p, ' ', head.len);
    r->method = (struct cx_str){ head.p, (size_t)(space - head.p) };
    const char *target = space + 1;
    const char *target_end = memchr(target, ' ', head.len - r->method.len - 1);
    r->http_1_0 = target_end[8] == '0';
    if ((size_t)(target_end - target) > limits->uri_bytes) {
        return request__refuse(r, CX_URI_TOO_LONG, "The request target is too long");
    }
    if (field_lines > limits->header_count) {
        return request__refuse(r, CX_HEADERS_TOO_LARGE, "There are too many header fields");
    }
    r->field_capacity = field_lines;
    if (field_lines > 0) {
        r->fields = cx_arena_alloc(arena, field_lines * sizeof *r->fields);
        if (r->fields == NULL) {
            return request__refuse(r, CX_NO_MEMORY, "There is no memory for this request");
        }
    }
    return run_parser(r, head) &&
           request__read_target(r, (struct cx_str){ target, (size_t)(target_end - target) }) &&
           request__read_host(r) && request__read_framing(r);
}

/* What a lenient reader would see otherwise than a strict one: control bytes (a CR alone, NUL),
 * lines that begin with a space (folded) or have no name. Counts the field lines. */
static bool check_lines(struct http_request *r, struct cx_str head, size_t *field_lines)
{
    const char *line = head.p;
    const char *end = head.p + head.len - 2; /* the blank line */
    size_t lines = 0;
    while (line < end) {
        const char *lf = memchr(line, '\n', (size_t)(end - line));
        if (lf == NULL) {
            break;
        }
        const size_t len = (size_t)(lf - line) - 1;
        if (text__has_control((struct cx_str){ line, len })) {
            return request__refuse(r, CX_BAD_REQUEST, "The request head contains a control byte");
        }
        if (lines > 0 && (*line == ' ' || *line == '\t' || *line == ':')) {
            return request__refuse(r, CX_BAD_REQUEST, "A header field has no name or is folded");
        }
        lines++;
        line = lf + 1;
    }
    *field_lines = lines - 1;
    return true;
}

static bool run_parser(struct http_request *r, struct cx_str head)
{
    llhttp_init(&r->parser, HTTP_REQUEST, &parser_settings);
    r->parser.data = r;
    const llhttp_errno_t error = llhttp_execute(&r->parser, head.p, head.len);
    if (r->fault != CX_OK) {
        return false;
    }
    if (error != HPE_PAUSED || llhttp_get_error_pos(&r->parser) != head.p + head.len) {
        return request__refuse(r, CX_BAD_REQUEST, "The request head is not well formed");
    }
    if (r->field_count != r->field_capacity) {
        return request__refuse(r, CX_BAD_REQUEST, "The header fields are not well formed");
    }
    for (size_t i = 0; i < r->field_count; i++) {
        /* The head is our own copy: a colon follows the name, a CR or white space the value. */
        ((char *)r->fields[i].name)[r->fields[i].name_len] = '\0';
        ((char *)r->fields[i].value)[r->fields[i].value_len] = '\0';
    }
    r->keep_alive =
        llhttp_should_keep_alive(&r->parser) != 0 && (r->parser.flags & F_CONNECTION_CLOSE) == 0;
    return true;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http_request *r = parser->data;
    if (r->parsing_body) { /* a trailer: bounded and forgotten */
        return request__on_chunk_extension(parser, at, len);
    }
    if (r->field_count == r->field_capacity || len == 0) {
        (void)request__refuse(r, CX_BAD_REQUEST, "The header fields are not well formed");
        return HPE_USER;
    }
    struct http_field *field = &r->fields[r->field_count++];
    *field = (struct http_field){ .name = at, .name_len = (uint32_t)len, .value = at + len + 1 };
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_request *r = parser->data;
    if (r->parsing_body) {
        return request__on_chunk_extension(parser, at, len);
    }
    struct http_field *field = &r->fields[r->field_count - 1];
    const struct cx_str value = cx_str_trim((struct cx_str){ at, len });
    if (value.len > 0) { /* llhttp places an empty one in the next line */
        field->value = value.p;
        field->value_len = (uint32_t)value.len;
    }
    const enum http_known known = known_name((struct cx_str){ field->name, field->name_len });
    if (known == KNOWN_NONE) {
        return 0;
    }
    if (r->known[known] == NULL) {
        r->known[known] = field;
        return 0;
    }
    if (known != KNOWN_ACCEPT_ENCODING && known != KNOWN_IF_NONE_MATCH && known != KNOWN_EXPECT &&
        known != KNOWN_CORRELATION_ID) {
        (void)request__refuse(r, CX_BAD_REQUEST,
                              "A header field that may come once came twice (Host, Content-Length, "
                              "Transfer-Encoding, Content-Type, Authorization, Origin)");
        return HPE_USER;
    }
    return 0;
}

static enum http_known known_name(struct cx_str name)
{
    static const struct {
        struct cx_str name;
        enum http_known known;
    } names[] = {
        { { "host", 4 }, KNOWN_HOST },
        { { "expect", 6 }, KNOWN_EXPECT },
        { { "origin", 6 }, KNOWN_ORIGIN },
        { { "content-type", 12 }, KNOWN_CONTENT_TYPE },
        { { "authorization", 13 }, KNOWN_AUTHORIZATION },
        { { "if-none-match", 13 }, KNOWN_IF_NONE_MATCH },
        { { "content-length", 14 }, KNOWN_CONTENT_LENGTH },
        { { "accept-encoding", 15 }, KNOWN_ACCEPT_ENCODING },
        { { "x-correlation-id", 16 }, KNOWN_CORRELATION_ID },
        { { "transfer-encoding", 17 }, KNOWN_TRANSFER_ENCODING },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(names) && names[i].name.len <= name.len; i++) {
        if (names[i].name.len == name.len && (name.p[0] | 0x20) == names[i].name.p[0] &&
            cx_str_eq_nocase(name, names[i].name)) {
            return names[i].known;
        }
    }
    return KNOWN_NONE;
}

static int on_headers_complete(llhttp_t *parser)
{
    /* An offer to upgrade may be ignored (RFC 9110 7.8), but would make llhttp stop behind the
     * message. */
    parser->upgrade = 0;
    return HPE_PAUSED;
}

const char *request__header(const struct http_request *r, const char *name, struct cx_arena *arena)
{
    const struct cx_str wanted = cx_str_of(name);
    const struct http_field *first = NULL;
    const char *joined = NULL;
    for (size_t i = 0; i < r->field_count; i++) {
        const struct http_field *field = &r->fields[i];
        if (!cx_str_eq_nocase((struct cx_str){ field->name, field->name_len }, wanted)) {
            continue;
        }
        if (first == NULL) {
            first = field;
            joined = field->value;
        } else if (joined != NULL) {
            joined = cx_arena_printf(arena, "%s, %s", joined, field->value);
        }
    }
    return joined;
}
