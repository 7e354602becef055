/* SPDX-License-Identifier: MIT
 *
 * What addresses, host names, origins and URLs look like (config_table.h).
 */
#include <arpa/inet.h>
#include <string.h>

#include "app/config_table.h"

static bool is_host_name(struct cx_str host);
static bool is_origin(const char *text);
static bool is_authority(const char *text);
static bool is_ip(const char *text);

enum cx_status app__url_check(const char *text, struct cx_err *err)
{
    static const char unix_prefix[] = "unix:/";
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f) {
            return cx_err_set(err, CX_INVALID, "\"%s\" must be printable ASCII without blanks",
                              text);
        }
    }
    if (strncmp(text, unix_prefix, sizeof unix_prefix - 1) == 0) {
        return CX_OK;
    }
    const char *authority = strncmp(text, "http://", 7) == 0    ? text + 7
                            : strncmp(text, "https://", 8) == 0 ? text + 8
                                                                : NULL;
    if (authority == NULL || strcspn(authority, "/?#") == 0) {
        return cx_err_set(err, CX_INVALID, "\"%s\" must begin with http:// or https:// and a host",
                          text);
    }
    if (memchr(authority, '@', strcspn(authority, "/?#")) != NULL) {
        return cx_err_set(err, CX_INVALID, "must have no user or password in the address");
    }
    if (strchr(authority, '#') != NULL) {
        return cx_err_set(err, CX_INVALID, "\"%s\" must have no #", text);
    }
    return CX_OK;
}

enum cx_status app__item_check(enum app__type type, const char *item, struct cx_err *err)
{
    bool loopback = false;
    switch (type) {
    case APP__LISTEN:
        return app__address_parse(item, &loopback)
                   ? CX_OK
                   : cx_err_set(
                         err, CX_INVALID,
                         "\"%s\" is no address and port such as 127.0.0.1:4949 or [::1]:4949",
                         item);
    case APP__NAMES:
        return strcmp(item, "*") == 0 || is_host_name(cx_str_of(item))
                   ? CX_OK
                   : cx_err_set(err, CX_INVALID, "\"%s\" is no host name (without a port), nor *",
                                item);
    case APP__ORIGINS:
        return is_origin(item)
                   ? CX_OK
                   : cx_err_set(err, CX_INVALID,
                                "\"%s\" is no origin such as https://app.example.org", item);
    case APP__LIST:
        return CX_OK;
    default:
        return is_ip(item) ? CX_OK : cx_err_set(err, CX_INVALID, "\"%s\" is no IP address", item);
    }
}

bool app__address_parse(const char *text, bool *loopback)
{
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    if (colon == NULL || strlen(colon + 1) > 5 || !cx_parse_u64(cx_str_of(colon + 1), &port) ||
        port > 65535) {
        return false;
    }
    const bool bracketed = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    const char *start = bracketed ? text + 1 : text;
    const size_t len = (size_t)(colon - start) - (bracketed ? 1 : 0);
    if (len >= sizeof host) {
        return false;
    }
    memcpy(host, start, len);
    host[len] = '\0';
    if (bracketed) {
        struct in6_addr v6;
        if (inet_pton(AF_INET6, host, &v6) != 1) {
            return false;
        }
        *loopback =
            IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
        return true;
    }
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) != 1) {
        return false;
    }
    *loopback = ntohl(v4.s_addr) >> 24 == 127;
    return true;
}

static bool is_ip(const char *text)
{
    struct in6_addr address;
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

/* RFC 1123 labels, with _ let through, which is seen in container networks. */
static bool is_host_name(struct cx_str host)
{
    size_t label = 0;
    for (size_t i = 0; i < host.len; i++) {
        const char c = host.p[i];
        if (c == '.') {
            if (label == 0 || host.p[i - 1] == '-') {
                return false;
            }
            label = 0;
            continue;
        }
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '_' || (c == '-' && label > 0);
        if (!letter || ++label > 63) {
            return false;
        }
    }
    return host.len > 0 && host.len <= 253 && host.p[host.len - 1] != '-' &&
           host.p[host.len - 1] != '.';
}

/* scheme://host or scheme://host:port, as browsers send it: no path, no user. */
static bool is_origin(const char *text)
{
    const char *separator = strstr(text, "://");
    if (separator == NULL || separator == text) {
        return false;
    }
    for (const char *c = text; c < separator; c++) {
        if (!((*c >= 'a' && *c <= 'z') ||
              (c > text && ((*c >= '0' && *c <= '9') || *c == '+' || *c == '-' || *c == '.')))) {
            return false;
        }
    }
    return is_authority(separator + 3);
}

static bool is_authority(const char *text)
{
    size_t host_len = strcspn(text, ":");
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        char address[INET6_ADDRSTRLEN];
        if (end == NULL || (size_t)(end - text) > sizeof address) {
            return false;
        }
        memcpy(address, text + 1, (size_t)(end - text) - 1);
        address[end - text - 1] = '\0';
        if (!is_ip(address)) {
            return false;
        }
        host_len = (size_t)(end - text) + 1;
    } else if (!is_host_name((struct cx_str){ text, host_len })) {
        return false;
    }
    uint64_t port = 0;
    return text[host_len] == '\0' ||
           (text[host_len] == ':' && cx_parse_u64(cx_str_of(text + host_len + 1), &port) &&
            port > 0 && port <= 65535);
}
