/* SPDX-License-Identifier: MIT
 *
 * Request head and body framing: llhttp in its strict mode, and in front of it what llhttp lets
 * pass and RFC 9112 does not, or what two readers could understand in two ways. The head is parsed
 * only when it is whole, so a split cannot change how it is read.
 */
#include "http/request.h"

#include <string.h>
#include <strings.h>

#define EXTENSION_BYTES_MAX 4096 /* chunk extensions and trailers of one body together */
#define RESERVE_STEP ((size_t)256 * 1024)

static bool refuse(struct http_request *r, enum cx_status status, const char *text);
static bool check_lines(struct http_request *r, struct cx_str head, size_t *field_lines);
static bool run_parser(struct http_request *r, struct cx_str head);
static bool read_target(struct http_request *r, struct cx_str target);
static bool read_host(struct http_request *r);
static bool read_framing(struct http_request *r);
static enum http_known known_name(struct cx_str name);
static bool bytes_need_refusal(const unsigned char *p, size_t len);
static bool bytes_have_control(const unsigned char *p, size_t len);
static bool is_host_text(struct cx_str host);

static int on_header_field(llhttp_t *parser, const char *at, size_t len);
static int on_header_value(llhttp_t *parser, const char *at, size_t len);
static int on_headers_complete(llhttp_t *parser);
static int on_chunk_extension(llhttp_t *parser, const char *at, size_t len);
static int on_body(llhttp_t *parser, const char *at, size_t len);
static int on_message_complete(llhttp_t *parser);

static const llhttp_settings_t parser_settings = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

bool request__parse(struct http_request *r, struct cx_str head, const struct cx_http_limits *limits,
                    struct cx_arena *arena)
{
    *r = (struct http_request){ .keep_alive = false };
    char *copy = cx_arena_strndup(arena, head.p, head.len);
    size_t field_lines = 0;
    if (copy == NULL) {
        return refuse(r, CX_NO_MEMORY, "There is no memory for this request");
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
        return refuse(r, CX_URI_TOO_LONG, "The request target is too long");
    }
    if (field_lines > limits->header_count) {
        return refuse(r, CX_HEADERS_TOO_LARGE, "There are too many header fields");
    }
    r->field_capacity = field_lines;
    if (field_lines > 0) {
        r->fields = cx_arena_alloc(arena, field_lines * sizeof *r->fields);
        if (r->fields == NULL) {
            return refuse(r, CX_NO_MEMORY, "There is no memory for this request");
        }
    }
    return run_parser(r, head) &&
           read_target(r, (struct cx_str){ target, (size_t)(target_end - target) }) &&
           read_host(r) && read_framing(r);
}

static bool refuse(struct http_request *r, enum cx_status status, const char *text)
{
    if (r->fault == CX_OK) {
        r->fault = status;
        r->fault_text = text;
    }
    return false;
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
        if (bytes_need_refusal((const unsigned char *)line, len)) {
            return refuse(r, CX_BAD_REQUEST, "The request head contains a control byte");
        }
        if (lines > 0 && (*line == ' ' || *line == '\t' || *line == ':')) {
            return refuse(r, CX_BAD_REQUEST, "A header field has no name or is folded");
        }
        lines++;
        line = lf + 1;
    }
    *field_lines = lines - 1;
    return true;
}

/* Control bytes other than HTAB; eight at a time, because every head passes through here. */
static bool bytes_need_refusal(const unsigned char *p, size_t len)
{
    const uint64_t ones = UINT64_MAX / 255;
    while (len >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        const uint64_t del = word ^ (ones * 0x7f);
        const uint64_t suspects = ((word - ones * 0x20) & ~word) | ((del - ones) & ~del);
        if ((suspects & (ones * 0x80)) != 0 && bytes_have_control(p, 8)) {
            return true;
        }
        p += 8;
        len -= 8;
    }
    return bytes_have_control(p, len);
}

static bool bytes_have_control(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f) {
            return true;
        }
    }
    return false;
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
        return refuse(r, CX_BAD_REQUEST, "The request head is not well formed");
    }
    if (r->field_count != r->field_capacity) {
        return refuse(r, CX_BAD_REQUEST, "The header fields are not well formed");
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
        return on_chunk_extension(parser, at, len);
    }
    if (r->field_count == r->field_capacity || len == 0) {
        (void)refuse(r, CX_BAD_REQUEST, "The header fields are not well formed");
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
        return on_chunk_extension(parser, at, len);
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
        (void)refuse(r, CX_BAD_REQUEST,
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

static bool read_target(struct http_request *r, struct cx_str target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.p[i] < 0x21 || target.p[i] > 0x7e || target.p[i] == '#') {
            return refuse(r, CX_BAD_REQUEST,
                          "The request target contains a byte that must be escaped");
        }
    }
    const bool connect = cx_str_eq(r->method, CX_STR("CONNECT"));
    if (connect || cx_str_eq(r->method, CX_STR("PRI"))) {
        return refuse(r, CX_BAD_REQUEST, "This is not a proxy, and speaks HTTP/1.1 only");
    }
    if (target.len == 1 && target.p[0] == '*') {
        if (!cx_str_eq(r->method, CX_STR("OPTIONS"))) {
            return refuse(r, CX_BAD_REQUEST, "The target * belongs to OPTIONS");
        }
        r->path = target;
        return true;
    }
    if (target.p[0] != '/') {
        const size_t scheme_len = target.len > 7 && strncasecmp(target.p, "http://", 7) == 0    ? 7
                                  : target.len > 8 && strncasecmp(target.p, "https://", 8) == 0 ? 8
                                                                                                : 0;
        if (scheme_len == 0) {
            return refuse(r, CX_BAD_REQUEST,
                          "The request target is neither a path nor an http URL");
        }
        const char *authority = target.p + scheme_len;
        size_t len = 0;
        while (scheme_len + len < target.len && authority[len] != '/' && authority[len] != '?') {
            len++;
        }
        r->host = (struct cx_str){ authority, len };
        target = (struct cx_str){ authority + len, target.len - scheme_len - len };
    }
    const char *question = target.len > 0 ? memchr(target.p, '?', target.len) : NULL;
    const size_t path_len = question != NULL ? (size_t)(question - target.p) : target.len;
    r->path = path_len > 0 ? (struct cx_str){ target.p, path_len } : CX_STR("/");
    if (question != NULL) {
        r->query = (struct cx_str){ question + 1, target.len - path_len - 1 };
    }
    return true;
}

static bool read_host(struct http_request *r)
{
    const struct http_field *field = r->known[KNOWN_HOST];
    if (field == NULL) {
        return r->http_1_0 || refuse(r, CX_BAD_REQUEST, "A Host header field is required");
    }
    const struct cx_str host = { field->value, field->value_len };
    if (host.len == 0) {
        return refuse(r, CX_BAD_REQUEST, "The Host header field is empty");
    }
    if (!is_host_text(host)) {
        return refuse(r, CX_BAD_REQUEST, "The Host header field is not a host");
    }
    if (r->host.p == NULL) {
        r->host = host;
        return true;
    }
    return cx_str_eq_nocase(r->host, host) ||
           refuse(r, CX_BAD_REQUEST, "The Host header field contradicts the request target");
}

/* Letters, digits and what else names, addresses and ports are made of (RFC 3986 3.2.2). */
static bool is_host_text(struct cx_str host)
{
    static const bool allowed[256] = {
        ['-'] = true, ['.'] = true, [':'] = true, ['['] = true, [']'] = true, ['_'] = true,
        ['~'] = true, ['%'] = true, ['!'] = true, ['$'] = true, ['&'] = true, ['('] = true,
        [')'] = true, ['*'] = true, ['+'] = true, [';'] = true, ['='] = true, ['\''] = true,
        ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true,
        ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true,
    };
    for (size_t i = 0; i < host.len; i++) {
        const unsigned char c = (unsigned char)host.p[i];
        const unsigned char lower = c | 0x20;
        if (!allowed[c] && (lower < 'a' || lower > 'z')) {
            return false;
        }
    }
    return true;
}

/* RFC 9112 6: one length, said once, in one way. */
static bool read_framing(struct http_request *r)
{
    const struct http_field *length = r->known[KNOWN_CONTENT_LENGTH];
    const struct http_field *coding = r->known[KNOWN_TRANSFER_ENCODING];
    if (length != NULL && coding != NULL) {
        return refuse(r, CX_BAD_REQUEST,
                      "Content-Length and Transfer-Encoding contradict each other");
    }
    if (coding != NULL) {
        if (r->http_1_0 || strcasecmp(coding->value, "chunked") != 0) {
            return refuse(r, CX_BAD_REQUEST, "Only the transfer coding 'chunked' is understood");
        }
        r->body_kind = BODY_CHUNKED;
    } else if (length != NULL) {
        const struct cx_str text = { length->value, length->value_len };
        if (!cx_parse_u64(text, &r->content_length) || r->content_length > INT64_MAX ||
            (text.len > 1 && text.p[0] == '0')) {
            return refuse(r, CX_BAD_REQUEST, "Content-Length is not a number");
        }
        r->body_kind = r->content_length > 0 ? BODY_LENGTH : BODY_NONE;
    }
    r->body_complete = r->body_kind == BODY_NONE;
    const struct http_field *expect = r->known[KNOWN_EXPECT];
    r->expects_continue = expect != NULL && !r->http_1_0 && !r->body_complete &&
                          strcasecmp(expect->value, "100-continue") == 0;
    return true;
}

bool request__expect_body(struct http_request *r, size_t limit)
{
    r->body_limit = limit;
    cx_buf_init(&r->body, limit);
    return r->content_length <= limit;
}

void request__discard_body(struct http_request *r, size_t limit)
{
    r->discard = true;
    r->body_limit = limit;
    cx_buf_free(&r->body);
}

enum http_feed request__feed(struct http_request *r, struct cx_str data, size_t *used)
{
    *used = 0;
    if (r->body_complete) {
        return FEED_COMPLETE;
    }
    if (data.len == 0) {
        return FEED_MORE;
    }
    if (!r->parsing_body) {
        r->parsing_body = true;
        llhttp_resume(&r->parser);
    }
    const llhttp_errno_t error = llhttp_execute(&r->parser, data.p, data.len);
    if (error == HPE_OK) {
        *used = data.len;
        return FEED_MORE;
    }
    if (error == HPE_PAUSED && r->body_complete) {
        *used = (size_t)(llhttp_get_error_pos(&r->parser) - data.p);
        return FEED_COMPLETE;
    }
    (void)refuse(r, CX_BAD_REQUEST, "The chunks of the body are not well formed");
    return FEED_FAILED;
}

static int on_chunk_extension(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    struct http_request *r = parser->data;
    r->framing_seen += len;
    if (r->framing_seen > EXTENSION_BYTES_MAX) {
        (void)refuse(r, CX_BAD_REQUEST, "The chunk extensions or trailers are too large");
        return HPE_USER;
    }
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_request *r = parser->data;
    r->body_seen += len;
    if (r->body_seen > r->body_limit) {
        (void)refuse(r, CX_TOO_LARGE, "The body is too large");
        return HPE_USER;
    }
    if (r->discard) {
        return 0;
    }
    if (!r->pieces && r->body.cap - r->body.len <= len && r->content_length > 0) {
        /* Room for what was announced, but never far ahead of what has come. */
        const uint64_t left = r->content_length - (r->body_seen - len);
        const size_t ahead = r->body.len + RESERVE_STEP;
        (void)cx_buf_reserve(&r->body, left < ahead ? (size_t)left : ahead);
    }
    cx_buf_append(&r->body, at, len);
    if (r->body.failed) {
        (void)refuse(r, CX_NO_MEMORY, "There is no memory for this body");
        return HPE_USER;
    }
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http_request *r = parser->data;
    r->body_complete = true;
    return HPE_PAUSED;
}

void request__free(struct http_request *r)
{
    cx_buf_free(&r->body);
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
